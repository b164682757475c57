//! What goes into the agent machine and what comes out of it.

use std::fmt;

use protocol::id::{JournalId, PosTransactionId, PrintJobId, RequestId};
use protocol::link::{
    AnswerBody, Digest, PrintReport, PrintState, TillFacts, TillRequest, TillStatus, ToAgent,
    ToEngine,
};
use protocol::money::{Currency, Money};
use serde::{Deserialize, Serialize};

use super::device::{PrinterEvent, PrinterJob, ReaderEvent, ReaderRequest};
use super::recent::RecentSale;
use crate::machine::record::JournalEntry;
use crate::machine::screen::Screen;
use crate::machine::settings::TillSettings;

/// What the agent needs to know from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentConfig {
    /// Version of the program.
    pub agent_version: String,
    /// Whether a printer is configured; without one, print jobs fail at once.
    pub has_printer: bool,
    /// How long after the agent's own last word on a POS transaction the reader is still touched.
    pub go_window_ms: u64,
    /// How long after a cashier's start an offer for it is still taken.
    pub start_window_ms: u64,
}

impl AgentConfig {
    /// The values of the protocol.
    pub fn new(agent_version: impl Into<String>, has_printer: bool) -> Self {
        Self {
            agent_version: agent_version.into(),
            has_printer,
            go_window_ms: protocol::link::GO_WINDOW_MS,
            // Arbitrary, bounded: a cashier who asked a minute ago has given up.
            start_window_ms: 60_000,
        }
    }
}

/// Names one waiting caller of the control socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ControlId(pub u64);

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A socket to the engine is open and its challenge has come. Answered by `Output::Hello`.
    LinkConnecting {
        /// The protocol version that both sides speak.
        version: u16,
    },
    /// The engine has welcomed the hello.
    LinkUp(protocol::link::Welcome),
    /// The link is gone, and everything in flight on it.
    LinkDown,
    /// The engine says something.
    Message(Box<ToAgent>),
    /// The reader reports.
    Reader(ReaderEvent),
    /// The printer reports.
    Printer(PrinterEvent),
    /// The machine was looked at: every minute, and after `Output::LookAround`.
    Facts(Box<TillFacts>),
    /// Somebody at the till asks for something. Answered once by `Output::ControlAnswer`.
    Control(ControlId, ControlCommand),
    /// The caller is gone; its answer is not needed.
    ControlClosed(ControlId),
    /// The entries of the last `Output::Persist` are written, and synced if one needed it.
    Persisted,
    /// They are not, and never will be.
    PersistFailed,
    /// The time of `poll_deadline` has come.
    Deadline,
}

/// What is asked for at the till.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlCommand {
    /// Passes a request to the engine under this id. The same id again waits for the same answer.
    Request {
        /// Made by the shell; the till's idempotency key.
        request_id: RequestId,
        /// What.
        request: TillRequest,
    },
    /// Asks the engine to cancel whatever is running here.
    CancelCurrent {
        /// Made by the shell.
        request_id: RequestId,
        /// Whether an approval that won the race is undone.
        void_if_too_late: bool,
    },
    /// The cancel key of the till: stops the tip prompt or the reader here and now.
    CancelKey,
    /// The payer chose a tip.
    ChooseTip(TipKey),
    /// How the till is.
    Status,
    /// What ended here last.
    Recent,
    /// Prints a test page.
    PrintTest {
        /// Made by the shell.
        job_id: PrintJobId,
        /// Whether the drawer opens first.
        opens_drawer: bool,
    },
}

/// A key of the tip prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TipKey {
    /// One of the options, counted from 0.
    Option(usize),
    /// A typed amount.
    Amount(Money),
    /// No tip.
    None,
}

/// The answer to a control command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlReply {
    /// The engine has answered; a refusal of the engine is in the body.
    Answered {
        /// The request.
        request_id: RequestId,
        /// The answer.
        body: AnswerBody,
    },
    /// The key was taken.
    Done,
    /// The state of the till.
    Status(Box<AgentStatus>),
    /// What ended here since the agent started, newest first.
    Recent(Vec<RecentSale>),
    /// The test page has ended, or waits for a person.
    TestPrinted {
        /// The job.
        job_id: PrintJobId,
        /// Where it stands.
        state: PrintState,
    },
    /// The agent itself refuses; nothing was sent, unless the refusal says otherwise.
    Refused(ControlRefusal),
}

