//! `engine restore`: a database from a backup, as a new incarnation.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use protocol::id::IncarnationId;

use super::backup::Manifest;
use super::{OfflineError, STORE_DIRECTORY};
use crate::config;
use crate::history::archive::ArchiveError;
use crate::history::{self, HISTORY_DIRECTORY, History};
use crate::owner::key;
use crate::store::{self, DiskStore, Rows as _, StoreConfig};

/// Where a database is put together before it gets its place.
const RESTORING_DIRECTORY: &str = "store.restoring";

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What it was restored from.
    pub manifest: Manifest,
    /// The new incarnation.
    pub incarnation: IncarnationId,
    /// Merchants in it.
    pub merchants: usize,
}

/// Builds the database of a backup in a data directory that has none, as the incarnation
/// `incarnation`: log and rows. By the incarnation each merchant's owner knows that it must not use
/// what the lost time may have used. A run that is cut short leaves no database, and may be repeated.
///
/// # Errors
/// [`OfflineError`].
pub fn restore(
    backup: &Path,
    data_dir: &Path,
    incarnation: IncarnationId,
) -> Result<Restored, OfflineError> {
    let manifest = Manifest::read(backup)?;
    config::prepare_data_dir(data_dir)?;
    let target = data_dir.join(STORE_DIRECTORY);
    if target.exists() {
        return Err(OfflineError::Occupied(target));
    }
    let building = data_dir.join(RESTORING_DIRECTORY);
    let history = data_dir.join(HISTORY_DIRECTORY);
    if history.exists() {
        // A run that was cut short before its last step has left the backup's own; anything else
        // may be all that is left of something.
        let left = History::open(data_dir).map_err(ArchiveError::from)?;
        if !manifest.has_history(left.extent()) {
            return Err(OfflineError::Occupied(history));
        }
        remove(&history)?;
    }
    remove(&building)?;
    config::prepare_data_dir(&building)?;
    store::copy_log(&backup.join(STORE_DIRECTORY), &building)?;
    let merchants = open_anew(&building, incarnation)?;
    let copied = history::copy(backup, &building).map_err(ArchiveError::from)?;
    if copied.files > 0 {
        fs::rename(building.join(HISTORY_DIRECTORY), &history)
            .and_then(|()| File::open(data_dir)?.sync_all())
            .map_err(OfflineError::file(&history))?;
    }
    fs::rename(&building, &target)
        .and_then(|()| File::open(data_dir)?.sync_all())
        .map_err(OfflineError::file(&target))?;
    Ok(Restored {
        manifest,
        incarnation,
        merchants,
    })
}

fn remove(directory: &Path) -> Result<(), OfflineError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome.map_err(OfflineError::file(directory)),
    }
}

/// Opens the copy for the first time: builds the rows, takes the new incarnation, and counts the
/// merchants.
fn open_anew(directory: &Path, incarnation: IncarnationId) -> Result<usize, OfflineError> {
    let config = StoreConfig {
        new_incarnation: Some(incarnation),
        ..StoreConfig::new(directory, incarnation)
    };
    let store = DiskStore::open(config, Box::new(|_| ()))?;
    let merchants = store.scan(&key::space(key::MERCHANT), None, usize::MAX);
    let merchants = merchants.map_err(|fault| OfflineError::Unusable(fault.to_string()))?;
    store.shutdown().map_err(OfflineError::Unusable)?;
    Ok(merchants.len())
}
