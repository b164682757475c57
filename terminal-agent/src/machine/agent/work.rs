//! One POS transaction and the reader as the agent machine sees them.

use protocol::id::{AttemptId, RequestId};
use protocol::link::{
    Advice, ChipOutcome, Digest, DigestState, Grant, HostDecision, ReaderState, TipChoice,
    TipPrompt,
};
use protocol::money::Money;

/// A POS transaction that is not concluded.
#[derive(Debug, Clone)]
pub(super) struct Work {
    /// When the agent last said something about it; none since the start of the agent.
    pub(super) last_word_ms: Option<u64>,
    /// When it last said so to the engine: what a go can answer. A word that was found while
    /// there was no link is kept for later, and no go answers it.
    pub(super) said_ms: Option<u64>,
    /// How far it is.
    pub(super) phase: Phase,
    /// The payer's choice, repeated when the engine asks again after a lost link.
    pub(super) tip: Option<TipChoice>,
    /// What the engine advised with the last decline, until the next card was read.
    pub(super) advice: Option<Advice>,
    /// The request of this till that began it, if one did in this run of the agent.
    pub(super) request_id: Option<RequestId>,
}

/// How far a POS transaction is.
#[derive(Debug, Clone)]
pub(super) enum Phase {
    /// Waits for a go.
    Waiting,
    /// The payer chooses a tip.
    Tip {
        amount: Money,
        prompt: TipPrompt,
        until_ms: u64,
    },
    /// The intent is being written, or the reader still ends something else.
    Starting {
        grant: Grant,
        expires_ms: u64,
        start_by_ms: u64,
    },
    /// The reader has been told.
    Reading { grant: Grant, expires_ms: u64 },
    /// Card data was sent.
    Sent {
        attempt_id: AttemptId,
        chip_waits: bool,
    },
    /// The chip was told what the acquirer said.
    Chip {
        attempt_id: AttemptId,
        decision: HostDecision,
    },
    /// The card agreed; only the engine's conclusion is missing.
    Agreed,
}

impl Phase {
    /// When this phase ends by itself.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        match self {
            Self::Tip { until_ms, .. } => Some(*until_ms),
            Self::Starting {
                expires_ms,
                start_by_ms,
                ..
            } => Some(*expires_ms.min(start_by_ms)),
            Self::Reading { expires_ms, .. } => Some(*expires_ms),
            Self::Waiting | Self::Sent { .. } | Self::Chip { .. } | Self::Agreed => None,
        }
    }

    /// The attempt that runs, if one does.
    pub(super) const fn attempt_id(&self) -> Option<AttemptId> {
        match self {
            Self::Starting { grant, .. } | Self::Reading { grant, .. } => Some(grant.attempt_id),
            Self::Sent { attempt_id, .. } | Self::Chip { attempt_id, .. } => Some(*attempt_id),
            Self::Waiting | Self::Tip { .. } | Self::Agreed => None,
        }
    }
}

impl Work {
    /// Just accepted.
    pub(super) const fn accepted(now_ms: u64, request_id: Option<RequestId>) -> Self {
        Self {
            last_word_ms: Some(now_ms),
            said_ms: Some(now_ms),
            phase: Phase::Waiting,
            tip: None,
            advice: None,
            request_id,
        }
    }

    /// As the journal of an earlier boot has it.
    pub(super) fn resumed(digest: &Digest) -> Self {
        let has_agreed = matches!(
            &digest.state,
            DigestState::Completed(completion) if completion.chip == ChipOutcome::Agreed
        );
        Self {
            last_word_ms: None,
            said_ms: None,
            phase: if has_agreed {
                Phase::Agreed
            } else {
                Phase::Waiting
            },
            tip: None,
            advice: None,
            request_id: None,
        }
    }

    /// The agent has something new on it, and says so if it can.
    pub(super) const fn speak(&mut self, now_ms: u64, is_said: bool) {
        self.last_word_ms = Some(now_ms);
        if is_said {
            self.said_ms = Some(now_ms);
        }
    }

    /// Whether a go that comes now is obeyed: nothing starts late.
    pub(super) fn is_go_timely(&self, now_ms: u64, window_ms: u64) -> bool {
        is_within(self.said_ms, now_ms, window_ms)
    }

    /// Whether another POS transaction has to keep away. One that waits for a go which could no
    /// longer be obeyed is dead, and only waits to be concluded.
    pub(super) fn is_live(&self, now_ms: u64, window_ms: u64) -> bool {
        match self.phase {
            Phase::Waiting => is_within(self.last_word_ms, now_ms, window_ms),
            Phase::Tip { .. }
            | Phase::Starting { .. }
            | Phase::Reading { .. }
            | Phase::Sent { .. }
            | Phase::Chip { .. }
            | Phase::Agreed => true,
        }
    }
}

fn is_within(word_ms: Option<u64>, now_ms: u64, window_ms: u64) -> bool {
    word_ms.is_some_and(|word_ms| now_ms.saturating_sub(word_ms) <= window_ms)
}

/// The reader.
#[derive(Debug)]
pub(super) struct ReaderSide {
    pub(super) state: ReaderState,
    pub(super) serial: String,
    pub(super) firmware: String,
    /// The attempt whose end the reader has not reported yet. It may have been given up by its
    /// POS transaction: then its events mean nothing but that the reader is free again.
    pub(super) holder: Option<AttemptId>,
}

impl Default for ReaderSide {
    fn default() -> Self {
        Self {
            state: ReaderState::Absent,
            serial: String::new(),
            firmware: String::new(),
            holder: None,
        }
    }
}
