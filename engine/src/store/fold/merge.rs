//! Sorted entries as one sequence, the newer of two hiding the older. Must never read the state.

use std::iter::Peekable;
use std::ops::Bound;

use super::Overlay;
use super::changes::Entry;
use crate::store::range::KeyRange;

pub(super) type Entries = Vec<Entry>;

/// The overlay's entries in a range up to `limit` values, and the part of the range that they
/// cover: nothing of the state outside it can be among the first `limit`.
pub(super) fn gather(
    overlay: &Overlay,
    range: KeyRange,
    backwards: bool,
    limit: usize,
) -> (Entries, KeyRange) {
    let bounds = || {
        (
            range.0.as_ref().map(Vec::as_slice),
            range.1.as_ref().map(Vec::as_slice),
        )
    };
    let pending = overlay.pending.rows.range::<[u8], _>(bounds());
    let folding = overlay.folding.rows.range::<[u8], _>(bounds());
    let mut gathered = Entries::new();
    let mut values = 0;
    let mut collect = |entries: &mut dyn Iterator<Item = (&Vec<u8>, &Option<Vec<u8>>)>| {
        while values < limit {
            let Some((key, value)) = entries.next() else {
                return false;
            };
            values += usize::from(value.is_some());
            gathered.push((key.clone(), value.clone()));
        }
        true
    };
    let full = if backwards {
        collect(&mut Merge::new(pending.rev(), folding.rev(), true))
    } else {
        collect(&mut Merge::new(pending, folding, false))
    };
    let rest = match (full, gathered.last().map(|(key, _)| key.clone())) {
        (true, Some(last)) if backwards => (Bound::Included(last), range.1),
        (true, Some(last)) => (range.0, Bound::Included(last)),
        _ => range,
    };
    (gathered, rest)
}

/// Two sorted sequences as one; of equal keys the newer's entry.
pub(super) struct Merge<N: Iterator, O: Iterator> {
    newer: Peekable<N>,
    older: Peekable<O>,
    backwards: bool,
}

impl<N: Iterator, O: Iterator> Merge<N, O> {
    pub(super) fn new(newer: N, older: O, backwards: bool) -> Self {
        Self {
            newer: newer.peekable(),
            older: older.peekable(),
            backwards,
        }
    }
}

impl<K: Ord, V, N, O> Iterator for Merge<N, O>
where
    N: Iterator<Item = (K, V)>,
    O: Iterator<Item = (K, V)>,
{
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        let (Some((newer, _)), Some((older, _))) = (self.newer.peek(), self.older.peek()) else {
            return self.newer.next().or_else(|| self.older.next());
        };
        let order = if self.backwards {
            older.cmp(newer)
        } else {
            newer.cmp(older)
        };
        match order {
            std::cmp::Ordering::Less => self.newer.next(),
            std::cmp::Ordering::Equal => {
                self.older.next();
                self.newer.next()
            }
            std::cmp::Ordering::Greater => self.older.next(),
        }
    }
}
