//! How fast work goes that nobody waits for: a share of the time, so that what somebody does wait for
//! always finds a processor, and the disk. Never a lower priority: a thread that is seldom let on
//! makes everybody wait for whatever lock it holds.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What background work asks between two steps, and may have to wait for: whether it is to end.
pub type Pause<'a> = &'a dyn Fn() -> bool;

/// Rest for each time that was worked: a fifth of a core at most, half of it on a busy machine, where
/// a step takes longer.
const REST: u32 = 4;
/// Work before which there is no rest: a thread that wakes up more often costs others more than it
/// leaves them.
const STEP: Duration = Duration::from_millis(1);
/// Longest rest, whatever held a step up.
const REST_MAX: Duration = Duration::from_secs(1);

/// The pace of one thread.
pub(crate) struct Pace<'a> {
    stops: &'a AtomicBool,
    /// When it last began to work.
    resumed: Cell<Instant>,
}

impl<'a> Pace<'a> {
    /// Work that begins now; `stops` tells it to end, together with an unpark.
    pub(crate) fn begin(stops: &'a AtomicBool) -> Self {
        Self {
            stops,
            resumed: Cell::new(Instant::now()),
        }
    }

    /// Rests, the longer the longer it has worked; whether it is to end.
    pub(crate) fn pause(&self) -> bool {
        let worked = self.resumed.get().elapsed();
        if worked >= STEP {
            let end = Instant::now() + (worked * REST).min(REST_MAX);
            while !self.is_stopped() {
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                // May return early.
                thread::park_timeout(left);
            }
            self.resumed.set(Instant::now());
        }
        self.is_stopped()
    }

    fn is_stopped(&self) -> bool {
        self.stops.load(Ordering::Relaxed)
    }
}
