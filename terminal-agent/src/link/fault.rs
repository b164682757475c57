//! Why a connection ended, under codes that stay.

use protocol::link::RefusedReason;

use super::AddressError;
use crate::tls::TlsFault;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The address cannot be used.
    #[error("link address cannot be used")]
    Address(#[from] AddressError),
    /// No connection.
    #[error("failed to connect")]
    Connect(#[source] std::io::Error),
    /// The engine is not the one that this till trusts, or cannot be told to be.
    #[error("{0} ({code})", code = .0.code())]
    Tls(#[from] TlsFault),
    /// The WebSocket failed.
    #[error("link failed: {0}")]
    Socket(String),
    /// Something took too long.
    #[error("{0} took too long")]
    TimedOut(&'static str),
    /// The other side says what this protocol has no words for.
    #[error("the engine does not speak this protocol")]
    Protocol,
    /// The engine refuses this till.
    #[error("the engine refuses the link: {0:?}")]
    Refused(RefusedReason),
    /// The other side closed it.
    #[error("link closed")]
    Closed,
}

impl LinkError {
    /// The code, the same in every version.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Address(_) => "LINK_ADDRESS",
            Self::Connect(_) => "ENGINE_UNREACHABLE",
            Self::Tls(fault) => fault.code(),
            Self::Socket(_) => "LINK_FAILED",
            Self::TimedOut(_) => "LINK_TIMED_OUT",
            Self::Protocol => "LINK_PROTOCOL",
            Self::Refused(RefusedReason::Version) => "LINK_REFUSED_VERSION",
            Self::Refused(RefusedReason::Unauthorized) => "LINK_REFUSED_UNAUTHORIZED",
            Self::Refused(RefusedReason::DuplicateIdentity) => "LINK_REFUSED_DUPLICATE_IDENTITY",
            Self::Refused(RefusedReason::Stale) => "LINK_REFUSED_STALE",
            Self::Refused(RefusedReason::Busy) => "LINK_REFUSED_BUSY",
            Self::Closed => "LINK_CLOSED",
        }
    }
}
