//! Commits of the engine's owners: on their way, durable, refused.

use engine::domain::pos::PosTransaction;
use engine::domain::transaction::Transaction;
use engine::owner::key;
use engine::owner::machine::Input;
use engine::owner::work::Stored as _;
use engine::store::{Commit, CommitRefused, Committed, Position, Store as _};
use std::sync::Arc;

use super::checker::{self, Checked};
use super::engine::{Mail, Whose};
use super::event::Event;
use super::fault::Fault;
use super::world::World;

impl World {
    /// One commit reaches the disk.
    pub fn step_store(&mut self) {
        if !self.engine.is_up || self.engine.store.waiting() == 0 {
            return;
        }
        if self.plan.strikes(Fault::SyncFails, 1, &mut self.random) {
            // After a failed write or sync the process ends; how much is on the disk is chance.
            self.crash_engine();
            return;
        }
        self.engine.store.step();
        self.lie_after_step();
        self.follow_history();
        loop {
            let fate = self
                .engine
                .fates
                .lock()
                .map_or(None, |mut fates| fates.pop_front());
            let Some((life, whose, generation, fate)) = fate else {
                break;
            };
            if life != self.engine.life || generation != self.generation(whose) {
                continue;
            }
            if let Err(refused) = &fate {
                self.note(|| format!("commit refused: {refused}"));
            }
            match (whose, fate) {
                (Whose::Merchant(merchant), Ok(committed)) => {
                    let input = Box::new(Input::Committed(committed));
                    self.engine.post(Mail::Merchant(merchant, input));
                }
                (Whose::Merchant(merchant), Err(_)) => {
                    if !self.keeps_refused(merchant) {
                        self.discard(merchant);
                    }
                }
                (Whose::Platform, Ok(committed)) => {
                    let input = Box::new(Input::Committed(committed));
                    self.engine.post(Mail::Platform(input));
                }
                (Whose::Platform, Err(_)) => self.engine.platform = None,
            }
        }
        self.pump_engine();
    }

    fn generation(&self, whose: Whose) -> u64 {
        match whose {
            Whose::Merchant(merchant) => self.engine.merchants[merchant].generation,
            Whose::Platform => self.engine.platform_generation,
        }
    }

    pub(super) fn commit(&mut self, whose: Whose, commit: Commit) {
        self.check(self.authorized_in_time(&commit));
        let mut written = self.lie_in_commit(commit);
        let Some(commit) = written.pop() else { return };
        for first in written {
            self.engine.store.commit(first, Box::new(|_| ()));
            self.queue.push(self.now_ms + 1, Event::StoreSteps);
        }
        let generation = self.generation(whose);
        let (life, fates) = (self.engine.life, Arc::clone(&self.engine.fates));
        if self.plan.strikes(Fault::CommitRefused, 3, &mut self.random) {
            self.engine.store.fail_next(CommitRefused::NoSpace);
        }
        let is_early = self.is_early(&commit);
        if is_early {
            let records = u64::try_from(commit.records.len()).unwrap_or(0);
            let seq = commit.expected_seq + records;
            let committed = Committed {
                seq,
                position: Position(0),
            };
            self.engine.post(match whose {
                Whose::Merchant(merchant) => {
                    Mail::Merchant(merchant, Box::new(Input::Committed(committed)))
                }
                Whose::Platform => Mail::Platform(Box::new(Input::Committed(committed))),
            });
            self.engine.store.commit(commit, Box::new(|_| ()));
        } else {
            let done = move |fate| {
                if let Ok(mut fates) = fates.lock() {
                    fates.push_back((life, whose, generation, fate));
                }
            };
            self.engine.store.commit(commit, Box::new(done));
        }
        let is_slow = self.plan.strikes(Fault::SlowDisk, 20, &mut self.random);
        let pause_ms = if is_slow {
            self.random.between(50, 3_000)
        } else {
            self.random.between(1, 6)
        };
        self.queue.push(self.now_ms + pause_ms, Event::StoreSteps);
    }

    fn authorized_in_time(&self, commit: &Commit) -> Checked {
        let now = self.engine_now();
        for transaction in authorized(commit) {
            let pos = rows_of(commit, key::POS)
                .filter_map(PosTransaction::from_bytes)
                .find(|pos| pos.attempt(transaction.attempt_id).is_some());
            if let Some(pos) = pos {
                checker::no_expired_attempt_authorized(&pos, &transaction, now)?;
            }
        }
        Ok(())
    }
}

pub(super) fn rows_of(commit: &Commit, space: u8) -> impl Iterator<Item = &[u8]> {
    let rows = commit.records.iter().flat_map(|record| &record.rows);
    rows.filter(move |row| row.key.first() == Some(&space))
        .filter_map(|row| row.value.as_deref())
}

/// The transactions that begin with a commit.
pub(super) fn authorized(commit: &Commit) -> Vec<Transaction> {
    let all = rows_of(commit, key::TRANSACTION).filter_map(Transaction::from_bytes);
    all.filter(|one| one.revision == 1).collect()
}
