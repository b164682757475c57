//! Who guesses is locked out, for longer each time. Counts wrong tries in a row per source; decides
//! nothing about codes, and has no clock of its own. Bounded memory.

use std::collections::BTreeMap;

use crate::domain::time::Timestamp;

/// Wrong tries in a row that lock a source out, unless configured otherwise (pos-requirements §2.7).
pub const WRONG_TRIES_MAX: u32 = 5;
/// The first lock-out: a person who mistypes has read the code again by then.
pub const FIRST_MS: u64 = 60_000;
/// The longest lock-out. At five tries an hour a code of 48 bits outlives everybody.
pub const LONGEST_MS: u64 = 3_600_000;
/// After so long without a wrong try, a source begins anew.
pub const FORGOTTEN_MS: u64 = 24 * 3_600_000;
/// Sources remembered at most. Beyond it the one that has been quiet for longest is forgotten.
const SOURCES_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Tries {
    in_a_row: u32,
    lockouts: u32,
    locked_until: Option<Timestamp>,
    last: Timestamp,
}

/// Wrong tries by source.
#[derive(Debug)]
pub struct Lockouts<K> {
    tries_max: u32,
    sources: BTreeMap<K, Tries>,
}

impl<K: Ord + Copy> Lockouts<K> {
    /// Nobody is locked out; `tries_max` wrong tries in a row will do it.
    pub const fn new(tries_max: u32) -> Self {
        Self {
            tries_max,
            sources: BTreeMap::new(),
        }
    }

    /// Whether a source may try.
    ///
    /// # Errors
    /// Seconds, rounded up, after which it may.
    pub fn check(&self, source: K, now: Timestamp) -> Result<(), u64> {
        let tries = self.sources.get(&source);
        match tries.and_then(|tries| tries.locked_until) {
            Some(until) if now < until => Err(until.since_ms(now).div_ceil(1_000).max(1)),
            _ => Ok(()),
        }
    }

    /// A wrong try. Returns for how many seconds the source is locked out by it, if it is.
    pub fn wrong(&mut self, source: K, now: Timestamp) -> Option<u64> {
        if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&source) {
            self.forget(now);
        }
        let fresh = Tries {
            in_a_row: 0,
            lockouts: 0,
            locked_until: None,
            last: now,
        };
        let tries = self.sources.entry(source).or_insert(fresh);
        if now.since_ms(tries.last) >= FORGOTTEN_MS {
            *tries = fresh;
        }
        tries.last = now;
        tries.in_a_row = tries.in_a_row.saturating_add(1);
        if tries.in_a_row < self.tries_max.max(1) {
            return None;
        }
        let length_ms = FIRST_MS
            .checked_shl(tries.lockouts)
            .filter(|length_ms| tries.lockouts < 32 && *length_ms <= LONGEST_MS)
            .unwrap_or(LONGEST_MS);
        tries.in_a_row = 0;
        tries.lockouts = tries.lockouts.saturating_add(1);
        tries.locked_until = Some(now.plus_ms(length_ms));
        Some(length_ms / 1_000)
    }

    /// A right try ends the row. How long the next lock-out is stays: a guesser with one code of
    /// its own must not begin anew with it.
    pub fn right(&mut self, source: K) {
        if let Some(tries) = self.sources.get_mut(&source) {
            tries.in_a_row = 0;
        }
    }

    fn forget(&mut self, now: Timestamp) {
        self.sources
            .retain(|_, tries| now.since_ms(tries.last) < FORGOTTEN_MS);
        if self.sources.len() < SOURCES_MAX {
            return;
        }
        let quietest = self
            .sources
            .iter()
            .min_by_key(|(_, tries)| tries.last)
            .map(|(source, _)| *source);
        if let Some(quietest) = quietest {
            self.sources.remove(&quietest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp(1_800_000_000_000);

    /// Wrong tries until the source is locked out: how many, and for how long.
    fn guess(lockouts: &mut Lockouts<u8>, source: u8, now: Timestamp) -> (u32, u64) {
        for number in 1..=100 {
            assert_eq!(lockouts.check(source, now), Ok(()));
            if let Some(seconds) = lockouts.wrong(source, now) {
                assert_eq!(lockouts.check(source, now), Err(seconds));
                return (number, seconds);
            }
        }
        panic!("never locked out");
    }

    #[test]
    fn lock_outs_grow_to_an_hour_and_end_on_time() {
        let mut lockouts = Lockouts::new(WRONG_TRIES_MAX);
        let mut now = T0;
        for expected_s in [60, 120, 240, 480, 960, 1_920, 3_600, 3_600] {
            assert_eq!(guess(&mut lockouts, 1, now), (5, expected_s));
            assert_eq!(lockouts.check(2, now), Ok(()), "somebody else");
            let almost = now.plus_ms(expected_s * 1_000 - 1);
            assert_eq!(lockouts.check(1, almost), Err(1));
            now = now.plus_ms(expected_s * 1_000);
        }
        now = now.plus_ms(FORGOTTEN_MS);
        assert_eq!(guess(&mut lockouts, 1, now), (5, 60), "a day later");
    }

    #[test]
    fn a_right_try_ends_the_row_and_not_the_growth() {
        let mut lockouts = Lockouts::new(3);
        assert_eq!(lockouts.wrong(1, T0), None);
        assert_eq!(lockouts.wrong(1, T0), None);
        lockouts.right(1);
        assert_eq!(guess(&mut lockouts, 1, T0), (3, 60));
        let now = T0.plus_ms(60_000);
        lockouts.right(1);
        assert_eq!(guess(&mut lockouts, 1, now), (3, 120));
        lockouts.right(9);
    }

    #[test]
    fn memory_is_bounded_and_a_clock_that_steps_back_does_no_harm() {
        let mut lockouts = Lockouts::new(1);
        for source in 0..(SOURCES_MAX + 100) {
            assert_eq!(lockouts.wrong(source, T0), Some(60));
        }
        assert!(lockouts.sources.len() <= SOURCES_MAX);
        let last = SOURCES_MAX + 99;
        assert!(lockouts.check(last, Timestamp(0)).is_err());
        assert_eq!(lockouts.wrong(last, Timestamp(0)), Some(120));
    }
}
