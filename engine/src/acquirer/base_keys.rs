//! What the keys of readers descend from.
//!
//! Owns which base key opens which reader's data. A key service or a hardware module takes this
//! place one day; until then there are only the published keys below, and they are FOR TESTS ONLY:
//! everybody has them. A reader whose key descends from one of them protects nothing.

use std::collections::BTreeMap;

use protocol::dukpt::aes::BaseKeyId;
use protocol::dukpt::{DataKey, Scheme, aes, tdes};
use zeroize::Zeroizing;

use super::card_data::CardDataError;

/// The triple-DES base key that the vendor publishes for demonstration readers. FOR TESTS ONLY.
pub const TEST_BASE_KEY: &str = "0123456789ABCDEFFEDCBA9876543210";

/// The AES base key of the test vectors in the supplement of ANSI X9.24-3. FOR TESTS ONLY.
pub const TEST_AES_BASE_KEY: &str = "FEDCBA9876543210F1F1F1F1F1F1F1F1";

/// The name of [`TEST_AES_BASE_KEY`] in key serial numbers, in the same vectors.
pub const TEST_AES_BASE_KEY_ID: BaseKeyId = BaseKeyId([0x12, 0x34, 0x56, 0x78]);

/// Why a text is not a base key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("base derivation key is not 32 hexadecimal digits")]
pub struct InvalidBaseKey;

/// Reads a base derivation key from 32 hexadecimal digits.
///
/// # Errors
/// [`InvalidBaseKey`] when the text is anything else.
pub fn parse_base_key(text: &str) -> Result<tdes::BaseDerivationKey, InvalidBaseKey> {
    parse(text).map(|bytes| tdes::BaseDerivationKey::new(*bytes))
}

fn parse(text: &str) -> Result<Zeroizing<[u8; 16]>, InvalidBaseKey> {
    let mut bytes = Zeroizing::new([0; 16]);
    hex::decode_to_slice(text, bytes.as_mut_slice()).map_err(|_| InvalidBaseKey)?;
    Ok(bytes)
}

/// The base keys that the engine may use.
#[derive(Debug, Clone)]
pub struct BaseKeys {
    /// Opens every reader under triple DES: its key serial numbers do not say whose they are in a
    /// way that all devices share.
    triple_des: tdes::BaseDerivationKey,
    /// By the name that every key serial number begins with.
    aes: BTreeMap<BaseKeyId, aes::BaseDerivationKey>,
}

impl BaseKeys {
    /// One key for triple DES, none for AES.
    pub const fn new(triple_des: tdes::BaseDerivationKey) -> Self {
        Self {
            triple_des,
            aes: BTreeMap::new(),
        }
    }

    /// Adds a key for AES.
    #[must_use]
    pub fn with_aes(mut self, id: BaseKeyId, key: aes::BaseDerivationKey) -> Self {
        self.aes.insert(id, key);
        self
    }

    /// The published keys. FOR TESTS ONLY: no real card may be read with them.
    pub fn published_for_tests() -> Self {
        let triple_des =
            parse_base_key(TEST_BASE_KEY).expect("the test key is 32 hexadecimal digits");
        let aes = parse(TEST_AES_BASE_KEY).expect("the test key is 32 hexadecimal digits");
        let aes = aes::BaseDerivationKey::try_from(aes.as_slice())
            .expect("16 bytes are the length of an AES key");
        Self::new(triple_des).with_aes(TEST_AES_BASE_KEY_ID, aes)
    }

    /// The key that card data was encrypted with under this key serial number.
    ///
    /// # Errors
    /// [`CardDataError::KeySerialNumber`], [`CardDataError::UnknownKey`].
    pub(super) fn data_key(&self, scheme: Scheme, ksn: &[u8]) -> Result<DataKey, CardDataError> {
        match scheme {
            Scheme::TripleDes => {
                let ksn = triple_des_ksn(ksn)?;
                let key = self.triple_des.initial_key(ksn).data_key(ksn);
                Ok(DataKey::TripleDes(key))
            }
            Scheme::Aes => {
                let ksn = aes::Ksn::try_from(ksn).map_err(|_| CardDataError::KeySerialNumber)?;
                let base = self.aes.get(&ksn.base_key_id());
                let base = base.ok_or(CardDataError::UnknownKey)?;
                Ok(DataKey::Aes(base.initial_key(ksn).data_key(ksn)))
            }
        }
    }

    /// The key of older readers, which encrypt stripes under the PIN variant. Triple DES only.
    ///
    /// # Errors
    /// [`CardDataError::KeySerialNumber`].
    pub(super) fn pin_variant(&self, ksn: &[u8]) -> Result<DataKey, CardDataError> {
        let ksn = triple_des_ksn(ksn)?;
        let key = self.triple_des.initial_key(ksn).transaction_key(ksn);
        Ok(DataKey::TripleDes(key.pin_variant()))
    }
}

fn triple_des_ksn(ksn: &[u8]) -> Result<tdes::Ksn, CardDataError> {
    tdes::Ksn::try_from(ksn).map_err(|_| CardDataError::KeySerialNumber)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_keys_are_read_and_not_shown() {
        assert!(parse_base_key(TEST_BASE_KEY).is_ok());
        for text in [
            "",
            "0123",
            &"0".repeat(31),
            &"g".repeat(32),
            &"0".repeat(34),
        ] {
            assert_eq!(parse_base_key(text).map(|_| ()), Err(InvalidBaseKey));
        }
        let shown = format!("{:?}", BaseKeys::published_for_tests());
        assert!(
            shown.contains("redacted") && !shown.contains("0123"),
            "{shown}"
        );
    }

    #[test]
    fn a_key_serial_number_chooses_the_key() {
        use CardDataError as E;
        let keys = BaseKeys::published_for_tests();
        let aes = [0x12, 0x34, 0x56, 0x78, 0, 0, 0, 1, 0, 0, 0, 1];
        let mut other = aes;
        other[3] ^= 1;
        for (scheme, ksn, expected) in [
            (Scheme::TripleDes, &[9; 10][..], Ok(Scheme::TripleDes)),
            (Scheme::TripleDes, &[9; 12], Err(E::KeySerialNumber)),
            (Scheme::Aes, &aes, Ok(Scheme::Aes)),
            (Scheme::Aes, &other, Err(E::UnknownKey)),
            (Scheme::Aes, &aes[..10], Err(E::KeySerialNumber)),
            (Scheme::Aes, &[], Err(E::KeySerialNumber)),
        ] {
            let found = keys.data_key(scheme, ksn).map(|key| key.scheme());
            assert_eq!(found, expected, "{scheme:?} {ksn:?}");
        }
        assert!(keys.pin_variant(&[9; 10]).is_ok());
        let refused = keys.pin_variant(&aes).map(|_| ());
        assert_eq!(refused, Err(E::KeySerialNumber));
    }
}
