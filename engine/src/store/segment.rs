//! The segments of the log: their names, which of them exist and where, and the spare one that is
//! prepared ahead of need. Must never read or write a batch.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::disk::{Disk, DiskFile};
use super::frame::{HEADER_BYTES, Header};

/// Directory of the segments that are written or not yet covered by a checkpoint.
pub(crate) const LOG: &str = "log";
/// Directory of the segments that the checkpoint covers.
pub(crate) const ARCHIVE: &str = "archive";
/// No segment may be longer: recovery reads one at a time into memory.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

const EXTENSION: &str = ".log";
const UNFINISHED: &str = ".tmp";
const RECYCLED: &str = "recycled.free";
/// How long a failed preparation waits before the next (arbitrary, bounded): the time for which new
/// work is refused at least.
const RETRY: Duration = Duration::from_secs(1);

/// The file name of a segment.
pub(crate) fn name(generation: u64) -> String {
    format!("{generation:016x}{EXTENSION}")
}

/// The path of a segment in one of the two directories.
pub(crate) fn path(directory: &str, generation: u64) -> String {
    format!("{directory}/{}", name(generation))
}

fn generation_of(name: &str) -> Option<u64> {
    let digits = name
        .strip_suffix(EXTENSION)
        .filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

/// The generations of the segments in a directory, ascending.
pub(crate) fn generations(disk: &dyn Disk, directory: &str) -> io::Result<Vec<u64>> {
    let names = disk.list(directory)?;
    let mut generations: Vec<u64> = names
        .iter()
        .filter_map(|name| generation_of(name))
        .collect();
    generations.sort_unstable();
    Ok(generations)
}

/// Removes files whose preparation a crash has cut short.
pub(crate) fn remove_unfinished(disk: &dyn Disk) -> io::Result<()> {
    for name in disk
        .list(LOG)?
        .iter()
        .filter(|name| name.ends_with(UNFINISHED))
    {
        disk.remove(&format!("{LOG}/{name}"))?;
    }
    Ok(())
}

/// What happens to a segment that the checkpoint covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// It is moved to `archive/` and stays: the audit trail, and what a lost state is rebuilt from.
    Archive,
    /// Its file is used again. The state cannot be rebuilt, and followers must keep up.
    Recycle,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    generation: u64,
    archived: bool,
    /// Position of its first record, once somebody asked.
    first_position: Option<u64>,
}

/// Which segments hold the log. Shared by the committer, which adds, the checkpoint, which retires,
/// and followers, which look up.
pub(crate) struct Catalogue {
    disk: Arc<dyn Disk>,
    /// Ascending by generation.
    known: Mutex<Vec<Known>>,
}

