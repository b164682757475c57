//! The journal on disk: writes, syncs, reads back. Decides nothing.
//!
//! # Format
//! A file of frames: length of the payload (4 bytes, little endian), CRC-32C over length and
//! payload (4 bytes, little endian), payload (one [`JournalEntry`] as MessagePack). The first
//! entry is the header. The highest bit of the length marks a *loose* frame: what is in front of
//! it was not on stable storage when it was written, so that a disk may keep it and lose that.
//!
//! # Opening
//! A tail that is no frame and has none but loose frames behind it was being written when the
//! power went: it is cut off. Anything else that is no frame is corruption: the file is moved aside
//! (`journal.broken-N`) and a new journal begins under a new id, by which the engine knows that
//! it has to undo what was open. Every start writes the file anew (new file, sync, rename, sync
//! of the directory) with the next boot number, and with no more entries than the state needs.

mod frame;
mod look;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use protocol::id::JournalId;

use crate::machine::record::{JournalEntry, JournalState};

pub use frame::{
    FRAME_PAYLOAD_MAX, FrameError, ReadBack, encode_frame, encode_loose_frame, read_back,
};
pub use look::{JournalLine, JournalLook, JournalSummary, look};

/// Size above which a quiet journal is written anew.
const COMPACT_ABOVE_BYTES: u64 = 512 * 1024;
/// Size above which a file is not a journal of this program: a busy till writes well below
/// 1 KiB a sale and compacts between sales.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How many broken journals are kept; arbitrary, bounded.
const BROKEN_MAX: u32 = 1_000;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another agent runs on this state directory.
    #[error("state directory {0} is in use by another agent")]
    InUse(PathBuf),
    /// Reading, writing or syncing failed.
    #[error("failed to {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An entry does not fit a frame.
    #[error("journal entry cannot be written")]
    Frame(#[from] FrameError),
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// No journal: the first start.
    Nothing,
    /// A whole journal.
    Whole,
    /// A journal with a torn tail of so many bytes, cut off.
    Torn(u64),
    /// Corruption; the old file is here now.
    Broken(PathBuf),
}

/// The open journal. Dropping it releases the state directory.
#[derive(Debug)]
pub struct Journal {
    directory: PathBuf,
    file: File,
    bytes: u64,
    /// Whether something was written and not synced.
    is_loose: bool,
    state: JournalState,
    _lock: StateLock,
}

/// Holds a state directory against a second agent.
#[derive(Debug)]
pub struct StateLock(#[expect(dead_code, reason = "closing the file is what releases it")] File);

impl StateLock {
    /// Takes the directory.
    ///
    /// # Errors
    /// [`JournalError::InUse`] when another agent holds it; [`JournalError::Io`].
    pub fn take(directory: &Path) -> Result<Self, JournalError> {
        let path = directory.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(at("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(JournalError::InUse(directory.to_owned())),
            Err(TryLockError::Error(source)) => Err(JournalError::Io {
                action: "lock",
                path,
                source,
            }),
        }
    }
}

impl Journal {
    /// Opens the journal of a state directory for one more boot. `fresh` names the journal that
    /// begins when there is none, or when the old one is broken.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(
        directory: &Path,
        lock: StateLock,
        fresh: JournalId,
    ) -> Result<(Self, Found), JournalError> {
        let path = path_of(directory);
        let (mut state, found) = match read_file(&path)? {
            None => (JournalState::default(), Found::Nothing),
            Some(bytes) => interpret(directory, &bytes)?,
        };
        if state.journal_id().is_none() {
            state = JournalState::default();
            state.apply(&JournalEntry::Header {
                format: crate::machine::record::JOURNAL_FORMAT,
                journal_id: fresh,
            });
        }
        state.apply(&JournalEntry::Boot {
            number: state.boot().saturating_add(1),
        });
        let (file, bytes) = write_anew(directory, &state)?;
        let journal = Self {
            directory: directory.to_owned(),
            file,
            bytes,
            is_loose: false,
            state,
            _lock: lock,
        };
        Ok((journal, found))
    }

    /// What the entries add up to.
    pub const fn state(&self) -> &JournalState {
        &self.state
    }

    /// Writes entries, and syncs them if one of them needs it. After an error the journal must
    /// not be used again: a failed sync says nothing about what a later one would mean.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn append(&mut self, entries: &[JournalEntry]) -> Result<(), JournalError> {
        let mut frames = Vec::new();
        for entry in entries {
            if self.is_loose || !frames.is_empty() {
                encode_loose_frame(entry, &mut frames)?;
            } else {
                encode_frame(entry, &mut frames)?;
            }
        }
        let path = path_of(&self.directory);
        self.file
            .write_all(&frames)
            .map_err(at("write to", &path))?;
        self.is_loose |= !frames.is_empty();
        if entries.iter().any(JournalEntry::needs_sync) {
            self.file.sync_data().map_err(at("sync", &path))?;
            self.is_loose = false;
        }
        for entry in entries {
            self.state.apply(entry);
        }
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(frames.len()).unwrap_or(u64::MAX));
        if self.bytes > COMPACT_ABOVE_BYTES && self.state.is_quiet() {
            (self.file, self.bytes) = write_anew(&self.directory, &self.state)?;
            self.is_loose = false;
        }
        Ok(())
    }
}

