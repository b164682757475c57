//! From the first key to the end, and the words of every end.

use super::*;

#[test]
fn a_sale_from_the_first_key_to_the_end() {
    let mut desk = Desk::ready();
    assert_eq!(desk.headline(), "AMOUNT");
    desk.keys("12599<<0");
    assert_eq!(desk.till.view(0).amount, Some(usd(1_250)));
    desk.keys("\n");
    assert_eq!(desk.headline(), "STARTING");
    let line = desk.take_sale();
    let Line::Sale {
        amount,
        kind,
        tip_prompt,
        request_id,
        ..
    } = &line
    else {
        panic!("{line:?}");
    };
    assert_eq!(
        (*amount, *kind, *tip_prompt),
        (usd(1_250), PosKind::Sale, false)
    );
    assert!(request_id.is_some());
    let started = AnswerData::Started {
        request_id: request_id.unwrap(),
        pos_id: pos(1),
    };
    desk.answer(Answer::good(line.id(), started));
    let pos_id = pos(1);
    for (screen, headline) in [
        (
            Screen::Preparing {
                pos_id,
                amount: usd(1_250),
            },
            "PREPARING",
        ),
        (present_card(), "PRESENT CARD"),
        (
            Screen::Reader {
                pos_id,
                progress: "card_detected".to_owned(),
                advice: None,
            },
            "READING CARD",
        ),
        (Screen::Authorizing { pos_id }, "ASKING THE BANK"),
        (
            Screen::DeclinedTryAnother {
                pos_id,
                advice: None,
            },
            "DECLINED",
        ),
        (
            Screen::AttemptEnded {
                pos_id,
                end: AttemptEnd::CardRemoved,
            },
            "NOT PAID YET",
        ),
        (Screen::Finishing { pos_id }, "FINISHING"),
    ] {
        desk.screen(screen);
        let view = desk.till.view(desk.now_ms);
        assert_eq!(view.headline, headline);
        assert_eq!(view.amount, Some(usd(1_250)), "{headline}");
        assert!(!has_approved(&view), "{headline}");
        assert!(
            view.actions
                .iter()
                .any(|item| item.action == Action::Cancel),
            "{headline}"
        );
    }
    desk.screen(Screen::Concluded(concluded(1, PosStatus::Approved)));
    assert_eq!(desk.headline(), "APPROVED");
    desk.keys("\n");
    assert_eq!(desk.headline(), "AMOUNT");
    assert_eq!(desk.till.view(0).amount, Some(usd(0)));
}

#[test]
fn ends_have_their_words() {
    for (status, headline, words) in [
        (PosStatus::Approved, "APPROVED", "stands"),
        (PosStatus::Declined, "DECLINED", "NOT PAID"),
        (PosStatus::Canceled, "CANCELED", "NOT PAID"),
        (PosStatus::Failed, "NOT PAID", "No money has moved"),
        (PosStatus::Reversed, "UNDONE", "NOT PAID"),
        (PosStatus::InDoubt, "NOT KNOWN YET", "NOBODY HAS PAID"),
        (PosStatus::InProgress, "NOT KNOWN YET", "NOBODY HAS PAID"),
    ] {
        let mut desk = Desk::ready();
        desk.start(1);
        desk.screen(Screen::Concluded(concluded(1, status)));
        assert_eq!(desk.headline(), headline);
        assert!(desk.text().contains(words), "{}", desk.text());
    }
    let mut desk = Desk::ready();
    desk.start(1);
    desk.screen(Screen::AttemptClosed { pos_id: pos(1) });
    assert_eq!(desk.headline(), "NOT PAID");
}

#[test]
fn what_was_in_doubt_is_said_when_it_is_known() {
    let mut desk = Desk::ready();
    desk.start(1);
    desk.screen(Screen::Concluded(concluded(1, PosStatus::InDoubt)));
    desk.screen(Screen::Concluded(concluded(1, PosStatus::Reversed)));
    assert_eq!(desk.headline(), "UNDONE");

    let mut desk = Desk::ready();
    desk.start(1);
    desk.screen(Screen::Concluded(concluded(1, PosStatus::InDoubt)));
    desk.keys("\n5");
    desk.screen(Screen::Concluded(concluded(1, PosStatus::Reversed)));
    assert_eq!(desk.headline(), "AMOUNT");
    let text = desk.text();
    assert!(
        text.contains("Earlier sale USD 12.50: UNDONE – NOT PAID"),
        "{text}"
    );
}

#[test]
fn keys_that_are_pressed_twice_ask_once() {
    let mut desk = Desk::ready();
    desk.keys("1250\n\n\n1\n");
    assert_eq!(desk.asked().len(), 1, "{:?}", desk.asked());
    desk.said.clear();
    let mut desk = Desk::ready();
    desk.start(1);
    desk.screen(present_card());
    desk.keys("ccc^");
    assert_eq!(desk.asked().len(), 1, "{:?}", desk.asked());
    desk.said.clear();

    let mut desk = Desk::ready();
    desk.start(1);
    desk.screen(Screen::Concluded(concluded(1, PosStatus::Approved)));
    desk.keys("pp");
    desk.keys("vyyvy");
    let asked = desk.asked();
    assert!(
        matches!(
            asked[..],
            [
                Line::Print {
                    copy: Copy::Customer,
                    ..
                },
                Line::Void { .. }
            ]
        ),
        "{asked:?}"
    );
    // An Enter too many starts nothing.
    desk.said.clear();
    desk.keys("bb\n\n\n");
    assert!(desk.asked().is_empty(), "{:?}", desk.asked());
}
