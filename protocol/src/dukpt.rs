//! DUKPT: one key per key serial number, derived from a base key, under triple DES or AES.
//!
//! Owns what both schemes have in common. Used by the simulated reader and by the acquirer
//! boundary of the engine; never by the agent, which holds no key. Keys are cleared when dropped
//! and never shown by `Debug`.
//!
//! The device side derives from the initial key each time. A real reader erases that key and
//! keeps a register of future keys; the results are the same.
//!
//! # Layout
//! * [`tdes`]: ANSI X9.24-1.
//! * [`aes`]: ANSI X9.24-3.
//! * `serial`: a key serial number as bytes; `key`: how a key type is made; `chain`: CBC.

pub mod aes;
mod chain;
mod key;
mod serial;
pub mod tdes;

use std::fmt;

use zeroize::Zeroizing;

pub use serial::SerialNumber;

/// Why data cannot be decrypted or a key cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DukptError {
    /// Keys are 16 bytes under triple DES, and 16, 24 or 32 under AES.
    #[error("key has a wrong length")]
    KeyLength,
    /// A key serial number is 10 bytes under triple DES and 12 under AES.
    #[error("key serial number has a wrong length")]
    KsnLength,
    /// Ciphertext is whole blocks: of eight bytes under triple DES, of 16 under AES.
    #[error("ciphertext is not whole blocks")]
    PartialBlock,
    /// A key of one scheme and a key serial number of the other.
    #[error("key and key serial number are of different schemes")]
    OtherScheme,
}

/// How card data is encrypted, and how its key is derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// Triple DES (ANSI X9.24-1).
    TripleDes,
    /// AES (ANSI X9.24-3).
    Aes,
}

impl Scheme {
    /// Bytes of a cipher block.
    pub const fn block_length(self) -> usize {
        match self {
            Self::TripleDes => tdes::BLOCK_LENGTH,
            Self::Aes => aes::BLOCK_LENGTH,
        }
    }

    /// Bytes of a key serial number.
    pub const fn ksn_length(self) -> usize {
        match self {
            Self::TripleDes => tdes::Ksn::LENGTH,
            Self::Aes => aes::Ksn::LENGTH,
        }
    }
}

/// A key serial number of either scheme.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ksn {
    /// Ten bytes.
    TripleDes(tdes::Ksn),
    /// Twelve bytes.
    Aes(aes::Ksn),
}

impl Ksn {
    /// The scheme.
    pub const fn scheme(&self) -> Scheme {
        match self {
            Self::TripleDes(_) => Scheme::TripleDes,
            Self::Aes(_) => Scheme::Aes,
        }
    }

    /// The bytes.
    pub const fn bytes(&self) -> &[u8] {
        match self {
            Self::TripleDes(ksn) => ksn.bytes(),
            Self::Aes(ksn) => ksn.bytes(),
        }
    }

    /// The transaction counter.
    pub fn counter(&self) -> u32 {
        match self {
            Self::TripleDes(ksn) => ksn.counter(),
            Self::Aes(ksn) => ksn.counter(),
        }
    }

    /// The key serial number after this one.
    ///
    /// Gives nothing when the counter is used up: the device must stop.
    pub fn next(self) -> Option<Self> {
        match self {
            Self::TripleDes(ksn) => ksn.next().map(Self::TripleDes),
            Self::Aes(ksn) => ksn.next().map(Self::Aes),
        }
    }
}

impl fmt::Display for Ksn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TripleDes(ksn) => ksn.fmt(formatter),
            Self::Aes(ksn) => ksn.fmt(formatter),
        }
    }
}

impl fmt::Debug for Ksn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Ksn({self})")
    }
}

/// The key that is loaded into one device, of either scheme.
#[derive(Debug, Clone)]
pub enum InitialKey {
    /// Triple DES.
    TripleDes(tdes::InitialKey),
    /// AES.
    Aes(aes::InitialKey),
}

