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
//! When the answer to 60-12 does not come, the outcome is not asked for afterwards (60-13): which
//! transaction such a late result belongs to is not documented, and the engine reverses.
//!
//! # Layout
//! * `setup`: the initialisation sequence.
//! * `transaction`: one presentation of a card, with retries, up to its end.
//! * `verdict`: what a response means; no state.

mod setup;
mod transaction;
mod verdict;

use std::collections::VecDeque;
use std::fmt;

use protocol::money::Money;
use protocol::reader::command::{self, Interfaces};
use protocol::reader::frame::{Command, Response, ResponseDecoder};

use setup::Step;
use transaction::Transaction;

/// Times and codes of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderConversationConfig {
    /// How long to wait for the first byte of an answer.
    pub first_byte_ms: u64,
    /// A longer gap within a frame means that its rest is lost.
    pub byte_gap_ms: u64,
    /// Added to a transaction timeout that was given to the reader.
    pub transaction_grace_ms: u64,
    /// How long the chip may take for one step, in seconds.
    pub chip_step_s: u16,
    /// How long the reader keeps the chip powered between commands, in seconds.
    pub next_command_s: u16,
    /// How long to wait for the issuer's answer before the chip is told that there is none.
    /// Must be shorter than `next_command_s`.
    pub host_wait_ms: u64,
    /// Pause before the card is asked for again.
    pub retry_pause_ms: u64,
    /// How often the card is asked for again within one transaction.
    pub retries_max: u8,
    /// Pause before a reader that is not ready is tried again.
    pub unready_pause_ms: u64,
    /// Response codes that the reader's kernel knows as approval (tag DFEE1B); the first one
    /// stands for all that are not listed.
    pub approval_codes: Vec<[u8; 2]>,
    /// Response codes that the reader's kernel knows as decline, likewise.
    pub decline_codes: Vec<[u8; 2]>,
}

impl ReaderConversationConfig {
    /// Timers recommended in card-reader.md §1, and the response codes of the vendor's example.
    pub fn standard() -> Self {
        Self {
            first_byte_ms: 2_000,
            byte_gap_ms: 250,
            transaction_grace_ms: 10_000,
            chip_step_s: 60,
            next_command_s: 96,
            host_wait_ms: 90_000,
            retry_pause_ms: 1_000,
            retries_max: 8,
            unready_pause_ms: 5_000,
            approval_codes: vec![*b"00"],
            decline_codes: vec![*b"05"],
        }
    }
}

/// A card presentation that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// What the card is asked for.
    pub amount: Money,
    /// How long the customer has to present a card, retries included.
    pub timeout_ms: u64,
    /// Where a card may be presented.
    pub interfaces: Interfaces,
}

/// What the agent wants of the reader.
#[derive(Clone, PartialEq, Eq)]
pub enum Request {
    /// Read a card.
    Start(Start),
    /// The issuer has answered. Without a waiting chip the answer is only shown on the reader.
    HostAnswer {
        /// Whether the engine says that the payment stands.
        approved: bool,
        /// The issuer's response code.
        response_code: [u8; 2],
        /// Tags 91, 71 and 72 exactly as the issuer sent them.
        issuer_data: Vec<u8>,
    },
    /// The issuer cannot be asked or did not answer.
    HostUnreachable,
    /// End the transaction. Without effect once the issuer's answer has gone to the chip.
    Cancel,
}

impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(start) => write!(formatter, "{start:?}"),
            Self::HostAnswer { approved, .. } => write!(formatter, "HostAnswer({approved})"),
            Self::HostUnreachable => formatter.write_str("HostUnreachable"),
            Self::Cancel => formatter.write_str("Cancel"),
        }
    }
}

/// Something that happens to the conversation.
#[derive(Clone, PartialEq, Eq)]
pub enum Input<'a> {
    /// The port is open.
    PortOpened,
    /// The port is gone.
    PortClosed,
    /// Bytes from the reader, cut anywhere.
    Bytes(&'a [u8]),
    /// The agent wants something.
    Request(Request),
    /// Time has passed; see [`ReaderConversation::poll_deadline`].
    Deadline,
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortOpened => formatter.write_str("PortOpened"),
            Self::PortClosed => formatter.write_str("PortClosed"),
            Self::Bytes(bytes) => write!(formatter, "Bytes({})", bytes.len()),
            Self::Request(request) => write!(formatter, "{request:?}"),
            Self::Deadline => formatter.write_str("Deadline"),
        }
    }
}

/// What the conversation does.
#[derive(Clone, PartialEq, Eq)]
pub enum Output {
    /// Bytes to the reader.
    Write(Vec<u8>),
    /// News for the agent.
    Event(Event),
}

impl fmt::Debug for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(bytes) => write!(formatter, "Write({} bytes)", bytes.len()),
            Self::Event(event) => write!(formatter, "{event:?}"),
        }
    }
}

/// How the card met the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Tapped.
    Contactless,
    /// Inserted.
    Contact,
    /// Swiped.
    Swipe,
}

