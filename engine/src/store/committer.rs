//! Decides and writes commits: one batch, one write, one sync, then the rows, then the
//! completions. Owns the sequence numbers; must never report a commit before its sync, and must
//! never go on after a failed write or sync.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::checkpoint::Progress;
use super::fold::{Entry, FoldedState};
use super::frame::{BODY_BYTES_MAX, FrameWriter};
use super::log::LogEnd;
use super::queue::{Pending, Queue};
use super::state::{State, head_key};
use super::{Commit, CommitRefused, Committed, Done, Position, StreamId, Urgency, admissible};

/// Most commits in one batch: where syncs stop being what limits (measured 2026-11-20).
const BATCH_COMMITS_MAX: usize = 512;
/// Most heads kept in memory; then all are forgotten and read again as needed (arbitrary, bounded:
/// 4 MiB).
const HEADS_MAX: usize = 100_000;

/// Counts of what the store has done since it was opened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) records: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
    /// Odd while a checkpoint is being taken.
    pub(crate) checkpoint_phase: AtomicU64,
}

/// Adds to a counter that nothing else depends on.
pub(crate) fn count(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

/// Called once with the reason when the store cannot go on.
pub type Fatal = Box<dyn Fn(String) + Send>;

/// The way out: ends the store once, for whichever thread fails first.
pub(crate) struct Poison {
    queue: Arc<Queue>,
    fatal: Mutex<Option<Fatal>>,
}

impl Poison {
    pub(crate) fn new(queue: Arc<Queue>, fatal: Fatal) -> Self {
        Self {
            queue,
            fatal: Mutex::new(Some(fatal)),
        }
    }

    /// Stops accepting commits and tells the process, before anybody hears a refusal: whoever
    /// hears one may not conclude that nothing happened.
    pub(crate) fn spread(&self, reason: String) {
        self.queue.close();
        let fatal = self
            .fatal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(fatal) = fatal {
            tracing::error!(%reason, "store cannot go on");
            fatal(reason);
        }
    }

    /// Whether something has failed.
    pub(crate) fn is_spread(&self) -> bool {
        self.fatal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_none()
    }
}

/// The committer without its thread.
pub(crate) struct Committer {
    pub(crate) end: LogEnd,
    pub(crate) state: Arc<FoldedState>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) reserve_bytes: u64,
    pub(crate) commit_bytes_max: usize,
    heads: HashMap<StreamId, u64>,
    batch: FrameWriter,
    /// What the batch changes, in order: the owners' own memory, no copies of it.
    rows: Vec<Entry>,
    /// The streams that the batch moves, and where to.
    moved: Vec<(StreamId, u64)>,
    decided: Vec<(Result<Committed, CommitRefused>, Done)>,
}

impl Committer {
    pub(crate) fn new(
        end: LogEnd,
        state: Arc<FoldedState>,
        progress: Arc<Progress>,
        counters: Arc<Counters>,
        reserve_bytes: u64,
        commit_bytes_max: usize,
    ) -> Self {
        Self {
            end,
            state,
            progress,
            counters,
            reserve_bytes,
            commit_bytes_max,
            heads: HashMap::new(),
            batch: FrameWriter::new(),
            rows: Vec::new(),
            moved: Vec::with_capacity(BATCH_COMMITS_MAX),
            decided: Vec::with_capacity(BATCH_COMMITS_MAX),
        }
    }

    /// Commits what is submitted until the queue is closed and empty; the body of a thread.
    pub(crate) fn attend(&mut self, queue: &Queue, poison: &Poison) {
        let mut taken = VecDeque::new();
        let mut has_company = false;
        while queue.await_first() {
            if has_company {
                // Commits come together, so more are on their way: on a busy machine their owners
                // get the processor first and share the sync, on an idle one this returns at once.
                std::thread::yield_now();
            }
            queue.take(&mut taken);
            has_company = taken.len() > 1;
            if poison.is_spread() {
                // Another thread has failed.
                self.refuse(&mut taken);
                continue;
            }
            let turn = self.turn(&mut taken).and_then(|()| self.rest(queue));
            if let Err(reason) = turn {
                poison.spread(reason);
                self.refuse(&mut taken);
            }
        }
    }

    /// Marks the end of the log when nobody waits.
    fn rest(&mut self, queue: &Queue) -> Result<(), String> {
        if !queue.is_empty() {
            return Ok(());
        }
        let marked = self.end.mark_end(&mut self.batch);
        marked.map_err(|error| error.to_string())
    }

    fn refuse(&mut self, taken: &mut VecDeque<Pending>) {
        for (_, done) in self.decided.drain(..) {
            done(Err(CommitRefused::Closed));
        }
        for pending in taken.drain(..) {
            (pending.done)(Err(CommitRefused::Closed));
        }
    }

