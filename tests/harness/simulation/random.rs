//! The seed's numbers and ids: the only source of chance in a world.

use engine::owner::work::Ids;
use uuid::Uuid;

/// SplitMix64 (Steele, Lea and Flood, 2014): one word of state, every seed is good.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The numbers of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0. The bias of the remainder does not matter here.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number from `low` to `high`, both included.
    pub const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in `percent` of a hundred cases.
    pub const fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// An index into something of this length, which is not empty.
    pub fn index(&mut self, length: usize) -> usize {
        let bound = u64::try_from(length).unwrap_or(u64::MAX);
        usize::try_from(self.below(bound)).unwrap_or(0)
    }

    /// One of the choices, which are not none.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.index(choices.len())]
    }
}

/// Fresh UUIDv7: virtual time, a counter, and bits of the seed.
#[derive(Debug)]
pub struct SeededIds {
    /// Virtual time since 1970; set by the world before ids are made.
    pub now_ms: u64,
    random: Random,
    made: u16,
}

impl SeededIds {
    /// Ids from these numbers.
    pub const fn new(random: Random) -> Self {
        Self {
            now_ms: 0,
            random,
            made: 0,
        }
    }
}

impl Ids for SeededIds {
    fn next(&mut self) -> Uuid {
        // Ids rise within a millisecond, as those of the engine's source do.
        self.made = (self.made + 1) & 0x0FFF;
        let high = (u128::from(self.now_ms) << 80) | (0x7 << 76) | (u128::from(self.made) << 64);
        let low = (self.random.next() >> 2) | (0b10 << 62);
        Uuid::from_u128(high | u128::from(low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_its_numbers() {
        let numbers = |seed| {
            let mut random = Random::new(seed);
            (0..8).map(|_| random.below(1_000)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
    }

    #[test]
    fn ids_rise_with_time_and_differ() {
        let mut ids = SeededIds::new(Random::new(1));
        ids.now_ms = 1_800_000_000_000;
        let first = ids.next();
        let second = ids.next();
        assert!(first < second);
        assert_eq!(first.get_version_num(), 7);
    }
}
