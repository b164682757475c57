//! Every state in windows of several sizes: the words that matter are there.

use protocol::id::{RequestId, TransactionId};
use protocol::link::{AttemptEnd, Concluded, PaperState, PosStatus, ReaderState};
use protocol::money::Money;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use uuid::Uuid;

use super::*;
use crate::control::message::{Answer, AnswerData, Heard, Line as Said, WatchEvent};
use crate::machine::agent::{AgentStatus, RecentSale, Undone};
use crate::machine::screen::{Screen, TipOption};
use crate::machine::till::{Absence, Input, Output, Till, TillConfig};
use crate::trial::{pos, status, usd};

const UNICODE: Looks = Looks {
    has_colour: true,
    is_unicode: true,
};
const BARE: Looks = Looks {
    has_colour: false,
    is_unicode: false,
};
const SIZES: [(u16, u16); 4] = [(80, 24), (120, 40), (40, 15), (60, 18)];

fn concluded(status: PosStatus, reason: &str) -> Concluded {
    Concluded {
        pos_id: pos(1),
        status,
        reason: reason.to_owned(),
        amount: usd(1_450),
        tip: Some(usd(200)),
        transaction_id: Some(TransactionId::from_uuid(Uuid::from_u128(2))),
        kind: None,
        advice: None,
    }
}

fn till(status: AgentStatus, sales: Vec<RecentSale>, keys: &str, screens: &[Screen]) -> Till {
    let mut till = Till::new(TillConfig {
        currency: Some("USD".parse().unwrap()),
        tip_prompt: false,
    });
    let feed = |till: &mut Till, input: Input| {
        let mut out = Vec::new();
        till.handle(0, RequestId::from_uuid(Uuid::from_u128(9)), input, &mut out);
        out
    };
    for said in feed(&mut till, Input::Connected) {
        let data = match said {
            Output::Say(Said::Status { .. }) => AnswerData::Status {
                status: Box::new(status.clone()),
                ports: Box::default(),
                process: Box::default(),
            },
            Output::Say(Said::Recent { .. }) => AnswerData::Recent {
                sales: sales.clone(),
            },
            _ => AnswerData::Done,
        };
        if let Output::Say(line) = said {
            let answer = Heard::Answer(Answer::good(line.id(), data));
            feed(&mut till, Input::Heard(Box::new(answer)));
        }
    }
    for screen in screens {
        let event = WatchEvent::Screen {
            data: screen.clone(),
        };
        feed(&mut till, Input::Heard(Box::new(Heard::Event(event))));
    }
    for letter in keys.chars() {
        let key = match letter {
            '\n' => Key::Enter,
            letter => Key::Char(letter),
        };
        feed(&mut till, Input::Key(key));
    }
    till
}

fn painted(view: &View, looks: Looks, (width, height): (u16, u16)) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, view, looks)).unwrap();
    let buffer = terminal.backend().buffer();
    let is_coloured = buffer
        .content
        .iter()
        .any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset);
    assert!(looks.has_colour || !is_coloured, "colours without colours");
    let rows: Vec<String> = buffer
        .content
        .chunks(usize::from(width))
        .map(|row| row.iter().map(|cell| cell.symbol()).collect())
        .collect();
    if !looks.is_unicode {
        assert!(rows.iter().all(|row| row.is_ascii()), "{rows:#?}");
    }
    rows
}

