//! The till machine against an agent that is played by hand.

use proptest::prelude::*;
use protocol::id::{PosTransactionId, RequestId, TransactionId};
use protocol::link::{
    Advice, AttemptEnd, Concluded, PaperState, PosKind, PosStatus, ReaderState, TillStatus,
};
use protocol::money::Money;
use protocol::receipt::Copy;
use uuid::Uuid;

use super::*;
use crate::control::message::{Answer, AnswerData, Choice as TipChoice};
use crate::machine::agent::{RecentSale, Undone};
use crate::machine::screen::{Screen, TipOption};

fn pos(number: u128) -> PosTransactionId {
    PosTransactionId::from_uuid(Uuid::from_u128(number))
}

fn usd(minor: i64) -> Money {
    Money::new(minor, "USD".parse().unwrap())
}

fn concluded(number: u128, status: PosStatus) -> Concluded {
    let is_approved = status == PosStatus::Approved;
    Concluded {
        pos_id: pos(number),
        status,
        reason: if is_approved {
            "approved"
        } else {
            "host_declined"
        }
        .to_owned(),
        amount: usd(1_250),
        tip: None,
        transaction_id: is_approved
            .then(|| TransactionId::from_uuid(Uuid::from_u128(number + 1_000))),
        kind: None,
        advice: None,
    }
}

fn status() -> AgentStatus {
    AgentStatus {
        is_online: true,
        label: "Lane 1".to_owned(),
        currencies: Vec::new(),
        journal_id: None,
        boot: 1,
        till: TillStatus {
            reader: ReaderState::Ready,
            reader_serial: String::new(),
            reader_firmware: String::new(),
            printer_online: true,
            paper: PaperState::Ok,
            cover_open: false,
            printer_trouble: String::new(),
            drawer_open: None,
            agent_version: String::new(),
            current: None,
            facts: None,
            configuration: None,
            backlog: protocol::link::TillBacklog::default(),
        },
        has_printer: true,
        open: Vec::new(),
        unanswered_requests: 0,
        waiting_prints: Vec::new(),
        screen: Screen::Idle,
        idle_text: None,
    }
}

/// The machine, the time, and what it has said and not been answered.
struct Desk {
    till: Till,
    now_ms: u64,
    fresh: u128,
    said: Vec<Line>,
    has_quit: bool,
}

impl Desk {
    fn new() -> Self {
        Self {
            till: Till::new(TillConfig {
                currency: Some("USD".parse().unwrap()),
                tip_prompt: false,
            }),
            now_ms: 0,
            fresh: 0,
            said: Vec::new(),
            has_quit: false,
        }
    }

    /// Connected to an agent that is well.
    fn ready() -> Self {
        let mut desk = Self::new();
        desk.connect(status());
        desk
    }

    fn connect(&mut self, status: AgentStatus) {
        self.input(Input::Connected);
        self.answer_status(status);
    }

    fn input(&mut self, input: Input) {
        self.now_ms += 1;
        self.fresh += 1;
        let mut out = Vec::new();
        let fresh = RequestId::from_uuid(Uuid::from_u128(self.fresh));
        self.till.handle(self.now_ms, fresh, input, &mut out);
        for output in out {
            match output {
                Output::Say(line) => self.said.push(line),
                Output::Quit => self.has_quit = true,
            }
        }
    }

    fn keys(&mut self, keys: &str) {
        for letter in keys.chars() {
            self.input(Input::Key(match letter {
                '\n' => Key::Enter,
                '<' => Key::Backspace,
                '^' => Key::Escape,
                letter => Key::Char(letter),
            }));
        }
    }

    fn screen(&mut self, screen: Screen) {
        let event = Heard::Event(WatchEvent::Screen { data: screen });
        self.input(Input::Heard(Box::new(event)));
    }

    fn answer(&mut self, answer: Answer) {
        self.input(Input::Heard(Box::new(Heard::Answer(answer))));
    }

