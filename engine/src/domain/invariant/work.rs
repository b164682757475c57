//! Rules about open work: who does it, that a start finds it, that it comes to an end.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::{MerchantId, PosTransactionId, TerminalId};
use protocol::link::PosStatus;

use super::{Holdings, OpenWork, Violation};
use crate::domain::pos::{PosTransaction, Stage, Verdict};
use crate::domain::transaction::{IntentKind, Transaction, TransactionState};

/// At most one POS transaction needs a terminal.
pub(super) fn one_money_action_per_terminal(
    _: MerchantId,
    holdings: &Holdings,
    found: &mut Vec<Violation>,
) {
    let mut busy: BTreeMap<TerminalId, PosTransactionId> = BTreeMap::new();
    let open = holdings.pos.values();
    for pos in open.filter(|pos| pos.stage.occupies_terminal()) {
        if let Some(other) = busy.insert(pos.terminal_id, pos.id) {
            let what = format!("needs {} together with {other}", pos.terminal_id);
            found.push(Violation::new(
                "one_money_action_per_terminal",
                &pos.id,
                what,
            ));
        }
        if !holdings.terminals.contains_key(&pos.terminal_id) {
            let what = format!("needs {}, which does not exist", pos.terminal_id);
            found.push(Violation::new(
                "one_money_action_per_terminal",
                &pos.id,
                what,
            ));
        }
    }
}

/// Open work and its marks point at each other: a start loads what is marked and nothing else.
pub(super) fn open_work_is_marked(_: MerchantId, holdings: &Holdings, found: &mut Vec<Violation>) {
    let pos = holdings.pos.values();
    let pos = pos.filter(|pos| pos.stage != Stage::Closed);
    let transactions = holdings.transactions.values();
    let jobs = holdings.print_jobs.values();
    let faults = holdings.faults.values();
    let open: BTreeSet<OpenWork> = pos
        .map(|pos| OpenWork::Pos(pos.id))
        .chain(
            transactions
                .filter(|one| one.is_open())
                .map(|one| OpenWork::Transaction(one.id)),
        )
        .chain(
            jobs.filter(|job| !job.state.is_final())
                .map(|job| OpenWork::Print(job.id)),
        )
        .chain(
            faults
                .filter(|fault| fault.is_armed())
                .map(|fault| OpenWork::Fault(fault.id)),
        )
        .collect();
    for work in open.difference(&holdings.open) {
        let what = "is open and a start would not find it";
        found.push(Violation::new("open_work_is_marked", work, what));
    }
    for work in holdings.open.difference(&open) {
        let what = "is marked as open and is not";
        found.push(Violation::new("open_work_is_marked", work, what));
    }
}

/// Whatever has not ended has an instant at which the engine acts by itself.
pub(super) fn nothing_hangs(_: MerchantId, holdings: &Holdings, found: &mut Vec<Violation>) {
    for pos in holdings.pos.values() {
        let what = match (pos.stage, pos.deadline) {
            (Stage::Closed | Stage::Reversing, Some(_)) => "has ended and still has a deadline",
            (stage, None) if stage.occupies_terminal() => "has no deadline",
            _ => continue,
        };
        found.push(Violation::new("nothing_hangs", &pos.id, what));
    }
}

/// A closed POS transaction has a final outcome and nothing under way; an open one has none.
pub(super) fn closed_is_final(_: MerchantId, holdings: &Holdings, found: &mut Vec<Violation>) {
    for pos in holdings.pos.values() {
        let what = match (pos.stage, pos.outcome) {
            (Stage::Closed, None) => "is closed and has no outcome".to_owned(),
            (Stage::Closed, Some(outcome)) if !outcome.status.is_final() => {
                format!("is closed as {:?}", outcome.status)
            }
            (Stage::Closed, Some(_)) if pos.next_action_at.is_some() => {
                "is closed and says that the engine will act".to_owned()
            }
            (Stage::Closed, Some(_)) => continue,
            (stage, Some(outcome)) => {
                format!("is {} and ended as {:?}", stage.code(), outcome.status)
            }
            (_, None) => continue,
        };
        found.push(Violation::new("closed_is_final", &pos.id, what));
    }
}

/// What is in doubt has a reversal that is still owed, a reason, and an instant of the next try.
pub(super) fn doubt_is_being_resolved(
    _: MerchantId,
    holdings: &Holdings,
    found: &mut Vec<Violation>,
) {
    let in_doubt = holdings.pos.values();
    for pos in in_doubt.filter(|pos| pos.stage == Stage::Reversing) {
        let mut report =
            |what: &str| found.push(Violation::new("doubt_is_being_resolved", &pos.id, what));
        if pos.reversing_for.is_none() {
            report("is in doubt for no reason");
        }
        if pos.next_action_at.is_none() {
            report("is in doubt and does not say when the engine acts");
        }
        match current(holdings, pos) {
            Some(transaction) if owes_reversal(transaction) => {}
            Some(_) => report("is in doubt and its reversal is not owed"),
            None => report("is in doubt without a transaction"),
        }
    }
    for transaction in holdings.transactions.values() {
        if transaction.state == TransactionState::Reversing && !owes_reversal(transaction) {
            let what = "is in doubt and its reversal is not owed";
            found.push(Violation::new(
                "doubt_is_being_resolved",
                &transaction.id,
                what,
            ));
        }
    }
}

fn owes_reversal(transaction: &Transaction) -> bool {
    transaction.state == TransactionState::Reversing
        && transaction
            .reversal
            .is_some_and(|reversal| reversal.done_at.is_none())
}

/// The verdict on a cancel is what happened; only a void under way may still lack one.
pub(super) fn cancel_has_true_verdict(
    _: MerchantId,
    holdings: &Holdings,
    found: &mut Vec<Violation>,
) {
    for pos in holdings.pos.values() {
        let Some(cancel) = pos.cancel else { continue };
        let status = pos.status();
        let transaction = current(holdings, pos);
        let is_true = match cancel.verdict {
            None => match pos.stage {
                Stage::Authorizing | Stage::Confirming | Stage::Reversing => true,
                Stage::Closed => transaction.is_some_and(is_being_voided),
                Stage::Offered | Stage::SelectingTip | Stage::AwaitingCard => false,
            },
            Some(Verdict::Canceled) => matches!(status, PosStatus::Canceled | PosStatus::Failed),
            Some(Verdict::TooLateApproved) => status == PosStatus::Approved,
            Some(Verdict::TooLateDeclined) => status == PosStatus::Declined,
            // What a person says may differ from what the engine had decided to do.
            Some(Verdict::TooLateReversed) => {
                matches!(status, PosStatus::Reversed | PosStatus::InDoubt)
                    || transaction.is_some_and(|one| one.resolution.is_some())
            }
            Some(Verdict::TooLateVoided) => {
                transaction.is_some_and(|one| one.state == TransactionState::Voided)
            }
            Some(Verdict::AlreadyFinal) => {
                matches!(status, PosStatus::Failed | PosStatus::Canceled)
            }
        };
        if !is_true {
            let what = format!("is {status:?}, its cancel says {:?}", cancel.verdict);
            found.push(Violation::new("cancel_has_true_verdict", &pos.id, what));
        }
    }
}

fn is_being_voided(transaction: &Transaction) -> bool {
    let intent = transaction.intent.as_ref();
    intent.is_some_and(|intent| intent.kind == IntentKind::Void)
}

/// The transaction of the latest attempt.
pub(super) fn current<'a>(holdings: &'a Holdings, pos: &PosTransaction) -> Option<&'a Transaction> {
    holdings.transactions.get(&pos.current_transaction()?)
}
