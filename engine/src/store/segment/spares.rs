//! The one segment that is prepared ahead of need, and whether the disk has room for more work. Must
//! never hand out a segment whose name is not durable, nor write to one that was handed out.
//!
//! A spare is ready as soon as its room is reserved. Zeros are then written into it piece by piece:
//! they promise nothing, but where they are a sync has no metadata to write, and takes 0.09 instead
//! of 0.16 ms (0.17 instead of 0.76 ms at 220 KB; measured 2026-11-21). A log that needs the segment
//! sooner takes it as far as it is.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{LOG, RECYCLED, UNFINISHED, name, path};
use crate::store::disk::{Disk, DiskFile};

/// How long a failed preparation waits before the next (arbitrary, bounded): the time for which new
/// work is refused at least.
const RETRY: Duration = Duration::from_secs(1);
/// How much of a spare is zeroed and synced at a time: what a commit's sync may have to wait for on
/// the device, and who takes the spare for its return (0.3 to 1.5 ms, measured 2026-11-21).
const PIECE_BYTES: usize = 512 * 1024;
/// From one piece to the next: a spare of 64 MiB is zeroed in 1.5 s, on a fifth of a core at most. At
/// once it took a core for 200 ms, and the sales of that time waited for it (measured 2026-11-21).
const PIECE_EVERY: Duration = Duration::from_millis(10);

/// An empty segment that is ready to be written.
pub(crate) struct Spare {
    pub(crate) generation: u64,
    pub(crate) file: Box<dyn DiskFile>,
    pub(crate) length: u64,
    /// How far something was written to it before: behind that there is only reserved room.
    pub(crate) written: u64,
}

enum Readiness {
    /// Somebody is or will be preparing one.
    Wanted,
    Ready(Spare),
    /// Ready, but a piece of it is being zeroed.
    Lent,
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
                Readiness::Ready(_) | Readiness::Lent => return true,
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

    /// Takes the spare, if one is ready, and asks for the next. Waits for a piece that is being
    /// zeroed.
    pub(crate) fn take(&self) -> Option<Spare> {
        let is_lent = |state: &mut SpareState| matches!(state.readiness, Readiness::Lent);
        let state = self.changed.wait_while(self.lock(), is_lent);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
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
            if matches!(state.readiness, Readiness::Ready(_) | Readiness::Lent) {
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
        let (file, written) = match self.claim_recycled(&unfinished)? {
            Some(file) => (file, length),
            None => self.allocate(&unfinished)?,
        };
        self.disk.rename(&unfinished, &path(LOG, generation))?;
        self.disk.sync_directory(LOG)?;
        Ok(Spare {
            generation,
            file,
            length,
            written,
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

    /// A new file, and how far it is written.
    fn allocate(&self, unfinished: &str) -> io::Result<(Box<dyn DiskFile>, u64)> {
        let file = self.disk.create(unfinished)?;
        match self.reserve(file.as_ref()) {
            Ok(written) => Ok((file, written)),
            Err(error) => {
                // Gives back the part that it got; if even that fails, the next start does.
                drop(self.disk.remove(unfinished));
                Err(error)
            }
        }
    }

    /// Reserves the room of a new file; returns how far it is written.
    fn reserve(&self, file: &dyn DiskFile) -> io::Result<u64> {
        let length = self.limits.segment_bytes;
        // Reserving first makes a full disk fail at once. Not every file system can; there only what
        // is written is reserved. And nobody waits for who prepares a segment when it needs it.
        if file.reserve(length)? && self.lock().attended {
            file.sync()?;
            return Ok(0);
        }
        let mut written = 0;
        while written < length {
            written = zero_piece(file, written, length)?;
        }
        Ok(written)
    }

    /// Zeroes the next piece of the spare, unless it was taken.
    fn zero(&self) {
        let mut state = self.lock();
        let mut spare = match std::mem::replace(&mut state.readiness, Readiness::Lent) {
            Readiness::Ready(spare) => spare,
            other => {
                state.readiness = other;
                return;
            }
        };
        drop(state);
        let outcome = zero_piece(spare.file.as_ref(), spare.written, spare.length);
        let mut state = self.lock();
        state.readiness = match outcome {
            Ok(written) => {
                spare.written = written;
                Readiness::Ready(spare)
            }
            Err(error) => {
                let generation = spare.generation;
                tracing::warn!(%error, generation, "the next log segment cannot be written");
                drop(self.disk.remove(&path(LOG, generation)));
                state.next_generation = generation;
                Readiness::Failed
            }
        };
        self.changed.notify_all();
    }

    /// Takes over the preparing; whoever needs a spare waits from now on.
    pub(crate) fn begin_attending(&self) {
        self.lock().attended = true;
    }

    /// Prepares spares until [`Spares::close`]; the body of a thread.
    pub(crate) fn attend(&self) {
        while let Some(need) = self.need() {
            match need {
                Need::Spare => self.replenish(),
                Need::Zeros => {
                    self.zero();
                    self.rest(PIECE_EVERY);
                }
                Need::Nothing => {
                    self.rest(RETRY);
                    // Also after success: the free space is looked at again from time to time.
                    self.replenish();
                }
            }
        }
    }

    /// What is to be done next; `None` when it is closed.
    fn need(&self) -> Option<Need> {
        let state = self.lock();
        if state.closed {
            return None;
        }
        Some(match &state.readiness {
            Readiness::Wanted => Need::Spare,
            Readiness::Ready(spare) if spare.written < spare.length => Need::Zeros,
            _ => Need::Nothing,
        })
    }

    /// Waits so long, unless a spare is wanted before.
    fn rest(&self, time: Duration) {
        let rests =
            |state: &mut SpareState| !state.closed && !matches!(state.readiness, Readiness::Wanted);
        drop(self.changed.wait_timeout_while(self.lock(), time, rests));
    }

    /// Ends [`Spares::attend`] and everybody who waits.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

/// What the thread that attends to spares does next.
enum Need {
    /// To prepare one.
    Spare,
    /// To zero more of the one that is ready.
    Zeros,
    Nothing,
}

/// Zeroes and syncs the piece at `from`; returns where it ends.
fn zero_piece(file: &dyn DiskFile, from: u64, length: u64) -> io::Result<u64> {
    static ZEROS: [u8; PIECE_BYTES] = [0; PIECE_BYTES];
    let left = usize::try_from(length.saturating_sub(from)).unwrap_or(usize::MAX);
    let piece = ZEROS.get(..left).unwrap_or(&ZEROS);
    file.write_at(piece, from)?;
    file.sync()?;
    Ok(from + u64::try_from(piece.len()).unwrap_or(u64::MAX))
}
