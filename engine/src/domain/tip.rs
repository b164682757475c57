//! Tips: what may be chosen at the terminal, and what may be changed afterwards.

use protocol::link::TipPrompt;
use protocol::money::Money;

use super::rejection::Rejection;
use super::time::Timestamp;
use super::transaction::{Transaction, TransactionState};

/// Limits on tips set after the authorization. Defaults follow what schemes and vendors publish:
/// 20 % of the base, within 24 hours; up to ten changes for a busy shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TipLimits {
    /// Highest tip in basis points of the base.
    pub bps_max: u32,
    /// Hours after the authorization within which it may change.
    pub hours_max: u32,
    /// How often it may change.
    pub changes_max: u32,
}

impl Default for TipLimits {
    fn default() -> Self {
        Self {
            bps_max: 2_000,
            hours_max: 24,
            changes_max: 10,
        }
    }
}

/// The prompt that a terminal shows unless the caller gives its own.
pub fn default_prompt() -> TipPrompt {
    TipPrompt {
        options_bps: vec![1_500, 1_800, 2_000],
        custom: true,
        timeout_s: 30,
    }
}

/// Whether a prompt can be shown.
///
/// # Errors
/// [`Rejection::Invalid`] naming the field.
pub fn check_prompt(prompt: &TipPrompt) -> Result<(), Rejection> {
    let ascending = prompt.options_bps.is_sorted_by(|left, right| left < right);
    let sane = prompt
        .options_bps
        .iter()
        .all(|bps| (1..=10_000).contains(bps));
    if prompt.options_bps.len() > 4 || !ascending || !sane {
        return Err(Rejection::invalid(
            "tip_prompt.options_bps",
            "at most four, ascending, 1 to 10000 basis points",
        ));
    }
    if !(5..=120).contains(&prompt.timeout_s) {
        return Err(Rejection::invalid(
            "tip_prompt.timeout_s",
            "5 to 120 seconds",
        ));
    }
    Ok(())
}

/// A tip chosen at the terminal: of the sale's currency, not negative, not above the base. A
/// higher one is a slip of the finger that the payer could not take back.
pub fn is_plausible_at_terminal(base: Money, tip: Money) -> bool {
    tip.currency() == base.currency() && tip.minor() >= 0 && tip.minor() <= base.minor()
}

/// Why the tip of a transaction cannot be changed at all, if it cannot.
pub fn refusal(transaction: &Transaction, limits: TipLimits, now: Timestamp) -> Option<Rejection> {
    if transaction.intent.is_some() {
        return Some(Rejection::OperationPending {
            id: transaction.id.to_string(),
        });
    }
    if transaction.state != TransactionState::Approved {
        return Some(Rejection::TransactionState {
            id: transaction.id.to_string(),
            state: transaction.state.code(),
        });
    }
    if transaction.authorized != Some(transaction.requested) {
        return Some(Rejection::TipNotAllowed {
            why: "partially approved",
        });
    }
    if !transaction.card.is_tip_adjustable() {
        return Some(Rejection::TipNotAllowed {
            why: "card does not allow it",
        });
    }
    let changes = u32::try_from(transaction.tip_revisions.len()).unwrap_or(u32::MAX);
    if changes >= limits.changes_max {
        return Some(Rejection::TipNotAllowed {
            why: "changed too often",
        });
    }
    let hour_ms = 3_600_000;
    let age_ms = now.since_ms(transaction.created_at);
    if age_ms > u64::from(limits.hours_max).saturating_mul(hour_ms) {
        return Some(Rejection::TipNotAllowed { why: "too late" });
    }
    None
}

/// The total with a new tip.
///
/// # Errors
/// [`Rejection`] when the tip cannot change, is of another currency, or is above the limit.
pub fn adjusted_total(
    transaction: &Transaction,
    tip: Money,
    limits: TipLimits,
    now: Timestamp,
) -> Result<Money, Rejection> {
    if let Some(refusal) = refusal(transaction, limits, now) {
        return Err(refusal);
    }
    if tip.currency() != transaction.base.currency() {
        return Err(Rejection::invalid(
            "currency",
            "must be that of the transaction",
        ));
    }
    if tip.minor() < 0 {
        return Err(Rejection::invalid("tip_amount", "must not be negative"));
    }
    let out_of_range = |_| Rejection::invalid("tip_amount", "out of range");
    let limit = transaction
        .base
        .basis_points_at_most(limits.bps_max)
        .map_err(out_of_range)?;
    if tip.minor() > limit.minor() {
        return Err(Rejection::TipLimitExceeded { limit });
    }
    transaction.total_with(tip).map_err(out_of_range)
}
