//! The world: virtual time, its inhabitants, and the loop that lets one thing happen after another.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::acquirer::{AcquirerAnswer, Sending};
use engine::domain::idempotency::{ClaimKey, StoredAnswer};
use engine::domain::rejection::Rejection;
use engine::domain::time::Timestamp;
use engine::owner::key;
use engine::owner::merchant::{Limits, MerchantInput};
use engine::owner::request::{Reply, Request};
use engine::store::{MemoryStore, Rows as _};
use protocol::id::{PosTransactionId, PrintJobId, TransactionId};

use super::checker::{self, Checked, Violation};
use super::client::{Call, Client};
use super::engine::Engine;
use super::fault::{Plan, Sabotage};
use super::history::History;
use super::host::Acquirer;
use super::link::Network;
use super::queue::Queue;
use super::random::{Random, SeededIds};
use super::till::Till;

/// Where virtual time begins on the engine's clock.
pub const EPOCH_MS: u64 = 1_800_000_000_000;
/// How long after the last fault everything must have an end. A reversal whose original is not
/// found takes two minutes, a transaction with retries five; the rest is margin.
const HEALING_MS_MAX: u64 = 1_800_000;
/// More events than this at one instant are a loop that does not end.
const EVENTS_PER_INSTANT_MAX: u32 = 20_000;

/// Something that happens.
#[derive(Debug)]
pub enum Event {
    /// Bytes arrive on a connection.
    Frame {
        connection: u64,
        to_engine: bool,
        bytes: Vec<u8>,
    },
    /// A side of a connection learns that it is closed.
    Hangup { connection: u64, to_engine: bool },
    /// A commit reaches the disk.
    StoreSteps,
    /// The engine's process starts.
    EngineStarts,
    /// An answer of the acquirer reaches the engine.
    HostAnswers {
        life: u64,
        merchant: usize,
        transaction_id: TransactionId,
        sending: Sending,
        answer: AcquirerAnswer,
    },
    /// The agent's process starts.
    TillStarts { till: usize },
    /// The agent tries to connect.
    Connects { till: usize, life: u64 },
    /// The journal has written; then it says so.
    JournalWrites {
        till: usize,
        life: u64,
        bytes: super::till::Persist,
    },
    /// The journal says so.
    JournalDone {
        till: usize,
        life: u64,
        is_written: bool,
    },
    /// Bytes reach the reader.
    ToReader {
        till: usize,
        plug: u64,
        bytes: Vec<u8>,
    },
    /// Bytes come from the reader.
    FromReader {
        till: usize,
        life: u64,
        plug: u64,
        bytes: Vec<u8>,
    },
    /// The reader is plugged in.
    Plugs { till: usize, plug: u64 },
    /// Somebody comes with a card, or takes it away.
    Customer {
        till: usize,
        poll: u64,
        is_leaving: bool,
    },
    /// The printer is done with a job.
    Prints {
        till: usize,
        life: u64,
        job_id: PrintJobId,
    },
    /// The cashier does something.
    Cashier { till: usize },
    /// The payer presses a key of the tip prompt.
    TipKey {
        till: usize,
        pos_id: PosTransactionId,
    },
    /// A client does something.
    Client { client: usize },
    /// A client's request reaches the engine.
    CallArrives {
        client: usize,
        call: Box<Call>,
        request: Box<Request>,
    },
    /// An answer reaches a client.
    AnswerArrives {
        client: usize,
        call: u64,
        reply: Box<Result<Reply, Rejection>>,
    },
    /// A fault strikes.
    Trouble,
    /// The last fault has struck.
    Heals,
    /// Everything may have an end now.
    Looks,
}

