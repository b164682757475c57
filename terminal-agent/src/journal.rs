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
mod lock;
mod look;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use protocol::id::JournalId;

use crate::machine::record::{JournalEntry, JournalState};

pub use frame::{
    FRAME_PAYLOAD_MAX, FrameError, ReadBack, encode_frame, encode_loose_frame, read_back,
};
pub use lock::StateLock;
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
mod tests;
