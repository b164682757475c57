//! History's part of `engine fsck`: what is in it, what must be, and the rules for its rows and the
//! state's together. Reads one merchant at a time: a past need not fit into memory.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::MerchantId;

use super::fsck::{Finding, HISTORY_IS_INTACT, Report};
use crate::domain::invariant::Violation;
use crate::domain::transaction::Transaction;
use crate::history::{HISTORY_DIRECTORY, History, SPACES};
use crate::owner::inspect::Inspection;
use crate::owner::key;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// What is in history, and what is not though it should be.
pub(super) struct Archived<'a> {
    history: Option<&'a History>,
    missing: BTreeSet<Vec<u8>>,
    owners: BTreeSet<MerchantId>,
}

/// Whose a row is: what follows the space of its key. Partners' rows are nobody's.
fn owner_of(row_key: &[u8]) -> Option<MerchantId> {
    let (space, rest) = row_key.split_first()?;
    let id = rest.first_chunk::<16>()?;
    (*space != key::PARTNER).then(|| MerchantId::from_bytes(*id))
}

impl<'a> Archived<'a> {
    /// Of a history, or of none that can be read.
    pub(super) const fn of(history: Option<&'a History>) -> Self {
        Self {
            history,
            missing: BTreeSet::new(),
            owners: BTreeSet::new(),
        }
    }

    /// A row of this key was removed from the state: it is in history if rows of its kind are. What
    /// is damaged is named elsewhere.
    pub(super) fn expect(&mut self, row_key: &[u8]) {
        let is_kept = row_key.first().is_some_and(|space| SPACES.contains(space));
        let is_missing = self
            .history
            .is_some_and(|history| matches!(history.get(row_key), Ok(None)));
        if is_kept && is_missing {
            self.missing.insert(row_key.to_vec());
        }
    }

    /// Reads history whole.
    pub(super) fn check(&mut self, report: &mut Report) {
        let (owners, mut strangers) = (&mut self.owners, 0);
        let mut last = None;
        let damaged = self.history.map(|history| {
            history.read_all(|row_key, _| {
                let is_kept = row_key.first().is_some_and(|space| SPACES.contains(space));
                let owner = owner_of(row_key);
                if !is_kept {
                    strangers += 1;
                } else if owner != last {
                    owners.extend(owner);
                    last = owner;
                }
            })
        });
        for error in damaged.unwrap_or_default() {
            report.find(HISTORY_IS_INTACT, HISTORY_DIRECTORY, error);
        }
        if strangers > 0 {
            let what = format!("{strangers} rows are of a kind that is never archived");
            report.find(HISTORY_IS_INTACT, HISTORY_DIRECTORY, what);
        }
        for row_key in &self.missing {
            let what = "was removed from the state and is not in history";
            report.find("history_is_complete", &hex::encode(row_key), what);
        }
    }

    /// A merchant's archived rows; `None` when one of them is in a damaged block.
    fn rows_of(&self, owner: MerchantId) -> Option<Rows> {
        let mut rows = Rows::new();
        if let Some(history) = self.history {
            for space in SPACES {
                let prefix = key::of_merchant(space, owner);
                rows.extend(history.scan(&prefix, None, None, usize::MAX).ok()?);
            }
        }
        Some(rows)
    }
}

/// What all rows together violate, and what there is to compare with other books.
#[derive(Default)]
pub(super) struct Inspected {
    violations: Vec<Violation>,
    notes: Vec<String>,
    archived: usize,
    count: usize,
    /// All transactions, if they are wanted.
    pub(super) transactions: Vec<Transaction>,
}

impl Inspected {
    /// Holds the state's rows over history against every rule, merchant by merchant.
    pub(super) fn of(rows: &Rows, archived: &Archived<'_>, keeps_transactions: bool) -> Self {
        let mut inspected = Self::default();
        let nobodys = rows.iter().filter(|(key, _)| owner_of(key).is_none());
        let mut rest = Inspection::read(nobodys);
        inspected.violations.extend(rest.violations());
        let spaces: BTreeSet<u8> = rows.keys().filter_map(|key| key.first().copied()).collect();
        let mut owners = archived.owners.clone();
        owners.extend(rows.keys().filter_map(|row_key| owner_of(row_key)));
        for owner in owners {
            let Some(mut all) = archived.rows_of(owner) else {
                let what = format!("{owner} was not inspected: its history is damaged");
                inspected.notes.push(what);
                continue;
            };
            inspected.archived += all.len();
            for space in spaces.iter().filter(|space| **space != key::PARTNER) {
                let prefix = key::of_merchant(*space, owner);
                let own = rows.range(prefix.clone()..);
                let own = own.take_while(|(key, _)| key.starts_with(&prefix));
                all.extend(own.map(|(key, value)| (key.clone(), value.clone())));
            }
            let mut one = Inspection::read(&all);
            drop(all);
            std::mem::swap(&mut one.partners, &mut rest.partners);
            inspected.violations.extend(one.violations());
            std::mem::swap(&mut one.partners, &mut rest.partners);
            inspected.count += one.transactions().count();
            if keeps_transactions {
                inspected.transactions.extend(one.transactions().cloned());
            }
        }
        inspected.violations.sort();
        inspected
    }

    /// Writes down what was found.
    pub(super) fn tell(&mut self, report: &mut Report) {
        let violations = std::mem::take(&mut self.violations).into_iter();
        report
            .findings
            .extend(violations.map(|broken| Finding::new(broken.rule, &broken.id, broken.what)));
        report.notes.append(&mut self.notes);
        (report.transactions, report.archived) = (self.count, self.archived);
    }
}
