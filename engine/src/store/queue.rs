//! Commits that wait for the committer. Owns their order; must never block who submits longer than
//! it takes to push one.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::{Commit, CommitRefused, Done};

/// A submitted commit.
pub(crate) struct Pending {
    pub(crate) commit: Commit,
    pub(crate) done: Done,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Pending>,
    closed: bool,
    /// Whether the committer sleeps: who comes while it is at work wakes nobody.
    asleep: bool,
}

/// The queue between owners and committer. It has no bound of its own: each owner has one commit in
/// flight, and what owners are asked is counted at the edge.
#[derive(Default)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    arrived: Condvar,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a commit, or refuses it at once on the caller's thread when the queue is closed.
    pub(crate) fn push(&self, commit: Commit, done: Done) {
        let mut inner = self.lock();
        if inner.closed {
            drop(inner);
            done(Err(CommitRefused::Closed));
            return;
        }
        inner.waiting.push_back(Pending { commit, done });
        let asleep = std::mem::take(&mut inner.asleep);
        drop(inner);
        if asleep {
            self.arrived.notify_one();
        }
    }

    /// Whether nothing waits at the moment.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    /// Blocks while nothing waits. False when closed and empty.
    pub(crate) fn await_first(&self) -> bool {
        let mut inner = self.lock();
        while inner.waiting.is_empty() {
            if inner.closed {
                return false;
            }
            inner.asleep = true;
            inner = self
                .arrived
                .wait(inner)
                .unwrap_or_else(PoisonError::into_inner);
        }
        inner.asleep = false;
        true
    }

    /// Takes all that waits, into what must be empty.
    pub(crate) fn take(&self, taken: &mut VecDeque<Pending>) {
        // Both keep their memory: what was empty becomes the queue.
        std::mem::swap(&mut self.lock().waiting, taken);
    }

    /// Refuses everything that is submitted later.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    /// Closes, and refuses what waits.
    pub(crate) fn refuse_all(&self) {
        self.close();
        let waiting = std::mem::take(&mut self.lock().waiting);
        for pending in waiting {
            (pending.done)(Err(CommitRefused::Closed));
        }
    }
}
