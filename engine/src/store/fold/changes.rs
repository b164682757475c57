//! Changes that wait to be folded, the newest of each key. Owns their count and length; must never
//! hold two values of one key.

use std::collections::BTreeMap;

use super::{WINDOW_BYTES_MAX, WINDOW_MAX};
use crate::store::StreamId;
use crate::store::state::stream_of;

/// A row's key, and its value unless the row is removed.
pub(crate) type Entry = (Vec<u8>, Option<Vec<u8>>);

/// What commits have changed, the newest of each.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) rows: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Length of all keys and values of rows.
    pub(super) bytes: usize,
    pub(super) heads: BTreeMap<StreamId, u64>,
    /// The position of the last commit among them.
    pub(super) applied: Option<u64>,
}

impl Changes {
    pub(super) fn len(&self) -> usize {
        self.rows.len() + self.heads.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.heads.is_empty() && self.applied.is_none()
    }

    /// Puts rows, each in place of an older one of the same key.
    pub(super) fn put(&mut self, rows: impl Iterator<Item = Entry>) {
        let length = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
        for (key, value) in rows {
            let key_bytes = key.len();
            self.bytes += length(&value);
            match self.rows.insert(key, value) {
                Some(older) => self.bytes -= length(&older),
                None => self.bytes += key_bytes,
            }
        }
    }

    /// Whether there is enough to fold, whatever the time.
    pub(super) fn is_plenty(&self) -> bool {
        self.len() >= WINDOW_MAX / 2 || self.bytes >= WINDOW_BYTES_MAX / 2
    }

    /// The newest value at `key`; the outer `None` when nothing has changed there.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        match stream_of(key) {
            Some(stream) => {
                let head = self.heads.get(&stream)?;
                Some(Some(head.to_be_bytes().to_vec()))
            }
            None => self.rows.get(key).cloned(),
        }
    }
}
