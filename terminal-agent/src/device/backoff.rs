//! How long to wait before a port is tried again. Pure.

/// First delay before a port is tried again.
const DELAY_MS_MIN: u64 = 100;
/// Longest delay: how long a technician waits after plugging it in.
const DELAY_MS_MAX: u64 = 2_000;

/// Doubles from attempt to attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Backoff {
    delay_ms: u64,
}

impl Backoff {
    /// As after a device that worked.
    pub(super) const fn new() -> Self {
        Self {
            delay_ms: DELAY_MS_MIN,
        }
    }

    /// Starts over: the device has said something. An opening alone is no reason, or a port that
    /// opens and breaks at once would be opened ten times a second.
    pub(super) const fn reset(&mut self) {
        *self = Self::new();
    }

    /// Milliseconds to wait before the next attempt.
    pub(super) fn next_ms(&mut self) -> u64 {
        let delay_ms = self.delay_ms;
        self.delay_ms = delay_ms.saturating_mul(2).min(DELAY_MS_MAX);
        delay_ms
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_stays_away_is_tried_every_other_second() {
        let mut backoff = Backoff::new();
        let (mut attempts, mut waited_ms) = (0_u64, 0);
        while waited_ms < 60 * 60 * 1_000 {
            let delay_ms = backoff.next_ms();
            assert!(delay_ms <= 2_000, "a technician waits longer");
            waited_ms += delay_ms;
            attempts += 1;
        }
        assert!(attempts <= 1_800 + 5, "{attempts} attempts in an hour");
        backoff.reset();
        assert_eq!(backoff.next_ms(), 100);
    }
}
