//! A store whose rows lie over history. Owns which layer wins; must never write to history.

use std::sync::Arc;

use protocol::id::IncarnationId;

use super::{History, SPACES};
use crate::store::{
    Commit, Done, KeyValue, Logged, Position, ReadFault, Rows, SharedStore, Store, StreamId,
};

/// Rows over history.
pub struct Layered {
    store: SharedStore,
    history: Arc<History>,
}

impl Layered {
    /// A store over history.
    pub fn new(store: SharedStore, history: Arc<History>) -> Self {
        Self { store, history }
    }

    fn may_be_archived(&self, prefix: &[u8]) -> bool {
        let is_kept = prefix.first().is_none_or(|space| SPACES.contains(space));
        is_kept && !self.history.is_empty()
    }
}

// Everywhere the rows are read before history: a row goes into history before it leaves the rows,
// so that it is found in one of them whenever it moves.
impl Rows for Layered {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadFault> {
        match self.store.get(key)? {
            None if self.may_be_archived(key) => Ok(self.history.get(key)?),
            found => Ok(found),
        }
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, ReadFault> {
        let rows = self.store.scan(prefix, from, limit)?;
        if !self.may_be_archived(prefix) {
            return Ok(rows);
        }
        let until = end_of_full(&rows, limit);
        let archived = self.history.scan(prefix, from, until, limit)?;
        Ok(merge(rows, archived, limit, |row, archived| {
            row <= archived
        }))
    }

    fn scan_back(
        &self,
        prefix: &[u8],
        before: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, ReadFault> {
        let rows = self.store.scan_back(prefix, before, limit)?;
        if !self.may_be_archived(prefix) {
            return Ok(rows);
        }
        let until = end_of_full(&rows, limit);
        let archived = self.history.scan_back(prefix, before, until, limit)?;
        Ok(merge(rows, archived, limit, |row, archived| {
            row >= archived
        }))
    }

    fn head(&self, stream: StreamId) -> Result<u64, ReadFault> {
        self.store.head(stream)
    }

    fn incarnation(&self) -> Option<IncarnationId> {
        self.store.incarnation()
    }

    fn is_restored(&self) -> bool {
        self.store.is_restored()
    }
}

impl Store for Layered {
    fn commit(&self, commit: Commit, done: Done) {
        self.store.commit(commit, done);
    }

    fn is_exhausted(&self) -> bool {
        self.store.is_exhausted()
    }

    fn follow(&self, after: Position, limit: usize) -> Result<Vec<Logged>, ReadFault> {
        self.store.follow(after, limit)
    }
}

/// Behind what a full answer reaches, nothing of history can be a part of it: the usual case of a
/// page of new rows, which costs no look into a file.
fn end_of_full(rows: &[KeyValue], limit: usize) -> Option<&[u8]> {
    let last = rows.last().filter(|_| rows.len() >= limit);
    last.map(|(key, _)| key.as_slice())
}

/// Two sorted lists as one; of equal keys the row's value.
fn merge(
    rows: Vec<KeyValue>,
    archived: Vec<KeyValue>,
    limit: usize,
    is_first: impl Fn(&[u8], &[u8]) -> bool,
) -> Vec<KeyValue> {
    let mut merged = Vec::with_capacity(limit.min(rows.len() + archived.len()));
    let (mut rows, mut archived) = (rows.into_iter().peekable(), archived.into_iter().peekable());
    while merged.len() < limit {
        let next = match (rows.peek(), archived.peek()) {
            (Some((row, _)), Some((old, _))) => {
                if row == old {
                    archived.next();
                    rows.next()
                } else if is_first(row, old) {
                    rows.next()
                } else {
                    archived.next()
                }
            }
            (Some(_), None) => rows.next(),
            (None, _) => archived.next(),
        };
        match next {
            Some(row) => merged.push(row),
            None => break,
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(numbers: &[u8], value: u8) -> Vec<KeyValue> {
        numbers
            .iter()
            .map(|number| (vec![*number], vec![value]))
            .collect()
    }

    #[test]
    fn rows_hide_what_is_archived_and_pages_are_cut_after_the_merge() {
        let up = |limit| {
            let merged = merge(
                rows(&[2, 4, 5], 1),
                rows(&[1, 2, 3, 6], 0),
                limit,
                |a, b| a <= b,
            );
            let shown = merged.iter().map(|(key, value)| (key[0], value[0]));
            shown.collect::<Vec<_>>()
        };
        assert_eq!(up(9), [(1, 0), (2, 1), (3, 0), (4, 1), (5, 1), (6, 0)]);
        assert_eq!(up(3), [(1, 0), (2, 1), (3, 0)]);
        let down = merge(rows(&[5, 4, 2], 1), rows(&[6, 3, 2, 1], 0), 4, |a, b| {
            a >= b
        });
        let keys: Vec<u8> = down.iter().map(|(key, _)| key[0]).collect();
        assert_eq!(keys, [6, 5, 4, 3]);
    }
}
