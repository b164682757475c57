//! AES DUKPT (ANSI X9.24-3): key serial numbers of 96 bits, keys of 16, 24 or 32 bytes.
//!
//! Owns derivation and the encryption of card data under a derived key. It never keeps a key
//! longer than its owner does, and never shows one.

mod key;
mod ksn;
#[cfg(test)]
mod tests;

use std::fmt;

use zeroize::Zeroizing;

use super::DukptError;
use super::chain::{decrypt_chained, encrypt_chained};
use super::key::keys;
use key::{Key, KeyUsage};
pub use ksn::{BaseKeyId, Ksn};

/// Bytes of a cipher block.
pub const BLOCK_LENGTH: usize = 16;

/// The transaction counter is the last 32 bits.
const COUNTER_BITS: u32 = 32;

keys! {
    Key;
    /// The key that all devices of a group descend from. Lives in a key service, never in a device.
    BaseDerivationKey,
    /// The key that is loaded into one device.
    InitialKey,
    /// The key of one key serial number; only keys derived from it are ever used.
    TransactionKey,
    /// Encrypts card data from the device to the host.
    DataKey,
}

impl BaseDerivationKey {
    /// The key that the device of `ksn` was loaded with; as long as this one.
    pub fn initial_key(&self, ksn: Ksn) -> InitialKey {
        let Self(key) = self;
        InitialKey(key.derive(KeyUsage::InitialKey, key.size, ksn.initial_key_id()))
    }
}

impl InitialKey {
    /// The key of `ksn`, which must belong to this device.
    pub fn transaction_key(&self, ksn: Ksn) -> TransactionKey {
        let mut key = self.0.clone();
        let mut reached = 0;
        for bit in (0..COUNTER_BITS).rev().map(|place| 1u32 << place) {
            if ksn.counter() & bit != 0 {
                reached |= bit;
                let id = ksn.derivation_id(reached);
                key = key.derive(KeyUsage::KeyDerivation, key.size, id);
            }
        }
        TransactionKey(key)
    }

    /// The key that encrypts card data under `ksn`; as long as this one.
    pub fn data_key(&self, ksn: Ksn) -> DataKey {
        let TransactionKey(key) = self.transaction_key(ksn);
        let id = ksn.derivation_id(ksn.counter());
        DataKey(key.derive(KeyUsage::DataEncryption, key.size, id))
    }
}

impl DataKey {
    /// Encrypts in CBC mode with a zero vector, after zero padding to whole blocks.
    pub fn encrypt(&self, plain: &[u8]) -> Vec<u8> {
        let cipher = self.0.cipher();
        encrypt_chained(plain, |block| cipher.encrypt_block(block))
    }

    /// Decrypts what [`DataKey::encrypt`] made; the padding stays.
    ///
    /// # Errors
    /// [`DukptError::PartialBlock`] when `sealed` is not whole blocks.
    pub fn decrypt(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, DukptError> {
        let cipher = self.0.cipher();
        decrypt_chained(sealed, |block| cipher.decrypt_block(block))
    }
}
