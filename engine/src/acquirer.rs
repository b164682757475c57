//! The boundary to the card host: what the engine asks, what it may be told.
//!
//! An implementation answers every request exactly once, and says *unknown* whenever it cannot
//! exclude that the host acted. Only here is card data decrypted, in memory that is cleared.

pub mod base_keys;
pub mod card_data;
pub mod host;
pub mod line;
pub mod simulator;
#[cfg(test)]
mod test_card;

use std::fmt;

use protocol::id::{MerchantId, TerminalId, TransactionId};
use protocol::link::PosKind;
use protocol::money::Money;
use zeroize::Zeroize;

use crate::domain::card::EntryMode;
use crate::domain::reversal::ReversalAnswer;
use crate::domain::sandbox::HostFault;
use crate::domain::time::Timestamp;
use crate::domain::transaction::{HostResult, Trace};

/// The reader's answer as it came: attribution byte and TLVs, card data encrypted in them. Cleared
/// when dropped, absent from `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedCard(Vec<u8>);

impl SealedCard {
    /// Takes the bytes over.
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes, for the acquirer boundary and for reading what is not encrypted.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for SealedCard {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SealedCard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SealedCard({} bytes)", self.0.len())
    }
}

/// Something asked of the acquirer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcquirerRequest {
    /// Whose account.
    pub merchant_id: MerchantId,
    /// Where the card is.
    pub terminal_id: TerminalId,
    /// The transaction; the same on every repeat.
    pub transaction_id: TransactionId,
    /// What the host finds the original by.
    pub trace: Trace,
    /// 1 the first time; above it the request is marked as a repeat.
    pub tries: u32,
    /// Which sending this is.
    pub sending: Sending,
    /// What is asked.
    pub action: AcquirerAction,
}

/// One sending of a request. A copy may arrive after later requests, and an answer after later
/// answers: the host does not undo a later adjustment with an earlier one, and the engine takes no
/// answer for that of another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sending {
    /// Rises with every sending for a transaction.
    pub number: u32,
    /// When.
    pub at: Timestamp,
}

/// What is asked of the acquirer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AcquirerAction {
    /// Reserve money on the card. Sent once, never repeated.
    Authorize {
        /// Sale or authorization.
        kind: PosKind,
        /// How much.
        amount: Money,
        /// How the card was read.
        entry: EntryMode,
        /// The card.
        card: SealedCard,
    },
    /// Undo an authorization whose outcome cannot be used.
    Reverse {
        /// The amount of the original.
        amount: Money,
    },
    /// Undo an authorization that stands.
    Void {
        /// The amount of the original.
        amount: Money,
    },
    /// Change the amount of an authorization that stands.
    Adjust {
        /// The new total.
        total: Money,
        /// The tip in it.
        tip: Money,
    },
}

impl AcquirerAction {
    /// The answer when nobody knows what the host did.
    pub const fn unknown(&self) -> AcquirerAnswer {
        match self {
            Self::Authorize { .. } => AcquirerAnswer::Authorization(AuthorizationAnswer::Unknown),
            Self::Reverse { .. } => AcquirerAnswer::Reversal(ReversalAnswer::Unknown),
            Self::Void { .. } | Self::Adjust { .. } => {
                AcquirerAnswer::Intent(IntentAnswer::Unknown)
            }
        }
    }

    /// The answer when not one byte left for the host. What is repeated anyway is just unknown.
    pub const fn not_sent(&self) -> AcquirerAnswer {
        match self {
            Self::Authorize { .. } => AcquirerAnswer::Authorization(AuthorizationAnswer::NotSent),
            Self::Reverse { .. } | Self::Void { .. } | Self::Adjust { .. } => self.unknown(),
        }
    }
}

/// What the acquirer said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AcquirerAnswer {
    /// To an authorization.
    Authorization(AuthorizationAnswer),
    /// To a reversal.
    Reversal(ReversalAnswer),
    /// To a void or an adjustment.
    Intent(IntentAnswer),
}

/// What the acquirer said to an authorization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthorizationAnswer {
    /// Approved, possibly for less than asked.
    Approved {
        /// How much.
        amount: Money,
        /// Codes.
        host: HostResult,
        /// EMV TLVs for the chip (91, 71, 72).
        issuer_data: Vec<u8>,
    },
    /// Declined.
    Declined {
        /// Codes.
        host: HostResult,
        /// EMV TLVs for the chip.
        issuer_data: Vec<u8>,
    },
    /// Not one byte left for the host.
    NotSent,
    /// The host may have acted.
    Unknown,
}

/// What the acquirer said to a void or an adjustment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntentAnswer {
    /// Done.
    Acknowledged,
    /// It will never be done.
    Refused {
        /// Two-character response code.
        response_code: String,
    },
    /// Nothing usable: it is asked again.
    Unknown,
}

/// Called once with the acquirer's answer, on any thread.
pub type Answered = Box<dyn FnOnce(AcquirerAnswer) + Send>;

/// A card host.
pub trait Acquirer: Send + Sync {
    /// Hands a request over and returns at once.
    fn submit(&self, request: AcquirerRequest, answered: Answered);

    /// As [`Acquirer::submit`], with something going wrong that was asked for in test mode. Only a
    /// simulator can do that; a real host is asked as ever.
    fn misbehave(&self, request: AcquirerRequest, fault: HostFault, answered: Answered) {
        tracing::error!(?fault, "only a simulated acquirer can misbehave");
        self.submit(request, answered);
    }

    /// What it is, for `/v1/status`.
    fn name(&self) -> &'static str;
}
