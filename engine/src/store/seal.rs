//! What the rows in the state must add up to: a digest for each stretch of neighbouring keys (a
//! *leaf*), one for each stretch of neighbouring leaves (a *node*), and one over all nodes (the
//! *root*). Must never let a row out whose leaf was not held against the root, level by level.
//!
//! sled checks every message that it reads, but at its opening it takes a damaged message in the
//! middle of its log for the end of a segment and goes on with the next (`pagecache/iterator.rs` of
//! 0.34.7): the rows that the rest of the segment changed are silently back at their old values
//! (measured 2026-11-21: 190 of 700 flipped bits in a file of 4.8 MB). So the state says itself
//! what it must hold. Every batch carries the new digests; a batch that is lost in part leaves sums
//! that do not match.
//!
//! Leaves and nodes are cut where they grow too long, wherever the keys happen to be dense: what is
//! held in memory is one entry for each node (some 16,000 rows), and a first look at a key reads one
//! node's leaves and one leaf's rows, however much there is beside them.

mod cutter;
mod form;
mod former;
mod ranges;
mod recent;
mod tree;
mod upgrade;

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

pub(crate) use form::is_bookkeeping;

use form::is_covered;
use ranges::Ranges;
use tree::Tree;

use super::state::Change;

/// The rows of a sled database, and what they must add up to.
pub(crate) struct SealedRows {
    rows: sled::Db,
    /// Held while rows change and while they are added up.
    tree: Mutex<Tree>,
    /// Keys between which everything was found to add up since the opening.
    verified: RwLock<Ranges>,
}

/// Why rows are not let out, or not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealTrouble {
    /// sled's.
    #[error(transparent)]
    Rows(#[from] sled::Error),
    /// Something is not what was written.
    #[error("{0}")]
    Damaged(String),
}

impl From<String> for SealTrouble {
    fn from(what: String) -> Self {
        Self::Damaged(what)
    }
}

impl From<&str> for SealTrouble {
    fn from(what: &str) -> Self {
        Self::Damaged(what.to_owned())
    }
}

impl SealedRows {
    /// Reads the root and its nodes. Digests of the first form are held against all rows, once,
    /// and replaced.
    ///
    /// # Errors
    /// Why the database is damaged.
    pub(crate) fn open(rows: sled::Db) -> Result<Self, SealTrouble> {
        let mut verified = Ranges::default();
        let tree = match Tree::open(&rows)? {
            Some(tree) => tree,
            None => {
                verified.insert(Vec::new(), None);
                upgrade::build(&rows)?
            }
        };
        upgrade::remove_first_form(&rows)?;
        Ok(Self {
            rows,
            tree: Mutex::new(tree),
            verified: RwLock::new(verified),
        })
    }

    /// The rows, for reading what was verified.
    pub(crate) const fn rows(&self) -> &sled::Db {
        &self.rows
    }

    fn lock(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far everything from `key` on is verified: not at all, up to a key, or all of it.
    fn verified_from(&self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        let verified = self.verified.read();
        let verified = verified.unwrap_or_else(PoisonError::into_inner);
        verified.around(key).map(|end| end.map(<[u8]>::to_vec))
    }

    fn is_verified(&self, from: &[u8], to: Option<&[u8]>) -> bool {
        let verified = self.verified.read();
        let verified = verified.unwrap_or_else(PoisonError::into_inner);
        match (verified.around(from), to) {
            (Some(None), _) => true,
            (Some(Some(end)), Some(to)) => to < end,
            _ => false,
        }
    }

    fn note_verified(&self, from: Vec<u8>, end: Option<Vec<u8>>) {
        let verified = self.verified.write();
        let mut verified = verified.unwrap_or_else(PoisonError::into_inner);
        verified.insert(from, end);
    }

    /// Holds the row at `key` against the digests, unless that was done since the opening.
    ///
    /// # Errors
    /// What does not add up.
    pub(crate) fn verify_key(&self, key: &[u8]) -> Result<(), SealTrouble> {
        if is_covered(key) {
            self.verify(key, Some(key))
        } else {
            Ok(())
        }
    }

    /// Holds every row between two keys, both included, against the digests, unless that was done
    /// since the opening.
    ///
    /// # Errors
    /// What does not add up.
    pub(crate) fn verify(&self, from: &[u8], to: Option<&[u8]>) -> Result<(), SealTrouble> {
        if self.is_verified(from, to) {
            return Ok(());
        }
        let mut at = from.to_vec();
        loop {
            let end = match self.verified_from(&at) {
                Some(end) => end,
                None => self.verify_leaf(&at)?,
            };
            match end {
                Some(end) if to.is_none_or(|to| end.as_slice() <= to) => at = end,
                _ => return Ok(()),
            }
        }
    }

    /// Adds up the leaf that `key` is in; returns where it ends.
    fn verify_leaf(&self, key: &[u8]) -> Result<Option<Vec<u8>>, SealTrouble> {
        let mut tree = self.lock();
        let leaf = tree.leaf(&self.rows, key)?;
        tree::check_rows(&self.rows, &leaf)?;
        self.note_verified(leaf.fence, leaf.end.clone());
        Ok(leaf.end)
    }

    /// Applies changes in order, all or none, with the digests that follow from them.
    ///
    /// # Errors
    /// sled's, or what does not add up.
    pub(crate) fn apply(
        &self,
        changes: &mut dyn Iterator<Item = Change<'_>>,
    ) -> Result<(), SealTrouble> {
        let mut changes: Vec<Change<'_>> = changes.collect();
        if !changes.is_sorted_by(|one, next| one.0 < next.0) {
            // Of the changes to one key the last.
            changes.reverse();
            changes.sort_by_key(|(key, _)| *key);
            changes.dedup_by_key(|(key, _)| *key);
        }
        let mut tree = self.lock();
        let changed = tree.apply(&self.rows, &changes)?;
        for leaf in changed {
            if let Some(leaf) = tree.mend(&self.rows, leaf)? {
                self.note_verified(leaf.fence, leaf.end);
            }
        }
        Ok(())
    }

    /// Puts everything that was applied before the call into sled's file.
    ///
    /// # Errors
    /// sled's.
    pub(crate) fn flush(&self) -> Result<(), SealTrouble> {
        self.rows.flush()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
