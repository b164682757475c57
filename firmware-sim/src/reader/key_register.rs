//! The key that the simulated reader was loaded with, and the counter of what it has used.
//!
//! Never gives out the initial key and never uses a key serial number twice.

use protocol::dukpt::{DataKey, InitialKey, Ksn, Scheme, aes, tdes};

/// The vendor's published demonstration key, which every manual prints. Test use only.
const DEMO_BASE_KEY: [u8; 16] = [
    0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF, 0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10,
];
/// The published device number that goes with [`DEMO_BASE_KEY`], counter zero.
const DEMO_KSN: [u8; 10] = [0x62, 0x99, 0x49, 0x01, 0x30, 0, 0, 0, 0, 0];

/// The base key of the test vectors in the supplement of ANSI X9.24-3. Test use only: it is as
/// public as the other one. The vendor's demonstration key for AES is not documented.
const DEMO_AES_BASE_KEY: [u8; 16] = [
    0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10, 0xF1, 0xF1, 0xF1, 0xF1, 0xF1, 0xF1, 0xF1, 0xF1,
];
/// The base key id and device id that go with [`DEMO_AES_BASE_KEY`], counter zero.
const DEMO_AES_KSN: [u8; 12] = [0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0, 0, 0, 0];

/// How a reader was set up to encrypt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Triple DES under ANSI X9.24-1.
    TripleDes,
    /// AES with keys of 128 bits under ANSI X9.24-3.
    Aes128,
}

impl Encryption {
    /// Every way there is.
    pub const ALL: [Self; 2] = [Self::TripleDes, Self::Aes128];

    /// Looks one up by its word on the command line.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.word() == word)
    }

    /// The word on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::TripleDes => "tdes",
            Self::Aes128 => "aes128",
        }
    }
}

/// A device's key register.
#[derive(Debug, Clone)]
pub struct KeyRegister {
    initial_key: InitialKey,
    /// The last key serial number used.
    used: Ksn,
}

impl KeyRegister {
    /// The vendor's demonstration device under triple DES, having used `counter` keys.
    pub fn demo(counter: u32) -> Self {
        let ksn = tdes::Ksn::new(DEMO_KSN).with_counter(counter);
        Self {
            initial_key: InitialKey::TripleDes(Self::demo_base_key().initial_key(ksn)),
            used: Ksn::TripleDes(ksn),
        }
    }

    /// The device of the AES test vectors, having used `counter` keys.
    pub fn demo_aes(counter: u32) -> Self {
        let ksn = aes::Ksn::new(DEMO_AES_KSN).with_counter(counter);
        Self {
            initial_key: InitialKey::Aes(Self::demo_aes_base_key().initial_key(ksn)),
            used: Ksn::Aes(ksn),
        }
    }

    /// The demonstration device for this way of encrypting, having used `counter` keys.
    pub fn demo_of(encryption: Encryption, counter: u32) -> Self {
        match encryption {
            Encryption::TripleDes => Self::demo(counter),
            Encryption::Aes128 => Self::demo_aes(counter),
        }
    }

    /// The vendor's published demonstration base key, for the receiving end of a test.
    pub const fn demo_base_key() -> tdes::BaseDerivationKey {
        tdes::BaseDerivationKey::new(DEMO_BASE_KEY)
    }

    /// The published AES base key, for the receiving end of a test.
    pub fn demo_aes_base_key() -> aes::BaseDerivationKey {
        aes::BaseDerivationKey::try_from(DEMO_AES_BASE_KEY.as_slice())
            .expect("16 bytes are the length of an AES key")
    }

    /// How the device encrypts.
    pub const fn encryption(&self) -> Encryption {
        match self.used {
            Ksn::TripleDes(_) => Encryption::TripleDes,
            Ksn::Aes(_) => Encryption::Aes128,
        }
    }

    /// What attribution bytes and stripe blocks call it.
    pub const fn scheme(&self) -> Scheme {
        self.used.scheme()
    }

    /// The last key serial number used.
    pub const fn used(&self) -> Ksn {
        self.used
    }

    /// Goes on to the next key; gives nothing when all are used up.
    pub fn advance(&mut self) -> Option<(Ksn, DataKey)> {
        self.used = self.used.next()?;
        let key = self.initial_key.data_key(self.used).ok()?;
        Some((self.used, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_used_once_and_the_end_is_the_end() {
        for (mut register, end) in [
            (KeyRegister::demo(0x1F_F700), 0x1F_F800),
            (KeyRegister::demo_aes(0xFFFE_8000), 0xFFFF_0000),
        ] {
            let mut last = register.used();
            while let Some((ksn, _)) = register.advance() {
                assert!(ksn > last);
                last = ksn;
            }
            assert_eq!(register.used(), last);
            assert_eq!(last.counter(), end);
        }
    }

    #[test]
    fn words_name_demonstration_devices() {
        for encryption in Encryption::ALL {
            assert_eq!(Encryption::from_word(encryption.word()), Some(encryption));
            let mut register = KeyRegister::demo_of(encryption, 6);
            assert_eq!(register.encryption(), encryption);
            let scheme = register.scheme();
            let (ksn, key) = register.advance().unwrap();
            assert_eq!((ksn.counter(), key.scheme()), (7, scheme));
        }
        assert_eq!(Encryption::from_word("aes"), None);
    }
}
