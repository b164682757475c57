//! AES and stripes, sealed here as a reader would seal them, and every way to get them wrong.

use protocol::dukpt::{self, DataKey, InitialKey, Scheme, aes};
use protocol::reader::outcome::{TAG_KSN, TAG_SWIPE};
use protocol::reader::swipe;
use protocol::reader::tlv::TlvWriter;

use super::super::stripe::check_character;
use super::*;
use crate::acquirer::base_keys::TEST_AES_BASE_KEY;

const TRACK: &str = ";4761739001010010=28122011234000012300?";
/// Status bits that say AES and PIN variant.
const AES: u8 = 0x10;
const PIN_VARIANT: u8 = 0x40;

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

/// A reader's serial number and key. `ksn` is what it says; its key is that of the test base key.
fn reader(scheme: Scheme) -> (Vec<u8>, DataKey) {
    let (ksn, key) = match scheme {
        Scheme::TripleDes => {
            let ksn = Ksn::try_from(bytes("62994901300000000021").as_slice()).unwrap();
            let key = InitialKey::TripleDes(base_key().initial_key(ksn));
            (dukpt::Ksn::TripleDes(ksn), key)
        }
        Scheme::Aes => {
            let ksn = aes::Ksn::try_from(bytes("123456789012345600020001").as_slice()).unwrap();
            let base =
                aes::BaseDerivationKey::try_from(bytes(TEST_AES_BASE_KEY).as_slice()).unwrap();
            (dukpt::Ksn::Aes(ksn), InitialKey::Aes(base.initial_key(ksn)))
        }
    };
    (ksn.bytes().to_vec(), key.data_key(ksn).unwrap())
}

/// A stripe block in the making.
struct Stripe {
    scheme: Scheme,
    encoding: u8,
    status: u8,
    text: Vec<u8>,
    masked: &'static [u8],
    length: Option<u8>,
    sealed: Option<Vec<u8>>,
    ksn: Vec<u8>,
}

impl Stripe {
    fn of(scheme: Scheme, track: &str) -> Self {
        let mut text = track.as_bytes().to_vec();
        text.push(check_character(&text));
        Self {
            scheme,
            encoding: 0x80,
            status: match scheme {
                Scheme::TripleDes => 0,
                Scheme::Aes => AES,
            },
            text,
            masked: b"",
            length: None,
            sealed: None,
            ksn: reader(scheme).0,
        }
    }

    fn block(self) -> Vec<u8> {
        let (_, key) = reader(self.scheme);
        let sealed = self.sealed.unwrap_or_else(|| key.encrypt(&self.text));
        let length = u8::try_from(self.text.len()).unwrap();
        let has_mask = u8::from(!self.masked.is_empty()) << 1;
        let status = self.status | has_mask;
        let mut data = vec![self.encoding, 0x02, 0, self.length.unwrap_or(length), 0];
        data.extend([status, 0x82]);
        data.extend(self.masked);
        data.extend(sealed);
        data.extend(self.ksn);
        swipe::seal(&data).unwrap()
    }

    fn open(self) -> Result<ClearCard, CardDataError> {
        let attribution = match self.scheme {
            Scheme::TripleDes => 0xE8,
            Scheme::Aes => 0xEA,
        };
        let writer = TlvWriter::after(&[attribution]).clear(TAG_SWIPE, &self.block());
        open(&SealedCard::new(writer.finish()))
    }
}

const BOTH: [Scheme; 2] = [Scheme::TripleDes, Scheme::Aes];

#[test]
fn stripes_open_under_both_schemes() {
    for scheme in BOTH {
        let mut stripe = Stripe::of(scheme, TRACK);
        stripe.masked = b";4761********0010=2812****************?*";
        let card = stripe.open().unwrap();
        assert_eq!(card.account_number(), "4761739001010010");
        assert_eq!(card.expiry(), Some("2812"));
        assert_eq!(card.service_code(), Some("201"));
        assert!(card.has_chip());
        let plain = ";4242424242424242=2812101123?";
        assert!(!Stripe::of(scheme, plain).open().unwrap().has_chip());
    }
}

