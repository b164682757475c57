//! The engine's clock: the only place that reads one. Everywhere else an instant is an argument.
//!
//! Within a run the clock is monotonic: wall time at the start plus elapsed time. Deadlines are
//! instants on it, so a step of the machine's wall clock neither fires nor stalls them. What the
//! wall clock says meanwhile is approached slowly; a restart takes it over at once.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::time::Timestamp;

/// How much faster or slower than time itself the clock may run to approach the wall clock: one
/// part in 200. Below what any deadline is sensitive to (0.3 s in the longest, a minute), and a
/// second of difference is gone after a bit more than three minutes.
const SLEW_PARTS: i64 = 200;
/// How often the wall clock is looked at. Arbitrary: drift between two looks is far below 1 ms.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A difference that somebody should know of: larger than what network time corrects in passing.
const STEP_MS: i64 = 1_000;

/// Something that knows the time.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The instant on the engine's clock.
    fn now(&self) -> Timestamp;
}

/// A clock that several places share.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock, made monotonic. One per process: two would drift apart after a step.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
    slewed: Mutex<Slewed>,
    /// The millisecond since the start of which `now_ms` is true; nobody waits for the lock within
    /// it.
    at_ms: AtomicU64,
    now_ms: AtomicI64,
}

impl SystemClock {
    /// A clock that agrees with the wall clock now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        let wall_ms = wall_ms();
        Self {
            started: Instant::now(),
            slewed: Mutex::new(Slewed::at(wall_ms)),
            at_ms: AtomicU64::new(0),
            now_ms: AtomicI64::new(wall_ms),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let elapsed = self.started.elapsed();
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        // Written in the other order: what is read may be a later millisecond's, never an earlier
        // one's.
        if self.at_ms.load(Ordering::Acquire) >= elapsed_ms {
            return Timestamp(self.now_ms.load(Ordering::Acquire));
        }
        let mut slewed = self.slewed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(difference_ms) = slewed.pass(elapsed, wall_ms) {
            tracing::warn!(
                difference_ms,
                "wall clock was set; deadlines do not move with it"
            );
        }
        let now = slewed.now();
        self.now_ms.fetch_max(now.0, Ordering::Release);
        self.at_ms.fetch_max(elapsed_ms, Ordering::Release);
        now
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the clock"
)]
fn wall_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// A clock that follows elapsed time and leans towards the wall clock. Pure.
#[derive(Debug)]
pub struct Slewed {
    /// What it says, in milliseconds since 1970.
    now_ms: i64,
    /// Elapsed time at that moment, whole milliseconds.
    at: Duration,
    /// Elapsed time at which the wall clock is looked at again.
    look_at: Duration,
    /// What is yet to be added, or taken away, to agree with the wall clock.
    behind_ms: i64,
    /// Parts of a millisecond of correction that have added up; below [`SLEW_PARTS`].
    parts: i64,
    /// The difference that was last complained about.
    complained_ms: i64,
}

impl Slewed {
    /// A clock that agrees with the wall clock.
    pub const fn at(wall_ms: i64) -> Self {
        Self {
            now_ms: wall_ms,
            at: Duration::ZERO,
            look_at: LOOK_EVERY,
            behind_ms: 0,
            parts: 0,
            complained_ms: 0,
        }
    }

    /// What it says.
    pub const fn now(&self) -> Timestamp {
        Timestamp(self.now_ms)
    }

    /// Goes on to `elapsed` since the start. Returns a difference that has just come up.
    pub fn pass(&mut self, elapsed: Duration, wall_ms: impl Fn() -> i64) -> Option<i64> {
        let passed = elapsed.saturating_sub(self.at).as_millis();
        let passed_ms = i64::try_from(passed).unwrap_or(i64::MAX);
        self.at += Duration::from_millis(passed_ms.unsigned_abs());
        self.parts = self.parts.saturating_add(passed_ms);
        let allowed_ms = self.parts / SLEW_PARTS;
        self.parts %= SLEW_PARTS;
        let correction_ms = self.behind_ms.clamp(-allowed_ms, allowed_ms);
        self.behind_ms -= correction_ms;
        self.now_ms = self
            .now_ms
            .saturating_add(passed_ms)
            .saturating_add(correction_ms);
        if elapsed < self.look_at {
            return None;
        }
        self.look_at = elapsed + LOOK_EVERY;
        self.behind_ms = wall_ms().saturating_sub(self.now_ms);
        let is_new = self
            .behind_ms
            .saturating_sub(self.complained_ms)
            .saturating_abs()
            >= STEP_MS;
        if self.behind_ms.saturating_abs() < STEP_MS {
            self.complained_ms = 0;
        } else if is_new {
            self.complained_ms = self.behind_ms;
            return Some(self.behind_ms);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: i64 = 1_800_000_000_000;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A minute in steps of 10 ms, while the wall clock is off by `step_ms` from the first second.
    fn minute_after_step(step_ms: i64) -> (i64, u32) {
        let mut slewed = Slewed::at(T0);
        let mut last = slewed.now_ms;
        let mut complaints = 0;
        for tick in 1..=6_000u64 {
            let elapsed = ms(tick * 10);
            let wall =
                T0 + i64::try_from(tick * 10).unwrap() + if tick >= 100 { step_ms } else { 0 };
            complaints += u32::from(slewed.pass(elapsed, || wall).is_some());
            assert!(slewed.now_ms >= last, "never backwards");
            last = slewed.now_ms;
        }
        (last - T0, complaints)
    }

    #[test]
    fn a_step_of_the_wall_clock_moves_no_deadline() {
        assert_eq!(minute_after_step(0), (60_000, 0));
        for step_ms in [60_000, 3_600_000, -60_000, -86_400_000] {
            let (passed_ms, complaints) = minute_after_step(step_ms);
            assert!(
                (59_700..=60_300).contains(&passed_ms),
                "{step_ms}: {passed_ms}"
            );
            assert_eq!(complaints, 1, "{step_ms}");
        }
    }

    #[test]
    fn a_small_difference_is_made_up_for() {
        assert_eq!(minute_after_step(200), (60_200, 0));
        assert_eq!(minute_after_step(-200), (59_800, 0));
    }

    #[test]
    fn parts_of_milliseconds_are_not_lost() {
        let mut slewed = Slewed::at(T0);
        for tick in 1..=10_000u64 {
            let elapsed = Duration::from_micros(tick * 100);
            slewed.pass(elapsed, || T0);
        }
        assert_eq!(slewed.now_ms, T0 + 1_000);
    }

    #[test]
    fn it_starts_at_the_wall_clock_and_goes_on() {
        let clock = SystemClock::start();
        let first = clock.now();
        assert!(first.0 > 1_700_000_000_000);
        assert!(clock.now() >= first);
    }
}
