//! The agent's clocks: the only place that reads them.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the agent started.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock that begins at 0.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    /// The wall clock of the machine, milliseconds since 1970; 0 when it says that it is before.
    /// For comparison with the engine's only: nothing is decided by it.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn wall_ms() -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
    }

    /// Now.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
