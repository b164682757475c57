//! What may be known and kept of a card: brand, masked number, entry mode, EMV receipt tags.
//!
//! Reads the clear and masked TLVs of the reader's answer. Never sees, and has no field for, a full
//! number, a track, an expiry date or a PIN block.

mod entry;

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::money::{Currency, Money};
use protocol::reader::outcome::{CardRead, TAG_SWIPE};
use protocol::reader::swipe::{Swipe, SwipeError};
use protocol::reader::tlv::{Form, Tlvs};

pub use entry::EntryMode;

/// EMV tags that a receipt or a dispute needs, and that hold nothing secret.
const KEPT: &[u32] = &[
    0x4F, 0x50, 0x82, 0x84, 0x89, 0x8A, 0x95, 0x9A, 0x9B, 0x9C, 0x5F2A, 0x5F34, 0x5F57, 0x9F02,
    0x9F03, 0x9F06, 0x9F10, 0x9F12, 0x9F1A, 0x9F26, 0x9F27, 0x9F33, 0x9F34, 0x9F35, 0x9F36, 0x9F37,
    0x9F39,
];

/// The longest value kept: application labels have 16 bytes, issuer data 32.
const VALUE_BYTES_MAX: usize = 64;

/// Brands by registered application provider (first five bytes of the AID).
const BRANDS_BY_PROVIDER: &[(&[u8], &str)] = &[
    (&[0xA0, 0x00, 0x00, 0x00, 0x03], "visa"),
    (&[0xA0, 0x00, 0x00, 0x00, 0x04], "mastercard"),
    (&[0xA0, 0x00, 0x00, 0x00, 0x25], "amex"),
    (&[0xA0, 0x00, 0x00, 0x01, 0x52], "discover"),
    (&[0xA0, 0x00, 0x00, 0x00, 0x65], "jcb"),
    (&[0xA0, 0x00, 0x00, 0x03, 0x33], "unionpay"),
];

/// Why a card read cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// Not the reader's format.
    #[error("card data is malformed")]
    Malformed,
    /// Card data is not encrypted: the reader is not to be used.
    #[error("card data is not encrypted")]
    NotEncrypted,
    /// The reader encrypts under a scheme that the engine cannot open, or names no usable key.
    #[error("card data is encrypted in an unsupported way")]
    UnsupportedEncryption,
    /// The card signed another amount or currency.
    #[error("card data is for another amount")]
    AmountMismatch,
}

/// A card, without anything that may not be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardSummary {
    /// Brand in lower case, or `card` when it is not known.
    pub brand: String,
    /// First digits and last four, the rest hidden.
    pub masked_number: Option<String>,
    /// How it was read.
    pub entry: EntryMode,
    /// EMV data for the receipt, by tag. Shared by the copies of a transaction.
    pub emv: Arc<BTreeMap<u32, Vec<u8>>>,
}

impl CardSummary {
    /// Reads the reader's answer and holds it against the amount that was granted.
    ///
    /// # Errors
    /// [`CardError`] when the data is malformed, in clear, encrypted in a way that cannot be opened,
    /// or for another amount.
    pub fn read(data: &[u8], amount: Money) -> Result<Self, CardError> {
        let read = CardRead::parse(data).map_err(|_| CardError::Malformed)?;
        check_encryption(&read)?;
        let mut summary = Self {
            brand: String::new(),
            masked_number: masked_number(&read),
            entry: EntryMode::of(&read)?,
            emv: Arc::default(),
        };
        summary.keep(read.tlvs);
        summary.check_amount(amount)?;
        summary.brand = summary.brand_code().to_owned();
        Ok(summary)
    }

    /// Takes over what the chip said last (cryptogram, results).
    pub fn complete(&mut self, data: &[u8]) {
        if let Ok(read) = CardRead::parse(data) {
            self.keep(read.tlvs);
        }
    }

    /// The last four digits.
    pub fn last_four(&self) -> Option<&str> {
        let number = self.masked_number.as_deref()?;
        number.get(number.len().checked_sub(4)?..)
    }

