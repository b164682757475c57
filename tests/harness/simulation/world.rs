//! The world: virtual time, its inhabitants, and the loop that lets one thing happen after another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::domain::idempotency::{ClaimKey, StoredAnswer};
use engine::domain::time::Timestamp;
use engine::owner::merchant::Limits;
use engine::store::MemoryStore;
use protocol::id::PartnerId;

use super::access::Rights;
use super::checker::{Checked, Violation};
use super::client::Client;
use super::ending::Report;
use super::engine::Engine;
use super::event::Event;
use super::fault::Plan;
use super::fleet::Fleet;
use super::history::History;
use super::host::Acquirer;
use super::link::Network;
use super::model::Model;
use super::queue::Queue;
use super::random::{Random, SeededIds};
use super::restore::Backups;
use super::sabotage::{Lies, Sabotage};
use super::till::Till;
use super::variety::Variety;

/// Where virtual time begins on the engine's clock.
pub const EPOCH_MS: u64 = 1_800_000_000_000;
/// More events than this at one instant are a loop that does not end.
const EVENTS_PER_INSTANT_MAX: u32 = 20_000;

/// Everything that a world follows from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// The seed.
    pub seed: u64,
    /// A deliberate bug.
    pub sabotage: Option<Sabotage>,
    /// Numbers of what is left out; see [`super::shrink`].
    pub without: BTreeSet<u32>,
    /// Whether everything that happens is printed.
    pub is_verbose: bool,
}

impl Setup {
    /// The whole world of a seed.
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            sabotage: None,
            without: BTreeSet::new(),
            is_verbose: false,
        }
    }
}

/// A world.
pub struct World {
    pub(super) seed: u64,
    pub(super) now_ms: u64,
    pub(super) random: Random,
    pub(super) ids: SeededIds,
    pub(super) queue: Queue<Event>,
    pub(super) plan: Plan,
    pub(super) limits: Limits,
    pub(super) clock_skew_ms: i64,
    pub(super) sabotage: Option<Sabotage>,
    pub(super) lies: Lies,
    pub(super) engine: Engine,
    pub(super) network: Network,
    pub(super) tills: Vec<Till>,
    pub(super) clients: Vec<Client>,
    pub(super) acquirer: Acquirer,
    pub(super) history: History,
    pub(super) rights: Rights,
    pub(super) partner: Option<PartnerId>,
    /// Terminals, by number, that a duplicate identity keeps out until a technician has come.
    pub(super) duplicates: BTreeSet<usize>,
    pub(super) turned_away: u64,
    pub(super) model: Model,
    pub(super) backups: Backups,
    pub(super) fleet: Fleet,
    pub(super) variety: Variety,
    pub(super) first_answers: BTreeMap<ClaimKey, StoredAnswer>,
    pub(super) intentions: u64,
    pub(super) authorizations: u64,
    pub(super) replays: u64,
    pub(super) violation: Option<Violation>,
    pub(super) trace: u64,
    is_verbose: bool,
    pub(super) is_converged: bool,
}

impl World {
    /// A world before anything has happened.
    pub fn new(setup: &Setup) -> Self {
        let Setup {
            seed,
            sabotage,
            is_verbose,
            ..
        } = *setup;
        let mut random = Random::new(seed);
        let mut plan = Plan::draw(seed, &mut random, setup.without.clone());
        let needs = sabotage.map_or(&[][..], Sabotage::needs);
        plan.switch_on(needs);
        // A short life of attempts makes the last moment frequent.
        let attempt_ms = *random.pick(&[8_000, 20_000, 60_000]);
        let limits = Limits {
            attempt_ms,
            ..Limits::default()
        };
        let ids = SeededIds::new(Random::new(random.next()));
        let mut world = Self {
            seed,
            now_ms: 0,
            random,
            ids,
            queue: Queue::default(),
            plan,
            limits,
            clock_skew_ms: 0,
            sabotage,
            lies: Lies::default(),
            engine: Engine::new(Arc::new(MemoryStore::new()), &[], 0),
            network: Network::default(),
            tills: Vec::new(),
            clients: Vec::new(),
            acquirer: Acquirer::default(),
            history: History::default(),
            rights: Rights::default(),
            partner: None,
            duplicates: BTreeSet::new(),
            turned_away: 0,
            model: Model::default(),
            backups: Backups::default(),
            fleet: Fleet::new(seed),
            variety: Variety::new(seed),
            first_answers: BTreeMap::new(),
            intentions: 0,
            authorizations: 0,
            replays: 0,
            violation: None,
            trace: 0xCBF2_9CE4_8422_2325,
            is_verbose,
            is_converged: false,
        };
        world.note(|| format!("seed {seed}"));
        world.populate();
        world
    }

