//! The agent's clocks: the only place that reads one. What the agent does hangs on the monotonic
//! one; the wall clock is shown to people and compared with the engine's.

use std::time::{Instant, SystemTime};

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

    /// Now.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The wall clock of this machine, in milliseconds since 1970; 0 before that.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
