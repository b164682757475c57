//! `engine backup`: a copy of the log that stands on its own, taken while the engine runs.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{MANIFEST_FILE, OfflineError, STORE_DIRECTORY};
use crate::domain::time::Timestamp;
use crate::history::archive::ArchiveError;
use crate::history::{self, Extent, History};
use crate::store::{self, LogCopy};

/// Version of the manifest.
const FORMAT: u32 = 1;

/// What a backup holds. Written last: without it a backup is not whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this form.
    format: u32,
    /// Which log, in hexadecimal digits.
    pub log: String,
    /// Its last position.
    pub position: u64,
    /// Segments of the log.
    pub segments: u64,
    /// Bytes of the log.
    pub bytes: u64,
    /// Files of history.
    #[serde(default)]
    pub history_files: u32,
    /// Bytes of them.
    #[serde(default)]
    pub history_bytes: u64,
    /// When the backup was begun, in milliseconds since 1970.
    pub taken_at_ms: i64,
}

impl Manifest {
    fn of(copy: LogCopy, history: Extent, now: Timestamp) -> Self {
        Self {
            format: FORMAT,
            log: copy.log,
            position: copy.position.0,
            segments: copy.segments,
            bytes: copy.bytes,
            history_files: history.files,
            history_bytes: history.bytes,
            taken_at_ms: now.0,
        }
    }

    /// Whether the backup's history has this extent.
    pub(super) fn has_history(&self, extent: Extent) -> bool {
        (self.history_files, self.history_bytes) == (extent.files, extent.bytes)
    }

    /// Reads the manifest of a backup and holds it against what is there.
    ///
    /// # Errors
    /// [`OfflineError::NoBackup`] when it is missing or not what is there.
    pub(super) fn read(backup: &Path) -> Result<Self, OfflineError> {
        let no_backup = |reason: String| OfflineError::NoBackup {
            path: backup.to_owned(),
            reason,
        };
        let text = fs::read_to_string(backup.join(MANIFEST_FILE))
            .map_err(|error| no_backup(format!("{MANIFEST_FILE}: {error}")))?;
        let manifest: Self = serde_json::from_str(&text)
            .map_err(|error| no_backup(format!("{MANIFEST_FILE}: {error}")))?;
        let copy = store::read_copy(&backup.join(STORE_DIRECTORY))
            .map_err(|error| no_backup(error.to_string()))?;
        let history = History::open(backup).map_err(|error| no_backup(error.to_string()))?;
        if let Some(damaged) = history.read_all(|_, _| ()).into_iter().next() {
            return Err(no_backup(damaged.to_string()));
        }
        if Self::of(copy, history.extent(), Timestamp(manifest.taken_at_ms)) == manifest {
            Ok(manifest)
        } else {
            let what = "log and history are not those that the manifest describes";
            Err(no_backup(what.to_owned()))
        }
    }

    fn write(&self, backup: &Path) -> io::Result<()> {
        let path = backup.join(MANIFEST_FILE);
        let beside = path.with_extension("new");
        let mut file = File::create(&beside)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        File::open(backup)?.sync_all()
    }
}

/// Copies the database in a data directory, which an engine may be serving, into the directory
/// `to`, absent or empty. Holds everything that was answered before it was begun. The acquirer's
/// book and the operator's token are no part of it.
///
/// # Errors
/// [`OfflineError`].
pub fn backup(data_dir: &Path, to: &Path, now: Timestamp) -> Result<Manifest, OfflineError> {
    let store = to.join(STORE_DIRECTORY);
    make_empty(to)?;
    let mut private = DirBuilder::new();
    private
        .mode(0o700)
        .create(&store)
        .map_err(OfflineError::file(&store))?;
    let copy = store::copy_log(&data_dir.join(STORE_DIRECTORY), &store)?;
    // After the log: whatever a copied record removes is in history before it.
    let history = history::copy(data_dir, to).map_err(ArchiveError::from)?;
    let manifest = Manifest::of(copy, history, now);
    manifest.write(to).map_err(OfflineError::file(to))?;
    Ok(manifest)
}

/// Makes a directory for its owner only, or takes one that is empty.
fn make_empty(path: &Path) -> Result<(), OfflineError> {
    let mut private = DirBuilder::new();
    private.recursive(true).mode(0o700);
    private.create(path).map_err(OfflineError::file(path))?;
    let mut entries = fs::read_dir(path).map_err(OfflineError::file(path))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(OfflineError::Occupied(path.to_owned())),
    }
}
