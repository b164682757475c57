//! What was committed, read from the store's log: the checkers' own view, apart from the owners'.

use std::collections::{BTreeMap, BTreeSet};

use engine::domain::idempotency::{Claim, ClaimKey};
use engine::domain::pos::PosTransaction;
use engine::domain::print::PrintJob;
use engine::domain::transaction::Transaction;
use engine::owner::key;
use engine::owner::work::Stored;
use engine::store::{MemoryStore, Position, Row, Store as _};
use protocol::id::{PosTransactionId, PrintJobId, TransactionId};
use protocol::link::PrintState;

use super::checker::{self, Checked, Violation};
use super::lost::Lost;

/// Everything that was ever committed, in its latest form.
#[derive(Debug, Default)]
pub struct History {
    seen: Position,
    /// The rows as the log leaves them.
    pub rows: BTreeMap<Vec<u8>, Vec<u8>>,
    /// POS transactions.
    pub pos: BTreeMap<PosTransactionId, PosTransaction>,
    /// Transactions.
    pub transactions: BTreeMap<TransactionId, Transaction>,
    /// Names of everything that a key can stand for.
    pub objects: BTreeSet<String>,
    /// POS transactions by the reference that their caller gave them: one for each intention.
    pub by_reference: BTreeMap<String, BTreeSet<PosTransactionId>>,
    /// POS transactions that the engine has reached the acquirer for, by transaction.
    pub pos_of: BTreeMap<TransactionId, PosTransactionId>,
    /// Print jobs of which a till has said that they began.
    pub printing: BTreeSet<PrintJobId>,
    /// What restores have lost.
    pub lost: Lost,
    finals: BTreeMap<String, u32>,
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
            checker::one_final_event(&mut self.finals, &one.record)?;
            for row in one.record.rows {
                self.apply(&row)?;
                rows.push(row);
            }
        }
        Ok(rows)
    }

    /// Keys that have an answer.
    pub fn answered_keys(&self) -> BTreeSet<ClaimKey> {
        let claims = self.rows.range(key::space(key::CLAIM)..);
        let claims = claims.take_while(|(row_key, _)| row_key.first() == Some(&key::CLAIM));
        let answered = claims
            .filter(|(_, row)| Claim::from_bytes(row).is_some_and(|claim| claim.answer.is_some()));
        // The key is the end of its row's.
        answered
            .filter_map(|(row_key, _)| Some(ClaimKey(*row_key.last_chunk()?)))
            .collect()
    }

    /// The POS transaction that a transaction was made for, lost or not.
    pub fn pos_of(&self, id: TransactionId) -> Option<PosTransactionId> {
        let known = self.pos_of.get(&id).copied();
        known.or_else(|| self.lost.pos_of(id))
    }

    /// What a POS transaction was asked for by, lost or not.
    pub fn reference_of(&self, id: PosTransactionId) -> Option<&str> {
        match self.pos.get(&id) {
            Some(pos) => pos.reference.as_deref(),
            None => self.lost.reference_of(id),
        }
    }

    fn apply(&mut self, row: &Row) -> Checked {
        let Some(value) = &row.value else {
            self.rows.remove(&row.key);
            return Ok(());
        };
        let known = self.rows.insert(row.key.clone(), value.clone());
        match row.key.first() {
            Some(&key::POS) => self.apply_pos(read(value)?),
            Some(&key::TRANSACTION) => self.apply_transaction(read(value)?),
            Some(&key::PRINT_JOB) => {
                let job: PrintJob = read(value)?;
                self.objects.insert(job.id.to_string());
                if matches!(job.state, PrintState::Printing | PrintState::Printed) {
                    self.printing.insert(job.id);
                }
                Ok(())
            }
            Some(&key::CLAIM) if known.is_none() => {
                let claim: Claim = read(value)?;
                checker::keys_are_claimed_with_effects(self, &claim)
            }
            _ => Ok(()),
        }
    }

    fn apply_pos(&mut self, pos: PosTransaction) -> Checked {
        let before = self.pos.get(&pos.id);
        if let Some(before) = before {
            checker::a_final_status_stays(before, &pos)?;
        }
        checker::stages_follow_the_table(before, &pos)?;
        checker::in_doubt_says_when(&pos)?;
        if before.is_none() {
            self.objects.insert(pos.id.to_string());
            let reference = pos.reference.clone().unwrap_or_default();
            let made = self.by_reference.entry(reference).or_default();
            made.insert(pos.id);
        }
        self.pos.insert(pos.id, pos.clone());
        checker::one_attempt_per_terminal(&self.pos, &pos)
    }

    fn apply_transaction(&mut self, transaction: Transaction) -> Checked {
        match self.transactions.get(&transaction.id) {
            Some(before) => checker::reversal_is_irrevocable(before, &transaction)?,
            None => {
                self.objects.insert(transaction.id.to_string());
                self.pos_of.insert(transaction.id, transaction.pos_id);
            }
        }
        self.transactions.insert(transaction.id, transaction);
        Ok(())
    }
}

fn read<T: Stored>(value: &[u8]) -> Result<T, Violation> {
    T::from_bytes(value).ok_or_else(|| Violation::new("store", "a row is damaged".to_owned()))
}
