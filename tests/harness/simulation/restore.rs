//! The engine is restored from a backup of some time ago, as docs/operations.md says: the old one
//! is stopped, callers do not repeat what they asked before, the acquirer's book is compared before
//! the restored one runs, and tills that were paired since are paired again.

use std::collections::BTreeSet;
use std::sync::Arc;

use engine::acquirer::host::{BookEntry, BookState};
use engine::domain::merchant::Terminal;
use engine::offline::{Finding, compare_with_book};
use engine::owner::key;
use engine::owner::work::Stored as _;
use engine::store::{Position, Rows as _};
use protocol::id::IncarnationId;

use super::checker::{Checked, fail};
use super::event::Event;
use super::fault::Fault;
use super::lost::{Kind, is_relaxed};
use super::world::World;

/// What the simulation does about backups.
#[derive(Debug, Default)]
pub struct Backups {
    /// How far the log went when the last copy was put aside.
    copy: Option<Position>,
    /// How often the engine was restored.
    restored: u8,
    /// When it was restored last.
    restored_ms: Option<u64>,
}

/// The n-th life of the database.
pub fn incarnation(number: u8) -> IncarnationId {
    IncarnationId::from_bytes([number + 1; 16])
}

impl World {
    /// A copy will be put aside, and some time later put back.
    pub(super) fn plan_restore(&mut self) {
        if !self.plan.has(Fault::EngineRestored) || !self.plan.takes() {
            return;
        }
        let copy_ms = self.now_ms + self.random.between(3_000, 90_000);
        // The younger the copy, the more of it is still open.
        let age_ms = *self.random.pick(&[1_000, 8_000, 60_000]);
        let age_ms = self.random.between(1, age_ms);
        self.queue.push(copy_ms, Event::BacksUp);
        self.queue.push(copy_ms + age_ms, Event::Restores);
    }

    /// What is committed is copied, as `engine backup` does while the engine runs.
    pub(super) fn back_up(&mut self) {
        self.note(|| "the engine is backed up".to_owned());
        self.backups.copy = Some(self.engine.store.position());
    }

    /// The copy takes the place of the database, as after `engine restore`.
    pub(super) fn restore(&mut self) {
        let Some(copy) = self.backups.copy.take() else {
            return;
        };
        if !self.plan.has(Fault::EngineRestored) {
            return;
        }
        self.plan.strike(Fault::EngineRestored);
        self.crash_engine();
        self.backups.restored += 1;
        self.backups.restored_ms = Some(self.now_ms);
        let life = self.restored_life(self.backups.restored);
        let store = Arc::new(self.engine.store.restored(copy, life));
        self.note(|| {
            let (last, kept) = (self.engine.store.position().0, copy.0);
            format!("the engine is restored: {kept} of {last} records")
        });
        self.engine.store = store;
        self.forget_lost();
        self.check(self.lost_money_is_named());
        if self.random.chance(30) {
            self.plan_restore();
        }
    }

    /// The checkers' and the model's own view begins again where the copy ends.
    fn forget_lost(&mut self) {
        self.rights = super::access::Rights::default();
        let before = std::mem::take(&mut self.history);
        self.history.lost.clone_from(&before.lost);
        self.follow_history();
        let mut lost = std::mem::take(&mut self.history.lost);
        lost.add(&before, &self.history);
        self.history.lost = lost;
        let answered = self.history.answered_keys();
        self.first_answers
            .retain(|key, _| !is_relaxed("replay_is_same", Kind::Key) || answered.contains(key));
        self.forget_duplicates();
        self.model.restored(&self.history);
        for client in &mut self.clients {
            client.forgets_call();
        }
    }

    /// Two tills that were found to take turns after the backup are to be found again.
    fn forget_duplicates(&mut self) {
        let (store, merchants, tills) = (&self.engine.store, &self.engine.merchants, &self.tills);
        let is_marked = |till: &usize| {
            let till = &tills[*till];
            let row = store.get(&key::terminal(
                merchants[till.merchant].id,
                till.terminal_id,
            ));
            let terminal = row
                .ok()
                .flatten()
                .and_then(|row| Terminal::from_bytes(&row));
            terminal.is_some_and(|terminal| terminal.installations.is_duplicate)
        };
        self.duplicates.retain(is_marked);
    }

    /// Whether a call was sent to an engine that was restored since: its connection is gone, and
    /// its caller does not repeat it.
    pub(super) fn is_of_the_past(&self, sent_ms: u64) -> bool {
        let restored_ms = self.backups.restored_ms;
        restored_ms.is_some_and(|restored_ms| sent_ms <= restored_ms)
    }

    /// Tills that were paired after the backup sign with a key that the engine does not know.
    pub(super) fn pair_again(&mut self) {
        if self.backups.restored == 0 {
            return;
        }
        for till in 0..self.tills.len() {
            let is_known = self.is_signed(till, self.tills[till].terminal_id);
            if !self.tills[till].is_copy && !is_known {
                self.note(|| format!("till {till} was paired since the backup"));
                self.send_technician(till);
            }
        }
    }

    /// What the comparison says of the acquirer's book: every authorization that stands there and is
    /// unknown here is named, and nothing that was not lost.
    pub(super) fn lost_money_is_named(&self) -> Checked {
        let rule = "lost_money_is_named";
        let findings = self.lie_in_comparison(self.compare());
        let named = |name: &str| -> BTreeSet<&str> {
            let named = findings.iter().filter(|one| one.rule == name);
            named.map(|one| one.subject.as_str()).collect()
        };
        let unknown = named("authorization_is_known");
        for entry in self.acquirer.line.host().book().entries() {
            let id = entry.transaction_id;
            let is_known = self.history.transactions.contains_key(&id);
            let is_standing = entry.state == BookState::Authorized;
            if (is_standing && !is_known) != unknown.contains(id.to_string().as_str()) {
                return fail(rule, format!("{id}: {:?} there, {findings:?}", entry.state));
            }
        }
        let lost = |one: &&Finding| {
            let mut ids = self.history.lost.transactions();
            ids.any(|id| id.to_string() == one.subject)
        };
        match findings.iter().find(|one| !lost(one)) {
            Some(other) => fail(rule, other.to_string()),
            None => Ok(()),
        }
    }

    fn compare(&self) -> Vec<Finding> {
        let book: Vec<BookEntry> = self
            .acquirer
            .line
            .host()
            .book()
            .entries()
            .copied()
            .collect();
        compare_with_book(self.history.transactions.values(), &book)
    }
}
