//! The key that the simulated reader was loaded with, and the counter of what it has used.
//!
//! Never gives out the initial key and never uses a key serial number twice.

use protocol::dukpt::{BaseDerivationKey, DataKey, InitialKey, Ksn};

/// The vendor's published demonstration key, which every manual prints. Test use only.
const DEMO_BASE_KEY: [u8; 16] = [
    0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF, 0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10,
];
/// The published device number that goes with [`DEMO_BASE_KEY`], counter zero.
const DEMO_KSN: [u8; 10] = [0x62, 0x99, 0x49, 0x01, 0x30, 0, 0, 0, 0, 0];

/// A device's key register.
#[derive(Debug, Clone)]
pub struct KeyRegister {
    initial_key: InitialKey,
    /// The last key serial number used.
    used: Ksn,
}

impl KeyRegister {
    /// A device loaded with `initial_key` whose last used key serial number is `used`.
    pub const fn new(initial_key: InitialKey, used: Ksn) -> Self {
        Self { initial_key, used }
    }

    /// The vendor's demonstration device, having used `counter` keys.
    pub fn demo(counter: u32) -> Self {
        let ksn = Ksn::new(DEMO_KSN).with_counter(counter);
        let initial_key = Self::demo_base_key().initial_key(ksn);
        Self::new(initial_key, ksn)
    }

    /// The vendor's published demonstration base key, for the receiving end of a test.
    pub const fn demo_base_key() -> BaseDerivationKey {
        BaseDerivationKey::new(DEMO_BASE_KEY)
    }

    /// The last key serial number used.
    pub const fn used(&self) -> Ksn {
        self.used
    }

    /// Goes on to the next key; gives nothing when all are used up.
    pub fn advance(&mut self) -> Option<(Ksn, DataKey)> {
        self.used = self.used.next()?;
        Some((self.used, self.initial_key.data_key(self.used)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_used_once_and_the_end_is_the_end() {
        let mut register = KeyRegister::demo(0x1F_F700);
        let mut last = register.used();
        while let Some((ksn, _)) = register.advance() {
            assert!(ksn > last);
            last = ksn;
        }
        assert_eq!(register.used(), last);
        assert_eq!(last.counter(), 0x1F_F800);
    }
}
