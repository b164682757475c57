//! The rows of a merchant's work: where each is read, and written with its mark of open work.
//!
//! Owns the agreement of memory, row and mark; never why a row changes.

use std::sync::Arc;

use protocol::id::{PosTransactionId, TerminalId, TransactionId};

use crate::domain::merchant::Terminal;
use crate::domain::pos::{PosTransaction, Stage};
use crate::domain::transaction::Transaction;
use crate::owner::key;
use crate::store::ReadFault;

use super::{MerchantOwner, MerchantWork};

impl MerchantOwner {
    /// A POS transaction, open or past; `None` when it is not this merchant's.
    pub(super) fn pos(
        &self,
        work: &MerchantWork<'_>,
        pos_id: PosTransactionId,
    ) -> Result<Option<PosTransaction>, ReadFault> {
        match self.open.get(&pos_id) {
            Some(pos) => Ok(Some(pos.clone())),
            None => work.get(&key::pos(self.id(), pos_id)),
        }
    }

    /// A transaction, open or past; `None` when it is not this merchant's.
    pub(super) fn transaction(
        &self,
        work: &MerchantWork<'_>,
        transaction_id: TransactionId,
    ) -> Result<Option<Transaction>, ReadFault> {
        match self.pending.get(&transaction_id) {
            Some(transaction) => Ok(Some(transaction.clone())),
            None => work.get(&key::transaction(self.id(), transaction_id)),
        }
    }

    pub(super) fn terminal(
        &self,
        work: &MerchantWork<'_>,
        terminal_id: TerminalId,
    ) -> Result<Option<Terminal>, ReadFault> {
        work.get(&key::terminal(self.id(), terminal_id))
    }

    /// As [`Self::terminal`], without a read while the terminal has a link.
    pub(super) fn terminal_as_linked(
        &self,
        work: &MerchantWork<'_>,
        terminal_id: TerminalId,
    ) -> Result<Option<Arc<Terminal>>, ReadFault> {
        match self.links.get(&terminal_id) {
            Some(terminal) => Ok(Some(Arc::clone(terminal))),
            None => Ok(self.terminal(work, terminal_id)?.map(Arc::new)),
        }
    }

    /// Writes a POS transaction with the event that changed it.
    pub(super) fn save_pos(
        &mut self,
        work: &mut MerchantWork<'_>,
        event: &str,
        pos: PosTransaction,
    ) {
        let row = key::pos(self.id(), pos.id);
        work.happened(event, &pos.id);
        work.put(row.clone(), &pos);
        let mark = key::open(self.id(), &row);
        if pos.stage == Stage::Closed {
            if self.open.remove(&pos.id).is_some() {
                work.remove(mark);
            }
            self.settle_pos_waiters(work, &pos);
        } else {
            if !self.open.contains_key(&pos.id) {
                work.mark(mark);
            }
            self.settle_pos_waiters(work, &pos);
            self.open.insert(pos.id, pos);
        }
    }

    /// Writes a transaction with the event that changed it.
    pub(super) fn save_transaction(
        &mut self,
        work: &mut MerchantWork<'_>,
        event: &str,
        transaction: Transaction,
    ) {
        let row = key::transaction(self.id(), transaction.id);
        work.happened(event, &transaction.id);
        work.put(row.clone(), &transaction);
        let mark = key::open(self.id(), &row);
        if transaction.is_open() {
            if !self.pending.contains_key(&transaction.id) {
                work.mark(mark);
            }
            self.pending.insert(transaction.id, transaction);
        } else {
            if self.pending.remove(&transaction.id).is_some() {
                work.remove(mark);
            }
            self.settle_transaction_waiters(work, &transaction);
        }
    }
}
