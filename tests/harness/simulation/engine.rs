//! The engine's process: owners, their mail, the store's completions, and its end at any step.
//!
//! Does what the actors around the owners do, and nothing else; keep it like `engine::actor`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use engine::domain::time::Timestamp;
use engine::owner::machine::{Input, Output, Owner, Surroundings};
use engine::owner::merchant::{MerchantInput, MerchantOwner};
use engine::owner::request::{Ask, CallerId, ClaimRequest, Request, TillCaller};
use engine::owner::terminal::{TerminalInput, TerminalOwner};
use engine::store::{CommitRefused, Committed, MemoryStore};
use protocol::id::MerchantId;

use super::event::Event;
use super::world::{EPOCH_MS, World};

/// The fate of a commit, and whose it was.
pub type Fate = (u64, usize, u64, Result<Committed, CommitRefused>);

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
}

/// What waits in the mailboxes.
#[derive(Debug)]
pub enum Mail {
    /// For a merchant's owner.
    Merchant(usize, Box<Input<MerchantInput>>),
    /// For a terminal's owner.
    Terminal(usize, Box<TerminalInput>),
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
    /// Since when, in virtual time.
    pub up_since_ms: Option<u64>,
    /// By number of the merchant.
    pub merchants: Vec<MerchantSide>,
    /// By number of the till.
    pub terminals: Vec<TerminalOwner>,
    /// Outputs until the process ends between two of them.
    pub ends_after: Option<u64>,
    mail: [VecDeque<Mail>; 2],
    pub(super) fates: Arc<Mutex<VecDeque<Fate>>>,
    pub(super) callers: BTreeMap<CallerId, Caller>,
    callers_made: u64,
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
            up_since_ms: None,
            merchants: merchants.iter().map(merchant).collect(),
            terminals: (0..tills).map(|_| TerminalOwner::default()).collect(),
            ends_after: None,
            mail: Default::default(),
            fates: Arc::default(),
            callers: BTreeMap::new(),
            callers_made: 0,
        }
    }

    /// When the owners want to be told the time.
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

impl World {
    /// The engine's clock.
    pub fn engine_now(&self) -> Timestamp {
        Timestamp(self.true_now().0 + self.clock_skew_ms)
    }

    /// A clock that nobody sets.
    pub fn true_now(&self) -> Timestamp {
        Timestamp(i64::try_from(EPOCH_MS + self.now_ms).unwrap_or(i64::MAX))
    }

    /// Starts the process.
    pub fn start_engine(&mut self) {
        if self.engine.is_up {
            return;
        }
        self.note(|| "engine starts".to_owned());
        self.engine.is_up = true;
        self.engine.up_since_ms = Some(self.now_ms);
        self.check(self.check_start());
        for merchant in 0..self.engine.merchants.len() {
            self.load(merchant);
        }
        self.pump_engine();
    }

    /// Ends the process between two of its steps. Of the commits that waited the first few may
    /// have reached the disk.
    pub fn crash_engine(&mut self) {
        let waiting = self.engine.store.waiting();
        let kept = self.random.index(waiting + 1);
        self.note(|| format!("engine crashes, {kept} of {waiting} commits kept"));
        self.engine.store.crash(kept);
        let life = self.engine.life;
        self.engine.life += 1;
        self.engine.is_up = false;
        self.engine.ends_after = None;
        self.engine.mail = Default::default();
        self.engine.callers.clear();
        self.engine.fates = Arc::default();
        for side in &mut self.engine.merchants {
            side.owner = None;
        }
        for terminal in &mut self.engine.terminals {
            *terminal = TerminalOwner::default();
        }
        for connection in self.network.connections.values_mut() {
            if connection.engine_life == life {
                connection.is_engine_open = false;
            }
        }
        self.cut_all(|connection| connection.engine_life == life);
        self.follow_history();
        self.lie_in_crash(kept);
        self.model.engine_ends();
        let pause_ms = self.random.between(50, 12_000);
        self.queue.push(self.now_ms + pause_ms, Event::EngineStarts);
    }

