//! The one segment that is prepared ahead of need, and whether the disk has room for more work. Must
//! never hand out a segment whose name is not durable.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{LOG, RECYCLED, UNFINISHED, name, path};
use crate::store::disk::{Disk, DiskFile};

/// How long a failed preparation waits before the next (arbitrary, bounded): the time for which new
/// work is refused at least.
const RETRY: Duration = Duration::from_secs(1);

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
