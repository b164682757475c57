//! The engine's process as it is held in memory: owners, their mail, who waits, and the store that
//! survives it. What it does is in [`super::process`], [`super::mail`] and [`super::commit`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use engine::access::guard::Guard;
use engine::access::index::AccessIndex;
use engine::clock::Slewed;
use engine::domain::time::Timestamp;
use engine::domain::token::SecretHash;
use engine::owner::machine::{Input, Owner};
use engine::owner::merchant::{MerchantInput, MerchantOwner};
use engine::owner::platform::{PlatformAsk, PlatformOwner};
use engine::owner::request::{CallerId, ClaimRequest, TillCaller};
use engine::owner::terminal::{TerminalInput, TerminalOwner};
use engine::store::{CommitRefused, Committed, MemoryStore};
use protocol::id::MerchantId;

use super::access::OPERATOR;
use super::staff::Errand;

/// Whose commit it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// A merchant's.
    Merchant(usize),
    /// The platform's.
    Platform,
}

/// The fate of a commit: of which process, whose, and of which generation of the owner.
pub type Fate = (u64, Whose, u64, Result<Committed, CommitRefused>);

/// Who waits for an answer.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The merchant asked.
    pub merchant: usize,
    /// The key, if there was one.
    pub claim: Option<ClaimRequest>,
    /// Where the answer goes.
    pub to: Return,
}

/// Where an answer goes.
#[derive(Debug, Clone, Copy)]
pub enum Return {
    /// A client of the API, with the number of its call.
    Client {
        /// Which.
        client: usize,
        /// Its call.
        call: u64,
    },
    /// A till.
    Till(TillCaller),
    /// Somebody who looks after keys and tills.
    Staff(Errand),
}

/// What waits in the mailboxes.
#[derive(Debug)]
pub enum Mail {
    /// For a merchant's owner.
    Merchant(usize, Box<Input<MerchantInput>>),
    /// For a terminal's owner.
    Terminal(usize, Box<TerminalInput>),
    /// For the platform's owner.
    Platform(Box<Input<PlatformAsk>>),
}

/// A merchant's actor.
#[derive(Debug)]
pub struct MerchantSide {
    /// The merchant.
    pub id: MerchantId,
    /// The owner, while the process runs.
    pub owner: Option<Owner<MerchantOwner>>,
    /// Tells the commits of a discarded owner from those of its successor.
    pub generation: u64,
}

/// The process.
pub struct Engine {
    /// What survives it.
    pub store: Arc<MemoryStore>,
    /// Counts processes.
    pub life: u64,
    /// Whether one runs.
    pub is_up: bool,
    /// Its clock, and when it was started.
    pub clock: Option<(u64, Slewed)>,
    /// Since when, in virtual time.
    pub up_since_ms: Option<u64>,
    /// By number of the merchant.
    pub merchants: Vec<MerchantSide>,
    /// The platform's owner, once it was asked.
    pub platform: Option<Owner<PlatformOwner>>,
    /// Tells the commits of a discarded platform's owner from those of its successor.
    pub platform_generation: u64,
    /// Checks every door.
    pub guard: Guard,
    /// By number of the till.
    pub terminals: Vec<TerminalOwner>,
    /// Outputs until the process ends between two of them.
    pub ends_after: Option<u64>,
    pub(super) mail: [VecDeque<Mail>; 2],
    pub(super) fates: Arc<Mutex<VecDeque<Fate>>>,
    pub(super) callers: BTreeMap<CallerId, Caller>,
    pub(super) callers_made: u64,
}

impl Engine {
    /// A store without a process.
    pub fn new(store: Arc<MemoryStore>, merchants: &[MerchantId], tills: usize) -> Self {
        let merchant = |id: &MerchantId| MerchantSide {
            id: *id,
            owner: None,
            generation: 0,
        };
        Self {
            store,
            life: 0,
            is_up: false,
            clock: None,
            up_since_ms: None,
            merchants: merchants.iter().map(merchant).collect(),
            platform: None,
            platform_generation: 0,
            guard: Guard::new(AccessIndex::default(), SecretHash::of(OPERATOR.as_bytes())),
            terminals: (0..tills).map(|_| TerminalOwner::default()).collect(),
            ends_after: None,
            mail: Default::default(),
            fates: Arc::default(),
            callers: BTreeMap::new(),
            callers_made: 0,
        }
    }

    /// When the owners want to be told the time; the heartbeats are the connections'.
    pub fn poll_deadline(&self) -> Option<Timestamp> {
        if !self.is_up {
            return None;
        }
        let owners = self
            .merchants
            .iter()
            .filter_map(|side| side.owner.as_ref()?.poll_deadline());
        owners
            .chain(
                self.terminals
                    .iter()
                    .filter_map(TerminalOwner::poll_deadline),
            )
            .min()
    }

    /// Whether nothing waits and nothing is in flight.
    pub fn is_idle(&self) -> bool {
        let is_idle = |side: &MerchantSide| side.owner.as_ref().is_some_and(Owner::is_idle);
        self.is_up && self.mail.iter().all(VecDeque::is_empty) && self.merchants.iter().all(is_idle)
    }

    /// Puts something into a mailbox.
    pub fn post(&mut self, mail: Mail) {
        // A mailbox keeps its order; between two of them there is none.
        let mailbox = usize::from(matches!(mail, Mail::Terminal(..)));
        self.mail[mailbox].push_back(mail);
    }
}