fn path_of(directory: &Path) -> PathBuf {
    directory.join("journal")
}

fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Io {
        action,
        path,
        source,
    }
}

fn read_file(path: &Path) -> Result<Option<Vec<u8>>, JournalError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at("open", path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(at("read", path))?;
    Ok(Some(bytes))
}

fn interpret(directory: &Path, bytes: &[u8]) -> Result<(JournalState, Found), JournalError> {
    let is_oversized = u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX;
    let read = if is_oversized {
        ReadBack::Corrupt { at: 0 }
    } else {
        read_back(bytes)
    };
    match read {
        ReadBack::Entries { entries, torn } => {
            let state = JournalState::from_entries(&entries);
            let found = if torn == 0 {
                Found::Whole
            } else {
                Found::Torn(u64::try_from(torn).unwrap_or(u64::MAX))
            };
            Ok((state, found))
        }
        ReadBack::Corrupt { .. } => {
            let aside = move_aside(directory)?;
            Ok((JournalState::default(), Found::Broken(aside)))
        }
    }
}

/// What the journal of a state directory adds up to, without a new boot and without a change. The
/// caller holds the directory's lock. No journal is an empty one.
///
/// # Errors
/// [`JournalError`]; also when it is broken, because nobody knows then what it held.
pub fn peek(directory: &Path) -> Result<JournalState, JournalError> {
    let path = path_of(directory);
    let Some(bytes) = read_file(&path)? else {
        return Ok(JournalState::default());
    };
    let is_oversized = u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX;
    match read_back(&bytes) {
        ReadBack::Entries { entries, .. } if !is_oversized => {
            Ok(JournalState::from_entries(&entries))
        }
        ReadBack::Entries { .. } | ReadBack::Corrupt { .. } => Err(JournalError::Io {
            action: "make sense of",
            path,
            source: io::ErrorKind::InvalidData.into(),
        }),
    }
}

fn move_aside(directory: &Path) -> Result<PathBuf, JournalError> {
    let path = path_of(directory);
    let free = (1..=BROKEN_MAX)
        .map(|number| directory.join(format!("journal.broken-{number}")))
        .find(|aside| !aside.exists())
        .ok_or_else(|| JournalError::Io {
            action: "find a free name to move aside",
            path: path.clone(),
            source: io::ErrorKind::AlreadyExists.into(),
        })?;
    std::fs::rename(&path, &free).map_err(at("move aside", &path))?;
    sync_directory(directory)?;
    Ok(free)
}

