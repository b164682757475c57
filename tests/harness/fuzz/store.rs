//! The engine's files one by one: batches of the log, the checkpoint, the acquirer simulator's book.

use engine::acquirer::host::{BookEntry, BookState, ResponseCode};
use engine::acquirer::simulator::{BookFileError, decode_book, encode_group};
use engine::domain::time::Timestamp;
use engine::domain::transaction::Trace;
use engine::store::probe::{self, Batch};
use engine::store::{Commit, Record, Row, StreamId, Urgency};
use protocol::id::{MerchantId, TerminalId, TransactionId};
use protocol::money::Money;

use super::input::Choices;
use super::property::crc32c;

pub(super) const WORDS: &[&[u8]] = &[
    b"TWLB\x01\0\0\0",
    b"TWCP\x01\0\0\0",
    b"TWID\x01\0\0\0",
    b"TWBK",
    b"\xFF\xFF\xFF\xFF",
    b"\x01\0\0\0",
    b"\x01\0\0\0\0\0\0\0",
    b"\x08\0\0\0",
    b"\0\0\x10\0",
];

pub(super) const LOG: [u8; 16] = *b"the log's own id";
const HEADER_BYTES: usize = 48;
const BATCH_BYTES_MAX: usize = HEADER_BYTES + 1024 * 1024 + 8;

/// Any bytes as a batch; then the same with a body length and a check sum that are right.
pub(super) fn batch(data: &[u8]) {
    check_batch(data);
    check_batch(&sealed(data));
    let found = probe::find_batch(LOG, data, 0, 0);
    assert!(found.is_none_or(|at| at % 8 == 0 && at < data.len()));
}

fn check_batch(bytes: &[u8]) {
    let Some(batch) = probe::read_batch(LOG, bytes) else {
        return;
    };
    assert!(batch.length <= bytes.len() && batch.length <= BATCH_BYTES_MAX);
    assert!(probe::read_batch(*b"another log's id", bytes).is_none());
    let held: usize = batch
        .records
        .iter()
        .flat_map(|logged| &logged.record.rows)
        .map(|row| row.key.len() + row.value.as_ref().map_or(0, Vec::len))
        .sum();
    assert!(held <= batch.length, "more rows than bytes");
    let again = written(&batch);
    let read = probe::read_batch(LOG, &again).expect("what was read can be written");
    assert!(read.records == batch.records, "records do not go round");
    let found = probe::find_batch(LOG, bytes, batch.epoch, batch.generation);
    assert_eq!(found, Some(0), "recovery would miss it");
}

/// The batch as a writer that makes one commit of every record would write it.
fn written(batch: &Batch) -> Vec<u8> {
    let commits: Vec<_> = batch
        .records
        .iter()
        .map(|logged| {
            let commit = Commit {
                stream: logged.stream,
                expected_seq: 0,
                records: vec![logged.record.clone()],
                urgency: Urgency::New,
            };
            (commit, logged.seq)
        })
        .collect();
    let place = [batch.epoch, batch.generation, batch.first_position];
    probe::write_batch(LOG, place, &commits)
}

/// Puts the length and the check sum right.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().max(HEADER_BYTES).next_multiple_of(8), 0);
    let body = u32::try_from(bytes.len() - HEADER_BYTES).expect("inputs are short");
    bytes[36..40].copy_from_slice(&body.to_le_bytes());
    let crc = crc32c(&[&LOG, &bytes[..44], &bytes[HEADER_BYTES..]]);
    bytes[44..48].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Commits made of the bytes are read back as they were written.
pub(super) fn records(data: &[u8]) {
    let mut choices = Choices::new(data);
    let place = [
        choices.number(),
        choices.number(),
        u64::from_le_bytes([choices.byte(), 0, 0, 0, 0, 0, 0, 0]),
    ];
    let mut commits = Vec::new();
    while !choices.is_over() && commits.len() < 32 {
        commits.push(commit(&mut choices));
    }
    let bytes = probe::write_batch(LOG, place, &commits);
    let batch = probe::read_batch(LOG, &bytes).expect("what was written is read");
    assert_eq!(batch.length, bytes.len());
    let expected: Vec<_> = commits
        .iter()
        .flat_map(|(commit, first_seq)| {
            let seqs = *first_seq..;
            seqs.zip(&commit.records)
                .map(|(seq, record)| (commit.stream, seq, record.clone()))
        })
        .collect();
    let read: Vec<_> = batch
        .records
        .into_iter()
        .map(|logged| (logged.stream, logged.seq, logged.record))
        .collect();
    assert!(read == expected, "commits do not go round");
}