/// What the till can show while a transaction runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The reader waits for a card on every allowed interface.
    PresentCard,
    /// A card is being read.
    CardDetected,
    /// The card has to be inserted (or swiped, when it has no chip).
    InsertOrSwipe,
    /// More than one card was held to the reader.
    OneCardOnly,
    /// The card could not be read; the same card may be presented again.
    TryAgain,
    /// The chip card may be taken out.
    RemoveCard,
}

/// Why the reader cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReadyReason {
    /// The port is closed.
    PortClosed,
    /// The reader does not answer.
    NoAnswer,
    /// The reader does not encrypt card data: it must not be used.
    EncryptionOff,
    /// The reader refused to be set up.
    SetupRefused,
    /// The reader is being set up again after a restart or a fault.
    Restarting,
}

/// What is wrong with the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReaderFault {
    /// No answer, or none that could be read.
    NoAnswer,
    /// It lost power or restarted.
    Restarted,
    /// The port closed.
    PortClosed,
    /// It refused a command.
    Refused {
        /// The status byte.
        status: u8,
    },
    /// Its answer makes no sense.
    BadAnswer,
    /// It gave card data that is not encrypted. The data was dropped.
    NotEncrypted,
}

/// Why a transaction ended without card data or without the chip's last word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Nobody presented a card in time.
    Timeout,
    /// Canceled.
    Canceled,
    /// The card was taken away too early. After the issuer approved this means: reverse.
    CardRemoved,
    /// The card could not be read, or is of no supported kind.
    CardError,
    /// The card is blocked.
    CardBlocked,
    /// The card has expired.
    CardExpired,
    /// The card declined without the issuer.
    CardDeclined,
    /// More than one card, again and again.
    TwoCards,
    /// Card or reader approved without the issuer, which is never payment.
    OfflineNotAllowed,
    /// The amount does not fit into the reader's format.
    AmountRefused,
    /// The reader was not ready.
    NotReady,
    /// The reader failed.
    ReaderFault(ReaderFault),
}

/// News for the agent.
#[derive(Clone, PartialEq, Eq)]
pub enum Event {
    /// The reader can be used.
    Ready {
        /// Serial number; empty when the reader has none.
        serial: String,
        /// Firmware version.
        firmware: String,
        /// Whether card data is encrypted; always so, or the reader would not be ready.
        encryption_on: bool,
    },
    /// The reader cannot be used.
    NotReady {
        /// Why.
        reason: NotReadyReason,
    },
    /// Something for the till's display.
    Progress(Progress),
    /// A card was read; the engine has to be asked.
    CardData {
        /// Attribution byte and TLVs, as the reader sent them.
        response_data: Vec<u8>,
        /// How the card met the reader.
        entry: Entry,
        /// Whether the chip waits for [`Request::HostAnswer`] or [`Request::HostUnreachable`].
        /// Otherwise the reader's part is over.
        needs_host_answer: bool,
    },
    /// The chip's last word.
    ChipFinal {
        /// The issuer approved and the chip agrees.
        approved: bool,
        /// Attribution byte and TLVs, as the reader sent them.
        data: Vec<u8>,
    },
    /// The transaction ended.
    Ended(EndReason),
    /// A start was refused because a transaction runs; that one goes on.
    Busy,
}

impl fmt::Debug for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { serial, .. } => write!(formatter, "Ready({serial})"),
            Self::NotReady { reason } => write!(formatter, "NotReady({reason:?})"),
            Self::Progress(progress) => write!(formatter, "Progress({progress:?})"),
            Self::CardData { entry, .. } => write!(formatter, "CardData({entry:?})"),
            Self::ChipFinal { approved, .. } => write!(formatter, "ChipFinal({approved})"),
            Self::Ended(reason) => write!(formatter, "Ended({reason:?})"),
            Self::Busy => formatter.write_str("Busy"),
        }
    }
}

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

/// How many reads are remembered: more than there are in the seconds that a line holds bytes back.
const READS_KEPT: usize = 8;

/// Card data that was given out last, encrypted; the latest at the end.
#[derive(Default)]
struct LastReads(VecDeque<Vec<u8>>);

impl LastReads {
    fn contains(&self, data: &[u8]) -> bool {
        self.0.iter().any(|read| read == data)
    }

    fn push(&mut self, data: &[u8]) {
        if self.0.len() == READS_KEPT {
            self.0.pop_front();
        }
        self.0.push_back(data.to_vec());
    }
}

