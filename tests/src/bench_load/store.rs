//! The store alone: `waiters` commits in flight, each followed by the next as soon as it is known
//! to be durable. No actors, no HTTP.

use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use engine::store::{Commit, DiskStore, Record, Row, Store, StoreConfig, StreamId, Urgency};
use protocol::id::IncarnationId;
use uuid::Uuid;

use crate::floor::COMMIT_BYTES;
use crate::measure::{Samples, per, rounded};
use crate::report::Result;

/// One of those that wait: a stream, where it stands, and since when it waits.
struct Waiter {
    stream: StreamId,
    seq: u64,
    since: Instant,
}

impl Waiter {
    fn new(number: usize) -> Self {
        let mut stream = [0xB0; 17];
        stream[1..9].copy_from_slice(&number.to_be_bytes());
        Self {
            stream: StreamId(stream),
            seq: 0,
            since: Instant::now(),
        }
    }

    /// The next commit: one event and one row, whose key is laid out as the engine's are: space,
    /// owner, time-ordered id.
    fn next(&mut self, turn: u64) -> Commit {
        let mut key = vec![0xF0];
        key.extend(&self.stream.0[1..]);
        key.extend(u128::from(turn).to_be_bytes());
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

/// Commits for `seconds`.
///
/// # Errors
/// When the store does not open, or refuses.
pub(crate) fn measure(
    dir: &Path,
    waiters: usize,
    seconds: u64,
    result: &mut Result,
) -> io::Result<()> {
    let directory = tempfile::tempdir_in(dir)?;
    let incarnation = IncarnationId::from_uuid(Uuid::from_u128(1));
    let config = StoreConfig::new(directory.path(), incarnation);
    let store = DiskStore::open(config, Box::new(|_| std::process::abort()));
    let store = store.map_err(io::Error::other)?;
    let (told, hear) = mpsc::channel();
    let submit = |at: usize, commit: Commit| {
        let told = told.clone();
        store.commit(commit, Box::new(move |fate| drop(told.send((at, fate)))));
    };
    let mut all: Vec<Waiter> = (0..waiters).map(Waiter::new).collect();
    let mut turn = 0;
    for (at, waiter) in all.iter_mut().enumerate() {
        turn += 1;
        submit(at, waiter.next(turn));
    }
    let mut samples = Samples::default();
    let begun = Instant::now();
    let mut in_flight = waiters;
    let mut commits = 0;
    while in_flight > 0 {
        let (at, fate) = hear.recv().map_err(io::Error::other)?;
        let committed = fate.map_err(io::Error::other)?;
        let waiter = &mut all[at];
        samples.add(waiter.since.elapsed());
        waiter.seq = committed.seq;
        if begun.elapsed() < Duration::from_secs(seconds) {
            commits += 1;
            turn += 1;
            submit(at, waiter.next(turn));
        } else {
            in_flight -= 1;
        }
    }
    let elapsed = begun.elapsed().as_secs_f64();
    let stats = store.stats();
    store.shutdown().map_err(io::Error::other)?;
    let name = |what: &str| format!("store_{waiters}_{what}");
    result.insert(name("commits_per_s"), rounded(per(commits, elapsed)));
    let syncs = per(stats.syncs, 1.0).max(1.0);
    result.insert(name("commits_per_sync"), rounded(per(stats.commits, syncs)));
    samples.describe(&name("commit"), result);
    Ok(())
}
