//! The rows: sled, behind a seam that says only what the store needs from it. Owns opening it,
//! moving a broken one aside, and making it durable; must never be the only place where something
//! is kept, because everything in it can be rebuilt from the log, and must never hand out a row
//! before its group was held against its digest (`seal.rs` says why).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use super::committer::number;
use super::range::{self, KeyRange, RESERVED_SPACE};
use super::seal::{
    DIGEST_PREFIX, Group, Seals, TOTAL_KEY, digest_key, group_of, is_single, weight,
};
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
        Ok(SledState::seals(&database).map(|seals| SledState {
            rows: database,
            file,
            directory: self.directory(),
            seals: Mutex::new(seals),
            verified: RwLock::default(),
        }))
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

/// The mark in sled's directory that it was found damaged while it was in use. It goes aside with
/// the directory.
const DAMAGED: &str = "damaged";

struct SledState {
    rows: sled::Db,
    /// A second descriptor of sled's file: its own flush does not wait for the device
    /// (`sync_file_range`), an fdatasync after it does.
    file: File,
    directory: PathBuf,
    /// What the rows must add up to. Held while they change.
    seals: Mutex<Seals>,
    /// Groups that were found to add up since the opening.
    verified: RwLock<BTreeSet<Group>>,
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl SledState {
    /// Reads the digests of a database and holds them against their total.
    fn seals(rows: &sled::Db) -> Result<Seals, String> {
        let mut seals = Seals::default();
        for entry in rows.scan_prefix(DIGEST_PREFIX) {
            let (key, digest) = entry.map_err(text)?;
            let group = key.get(DIGEST_PREFIX.len()..).unwrap_or_default();
            seals.set(group, number(&digest)?);
        }
        let total = rows.get(TOTAL_KEY).map_err(text)?;
        let total = total.map_or(Ok(0), |total| number(&total))?;
        if seals.total() == total {
            Ok(seals)
        } else {
            Err("digests do not add up to their total".to_owned())
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seals> {
        self.seals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads, and leaves a mark for the next start when the files are damaged.
    fn guarded<T>(&self, read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
        // sled panics on some damaged pages.
        let outcome = catch_unwind(AssertUnwindSafe(read))
            .unwrap_or_else(|_| Err("state panicked while it was read".to_owned()));
        if let Err(reason) = &outcome
            && let Err(error) = File::create(self.directory.join(DAMAGED))
        {
            tracing::error!(reason, %error, "state is damaged and cannot be marked as such");
        }
        outcome
    }

    fn is_verified(&self, group: &[u8]) -> bool {
        let verified = self.verified.read();
        let verified = verified.unwrap_or_else(PoisonError::into_inner);
        verified.contains(group)
    }

    /// Holds a group's rows against its digest, once.
    fn verify(&self, group: &[u8], seals: &Seals) -> Result<(), String> {
        if self.is_verified(group) {
            return Ok(());
        }
        let mut sum: u64 = 0;
        if is_single(group) {
            let value = self.rows.get(group).map_err(text)?;
            sum = value.map_or(0, |value| weight(group, &value));
        } else {
            for entry in self.rows.scan_prefix(group) {
                let (key, value) = entry.map_err(text)?;
                sum = sum.wrapping_add(weight(&key, &value));
            }
        }
        if sum != seals.digest(group) {
            return Err(format!(
                "rows of group {} do not add up to their digest",
                hex::encode(group)
            ));
        }
        let verified = self.verified.write();
        let mut verified = verified.unwrap_or_else(PoisonError::into_inner);
        verified.insert(group.to_vec());
        Ok(())
    }

    fn verify_key(&self, key: &[u8]) -> Result<(), String> {
        match group_of(key) {
            Some(group) if !self.is_verified(group) => self.verify(group, &self.lock()),
            _ => Ok(()),
        }
    }

    /// Verifies every group that may hold a key between two, both included.
    fn verify_between(&self, from: &[u8], to: Option<&[u8]>) -> Result<(), String> {
        let group = group_of(from);
        if group.is_some()
            && group == to.and_then(group_of)
            && group.is_some_and(|group| self.is_verified(group))
        {
            return Ok(());
        }
        let seals = self.lock();
        if let Some(group) = group {
            self.verify(group, &seals)?;
        }
        seals
            .groups_between(from, to)
            .try_for_each(|group| self.verify(group, &seals))
    }

    fn entries(
        &self,
        range: KeyRange,
        backwards: bool,
        limit: usize,
    ) -> Result<Vec<KeyValue>, String> {
        let entries = self
            .rows
            .range::<Vec<u8>, (Bound<Vec<u8>>, Bound<Vec<u8>>)>(range);
        let owned = |entry: sled::Result<(sled::IVec, sled::IVec)>| {
            entry
                .map(|(key, value)| (key.to_vec(), value.to_vec()))
                .map_err(text)
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
        // The group that begins there is read in vain at worst.
        Bound::Excluded(key) => Some(range::predecessor(key)),
        Bound::Unbounded => None,
    };
    (from, to)
}

impl State for SledState {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        self.guarded(|| {
            self.verify_key(key)?;
            let value = self.rows.get(key).map_err(text)?;
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
            self.verify_between(&from, to.as_deref())?;
            Ok(entries)
        })
    }

    fn apply(&self, changes: &mut dyn Iterator<Item = Change<'_>>) -> Result<(), String> {
        let mut batch = sled::Batch::default();
        let mut seals = self.lock();
        let mut weights: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        let mut digests: BTreeMap<Group, u64> = BTreeMap::new();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
            let Some(group) = group_of(key) else { continue };
            let new = value.map_or(0, |value| weight(key, value));
            let old = match weights.insert(key.to_vec(), new) {
                Some(old) => old,
                None => {
                    let old = self.rows.get(key).map_err(text)?;
                    old.map_or(0, |value| weight(key, &value))
                }
            };
            let digest = digests
                .entry(group.to_vec())
                .or_insert_with(|| seals.digest(group));
            *digest = digest.wrapping_sub(old).wrapping_add(new);
        }
        for (group, digest) in &digests {
            seals.set(group, *digest);
            match *digest {
                0 => batch.remove(digest_key(group)),
                digest => batch.insert(digest_key(group), &digest.to_be_bytes()),
            }
        }
        batch.insert(&TOTAL_KEY, &seals.total().to_be_bytes());
        self.rows.apply_batch(batch).map_err(text)
    }

    fn flush(&self) -> Result<(), String> {
        self.rows.flush().map_err(text)?;
        self.file.sync_data().map_err(text)
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