    /// Commits all of `taken`, in as few batches as the bounds allow.
    ///
    /// # Errors
    /// The reason why the store must end. What is left in `taken`, and what was decided, has not
    /// been reported.
    pub(crate) fn turn(&mut self, taken: &mut VecDeque<Pending>) -> Result<(), String> {
        while let Some(Pending { commit, done }) = taken.pop_front() {
            let bytes = match admissible(&commit, self.commit_bytes_max) {
                Ok(bytes) => bytes,
                Err(refusal) => {
                    self.decided.push((Err(refusal), done));
                    continue;
                }
            };
            if self.is_full(bytes) {
                self.write()?;
            }
            match self.decide(commit, bytes) {
                Ok(verdict) => self.decided.push((verdict, done)),
                Err(reason) => {
                    self.decided.push((Err(CommitRefused::Closed), done));
                    return Err(reason);
                }
            }
        }
        self.write()
    }

    fn is_full(&self, bytes: usize) -> bool {
        let fits = self.fits(bytes);
        let bounded = self.decided.len() < BATCH_COMMITS_MAX
            && self.batch.body_length() + bytes <= BODY_BYTES_MAX;
        !(fits && bounded)
    }

    fn frame_bytes(&self, bytes: usize) -> u64 {
        u64::try_from(self.batch.frame_length_with(bytes)).unwrap_or(u64::MAX)
    }

    fn fits(&self, bytes: usize) -> bool {
        self.frame_bytes(bytes) <= self.end.remaining()
    }

    /// What becomes of a commit; the outer error is why the store must end.
    fn decide(
        &mut self,
        commit: Commit,
        bytes: usize,
    ) -> Result<Result<Committed, CommitRefused>, String> {
        let actual = self.head(commit.stream)?;
        let expected = commit.expected_seq;
        if expected != actual {
            return Ok(Err(CommitRefused::WrongSequence { expected, actual }));
        }
        if !self.make_room(bytes, commit.urgency) {
            return Ok(Err(CommitRefused::NoSpace));
        }
        self.batch.push(&commit, actual + 1);
        let seq = actual + u64::try_from(commit.records.len()).unwrap_or(u64::MAX);
        self.heads.insert(commit.stream, seq);
        let position = self.end.place().position + u64::from(self.batch.record_count());
        let committed = Committed {
            seq,
            position: Position(position),
        };
        let rows = commit.records.into_iter().flat_map(|record| record.rows);
        self.rows.extend(rows.map(|row| (row.key, row.value)));
        self.moved.push((commit.stream, seq));
        Ok(Ok(committed))
    }

    /// Whether the log has room for a commit; moves on to the next segment when this one has not.
    fn make_room(&mut self, bytes: usize, urgency: Urgency) -> bool {
        if urgency == Urgency::New && self.end.spares().is_exhausted() {
            return false;
        }
        let fits = self.fits(bytes) || (self.end.spares().await_ready() && self.end.roll());
        if !fits {
            return false;
        }
        let left = self.end.remaining().saturating_sub(self.frame_bytes(bytes));
        // A spare that is still being prepared is waited for, so that the reserve is never used up
        // by work that came before its failure was known.
        urgency == Urgency::Concluding
            || left >= self.reserve_bytes
            || self.end.spares().await_ready()
    }

    fn head(&mut self, stream: StreamId) -> Result<u64, String> {
        if let Some(head) = self.heads.get(&stream) {
            return Ok(*head);
        }
        let head = read_head(self.state.as_ref(), stream)?;
        self.heads.insert(stream, head);
        Ok(head)
    }

    /// Writes the batch, applies its rows, and reports everything that was decided.
    fn write(&mut self) -> Result<(), String> {
        if self.batch.record_count() > 0 {
            let bytes = self
                .end
                .append(&mut self.batch)
                .map_err(|error| error.to_string())?;
            count(&self.counters.batches, 1);
            count(&self.counters.syncs, 1);
            count(&self.counters.bytes, bytes);
            count(&self.counters.records, u64::from(self.batch.record_count()));
            let position = self.end.place().position;
            self.state
                .absorb(self.rows.drain(..), self.moved.drain(..), position)?;
            self.progress.advance(self.end.place(), bytes);
            self.batch.clear();
            if self.heads.len() > HEADS_MAX {
                self.heads.clear();
            }
        }
        let accepted = self.decided.iter().filter(|(verdict, _)| verdict.is_ok());
        let accepted = u64::try_from(accepted.count()).unwrap_or(u64::MAX);
        count(&self.counters.commits, accepted);
        for (verdict, done) in self.decided.drain(..) {
            done(verdict);
        }
        Ok(())
    }
}

/// The last sequence number of a stream, as the state holds it.
pub(crate) fn read_head(state: &dyn State, stream: StreamId) -> Result<u64, String> {
    state
        .get(&head_key(stream))?
        .map_or(Ok(0), |bytes| number(&bytes))
}

/// A number as the state holds it.
pub(crate) fn number(bytes: &[u8]) -> Result<u64, String> {
    let bytes = bytes
        .try_into()
        .map_err(|_| "stored number has another length".to_owned())?;
    Ok(u64::from_be_bytes(bytes))
}
