//! How long things may take at a merchant, and how much they may be.
//!
//! Owns the bounds and their defaults; what happens when one is reached is the rules'.

use crate::domain::pos::{PosTransaction, Stage};
use crate::domain::reversal::HOST_DELAY_MS_MAX;
use crate::domain::sandbox::Policy;
use crate::domain::tip::TipLimits;

use super::start;

/// How long things may take, and how much they may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Until a terminal must have taken an offer. Seconds: the cashier stands in front of it.
    pub offer_ms: u64,
    /// Until a card must have been read.
    pub attempt_ms: u64,
    /// Until a terminal must have told a card that it was declined.
    pub tell_ms: u64,
    /// Until the acquirer must have answered. Above the acquirer's own timeout.
    pub host_ms: u64,
    /// How long a request may be on its way to the acquirer: "original not found" counts only
    /// when it is still the answer after that.
    pub host_delay_ms: u64,
    /// Until a terminal must have confirmed an approval.
    pub confirm_ms: u64,
    /// From the start of a POS transaction until no further card is tried.
    pub retry_ms: u64,
    /// After a restart, until terminals must have reconnected.
    pub reconnect_ms: u64,
    /// Cards tried in one POS transaction.
    pub attempts_max: u32,
    /// Highest amount in minor units.
    pub amount_max: i64,
    /// Without anything to do, until an owner is dropped from memory.
    pub idle_ms: u64,
    /// Limits on tips set later.
    pub tip: TipLimits,
    /// Whether faults may be asked for.
    pub sandbox: Policy,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            offer_ms: 5_000,
            attempt_ms: 60_000,
            tell_ms: 20_000,
            host_ms: 30_000,
            host_delay_ms: HOST_DELAY_MS_MAX,
            confirm_ms: 60_000,
            retry_ms: 180_000,
            reconnect_ms: 30_000,
            attempts_max: 3,
            amount_max: 99_999_999,
            idle_ms: 300_000,
            tip: TipLimits::default(),
            sandbox: Policy::Off,
        }
    }
}

impl Limits {
    /// The longest that the present stage of a POS transaction can last.
    pub(super) fn life_ms(&self, pos: &PosTransaction) -> u64 {
        match pos.stage {
            Stage::Offered => self.offer_ms,
            Stage::SelectingTip => pos.tip_prompt.as_ref().map_or(0, start::prompt_life_ms),
            Stage::AwaitingCard => self
                .tell_ms
                .max(self.attempt_ms + start::CARD_ON_ITS_WAY_MS),
            Stage::Authorizing => self.host_ms,
            Stage::Confirming => self.confirm_ms,
            Stage::Reversing | Stage::Closed => 0,
        }
    }
}
