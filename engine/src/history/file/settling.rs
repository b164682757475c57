//! A file that reaches the disk piece by piece while it is written. A long one that is synced as a
//! whole holds up every commit of that time: the disk has one queue, and the file system's journal
//! waits for data that the journal mentions.

use std::fs::File;
use std::io;

/// What is synced at a time: the disk is through with it in about a millisecond.
const PIECE_BYTES: usize = 512 * 1024;

/// The file.
#[derive(Debug)]
pub(in crate::history) struct Settling {
    file: File,
    unsynced: usize,
}

impl Settling {
    pub(super) const fn new(file: File) -> Self {
        Self { file, unsynced: 0 }
    }

    /// The file, not synced altogether.
    pub(super) fn into_file(self) -> File {
        self.file
    }
}

impl io::Write for Settling {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.unsynced += written;
        if self.unsynced >= PIECE_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
