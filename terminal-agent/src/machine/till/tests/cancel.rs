//! The cancel key, from before the start to too late.

use super::*;

#[test]
fn a_cancel_before_the_start_is_sent_with_the_start() {
    let mut desk = Desk::ready();
    desk.keys("1250\nc");
    let id = desk.take_sale().id();
    desk.answer(Answer::good(id, started(1)));
    let asked = desk.asked();
    assert!(
        matches!(
            asked[..],
            [Line::Cancel { pos_id: Some(id), void_if_too_late: false, .. }] if *id == pos(1)
        ),
        "{asked:?}"
    );
}

#[test]
fn a_cancel_that_comes_too_late_offers_the_undo() {
    let mut desk = Desk::ready();
    desk.start(1);
    desk.screen(Screen::Authorizing { pos_id: pos(1) });
    desk.keys("c");
    assert!(desk.text().contains("Cancel asked for"), "{}", desk.text());
    let line = desk.take(|line| matches!(line, Line::Cancel { .. }));
    desk.screen(Screen::Concluded(concluded(1, PosStatus::Approved)));
    let verdict = AnswerData::Canceled {
        request_id: RequestId::from_uuid(Uuid::from_u128(0)),
        verdict: "too_late_approved".to_owned(),
    };
    desk.answer(Answer::good(line.id(), verdict));
    assert_eq!(desk.headline(), "APPROVED");
    assert!(
        desk.text().contains("TOO LATE TO CANCEL"),
        "{}",
        desk.text()
    );
    desk.keys("v");
    assert_eq!(desk.headline(), "UNDO THIS SALE?");
    desk.keys("\n");
    assert!(desk.asked().is_empty());
    desk.keys("y");
    let line = desk.take(|line| matches!(line, Line::Void { .. }));
    let voided = AnswerData::Voided {
        request_id: RequestId::from_uuid(Uuid::from_u128(0)),
        transaction_id: TransactionId::from_uuid(Uuid::from_u128(1_001)),
        is_final: true,
    };
    desk.answer(Answer::good(line.id(), voided));
    assert_eq!(desk.headline(), "UNDONE");
    assert!(!has_approved(&desk.till.view(desk.now_ms)));
    let actions = desk.till.actions();
    assert!(
        !actions.iter().any(|item| item.action == Action::Void),
        "{actions:?}"
    );
}

#[test]
fn verdicts_have_words_and_none_of_them_says_that_somebody_has_paid() {
    for (verdict, words) in [
        ("canceled", "NOT PAID"),
        ("too_late_declined", "NOT PAID"),
        ("too_late_reversed", "NOT PAID"),
        ("too_late_voided", "undone"),
        ("too_late_approved", "TOO LATE"),
        ("already_final", "ended already"),
        ("something_approved", "console"),
    ] {
        let mut desk = Desk::ready();
        desk.start(1);
        desk.keys("c");
        let line = desk.take(|line| matches!(line, Line::Cancel { .. }));
        let data = AnswerData::Canceled {
            request_id: RequestId::from_uuid(Uuid::from_u128(0)),
            verdict: verdict.to_owned(),
        };
        desk.answer(Answer::good(line.id(), data));
        let view = desk.till.view(desk.now_ms);
        assert!(desk.text().contains(words), "{verdict}: {}", desk.text());
        assert!(!has_approved(&view), "{verdict}");
    }
}

#[test]
fn without_a_link_a_cancel_stops_the_reader_here() {
    let mut desk = Desk::ready();
    desk.start(1);
    desk.screen(present_card());
    let event = Heard::Event(WatchEvent::Link { is_online: false });
    desk.input(Input::Heard(Box::new(event)));
    desk.keys("c");
    let asked = desk.asked();
    assert!(
        matches!(asked[..], [Line::Cancel { .. }, Line::CancelKey { .. }]),
        "{asked:?}"
    );
}
