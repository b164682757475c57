//! The rows: sled, behind a seam that says only what the store needs from it. Owns opening it,
//! moving a broken one aside, and making it durable; must never be the only place where something
//! is kept, because everything in it can be rebuilt from the log, and must never hand out a row
//! before it was held against its digest (`seal.rs` says why).

use std::fs::File;
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::range::{self, KeyRange, RESERVED_SPACE};
use super::seal::{SealTrouble, SealedRows};
use super::{KeyValue, StreamId};

/// Key of the position up to which the log has been applied.
pub(crate) const APPLIED_KEY: [u8; 2] = [RESERVED_SPACE, b'p'];
/// Key of the log that the rows belong to.
pub(crate) const LOG_KEY: [u8; 2] = [RESERVED_SPACE, b'l'];

/// Key of a stream's last sequence number.
pub(crate) fn head_key(stream: StreamId) -> [u8; 19] {
    let mut key = [0; 19];
    let (space, rest) = key.split_at_mut(2);
    space.copy_from_slice(&[RESERVED_SPACE, b'h']);
    rest.copy_from_slice(&stream.0);
    key
}

/// The stream whose last sequence number is at `key`.
pub(crate) fn stream_of(key: &[u8]) -> Option<StreamId> {
    let stream = key.strip_prefix(&[RESERVED_SPACE, b'h'])?;
    stream.try_into().ok().map(StreamId)
}

/// A change to one key: its value, or none to remove it.
pub(crate) type Change<'a> = (&'a [u8], Option<&'a [u8]>);

/// Ordered keys and values with atomic batches.
pub(crate) trait State: Send + Sync {
    /// The value at `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, String>;
    /// Up to `limit` entries of a range, from its beginning or, when `backwards`, from its end.
    fn range(
        &self,
        range: KeyRange,
        backwards: bool,
        limit: usize,
    ) -> Result<Vec<KeyValue>, String>;
    /// Applies changes in order, all or none. Not durable before [`State::flush`].
    fn apply(&self, changes: &mut dyn Iterator<Item = Change<'_>>) -> Result<(), String>;
    /// Puts everything that was applied before the call on stable storage.
    fn flush(&self) -> Result<(), String>;
}

/// Why a state does not open.
#[derive(Debug)]
pub(crate) enum StateTrouble {
    /// Its files are damaged; another can be built in their place.
    Broken(String),
    /// The machine does not let it open; building another would meet the same trouble.
    Unavailable(String),
}

/// Where a state is kept.
pub(crate) trait StateHome: Send {
    /// Opens what is there, or something empty.
    fn open(&self) -> Result<Arc<dyn State>, StateTrouble>;
    /// Moves what is there out of the way, and says where to.
    fn set_aside(&self) -> io::Result<String>;
}

/// A directory with a sled database.
#[derive(Debug)]
pub(crate) struct SledHome {
    root: PathBuf,
    cache_bytes: u64,
    flush_every_ms: Option<u64>,
}

/// Name of the directory in the store's.
pub(crate) const SLED_DIRECTORY: &str = "sled";
/// sled's threads hold its file's lock for a moment after it was closed, so a store that is opened
/// again in the same process tries for about a second (arbitrary, bounded).
const LOCK_ATTEMPTS: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

impl SledHome {
    /// `sled/` in the store's directory.
    pub(crate) fn new(root: &Path, cache_bytes: u64, flush_every_ms: Option<u64>) -> Self {
        Self {
            root: root.to_path_buf(),
            cache_bytes,
            flush_every_ms,
        }
    }

    fn directory(&self) -> PathBuf {
        self.root.join(SLED_DIRECTORY)
    }

