//! The memory twin of the disk store: the same contract, single-threaded and deterministic, for
//! simulations. It owns what would survive a crash and what would not; it must never read a
//! clock, start a thread, or make anything durable by itself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::id::IncarnationId;

use super::range;
use super::{
    Commit, CommitRefused, Committed, Done, KeyValue, Logged, Position, ReadFault, Record, Rows,
    Store, StreamId, Urgency, admissible,
};

struct Waiting {
    commit: Commit,
    done: Done,
}

/// How much room is left for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Space {
    /// Enough.
    #[default]
    Ample,
    /// What is kept back for concluding what is open.
    Reserve,
    /// None at all.
    Nothing,
}

#[derive(Default)]
struct Inner {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    heads: BTreeMap<StreamId, u64>,
    /// The whole log: the record at position `n` is at `n - 1`.
    log: Vec<Logged>,
    waiting: VecDeque<Waiting>,
    refusals: VecDeque<CommitRefused>,
    first_incarnation: Option<IncarnationId>,
    incarnation: Option<IncarnationId>,
    space: Space,
    closed: bool,
}

/// A store without a disk. Commits wait until [`MemoryStore::step`] or [`MemoryStore::sync`]
/// makes them durable; [`MemoryStore::crash`] forgets those that wait.
#[derive(Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins another life, as a restored copy does.
    pub fn set_incarnation(&self, incarnation: IncarnationId) {
        let mut inner = self.lock();
        inner.first_incarnation.get_or_insert(incarnation);
        inner.incarnation = Some(incarnation);
    }

    /// A copy of the log as it was when its last record was that at `until`, with the rows that
    /// follow from it, as `engine backup` and `engine restore` make it: in another life.
    pub fn restored(&self, until: Position, incarnation: IncarnationId) -> Self {
        let mut copy = Inner::default();
        let inner = self.lock();
        copy.space = inner.space;
        copy.first_incarnation = inner.first_incarnation;
        let length = usize::try_from(until.0).unwrap_or(usize::MAX);
        for logged in inner.log.iter().take(length) {
            copy.append(logged.stream, logged.record.clone());
        }
        drop(inner);
        let store = Self {
            inner: Mutex::new(copy),
        };
        store.set_incarnation(incarnation);
        store
    }

    /// Decides the oldest waiting commit and calls its [`Done`]; false when none waits.
    pub fn step(&self) -> bool {
        let (done, outcome) = {
            let mut inner = self.lock();
            let Some(Waiting { commit, done }) = inner.waiting.pop_front() else {
                return false;
            };
            (done, inner.decide(commit))
        };
        // Called without the lock: a completion may read and may commit again.
        done(outcome);
        true
    }

    /// Decides everything that waits now, oldest first, and returns how many commits that were.
    /// What completions submit meanwhile waits for the next call.
    pub fn sync(&self) -> usize {
        let waiting = self.waiting();
        for _ in 0..waiting {
            self.step();
        }
        waiting
    }

    /// How many commits wait.
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// The power fails: the `kept` oldest waiting commits reached the disk although nobody was
    /// told, the one after them was torn and, like all later ones, is lost. No [`Done`] is called.
    /// What remains is the store as it is reopened. Returns how many commits were lost.
    pub fn crash(&self, kept: usize) -> usize {
        // Completions are dropped outside the lock: they may own anything.
        let dropped: Vec<Done> = {
            let mut inner = self.lock();
            let waiting = std::mem::take(&mut inner.waiting);
            inner.closed = false;
            waiting
                .into_iter()
                .enumerate()
                .map(|(index, Waiting { commit, done })| {
                    if index < kept {
                        // Its fate has no listener any more.
                        drop(inner.decide(commit));
                    }
                    done
                })
                .collect()
        };
        dropped.len().saturating_sub(kept)
    }

    /// Refuses the next commit that is decided. Several calls refuse as many commits, in order.
    pub fn fail_next(&self, refusal: CommitRefused) {
        self.lock().refusals.push_back(refusal);
    }

    /// Changes how much room is left; returns how much there was.
    pub fn set_space(&self, space: Space) -> Space {
        std::mem::replace(&mut self.lock().space, space)
    }

    /// How much room is left.
    pub fn space(&self) -> Space {
        self.lock().space
    }

    /// Refuses everything that is decided from now on, as a poisoned or closing store does, until
    /// the next [`MemoryStore::crash`].
    pub fn close(&self) {
        self.lock().closed = true;
    }

    /// The position of the last durable record.
    pub fn position(&self) -> Position {
        self.lock().position()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No invariant spans a panic: completions run without the lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn position(&self) -> Position {
        Position(u64::try_from(self.log.len()).unwrap_or(u64::MAX))
    }

    fn head(&self, stream: StreamId) -> u64 {
        self.heads.get(&stream).copied().unwrap_or(0)
    }

    fn decide(&mut self, commit: Commit) -> Result<Committed, CommitRefused> {
        if self.closed {
            return Err(CommitRefused::Closed);
        }
        if let Some(refusal) = self.refusals.pop_front() {
            return Err(refusal);
        }
        admissible(&commit, super::COMMIT_BYTES_MAX)?;
        let is_new = commit.urgency == Urgency::New;
        if self.space == Space::Nothing || (self.space == Space::Reserve && is_new) {
            return Err(CommitRefused::NoSpace);
        }
        let actual = self.head(commit.stream);
        if commit.expected_seq != actual {
            return Err(CommitRefused::WrongSequence {
                expected: commit.expected_seq,
                actual,
            });
        }
        for record in commit.records {
            self.append(commit.stream, record);
        }
        Ok(Committed {
            seq: self.head(commit.stream),
            position: self.position(),
        })
    }

    fn append(&mut self, stream: StreamId, record: Record) {
        let seq = self.head(stream) + 1;
        for row in &record.rows {
            match &row.value {
                Some(value) => self.rows.insert(row.key.clone(), value.clone()),
                None => self.rows.remove(&row.key),
            };
        }
        let position = Position(self.position().0 + 1);
        self.log.push(Logged {
            position,
            stream,
            seq,
            record,
        });
        self.heads.insert(stream, seq);
    }
}

