//! Starting a sale: what may begin one, and what is asked again and what is not.

use super::*;

#[test]
fn a_start_without_an_answer_is_repeated_unchanged() {
    let mut desk = Desk::ready();
    desk.keys("1250\n");
    let first = desk.take_sale();
    desk.input(Input::Absent(Absence::NotRunning));
    assert!(
        desk.text().contains("Do not start the sale a second time"),
        "{}",
        desk.text()
    );
    desk.pass(5_000);
    assert!(desk.said.iter().all(|line| line.id() != first.id()));
    desk.said.clear();
    let mut offline = status();
    offline.is_online = false;
    desk.connect(offline);
    assert_eq!(desk.take_sale(), first);
    // The agent that came back cannot say whether the first sending led to anything.
    desk.refuse(&first, "ENGINE_UNREACHABLE");
    assert_eq!(desk.headline(), "STARTING");
    assert!(desk.asked().is_empty());
    desk.pass(2_500);
    assert_eq!(desk.take_sale(), first);
    desk.answer(Answer::good(first.id(), started(1)));
    assert_eq!(desk.headline(), "PREPARING");
    desk.pass(10_000);
    assert!(desk.asked().is_empty(), "{:?}", desk.asked());
}

#[test]
fn a_start_that_was_refused_at_once_has_not_happened() {
    for code in [
        "ENGINE_UNREACHABLE",
        "TERMINAL_BUSY",
        "INVALID_CURRENCY",
        "FORBIDDEN",
        "X",
    ] {
        let mut desk = Desk::ready();
        desk.keys("1250\n");
        let line = desk.take_sale();
        desk.refuse(&line, code);
        assert_eq!(desk.headline(), "NOT STARTED", "{code}");
        assert!(desk.text().contains(code), "{}", desk.text());
        desk.keys("r");
        assert_eq!(desk.till.view(0).amount, Some(usd(1_250)));
        assert!(desk.asked().is_empty());
    }
}

#[test]
fn a_start_that_nobody_answers_can_be_given_up_and_is_not_known() {
    let mut desk = Desk::ready();
    desk.keys("1250\nc");
    desk.take_sale();
    assert!(desk.asked().is_empty());
    desk.keys("g");
    assert_eq!(desk.headline(), "NOT KNOWN");
    desk.input(Input::Absent(Absence::NotRunning));
    desk.connect(status());
    assert!(desk.asked().is_empty(), "{:?}", desk.asked());
}

#[test]
fn a_start_is_not_repeated_until_another_customer_stands_there() {
    let mut desk = Desk::ready();
    desk.keys("1250\n");
    let line = desk.take_sale();
    desk.input(Input::Absent(Absence::NotRunning));
    desk.pass(61_000);
    assert_eq!(desk.headline(), "NOT KNOWN");
    desk.connect(status());
    assert!(desk.asked().is_empty(), "{:?}", desk.asked());
    desk.refuse(&line, "TERMINAL_BUSY");
    assert_eq!(desk.headline(), "NOT KNOWN");

    // The sale of somebody else is followed, and its end is not taken for this one's.
    let mut desk = Desk::ready();
    desk.keys("1250\n");
    desk.input(Input::Absent(Absence::NotRunning));
    desk.said.clear();
    desk.connect(status());
    let line = desk.take_sale();
    desk.screen(Screen::Preparing {
        pos_id: pos(7),
        amount: usd(4_000),
    });
    desk.refuse(&line, "TERMINAL_BUSY");
    desk.screen(Screen::Concluded(concluded(7, PosStatus::Approved)));
    desk.pass(61_000);
    assert_eq!(desk.headline(), "APPROVED");
    assert!(
        desk.text()
            .contains("Whether your sale of USD 12.50 began is not known"),
        "{}",
        desk.text()
    );
}

#[test]
fn the_currency_is_given_learned_or_asked_for() {
    let mut desk = Desk::new();
    desk.till = Till::new(TillConfig::default());
    desk.connect(status());
    assert_eq!(desk.headline(), "WHICH CURRENCY?");
    desk.keys("zzz\n");
    assert_eq!(desk.headline(), "WHICH CURRENCY?");
    desk.keys("jpy\n1250");
    let yen = Money::new(1_250, "JPY".parse().unwrap());
    assert_eq!(desk.till.view(0).amount, Some(yen));

    let mut desk = Desk::new();
    desk.till = Till::new(TillConfig::default());
    desk.connect(status());
    desk.answer_recent(vec![RecentSale {
        concluded: concluded(1, PosStatus::Approved),
        undone: Undone::No,
        age_ms: 0,
    }]);
    assert_eq!(desk.headline(), "AMOUNT");
    assert_eq!(desk.till.view(0).amount, Some(usd(0)));
}

#[test]
fn nothing_starts_while_it_cannot() {
    let mut offline = status();
    offline.is_online = false;
    let mut desk = Desk::new();
    desk.keys("1250\n");
    assert!(desk.text().contains("No sale can start"), "{}", desk.text());
    desk.connect(offline);
    desk.keys("\n");
    assert!(desk.text().contains("No sale can start"), "{}", desk.text());
    assert!(desk.asked().is_empty());
    // What was typed is still there when it can.
    desk.pass(1_500);
    desk.answer_status(status());
    desk.keys("\n");
    assert_eq!(desk.asked().len(), 1);
}
