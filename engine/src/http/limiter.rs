//! Rates: a bucket of tokens per key, refilled with time. Bounded memory, no clock of its own.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::time::Timestamp;

/// What one token costs: milliseconds in a minute, so that a rate per minute earns whole units.
const TOKEN: u64 = 60_000;
/// Keys remembered at most. Beyond it, full buckets are forgotten, and then the one that has been
/// left alone for longest: an attacker with many addresses must not fill memory.
const KEYS_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    units: u64,
    at: Timestamp,
}

/// Buckets of one rate.
#[derive(Debug)]
pub(super) struct Limiter<K> {
    per_minute: u64,
    full: u64,
    buckets: Mutex<BTreeMap<K, Bucket>>,
}

impl<K: Ord + Copy> Limiter<K> {
    /// Buckets that refill at `per_minute` and hold `burst` tokens.
    pub(super) fn new(per_minute: u32, burst: u32) -> Self {
        Self {
            per_minute: u64::from(per_minute.max(1)),
            full: u64::from(burst.max(1)) * TOKEN,
            buckets: Mutex::new(BTreeMap::new()),
        }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// Seconds, rounded up, after which there is one again.
    pub(super) fn take(&self, key: K, now: Timestamp) -> Result<(), u64> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let units = buckets
            .get(&key)
            .map_or(self.full, |bucket| self.refilled(*bucket, now));
        let left = units.checked_sub(TOKEN);
        if buckets.len() >= KEYS_MAX && !buckets.contains_key(&key) {
            self.forget(&mut buckets, now);
        }
        let bucket = Bucket {
            units: left.unwrap_or(units),
            at: now,
        };
        buckets.insert(key, bucket);
        match left {
            Some(_) => Ok(()),
            None => Err((TOKEN - units).div_ceil(self.per_minute).div_ceil(1_000)),
        }
    }

    fn refilled(&self, bucket: Bucket, now: Timestamp) -> u64 {
        let earned = now.since_ms(bucket.at).saturating_mul(self.per_minute);
        bucket.units.saturating_add(earned).min(self.full)
    }

    fn forget(&self, buckets: &mut BTreeMap<K, Bucket>, now: Timestamp) {
        buckets.retain(|_, bucket| self.refilled(*bucket, now) < self.full);
        if buckets.len() < KEYS_MAX {
            return;
        }
        let oldest = buckets
            .iter()
            .min_by_key(|(_, bucket)| bucket.at)
            .map(|(key, _)| *key);
        if let Some(oldest) = oldest {
            buckets.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp(1_000_000);

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let limiter = Limiter::new(60, 3);
        for _ in 0..3 {
            assert_eq!(limiter.take('a', T0), Ok(()));
        }
        assert_eq!(limiter.take('a', T0), Err(1));
        assert_eq!(limiter.take('b', T0), Ok(()));
        assert_eq!(limiter.take('a', T0.plus_ms(999)), Err(1));
        assert_eq!(limiter.take('a', T0.plus_ms(1_000)), Ok(()));
        assert_eq!(limiter.take('a', T0.plus_ms(1_000)), Err(1));
        assert_eq!(Limiter::new(1, 1).take('a', T0), Ok(()));
    }

    #[test]
    fn waiting_times_are_true() {
        let limiter = Limiter::new(2, 1);
        assert_eq!(limiter.take(1, T0), Ok(()));
        let wait_s = limiter.take(1, T0).unwrap_err();
        assert_eq!(wait_s, 30);
        assert_eq!(limiter.take(1, T0.plus_ms(wait_s * 1_000)), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_a_clock_that_steps_back_does_no_harm() {
        let limiter = Limiter::new(1, 1);
        for key in 0..(KEYS_MAX + 500) {
            assert_eq!(limiter.take(key, T0), Ok(()));
        }
        assert!(limiter.buckets.lock().unwrap().len() <= KEYS_MAX);
        assert!(limiter.take(KEYS_MAX + 499, Timestamp(0)).is_err());
    }
}
