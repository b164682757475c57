//! What an agent tells the engine.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{AttemptId, FaultId, PosTransactionId, PrintJobId, RequestId, TransactionId};
use crate::money::Money;
use crate::receipt::Copy;

use super::PosKind;
use super::configuration::ConfigurationReport;
use super::facts::TillFacts;

/// A message to the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToEngine {
    /// The till is free and takes the offer.
    Accept {
        /// The POS transaction.
        pos_id: PosTransactionId,
    },
    /// The till does not take the offer, or a go came too late.
    Reject {
        /// The POS transaction.
        pos_id: PosTransactionId,
        /// Why.
        reason: RejectReason,
    },
    /// The payer has chosen a tip, or the prompt has run out of time.
    TipChosen {
        /// The POS transaction.
        pos_id: PosTransactionId,
        /// The choice.
        choice: TipChoice,
    },
    /// A card was read.
    Card(CardReport),
    /// An attempt ended before card data was sent, or the tip prompt was left.
    AttemptEnded {
        /// The POS transaction.
        pos_id: PosTransactionId,
        /// The attempt; absent while the tip is being selected.
        attempt_id: Option<AttemptId>,
        /// How.
        end: AttemptEnd,
    },
    /// The card side is complete and in the journal.
    Completed(Completion),
    /// A print job moved.
    Print(PrintReport),
    /// Something was asked for at the till.
    Request {
        /// The till's name for it; repeated unchanged until answered.
        request_id: RequestId,
        /// What.
        request: TillRequest,
    },
    /// Health of the till, on every change and with the hello.
    Status(TillStatus),
    /// Answered by `Pong`.
    Ping,
    /// Answers `Ping`.
    Pong,
    /// A command for the devices' simulator was carried out, or was not.
    Simulated {
        /// The fault that asked for it.
        fault_id: FaultId,
        /// Why it was not.
        refusal: Option<String>,
    },
    /// Answers `ReportStatus`. Since version 2.
    StatusReported(Box<StatusReport>),
}

impl ToEngine {
    /// The protocol version that the message came with: it goes to no engine that speaks an older
    /// one.
    pub const fn since(&self) -> u16 {
        match self {
            Self::Accept { .. }
            | Self::Reject { .. }
            | Self::TipChosen { .. }
            | Self::Card(_)
            | Self::AttemptEnded { .. }
            | Self::Completed(_)
            | Self::Print(_)
            | Self::Request { .. }
            | Self::Status(_)
            | Self::Ping
            | Self::Pong
            | Self::Simulated { .. } => 1,
            Self::StatusReported(_) => 2,
        }
    }
}

/// Why an offer is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// Another transaction is running.
    Busy,
    /// The reader is absent, not initialized or does not encrypt.
    ReaderNotReady,
    /// The go came after the window.
    TooLate,
    /// The journal cannot be written.
    JournalFault,
}

/// A tip, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TipChoice {
    /// So much.
    Amount(Money),
    /// None, by choice.
    None,
    /// The prompt ran out of time: no tip.
    TimedOut,
}

/// Encrypted card data of one attempt.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardReport {
    /// The POS transaction.
    pub pos_id: PosTransactionId,
    /// The attempt.
    pub attempt_id: AttemptId,
    /// The amount that the reader was given.
    pub amount: Money,
    /// The reader's answer as it came: attribution byte and TLVs, card data encrypted in them.
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
    /// Whether the chip waits for the acquirer's answer.
    pub chip_waits: bool,
}

impl fmt::Debug for CardReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CardReport")
            .field("pos_id", &self.pos_id)
            .field("attempt_id", &self.attempt_id)
            .field("amount", &self.amount)
            .field("data_bytes", &self.data.len())
            .field("chip_waits", &self.chip_waits)
            .finish()
    }
}

/// How an attempt ended without card data, or without the chip's word. A closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptEnd {
    /// Nobody presented a card in time.
    CustomerTimeout,
    /// The cashier stopped it at the till.
    CashierCanceled,
    /// The engine's `Stop` was carried out.
    Stopped,
    /// The card was taken away too early.
    CardRemoved,
    /// The card cannot be used: unreadable, blocked, expired, unsupported.
    CardUnusable,
    /// The reader is gone or does not answer.
    ReaderFault,
    /// The reader approved by itself; that is never taken as payment.
    OfflineNotAllowed,
    /// The agent restarted while the reader was waiting for a card.
    AgentRestarted,
    /// The link broke while the reader was waiting for a card, and everything in flight with it.
    LinkLost,
}

/// How the card side of an attempt ended.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// The POS transaction.
    pub pos_id: PosTransactionId,
    /// The attempt.
    pub attempt_id: AttemptId,
    /// What the chip said.
    pub chip: ChipOutcome,
    /// The reader's final TLVs (cryptogram, results); empty when the chip had no more to say.
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
    /// Why the chip's word is missing, with [`ChipOutcome::Aborted`]; older agents do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<AttemptEnd>,
}

impl fmt::Debug for Completion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Completion")
            .field("pos_id", &self.pos_id)
            .field("attempt_id", &self.attempt_id)
            .field("chip", &self.chip)
            .field("data_bytes", &self.data.len())
            .field("cause", &self.cause)
            .finish()
    }
}

/// What the card said to the acquirer's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChipOutcome {
    /// The chip agrees, or was not asked because the card has left (contactless).
    Agreed,
    /// The chip refuses, or was told a decline.
    Refused,
    /// The chip's word is missing: pulled card, reader fault, cancel, restart. The completion
    /// names the cause.
    Aborted,
}

