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
}

/// The queue between owners and committer. Unbounded: admission is counted at the edge.
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
        let first = inner.waiting.len() == 1;
        drop(inner);
        if first {
            self.arrived.notify_one();
        }
    }

    /// Whether nothing waits at the moment.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    /// Takes all that waits; blocks while nothing does. False when closed and empty.
    pub(crate) fn take(&self, taken: &mut VecDeque<Pending>) -> bool {
        let mut inner = self.lock();
        while inner.waiting.is_empty() {
            if inner.closed {
                return false;
            }
            inner = self
                .arrived
                .wait(inner)
                .unwrap_or_else(PoisonError::into_inner);
        }
        // Both keep their memory: what was empty becomes the queue.
        std::mem::swap(&mut inner.waiting, taken);
        true
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
