//! Captures of frames and reports: what is named, and what never shows.

use proptest::prelude::*;
use protocol::reader::command;
use protocol::reader::outcome::TAG_RESULT;
use protocol::reader::tlv::TlvWriter;

use super::*;

const NUMBER: &str = "4761739001010010";

fn text_of(bytes: &[u8]) -> String {
    let decoded = decode(bytes);
    let json = serde_json::to_string(&decoded).unwrap();
    format!("{}{json}", decoded.text())
}

#[test]
fn a_conversation_is_told_by_name() {
    let capture = [
        command::ping().encode(),
        Response::bare(0x18, 0).encode(),
        command::firmware_version().encode(),
        Response::new(0x29, 0, b"VP3350 FW v1.01".to_vec())
            .unwrap()
            .encode(),
        command::encryption_status().encode(),
        Response::new(0xC7, 0, vec![0x03]).unwrap().encode(),
        Response::bare(0x02, 0x63).encode(),
    ]
    .concat();
    let decoded = decode(&capture);
    assert_eq!(decoded.unknown_bytes, 0);
    let text = decoded.text();
    for expected in [
        "000000  host → reader  18-01 ping",
        "reader → host  18 ping: status 00 Ok",
        "text: VP3350 FW v1.01",
        "stripe and chip data are encrypted",
        "status 63 Pending",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

/// A card's answer with everything in clear, as a reader without keys would give it.
fn clear_answer() -> Vec<u8> {
    let number = hex::decode(NUMBER).unwrap();
    let track2 = hex::decode(format!("{NUMBER}D2812201000000000F")).unwrap();
    let tlvs = TlvWriter::after(&[0x00])
        .clear(TAG_RESULT, &[0, 4])
        .clear(0x5A, &number)
        .clear(0x57, &track2)
        .clear(0x5F20, b"DOE/JOHN")
        .clear(0x56, format!("B{NUMBER}^DOE/JOHN^2812201").as_bytes())
        .clear(0x9F02, &[0, 0, 0, 0, 0x12, 0x34])
        .clear(0xDF_8101, NUMBER.as_bytes())
        .clear(0x50, NUMBER.as_bytes())
        .clear(
            0xFF_EE01,
            &TlvWriter::after(&[]).clear(0x5A, &number).finish(),
        )
        .finish();
    Response::new(0x60, 0, tlvs).unwrap().encode()
}

#[test]
fn card_data_in_clear_is_never_shown() {
    let text = text_of(&clear_answer());
    for secret in [NUMBER, "DOE", "2812", &hex::encode(NUMBER), "47617390"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    for shown in [
        "0004 GoOnline",
        "9F02 amount: 000000001234",
        "NOT encrypted",
    ] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    assert!(
        text.contains("5A account number: [8 bytes, not shown]"),
        "{text}"
    );
}

#[test]
fn masked_and_encrypted_values_are_told_apart() {
    let tlvs = TlvWriter::after(&[0x40])
        .masked(0x5A, &hex::decode("4761CCCCCCCC0010").unwrap())
        .encrypted(0x5A, &[9; 16])
        .finish();
    let text = text_of(&Response::new(0x02, 0x23, tlvs).unwrap().encode());
    assert!(
        text.contains("5A masked account number: ************0010"),
        "{text}"
    );
    assert!(
        text.contains("5A encrypted account number: [16 bytes, not shown]"),
        "{text}"
    );
}

#[test]
fn garbage_is_named_with_its_place_and_read_over() {
    let ping = command::ping().encode();
    let mut damaged = ping.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let cut = ping.get(..12).unwrap();
    let capture = [b"abc".as_slice(), &ping, b"\x00\x01", &damaged, cut].concat();
    let decoded = decode(&capture);
    let text = decoded.text();
    assert!(
        text.starts_with("000000  not understood: 3 bytes"),
        "{text}"
    );
    assert!(text.contains("000013  not understood: 2 bytes"), "{text}");
    assert!(text.contains("wrong check bytes"), "{text}");
    assert_eq!(decoded.unknown_bytes, 3 + 2 + 12);
}

#[test]
fn hid_reports_are_put_together() {
    let reports = protocol::reader::hid::encode(&clear_answer()).unwrap();
    let text = text_of(&reports.concat());
    assert!(text.contains("reader → host  60 contact"), "{text}");
    assert!(!text.contains(NUMBER), "{text}");
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        drop(text_of(&bytes));
        let as_data = Response::new(0x02, 0x23, bytes.clone()).unwrap().encode();
        drop(text_of(&as_data));
        let as_command = Command::new(0x02, 0x40, bytes).unwrap().encode();
        drop(text_of(&as_command));
    }

    #[test]
    fn no_number_in_a_value_of_any_tag_is_shown(tag in prop::sample::select(vec![
        0x5Au32, 0x57, 0x56, 0x5F20, 0x9F1F, 0x9F20, 0x9F6B, 0xDF_EE23, 0xDF_8129, 0xFF_8105,
    ])) {
        for value in [NUMBER.as_bytes().to_vec(), hex::decode(NUMBER).unwrap()] {
            let tlvs = TlvWriter::after(&[0]).clear(tag, &value).masked(tag, &value).finish();
            let text = text_of(&Response::new(0x02, 0, tlvs).unwrap().encode());
            prop_assert!(!text.contains(NUMBER), "{}", text);
            prop_assert!(!text.contains(&hex::encode_upper(NUMBER)), "{}", text);
        }
    }
}
