//! What is done to a database without serving it: check, backup, restore.
//!
//! Owns the order of these works and their reports; must never change what it checks or copies.

mod archive;
mod backup;
mod book;
mod fsck;
mod past;
mod restore;
mod scratch;

use std::io;
use std::path::{Path, PathBuf};

pub use archive::{Archived, archive};
pub use backup::{Manifest, backup};
pub use book::compare_with_book;
pub use fsck::{Finding, Report, fsck};
pub use restore::{Restored, restore};

use crate::config::ConfigError;
use crate::history::archive::ArchiveError;
use crate::store::OpenError;

/// Where the store is, in the data directory.
pub const STORE_DIRECTORY: &str = "store";
/// What says that a directory is a whole backup, and of what.
pub const MANIFEST_FILE: &str = "backup.json";

/// Why a backup was not taken or not restored. Nothing that existed before was changed.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// Something is where the result should be.
    #[error("{} exists and is not empty", .0.display())]
    Occupied(PathBuf),
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The directory is no whole backup.
    #[error("{} is no whole backup: {reason}", path.display())]
    NoBackup {
        /// Which.
        path: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
    /// The log cannot be copied or read.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// Rows were not archived.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The data directory cannot be made.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What follows from a restore cannot be recorded.
    #[error("restored database cannot be used: {0}")]
    Unusable(String),
}

impl OfflineError {
    fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File { path, error }
    }
}