    /// The name of the application for the receipt: preferred name, else label.
    pub fn application_label(&self) -> Option<String> {
        let bytes = self.emv.get(&0x9F12).or_else(|| self.emv.get(&0x50))?;
        let text: String = bytes
            .iter()
            .filter(|byte| byte.is_ascii_graphic() || **byte == b' ')
            .map(|byte| char::from(*byte))
            .collect();
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The application identifier.
    pub fn application_id(&self) -> Option<&[u8]> {
        [0x84, 0x4F, 0x9F06]
            .iter()
            .find_map(|tag| self.emv.get(tag))
            .map(Vec::as_slice)
    }

    /// Whether tips may change later: not on debit accounts (5F57 10 savings, 20 cheque or debit).
    pub fn is_tip_adjustable(&self) -> bool {
        !matches!(
            self.emv.get(&0x5F57).map(Vec::as_slice),
            Some([0x10 | 0x20])
        )
    }

    fn keep(&mut self, tlvs: &[u8]) {
        let kept = Tlvs::new(tlvs).map_while(Result::ok).filter(|tlv| {
            tlv.form == Form::Clear && KEPT.contains(&tlv.tag) && tlv.value.len() <= VALUE_BYTES_MAX
        });
        let mut kept = kept.peekable();
        if kept.peek().is_some() {
            let emv = Arc::make_mut(&mut self.emv);
            emv.extend(kept.map(|tlv| (tlv.tag, tlv.value.to_vec())));
        }
    }

    fn check_amount(&self, amount: Money) -> Result<(), CardError> {
        let signed = self.emv.get(&0x9F02).map(|digits| packed_decimal(digits));
        let currency = self.emv.get(&0x5F2A).map(|digits| packed_decimal(digits));
        let expected = u64::try_from(amount.minor()).ok();
        let is_same_currency = |number: Option<u64>| {
            number
                .and_then(|number| u16::try_from(number).ok())
                .and_then(Currency::from_number)
                == Some(amount.currency())
        };
        let is_amount_good = signed.is_none_or(|signed| signed.is_some() && signed == expected);
        if is_amount_good && currency.is_none_or(is_same_currency) {
            Ok(())
        } else {
            Err(CardError::AmountMismatch)
        }
    }

    fn brand_code(&self) -> &'static str {
        let provider = self.application_id().and_then(|aid| aid.get(..5));
        let by_provider = BRANDS_BY_PROVIDER
            .iter()
            .find(|(prefix, _)| Some(*prefix) == provider)
            .map(|(_, brand)| *brand);
        by_provider
            .or_else(|| self.masked_number.as_deref().map(brand_of_number))
            .unwrap_or("card")
    }
}

fn brand_of_number(number: &str) -> &'static str {
    match number.as_bytes() {
        [b'4', ..] => "visa",
        [b'5', ..] | [b'2', ..] => "mastercard",
        [b'3', b'4' | b'7', ..] => "amex",
        [b'3', b'5', ..] => "jcb",
        [b'6', b'2', ..] => "unionpay",
        [b'6', ..] => "discover",
        _ => "card",
    }
}

/// The number as the reader masks it: hidden digits are nibble C in chip data, `*` on the stripe.
fn masked_number(read: &CardRead<'_>) -> Option<String> {
    if let Some(digits) = read.find(0x5A, Form::Masked) {
        return Some(masked_nibbles(digits));
    }
    if let Some(track) = read.find(0x57, Form::Masked) {
        return Some(masked_nibbles(track));
    }
    let text = std::str::from_utf8(swipe(read)?.tracks.get(1)?.masked?).ok()?;
    let number = text.trim_start_matches(';').split('=').next()?;
    Some(masked(number.chars()))
}

/// Hides what the reader has hidden, and what it should have: no more than the first six and the
/// last four digits are kept (PCI DSS 4.0, requirement 3.4.1), whatever calls itself masked.
fn masked(number: impl Iterator<Item = char>) -> String {
    let number: Vec<char> = number.collect();
    let last_from = number.len().saturating_sub(4);
    let show = |(place, digit): (usize, &char)| {
        let is_shown = digit.is_ascii_digit() && (place < 6 || place >= last_from);
        if is_shown { *digit } else { '*' }
    };
    number.iter().enumerate().map(show).collect()
}

