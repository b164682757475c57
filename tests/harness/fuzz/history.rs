//! History files and packed log segments: what is in them is read whole, or they are called damaged.

use engine::history::{decode, encode};
use engine::store::probe::{pack_segment, unpack_segment};

use super::input::Choices;
use super::property::crc32c;

pub(super) const WORDS: &[&[u8]] = &[
    b"TILLHIST\x01\0\0\0\0\0\0\0",
    b"TILLHEND",
    b"TILLPACK\x01\0\0\0",
    b"\0\0\x04\0",
    b"\xFF\xFF\xFF\xFF",
    b"\x01\0\0\0\0\0\0\0",
];

/// Any bytes as a file, with its sums as they are and put right; then rows made of the bytes.
pub(super) fn file(data: &[u8]) {
    check_file(data);
    check_file(&with_sums(data));
    let rows = rows(data);
    let written = encode(
        rows.iter()
            .map(|(key, value)| (key.as_slice(), value.as_slice())),
    );
    let mut written = written.expect("rows ascend");
    assert!(
        decode(&written).as_ref() == Ok(&rows),
        "rows do not go round"
    );
    let mut choices = Choices::new(data);
    let at = usize::from(choices.byte()) * written.len() / 256;
    written[at] ^= choices.byte().max(1);
    assert!(
        decode(&written).is_err(),
        "a changed byte at {at} is not found"
    );
}

fn check_file(bytes: &[u8]) {
    let Ok(rows) = decode(bytes) else {
        return;
    };
    assert!(
        rows.is_sorted_by(|one, next| one.0 < next.0),
        "rows do not ascend"
    );
    let again = encode(
        rows.iter()
            .map(|(key, value)| (key.as_slice(), value.as_slice())),
    );
    let again = again.expect("what was read can be written");
    assert!(decode(&again) == Ok(rows), "rows do not go round");
}

/// Puts the sums of the first block and of the footer right.
fn with_sums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    seal_block(&mut bytes, 16);
    if bytes.len() >= 44 {
        let footer = bytes.len() - 28;
        let sum = crc32c(&[&bytes[footer..footer + 12]]);
        bytes[footer + 12..footer + 16].copy_from_slice(&sum.to_le_bytes());
        let place: [u8; 8] = bytes[footer..footer + 8].try_into().expect("eight bytes");
        if let Ok(index) = usize::try_from(u64::from_le_bytes(place)) {
            seal_block(&mut bytes, index);
        }
    }
    bytes
}

fn seal_block(bytes: &mut [u8], at: usize) {
    let Some(block) = bytes.get_mut(at..).filter(|block| block.len() >= 12) else {
        return;
    };
    let length: [u8; 4] = block[4..8].try_into().expect("four bytes");
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if let Some(packed) = block.get(12..length.saturating_add(12)) {
        let sum = crc32c(&[&block[..8], packed]);
        block[8..12].copy_from_slice(&sum.to_le_bytes());
    }
}

fn rows(data: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut choices = Choices::new(data);
    let mut rows = Vec::new();
    while !choices.is_over() && rows.len() < 64 {
        let number = u8::try_from(rows.len()).expect("a few");
        let key = [
            vec![number],
            vec![choices.byte(); usize::from(choices.byte() % 40)],
        ]
        .concat();
        let value = vec![choices.byte(); usize::from(choices.byte()) * 64];
        rows.push((key, value));
    }
    rows
}

pub(super) fn file_seeds() -> Vec<Vec<u8>> {
    let key = |number: u8| [[b'P'; 17].as_slice(), &[number; 16]].concat();
    [0_u8, 1, 5]
        .into_iter()
        .map(|count| {
            let rows: Vec<_> = (0..count)
                .map(|number| (key(number), vec![number; 40]))
                .collect();
            encode(
                rows.iter()
                    .map(|(key, value)| (key.as_slice(), value.as_slice())),
            )
            .expect("rows ascend")
        })
        .collect()
}

/// Any bytes as a packed segment, then packed.
pub(super) fn segment(data: &[u8]) {
    for bytes in [data.to_vec(), with_table_sum(data)] {
        if let Some(plain) = unpack_segment(&bytes) {
            let again = pack_segment(&plain).and_then(|packed| unpack_segment(&packed));
            assert!(again == Some(plain), "segments do not go round");
        }
    }
    let mut packed = pack_segment(data).expect("inputs are short");
    assert_eq!(unpack_segment(&packed).as_deref(), Some(data));
    let mut choices = Choices::new(data);
    let at = usize::from(choices.byte()) * packed.len() / 256;
    packed[at] ^= choices.byte().max(1);
    assert!(
        unpack_segment(&packed).is_none(),
        "a changed byte at {at} is not found"
    );
}

/// Puts the sums right of a segment with one block.
fn with_table_sum(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.len() >= 32 {
        let sum = crc32c(&[&bytes[..28]]);
        bytes[28..32].copy_from_slice(&sum.to_le_bytes());
    }
    seal_block(&mut bytes, 32);
    bytes
}

pub(super) fn segment_seeds() -> Vec<Vec<u8>> {
    [
        b"".as_slice(),
        b"pos_transaction.closed pos_transaction.closed",
        &[0; 999],
    ]
    .into_iter()
    .map(|plain| pack_segment(plain).expect("it is short"))
    .collect()
}