/// State of a print job at the till.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrintReport {
    /// The job.
    pub job_id: PrintJobId,
    /// Where it stands.
    pub state: PrintState,
}

/// Where a print job stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrintState {
    /// Waits for the printer; the reason is empty or why it is held (`no_paper`, `cover_open` …).
    Queued {
        /// Why it is held.
        held_by: String,
    },
    /// Bytes are on their way.
    Printing,
    /// The printer has confirmed the end of the job.
    Printed,
    /// It will not be printed.
    Failed {
        /// Why.
        reason: String,
    },
    /// Nobody can say whether paper came out: the till lost power in the middle.
    Unknown,
}

impl PrintState {
    /// Whether the till is done with the job.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Printed | Self::Failed { .. } | Self::Unknown)
    }
}

/// Something asked for at the till. Subject to the same scopes and permissions as the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TillRequest {
    /// Starts a POS transaction on this terminal.
    Start(TillStart),
    /// Cancels a POS transaction of this terminal.
    Cancel {
        /// It.
        pos_id: PosTransactionId,
        /// Whether an approval that won the race is undone.
        void_if_too_late: bool,
    },
    /// Prints a receipt of a POS transaction on this terminal.
    Print {
        /// The POS transaction.
        pos_id: PosTransactionId,
        /// Which copy.
        copy: Copy,
    },
    /// Changes the tip of a transaction made on this merchant's terminals.
    TipAdjust {
        /// The POS transaction.
        pos_id: PosTransactionId,
        /// The new tip, replacing the old one.
        tip: Money,
    },
    /// Undoes an approved transaction before settlement.
    Void {
        /// The transaction.
        transaction_id: TransactionId,
    },
}

/// A sale begun by the cashier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TillStart {
    /// Sale or authorization.
    pub kind: PosKind,
    /// The amount without tip.
    pub amount: Money,
    /// The shop's own reference.
    pub reference: Option<String>,
    /// Whether the payer is asked for a tip before the card is read.
    pub tip_prompt: bool,
}

/// Health of a till.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TillStatus {
    /// The reader.
    pub reader: ReaderState,
    /// Serial number of the reader.
    pub reader_serial: String,
    /// Firmware of the reader.
    pub reader_firmware: String,
    /// Whether the printer answers.
    pub printer_online: bool,
    /// Paper.
    pub paper: PaperState,
    /// Whether the printer's cover is open.
    pub cover_open: bool,
    /// Code of what keeps the printer from printing, as in `printer::Trouble`; empty when nothing
    /// does, or from an older agent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub printer_trouble: String,
    /// Whether the drawer is open, where the printer sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drawer_open: Option<bool>,
    /// Version of the agent's program.
    pub agent_version: String,
    /// The POS transaction that is running, if one is.
    pub current: Option<PosTransactionId>,
    /// The machine; older agents do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Box<TillFacts>>,
    /// The configuration in force; absent when the till was never told one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<ConfigurationReport>,
    /// What is not done yet.
    #[serde(default, skip_serializing_if = "TillBacklog::is_empty")]
    pub backlog: TillBacklog,
}

impl TillStatus {
    /// A till whose devices are well and whose agent has nothing to say of them: what one that
    /// differs is told by.
    pub fn healthy() -> Self {
        Self {
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
            backlog: TillBacklog::default(),
        }
    }

    /// Whether a person would care about the change from `self` to `now`. The backlog alone is no
    /// reason to say anything: each piece of it has messages of its own.
    pub fn is_news(&self, now: &Self) -> bool {
        let Self {
            reader,
            reader_serial,
            reader_firmware,
            printer_online,
            paper,
            cover_open,
            printer_trouble,
            drawer_open,
            agent_version,
            current,
            facts,
            configuration,
            backlog: _,
        } = self;
        *reader != now.reader
            || *reader_serial != now.reader_serial
            || *reader_firmware != now.reader_firmware
            || *printer_online != now.printer_online
            || *paper != now.paper
            || *cover_open != now.cover_open
            || *printer_trouble != now.printer_trouble
            || *drawer_open != now.drawer_open
            || *agent_version != now.agent_version
            || *current != now.current
            || *configuration != now.configuration
            || match (facts, &now.facts) {
                (None, None) => false,
                (Some(facts), Some(now)) => facts.is_news(now),
                _ => true,
            }
    }
}

/// What a till has not done yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TillBacklog {
    /// POS transactions that are not concluded.
    pub open: u32,
    /// Requests of the cashier without an answer.
    pub requests: u32,
    /// Print jobs that wait for the printer.
    pub prints: u32,
}

impl TillBacklog {
    /// Whether everything is done.
    pub const fn is_empty(&self) -> bool {
        self.open == 0 && self.requests == 0 && self.prints == 0
    }
}

/// The answer to `ReportStatus`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// The engine's number for what it asked.
    pub ask: u64,
    /// Whether a transaction holds the reader: then what is said of it is from before.
    pub is_reader_held: bool,
    /// Milliseconds since the reader was last heard; absent when it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader_age_ms: Option<u64>,
    /// The till.
    pub status: TillStatus,
}

/// State of the card reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReaderState {
    /// The port is not there, or the reader does not answer.
    Absent,
    /// It answers, and is being initialized.
    Starting,
    /// It can take a card.
    Ready,
    /// It must not be used: card data would not be encrypted.
    NotEncrypting,
}

/// Paper in the printer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaperState {
    /// Not known: no printer, or it has not answered.
    Unknown,
    /// Enough.
    Ok,
    /// Runs out soon.
    NearEnd,
    /// None.
    Out,
}
