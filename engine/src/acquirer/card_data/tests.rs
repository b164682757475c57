//! Tests of opening sealed cards, with the reader's published vectors.

use proptest::prelude::*;
use protocol::dukpt::tdes::{BaseDerivationKey, Ksn};
use protocol::reader::frame::ResponseDecoder;
use protocol::reader::outcome::{TAG_KSN, TAG_SWIPE};
use protocol::reader::swipe;
use protocol::reader::tlv::TlvWriter;

mod schemes;

use super::*;
use crate::acquirer::test_card::{TAP, base_key, base_keys};

fn ksn() -> Ksn {
    Ksn::new([0x62, 0x99, 0x49, 0x01, 0x30, 0, 0, 0, 0, 0x11])
}

fn seal(plain: &str) -> Vec<u8> {
    let key = base_key().initial_key(ksn()).data_key(ksn());
    key.encrypt(&hex::decode(plain).unwrap())
}

/// Tag, plaintext of its TLV, masked value.
type Value = (u32, &'static str, &'static str);

/// A tap with these values.
fn tap(values: &[Value]) -> SealedCard {
    let writer = TlvWriter::after(&[0xE1]).clear(TAG_KSN, ksn().bytes());
    let writer = values.iter().fold(writer, |writer, (tag, plain, masked)| {
        let writer = match *masked {
            "" => writer,
            masked => writer.masked(*tag, &hex::decode(masked).unwrap()),
        };
        writer.encrypted(*tag, &seal(plain))
    });
    SealedCard::new(writer.finish())
}

fn open(card: &SealedCard) -> Result<ClearCard, CardDataError> {
    ClearCard::open(card, &base_keys())
}

#[test]
fn the_documented_tap_opens() {
    let card = open(&SealedCard::new(hex::decode(TAP).unwrap())).unwrap();
    assert_eq!(card.account_number(), "4761739001010010");
    assert_eq!(card.last_four(), Some(*b"0010"));
    assert_eq!(card.expiry(), Some("2812"));
    assert_eq!(card.service_code(), Some("201"));
    assert_eq!(card.track_two(), Some("4761739001010010=2812201123456789"));
}

#[test]
fn every_card_of_the_flow_vectors_opens() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!(
        "../../../../protocol/vectors/idtech_neo2.json"
    ))
    .unwrap();
    let mut opened = 0;
    for flow in vectors["flows"].as_array().unwrap() {
        for step in flow["steps"].as_array().unwrap() {
            let bytes = hex::decode(step["hex"].as_str().unwrap()).unwrap();
            for response in ResponseDecoder::default().decode(&bytes) {
                let Ok(read) = CardRead::parse(response.data()) else {
                    continue;
                };
                let is_card = read.find(0x57, Form::Encrypted).is_some()
                    || read.find(TAG_SWIPE, Form::Clear).is_some();
                if is_card {
                    let card = open(&SealedCard::new(response.data().to_vec())).unwrap();
                    assert_eq!(card.account_number(), "4761739001010010");
                    assert_eq!(card.expiry(), Some("2812"));
                    opened += 1;
                }
            }
        }
    }
    assert!(opened >= 4, "{opened}");
}

#[test]
fn a_captured_stripe_opens() {
    // Track 2 as captured from a VP3350 (developers.bluefin.com/decryptx/docs/idtech-vp3350).
    let sealed = "2F33F5033CE7F7DDEE87FE9B6554EADE63862F1AA4F6C44F04AA91C5876875083E791B510C6D1B89";
    let stripe = |masked: &[u8]| {
        let mut data = vec![0x80, 0x02, 0, 40, 0, 0x02, 0x82];
        data.extend(masked);
        data.extend(hex::decode(sealed).unwrap());
        data.extend(hex::decode("FFFFFF0200110940000F").unwrap());
        let writer = TlvWriter::after(&[0xE8]).clear(TAG_SWIPE, &swipe::seal(&data).unwrap());
        SealedCard::new(writer.finish())
    };
    let card = open(&stripe(b";4761********0043=2412****************?*")).unwrap();
    assert_eq!(card.account_number(), "4761731000000043");
    assert_eq!(card.expiry(), Some("2412"));
    assert_eq!(card.service_code(), Some("201"));
    for masked in [
        b";4761********0044=2412****************?*",
        b";4761*******0043=2412*****************?*",
        b";4761************=2412****************?*",
    ] {
        let refused = open(&stripe(masked)).map(|_| ());
        assert_eq!(refused, Err(CardDataError::MaskDiffers));
    }
}

