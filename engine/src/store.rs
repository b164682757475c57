//! Durable state: one log commits, rows follow.
//!
//! An owner submits a [`Commit`]: events of one stream with the rows that they put. The commit is
//! atomic and, once its [`Done`] has been called with `Ok`, on stable storage; its rows are
//! readable by then. Nothing here knows what the bytes mean.

mod audit;
mod backup;
pub(crate) mod block;
mod checkpoint;
mod committer;
mod compact;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod crash_test;
mod disk;
mod disk_store;
#[cfg(test)]
mod disk_store_test;
#[cfg(test)]
mod faulty;
#[cfg(test)]
mod flip_test;
mod fold;
mod follow;
mod frame;
mod identity;
mod log;
pub mod memory;
mod packed;
#[doc(hidden)]
pub mod probe;
mod queue;
pub(crate) mod range;
mod recovery;
mod seal;
mod segment;
mod start;
mod state;
mod verify;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use protocol::id::IncarnationId;

pub use audit::{Audit, audit};
pub use backup::{LogCopy, copy_log, read_copy};
pub use committer::Fatal;
pub use compact::{Rewritten, bytes_on_disk, rewrite_state};
pub use disk_store::{DiskStore, StoreConfig, StoreStats};
pub use memory::MemoryStore;
pub use packed::{Packed, pack_archive};
pub use segment::Retention;
pub use verify::{Problem, verify};

/// Largest encoded commit, in bytes: what the committer writes in one turn (measured 2026-11-20:
/// 2 GB/s at this size, so one turn stays below a millisecond).
pub const COMMIT_BYTES_MAX: usize = 1024 * 1024;

/// Whose events: one stream per owner, with dense sequence numbers from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub [u8; 17]);

/// A row that a record puts. Rows are full values, so applying one twice changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Key space byte, then the key; time-ordered within a space. Space `0x00` is the store's own:
    /// a commit with such a key, or with an empty one, is [`CommitRefused::Malformed`].
    pub key: Vec<u8>,
    /// The new value; `None` removes the row.
    pub value: Option<Vec<u8>>,
}

/// One thing that happened, with the rows that follow from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The event, as its owner encodes it. Empty when the rows say everything.
    pub event: Vec<u8>,
    /// Rows to put, in order.
    pub rows: Vec<Row>,
}

/// What a commit is for: decides who may use the reserve when the disk is nearly full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Starts something: refused when only the reserve is left.
    New,
    /// Concludes something that is open (result, confirmation, reversal): may use the reserve.
    Concluding,
}

/// Records of one stream that become durable together or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The owner's stream.
    pub stream: StreamId,
    /// Sequence number of the stream's last committed record; 0 for none. An assertion here, a
    /// fence on a shared database.
    pub expected_seq: u64,
    /// At least one record.
    pub records: Vec<Record>,
    /// Whether the reserve may be used.
    pub urgency: Urgency,
}

/// Where the log stands; totally ordered. The first record ever is at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position(pub u64);

/// A commit that is on stable storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The stream's last sequence number.
    pub seq: u64,
    /// The log position of the commit's last record.
    pub position: Position,
}

/// Why a commit did not happen. Nothing of it is or will become visible; only after a failed write
/// or sync, when the process has been told to end, is a commit refused as [`CommitRefused::Closed`]
/// whose fate the next start decides.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitRefused {
    /// Only the reserve is left, or the disk is full: try again later.
    #[error("no log space for new work")]
    NoSpace,
    /// Another owner wrote this stream.
    #[error("stream is at {actual}, not at {expected}")]
    WrongSequence {
        /// What the commit expected.
        expected: u64,
        /// Where the stream is.
        actual: u64,
    },
    /// The commit is larger than a batch may be.
    #[error("commit of {bytes} bytes is larger than the limit")]
    TooLarge {
        /// Encoded size.
        bytes: usize,
    },
    /// The caller's mistake: no records, or a key outside the caller's spaces.
    #[error("commit is malformed: {reason}")]
    Malformed {
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The store stops answering (shutting down, or a write or sync failed).
    #[error("store is closed")]
    Closed,
}

/// Why a store does not open. Files are relative to its directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("store in {directory} is in use")]
    Locked {
        /// The store's directory.
        directory: PathBuf,
    },
    /// The configuration contradicts itself.
    #[error("store cannot be configured like this: {reason}")]
    Config {
        /// What does not fit.
        reason: &'static str,
    },
    /// A file operation failed.
    #[error("{path}: {message}")]
    Io {
        /// The file or directory.
        path: String,
        /// What the operating system said.
        message: String,
    },
    /// There is no room for the log to go on at all.
    #[error("no space for a log segment")]
    NoSpace,
    /// Something that was durable is damaged or missing. Nothing was changed.
    #[error("{file} is corrupt at offset {offset}: {reason}")]
    Corrupt {
        /// The file.
        file: String,
        /// Where, in bytes.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// The state must be rebuilt, but the log does not reach back to its beginning.
    #[error("state cannot be rebuilt: the log begins at position {position}")]
    HistoryIncomplete {
        /// The first position that is left.
        position: u64,
    },
    /// The state cannot be opened or written.
    #[error("state: {reason}")]
    State {
        /// What is wrong.
        reason: String,
    },
}