    fn answer_status(&mut self, status: AgentStatus) {
        let id = self.take(|line| matches!(line, Line::Status { .. })).id();
        let data = AnswerData::Status {
            status: Box::new(status),
            ports: Box::default(),
            process: Box::default(),
        };
        self.answer(Answer::good(id, data));
    }

    fn answer_recent(&mut self, sales: Vec<RecentSale>) {
        let id = self.take(|line| matches!(line, Line::Recent { .. })).id();
        self.answer(Answer::good(id, AnswerData::Recent { sales }));
    }

    fn take(&mut self, is_meant: impl Fn(&Line) -> bool) -> Line {
        let found = self.said.iter().position(is_meant);
        let found = found.unwrap_or_else(|| panic!("not said: {:?}", self.said));
        self.said.remove(found)
    }

    fn take_sale(&mut self) -> Line {
        self.take(|line| matches!(line, Line::Sale { .. }))
    }

    /// What money depends on and nobody has answered.
    fn asked(&self) -> Vec<&Line> {
        self.said
            .iter()
            .filter(|line| {
                !matches!(
                    line,
                    Line::Status { .. } | Line::Recent { .. } | Line::Watch { .. }
                )
            })
            .collect()
    }

    fn start(&mut self, number: u128) {
        self.keys("1250\n");
        let id = self.take_sale().id();
        let data = AnswerData::Started {
            request_id: RequestId::from_uuid(Uuid::from_u128(0)),
            pos_id: pos(number),
        };
        self.answer(Answer::good(id, data));
    }

    fn refuse(&mut self, line: &Line, code: &str) {
        self.answer(Answer::refused(Some(line.id()), code, "because".to_owned()));
    }

    fn headline(&self) -> String {
        self.till.view(self.now_ms).headline
    }

    fn text(&self) -> String {
        self.till.view(self.now_ms).texts().join("\n")
    }

    fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 500 {
            self.now_ms += 500;
            self.input(Input::Tick);
        }
    }
}

fn has_approved(view: &View) -> bool {
    let text = view.texts().join("\n").to_lowercase();
    text.contains("approved")
}

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
        (
            Screen::PresentCard {
                pos_id,
                amount: usd(1_250),
                attempt: 1,
                advice: None,
            },
            "PRESENT CARD",
        ),
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
    desk.screen(Screen::PresentCard {
        pos_id: pos(1),
        amount: usd(1_250),
        attempt: 1,
        advice: None,
    });
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
    let started = AnswerData::Started {
        request_id: RequestId::from_uuid(Uuid::from_u128(0)),
        pos_id: pos(1),
    };
    desk.answer(Answer::good(first.id(), started));
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
fn a_cancel_before_the_start_is_sent_with_the_start() {
    let mut desk = Desk::ready();
    desk.keys("1250\nc");
    let id = desk.take_sale().id();
    let started = AnswerData::Started {
        request_id: RequestId::from_uuid(Uuid::from_u128(0)),
        pos_id: pos(1),
    };
    desk.answer(Answer::good(id, started));
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
    desk.screen(Screen::PresentCard {
        pos_id: pos(1),
        amount: usd(1_250),
        attempt: 1,
        advice: None,
    });
    let event = Heard::Event(WatchEvent::Link { is_online: false });
    desk.input(Input::Heard(Box::new(event)));
    desk.keys("c");
    let asked = desk.asked();
    assert!(
        matches!(asked[..], [Line::Cancel { .. }, Line::CancelKey { .. }]),
        "{asked:?}"
    );
}

fn tip_screen() -> Screen {
    let option = |basis_points, minor| TipOption {
        basis_points,
        tip: usd(minor),
    };
    Screen::SelectTip {
        pos_id: pos(1),
        amount: usd(1_000),
        options: vec![option(1_500, 150), option(2_000, 200)],
        custom: true,
        timeout_s: 30,
    }
}