impl Rows for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadFault> {
        Ok(self.lock().rows.get(key).cloned())
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, ReadFault> {
        let Some(range) = range::ascending(prefix, from) else {
            return Ok(Vec::new());
        };
        let inner = self.lock();
        Ok(inner.rows.range(range).take(limit).map(owned).collect())
    }

    fn scan_back(
        &self,
        prefix: &[u8],
        before: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, ReadFault> {
        let Some(range) = range::descending(prefix, before) else {
            return Ok(Vec::new());
        };
        let inner = self.lock();
        Ok(inner
            .rows
            .range(range)
            .rev()
            .take(limit)
            .map(owned)
            .collect())
    }

    fn head(&self, stream: StreamId) -> Result<u64, ReadFault> {
        Ok(self.lock().head(stream))
    }

    fn incarnation(&self) -> Option<IncarnationId> {
        self.lock().incarnation
    }

    fn is_restored(&self) -> bool {
        let inner = self.lock();
        inner.incarnation != inner.first_incarnation
    }
}

fn owned((key, value): (&Vec<u8>, &Vec<u8>)) -> KeyValue {
    (key.clone(), value.clone())
}

impl Store for MemoryStore {
    fn is_exhausted(&self) -> bool {
        let inner = self.lock();
        inner.space != Space::Ample || inner.refusals.front() == Some(&CommitRefused::NoSpace)
    }

    fn commit(&self, commit: Commit, done: Done) {
        self.lock().waiting.push_back(Waiting { commit, done });
    }

