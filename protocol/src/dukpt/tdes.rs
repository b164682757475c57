//! Triple-DES DUKPT (ANSI X9.24-1): key serial numbers of 80 bits, keys of 16 bytes.
//!
//! Owns derivation and the encryption of card data under a derived key. It never keeps a key
//! longer than its owner does, and never shows one.

use std::fmt;

use des::TdesEde2;
use des::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{DukptError, decrypt_chained, encrypt_chained, xor};

const KEY_LENGTH: usize = 16;
const HALF_LENGTH: usize = 8;
/// Bytes of a cipher block.
pub const BLOCK_LENGTH: usize = 8;

/// The transaction counter is the low 21 bits.
const COUNTER_MASK: u32 = 0x001F_FFFF;
const COUNTER_BITS: u32 = 21;
/// Counter values with more one-bits are skipped, so that a derivation has at most ten steps.
const COUNTER_ONES_MAX: u32 = 10;

/// Separates the two halves of a key (X9.24-1 annex A.2).
const HALF_VARIANT: [u8; KEY_LENGTH] = [
    0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0, 0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0,
];
/// Makes the data encryption (request) variant (X9.24-1:2009 annex A.4.1).
const DATA_VARIANT: [u8; KEY_LENGTH] = [0, 0, 0, 0, 0, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0, 0];
/// Makes the PIN encryption variant (X9.24-1:2009 annex A.4.1).
const PIN_VARIANT: [u8; KEY_LENGTH] = [0, 0, 0, 0, 0, 0, 0, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0xFF];

/// A key serial number: who the device is, and which of its keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ksn([u8; Self::LENGTH]);

impl Ksn {
    /// Bytes of a key serial number.
    pub const LENGTH: usize = 10;