    /// sled takes a half-written snapshot for the newest one and then does not open (spacejam/sled
    /// #1527).
    fn remove_half_snapshots(&self) -> io::Result<()> {
        let entries = match std::fs::read_dir(self.directory()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("snap.") && name.ends_with(".generating") {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn attempt(&self) -> Result<Arc<dyn State>, StateTrouble> {
        // sled panics on some damaged files (spacejam/sled #1387).
        match catch_unwind(AssertUnwindSafe(|| self.open_sled())) {
            Ok(Ok(Ok(state))) => Ok(Arc::new(state)),
            Ok(Ok(Err(reason))) => Err(StateTrouble::Broken(reason)),
            Ok(Err(sled::Error::Io(error))) if !is_damage(&error) => {
                Err(StateTrouble::Unavailable(error.to_string()))
            }
            Ok(Err(error)) => Err(StateTrouble::Broken(error.to_string())),
            Err(_) => Err(StateTrouble::Broken(
                "sled panicked while opening".to_owned(),
            )),
        }
    }

    fn open_sled(&self) -> Result<Result<SledState, String>, sled::Error> {
        if self.directory().join(DAMAGED).exists() {
            return Ok(Err("state was found damaged before".to_owned()));
        }
        let database = sled::Config::new()
            .path(self.directory())
            .cache_capacity(self.cache_bytes)
            .flush_every_ms(self.flush_every_ms)
            .open()?;
        // The first read walks what opening has not touched.
        database.get(APPLIED_KEY)?;
        let file = File::open(self.directory().join("db"))?;
        match SealedRows::open(database) {
            Ok(rows) => Ok(Ok(SledState {
                rows,
                file,
                directory: self.directory(),
            })),
            Err(SealTrouble::Rows(error)) => Err(error),
            Err(SealTrouble::Damaged(reason)) => Ok(Err(reason)),
        }
    }
}

impl StateHome for SledHome {
    fn open(&self) -> Result<Arc<dyn State>, StateTrouble> {
        let unavailable = |error: io::Error| StateTrouble::Unavailable(error.to_string());
        self.remove_half_snapshots().map_err(unavailable)?;
        for _ in 1..LOCK_ATTEMPTS {
            match self.attempt() {
                // Not damage, so most likely the lock.
                Err(StateTrouble::Unavailable(_)) => std::thread::park_timeout(LOCK_PAUSE),
                outcome => return outcome,
            }
        }
        self.attempt()
    }

    fn set_aside(&self) -> io::Result<String> {
        let names = (1..).map(|number: u32| format!("{SLED_DIRECTORY}.broken.{number}"));
        for name in names {
            if !self.root.join(&name).try_exists()? {
                std::fs::rename(self.directory(), self.root.join(&name))?;
                File::open(&self.root)?.sync_all()?;
                return Ok(name);
            }
        }
        Err(io::Error::other("no name is free"))
    }
}

fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
    )
}

/// A full disk damages nothing.
fn is_full(trouble: &SealTrouble) -> bool {
    let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
    matches!(trouble, SealTrouble::Rows(sled::Error::Io(error)) if full.contains(&error.kind()))
}

/// The mark in sled's directory that it was found damaged while it was in use. It goes aside with
/// the directory.
const DAMAGED: &str = "damaged";

struct SledState {
    rows: SealedRows,
    /// A second descriptor of sled's file: its own flush does not wait for the device
    /// (`sync_file_range`), an fdatasync after it does.
    file: File,
    directory: PathBuf,
}

impl SledState {
    /// Reads or changes rows, and leaves a mark for the next start when the files are damaged.
    fn guarded<T>(&self, act: impl FnOnce() -> Result<T, SealTrouble>) -> Result<T, String> {
        // sled panics on some damaged pages.
        let outcome = catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|_| {
            Err(SealTrouble::Damaged(
                "state panicked while it was used".to_owned(),
            ))
        });
        outcome.map_err(|trouble| {
            let reason = trouble.to_string();
            if !is_full(&trouble)
                && let Err(error) = File::create(self.directory.join(DAMAGED))
            {
                tracing::error!(reason, %error, "state is damaged and cannot be marked as such");
            }
            reason
        })
    }

