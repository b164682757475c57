//! A transaction: one act at the acquirer, from the moment before its request leaves.

use protocol::id::{AttemptId, MerchantId, PosTransactionId, TerminalId, TransactionId};
use protocol::link::{Advice, PosKind};
use protocol::money::{Money, MoneyError};

use super::card::CardSummary;
use super::reason::Reason;
use super::rejection::Rejection;
use super::resolution::Resolution;
use super::reversal::Reversal;
use super::time::Timestamp;

/// Where a transaction stands at the acquirer, as far as the engine knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionState {
    /// The request is on its way.
    Authorizing,
    /// Approved there; the terminal has not confirmed.
    Confirming,
    /// Stands.
    Approved,
    /// The acquirer said no.
    Declined,
    /// The request never left.
    NotSent,
    /// Being undone.
    Reversing,
    /// Undone before it stood.
    Reversed,
    /// Undone after it stood.
    Voided,
}

impl TransactionState {
    /// Every state there is.
    pub const ALL: [Self; 8] = [
        Self::Authorizing,
        Self::Confirming,
        Self::Approved,
        Self::Declined,
        Self::NotSent,
        Self::Reversing,
        Self::Reversed,
        Self::Voided,
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Authorizing => "authorizing",
            Self::Confirming => "confirming",
            Self::Approved => "approved",
            Self::Declined => "declined",
            Self::NotSent => "failed",
            Self::Reversing => "in_doubt",
            Self::Reversed => "reversed",
            Self::Voided => "voided",
        }
    }
}

/// What the acquirer finds the original by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// Systems trace audit number, 1…999999.
    pub number: u32,
    /// Transmission time of the original.
    pub sent_at: Timestamp,
}

/// The response code by which an acquirer asks for the chip instead: as European hosts answer when
/// a card has to be inserted.
pub const USE_CHIP: &str = "1A";

/// What cashier or cardholder should do about a decline, where that is not just another card. By the
/// reason, and else by the response code (ISO 8583 field 39).
pub fn advice(reason: Reason, response_code: &str) -> Option<Advice> {
    match (reason, response_code) {
        (Reason::UseChip, _) => Some(Advice::UseChip),
        // Refer to the card's issuer.
        (_, "01") => Some(Advice::CallBank),
        // Security violation: what the reader encrypted does not open.
        (_, "63") => Some(Advice::CheckReader),
        // No route, issuer not available, system malfunction.
        (_, "82" | "91" | "96") => Some(Advice::TryLater),
        _ => None,
    }
}

/// What the acquirer said to an authorization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostResult {
    /// Two-character response code (`00`, `51` …).
    pub response_code: String,
    /// Authorization code, of an approval.
    pub authorization_code: Option<String>,
    /// Retrieval reference number.
    pub retrieval_reference: Option<String>,
}

/// Something decided that the acquirer must be told until it answers. Never reversed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// What.
    pub kind: IntentKind,
    /// When it was decided.
    pub requested_at: Timestamp,
    /// Number of its first sending; answers to earlier ones are not about it.
    pub first_sending: u32,
    /// How often it was sent.
    pub tries: u32,
    /// When it is sent next if no answer comes.
    pub next_at: Timestamp,
}

/// What an intent is to achieve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntentKind {
    /// Undo the whole authorization.
    Void,
    /// Change the amount to `total`, of which `tip` is tip.
    AdjustTip {
        /// The new tip.
        tip: Money,
        /// The new total.
        total: Money,
    },
}

/// A tip as it stood from some moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TipRevision {
    /// The tip.
    pub tip: Money,
    /// The total with it.
    pub total: Money,
    /// Since when.
    pub at: Timestamp,
}

