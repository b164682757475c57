//! What a technician captures and what goes to support: any bytes, decoded and redacted.

use terminal_agent::decode::{Decoded, input, link as frames, printer as paper, reader as neo2};
use terminal_agent::redact::{is_account_number, redact, redact_json};

use super::link;

pub(super) const WORDS: &[&[u8]] = &[
    b"ViVOtech2\0",
    b"\x1Dk",
    b"\x1D(k",
    b"\x1Dv0",
    b"0000: ",
    b"0x",
    b"4761739001010010",
    b"tw_",
    b"Bearer ",
];

/// Every byte is in one part, and no part goes beyond the end.
fn look(decoded: &Decoded, is_whole: bool) {
    let total: usize = decoded.parts.iter().map(|part| part.length).sum();
    if is_whole {
        assert_eq!(total, decoded.bytes, "bytes were lost or seen twice");
    }
    assert!(decoded.unknown_bytes <= decoded.bytes);
    drop(decoded.text());
}

pub(super) fn reader(data: &[u8]) {
    // Reports have padding that belongs to no frame.
    look(&neo2::decode(data), !matches!(data.first(), Some(1 | 2)));
}

pub(super) fn printer(data: &[u8]) {
    look(&paper::decode_commands(data), true);
    look(&paper::decode_answers(data), false);
}

pub(super) fn link_frames(data: &[u8]) {
    look(&frames::decode_frames(data), true);
}

pub(super) fn text(data: &[u8]) {
    if let Ok(bytes) = input::read_bytes(data) {
        assert!(bytes.len() <= data.len());
    }
    drop(input::read_hex(&String::from_utf8_lossy(data)));
}

/// No account number that stands by itself survives.
pub(super) fn redacted(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let shown = redact(&text);
    for word in shown.split(|c: char| !c.is_ascii_digit()) {
        assert!(!is_account_number(word), "{} digits were left", word.len());
    }
    let mut json = serde_json::json!({"text": text});
    redact_json(&mut json);
}

pub(super) fn reader_seeds() -> Vec<Vec<u8>> {
    use protocol::reader::command;
    vec![
        command::ping().encode(),
        command::encryption_status().encode(),
        command::firmware_version().encode(),
    ]
}

pub(super) fn printer_seeds() -> Vec<Vec<u8>> {
    vec![
        b"\x1B@\x1BE\x01Tillway\n\x1Dk\x49\x04{B12\x1DVB\x18\x1Dr\x01".to_vec(),
        b"\x12\x14\0\0\x0F\x5FTM\0".to_vec(),
    ]
}

pub(super) fn link_seeds() -> Vec<Vec<u8>> {
    let mut seeds = link::to_agent_seeds();
    seeds.extend(link::to_engine_seeds());
    seeds
}

pub(super) fn text_seeds() -> Vec<Vec<u8>> {
    vec![
        b"0000: 56 69 4f 74  ViOt\n".to_vec(),
        b"paid with 4761 7390 0101 0010 by tw_live_x".to_vec(),
        b";4761739001010010=2812201?".to_vec(),
    ]
}
