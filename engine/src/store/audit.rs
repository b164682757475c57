//! A look at a stopped store: what its files hold, and whether log and state say the same. Reads
//! the state on a copy, because sled writes when it opens; must never change the store.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Bound;
use std::path::Path;

use super::committer::number;
use super::disk::RealDisk;
use super::disk_store;
use super::identity::Identity;
use super::range::RESERVED_SPACE;
use super::seal::is_bookkeeping;
use super::state::{
    APPLIED_KEY, LOG_KEY, SLED_DIRECTORY, SledHome, StateHome as _, StateTrouble, head_key,
};
use super::verify::{Problem, Survey, read_checkpoint, survey};
use super::{OpenError, Position};

/// Memory for sled's cache on the copy.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a stopped store holds.
#[derive(Debug, Clone, Default)]
pub struct Audit {
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// The owners' rows, as the next start would serve them.
    pub rows: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The log's last position.
    pub position: Position,
    /// Whether the log has its first record, so that the rows were held against all of it.
    pub reaches_back: bool,
    /// Bytes of an incomplete batch at the end of the log, which the next start discards.
    pub torn_bytes: u64,
}

/// Reads the store in `directory` and compares its parts. `scratch` is an empty directory with room
/// for the state; `removed` is handed the key of each owner's row that the log removes, in the order
/// of the log: what was archived would be too much to keep in memory.
///
/// # Errors
/// [`OpenError::Locked`] when an engine has it open; [`OpenError::Io`] when the copy fails.
pub fn audit(
    directory: &Path,
    scratch: &Path,
    removed: &mut dyn FnMut(&[u8]),
) -> Result<Audit, OpenError> {
    let _lock = disk_store::lock_read_only(directory)?;
    let mut problems = Vec::new();
    let disk = RealDisk::new(directory);
    let mut logged = LoggedRows {
        covered: covered(&disk),
        ..LoggedRows::default()
    };
    let found = survey(&disk, &mut problems, &mut |record| {
        logged.add(record);
        let rows = record.rows.iter().filter(|(_, value)| value.is_none());
        rows.filter(|(key, _)| is_owners(key))
            .for_each(|(key, _)| removed(key));
    });
    let Some(found) = found else {
        return Ok(Audit {
            problems,
            ..Audit::default()
        });
    };
    let covered = found.checkpoint.map_or(0, |place| place.position);
    let state = read_state(directory, scratch, &found, covered, &mut problems)?;
    let reaches_back = found.begins_after == 0;
    let rows = match state {
        Some(state) => {
            let state = replayed(state, &logged, covered.max(found.begins_after));
            if found.is_whole && reaches_back {
                compare(&state, &logged.rows, &mut problems);
            }
            state
        }
        // A start builds it anew from the log.
        None => logged.rows,
    };
    Ok(Audit {
        problems,
        rows: rows.into_iter().filter(|(key, _)| is_owners(key)).collect(),
        position: Position(found.end.position),
        reaches_back,
        torn_bytes: found.torn_bytes,
    })
}

fn is_owners(key: &[u8]) -> bool {
    key.first() != Some(&RESERVED_SPACE)
}

/// The position that the checkpoint covers; zero when there is none that can be read.
fn covered(disk: &RealDisk) -> u64 {
    let identity = Identity::read(disk).ok().flatten();
    let checkpoint = identity.and_then(|identity| read_checkpoint(disk, identity.log).ok()?);
    checkpoint.map_or(0, |place| place.position)
}

/// What the log makes of the rows.
#[derive(Default)]
struct LoggedRows {
    rows: Rows,
    covered: u64,
    /// Where each key was last written, removals too, behind what is covered.
    written_at: BTreeMap<Vec<u8>, u64>,
}

impl LoggedRows {
    fn add(&mut self, record: &super::frame::RecordView<'_>) {
        for (key, value) in &record.rows {
            self.put(key, *value, record.position);
        }
        let seq = record.seq.to_be_bytes();
        self.put(&head_key(record.stream), Some(&seq), record.position);
    }

