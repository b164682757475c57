//! A disk in memory that fails on demand and forgets what was not synced, and a state to go with
//! it. Deterministic: what a crash loses is decided by the caller's random numbers.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::KeyValue;
use super::disk::{Disk, DiskFile};
use super::range::KeyRange;
use super::state::{Change, State, StateHome, StateTrouble};

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// Random numbers from a seed (Marsaglia's xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        // A state of zero would stay zero, and the first numbers of like seeds are alike.
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            random.next();
        }
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }

    /// True once in `times`.
    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The power fails: this operation may half happen, none after it does.
    Crash,
    /// The next write of file contents fails, having written a part.
    Write,
    /// The next sync of a file fails; the data stays readable and is never written (as Linux does).
    Sync,
}

#[derive(Default)]
struct FileState {
    /// What reading shows.
    current: Vec<u8>,
    /// What a crash leaves at least.
    durable: Vec<u8>,
    /// Written since the last sync.
    pending: Vec<(usize, Vec<u8>)>,
}

enum NameChange {
    Set(String, usize),
    Remove(String),
    Rename(String, String),
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Set(name, file) => drop(names.insert(name.clone(), *file)),
            Self::Remove(name) => drop(names.remove(name)),
            Self::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
        }
    }
}

#[derive(Default)]
struct Inner {
    files: Vec<FileState>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending_names: Vec<NameChange>,
    operations: u64,
    fault: Option<(u64, Fault)>,
    crashed: bool,
    /// What allocations may still take, in bytes.
    room: Option<u64>,
    free_bytes: u64,
}

/// The disk.
#[derive(Clone, Default)]
pub(crate) struct FaultyDisk(Arc<Mutex<Inner>>);

struct Handle {
    disk: FaultyDisk,
    file: usize,
}

impl Inner {
    /// Counts an operation that changes something, and lets it fail.
    fn operate(&mut self, kind: Option<Fault>) -> io::Result<()> {
        self.alive()?;
        self.operations += 1;
        let Some((at, fault)) = self.fault else {
            return Ok(());
        };
        if self.operations < at || (fault != Fault::Crash && kind != Some(fault)) {
            return Ok(());
        }
        self.fault = None;
        self.crashed = fault == Fault::Crash;
        Err(io::Error::other(format!("injected: {fault:?}")))
    }

    fn alive(&self) -> io::Result<()> {
        if self.crashed {
            Err(io::Error::other("injected: the power is off"))
        } else {
            Ok(())
        }
    }

    fn find(&self, path: &str) -> io::Result<usize> {
        self.alive()?;
        self.names
            .get(path)
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.pending_names.push(change);
    }
}

fn write_into(contents: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if contents.len() < end {
        contents.resize(end, 0);
    }
    contents[offset..end].copy_from_slice(bytes);
}

impl FaultyDisk {
    pub(crate) fn new() -> Self {
        let disk = Self::default();
        disk.lock().free_bytes = u64::MAX;
        disk
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Injects `fault` into the first fitting operation after `operations` more.
    pub(crate) fn fail_after(&self, operations: u64, fault: Fault) {
        let mut inner = self.lock();
        inner.fault = Some((inner.operations + operations + 1, fault));
    }

    /// Lets allocations take `room` more bytes, or as many as they like.
    pub(crate) fn limit(&self, room: Option<u64>) {
        self.lock().room = room;
    }

    /// What the disk says is free.
    pub(crate) fn set_free_bytes(&self, free_bytes: u64) {
        self.lock().free_bytes = free_bytes;
    }

    /// Whether the power has failed.
    pub(crate) fn is_off(&self) -> bool {
        self.lock().crashed
    }

    /// The contents of a file.
    pub(crate) fn contents(&self, path: &str) -> Vec<u8> {
        let inner = self.lock();
        inner.files[inner.find(path).unwrap()].current.clone()
    }

    /// Changes the contents of a file, durably.
    pub(crate) fn damage(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut inner = self.lock();
        let file = inner.find(path).unwrap();
        let file = &mut inner.files[file];
        change(&mut file.current);
        file.durable = file.current.clone();
    }

    /// What the disk holds after a power cut: everything that was synced, and of the rest some
    /// sectors, and some of the changes of names (in order, as a journal keeps them).
    pub(crate) fn power_cut(&self, random: &mut Random) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let mode = random.below(3);
        for file in &mut inner.files {
            for (offset, bytes) in std::mem::take(&mut file.pending) {
                let first = SECTOR_BYTES - offset % SECTOR_BYTES;
                let (head, rest) = bytes.split_at(first.min(bytes.len()));
                let pieces = std::iter::once(head).chain(rest.chunks(SECTOR_BYTES));
                let mut at = offset;
                for piece in pieces {
                    if mode == 0 || (mode == 1 && random.one_in(2)) {
                        write_into(&mut file.durable, at, piece);
                    }
                    at += piece.len();
                }
            }
            file.current = file.durable.clone();
        }
        let pending = std::mem::take(&mut inner.pending_names);
        let kept = random.below(u64::try_from(pending.len()).unwrap() + 1);
        for change in pending.iter().take(usize::try_from(kept).unwrap()) {
            change.apply(&mut inner.durable_names);
        }
        inner.names = inner.durable_names.clone();
        inner.crashed = false;
        inner.fault = None;
    }

