//! The end of the log: discards a torn tail, begins an epoch, appends batches, and moves on to the
//! next segment. Owns the file that is written; must never decide what is written or who may.

use std::io;
use std::sync::Arc;

use super::OpenError;
use super::disk::{Disk, DiskFile};
use super::frame::{FRAME_BYTES_MAX, FrameWriter, HEADER_BYTES, LogId};
use super::recovery::{Place, Recovered, SegmentFile};
use super::segment::{self, Catalogue, Spare, SpareLimits, Spares};

/// The end of the log, open for appending.
pub(crate) struct LogEnd {
    log: LogId,
    file: Box<dyn DiskFile>,
    length: u64,
    place: Place,
    catalogue: Arc<Catalogue>,
    spares: Arc<Spares>,
}

/// Everything that opening the end of the log yields.
pub(crate) struct Opened {
    pub(crate) end: LogEnd,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) spares: Arc<Spares>,
}

/// What opening needs to know.
pub(crate) struct Opening {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) log: LogId,
    pub(crate) limits: SpareLimits,
    /// Generations in the archive, ascending.
    pub(crate) archived: Vec<u64>,
    /// Generations in the log's directory, ascending.
    pub(crate) live: Vec<u64>,
    /// Where reading began; what follows in that segment is written again.
    pub(crate) read_from: Place,
}

impl Opening {
    /// Makes what was read durable, discards what follows it, and begins the next epoch.
    ///
    /// # Errors
    /// [`OpenError::Io`]; nothing that stood before is lost by then.
    pub(crate) fn open(self, recovered: Option<&Recovered>) -> Result<Opened, OpenError> {
        match recovered {
            Some(recovered) => self.resume(recovered),
            None => self.begin(),
        }
    }

    fn begin(self) -> Result<Opened, OpenError> {
        let catalogue = Arc::new(Catalogue::new(Arc::clone(&self.disk), &[], &[]));
        // Left by a first start that did not get further.
        let left = self.live.iter().map(|generation| SegmentFile {
            generation: *generation,
            directory: segment::LOG,
        });
        let spare = self.keep_one(left)?;
        let next = self.live.last().map_or(1, |last| last + 1);
        let spares = Arc::new(Spares::new(
            Arc::clone(&self.disk),
            self.limits,
            next,
            spare,
        ));
        if !spares.await_ready() {
            return Err(OpenError::NoSpace);
        }
        let spare = spares.take().ok_or(OpenError::NoSpace)?;
        catalogue.add(spare.generation, 1);
        let place = Place {
            generation: spare.generation,
            offset: 0,
            position: 0,
            epoch: 1,
        };
        let (file, length) = (spare.file, spare.length);
        finish(LogEnd {
            log: self.log,
            file,
            length,
            place,
            catalogue,
            spares,
        })
    }

    fn resume(self, recovered: &Recovered) -> Result<Opened, OpenError> {
        let end = recovered.end;
        let mut unused = recovered.rest.iter().copied();
        let tail = unused
            .next()
            .ok_or_else(|| OpenError::missing(end.generation))?;
        if tail.directory == segment::ARCHIVE {
            self.bring_back(tail.generation)?;
        }
        let path = segment::path(segment::LOG, tail.generation);
        let file = self
            .disk
            .open(&path)
            .map_err(|error| OpenError::io(&path, &error))?;
        let length = file
            .length()
            .map_err(|error| OpenError::io(&path, &error))?;
        self.settle(file.as_ref(), end)
            .map_err(|error| OpenError::io(&path, &error))?;

        let spare = self.keep_one(unused)?;
        let next = recovered
            .rest
            .last()
            .map_or(end.generation, |last| last.generation)
            + 1;
        let used = |generation: &u64| *generation <= end.generation;
        let live: Vec<u64> = self.live.iter().copied().filter(used).collect();
        let catalogue = Arc::new(Catalogue::new(
            Arc::clone(&self.disk),
            &self.archived,
            &live,
        ));
        let spares = Arc::new(Spares::new(
            Arc::clone(&self.disk),
            self.limits,
            next,
            spare,
        ));
        let place = Place {
            epoch: end.epoch + 1,
            ..end
        };
        finish(LogEnd {
            log: self.log,
            file,
            length,
            place,
            catalogue,
            spares,
        })
    }

    // The archive holds the end of the log only when somebody has put it together by hand.
    fn bring_back(&self, generation: u64) -> Result<(), OpenError> {
        let (from, to) = (
            segment::path(segment::ARCHIVE, generation),
            segment::path(segment::LOG, generation),
        );
        self.disk
            .rename(&from, &to)
            .and_then(|()| self.disk.sync_directory(segment::LOG))
            .and_then(|()| self.disk.sync_directory(segment::ARCHIVE))
            .map_err(|error| OpenError::io(&from, &error))
    }

