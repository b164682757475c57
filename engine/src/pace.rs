//! How fast work goes that nobody waits for: a share of the time, so that what somebody does wait for
//! always finds a processor, and the disk. Never a lower priority: a thread that is seldom let on
//! makes everybody wait for whatever lock it holds.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::clock::SharedClock;
use crate::domain::time::Timestamp;

/// What background work asks between two steps, and may have to wait for: whether it is to end.
pub type Pause<'a> = &'a dyn Fn() -> bool;

/// Rest for each time that was worked: a fifth of a core at most, less on a busy machine, where a step
/// takes longer.
const REST: u64 = 4;
/// Longest rest, whatever held a step up.
const REST_MS_MAX: u64 = 1_000;

/// The pace of one thread.
pub(crate) struct Pace<'a> {
    clock: &'a SharedClock,
    stops: &'a AtomicBool,
    /// When it last began to work.
    resumed: Cell<Timestamp>,
}

impl<'a> Pace<'a> {
    /// Work that begins now; `stops` tells it to end, together with an unpark.
    pub(crate) fn begin(clock: &'a SharedClock, stops: &'a AtomicBool) -> Self {
        Self {
            clock,
            stops,
            resumed: Cell::new(clock.now()),
        }
    }

    /// Rests, the longer the longer it has worked; whether it is to end. Work of less than a
    /// millisecond adds up: a thread that wakes up more often costs others more than it leaves them.
    pub(crate) fn pause(&self) -> bool {
        let now = self.clock.now();
        let end = now.plus_ms(rest_ms(now.since_ms(self.resumed.get())));
        if end > now {
            while !self.is_stopped() && self.clock.now() < end {
                // May return early.
                thread::park_timeout(Duration::from_millis(end.since_ms(self.clock.now())));
            }
            self.resumed.set(self.clock.now());
        }
        self.is_stopped()
    }

    fn is_stopped(&self) -> bool {
        self.stops.load(Ordering::Relaxed)
    }
}

fn rest_ms(worked_ms: u64) -> u64 {
    worked_ms.saturating_mul(REST).min(REST_MS_MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::Clock;

    /// Each look is an hour later.
    #[derive(Debug, Default)]
    struct Hours(std::sync::atomic::AtomicI64);

    impl Clock for Hours {
        fn now(&self) -> Timestamp {
            Timestamp(self.0.fetch_add(3_600_000, Ordering::Relaxed))
        }
    }

    #[test]
    fn who_is_stopped_hears_of_it_after_any_step() {
        let clock: SharedClock = Arc::new(Hours::default());
        let stops = AtomicBool::new(false);
        let pace = Pace::begin(&clock, &stops);
        assert!(!pace.pause());
        stops.store(true, Ordering::Relaxed);
        assert!(pace.pause());
    }

    #[test]
    fn whatever_held_a_step_up_the_rest_is_bounded() {
        assert_eq!(rest_ms(0), 0);
        assert_eq!(rest_ms(3), 12);
        assert_eq!(rest_ms(60_000), 1_000);
        assert_eq!(rest_ms(u64::MAX / 8), 1_000);
    }
}
