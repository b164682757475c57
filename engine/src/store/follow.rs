//! Reads the log for followers, from the archive and the segments in use. Must never read beyond
//! what is durable, and must never hold up the committer.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::disk::DiskFile;
use super::frame::{self, FRAME_BYTES_MAX, FrameError, HEADER_BYTES, Header, LogId};
use super::segment::Catalogue;
use super::{Logged, Position, ReadFault};

/// Followers whose place is remembered; others search their segment (arbitrary, bounded).
const CURSORS_MAX: usize = 64;
/// Bytes read at once (arbitrary, bounded); a longer batch is read whole.
const CHUNK_BYTES: usize = 256 * 1024;

/// Segment and offset of a batch.
type At = (u64, u64);

/// Reads records in order of position.
pub(crate) struct Follower {
    log: LogId,
    catalogue: Arc<Catalogue>,
    /// Where the batch with the record after a position begins.
    cursors: Mutex<BTreeMap<u64, At>>,
}

fn fault(error: impl std::fmt::Display) -> ReadFault {
    ReadFault(error.to_string())
}

impl Follower {
    pub(crate) fn new(log: LogId, catalogue: Arc<Catalogue>) -> Self {
        Self {
            log,
            catalogue,
            cursors: Mutex::default(),
        }
    }

    /// Records after `after` up to `durable`, at most `limit`.
    ///
    /// # Errors
    /// [`ReadFault`] when the log cannot be read or does not reach back that far.
    pub(crate) fn read(
        &self,
        after: Position,
        durable: u64,
        limit: usize,
    ) -> Result<Vec<Logged>, ReadFault> {
        let mut records = Vec::new();
        let mut next = after.0;
        if after.0 >= durable || limit == 0 {
            return Ok(records);
        }
        let (mut generation, offset) = self.begin(after.0)?;
        let mut frames = self.open(generation, offset)?;
        while next < durable && records.len() < limit {
            let Some(at) = frames.next(generation).map_err(fault)? else {
                let follows = self.catalogue.after(generation);
                generation = follows.ok_or_else(|| fault("log ends before its last record"))?;
                frames = self.open(generation, 0)?;
                continue;
            };
            let header = frames.header;
            if header.first_position > next + 1 {
                return Err(fault(format!(
                    "log has a gap before {}",
                    header.first_position
                )));
            }
            if header.next_position() <= next + 1 {
                continue;
            }
            let frame = frame::decode(self.log, frames.bytes()).map_err(fault)?;
            frame
                .for_each::<FrameError>(|record| {
                    if record.position == next + 1 && records.len() < limit {
                        next = record.position;
                        records.push(record.logged());
                    }
                    Ok(())
                })
                .map_err(fault)?;
            // The batch itself while records of it are left, otherwise the place behind it.
            let done = header.next_position() == next + 1;
            self.remember(next, (generation, if done { frames.offset } else { at }));
        }
        Ok(records)
    }

    fn begin(&self, after: u64) -> Result<At, ReadFault> {
        let mut cursors = self.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = cursors.remove(&after) {
            return Ok(at);
        }
        drop(cursors);
        let located = self.catalogue.locate(after + 1).map_err(fault)?;
        let generation =
            located.ok_or_else(|| fault(format!("log does not reach back to {}", after + 1)))?;
        Ok((generation, 0))
    }

    fn remember(&self, after: u64, at: At) {
        let mut cursors = self.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        cursors.insert(after, at);
        if cursors.len() > CURSORS_MAX {
            // The one that is furthest behind is the likeliest to be abandoned.
            cursors.pop_first();
        }
    }

    fn open(&self, generation: u64, offset: u64) -> Result<Frames, ReadFault> {
        let file = self.catalogue.open(generation).map_err(fault)?;
        Ok(Frames {
            file,
            offset,
            chunk: Vec::new(),
            filled: 0,
            start: 0,
            length: 0,
            header: Header::EMPTY,
        })
    }
}

/// The batches of one segment.
struct Frames {
    file: Box<dyn DiskFile>,
    /// Behind the current batch, in the file.
    offset: u64,
    chunk: Vec<u8>,
    /// Bytes of the chunk that hold the file's.
    filled: usize,
    /// The current batch, in the chunk.
    start: usize,
    length: usize,
    header: Header,
}

impl Frames {
    /// Goes to the next batch and returns its offset; `None` at the end of the segment.
    fn next(&mut self, generation: u64) -> io::Result<Option<u64>> {
        let at = self.offset;
        self.start += self.length;
        self.length = 0;
        self.fill(HEADER_BYTES)?;
        let Ok(header) = Header::read(self.rest()) else {
            return Ok(None);
        };
        if header.generation != generation {
            return Ok(None);
        }
        self.fill(header.frame_length())?;
        self.header = header;
        self.length = header.frame_length();
        self.offset = at + u64::try_from(self.length).map_err(io::Error::other)?;
        Ok(Some(at))
    }

    fn rest(&self) -> &[u8] {
        self.chunk.get(self.start..self.filled).unwrap_or_default()
    }

    fn bytes(&self) -> &[u8] {
        let rest = self.rest();
        rest.get(..self.length).unwrap_or(rest)
    }

    /// Has at least `wanted` bytes of the next batch in the chunk, if the file has them.
    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        if self.rest().len() < wanted {
            let size = wanted.clamp(CHUNK_BYTES, FRAME_BYTES_MAX);
            if self.chunk.len() < size {
                self.chunk = vec![0; size];
            }
            self.filled = self.file.read_at(&mut self.chunk, self.offset)?;
            self.start = 0;
        }
        Ok(())
    }
}
