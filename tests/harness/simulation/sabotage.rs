//! Deliberate bugs, to prove that each checker can fail: one lie each, told at a seam between the
//! code that ships and its shell. A sabotage is a value that only tests construct.
//!
//! `engine`: what the owners decide, read, say and hear. `acquirer`: what goes to the host and
//! comes back. `till`: what the agent hears, writes and says. `restore`: what a restored engine is.

mod acquirer;
mod engine;
mod restore;
mod till;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ::engine::domain::idempotency::ClaimKey;
use ::engine::store::Commit;
use protocol::id::TransactionId;

pub(super) use restore::{counted_here, is_counters};

use super::fault::{Fault, words};

words! {
    /// A deliberate bug.
    Sabotage {
        /// Effects leave when a commit is submitted, not when it is durable.
        AnswerBeforeCommit = "answer-before-commit",
        /// The same, but only for commits that authorize.
        SendBeforeCommit = "send-before-commit",
        /// The same, but only for commits that grant a card.
        GrantBeforeCommit = "grant-before-commit",
        /// A refused commit is taken for done.
        KeepRefused = "keep-refused-commit",
        /// The disk says that it has synced; a crash shows that it has not.
        AckBeforeSync = "ack-before-sync",
        /// Rows reach the state although their log batch was lost.
        FoldBeforeSync = "fold-before-sync",
        /// A crash leaves the log and takes rows that follow from it.
        LoseRows = "checkpoint-before-flush",
        /// Authorizations are sent twice.
        AuthorizeTwice = "authorize-twice",
        /// Repeats go out under another trace number.
        NewTraceOnRepeat = "new-trace-on-repeat",
        /// Trace numbers begin again after a restart.
        ReuseTraces = "reuse-traces-after-restart",
        /// Adjustments are taken for acknowledged without being sent.
        DropAdjustments = "drop-adjustments",
        /// Adjustments change other amounts than were asked for, which cancel each other out.
        AdjustByTurns = "adjust-by-turns",
        /// Adjustments that get no answer are reversed instead of repeated.
        ReverseAdjustments = "reverse-adjustments",
        /// Voids are taken for acknowledged without being sent.
        DropVoids = "drop-voids",
        /// A void is answered as done before the acquirer has said so.
        VoidEarly = "void-answered-early",
        /// Reversals are taken for acknowledged without being sent.
        DropReversals = "drop-reversals",
        /// A restarted engine forgets reversals.
        DropReversalsOnRestart = "drop-reversals-on-restart",
        /// A reversal is sent only once.
        ReverseOnce = "reverse-only-once",
        /// The first "original not found" counts.
        CountNotFound = "count-not-found-at-once",
        /// An approval that comes after the reversal was decided is taken.
        AcceptLateApproval = "accept-late-approval",
        /// The engine does not look idempotency keys up.
        ForgetKeys = "forget-keys",
        /// No key is ever claimed.
        ClaimNothing = "claim-nothing",
        /// A key is claimed in a commit of its own, before that of the effect.
        ClaimFirst = "claim-before-commit",
        /// A key with another body gets the answer of the first.
        AnswerOtherBody = "answer-other-body",
        /// A repeat is taken for another body.
        ConflictAlways = "conflict-with-itself",
        /// A refusal uses its key up.
        BurnKeys = "burn-keys",
        /// A replay is not what was first answered.
        ChangeReplay = "change-replay",
        /// Some refusals are never sent.
        LoseAnswers = "lose-answers",
        /// The journal says that it has synced, and has not.
        SkipJournalSync = "skip-journal-sync",
        /// The agent acts while its journal is still writing.
        ActBeforeJournal = "act-before-journal",
        /// The journal does not keep what is being printed.
        ForgetPrints = "forget-prints",
        /// Nobody remembers that a copy was printed before: no DUPLICATE.
        ForgetCopies = "forget-copies",
        /// A job counts as printed when its bytes are on their way.
        ReportPrinted = "printed-when-sent",
        /// The hello names no open work.
        ForgetReconcile = "forget-reconcile",
        /// An older hello replaces a newer link.
        ForgetEpoch = "forget-epoch",
        /// What a till has said on an older link counts.
        HearOldLinks = "hear-old-links",
        /// Two tills with one identity may take turns.
        UnnoticedCopy = "duplicate-identity-unnoticed",
        /// Two tills with one identity are noticed and then forgotten.
        ForgetCopy = "duplicate-identity-forgotten",
        /// A restarted engine does not load what is open.
        ForgetOpenWork = "forget-open-work",
        /// The till is told of an approval by the acquirer's answer.
        ApproveEarly = "approve-early",
        /// The till shows APPROVED when it has sent its completion.
        ApproveUnacknowledged = "approve-unacknowledged",
        /// The engine takes the acquirer's approval for the terminal's confirmation.
        ConfirmForTill = "confirm-for-till",
        /// Card data goes to the acquirer although its attempt is over.
        AuthorizeUncommitted = "authorize-uncommitted",
        /// The amount that the card was asked for is not compared.
        ReadOtherAmount = "amount-not-compared",
        /// The engine judges what tills say by a clock that is behind.
        StaleClock = "stale-clock",
        /// The agent touches the reader whenever the go comes.
        StartLate = "start-late",
        /// Another card is read under the attempt of the first.
        SameAttempt = "same-attempt-again",
        /// What is in doubt keeps its terminal.
        DoubtBlocks = "doubt-blocks-terminal",
        /// What is in doubt does not say when the engine acts next.
        SilentDoubt = "doubt-without-date",
        /// A cancel after the point of no return is final at once.
        CancelLate = "cancel-after-no-return",
        /// The verdict on a cancel is not what happened.
        WrongVerdict = "wrong-verdict",
        /// A transaction that stands is stored as declined.
        WrongStatus = "wrong-status",
        /// A till is told another end than everybody else.
        TellTillOtherwise = "tell-till-otherwise",
        /// Permission is checked against an index that does not learn of changes.
        StaleAccess = "stale-access-index",
        /// The final event is published twice.
        FinalEventTwice = "final-event-twice",
        /// An approval for less than asked stands unasked.
        KeepPartial = "keep-partial",
        /// Another amount is charged than was asked for.
        ChangeAmount = "charge-other-amount",
        /// Tips have no limit.
        TipUnlimited = "tip-over-limit",
        /// A restored engine takes itself for the one that the backup was made of.
        KeepIncarnation = "restored-in-same-life",
        /// A restored engine goes on counting where the backup ends.
        NoTraceJump = "restored-traces-do-not-jump",
        /// A restored engine does not answer a till that names what was lost.
        IgnoreLost = "restored-ignores-lost-work",
        /// A restored engine tells a till that nobody paid, although card data had left it.
        DenyLost = "restored-denies-lost-money",
        /// The comparison with the acquirer's book passes over what is unknown.
        HideLost = "comparison-hides-unknown",
    }
}