pub(super) fn commit(choices: &mut Choices<'_>) -> (Commit, u64) {
    let stream = StreamId(choices.array());
    let first_seq = u64::from(choices.byte());
    let records = (0..=choices.byte() % 3)
        .map(|_| Record {
            event: choices.short().to_vec(),
            rows: (0..choices.byte() % 4)
                .map(|_| Row {
                    key: choices.short().to_vec(),
                    value: match choices.byte() {
                        0..=63 => None,
                        _ => Some(choices.long().to_vec()),
                    },
                })
                .collect(),
        })
        .collect();
    let commit = Commit {
        stream,
        expected_seq: 0,
        records,
        urgency: Urgency::New,
    };
    (commit, first_seq)
}

pub(super) fn checkpoint(data: &[u8]) {
    let mut bytes = b"TWCP\x01\0\0\0".to_vec();
    bytes.extend(LOG);
    bytes.extend(data);
    bytes.extend(crc32c(&[&bytes]).to_le_bytes());
    for bytes in [data, &bytes] {
        if let Some(place) = probe::read_checkpoint(LOG, bytes) {
            assert!(probe::write_checkpoint(LOG, place) == bytes, "two forms");
            assert!(probe::read_checkpoint([0; 16], bytes).is_none());
        }
    }
}

/// A book of any bytes; then any bytes as the payload of a whole group behind a good one.
pub(super) fn book(data: &[u8]) {
    check_book(data);
    let good = encode_group(&[entry(1)]).expect("a small group");
    let mut bytes = good.clone();
    bytes.extend(group(data));
    check_book(&bytes);
    let mut torn = good.clone();
    torn.extend_from_slice(data);
    match decode_book(&torn) {
        Ok((_, length)) => assert!(length >= good.len(), "a good group is cut off"),
        Err(BookFileError::Damaged { offset }) => assert!(offset >= good.len()),
        Err(error) => panic!("{error}"),
    }
}

fn check_book(bytes: &[u8]) {
    if let Ok((entries, length)) = decode_book(bytes) {
        assert!(length <= bytes.len());
        let group = encode_group(&entries).expect("what was read can be written");
        let (again, _) = decode_book(&group).expect("what was written is read");
        assert!(again == entries, "entries do not go round");
    }
}

fn group(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("inputs are short");
    let mut bytes = b"TWBK".to_vec();
    bytes.extend(length.to_le_bytes());
    bytes.extend(crc32c(&[payload]).to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn entry(number: u64) -> BookEntry {
    let amount = Money::new(1_234, "USD".parse().expect("a currency"));
    BookEntry {
        number,
        merchant_id: MerchantId::from_bytes([1; 16]),
        terminal_id: TerminalId::from_bytes([2; 16]),
        transaction_id: TransactionId::from_bytes([3; 16]),
        trace: Trace {
            number: 17,
            sent_at: Timestamp(1_700_000_000_000),
        },
        requested: amount,
        approved: Some(amount),
        total: None,
        state: BookState::Authorized,
        response_code: ResponseCode::new("00"),
        last_four: Some(*b"0010"),
        is_contact_chip: true,
        booked_at: Timestamp(1_700_000_000_001),
        changed_at: Timestamp(1_700_000_000_002),
        changed_by: 0,
    }
}

pub(super) fn good_batch(generation: u64, first_position: u64) -> Vec<u8> {
    let mut choices = Choices::new(b"an engine's streams, events, keys and values of any kind....");
    let mut commits: Vec<_> = (0..2).map(|_| commit(&mut choices)).collect();
    for (number, (commit, _)) in (0u8..).zip(&mut commits) {
        commit.records.truncate(1);
        commit.records[0].rows = vec![Row {
            key: vec![b'P', number],
            value: Some(vec![1; 9]),
        }];
    }
    probe::write_batch(LOG, [1, generation, first_position], &commits)
}

pub(super) fn batch_seeds() -> Vec<Vec<u8>> {
    let empty = probe::write_batch(LOG, [1, 1, 1], &[]);
    vec![
        good_batch(1, 1),
        empty,
        [good_batch(0, 1), good_batch(0, 3)].concat(),
    ]
}

pub(super) fn record_seeds() -> Vec<Vec<u8>> {
    vec![(0..200).collect(), vec![1; 300]]
}

pub(super) fn checkpoint_seeds() -> Vec<Vec<u8>> {
    let file = probe::write_checkpoint(LOG, [3, 4_096, 77, 2]);
    vec![file[24..56].to_vec(), file]
}

pub(super) fn book_seeds() -> Vec<Vec<u8>> {
    let group = encode_group(&[entry(1), entry(2)]).expect("a small group");
    vec![group[12..].to_vec(), group]
}