impl OpenError {
    fn io(path: &str, error: &io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            message: error.to_string(),
        }
    }

    fn missing(generation: u64) -> Self {
        let file = segment::path(segment::LOG, generation);
        Self::Corrupt {
            file,
            offset: 0,
            reason: "segment is missing".to_owned(),
        }
    }
}

/// A failed read: the machine's trouble, not the caller's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("reading the store failed: {0}")]
pub struct ReadFault(pub String);

/// Called once, on the committer's thread, when the fate of a commit is known.
pub type Done = Box<dyn FnOnce(Result<Committed, CommitRefused>) + Send>;

/// A row as a scan returns it.
pub type KeyValue = (Vec<u8>, Vec<u8>);

/// A record as the log holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Its position.
    pub position: Position,
    /// Its stream.
    pub stream: StreamId,
    /// Its sequence number in the stream.
    pub seq: u64,
    /// Event and rows.
    pub record: Record,
}

/// Reads of committed rows. Sees every commit whose [`Done`] has been called.
pub trait Rows {
    /// The row at `key`.
    ///
    /// # Errors
    /// [`ReadFault`] when the storage cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadFault>;

    /// Rows whose keys begin with `prefix`, ascending, from `from` (inclusive) if given, at most
    /// `limit`.
    ///
    /// # Errors
    /// [`ReadFault`] when the storage cannot be read.
    fn scan(
        &self,
        prefix: &[u8],
        from: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, ReadFault>;

    /// As [`Rows::scan`], but descending from below `before` (exclusive), or from the end of the
    /// prefix.
    ///
    /// # Errors
    /// [`ReadFault`] when the storage cannot be read.
    fn scan_back(
        &self,
        prefix: &[u8],
        before: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, ReadFault>;

    /// The last sequence number of `stream`; 0 when it has none.
    ///
    /// # Errors
    /// [`ReadFault`] when the storage cannot be read.
    fn head(&self, stream: StreamId) -> Result<u64, ReadFault>;

    /// The life of this database: another after a restore. `None` where that means nothing.
    fn incarnation(&self) -> Option<IncarnationId> {
        None
    }

    /// Whether it is in another life than its first: a copy that was restored, once or more often.
    fn is_restored(&self) -> bool {
        false
    }
}

/// A store: the log and its rows.
pub trait Store: Rows + Send + Sync {
    /// Submits a commit and returns at once; `done` gets its fate. Commits of one stream are
    /// applied in the order of submission.
    fn commit(&self, commit: Commit, done: Done);

    /// Whether new work would be refused for want of space. Asked before an owner decides, so that
    /// a full disk costs the owner nothing; the refusal of the commit remains the law.
    fn is_exhausted(&self) -> bool;

    /// Records after `after`, oldest first, at most `limit`; only durable ones.
    ///
    /// # Errors
    /// [`ReadFault`] when the log cannot be read, or no longer reaches back that far.
    fn follow(&self, after: Position, limit: usize) -> Result<Vec<Logged>, ReadFault>;
}

/// A store that several owners share.
pub type SharedStore = Arc<dyn Store>;

/// Bytes of a commit as the log encodes it: stream, first sequence and count; per record the
/// lengths of event and rows; per row the lengths of key and value.
fn encoded_length(commit: &Commit) -> usize {
    let record = |record: &Record| {
        let rows = record
            .rows
            .iter()
            .map(|row| 8 + row.key.len() + row.value.as_ref().map_or(0, Vec::len));
        8 + record.event.len() + rows.sum::<usize>()
    };
    29 + commit.records.iter().map(record).sum::<usize>()
}

/// Holds a commit against the rules that need no state, and returns its encoded length.
fn admissible(commit: &Commit, bytes_max: usize) -> Result<usize, CommitRefused> {
    let malformed = |reason| Err(CommitRefused::Malformed { reason });
    if commit.records.is_empty() {
        return malformed("no records");
    }
    let mut rows = commit.records.iter().flat_map(|record| &record.rows);
    if rows.any(|row| matches!(row.key.first(), None | Some(&range::RESERVED_SPACE))) {
        return malformed("a key is empty or in the reserved space");
    }
    let bytes = encoded_length(commit);
    if bytes > bytes_max {
        return Err(CommitRefused::TooLarge { bytes });
    }
    Ok(bytes)
}
