//! Rules about money: what stands at the acquirer, and when it may move.

use std::collections::{BTreeMap, BTreeSet};

use engine::acquirer::host::{BookState, Host, Violations};
use engine::domain::pos::{PosTransaction, Verdict};
use engine::domain::time::Timestamp;
use engine::domain::transaction::{Transaction, TransactionState};
use protocol::id::{MerchantId, TransactionId};
use protocol::link::PosStatus;
use protocol::money::Money;

use super::{Checked, fail};
use crate::simulation::history::History;

/// A key never leads to two POS transactions, and a POS transaction never to two authorizations
/// that stand at the acquirer.
pub fn one_charge(history: &History, host: &Host) -> Checked {
    for (reference, made) in &history.by_reference {
        if made.len() > 1 {
            return fail("one_charge", format!("one key made {made:?} ({reference})"));
        }
    }
    let (mut charged, mut paid) = (BTreeMap::new(), BTreeMap::new());
    for (id, _) in host.book().standing() {
        let pos_id = history.pos_of(id);
        if let Some(other) = charged.insert(pos_id, id) {
            return fail(
                "one_charge",
                format!("{pos_id:?} is charged by {other} and {id}"),
            );
        }
        let reference = pos_id.and_then(|pos_id| history.reference_of(pos_id));
        if let Some(other) = reference.and_then(|reference| paid.insert(reference, id)) {
            let what = format!("{reference:?} is paid by {other} and {id}");
            return fail("one_charge", what);
        }
    }
    Ok(())
}

/// Every authorization that stands at the acquirer stands here with the same amount, and the
/// reverse.
pub fn books_agree(history: &History, host: &Host) -> Checked {
    let there: BTreeMap<TransactionId, Money> = host.book().standing().collect();
    let here: BTreeMap<TransactionId, Money> = history
        .transactions
        .values()
        .filter(|one| one.state == TransactionState::Approved)
        .map(|one| (one.id, one.total()))
        .collect();
    let ids: BTreeSet<_> = there.keys().chain(here.keys()).collect();
    let is_other = |id: &&TransactionId| {
        let (there, here) = (there.get(id), here.get(id));
        there != here
            && !(is_acquirers(history, **id, here) && is_free(history, "books_agree", **id))
    };
    match ids.into_iter().find(is_other) {
        Some(id) => {
            let (there, here) = (there.get(id), here.get(id));
            fail(
                "books_agree",
                format!("{id}: {there:?} there, {here:?} here"),
            )
        }
        None => Ok(()),
    }
}

/// Whether the acquirer's book alone is right about a transaction that a restore has lost: the
/// engine does not know it, or takes it for approved. What it takes for undone is undone.
fn is_acquirers(history: &History, id: TransactionId, here: Option<&Money>) -> bool {
    here.is_some() || !history.transactions.contains_key(&id)
}

/// Whether a restore has lost it, and the rule is relaxed for that.
fn is_free(history: &History, rule: &str, id: TransactionId) -> bool {
    history.lost.frees_transaction(rule, id)
}

/// A POS transaction that ended as anything but approved has nothing standing, and what was
/// canceled before any money moved was never approved at the acquirer.
pub fn canceled_means_no_charge(history: &History, host: &Host) -> Checked {
    for entry in host.book().entries() {
        let id = entry.transaction_id;
        let Some(pos) = history.pos_of(id).and_then(|id| history.pos.get(&id)) else {
            continue;
        };
        if is_free(history, "canceled_means_no_charge", id) {
            continue;
        }
        let status = pos.status();
        let is_canceled = status == PosStatus::Canceled
            || pos.cancel.and_then(|cancel| cancel.verdict) == Some(Verdict::Canceled);
        let is_wrong = is_canceled && entry.approved.is_some()
            || status != PosStatus::Approved && entry.standing().is_some();
        if is_wrong {
            let what = format!("{} is {status:?}, {id} is {:?}", pos.id, entry.state);
            return fail("canceled_means_no_charge", what);
        }
    }
    Ok(())
}

