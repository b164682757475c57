//! What an engine that was restored from an older backup has lost, and which rules that relaxes:
//! [`RELAXED`], for nothing but what was made or moved after the backup. Pure.
//!
//! Every rule that is not in the table holds after a restore as ever, and so does every rule in it
//! for everything else, and for what is said after the restore.

use std::collections::{BTreeMap, BTreeSet};

use engine::domain::pos::PosTransaction;
use engine::domain::transaction::Transaction;
use protocol::id::{PosTransactionId, PrintJobId, TransactionId};
use protocol::link::PosStatus;

use super::history::History;

/// What a rule is relaxed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A POS transaction that was made after the backup: the restored engine has never heard of it.
    PosUnknown,
    /// A POS transaction that moved after the backup: known in an earlier state.
    PosEarlier,
    /// A transaction that was made after the backup.
    TransactionUnknown,
    /// A transaction that moved after the backup.
    TransactionEarlier,
    /// An idempotency key that was claimed, or got its answer, after the backup.
    Key,
    /// A receipt whose first print was asked for after the backup.
    Receipt,
}

/// Rule, for what, and why nobody could keep it (docs/operations.md).
pub const RELAXED: &[(&str, Kind, &str)] = &{
    use Kind as K;
    [
        (
            "answered_is_kept",
            K::PosUnknown,
            "it is 404: what was answered after the backup is lost",
        ),
        ("answered_is_kept", K::PosEarlier, "the same"),
        ("answered_is_kept", K::TransactionUnknown, "the same"),
        ("answered_is_kept", K::TransactionEarlier, "the same"),
        (
            "final_stays_final",
            K::PosEarlier,
            "it was open at the backup: it fails, or is reversed",
        ),
        (
            "terminals_are_told_committed",
            K::PosUnknown,
            "a till that names it is told that it is over, once: unknown_to_engine",
        ),
        (
            "terminals_are_told_committed",
            K::PosEarlier,
            "the same, of a card that came after the backup",
        ),
        (
            "approved_shown_only_after_commit",
            K::PosUnknown,
            "a till may be about to show what it was told before",
        ),
        (
            "approved_shown_only_after_commit",
            K::PosEarlier,
            "the same",
        ),
        (
            "told_is_true",
            K::TransactionUnknown,
            "an engine that knows the POS transaction cannot know of this card; the book names it",
        ),
        (
            "repeats_are_unchanged",
            K::TransactionEarlier,
            "what was asked since is not known, and what was pending is asked again",
        ),
        (
            "replay_is_same",
            K::Key,
            "a repeat is new; callers were told not to repeat",
        ),
        (
            "first_print_once",
            K::Receipt,
            "nobody here knows that paper came out",
        ),
        (
            "canceled_means_no_charge",
            K::TransactionUnknown,
            "the engine never touches it; the comparison with the book names it",
        ),
        ("books_agree", K::TransactionUnknown, "the same"),
        ("totals_agree", K::TransactionUnknown, "the same"),
        (
            "books_agree",
            K::TransactionEarlier,
            "approved here, and voided or adjusted since: the acquirer's book is right",
        ),
        ("totals_agree", K::TransactionEarlier, "the same"),
        (
            "host_is_asked_rightly",
            K::TransactionEarlier,
            "a void names the amount of before an adjustment that was lost",
        ),
    ]
};

/// What was lost, by all restores so far.
#[derive(Debug, Clone, Default)]
pub struct Lost {
    pos: BTreeMap<PosTransactionId, LostPos>,
    transactions: BTreeMap<TransactionId, LostTransaction>,
    /// Names of everything that was made after the backup.
    objects: BTreeSet<String>,
}

#[derive(Debug, Clone)]
struct LostPos {
    kind: Kind,
    status: PosStatus,
    reference: String,
}

#[derive(Debug, Clone)]
struct LostTransaction {
    kind: Kind,
    pos_id: PosTransactionId,
}

