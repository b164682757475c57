//! Flipped bits in the state's files: found at the opening or at the first read, or harmless, and
//! never a row that was not written.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Bound;
use std::path::Path;

use super::state::{APPLIED_KEY, SledHome, State, StateHome as _};

const MIB: u64 = 1024 * 1024;
/// Rows; sled's silent losses need several of its segments of 512 KiB.
const ROWS: u32 = 1_500;
/// Flipped bits for each file.
const FLIPS: u64 = 60;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Everything that a state gives out.
fn read(root: &Path) -> Result<Rows, String> {
    let home = SledHome::new(root, 8 * MIB, None);
    let state = home.open().map_err(|trouble| format!("{trouble:?}"))?;
    let all = (Bound::Unbounded, Bound::Unbounded);
    Ok(state.range(all, false, usize::MAX)?.into_iter().collect())
}

/// A state that was written in several lives, as the fold writes it: rows in batches, then how far
/// they are.
fn write(root: &Path) {
    let mut written: u32 = 0;
    for life in 0..5u32 {
        let state = SledHome::new(root, 8 * MIB, None).open().unwrap();
        for _ in 0..50 {
            let rows: Vec<(Vec<u8>, Vec<u8>)> = (0..50)
                .map(|_| {
                    written += 1;
                    let row = (written.wrapping_mul(2_654_435_761) >> 8) % ROWS;
                    let mut key = vec![b'P'; 13];
                    key.extend((row % 7).to_be_bytes());
                    key.extend(row.to_be_bytes());
                    (key, vec![written.to_le_bytes()[0]; 250])
                })
                .collect();
            apply(state.as_ref(), &rows, written + life);
        }
        state.flush().unwrap();
    }
}

fn apply(state: &dyn State, rows: &[(Vec<u8>, Vec<u8>)], applied: u32) {
    let mut changes = rows
        .iter()
        .map(|(key, value)| (key.as_slice(), Some(value.as_slice())));
    state.apply(&mut changes).unwrap();
    let applied = applied.to_be_bytes();
    state
        .apply(&mut std::iter::once((
            APPLIED_KEY.as_slice(),
            Some(applied.as_slice()),
        )))
        .unwrap();
}

#[test]
fn no_flipped_bit_makes_a_state_give_out_what_was_not_written() {
    let root = tempfile::tempdir().unwrap();
    let (base, work) = (root.path().join("base"), root.path().join("work"));
    fs::create_dir_all(&base).unwrap();
    write(&base);
    copy(&base, &work);
    let good = read(&work).unwrap();
    let mut outcomes: BTreeMap<&str, u32> = BTreeMap::new();
    for entry in fs::read_dir(base.join("sled")).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_type().unwrap().is_file() {
            continue;
        }
        let bytes = fs::read(entry.path()).unwrap();
        let length = u64::try_from(bytes.len()).unwrap();
        for flip in 0..FLIPS.min(length) {
            // Not at equal distances: sled's segments have equal lengths.
            let at = usize::try_from((flip * length / FLIPS.min(length) + flip * 37) % length);
            let at = at.unwrap();
            fs::remove_dir_all(&work).unwrap();
            copy(&base, &work);
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << (flip % 8);
            fs::write(work.join("sled").join(entry.file_name()), bytes).unwrap();
            let outcome = match read(&work) {
                Err(_) => "found",
                Ok(rows) if rows == good => "harmless",
                // The end is missing and the state says so: a start replays it or builds anew.
                Ok(rows) if rows.get(&APPLIED_KEY[..]) < good.get(&APPLIED_KEY[..]) => "older",
                Ok(rows) => panic!(
                    "{:?} at {at}: {} of {} rows differ",
                    entry.file_name(),
                    rows.iter()
                        .filter(|(key, value)| good.get(*key) != Some(value))
                        .count(),
                    good.len()
                ),
            };
            *outcomes.entry(outcome).or_default() += 1;
        }
    }
    // All three kinds were met, or the test tests nothing.
    assert_eq!(outcomes.len(), 3, "{outcomes:?}");
}
