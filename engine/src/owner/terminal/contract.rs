//! What a terminal's owner is told, and what it causes.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::id::{JournalId, PosTransactionId, PrintJobId};
use protocol::link::{
    Configuration, Digest, PosStatus, PrintReport, RefusedReason, ToAgent, ToEngine, Welcome,
};
use protocol::money::{Currency, Money};

use crate::domain::time::Timestamp;
use crate::owner::merchant::TerminalEvent;

/// A hello whose signature has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedHello {
    /// Number of the socket, given by the shell.
    pub socket: u64,
    /// The protocol version that the agent chose.
    pub version: u16,
    /// The journal of the installation.
    pub journal_id: JournalId,
    /// How often the agent has started on it.
    pub boot: u64,
    /// How often it has connected since.
    pub connection: u64,
    /// Open work there.
    pub open: Vec<Digest>,
    /// Print jobs that ended there.
    pub prints: Vec<PrintReport>,
    /// Whether its devices are simulated.
    pub has_simulator: bool,
}

/// What a terminal's owner is told.
#[derive(Debug, Clone)]
pub enum TerminalInput {
    /// An agent has proved who it is, on a new socket.
    Hello(Box<VerifiedHello>),
    /// The agent said something on a socket.
    Said {
        /// The socket.
        socket: u64,
        /// The message.
        message: Box<ToEngine>,
    },
    /// A socket has closed.
    Closed {
        /// The socket.
        socket: u64,
    },
    /// The merchant's owner has reconciled a hello.
    Welcome {
        /// Its socket; the verdict on an older hello changes nothing.
        socket: u64,
        /// What the till calls itself.
        label: String,
        /// What the merchant takes, the usual one first.
        currencies: Vec<Currency>,
        /// Print reports that are stored.
        prints_known: Vec<PrintJobId>,
    },
    /// The merchant's owner gives a hello no link.
    Refuse {
        /// Its socket, as above.
        socket: u64,
        /// Why.
        reason: RefusedReason,
    },
    /// The merchant's owner has a message for the agent.
    Send(Box<ToAgent>),
    /// What the till is to be like. Sent when it says that it is not.
    Configure(Arc<Configuration>),
    /// Somebody wants to know how the till is now. Answered by one `Told`, within
    /// [`FRESH_MS_MAX`](super::FRESH_MS_MAX).
    Ask {
        /// Named by the shell.
        asker: u64,
    },
    /// The merchant's owner was discarded, or the device key replaced: begin anew.
    Reset {
        /// Whether the identity was renewed by a technician.
        is_renewed: bool,
    },
    /// A fault that was asked for in test mode: the link is to be lost, and new ones refused.
    Cut {
        /// For how long, in milliseconds.
        refusal_ms: u64,
    },
    /// The instant of [`TerminalOwner::poll_deadline`](super::TerminalOwner::poll_deadline) has come.
    Deadline,
}

/// What a terminal's owner causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminalOutput {
    /// Answer the hello.
    Welcome {
        /// The socket.
        socket: u64,
        /// The answer.
        welcome: Welcome,
    },
    /// Refuse the hello and close.
    Refuse {
        /// The socket.
        socket: u64,
        /// Why.
        reason: RefusedReason,
    },
    /// Send a message.
    Send {
        /// The socket.
        socket: u64,
        /// The message.
        message: Box<ToAgent>,
    },
    /// Close a socket.
    Close {
        /// The socket.
        socket: u64,
    },
    /// Tell the merchant's owner.
    Merchant(Box<TerminalEvent>),
    /// The live status has changed.
    Status,
    /// Answers `Ask`: the live status is as fresh as this says.
    Told {
        /// Who asked.
        askers: BTreeSet<u64>,
        /// Whether it is fresh.
        freshness: Freshness,
    },
}

/// Whether a status is of now, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Freshness {
    /// The till has just said it.
    Fresh,
    /// The till has just said it, but for the reader: a transaction holds that, and nobody speaks to
    /// it meanwhile.
    ReaderHeld,
    /// The terminal has no link.
    Offline,
    /// The agent is too old to be asked.
    NotSupported,
    /// The till has not answered in time.
    TimedOut,
}

impl Freshness {
    /// The stable code of why it is not fresh.
    pub const fn code(self) -> Option<&'static str> {
        match self {
            Self::Fresh => None,
            Self::ReaderHeld => Some("busy"),
            Self::Offline => Some("offline"),
            Self::NotSupported => Some("not_supported"),
            Self::TimedOut => Some("timed_out"),
        }
    }
}

/// How the last POS transaction on a terminal ended, as it was told so since the engine started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastConcluded {
    /// The POS transaction.
    pub pos_id: PosTransactionId,
    /// How.
    pub status: PosStatus,
    /// The amount that stands.
    pub amount: Money,
    /// When it was told.
    pub at: Timestamp,
}
