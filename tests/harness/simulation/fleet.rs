//! What offices want of their tills beside sales: to know how they are, and to have them otherwise.
//!
//! Some of the worlds have it, with numbers of their own: the others go as they went before.

use std::collections::{BTreeMap, BTreeSet};

use engine::domain::merchant::Terminal;
use engine::domain::terminal_settings::{TerminalDefaults, TerminalSettings};
use engine::owner::key;
use engine::owner::request::Request;
use engine::owner::terminal::{FRESH_MS_MAX, Freshness, TerminalInput};
use engine::owner::work::Stored as _;
use engine::store::Rows as _;

use super::engine::Mail;
use super::event::Event;
use super::random::Random;
use super::staff::Errand;
use super::world::World;

/// Every so many seeds there is a world with it.
const ONE_IN: u64 = 5;

/// Who asks and what was set.
#[derive(Debug)]
pub struct Fleet {
    random: Random,
    /// Who asked how a till is, and waits: which till, and since when.
    asked: BTreeMap<u64, (usize, u64)>,
    asks: u64,
}

impl Fleet {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed ^ 0x0066_6C65_6574),
            asked: BTreeMap::new(),
            asks: 0,
        }
    }
}

impl World {
    pub(super) fn plan_fleet(&mut self) {
        if self.seed % ONE_IN == 1 {
            let first_ms = self.fleet.random.between(4_000, 20_000);
            self.queue.push(first_ms, Event::Office);
        }
    }

    /// An office wants something of a till, or of all.
    pub(super) fn office(&mut self) {
        if self.plan.is_over {
            return;
        }
        let next_ms = self.fleet.random.between(2_000, 40_000);
        self.queue.push(self.now_ms + next_ms, Event::Office);
        // A copied till is no terminal of its own.
        let till = self.fleet.random.index(self.engine.terminals.len());
        if self.fleet.random.chance(40) {
            self.ask_till(till);
            return;
        }
        let text = self.fleet.random.below(4);
        let (is_own, in_waves) = (self.fleet.random.chance(50), self.fleet.random.chance(50));
        self.run_errand(Errand::Configure {
            till,
            text,
            is_own,
            in_waves,
        });
    }

    fn ask_till(&mut self, till: usize) {
        if !self.engine.is_up {
            return;
        }
        self.fleet.asks += 1;
        let asker = self.fleet.asks;
        self.fleet.asked.insert(asker, (till, self.now_ms));
        let input = Box::new(TerminalInput::Ask { asker });
        self.engine.post(Mail::Terminal(till, input));
        self.pump_engine();
    }

    /// The request of an errand.
    pub(super) fn configuring(
        &self,
        till: usize,
        text: u64,
        is_own: bool,
        in_waves: bool,
    ) -> Request {
        let settings = TerminalSettings {
            idle_text: (text > 0).then(|| format!("text {text}")),
            receipt_footer: (text == 2).then(|| vec!["Thank you".to_owned()]),
            ..TerminalSettings::default()
        };
        if is_own {
            Request::SetTerminalSettings {
                terminal_id: self.tills[till].terminal_id,
                settings,
            }
        } else {
            Request::SetTerminalDefaults { settings, in_waves }
        }
    }

    /// Those who asked are told: all of them once, and in time.
    pub(super) fn told(&mut self, till: usize, askers: &BTreeSet<u64>, freshness: Freshness) {
        self.note(|| format!("till {till} was asked by {askers:?}: {freshness:?}"));
        for asker in askers {
            let asked = self.fleet.asked.remove(asker);
            let Some((of, at_ms)) = asked.filter(|(of, _)| *of == till) else {
                self.broken(format!("{asker} is told of till {till} and did not ask"));
                continue;
            };
            // The engine's clock may have been set meanwhile: what passes for it is then longer.
            let is_steady = self.clock_skew_ms == 0;
            let waited_ms = self.now_ms - at_ms;
            if is_steady && waited_ms > FRESH_MS_MAX + 1 {
                self.broken(format!("till {of} was asked {waited_ms} ms ago"));
            }
        }
    }

    /// The engine's process has ended, and its callers with it.
    pub(super) fn nobody_asks(&mut self) {
        self.fleet.asked.clear();
    }

    /// A till that is linked and is not what it is to be, or a question without an answer.
    pub(super) fn open_configuration(&self) -> Option<String> {
        if let Some((asker, (till, _))) = self.fleet.asked.first_key_value() {
            return Some(format!("{asker} asked for till {till} and was not told"));
        }
        (0..self.tills.len()).find_map(|till| {
            let process = self.tills[till].process.as_ref()?;
            let wanted = self.wanted_version(till)?;
            let has = process.agent.configuration_version();
            (process.link.is_up && has != wanted)
                .then(|| format!("till {till} has configuration {has} instead of {wanted}"))
        })
    }

    fn wanted_version(&self, till: usize) -> Option<u64> {
        let side = self.engine.merchants.get(self.tills[till].merchant)?;
        let row = |row_key: &[u8]| self.engine.store.get(row_key).ok().flatten();
        let defaults = row(&key::terminal_defaults(side.id))?;
        let defaults = TerminalDefaults::from_bytes(&defaults)?;
        let terminal_id = self.tills[till].terminal_id;
        let terminal = Terminal::from_bytes(&row(&key::terminal(side.id, terminal_id))?)?;
        let version = defaults.wanted(terminal_id, &terminal.own).version;
        (version > 0).then_some(version)
    }
}