    /// Lets everything happen.
    pub fn run(mut self) -> Report {
        let events = self.run_to_the_end();
        self.report(events)
    }

    /// Lets everything happen, and counts events.
    pub(super) fn run_to_the_end(&mut self) -> u64 {
        let mut events = 0u64;
        let mut at_once = 0u32;
        while self.violation.is_none() && !self.is_converged {
            let queued = self.queue.next_ms();
            let timer = self.next_timer_ms().map(|at_ms| at_ms.max(self.now_ms));
            let Some(next_ms) = [queued, timer].into_iter().flatten().min() else {
                break;
            };
            at_once = if next_ms == self.now_ms {
                at_once + 1
            } else {
                0
            };
            if at_once > EVENTS_PER_INSTANT_MAX {
                let what = format!("{at_once} events at {next_ms} ms");
                self.violate(Violation::new("converges", what));
            }
            self.now_ms = next_ms;
            self.pass_engine_time();
            events += 1;
            if queued == Some(next_ms)
                && let Some((_, event)) = self.queue.pop()
            {
                self.happen(event);
            } else {
                self.timers();
            }
        }
        events
    }

    fn next_timer_ms(&self) -> Option<u64> {
        let virtual_ms = |at: Timestamp| u64::try_from(at.0).unwrap_or(0).saturating_sub(EPOCH_MS);
        let line = self.acquirer.line.poll_deadline();
        let owners = self.engine.poll_deadline();
        let engine = owners.into_iter().chain(self.next_pulse()).min();
        let ahead_ms = self.engine_now().0 - self.true_now().0;
        let engine = engine.map(|at| Timestamp(at.0 - ahead_ms));
        let instants = [engine, line].into_iter().flatten().map(virtual_ms);
        instants
            .chain(self.tills.iter().filter_map(Till::next_timer_ms))
            .min()
    }

    fn timers(&mut self) {
        self.line_timer();
        self.engine_deadline();
        for till in 0..self.tills.len() {
            self.till_timers(till);
        }
    }

    /// Reads what was committed, and holds it against the rules.
    pub(super) fn follow_history(&mut self) {
        let store = Arc::clone(&self.engine.store);
        match self.history.follow(&store) {
            Ok(rows) => {
                for row in rows {
                    self.rights.learn(&row);
                    self.mix(&row.key);
                    self.mix(row.value.as_deref().unwrap_or_default());
                }
            }
            Err(violation) => self.violate(violation),
        }
    }

    /// Takes a checker's word.
    pub(super) fn check(&mut self, checked: Checked) {
        if let Err(violation) = checked {
            self.violate(violation);
        }
    }

    /// Keeps the first violation.
    pub(super) fn violate(&mut self, violation: Violation) {
        self.note(|| format!("VIOLATION {violation}"));
        self.violation.get_or_insert(violation);
    }

    /// Something that must not happen in any world.
    pub(super) fn broken(&mut self, what: String) {
        self.violate(Violation::new("runs", what));
    }

    /// Mixes bytes into the trace (FNV-1a).
    pub(super) fn mix(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().chain(&self.now_ms.to_le_bytes()) {
            self.trace = (self.trace ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }

    /// Says what happens, to whoever wants to read it.
    pub(super) fn note(&self, what: impl FnOnce() -> String) {
        if self.is_verbose {
            println!("{:>9} {}", self.now_ms, what());
        }
    }
}
