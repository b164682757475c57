//! How a world ends: whether anything is left to do, the rules about the end, and the report.

use std::collections::BTreeMap;

use engine::owner::inspect::inspect;
use engine::owner::key;
use engine::store::Rows as _;

use super::checker::{self, Violation};
use super::client::Client;
use super::event::Event;
use super::summary::Counts;
use super::world::World;

/// How long after the last fault everything must have an end. A reversal whose original is not
/// found takes two minutes, a transaction with retries five; the rest is margin.
const HEALING_MS_MAX: u64 = 1_800_000;

/// What a seed came to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The first rule that did not hold.
    pub violation: Option<Violation>,
    /// Hash over everything that happened.
    pub trace: u64,
    /// What happened.
    pub counts: Counts,
    /// Strikes by fault.
    pub faults: BTreeMap<&'static str, u64>,
    /// How many requests and faults there were, also of those that were left out.
    pub choices: u32,
}

impl World {
    /// Whether everything has an end; otherwise looks again later.
    pub(super) fn look(&mut self) {
        self.check_somebody_asks();
        self.check(self.every_request_is_answered());
        match self.open_end() {
            None => {
                self.is_converged = true;
                let host = self.acquirer.line.host();
                let checked = self
                    .model
                    .still_holds(host)
                    .and_then(|()| self.check_start());
                self.check(checked);
                for rule in checker::AT_THE_END {
                    let host = self.acquirer.line.host();
                    self.check(rule(&self.history, host));
                }
                self.inspect();
                self.check(self.lost_money_is_named());
            }
            Some(_) if self.now_ms < HEALING_MS_MAX => {
                self.queue.push(self.now_ms + 2_000, Event::Looks);
            }
            Some(open) => self.violate(Violation::new("converges", open)),
        }
    }

    /// Whatever is stored keeps every invariant of the engine.
    pub(super) fn inspect(&mut self) {
        let store = &self.engine.store;
        let rows = store.scan(&[], None, usize::MAX).unwrap_or_default();
        for broken in inspect(rows) {
            let what = format!("{}: {}", broken.id, broken.what);
            self.check(Err(Violation::new(broken.rule, what)));
        }
    }

    /// Something that has no end yet.
    pub(super) fn open_end(&self) -> Option<String> {
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
        if !self.engine.callers.is_empty() {
            return Some("a caller has no answer".to_owned());
        }
        if let Some(open) = self.open_configuration() {
            return Some(open);
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

    pub(super) fn report(self, events: u64) -> Report {
        let under_aes = self.approved_under_aes();
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
            counts: Counts {
                virtual_ms: self.now_ms,
                events,
                outcomes,
                authorizations: self.authorizations,
                replays: self.replays,
                turned_away: self.turned_away,
                under_aes,
                advised: self.variety.advised,
                papers: self.tills.iter().map(|till| till.printer.papers).sum(),
            },
            faults: faults.collect(),
            choices: self.plan.choices(),
        }
    }
}