#[test]
fn the_payer_chooses_a_tip_once() {
    for (keys, choice) in [
        ("1", TipChoice::Option(0)),
        ("22", TipChoice::Option(1)),
        ("0", TipChoice::None),
        ("o350\n", TipChoice::Amount(usd(350))),
        ("o^1", TipChoice::Option(0)),
    ] {
        let mut desk = Desk::ready();
        desk.screen(tip_screen());
        assert_eq!(desk.till.view(desk.now_ms).seconds_left, Some(30));
        assert!(desk.text().contains("20%  USD 2.00"), "{}", desk.text());
        desk.keys(keys);
        let asked = desk.asked();
        assert!(
            matches!(asked[..], [Line::ChooseTip { choice: it, .. }] if *it == choice),
            "{keys}: {asked:?}"
        );
    }
    let mut desk = Desk::ready();
    desk.screen(tip_screen());
    desk.keys("39");
    assert!(desk.asked().is_empty());
}

#[test]
fn a_sale_of_the_pos_system_takes_the_screen_and_no_press_meant_for_another_sale() {
    let mut desk = Desk::ready();
    desk.keys("99");
    desk.screen(Screen::Preparing {
        pos_id: pos(7),
        amount: usd(4_000),
    });
    assert_eq!(desk.till.view(desk.now_ms).amount, Some(usd(4_000)));
    desk.keys("\n");
    desk.screen(Screen::Concluded(concluded(7, PosStatus::Approved)));
    assert_eq!(desk.headline(), "APPROVED");
    desk.keys("\n\n");
    assert_eq!(desk.till.view(0).amount, Some(usd(0)));
    assert!(desk.asked().is_empty());
}

#[test]
fn what_runs_is_followed_from_the_status_and_what_ended_before_is_not_shown() {
    let mut running = status();
    running.open = vec![pos(7)];
    running.screen = Screen::Authorizing { pos_id: pos(7) };
    let mut desk = Desk::new();
    desk.connect(running);
    assert_eq!(desk.headline(), "ASKING THE BANK");

    for screen in [
        Screen::Concluded(concluded(7, PosStatus::Approved)),
        Screen::PresentCard {
            pos_id: pos(7),
            amount: usd(1),
            attempt: 1,
            advice: None,
        },
        Screen::AttemptClosed { pos_id: pos(7) },
    ] {
        let mut ended = status();
        ended.screen = screen;
        let mut desk = Desk::new();
        desk.connect(ended);
        assert_eq!(desk.headline(), "AMOUNT");
    }
}

#[test]
fn an_agent_that_goes_away_leaves_the_sale_unknown_until_it_is_back() {
    let run = || {
        let mut desk = Desk::ready();
        desk.start(1);
        desk.screen(Screen::Authorizing { pos_id: pos(1) });
        desk.input(Input::Absent(Absence::NotRunning));
        assert_eq!(desk.headline(), "NOT KNOWN");
        assert!(desk.text().contains("AGENT NOT RUNNING"), "{}", desk.text());
        desk.said.clear();
        desk
    };
    // It ended meanwhile.
    let mut desk = run();
    let mut ended = status();
    ended.screen = Screen::Concluded(concluded(1, PosStatus::Approved));
    desk.connect(ended);
    assert_eq!(desk.headline(), "APPROVED");

    // It ended, and something else was on the screen since.
    let mut desk = run();
    desk.connect(status());
    assert_eq!(desk.headline(), "NOT KNOWN YET");
    desk.answer_recent(vec![RecentSale {
        concluded: concluded(1, PosStatus::Approved),
        undone: Undone::No,
        age_ms: 5,
    }]);
    assert_eq!(desk.headline(), "APPROVED");

    // The agent has restarted and waits for the engine's word.
    let mut desk = run();
    let mut restarted = status();
    restarted.open = vec![pos(1)];
    desk.connect(restarted);
    assert_eq!(desk.headline(), "NOT KNOWN YET");
    desk.screen(Screen::Concluded(concluded(1, PosStatus::Reversed)));
    assert_eq!(desk.headline(), "UNDONE");

    // Nobody here knows it any more.
    let mut desk = run();
    desk.connect(status());
    for _ in 0..30 {
        desk.pass(1_000);
        if desk
            .said
            .iter()
            .any(|line| matches!(line, Line::Status { .. }))
        {
            desk.answer_status(status());
        }
    }
    assert_eq!(desk.headline(), "NOT KNOWN HERE");
    assert!(desk.text().contains(&pos(1).to_string()), "{}", desk.text());
}

