//! Which terminals are linked at this moment, and what they last said: answered from memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, RwLock};

use protocol::id::TerminalId;
use protocol::link::{ConfigurationRefused, ReaderState, TillStatus};

use crate::domain::merchant::Terminal;
use crate::domain::time::Timestamp;
use crate::owner::terminal::LastConcluded;

/// What is known of a terminal without asking it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LiveStatus {
    /// Whether a link is up. Never older than the silence that ends a link.
    pub is_online: bool,
    /// The protocol version of the link.
    pub link_version: Option<u16>,
    /// When the link came up, or went down.
    pub since: Timestamp,
    /// When anything last arrived from it.
    pub heard: Heard,
    /// What it last said about itself.
    pub till: Option<Arc<TillStatus>>,
    /// When it said so.
    pub reported_at: Option<Timestamp>,
    /// How old what it said of its reader was then.
    pub reader_age_ms: Option<u64>,
    /// Why it cannot have the configuration that it is to have.
    pub refused: Option<ConfigurationRefused>,
    /// How its last POS transaction ended.
    pub last: Option<LastConcluded>,
}

impl LiveStatus {
    /// When anything last arrived from it, heartbeats included.
    pub fn last_seen_at(&self) -> Option<Timestamp> {
        self.heard.at()
    }
}

/// When anything last arrived on a link: written by the task of its socket for every message, and
/// read by whoever looks, so that a heartbeat is nobody else's work.
#[derive(Debug, Clone)]
pub struct Heard(Arc<AtomicI64>);

impl Heard {
    /// Before anything has arrived.
    const NEVER: i64 = i64::MIN;

    /// Something arrived.
    pub fn note(&self, at: Timestamp) {
        self.0.store(at.0, Ordering::Relaxed);
    }

    /// When it last did.
    pub fn at(&self) -> Option<Timestamp> {
        let at = self.0.load(Ordering::Relaxed);
        (at != Self::NEVER).then_some(Timestamp(at))
    }
}

impl Default for Heard {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(Self::NEVER)))
    }
}

impl From<Timestamp> for Heard {
    fn from(at: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(at.0)))
    }
}

impl PartialEq for Heard {
    fn eq(&self, other: &Self) -> bool {
        self.at() == other.at()
    }
}

impl Eq for Heard {}

/// Whether a sale could be started on a terminal now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Availability {
    /// It could.
    Ready,
    /// Another one runs there.
    Busy,
    /// The till is linked and its reader cannot take a card.
    NotReady,
    /// There is no link.
    Offline,
    /// There never was a till.
    Unpaired,
}

impl Availability {
    /// Whether a sale could be started on this terminal now.
    pub fn of(terminal: &Terminal, live: Option<&LiveStatus>) -> Self {
        if terminal.device_key.is_none() {
            return Self::Unpaired;
        }
        let Some(live) = live.filter(|live| live.is_online) else {
            return Self::Offline;
        };
        match &live.till {
            Some(till) if till.current.is_some() => Self::Busy,
            Some(till) if till.reader == ReaderState::Ready => Self::Ready,
            Some(_) | None => Self::NotReady,
        }
    }

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Busy => "busy",
            Self::NotReady => "not_ready",
            Self::Offline => "offline",
            Self::Unpaired => "unpaired",
        }
    }
}

type Statuses = BTreeMap<TerminalId, Arc<LiveStatus>>;

/// The live statuses of this process's links.
#[derive(Debug, Clone, Default)]
pub struct Registry(Arc<RwLock<Statuses>>);

impl Registry {
    /// What is known of a terminal; `None` when it has not been linked since the engine started.
    pub fn status(&self, terminal_id: TerminalId) -> Option<Arc<LiveStatus>> {
        self.read().get(&terminal_id).cloned()
    }

    /// What is known of these terminals, in their order.
    pub fn statuses(
        &self,
        terminals: impl IntoIterator<Item = TerminalId>,
    ) -> Vec<Option<Arc<LiveStatus>>> {
        let statuses = self.read();
        terminals
            .into_iter()
            .map(|terminal_id| statuses.get(&terminal_id).cloned())
            .collect()
    }

    /// Replaces what is known of a terminal.
    pub fn publish(&self, terminal_id: TerminalId, status: LiveStatus) {
        let mut statuses = self
            .0
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        statuses.insert(terminal_id, Arc::new(status));
    }

    /// How many links are up.
    pub fn online(&self) -> usize {
        self.read()
            .values()
            .filter(|status| status.is_online)
            .count()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Statuses> {
        self.0
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
