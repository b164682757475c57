//! Lets tills in one after the other. When all of them come back at once, what they cost (upgrade,
//! signature, reconciliation) must not starve the sales that are in progress.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Tills let in each second, by processor. A till costs the engine about 0.2 ms of a processor until
/// it is welcome, so that a storm takes a fifth of the machine: 10,000 tills in 5 s on two.
const PER_SECOND_AND_PROCESSOR: u32 = 1_000;
/// Tills let in at once when few came before.
const BURST: u32 = 32;
/// The longest wait. Beyond it the till is better told to come back: it gives a handshake up after
/// ten seconds.
const WAIT_MAX: Duration = Duration::from_secs(8);

/// The turn of whoever comes next; shared by all sockets.
#[derive(Debug, Clone)]
pub struct Admission {
    every: Duration,
    /// When the next turn would be if there were no bursts.
    next: Arc<Mutex<Option<Instant>>>,
}

impl Admission {
    /// For a machine with so many processors.
    pub fn new(processors: usize) -> Self {
        let processors = u32::try_from(processors).unwrap_or(1).max(1);
        let per_second = PER_SECOND_AND_PROCESSOR.saturating_mul(processors);
        Self {
            every: Duration::from_secs(1) / per_second,
            next: Arc::default(),
        }
    }

    /// How long the caller must wait for its turn; `None` when there are too many before it.
    pub(crate) fn turn(&self, now: Instant) -> Option<Duration> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let burst = self.every * BURST;
        let turn = next.map_or(now, |next| next.max(now));
        let wait = (turn - now).saturating_sub(burst);
        if wait > WAIT_MAX {
            return None;
        }
        *next = Some(turn + self.every);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A storm is spread, its end is told to come back, and afterwards nobody waits.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn a_storm_is_spread_over_seconds() {
        let admission = Admission::new(2);
        let now = Instant::now();
        let waits: Vec<_> = (0..20_000).map(|_| admission.turn(now)).collect();
        let within = |limit: Duration| {
            let early = waits.iter().flatten().filter(|wait| **wait < limit);
            early.count()
        };
        assert_eq!(within(Duration::from_nanos(1)), 33, "a burst does not wait");
        assert_eq!(within(Duration::from_secs(1)), 2_032);
        assert_eq!(within(Duration::from_secs(5)), 10_032);
        assert_eq!(waits.iter().flatten().max(), Some(&WAIT_MAX));
        assert_eq!(waits.last(), Some(&None));
        let later = now + Duration::from_secs(10);
        assert_eq!(admission.turn(later), Some(Duration::ZERO));
    }
}
