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
fn the_usual_currency_is_the_engines_word_and_typing_follows_its_decimals() {
    for (code, amount) in [
        ("JPY", "JPY 1250"),
        ("USD", "USD 12.50"),
        ("BHD", "BHD 1.250"),
    ] {
        let mut desk = Desk::new();
        desk.till = Till::new(TillConfig::default());
        let mut known = status();
        known.currencies = vec![code.parse().unwrap()];
        desk.connect(known);
        assert_eq!(desk.headline(), "AMOUNT", "{code}");
        desk.keys("1250");
        let view = desk.till.view(0);
        assert_eq!(view.amount.unwrap().to_string(), amount);
        assert!(view.actions.iter().all(|item| item.word != "currency"));
        assert!(view.alerts.is_empty(), "{:?}", view.alerts);
        // Line mode knows the decimals, too.
        let typed = amount.split_once(' ').unwrap().1;
        desk.input(Input::Typed("clear".to_owned()));
        desk.input(Input::Typed(typed.to_owned()));
        assert_eq!(desk.till.view(0).amount.unwrap().to_string(), amount);
    }
}

#[test]
fn a_shop_with_more_than_one_currency_has_a_key_for_the_next() {
    let mut known = status();
    known.currencies = vec!["EUR".parse().unwrap(), "JPY".parse().unwrap()];
    let mut desk = Desk::new();
    desk.connect(known);
    // The screen was begun with dollars.
    let alerts = desk.till.view(0).alerts;
    assert!(
        alerts[0].contains("does not take USD, but EUR, JPY"),
        "{alerts:?}"
    );
    for expected in ["EUR 0.00", "JPY 0", "EUR 0.00"] {
        desk.keys("5x");
        assert_eq!(desk.till.view(0).amount.unwrap().to_string(), expected);
        assert!(desk.till.view(0).alerts.is_empty());
    }
    desk.keys("125\n");
    let Some(Line::Sale { amount, .. }) = desk.asked().first().cloned() else {
        panic!("{:?}", desk.asked())
    };
    assert_eq!(amount.to_string(), "EUR 1.25");
}

#[test]
fn an_authorization_is_not_worded_like_a_sale() {
    let ended = |kind| {
        let mut desk = Desk::ready();
        desk.start(1);
        let mut concluded = concluded(1, PosStatus::Approved);
        concluded.kind = kind;
        desk.screen(Screen::Concluded(concluded));
        desk
    };
    for kind in [None, Some(PosKind::Sale)] {
        let mut desk = ended(kind);
        assert!(
            desk.text().contains("Hand over the goods"),
            "{}",
            desk.text()
        );
        assert!(!desk.text().to_lowercase().contains("reserved"));
        desk.keys("v");
        assert_eq!(desk.headline(), "UNDO THIS SALE?");
    }
    let mut desk = ended(Some(PosKind::Authorization));
    assert_eq!(desk.headline(), "APPROVED");
    assert!(
        desk.text().contains("RESERVED, not charged"),
        "{}",
        desk.text()
    );
    assert!(!desk.text().contains("Hand over the goods"));
    desk.keys("l");
    assert!(
        desk.text().contains("APPROVED (reserved)"),
        "{}",
        desk.text()
    );
    desk.keys("1v");
    assert_eq!(desk.headline(), "UNDO THIS RESERVATION?");
}

#[test]
fn what_to_do_about_a_decline_stays_until_the_next_card_is_read() {
    let advice = Some(Advice::UseChip);
    let pos_id = pos(1);
    let mut desk = Desk::ready();
    desk.start(1);
    desk.screen(Screen::DeclinedTryAnother { pos_id, advice });
    assert_eq!(desk.headline(), "DECLINED");
    assert!(desk.text().contains("NOT PAID. This card has a chip"));
    let amount = usd(1_250);
    desk.screen(Screen::PresentCard {
        pos_id,
        amount,
        attempt: 2,
        advice,
    });
    assert_eq!(desk.headline(), "USE CHIP");
    assert!(desk.text().contains("insert it"), "{}", desk.text());
    let progress = "present_card".to_owned();
    desk.screen(Screen::Reader {
        pos_id,
        progress,
        advice,
    });
    assert_eq!(desk.headline(), "USE CHIP");
    desk.screen(Screen::Authorizing { pos_id });
    assert!(!desk.text().contains("chip"), "{}", desk.text());
    let mut end = concluded(1, PosStatus::Declined);
    end.advice = Some(Advice::CheckReader);
    desk.screen(Screen::Concluded(end));
    assert!(
        desk.text().contains("Call the technician"),
        "{}",
        desk.text()
    );
    assert!(!desk.text().contains("another card"), "{}", desk.text());

    // What this version has no word for is a decline as any other.
    let mut desk = Desk::ready();
    desk.start(1);
    let mut end = concluded(1, PosStatus::Declined);
    end.advice = Some(Advice::Other);
    desk.screen(Screen::Concluded(end));
    assert!(
        desk.text().contains("Ask for another card"),
        "{}",
        desk.text()
    );
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