    pub(super) fn load(&mut self, merchant: usize) {
        let store = Arc::clone(&self.engine.store);
        let limits = self.owner_limits();
        let rows = self.rows(&store);
        let side = &mut self.engine.merchants[merchant];
        match MerchantOwner::load(side.id, limits, &rows) {
            Ok(Some(owner)) => {
                side.owner = Some(owner);
                side.generation += 1;
                self.engine
                    .post(Mail::Merchant(merchant, Box::new(Input::Resume)));
            }
            Ok(None) => self.broken(format!("merchant {merchant} has no row")),
            Err(fault) => self.broken(format!("owner was not loaded: {fault}")),
        }
    }

    /// A caller asks a merchant's owner.
    pub fn ask(&mut self, mut caller: Caller, mut request: Request) {
        self.note_request(&caller, &request);
        self.engine.callers_made += 1;
        let number = CallerId(self.engine.callers_made);
        let merchant = caller.merchant;
        let asked = caller.claim;
        let refused = self.lie_in_request(number, &mut caller, &mut request);
        let claim = std::mem::replace(&mut caller.claim, asked);
        self.engine.callers.insert(number, caller);
        if let Some(rejection) = refused {
            self.answer(number, Err(rejection));
            return;
        }
        let ask = MerchantInput::Ask(Ask {
            caller: number,
            claim,
            request,
        });
        self.engine
            .post(Mail::Merchant(merchant, Box::new(Input::Outside(ask))));
    }

    /// Delivers mail until there is none.
    pub fn pump_engine(&mut self) {
        while self.engine.is_up
            && let Some(mail) = self.next_mail()
        {
            match mail {
                Mail::Merchant(merchant, input) => self.merchant_hears(merchant, *input),
                Mail::Terminal(till, input) => self.terminal_hears(till, *input),
            }
        }
    }

    fn next_mail(&mut self) -> Option<Mail> {
        let first = self.random.index(2);
        let mail = &mut self.engine.mail;
        mail[first]
            .pop_front()
            .or_else(|| mail[1 - first].pop_front())
    }

    /// The time of `poll_deadline` has come.
    pub fn engine_deadline(&mut self) {
        let now = self.engine_now();
        let is_due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        for merchant in 0..self.engine.merchants.len() {
            let owner = self.engine.merchants[merchant].owner.as_ref();
            if is_due(owner.and_then(Owner::poll_deadline)) {
                self.engine
                    .post(Mail::Merchant(merchant, Box::new(Input::Deadline)));
            }
        }
        for till in 0..self.engine.terminals.len() {
            if is_due(self.engine.terminals[till].poll_deadline()) {
                self.engine
                    .post(Mail::Terminal(till, Box::new(TerminalInput::Deadline)));
            }
        }
        self.pump_engine();
    }

    pub(super) fn ends_here(&mut self) -> bool {
        match &mut self.engine.ends_after {
            Some(0) => {
                self.crash_engine();
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    fn merchant_hears(&mut self, merchant: usize, input: Input<MerchantInput>) {
        let now = self.owner_now(&input);
        let store = Arc::clone(&self.engine.store);
        let rows = self.rows(&store);
        self.ids.now_ms = EPOCH_MS + self.now_ms;
        let Some(owner) = &mut self.engine.merchants[merchant].owner else {
            return;
        };
        let mut out = Vec::new();
        let mut around = Surroundings {
            now,
            ids: &mut self.ids,
            rows: &rows,
        };
        owner.handle(input, &mut around, &mut out);
        for output in out {
            if self.ends_here() {
                return;
            }
            match output {
                Output::Commit(commit) => self.commit(merchant, commit),
                Output::Effect(effect) => self.carry_out(merchant, effect),
                Output::Discard(fault) => {
                    self.broken(format!("owner discarded: {fault}"));
                    self.discard(merchant);
                    return;
                }
            }
        }
    }
}