#[test]
fn an_account_number_alone_is_enough() {
    let card = open(&tap(&[(0x5A, "5A084761739001010010", "4761CCCCCCCC0010")])).unwrap();
    assert_eq!(card.account_number(), "4761739001010010");
    assert_eq!((card.expiry(), card.track_two()), (None, None));
    let fifteen = open(&tap(&[(0x5A, "5A08374245001751006F", "3742CCCCCCC1006F")])).unwrap();
    assert_eq!(fifteen.account_number(), "374245001751006");
}

#[test]
fn what_is_not_one_whole_card_is_refused() {
    use CardDataError as E;
    const TRACK: &str = "57134761739001010010D2812201123456789F1234";
    let cases: &[(&[Value], CardDataError)] = &[
        (&[], E::NoAccountNumber),
        (&[(0x5A, "57084761739001010010", "")], E::NotWhole),
        (&[(0x5A, "5A0F4761739001010010", "")], E::NotWhole),
        (&[(0x5A, "5A00000000000000", "")], E::NotWhole),
        (&[(0x5A, "5A08476173900101001001", "")], E::NotWhole),
        (
            &[(0x5A, "5A0847617390010100100000000000000000", "")],
            E::NotWhole,
        ),
        (&[(0x5A, "5A084761739001010011", "")], E::CheckDigit),
        (&[(0x5A, "5A054761739001", "")], E::NotACard),
        (&[(0x5A, "5A08476173900101F010", "")], E::NotACard),
        (&[(0x57, TRACK, "")], E::NotACard),
        (
            &[(0x57, "57114761739001010010D2813201123456789F", "")],
            E::NotACard,
        ),
        (&[(0x57, "570C4761739001010010D281220F", "")], E::NotACard),
        (
            &[(0x5A, "5A084761739001010010", "4761CCCCCCCC0011")],
            E::MaskDiffers,
        ),
        (
            &[(0x5A, "5A084761739001010010", "4762CCCCCCCC0010")],
            E::MaskDiffers,
        ),
        (
            &[(0x5A, "5A084761739001010010", "4761CCCCCCCC00")],
            E::MaskDiffers,
        ),
        (
            &[(0x5A, "5A084761739001010010", "4761CCCCCCCC001000")],
            E::MaskDiffers,
        ),
        (
            &[
                (0x57, "57114761739001010010D2812201123456789F", ""),
                (0x5A, "5A085413330089020011", ""),
            ],
            E::Contradiction,
        ),
    ];
    for (values, error) in cases {
        assert_eq!(open(&tap(values)).map(|_| ()), Err(*error), "{values:?}");
    }
}

#[test]
fn other_keys_schemes_and_clear_data_are_refused() {
    use CardDataError as E;
    let tap = hex::decode(TAP).unwrap();
    let other_key = BaseKeys::new(BaseDerivationKey::new([0x11; 16]));
    let refused = ClearCard::open(&SealedCard::new(tap.clone()), &other_key);
    assert_eq!(refused.map(|_| ()), Err(E::NotWhole));
    for (attribution, error) in [
        (0x21, E::NotEncrypted),
        // Says AES, and has the key serial number of triple DES.
        (0xE3, E::KeySerialNumber),
        (0xE5, E::UnsupportedEncryption),
        (0xE7, E::UnsupportedEncryption),
    ] {
        let mut changed = tap.clone();
        changed[0] = attribution;
        let refused = open(&SealedCard::new(changed)).map(|_| ());
        assert_eq!(refused, Err(error), "{attribution:02X}");
    }
    let keyless = TlvWriter::after(&[0xE1]).encrypted(0x5A, &seal("5A084761739001010010"));
    let refused = open(&SealedCard::new(keyless.finish())).map(|_| ());
    assert_eq!(refused, Err(E::KeySerialNumber));
    let refused = open(&SealedCard::new(Vec::new())).map(|_| ());
    assert_eq!(refused, Err(E::Malformed));
}

#[test]
fn debug_output_shows_no_card() {
    let card = open(&SealedCard::new(hex::decode(TAP).unwrap())).unwrap();
    assert_eq!(format!("{card:?}"), "ClearCard(redacted)");
}

proptest! {
    #[test]
    fn arbitrary_data_never_panics(data in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(open(&SealedCard::new(data)).is_err());
    }

    #[test]
    fn a_changed_ciphertext_never_opens_as_another_card(place in 0usize..24, bit in 0u8..8) {
        let data = hex::decode(TAP).unwrap();
        let read = CardRead::parse(&data).unwrap();
        let sealed = read.find(0x57, Form::Encrypted).unwrap();
        let start = data.windows(sealed.len()).position(|window| window == sealed).unwrap();
        let mut changed = data.clone();
        changed[start + place] ^= 1 << bit;
        if let Ok(card) = open(&SealedCard::new(changed)) {
            prop_assert_eq!(card.account_number(), "4761739001010010");
        }
    }
}
