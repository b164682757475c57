//! Which terminals are linked at this moment, and what they last said: answered from memory.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use protocol::id::TerminalId;
use protocol::link::TillStatus;

use crate::domain::time::Timestamp;

/// What is known of a terminal without asking it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LiveStatus {
    /// Whether a link is up. Never older than the silence that ends a link.
    pub is_online: bool,
    /// When the link came up, or went down.
    pub since: Timestamp,
    /// When anything last arrived from it.
    pub last_seen_at: Option<Timestamp>,
    /// What it last said about itself.
    pub till: Option<TillStatus>,
    /// When it said so.
    pub reported_at: Option<Timestamp>,
}

/// The live statuses of this process's links.
#[derive(Debug, Clone, Default)]
pub struct Registry(Arc<RwLock<BTreeMap<TerminalId, LiveStatus>>>);

impl Registry {
    /// What is known of a terminal; `None` when it has not been linked since the engine started.
    pub fn status(&self, terminal_id: TerminalId) -> Option<LiveStatus> {
        self.read().get(&terminal_id).cloned()
    }

    /// Replaces what is known of a terminal.
    pub fn publish(&self, terminal_id: TerminalId, status: LiveStatus) {
        let mut statuses = self
            .0
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        statuses.insert(terminal_id, status);
    }

    /// How many links are up.
    pub fn online(&self) -> usize {
        self.read()
            .values()
            .filter(|status| status.is_online)
            .count()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<TerminalId, LiveStatus>> {
        self.0
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
