//! The card in clear: decrypts what the reader sealed, and checks that it is what it claims to be.
//!
//! Owns the only path from sealed card data to an account number. What it gives out is cleared when
//! dropped, cannot be cloned and is absent from `Debug`; its errors carry no data. It never keeps,
//! logs or forwards anything.
//!
//! # Layout
//! * `stripe`: tracks in the block of tag DFEE23.
//! * `digits`: packed digits, masks, check digits.

mod digits;
mod stripe;

use std::fmt;

use protocol::dukpt::{DataKey, Scheme};
use protocol::reader::outcome::CardRead;
use protocol::reader::tlv::Form;
use zeroize::Zeroizing;

use self::digits::{digit_value, is_year_and_month, masked_nibble, nibbles, passes_luhn, unpack};
use super::SealedCard;
use super::base_keys::BaseKeys;

/// Track 2 equivalent data (EMV book 3, annex A).
const TAG_TRACK_TWO: u8 = 0x57;
/// Application primary account number (EMV book 3, annex A).
const TAG_ACCOUNT_NUMBER: u8 = 0x5A;
/// Application expiration date, YYMMDD (EMV book 3, annex A).
const TAG_EXPIRY: u32 = 0x5F24;

/// Longest value of tag 57: 37 characters in nibbles.
const TRACK_TWO_BYTES_MAX: usize = 19;
/// Longest value of tag 5A: 19 digits in nibbles.
const ACCOUNT_NUMBER_BYTES_MAX: usize = 10;
/// Lengths of account numbers on payment cards (ISO/IEC 7812-1; shorter ones are not issued).
const DIGITS_MIN: usize = 12;
const DIGITS_MAX: usize = 19;

/// Why sealed card data cannot be used. None of them says anything about the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CardDataError {
    /// Not the reader's format.
    #[error("card data is malformed")]
    Malformed,
    /// Card data is not encrypted.
    #[error("card data is not encrypted")]
    NotEncrypted,
    /// Encrypted, but neither with triple DES nor with AES under DUKPT.
    #[error("card data is encrypted in an unsupported way")]
    UnsupportedEncryption,
    /// No key serial number, or one of a wrong length.
    #[error("card data has no usable key serial number")]
    KeySerialNumber,
    /// The key serial number names a base key that is not here.
    #[error("card data is encrypted under an unknown base key")]
    UnknownKey,
    /// Neither track 2 nor an account number is there.
    #[error("card data has no account number")]
    NoAccountNumber,
    /// The plaintext is not one whole value and its padding: another key, or changed on the way.
    #[error("card data does not decrypt to a whole value")]
    NotWhole,
    /// The value is not an account number or a track.
    #[error("card data is not an account number or a track")]
    NotACard,
    /// The check character at the end of the track is wrong: not read well, or changed.
    #[error("track has a wrong check character")]
    TrackCheck,
    /// The check digit of the account number is wrong.
    #[error("account number has a wrong check digit")]
    CheckDigit,
    /// Two values of the same card name different accounts.
    #[error("card data names different accounts")]
    Contradiction,
    /// What the reader shows of the number is not what it encrypted.
    #[error("masked and encrypted account number differ")]
    MaskDiffers,
}

/// A card in clear. Cleared when dropped.
pub struct ClearCard {
    account_number: Zeroizing<String>,
    /// `NUMBER=YYMMSSS…`, without sentinels.
    track_two: Option<Zeroizing<String>>,
    expiry: Option<Zeroizing<String>>,
}

impl ClearCard {
    /// Decrypts a card, under the scheme that it says, with the key that its reader's key descends
    /// from.
    ///
    /// # Errors
    /// [`CardDataError`] when it cannot be decrypted, is no card, or contradicts itself.
    pub fn open(card: &SealedCard, keys: &BaseKeys) -> Result<Self, CardDataError> {
        let read = CardRead::parse(card.bytes()).map_err(|_| CardDataError::Malformed)?;
        if !read.attribution.is_encrypted() {
            return Err(CardDataError::NotEncrypted);
        }
        let scheme = read.attribution.scheme();
        let scheme = scheme.ok_or(CardDataError::UnsupportedEncryption)?;
        let has_chip_data = [TAG_TRACK_TWO, TAG_ACCOUNT_NUMBER]
            .iter()
            .any(|tag| read.find(u32::from(*tag), Form::Encrypted).is_some());
        let opened = if has_chip_data {
            Self::open_chip(&read, scheme, keys)?
        } else {
            stripe::open(&read, keys)?
        };
        if passes_luhn(&opened.account_number) {
            Ok(opened)
        } else {
            Err(CardDataError::CheckDigit)
        }
    }

    /// The account number.
    pub fn account_number(&self) -> &str {
        &self.account_number
    }

    /// The last four digits, which may be kept.
    pub fn last_four(&self) -> Option<[u8; 4]> {
        self.account_number.as_bytes().last_chunk().copied()
    }

    /// Year and month of expiry, four digits.
    pub fn expiry(&self) -> Option<&str> {
        self.expiry.as_ref().map(|expiry| expiry.as_str())
    }

    /// The service code, three digits.
    pub fn service_code(&self) -> Option<&str> {
        let (_, rest) = self.track_two()?.split_once('=')?;
        rest.get(4..7)
    }

