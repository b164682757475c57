//! What the rows of a leaf held before a batch changes them. Must be asked in the order of the keys,
//! and before any of them is changed.

use std::iter::Peekable;

use sled::{Db, IVec};

use super::SealTrouble;
use crate::store::state::Change;

/// Rows that are passed over for each change, before every key is looked up by itself: about what a
/// look-up costs. (Most rows that a batch brings are new, at the end of their owner's: one look
/// behind the last row is enough for all of them. Measured 2026-11-21: a quarter of a fold.)
const PASSED_MAX: usize = if cfg!(test) { 1 } else { 4 };

/// The rows from the first changed key to the last, read once.
#[derive(Default)]
pub(super) struct Former {
    rows: Option<Peekable<sled::Iter>>,
    may_pass: usize,
}

impl Former {
    /// For changes of one leaf, in order.
    pub(super) fn of(rows: &Db, changes: &[Change<'_>]) -> Self {
        match changes {
            [(first, _), .., (last, _)] => Self {
                rows: Some(rows.range::<&[u8], _>(*first..=*last).peekable()),
                may_pass: changes.len().saturating_mul(PASSED_MAX),
            },
            _ => Self::default(),
        }
    }

    /// The value at the next changed key.
    ///
    /// # Errors
    /// sled's.
    pub(super) fn value(&mut self, rows: &Db, key: &[u8]) -> Result<Option<IVec>, SealTrouble> {
        while let Some(ahead) = &mut self.rows {
            let is_before = |row: &sled::Result<(IVec, IVec)>| match row {
                Ok((found, _)) => found.as_ref() <= key,
                Err(_) => true,
            };
            let Some(row) = ahead.next_if(is_before) else {
                return Ok(None);
            };
            let (found, value) = row?;
            if found == key {
                return Ok(Some(value));
            }
            match self.may_pass.checked_sub(1) {
                Some(left) => self.may_pass = left,
                None => self.rows = None,
            }
        }
        Ok(rows.get(key)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::faulty::Random;

    #[test]
    fn every_key_has_the_value_that_a_look_up_finds() {
        let root = tempfile::tempdir().unwrap();
        let config = sled::Config::new().path(root.path()).flush_every_ms(None);
        let rows = config.open().unwrap();
        for seed in 1..=60 {
            let mut random = Random::new(seed);
            rows.clear().unwrap();
            for number in 0..random.below(60) {
                let key = [u8::try_from(random.below(100)).unwrap()];
                rows.insert(key, &number.to_be_bytes()).unwrap();
            }
            let share = random.below(20) + 1;
            let keys: Vec<[u8; 1]> = (0..=100)
                .filter(|_| random.one_in(share))
                .map(|key| [key])
                .collect();
            let changes: Vec<Change<'_>> = keys.iter().map(|key| (key.as_slice(), None)).collect();
            let mut former = Former::of(&rows, &changes);
            for key in &keys {
                let found = former.value(&rows, key).unwrap();
                assert_eq!(found, rows.get(key).unwrap(), "seed {seed}, key {key:?}");
            }
        }
    }
}
