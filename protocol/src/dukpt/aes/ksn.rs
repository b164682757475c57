//! The key serial number of AES DUKPT: base key, device and counter, four bytes each.
//!
//! Owns where its parts stand and which counters are used.

use super::super::SerialNumber;

/// Counter values with more one-bits are skipped, so that a derivation has at most 16 steps.
const COUNTER_ONES_MAX: u32 = 16;

/// A key serial number: which base key, which device, and which of its keys.
pub type Ksn = SerialNumber<12>;

impl Ksn {
    /// Which base key the device's key descends from: the first four bytes.
    pub const fn base_key_id(&self) -> BaseKeyId {
        let [a, b, c, d, ..] = *self.bytes();
        BaseKeyId([a, b, c, d])
    }

    /// The transaction counter: the last four bytes.
    pub const fn counter(&self) -> u32 {
        let [.., a, b, c, d] = *self.bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    /// The same device with another counter.
    #[must_use]
    pub const fn with_counter(self, counter: u32) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *self.bytes();
        let [w, x, y, z] = counter.to_be_bytes();
        Self::new([a, b, c, d, e, f, g, h, w, x, y, z])
    }

    /// The key serial number after this one; counters with more than 16 one-bits are skipped.
    ///
    /// Gives nothing after counter FFFF0000: the device must stop.
    pub fn next(self) -> Option<Self> {
        let mut counter = self.counter().checked_add(1)?;
        while counter.count_ones() > COUNTER_ONES_MAX {
            // Everything below the next carry has at least as many one-bits.
            let lowest = counter & counter.wrapping_neg();
            counter = counter.checked_add(lowest)?;
        }
        Some(self.with_counter(counter))
    }

    /// Base key id and device id: what an initial key is derived with.
    pub(super) const fn initial_key_id(&self) -> [u8; 8] {
        let [id @ .., _, _, _, _] = *self.bytes();
        id
    }

    /// Device id and counter: what every later key is derived with.
    pub(super) const fn derivation_id(&self, counter: u32) -> [u8; 8] {
        let [_, _, _, _, a, b, c, d, ..] = *self.bytes();
        let [w, x, y, z] = counter.to_be_bytes();
        [a, b, c, d, w, x, y, z]
    }
}

/// Names a base key; the first four bytes of every key serial number under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BaseKeyId(pub [u8; 4]);