/// The acquirer is never asked twice for the same money, nor for another amount, nor under a
/// trace number of something else.
pub fn host_is_asked_rightly(history: &History, host: &Host) -> Checked {
    let mut violations = host.violations();
    if history.lost.has_earlier("host_is_asked_rightly") {
        violations.other_amounts = 0;
    }
    if violations == Violations::default() {
        Ok(())
    } else {
        fail("host_is_asked_rightly", format!("{violations:?}"))
    }
}

/// A request to the acquirer leaves only after its record is durable: what is not on record is
/// never touched.
pub fn money_moves_only_after_commit(history: &History, id: TransactionId) -> Checked {
    if history.transactions.contains_key(&id) {
        Ok(())
    } else {
        fail(
            "money_moves_only_after_commit",
            format!("{id} was sent and is not stored"),
        )
    }
}

/// Card data of an attempt that has expired, or that was not granted, is never authorized; `now`
/// is the true time of the decision.
pub fn no_expired_attempt_authorized(
    pos: &PosTransaction,
    transaction: &Transaction,
    now: Timestamp,
) -> Checked {
    let rule = "no_expired_attempt_authorized";
    match pos.attempt(transaction.attempt_id) {
        Some(attempt) if now > attempt.expires_at => {
            let late_ms = now.since_ms(attempt.expires_at);
            fail(
                rule,
                format!("{} is authorized {late_ms} ms late", attempt.id),
            )
        }
        Some(attempt) if attempt.transaction_id == Some(transaction.id) => Ok(()),
        _ => fail(rule, format!("{} belongs to no attempt", transaction.id)),
    }
}

/// What a merchant's POS transactions add up to is what stands at the acquirer: declined, failed,
/// reversed and voided ones, and attempts beside the last, count nothing.
pub fn totals_agree(history: &History, host: &Host) -> Checked {
    let mut here: BTreeMap<MerchantId, i64> = BTreeMap::new();
    for pos in history.pos.values() {
        let counts = pos.status() == PosStatus::Approved;
        let last = pos.current_transaction().filter(|_| counts);
        let transaction = last.and_then(|id| history.transactions.get(&id));
        let stands = |one: &&Transaction| {
            one.state == TransactionState::Approved && !is_free(history, "totals_agree", one.id)
        };
        if let Some(one) = transaction.filter(stands) {
            *here.entry(pos.merchant_id).or_default() += one.total().minor();
        }
    }
    let mut there: BTreeMap<MerchantId, i64> = BTreeMap::new();
    let entries = host.book().entries();
    for entry in entries.filter(|one| !is_free(history, "totals_agree", one.transaction_id)) {
        if let Some(standing) = entry.standing() {
            *there.entry(entry.merchant_id).or_default() += standing.minor();
        }
    }
    if here == there {
        Ok(())
    } else {
        fail("totals_agree", format!("{here:?} here, {there:?} there"))
    }
}

/// The commit of a reversal is irrevocable: nothing but its acknowledgement follows, and only a
/// late approval leads back to it.
pub fn reversal_is_irrevocable(before: &Transaction, after: &Transaction) -> Checked {
    use TransactionState as S;
    let is_kept = match before.state {
        S::Reversing => matches!(after.state, S::Reversing | S::Reversed),
        S::Reversed | S::NotSent => after.state == before.state || after.state == S::Reversing,
        S::Voided | S::Declined => after.state == before.state,
        S::Authorizing | S::Confirming | S::Approved => true,
    };
    if is_kept {
        Ok(())
    } else {
        let what = format!(
            "{} went from {:?} to {:?}",
            after.id, before.state, after.state
        );
        fail("reversal_is_irrevocable", what)
    }
}

/// What is stored as voided is voided at the acquirer.
pub fn voided_means_undone(transaction: &Transaction, host: &Host) -> Checked {
    let entry = host.book().find_transaction(transaction.id);
    let is_standing = entry.is_some_and(|entry| entry.state == BookState::Authorized);
    if transaction.state == TransactionState::Voided && is_standing {
        let what = format!("{} is told to be voided and stands", transaction.id);
        return fail("voided_means_undone", what);
    }
    Ok(())
}
