//! The clocks of a world: the engine's, which leans towards one that is set by hand, and the tills'.

use std::time::Duration;

use engine::domain::time::Timestamp;

use super::world::{EPOCH_MS, World};

/// A clock that is right.
pub const RATE_PPM: u64 = 1_000_000;

/// The agent's clock: milliseconds since its process started, as fast as the till's crystal.
#[derive(Debug, Clone, Copy)]
pub struct LocalClock {
    /// When the process was started, in virtual time.
    pub started_ms: u64,
    /// Parts of a million.
    pub rate_ppm: u64,
}

impl LocalClock {
    /// What it shows.
    pub const fn local_ms(self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.started_ms) * self.rate_ppm / RATE_PPM
    }

    /// When it shows this.
    pub const fn world_ms(self, local_ms: u64) -> u64 {
        self.started_ms + (local_ms * RATE_PPM).div_ceil(self.rate_ppm)
    }
}

impl World {
    /// The engine's clock.
    pub fn engine_now(&self) -> Timestamp {
        match &self.engine.clock {
            Some((_, clock)) => clock.now(),
            None => self.wall_now(),
        }
    }

    /// What the engine's machine takes for the time.
    pub(super) fn wall_now(&self) -> Timestamp {
        Timestamp(self.true_now().0 + self.clock_skew_ms)
    }

    /// Time has passed for the engine.
    pub(super) fn pass_engine_time(&mut self) {
        let wall = self.wall_now();
        let now_ms = self.now_ms;
        if let Some((started_ms, clock)) = &mut self.engine.clock {
            let elapsed = Duration::from_millis(now_ms.saturating_sub(*started_ms));
            clock.pass(elapsed, || wall.0);
        }
    }

    /// A clock that nobody sets.
    pub fn true_now(&self) -> Timestamp {
        Timestamp(i64::try_from(EPOCH_MS + self.now_ms).unwrap_or(i64::MAX))
    }
}
