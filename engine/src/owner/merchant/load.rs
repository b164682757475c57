//! A merchant's owner out of what is stored.
//!
//! Owns which rows are read at the start: what is open, and nothing else.

use std::collections::BTreeMap;

use protocol::id::MerchantId;

use crate::domain::pos::PosTransaction;
use crate::domain::print::PrintJob;
use crate::domain::sandbox::Fault;
use crate::domain::terminal_settings::TerminalDefaults;
use crate::domain::transaction::Transaction;
use crate::owner::key;
use crate::owner::machine::Owner;
use crate::owner::stored::Counters;
use crate::owner::sweep::ClaimSweep;
use crate::owner::work::decode;
use crate::store::{ReadFault, Rows};

use super::sandbox::Sandbox;
use super::{Decided, Limits, MerchantOwner, restore};

impl MerchantOwner {
    /// Loads what is open; `None` when there is no such merchant.
    ///
    /// # Errors
    /// [`ReadFault`].
    pub fn load(
        merchant_id: MerchantId,
        limits: Limits,
        rows: &dyn Rows,
    ) -> Result<Option<Owner<Self>>, ReadFault> {
        let merchant_key = key::merchant(merchant_id);
        let Some(bytes) = rows.get(&merchant_key)? else {
            return Ok(None);
        };
        let counters = match rows.get(&key::counters(merchant_id))? {
            Some(bytes) => decode(&[key::COUNTERS], &bytes)?,
            None => Counters::default(),
        };
        let defaults_key = key::terminal_defaults(merchant_id);
        let defaults = match rows.get(&defaults_key)? {
            Some(bytes) => decode(&defaults_key, &bytes)?,
            None => TerminalDefaults::none(merchant_id),
        };
        let (counters, is_restored) = restore::counted_in(counters, rows);
        let mut state = Self {
            is_restored,
            merchant: decode(&merchant_key, &bytes)?,
            limits,
            counters,
            defaults,
            open: BTreeMap::new(),
            pending: BTreeMap::new(),
            prints: BTreeMap::new(),
            links: BTreeMap::new(),
            prints_reported: BTreeMap::new(),
            waiters: Vec::new(),
            sandbox: Sandbox::new(limits.sandbox),
            sweep: ClaimSweep::default(),
        };
        for (mark, _) in rows.scan(&key::of_merchant(key::OPEN, merchant_id), None, usize::MAX)? {
            state.load_open(&mark, rows)?;
        }
        let stream = key::merchant_stream(merchant_id);
        let seq = rows.head(stream)?;
        Ok(Some(Owner::new(state, stream, seq)))
    }

    fn load_open(&mut self, mark: &[u8], rows: &dyn Rows) -> Decided {
        let missing = || ReadFault("a mark of open work has no row".to_owned());
        let row_key = key::opened(mark).ok_or_else(missing)?;
        let bytes = rows.get(&row_key)?.ok_or_else(missing)?;
        match row_key.first() {
            Some(&key::POS) => {
                let pos: PosTransaction = decode(&row_key, &bytes)?;
                self.open.insert(pos.id, pos);
            }
            Some(&key::TRANSACTION) => {
                let transaction: Transaction = decode(&row_key, &bytes)?;
                self.pending.insert(transaction.id, transaction);
            }
            Some(&key::PRINT_JOB) => {
                let job: PrintJob = decode(&row_key, &bytes)?;
                self.prints.insert(job.id, job);
            }
            Some(&key::FAULT) => {
                let fault: Fault = decode(&row_key, &bytes)?;
                self.sandbox.load(fault);
            }
            _ => return Err(missing()),
        }
        Ok(())
    }
}
