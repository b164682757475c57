//! What the simulated reader asks of a host that has to lend it display and keypad.
//!
//! Owns when it asks and what it makes of the answer. It never asks for a PIN in earnest: these
//! cards do not check one.

use protocol::reader::command::{self, PROMPT};
use protocol::reader::frame::{Command, Response};
use protocol::reader::outcome::{Status, TransactionResult};
use protocol::reader::prompt::{self, DISPLAY, Mode, PIN};

use super::Reader;
use super::quirks::HostPrompt;
use super::transaction::{State, Transaction};
use crate::cards::Card;

/// How long an answer is waited for; arbitrary.
const ANSWER_S: u16 = 20;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Language,
    Application,
    Pin { force_online: bool },
}

impl Asked {
    /// The command that is outstanding meanwhile.
    pub(super) fn group(self, transaction: &Transaction) -> u8 {
        match self {
            Self::Language | Self::Application => transaction.group,
            Self::Pin { .. } => command::CONTACT,
        }
    }
}

impl Reader {
    /// Asks what has to be known before the chip is used; false when nothing does.
    pub(super) fn ask_before_start(
        &mut self,
        now_ms: u64,
        transaction: &Transaction,
        card: &'static Card,
    ) -> bool {
        let label = card.brand.label();
        let (asked, question) = match self.config.quirks.prompt {
            HostPrompt::None | HostPrompt::Pin => return false,
            HostPrompt::Message => {
                self.say(
                    now_ms,
                    prompt::display(Mode::Message, 0, &[(1, "PLEASE WAIT")]).ok(),
                );
                return false;
            }
            HostPrompt::Language => (
                Asked::Language,
                prompt::display(Mode::Language, ANSWER_S, &[(1, "ENGLISH"), (2, "DEUTSCH")]),
            ),
            HostPrompt::Application => (
                Asked::Application,
                prompt::display(Mode::Menu, ANSWER_S, &[(1, label), (2, "SECOND TEST")]),
            ),
        };
        self.ask(now_ms, question.ok(), transaction, card, asked)
    }

    /// Asks for a PIN while the chip decides; false when it is not wanted.
    pub(super) fn ask_for_pin(
        &mut self,
        now_ms: u64,
        transaction: &Transaction,
        card: &'static Card,
    ) -> bool {
        if self.config.quirks.prompt != HostPrompt::Pin {
            return false;
        }
        let asked = Asked::Pin {
            force_online: self.forced_online,
        };
        self.ask(now_ms, Some(prompt::pin()), transaction, card, asked)
    }

    fn ask(
        &mut self,
        now_ms: u64,
        question: Option<Response>,
        transaction: &Transaction,
        card: &'static Card,
        asked: Asked,
    ) -> bool {
        self.say(now_ms, question);
        let state = State::Asking {
            transaction: transaction.clone(),
            card,
            asked,
        };
        self.enter(state, now_ms + u64::from(ANSWER_S) * 1_000);
        true
    }

    fn say(&mut self, now_ms: u64, frame: Option<Response>) {
        if let Some(frame) = frame {
            self.line.send(now_ms, &frame, false);
        }
    }

    /// The host's answer, which is not answered in turn; one that nobody waits for is ignored.
    pub(super) fn prompt_answered(&mut self, now_ms: u64, command: &Command) {
        let State::Asking {
            transaction,
            card,
            asked,
        } = self.state.clone()
        else {
            if !matches!(command.sub(), DISPLAY | PIN | prompt::STRIPE) {
                self.reply_status(now_ms, PROMPT, Status::UnknownSubCommand);
            }
            return;
        };
        let chosen = match (asked, command.sub(), command.data()) {
            (Asked::Language, DISPLAY, [mode, line]) => {
                Some(*mode == Mode::Language.byte() && (1..=2).contains(line))
            }
            (Asked::Application, DISPLAY, [mode, line]) => {
                Some(*mode == Mode::Menu.byte() && (1..=2).contains(line))
            }
            // Without a PIN the chip goes on to its next method.
            (Asked::Pin { .. }, PIN, [0x00]) => Some(true),
            _ => None,
        };
        match chosen {
            None => {}
            Some(false) => self.finish_unanswered(now_ms, &transaction, asked),
            Some(true) => {
                let clear = prompt::display(Mode::Clear, 0, &[]).ok();
                self.say(now_ms, clear);
                self.enter_idle();
                self.is_answered = true;
                match asked {
                    Asked::Language | Asked::Application => {
                        self.finish_start(now_ms, transaction, card);
                    }
                    Asked::Pin { force_online } => {
                        self.finish_authentication(now_ms, transaction, force_online);
                    }
                }
            }
        }
    }

    /// Nobody chose.
    pub(super) fn finish_unanswered(
        &mut self,
        now_ms: u64,
        transaction: &Transaction,
        asked: Asked,
    ) {
        let result = match asked {
            Asked::Language => TransactionResult::LanguageNotChosen,
            Asked::Application => TransactionResult::ApplicationNotChosen,
            Asked::Pin { .. } => TransactionResult::PinBypassed,
        };
        self.finish_contact(now_ms, asked.group(transaction), result);
    }
}
