//! The stripe: track 2 out of the block of tag DFEE23.
//!
//! Owns what makes a decrypted track whole: its sentinels, its check character, its padding. What
//! it says is read by [`super`].

use protocol::dukpt::{DataKey, Scheme};
use protocol::reader::outcome::{CardRead, TAG_SWIPE};
use protocol::reader::swipe::{Swipe, SwipeError};
use protocol::reader::tlv::Form;
use zeroize::Zeroizing;

use super::digits::digit_value;
use super::{CardDataError, ClearCard, check_padding, decrypt};
use crate::acquirer::base_keys::BaseKeys;

/// The encoding of payment cards in a magstripe block (ISO/ABA); others are not for paying.
const ENCODING_PAYMENT_CARD: u8 = 0x80;
/// Longest track 2 with sentinels and check character (ISO/IEC 7813).
const TRACK_TWO_CHARACTERS_MAX: usize = 40;

/// Opens the stripe, under the scheme that its block says.
pub(super) fn open(read: &CardRead<'_>, keys: &BaseKeys) -> Result<ClearCard, CardDataError> {
    let block = read
        .find(TAG_SWIPE, Form::Clear)
        .ok_or(CardDataError::NoAccountNumber)?;
    let swipe = Swipe::parse(block).map_err(|error| match error {
        SwipeError::UnknownCipher => CardDataError::UnsupportedEncryption,
        _ => CardDataError::Malformed,
    })?;
    if swipe.encoding != ENCODING_PAYMENT_CARD {
        return Err(CardDataError::NotACard);
    }
    let [_, track, _] = swipe.tracks;
    let sealed = track.encrypted.ok_or(CardDataError::NoAccountNumber)?;
    if track.clear_length > TRACK_TWO_CHARACTERS_MAX {
        return Err(CardDataError::NotWhole);
    }
    let plain = decrypt(&key_of(&swipe, read, keys)?, sealed)?;
    let (text, padding) = plain
        .split_at_checked(track.clear_length)
        .ok_or(CardDataError::NotWhole)?;
    check_padding(padding, swipe.scheme.block_length())?;
    let card = ClearCard::from_track(checked_track(text)?)?;
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

fn key_of(
    swipe: &Swipe<'_>,
    read: &CardRead<'_>,
    keys: &BaseKeys,
) -> Result<DataKey, CardDataError> {
    let scheme = swipe.scheme;
    // Where the block has none, the one of the whole response counts.
    let ksn = [swipe.ksn, read.ksn]
        .into_iter()
        .flatten()
        .find(|ksn| ksn.len() == scheme.ksn_length())
        .ok_or(CardDataError::KeySerialNumber)?;
    match (scheme, swipe.is_pin_variant) {
        (_, false) => keys.data_key(scheme, ksn),
        (Scheme::TripleDes, true) => keys.pin_variant(ksn),
        (Scheme::Aes, true) => Err(CardDataError::UnsupportedEncryption),
    }
}

/// What stands between the sentinels, once the check character agrees.
fn checked_track(text: &[u8]) -> Result<Zeroizing<String>, CardDataError> {
    let (characters, check) = match text {
        [characters @ .., check] => (characters, *check),
        [] => return Err(CardDataError::NotWhole),
    };
    let [b';', track @ .., b'?'] = characters else {
        return Err(CardDataError::NotWhole);
    };
    if check != check_character(characters) {
        return Err(CardDataError::TrackCheck);
    }
    let track = std::str::from_utf8(track).map_err(|_| CardDataError::NotACard)?;
    Ok(Zeroizing::new(track.to_owned()))
}

/// The longitudinal check over the four-bit character codes, sentinels included (ISO/IEC 7811-2).
pub(super) fn check_character(characters: &[u8]) -> u8 {
    const ZERO: u8 = b'0';
    const CODE: u8 = 0x0F;
    let code = characters
        .iter()
        .fold(0, |check, byte| check ^ (byte & CODE));
    ZERO | code
}
