//! The store on disk: its configuration, its threads, and the way in. Owns start and stop of the
//! threads; must never decide about commits.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use protocol::id::IncarnationId;
use rustix::fs::{FlockOperation, flock};

use super::checkpoint::{CheckpointTrouble, Checkpointer, Progress};
use super::committer::{Counters, Fatal, Poison, read_head};
use super::disk::{Disk, RealDisk};
use super::fold::FoldedState;
use super::follow::Follower;
use super::queue::Queue;
use super::range::{self, RESERVED_SPACE};
use super::segment::{Retention, Spares};
use super::start::{self, Parts};
use super::state::{SledHome, State, StateHome};
use super::{
    Commit, Done, KeyValue, Logged, OpenError, Position, ReadFault, Rows, Store, StreamId,
};

/// Held by who has the store open.
const LOCK_FILE: &str = "lock";
const MIB: u64 = 1024 * 1024;

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The store's directory, created if need be.
    pub directory: PathBuf,
    /// The id of the database, if it does not exist yet.
    pub incarnation: IncarnationId,
    /// Gives an existing database a new incarnation. To be set once, when a copy (backup, snapshot
    /// of a machine) is opened for the first time: terminals tell by it that what they were told
    /// since the copy was made may be missing here. The log and its positions stay.
    pub new_incarnation: Option<IncarnationId>,
    /// Length of a log segment, in bytes; another value holds from the next segment on.
    pub segment_bytes: u64,
    /// Log space that only concluding work may use, in bytes; less than a segment.
    pub reserve_bytes: u64,
    /// Free space of the file system below which new work is refused, in bytes: room for the state
    /// and the next segments while open work is concluded.
    pub free_bytes_min: u64,
    /// Memory for the state's cache, in bytes.
    pub cache_bytes: u64,
    /// How often the state writes to its files by itself, in milliseconds; no promise rests on it.
    pub flush_every_ms: Option<u64>,
    /// Longest time between checkpoints while there is work.
    pub checkpoint_every: Duration,
    /// Log bytes after which a checkpoint is due earlier.
    pub checkpoint_bytes: u64,
    /// What happens to segments that a checkpoint covers.
    pub retention: Retention,
}

impl StoreConfig {
    /// The defaults for a database in `directory`.
    pub fn new(directory: impl Into<PathBuf>, incarnation: IncarnationId) -> Self {
        Self {
            directory: directory.into(),
            incarnation,
            new_incarnation: None,
            // A spare takes a fraction of a second to prepare and minutes to fill.
            segment_bytes: 64 * MIB,
            // 10,000 open transactions at 1.6 KiB.
            reserve_bytes: 16 * MIB,
            // Two segments and as much for the state.
            free_bytes_min: 256 * MIB,
            // Memory use is 1.5 to 3 times this (measured 2026-11-20).
            cache_bytes: 96 * MIB,
            // sled's default; its clean-up of old pages hangs on it.
            flush_every_ms: Some(500),
            // Bounds the replay at start to well below a second.
            checkpoint_every: Duration::from_secs(5),
            checkpoint_bytes: 64 * MIB,
            retention: Retention::Archive,
        }
    }
}

/// What a store has done since it was opened, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreStats {
    /// Commits that are durable.
    pub commits: u64,
    /// Records of those commits.
    pub records: u64,
    /// Batches written.
    pub batches: u64,
    /// Syncs of the log.
    pub syncs: u64,
    /// Bytes written to the log.
    pub bytes: u64,
    /// Checkpoints taken.
    pub checkpoints: u64,
    /// Keys that are committed and not yet folded into the state.
    pub unfolded: usize,
    /// The last durable position.
    pub position: Position,
    /// Whether new work is refused for lack of space.
    pub exhausted: bool,
}

/// The log with sled behind it.
pub struct DiskStore {
    incarnation: IncarnationId,
    is_restored: bool,
    queue: Arc<Queue>,
    state: Arc<FoldedState>,
    follower: Follower,
    progress: Arc<Progress>,
    spares: Arc<Spares>,
    counters: Arc<Counters>,
    poison: Arc<Poison>,
    running: Mutex<Option<Running>>,
    /// Held for as long as the store or its committer lives.
    lock: Option<Arc<File>>,
}

