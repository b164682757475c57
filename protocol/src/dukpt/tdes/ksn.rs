//! The key serial number of triple-DES DUKPT: 59 bits of base key and device, 21 of counter.
//!
//! Owns where the counter stands and which counters are used.

use super::super::SerialNumber;

/// The transaction counter is the low 21 bits.
const COUNTER_MASK: u32 = 0x001F_FFFF;
/// Counter values with more one-bits are skipped, so that a derivation has at most ten steps.
const COUNTER_ONES_MAX: u32 = 10;

/// A key serial number: who the device is, and which of its keys.
pub type Ksn = SerialNumber<10>;

impl Ksn {
    /// The transaction counter: the low 21 bits.
    pub fn counter(&self) -> u32 {
        let [.., high, middle, low] = *self.bytes();
        u32::from_be_bytes([0, high, middle, low]) & COUNTER_MASK
    }

    /// The same device with its counter at zero.
    #[must_use]
    pub fn initial(self) -> Self {
        self.with_counter(0)
    }

    /// The same device with another counter; bits above 21 are ignored.
    #[must_use]
    pub fn with_counter(self, counter: u32) -> Self {
        let [device @ .., high, _, _] = *self.bytes();
        let kept = u32::from(high) << 16 & !COUNTER_MASK;
        let [_, high, middle, low] = (kept | (counter & COUNTER_MASK)).to_be_bytes();
        let mut bytes = [0; Self::LENGTH];
        bytes
            .iter_mut()
            .zip(device.into_iter().chain([high, middle, low]))
            .for_each(|(target, source)| *target = source);
        Self::new(bytes)
    }

    /// The key serial number after this one; counters with more than ten one-bits are skipped.
    ///
    /// Gives nothing when the counter is used up: the device must stop.
    pub fn next(self) -> Option<Self> {
        (self.counter() + 1..=COUNTER_MASK)
            .find(|counter| counter.count_ones() <= COUNTER_ONES_MAX)
            .map(|counter| self.with_counter(counter))
    }

    /// The right eight bytes with the counter cleared: where the derivation starts.
    pub(super) fn register(&self) -> u64 {
        let [_, _, register @ ..] = *self.bytes();
        u64::from_be_bytes(register) & !u64::from(COUNTER_MASK)
    }
}