#[test]
fn what_is_missing_is_said_with_what_to_do() {
    let with = |change: fn(&mut AgentStatus)| {
        let mut status = status();
        change(&mut status);
        let mut desk = Desk::new();
        desk.connect(status);
        desk.till.view(desk.now_ms).alerts.join("\n")
    };
    type Change = fn(&mut AgentStatus);
    let cases: [(Change, &str); 9] = [
        (|status| status.is_online = false, "ENGINE OFFLINE"),
        (
            |status| status.till.reader = ReaderState::Absent,
            "READER NOT FOUND: check its cable",
        ),
        (
            |status| status.till.reader = ReaderState::Starting,
            "READER STARTING",
        ),
        (
            |status| status.till.reader = ReaderState::NotEncrypting,
            "READER BLOCKED",
        ),
        (
            |status| status.till.paper = PaperState::Out,
            "NO PAPER: put in a new roll",
        ),
        (
            |status| status.till.paper = PaperState::NearEnd,
            "PAPER NEARLY OUT",
        ),
        (
            |status| status.till.cover_open = true,
            "PRINTER COVER OPEN: close it",
        ),
        (
            |status| status.till.printer_online = false,
            "PRINTER NOT READY",
        ),
        (
            |status| {
                status.screen = Screen::OutOfOrder {
                    reason: "journal_fault".to_owned(),
                };
            },
            "TILL OUT OF ORDER",
        ),
    ];
    for (change, words) in cases {
        let alerts = with(change);
        assert!(alerts.contains(words), "{words}: {alerts}");
    }
    assert_eq!(with(|_| ()), "");
    assert_eq!(
        with(|status| {
            status.has_printer = false;
            status.till.printer_online = false;
        }),
        ""
    );
    let mut desk = Desk::ready();
    desk.pass(1_500);
    desk.pass(6_000);
    assert!(
        desk.text().contains("AGENT DOES NOT ANSWER"),
        "{}",
        desk.text()
    );
    desk.input(Input::Absent(Absence::Forbidden));
    assert!(desk.text().contains("NO ACCESS"), "{}", desk.text());
}

#[test]
fn a_port_that_does_not_open_says_why() {
    let answer = br#"{"state":"faulty","code":"PORT_IN_USE","message":"/dev/ttyACM0 is in use",
        "remedy":"end the program that has it"}"#;
    let mut status = status();
    status.till.reader = ReaderState::Absent;
    let mut desk = Desk::new();
    desk.input(Input::Connected);
    let id = desk.take(|line| matches!(line, Line::Status { .. })).id();
    let ports = PortsHealth {
        reader: serde_json::from_slice(answer).unwrap(),
        printer: None,
    };
    let data = AnswerData::Status {
        status: Box::new(status),
        ports: Box::new(ports),
        process: Box::default(),
    };
    desk.answer(Answer::good(id, data));
    let alerts = desk.till.view(desk.now_ms).alerts;
    let expected = "READER NOT FOUND: /dev/ttyACM0 is in use. end the program that has it";
    assert_eq!(alerts, [expected]);
}

