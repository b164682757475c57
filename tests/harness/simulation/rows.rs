//! The store as an owner reads it, and what a client's answer is stored as.

use engine::domain::idempotency::StoredAnswer;
use engine::owner::key;
use engine::owner::request::Answer;
use engine::store::{KeyValue, MemoryStore, ReadFault, Rows, StreamId};

use super::fault::Sabotage;
use super::world::World;

/// The store's rows; a sabotaged one hides the marks of open work.
pub struct View<'a> {
    store: &'a MemoryStore,
    hides_open: bool,
}

impl World {
    /// What an owner sees.
    pub fn rows<'a>(&self, store: &'a MemoryStore) -> View<'a> {
        View {
            store,
            hides_open: self.sabotage == Some(Sabotage::ForgetOpenWork),
        }
    }
}

impl Rows for View<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadFault> {
        self.store.get(key)
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, ReadFault> {
        if self.hides_open && prefix.first() == Some(&key::OPEN) {
            return Ok(Vec::new());
        }
        self.store.scan(prefix, from, limit)
    }

    fn scan_back(
        &self,
        prefix: &[u8],
        before: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, ReadFault> {
        self.store.scan_back(prefix, before, limit)
    }

    fn head(&self, stream: StreamId) -> Result<u64, ReadFault> {
        self.store.head(stream)
    }
}

/// What a repeat of a client's request gets: every word of the answer.
pub fn render(answer: &Answer) -> StoredAnswer {
    StoredAnswer {
        status: 201,
        body: format!("{answer:?}").into_bytes(),
    }
}
