//! The card in clear: decrypts what the reader sealed, and checks that it is what it claims to be.
//!
//! Owns the only path from sealed card data to an account number. What it gives out is cleared when
//! dropped, cannot be cloned and is absent from `Debug`; its errors carry no data. It never keeps,
//! logs or forwards anything.

use std::fmt;

use protocol::dukpt::{BLOCK_LENGTH, BaseDerivationKey, DataKey, Ksn};
use protocol::reader::outcome::{CardRead, TAG_SWIPE};
use protocol::reader::swipe::Swipe;
use protocol::reader::tlv::Form;
use zeroize::Zeroizing;

use super::SealedCard;

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
/// Attribution bits that are not zero when values are not encrypted under triple DES.
const OTHER_SCHEME: u8 = 0x06;

/// Why sealed card data cannot be used. None of them says anything about the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CardDataError {
    /// Not the reader's format.
    #[error("card data is malformed")]
    Malformed,
    /// Card data is not encrypted.
    #[error("card data is not encrypted")]
    NotEncrypted,
    /// Encrypted, but not with triple DES under the data key.
    #[error("card data is encrypted in an unsupported way")]
    UnsupportedEncryption,
    /// No key serial number, or one of a wrong length.
    #[error("card data has no usable key serial number")]
    KeySerialNumber,
    /// Neither track 2 nor an account number is there.
    #[error("card data has no account number")]
    NoAccountNumber,
    /// The plaintext is not one whole value and its padding: another key, or changed on the way.
    #[error("card data does not decrypt to a whole value")]
    NotWhole,
    /// The value is not an account number or a track.
    #[error("card data is not an account number or a track")]
    NotACard,
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
    /// Decrypts a card with the key that its reader's key descends from.
    ///
    /// # Errors
    /// [`CardDataError`] when it cannot be decrypted, is no card, or contradicts itself.
    pub fn open(card: &SealedCard, key: &BaseDerivationKey) -> Result<Self, CardDataError> {
        let read = CardRead::parse(card.bytes()).map_err(|_| CardDataError::Malformed)?;
        if !read.attribution.is_encrypted() {
            return Err(CardDataError::NotEncrypted);
        }
        if read.attribution.0 & OTHER_SCHEME != 0 {
            return Err(CardDataError::UnsupportedEncryption);
        }
        let has_chip_data = [TAG_TRACK_TWO, TAG_ACCOUNT_NUMBER]
            .iter()
            .any(|tag| read.find(u32::from(*tag), Form::Encrypted).is_some());
        let opened = if has_chip_data {
            Self::open_chip(&read, key)?
        } else {
            Self::open_stripe(&read, key)?
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

    /// Track 2 without sentinels, `=` between number and expiry.
    pub fn track_two(&self) -> Option<&str> {
        self.track_two.as_ref().map(|track| track.as_str())
    }

    fn open_chip(read: &CardRead<'_>, key: &BaseDerivationKey) -> Result<Self, CardDataError> {
        let key = data_key(read.ksn, key)?;
        let open = |tag, length_max| -> Result<Option<Zeroizing<Vec<u8>>>, CardDataError> {
            read.find(u32::from(tag), Form::Encrypted)
                .map(|sealed| whole_value(&decrypt(&key, sealed)?, tag, length_max))
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

    fn open_stripe(read: &CardRead<'_>, key: &BaseDerivationKey) -> Result<Self, CardDataError> {
        let block = read
            .find(TAG_SWIPE, Form::Clear)
            .ok_or(CardDataError::NoAccountNumber)?;
        let swipe = Swipe::parse(block).map_err(|_| CardDataError::Malformed)?;
        if swipe.is_aes || swipe.is_pin_variant {
            return Err(CardDataError::UnsupportedEncryption);
        }
        let [_, track, _] = swipe.tracks;
        let sealed = track.encrypted.ok_or(CardDataError::NoAccountNumber)?;
        let key = data_key(swipe.ksn.or(read.ksn), key)?;
        let plain = decrypt(&key, sealed)?;
        let (text, padding) = plain
            .split_at_checked(track.clear_length)
            .ok_or(CardDataError::NotWhole)?;
        check_padding(padding)?;
        // Start sentinel, track, end sentinel, check character.
        let [b';', text @ .., b'?', _] = text else {
            return Err(CardDataError::NotWhole);
        };
        let text = std::str::from_utf8(text).map_err(|_| CardDataError::NotACard)?;
        let card = Self::from_track(Zeroizing::new(text.to_owned()))?;
        if let Some(masked) = track.masked {
            card.check_mask(
                masked
                    .iter()
                    .skip(1)
                    .take_while(|byte| **byte != b'=')
                    .map(|byte| digit_value(*byte)),
            )?;
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

fn data_key(ksn: Option<&[u8]>, key: &BaseDerivationKey) -> Result<DataKey, CardDataError> {
    let ksn = ksn.ok_or(CardDataError::KeySerialNumber)?;
    let ksn = Ksn::try_from(ksn).map_err(|_| CardDataError::KeySerialNumber)?;
    Ok(key.initial_key(ksn).data_key(ksn))
}

fn decrypt(key: &DataKey, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CardDataError> {
    key.decrypt(sealed).map_err(|_| CardDataError::NotWhole)
}

/// The value of the one TLV that `plain` holds, followed by nothing but padding.
fn whole_value(
    plain: &[u8],
    tag: u8,
    length_max: usize,
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
    check_padding(padding)?;
    Ok(Zeroizing::new(value.to_vec()))
}

fn check_padding(padding: &[u8]) -> Result<(), CardDataError> {
    if padding.len() < BLOCK_LENGTH && padding.iter().all(|byte| *byte == 0) {
        Ok(())
    } else {
        Err(CardDataError::NotWhole)
    }
}

/// Digits and the separator (nibble D) as text; F fills the end.
fn unpack(packed: &[u8]) -> Result<Zeroizing<String>, CardDataError> {
    // The capacity is exact: growing would leave card data behind in freed memory.
    let mut text = Zeroizing::new(String::with_capacity(packed.len().saturating_mul(2)));
    let mut rest = nibbles(packed);
    for nibble in rest.by_ref() {
        match nibble {
            0..=9 => text.push(char::from(b'0'.saturating_add(nibble))),
            0x0D => text.push('='),
            0x0F => break,
            _ => return Err(CardDataError::NotACard),
        }
    }
    if rest.all(|nibble| nibble == 0x0F) {
        Ok(text)
    } else {
        Err(CardDataError::NotACard)
    }
}

fn nibbles(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0F])
}

/// A shown or hidden (nibble C) digit; nothing at the number's end.
fn masked_nibble(nibble: u8) -> Option<Option<u8>> {
    match nibble {
        0..=9 => Some(Some(nibble)),
        0x0C => Some(None),
        _ => None,
    }
}

fn digit_value(byte: u8) -> Option<u8> {
    byte.is_ascii_digit().then(|| byte.wrapping_sub(b'0'))
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

fn is_year_and_month(text: &str) -> bool {
    let is_month = |month: u8| (1..=12).contains(&month);
    text.bytes().all(|byte| byte.is_ascii_digit())
        && text
            .get(2..4)
            .and_then(|month| month.parse().ok())
            .is_some_and(is_month)
}

fn chip_expiry(packed: &[u8]) -> Option<Zeroizing<String>> {
    let mut text = unpack(packed).ok()?;
    text.truncate(4);
    (text.len() == 4 && is_year_and_month(&text)).then_some(text)
}

/// The check digit formula of ISO/IEC 7812-1 annex B.
fn passes_luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .zip([1, 2].into_iter().cycle())
        .map(|(byte, weight)| {
            let product = digit_value(byte).map_or(0, u32::from) * weight;
            product / 10 + product % 10
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests;
