//! Reading the log at start: which batches stand, where the log ends, and whether what follows the
//! end is a torn tail or damage. Must never change a file; [`super::log`] does that with the
//! result.
//!
//! One batch at a time is written, and the next only after the sync of the last. So the batch at
//! the end may be torn, and then nothing valid of its epoch or a later one follows it, neither in
//! its segment nor in the next ones. If something does, a batch that was synced is damaged.

use std::io;

use super::OpenError;
use super::disk::{Disk, read_whole};
use super::frame::{self, Frame, FrameError, HEADER_BYTES, Header, LogId};
use super::segment::{self, SEGMENT_BYTES_MAX};

/// A place in the log, between two batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// The segment.
    pub(crate) generation: u64,
    /// Bytes from its beginning.
    pub(crate) offset: u64,
    /// Position of the last record before the place.
    pub(crate) position: u64,
    /// Epoch of the last batch before the place.
    pub(crate) epoch: u64,
}

/// A segment file and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentFile {
    pub(crate) generation: u64,
    pub(crate) directory: &'static str,
}

impl SegmentFile {
    /// Its path.
    pub(crate) fn path(self) -> String {
        segment::path(self.directory, self.generation)
    }
}

/// What reading the log has found.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// Behind the last valid batch.
    pub(crate) end: Place,
    /// The segments from the one with the end on, ascending; the first is `end`'s.
    pub(crate) rest: Vec<SegmentFile>,
}

/// Damage, as [`OpenError::Corrupt`] or a problem of `verify` reports it.
pub(crate) struct Damage {
    pub(crate) file: String,
    pub(crate) offset: u64,
    pub(crate) reason: String,
}

/// Why reading stopped early.
pub(crate) enum Stop {
    Damage(Damage),
    Open(OpenError),
}

impl From<Stop> for OpenError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Damage(Damage {
                file,
                offset,
                reason,
            }) => Self::Corrupt {
                file,
                offset,
                reason,
            },
            Stop::Open(error) => error,
        }
    }
}

/// Why a batch could not be used.
pub(crate) enum EachError {
    /// Its checksum matches and its format does not.
    Frame(FrameError),
    /// It could not be applied.
    Open(OpenError),
}

impl From<FrameError> for EachError {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

/// The position of the first record of a segment; `None` when nothing was written into it.
pub(crate) fn first_position(disk: &dyn Disk, segment: SegmentFile) -> io::Result<Option<u64>> {
    let mut header = [0; HEADER_BYTES];
    disk.open_read_only(&segment.path())?
        .read_at(&mut header, 0)?;
    let header = Header::read(&header).ok();
    let of_segment = header.filter(|header| header.generation == segment.generation);
    Ok(of_segment.map(|header| header.first_position.max(1)))
}

struct Walk<'a, F> {
    log: LogId,
    place: Place,
    each: &'a mut F,
}

/// Reads the log from `from` and hands each batch with records to `each`. `segments` ascend and
/// begin with the one that `from` is in.
pub(crate) fn replay<F>(
    disk: &dyn Disk,
    log: LogId,
    segments: &[SegmentFile],
    from: Place,
    each: &mut F,
) -> Result<Recovered, Stop>
where
    F: FnMut(&Frame<'_>) -> Result<(), EachError>,
{
    let mut walk = Walk {
        log,
        place: from,
        each,
    };
    let mut tail = 0;
    for (index, segment) in segments.iter().enumerate() {
        let bytes = read(disk, *segment)?;
        let first = index == 0;
        if first && usize::try_from(from.offset).map_or(true, |offset| offset > bytes.len()) {
            return Err(damage(
                *segment,
                from.offset,
                "segment ends before the checkpoint".into(),
            ));
        }
        let start = if first {
            usize::try_from(from.offset).unwrap_or(0)
        } else {
            0
        };
        let end = walk.segment(*segment, &bytes, start)?;
        if first || end > start {
            tail = index;
            let offset = u64::try_from(end).unwrap_or(u64::MAX);
            walk.place = Place {
                generation: segment.generation,
                offset,
                ..walk.place
            };
        }
    }
    Ok(Recovered {
        end: walk.place,
        rest: segments.get(tail..).unwrap_or_default().to_vec(),
    })
}

fn read(disk: &dyn Disk, segment: SegmentFile) -> Result<Vec<u8>, Stop> {
    let path = segment.path();
    let read = |path: &str| read_whole(disk.open_read_only(path)?.as_ref(), SEGMENT_BYTES_MAX);
    read(&path).map_err(|error: io::Error| Stop::Open(OpenError::io(&path, &error)))
}

fn damage(segment: SegmentFile, offset: u64, reason: String) -> Stop {
    Stop::Damage(Damage {
        file: segment.path(),
        offset,
        reason,
    })
}

impl<F> Walk<'_, F>
where
    F: FnMut(&Frame<'_>) -> Result<(), EachError>,
{
    /// Walks the batches of one segment and returns the offset behind the last valid one.
    fn segment(&mut self, segment: SegmentFile, bytes: &[u8], start: usize) -> Result<usize, Stop> {
        let mut offset = start;
        loop {
            let rest = bytes.get(offset..).unwrap_or_default();
            let Some(frame) = self.standing(segment, rest) else {
                break;
            };
            self.accept(segment, offset, &frame)?;
            offset += frame.header.frame_length();
        }
        let rest = bytes.get(offset..).unwrap_or_default();
        if let Some(later) = frame::find(self.log, rest, self.place.epoch, segment.generation) {
            let reason = format!(
                "batch is damaged: a valid one follows at {}",
                offset + later
            );
            return Err(damage(segment, to_u64(offset), reason));
        }
        Ok(offset)
    }

    fn standing<'b>(&self, segment: SegmentFile, rest: &'b [u8]) -> Option<Frame<'b>> {
        let frame = frame::decode(self.log, rest).ok()?;
        let stands =
            frame.header.generation == segment.generation && frame.header.epoch >= self.place.epoch;
        stands.then_some(frame)
    }

    fn accept(
        &mut self,
        segment: SegmentFile,
        offset: usize,
        frame: &Frame<'_>,
    ) -> Result<(), Stop> {
        let (expected, found) = (self.place.position + 1, frame.header.first_position);
        if found != expected {
            let reason = format!("log goes on at position {found} instead of {expected}");
            return Err(damage(segment, to_u64(offset), reason));
        }
        if frame.header.record_count > 0 {
            (self.each)(frame).map_err(|error| match error {
                EachError::Frame(error) => damage(segment, to_u64(offset), error.to_string()),
                EachError::Open(error) => Stop::Open(error),
            })?;
        }
        self.place.epoch = frame.header.epoch;
        self.place.position = frame.header.next_position() - 1;
        Ok(())
    }
}

fn to_u64(offset: usize) -> u64 {
    u64::try_from(offset).unwrap_or(u64::MAX)
}
