//! Holds a state directory against a second agent, for as long as the lock lives.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use super::{JournalError, at};

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