impl fmt::Debug for LastReads {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "LastReads({})", self.0.len())
    }
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
            serial: String::new(),
            firmware: String::new(),
        }
    }

    /// Takes one input in; what follows from it is added to `out`.
    pub fn handle(&mut self, now_ms: u64, input: Input<'_>, out: &mut Vec<Output>) {
        match input {
            Input::PortOpened => {
                self.decoder.reset();
                self.begin_setup(now_ms, out);
            }
            Input::PortClosed => self.close(out),
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
        [state, self.gap_deadline_ms()].into_iter().flatten().min()
    }

    /// Whether a transaction runs or is being canceled: the reader is taken.
    pub fn is_busy(&self) -> bool {
        matches!(self.state, State::Transaction(_) | State::Canceling { .. })
    }

    fn gap_deadline_ms(&self) -> Option<u64> {
        let is_open = !matches!(self.state, State::Closed);
        (is_open && self.decoder.is_partial())
            .then(|| self.heard_ms.saturating_add(self.config.byte_gap_ms))
    }

    fn close(&mut self, out: &mut Vec<Output>) {
        if matches!(self.state, State::Closed) {
            return;
        }
        self.end_if_busy(EndReason::ReaderFault(ReaderFault::PortClosed), out);
        self.state = State::Closed;
        self.decoder.reset();
        not_ready(NotReadyReason::PortClosed, out);
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
        match &self.state {
            State::Setup { step, .. } if step.group() == response.cmd() => {
                self.setup_answered(now_ms, &response, out);
            }
            State::Housekeeping { outstanding, .. } if *outstanding == response.cmd() => {
                self.keep_house(now_ms, out);
            }
            State::Canceling { .. } if response.cmd() == command::CANCEL => {
                self.state = State::Ready;
                out.push(Output::Event(Event::Ended(EndReason::Canceled)));
            }
            State::Transaction(_) => self.transaction_answered(now_ms, response, out),
            _ => {}
        }
    }

    fn request(&mut self, now_ms: u64, request: Request, out: &mut Vec<Output>) {
        match request {
            Request::Start(start) => self.start_requested(now_ms, start, out),
            Request::Cancel => self.cancel_requested(now_ms, out),
            Request::HostUnreachable => self.host_answered(now_ms, None, out),
            Request::HostAnswer {
                approved,
                response_code,
                issuer_data,
            } => {
                let answer = transaction::HostAnswer {
                    approved,
                    response_code,
                    issuer_data,
                };
                self.host_answered(now_ms, Some(answer), out);
            }
        }
    }

    fn start_requested(&mut self, now_ms: u64, requested: Start, out: &mut Vec<Output>) {
        match &mut self.state {
            State::Ready => self.begin_transaction(now_ms, requested, out),
            State::Housekeeping { start, .. } if start.is_none() => *start = Some(requested),
            State::Closed | State::Setup { .. } | State::Unready { .. } => {
                out.push(Output::Event(Event::Ended(EndReason::NotReady)));
            }
            State::Housekeeping { .. } | State::Transaction(_) | State::Canceling { .. } => {
                out.push(Output::Event(Event::Busy));
            }
        }
    }

    fn cancel_requested(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        match &mut self.state {
            State::Housekeeping { start, .. } if start.is_some() => {
                *start = None;
                out.push(Output::Event(Event::Ended(EndReason::Canceled)));
            }
            State::Transaction(transaction) if transaction.is_pausing() => {
                self.state = State::Ready;
                out.push(Output::Event(Event::Ended(EndReason::Canceled)));
            }
            State::Transaction(transaction) if !transaction.is_completing() => {
                self.send_cancel(now_ms, 1, out);
            }
            _ => {}
        }
    }

    fn send_cancel(&mut self, now_ms: u64, sendings: u8, out: &mut Vec<Output>) {
        let wait = self.immediate_wait(now_ms);
        self.state = State::Canceling { sendings, wait };
        out.push(Output::Write(command::cancel().encode()));
    }

    fn expire(&mut self, now_ms: u64, out: &mut Vec<Output>) {
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
        self.end_if_busy(EndReason::ReaderFault(fault), out);
        if matches!(self.state, State::Closed) {
            return;
        }
        if !matches!(self.state, State::Setup { .. } | State::Unready { .. }) {
            not_ready(NotReadyReason::Restarting, out);
        }
        self.begin_setup(now_ms, out);
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

    /// Sends the commands one by one, then goes back to ready.
    fn begin_housekeeping(
        &mut self,
        now_ms: u64,
        commands: impl IntoIterator<Item = Command>,
        out: &mut Vec<Output>,
    ) {
        self.state = State::Housekeeping {
            outstanding: 0,
            queue: commands.into_iter().collect(),
            wait: self.immediate_wait(now_ms),
            start: None,
        };
        self.keep_house(now_ms, out);
    }

    fn keep_house(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        let next_wait = self.immediate_wait(now_ms);
        let State::Housekeeping {
            outstanding,
            queue,
            wait,
            start,
        } = &mut self.state
        else {
            return;
        };
        if let Some(next) = queue.pop_front() {
            *outstanding = next.cmd();
            *wait = next_wait;
            out.push(Output::Write(next.encode()));
            return;
        }
        let start = start.take();
        self.state = State::Ready;
        if let Some(start) = start {
            self.begin_transaction(now_ms, start, out);
        }
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

fn not_ready(reason: NotReadyReason, out: &mut Vec<Output>) {
    out.push(Output::Event(Event::NotReady { reason }));
}

#[cfg(test)]
mod tests;
