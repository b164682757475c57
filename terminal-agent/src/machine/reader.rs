//! The host's side of the conversation with the card reader, as a pure machine.
//!
//! Owns what is written to the reader and when, and what its answers mean for the attempt. It
//! never decrypts, never logs card data, never approves anything by itself, and writes nothing
//! but the transaction's own commands while a transaction runs: any other command would cancel it.
//!
//! ```text
//! state        input                      → state
//! closed       port opened                → setup
//! setup        last step answered         → ready        (event Ready)
//! setup        no answer, encryption off  → unready      (event NotReady), tried again later
//! ready        start                      → transaction
//! transaction  card data, final, failure  → ready, housekeeping   (see `transaction`)
//! transaction  cancel                     → canceling
//! canceling    05 00, or no answer twice  → ready, setup (event Ended)
//! any          boot notification, fault   → setup        (event Ended if a transaction ran)
//! any          port closed                → closed
//! ```
//!
//! When the reader is lost after an approval has gone to the chip, its last result is asked for as
//! soon as it is back (60-13). It counts only when it provably belongs to this transaction; else,
//! and when it does not come in time, the attempt ends without the chip's word and the engine
//! reverses. Until then no other event tells of the loss.
//!
//! # Layout
//! * `message`: inputs, outputs, events and settings.
//! * `request`: what the agent asks, and when it may.
//! * `setup`: the initialisation sequence.
//! * `transaction`: one presentation of a card, with retries, up to its end.
//! * `chip`: the steps of a chip after it was powered.
//! * `housekeeping`: commands between transactions. `last_reads`: what a late copy is known by.
//! * `last_result`: what a chip has said that nobody heard.
//! * `prompt`: what the reader asks of the till.
//! * `verdict`: what a response means; no state.

mod chip;
mod housekeeping;
mod last_reads;
mod last_result;
mod message;
mod prompt;
mod request;
mod setup;
mod transaction;
mod verdict;

use std::collections::VecDeque;

use protocol::reader::command::{self, Beep, Message};
use protocol::reader::frame::{Command, Response, ResponseDecoder};

use last_reads::LastReads;
use last_result::Owed;
pub use message::{
    EndReason, Entry, Event, Input, NotReadyReason, Output, Progress, ReaderConversationConfig,
    ReaderFault, ReaderSwitches, Request, Start,
};
use setup::Step;
use transaction::Transaction;

/// How long an answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wait {
    /// When the answer counts as lost.
    until_ms: u64,
    /// When silence counts as lost; none once a byte was heard.
    first_byte_by_ms: Option<u64>,
}

impl Wait {
    fn deadline_ms(self) -> u64 {
        self.first_byte_by_ms
            .map_or(self.until_ms, |first| first.min(self.until_ms))
    }
}

/// How often a cancel or a setup step is sent.
const SENDINGS_MAX: u8 = 3;

#[derive(Debug)]
enum State {
    Closed,
    Setup {
        step: Step,
        sendings: u8,
        wait: Wait,
    },
    Unready {
        retry_at_ms: u64,
    },
    Ready,
    /// Commands after a transaction, one at a time.
    Housekeeping {
        outstanding: u8,
        queue: VecDeque<Command>,
        wait: Wait,
        /// Came meanwhile.
        start: Option<Start>,
    },
    Transaction(Transaction),
    Canceling {
        sendings: u8,
        wait: Wait,
    },
}

/// The conversation with one reader.
#[derive(Debug)]
pub struct ReaderConversation {
    config: ReaderConversationConfig,
    decoder: ResponseDecoder,
    /// When the last byte came.
    heard_ms: u64,
    state: State,
    /// A chip card was in the slot when last heard of; nobody has seen it leave.
    slot_may_hold_card: bool,
    /// Each read of a card is encrypted anew: the same again is a late copy from the line, and nobody
    /// has presented a card.
    last_reads: LastReads,
    /// The chip's last word is missing, and the reader may still know it.
    owed: Option<Owed>,
    serial: String,
    firmware: String,
}