fn write_anew(directory: &Path, state: &JournalState) -> Result<(File, u64), JournalError> {
    let mut frames = Vec::new();
    for entry in state.snapshot() {
        encode_frame(&entry, &mut frames)?;
    }
    let (path, new) = (path_of(directory), directory.join("journal.new"));
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .open(&new)
        .map_err(at("create", &new))?;
    file.write_all(&frames).map_err(at("write to", &new))?;
    file.sync_all().map_err(at("sync", &new))?;
    std::fs::rename(&new, &path).map_err(at("replace", &path))?;
    sync_directory(directory)?;
    // The file stays open under its new name, with its position behind the last frame.
    Ok((file, u64::try_from(frames.len()).unwrap_or(u64::MAX)))
}

/// Makes a rename durable.
///
/// # Errors
/// [`JournalError::Io`].
pub(crate) fn sync_directory(directory: &Path) -> Result<(), JournalError> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(at("sync", directory))
}

#[cfg(test)]
mod tests {
    use protocol::id::{AttemptId, PosTransactionId, PrintJobId};
    use protocol::link::{
        AttemptEnd, ChipOutcome, Completion, DigestState, PrintState, TillRequest,
    };
    use uuid::Uuid;

    use super::*;

    fn pos(number: u128) -> PosTransactionId {
        PosTransactionId::from_uuid(Uuid::from_u128(number))
    }

    fn att(number: u128) -> AttemptId {
        AttemptId::from_uuid(Uuid::from_u128(number))
    }

    fn job(number: u128) -> PrintJobId {
        PrintJobId::from_uuid(Uuid::from_u128(number))
    }

    fn fresh(number: u128) -> JournalId {
        JournalId::from_uuid(Uuid::from_u128(number))
    }

    fn open(directory: &Path, fresh_id: u128) -> (Journal, Found) {
        let lock = StateLock::take(directory).unwrap();
        Journal::open(directory, lock, fresh(fresh_id)).unwrap()
    }

    fn sample() -> Vec<JournalEntry> {
        vec![
            JournalEntry::Accepted { pos_id: pos(1) },
            JournalEntry::Intent {
                pos_id: pos(1),
                attempt_id: att(1),
            },
            JournalEntry::Sent {
                pos_id: pos(1),
                attempt_id: att(1),
            },
            JournalEntry::Completed(Completion {
                pos_id: pos(1),
                attempt_id: att(1),
                chip: ChipOutcome::Agreed,
                data: vec![0x9F, 0x26, 0x00],
                cause: None,
            }),
            JournalEntry::Requested {
                request_id: protocol::id::RequestId::from_uuid(Uuid::from_u128(9)),
                request: TillRequest::Cancel {
                    pos_id: pos(1),
                    void_if_too_late: true,
                },
            },
            JournalEntry::PrintStarted { job_id: job(1) },
            JournalEntry::PrintEnded {
                job_id: job(1),
                state: PrintState::Printed,
            },
            JournalEntry::PrintStarted { job_id: job(2) },
            JournalEntry::Accepted { pos_id: pos(2) },
            JournalEntry::Ended {
                pos_id: pos(2),
                attempt_id: None,
                end: AttemptEnd::CashierCanceled,
            },
        ]
    }

