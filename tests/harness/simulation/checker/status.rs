//! Rules about statuses, stages and verdicts.

use std::collections::BTreeMap;

use engine::acquirer::host::Host;
use engine::domain::pos::{PosTransaction, Stage, TRANSITIONS, Verdict};
use engine::domain::transaction::{Transaction, TransactionState};
use protocol::id::PosTransactionId;
use protocol::link::PosStatus;

use super::{Checked, fail};
use crate::simulation::history::History;

/// Every cancel has a verdict, and it is what happened.
pub fn verdicts_are_true(history: &History, _host: &Host) -> Checked {
    for pos in history.pos.values() {
        let Some(cancel) = pos.cancel else { continue };
        let status = pos.status();
        let is_true = match cancel.verdict {
            None => false,
            // No money moved: by the cancel, or by a failure while it waited for the outcome.
            Some(Verdict::Canceled) => matches!(status, PosStatus::Canceled | PosStatus::Failed),
            Some(Verdict::TooLateApproved) => status == PosStatus::Approved,
            Some(Verdict::TooLateDeclined) => status == PosStatus::Declined,
            Some(Verdict::TooLateReversed) => status == PosStatus::Reversed,
            Some(Verdict::TooLateVoided) => {
                state_of(history, pos) == Some(TransactionState::Voided)
            }
            Some(Verdict::AlreadyFinal) => {
                matches!(status, PosStatus::Failed | PosStatus::Canceled)
            }
        };
        if !is_true {
            let what = format!("{} is {status:?}, its cancel is {cancel:?}", pos.id);
            return fail("verdicts_are_true", what);
        }
    }
    Ok(())
}

/// What a POS transaction says of itself is what its transactions say.
pub fn statuses_are_true(history: &History, _host: &Host) -> Checked {
    for pos in history.pos.values() {
        let stands = |id| {
            let known: Option<&Transaction> = history.transactions.get(&id);
            known.is_some_and(|one| {
                matches!(
                    one.state,
                    TransactionState::Approved | TransactionState::Voided
                )
            })
        };
        let all: Vec<_> = pos
            .attempts
            .iter()
            .filter_map(|one| one.transaction_id)
            .collect();
        let (last, earlier) = match all.split_last() {
            Some((last, earlier)) => (stands(*last), earlier),
            None => (false, &[][..]),
        };
        let is_approved = pos.status() == PosStatus::Approved;
        if is_approved != last || earlier.iter().any(|id| stands(*id)) {
            let what = format!("{} is {:?}, of {all:?}", pos.id, pos.status());
            return fail("statuses_are_true", what);
        }
    }
    Ok(())
}

fn state_of(history: &History, pos: &PosTransaction) -> Option<TransactionState> {
    Some(history.transactions.get(&pos.current_transaction()?)?.state)
}

/// A final status, its reason and a verdict never change; revisions only rise.
pub fn a_final_status_stays(before: &PosTransaction, after: &PosTransaction) -> Checked {
    let verdict = |pos: &PosTransaction| pos.cancel.and_then(|cancel| cancel.verdict);
    let is_same_outcome = before.outcome.is_none() || before.outcome == after.outcome;
    // A stronger cancel may turn an approval that stood into a void.
    let is_same_verdict = verdict(before).is_none()
        || verdict(before) == verdict(after)
        || (before.cancel.map(|cancel| cancel.if_too_late)
            != after.cancel.map(|cancel| cancel.if_too_late));
    if is_same_outcome && is_same_verdict && after.revision > before.revision {
        Ok(())
    } else {
        let (old, new) = (
            (before.outcome, before.cancel),
            (after.outcome, after.cancel),
        );
        fail(
            "answers_hold",
            format!("{} went from {old:?} to {new:?}", after.id),
        )
    }
}

/// A terminal never has two POS transactions that need it.
pub fn one_attempt_per_terminal(
    all: &BTreeMap<PosTransactionId, PosTransaction>,
    latest: &PosTransaction,
) -> Checked {
    if !latest.stage.occupies_terminal() {
        return Ok(());
    }
    // Ids rise with time: whatever else runs there began not long before or after.
    let other = all.values().rev().find(|pos| {
        pos.id != latest.id
            && pos.terminal_id == latest.terminal_id
            && pos.stage.occupies_terminal()
    });
    match other {
        Some(other) => fail(
            "one_attempt_per_terminal",
            format!("{} and {} on {}", other.id, latest.id, latest.terminal_id),
        ),
        None => Ok(()),
    }
}

/// Steps that the published table folds into others: an offer without a tip prompt leads to the
/// card at once, and a decline ends the POS transaction when no other card may be tried, or none
/// comes.
const FOLDED: [(Stage, Stage, PosStatus); 3] = [
    (Stage::Offered, Stage::AwaitingCard, PosStatus::InProgress),
    (Stage::Authorizing, Stage::Closed, PosStatus::Declined),
    (Stage::AwaitingCard, Stage::Closed, PosStatus::Declined),
];

/// Every step from stage to stage, and the status it leads to, is in the published table.
pub fn stages_follow_the_table(before: Option<&PosTransaction>, after: &PosTransaction) -> Checked {
    let step = (after.stage, after.status());
    let is_listed = match before {
        None => step == (Stage::Offered, PosStatus::InProgress),
        Some(before) if (before.stage, before.status()) == step => true,
        Some(before) => {
            let published = TRANSITIONS.iter().map(|row| (row.0, row.2, row.3));
            let mut rows = published.chain(FOLDED);
            rows.any(|(from, to, status)| from == before.stage && (to, status) == step)
        }
    };
    if is_listed {
        Ok(())
    } else {
        let from = before.map(|before| before.stage);
        let what = format!("{} went from {from:?} to {step:?}", after.id);
        fail("stages_follow_the_table", what)
    }
}

/// A POS transaction in doubt says when the engine acts next.
pub fn in_doubt_says_when(pos: &PosTransaction) -> Checked {
    if pos.status() == PosStatus::InDoubt && pos.next_action_at.is_none() {
        let what = format!("{} does not say when", pos.id);
        return fail("in_doubt_says_when", what);
    }
    Ok(())
}

/// A refusal because a terminal is busy names what needs the terminal at that moment. What is in
/// doubt blocks only itself.
pub fn busy_is_true(history: &History, running: PosTransactionId) -> Checked {
    let known = history.pos.get(&running);
    if known.is_some_and(|pos| pos.stage.occupies_terminal()) {
        Ok(())
    } else {
        let stage = known.map(|pos| pos.stage);
        fail("busy_is_true", format!("{running} is {stage:?}"))
    }
}