/// Why the agent answers by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ControlRefusal {
    /// The link is down.
    #[error("the engine cannot be reached; nothing was sent")]
    EngineUnreachable,
    /// Something is running here already.
    #[error("another transaction is running on this terminal")]
    TerminalBusy,
    /// There is nothing to cancel or to choose.
    #[error("nothing is running that this applies to")]
    NothingRunning,
    /// Not an amount that can be charged or tipped.
    #[error("the amount must be positive and in the currency of the sale")]
    InvalidAmount,
    /// The tip prompt has no such key.
    #[error("the tip prompt does not offer this")]
    InvalidTip,
    /// The request id was used for something else.
    #[error("this request id was used for a different request")]
    RequestConflict,
    /// Too many requests without an answer.
    #[error("too many requests are waiting for the engine")]
    TooManyRequests,
    /// There is nothing to print on.
    #[error("this till has no printer in its configuration")]
    NoPrinter,
    /// The printer's port is not open.
    #[error("the printer's port is not open; `terminal-agent doctor` says why")]
    PrinterAbsent,
    /// A receipt is being printed or waits for the printer.
    #[error("a receipt is being printed or waits for the printer; nothing was printed")]
    PrinterBusy,
    /// The journal cannot be written; nothing was sent.
    #[error("the journal cannot be written; the till is out of order")]
    JournalFault,
    /// The request was sent, and the till went out of order before the answer came.
    #[error("the till went out of order before the engine had answered")]
    OutcomeUnknown,
}

impl ControlRefusal {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::EngineUnreachable => "ENGINE_UNREACHABLE",
            Self::TerminalBusy => "TERMINAL_BUSY",
            Self::NothingRunning => "NOTHING_RUNNING",
            Self::InvalidAmount => "INVALID_AMOUNT",
            Self::InvalidTip => "INVALID_TIP",
            Self::RequestConflict => "REQUEST_CONFLICT",
            Self::TooManyRequests => "TOO_MANY_REQUESTS",
            Self::NoPrinter => "NO_PRINTER",
            Self::PrinterAbsent => "PRINTER_ABSENT",
            Self::PrinterBusy => "PRINTER_BUSY",
            Self::JournalFault => "JOURNAL_FAULT",
            Self::OutcomeUnknown => "OUTCOME_UNKNOWN",
        }
    }
}

/// The state of the till for the people at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentStatus {
    /// Whether the link to the engine is up.
    pub is_online: bool,
    /// What the till calls itself, once the engine has said it.
    pub label: String,
    /// Currencies that the merchant takes, the usual one first; empty until an engine has said them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub currencies: Vec<Currency>,
    /// The journal.
    pub journal_id: Option<JournalId>,
    /// How often the agent has started on it.
    pub boot: u64,
    /// Health, as the engine is told.
    pub till: TillStatus,
    /// Whether a printer is configured.
    pub has_printer: bool,
    /// POS transactions that are not concluded.
    pub open: Vec<PosTransactionId>,
    /// Requests without an answer.
    pub unanswered_requests: usize,
    /// Print jobs that wait for the printer.
    pub waiting_prints: Vec<PrintJobId>,
    /// The last screen.
    pub screen: Screen,
    /// What the merchant wants shown while nothing runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_text: Option<String>,
}

/// What the shell has to do, in this order.
#[derive(Clone, PartialEq, Eq)]
pub enum Output {
    /// Writes these entries and answers with one `Persisted` or `PersistFailed`. Synced when any
    /// of them [needs it](JournalEntry::needs_sync).
    Persist(Vec<JournalEntry>),
    /// Sends the hello with this content.
    Hello {
        /// Open work.
        open: Vec<Digest>,
        /// Ends of print jobs that the engine may not know.
        prints: Vec<PrintReport>,
    },
    /// Sends a message if the link is up; forgets it otherwise.
    Send(ToEngine),
    /// Passes to the reader.
    Reader(ReaderRequest),
    /// Passes to the printer.
    Printer(PrinterJob),
    /// Lets the printer begin a job: that it begins is on record.
    BeginPrint(PrintJobId),
    /// Shows.
    Show(Screen),
    /// Answers a control command.
    ControlAnswer(ControlId, ControlReply),
    /// Looks at the machine now and answers with `Input::Facts`. Touches no device.
    LookAround,
    /// Is like this from now on.
    Configured {
        /// The version of the configuration.
        version: u64,
        /// What it says.
        settings: TillSettings,
    },
    /// The journal cannot be written: drains what was sent and ends the process.
    JournalFault,
}

impl fmt::Debug for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Persist(entries) => formatter.debug_tuple("Persist").field(entries).finish(),
            Self::Hello { open, prints } => formatter
                .debug_struct("Hello")
                .field("open", open)
                .field("prints", prints)
                .finish(),
            Self::Send(message) => formatter.debug_tuple("Send").field(message).finish(),
            Self::Reader(request) => formatter.debug_tuple("Reader").field(request).finish(),
            Self::Printer(job) => formatter.debug_tuple("Printer").field(&job.job_id).finish(),
            Self::BeginPrint(job_id) => formatter.debug_tuple("BeginPrint").field(job_id).finish(),
            Self::Show(screen) => formatter.debug_tuple("Show").field(screen).finish(),
            Self::ControlAnswer(id, reply) => formatter
                .debug_tuple("ControlAnswer")
                .field(id)
                .field(reply)
                .finish(),
            Self::LookAround => formatter.write_str("LookAround"),
            Self::Configured { version, .. } => {
                formatter.debug_tuple("Configured").field(version).finish()
            }
            Self::JournalFault => formatter.write_str("JournalFault"),
        }
    }
}
