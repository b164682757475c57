//! What was committed, read from the store's log: the checkers' own view, apart from the owners'.

use std::collections::{BTreeMap, BTreeSet};

use engine::domain::pos::PosTransaction;
use engine::domain::transaction::Transaction;
use engine::owner::key;
use engine::owner::work::Stored as _;
use engine::store::{MemoryStore, Position, Row, Store as _};
use protocol::id::{PosTransactionId, TransactionId};

use super::checker::{self, Violation};

/// Everything that was ever committed, in its latest form.
#[derive(Debug, Default)]
pub struct History {
    seen: Position,
    /// POS transactions.
    pub pos: BTreeMap<PosTransactionId, PosTransaction>,
    /// Transactions.
    pub transactions: BTreeMap<TransactionId, Transaction>,
    /// POS transactions by the reference that their caller gave them: one for each intention.
    pub by_reference: BTreeMap<String, BTreeSet<PosTransactionId>>,
    /// POS transactions that the engine has reached the acquirer for, by transaction.
    pub pos_of: BTreeMap<TransactionId, PosTransactionId>,
}

impl History {
    /// Reads what was committed since the last time, and holds each step against the rules.
    ///
    /// # Errors
    /// [`Violation`] of a rule about committed states.
    pub fn follow(&mut self, store: &MemoryStore) -> Result<Vec<Row>, Violation> {
        let mut rows = Vec::new();
        let logged = store
            .follow(self.seen, usize::MAX)
            .map_err(|fault| Violation::new("store", fault.to_string()))?;
        for one in logged {
            self.seen = one.position;
            for row in one.record.rows {
                self.apply(&row)?;
                rows.push(row);
            }
        }
        Ok(rows)
    }

    fn apply(&mut self, row: &Row) -> Result<(), Violation> {
        let Some(value) = &row.value else {
            return Ok(());
        };
        match row.key.first() {
            Some(&key::POS) => {
                let pos = PosTransaction::from_bytes(value)
                    .ok_or_else(|| Violation::new("store", "a POS row is damaged".to_owned()))?;
                if let Some(before) = self.pos.get(&pos.id) {
                    checker::a_final_status_stays(before, &pos)?;
                }
                let reference = pos.reference.clone().unwrap_or_default();
                self.by_reference
                    .entry(reference)
                    .or_default()
                    .insert(pos.id);
                self.pos.insert(pos.id, pos.clone());
                checker::one_attempt_per_terminal(&self.pos, &pos)?;
            }
            Some(&key::TRANSACTION) => {
                let transaction = Transaction::from_bytes(value).ok_or_else(|| {
                    Violation::new("store", "a transaction row is damaged".into())
                })?;
                self.pos_of.insert(transaction.id, transaction.pos_id);
                self.transactions.insert(transaction.id, transaction);
            }
            _ => {}
        }
        Ok(())
    }
}
