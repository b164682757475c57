//! AES DUKPT (ANSI X9.24-3): key serial numbers of 96 bits, keys of 16, 24 or 32 bytes.
//!
//! Owns derivation and the encryption of card data under a derived key. It never keeps a key
//! longer than its owner does, and never shows one.

use std::fmt;

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{DukptError, decrypt_chained, encrypt_chained};

/// Bytes of a cipher block.
pub const BLOCK_LENGTH: usize = 16;

const KEY_LENGTH_MAX: usize = 32;

/// Counter values with more one-bits are skipped, so that a derivation has at most 16 steps.
const COUNTER_ONES_MAX: u32 = 16;
const COUNTER_BITS: u32 = 32;

/// The version byte that every derivation block begins with (X9.24-3, key derivation data).
const DERIVATION_VERSION: u8 = 0x01;

/// A key serial number: which base key, which device, and which of its keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ksn([u8; Self::LENGTH]);

impl Ksn {
    /// Bytes of a key serial number.
    pub const LENGTH: usize = 12;

    /// Wraps the twelve bytes.
    pub const fn new(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// The twelve bytes.
    pub const fn bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// Which base key the device's key descends from: the first four bytes.
    pub const fn base_key_id(&self) -> BaseKeyId {
        let [a, b, c, d, ..] = self.0;
        BaseKeyId([a, b, c, d])
    }

    /// The transaction counter: the last four bytes.
    pub const fn counter(&self) -> u32 {
        let [.., a, b, c, d] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }

    /// The same device with another counter.
    #[must_use]
    pub const fn with_counter(self, counter: u32) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        let [w, x, y, z] = counter.to_be_bytes();
        Self([a, b, c, d, e, f, g, h, w, x, y, z])
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
    const fn initial_key_id(&self) -> [u8; 8] {
        let [id @ .., _, _, _, _] = self.0;
        id
    }

    /// Device id and counter: what every later key is derived with.
    const fn derivation_id(&self, counter: u32) -> [u8; 8] {
        let [_, _, _, _, a, b, c, d, ..] = self.0;
        let [w, x, y, z] = counter.to_be_bytes();
        [a, b, c, d, w, x, y, z]
    }
}

impl TryFrom<&[u8]> for Ksn {
    type Error = DukptError;

    fn try_from(bytes: &[u8]) -> Result<Self, DukptError> {
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| DukptError::KsnLength)
    }
}

impl fmt::Display for Ksn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02X}"))
    }
}

impl fmt::Debug for Ksn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Ksn({self})")
    }
}

/// Names a base key; the first four bytes of every key serial number under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BaseKeyId(pub [u8; 4]);

/// What a derived key may be used for (X9.24-3, key usage indicators).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
enum KeyUsage {
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
enum KeySize {
    Bits128,
    Bits192,
    Bits256,
}

impl KeySize {
    const fn length(self) -> usize {
        match self {
            Self::Bits128 => 16,
            Self::Bits192 => 24,
            Self::Bits256 => 32,
        }
    }

