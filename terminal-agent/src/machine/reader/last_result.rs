//! The chip's last word that nobody heard: the reader was lost after an approval had gone to it.
//!
//! Owns when that word is asked for afterwards (60-13) and whether it may be believed. It never
//! takes a result that could be another transaction's: amount, transaction counter and
//! unpredictable number must all be those of this chip's request to ask the issuer. What is not
//! proven in time ends the attempt, and the engine reverses.

use std::fmt;

use protocol::reader::command;
use protocol::reader::frame::{Command, Response};
use protocol::reader::outcome::{
    CardRead, Status, TAG_CRYPTOGRAM_INFORMATION, TAG_RESPONSE_CODE, TAG_RESULT,
};
use protocol::reader::tlv::Form;

use super::setup::Step;
use super::verdict::{self, Verdict};
use super::{
    EndReason, Event, NotReadyReason, Output, Progress, ReaderConversation, ReaderFault, State,
    Wait,
};

const TAG_AMOUNT: u32 = 0x9F02;
const TAG_COUNTER: u32 = 0x9F36;
const TAG_UNPREDICTABLE_NUMBER: u32 = 0x9F37;
const TAG_CRYPTOGRAM: u32 = 0x9F26;
/// What makes a chip transaction this one and no other.
const IDENTITY: [u32; 3] = [TAG_AMOUNT, TAG_COUNTER, TAG_UNPREDICTABLE_NUMBER];

/// 60-13: the result, what the chip made of it, and what it is the result of.
pub(super) fn question() -> Command {
    let tags = [
        TAG_RESULT,
        TAG_AMOUNT,
        TAG_COUNTER,
        TAG_UNPREDICTABLE_NUMBER,
        TAG_CRYPTOGRAM,
        TAG_CRYPTOGRAM_INFORMATION,
        TAG_RESPONSE_CODE,
    ];
    command::contact_last_result(&tags).expect("seven tags fit into a frame")
}

/// Values that only one chip transaction has.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Identity([Vec<u8>; 3]);

impl Identity {
    /// Of the chip's request to ask the issuer; nothing when a value is missing.
    pub(super) fn of(response_data: &[u8]) -> Option<Self> {
        let read = CardRead::parse(response_data).ok()?;
        let [amount, counter, number] = IDENTITY.map(|tag| read.find(tag, Form::Clear));
        Some(Self([amount?.into(), counter?.into(), number?.into()]))
    }

    fn compare(&self, response: &Response) -> Match {
        let Ok(read) = CardRead::parse(response.data()) else {
            return Match::Incomplete;
        };
        let mut found = Match::Same;
        for (tag, expected) in IDENTITY.into_iter().zip(&self.0) {
            match read.find(tag, Form::Clear) {
                Some(value) if value == expected.as_slice() => {}
                Some(_) => return Match::Other,
                None => found = Match::Incomplete,
            }
        }
        found
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Identity")
    }
}

/// Whose result it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    Same,
    Other,
    Incomplete,
}

/// A chip's last word that is missing.
#[derive(Debug)]
pub(super) struct Owed {
    identity: Identity,
    /// How the reader was lost.
    fault: ReaderFault,
    /// When it is given up.
    by_ms: u64,
    /// That the reader is not ready, which is not said meanwhile.
    pub(super) unsaid: Option<NotReadyReason>,
}

impl Owed {
    pub(super) const fn by_ms(&self) -> u64 {
        self.by_ms
    }
}

impl ReaderConversation {
    /// Keeps a transaction whose last word the reader may still know; false when there is none.
    pub(super) fn hold_for_last_result(
        &mut self,
        now_ms: u64,
        fault: ReaderFault,
        out: &mut Vec<Output>,
    ) -> bool {
        if self.owed.is_some() {
            return true;
        }
        let State::Transaction(transaction) = &self.state else {
            return false;
        };
        let Some(identity) = transaction.approved_identity() else {
            return false;
        };
        if !self.config.switches.asks_last_result {
            return false;
        }
        self.owed = Some(Owed {
            identity: identity.clone(),
            fault,
            by_ms: now_ms.saturating_add(self.config.last_result_window_ms),
            unsaid: None,
        });
        out.push(Output::Event(Event::Progress(Progress::ReaderLost)));
        true
    }

    pub(super) fn expire_owed(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        if self.owed.as_ref().is_some_and(|owed| owed.by_ms <= now_ms) {
            self.give_up_last_result(out);
        }
    }

    pub(super) fn last_result_answered(
        &mut self,
        now_ms: u64,
        response: &Response,
        out: &mut Vec<Output>,
    ) {
        let Some(owed) = &self.owed else {
            return;
        };
        let verdict = verdict::on_completion(response);
        // The first answer to an earlier command.
        if verdict == Verdict::Pending {
            return;
        }
        let is_refusal = !matches!(Status::from(response.status()), Status::Ok | Status::Failed);
        match owed.identity.compare(response) {
            Match::Same => match verdict {
                Verdict::Completed { approved } => {
                    self.owed_event(
                        Event::ChipFinal {
                            approved,
                            data: response.data().to_vec(),
                        },
                        out,
                    );
                }
                Verdict::End(reason) => self.owed_event(Event::Ended(reason), out),
                _ => {
                    self.ask_last_result_later(now_ms);
                    return;
                }
            },
            // A late answer to something else looks like that.
            Match::Incomplete if !is_refusal => {
                self.ask_last_result_later(now_ms);
                return;
            }
            Match::Other | Match::Incomplete => self.give_up_last_result(out),
        }
        self.send_step(now_ms, Step::Cancel, 1, out);
    }

    /// The chip may not have ended yet.
    fn ask_last_result_later(&mut self, now_ms: u64) {
        let until_ms = now_ms.saturating_add(self.config.last_result_pause_ms);
        self.state = State::Setup {
            step: Step::LastResult,
            // Not an answer that is missing: asking goes on until the time is up.
            sendings: 0,
            wait: Wait {
                until_ms,
                first_byte_by_ms: None,
            },
        };
    }

    fn give_up_last_result(&mut self, out: &mut Vec<Output>) {
        if let Some(owed) = &self.owed {
            let reason = EndReason::ReaderFault(owed.fault);
            self.owed_event(Event::Ended(reason), out);
        }
    }

    fn owed_event(&mut self, event: Event, out: &mut Vec<Output>) {
        out.push(Output::Event(event));
        if let Some(reason) = self.owed.take().and_then(|owed| owed.unsaid) {
            out.push(Output::Event(Event::NotReady { reason }));
        }
    }
}
