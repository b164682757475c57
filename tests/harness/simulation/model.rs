//! The reference model: what each caller, terminal and acquirer may be told, by what everybody
//! outside the engine has seen.
//!
//! Fed by requests, answers, messages on links, what leaves for the acquirer, its book, screens,
//! paper and the tills' disks; never by the owners' state. It knows no stages and no deadlines,
//! only what follows from what. Pure. [`sale`]: what was asked for and told. [`card`]: cards, from
//! grant to charge. [`till`]: what a till may do. [`keys`]: idempotency keys.

pub mod card;
pub mod keys;
pub mod sale;
pub mod till;

use std::collections::{BTreeMap, BTreeSet};

use super::history::History;
use super::lost::Lost;
use engine::domain::idempotency::ClaimKey;
use engine::owner::request::StartPos;
use protocol::id::{AttemptId, PosTransactionId, PrintJobId, TerminalId, TransactionId};

/// Everything that was seen.
#[derive(Debug, Default)]
pub struct Model {
    /// What was asked for, by the caller's reference.
    asked: BTreeMap<String, StartPos>,
    sales: BTreeMap<PosTransactionId, sale::Sale>,
    grants: BTreeMap<AttemptId, card::Granted>,
    cards: BTreeMap<(TerminalId, Vec<u8>), card::Card>,
    charges: BTreeMap<TransactionId, card::Charge>,
    traces: BTreeSet<(TerminalId, u32)>,
    keys: BTreeMap<ClaimKey, keys::Key>,
    tills: BTreeMap<usize, till::Seen>,
    /// What was printed without DUPLICATE: where, by which job.
    papers: BTreeMap<String, (usize, PrintJobId)>,
    /// What restores of the engine have lost.
    lost: Lost,
}

impl Model {
    /// The engine was restored from a backup, and has this on record. What was told since the backup
    /// is no longer held against it, by [`crate::simulation::lost::RELAXED`].
    pub fn restored(&mut self, history: &History) {
        self.lost.clone_from(&history.lost);
        self.sales_restored(history);
        self.charges_restored(history);
    }
}
