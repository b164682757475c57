//! The state, written anew: sled does not give back the room of rows that were removed. Owns the
//! copy and the exchange; must never touch the old state before the new one is durable, nor copy a
//! row that does not add up.

use std::fs::{self, File};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::KeyValue;
use super::OpenError;
use super::disk_store;
use super::seal::is_bookkeeping;
use super::state::{SLED_DIRECTORY, SledHome, State, StateHome as _, StateTrouble};

/// Where the new state is put together, in the store's directory.
const BESIDE: &str = "sled.anew";
/// Memory for the cache of each of the two. Rows come and go in order: little is needed.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// Rows read and written at a time (measured 2026-11-20: what sled takes best, see `fold.rs`).
const ROWS_AT_ONCE: usize = 256;

/// What writing the state anew has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rewritten {
    /// Rows, the store's own included.
    pub rows: u64,
    /// Bytes that the state took on disk before.
    pub bytes_before: u64,
    /// Bytes that it takes.
    pub bytes_after: u64,
}

fn state_error(reason: impl ToString) -> OpenError {
    OpenError::State {
        reason: reason.to_string(),
    }
}

fn opened(trouble: StateTrouble) -> OpenError {
    match trouble {
        StateTrouble::Broken(reason) | StateTrouble::Unavailable(reason) => state_error(reason),
    }
}

/// Writes the state of the stopped store in `directory` anew.
///
/// # Errors
/// [`OpenError::Locked`] when an engine has it open; [`OpenError::State`] when it is damaged (the
/// next start builds it from the log) or cannot be written. The old state is in its place then.
pub fn rewrite_state(directory: &Path) -> Result<Rewritten, OpenError> {
    let _lock = disk_store::lock_read_only(directory)?;
    let failed = |error: io::Error| OpenError::io(SLED_DIRECTORY, &error);
    let (old, beside) = (directory.join(SLED_DIRECTORY), directory.join(BESIDE));
    remove(&beside).map_err(failed)?;
    let mut rewritten = Rewritten {
        bytes_before: bytes_on_disk(&old).map_err(failed)?,
        ..Rewritten::default()
    };
    fs::create_dir_all(&beside).map_err(failed)?;
    {
        let from = SledHome::new(directory, CACHE_BYTES, None);
        let from = from.open().map_err(opened)?;
        let to = SledHome::new(&beside, CACHE_BYTES, None);
        let to = to.open().map_err(opened)?;
        rewritten.rows = copy(from.as_ref(), to.as_ref()).map_err(state_error)?;
        to.flush().map_err(state_error)?;
    }
    let new = beside.join(SLED_DIRECTORY);
    sync_tree(&new).map_err(failed)?;
    sync_directory(&beside).map_err(failed)?;
    exchange(&new, &old).map_err(failed)?;
    sync_directory(directory).map_err(failed)?;
    sync_directory(&beside).map_err(failed)?;
    remove(&beside).map_err(failed)?;
    sync_directory(directory).map_err(failed)?;
    rewritten.bytes_after = bytes_on_disk(&old).map_err(failed)?;
    Ok(rewritten)
}

/// Copies all rows, each of which is held against its digest when it is read, and compares. The new
/// state makes digests of its own.
fn copy(from: &dyn State, to: &dyn State) -> Result<u64, String> {
    let mut count: u64 = 0;
    each(from, &mut |rows| {
        count += rows.iter().fold(0, |count, _| count + 1);
        let mut changes = rows
            .iter()
            .map(|(key, value)| (key.as_slice(), Some(value.as_slice())));
        to.apply(&mut changes)
    })?;
    let mut compared: u64 = 0;
    each(to, &mut |rows| {
        for (key, value) in rows {
            compared += 1;
            if from.get(key)?.as_ref() != Some(value) {
                return Err("the new state is not what the old one is".to_owned());
            }
        }
        Ok(())
    })?;
    if compared == count {
        Ok(count)
    } else {
        Err("the new state has not all rows of the old one".to_owned())
    }
}

/// Hands all rows to `take`, some at a time, without what the state keeps about them.
fn each(
    state: &dyn State,
    take: &mut dyn FnMut(&[KeyValue]) -> Result<(), String>,
) -> Result<(), String> {
    let mut start = Bound::Unbounded;
    loop {
        let mut rows = state.range((start, Bound::Unbounded), false, ROWS_AT_ONCE)?;
        let Some((last, _)) = rows.last() else {
            return Ok(());
        };
        start = Bound::Excluded(last.clone());
        rows.retain(|(key, _)| !is_bookkeeping(key));
        take(&rows)?;
    }
}

/// Gives each the other's name. Where the file system cannot do that at once, a crash in between
/// leaves no state, and the next start builds it from the log.
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            let aside = one.with_extension("old");
            fs::rename(other, &aside)?;
            fs::rename(one, other)
        }
        outcome => Ok(outcome?),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Puts every file of a directory, and the directory, on stable storage.
fn sync_tree(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    sync_directory(path)
}

/// Bytes that a directory takes on the disk.
///
/// # Errors
/// When it cannot be read.
pub fn bytes_on_disk(path: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            bytes += bytes_on_disk(&entry.path())?;
        } else {
            // In units of 512 bytes, whatever the file system's blocks are.
            bytes += entry.metadata()?.blocks() * 512;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_the_same_and_smaller() {
        let root = tempfile::tempdir().unwrap();
        let home = SledHome::new(root.path(), CACHE_BYTES, None);
        // Where leaves and nodes are cut depends on how rows came.
        let all = |state: &dyn State| {
            let all = (Bound::Unbounded, Bound::Unbounded);
            let mut rows = state.range(all, false, usize::MAX).unwrap();
            rows.retain(|(key, _)| !is_bookkeeping(key));
            rows
        };
        let rows = {
            let state = home.open().unwrap();
            for round in 0..8_u8 {
                for number in 0..400_u32 {
                    let key = [[round; 20].as_slice(), &number.to_be_bytes()].concat();
                    let value = vec![round; 2_000];
                    let change = (key.as_slice(), (round > 6).then_some(value.as_slice()));
                    let first = (key.as_slice(), Some(value.as_slice()));
                    state.apply(&mut std::iter::once(first)).unwrap();
                    state.apply(&mut std::iter::once(change)).unwrap();
                }
            }
            state.flush().unwrap();
            all(state.as_ref())
        };
        let done = rewrite_state(root.path()).unwrap();
        assert_eq!(done.rows, 400);
        assert!(done.bytes_after < done.bytes_before, "{done:?}");
        assert!(!root.path().join(BESIDE).exists());
        let state = home.open().unwrap();
        assert!(all(state.as_ref()) == rows, "rows differ");
    }
}