    /// Wraps the ten bytes.
    pub const fn new(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// The ten bytes.
    pub const fn bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// The transaction counter: the low 21 bits.
    pub fn counter(&self) -> u32 {
        let [.., high, middle, low] = self.0;
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
        let [device @ .., high, _, _] = self.0;
        let kept = u32::from(high) << 16 & !COUNTER_MASK;
        let [_, high, middle, low] = (kept | (counter & COUNTER_MASK)).to_be_bytes();
        let mut bytes = [0; Self::LENGTH];
        bytes
            .iter_mut()
            .zip(device.into_iter().chain([high, middle, low]))
            .for_each(|(target, source)| *target = source);
        Self(bytes)
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
    fn register(&self) -> u64 {
        let [_, _, register @ ..] = self.0;
        u64::from_be_bytes(register) & !u64::from(COUNTER_MASK)
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

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Zeroize, ZeroizeOnDrop)]
        pub struct $name([u8; KEY_LENGTH]);

        impl $name {
            /// Wraps the 16 key bytes.
            pub const fn new(bytes: [u8; KEY_LENGTH]) -> Self {
                Self(bytes)
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = DukptError;

            fn try_from(bytes: &[u8]) -> Result<Self, DukptError> {
                bytes.try_into().map(Self).map_err(|_| DukptError::KeyLength)
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
    /// The key of one key serial number; only its variants are ever used.
    TransactionKey,
    /// Encrypts card data from the device to the host.
    DataKey,
}

impl BaseDerivationKey {
    /// The key that the device of `ksn` was loaded with.
    pub fn initial_key(&self, ksn: Ksn) -> InitialKey {
        let [register @ .., _, _] = ksn.initial().0;
        InitialKey::new(with_halves(&self.0, register))
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
        let mut key = Zeroizing::new(self.0);
        for bit in (0..COUNTER_BITS).rev().map(|place| 1u32 << place) {
            if counter & bit != 0 {
                register |= u64::from(bit);
                *key = one_way(&key, register);
            }
        }
        TransactionKey::new(*key)
    }

    /// The key that encrypts card data under `ksn`.
    pub fn data_key(&self, ksn: Ksn) -> DataKey {
        self.transaction_key(ksn).data_key()
    }
}

impl TransactionKey {
    /// The data encryption key: the variant, encrypted half by half under itself.
    pub fn data_key(&self) -> DataKey {
        let variant = Zeroizing::new(xor(self.0, DATA_VARIANT));
        let cipher = cipher(&variant);
        let (left, right) = halves(&variant);
        DataKey::new(join(
            encrypt_block(&cipher, left),
            encrypt_block(&cipher, right),
        ))
    }

    /// The key under which older readers encrypt card data: the PIN variant as it is.
    pub fn pin_variant(&self) -> DataKey {
        DataKey::new(xor(self.0, PIN_VARIANT))
    }
}

impl DataKey {
    /// Encrypts in CBC mode with a zero vector, after zero padding to whole blocks.
    pub fn encrypt(&self, plain: &[u8]) -> Vec<u8> {
        let cipher = cipher(&self.0);
        encrypt_chained(plain, |block| encrypt_block(&cipher, block))
    }

    /// Decrypts what [`DataKey::encrypt`] made; the padding stays.
    ///
    /// # Errors
    /// [`DukptError::PartialBlock`] when `sealed` is not whole blocks.
    pub fn decrypt(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, DukptError> {
        let cipher = cipher(&self.0);
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
    let single = cipher(&join(left, left));
    xor(encrypt_block(&single, block), right)
}

fn cipher(key: &[u8; KEY_LENGTH]) -> TdesEde2 {
    TdesEde2::new(&(*key).into())
}

fn encrypt_block(cipher: &TdesEde2, block: [u8; BLOCK_LENGTH]) -> [u8; BLOCK_LENGTH] {
    let mut block = block.into();
    cipher.encrypt_block(&mut block);
    block.into()
}

fn decrypt_block(cipher: &TdesEde2, block: &mut [u8; BLOCK_LENGTH]) {
    cipher.decrypt_block(block.into());
}

fn halves(key: &[u8; KEY_LENGTH]) -> ([u8; HALF_LENGTH], [u8; HALF_LENGTH]) {
    let [a, b, c, d, e, f, g, h, right @ ..] = *key;
    ([a, b, c, d, e, f, g, h], right)
}

fn join(left: [u8; HALF_LENGTH], right: [u8; HALF_LENGTH]) -> [u8; KEY_LENGTH] {
    let mut key = [0; KEY_LENGTH];
    key.iter_mut()
        .zip(left.into_iter().chain(right))
        .for_each(|(target, source)| *target = source);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn array<const N: usize>(value: &Value) -> [u8; N] {
        hex::decode(value.as_str().unwrap())
            .unwrap()
            .try_into()
            .unwrap()
    }

    fn load(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn every_row_of_the_standard_agrees() {
        let vectors = load(include_str!("../../vectors/dukpt_tdes.json"));
        let base = BaseDerivationKey::new(array(&vectors["bdk"]));
        let initial = base.initial_key(Ksn::new(array(&vectors["initial_ksn"])));
        assert_eq!(initial.0, array(&vectors["ik"]));
        let plain = vectors["data_ascii"].as_str().unwrap().as_bytes();
        let rows = vectors["rows"].as_array().unwrap();
        assert!(rows.len() >= 23);
        for row in rows {
            let ksn = Ksn::new(array(&row["ksn"]));
            assert_eq!(base.initial_key(ksn).0, initial.0, "{ksn}");
            let key = initial.transaction_key(ksn);
            assert_eq!(key.0, array(&row["txn_key"]), "{ksn}");
            let data_key = initial.data_key(ksn);
            assert_eq!(data_key.0, array(&row["data_req_key"]), "{ksn}");
            assert_eq!(key.pin_variant().0, array(&row["pin_key"]), "{ksn}");
            let sealed = data_key.encrypt(plain);
            assert_eq!(sealed, array::<24>(&row["data_req_cbc"]), "{ksn}");
            assert!(data_key.decrypt(&sealed).unwrap().starts_with(plain));
        }
    }

    #[test]
    fn the_first_keys_of_a_device_follow_each_other() {
        let vectors = load(include_str!("../../vectors/dukpt_tdes.json"));
        let mut ksn = Ksn::new(array(&vectors["initial_ksn"]));
        for row in &vectors["rows"].as_array().unwrap()[..2] {
            ksn = ksn.next().unwrap();
            assert_eq!(ksn.to_string(), row["ksn"].as_str().unwrap());
        }
    }

    #[test]
    fn the_readers_key_and_the_worked_example_agree() {
        let vectors = load(include_str!("../../vectors/idtech_neo2.json"));
        let keys = &vectors["constructed_keys"];
        let ksn = Ksn::new(array(&keys["ksn"]));
        let base = BaseDerivationKey::new(array(&keys["bdk"]));
        let key = base.initial_key(ksn).data_key(ksn);
        assert_eq!(key.0, array(&keys["data_key"]));
        for (plain, sealed) in [
            ("plain_57_tlv_padded", "cipher_57"),
            ("plain_5A_tlv_padded", "cipher_5A"),
        ] {
            let plain = hex::decode(keys[plain].as_str().unwrap()).unwrap();
            let sealed = hex::decode(keys[sealed].as_str().unwrap()).unwrap();
            assert_eq!(key.encrypt(&plain), sealed);
            assert_eq!(*key.decrypt(&sealed).unwrap(), plain);
        }
        let flow = &vectors["flow_keys"];
        for counter in ["12", "13", "14", "15"] {
            let ksn = Ksn::new(array(&flow[format!("ksn_{counter}")]));
            let initial = base.initial_key(ksn);
            assert_eq!(initial.0, array(&flow["ik"]));
            let expected = array(&flow[format!("data_key_{counter}")]);
            assert_eq!(initial.data_key(ksn).0, expected);
        }
    }

    #[test]
    fn counters_with_more_than_ten_ones_are_skipped() {
        let device = Ksn::new([0xFF; 10]).initial();
        assert_eq!(device.to_string(), "FFFFFFFFFFFFFFE00000");
        for (counter, next) in [
            (0x00_0000, Some(0x00_0001)),
            (0x00_07FE, Some(0x00_0800)),
            (0x1F_F7FF, Some(0x1F_F800)),
            (0x1F_F800, None),
        ] {
            let found = device.with_counter(counter).next();
            assert_eq!(found.map(|ksn| ksn.counter()), next, "{counter:06X}");
        }
    }

    #[test]
    fn keys_are_not_shown() {
        let key = BaseDerivationKey::new([0x41; 16]);
        assert_eq!(format!("{key:?}"), "BaseDerivationKey(redacted)");
        assert!(BaseDerivationKey::try_from([0; 15].as_slice()).is_err());
        assert_eq!(
            Ksn::try_from([0; 12].as_slice()),
            Err(DukptError::KsnLength)
        );
    }

    proptest! {
        #[test]
        fn what_is_encrypted_is_decrypted(
            key: [u8; 16], ksn: [u8; 10], plain in prop::collection::vec(any::<u8>(), 0..64)
        ) {
            let ksn = Ksn::new(ksn);
            let key = BaseDerivationKey::new(key).initial_key(ksn).data_key(ksn);
            let sealed = key.encrypt(&plain);
            let opened = key.decrypt(&sealed).unwrap();
            prop_assert!(opened.starts_with(&plain));
            prop_assert!(opened.iter().skip(plain.len()).all(|byte| *byte == 0));
            if !plain.is_empty() {
                prop_assert_eq!(key.decrypt(&sealed[1..]).unwrap_err(), DukptError::PartialBlock);
            }
        }

        #[test]
        fn the_device_part_survives_counting(bytes: [u8; 10], counter: u32) {
            let ksn = Ksn::new(bytes);
            prop_assert_eq!(ksn.with_counter(ksn.counter()), ksn);
            prop_assert_eq!(ksn.with_counter(counter).initial(), ksn.initial());
            if let Some(next) = ksn.next() {
                prop_assert!(next.counter() > ksn.counter() && next.counter().count_ones() <= 10);
            }
        }
    }
}