    const fn bits(self) -> u16 {
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
struct Key {
    /// Zero beyond the key's length.
    bytes: [u8; KEY_LENGTH_MAX],
    size: KeySize,
}

impl Key {
    fn cipher(&self) -> Cipher {
        let [a @ .., _, _, _, _, _, _, _, _] = self.bytes;
        let [b @ .., _, _, _, _, _, _, _, _] = a;
        let (long, short) = (Zeroizing::new(a), Zeroizing::new(b));
        match self.size {
            KeySize::Bits128 => Cipher::Bits128(Aes128::new(&(*short).into())),
            KeySize::Bits192 => Cipher::Bits192(Aes192::new(&(*long).into())),
            KeySize::Bits256 => Cipher::Bits256(Aes256::new(&self.bytes.into())),
        }
    }

    /// Derives a key of `size` for `usage`; `id` says of which device and counter.
    fn derive(&self, usage: KeyUsage, size: KeySize, id: [u8; 8]) -> Self {
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
enum Cipher {
    Bits128(Aes128),
    Bits192(Aes192),
    Bits256(Aes256),
}

impl Cipher {
    fn encrypt_block(&self, block: [u8; BLOCK_LENGTH]) -> [u8; BLOCK_LENGTH] {
        let mut block = block.into();
        match self {
            Self::Bits128(cipher) => cipher.encrypt_block(&mut block),
            Self::Bits192(cipher) => cipher.encrypt_block(&mut block),
            Self::Bits256(cipher) => cipher.encrypt_block(&mut block),
        }
        block.into()
    }

    fn decrypt_block(&self, block: &mut [u8; BLOCK_LENGTH]) {
        match self {
            Self::Bits128(cipher) => cipher.decrypt_block(block.into()),
            Self::Bits192(cipher) => cipher.decrypt_block(block.into()),
            Self::Bits256(cipher) => cipher.decrypt_block(block.into()),
        }
    }
}

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(Key);

        impl TryFrom<&[u8]> for $name {
            type Error = DukptError;

            /// Takes a key of 16, 24 or 32 bytes.
            fn try_from(bytes: &[u8]) -> Result<Self, DukptError> {
                Key::try_from(bytes).map(Self)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(concat!(stringify!($name), "(redacted)"))
            }
        }
    )*};
}

keys! {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    const AES_128: &str = include_str!("../../vectors/dukpt_aes128.json");
    const AES_256: &str = include_str!("../../vectors/dukpt_aes256.json");

    fn bytes(value: &Value) -> Vec<u8> {
        hex::decode(value.as_str().unwrap()).unwrap()
    }

    fn ksn(text: &str) -> Ksn {
        Ksn::try_from(hex::decode(text).unwrap().as_slice()).unwrap()
    }

    fn shown(key: &Key) -> String {
        hex::encode_upper(&key.bytes[..key.size.length()])
    }

    /// Columns of the vectors by usage and length.
    fn derived(column: &str) -> Option<(KeyUsage, KeySize)> {
        let (usage, size) = column.rsplit_once('_')?;
        let usage = match usage {
            "PIN" => KeyUsage::PinEncryption,
            "MAC_GEN" => KeyUsage::MacGeneration,
            "MAC_VER" => KeyUsage::MacVerification,
            "MAC_BOTH" => KeyUsage::MacBothWays,
            "DATA_ENC" => KeyUsage::DataEncryption,
            "DATA_DEC" => KeyUsage::DataDecryption,
            "DATA_BOTH" => KeyUsage::DataBothWays,
            _ => return None,
        };
        match size {
            "AES128" => Some((usage, KeySize::Bits128)),
            "AES192" => Some((usage, KeySize::Bits192)),
            "AES256" => Some((usage, KeySize::Bits256)),
            _ => None,
        }
    }

    /// Checks every key of every row; gives how many keys there were.
    fn check(text: &str) -> usize {
        let vectors: Value = serde_json::from_str(text).unwrap();
        let base = BaseDerivationKey::try_from(bytes(&vectors["bdk"]).as_slice()).unwrap();
        let ikid = vectors["ikid"].as_str().unwrap();
        let initial = base.initial_key(ksn(&format!("{ikid}00000000")));
        assert_eq!(shown(&initial.0), vectors["ik"]);
        let mut count = 0;
        for row in vectors["rows"].as_array().unwrap() {
            let ksn = ksn(row["ksn"].as_str().unwrap());
            let key = initial.transaction_key(ksn);
            assert_eq!(shown(&key.0), row["txn_key"], "{ksn}");
            for (column, expected) in row.as_object().unwrap() {
                let Some((usage, size)) = derived(column) else {
                    continue;
                };
                let id = ksn.derivation_id(ksn.counter());
                let found = key.0.derive(usage, size, id);
                assert_eq!(shown(&found), *expected, "{ksn} {column}");
                count += 1;
            }
            let own = format!("DATA_ENC_AES{}", base.0.size.bits());
            assert_eq!(shown(&initial.data_key(ksn).0), row[&own], "{ksn}");
        }
        count
    }

    #[test]
    fn every_row_of_the_standard_agrees() {
        assert_eq!(check(AES_128), 10 * 7);
        assert_eq!(check(AES_256), 10 * 14);
    }

    #[test]
    fn counters_with_more_than_sixteen_ones_are_skipped() {
        let device = ksn("123456789012345600000000");
        for (counter, next) in [
            (0x0000_0000, Some(0x0000_0001)),
            (0x0000_FFFF, Some(0x0001_0000)),
            (0x0001_FFFE, Some(0x0002_0000)),
            (0x7FFF_8000, Some(0x8000_0000)),
            (0xFFFE_8000, Some(0xFFFF_0000)),
            (0xFFFF_0000, None),
            (0xFFFF_FFFF, None),
        ] {
            let found = device.with_counter(counter).next();
            let found = found.map(|ksn| ksn.counter());
            assert_eq!(found, next, "{counter:08X}");
        }
    }

    /// The rows of the standard are neighbours, but for two jumps.
    #[test]
    fn the_keys_of_a_device_follow_each_other() {
        let vectors: Value = serde_json::from_str(AES_128).unwrap();
        let rows = vectors["rows"].as_array().unwrap();
        let row = |place: usize| ksn(rows[place]["ksn"].as_str().unwrap());
        let device = row(0).with_counter(0);
        assert_eq!(device.next(), Some(row(0)));
        assert_eq!(row(0).next(), Some(row(1)));
        assert_eq!(row(2).next(), Some(row(3)));
        assert_eq!(row(6).next(), Some(row(7)));
        assert_eq!(row(8).next(), Some(row(9)));
    }

    #[test]
    fn the_parts_of_a_key_serial_number() {
        let ksn = ksn("123456789012345600020001");
        assert_eq!(ksn.base_key_id(), BaseKeyId([0x12, 0x34, 0x56, 0x78]));
        assert_eq!(ksn.counter(), 0x0002_0001);
        assert_eq!(ksn.to_string(), "123456789012345600020001");
        assert_eq!(
            Ksn::try_from([0; 10].as_slice()),
            Err(DukptError::KsnLength)
        );
    }

    #[test]
    fn keys_have_three_lengths_and_are_not_shown() {
        for length in 0..40 {
            let key = BaseDerivationKey::try_from(vec![0x41; length].as_slice());
            assert_eq!(key.is_ok(), [16, 24, 32].contains(&length), "{length}");
            if let Ok(key) = key {
                assert_eq!(format!("{key:?}"), "BaseDerivationKey(redacted)");
            }
        }
    }

    #[test]
    fn ciphertext_is_whole_blocks_chained() {
        let ksn = ksn("123456789012345600000001");
        let base = BaseDerivationKey::try_from([0x5A; 16].as_slice()).unwrap();
        let key = base.initial_key(ksn).data_key(ksn);
        let sealed = key.encrypt(&[0x11; 32]);
        assert_ne!(sealed[..16], sealed[16..]);
        assert_eq!(key.encrypt(&[]), [0u8; 0]);
        let refused = key.decrypt(&sealed[..24]).map(|_| ());
        assert_eq!(refused, Err(DukptError::PartialBlock));
    }

    proptest! {
        #[test]
        fn what_is_encrypted_is_decrypted(
            length in prop::sample::select(vec![16usize, 24, 32]),
            key: [u8; 32],
            ksn: [u8; 12],
            plain in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let ksn = Ksn::new(ksn);
            let base = BaseDerivationKey::try_from(&key[..length]).unwrap();
            let key = base.initial_key(ksn).data_key(ksn);
            let sealed = key.encrypt(&plain);
            prop_assert_eq!(sealed.len(), plain.len().next_multiple_of(16));
            let opened = key.decrypt(&sealed).unwrap();
            prop_assert!(opened.starts_with(&plain));
            prop_assert!(opened.iter().skip(plain.len()).all(|byte| *byte == 0));
        }

        #[test]
        fn the_next_counter_is_the_first_that_may_be_used(counter: u32) {
            let ksn = Ksn::new([0; 12]).with_counter(counter);
            match ksn.next() {
                Some(next) => {
                    prop_assert!(next.counter() > counter && next.counter().count_ones() <= 16);
                    let skipped = (counter + 1..next.counter()).take(1_000);
                    prop_assert!(skipped.into_iter().all(|skipped| skipped.count_ones() > 16));
                }
                None => prop_assert!(counter >= 0xFFFF_0000),
            }
        }
    }
}