impl InitialKey {
    /// The key that encrypts card data under `ksn`, which must belong to this device.
    ///
    /// # Errors
    /// [`DukptError::OtherScheme`] when `ksn` is of the other scheme.
    pub fn data_key(&self, ksn: Ksn) -> Result<DataKey, DukptError> {
        match (self, ksn) {
            (Self::TripleDes(key), Ksn::TripleDes(ksn)) => {
                Ok(DataKey::TripleDes(key.data_key(ksn)))
            }
            (Self::Aes(key), Ksn::Aes(ksn)) => Ok(DataKey::Aes(key.data_key(ksn))),
            _ => Err(DukptError::OtherScheme),
        }
    }
}

/// Encrypts card data from the device to the host, under either scheme.
#[derive(Debug, Clone)]
pub enum DataKey {
    /// Triple DES.
    TripleDes(tdes::DataKey),
    /// AES.
    Aes(aes::DataKey),
}

impl DataKey {
    /// The scheme.
    pub const fn scheme(&self) -> Scheme {
        match self {
            Self::TripleDes(_) => Scheme::TripleDes,
            Self::Aes(_) => Scheme::Aes,
        }
    }

    /// Encrypts in CBC mode with a zero vector, after zero padding to whole blocks.
    pub fn encrypt(&self, plain: &[u8]) -> Vec<u8> {
        match self {
            Self::TripleDes(key) => key.encrypt(plain),
            Self::Aes(key) => key.encrypt(plain),
        }
    }

    /// Decrypts what [`DataKey::encrypt`] made; the padding stays.
    ///
    /// # Errors
    /// [`DukptError::PartialBlock`] when `sealed` is not whole blocks.
    pub fn decrypt(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, DukptError> {
        match self {
            Self::TripleDes(key) => key.decrypt(sealed),
            Self::Aes(key) => key.decrypt(sealed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tdes_ksn() -> tdes::Ksn {
        tdes::Ksn::new([0x62, 0x99, 0x49, 1, 0x30, 0, 0, 0, 0, 1])
    }

    fn aes_ksn() -> aes::Ksn {
        aes::Ksn::new([1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1])
    }

    #[test]
    fn each_scheme_has_its_own_lengths() {
        for (ksn, scheme, block, length) in [
            (Ksn::TripleDes(tdes_ksn()), Scheme::TripleDes, 8, 10),
            (Ksn::Aes(aes_ksn()), Scheme::Aes, 16, 12),
        ] {
            assert_eq!(ksn.scheme(), scheme);
            assert_eq!(
                (scheme.block_length(), scheme.ksn_length()),
                (block, length)
            );
            assert_eq!(ksn.bytes().len(), length);
            assert_eq!((ksn.counter(), ksn.next().unwrap().counter()), (1, 2));
        }
        assert_eq!(
            format!("{:?}", Ksn::Aes(aes_ksn())),
            "Ksn(010203040506070800000001)"
        );
    }

    #[test]
    fn keys_of_one_scheme_do_not_open_the_other() {
        let tdes = tdes::BaseDerivationKey::new([7; 16]).initial_key(tdes_ksn());
        let aes = aes::BaseDerivationKey::try_from([7; 16].as_slice()).unwrap();
        let aes = aes.initial_key(aes_ksn());
        let (tdes, aes) = (InitialKey::TripleDes(tdes), InitialKey::Aes(aes));
        let plain = b"4012345678909D987";
        for (key, own, other, padded) in [
            (&tdes, Ksn::TripleDes(tdes_ksn()), Ksn::Aes(aes_ksn()), 24),
            (&aes, Ksn::Aes(aes_ksn()), Ksn::TripleDes(tdes_ksn()), 32),
        ] {
            let refused = key.data_key(other).map(|_| ());
            assert_eq!(refused, Err(DukptError::OtherScheme));
            let key = key.data_key(own).unwrap();
            assert_eq!(key.scheme(), own.scheme());
            let sealed = key.encrypt(plain);
            assert_eq!(sealed.len(), padded);
            assert!(key.decrypt(&sealed).unwrap().starts_with(plain));
            assert!(key.decrypt(&sealed[1..]).is_err());
        }
        assert!(format!("{tdes:?} {aes:?}").contains("redacted"));
    }
}
