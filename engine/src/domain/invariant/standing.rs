//! Rules about what stands at the acquirer: once, under one trace, as the POS transaction says.

use std::collections::BTreeMap;

use protocol::id::{MerchantId, PosTransactionId, TransactionId};
use protocol::link::PosStatus;

use super::work::current;
use super::{Holdings, Violation};
use crate::domain::pos::{Attempt, AttemptState, PosTransaction, Stage};
use crate::domain::transaction::{Transaction, TransactionState};

/// Whether the acquirer may hold this as an authorization that nobody is undoing.
const fn may_stand(state: TransactionState) -> bool {
    matches!(
        state,
        TransactionState::Authorizing | TransactionState::Confirming | TransactionState::Approved
    )
}

/// At most one authorization of a POS transaction stands, or stood until it was voided.
pub(super) fn one_authorization_stands(
    _: MerchantId,
    holdings: &Holdings,
    found: &mut Vec<Violation>,
) {
    let mut stood: BTreeMap<PosTransactionId, TransactionId> = BTreeMap::new();
    for transaction in holdings.transactions.values() {
        let state = transaction.state;
        if !may_stand(state) && state != TransactionState::Voided {
            continue;
        }
        if let Some(other) = stood.insert(transaction.pos_id, transaction.id) {
            let what = format!("is charged by {other} and by {}", transaction.id);
            let id = transaction.pos_id;
            found.push(Violation::new("one_authorization_stands", &id, what));
        }
    }
}

/// An attempt and its transaction name each other; nothing is authorized outside an attempt.
pub(super) fn attempts_and_transactions_agree(
    _: MerchantId,
    holdings: &Holdings,
    found: &mut Vec<Violation>,
) {
    let rule = "attempts_and_transactions_agree";
    for transaction in holdings.transactions.values() {
        let pos = holdings.pos.get(&transaction.pos_id);
        let attempt = pos.and_then(|pos| pos.attempt(transaction.attempt_id));
        let what = match (pos, attempt) {
            (None, _) => format!("belongs to {}, which does not exist", transaction.pos_id),
            (Some(pos), None) => format!("belongs to no attempt of {}", pos.id),
            (Some(_), Some(attempt)) if attempt.transaction_id != Some(transaction.id) => {
                format!("{} names {:?}", attempt.id, attempt.transaction_id)
            }
            (Some(pos), Some(attempt)) if !is_same_matter(pos, attempt, transaction) => {
                format!("is about something else than {}", pos.id)
            }
            _ => continue,
        };
        found.push(Violation::new(rule, &transaction.id, what));
    }
    for pos in holdings.pos.values() {
        for attempt in &pos.attempts {
            let missing = attempt
                .transaction_id
                .filter(|id| !holdings.transactions.contains_key(id));
            if let Some(id) = missing {
                let what = format!("{} names {id}, which does not exist", attempt.id);
                found.push(Violation::new(rule, &pos.id, what));
            }
            let needs_one = !matches!(
                attempt.state,
                AttemptState::Granted | AttemptState::Ended(_)
            );
            if needs_one && attempt.transaction_id.is_none() {
                let what = format!("{} met the acquirer without a transaction", attempt.id);
                found.push(Violation::new(rule, &pos.id, what));
            }
        }
    }
}

fn is_same_matter(pos: &PosTransaction, attempt: &Attempt, transaction: &Transaction) -> bool {
    pos.terminal_id == transaction.terminal_id
        && pos.merchant_id == transaction.merchant_id
        && pos.kind == transaction.kind
        && pos.reference == transaction.reference
        && attempt.amount == transaction.requested
}

/// A POS transaction's stage and status are what its attempts and transactions say.
pub(super) fn status_agrees_with_transactions(
    _: MerchantId,
    holdings: &Holdings,
    found: &mut Vec<Violation>,
) {
    for pos in holdings.pos.values() {
        let attempt = pos.current_attempt().map(|attempt| attempt.state);
        let state = current(holdings, pos).map(|transaction| transaction.state);
        if !is_stage_of(pos, attempt, state) {
            let (stage, status) = (pos.stage.code(), pos.status());
            let state = state.map(TransactionState::code);
            let what = format!(
                "is {stage} and {status:?}, its attempt {attempt:?}, its transaction {state:?}"
            );
            found.push(Violation::new(
                "status_agrees_with_transactions",
                &pos.id,
                what,
            ));
        }
        let authorized = current(holdings, pos).and_then(|transaction| transaction.authorized);
        let has_approval = matches!(
            attempt,
            Some(AttemptState::Confirming | AttemptState::Approved)
        );
        if pos.approved != authorized.filter(|_| has_approval) {
            let what = format!("{:?} is approved, {authorized:?} authorized", pos.approved);
            found.push(Violation::new(
                "status_agrees_with_transactions",
                &pos.id,
                what,
            ));
        }
        let before = pos.attempts.len().saturating_sub(1);
        for earlier in pos.attempts.iter().take(before) {
            let transaction = earlier.transaction_id;
            let transaction = transaction.and_then(|id| holdings.transactions.get(&id));
            let is_over = matches!(
                earlier.state,
                AttemptState::Declined | AttemptState::Ended(_)
            );
            if !is_over || transaction.is_some_and(|one| may_stand(one.state)) {
                let what = format!("{} was followed by another and may stand", earlier.id);
                found.push(Violation::new(
                    "status_agrees_with_transactions",
                    &pos.id,
                    what,
                ));
            }
        }
    }
}