    /// The process ends without a power cut: everything stays visible, unsynced or not.
    pub(crate) fn kill(&self) {
        let mut inner = self.lock();
        inner.crashed = false;
        inner.fault = None;
    }
}

impl DiskFile for Handle {
    fn length(&self) -> io::Result<u64> {
        let inner = self.disk.lock();
        inner.alive()?;
        Ok(u64::try_from(inner.files[self.file].current.len()).unwrap())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let inner = self.disk.lock();
        inner.alive()?;
        let contents = &inner.files[self.file].current;
        let start = usize::try_from(offset).unwrap().min(contents.len());
        let count = buffer.len().min(contents.len() - start);
        buffer[..count].copy_from_slice(&contents[start..start + count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut inner = self.disk.lock();
        let off = inner.crashed;
        let outcome = inner.operate(Some(Fault::Write));
        if off {
            return outcome;
        }
        // A write that fails may have happened in part, one that the power cut met also whole.
        let written = if outcome.is_ok() {
            bytes
        } else {
            &bytes[..bytes.len() / 2]
        };
        let reaching = if inner.crashed { bytes } else { written }.to_vec();
        let (file, offset) = (
            &mut inner.files[self.file],
            usize::try_from(offset).unwrap(),
        );
        write_into(&mut file.current, offset, written);
        file.pending.push((offset, reaching));
        outcome
    }

    fn reserve(&self, length: u64) -> io::Result<bool> {
        let mut inner = self.disk.lock();
        inner.operate(None)?;
        if let Some(room) = inner.room {
            inner.room = Some(room.checked_sub(length).ok_or(io::ErrorKind::StorageFull)?);
        }
        Ok(true)
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.disk.lock();
        let outcome = inner.operate(Some(Fault::Sync));
        let off = inner.crashed;
        let file = &mut inner.files[self.file];
        match outcome {
            Ok(()) => {
                for (offset, bytes) in std::mem::take(&mut file.pending) {
                    write_into(&mut file.durable, offset, &bytes);
                }
                Ok(())
            }
            Err(error) => {
                if !off {
                    // Marked clean without having been written: a later sync does nothing.
                    file.pending.clear();
                }
                Err(error)
            }
        }
    }
}

impl Disk for FaultyDisk {
    fn create_directory(&self, _path: &str) -> io::Result<()> {
        self.lock().operate(None)
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let inner = self.lock();
        inner.alive()?;
        let prefix = format!("{directory}/");
        let names = inner
            .names
            .keys()
            .filter_map(|name| name.strip_prefix(&prefix));
        Ok(names.map(str::to_owned).collect())
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut inner = self.lock();
        inner.operate(None)?;
        let file = inner.files.len();
        inner.files.push(FileState::default());
        inner.change(NameChange::Set(path.to_owned(), file));
        drop(inner);
        Ok(Box::new(Handle {
            disk: self.clone(),
            file,
        }))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = self.lock().find(path)?;
        Ok(Box::new(Handle {
            disk: self.clone(),
            file,
        }))
    }

    fn open_read_only(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        self.open(path)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.lock();
        inner.operate(None)?;
        inner.find(from)?;
        inner.change(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut inner = self.lock();
        inner.operate(None)?;
        inner.find(path)?;
        inner.change(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_directory(&self, _path: &str) -> io::Result<()> {
        let mut inner = self.lock();
        inner.operate(None)?;
        let inner = &mut *inner;
        for change in inner.pending_names.drain(..) {
            change.apply(&mut inner.durable_names);
        }
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.lock().free_bytes)
    }
}

type Map = BTreeMap<Vec<u8>, Vec<u8>>;
type Batch = Vec<(Vec<u8>, Option<Vec<u8>>)>;

#[derive(Default)]
struct Maps {
    current: Map,
    durable: Map,
    /// Batches applied since the last flush.
    unflushed: Vec<Batch>,
    broken: bool,
    set_aside: u32,
}

fn put_all(map: &mut Map, batch: Batch) {
    for (key, value) in batch {
        match value {
            Some(value) => map.insert(key, value),
            None => map.remove(&key),
        };
    }
}

/// A state in memory that survives like a database which writes at any time: a power cut leaves
/// what was flushed and some of the batches after it, in order.
#[derive(Clone, Default)]
pub(crate) struct MemoryHome(Arc<Mutex<Maps>>);

impl MemoryHome {
    pub(crate) fn power_cut(&self, random: &mut Random) {
        let mut maps = self.0.lock().unwrap();
        let unflushed = std::mem::take(&mut maps.unflushed);
        let kept = random.below(u64::try_from(unflushed.len()).unwrap() + 1);
        for batch in unflushed.into_iter().take(usize::try_from(kept).unwrap()) {
            put_all(&mut maps.durable, batch);
        }
        maps.current = maps.durable.clone();
    }

    /// Makes the next open find it damaged.
    pub(crate) fn damage(&self) {
        self.0.lock().unwrap().broken = true;
    }

    /// How often it was set aside.
    pub(crate) fn times_set_aside(&self) -> u32 {
        self.0.lock().unwrap().set_aside
    }
}

impl StateHome for MemoryHome {
    fn open(&self) -> Result<Arc<dyn State>, StateTrouble> {
        if self.0.lock().unwrap().broken {
            return Err(StateTrouble::Broken("injected".to_owned()));
        }
        Ok(Arc::new(self.clone()))
    }

    fn set_aside(&self) -> io::Result<String> {
        let mut maps = self.0.lock().unwrap();
        let set_aside = maps.set_aside + 1;
        *maps = Maps {
            set_aside,
            ..Maps::default()
        };
        Ok(set_aside.to_string())
    }
}

impl State for MemoryHome {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.lock().unwrap().current.get(key).cloned())
    }

    fn range(
        &self,
        range: KeyRange,
        backwards: bool,
        limit: usize,
    ) -> Result<Vec<KeyValue>, String> {
        let maps = self.0.lock().unwrap();
        let entries = maps
            .current
            .range(range)
            .map(|(key, value)| (key.clone(), value.clone()));
        Ok(if backwards {
            entries.rev().take(limit).collect()
        } else {
            entries.take(limit).collect()
        })
    }

    fn apply(&self, changes: &mut dyn Iterator<Item = Change<'_>>) -> Result<(), String> {
        let owned = |(key, value): Change<'_>| (key.to_vec(), value.map(<[u8]>::to_vec));
        let batch: Batch = changes.map(owned).collect();
        let mut maps = self.0.lock().unwrap();
        put_all(&mut maps.current, batch.clone());
        maps.unflushed.push(batch);
        Ok(())
    }

    fn flush(&self) -> Result<(), String> {
        let mut maps = self.0.lock().unwrap();
        maps.durable = maps.current.clone();
        maps.unflushed.clear();
        Ok(())
    }
}