    #[test]
    fn reopening_keeps_the_name_and_counts_the_boots() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, found) = open(directory.path(), 1);
        assert_eq!(found, Found::Nothing);
        assert_eq!(journal.state().boot(), 1);
        journal.append(&sample()).unwrap();
        drop(journal);

        let (journal, found) = open(directory.path(), 2);
        assert_eq!(found, Found::Whole);
        assert_eq!(journal.state().journal_id(), Some(fresh(1)));
        assert_eq!(journal.state().boot(), 2);
        assert_eq!(journal.state().requests().count(), 1);
        let digest = journal.state().digest(pos(1)).unwrap();
        assert!(matches!(digest.state, DigestState::Completed(_)));
        // A job that had begun when the agent stopped: nobody can say whether paper came out.
        let prints = journal.state().ended_prints();
        assert_eq!(prints.len(), 2);
        assert_eq!(prints[1].state, PrintState::Unknown);
    }

    #[test]
    fn a_second_agent_is_refused_until_the_first_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let (journal, _) = open(directory.path(), 1);
        assert!(matches!(
            StateLock::take(directory.path()),
            Err(JournalError::InUse(_))
        ));
        drop(journal);
        assert!(StateLock::take(directory.path()).is_ok());
    }

    #[test]
    fn every_truncation_opens_as_a_prefix() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(directory.path(), 1);
        for entry in sample() {
            journal.append(&[entry]).unwrap();
        }
        drop(journal);
        let whole = std::fs::read(path_of(directory.path())).unwrap();
        let ReadBack::Entries { entries, torn: 0 } = read_back(&whole) else {
            panic!("the journal does not read back");
        };
        for kept in 0..=whole.len() {
            let ReadBack::Entries {
                entries: prefix,
                torn,
            } = read_back(&whole[..kept])
            else {
                panic!("{kept} bytes read as corruption");
            };
            assert_eq!(prefix, entries[..prefix.len()], "after {kept} bytes");
            assert!(torn <= kept);
        }
        // The same through the file system, at one byte inside the last frame.
        std::fs::write(path_of(directory.path()), &whole[..whole.len() - 1]).unwrap();
        let (journal, found) = open(directory.path(), 2);
        assert!(matches!(found, Found::Torn(_)), "{found:?}");
        assert_eq!(journal.state().journal_id(), Some(fresh(1)));
        let digest = journal.state().digest(pos(2)).unwrap();
        assert_eq!(digest.state, DigestState::Accepted);
    }

    #[test]
    fn damage_before_the_end_moves_the_file_aside_and_begins_a_new_journal() {
        let directory = tempfile::tempdir().unwrap();
        for round in 1..=2u128 {
            let (mut journal, _) = open(directory.path(), round);
            journal.append(&sample()).unwrap();
            drop(journal);
            let path = path_of(directory.path());
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[60] ^= 0x40;
            std::fs::write(&path, &bytes).unwrap();
            let (journal, found) = open(directory.path(), round + 10);
            let aside = directory.path().join(format!("journal.broken-{round}"));
            assert_eq!(found, Found::Broken(aside.clone()));
            assert_eq!(std::fs::read(aside).unwrap(), bytes, "evidence is kept");
            assert_eq!(journal.state().journal_id(), Some(fresh(round + 10)));
            assert_eq!(journal.state().boot(), 1);
            assert!(journal.state().is_quiet());
        }
    }

    #[test]
    fn a_large_quiet_journal_is_written_anew() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(directory.path(), 1);
        let noise = JournalEntry::Completed(Completion {
            pos_id: pos(1),
            attempt_id: att(1),
            chip: ChipOutcome::Refused,
            data: vec![7; 60_000],
            cause: None,
        });
        for _ in 0..12 {
            journal.append(std::slice::from_ref(&noise)).unwrap();
        }
        let length = || std::fs::metadata(path_of(directory.path())).unwrap().len();
        assert!(length() > COMPACT_ABOVE_BYTES, "open work is never moved");
        journal
            .append(&[JournalEntry::Concluded { pos_id: pos(1) }])
            .unwrap();
        assert!(length() < 200);
        journal
            .append(&[JournalEntry::Accepted { pos_id: pos(3) }])
            .unwrap();
        drop(journal);
        let (journal, found) = open(directory.path(), 2);
        assert_eq!(found, Found::Whole);
        assert!(journal.state().digest(pos(3)).is_some());
    }

    #[test]
    fn a_snapshot_adds_up_to_the_same_state() {
        let mut state = JournalState::default();
        state.apply(&JournalEntry::Header {
            format: 1,
            journal_id: fresh(1),
        });
        for entry in sample() {
            state.apply(&entry);
            assert_eq!(JournalState::from_entries(&state.snapshot()), state);
        }
    }
}
