//! How a command ended, as its exit code says it.

use crate::journal::JournalError;
use crate::pair::PairError;
use crate::tls::TlsFault;

/// How a command ended, as its exit code says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok,
    /// Failed; no money moved.
    Failed,
    /// Wrong arguments or configuration.
    Usage,
    /// This till is not paired.
    NotPaired,
    /// The engine cannot be reached.
    EngineUnreachable,
    /// Reader or port.
    DeviceFault,
    /// Declined by the issuer or the card, or refused by the engine or the agent.
    Refused,
    /// Nobody here knows the outcome.
    OutcomeUnknown,
    /// The state directory is in use.
    AlreadyRunning,
    /// SIGINT.
    Interrupted,
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotPaired => 3,
            Self::EngineUnreachable => 4,
            Self::DeviceFault => 5,
            Self::Refused => 6,
            Self::OutcomeUnknown => 7,
            Self::AlreadyRunning => 8,
            Self::Interrupted => 130,
        }
    }
}

pub(super) const fn exit_of_pair(error: &PairError) -> Exit {
    match error {
        PairError::NotPaired => Exit::NotPaired,
        PairError::Unreachable { .. } => Exit::EngineUnreachable,
        PairError::PlainText(_) => Exit::Usage,
        PairError::Tls(
            TlsFault::Address(_) | TlsFault::NoAuthority(_) | TlsFault::NotPinned { .. },
        ) => Exit::Usage,
        PairError::Tls(_) => Exit::EngineUnreachable,
        PairError::Refused { .. } | PairError::AlreadyPaired { .. } | PairError::Denied => {
            Exit::Refused
        }
        PairError::NobodyApproved => Exit::Failed,
        PairError::Io { .. } | PairError::Damaged(_) | PairError::NoRandomness => Exit::Failed,
    }
}

pub(super) const fn exit_of_journal(error: &JournalError) -> Exit {
    match error {
        JournalError::InUse(_) => Exit::AlreadyRunning,
        JournalError::Io { .. } | JournalError::Frame(_) => Exit::Failed,
    }
}