#[test]
fn chip_data_opens_under_aes() {
    let (ksn, key) = reader(Scheme::Aes);
    let sealed = key.encrypt(&bytes("57114761739001010010D2812201123456789F"));
    assert_eq!(sealed.len(), 32);
    let read = |attribution: u8, ksn: &[u8], sealed: &[u8]| {
        let writer = TlvWriter::after(&[attribution])
            .clear(TAG_KSN, ksn)
            .encrypted(0x57, sealed);
        open(&SealedCard::new(writer.finish())).map(|card| card.account_number().to_owned())
    };
    for attribution in [0xE2, 0xE3] {
        let opened = read(attribution, &ksn, &sealed);
        assert_eq!(opened.as_deref(), Ok("4761739001010010"));
    }
    let mut stranger = ksn.clone();
    stranger[0] ^= 1;
    let mut other_device = ksn.clone();
    other_device[7] ^= 1;
    use CardDataError as E;
    for (attribution, ksn, sealed, error) in [
        (0xE2, stranger.as_slice(), sealed.as_slice(), E::UnknownKey),
        (0xE2, &other_device, &sealed, E::NotWhole),
        (0xE2, &ksn[..10], &sealed, E::KeySerialNumber),
        (0xE0, &ksn, &sealed, E::KeySerialNumber),
        (0xE2, &ksn, &sealed[..24], E::NotWhole),
        (0xE2, &ksn, &sealed[..16], E::NotWhole),
        (0xE2, &ksn, &[], E::NotWhole),
        (0xE4, &ksn, &sealed, E::UnsupportedEncryption),
        (0xE6, &ksn, &sealed, E::UnsupportedEncryption),
    ] {
        let refused = read(attribution, ksn, sealed);
        assert_eq!(refused, Err(error), "{attribution:02X} {}", ksn.len());
    }
}

#[test]
fn padding_is_zeros_within_one_block() {
    let (ksn, key) = reader(Scheme::Aes);
    let tlv = "5A084761739001010010";
    for (padding, is_whole) in [
        ("000000000000", true),
        ("000000000001", false),
        ("010000000000", false),
        ("00000000000000000000000000000000000000000000", false),
    ] {
        let sealed = key.encrypt(&bytes(&format!("{tlv}{padding}")));
        let writer = TlvWriter::after(&[0xE2])
            .clear(TAG_KSN, &ksn)
            .encrypted(0x5A, &sealed);
        let opened = open(&SealedCard::new(writer.finish())).map(|_| ());
        let expected = if is_whole {
            Ok(())
        } else {
            Err(CardDataError::NotWhole)
        };
        assert_eq!(opened, expected, "{padding}");
    }
}

#[test]
fn older_readers_encrypt_under_the_pin_variant() {
    let mut stripe = Stripe::of(Scheme::TripleDes, TRACK);
    stripe.status |= PIN_VARIANT;
    let (ksn, _) = reader(Scheme::TripleDes);
    let ksn = Ksn::try_from(ksn.as_slice()).unwrap();
    let base = base_key();
    let key = base.initial_key(ksn).transaction_key(ksn).pin_variant();
    stripe.sealed = Some(key.encrypt(&stripe.text));
    assert_eq!(stripe.open().unwrap().account_number(), "4761739001010010");
    // The bit without the key, and the bit under AES, where it means nothing.
    let mut stripe = Stripe::of(Scheme::TripleDes, TRACK);
    stripe.status |= PIN_VARIANT;
    assert_eq!(stripe.open().map(|_| ()), Err(CardDataError::NotWhole));
    let mut stripe = Stripe::of(Scheme::Aes, TRACK);
    stripe.status |= PIN_VARIANT;
    let refused = stripe.open().map(|_| ());
    assert_eq!(refused, Err(CardDataError::UnsupportedEncryption));
}

#[test]
fn a_wrong_track_is_refused() {
    use CardDataError as E;
    for scheme in BOTH {
        for (track, error) in [
            (":4761739001010010=28122011234000012300?", E::NotWhole),
            (";4761739001010010=28122011234000012300!", E::NotWhole),
            (";4761739001010010=28132011234000012300?", E::NotACard),
            (";4761739001010010=2812?", E::NotACard),
            (";4761739001010010?", E::NotACard),
            (";=28122011234000012300?", E::NotACard),
            (";47617390010100A0=28122011234000012300?", E::NotACard),
            (";47617390010=28122011234000012300?", E::NotACard),
            (";4761739001010011=28122011234000012300?", E::CheckDigit),
            ("?", E::NotWhole),
        ] {
            let refused = Stripe::of(scheme, track).open().map(|_| ());
            assert_eq!(refused, Err(error), "{scheme:?} {track}");
        }
    }
}

