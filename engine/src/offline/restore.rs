//! `engine restore`: a database from a backup, as a new incarnation.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use protocol::id::IncarnationId;

use super::backup::Manifest;
use super::{OfflineError, STORE_DIRECTORY};
use crate::config;
use crate::owner::key;
use crate::store::{self, DiskStore, KeyValue, ReadFault, Rows as _, StoreConfig};

/// Where a database is put together before it gets its place.
const RESTORING_DIRECTORY: &str = "store.restoring";

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What it was restored from.
    pub manifest: Manifest,
    /// The new incarnation.
    pub incarnation: IncarnationId,
    /// Merchants whose trace numbers were moved on.
    pub merchants: u64,
}

/// Builds the database of a backup in a data directory that has none, as the incarnation
/// `incarnation`: log, rows, and trace numbers that nothing lost has used. A run that is cut short
/// leaves no database, and may be repeated.
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
    fs::remove_dir_all(&building).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(OfflineError::file(&building)(error)),
    })?;
    config::prepare_data_dir(&building)?;
    store::copy_log(&backup.join(STORE_DIRECTORY), &building)?;
    let merchants = open_anew(&building, incarnation)?;
    fs::rename(&building, &target)
        .and_then(|()| File::open(data_dir)?.sync_all())
        .map_err(OfflineError::file(&target))?;
    Ok(Restored {
        manifest,
        incarnation,
        merchants,
    })
}

/// Opens the copy for the first time, as another life of the database: whoever owns a part of it
/// finds that when it is loaded. Counts the merchants.
fn open_anew(directory: &Path, incarnation: IncarnationId) -> Result<u64, OfflineError> {
    let config = StoreConfig {
        new_incarnation: Some(incarnation),
        ..StoreConfig::new(directory, incarnation)
    };
    let store = DiskStore::open(config, Box::new(|_| ()))?;
    let unusable = |fault: ReadFault| OfflineError::Unusable(fault.to_string());
    let mut merchants = 0;
    let mut from = key::space(key::MERCHANT);
    while let Some((row_key, _)) = next_merchant(&store, &from).map_err(unusable)? {
        merchants += 1;
        from = row_key;
        from.push(0);
    }
    store.shutdown().map_err(OfflineError::Unusable)?;
    Ok(merchants)
}

fn next_merchant(store: &DiskStore, from: &[u8]) -> Result<Option<KeyValue>, ReadFault> {
    let rows = store.scan(&key::space(key::MERCHANT), Some(from), 1)?;
    Ok(rows.into_iter().next())
}