    /// Whether the card says that it has a chip: a service code that begins with 2 or 6 (ISO/IEC
    /// 7813).
    pub fn has_chip(&self) -> bool {
        self.service_code()
            .is_some_and(|code| code.starts_with(['2', '6']))
    }

    /// Track 2 without sentinels, `=` between number and expiry.
    pub fn track_two(&self) -> Option<&str> {
        self.track_two.as_ref().map(|track| track.as_str())
    }

    fn open_chip(
        read: &CardRead<'_>,
        scheme: Scheme,
        keys: &BaseKeys,
    ) -> Result<Self, CardDataError> {
        let ksn = read.ksn.ok_or(CardDataError::KeySerialNumber)?;
        let key = keys.data_key(scheme, ksn)?;
        let open = |tag, length_max| -> Result<Option<Zeroizing<Vec<u8>>>, CardDataError> {
            read.find(u32::from(tag), Form::Encrypted)
                .map(|sealed| {
                    let plain = decrypt(&key, sealed)?;
                    whole_value(&plain, tag, length_max, scheme.block_length())
                })
                .transpose()
        };
        let track = open(TAG_TRACK_TWO, TRACK_TWO_BYTES_MAX)?;
        let number = open(TAG_ACCOUNT_NUMBER, ACCOUNT_NUMBER_BYTES_MAX)?;
        let number = number.map(|digits| unpack(&digits)).transpose()?;
        let card = match track {
            Some(track) => Self::from_track(unpack(&track)?)?,
            None => Self {
                account_number: checked_number(number.as_ref().map_or("", |text| text.as_str()))?,
                track_two: None,
                expiry: read.find(TAG_EXPIRY, Form::Clear).and_then(chip_expiry),
            },
        };
        if number.is_some_and(|number| *number != *card.account_number) {
            return Err(CardDataError::Contradiction);
        }
        for tag in [TAG_TRACK_TWO, TAG_ACCOUNT_NUMBER] {
            if let Some(masked) = read.find(u32::from(tag), Form::Masked) {
                card.check_mask(nibbles(masked).map_while(masked_nibble))?;
            }
        }
        Ok(card)
    }

    fn from_track(track: Zeroizing<String>) -> Result<Self, CardDataError> {
        let (number, rest) = track.split_once('=').ok_or(CardDataError::NotACard)?;
        let expiry = rest.get(..4).filter(|text| is_year_and_month(text));
        let is_complete = rest
            .get(..7)
            .is_some_and(|fields| fields.bytes().all(|byte| byte.is_ascii_digit()));
        let (Some(expiry), true) = (expiry, is_complete) else {
            return Err(CardDataError::NotACard);
        };
        Ok(Self {
            account_number: checked_number(number)?,
            expiry: Some(Zeroizing::new(expiry.to_owned())),
            track_two: Some(track),
        })
    }

    /// Holds a masked number (hidden digits are `None`) against the account number. The last four
    /// must be shown: they are what receipt and refund go by.
    fn check_mask(&self, masked: impl Iterator<Item = Option<u8>>) -> Result<(), CardDataError> {
        let shown_from = self.account_number.len().saturating_sub(4);
        let mut digits = self.account_number.bytes().enumerate();
        let agrees = masked.fold(true, |agrees, shown| {
            let fits = match (digits.next(), shown) {
                (Some((_, digit)), Some(shown)) => digit_value(digit) == Some(shown),
                (Some((place, _)), None) => place < shown_from,
                (None, _) => false,
            };
            agrees && fits
        });
        if agrees && digits.next().is_none() {
            Ok(())
        } else {
            Err(CardDataError::MaskDiffers)
        }
    }
}

impl fmt::Debug for ClearCard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClearCard(redacted)")
    }
}

fn decrypt(key: &DataKey, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CardDataError> {
    key.decrypt(sealed).map_err(|_| CardDataError::NotWhole)
}

/// The value of the one TLV that `plain` holds, followed by nothing but padding.
fn whole_value(
    plain: &[u8],
    tag: u8,
    length_max: usize,
    block_length: usize,
) -> Result<Zeroizing<Vec<u8>>, CardDataError> {
    let [found, length, rest @ ..] = plain else {
        return Err(CardDataError::NotWhole);
    };
    let length = usize::from(*length);
    if *found != tag || length == 0 || length > length_max {
        return Err(CardDataError::NotWhole);
    }
    let (value, padding) = rest
        .split_at_checked(length)
        .ok_or(CardDataError::NotWhole)?;
    check_padding(padding, block_length)?;
    Ok(Zeroizing::new(value.to_vec()))
}

fn check_padding(padding: &[u8], block_length: usize) -> Result<(), CardDataError> {
    if padding.len() < block_length && padding.iter().all(|byte| *byte == 0) {
        Ok(())
    } else {
        Err(CardDataError::NotWhole)
    }
}

fn checked_number(text: &str) -> Result<Zeroizing<String>, CardDataError> {
    let is_number = (DIGITS_MIN..=DIGITS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number {
        Ok(Zeroizing::new(text.to_owned()))
    } else {
        Err(CardDataError::NotACard)
    }
}

fn chip_expiry(packed: &[u8]) -> Option<Zeroizing<String>> {
    let mut text = unpack(packed).ok()?;
    text.truncate(4);
    (text.len() == 4 && is_year_and_month(&text)).then_some(text)
}

#[cfg(test)]
mod tests;