fn swipe<'a>(read: &CardRead<'a>) -> Option<Swipe<'a>> {
    Swipe::parse(read.find(TAG_SWIPE, Form::Clear)?).ok()
}

/// Whether card data is encrypted, and in a way that can be opened at all: known before anybody is
/// asked for money. Whether the key is there, and fits, is seen at the acquirer boundary.
fn check_encryption(read: &CardRead<'_>) -> Result<(), CardError> {
    if !read.attribution.is_encrypted() {
        return Err(CardError::NotEncrypted);
    }
    let mut scheme = read.attribution.scheme();
    let mut ksns = [read.ksn, None];
    match read.find(TAG_SWIPE, Form::Clear).map(Swipe::parse) {
        Some(Ok(swipe)) => {
            // The block says how its tracks are encrypted.
            scheme = scheme.and(Some(swipe.scheme));
            ksns = [read.ksn, swipe.ksn];
        }
        Some(Err(SwipeError::UnknownCipher)) => return Err(CardError::UnsupportedEncryption),
        Some(Err(_)) => return Err(CardError::Malformed),
        None => {}
    }
    let scheme = scheme.ok_or(CardError::UnsupportedEncryption)?;
    let mut ksns = ksns.into_iter().flatten().peekable();
    if ksns.peek().is_none() {
        return Err(CardError::NotEncrypted);
    }
    if ksns.any(|ksn| ksn.len() == scheme.ksn_length()) {
        Ok(())
    } else {
        Err(CardError::UnsupportedEncryption)
    }
}

fn masked_nibbles(bytes: &[u8]) -> String {
    let digits = bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0x0F])
        .take_while(|nibble| matches!(nibble, 0..=9 | 0x0C))
        .map(|nibble| match nibble {
            0x0C => '*',
            digit => char::from(b'0'.saturating_add(digit)),
        });
    masked(digits)
}

