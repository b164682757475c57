//! What the agent machine says to the reader and the printer, and hears from them.
//!
//! Its own words: `translate` puts them into those of the two device machines, so that the rules
//! of payment do not change when a device is replaced.

use std::fmt;

use protocol::id::PrintJobId;
use protocol::link::{Advice, AttemptEnd, PaperState, PrintState, ReaderState};
use protocol::money::Money;
use protocol::printer::Trouble;
use protocol::receipt::Receipt;

/// Asks the reader for something.
#[derive(Clone, PartialEq, Eq)]
pub enum ReaderRequest {
    /// Reads one card.
    Start {
        /// What the card signs.
        amount: Money,
        /// How long a card may be waited for.
        timeout_ms: u64,
        /// What the payer has to do differently, for the reader's own display.
        advice: Option<Advice>,
    },
    /// Tells a waiting chip what the acquirer said.
    HostAnswer {
        /// Whether the acquirer approved.
        approved: bool,
        /// Authorization response code, EMV tag 8A.
        arc: [u8; 2],
        /// Tags 91, 71, 72 for the chip.
        issuer_data: Vec<u8>,
    },
    /// Tells a waiting chip that there is no usable answer.
    HostUnreachable,
    /// Ends whatever is going on.
    Cancel,
}

impl fmt::Debug for ReaderRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start {
                amount,
                timeout_ms,
                advice,
            } => write!(formatter, "Start({amount}, {timeout_ms}, {advice:?})"),
            Self::HostAnswer { approved, .. } => write!(formatter, "HostAnswer({approved})"),
            Self::HostUnreachable => formatter.write_str("HostUnreachable"),
            Self::Cancel => formatter.write_str("Cancel"),
        }
    }
}

/// What the reader reports.
#[derive(Clone, PartialEq, Eq)]
pub enum ReaderEvent {
    /// It can take a card, if it encrypts.
    Ready {
        /// Serial number.
        serial: String,
        /// Firmware.
        firmware: String,
        /// Whether card data will be encrypted.
        is_encrypting: bool,
    },
    /// It cannot take a card.
    NotReady {
        /// Why: anything but `Ready`.
        state: ReaderState,
    },
    /// Something to show while it reads.
    Progress(String),
    /// A card was read.
    CardData {
        /// Attribution byte and TLVs, card data encrypted in them.
        data: Vec<u8>,
        /// Whether the chip waits for `HostAnswer` or `HostUnreachable`.
        needs_host_answer: bool,
    },
    /// The chip's last word after a host answer.
    ChipFinal {
        /// Whether the chip agrees.
        is_approved: bool,
        /// Final TLVs.
        data: Vec<u8>,
    },
    /// It ended otherwise.
    Ended(AttemptEnd),
}

impl fmt::Debug for ReaderEvent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { .. } => formatter.write_str("Ready"),
            Self::NotReady { state } => write!(formatter, "NotReady({state:?})"),
            Self::Progress(progress) => write!(formatter, "Progress({progress})"),
            Self::CardData { data, .. } => write!(formatter, "CardData({} bytes)", data.len()),
            Self::ChipFinal { is_approved, data } => {
                write!(formatter, "ChipFinal({is_approved}, {} bytes)", data.len())
            }
            Self::Ended(end) => write!(formatter, "Ended({end:?})"),
        }
    }
}

/// Asks the printer for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrinterJob {
    /// The job.
    pub job_id: PrintJobId,
    /// What to print.
    pub receipt: Receipt,
    /// Whether the drawer opens first.
    pub open_drawer: bool,
}

/// What the printer reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrinterEvent {
    /// A job moved.
    Report {
        /// The job.
        job_id: PrintJobId,
        /// Where it stands.
        state: PrintState,
    },
    /// It is ready for a job, and takes it once its beginning is on record.
    Ready {
        /// The job.
        job_id: PrintJobId,
    },
    /// Its health changed.
    Health(PrinterHealth),
}

/// Health of the printer as the till's status carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrinterHealth {
    /// Whether its port is open.
    pub is_connected: bool,
    /// Whether it answers and has no error.
    pub is_online: bool,
    /// Paper.
    pub paper: PaperState,
    /// Whether the cover is open.
    pub is_cover_open: bool,
    /// What keeps it from printing, as far as it has said.
    pub trouble: Option<Trouble>,
    /// Whether the drawer is open, where the printer sees it.
    pub is_drawer_open: Option<bool>,
}

impl PrinterHealth {
    /// Before the printer has said anything.
    pub const UNKNOWN: Self = Self {
        is_connected: false,
        is_online: false,
        paper: PaperState::Unknown,
        is_cover_open: false,
        trouble: None,
        is_drawer_open: None,
    };

    /// Why a job has to wait here. Everything but an absent printer is the printer machine's to
    /// wait for: it alone can ask the printer whether a person has helped.
    pub const fn held_by(&self) -> Option<&'static str> {
        if self.is_connected {
            None
        } else {
            Some(Trouble::Absent.code())
        }
    }
}