/// What a seed came to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The first rule that did not hold.
    pub violation: Option<Violation>,
    /// Hash over everything that happened.
    pub trace: u64,
    /// Virtual milliseconds.
    pub virtual_ms: u64,
    /// Events.
    pub events: u64,
    /// POS transactions by status.
    pub outcomes: BTreeMap<String, u64>,
    /// Requests for money that left.
    pub authorizations: u64,
    /// Replayed answers.
    pub replays: u64,
    /// Strikes by fault.
    pub faults: BTreeMap<&'static str, u64>,
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
    pub(super) engine: Engine,
    pub(super) network: Network,
    pub(super) tills: Vec<Till>,
    pub(super) clients: Vec<Client>,
    pub(super) acquirer: Acquirer,
    pub(super) history: History,
    pub(super) first_answers: BTreeMap<ClaimKey, StoredAnswer>,
    pub(super) intentions: u64,
    pub(super) authorizations: u64,
    pub(super) replays: u64,
    violation: Option<Violation>,
    trace: u64,
    is_verbose: bool,
    is_converged: bool,
}

impl World {
    /// The world of a seed, before anything has happened.
    pub fn new(seed: u64, sabotage: Option<Sabotage>, is_verbose: bool) -> Self {
        let mut random = Random::new(seed);
        let plan = Plan::draw(&mut random);
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
            engine: Engine::new(Arc::new(MemoryStore::new()), &[], 0),
            network: Network::default(),
            tills: Vec::new(),
            clients: Vec::new(),
            acquirer: Acquirer::default(),
            history: History::default(),
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
    fn run_to_the_end(&mut self) -> u64 {
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
        let engine = self.engine.poll_deadline();
        let engine = engine.map(|at| Timestamp(at.0 - self.clock_skew_ms));
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

    fn happen(&mut self, event: Event) {
        match event {
            Event::Frame {
                connection,
                to_engine,
                bytes,
            } => {
                self.frame(connection, to_engine, &bytes);
            }
            Event::Hangup {
                connection,
                to_engine,
            } => self.hangup(connection, to_engine),
            Event::StoreSteps => self.step_store(),
            Event::EngineStarts => self.start_engine(),
            Event::HostAnswers {
                life,
                merchant,
                transaction_id,
                sending,
                answer,
            } => {
                let input = MerchantInput::Acquirer {
                    transaction_id,
                    sending,
                    answer,
                };
                self.engine_hears(life, merchant, input);
            }
            Event::TillStarts { till } => self.start_till(till),
            Event::Connects { till, life } => self.till_connects(till, life),
            Event::JournalWrites { till, life, bytes } => self.journal_writes(till, life, bytes),
            Event::JournalDone {
                till,
                life,
                is_written,
            } => {
                self.journal_done(till, life, is_written);
            }
            Event::ToReader { till, plug, bytes } => self.reader_hears(till, plug, &bytes),
            Event::FromReader {
                till,
                life,
                plug,
                bytes,
            } => {
                self.reader_says(till, life, plug, &bytes);
            }
            Event::Plugs { till, plug } => self.plug_in(till, plug),
            Event::Customer {
                till,
                poll,
                is_leaving,
            } => self.customer(till, poll, is_leaving),
            Event::Prints { till, life, job_id } => self.printed(till, life, job_id),
            Event::Cashier { till } => self.cashier(till),
            Event::TipKey { till, pos_id } => self.tip_key(till, pos_id),
            Event::Client { client } => self.client_acts(client),
            Event::CallArrives {
                client,
                call,
                request,
            } => {
                self.call_arrives(client, *call, *request);
            }
            Event::AnswerArrives {
                client,
                call,
                reply,
            } => {
                self.answer_arrives(client, call, *reply);
            }
            Event::Trouble => self.trouble(),
            Event::Heals => self.heal(),
            Event::Looks => self.look(),
        }
    }

    /// Reads what was committed, and holds it against the rules.
    pub(super) fn follow_history(&mut self) {
        let store = Arc::clone(&self.engine.store);
        match self.history.follow(&store) {
            Ok(rows) => {
                for row in rows {
                    self.mix(&row.key);
                    self.mix(row.value.as_deref().unwrap_or_default());
                }
            }
            Err(violation) => self.violate(violation),
        }
    }

    /// Whether everything has an end; otherwise looks again later.
    fn look(&mut self) {
        match self.open_end() {
            None => {
                self.is_converged = true;
                for rule in checker::AT_THE_END {
                    let host = self.acquirer.line.host();
                    self.check(rule(&self.history, host));
                }
            }
            Some(_) if self.now_ms < HEALING_MS_MAX => {
                self.queue.push(self.now_ms + 2_000, Event::Looks);
            }
            Some(open) => self.violate(Violation::new("converges", open)),
        }
    }

    /// Something that has no end yet.
    fn open_end(&self) -> Option<String> {
        if !self.engine.is_idle() {
            return Some("the engine has something to do".to_owned());
        }
        let marks = self
            .engine
            .store
            .scan(&key::space(key::OPEN), None, 5)
            .unwrap_or_default();
        if let Some((mark, _)) = marks.first() {
            let row = key::opened(mark).unwrap_or_default();
            return Some(format!("{:?} of open work has no end", char::from(row[0])));
        }
        let pos = self
            .history
            .pos
            .values()
            .find(|pos| !pos.status().is_final());
        if let Some(pos) = pos {
            return Some(format!(
                "{} is {:?} in {:?}",
                pos.id,
                pos.status(),
                pos.stage
            ));
        }
        let client = self.clients.iter().position(Client::waits);
        if let Some(client) = client {
            return Some(format!("client {client} has no answer"));
        }
        self.tills
            .iter()
            .enumerate()
            .find_map(|(number, till)| till.open_end().map(|what| format!("till {number}: {what}")))
    }

    fn report(self, events: u64) -> Report {
        let mut outcomes = BTreeMap::new();
        for pos in self.history.pos.values() {
            let reason = pos.reason().map_or("", |reason| reason.code());
            let outcome = format!("{:?}/{reason}", pos.status()).to_lowercase();
            *outcomes.entry(outcome).or_default() += 1;
        }
        let faults = self
            .plan
            .struck
            .iter()
            .map(|(fault, times)| (fault.word(), *times));
        Report {
            seed: self.seed,
            violation: self.violation,
            trace: self.trace,
            virtual_ms: self.now_ms,
            events,
            outcomes,
            authorizations: self.authorizations,
            replays: self.replays,
            faults: faults.collect(),
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

#[cfg(test)]
mod tests {
    use engine::domain::pos::{PosTransaction, Verdict};
    use protocol::link::PosStatus;

    use super::*;

    /// A world at its end, in which a POS transaction of some kind has been changed by hand.
    fn changed(is_wanted: fn(&PosTransaction) -> bool, change: fn(&mut PosTransaction)) -> World {
        let found = (1..100).find_map(|seed| {
            let mut world = World::new(seed, None, false);
            world.run_to_the_end();
            assert_eq!(world.violation, None, "seed {seed}");
            change(world.history.pos.values_mut().find(|pos| is_wanted(pos))?);
            Some(world)
        });
        found.unwrap()
    }

    #[test]
    fn a_false_verdict_is_caught() {
        let world = changed(
            |pos| pos.cancel.is_some(),
            |pos| {
                if let Some(cancel) = &mut pos.cancel {
                    cancel.verdict = cancel.verdict.map_or(Some(Verdict::Canceled), |_| None);
                }
            },
        );
        let host = world.acquirer.line.host();
        assert!(checker::verdicts_are_true(&world.history, host).is_err());
    }

    #[test]
    fn a_false_status_is_caught() {
        let world = changed(
            |pos| pos.status() == PosStatus::Approved,
            |pos| {
                if let Some(outcome) = &mut pos.outcome {
                    outcome.status = PosStatus::Declined;
                }
            },
        );
        let host = world.acquirer.line.host();
        assert!(checker::statuses_are_true(&world.history, host).is_err());
    }
}
