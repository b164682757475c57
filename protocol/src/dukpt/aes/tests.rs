//! The vectors of the standard, and what holds for any key.

use super::key::KeySize;
use super::*;
use proptest::prelude::*;
use serde_json::Value;

const AES_128: &str = include_str!("../../../vectors/dukpt_aes128.json");
const AES_256: &str = include_str!("../../../vectors/dukpt_aes256.json");

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn ksn(text: &str) -> Ksn {
    Ksn::try_from(hex::decode(text).unwrap().as_slice()).unwrap()
}

fn shown(key: &Key) -> String {
    hex::encode_upper(&key.bytes[..key.size.length()])
}

/// Columns of the vectors by usage and length.
fn derived(column: &str) -> Option<(KeyUsage, KeySize)> {
    let (usage, size) = column.rsplit_once('_')?;
    let usage = match usage {
        "PIN" => KeyUsage::PinEncryption,
        "MAC_GEN" => KeyUsage::MacGeneration,
        "MAC_VER" => KeyUsage::MacVerification,
        "MAC_BOTH" => KeyUsage::MacBothWays,
        "DATA_ENC" => KeyUsage::DataEncryption,
        "DATA_DEC" => KeyUsage::DataDecryption,
        "DATA_BOTH" => KeyUsage::DataBothWays,
        _ => return None,
    };
    match size {
        "AES128" => Some((usage, KeySize::Bits128)),
        "AES192" => Some((usage, KeySize::Bits192)),
        "AES256" => Some((usage, KeySize::Bits256)),
        _ => None,
    }
}

/// Checks every key of every row; gives how many keys there were.
fn check(text: &str) -> usize {
    let vectors: Value = serde_json::from_str(text).unwrap();
    let base = BaseDerivationKey::try_from(bytes(&vectors["bdk"]).as_slice()).unwrap();
    let ikid = vectors["ikid"].as_str().unwrap();
    let initial = base.initial_key(ksn(&format!("{ikid}00000000")));
    assert_eq!(shown(&initial.0), vectors["ik"]);
    let mut count = 0;
    for row in vectors["rows"].as_array().unwrap() {
        let ksn = ksn(row["ksn"].as_str().unwrap());
        let key = initial.transaction_key(ksn);
        assert_eq!(shown(&key.0), row["txn_key"], "{ksn}");
        for (column, expected) in row.as_object().unwrap() {
            let Some((usage, size)) = derived(column) else {
                continue;
            };
            let id = ksn.derivation_id(ksn.counter());
            let found = key.0.derive(usage, size, id);
            assert_eq!(shown(&found), *expected, "{ksn} {column}");
            count += 1;
        }
        let own = format!("DATA_ENC_AES{}", base.0.size.bits());
        assert_eq!(shown(&initial.data_key(ksn).0), row[&own], "{ksn}");
    }
    count
}

#[test]
fn every_row_of_the_standard_agrees() {
    assert_eq!(check(AES_128), 10 * 7);
    assert_eq!(check(AES_256), 10 * 14);
}

#[test]
fn counters_with_more_than_sixteen_ones_are_skipped() {
    let device = ksn("123456789012345600000000");
    for (counter, next) in [
        (0x0000_0000, Some(0x0000_0001)),
        (0x0000_FFFF, Some(0x0001_0000)),
        (0x0001_FFFE, Some(0x0002_0000)),
        (0x7FFF_8000, Some(0x8000_0000)),
        (0xFFFE_8000, Some(0xFFFF_0000)),
        (0xFFFF_0000, None),
        (0xFFFF_FFFF, None),
    ] {
        let found = device.with_counter(counter).next();
        let found = found.map(|ksn| ksn.counter());
        assert_eq!(found, next, "{counter:08X}");
    }
}

/// The rows of the standard are neighbours, but for two jumps.
#[test]
fn the_keys_of_a_device_follow_each_other() {
    let vectors: Value = serde_json::from_str(AES_128).unwrap();
    let rows = vectors["rows"].as_array().unwrap();
    let row = |place: usize| ksn(rows[place]["ksn"].as_str().unwrap());
    let device = row(0).with_counter(0);
    assert_eq!(device.next(), Some(row(0)));
    assert_eq!(row(0).next(), Some(row(1)));
    assert_eq!(row(2).next(), Some(row(3)));
    assert_eq!(row(6).next(), Some(row(7)));
    assert_eq!(row(8).next(), Some(row(9)));
}

#[test]
fn the_parts_of_a_key_serial_number() {
    let ksn = ksn("123456789012345600020001");
    assert_eq!(ksn.base_key_id(), BaseKeyId([0x12, 0x34, 0x56, 0x78]));
    assert_eq!(ksn.counter(), 0x0002_0001);
    assert_eq!(ksn.to_string(), "123456789012345600020001");
    assert_eq!(
        Ksn::try_from([0; 10].as_slice()),
        Err(DukptError::KsnLength)
    );
}

#[test]
fn keys_have_three_lengths_and_are_not_shown() {
    for length in 0..40 {
        let key = BaseDerivationKey::try_from(vec![0x41; length].as_slice());
        assert_eq!(key.is_ok(), [16, 24, 32].contains(&length), "{length}");
        if let Ok(key) = key {
            assert_eq!(format!("{key:?}"), "BaseDerivationKey(redacted)");
        }
    }
}

#[test]
fn ciphertext_is_whole_blocks_chained() {
    let ksn = ksn("123456789012345600000001");
    let base = BaseDerivationKey::try_from([0x5A; 16].as_slice()).unwrap();
    let key = base.initial_key(ksn).data_key(ksn);
    let sealed = key.encrypt(&[0x11; 32]);
    assert_ne!(sealed[..16], sealed[16..]);
    assert_eq!(key.encrypt(&[]), [0u8; 0]);
    let refused = key.decrypt(&sealed[..24]).map(|_| ());
    assert_eq!(refused, Err(DukptError::PartialBlock));
}

proptest! {
    #[test]
    fn what_is_encrypted_is_decrypted(
        length in prop::sample::select(vec![16usize, 24, 32]),
        key: [u8; 32],
        ksn: [u8; 12],
        plain in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let ksn = Ksn::new(ksn);
        let base = BaseDerivationKey::try_from(&key[..length]).unwrap();
        let key = base.initial_key(ksn).data_key(ksn);
        let sealed = key.encrypt(&plain);
        prop_assert_eq!(sealed.len(), plain.len().next_multiple_of(16));
        let opened = key.decrypt(&sealed).unwrap();
        prop_assert!(opened.starts_with(&plain));
        prop_assert!(opened.iter().skip(plain.len()).all(|byte| *byte == 0));
    }

    #[test]
    fn the_next_counter_is_the_first_that_may_be_used(counter: u32) {
        let ksn = Ksn::new([0; 12]).with_counter(counter);
        match ksn.next() {
            Some(next) => {
                prop_assert!(next.counter() > counter && next.counter().count_ones() <= 16);
                let skipped = (counter + 1..next.counter()).take(1_000);
                prop_assert!(skipped.into_iter().all(|skipped| skipped.count_ones() > 16));
            }
            None => prop_assert!(counter >= 0xFFFF_0000),
        }
    }
}
