//! Copies the log of a store that may be in use: every batch up to one that is durable, checked on
//! the way, and nothing behind it. Must never change the store, nor need its lock.
//!
//! The log alone is a backup: rows are rebuilt from it. It is append-only, and a batch that can be
//! read whole with every one before it is the beginning of what a restart would see.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::disk::{Disk, RealDisk, read_whole};
use super::frame;
use super::identity::Identity;
use super::recovery::{Place, SegmentFile};
use super::segment::{self, ARCHIVE, LOG, SEGMENT_BYTES_MAX};
use super::verify::{read_checkpoint, segments, survey};
use super::{OpenError, Position};

/// Segments move and grow while they are read; then reading begins anew (arbitrary, bounded).
const ATTEMPTS: u32 = 5;

/// A copy of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogCopy {
    /// Which log, in hexadecimal digits: the same in all its copies and restored databases.
    pub log: String,
    /// Its last position.
    pub position: Position,
    /// Segments.
    pub segments: u64,
    /// Bytes of the batches.
    pub bytes: u64,
}

/// Copies the log of the store in `from`, which may be in use, into the directory `to`.
///
/// # Errors
/// [`OpenError::Corrupt`] when the log is damaged, [`OpenError::HistoryIncomplete`] when it no
/// longer has its beginning, [`OpenError::Io`].
pub fn copy_log(from: &Path, to: &Path) -> Result<LogCopy, OpenError> {
    let disk = RealDisk::new(from);
    let identity = Identity::read(&disk)?.ok_or_else(|| damage(super::identity::FILE, 0))?;
    let mut attempt = 1;
    loop {
        match copy(&disk, identity, to) {
            Err(OpenError::Corrupt { .. } | OpenError::Io { .. }) if attempt < ATTEMPTS => {
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

/// Reads a copy and says what it holds.
///
/// # Errors
/// [`OpenError::Corrupt`] naming the first thing that is wrong with it.
pub fn read_copy(directory: &Path) -> Result<LogCopy, OpenError> {
    let mut problems = Vec::new();
    let found = survey(&RealDisk::new(directory), &mut problems, &mut |_| ());
    if let Some(problem) = problems.into_iter().next() {
        return Err(OpenError::Corrupt {
            file: problem.file,
            offset: problem.offset,
            reason: problem.what,
        });
    }
    let found = found.ok_or_else(|| damage(super::identity::FILE, 0))?;
    if found.begins_after > 0 {
        return Err(OpenError::HistoryIncomplete {
            position: found.begins_after + 1,
        });
    }
    let files = segments(&RealDisk::new(directory));
    let files = files.map_err(|error| OpenError::io(LOG, &error))?;
    let length = |file: &SegmentFile| fs::metadata(directory.join(file.path()));
    let lengths: io::Result<Vec<u64>> = files
        .iter()
        .map(|file| length(file).map(|metadata| metadata.len()))
        .collect();
    Ok(LogCopy {
        log: hex::encode(found.identity.log),
        position: Position(found.end.position),
        segments: u64::try_from(files.len()).unwrap_or(u64::MAX),
        bytes: lengths
            .map_err(|error| OpenError::io(LOG, &error))?
            .iter()
            .sum(),
    })
}

fn damage(file: &str, offset: u64) -> OpenError {
    OpenError::Corrupt {
        file: file.to_owned(),
        offset,
        reason: "cannot be read".to_owned(),
    }
}

fn copy(disk: &RealDisk, identity: Identity, to: &Path) -> Result<LogCopy, OpenError> {
    let failed = |error: io::Error| OpenError::io(LOG, &error);
    // Read first: what it promises must be in the copy.
    let promised = read_checkpoint(disk, identity.log)
        .ok()
        .flatten()
        .map_or(0, |place| place.position);
    for directory in [LOG, ARCHIVE] {
        fs::remove_dir_all(to.join(directory)).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(failed(error)),
        })?;
        fs::create_dir_all(to.join(directory)).map_err(failed)?;
    }
    let mut place = Place::default();
    for segment in segments(disk).map_err(failed)? {
        let bytes = read(disk, segment)?;
        let end = standing(identity, segment, &bytes, &mut place)?;
        let batches = bytes.get(..end).unwrap_or_default();
        if !batches.is_empty() {
            let path = segment::path(LOG, segment.generation);
            write(&to.join(&path), batches).map_err(|error| OpenError::io(&path, &error))?;
        }
    }
    if place.position < promised {
        return Err(OpenError::Corrupt {
            file: segment::path(LOG, place.generation),
            offset: place.offset,
            reason: format!("log ends before the checkpoint's position {promised}"),
        });
    }
    let copied = RealDisk::new(to);
    identity.write(&copied)?;
    for directory in [LOG, ARCHIVE, ""] {
        copied.sync_directory(directory).map_err(failed)?;
    }
    read_copy(to)
}

/// A segment, wherever it is by now.
fn read(disk: &RealDisk, segment: SegmentFile) -> Result<Vec<u8>, OpenError> {
    let mut outcome = Err(damage(&segment.path(), 0));
    for directory in [segment.directory, ARCHIVE] {
        let path = segment::path(directory, segment.generation);
        let file = disk.open_read_only(&path);
        outcome = file
            .and_then(|file| read_whole(file.as_ref(), SEGMENT_BYTES_MAX))
            .map_err(|error| OpenError::io(&path, &error));
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// Where the batches end that can be read one after the other; an error when one that can be read
/// follows behind.
fn standing(
    identity: Identity,
    segment: SegmentFile,
    bytes: &[u8],
    place: &mut Place,
) -> Result<usize, OpenError> {
    let corrupt = |offset: usize, reason: String| OpenError::Corrupt {
        file: segment.path(),
        offset: u64::try_from(offset).unwrap_or(u64::MAX),
        reason,
    };
    let mut offset = 0;
    while let Ok(frame) = frame::decode(identity.log, bytes.get(offset..).unwrap_or_default()) {
        let header = frame.header;
        if header.generation != segment.generation || header.epoch < place.epoch {
            break;
        }
        let expected = place.position.saturating_add(1);
        if header.first_position != expected {
            if place.generation == 0 {
                return Err(OpenError::HistoryIncomplete {
                    position: header.first_position,
                });
            }
            let found = header.first_position;
            let reason = format!("log goes on at position {found} instead of {expected}");
            return Err(corrupt(offset, reason));
        }
        offset += header.frame_length();
        *place = Place {
            generation: segment.generation,
            offset: u64::try_from(offset).unwrap_or(u64::MAX),
            position: header.next_position().saturating_sub(1),
            epoch: header.epoch,
        };
    }
    let rest = bytes.get(offset..).unwrap_or_default();
    match frame::find(identity.log, rest, place.epoch, segment.generation) {
        Some(later) => Err(corrupt(
            offset,
            format!(
                "batch is damaged: a valid one follows at {}",
                offset + later
            ),
        )),
        None => Ok(offset),
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