#[test]
fn the_last_sales_are_listed_and_changed() {
    let mut desk = Desk::ready();
    let recent = |number, status| RecentSale {
        concluded: concluded(number, status),
        undone: Undone::No,
        age_ms: 180_000,
    };
    desk.answer_recent(vec![
        recent(2, PosStatus::Declined),
        recent(1, PosStatus::Approved),
    ]);
    desk.keys("l");
    let view = desk.till.view(desk.now_ms);
    let rows: Vec<_> = view
        .choices
        .iter()
        .map(|choice| choice.text.as_str())
        .collect();
    assert_eq!(
        rows,
        [
            "USD 12.50  DECLINED  3 min ago",
            "USD 12.50  APPROVED  3 min ago"
        ]
    );
    desk.keys("1");
    assert_eq!(desk.headline(), "DECLINED");
    desk.keys("tv");
    assert!(desk.asked().is_empty());
    desk.keys("b2t250");
    assert_eq!(desk.headline(), "NEW TIP");
    desk.keys("\n");
    let line = desk.take(|line| matches!(line, Line::Tip { .. }));
    assert!(
        matches!(&line, Line::Tip { pos_id, tip, .. } if *pos_id == pos(1) && *tip == usd(250)),
        "{line:?}"
    );
    let adjusted = AnswerData::TipAdjusted {
        request_id: RequestId::from_uuid(Uuid::from_u128(0)),
        transaction_id: TransactionId::from_uuid(Uuid::from_u128(1_001)),
        total: usd(1_500),
    };
    desk.answer(Answer::good(line.id(), adjusted));
    assert_eq!(desk.till.view(desk.now_ms).amount, Some(usd(1_500)));
    assert!(
        desk.text().contains("Tip USD 2.50 is in it"),
        "{}",
        desk.text()
    );
    desk.keys("t9999\n");
    let line = desk.take(|line| matches!(line, Line::Tip { .. }));
    desk.refuse(&line, "TIP_LIMIT_EXCEEDED");
    assert!(
        desk.text().contains("above what the shop allows"),
        "{}",
        desk.text()
    );
    desk.keys("m");
    assert!(matches!(
        desk.asked()[..],
        [Line::Print {
            copy: Copy::Merchant,
            ..
        }]
    ));
    desk.keys("bbq");
    assert!(desk.has_quit);
}

#[test]
fn an_agent_that_has_restarted_does_not_empty_the_list() {
    let mut desk = Desk::ready();
    let recent = |number, age_ms| RecentSale {
        concluded: concluded(number, PosStatus::Declined),
        undone: Undone::No,
        age_ms,
    };
    desk.answer_recent(vec![recent(2, 60_000), recent(1, 120_000)]);
    desk.input(Input::Absent(Absence::NotRunning));
    desk.connect(status());
    desk.answer_recent(vec![recent(3, 0), recent(2, 60_000)]);
    let ids: Vec<_> = desk
        .till
        .recent
        .iter()
        .map(|(_, sale)| sale.concluded.pos_id)
        .collect();
    assert_eq!(ids, [pos(3), pos(2), pos(1)]);
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

#[test]
fn lines_are_amounts_keys_and_names() {
    let mut desk = Desk::ready();
    let type_in = |desk: &mut Desk, line: &str| desk.input(Input::Typed(line.to_owned()));
    type_in(&mut desk, "12.50");
    assert_eq!(desk.till.view(0).amount, Some(usd(1_250)));
    type_in(&mut desk, "12.5");
    assert!(desk.text().contains("That is no amount"), "{}", desk.text());
    type_in(&mut desk, "4761739001010010");
    assert!(
        desk.text().contains("That is no amount") && !desk.text().contains("4761"),
        "{}",
        desk.text()
    );
    type_in(&mut desk, "authorization");
    type_in(&mut desk, "t");
    type_in(&mut desk, "nonsense");
    assert!(desk.text().contains("Not understood"), "{}", desk.text());
    type_in(&mut desk, "");
    let line = desk.take_sale();
    assert!(
        matches!(
            line,
            Line::Sale {
                kind: PosKind::Authorization,
                tip_prompt: true,
                ..
            }
        ),
        "{line:?}"
    );
    desk.screen(tip_screen());
    type_in(&mut desk, "other");
    type_in(&mut desk, "3.50");
    type_in(&mut desk, "");
    assert!(
        matches!(desk.asked()[..], [Line::ChooseTip { choice: TipChoice::Amount(tip), .. }]
        if *tip == usd(350))
    );
    type_in(&mut desk, "back");
    type_in(&mut desk, "cancel");
    assert!(
        matches!(
            desk.asked()[..],
            [Line::ChooseTip { .. }, Line::Cancel { .. }]
        ),
        "{:?}",
        desk.asked()
    );
}

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