/// A deliberate bug, the rule that it breaks, and how many seeds show it at the latest.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The bug.
    pub sabotage: Sabotage,
    /// The checker that must catch it.
    pub rule: &'static str,
    /// Seeds from 1 within which it does.
    pub seeds_max: u64,
    /// Faults without which it would not show; its worlds have them beside their own.
    pub needs: &'static [Fault],
}

const fn case(
    sabotage: Sabotage,
    rule: &'static str,
    seeds_max: u64,
    needs: &'static [Fault],
) -> Case {
    Case {
        sabotage,
        rule,
        seeds_max,
        needs,
    }
}

impl Sabotage {
    /// Faults without which it would not show.
    pub fn needs(self) -> &'static [Fault] {
        let case = CASES.iter().find(|case| case.sabotage == self);
        case.map_or(&[], |case| case.needs)
    }
}

/// Every deliberate bug with the rule that it breaks. The bounds are what was measured, doubled and
/// rounded up: a change of the world makes other worlds of all seeds.
pub const CASES: &[Case] = &{
    use Fault as F;
    use Sabotage as S;
    [
        case(S::AnswerBeforeCommit, "answers_hold", 10, &[]),
        case(
            S::SendBeforeCommit,
            "money_moves_only_after_commit",
            10,
            &[],
        ),
        case(
            S::GrantBeforeCommit,
            "terminals_are_told_committed",
            10,
            &[],
        ),
        case(S::KeepRefused, "answers_hold", 20, &[F::CommitRefused]),
        case(S::AckBeforeSync, "answered_is_kept", 10, &[F::EngineCrash]),
        case(S::FoldBeforeSync, "rows_are_the_log", 80, &[F::EngineCrash]),
        case(S::LoseRows, "nothing_is_lost", 10, &[F::EngineCrash]),
        case(S::AuthorizeTwice, "host_is_asked_rightly", 10, &[]),
        case(
            S::NewTraceOnRepeat,
            "repeats_are_unchanged",
            10,
            &[F::HostTrouble],
        ),
        case(S::ReuseTraces, "traces_are_new", 10, &[F::EngineCrash]),
        case(S::DropAdjustments, "totals_agree", 20, &[]),
        case(S::AdjustByTurns, "books_agree", 100, &[]),
        case(
            S::ReverseAdjustments,
            "repeats_are_unchanged",
            60,
            &[F::HostTrouble],
        ),
        case(S::DropVoids, "voided_means_undone", 10, &[]),
        case(S::VoidEarly, "voided_means_undone", 90, &[F::HostTrouble]),
        case(S::DropReversals, "told_is_true", 10, &[F::HostTrouble]),
        case(
            S::DropReversalsOnRestart,
            "somebody_keeps_asking",
            40,
            &[F::EngineCrash, F::HostTrouble],
        ),
        case(
            S::ReverseOnce,
            "somebody_keeps_asking",
            10,
            &[F::HostTrouble],
        ),
        case(S::CountNotFound, "told_is_true", 40, &[F::HostTrouble]),
        case(
            S::AcceptLateApproval,
            "reversal_is_irrevocable",
            150,
            &[F::HostTrouble],
        ),
        case(S::ForgetKeys, "one_charge", 10, &[F::CallerGone]),
        case(S::ClaimNothing, "one_charge", 10, &[F::CallerGone]),
        case(
            S::ClaimFirst,
            "keys_are_claimed_with_effects",
            10,
            &[F::EngineCrash],
        ),
        case(
            S::AnswerOtherBody,
            "one_body_for_each_key",
            10,
            &[F::KeyReused],
        ),
        case(
            S::ConflictAlways,
            "keys_conflict_rightly",
            10,
            &[F::KeyReused],
        ),
        case(S::BurnKeys, "refusals_burn_no_key", 10, &[F::CallerGone]),
        case(S::ChangeReplay, "replay_is_same", 10, &[F::CallerGone]),
        case(S::LoseAnswers, "every_request_is_answered", 10, &[]),
        case(S::SkipJournalSync, "till_writes_before_it_acts", 10, &[]),
        case(S::ActBeforeJournal, "till_writes_before_it_acts", 10, &[]),
        case(S::ForgetPrints, "prints_once", 40, &[F::AgentKill]),
        case(S::ForgetCopies, "first_print_once", 10, &[]),
        case(S::ReportPrinted, "paper_agrees", 10, &[F::PrinterTrouble]),
        case(S::ForgetReconcile, "converges", 10, &[F::AgentKill]),
        case(
            S::ForgetEpoch,
            "newest_link_wins",
            10,
            &[F::LinkOverlap, F::LinkCut],
        ),
        case(
            S::HearOldLinks,
            "old_links_are_silent",
            10,
            &[F::LinkOverlap],
        ),
        case(S::UnnoticedCopy, "copies_are_refused", 10, &[F::TillCopied]),
        case(S::ForgetCopy, "duplicates_stay_out", 10, &[F::TillCopied]),
        case(
            S::ForgetOpenWork,
            "one_attempt_per_terminal",
            25,
            &[F::EngineCrash],
        ),
        case(S::ApproveEarly, "approved_shown_only_after_commit", 10, &[]),
        case(
            S::ApproveUnacknowledged,
            "approved_shown_only_after_commit",
            10,
            &[],
        ),
        case(S::ConfirmForTill, "approved_only_when_confirmed", 10, &[]),
        case(
            S::AuthorizeUncommitted,
            "canceled_means_no_charge",
            70,
            &[F::LinkDelay],
        ),
        case(S::ReadOtherAmount, "only_read_cards_are_charged", 10, &[]),
        case(S::StaleClock, "no_expired_attempt_authorized", 10, &[]),
        case(S::StartLate, "nothing_starts_late", 20, &[F::LinkDelay]),
        case(S::SameAttempt, "attempts_are_new", 10, &[F::OddCustomer]),
        case(S::DoubtBlocks, "busy_is_true", 10, &[F::HostTrouble]),
        case(S::SilentDoubt, "in_doubt_says_when", 10, &[F::HostTrouble]),
        case(S::CancelLate, "stages_follow_the_table", 50, &[]),
        case(S::WrongVerdict, "verdicts_are_true", 10, &[]),
        case(S::WrongStatus, "statuses_are_true", 10, &[]),
        case(S::TellTillOtherwise, "final_stays_final", 40, &[]),
        case(
            S::StaleAccess,
            "nobody_does_what_they_may_not",
            10,
            &[F::AccessChange],
        ),
        case(S::FinalEventTwice, "one_final_event", 10, &[]),
        case(S::KeepPartial, "partial_only_when_accepted", 60, &[]),
        case(S::ChangeAmount, "charged_as_asked", 10, &[]),
        case(S::TipUnlimited, "tip_within_limit", 120, &[]),
        case(
            S::KeepIncarnation,
            "traces_are_new",
            10,
            &[F::EngineRestored],
        ),
        case(S::NoTraceJump, "traces_are_new", 20, &[F::EngineRestored]),
        case(S::IgnoreLost, "converges", 20, &[F::EngineRestored]),
        case(S::DenyLost, "told_is_true", 410, &[F::EngineRestored]),
        case(S::HideLost, "lost_money_is_named", 60, &[F::EngineRestored]),
    ]
};

/// What lies need to remember.
#[derive(Debug, Default)]
pub struct Lies {
    /// Reversals whose approval came late.
    late: BTreeSet<TransactionId>,
    /// Keys that a refusal has used up.
    burnt: BTreeSet<ClaimKey>,
    /// Commits on their way to the disk.
    waiting: VecDeque<Commit>,
    /// Rows in the state that are not in the log.
    pub(super) folded: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Hellos so far.
    hellos: u64,
    /// The newest link of each till that was welcomed.
    pub(super) links: BTreeMap<usize, u64>,
    /// Card data as it was read, by what the engine was made to hear.
    cards: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Adjustments so far.
    adjustments: u64,
}