impl Lost {
    /// Takes in what a restore has lost: what `before` has and `after` has not, or has otherwise.
    pub fn add(&mut self, before: &History, after: &History) {
        for (id, pos) in &before.pos {
            let known = after.pos.get(id).map(|known| known.revision);
            let kind = match known {
                None => Kind::PosUnknown,
                Some(revision) if revision < pos.revision => Kind::PosEarlier,
                Some(_) => continue,
            };
            self.pos.insert(*id, LostPos::of(pos, kind));
        }
        for (id, one) in &before.transactions {
            let known = after.transactions.get(id).map(|known| known.revision);
            let kind = match known {
                None => Kind::TransactionUnknown,
                Some(revision) if revision < one.revision => Kind::TransactionEarlier,
                Some(_) => continue,
            };
            self.transactions
                .insert(*id, LostTransaction::of(one, kind));
        }
        let objects = before.objects.difference(&after.objects);
        self.objects.extend(objects.cloned());
    }

    /// Whether a rule is relaxed for a POS transaction.
    pub fn frees_pos(&self, rule: &str, id: PosTransactionId) -> bool {
        let lost = self.pos.get(&id);
        lost.is_some_and(|lost| is_relaxed(rule, lost.kind))
    }

    /// Whether a rule is relaxed for a transaction.
    pub fn frees_transaction(&self, rule: &str, id: TransactionId) -> bool {
        let lost = self.transactions.get(&id);
        lost.is_some_and(|lost| is_relaxed(rule, lost.kind))
    }

    /// Whether a rule is relaxed for a receipt that this job has printed first.
    pub fn frees_receipt(&self, rule: &str, job_id: PrintJobId) -> bool {
        is_relaxed(rule, Kind::Receipt) && self.objects.contains(&job_id.to_string())
    }

    /// Whether the restored engine has never heard of it.
    pub fn is_unknown_pos(&self, id: PosTransactionId) -> bool {
        let lost = self.pos.get(&id);
        lost.is_some_and(|lost| lost.kind == Kind::PosUnknown)
    }

    /// Whether the restored engine has never heard of it.
    pub fn is_unknown(&self, id: TransactionId) -> bool {
        let lost = self.transactions.get(&id);
        lost.is_some_and(|lost| lost.kind == Kind::TransactionUnknown)
    }

    /// Whether it was approved when it was lost.
    pub fn was_approved(&self, id: PosTransactionId) -> bool {
        let lost = self.pos.get(&id);
        lost.is_some_and(|lost| lost.status == PosStatus::Approved)
    }

    /// The POS transaction of a transaction that was lost.
    pub fn pos_of(&self, id: TransactionId) -> Option<PosTransactionId> {
        self.transactions.get(&id).map(|lost| lost.pos_id)
    }

    /// The reference of a POS transaction that was lost.
    pub fn reference_of(&self, id: PosTransactionId) -> Option<&str> {
        self.pos.get(&id).map(|lost| lost.reference.as_str())
    }

    /// POS transactions that were lost.
    pub fn pos(&self) -> impl Iterator<Item = PosTransactionId> {
        self.pos.keys().copied()
    }

    /// Transactions that were lost.
    pub fn transactions(&self) -> impl Iterator<Item = TransactionId> {
        self.transactions.keys().copied()
    }

    /// Whether a rule is relaxed because a transaction is known in an earlier state.
    pub fn has_earlier(&self, rule: &str) -> bool {
        let kinds = || self.transactions.values().map(|lost| lost.kind);
        is_relaxed(rule, Kind::TransactionEarlier)
            && kinds().any(|kind| kind == Kind::TransactionEarlier)
    }
}

impl LostPos {
    fn of(pos: &PosTransaction, kind: Kind) -> Self {
        Self {
            kind,
            status: pos.status(),
            reference: pos.reference.clone().unwrap_or_default(),
        }
    }
}

impl LostTransaction {
    const fn of(one: &Transaction, kind: Kind) -> Self {
        Self {
            kind,
            pos_id: one.pos_id,
        }
    }
}

/// Whether the table relaxes a rule for this kind.
pub fn is_relaxed(rule: &str, kind: Kind) -> bool {
    let mut rows = RELAXED.iter();
    rows.any(|(relaxed, of, _)| *relaxed == rule && *of == kind)
}
