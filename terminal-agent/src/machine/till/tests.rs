//! The till machine against an agent that is played by hand.

mod alert;
mod cancel;
mod follow;
mod property;
mod recent;
mod sale;
mod start;
mod typed;

use proptest::prelude::*;
use protocol::id::{RequestId, TransactionId};
use protocol::link::{Advice, AttemptEnd, Concluded, PaperState, PosKind, PosStatus, ReaderState};
use protocol::money::Money;
use protocol::receipt::Copy;
use uuid::Uuid;

use super::*;
use crate::control::message::{Answer, AnswerData, Choice as TipChoice};
use crate::machine::agent::{RecentSale, Undone};
use crate::machine::screen::{Screen, TipOption};
use crate::trial::{pos, status, usd};

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
        self.answer(Answer::good(id, started(number)));
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

fn started(number: u128) -> AnswerData {
    AnswerData::Started {
        request_id: RequestId::from_uuid(Uuid::from_u128(0)),
        pos_id: pos(number),
    }
}

fn present_card() -> Screen {
    Screen::PresentCard {
        pos_id: pos(1),
        amount: usd(1_250),
        attempt: 1,
        advice: None,
    }
}

fn has_approved(view: &View) -> bool {
    let text = view.texts().join("\n").to_lowercase();
    text.contains("approved")
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