/// A transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Its id; the same on every repeat to the acquirer.
    pub id: TransactionId,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// Where the card was read.
    pub terminal_id: TerminalId,
    /// The POS transaction it belongs to.
    pub pos_id: PosTransactionId,
    /// The attempt it belongs to.
    pub attempt_id: AttemptId,
    /// Sale or authorization.
    pub kind: PosKind,
    /// The amount without tip.
    pub base: Money,
    /// The tip that was part of the authorization request.
    pub tip: Option<Money>,
    /// What was asked for.
    pub requested: Money,
    /// What was approved.
    pub authorized: Option<Money>,
    /// The merchant's reference.
    pub reference: Option<String>,
    /// Where it stands.
    pub state: TransactionState,
    /// How the acquirer finds it.
    pub trace: Trace,
    /// The card, without anything that may not be kept.
    pub card: CardSummary,
    /// What the acquirer said.
    pub host: Option<HostResult>,
    /// What the acquirer has yet to acknowledge.
    pub intent: Option<Intent>,
    /// The undoing, under way or done.
    pub reversal: Option<Reversal>,
    /// Tips set after the authorization, oldest first.
    pub tip_revisions: Vec<TipRevision>,
    /// What a person said became of it.
    pub resolution: Option<Resolution>,
    /// Why it is not approved.
    pub reason: Option<Reason>,
    /// When the request was about to leave.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Rises with every change.
    pub revision: u32,
}

impl Transaction {
    /// The tip that counts.
    pub fn current_tip(&self) -> Option<Money> {
        self.tip_revisions
            .last()
            .map(|revision| revision.tip)
            .or(self.tip)
    }

    /// The amount that counts: with the current tip, or as approved.
    pub fn total(&self) -> Money {
        self.tip_revisions
            .last()
            .map(|revision| revision.total)
            .or(self.authorized)
            .unwrap_or(self.requested)
    }

    /// The base and a tip together.
    ///
    /// # Errors
    /// [`MoneyError`] when they do not add up.
    pub fn total_with(&self, tip: Money) -> Result<Money, MoneyError> {
        self.base.plus(tip)
    }

    /// Whether the acquirer owes an answer: the owner must keep it in mind.
    pub fn is_open(&self) -> bool {
        self.intent.is_some()
            || matches!(
                self.state,
                TransactionState::Authorizing
                    | TransactionState::Confirming
                    | TransactionState::Reversing
            )
    }

    /// Whether a person should look at it: the acquirer contradicts what was resolved.
    pub fn needs_attention(&self) -> bool {
        let resolution = self.resolution.as_ref();
        resolution.is_some_and(|resolution| resolution.contradiction.is_some())
    }

    /// Notes a change.
    pub fn touch(&mut self, now: Timestamp) {
        self.updated_at = now;
        self.revision = self.revision.saturating_add(1);
    }
}

/// Why a transaction cannot be voided, if it cannot.
pub fn void_refusal(transaction: &Transaction) -> Option<Rejection> {
    let id = transaction.id.to_string();
    if transaction.intent.is_some() {
        return Some(Rejection::OperationPending { id });
    }
    match transaction.state {
        TransactionState::Approved => None,
        TransactionState::Voided | TransactionState::Reversed => {
            Some(Rejection::AlreadyProcessed { id })
        }
        state => Some(Rejection::TransactionState {
            id,
            state: state.code(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_another_card_does_not_help_against_has_advice() {
        for (reason, code, expected) in [
            (Reason::UseChip, USE_CHIP, Some(Advice::UseChip)),
            (Reason::HostDeclined, "01", Some(Advice::CallBank)),
            (Reason::HostDeclined, "63", Some(Advice::CheckReader)),
            (Reason::HostDeclined, "82", Some(Advice::TryLater)),
            (Reason::HostDeclined, "91", Some(Advice::TryLater)),
            (Reason::HostDeclined, "96", Some(Advice::TryLater)),
            // Whether a card is stolen or its account empty is nobody's business at the till.
            (Reason::HostDeclined, "05", None),
            (Reason::HostDeclined, "43", None),
            (Reason::HostDeclined, "51", None),
            (Reason::HostDeclined, "54", None),
            (Reason::HostDeclined, "", None),
        ] {
            assert_eq!(advice(reason, code), expected, "{code}");
        }
    }
}
