//! Round trips, and damage of every kind.

use proptest::prelude::*;

use super::index::header;
use super::*;

fn rows(count: u32) -> Vec<KeyValue> {
    let row = |number: u32| {
        let mut key = vec![b'P'; 17];
        key.extend_from_slice(&number.to_be_bytes());
        key.extend_from_slice(&[7; 12]);
        (key, number.to_string().repeat(50).into_bytes())
    };
    (0..count).map(row).collect()
}

fn file(rows: &[KeyValue]) -> Vec<u8> {
    encode(
        rows.iter()
            .map(|(key, value)| (key.as_slice(), value.as_slice())),
    )
    .unwrap()
}

#[test]
fn rows_survive_the_round_trip_over_many_blocks() {
    for count in [0, 1, 2, 5_000] {
        let rows = rows(count);
        let bytes = file(&rows);
        assert_eq!(decode(&bytes), Ok(rows.clone()));
        let reader = Reader::over(Box::new(bytes)).unwrap();
        assert_eq!(reader.rows(), u64::from(count));
        assert!(count < 5_000 || reader.blocks().len() > 5);
        for (key, value) in rows.iter().step_by(97) {
            let block = reader.block(reader.block_of(key).unwrap()).unwrap();
            assert_eq!(block.get(key), Some(value.as_slice()));
            assert_eq!(block.get(&key[1..]), None);
            assert!(reader.covers(made_at(key).unwrap()));
        }
    }
}

#[test]
fn every_flipped_bit_is_found() {
    let rows = rows(20);
    let mut bytes = file(&rows);
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&bytes).is_err(), "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    assert_eq!(decode(&bytes), Ok(rows));
}

#[test]
fn a_torn_file_is_found_wherever_it_ends() {
    let bytes = file(&rows(20));
    for length in 0..bytes.len() {
        assert!(decode(&bytes[..length]).is_err(), "length {length}");
        let mut zeroed = bytes.clone();
        zeroed[length..].fill(0);
        assert!(
            zeroed == bytes || decode(&zeroed).is_err(),
            "zeros from {length}"
        );
    }
}

/// Written on 2026-11-21. Every later version reads it.
#[test]
fn a_file_of_version_1_is_read() {
    let bytes = concat!(
        "54494c4c4849535401000000000000004f0000001600000017784f8c7c210028",
        "0000005001001f0001001e600000000000006e000000210000000b5040442f01",
        "0001000304180013220c003c21005001000c39000f23000a6000000000000032",
        "000000000000002d0000002e99ffe50000000054494c4c48454e44"
    );
    let rows = decode(&hex::decode(bytes).unwrap()).unwrap();
    let key = [[b'P'; 17].as_slice(), &[0; 16]].concat();
    assert_eq!(rows, [(key, vec![0; 40])]);
}

#[test]
fn rows_out_of_order_are_refused() {
    let mut writer = Writer::over(Vec::new()).unwrap();
    writer.add(b"b", b"1").unwrap();
    assert!(writer.add(b"b", b"2").is_err());
    assert!(writer.add(b"a", b"2").is_err());
    assert!(writer.add(b"c", &vec![0; BLOCK_BYTES_MAX]).is_err());
    writer.add(b"c", b"2").unwrap();
    let rows = decode(&writer.close().unwrap()).unwrap();
    assert_eq!(rows.len(), 2);
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_in_peace(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
        is_headed: bool,
    ) {
        if is_headed {
            bytes.splice(..0, header());
        }
        prop_assert!(decode(&bytes).is_err());
    }
}