/// What breaks a stripe, and what that is called.
type Broken = (&'static str, fn(&mut Stripe), CardDataError);

#[test]
fn a_broken_block_is_refused() {
    use CardDataError as E;
    let cases: &[Broken] = &[
        (
            "check character",
            |stripe| *stripe.text.last_mut().unwrap() ^= 1,
            E::TrackCheck,
        ),
        (
            "a digit and its check",
            |stripe| stripe.text[30] ^= 1,
            E::TrackCheck,
        ),
        (
            "another card's mask",
            |stripe| stripe.masked = b";4761********0011=2812****************?*",
            E::MaskDiffers,
        ),
        (
            "a driving licence",
            |stripe| stripe.encoding = 0x81,
            E::NotACard,
        ),
        (
            "another cipher",
            |stripe| stripe.status = 0x20,
            E::UnsupportedEncryption,
        ),
        (
            "ciphertext changed",
            |stripe| {
                let (_, key) = reader(stripe.scheme);
                let mut sealed = key.encrypt(&stripe.text);
                sealed[0] ^= 1;
                stripe.sealed = Some(sealed);
            },
            E::NotWhole,
        ),
        (
            "a shorter length",
            |stripe| stripe.length = Some(38),
            E::NotWhole,
        ),
        (
            "an empty track",
            |stripe| {
                stripe.text.clear();
            },
            E::NotWhole,
        ),
        (
            "a longer track",
            |stripe| {
                let mut text = format!(";4761739001010010=2812201{}?", "0".repeat(30)).into_bytes();
                text.push(check_character(&text));
                stripe.text = text;
            },
            E::NotWhole,
        ),
    ];
    for scheme in BOTH {
        for (name, change, error) in cases {
            let mut stripe = Stripe::of(scheme, TRACK);
            change(&mut stripe);
            let refused = stripe.open().map(|_| ());
            assert_eq!(refused, Err(*error), "{scheme:?}: {name}");
        }
    }
}

#[test]
fn a_stripe_needs_a_key_serial_number_of_its_scheme() {
    use CardDataError as E;
    let open = |stripe: Stripe, outer: &[u8]| {
        let writer = TlvWriter::after(&[0xEA]).clear(TAG_SWIPE, &stripe.block());
        let writer = match outer {
            [] => writer,
            outer => writer.clear(TAG_KSN, outer),
        };
        open(&SealedCard::new(writer.finish())).map(|card| card.account_number().to_owned())
    };
    let (own, _) = reader(Scheme::Aes);
    // Ten bytes in the block, where older firmware has no room for more.
    let ten = || {
        let mut stripe = Stripe::of(Scheme::Aes, TRACK);
        stripe.ksn.truncate(10);
        stripe
    };
    assert_eq!(open(ten(), &own).as_deref(), Ok("4761739001010010"));
    assert_eq!(open(ten(), &[]), Err(E::KeySerialNumber));
    assert_eq!(open(ten(), &own[..10]), Err(E::KeySerialNumber));
    let mut stranger = Stripe::of(Scheme::Aes, TRACK);
    stranger.ksn[2] ^= 0xFF;
    assert_eq!(open(stranger, &own), Err(E::UnknownKey));
}

proptest! {
    #[test]
    fn arbitrary_plaintext_opens_only_as_a_whole_card(
        is_aes: bool,
        text in prop::collection::vec(prop::sample::select(b";=?0123456789".to_vec()), 0..45),
    ) {
        let scheme = if is_aes { Scheme::Aes } else { Scheme::TripleDes };
        let mut stripe = Stripe::of(scheme, TRACK);
        stripe.text = text;
        if let Ok(card) = stripe.open() {
            prop_assert!((12..=19).contains(&card.account_number().len()));
        }
    }

    #[test]
    fn a_changed_block_never_opens_as_another_card(is_aes: bool, place in 0usize..90, bit in 0u8..8) {
        let scheme = if is_aes { Scheme::Aes } else { Scheme::TripleDes };
        let (_, key) = reader(scheme);
        let mut stripe = Stripe::of(scheme, TRACK);
        let mut sealed = key.encrypt(&stripe.text);
        let place = place % sealed.len();
        sealed[place] ^= 1 << bit;
        stripe.sealed = Some(sealed);
        prop_assert!(stripe.open().is_err());
    }
}
