//! The vectors of the standard and of the reader, and what holds for any key.

use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn array<const N: usize>(value: &Value) -> [u8; N] {
    hex::decode(value.as_str().unwrap())
        .unwrap()
        .try_into()
        .unwrap()
}

fn load(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn every_row_of_the_standard_agrees() {
    let vectors = load(include_str!("../../../vectors/dukpt_tdes.json"));
    let base = BaseDerivationKey::new(array(&vectors["bdk"]));
    let initial = base.initial_key(Ksn::new(array(&vectors["initial_ksn"])));
    assert_eq!(initial.0.0, array(&vectors["ik"]));
    let plain = vectors["data_ascii"].as_str().unwrap().as_bytes();
    let rows = vectors["rows"].as_array().unwrap();
    assert!(rows.len() >= 23);
    for row in rows {
        let ksn = Ksn::new(array(&row["ksn"]));
        assert_eq!(base.initial_key(ksn).0.0, initial.0.0, "{ksn}");
        let key = initial.transaction_key(ksn);
        assert_eq!(key.0.0, array(&row["txn_key"]), "{ksn}");
        let data_key = initial.data_key(ksn);
        assert_eq!(data_key.0.0, array(&row["data_req_key"]), "{ksn}");
        assert_eq!(key.pin_variant().0.0, array(&row["pin_key"]), "{ksn}");
        let sealed = data_key.encrypt(plain);
        assert_eq!(sealed, array::<24>(&row["data_req_cbc"]), "{ksn}");
        assert!(data_key.decrypt(&sealed).unwrap().starts_with(plain));
    }
}

#[test]
fn the_first_keys_of_a_device_follow_each_other() {
    let vectors = load(include_str!("../../../vectors/dukpt_tdes.json"));
    let mut ksn = Ksn::new(array(&vectors["initial_ksn"]));
    for row in &vectors["rows"].as_array().unwrap()[..2] {
        ksn = ksn.next().unwrap();
        assert_eq!(ksn.to_string(), row["ksn"].as_str().unwrap());
    }
}

#[test]
fn the_readers_key_and_the_worked_example_agree() {
    let vectors = load(include_str!("../../../vectors/idtech_neo2.json"));
    let keys = &vectors["constructed_keys"];
    let ksn = Ksn::new(array(&keys["ksn"]));
    let base = BaseDerivationKey::new(array(&keys["bdk"]));
    let key = base.initial_key(ksn).data_key(ksn);
    assert_eq!(key.0.0, array(&keys["data_key"]));
    for (plain, sealed) in [
        ("plain_57_tlv_padded", "cipher_57"),
        ("plain_5A_tlv_padded", "cipher_5A"),
    ] {
        let plain = hex::decode(keys[plain].as_str().unwrap()).unwrap();
        let sealed = hex::decode(keys[sealed].as_str().unwrap()).unwrap();
        assert_eq!(key.encrypt(&plain), sealed);
        assert_eq!(*key.decrypt(&sealed).unwrap(), plain);
    }
    let flow = &vectors["flow_keys"];
    for counter in ["12", "13", "14", "15"] {
        let ksn = Ksn::new(array(&flow[format!("ksn_{counter}")]));
        let initial = base.initial_key(ksn);
        assert_eq!(initial.0.0, array(&flow["ik"]));
        let expected = array(&flow[format!("data_key_{counter}")]);
        assert_eq!(initial.data_key(ksn).0.0, expected);
    }
}

#[test]
fn counters_with_more_than_ten_ones_are_skipped() {
    let device = Ksn::new([0xFF; 10]).initial();
    assert_eq!(device.to_string(), "FFFFFFFFFFFFFFE00000");
    for (counter, next) in [
        (0x00_0000, Some(0x00_0001)),
        (0x00_07FE, Some(0x00_0800)),
        (0x1F_F7FF, Some(0x1F_F800)),
        (0x1F_F800, None),
    ] {
        let found = device.with_counter(counter).next();
        assert_eq!(found.map(|ksn| ksn.counter()), next, "{counter:06X}");
    }
}

#[test]
fn keys_are_not_shown() {
    let key = BaseDerivationKey::new([0x41; 16]);
    assert_eq!(format!("{key:?}"), "BaseDerivationKey(redacted)");
    assert!(BaseDerivationKey::try_from([0; 15].as_slice()).is_err());
    assert_eq!(
        Ksn::try_from([0; 12].as_slice()),
        Err(DukptError::KsnLength)
    );
}

proptest! {
    #[test]
    fn what_is_encrypted_is_decrypted(
        key: [u8; 16], ksn: [u8; 10], plain in prop::collection::vec(any::<u8>(), 0..64)
    ) {
        let ksn = Ksn::new(ksn);
        let key = BaseDerivationKey::new(key).initial_key(ksn).data_key(ksn);
        let sealed = key.encrypt(&plain);
        let opened = key.decrypt(&sealed).unwrap();
        prop_assert!(opened.starts_with(&plain));
        prop_assert!(opened.iter().skip(plain.len()).all(|byte| *byte == 0));
        if !plain.is_empty() {
            prop_assert_eq!(key.decrypt(&sealed[1..]).unwrap_err(), DukptError::PartialBlock);
        }
    }

    #[test]
    fn the_device_part_survives_counting(bytes: [u8; 10], counter: u32) {
        let ksn = Ksn::new(bytes);
        prop_assert_eq!(ksn.with_counter(ksn.counter()), ksn);
        prop_assert_eq!(ksn.with_counter(counter).initial(), ksn.initial());
        if let Some(next) = ksn.next() {
            prop_assert!(next.counter() > ksn.counter() && next.counter().count_ones() <= 10);
        }
    }
}
