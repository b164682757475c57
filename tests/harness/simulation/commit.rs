//! Commits of the engine's owners: on their way, durable, refused.

use engine::domain::pos::PosTransaction;
use engine::domain::rejection::Rejection;
use engine::domain::transaction::Transaction;
use engine::owner::key;
use engine::owner::machine::Input;
use engine::owner::merchant::MerchantInput;
use engine::owner::request::CallerId;
use engine::owner::terminal::TerminalInput;
use engine::owner::work::Stored as _;
use engine::store::{Commit, CommitRefused, Committed, Position, Store as _};
use std::sync::Arc;

use super::checker::{self, Checked};
use super::engine::Mail;
use super::event::Event;
use super::fault::{Fault, Sabotage};
use super::world::World;

impl World {
    /// One commit reaches the disk.
    pub fn step_store(&mut self) {
        if !self.engine.is_up || !self.engine.store.step() {
            return;
        }
        self.follow_history();
        loop {
            let fate = self
                .engine
                .fates
                .lock()
                .map_or(None, |mut fates| fates.pop_front());
            let Some((life, merchant, generation, fate)) = fate else {
                break;
            };
            if life != self.engine.life || generation != self.engine.merchants[merchant].generation
            {
                continue;
            }
            match fate {
                Ok(committed) => {
                    let input = Box::new(Input::Committed(committed));
                    self.engine.post(Mail::Merchant(merchant, input));
                }
                Err(refused) => {
                    self.note(|| format!("commit refused: {refused}"));
                    self.discard(merchant);
                }
            }
        }
        self.pump_engine();
    }

    pub(super) fn commit(&mut self, merchant: usize, commit: Commit) {
        self.check(self.authorized_in_time(&commit));
        let generation = self.engine.merchants[merchant].generation;
        let (life, fates) = (self.engine.life, Arc::clone(&self.engine.fates));
        if self.plan.strikes(Fault::CommitRefused, 3, &mut self.random) {
            self.engine.store.fail_next(CommitRefused::NoSpace);
        }
        let authorizes = !authorized(&commit).is_empty();
        let is_early = match self.sabotage {
            Some(Sabotage::AnswerBeforeCommit) => !authorizes,
            Some(Sabotage::SendBeforeCommit) => authorizes,
            _ => false,
        };
        if is_early {
            let records = u64::try_from(commit.records.len()).unwrap_or(0);
            let seq = commit.expected_seq + records;
            let committed = Committed {
                seq,
                position: Position(0),
            };
            let input = Box::new(Input::Committed(committed));
            self.engine.post(Mail::Merchant(merchant, input));
            self.engine.store.commit(commit, Box::new(|_| ()));
        } else {
            let done = move |fate| {
                if let Ok(mut fates) = fates.lock() {
                    fates.push_back((life, merchant, generation, fate));
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

    /// Builds the owner anew from what is committed, as the actor does.
    pub(super) fn discard(&mut self, merchant: usize) {
        let owner = self.engine.merchants[merchant].owner.take();
        let kept: Vec<MerchantInput> = owner
            .map(|owner| owner.into_kept().collect())
            .unwrap_or_default();
        let callers: Vec<CallerId> = self
            .engine
            .callers
            .iter()
            .filter(|(_, caller)| caller.merchant == merchant)
            .map(|(number, _)| *number)
            .collect();
        for caller in callers {
            self.answer(caller, Err(Rejection::Busy));
        }
        for till in 0..self.tills.len() {
            if self.tills[till].merchant == merchant {
                let reset = Box::new(TerminalInput::Reset { is_renewed: false });
                self.engine.post(Mail::Terminal(till, reset));
            }
        }
        self.load(merchant);
        for input in kept {
            self.engine
                .post(Mail::Merchant(merchant, Box::new(Input::Outside(input))));
        }
    }
}

fn rows_of(commit: &Commit, space: u8) -> impl Iterator<Item = &[u8]> {
    let rows = commit.records.iter().flat_map(|record| &record.rows);
    rows.filter(move |row| row.key.first() == Some(&space))
        .filter_map(|row| row.value.as_deref())
}

/// The transactions that begin with a commit.
fn authorized(commit: &Commit) -> Vec<Transaction> {
    let all = rows_of(commit, key::TRANSACTION).filter_map(Transaction::from_bytes);
    all.filter(|one| one.revision == 1).collect()
}
