//! A store's directory: what the offline walk, which reads as recovery does, makes of it.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use engine::store::probe;
use engine::store::{Problem, verify};
use tempfile::TempDir;

use super::input::Choices;
use super::property::crc32c;
pub(super) use super::store::WORDS;
use super::store::{LOG, commit, good_batch};

const FIRST: &str = "archive/0000000000000001.log";
const SECOND: &str = "log/0000000000000002.log";

/// Where the files lie: in memory, if the machine has such a place.
fn new_directory() -> TempDir {
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let directory = directory.expect("a directory");
    for name in ["log", "archive"] {
        fs::create_dir(directory.path().join(name)).expect("a directory");
    }
    fs::write(directory.path().join("identity"), identity()).expect("a file");
    directory
}

fn with_directory<T>(act: impl FnOnce(&Path) -> T) -> T {
    thread_local! {
        static DIRECTORY: OnceCell<TempDir> = const { OnceCell::new() };
    }
    DIRECTORY.with(|directory| act(directory.get_or_init(new_directory).path()))
}

/// Walks twice over these files; the walk must change nothing.
fn walk(checkpoint: &[u8], first: &[u8], second: &[u8]) -> Vec<Problem> {
    with_directory(|root| {
        let parts = [("checkpoint", checkpoint), (FIRST, first), (SECOND, second)];
        for (name, bytes) in parts {
            fs::write(root.join(name), bytes).expect("a file");
        }
        let problems = verify(root);
        assert!(problems == verify(root), "the walk changes what it reads");
        for (name, bytes) in parts {
            let found = fs::read(root.join(name)).expect("a file");
            assert!(found == bytes, "the walk writes");
        }
        problems
    })
}

/// Any bytes as checkpoint and segments: the walk names what is wrong.
pub(super) fn files(data: &[u8]) {
    let mut choices = Choices::new(data);
    let checkpoint = choices.short();
    let first = choices.long();
    drop(walk(checkpoint, first, choices.rest()));
}

/// A batch of a good log.
struct Written {
    bytes: Vec<u8>,
    is_empty: bool,
    is_last_of_segment: bool,
}

/// Two segments of batches of any commits.
fn good_log(choices: &mut Choices<'_>) -> Vec<Written> {
    let mut batches = Vec::new();
    let mut sequences = BTreeMap::new();
    let mut position = 1;
    for generation in [1, 2] {
        let count = 1 + choices.byte() % 4;
        for number in 1..=count {
            let mut commits: Vec<_> = (0..choices.byte() % 3).map(|_| commit(choices)).collect();
            for (commit, first_seq) in &mut commits {
                // The sequence of a stream has no gaps.
                let next = sequences.entry(commit.stream).or_insert(1u64);
                *first_seq = *next;
                *next += u64::try_from(commit.records.len()).expect("a few");
            }
            let records: usize = commits.iter().map(|(one, _)| one.records.len()).sum();
            batches.push(Written {
                bytes: probe::write_batch(LOG, [1, generation, position], &commits),
                is_empty: records == 0,
                is_last_of_segment: number == count,
            });
            position += u64::try_from(records).expect("a few");
        }
    }
    batches
}

fn walk_log(batches: &[Written]) -> Vec<Problem> {
    let first = batches.iter().position(|one| one.is_last_of_segment);
    let (first, second) = batches.split_at(first.map_or(0, |last| last + 1));
    let segment = |batches: &[Written]| -> Vec<u8> {
        let bytes = batches.iter().map(|one| one.bytes.as_slice());
        bytes.collect::<Vec<_>>().concat()
    };
    let checkpoint = probe::write_checkpoint(LOG, [1, 0, 0, 0]);
    walk(&checkpoint, &segment(first), &segment(second))
}

/// A good log, then one changed byte: harmless in the last batch, which may be torn, and never
/// unseen anywhere else.
pub(super) fn damage(data: &[u8]) {
    let mut choices = Choices::new(data);
    let (batch, at, change) = (choices.byte(), choices.number(), choices.byte() | 1);
    let mut batches = good_log(&mut choices);
    let problems = walk_log(&batches);
    assert!(problems.is_empty(), "a good log: {}", problems[0]);

    let number = usize::from(batch) % batches.len();
    let is_last = number + 1 == batches.len();
    let damaged = &mut batches[number];
    let length = u64::try_from(damaged.bytes.len()).expect("short");
    let at = usize::try_from(at % length).expect("short");
    damaged.bytes[at] ^= change;
    // Without records from here to the end of its segment there is nothing that could be missed.
    let last = batches[number..]
        .iter()
        .position(|one| one.is_last_of_segment);
    let rest = &batches[number..=number + last.unwrap_or_default()];
    let is_nothing = rest.iter().all(|one| one.is_empty);
    let problems = walk_log(&batches);
    if is_last {
        assert!(problems.is_empty(), "a torn tail: {}", problems[0]);
    } else if !is_nothing {
        assert!(
            !problems.is_empty(),
            "batch {number} is damaged unseen at {at}"
        );
    }
}

fn identity() -> Vec<u8> {
    let mut bytes = b"TWID\x01\0\0\0".to_vec();
    bytes.extend(LOG);
    bytes.extend([9; 16]);
    bytes.extend(crc32c(&[&bytes]).to_le_bytes());
    bytes
}

pub(super) fn file_seeds() -> Vec<Vec<u8>> {
    let checkpoint = probe::write_checkpoint(LOG, [1, 0, 0, 0]);
    let first = [good_batch(1, 1), good_batch(1, 3)].concat();
    let mut seed = vec![u8::try_from(checkpoint.len()).expect("60 bytes")];
    seed.extend(checkpoint);
    seed.extend(u16::try_from(first.len()).expect("small").to_le_bytes());
    seed.extend(first);
    seed.extend(good_batch(2, 5));
    seed.extend(good_batch(2, 7));
    vec![seed]
}

pub(super) fn damage_seeds() -> Vec<Vec<u8>> {
    let mut seed = vec![1, 20, 0, 0, 0, 0, 0, 0, 0, 1, 2];
    for number in 0..5 {
        seed.extend([1].repeat(1 + usize::from(number == 3)));
        seed.extend([7; 17]);
        seed.extend([1, 0, 2, b'e', b'v', 1, 2, b'P', 1, 200, 3, 0, 9, 9, 9]);
    }
    let mut other = seed.clone();
    other[0] = 4;
    vec![seed, other]
}