/// Binary-coded decimal digits as a number; `None` when a nibble is not a digit.
fn packed_decimal(bytes: &[u8]) -> Option<u64> {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0x0F])
        .try_fold(0u64, |value, digit| {
            let shifted = value.checked_mul(10)?;
            (digit <= 9).then(|| shifted.checked_add(u64::from(digit)))?
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::reader::swipe;
    use protocol::reader::tlv::TlvWriter;

    /// A contactless read as the reader's documentation lays it out (12.34 EUR).
    const TAP: &str = "E1DFEE120A62994901300000000014500956495341205445535457A1114761CCCCCCCC0010D2812201CCCCCCCCCC57C118F73EB3EEBE9E9143BED5BD2BFF47FCC1B071EBF9C67BE1555AA1084761CCCCCCCC00105AC1101C7E951134A1F06170442D066EE94AE65F340101820220008407A0000000031010950500000000009A032611209C01005F2A0209789F02060000000012349F03060000000000009F100706011203A000009F1A0202769F260801020304050607089F2701809F3303E0F8C89F360200019F3704A1B2C3D49F6604360040009F6E04207000009F390107FFEE0105DFEE300100DFEE2602E100";

    fn euros(minor: i64) -> Money {
        Money::new(minor, "EUR".parse().unwrap())
    }

    #[test]
    fn a_tap_is_summarized_without_secrets() {
        let data = hex::decode(TAP).unwrap();
        let card = CardSummary::read(&data, euros(1234)).unwrap();
        assert_eq!(card.brand, "visa");
        assert_eq!(card.masked_number.as_deref(), Some("4761********0010"));
        assert_eq!(card.last_four(), Some("0010"));
        assert_eq!(card.entry, EntryMode::Contactless);
        assert_eq!(card.application_label().as_deref(), Some("VISA TEST"));
        assert!(!card.emv.contains_key(&0x57) && !card.emv.contains_key(&0x5A));
    }

    /// Found by fuzzing: a broken or hostile till calls a whole account number masked.
    #[test]
    fn a_number_that_is_not_masked_is_masked_here() {
        let clear = TAP.replace("5AA1084761CCCCCCCC0010", "5AA1084761739001010010");
        let data = hex::decode(clear).unwrap();
        let card = CardSummary::read(&data, euros(1234)).unwrap();
        assert_eq!(card.masked_number.as_deref(), Some("476173******0010"));
        for (number, expected) in [
            (";4761739001010010", "476173******0010"),
            ("4761********0010", "4761********0010"),
            ("123", "123"),
            ("", ""),
        ] {
            let number = number.trim_start_matches(';');
            assert_eq!(masked(number.chars()), expected);
        }
    }

    #[test]
    fn what_cannot_be_opened_is_refused_before_anybody_is_asked() {
        let tap = hex::decode(TAP).unwrap();
        let with = |attribution: u8, ksn: &[u8]| {
            let mut data = vec![attribution, 0xDF, 0xEE, 0x12];
            data.push(u8::try_from(ksn.len()).unwrap());
            data.extend(ksn);
            // After attribution and key serial number.
            data.extend(&tap[15..]);
            data
        };
        let (ten, twelve) = ([1; 10], [1; 12]);
        assert_eq!(with(tap[0], &tap[5..15]), tap);
        for (attribution, ksn, expected) in [
            (0xE1, &ten[..], Ok(EntryMode::Contactless)),
            (0xE3, &twelve, Ok(EntryMode::Contactless)),
            (0xE1, &twelve, Err(CardError::UnsupportedEncryption)),
            (0xE3, &ten, Err(CardError::UnsupportedEncryption)),
            (0xE5, &ten, Err(CardError::UnsupportedEncryption)),
            (0xE7, &twelve, Err(CardError::UnsupportedEncryption)),
            (0xE1, &ten[1..], Err(CardError::Malformed)),
        ] {
            let read = CardSummary::read(&with(attribution, ksn), euros(1234));
            let found = read.map(|card| card.entry);
            assert_eq!(found, expected, "{attribution:02X} {}", ksn.len());
        }
    }

    #[test]
    fn stripes_are_refused_by_what_their_block_says() {
        let block = |cipher: u8, ksn_length: usize| {
            let mut data = vec![0x80, 0x02, 0, 5, 0, cipher, 0x82];
            data.extend(vec![9; if cipher == 0 { 8 } else { 16 }]);
            data.extend(vec![1; ksn_length]);
            swipe::seal(&data).unwrap()
        };
        let mut broken = block(0x00, 10);
        broken[5] ^= 1;
        for (attribution, block, expected) in [
            (0xE8, block(0x00, 10), Ok(EntryMode::Swipe)),
            (0xEA, block(0x10, 12), Ok(EntryMode::Swipe)),
            (0xEA, block(0x10, 10), Err(CardError::UnsupportedEncryption)),
            (0xE8, block(0x20, 10), Err(CardError::UnsupportedEncryption)),
            (0xEC, block(0x00, 10), Err(CardError::UnsupportedEncryption)),
            (0xE8, broken, Err(CardError::Malformed)),
            (0x68, block(0x00, 10), Err(CardError::NotEncrypted)),
        ] {
            let data = TlvWriter::after(&[attribution]).clear(TAG_SWIPE, &block);
            let read = CardSummary::read(&data.finish(), euros(1234));
            let found = read.map(|card| card.entry);
            assert_eq!(found, expected, "{attribution:02X}");
        }
    }

    #[test]
    fn other_amounts_currencies_and_clear_data_are_refused() {
        let data = hex::decode(TAP).unwrap();
        let dollars = Money::new(1234, "USD".parse().unwrap());
        assert_eq!(
            CardSummary::read(&data, euros(1235)),
            Err(CardError::AmountMismatch)
        );
        assert_eq!(
            CardSummary::read(&data, dollars),
            Err(CardError::AmountMismatch)
        );
        let mut clear = data.clone();
        clear[0] = 0x21;
        assert_eq!(
            CardSummary::read(&clear, euros(1234)),
            Err(CardError::NotEncrypted)
        );
        assert_eq!(
            CardSummary::read(&[], euros(1234)),
            Err(CardError::Malformed)
        );
    }
}
