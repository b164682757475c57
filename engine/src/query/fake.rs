//! Rows in a map, for tests of what reads them.

use std::collections::BTreeMap;
use std::sync::RwLock;

use crate::owner::work::Stored;
use crate::store::{
    Commit, CommitRefused, Done, KeyValue, Logged, Position, ReadFault, Rows, Store, StreamId,
};

/// Rows that tests put.
#[derive(Debug, Default)]
pub(crate) struct FakeStore(RwLock<BTreeMap<Vec<u8>, Vec<u8>>>);

impl FakeStore {
    pub(crate) fn put<T: Stored>(&self, key: Vec<u8>, value: &T) {
        self.0.write().unwrap().insert(key, value.to_bytes());
    }
}

impl Rows for FakeStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadFault> {
        Ok(self.0.read().unwrap().get(key).cloned())
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, ReadFault> {
        let rows = self.0.read().unwrap();
        let wanted = rows
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
            .filter(|(key, _)| from.is_none_or(|from| key.as_slice() >= from));
        Ok(wanted
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn scan_back(
        &self,
        prefix: &[u8],
        before: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, ReadFault> {
        let rows = self.0.read().unwrap();
        let wanted = rows
            .iter()
            .rev()
            .filter(|(key, _)| key.starts_with(prefix))
            .filter(|(key, _)| before.is_none_or(|before| key.as_slice() < before));
        Ok(wanted
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn head(&self, _: StreamId) -> Result<u64, ReadFault> {
        Ok(0)
    }
}

impl Store for FakeStore {
    fn is_exhausted(&self) -> bool {
        false
    }

    fn commit(&self, _: Commit, done: Done) {
        done(Err(CommitRefused::Closed));
    }

    fn follow(&self, _: Position, _: usize) -> Result<Vec<Logged>, ReadFault> {
        Ok(Vec::new())
    }
}
