//! The recorder's trace, as records. Owns its format; knows nothing of what survives a cut.

use std::io;
use std::path::Path;

/// Bytes of a record before its paths and data.
const HEAD_BYTES: usize = 64;

/// Something that a process did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When the call began, in nanoseconds of the monotonic clock.
    pub begin: u64,
    /// When it had been made.
    pub end: u64,
    /// The file, directory, or socket.
    pub inode: u64,
    /// What.
    pub act: Act,
}

/// What a call did. Paths are relative to the recorded directory, which is the empty one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// A process began.
    Start,
    /// Made an empty file.
    Create(String),
    /// Wrote bytes.
    Write {
        /// Where.
        offset: u64,
        /// What.
        data: Vec<u8>,
    },
    /// Wrote zeros.
    Zero {
        /// Where.
        offset: u64,
        /// How many.
        length: u64,
    },
    /// Set the length.
    Truncate(u64),
    /// Reserved space up to this length, and grew to it.
    Allocate(u64),
    /// Gave another name.
    Rename(String, String),
    /// Removed a name of a file.
    Unlink(String),
    /// Made a directory.
    MakeDirectory(String),
    /// Removed a directory.
    RemoveDirectory(String),
    /// Gave a second name.
    Link(String, String),
    /// Synced a file.
    Sync {
        /// By `fdatasync`.
        data_only: bool,
    },
    /// Synced the names in a directory.
    SyncDirectory(String),
    /// Started writing back, which makes nothing durable.
    Range,
    /// Did something that the recorder cannot follow.
    Bypass(String),
    /// Sent bytes on a socket.
    Send(Vec<u8>),
    /// Opened a file that was there, so long.
    Known(String, u64),
    /// Was refused, as ordered.
    Failed {
        /// Kind of the call, by its number in a trace.
        call: u8,
        /// The system's error.
        error: u32,
        /// On what.
        path: String,
    },
}

/// Number of [`Act::Sync`] in a trace, and in [`Act::Failed`].
pub const CALL_SYNC: u8 = 12;

/// Reads a trace. A last record that was cut short belongs to a call that nobody saw the end of.
///
/// # Errors
/// When the file cannot be read, or is no trace.
pub fn read(path: &Path) -> io::Result<Vec<Record>> {
    let bytes = std::fs::read(path)?;
    let mut rest = Reader(&bytes);
    let mut records = Vec::new();
    while let Some(record) = rest.record() {
        records.push(record?);
    }
    Ok(records)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let bytes = self.take(8)?.try_into().ok()?;
        Some(u64::from_le_bytes(bytes))
    }

    fn half(&mut self) -> Option<u32> {
        let bytes = self.take(4)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes))
    }

    fn text(&mut self, count: u32) -> Option<String> {
        let bytes = self.take(usize::try_from(count).ok()?)?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }

    fn record(&mut self) -> Option<io::Result<Record>> {
        debug_assert_eq!(HEAD_BYTES, 4 + 4 + 5 * 8 + 2 * 4 + 8);
        let kind = *self.take(1)?.first()?;
        let flag = *self.take(1)?.first()?;
        self.take(2)?;
        let error = self.half()?;
        let (begin, end, inode) = (self.number()?, self.number()?, self.number()?);
        let (offset, length) = (self.number()?, self.number()?);
        let (path, second) = (self.half()?, self.half()?);
        let data = usize::try_from(self.number()?).ok()?;
        let (path, second) = (self.text(path)?, self.text(second)?);
        let data = self.take(data)?.to_vec();
        let act = match kind {
            1 => Act::Start,
            2 => Act::Create(path),
            3 => Act::Write { offset, data },
            4 => Act::Zero { offset, length },
            5 => Act::Truncate(length),
            6 => Act::Allocate(length),
            7 => Act::Rename(path, second),
            8 => Act::Unlink(path),
            9 => Act::MakeDirectory(path),
            10 => Act::RemoveDirectory(path),
            11 => Act::Link(path, second),
            12 => Act::Sync {
                data_only: flag == 1,
            },
            13 => Act::SyncDirectory(path),
            14 => Act::Range,
            15 => Act::Bypass(format!("{second} {path}")),
            16 => Act::Send(data),
            17 => Act::Known(path, length),
            18 => Act::Failed {
                call: flag,
                error,
                path,
            },
            _ => {
                let what = format!("no record of kind {kind}");
                return Some(Err(io::Error::new(io::ErrorKind::InvalidData, what)));
            }
        };
        Some(Ok(Record {
            begin,
            end,
            inode,
            act,
        }))
    }
}