/// Words, wherever the lines are broken.
fn text(rows: &[String]) -> String {
    rows.join(" ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// Every state of the till, with the words that must be in the smallest window, too.
fn states() -> Vec<(Till, Vec<&'static str>)> {
    let amount = usd(1_250);
    let pos_id = pos(1);
    let prompt = Screen::SelectTip {
        pos_id,
        amount,
        options: [(1_500, 188), (1_800, 225), (2_000, 250)]
            .map(|(basis_points, minor)| TipOption {
                basis_points,
                tip: usd(minor),
            })
            .to_vec(),
        custom: true,
        timeout_s: 30,
    };
    let preparing = Screen::Preparing { pos_id, amount };
    let card = Screen::PresentCard {
        pos_id,
        amount,
        attempt: 1,
        advice: None,
    };
    let reader = |progress: &str| Screen::Reader {
        pos_id,
        progress: progress.to_owned(),
        advice: None,
    };
    let end = |status, reason| Screen::Concluded(concluded(status, reason));
    let sale = |status| RecentSale {
        concluded: concluded(status, "host_declined"),
        undone: Undone::No,
        age_ms: 120_000,
    };
    let run = |screens: &[Screen]| till(status(), vec![], "", screens);
    vec![
        (
            run(&[]),
            vec!["AMOUNT", "USD 0.00", "[Enter] start", "[l] last sales"],
        ),
        (
            till(status(), vec![], "1250", &[]),
            vec!["USD 12.50", "Enter starts."],
        ),
        (
            till(status(), vec![], "a1250", &[]),
            vec!["AMOUNT TO RESERVE"],
        ),
        (
            till(status(), vec![], "1250\n", &[]),
            vec!["STARTING", "USD 12.50", "Nobody has paid", "[c] cancel"],
        ),
        (run(&[preparing]), vec!["PREPARING", "Nobody has paid"]),
        (
            run(&[prompt]),
            vec![
                "CHOOSE A TIP",
                "1 15% USD 1.88",
                "0 no tip",
                "[o] another tip",
                "30 s left",
            ],
        ),
        (
            run(std::slice::from_ref(&card)),
            vec!["PRESENT CARD", "USD 12.50", "Tap, insert or swipe"],
        ),
        (
            run(&[card.clone(), reader("card_detected")]),
            vec!["READING CARD", "USD 12.50"],
        ),
        (
            run(&[card.clone(), reader("insert_or_swipe")]),
            vec!["INSERT OR SWIPE"],
        ),
        (
            run(&[card.clone(), reader("one_card_only")]),
            vec!["ONE CARD ONLY"],
        ),
        (
            run(&[card.clone(), reader("remove_card")]),
            vec!["REMOVE CARD"],
        ),
        (
            run(&[Screen::Authorizing { pos_id }]),
            vec!["ASKING THE BANK", "Nobody has paid"],
        ),
        (
            run(&[Screen::Finishing { pos_id }]),
            vec!["FINISHING", "Nobody has paid"],
        ),
        (
            run(&[Screen::DeclinedTryAnother {
                pos_id,
                advice: None,
            }]),
            vec!["DECLINED", "NOT PAID"],
        ),
        (
            run(&[Screen::AttemptEnded {
                pos_id,
                end: AttemptEnd::CardRemoved,
            }]),
            vec!["NOT PAID YET", "taken away too early"],
        ),
        (
            run(&[card.clone(), end(PosStatus::Approved, "approved")]),
            vec![
                "APPROVED",
                "USD 14.50",
                "Tip USD 2.00",
                "[p] receipt",
                "[v] undo",
            ],
        ),
        (
            run(&[card.clone(), end(PosStatus::Declined, "host_declined")]),
            vec![
                "DECLINED",
                "NOT PAID",
                "the bank declined",
                "[r] same amount",
            ],
        ),
        (
            run(&[card.clone(), end(PosStatus::InDoubt, "acquirer_unknown")]),
            vec!["NOT KNOWN YET", "NOBODY HAS PAID", "do not charge again"],
        ),
        (
            run(&[card.clone(), Screen::AttemptClosed { pos_id }]),
            vec!["NOT PAID", "No money has moved"],
        ),
        (
            till(status(), vec![sale(PosStatus::Approved)], "l", &[]),
            vec!["LAST SALES", "1 USD 14.50 APPROVED (tip 2.00)", "[b] back"],
        ),
        (
            till(status(), vec![sale(PosStatus::Approved)], "l1v", &[]),
            vec!["UNDO THIS SALE?", "[y] YES", "USD 14.50"],
        ),
        (
            till(status(), vec![sale(PosStatus::Approved)], "l1t300", &[]),
            vec!["NEW TIP", "USD 3.00"],
        ),
    ]
}

#[test]
fn every_state_says_what_matters_in_every_size_with_and_without_colour() {
    for (till, words) in states() {
        for size in SIZES {
            for looks in [UNICODE, BARE] {
                let rows = painted(&till.view(0), looks, size);
                let text = text(&rows);
                for word in &words {
                    assert!(
                        text.contains(word),
                        "{word} at {size:?}:\n{}",
                        rows.join("\n")
                    );
                }
                assert!(
                    text.contains("engine: online"),
                    "{size:?}:\n{}",
                    rows.join("\n")
                );
            }
        }
    }
}

#[test]
fn the_amount_is_large() {
    let till = till(status(), vec![], "1250", &[]);
    let rows = painted(&till.view(0), BARE, (80, 24));
    let top = rows.iter().position(|row| row.contains("####  ##########"));
    assert!(top.is_some(), "{}", rows.join("\n"));
    let narrow = painted(&till.view(0), BARE, (40, 15));
    assert!(text(&narrow).contains("#####"), "{}", narrow.join("\n"));
    let yen = Money::new(1_234_567_890, "USD".parse().unwrap());
    let mut view = till.view(0);
    view.amount = Some(yen);
    let rows = painted(&view, UNICODE, (80, 24));
    assert!(
        text(&rows).contains("USD 12345678.90"),
        "{}",
        rows.join("\n")
    );
}

#[test]
fn what_is_broken_is_seen_in_every_size() {
    let mut broken = status();
    broken.is_online = false;
    broken.till.reader = ReaderState::Absent;
    broken.till.paper = PaperState::Out;
    let mut view = till(broken, vec![], "", &[]).view(0);
    for size in SIZES {
        let rows = painted(&view, BARE, size);
        let text = text(&rows);
        for word in [
            "ENGINE OFFLINE",
            "READER NOT FOUND",
            "NO PAPER",
            "[Enter] start",
        ] {
            assert!(
                text.contains(word),
                "{word} at {size:?}:\n{}",
                rows.join("\n")
            );
        }
    }
    // A window that is too small for the layout.
    view.alerts.truncate(1);
    let rows = painted(&view, UNICODE, (30, 10));
    assert!(
        text(&rows).contains("ENGINE OFFLINE"),
        "{}",
        rows.join("\n")
    );
    for size in [(1, 1), (2, 30), (200, 1)] {
        painted(&view, UNICODE, size);
    }
    let mut gone = till(status(), vec![], "", &[]);
    let fresh = RequestId::from_uuid(Uuid::from_u128(9));
    gone.handle(
        0,
        fresh,
        Input::Absent(Absence::NotRunning),
        &mut Vec::new(),
    );
    let rows = painted(&gone.view(0), BARE, (40, 15));
    assert!(
        text(&rows).contains("AGENT NOT RUNNING"),
        "{}",
        rows.join("\n")
    );
    assert!(
        text(&rows).contains("agent: not connected"),
        "{}",
        rows.join("\n")
    );
}

#[test]
fn texts_are_broken_between_words() {
    assert_eq!(wrap("one two three", 7), ["one two", "three"]);
    assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
    assert_eq!(wrap("", 3), [""]);
    assert_eq!(wrap("a b", 0), ["a", "b"]);
}