struct Running {
    committer: JoinHandle<()>,
    spares: JoinHandle<()>,
    fold: JoinHandle<()>,
    checkpoints: JoinHandle<Checkpointer>,
}

impl std::fmt::Debug for DiskStore {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("DiskStore")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl DiskStore {
    /// Opens the store in `config.directory`, or creates it: recovers the log, brings the state up
    /// to it, and starts the threads. `fatal` is called once, from one of those, when a write or
    /// sync has failed: the process is to end then, before it answers anybody.
    ///
    /// # Errors
    /// [`OpenError`]; the files are left as they are, except that a state that must be rebuilt was
    /// moved aside.
    pub fn open(config: StoreConfig, fatal: Fatal) -> Result<Arc<Self>, OpenError> {
        let failed = |error: std::io::Error| OpenError::io(".", &error);
        std::fs::create_dir_all(&config.directory).map_err(failed)?;
        let lock = lock(&config.directory)?;
        let disk = Arc::new(RealDisk::new(&config.directory));
        let home = SledHome::new(&config.directory, config.cache_bytes, config.flush_every_ms);
        Self::open_on(&config, disk, &home, fatal, Some(lock))
    }

    /// As [`DiskStore::open`], on any disk and state.
    pub(crate) fn open_on(
        config: &StoreConfig,
        disk: Arc<dyn Disk>,
        home: &dyn StateHome,
        fatal: Fatal,
        lock: Option<File>,
    ) -> Result<Arc<Self>, OpenError> {
        let parts = start::open(config, disk, home)?;
        let queue = Arc::new(Queue::default());
        let poison = Arc::new(Poison::new(Arc::clone(&queue), fatal));
        let Parts {
            incarnation,
            is_restored,
            committer,
            checkpointer,
            spares,
            progress,
            state,
            follower,
            counters,
        } = parts;
        let store = Self {
            incarnation,
            is_restored,
            queue,
            state,
            follower,
            progress,
            spares,
            counters,
            poison,
            running: Mutex::new(None),
            lock: lock.map(Arc::new),
        };
        store.start(committer, checkpointer, config.checkpoint_every)?;
        Ok(Arc::new(store))
    }

    fn start(
        &self,
        mut committer: super::committer::Committer,
        mut checkpointer: Checkpointer,
        every: Duration,
    ) -> Result<(), OpenError> {
        let spares = Arc::clone(&self.spares);
        // Before the committer can wait for either.
        spares.begin_attending();
        self.state.begin_attending();
        let spares = spawn("store-segments", move || spares.attend())?;
        let (state, poison) = (Arc::clone(&self.state), Arc::clone(&self.poison));
        let fold = spawn("store-fold", move || {
            if catch_unwind(AssertUnwindSafe(|| state.attend(&poison))).is_err() {
                state.fail("fold panicked");
                poison.spread("fold panicked".to_owned());
            }
        })?;
        let (queue, poison) = (Arc::clone(&self.queue), Arc::clone(&self.poison));
        let lock = self.lock.clone();
        let committer = spawn("store-committer", move || {
            let _lock = lock;
            let attend = AssertUnwindSafe(|| committer.attend(&queue, &poison));
            if catch_unwind(attend).is_err() {
                poison.spread("committer panicked".to_owned());
                queue.refuse_all();
            }
        })?;
        let poison = Arc::clone(&self.poison);
        let checkpoints = spawn("store-checkpoints", move || {
            let attend = AssertUnwindSafe(|| checkpointer.attend(every, &poison));
            if catch_unwind(attend).is_err() {
                poison.spread("checkpoint panicked".to_owned());
            }
            checkpointer
        })?;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        *running = Some(Running {
            committer,
            spares,
            fold,
            checkpoints,
        });
        Ok(())
    }

    /// A state that cannot be read is not one to go on with: the next start rebuilds it.
    fn fault(&self, reason: String) -> ReadFault {
        self.poison.spread(format!("state: {reason}"));
        ReadFault(reason)
    }

    /// The id of this life of the database; another after a restore.
    pub fn incarnation(&self) -> IncarnationId {
        self.incarnation
    }

