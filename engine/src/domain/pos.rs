//! A POS transaction: a job on a terminal that may lead to one transaction that stands.
//!
//! ```text
//! offered → selecting_tip → awaiting_card → authorizing → confirming → closed(approved)
//!    │            │            │   ▲   │         │             │
//!    └────────────┴────────────┘   └───│─declined┘             │
//!    closed(failed, canceled)          │   unknown, cancel+void│chip refused, no word
//!                      closed(declined)┘         └──► reversing ◄┘──► closed(reversed)
//! ```
//! The commit of `authorizing` is the point of no return: before it every deadline and cancel is
//! final at once; after it only the acquirer's answer, a confirmation or a reversal ends it.

mod transition;

use protocol::id::{
    ApiKeyId, AttemptId, MerchantId, PosTransactionId, RequestId, TerminalId, TransactionId,
};
use protocol::link::{Advice, PosKind, PosStatus, TipPrompt};
use protocol::money::{Money, MoneyError};

use super::reason::Reason;
use super::time::Timestamp;

pub use transition::{TRANSITIONS, Trigger};

/// Where a POS transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Proposed to the terminal, which has not said anything yet.
    Offered,
    /// The payer chooses a tip.
    SelectingTip,
    /// An attempt is granted, or the chip of a declined card is being told.
    AwaitingCard,
    /// Card data has gone to the acquirer.
    Authorizing,
    /// The acquirer approved; the chip and the terminal have not said yes yet.
    Confirming,
    /// The authorization is being undone.
    Reversing,
    /// Final.
    Closed,
}

impl Stage {
    /// Every stage there is.
    pub const ALL: [Self; 7] = [
        Self::Offered,
        Self::SelectingTip,
        Self::AwaitingCard,
        Self::Authorizing,
        Self::Confirming,
        Self::Reversing,
        Self::Closed,
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::SelectingTip => "selecting_tip",
            Self::AwaitingCard => "awaiting_card",
            Self::Authorizing => "authorizing",
            Self::Confirming => "confirming",
            Self::Reversing => "reversing",
            Self::Closed => "closed",
        }
    }

    /// Whether the terminal can do nothing else meanwhile.
    pub const fn occupies_terminal(self) -> bool {
        !matches!(self, Self::Reversing | Self::Closed)
    }

    /// Whether no money can have moved: a cancel is final at once.
    pub const fn is_before_no_return(self) -> bool {
        matches!(
            self,
            Self::Offered | Self::SelectingTip | Self::AwaitingCard
        )
    }
}

/// How a POS transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// A final status.
    pub status: PosStatus,
    /// Why.
    pub reason: Reason,
    /// When.
    pub at: Timestamp,
}

/// Who asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The merchant's software, with this key.
    Api(ApiKeyId),
    /// The cashier, with this request.
    Till(RequestId),
}

/// One card presentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its id, unique for ever.
    pub id: AttemptId,
    /// 1 for the first.
    pub number: u32,
    /// When it was granted.
    pub granted_at: Timestamp,
    /// After this instant its card data is not accepted.
    pub expires_at: Timestamp,
    /// What the card is asked to pay, tip included.
    pub amount: Money,
    /// How far it came.
    pub state: AttemptState,
    /// The transaction it led to, from `authorizing` on.
    pub transaction_id: Option<TransactionId>,
    /// What is to be done about its decline, where that is not just another card.
    pub advice: Option<Advice>,
}

/// How far an attempt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptState {
    /// The reader may wait for a card.
    Granted,
    /// At the acquirer.
    Authorizing,
    /// Approved there, not yet confirmed.
    Confirming,
    /// Stands.
    Approved,
    /// The acquirer said no.
    Declined,
    /// Ended without reaching the acquirer.
    Ended(Reason),
    /// Being undone, or undone.
    Reversed(Reason),
}

/// What happens to an approval that wins the race against a cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfTooLate {
    /// It stands.
    #[default]
    Keep,
    /// It is undone.
    Void,
}

/// What came of a cancel. A closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No money moved.
    Canceled,
    /// Approved before the cancel; it stands.
    TooLateApproved,
    /// Declined before the cancel.
    TooLateDeclined,
    /// The authorization is being undone or is undone.
    TooLateReversed,
    /// The approval stood for a moment and has been voided.
    TooLateVoided,
    /// It had ended otherwise before.
    AlreadyFinal,
}

impl Verdict {
    /// Every verdict there is.
    pub const ALL: [Self; 6] = [
        Self::Canceled,
        Self::TooLateApproved,
        Self::TooLateDeclined,
        Self::TooLateReversed,
        Self::TooLateVoided,
        Self::AlreadyFinal,
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Canceled => "canceled",
            Self::TooLateApproved => "too_late_approved",
            Self::TooLateDeclined => "too_late_declined",
            Self::TooLateReversed => "too_late_reversed",
            Self::TooLateVoided => "too_late_voided",
            Self::AlreadyFinal => "already_final",
        }
    }
}

