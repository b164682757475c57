//! The rules that hold in every world, as named functions over what was seen. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use engine::acquirer::host::{Host, Violations};
use engine::domain::pos::{PosTransaction, Verdict};
use engine::domain::time::Timestamp;
use engine::domain::transaction::{Transaction, TransactionState};
use protocol::id::{PosTransactionId, PrintJobId, TransactionId};
use protocol::link::PosStatus;
use protocol::money::Money;

use super::history::History;

/// A rule that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The checker's name.
    pub rule: &'static str,
    /// What was seen.
    pub what: String,
}

impl Violation {
    /// A violation of a rule.
    pub const fn new(rule: &'static str, what: String) -> Self {
        Self { rule, what }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.rule, self.what)
    }
}

/// What a checker says.
pub type Checked = Result<(), Violation>;

fn fail(rule: &'static str, what: String) -> Checked {
    Err(Violation::new(rule, what))
}

/// Rules about the end, when nothing is under way any more.
pub const AT_THE_END: [fn(&History, &Host) -> Checked; 6] = [
    host_is_asked_rightly,
    one_charge,
    canceled_means_no_charge,
    books_agree,
    verdicts_are_true,
    statuses_are_true,
];

/// A key never leads to two POS transactions, and a POS transaction never to two authorizations
/// that stand at the acquirer.
pub fn one_charge(history: &History, host: &Host) -> Checked {
    for (reference, made) in &history.by_reference {
        if made.len() > 1 {
            return fail("one_charge", format!("one key made {made:?} ({reference})"));
        }
    }
    let mut charged = BTreeMap::new();
    for (id, _) in host.book().standing() {
        let pos_id = history.pos_of.get(&id);
        if let Some(other) = charged.insert(pos_id, id) {
            return fail(
                "one_charge",
                format!("{pos_id:?} is charged by {other} and {id}"),
            );
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
    match ids.into_iter().find(|id| there.get(id) != here.get(id)) {
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

/// A POS transaction that ended as anything but approved has nothing standing, and what was
/// canceled before any money moved was never approved at the acquirer.
pub fn canceled_means_no_charge(history: &History, host: &Host) -> Checked {
    for entry in host.book().entries() {
        let id = entry.transaction_id;
        let pos_id = history.pos_of.get(&id);
        let Some(pos) = pos_id.and_then(|pos_id| history.pos.get(pos_id)) else {
            continue;
        };
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
pub fn host_is_asked_rightly(_history: &History, host: &Host) -> Checked {
    let violations = host.violations();
    if violations == Violations::default() {
        Ok(())
    } else {
        fail("host_is_asked_rightly", format!("{violations:?}"))
    }
}

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

/// An answer about a POS transaction shows a committed state, never a later or another one.
pub fn answer_is_committed(history: &History, answered: &PosTransaction) -> Checked {
    match history.pos.get(&answered.id) {
        None => fail(
            "answers_hold",
            format!("{} was answered and is not stored", answered.id),
        ),
        Some(known) if known.revision < answered.revision => {
            let (known, told) = (known.revision, answered.revision);
            fail(
                "answers_hold",
                format!("{}: told {told}, stored {known}", answered.id),
            )
        }
        Some(known) if known.revision == answered.revision && known != answered => fail(
            "answers_hold",
            format!("{} was answered in another form", answered.id),
        ),
        Some(_) => Ok(()),
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

/// A request for money leaves only after its record is durable.
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

/// A receipt reaches the printer at most once for each job, and only of a stored job.
pub fn prints_once(job_id: PrintJobId, times: u32) -> Checked {
    if times <= 1 {
        Ok(())
    } else {
        fail("prints_once", format!("{job_id} was printed {times} times"))
    }
}

/// The till says APPROVED only about what is durably approved.
pub fn approved_shown_only_after_commit(history: &History, shown: PosTransactionId) -> Checked {
    let status = history.pos.get(&shown).map(PosTransaction::status);
    if status == Some(PosStatus::Approved) {
        Ok(())
    } else {
        fail(
            "approved_shown_only_after_commit",
            format!("{shown} is {status:?}"),
        )
    }
}
