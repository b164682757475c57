//! The agent's journal: frames on disk, entries in them, and what they add up to.

use terminal_agent::journal::{FRAME_PAYLOAD_MAX, ReadBack, encode_frame, read_back};
use terminal_agent::machine::record::{JOURNAL_FORMAT, JournalEntry, JournalState};

use protocol::id::JournalId;
use protocol::link::{ToEngine, decode};

use super::corpus::link_messages;
use super::input::Choices;
use super::property::crc32c;

pub(super) const WORDS: &[&[u8]] = &[
    b"\x81\xA6header\x82\xA6format\x01\xAAjournal_id",
    b"\x81\xA4boot\x81\xA6number\x01",
    b"\x81\xA8accepted\x81\xA6pos_id",
    b"\x81\xA6intent",
    b"\x81\xA4sent",
    b"\x81\xA5ended",
    b"\x81\xA9completed",
    b"\x81\xA9concluded",
    b"\x81\xA4open",
    b"\x81\xA9requested",
    b"\x81\xADprint_started",
    b"pos_01h2xcejqtf2nbrexx3vqjhp41",
];

/// A journal file of these bytes; then one with these bytes behind a good beginning.
pub(super) fn journal(data: &[u8]) {
    check(data);
    let mut bytes = good_start();
    let start = bytes.len();
    bytes.extend_from_slice(data);
    match check(&bytes) {
        ReadBack::Entries { torn, .. } => assert!(bytes.len() - torn >= start, "good entries torn"),
        ReadBack::Corrupt { at } => assert!(at >= start, "good entries called corrupt"),
    }
}

/// Payloads in frames that are whole: the check sums of mutated bytes would never be right.
pub(super) fn entry(data: &[u8]) {
    let mut bytes = good_start();
    let mut choices = Choices::new(data);
    while !choices.is_over() {
        let payload = choices.short();
        bytes.extend(frame(payload));
    }
    check(&bytes);
    let mut single = good_start();
    single.extend(frame(data));
    check(&single);
}

fn check(bytes: &[u8]) -> ReadBack {
    let read = read_back(bytes);
    match &read {
        ReadBack::Entries { entries, torn } => {
            assert!(*torn <= bytes.len());
            let mut written = Vec::new();
            for entry in entries {
                encode_frame(entry, &mut written).expect("what was read can be written");
            }
            let again = read_back(&written);
            assert!(
                again
                    == ReadBack::Entries {
                        entries: entries.clone(),
                        torn: 0
                    },
                "entries do not go round"
            );
            adds_up(entries);
        }
        ReadBack::Corrupt { at } => assert!(*at <= bytes.len()),
    }
    read
}

/// Compaction keeps the state.
fn adds_up(entries: &[JournalEntry]) {
    let state = JournalState::from_entries(entries);
    let snapshot = state.snapshot();
    let again = JournalState::from_entries(&snapshot);
    if !entries.is_empty() {
        assert!(again == state, "a snapshot is another state");
        assert!(again.snapshot() == snapshot, "a snapshot changes");
    }
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len().min(FRAME_PAYLOAD_MAX)).expect("bounded");
    let length = length.to_le_bytes();
    let mut bytes = length.to_vec();
    bytes.extend(crc32c(&[&length, payload]).to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn good_start() -> Vec<u8> {
    let header = JournalEntry::Header {
        format: JOURNAL_FORMAT,
        journal_id: JournalId::from_bytes([7; 16]),
    };
    let mut bytes = Vec::new();
    for entry in [header, JournalEntry::Boot { number: 1 }] {
        encode_frame(&entry, &mut bytes).expect("small entries fit");
    }
    bytes
}

fn entries() -> Vec<JournalEntry> {
    let mut entries = vec![JournalEntry::Boot { number: 2 }];
    for message in link_messages("to_engine") {
        entries.extend(match decode::<ToEngine>(&message) {
            Ok(ToEngine::Accept { pos_id }) => Some(JournalEntry::Accepted { pos_id }),
            Ok(ToEngine::Card(card)) => Some(JournalEntry::Sent {
                pos_id: card.pos_id,
                attempt_id: card.attempt_id,
            }),
            Ok(ToEngine::AttemptEnded {
                pos_id,
                attempt_id,
                end,
            }) => Some(JournalEntry::Ended {
                pos_id,
                attempt_id,
                end,
            }),
            Ok(ToEngine::Completed(completion)) => Some(JournalEntry::Completed(completion)),
            Ok(ToEngine::Request {
                request_id,
                request,
            }) => Some(JournalEntry::Requested {
                request_id,
                request,
            }),
            Ok(ToEngine::Print(report)) if report.state.is_final() => {
                Some(JournalEntry::PrintEnded {
                    job_id: report.job_id,
                    state: report.state,
                })
            }
            _ => None,
        });
    }
    entries
}

pub(super) fn journal_seeds() -> Vec<Vec<u8>> {
    let mut whole = good_start();
    let mut rest = Vec::new();
    for entry in entries() {
        encode_frame(&entry, &mut rest).expect("small entries fit");
    }
    whole.extend(&rest);
    vec![whole, rest]
}

/// Payloads with their lengths in front, as [`entry`] cuts them, and alone.
pub(super) fn entry_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let mut all = Vec::new();
    for entry in entries() {
        let mut frame = Vec::new();
        encode_frame(&entry, &mut frame).expect("small entries fit");
        let payload = frame[8..].to_vec();
        if let Ok(length) = u8::try_from(payload.len()) {
            all.push(length);
            all.extend(&payload);
        }
        seeds.push(payload);
    }
    seeds.push(all);
    seeds
}