    fn follow(&self, after: Position, limit: usize) -> Result<Vec<Logged>, ReadFault> {
        let start = usize::try_from(after.0).unwrap_or(usize::MAX);
        Ok(self
            .lock()
            .log
            .iter()
            .skip(start)
            .take(limit)
            .cloned()
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc;

    use super::*;
    use crate::store::SharedStore;
    use crate::store::conformance::{self, Subject, put, stream};

    struct Twin(Arc<MemoryStore>);

    impl Subject for Twin {
        fn store(&self) -> SharedStore {
            Arc::clone(&self.0) as SharedStore
        }
        fn settle(&self) {
            while self.0.step() {}
        }
        fn reopen(&mut self) {
            self.0.crash(0);
        }
    }

    #[test]
    fn the_twin_conforms() {
        conformance::run(|| Box::new(Twin(Arc::new(MemoryStore::new()))));
    }

    fn submit(
        store: &MemoryStore,
        expected_seq: u64,
        key: &[u8],
    ) -> mpsc::Receiver<Result<Committed, CommitRefused>> {
        let (tx, rx) = mpsc::channel();
        let records = vec![Record {
            event: vec![],
            rows: vec![put(key, b"v")],
        }];
        let commit = Commit {
            stream: stream(1),
            expected_seq,
            records,
            urgency: Urgency::Concluding,
        };
        store.commit(commit, Box::new(move |outcome| drop(tx.send(outcome))));
        rx
    }

    #[test]
    fn nothing_is_durable_or_visible_before_its_step() {
        let store = MemoryStore::new();
        let first = submit(&store, 0, b"a");
        let second = submit(&store, 1, b"b");
        assert_eq!((store.waiting(), store.get(b"a")), (2, Ok(None)));
        assert!(first.try_recv().is_err(), "told before it was durable");
        assert!(store.step());
        assert!(matches!(
            first.try_recv(),
            Ok(Ok(Committed {
                seq: 1,
                position: Position(1)
            }))
        ));
        assert_eq!(
            (store.get(b"b"), second.try_recv().is_err()),
            (Ok(None), true)
        );
        assert_eq!(store.sync(), 1);
        assert!(!store.step());
    }

    #[test]
    fn a_crash_keeps_a_prefix_of_what_waited_and_tells_nobody() {
        for kept in 0..4_u64 {
            let store = MemoryStore::new();
            let waiting: Vec<_> = (0..3).map(|seq| submit(&store, seq, b"k")).collect();
            let lost = store.crash(usize::try_from(kept).unwrap());
            let expected = kept.min(3);
            assert_eq!(store.head(stream(1)), Ok(expected));
            assert_eq!(u64::try_from(lost).unwrap(), 3 - expected);
            assert!(
                waiting.iter().all(|rx| rx.try_recv().is_err()),
                "a lost commit was answered"
            );
            assert_eq!(store.waiting(), 0);
        }
    }

    #[test]
    fn refusals_are_injected_once_each_and_leave_nothing() {
        let store = MemoryStore::new();
        store.fail_next(CommitRefused::NoSpace);
        let refused = submit(&store, 0, b"a");
        let accepted = submit(&store, 0, b"b");
        store.sync();
        assert_eq!(refused.try_recv(), Ok(Err(CommitRefused::NoSpace)));
        assert!(accepted.try_recv().unwrap().is_ok());
        assert_eq!(store.get(b"a"), Ok(None));
        store.close();
        let closed = submit(&store, 1, b"c");
        store.sync();
        assert_eq!(closed.try_recv(), Ok(Err(CommitRefused::Closed)));
        store.crash(0);
        let reopened = submit(&store, 1, b"c");
        store.sync();
        assert!(reopened.try_recv().unwrap().is_ok());
    }

    #[test]
    fn what_is_kept_back_is_for_concluding() {
        let store = MemoryStore::new();
        let fate = |space, urgency, expected_seq| {
            store.set_space(space);
            let (tx, rx) = mpsc::channel();
            let records = vec![Record {
                event: vec![],
                rows: vec![],
            }];
            let commit = Commit {
                stream: stream(1),
                expected_seq,
                records,
                urgency,
            };
            store.commit(commit, Box::new(move |outcome| drop(tx.send(outcome))));
            store.sync();
            rx.try_recv().unwrap().is_ok()
        };
        assert!(fate(Space::Ample, Urgency::New, 0));
        assert!(!fate(Space::Reserve, Urgency::New, 1));
        assert!(store.is_exhausted());
        assert!(fate(Space::Reserve, Urgency::Concluding, 1));
        assert!(!fate(Space::Nothing, Urgency::Concluding, 2));
    }

    #[test]
    fn a_restored_copy_is_the_past_in_another_life() {
        let life = |number| IncarnationId::from_bytes([number; 16]);
        let store = MemoryStore::new();
        store.set_incarnation(life(1));
        submit(&store, 0, b"a");
        store.sync();
        let until = store.position();
        submit(&store, 1, b"b");
        store.sync();
        let copy = store.restored(until, life(2));
        assert_eq!(copy.get(b"a"), Ok(Some(b"v".to_vec())));
        assert_eq!((copy.get(b"b"), copy.head(stream(1))), (Ok(None), Ok(1)));
        assert_eq!(
            (copy.position(), copy.incarnation()),
            (until, Some(life(2)))
        );
        assert_eq!((store.is_restored(), copy.is_restored()), (false, true));
        let again = copy.restored(until, life(3));
        assert!(again.is_restored());
    }

    #[test]
    fn a_completion_may_commit_again() {
        let store = Arc::new(MemoryStore::new());
        let again = Arc::clone(&store);
        let commit = |expected_seq| Commit {
            stream: stream(1),
            expected_seq,
            records: vec![Record {
                event: vec![],
                rows: vec![],
            }],
            urgency: Urgency::New,
        };
        let next = commit(1);
        store.commit(
            commit(0),
            Box::new(move |_| again.commit(next, Box::new(|_| ()))),
        );
        assert_eq!((store.sync(), store.sync(), store.sync()), (1, 1, 0));
        assert_eq!(store.position(), Position(2));
    }
}
