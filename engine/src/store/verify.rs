//! A read-only walk over a store's files that lists what is wrong with them. Must never change
//! anything, nor need the lock.

use std::fmt;
use std::io;
use std::path::Path;

use super::checkpoint;
use super::disk::{Disk, RealDisk, read_whole};
use super::frame::{FrameError, LogId};
use super::identity::Identity;
use super::recovery::{self, Damage, EachError, Place, SegmentFile, Stop};
use super::segment::{self, ARCHIVE, LOG};

/// Something that is wrong with a store's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, relative to the store's directory.
    pub file: String,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} at {}: {}", self.file, self.offset, self.what)
    }
}

fn problem(file: &str, what: impl fmt::Display) -> Problem {
    Problem {
        file: file.to_owned(),
        offset: 0,
        what: what.to_string(),
    }
}

/// Reads identity, checkpoint, archive, and log in `directory`, and lists the problems; the log's
/// walk ends at the first. A torn tail is none. Of a store in use, the last batch may be reported
/// while it is being written.
pub fn verify(directory: &Path) -> Vec<Problem> {
    walk(&RealDisk::new(directory))
}

/// As [`verify`], on any disk.
pub(crate) fn walk(disk: &dyn Disk) -> Vec<Problem> {
    let log = match Identity::read(disk) {
        Ok(Some(identity)) => identity.log,
        Ok(None) => return vec![problem(super::identity::FILE, "missing")],
        Err(error) => return vec![problem(super::identity::FILE, error)],
    };
    let mut problems = Vec::new();
    let end = match segments(disk) {
        Ok(segments) => log_end(disk, log, &segments, &mut problems),
        Err(error) => {
            problems.push(problem(LOG, error));
            None
        }
    };
    match read_checkpoint(disk, log) {
        Ok(Some(covered)) => {
            if end.is_some_and(|end| end.position < covered.position) {
                let what = format!(
                    "log ends before the checkpoint's position {}",
                    covered.position
                );
                problems.push(problem(checkpoint::FILE, what));
            }
        }
        Ok(None) => {}
        Err(error) => problems.push(problem(checkpoint::FILE, error)),
    }
    problems
}

/// All segments in order, wherever they are.
pub(crate) fn segments(disk: &dyn Disk) -> io::Result<Vec<SegmentFile>> {
    let live = segment::generations(disk, LOG)?;
    let archived = segment::generations(disk, ARCHIVE)?;
    let file = |directory| {
        move |generation| SegmentFile {
            generation,
            directory,
        }
    };
    let mut all: Vec<SegmentFile> = archived
        .into_iter()
        .filter(|generation| !live.contains(generation))
        .map(file(ARCHIVE))
        .collect();
    all.extend(live.iter().copied().map(file(LOG)));
    all.sort_unstable_by_key(|segment| segment.generation);
    Ok(all)
}

/// The checkpoint; `None` when there is none.
pub(crate) fn read_checkpoint(disk: &dyn Disk, log: LogId) -> io::Result<Option<Place>> {
    let file = match disk.open_read_only(checkpoint::FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let bytes = read_whole(file.as_ref(), 4096)?;
    let place = checkpoint::decode(log, &bytes);
    place
        .map(Some)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a checkpoint of this log"))
}

fn log_end(
    disk: &dyn Disk,
    log: LogId,
    segments: &[SegmentFile],
    problems: &mut Vec<Problem>,
) -> Option<Place> {
    let first = segments.first()?;
    // Under the retention "recycle" the log begins later than at 1, and that is no problem.
    let position = recovery::first_position(disk, *first)
        .ok()
        .flatten()
        .unwrap_or(1)
        - 1;
    let from = Place {
        generation: first.generation,
        offset: 0,
        position,
        epoch: 0,
    };
    let mut each = |frame: &super::frame::Frame<'_>| {
        frame
            .for_each::<FrameError>(|_| Ok(()))
            .map_err(EachError::Frame)
    };
    match recovery::replay(disk, log, segments, from, &mut each) {
        Ok(recovered) => return Some(recovered.end),
        Err(Stop::Damage(Damage {
            file,
            offset,
            reason,
        })) => {
            problems.push(Problem {
                file,
                offset,
                what: reason,
            });
        }
        Err(Stop::Open(error)) => problems.push(problem(LOG, error)),
    }
    None
}
