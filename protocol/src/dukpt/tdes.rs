//! Triple-DES DUKPT (ANSI X9.24-1): key serial numbers of 80 bits, keys of 16 bytes.
//!
//! Owns derivation and the encryption of card data under a derived key. It never keeps a key
//! longer than its owner does, and never shows one.

mod block;
mod ksn;
#[cfg(test)]
mod tests;

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::DukptError;
use super::chain::{decrypt_chained, encrypt_chained};
use super::key::keys;
use block::{cipher, decrypt_block, encrypt_block, halves, join, xor};
pub use ksn::Ksn;

const KEY_LENGTH: usize = 16;
const HALF_LENGTH: usize = 8;
/// Bytes of a cipher block.
pub const BLOCK_LENGTH: usize = 8;

/// The transaction counter is the low 21 bits.
const COUNTER_BITS: u32 = 21;

/// Separates the two halves of a key (X9.24-1 annex A.2).
const HALF_VARIANT: [u8; KEY_LENGTH] = [
    0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0, 0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0,
];
/// Makes the data encryption (request) variant (X9.24-1:2009 annex A.4.1).
const DATA_VARIANT: [u8; KEY_LENGTH] = [0, 0, 0, 0, 0, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0, 0];
/// Makes the PIN encryption variant (X9.24-1:2009 annex A.4.1).
const PIN_VARIANT: [u8; KEY_LENGTH] = [0, 0, 0, 0, 0, 0, 0, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0xFF];

/// A double-length key.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
struct Key([u8; KEY_LENGTH]);

impl TryFrom<&[u8]> for Key {
    type Error = DukptError;

    fn try_from(bytes: &[u8]) -> Result<Self, DukptError> {
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| DukptError::KeyLength)
    }
}

keys! {
    Key;
    /// The key that all devices of a group descend from. Lives in a key service, never in a device.
    BaseDerivationKey,
    /// The key that is loaded into one device.
    InitialKey,
    /// The key of one key serial number; only its variants are ever used.
    TransactionKey,
    /// Encrypts card data from the device to the host.
    DataKey,
}

impl BaseDerivationKey {
    /// Wraps the 16 key bytes.
    pub const fn new(bytes: [u8; KEY_LENGTH]) -> Self {
        Self(Key(bytes))
    }

    /// The key that the device of `ksn` was loaded with.
    pub fn initial_key(&self, ksn: Ksn) -> InitialKey {
        let Self(Key(key)) = self;
        let [register @ .., _, _] = *ksn.initial().bytes();
        InitialKey(Key(with_halves(key, register)))
    }
}

/// `E(key, block)` and `E(key with the half variant, block)` side by side.
fn with_halves(key: &[u8; KEY_LENGTH], block: [u8; BLOCK_LENGTH]) -> [u8; KEY_LENGTH] {
    let right_key = Zeroizing::new(xor(*key, HALF_VARIANT));
    join(
        encrypt_block(&cipher(key), block),
        encrypt_block(&cipher(&right_key), block),
    )
}

impl InitialKey {
    /// The key of `ksn`, which must belong to this device.
    pub fn transaction_key(&self, ksn: Ksn) -> TransactionKey {
        let counter = ksn.counter();
        let mut register = ksn.register();
        let mut key = self.0.clone();
        for bit in (0..COUNTER_BITS).rev().map(|place| 1u32 << place) {
            if counter & bit != 0 {
                register |= u64::from(bit);
                key = Key(one_way(&key.0, register));
            }
        }
        TransactionKey(key)
    }

    /// The key that encrypts card data under `ksn`.
    pub fn data_key(&self, ksn: Ksn) -> DataKey {
        self.transaction_key(ksn).data_key()
    }
}

impl TransactionKey {
    /// The data encryption key: the variant, encrypted half by half under itself.
    pub fn data_key(&self) -> DataKey {
        let Self(Key(key)) = self;
        let variant = Zeroizing::new(xor(*key, DATA_VARIANT));
        let cipher = cipher(&variant);
        let (left, right) = halves(&variant);
        DataKey(Key(join(
            encrypt_block(&cipher, left),
            encrypt_block(&cipher, right),
        )))
    }

    /// The key under which older readers encrypt card data: the PIN variant as it is.
    pub fn pin_variant(&self) -> DataKey {
        let Self(Key(key)) = self;
        DataKey(Key(xor(*key, PIN_VARIANT)))
    }
}

impl DataKey {
    /// Encrypts in CBC mode with a zero vector, after zero padding to whole blocks.
    pub fn encrypt(&self, plain: &[u8]) -> Vec<u8> {
        let Self(Key(key)) = self;
        let cipher = cipher(key);
        encrypt_chained(plain, |block| encrypt_block(&cipher, block))
    }

    /// Decrypts what [`DataKey::encrypt`] made; the padding stays.
    ///
    /// # Errors
    /// [`DukptError::PartialBlock`] when `sealed` is not whole blocks.
    pub fn decrypt(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, DukptError> {
        let Self(Key(key)) = self;
        let cipher = cipher(key);
        decrypt_chained(sealed, |block| decrypt_block(&cipher, block))
    }
}

/// The non-reversible step from a key to the key of one more counter bit.
fn one_way(key: &[u8; KEY_LENGTH], register: u64) -> [u8; KEY_LENGTH] {
    let variant = Zeroizing::new(xor(*key, HALF_VARIANT));
    join(
        one_way_half(&variant, register),
        one_way_half(key, register),
    )
}

fn one_way_half(key: &[u8; KEY_LENGTH], register: u64) -> [u8; HALF_LENGTH] {
    let (left, right) = halves(key);
    let block = xor(right, register.to_be_bytes());
    // Triple DES with equal halves is single DES.
    let single = cipher(&Zeroizing::new(join(left, left)));
    xor(encrypt_block(&single, block), right)
}
