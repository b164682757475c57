//! AES keys of any length: what derives from one, and its cipher.
//!
//! Owns the derivation block (X9.24-3) and the three lengths. It never shows a key, and a key is
//! zero beyond its length.

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::super::DukptError;
use super::BLOCK_LENGTH;

const KEY_LENGTH_MAX: usize = 32;

/// The version byte that every derivation block begins with (X9.24-3, key derivation data).
const DERIVATION_VERSION: u8 = 0x01;

/// What a derived key may be used for (X9.24-3, key usage indicators).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum KeyUsage {
    /// Card data from the device to the host.
    DataEncryption = 0x3000,
    /// A further step down the tree of keys.
    KeyDerivation = 0x8000,
    /// A device's initial key.
    InitialKey = 0x8001,
    #[cfg(test)]
    PinEncryption = 0x1000,
    #[cfg(test)]
    MacGeneration = 0x2000,
    #[cfg(test)]
    MacVerification = 0x2001,
    #[cfg(test)]
    MacBothWays = 0x2002,
    #[cfg(test)]
    DataDecryption = 0x3001,
    #[cfg(test)]
    DataBothWays = 0x3002,
}

/// The lengths that AES keys have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Zeroize)]
pub(super) enum KeySize {
    Bits128,
    Bits192,
    Bits256,
}

impl KeySize {
    pub(super) const fn length(self) -> usize {
        match self {
            Self::Bits128 => 16,
            Self::Bits192 => 24,
            Self::Bits256 => 32,
        }
    }

    pub(super) const fn bits(self) -> u16 {
        match self {
            Self::Bits128 => 128,
            Self::Bits192 => 192,
            Self::Bits256 => 256,
        }
    }

    /// The algorithm indicator of a derivation block.
    const fn algorithm(self) -> u16 {
        match self {
            Self::Bits128 => 2,
            Self::Bits192 => 3,
            Self::Bits256 => 4,
        }
    }
}

/// An AES key of any length.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(super) struct Key {
    /// Zero beyond the key's length.
    pub(super) bytes: [u8; KEY_LENGTH_MAX],
    pub(super) size: KeySize,
}

impl Key {
    pub(super) fn cipher(&self) -> Cipher {
        let key = self.bytes.get(..self.size.length()).unwrap_or_default();
        let cipher = match self.size {
            KeySize::Bits128 => Aes128::new_from_slice(key).map(Cipher::Bits128),
            KeySize::Bits192 => Aes192::new_from_slice(key).map(Cipher::Bits192),
            KeySize::Bits256 => Aes256::new_from_slice(key).map(Cipher::Bits256),
        };
        cipher.expect("each size is the key length of its cipher")
    }

    /// Derives a key of `size` for `usage`; `id` says of which device and counter.
    pub(super) fn derive(&self, usage: KeyUsage, size: KeySize, id: [u8; 8]) -> Self {
        let cipher = self.cipher();
        let mut bytes = [0; KEY_LENGTH_MAX];
        let blocks = bytes.as_chunks_mut::<BLOCK_LENGTH>().0.iter_mut();
        for (number, target) in (1..).zip(blocks) {
            *target = cipher.encrypt_block(derivation_block(number, usage, size, id));
        }
        for excess in bytes.iter_mut().skip(size.length()) {
            excess.zeroize();
        }
        let key = Self { bytes, size };
        bytes.zeroize();
        key
    }
}

impl TryFrom<&[u8]> for Key {
    type Error = DukptError;

    fn try_from(key: &[u8]) -> Result<Self, DukptError> {
        let size = [KeySize::Bits128, KeySize::Bits192, KeySize::Bits256]
            .into_iter()
            .find(|size| size.length() == key.len())
            .ok_or(DukptError::KeyLength)?;
        let mut bytes = [0; KEY_LENGTH_MAX];
        bytes
            .iter_mut()
            .zip(key)
            .for_each(|(target, source)| *target = *source);
        let key = Self { bytes, size };
        bytes.zeroize();
        Ok(key)
    }
}

/// `version | number | usage (2) | algorithm (2) | bits (2) | id (8)`.
fn derivation_block(number: u8, usage: KeyUsage, size: KeySize, id: [u8; 8]) -> [u8; BLOCK_LENGTH] {
    let [usage_high, usage_low] = (usage as u16).to_be_bytes();
    let [algorithm_high, algorithm_low] = size.algorithm().to_be_bytes();
    let [bits_high, bits_low] = size.bits().to_be_bytes();
    let [a, b, c, d, e, f, g, h] = id;
    [
        DERIVATION_VERSION,
        number,
        usage_high,
        usage_low,
        algorithm_high,
        algorithm_low,
        bits_high,
        bits_low,
        a,
        b,
        c,
        d,
        e,
        f,
        g,
        h,
    ]
}

/// A key's schedule; clears itself when dropped.
pub(super) enum Cipher {
    Bits128(Aes128),
    Bits192(Aes192),
    Bits256(Aes256),
}

impl Cipher {
    pub(super) fn encrypt_block(&self, block: [u8; BLOCK_LENGTH]) -> [u8; BLOCK_LENGTH] {
        let mut block = block.into();
        match self {
            Self::Bits128(cipher) => cipher.encrypt_block(&mut block),
            Self::Bits192(cipher) => cipher.encrypt_block(&mut block),
            Self::Bits256(cipher) => cipher.encrypt_block(&mut block),
        }
        block.into()
    }

    pub(super) fn decrypt_block(&self, block: &mut [u8; BLOCK_LENGTH]) {
        match self {
            Self::Bits128(cipher) => cipher.decrypt_block(block.into()),
            Self::Bits192(cipher) => cipher.decrypt_block(block.into()),
            Self::Bits256(cipher) => cipher.decrypt_block(block.into()),
        }
    }
}
