//! Any keys, events and answers in any order.

use super::*;

/// Anything that can happen, with few enough names that things meet.
fn any_input() -> impl Strategy<Value = Move> {
    let number = 1..4u128;
    prop_oneof![
        4 => prop::sample::select(vec!['1', '5', '0', '\n', 'c', 'v', 'y', 't', 'l', 'b', 'g', 'r',
                                  'a', 'o', 'p', 'm', '^', '<', '2'])
            .prop_map(Move::Key),
        1 => "[a-z0-9. ]{0,12}".prop_map(Move::Typed),
        1 => Just(Move::Connect),
        1 => Just(Move::Absent),
        2 => Just(Move::Tick),
        4 => (number.clone(), 0..9usize, ".{0,20}|approved|already_approved")
            .prop_map(|(number, kind, text)| Move::Screen(number, kind, text)),
        2 => (number.clone(), prop::sample::select(vec![
            PosStatus::Approved, PosStatus::Declined, PosStatus::InDoubt, PosStatus::Reversed,
        ])).prop_map(|(number, status)| Move::Concluded(number, status)),
        4 => (number, any::<prop::sample::Index>(), 0..9usize,
              "approved|APPROVED|too_late_approved|X_APPROVED_Y|.{0,20}")
            .prop_map(|(number, which, kind, text)| Move::Answer(number, which, kind, text)),
    ]
}

#[derive(Debug, Clone)]
enum Move {
    Key(char),
    Typed(String),
    Connect,
    Absent,
    Tick,
    Screen(u128, usize, String),
    Concluded(u128, PosStatus),
    Answer(u128, prop::sample::Index, usize, String),
}

fn any_screen(number: u128, kind: usize, text: String) -> Screen {
    let pos_id = pos(number);
    let amount = usd(1_250);
    match kind {
        0 => Screen::Preparing { pos_id, amount },
        1 => Screen::PresentCard {
            pos_id,
            amount,
            attempt: 2,
            advice: None,
        },
        2 => Screen::Reader {
            pos_id,
            progress: text,
            advice: None,
        },
        3 => Screen::Authorizing { pos_id },
        4 => Screen::Finishing { pos_id },
        5 => Screen::DeclinedTryAnother {
            pos_id,
            advice: None,
        },
        6 => Screen::AttemptClosed { pos_id },
        7 => Screen::OutOfOrder { reason: text },
        _ => tip_screen(),
    }
}

fn any_answer(number: u128, kind: usize, text: String, id: u64) -> Answer {
    let request_id = RequestId::from_uuid(Uuid::from_u128(0));
    let transaction_id = TransactionId::from_uuid(Uuid::from_u128(number + 1_000));
    let data = match kind {
        0 => AnswerData::Started {
            request_id,
            pos_id: pos(number),
        },
        1 => AnswerData::Canceled {
            request_id,
            verdict: text,
        },
        2 => AnswerData::TipAdjusted {
            request_id,
            transaction_id,
            total: usd(1_500),
        },
        3 => AnswerData::Voided {
            request_id,
            transaction_id,
            is_final: true,
        },
        4 => AnswerData::Done,
        5 | 6 => {
            let mut status = status();
            status.label = text.clone();
            status.open = vec![pos(number)];
            status.screen = any_screen(number, usize::from(kind == 6) * 3, text);
            AnswerData::Status {
                status: Box::new(status),
                ports: Box::default(),
                process: Box::default(),
            }
        }
        7 => AnswerData::Recent { sales: Vec::new() },
        _ => return Answer::refused(Some(id), &text, text.clone()),
    };
    Answer::good(id, data)
}

proptest! {
    /// Whatever happens in whatever order: no conclusion of the engine, no APPROVED, and never
    /// for another sale than the one that it was said of.
    #[test]
    fn nobody_is_told_approved_without_the_engines_word(moves in prop::collection::vec(any_input(), 0..60)) {
        let mut desk = Desk::new();
        let mut approved = std::collections::BTreeSet::new();
        let mut is_connected = false;
        let mut requests = BTreeMap::new();
        for one in moves {
            match one {
                Move::Key(letter) => desk.keys(&letter.to_string()),
                Move::Typed(line) => desk.input(Input::Typed(line)),
                Move::Connect => {
                    is_connected = true;
                    desk.input(Input::Connected);
                }
                Move::Absent => {
                    is_connected = false;
                    desk.input(Input::Absent(Absence::NotRunning));
                }
                Move::Tick => {
                    desk.now_ms += 700;
                    desk.input(Input::Tick);
                }
                Move::Screen(number, kind, text) if is_connected => {
                    desk.screen(any_screen(number, kind, text));
                }
                Move::Concluded(number, status) if is_connected => {
                    if status == PosStatus::Approved {
                        approved.insert(pos(number));
                    }
                    desk.screen(Screen::Concluded(concluded(number, status)));
                }
                Move::Answer(number, which, kind, text) if is_connected && !desk.said.is_empty() => {
                    let index = which.index(desk.said.len());
                    let id = desk.said.remove(index).id();
                    desk.answer(any_answer(number, kind, text, id));
                }
                Move::Screen(..) | Move::Concluded(..) | Move::Answer(..) => {}
            }
            let view = desk.till.view(desk.now_ms);
            prop_assert!(!has_approved(&view) || !approved.is_empty(), "{view:?}");
            let shown = match &desk.till.mode {
                Mode::Running(_) | Mode::Starting | Mode::ConfirmVoid(_) => {
                    prop_assert_ne!(&view.headline, "APPROVED");
                    None
                }
                Mode::Ended(end) => end.pos_id(),
                Mode::Sale(pos_id) => Some(*pos_id),
                _ => None,
            };
            if view.headline == "APPROVED" {
                prop_assert!(shown.is_some_and(|pos_id| approved.contains(&pos_id)), "{view:?}");
            }
            // One request id is one line, however often it is said.
            for line in &desk.said {
                let request = match line {
                    Line::Sale { request_id, .. }
                    | Line::Cancel { request_id, .. }
                    | Line::Print { request_id, .. }
                    | Line::Tip { request_id, .. }
                    | Line::Void { request_id, .. } => *request_id,
                    _ => None,
                };
                if let Some(request_id) = request {
                    let known = requests.entry(request_id).or_insert_with(|| line.clone());
                    prop_assert_eq!(&*known, line);
                }
            }
        }
    }
}