    fn put(&mut self, key: &[u8], value: Option<&[u8]>, position: u64) {
        if position > self.covered {
            self.written_at.insert(key.to_vec(), position);
        }
        match value {
            Some(value) => self.rows.insert(key.to_vec(), value.to_vec()),
            None => self.rows.remove(key),
        };
    }
}

/// The state with what a start would put over it.
fn replayed(mut state: Rows, logged: &LoggedRows, covered: u64) -> Rows {
    let tail = logged.written_at.iter();
    for (key, _) in tail.filter(|(_, position)| **position > covered) {
        match logged.rows.get(key) {
            Some(value) => state.insert(key.clone(), value.clone()),
            None => state.remove(key),
        };
    }
    state
}

fn compare(state: &Rows, logged: &Rows, problems: &mut Vec<Problem>) {
    let mut report = |key: &[u8], what: &str| {
        let what = format!("row {} {what}", hex::encode(key));
        problems.push(Problem::new("state_agrees_with_log", SLED_DIRECTORY, what));
    };
    for (key, value) in logged {
        match state.get(key) {
            Some(found) if found == value => {}
            Some(_) => report(key, "is not what the log says"),
            None => report(key, "is missing"),
        }
    }
    for key in state.keys().filter(|key| !logged.contains_key(*key)) {
        report(key, "is not in the log");
    }
}

/// The rows of the state; `None` when a start would build it anew.
fn read_state(
    directory: &Path,
    scratch: &Path,
    found: &Survey,
    covered: u64,
    problems: &mut Vec<Problem>,
) -> Result<Option<Rows>, OpenError> {
    let mut broken = |what: String| {
        problems.push(Problem::new("state_is_intact", SLED_DIRECTORY, what));
        Ok(None)
    };
    let source = directory.join(SLED_DIRECTORY);
    if !source.is_dir() {
        return match found.end.position {
            0 => Ok(Some(Rows::new())),
            _ => broken("missing".to_owned()),
        };
    }
    copy_tree(&source, &scratch.join(SLED_DIRECTORY))
        .map_err(|error| OpenError::io("scratch", &error))?;
    let state = match SledHome::new(scratch, CACHE_BYTES, None).open() {
        Ok(state) => state,
        Err(StateTrouble::Broken(reason) | StateTrouble::Unavailable(reason)) => {
            return broken(format!("does not open: {reason}"));
        }
    };
    let all = (Bound::Unbounded, Bound::Unbounded);
    let rows: Rows = match state.range(all, false, usize::MAX) {
        Ok(rows) => rows.into_iter().collect(),
        Err(reason) => return broken(reason),
    };
    let applied = rows.get(APPLIED_KEY.as_slice());
    let applied = applied.map_or(Ok(0), |bytes| number(bytes));
    match (rows.get(LOG_KEY.as_slice()), applied) {
        (Some(log), _) if *log != found.identity.log => broken("belongs to another log".to_owned()),
        (_, Err(reason)) => broken(reason),
        (_, Ok(applied)) if applied < covered => broken(format!(
            "is at position {applied}, before the checkpoint's {covered}"
        )),
        (_, Ok(applied)) if applied > found.end.position => {
            let end = found.end.position;
            broken(format!(
                "is at position {applied}, behind the log's end at {end}"
            ))
        }
        _ => Ok(Some(
            rows.into_iter()
                .filter(|(key, _)| is_compared(key))
                .collect(),
        )),
    }
}

/// Whether a row follows from the log alone.
fn is_compared(key: &[u8]) -> bool {
    key != APPLIED_KEY && key != LOG_KEY && !is_bookkeeping(key)
}

/// Copies a directory with everything in it.
///
/// # Errors
/// Whatever reading or writing meets.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
