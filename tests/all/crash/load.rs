//! Kills at random points under load from several lanes, from a seed.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use harness::shop::{Devices, Lane, Till};
use harness::wait::{until, until_within};

use super::client::{Client, Dice, Progress};
use super::ledger::Ledger;
use super::till_journal::{self, ChipWords};
use super::{CONVERGENCE_BOUND, Victim};

/// How often each part was killed.
#[derive(Debug, Default)]
struct Kills {
    engine: u32,
    recovery: u32,
    agent: u32,
    devices: u32,
    everything: u32,
}

/// A shop with several lanes, a client at each.
struct Floor {
    victim: Victim,
    /// The lanes beside the shop's own.
    others: Vec<Lane>,
    clients: Vec<JoinHandle<Ledger>>,
    progress: Arc<Progress>,
    chips: ChipWords,
    kills: Kills,
}

impl Floor {
    fn open(lanes: u64, seed: u64) -> Self {
        let victim = Victim::open();
        let open = |number: u64| {
            let dir = victim.dir.path().join(format!("lane-{number}"));
            Lane::open(&dir, &victim.shop.pos, &format!("Lane {number}"), None).unwrap()
        };
        let mut floor = Self {
            others: (2..=lanes).map(open).collect(),
            victim,
            clients: Vec::new(),
            progress: Arc::default(),
            chips: ChipWords::default(),
            kills: Kills::default(),
        };
        let shop = &floor.victim.shop;
        let mut places = vec![(shop.terminal_id.clone(), &shop.devices)];
        let others = floor.others.iter();
        places.extend(others.map(|lane| (lane.terminal_id.clone(), &lane.devices)));
        let client = |(number, (terminal_id, devices)): (u64, (String, &Devices))| Client {
            pos: shop.pos.clone(),
            terminal_id,
            control: Path::new(&devices.dir).join("control.sock"),
            dice: Dice(seed.wrapping_add(number)),
            progress: floor.progress.clone(),
            ledger: Ledger::default(),
        };
        let clients: Vec<Client> = (1..).zip(places).map(client).collect();
        floor.clients = clients
            .into_iter()
            .map(|client| thread::spawn(move || client.run()))
            .collect();
        floor
    }

    fn till(&mut self, lane: usize) -> &mut Till {
        match lane.checked_sub(1) {
            None => &mut self.victim.shop.till,
            Some(other) => &mut self.others[other].till,
        }
    }

    fn devices(&mut self, lane: usize) -> &mut Devices {
        match lane.checked_sub(1) {
            None => &mut self.victim.shop.devices,
            Some(other) => &mut self.others[other].devices,
        }
    }

    /// Lets the clients take so many steps in all.
    fn wait_for_steps(&self, target: u64) {
        let progress = &self.progress;
        let is_idle = || self.clients.iter().any(JoinHandle::is_finished);
        let reached = until("the clients to go on", || {
            let steps = progress.steps.load(Ordering::Relaxed);
            (steps >= target || is_idle()).then_some(())
        });
        assert!(reached.is_some() && !is_idle(), "a client has stopped");
    }

    fn kill_agent(&mut self, lane: usize) {
        self.till(lane).kill();
        let journal = till_journal::read(&self.till(lane).dir);
        self.chips.note(&journal);
    }

    fn run_agent(&mut self, lane: usize) {
        self.till(lane).run().expect("the agent starts again");
    }

    fn plug_devices_in(&mut self, lane: usize) {
        let dir = self.devices(lane).dir.clone();
        *self.devices(lane) = Devices::start(&dir, true).expect("the devices start again");
    }

    fn kill_something(&mut self, dice: &mut Dice) {
        let lanes = self.others.len() + 1;
        let lane = usize::try_from(dice.below(u64::try_from(lanes).unwrap())).unwrap();
        match dice.below(13) {
            0..=5 => {
                self.kills.engine += 1;
                self.victim.restart_engine();
                if dice.below(3) == 0 {
                    self.kills.recovery += 1;
                    self.victim.restart_engine();
                }
            }
            6..=9 => {
                self.kills.agent += 1;
                self.kill_agent(lane);
                self.run_agent(lane);
            }
            10 | 11 => {
                self.kills.devices += 1;
                self.devices(lane).unplug();
                self.plug_devices_in(lane);
            }
            _ => self.kill_everything(lanes),
        }
    }

    /// The whole shop goes dark at once.
    fn kill_everything(&mut self, lanes: usize) {
        self.kills.everything += 1;
        self.victim.kill_engine();
        for lane in 0..lanes {
            self.kill_agent(lane);
            self.devices(lane).unplug();
        }
        for lane in 0..lanes {
            self.plug_devices_in(lane);
            self.run_agent(lane);
        }
        self.victim.restart_engine();
    }

    /// Ends the clients, and holds engine, book, journals and answers against each other.
    fn close(mut self, what: &str) {
        self.progress.is_over.store(true, Ordering::Relaxed);
        for client in std::mem::take(&mut self.clients) {
            let ledger = client.join().expect("the client is content");
            self.victim.ledger.merge(ledger);
        }
        println!(
            "{:?}; {} answers to hold, {} words of chips",
            self.kills,
            self.victim.ledger.len(),
            self.chips.len()
        );
        self.victim.check(what);
        let state = super::agreement::State::read(&self.victim.shop.pos);
        self.chips.check(what, &state);
        for lane in 0..=self.others.len() {
            let dir = self.till(lane).dir.clone();
            let quiet = until_within("a quiet journal", CONVERGENCE_BOUND, || {
                (till_journal::read(&dir).open().count() == 0).then_some(())
            });
            assert!(
                quiet.is_some(),
                "{what}: open in the journal of {}: {:?}",
                dir.display(),
                till_journal::read(&dir).open().collect::<Vec<_>>()
            );
        }
        self.victim.close();
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn kills_at_random_points_under_load() {
    let kills = number("TILLWAY_KILLS", 5);
    let lanes = number("TILLWAY_LANES", 3);
    let seed = number("TILLWAY_SEED", 1);
    println!("TILLWAY_SEED={seed} TILLWAY_KILLS={kills} TILLWAY_LANES={lanes}");
    let mut dice = Dice(seed);
    let mut floor = Floor::open(lanes, seed);
    let mut target = 0;
    for kill in 1..=kills {
        let steps = floor.progress.steps.load(Ordering::Relaxed);
        target = steps.max(target) + 1 + dice.below(4 * lanes);
        floor.wait_for_steps(target);
        println!("kill {kill} after {target} steps");
        floor.kill_something(&mut dice);
    }
    floor.close(&format!("load, seed {seed}"));
}
