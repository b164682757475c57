//! The magstripe block of tag DFEE23 (the vendor's enhanced encrypted format).
//!
//! Owns cutting the block into its parts. It never decrypts and never prints a track, not even a
//! masked one.
//!
//! ```text
//! 02 | length (2, LOW first) | card data | LRC | SUM | 03
//! card data: encoding, track status, length of track 1 2 3, clear status (F8), encrypted status
//! (F9), [count, optional bytes], masked tracks, encrypted tracks, [session id], hashes,
//! [serial number], [key serial number]
//! ```
//!
//! The key serial number has ten bytes under triple DES. Under AES public sources do not say:
//! twelve are taken when the block has room for them, and ten otherwise.

use std::fmt;

use crate::dukpt::Scheme;

const START: u8 = 0x02;
const END: u8 = 0x03;
const SESSION_ID_LENGTH: usize = 8;
const SERIAL_LENGTH: usize = 10;
const HASH_LENGTH_SHA1: usize = 20;
const HASH_LENGTH_SHA256: usize = 32;

/// Track status: a count and optional bytes follow the status bytes.
const OPTIONAL_BYTES_FOLLOW: u8 = 0x40;
/// First optional byte: hashes are SHA-256.
const HASH_IS_SHA256: u8 = 0x01;
/// Clear status: the two bits that name the cipher.
const CIPHER: u8 = 0x30;
const CIPHER_TRIPLE_DES: u8 = 0x00;
const CIPHER_AES: u8 = 0x10;
/// Clear status: encrypted under the PIN variant rather than the data key.
const IS_PIN_VARIANT: u8 = 0x40;
/// Clear status: the reader's serial number is present.
const HAS_SERIAL: u8 = 0x80;
/// Encrypted status: an encrypted session id is present.
const HAS_SESSION_ID: u8 = 0x40;
/// Encrypted status: the key serial number is present.
const HAS_KSN: u8 = 0x80;
/// The lowest encoding value of this format; smaller ones are the original format.
const ENHANCED: u8 = 0x80;

/// Why a magstripe block cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SwipeError {
    /// Start or end marker missing, or lengths that do not add up.
    #[error("magstripe block has a wrong length or frame")]
    WrongLength,
    /// LRC or SUM differs.
    #[error("magstripe block has a wrong check byte")]
    WrongCheck,
    /// Not the enhanced encrypted format.
    #[error("magstripe block has an unknown encoding {encoding:02X}")]
    UnknownEncoding {
        /// The encoding byte.
        encoding: u8,
    },
    /// Neither triple DES nor AES: no track can be found in it.
    #[error("magstripe block is encrypted in an unknown way")]
    UnknownCipher,
}

/// One track as the reader gives it out.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Track<'a> {
    /// Characters of the track with sentinels, before encryption.
    pub clear_length: usize,
    /// The text with the account number hidden.
    pub masked: Option<&'a [u8]>,
    /// Ciphertext, zero padded to the block size.
    pub encrypted: Option<&'a [u8]>,
    /// Hash of the track.
    pub hash: Option<&'a [u8]>,
}

impl fmt::Debug for Track<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Track({} characters)", self.clear_length)
    }
}

/// A magstripe block cut into its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swipe<'a> {
    /// Card encoding: 80 ISO/ABA, 81 AAMVA, 83 other, 84 raw, 85 JIS.
    pub encoding: u8,
    /// Tracks 1 to 3.
    pub tracks: [Track<'a>; 3],
    /// How tracks are encrypted.
    pub scheme: Scheme,
    /// Encrypted under the PIN variant key without the one-way step (older readers).
    pub is_pin_variant: bool,
    /// Serial number of the reader, 10 bytes of text.
    pub serial: Option<&'a [u8]>,
    /// Key serial number: 10 bytes, or 12 under AES.
    pub ksn: Option<&'a [u8]>,
}

impl<'a> Swipe<'a> {
    /// Cuts the value of tag DFEE23.
    ///
    /// # Errors
    /// [`SwipeError`] when markers, check bytes or lengths do not fit.
    pub fn parse(block: &'a [u8]) -> Result<Self, SwipeError> {
        let [START, low, high, rest @ ..] = block else {
            return Err(SwipeError::WrongLength);
        };
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        let (data, trailer) = rest
            .split_at_checked(length)
            .ok_or(SwipeError::WrongLength)?;
        let [lrc, sum, END] = trailer else {
            return Err(SwipeError::WrongLength);
        };
        if (*lrc, *sum) != check_bytes(data) {
            return Err(SwipeError::WrongCheck);
        }
        Self::parse_data(data)
    }

