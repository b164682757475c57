//! A unit of work: what one decision reads, writes and causes.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::domain::idempotency::Claim;
use crate::domain::time::Timestamp;
use crate::store::{KeyValue, ReadFault, Record, Row, Rows};

use super::event::Event;
use super::quarantine::{Identity, Suspicion};

/// Makes ids. The shell's is random and time-ordered; a simulation's is seeded.
pub trait Ids {
    /// A fresh UUIDv7.
    fn next(&mut self) -> Uuid;
}

/// A row as the store keeps it: the stored form of a domain value.
pub trait Stored: Sized {
    /// Bytes of the current version.
    fn to_bytes(&self) -> Vec<u8>;

    /// Reads any version there ever was; `None` when the bytes are damaged.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

/// What a decision may use and what it leaves behind. Effects leave only after the commit.
pub struct Work<'a, E> {
    /// The instant of the decision.
    pub now: Timestamp,
    ids: &'a mut dyn Ids,
    rows: &'a dyn Rows,
    written: &'a mut Written,
    records: &'a mut Vec<Record>,
    effects: &'a mut Vec<E>,
    suspicion: &'a mut Suspicion,
}

/// Where in a group's records each row was written last: its record, and its place there.
pub(super) type Written = BTreeMap<Vec<u8>, (usize, usize)>;

impl<E> std::fmt::Debug for Work<'_, E> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Work")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

impl<'a, E> Work<'a, E> {
    /// A unit of work over committed rows and what this group of decisions has written so far.
    pub(super) fn new(
        now: Timestamp,
        ids: &'a mut dyn Ids,
        rows: &'a dyn Rows,
        written: &'a mut Written,
        records: &'a mut Vec<Record>,
        effects: &'a mut Vec<E>,
        suspicion: &'a mut Suspicion,
    ) -> Self {
        Self {
            now,
            ids,
            rows,
            written,
            records,
            effects,
            suspicion,
        }
    }

    /// Begins with a part of what is due; false when it is in quarantine and must be left alone.
    pub fn takes_up(&mut self, part: Identity) -> bool {
        self.suspicion.takes_up(part)
    }

    /// A fresh id.
    pub fn id(&mut self) -> Uuid {
        self.ids.next()
    }

    /// The row at `key`, with what this group has written.
    ///
    /// # Errors
    /// [`ReadFault`] when the storage fails or the row is damaged.
    pub fn get<T: Stored>(&self, key: &[u8]) -> Result<Option<T>, ReadFault> {
        if let Some(written) = self.written(key) {
            return written.map(|bytes| decode(key, bytes)).transpose();
        }
        let bytes = self.rows.get(key)?;
        bytes.map(|bytes| decode(key, &bytes)).transpose()
    }

    /// What this group has written at `key`, if it has.
    fn written(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        let (record, row) = *self.written.get(key)?;
        let row = self.records.get(record)?.rows.get(row)?;
        Some(row.value.as_deref())
    }

    /// Whether there is a row at `key`.
    ///
    /// # Errors
    /// [`ReadFault`] when the storage fails.
    pub fn exists(&self, key: &[u8]) -> Result<bool, ReadFault> {
        match self.written(key) {
            Some(written) => Ok(written.is_some()),
            None => Ok(self.rows.get(key)?.is_some()),
        }
    }

    /// Whether the row at `key` has exactly these bytes.
    ///
    /// # Errors
    /// [`ReadFault`] when the storage fails.
    pub fn is_at(&self, key: &[u8], value: &[u8]) -> Result<bool, ReadFault> {
        match self.written(key) {
            Some(written) => Ok(written == Some(value)),
            None => Ok(self.rows.get(key)?.as_deref() == Some(value)),
        }
    }

    /// Begins a record of what happened; later puts belong to it.
    pub fn happened(&mut self, kind: &str, object: &dyn std::fmt::Display) {
        self.records.push(Record {
            event: Event::bytes(self.now, kind, object),
            rows: Vec::new(),
        });
    }

    /// Writes a row.
    pub fn put<T: Stored>(&mut self, key: Vec<u8>, value: &T) {
        self.write(key, Some(value.to_bytes()));
    }

    /// Writes an empty row: a mark.
    pub fn mark(&mut self, key: Vec<u8>) {
        self.write(key, Some(Vec::new()));
    }

    /// Removes a row.
    pub fn remove(&mut self, key: Vec<u8>) {
        self.write(key, None);
    }

    fn write(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        if self.records.is_empty() {
            self.records.push(Record {
                event: Vec::new(),
                rows: Vec::new(),
            });
        }
        let last = self.records.len().saturating_sub(1);
        if let Some(record) = self.records.last_mut() {
            self.written.insert(key.clone(), (last, record.rows.len()));
            record.rows.push(Row { key, value });
        }
    }

    /// Removes idempotency keys that have expired, among `limit` in their space from `from` on. To
    /// be called in a commit that claims a key. Returns the last one, unless there are no more.
    ///
    /// # Errors
    /// [`ReadFault`] when the storage fails.
    pub fn sweep_claims(
        &mut self,
        space: &[u8],
        from: &[u8],
        limit: usize,
    ) -> Result<Option<Vec<u8>>, ReadFault> {
        let mut rows = self.rows.scan(space, Some(from), limit)?;
        for (key, _) in &rows {
            // What this group has written counts, not what the scan saw. A damaged row stays for
            // whoever looks for damage: it must not stop a sale.
            let found = self.get::<Claim>(key).unwrap_or_default();
            if found.is_some_and(|claim| claim.is_expired(self.now)) {
                self.remove(key.clone());
            }
        }
        let is_full = rows.len() >= limit;
        Ok(rows.pop().filter(|_| is_full).map(|(key, _)| key))
    }

    /// Where this decision's effects begin.
    pub(super) fn effect_mark(&self) -> usize {
        self.effects.len()
    }

    /// Takes back the effects from a mark on.
    pub(super) fn take_effects(&mut self, mark: usize) -> Vec<E> {
        let mark = mark.min(self.effects.len());
        self.effects.split_off(mark)
    }

    /// Causes something once the commit is durable.
    pub fn effect(&mut self, effect: E) {
        self.effects.push(effect);
    }
}

/// Reads a row's value.
///
/// # Errors
/// [`ReadFault`] naming the key's space when the bytes are damaged.
pub fn decode<T: Stored>(key: &[u8], bytes: &[u8]) -> Result<T, ReadFault> {
    T::from_bytes(bytes).ok_or_else(|| {
        ReadFault(format!(
            "damaged row in space {:?}",
            key.first().copied().map(char::from)
        ))
    })
}

/// Reads the values of scanned rows.
///
/// # Errors
/// [`ReadFault`] when one is damaged.
pub fn decode_all<T: Stored>(rows: &[KeyValue]) -> Result<Vec<T>, ReadFault> {
    rows.iter().map(|(key, bytes)| decode(key, bytes)).collect()
}
