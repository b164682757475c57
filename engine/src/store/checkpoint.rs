//! How far the log has been applied and how much of that is durable in the state. Owns the
//! checkpoint file and the release of segments; must never release what a restart would read.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::committer::{Counters, Poison, count};
use super::disk::{self, Disk};
use super::frame::{CRC, LogId};
use super::recovery::Place;
use super::segment::{Catalogue, Retention};
use super::state::State;

/// Name of the checkpoint file.
pub(crate) const FILE: &str = "checkpoint";
const MAGIC: [u8; 8] = *b"TWCP\x01\0\0\0";
const LENGTH: usize = 60;

/// The checkpoint file's contents: place, log, checksum.
pub(crate) fn encode(log: LogId, place: Place) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&log);
    for field in [place.generation, place.offset, place.position, place.epoch] {
        bytes.extend_from_slice(&field.to_le_bytes());
    }
    bytes.extend_from_slice(&CRC.checksum(&bytes).to_le_bytes());
    bytes
}

/// Reads a checkpoint; `None` when the bytes are not one of this log.
pub(crate) fn decode(log: LogId, bytes: &[u8]) -> Option<Place> {
    let (covered, stored) = bytes.split_last_chunk::<4>()?;
    let fields = covered.strip_prefix(&MAGIC)?.strip_prefix(&log)?;
    if CRC.checksum(covered).to_le_bytes() != *stored || bytes.len() != LENGTH {
        return None;
    }
    let mut fields = fields
        .chunks_exact(8)
        .map(|field| field.try_into().map(u64::from_le_bytes));
    let mut next = || fields.next()?.ok();
    Some(Place {
        generation: next()?,
        offset: next()?,
        position: next()?,
        epoch: next()?,
    })
}

#[derive(Debug)]
struct Inner {
    place: Place,
    bytes: u64,
    closed: bool,
}

/// How far the log has been written, synced, and applied to the state.
#[derive(Debug)]
pub(crate) struct Progress {
    inner: Mutex<Inner>,
    changed: Condvar,
    bytes_per_checkpoint: u64,
}

impl Progress {
    pub(crate) fn new(place: Place, bytes_per_checkpoint: u64) -> Self {
        let inner = Inner {
            place,
            bytes: 0,
            closed: false,
        };
        Self {
            inner: Mutex::new(inner),
            changed: Condvar::new(),
            bytes_per_checkpoint,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The committer has come to `place` by writing `bytes`.
    pub(crate) fn advance(&self, place: Place, bytes: u64) {
        let mut inner = self.lock();
        inner.place = place;
        inner.bytes += bytes;
        if inner.bytes >= self.bytes_per_checkpoint {
            self.changed.notify_all();
        }
    }

    /// Everything before it is durable in the log and applied.
    pub(crate) fn place(&self) -> Place {
        self.lock().place
    }

    fn begin(&self) -> Place {
        let mut inner = self.lock();
        inner.bytes = 0;
        inner.place
    }

    /// Waits until enough was written or the time is over; false when closed.
    fn await_work(&self, every: Duration) -> bool {
        let inner = self.lock();
        let idle = |inner: &mut Inner| !inner.closed && inner.bytes < self.bytes_per_checkpoint;
        let (inner, _) = self
            .changed
            .wait_timeout_while(inner, every, idle)
            .unwrap_or_else(PoisonError::into_inner);
        !inner.closed
    }

    /// Ends the thread that waits for work.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

/// Why a checkpoint was not taken.
#[derive(Debug)]
pub(crate) enum CheckpointTrouble {
    /// The state cannot be made durable; the store must end.
    Fatal(String),
    /// The disk is full: the log still holds everything, another attempt starts anew.
    Later(io::Error),
}

/// Takes checkpoints.
pub(crate) struct Checkpointer {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) log: LogId,
    pub(crate) state: Arc<dyn State>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) retention: Retention,
    /// The last durable checkpoint, if there is one.
    pub(crate) last: Option<Place>,
}

impl Checkpointer {
    /// Makes durable what has been applied, says so in the checkpoint file, and releases segments.
    pub(crate) fn take(&mut self) -> Result<(), CheckpointTrouble> {
        // Read before the flush: what is applied during the flush may or may not be in it.
        let place = self.progress.begin();
        if self.last == Some(place) {
            return Ok(());
        }
        count(&self.counters.checkpoint_phase, 1);
        let outcome = self.take_at(place);
        count(&self.counters.checkpoint_phase, 1);
        outcome
    }

    fn take_at(&mut self, place: Place) -> Result<(), CheckpointTrouble> {
        self.state.flush().map_err(CheckpointTrouble::Fatal)?;
        disk::replace(self.disk.as_ref(), FILE, &encode(self.log, place)).map_err(trouble)?;
        self.last = Some(place);
        count(&self.counters.checkpoints, 1);
        self.catalogue
            .retire(place.generation, self.retention)
            .map_err(trouble)?;
        Ok(())
    }

    /// Takes checkpoints until the progress is closed; the body of a thread.
    pub(crate) fn attend(&mut self, every: Duration, poison: &Poison) {
        while self.progress.await_work(every) {
            match self.take() {
                Ok(()) => {}
                Err(CheckpointTrouble::Later(error)) => {
                    tracing::warn!(%error, "checkpoint is put off");
                }
                Err(CheckpointTrouble::Fatal(reason)) => return poison.spread(reason),
            }
        }
    }
}

fn trouble(error: io::Error) -> CheckpointTrouble {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            CheckpointTrouble::Later(error)
        }
        _ => CheckpointTrouble::Fatal(format!("checkpoint failed: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_survive_the_round_trip_and_no_flipped_bit() {
        let place = Place {
            generation: 1,
            offset: 2,
            position: 3,
            epoch: 4,
        };
        let mut bytes = encode([7; 16], place);
        assert_eq!(decode([7; 16], &bytes), Some(place));
        assert_eq!(decode([8; 16], &bytes), None, "another log's checkpoint");
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode([7; 16], &bytes), None, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for length in 0..bytes.len() {
            assert_eq!(decode([7; 16], &bytes[..length]), None, "length {length}");
        }
    }
}