/// A cancel: stored with the POS transaction; a second one returns the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancel {
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// What to do when it is too late.
    pub if_too_late: IfTooLate,
    /// What came of it; absent while the acquirer's answer is awaited.
    pub verdict: Option<Verdict>,
}

/// A POS transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PosTransaction {
    /// Its id.
    pub id: PosTransactionId,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// Where it runs.
    pub terminal_id: TerminalId,
    /// Sale or authorization.
    pub kind: PosKind,
    /// The amount without tip.
    pub base: Money,
    /// The tip chosen at the terminal.
    pub tip: Option<Money>,
    /// Tips to offer before the card is read.
    pub tip_prompt: Option<TipPrompt>,
    /// The merchant's reference.
    pub reference: Option<String>,
    /// Whether an approval for less than asked is wanted.
    pub accept_partial: bool,
    /// Who asked for it.
    pub origin: Origin,
    /// When it was accepted from the caller.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Rises with every change.
    pub revision: u32,
    /// Where it stands.
    pub stage: Stage,
    /// When the stage runs out.
    pub deadline: Option<Timestamp>,
    /// No further attempt is granted after this instant.
    pub retry_until: Timestamp,
    /// Card presentations, oldest first.
    pub attempts: Vec<Attempt>,
    /// The cancel, if one was asked for.
    pub cancel: Option<Cancel>,
    /// What the acquirer approved, from `confirming` on.
    pub approved: Option<Money>,
    /// Why it is being reversed, while it is.
    pub reversing_for: Option<Reason>,
    /// While it is being reversed: when the acquirer is asked again.
    pub next_action_at: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<Outcome>,
}

impl PosTransaction {
    /// What a caller branches on.
    pub fn status(&self) -> PosStatus {
        match (&self.outcome, self.stage) {
            (Some(outcome), _) => outcome.status,
            (None, Stage::Reversing) => PosStatus::InDoubt,
            (None, _) => PosStatus::InProgress,
        }
    }

    /// What the card is asked to pay.
    ///
    /// # Errors
    /// [`MoneyError`] when base and tip do not add up.
    pub fn total(&self) -> Result<Money, MoneyError> {
        self.tip.map_or(Ok(self.base), |tip| self.base.plus(tip))
    }

    /// The amount that counts: as approved, or as asked.
    pub fn amount(&self) -> Money {
        self.approved.or(self.total().ok()).unwrap_or(self.base)
    }

    /// The latest attempt.
    pub fn current_attempt(&self) -> Option<&Attempt> {
        self.attempts.last()
    }

    /// The latest attempt, to be changed.
    pub fn current_attempt_mut(&mut self) -> Option<&mut Attempt> {
        self.attempts.last_mut()
    }

    /// What the till is to say beside "declined".
    pub fn advice(&self) -> Option<Advice> {
        self.current_attempt()
            .filter(|attempt| attempt.state == AttemptState::Declined)
            .and_then(|attempt| attempt.advice)
    }

    /// The attempt with this id.
    pub fn attempt(&self, id: AttemptId) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| attempt.id == id)
    }

    /// The transaction of the latest attempt.
    pub fn current_transaction(&self) -> Option<TransactionId> {
        self.current_attempt()
            .and_then(|attempt| attempt.transaction_id)
    }

    /// Why, as shown to callers: of the outcome, or of the reversal under way.
    pub fn reason(&self) -> Option<Reason> {
        self.outcome
            .map(|outcome| outcome.reason)
            .or(self.reversing_for)
    }

    /// Notes a change.
    pub fn touch(&mut self, now: Timestamp) {
        self.updated_at = now;
        self.revision = self.revision.saturating_add(1);
    }

    /// Moves to a stage that runs out at `deadline`.
    pub fn enter(&mut self, stage: Stage, deadline: Option<Timestamp>, now: Timestamp) {
        self.stage = stage;
        self.deadline = deadline;
        self.touch(now);
    }

    /// Ends it, giving a pending cancel its verdict.
    pub fn close(&mut self, status: PosStatus, reason: Reason, now: Timestamp) {
        self.enter(Stage::Closed, None, now);
        self.outcome = Some(Outcome {
            status,
            reason,
            at: now,
        });
        self.next_action_at = None;
        if let Some(cancel) = &mut self.cancel
            && cancel.verdict.is_none()
        {
            // A failure after the cancel moved no money: what the caller wanted has come true.
            cancel.verdict = Some(match status {
                PosStatus::Failed => Verdict::Canceled,
                status => verdict_of(status),
            });
        }
    }
}

/// The verdict on a cancel that finds, or led to, this final status.
pub const fn verdict_of(status: PosStatus) -> Verdict {
    match status {
        PosStatus::Approved => Verdict::TooLateApproved,
        PosStatus::Declined => Verdict::TooLateDeclined,
        PosStatus::Reversed | PosStatus::InDoubt => Verdict::TooLateReversed,
        PosStatus::Canceled => Verdict::Canceled,
        PosStatus::Failed | PosStatus::InProgress => Verdict::AlreadyFinal,
    }
}
