//! The store alone: `waiters` commits in flight, each followed by the next as soon as it is known
//! to be durable. No actors, no HTTP. What waits beside a checkpoint is told apart from the rest.

use std::io;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use engine::store::{
    Commit, CommitRefused, Committed, DiskStore, Record, Row, Store, StoreConfig, StreamId, Urgency,
};
use protocol::id::IncarnationId;
use serde_json::json;
use uuid::Uuid;

use crate::floor::COMMIT_BYTES;
use crate::machine;
use crate::measure::{Samples, per, rounded};
use crate::report::Result;

/// What the commits are about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    /// What the numbers' names begin with.
    name: &'static str,
    /// Commits that change a row, one after the other, before the next row is begun.
    commits_per_row: u64,
}

impl Work {
    /// Each commit makes a row: sled's hardest case, nothing is replaced before it is folded.
    pub(crate) const NEW_ROWS: Self = Self {
        name: "store",
        commits_per_row: 1,
    };
    /// One commit makes a row and three change it, as a sale's steps change its rows (storage.md,
    /// 2.3).
    pub(crate) const UPDATES: Self = Self {
        name: "store_updates",
        commits_per_row: 4,
    };
}

/// One of those that wait: a stream, where it stands, its row, and since when it waits.
struct Waiter {
    stream: StreamId,
    seq: u64,
    row: u64,
    since: Instant,
    /// The store's checkpoint phase at that time.
    phase: u64,
}

impl Waiter {
    fn new(number: usize) -> Self {
        let mut stream = [0xB0; 17];
        stream[1..9].copy_from_slice(&number.to_be_bytes());
        Self {
            stream: StreamId(stream),
            seq: 0,
            row: 0,
            since: Instant::now(),
            phase: 0,
        }
    }

    /// The next commit: one event and one row, whose key is laid out as the engine's are: space,
    /// owner, time-ordered id.
    fn next(&mut self, turn: u64, work: Work) -> Commit {
        if self.seq.is_multiple_of(work.commits_per_row) {
            self.row = turn;
        }
        let mut key = vec![0xF0];
        key.extend(&self.stream.0[1..]);
        key.extend(u128::from(self.row).to_be_bytes());
        self.since = Instant::now();
        Commit {
            stream: self.stream,
            expected_seq: self.seq,
            records: vec![Record {
                event: vec![0x5A; COMMIT_BYTES / 2],
                rows: vec![Row {
                    key,
                    value: Some(vec![0xA5; COMMIT_BYTES / 2]),
                }],
            }],
            urgency: Urgency::New,
        }
    }
}

/// A store under load.
struct Load {
    work: Work,
    store: Arc<DiskStore>,
    told: mpsc::Sender<(usize, Fate)>,
    all: Vec<Waiter>,
    turn: u64,
    /// Times of commits that no checkpoint ran beside, and of the others.
    apart: Samples,
    beside: Samples,
}

type Fate = std::result::Result<Committed, CommitRefused>;

impl Load {
    /// Submits a waiter's next commit.
    fn submit(&mut self, at: usize) {
        let phase = self.store.checkpoint_phase();
        let Some(waiter) = self.all.get_mut(at) else {
            return;
        };
        self.turn += 1;
        waiter.phase = phase;
        let commit = waiter.next(self.turn, self.work);
        let told = self.told.clone();
        let done = Box::new(move |fate| drop(told.send((at, fate))));
        self.store.commit(commit, done);
    }

    /// Notes that a waiter's commit is durable.
    fn note(&mut self, at: usize, seq: u64) {
        let phase = self.store.checkpoint_phase();
        let Some(waiter) = self.all.get_mut(at) else {
            return;
        };
        waiter.seq = seq;
        let is_apart = phase == waiter.phase && phase.is_multiple_of(2);
        let samples = match is_apart {
            true => &mut self.apart,
            false => &mut self.beside,
        };
        samples.add(waiter.since.elapsed());
    }
}

/// Commits for `seconds`.
///
/// # Errors
/// When the store does not open, or refuses.
pub(crate) fn measure(
    work: Work,
    dir: &Path,
    waiters: usize,
    seconds: u64,
    result: &mut Result,
) -> io::Result<()> {
    let directory = tempfile::tempdir_in(dir)?;
    let incarnation = IncarnationId::from_uuid(Uuid::from_u128(1));
    let config = StoreConfig::new(directory.path(), incarnation);
    let store = DiskStore::open(config, Box::new(|_| std::process::abort()));
    let (told, hear) = mpsc::channel();
    let mut load = Load {
        work,
        store: store.map_err(io::Error::other)?,
        told,
        all: (0..waiters).map(Waiter::new).collect(),
        turn: 0,
        apart: Samples::default(),
        beside: Samples::default(),
    };
    (0..waiters).for_each(|at| load.submit(at));
    let time = Duration::from_secs(seconds);
    let begun = Instant::now();
    let mut in_flight = waiters;
    while in_flight > 0 {
        let (at, fate) = hear.recv().map_err(io::Error::other)?;
        load.note(at, fate.map_err(io::Error::other)?.seq);
        if begun.elapsed() < time {
            load.submit(at);
        } else {
            in_flight -= 1;
        }
    }
    let elapsed = begun.elapsed().as_secs_f64();
    describe(load, elapsed, directory.path(), result)
}

/// Closes the store and says what came of it.
fn describe(load: Load, elapsed: f64, directory: &Path, result: &mut Result) -> io::Result<()> {
    let waiters = load.all.len();
    let stats = load.store.stats();
    let (rss, _) = machine::resident_kib(std::process::id());
    let closing = Instant::now();
    load.store.shutdown().map_err(io::Error::other)?;
    let work = load.work.name;
    let name = |what: &str| format!("{work}_{waiters}_{what}");
    let mut note = |what: &str, value| result.insert(name(what), value);
    note("commits_per_s", rounded(per(stats.commits, elapsed)));
    let syncs = per(stats.syncs, 1.0).max(1.0);
    note("commits_per_sync", rounded(per(stats.commits, syncs)));
    note("checkpoints", json!(stats.checkpoints));
    note("unfolded_at_end", json!(stats.unfolded));
    note("closing_s", rounded(closing.elapsed().as_secs_f64()));
    note("log_bytes", json!(stats.bytes));
    note("data_bytes", json!(machine::bytes_below(directory)));
    // Of this process, times of commits included: four bytes each.
    note("rss_kib", json!(rss));
    load.beside.clone().describe(&name("checkpoint"), result);
    load.apart.clone().describe(&name("apart"), result);
    let mut all = load.apart;
    all.merge(load.beside);
    all.describe(&name("commit"), result);
    Ok(())
}