impl ReaderConversation {
    /// A conversation over a port that is not open yet.
    pub fn new(config: ReaderConversationConfig) -> Self {
        Self {
            config,
            decoder: ResponseDecoder::default(),
            heard_ms: 0,
            state: State::Closed,
            slot_may_hold_card: false,
            last_reads: LastReads::default(),
            owed: None,
            serial: String::new(),
            firmware: String::new(),
        }
    }

    /// Takes one input in; what follows from it is added to `out`.
    pub fn handle(&mut self, now_ms: u64, input: Input<'_>, out: &mut Vec<Output>) {
        match input {
            Input::PortOpened => {
                // Whatever ran, ran on another port.
                self.lose_transaction(now_ms, ReaderFault::PortClosed, out);
                self.decoder.reset();
                self.begin_setup(now_ms, out);
            }
            Input::PortClosed => self.close(now_ms, out),
            Input::Bytes(bytes) => self.hear(now_ms, bytes, out),
            Input::Request(request) => self.request(now_ms, request, out),
            Input::Deadline => {}
        }
        self.expire_gap(now_ms, out);
        self.expire(now_ms, out);
    }

    /// When [`Input::Deadline`] is due.
    pub fn poll_deadline(&self) -> Option<u64> {
        let state = match &self.state {
            State::Closed | State::Ready => None,
            State::Unready { retry_at_ms } => Some(*retry_at_ms),
            State::Setup { wait, .. }
            | State::Housekeeping { wait, .. }
            | State::Canceling { wait, .. } => Some(wait.deadline_ms()),
            State::Transaction(transaction) => Some(transaction.wait.deadline_ms()),
        };
        let owed = self.owed.as_ref().map(Owed::by_ms);
        [state, self.gap_deadline_ms(), owed]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether a transaction runs or is being canceled: the reader is taken.
    pub fn is_busy(&self) -> bool {
        self.owed.is_some() || matches!(self.state, State::Transaction(_) | State::Canceling { .. })
    }

    fn gap_deadline_ms(&self) -> Option<u64> {
        let is_open = !matches!(self.state, State::Closed);
        (is_open && self.decoder.is_partial())
            .then(|| self.heard_ms.saturating_add(self.config.byte_gap_ms))
    }

    fn close(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        if matches!(self.state, State::Closed) {
            return;
        }
        self.lose_transaction(now_ms, ReaderFault::PortClosed, out);
        self.state = State::Closed;
        self.decoder.reset();
        self.not_ready(NotReadyReason::PortClosed, out);
    }

    fn hear(&mut self, now_ms: u64, bytes: &[u8], out: &mut Vec<Output>) {
        if bytes.is_empty() || matches!(self.state, State::Closed) {
            return;
        }
        self.heard_ms = now_ms;
        match &mut self.state {
            State::Setup { wait, .. }
            | State::Housekeeping { wait, .. }
            | State::Canceling { wait, .. } => wait.first_byte_by_ms = None,
            State::Transaction(transaction) => transaction.wait.first_byte_by_ms = None,
            State::Closed | State::Unready { .. } | State::Ready => {}
        }
        for response in self.decoder.decode(bytes) {
            self.answer(now_ms, response, out);
        }
    }

    fn expire_gap(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        if self.gap_deadline_ms().is_none_or(|due_ms| due_ms > now_ms) {
            return;
        }
        for response in self.decoder.abandon_partial() {
            self.answer(now_ms, response, out);
        }
    }

    /// A response belongs to the outstanding command when its group is the same; all others are
    /// events, or late answers to a command that was given up.
    fn answer(&mut self, now_ms: u64, response: Response, out: &mut Vec<Output>) {
        if response.cmd() == command::BOOT_NOTIFICATION {
            self.restart(now_ms, ReaderFault::Restarted, out);
            return;
        }
        if response.cmd() == command::PROMPT {
            self.prompted(&response, out);
            return;
        }
        match &self.state {
            State::Setup { step, .. } if step.group() == response.cmd() => {
                self.setup_answered(now_ms, &response, out);
            }
            State::Housekeeping { outstanding, .. } if *outstanding == response.cmd() => {
                self.keep_house(now_ms, out);
            }
            State::Canceling { .. } if response.cmd() == command::CANCEL => {
                out.push(Output::Event(Event::Ended(EndReason::Canceled)));
                self.show(now_ms, Message::NoCard, Beep::None, out);
            }
            State::Transaction(_) => self.transaction_answered(now_ms, response, out),
            _ => {}
        }
    }

    fn expire(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        self.expire_owed(now_ms, out);
        let is_due = |wait: &Wait| wait.deadline_ms() <= now_ms;
        match &self.state {
            State::Unready { retry_at_ms } if *retry_at_ms <= now_ms => {
                self.begin_setup(now_ms, out);
            }
            State::Setup { wait, .. } if is_due(wait) => self.setup_unanswered(now_ms, out),
            State::Housekeeping { wait, .. } if is_due(wait) => {
                self.restart(now_ms, ReaderFault::NoAnswer, out);
            }
            State::Transaction(transaction) if is_due(&transaction.wait) => {
                self.transaction_due(now_ms, out);
            }
            State::Canceling { sendings, wait } if is_due(wait) => {
                let sendings = *sendings;
                if sendings < SENDINGS_MAX {
                    self.send_cancel(now_ms, sendings + 1, out);
                } else {
                    // Nothing was given to the engine, so the cancel stands; the reader is
                    // looked after separately.
                    out.push(Output::Event(Event::Ended(EndReason::Canceled)));
                    self.state = State::Ready;
                    self.restart(now_ms, ReaderFault::NoAnswer, out);
                }
            }
            _ => {}
        }
    }

    /// Ends what runs and sets the reader up again.
    fn restart(&mut self, now_ms: u64, fault: ReaderFault, out: &mut Vec<Output>) {
        self.lose_transaction(now_ms, fault, out);
        if matches!(self.state, State::Closed) {
            return;
        }
        if !matches!(self.state, State::Setup { .. } | State::Unready { .. }) {
            self.not_ready(NotReadyReason::Restarting, out);
        }
        self.begin_setup(now_ms, out);
    }

    /// What runs ends, unless the reader may still know how.
    fn lose_transaction(&mut self, now_ms: u64, fault: ReaderFault, out: &mut Vec<Output>) {
        if !self.hold_for_last_result(now_ms, fault, out) {
            self.end_if_busy(EndReason::ReaderFault(fault), out);
        }
    }

    /// Says so at once, or when the chip's last word has been found or given up.
    fn not_ready(&mut self, reason: NotReadyReason, out: &mut Vec<Output>) {
        match &mut self.owed {
            Some(owed) => owed.unsaid = Some(reason),
            None => out.push(Output::Event(Event::NotReady { reason })),
        }
    }

    fn end_if_busy(&mut self, reason: EndReason, out: &mut Vec<Output>) {
        let reason = match &self.state {
            State::Transaction(_) => reason,
            State::Housekeeping { start: Some(_), .. } => reason,
            State::Canceling { .. } => EndReason::Canceled,
            _ => return,
        };
        out.push(Output::Event(Event::Ended(reason)));
    }

    fn immediate_wait(&self, now_ms: u64) -> Wait {
        let until_ms = now_ms.saturating_add(self.config.first_byte_ms);
        Wait {
            // An immediate answer is short: what has begun in time is done one gap later.
            until_ms: until_ms.saturating_add(self.config.byte_gap_ms),
            first_byte_by_ms: Some(until_ms),
        }
    }
}

#[cfg(test)]
mod tests;