/// Whether stage and outcome are those of the latest attempt and its transaction.
fn is_stage_of(
    pos: &PosTransaction,
    attempt: Option<AttemptState>,
    transaction: Option<TransactionState>,
) -> bool {
    use AttemptState as A;
    use TransactionState as T;
    match (pos.stage, attempt, transaction) {
        (Stage::Offered | Stage::SelectingTip, None, None)
        | (Stage::AwaitingCard, Some(A::Granted), None)
        | (Stage::AwaitingCard, Some(A::Declined), Some(T::Declined))
        | (Stage::Authorizing, Some(A::Authorizing), Some(T::Authorizing))
        | (Stage::Confirming, Some(A::Confirming), Some(T::Confirming))
        | (Stage::Reversing, Some(A::Reversed(_)), Some(T::Reversing)) => true,
        (Stage::Closed, _, _) => match pos.status() {
            PosStatus::Approved => {
                attempt == Some(A::Approved) && matches!(transaction, Some(T::Approved | T::Voided))
            }
            // The last card that anybody decided about was declined.
            PosStatus::Declined => match attempt {
                Some(A::Declined) => transaction == Some(T::Declined),
                Some(A::Ended(_)) => {
                    transaction.is_none() && pos.attempts.iter().any(|one| one.state == A::Declined)
                }
                _ => false,
            },
            // An approval that comes late is reversed once more.
            PosStatus::Reversed => {
                matches!(attempt, Some(A::Reversed(_)))
                    && matches!(transaction, Some(T::Reversed | T::Reversing))
            }
            PosStatus::Canceled | PosStatus::Failed => match attempt {
                None | Some(A::Ended(_)) => matches!(
                    transaction,
                    None | Some(T::NotSent | T::Reversing | T::Reversed)
                ),
                // Canceled before the next card.
                Some(A::Declined) => transaction == Some(T::Declined),
                _ => false,
            },
            PosStatus::InProgress | PosStatus::InDoubt => false,
        },
        _ => false,
    }
}

/// A transaction's parts fit its state.
pub(super) fn transaction_is_consistent(
    _: MerchantId,
    holdings: &Holdings,
    found: &mut Vec<Violation>,
) {
    use TransactionState as T;
    for transaction in holdings.transactions.values() {
        let mut report = |what: &str| {
            let what = format!("is {} and {what}", transaction.state.code());
            found.push(Violation::new(
                "transaction_is_consistent",
                &transaction.id,
                what,
            ));
        };
        let is_approved = matches!(transaction.state, T::Confirming | T::Approved | T::Voided);
        let is_undone = matches!(transaction.state, T::Reversing | T::Reversed);
        // A person may know better than the acquirer's words.
        let is_resolved = transaction.resolution.is_some();
        if is_approved && transaction.authorized.is_none() {
            report("holds no approved amount");
        }
        if is_approved && transaction.host.is_none() && !is_resolved {
            report("holds no approval");
        }
        if !is_approved && !is_undone && transaction.authorized.is_some() && !is_resolved {
            report("holds an approval");
        }
        if !is_undone && transaction.reversal.is_some() && !is_resolved {
            report("holds a reversal");
        }
        let is_done = transaction.reversal.map(|one| one.done_at.is_some());
        if transaction.state == T::Reversed && is_done != Some(true) {
            report("its reversal was never acknowledged");
        }
        if is_resolved && transaction.state != T::Reversing && is_done == Some(false) {
            report("was resolved and its reversal goes on");
        }
        if transaction.intent.is_some() && transaction.state != T::Approved {
            report("something else is asked of the acquirer");
        }
        if !matches!(transaction.state, T::Approved | T::Voided)
            && !transaction.tip_revisions.is_empty()
        {
            report("its tip was changed");
        }
        if !holdings.terminals.contains_key(&transaction.terminal_id) {
            report("its terminal does not exist");
        }
    }
}

/// The acquirer finds a transaction by terminal, trace number and time: never two by the same.
pub(super) fn trace_is_used_once(_: MerchantId, holdings: &Holdings, found: &mut Vec<Violation>) {
    let rule = "trace_is_used_once";
    let mut used = BTreeMap::new();
    for transaction in holdings.transactions.values() {
        let trace = transaction.trace;
        if !(1..=999_999).contains(&trace.number) {
            let what = format!("has the trace number {}", trace.number);
            found.push(Violation::new(rule, &transaction.id, what));
        }
        let key = (transaction.terminal_id, trace.number, trace.sent_at);
        if let Some(other) = used.insert(key, transaction.id) {
            let what = format!("has trace number {} and time of {other}", trace.number);
            found.push(Violation::new(rule, &transaction.id, what));
        }
    }
    if holdings.trace.is_none()
        && let Some(transaction) = holdings.transactions.values().next()
    {
        let what = "was sent, and no trace number is on record as used";
        found.push(Violation::new(rule, &transaction.id, what));
    }
}
