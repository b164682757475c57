//! The owner of a merchant: the single writer of everything that the merchant owns.
//!
//! Holds in memory only what is open: POS transactions under way, transactions that the acquirer
//! still owes an answer for, print jobs, links and waiting callers. Everything else is read by key
//! when it is needed.

mod admin;
mod cancel;
mod claim;
mod decide;
mod effect;
mod fleet;
mod host;
mod input;
mod limits;
mod link;
mod load;
mod money;
mod pairing;
mod print;
mod resolve;
mod restore;
mod retire;
mod row;
mod sandbox;
mod start;
mod till;
mod wait;

#[cfg(test)]
mod bench;
#[cfg(test)]
mod fleet_test;
#[cfg(test)]
mod invariant_test;
#[cfg(test)]
mod order_test;
#[cfg(test)]
mod pairing_test;
#[cfg(test)]
mod print_test;
#[cfg(test)]
mod resolve_test;
#[cfg(test)]
mod retire_test;
#[cfg(test)]
mod rule_test;
#[cfg(test)]
mod sandbox_test;
#[cfg(test)]
mod table_test;
#[cfg(test)]
mod unknown_test;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::id::{MerchantId, PosTransactionId, PrintJobId, TerminalId, TransactionId};
use protocol::link::{PosStatus, ToAgent};

use crate::domain::merchant::{Merchant, Terminal};
use crate::domain::pos::PosTransaction;
use crate::domain::print::PrintJob;
use crate::domain::reason::Reason;
use crate::domain::rollout::Rollout;
use crate::domain::terminal_settings::TerminalDefaults;
use crate::domain::time::Timestamp;
use crate::domain::transaction::Transaction;
use crate::store::ReadFault;

use super::stored::Counters;
use super::sweep::ClaimSweep;
use super::work::Work;

pub use effect::Effect;
pub use input::{MerchantInput, TerminalEvent};
pub use limits::Limits;
pub use sandbox::Misbehaviour;
use sandbox::Sandbox;
use wait::Waiter;

/// The unit of work of this owner.
type MerchantWork<'a> = Work<'a, Effect>;
/// A decision that can only fail by failing to read.
type Decided = Result<(), ReadFault>;

/// The state of a merchant's owner.
#[derive(Debug)]
pub struct MerchantOwner {
    merchant: Merchant,
    limits: Limits,
    counters: Counters,
    /// What is wanted of all tills.
    defaults: TerminalDefaults,
    /// This is a copy whose original went on: found at the start, until it has been dealt with.
    is_restored: bool,
    open: BTreeMap<PosTransactionId, PosTransaction>,
    pending: BTreeMap<TransactionId, Transaction>,
    prints: BTreeMap<PrintJobId, PrintJob>,
    /// Terminals with a link, as their rows are: nothing about them is read during a sale.
    links: BTreeMap<TerminalId, Arc<Terminal>>,
    /// Ends of print jobs that this link has reported and was not told to forget; the next hello
    /// says them again.
    prints_reported: BTreeMap<TerminalId, BTreeSet<PrintJobId>>,
    waiters: Vec<Waiter>,
    sandbox: Sandbox,
    sweep: ClaimSweep,
}

impl MerchantOwner {
    /// POS transactions that have not ended.
    pub fn open(&self) -> impl Iterator<Item = &PosTransaction> {
        self.open.values()
    }

    /// Transactions that the acquirer owes an answer for.
    pub fn pending(&self) -> impl Iterator<Item = &Transaction> {
        self.pending.values()
    }

    /// Whether nothing is open, nobody waits, and no terminal is linked: then all that is known here
    /// is what is committed, but for where the sweep of old keys is.
    pub fn is_at_rest(&self) -> bool {
        self.open.is_empty()
            && self.pending.is_empty()
            && self.prints.is_empty()
            && self.links.is_empty()
            && self.prints_reported.values().all(BTreeSet::is_empty)
            && self.waiters.is_empty()
            && self.sandbox.is_empty()
            && !self.is_restored
            && self.rollout_deadline().is_none()
    }

    fn rollout_deadline(&self) -> Option<Timestamp> {
        let rollout = self.defaults.rollout.as_ref();
        rollout.and_then(Rollout::deadline)
    }

    fn id(&self) -> MerchantId {
        self.merchant.id
    }

    /// Ends a POS transaction that moved no money, and tells the terminal.
    fn close(
        &mut self,
        work: &mut MerchantWork<'_>,
        mut pos: PosTransaction,
        status: PosStatus,
        reason: Reason,
    ) {
        pos.close(status, reason, work.now);
        self.send(
            work,
            pos.terminal_id,
            ToAgent::Concluded(till::concluded(&pos)),
        );
        self.save_pos(work, "pos_transaction.closed", pos);
    }

    fn send(&self, work: &mut MerchantWork<'_>, terminal_id: TerminalId, message: ToAgent) {
        work.effect(Effect::ToTerminal {
            terminal_id,
            message: Box::new(message),
        });
    }
}