    /// Makes the batches that were read durable and discards what follows.
    fn settle(&self, file: &dyn DiskFile, end: Place) -> io::Result<()> {
        let mut start = 0;
        if self.read_from.generation == end.generation {
            start = self.read_from.offset;
        }
        // Reading may have seen what a failed sync has left in memory only and marked clean: a sync
        // alone would not bring it to the disk, writing it again does.
        let count = usize::try_from(end.offset - start).map_err(io::Error::other)?;
        let mut standing = vec![0; count];
        if file.read_at(&mut standing, start)? != count {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if count > 0 {
            file.write_at(&standing, start)?;
        }
        discard(file, end.offset)?;
        file.sync()
    }

    // One is enough; a second is left by a start that had another length.
    fn keep_one(
        &self,
        unused: impl Iterator<Item = SegmentFile>,
    ) -> Result<Option<Spare>, OpenError> {
        let mut kept: Option<Spare> = None;
        for segment in unused {
            match (&kept, self.spare(segment)?) {
                (None, found) => kept = found,
                (Some(_), Some(second)) => self.remove(second.generation)?,
                (Some(_), None) => {}
            }
        }
        Ok(kept)
    }

    /// A segment behind the end as a spare, unless it has another length, then it is removed.
    fn spare(&self, segment: SegmentFile) -> Result<Option<Spare>, OpenError> {
        let path = segment.path();
        let failed = |error: io::Error| OpenError::io(&path, &error);
        let file = self.disk.open(&path).map_err(failed)?;
        let length = file.length().map_err(failed)?;
        if length != self.limits.segment_bytes || segment.directory != segment::LOG {
            drop(file);
            self.disk.remove(&path).map_err(failed)?;
            return Ok(None);
        }
        discard(file.as_ref(), 0)
            .and_then(|()| file.sync())
            .map_err(failed)?;
        Ok(Some(Spare {
            generation: segment.generation,
            file,
            length,
            // By the run that has left it, most likely.
            written: length,
        }))
    }

    fn remove(&self, generation: u64) -> Result<(), OpenError> {
        let path = segment::path(segment::LOG, generation);
        self.disk
            .remove(&path)
            .map_err(|error| OpenError::io(&path, &error))
    }
}

fn finish(mut end: LogEnd) -> Result<Opened, OpenError> {
    end.begin_epoch()?;
    let (catalogue, spares) = (Arc::clone(&end.catalogue), Arc::clone(&end.spares));
    Ok(Opened {
        end,
        catalogue,
        spares,
    })
}

/// Zeroes what one torn batch may have left behind `offset`. Nothing else can be there: the next
/// batch is written only after the sync of the last.
fn discard(file: &dyn DiskFile, offset: u64) -> io::Result<()> {
    let mut window = vec![0; FRAME_BYTES_MAX];
    let count = file.read_at(&mut window, offset)?;
    window.truncate(count);
    if window.iter().any(|byte| *byte != 0) {
        window.fill(0);
        file.write_at(&window, offset)?;
    }
    Ok(())
}

impl LogEnd {
    /// Where the next batch goes.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Bytes that are left in the segment.
    pub(crate) fn remaining(&self) -> u64 {
        self.length.saturating_sub(self.place.offset)
    }

    /// The spare segment.
    pub(crate) fn spares(&self) -> &Spares {
        &self.spares
    }

    fn begin_epoch(&mut self) -> Result<(), OpenError> {
        let header = u64::try_from(HEADER_BYTES).unwrap_or(u64::MAX);
        if self.remaining() < header && !(self.spares.await_ready() && self.roll()) {
            return Err(OpenError::NoSpace);
        }
        let path = segment::path(segment::LOG, self.place.generation);
        self.append(&mut FrameWriter::new())
            .map(|_| ())
            .map_err(|error| OpenError::io(&path, &error))
    }

    /// Goes on to the spare segment; false when none is ready.
    pub(crate) fn roll(&mut self) -> bool {
        let Some(spare) = self.spares.take() else {
            return false;
        };
        self.file = spare.file;
        self.length = spare.length;
        self.place.generation = spare.generation;
        self.place.offset = 0;
        self.catalogue
            .add(spare.generation, self.place.position + 1);
        true
    }

    /// Says behind the last batch that it was synced: an empty batch, which the next one overwrites.
    /// Damage to the last batch is then told from a torn one, which nothing follows. Not synced: it
    /// promises nothing, and a kill leaves it in place.
    ///
    /// # Errors
    /// After one the log must not be used any more.
    pub(crate) fn mark_end(&mut self, empty: &mut FrameWriter) -> io::Result<()> {
        let place = self.place;
        empty.clear();
        let bytes = empty.finish(self.log, place.epoch, place.generation, place.position + 1);
        if u64::try_from(bytes.len()).is_ok_and(|length| length <= self.remaining()) {
            self.file.write_at(bytes, place.offset)?;
        }
        Ok(())
    }

    /// Writes a batch, which fits into the segment, and syncs it: one write, one sync. Returns its
    /// length.
    ///
    /// # Errors
    /// After one the log must not be used any more, and the sync must not be repeated.
    pub(crate) fn append(&mut self, batch: &mut FrameWriter) -> io::Result<u64> {
        let Place {
            generation,
            offset,
            position,
            epoch,
        } = self.place;
        let records = u64::from(batch.record_count());
        let bytes = batch.finish(self.log, epoch, generation, position + 1);
        let length = u64::try_from(bytes.len()).map_err(io::Error::other)?;
        if length > self.length.saturating_sub(offset) {
            return Err(io::Error::other("batch does not fit into its segment"));
        }
        self.file.write_at(bytes, offset)?;
        self.file.sync()?;
        self.place.offset = offset + length;
        self.place.position = position + records;
        Ok(length)
    }
}