    fn entries(
        &self,
        range: KeyRange,
        backwards: bool,
        limit: usize,
    ) -> Result<Vec<KeyValue>, SealTrouble> {
        let rows = self.rows.rows();
        let entries = rows.range::<Vec<u8>, (Bound<Vec<u8>>, Bound<Vec<u8>>)>(range);
        let owned = |entry: sled::Result<(sled::IVec, sled::IVec)>| {
            let (key, value) = entry?;
            Ok((key.to_vec(), value.to_vec()))
        };
        if backwards {
            entries.rev().take(limit).map(owned).collect()
        } else {
            entries.take(limit).map(owned).collect()
        }
    }
}

/// The ends of a range as keys.
fn ends(range: &KeyRange) -> (Vec<u8>, Option<Vec<u8>>) {
    let from = match &range.0 {
        Bound::Included(key) | Bound::Excluded(key) => key.clone(),
        Bound::Unbounded => Vec::new(),
    };
    let to = match &range.1 {
        Bound::Included(key) => Some(key.clone()),
        // What begins there is read in vain at worst.
        Bound::Excluded(key) => Some(range::predecessor(key)),
        Bound::Unbounded => None,
    };
    (from, to)
}

impl State for SledState {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        self.guarded(|| {
            self.rows.verify_key(key)?;
            let value = self.rows.rows().get(key)?;
            Ok(value.map(|value| value.to_vec()))
        })
    }

    fn range(
        &self,
        range: KeyRange,
        backwards: bool,
        limit: usize,
    ) -> Result<Vec<KeyValue>, String> {
        self.guarded(|| {
            let (mut from, mut to) = ends(&range);
            let entries = self.entries(range, backwards, limit)?;
            // What a full answer does not reach need not be looked at.
            if let (true, Some((last, _))) = (entries.len() >= limit, entries.last()) {
                if backwards {
                    from.clone_from(last);
                } else {
                    to = Some(last.clone());
                }
            }
            self.rows.verify(&from, to.as_deref())?;
            Ok(entries)
        })
    }

    // To change a row its old value is read, so that damage may be met here too.
    fn apply(&self, changes: &mut dyn Iterator<Item = Change<'_>>) -> Result<(), String> {
        self.guarded(|| self.rows.apply(changes))
    }

    fn flush(&self) -> Result<(), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        self.rows.flush().map_err(|trouble| text(&trouble))?;
        self.file.sync_data().map_err(|error| text(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(root: &Path) -> SledHome {
        SledHome::new(root, 8 * 1024 * 1024, None)
    }

    fn put(state: &dyn State, key: &[u8], value: &[u8]) {
        state
            .apply(&mut std::iter::once((key, Some(value))))
            .unwrap();
    }

    #[test]
    fn rows_survive_a_reopen_beside_a_half_written_snapshot() {
        let root = tempfile::tempdir().unwrap();
        let state = home(root.path()).open().unwrap();
        put(state.as_ref(), b"k", b"v");
        state.flush().unwrap();
        drop(state);
        let half = root.path().join("sled/snap.00000000000000FF.generating");
        std::fs::write(&half, b"half").unwrap();
        let state = home(root.path()).open().unwrap();
        assert_eq!(state.get(b"k").unwrap().as_deref(), Some(b"v".as_slice()));
        assert!(!half.exists());
    }

    #[test]
    fn damaged_files_are_broken_and_can_be_set_aside_repeatedly() {
        let root = tempfile::tempdir().unwrap();
        for expected in ["sled.broken.1", "sled.broken.2"] {
            drop(home(root.path()).open().unwrap());
            std::fs::write(root.path().join("sled/conf"), b"no configuration").unwrap();
            let trouble = home(root.path()).open().err();
            assert!(
                matches!(trouble, Some(StateTrouble::Broken(_))),
                "{trouble:?}"
            );
            assert_eq!(home(root.path()).set_aside().unwrap(), expected);
        }
    }

    #[test]
    fn an_open_database_is_unavailable_rather_than_broken() {
        let root = tempfile::tempdir().unwrap();
        let _open = home(root.path()).open().unwrap();
        assert!(matches!(
            home(root.path()).open().err(),
            Some(StateTrouble::Unavailable(_))
        ));
    }
}
