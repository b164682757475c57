//! The store as an owner reads it, and what a client's answer is stored as.

use engine::domain::idempotency::StoredAnswer;
use engine::domain::merchant::Terminal;
use engine::domain::transaction::{Transaction, TransactionState};
use engine::owner::key;
use engine::owner::request::Answer;
use engine::owner::work::Stored as _;
use engine::store::{KeyValue, MemoryStore, ReadFault, Rows, StreamId};
use protocol::id::IncarnationId;

use super::sabotage::{Sabotage, counted_here, is_counters};
use super::world::World;

/// The store's rows; a sabotage hides some, or shows what is not there.
pub struct View<'a> {
    store: &'a MemoryStore,
    sabotage: Option<Sabotage>,
    folded: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl World {
    /// What an owner sees.
    pub fn rows<'a>(&self, store: &'a MemoryStore) -> View<'a> {
        let folded = self.lies.folded.iter();
        View {
            store,
            sabotage: self.sabotage,
            folded: folded
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        }
    }
}

impl View<'_> {
    fn hides(&self, row_key: &[u8]) -> bool {
        match (self.sabotage, row_key.first()) {
            (Some(Sabotage::ForgetOpenWork), Some(&key::OPEN))
            | (Some(Sabotage::ReuseTraces), Some(&key::COUNTERS))
            | (Some(Sabotage::ForgetCopies), Some(&key::COPY_MARK)) => true,
            (Some(Sabotage::DropReversalsOnRestart), Some(&key::OPEN)) => self.is_reversal(row_key),
            _ => false,
        }
    }

    /// What a sabotage makes of a row.
    fn with_lies(&self, row_key: &[u8], row: Vec<u8>) -> Vec<u8> {
        match self.sabotage {
            Some(Sabotage::NoTraceJump) if is_counters(row_key) => {
                counted_here(row, self.incarnation())
            }
            Some(Sabotage::UnnoticedCopy) => without_copy(row_key, row, |_| true),
            Some(Sabotage::ForgetCopy) => {
                without_copy(row_key, row, |terminal| terminal.installations.is_duplicate)
            }
            _ => row,
        }
    }

    /// Whether a mark of open work is that of a reversal.
    fn is_reversal(&self, mark: &[u8]) -> bool {
        let row_key = key::opened(mark).filter(|row| row.first() == Some(&key::TRANSACTION));
        let row = row_key.and_then(|row_key| self.store.get(&row_key).ok().flatten());
        let transaction = row.and_then(|row| Transaction::from_bytes(&row));
        transaction.is_some_and(|one| one.state == TransactionState::Reversing)
    }
}

impl Rows for View<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadFault> {
        if self.hides(key) {
            return Ok(None);
        }
        let value = match self.folded.iter().find(|(folded, _)| folded == key) {
            Some((_, value)) => value.clone(),
            None => self.store.get(key)?,
        };
        Ok(value.map(|value| self.with_lies(key, value)))
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, ReadFault> {
        let mut found = self.store.scan(prefix, from, limit)?;
        for (key, value) in self
            .folded
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
        {
            found.retain(|(known, _)| known != key);
            found.extend(value.clone().map(|value| (key.clone(), value)));
        }
        if !self.folded.is_empty() {
            found.sort();
        }
        found.retain(|(key, _)| !self.hides(key));
        Ok(found)
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

    fn incarnation(&self) -> Option<IncarnationId> {
        self.store.incarnation()
    }

    fn is_restored(&self) -> bool {
        self.store.is_restored()
    }
}

/// A terminal's row without what it says of a copy, where somebody forgets it.
fn without_copy(row_key: &[u8], row: Vec<u8>, forgets: impl Fn(&Terminal) -> bool) -> Vec<u8> {
    if row_key.first() != Some(&key::TERMINAL) {
        return row;
    }
    match Terminal::from_bytes(&row) {
        Some(mut terminal) if forgets(&terminal) => {
            terminal.installations.renew();
            terminal.to_bytes()
        }
        _ => row,
    }
}

/// What a repeat of a client's request gets: every word of the answer.
pub fn render(answer: &Answer) -> StoredAnswer {
    StoredAnswer {
        status: 201,
        body: format!("{answer:?}").into_bytes(),
    }
}