impl Catalogue {
    /// The segments of `archived` and, later, of `live`, each ascending.
    pub(crate) fn new(disk: Arc<dyn Disk>, archived: &[u64], live: &[u64]) -> Self {
        let known = |generation: &u64, archived| Known {
            generation: *generation,
            archived,
            first_position: None,
        };
        let mut all: Vec<Known> = live
            .iter()
            .map(|generation| known(generation, false))
            .collect();
        // A copy taken while a segment moved may hold it twice: the same bytes, the live one wins.
        all.extend(
            archived
                .iter()
                .filter(|one| !live.contains(one))
                .map(|one| known(one, true)),
        );
        all.sort_unstable_by_key(|known| known.generation);
        Self {
            disk,
            known: Mutex::new(all),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The committer writes into `generation` from now on.
    pub(crate) fn add(&self, generation: u64, first_position: u64) {
        let first_position = Some(first_position);
        self.lock().push(Known {
            generation,
            archived: false,
            first_position,
        });
    }

    /// The segment after `generation`.
    pub(crate) fn after(&self, generation: u64) -> Option<u64> {
        let known = self.lock();
        let index = known.partition_point(|known| known.generation <= generation);
        known.get(index).map(|known| known.generation)
    }

    /// Opens a segment for reading, wherever it is.
    pub(crate) fn open(&self, generation: u64) -> io::Result<Box<dyn DiskFile>> {
        let directories = [LOG, ARCHIVE, LOG];
        let mut outcome = Err(io::Error::from(io::ErrorKind::NotFound));
        // It may move from one to the other between the attempts, but not back.
        for directory in directories {
            outcome = self.disk.open_read_only(&path(directory, generation));
            match &outcome {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                _ => break,
            }
        }
        outcome
    }

    /// The last segment whose records begin at `position` or before; `None` when the log does not
    /// reach back that far.
    pub(crate) fn locate(&self, position: u64) -> io::Result<Option<u64>> {
        let generations: Vec<u64> = self.lock().iter().map(|known| known.generation).collect();
        let (mut low, mut high) = (0, generations.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let Some(generation) = generations.get(middle) else {
                break;
            };
            if self.first_position(*generation)? <= position {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low
            .checked_sub(1)
            .and_then(|index| generations.get(index).copied()))
    }

    fn first_position(&self, generation: u64) -> io::Result<u64> {
        let known = self
            .lock()
            .iter()
            .find(|known| known.generation == generation)
            .copied();
        if let Some(Known {
            first_position: Some(position),
            ..
        }) = known
        {
            return Ok(position);
        }
        let mut header = [0; HEADER_BYTES];
        self.open(generation)?.read_at(&mut header, 0)?;
        let header = Header::read(&header).map_err(io::Error::other)?;
        let mut all = self.lock();
        if let Some(known) = all.iter_mut().find(|known| known.generation == generation) {
            known.first_position = Some(header.first_position);
        }
        Ok(header.first_position)
    }

    /// Releases the segments before `generation`, which a durable checkpoint covers. Returns how
    /// many were released.
    pub(crate) fn retire(&self, generation: u64, retention: Retention) -> io::Result<usize> {
        let old: Vec<Known> = {
            let known = self.lock();
            let old = known
                .iter()
                .filter(|known| known.generation < generation && !known.archived);
            old.copied().collect()
        };
        for segment in &old {
            let live = path(LOG, segment.generation);
            match retention {
                Retention::Archive => {
                    self.disk
                        .rename(&live, &path(ARCHIVE, segment.generation))?;
                }
                // One waits; a second would only replace it.
                Retention::Recycle => self.disk.rename(&live, &format!("{LOG}/{RECYCLED}"))?,
            }
            let mut known = self.lock();
            match retention {
                Retention::Archive => {
                    let moved = known
                        .iter_mut()
                        .find(|one| one.generation == segment.generation);
                    if let Some(moved) = moved {
                        moved.archived = true;
                    }
                }
                Retention::Recycle => known.retain(|one| one.generation != segment.generation),
            }
        }
        if !old.is_empty() {
            self.disk.sync_directory(ARCHIVE)?;
            self.disk.sync_directory(LOG)?;
        }
        Ok(old.len())
    }
}

/// An empty segment that is ready to be written.
pub(crate) struct Spare {
    pub(crate) generation: u64,
    pub(crate) file: Box<dyn DiskFile>,
    pub(crate) length: u64,
}

enum Readiness {
    /// Somebody is or will be preparing one.
    Wanted,
    Ready(Spare),
    /// Preparing one failed; it is tried again.
    Failed,
}

struct SpareState {
    readiness: Readiness,
    next_generation: u64,
    low_space: bool,
    closed: bool,
    /// Whether a thread prepares spares; otherwise whoever waits for one does it.
    attended: bool,
}

/// What preparing a segment needs to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpareLimits {
    /// Length of a segment.
    pub(crate) segment_bytes: u64,
    /// Below this much free space the disk counts as full for new work.
    pub(crate) free_bytes_min: u64,
}

/// The one segment that is prepared ahead, and whether the disk has room for more work.
pub(crate) struct Spares {
    disk: Arc<dyn Disk>,
    limits: SpareLimits,
    state: Mutex<SpareState>,
    changed: Condvar,
    /// Held by who prepares one.
    turn: Mutex<()>,
}

impl Spares {
    /// Spares from `next_generation` on; `first` is one that an earlier run has left.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        limits: SpareLimits,
        next_generation: u64,
        first: Option<Spare>,
    ) -> Self {
        let state = SpareState {
            readiness: first.map_or(Readiness::Wanted, Readiness::Ready),
            next_generation,
            low_space: false,
            closed: false,
            attended: false,
        };
        Self {
            disk,
            limits,
            state: Mutex::new(state),
            changed: Condvar::new(),
            turn: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, SpareState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the disk is too full for new work, whatever the log has reserved.
    pub(crate) fn is_exhausted(&self) -> bool {
        let state = self.lock();
        state.low_space || matches!(state.readiness, Readiness::Failed)
    }

    /// Waits until a spare is ready (true) or preparing one has failed.
    pub(crate) fn await_ready(&self) -> bool {
        let mut state = self.lock();
        loop {
            match state.readiness {
                Readiness::Ready(_) => return true,
                Readiness::Failed => return false,
                Readiness::Wanted if state.closed => return false,
                Readiness::Wanted if !state.attended => {
                    drop(state);
                    self.replenish();
                    state = self.lock();
                }
                Readiness::Wanted => {
                    state = self
                        .changed
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Takes the spare, if one is ready, and asks for the next.
    pub(crate) fn take(&self) -> Option<Spare> {
        let mut state = self.lock();
        match std::mem::replace(&mut state.readiness, Readiness::Wanted) {
            Readiness::Ready(spare) => {
                self.changed.notify_all();
                Some(spare)
            }
            other => {
                state.readiness = other;
                None
            }
        }
    }

    /// Looks at the free space, and prepares a spare unless one is ready.
    pub(crate) fn replenish(&self) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // When the file system does not say, preparing the next segment will.
        let free = self.disk.free_bytes().unwrap_or(u64::MAX);
        let generation = {
            let mut state = self.lock();
            state.low_space = free < self.limits.free_bytes_min;
            if matches!(state.readiness, Readiness::Ready(_)) {
                return;
            }
            state.next_generation
        };
        let outcome = self.prepare(generation);
        let mut state = self.lock();
        state.readiness = match outcome {
            Ok(spare) => {
                state.next_generation = generation + 1;
                Readiness::Ready(spare)
            }
            Err(error) => {
                tracing::warn!(%error, generation, "no space for the next log segment");
                Readiness::Failed
            }
        };
        self.changed.notify_all();
    }

    fn prepare(&self, generation: u64) -> io::Result<Spare> {
        let length = self.limits.segment_bytes;
        let unfinished = format!("{LOG}/{}{UNFINISHED}", name(generation));
        let file = match self.claim_recycled(&unfinished)? {
            Some(file) => file,
            None => self.allocate(&unfinished)?,
        };
        self.disk.rename(&unfinished, &path(LOG, generation))?;
        self.disk.sync_directory(LOG)?;
        Ok(Spare {
            generation,
            file,
            length,
        })
    }

    /// A file that was used before, under its new name. Its old batches have a lower generation and
    /// are not taken for new ones.
    fn claim_recycled(&self, claimed: &str) -> io::Result<Option<Box<dyn DiskFile>>> {
        // Renamed before it is opened: a checkpoint may put another file under the old name at any
        // time, and what is opened must be what gets the name of a segment.
        match self.disk.rename(&format!("{LOG}/{RECYCLED}"), claimed) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            outcome => outcome?,
        }
        let file = self.disk.open(claimed)?;
        Ok((file.length()? == self.limits.segment_bytes).then_some(file))
    }

    fn allocate(&self, unfinished: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = self.disk.create(unfinished)?;
        if let Err(error) = file
            .allocate(self.limits.segment_bytes)
            .and_then(|()| file.sync())
        {
            // Gives back the part that it got; if even that fails, the next start does.
            drop(self.disk.remove(unfinished));
            return Err(error);
        }
        Ok(file)
    }

    /// Takes over the preparing; whoever needs a spare waits from now on.
    pub(crate) fn begin_attending(&self) {
        self.lock().attended = true;
    }

    /// Prepares spares until [`Spares::close`]; the body of a thread.
    pub(crate) fn attend(&self) {
        loop {
            let wanted = {
                let state = self.lock();
                if state.closed {
                    return;
                }
                matches!(state.readiness, Readiness::Wanted)
            };
            if !wanted {
                // Also after success: the free space is looked at again from time to time.
                let state = self.lock();
                if !state.closed && !matches!(state.readiness, Readiness::Wanted) {
                    drop(self.changed.wait_timeout(state, RETRY));
                }
            }
            if !self.lock().closed {
                self.replenish();
            }
        }
    }

    /// Ends [`Spares::attend`] and everybody who waits.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_generations_correspond() {
        for generation in [0, 1, 0xabc, u64::MAX] {
            assert_eq!(generation_of(&name(generation)), Some(generation));
        }
        for foreign in [
            "1.log",
            "x",
            "0000000000000001.log.tmp",
            "000000000000000g.log",
            ".log",
        ] {
            assert_eq!(generation_of(foreign), None, "{foreign}");
        }
    }
}