    fn parse_data(data: &'a [u8]) -> Result<Self, SwipeError> {
        let mut parts = Parts(data);
        let [encoding, status, lengths @ .., clear, encrypted] = *parts.take_array::<7>()?;
        if encoding < ENHANCED {
            return Err(SwipeError::UnknownEncoding { encoding });
        }
        let mut hash_length = HASH_LENGTH_SHA1;
        if status & OPTIONAL_BYTES_FOLLOW != 0 {
            let [count] = *parts.take_array::<1>()?;
            let options = parts.take(usize::from(count))?;
            if options
                .first()
                .is_some_and(|byte| byte & HASH_IS_SHA256 != 0)
            {
                hash_length = HASH_LENGTH_SHA256;
            }
        }
        let scheme = match clear & CIPHER {
            CIPHER_TRIPLE_DES => Scheme::TripleDes,
            CIPHER_AES => Scheme::Aes,
            _ => return Err(SwipeError::UnknownCipher),
        };
        let block_size = scheme.block_length();

        let mut tracks = lengths.map(|length| Track {
            clear_length: usize::from(length),
            ..Track::default()
        });
        for (bit, track) in (0u8..).zip(&mut tracks) {
            track.masked = parts.take_if(clear & (1 << bit) != 0, track.clear_length)?;
        }
        for (bit, track) in (0u8..).zip(&mut tracks) {
            let padded = track.clear_length.next_multiple_of(block_size);
            track.encrypted = parts.take_if(encrypted & (1 << bit) != 0, padded)?;
        }
        parts.take_if(
            encrypted & HAS_SESSION_ID != 0,
            SESSION_ID_LENGTH.next_multiple_of(block_size),
        )?;
        for (bit, track) in (3u8..).zip(&mut tracks) {
            track.hash = parts.take_if(encrypted & (1 << bit) != 0, hash_length)?;
        }
        let serial = parts.take_if(clear & HAS_SERIAL != 0, SERIAL_LENGTH)?;
        let ksn_length = match parts.0.len() {
            length if length == scheme.ksn_length() => length,
            _ => Scheme::TripleDes.ksn_length(),
        };
        let swipe = Self {
            encoding,
            tracks,
            scheme,
            is_pin_variant: clear & IS_PIN_VARIANT != 0,
            serial,
            ksn: parts.take_if(encrypted & HAS_KSN != 0, ksn_length)?,
        };
        match parts {
            Parts([]) => Ok(swipe),
            Parts(_) => Err(SwipeError::WrongLength),
        }
    }
}

impl Swipe<'_> {
    /// Whether the stripe says that the card has a chip: its service code begins with 2 or 6.
    ///
    /// Nothing when the masking hides the service code, as it usually does: then only whoever can
    /// decrypt the track knows.
    pub fn says_chip(&self) -> Option<bool> {
        let [one, two, _] = self.tracks;
        let first = service_code_start(two.masked, b'=', 1)
            .or_else(|| service_code_start(one.masked, b'^', 2))?;
        first
            .is_ascii_digit()
            .then_some(matches!(first, b'2' | b'6'))
    }
}

/// The character after the four digits of the expiry, which follow the `count`th separator.
fn service_code_start(masked: Option<&[u8]>, separator: u8, count: usize) -> Option<u8> {
    const EXPIRY_LENGTH: usize = 4;
    let mut parts = masked?.splitn(count + 1, |byte| *byte == separator);
    parts.nth(count)?.get(EXPIRY_LENGTH).copied()
}

/// Frames card data as the value of tag DFEE23; gives nothing when it is too long for the format.
pub fn seal(data: &[u8]) -> Option<Vec<u8>> {
    let [low, high] = u16::try_from(data.len()).ok()?.to_le_bytes();
    let (lrc, sum) = check_bytes(data);
    let mut block = vec![START, low, high];
    block.extend_from_slice(data);
    block.extend([lrc, sum, END]);
    Some(block)
}

/// XOR, and sum modulo 256, over card data.
fn check_bytes(data: &[u8]) -> (u8, u8) {
    data.iter().fold((0, 0), |(lrc, sum), byte| {
        (lrc ^ byte, u8::wrapping_add(sum, *byte))
    })
}

struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], SwipeError> {
        let (part, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(SwipeError::WrongLength)?;
        self.0 = rest;
        Ok(part)
    }

    fn take_if(&mut self, present: bool, length: usize) -> Result<Option<&'a [u8]>, SwipeError> {
        if !present {
            return Ok(None);
        }
        self.take(length).map(Some)
    }

    fn take_array<const N: usize>(&mut self) -> Result<&'a [u8; N], SwipeError> {
        let (part, rest) = self.0.split_first_chunk().ok_or(SwipeError::WrongLength)?;
        self.0 = rest;
        Ok(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::{frame::ResponseDecoder, outcome, tlv};
    use proptest::prelude::*;

    fn vector_block() -> Vec<u8> {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../vectors/idtech_neo2.json")).unwrap();
        let flow = vectors["flows"].as_array().unwrap().last().unwrap();
        let bytes = hex::decode(flow["steps"][1]["hex"].as_str().unwrap()).unwrap();
        let responses = ResponseDecoder::default().decode(&bytes);
        let tlvs = &responses[0].data()[1..];
        tlv::find(tlvs, outcome::TAG_SWIPE, tlv::Form::Clear)
            .unwrap()
            .to_vec()
    }

    #[test]
    fn the_fallback_swipe_is_cut_into_its_parts() {
        let block = vector_block();
        let swipe = Swipe::parse(&block).unwrap();
        let [one, two, three] = swipe.tracks;
        assert_eq!(swipe.encoding, 0x80);
        assert!(one.masked.unwrap().starts_with(b"%B4761********0010^"));
        assert_eq!(
            two.masked.unwrap(),
            b";4761********0010=2812****************?*"
        );
        assert_eq!(one.encrypted.unwrap().len(), 80);
        assert_eq!(two.encrypted.unwrap().len(), 40);
        assert!(one.hash.is_some() && two.hash.is_some());
        assert_eq!(three, Track::default());
        assert_eq!(swipe.serial.unwrap(), b"SIM0000001");
        assert_eq!(
            hex::encode_upper(swipe.ksn.unwrap()),
            "62994901300000000015"
        );
        assert_eq!(swipe.scheme, Scheme::TripleDes);
        assert!(!swipe.is_pin_variant);
    }

    #[test]
    fn a_visible_service_code_says_whether_there_is_a_chip() {
        let track = |text: &'static [u8]| Track {
            masked: Some(text),
            ..Track::default()
        };
        let none = Track::default();
        for (one, two, expected) in [
            (none, track(b";4761********0010=28122010000?*"), Some(true)),
            (none, track(b";4761********0010=28126010000?*"), Some(true)),
            (none, track(b";4761********0010=28121010000?*"), Some(false)),
            (none, track(b";4761********0010=2812*******?*"), None),
            (none, track(b";4761********0010=281"), None),
            (none, track(b";4761"), None),
            (
                track(b"%B4761********0010^A/B^28122010?*"),
                none,
                Some(true),
            ),
            (
                track(b"%B4761********0010^A/B^28121010?*"),
                none,
                Some(false),
            ),
            (none, none, None),
        ] {
            let swipe = Swipe {
                encoding: 0x80,
                tracks: [one, two, none],
                scheme: Scheme::TripleDes,
                is_pin_variant: false,
                serial: None,
                ksn: None,
            };
            assert_eq!(swipe.says_chip(), expected);
        }
        assert_eq!(Swipe::parse(&vector_block()).unwrap().says_chip(), None);
    }

    #[test]
    fn one_changed_byte_anywhere_is_noticed() {
        let block = vector_block();
        for place in 0..block.len() {
            let mut changed = block.clone();
            changed[place] ^= 0x10;
            assert!(Swipe::parse(&changed).is_err(), "byte {place}");
        }
        for length in 0..block.len() {
            assert!(Swipe::parse(&block[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn optional_bytes_and_aes_blocks_are_skipped_correctly() {
        let mut data = vec![0x80, 0x40 | 0x02, 0, 5, 0, 0x12, 0x42 | 0x10];
        data.extend([1, 1]);
        data.extend(b";4*=?");
        data.extend([9; 16]);
        data.extend([8; 16]);
        data.extend([7; 32]);
        let block = seal(&data).unwrap();
        let swipe = Swipe::parse(&block).unwrap();
        let [_, two, _] = swipe.tracks;
        assert_eq!(swipe.scheme, Scheme::Aes);
        assert_eq!(two.encrypted, Some([9; 16].as_slice()));
        assert_eq!(two.hash, Some([7; 32].as_slice()));
        for cipher in [0x20, 0x30] {
            let mut other = data.clone();
            other[5] = cipher | 0x02;
            assert_eq!(
                Swipe::parse(&seal(&other).unwrap()),
                Err(SwipeError::UnknownCipher)
            );
        }
        data[0] = 0x00;
        assert_eq!(
            Swipe::parse(&seal(&data).unwrap()),
            Err(SwipeError::UnknownEncoding { encoding: 0 })
        );
    }

    #[test]
    fn key_serial_numbers_have_the_length_of_their_scheme() {
        for (cipher, length, is_read) in [
            (0x00, 10, true),
            (0x00, 12, false),
            (0x10, 12, true),
            (0x10, 10, true),
            (0x10, 11, false),
            (0x10, 0, false),
        ] {
            let mut data = vec![0x80, 0x02, 0, 5, 0, cipher, 0x82];
            data.extend(vec![9; if cipher == 0 { 8 } else { 16 }]);
            data.extend(vec![0xAB; length]);
            let block = seal(&data).unwrap();
            let found = Swipe::parse(&block).ok().and_then(|swipe| swipe.ksn);
            let expected = is_read.then(|| vec![0xAB; length]);
            assert_eq!(found, expected.as_deref(), "{cipher:02X} {length}");
        }
    }

    #[test]
    fn debug_output_shows_no_track() {
        let block = vector_block();
        let text = format!("{:?}", Swipe::parse(&block).unwrap().tracks);
        assert_eq!(
            text,
            "[Track(73 characters), Track(40 characters), Track(0 characters)]"
        );
    }

    proptest! {
        #[test]
        fn arbitrary_card_data_never_panics(data in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(swipe) = Swipe::parse(&seal(&data).unwrap()) {
                prop_assert!(swipe.encoding >= 0x80);
            }
            prop_assert!(Swipe::parse(&data).is_err() || data.len() > 12);
        }
    }
}
