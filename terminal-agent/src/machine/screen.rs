//! What the cashier and the payer are to see. Facts, not words: wording belongs to the display.

use protocol::id::PosTransactionId;
use protocol::link::{Advice, AttemptEnd, Concluded};
use protocol::money::Money;
use serde::{Deserialize, Serialize};

/// One state of the till's display.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "screen", rename_all = "snake_case")]
pub enum Screen {
    /// Nothing is running.
    Idle,
    /// An offer was accepted; the reader is not touched yet.
    Preparing {
        /// The POS transaction.
        pos_id: PosTransactionId,
        /// The sale without tip.
        amount: Money,
    },
    /// The payer chooses a tip.
    SelectTip {
        /// The POS transaction.
        pos_id: PosTransactionId,
        /// The sale without tip.
        amount: Money,
        /// The choices in order; the index is the key.
        options: Vec<TipOption>,
        /// Whether an amount may be typed.
        custom: bool,
        /// Seconds until the sale goes on without a tip.
        timeout_s: u32,
    },
    /// The reader waits for a card.
    PresentCard {
        /// The POS transaction.
        pos_id: PosTransactionId,
        /// What is charged, tip included.
        amount: Money,
        /// 1 for the first card.
        attempt: u32,
        /// What to do differently with this one, after a decline.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        advice: Option<Advice>,
    },
    /// The reader has something to say while it reads.
    Reader {
        /// The POS transaction.
        pos_id: PosTransactionId,
        /// From the reader's closed list.
        progress: String,
        /// While it waits for a card: what to do differently with this one, after a decline.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        advice: Option<Advice>,
    },
    /// Card data is at the engine; nobody has paid yet.
    Authorizing {
        /// The POS transaction.
        pos_id: PosTransactionId,
    },
    /// The acquirer has answered, the engine has not concluded yet; nobody has paid yet.
    Finishing {
        /// The POS transaction.
        pos_id: PosTransactionId,
    },
    /// Declined. Another card may be tried if the engine grants it.
    DeclinedTryAnother {
        /// The POS transaction.
        pos_id: PosTransactionId,
        /// What to do differently, where that is not just another card.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        advice: Option<Advice>,
    },
    /// The attempt ended before anything was sent. NOT PAID.
    AttemptEnded {
        /// The POS transaction.
        pos_id: PosTransactionId,
        /// How.
        end: AttemptEnd,
    },
    /// The engine knows nothing of this attempt any more. NOT PAID.
    AttemptClosed {
        /// The POS transaction.
        pos_id: PosTransactionId,
    },
    /// The end. The only screen that may say APPROVED, and only for status `approved`.
    Concluded(Concluded),
    /// The till cannot take payments until a person has looked at it.
    OutOfOrder {
        /// From a closed list: `journal_fault`.
        reason: String,
    },
}

/// One tip on the display.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TipOption {
    /// Basis points of the sale.
    pub basis_points: u32,
    /// The tip itself.
    pub tip: Money,
}