    /// What the store has done so far.
    pub fn stats(&self) -> StoreStats {
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        StoreStats {
            commits: read(&self.counters.commits),
            records: read(&self.counters.records),
            batches: read(&self.counters.batches),
            syncs: read(&self.counters.syncs),
            bytes: read(&self.counters.bytes),
            checkpoints: read(&self.counters.checkpoints),
            unfolded: self.state.waiting(),
            position: Position(self.progress.place().position),
            exhausted: self.spares.is_exhausted(),
        }
    }

    /// A number that grows when a checkpoint begins and when it ends, and is odd meanwhile: whoever
    /// waits for a commit can tell by it whether it had company.
    pub fn checkpoint_phase(&self) -> u64 {
        self.counters.checkpoint_phase.load(Ordering::Relaxed)
    }

    /// Refuses new commits, completes those that wait, takes a checkpoint, and ends the threads.
    /// Reads go on. Does nothing the second time. Must not be called from a [`Done`].
    ///
    /// # Errors
    /// Why the checkpoint was not taken; the next start replays more then, nothing is lost.
    pub fn shutdown(&self) -> Result<(), String> {
        let running = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(running) = running else {
            return Ok(());
        };
        self.queue.close();
        if running.committer.thread().id() == thread::current().id() {
            // The last owner let go inside a completion: nobody can wait for this thread.
            self.progress.close();
            self.spares.close();
            self.state.close();
            return Ok(());
        }
        let ended = running.committer.join();
        self.progress.close();
        self.spares.close();
        let ended = running.spares.join().and(ended);
        let checkpointer = running.checkpoints.join();
        self.state.close();
        let ended = running.fold.join().and(ended);
        let (Ok(()), Ok(mut checkpointer)) = (ended, checkpointer) else {
            return Err("a thread of the store panicked".to_owned());
        };
        if self.poison.is_spread() {
            return Err("store has failed before".to_owned());
        }
        checkpointer.take().map_err(|trouble| match trouble {
            CheckpointTrouble::Fatal(reason) => reason,
            CheckpointTrouble::Later(error) => error.to_string(),
        })
    }
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        if let Err(reason) = self.shutdown() {
            tracing::warn!(reason, "store was not shut down cleanly");
        }
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, OpenError> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(body);
    spawned.map_err(|error| OpenError::io(name, &error))
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let failed = |error: std::io::Error| OpenError::io(LOCK_FILE, &error);
    let file = File::create(directory.join(LOCK_FILE)).map_err(failed)?;
    take(file, directory)
}

/// Takes the lock of an existing store without changing anything; `None` when no engine has ever
/// opened it.
///
/// # Errors
/// [`OpenError::Locked`] when an engine has it open.
pub(crate) fn lock_read_only(directory: &Path) -> Result<Option<File>, OpenError> {
    match File::open(directory.join(LOCK_FILE)) {
        Ok(file) => take(file, directory).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OpenError::io(LOCK_FILE, &error)),
    }
}

fn take(file: File, directory: &Path) -> Result<File, OpenError> {
    let failed = |error: std::io::Error| OpenError::io(LOCK_FILE, &error);
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Locked {
            directory: directory.to_path_buf(),
        }),
        Err(error) => Err(failed(error.into())),
    }
}

impl Rows for DiskStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadFault> {
        if key.first() == Some(&RESERVED_SPACE) {
            return Ok(None);
        }
        self.state.get(key).map_err(|reason| self.fault(reason))
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
        let rows = self.state.range(range, false, limit);
        rows.map_err(|reason| self.fault(reason))
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
        let rows = self.state.range(range, true, limit);
        rows.map_err(|reason| self.fault(reason))
    }

    fn head(&self, stream: StreamId) -> Result<u64, ReadFault> {
        read_head(self.state.as_ref(), stream).map_err(|reason| self.fault(reason))
    }

    fn incarnation(&self) -> Option<IncarnationId> {
        Some(self.incarnation)
    }

    fn is_restored(&self) -> bool {
        self.is_restored
    }
}

impl Store for DiskStore {
    fn is_exhausted(&self) -> bool {
        self.spares.is_exhausted()
    }

    fn commit(&self, commit: Commit, done: Done) {
        self.queue.push(commit, done);
    }

    fn follow(&self, after: Position, limit: usize) -> Result<Vec<Logged>, ReadFault> {
        self.follower
            .read(after, self.progress.place().position, limit)
    }
}
