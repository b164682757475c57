//! Holds each answer against the store in the instant in which it leaves the engine.

use engine::domain::idempotency::{Claim, StoredAnswer};
use engine::domain::rejection::Rejection;
use engine::domain::transaction::TransactionState;
use engine::owner::key;
use engine::owner::request::{Answer, Reply};
use engine::owner::work::Stored as _;
use engine::store::Rows as _;

use super::checker::{self, Checked, Violation};
use super::engine::Caller;
use super::world::World;

impl World {
    /// Holds an answer against the store in the instant in which it leaves.
    pub fn check_reply(&mut self, caller: &Caller, reply: &Result<Reply, Rejection>) {
        self.note(|| format!("answer to {:?}: {reply:?}", caller.to));
        let checked = match reply {
            Ok(Reply::Fresh(answer)) => self
                .check_committed(answer)
                .and_then(|()| self.check_first(caller, answer)),
            Ok(Reply::Replayed(stored)) => {
                self.replays += 1;
                self.check_replay(caller, stored)
            }
            Err(_) => Ok(()),
        };
        let checked = checked.and_then(|()| self.check_told(caller, reply));
        self.check(checked);
    }

    /// Every repeat gets the same; the first one counts when its original was lost on the way.
    fn check_replay(&mut self, caller: &Caller, replayed: &StoredAnswer) -> Checked {
        let Some(claim) = caller.claim else {
            return Ok(());
        };
        let first = self
            .first_answers
            .entry(claim.key)
            .or_insert_with(|| replayed.clone());
        if first == replayed {
            return Ok(());
        }
        let (first, now) = (text(first), text(replayed));
        Err(Violation::new(
            "replay_is_same",
            format!("{first} first, {now} now"),
        ))
    }

    fn check_committed(&self, answer: &Answer) -> Checked {
        match answer {
            Answer::Started(pos) | Answer::Pos(pos) | Answer::Canceled(pos) => {
                checker::answer_is_committed(&self.history, pos)
            }
            Answer::Voided(one) | Answer::TipAdjusted(one) => {
                let known = self.history.transactions.get(&one.id);
                let is_undone = |state| matches!(state, TransactionState::Voided);
                if known.is_some_and(|known| {
                    known.revision >= one.revision && is_undone(known.state) >= is_undone(one.state)
                }) {
                    Ok(())
                } else {
                    let what = format!("{} was answered and is not stored so", one.id);
                    Err(Violation::new("answers_hold", what))
                }
            }
            _ => Ok(()),
        }
    }

    /// The first answer to a key is what is stored for its repeats, as soon as anything is.
    fn check_first(&mut self, caller: &Caller, answer: &Answer) -> Checked {
        let Some(claim) = &caller.claim else {
            return Ok(());
        };
        let merchant_id = self.engine.merchants[caller.merchant].id;
        let row = self
            .engine
            .store
            .get(&key::claim(merchant_id, claim.key))
            .ok()
            .flatten();
        let stored = row
            .and_then(|row| Claim::from_bytes(&row))
            .and_then(|row| row.answer);
        let Some(stored) = stored else { return Ok(()) };
        let given = (claim.render)(answer);
        if stored != given {
            let what = format!("{} was given, {} is stored", text(&given), text(&stored));
            return Err(Violation::new("replay_is_same", what));
        }
        self.first_answers.insert(claim.key, stored);
        Ok(())
    }
}

fn text(answer: &StoredAnswer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}
