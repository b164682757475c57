//! Rows that do not change any more, in files of their own: a lower layer of the rows.
//!
//! A row in the state hides one here, a newer file hides an older one. Owns the files in
//! `history/`; must never decide what may go into them (`archive.rs` does), nor change a file that
//! has its name.

pub mod archive;
mod file;
mod join;
pub mod layered;
mod listing;
mod merge;
mod settling;
pub mod upkeep;

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::owner::key;
use crate::pace::Pause;
use crate::store::{KeyValue, ReadFault};

pub use file::{Damage, decode, encode};
pub use join::Joined;

use file::{Block, Reader, Trouble, Writer, made_at};
use listing::Span;
use settling::Settling;

/// Where history is, in the data directory.
pub const HISTORY_DIRECTORY: &str = "history";
/// Blocks that are kept unpacked: 2 MiB, a few pages of lists. Arbitrary, bounded.
const CACHED_BLOCKS: usize = 16;
/// Attempts to open files that another process joins meanwhile. Joining takes seconds: one more is
/// almost always enough.
const OPEN_ATTEMPTS: usize = 5;
/// The spaces whose rows may be here.
pub const SPACES: [u8; 4] = [key::COPY_MARK, key::PRINT_JOB, key::POS, key::TRANSACTION];

/// Why history cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// A file cannot be read or written.
    #[error("{HISTORY_DIRECTORY}/{file}: {error}")]
    Io {
        /// Which.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// A file is damaged: nothing of the damaged part was or will be given out.
    #[error("{HISTORY_DIRECTORY}/{file} is damaged {damage}")]
    Damaged {
        /// Which.
        file: String,
        /// Where and how.
        damage: Damage,
    },
    /// A file that was there is not there.
    #[error("{HISTORY_DIRECTORY}/{file} is missing")]
    Missing {
        /// Which.
        file: String,
    },
}

impl HistoryError {
    fn io(file: &str) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |error| Self::Io { file, error }
    }

    fn of(file: &str, trouble: Trouble) -> Self {
        let file = file.to_owned();
        match trouble {
            Trouble::Io(error) => Self::Io { file, error },
            Trouble::Damage(damage) => Self::Damaged { file, damage },
        }
    }
}

impl From<HistoryError> for ReadFault {
    fn from(error: HistoryError) -> Self {
        Self(error.to_string())
    }
}

/// A file of history.
#[derive(Debug)]
struct Volume {
    span: Span,
    reader: Reader,
}

type Cached = (Span, usize, Arc<Block>);

/// The archived rows.
#[derive(Debug)]
pub struct History {
    directory: PathBuf,
    /// Ascending.
    volumes: RwLock<Arc<Vec<Arc<Volume>>>>,
    /// The last used block is the last.
    cache: Mutex<VecDeque<Cached>>,
}

/// What history holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    /// Files.
    pub files: u32,
    /// Bytes of them.
    pub bytes: u64,
    /// Rows, older ones that a newer file hides included.
    pub rows: u64,
}

impl History {
    /// Opens the history in a data directory; an absent one is empty.
    ///
    /// # Errors
    /// [`HistoryError`] when a file is missing, or so damaged that it cannot be known what is in it.
    pub fn open(data_dir: &Path) -> Result<Self, HistoryError> {
        let directory = data_dir.join(HISTORY_DIRECTORY);
        let mut opened = open_volumes(&directory);
        for _ in 1..OPEN_ATTEMPTS {
            if !matches!(opened, Err(HistoryError::Missing { .. })) {
                break;
            }
            opened = open_volumes(&directory);
        }
        Ok(Self {
            directory,
            volumes: RwLock::new(Arc::new(opened?)),
            cache: Mutex::default(),
        })
    }

    fn volumes(&self) -> Arc<Vec<Arc<Volume>>> {
        let volumes = self.volumes.read();
        Arc::clone(&volumes.unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether nothing is archived.
    pub fn is_empty(&self) -> bool {
        self.volumes().is_empty()
    }

    /// How much there is.
    pub fn extent(&self) -> Extent {
        let mut extent = Extent::default();
        for volume in self.volumes().iter() {
            extent.files += 1;
            extent.bytes += volume.reader.bytes();
            extent.rows += volume.reader.rows();
        }
        extent
    }

    /// The archived row at a key.
    ///
    /// # Errors
    /// [`HistoryError`] naming what is damaged.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, HistoryError> {
        let made_at = made_at(key);
        for volume in self.volumes().iter().rev() {
            if made_at.is_some_and(|at| !volume.reader.covers(at)) {
                continue;
            }
            if let Some(at) = volume.reader.block_of(key)
                && let Some(value) = self.block(volume, at)?.get(key)
            {
                return Ok(Some(value.to_vec()));
            }
        }
        Ok(None)
    }

    /// As [`crate::store::Rows::scan`], below `until` if it is given.
    ///
    /// # Errors
    /// [`HistoryError`] naming what is damaged.
    pub fn scan(
        &self,
        prefix: &[u8],
        from: Option<&[u8]>,
        until: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, HistoryError> {
        merge::scan(self, prefix, from, until, limit)
    }

    /// As [`crate::store::Rows::scan_back`], from `until` up if it is given.
    ///
    /// # Errors
    /// [`HistoryError`] naming what is damaged.
    pub fn scan_back(
        &self,
        prefix: &[u8],
        before: Option<&[u8]>,
        until: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, HistoryError> {
        merge::scan_back(self, prefix, before, until, limit)
    }

    /// Hands every row of every file to `each`, older files first; each file in ascending order.
    /// What is damaged is passed over and listed.
    pub fn read_all(&self, mut each: impl FnMut(&[u8], &[u8])) -> Vec<HistoryError> {
        let mut damaged = Vec::new();
        for volume in self.volumes().iter() {
            for at in 0..volume.reader.blocks().len() {
                match volume.reader.block(at) {
                    Ok(block) => block.rows().for_each(|(key, value)| each(key, value)),
                    Err(trouble) => damaged.push(HistoryError::of(&volume.span.name(), trouble)),
                }
            }
        }
        damaged
    }

    fn block(&self, volume: &Volume, at: usize) -> Result<Arc<Block>, HistoryError> {
        let lock = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cache = lock();
        let is_it = |cached: &Cached| (cached.0, cached.1) == (volume.span, at);
        if let Some(place) = cache.iter().position(is_it)
            && let Some(cached) = cache.remove(place)
        {
            let block = Arc::clone(&cached.2);
            cache.push_back(cached);
            return Ok(block);
        }
        drop(cache);
        let block = volume.reader.block(at);
        let block = block.map_err(|trouble| HistoryError::of(&volume.span.name(), trouble))?;
        let block = Arc::new(block);
        let mut cache = lock();
        cache.push_back((volume.span, at, Arc::clone(&block)));
        if cache.len() > CACHED_BLOCKS {
            cache.pop_front();
        }
        Ok(block)
    }

    /// Begins a file behind all others; it counts once it is installed.
    ///
    /// # Errors
    /// [`HistoryError`].
    fn begin(&self) -> Result<Draft, HistoryError> {
        let number = self.volumes().last().map_or(1, |last| last.span.last + 1);
        self.draft(Span::one(number))
    }

    /// Begins a file; what a run before has left behind goes.
    ///
    /// # Errors
    /// [`HistoryError`].
    fn draft(&self, span: Span) -> Result<Draft, HistoryError> {
        let mut private = DirBuilder::new();
        private.recursive(true).mode(0o700);
        private
            .create(&self.directory)
            .and_then(|()| sync_parent(&self.directory))
            .map_err(HistoryError::io(""))?;
        for name in listing::read(&self.directory)?.left_over {
            let removed = fs::remove_file(self.directory.join(&name));
            removed.map_err(HistoryError::io(&name))?;
        }
        let beside = self.directory.join(span.name_beside());
        let writer = Writer::create(&beside).map_err(HistoryError::io(&span.name()))?;
        Ok(Draft {
            span,
            beside,
            writer,
        })
    }

    /// Syncs a file, reads it back, and gives it its name: from then on it is read, in the place of
    /// those that it was joined from. False when it was stopped before.
    ///
    /// # Errors
    /// [`HistoryError`]; nothing is archived then.
    fn install(&self, draft: Draft, pause: Pause<'_>) -> Result<bool, HistoryError> {
        let Draft {
            span,
            beside,
            writer,
        } = draft;
        let name = span.name();
        let rows = writer.rows();
        writer.finish().map_err(HistoryError::io(&name))?;
        let read_back = Reader::open(&beside).and_then(|reader| {
            for at in 0..reader.blocks().len() {
                if pause() {
                    return Ok(None);
                }
                reader.block(at)?;
            }
            Ok(Some(reader.rows()))
        });
        let read_back = read_back.map_err(|trouble| HistoryError::of(&name, trouble))?;
        let Some(read_back) = read_back else {
            return Ok(false);
        };
        if read_back != rows {
            let error = io::Error::other("fewer rows were read back than written");
            return Err(HistoryError::io(&name)(error));
        }
        let sync = || File::open(&self.directory)?.sync_all();
        let is_joined = |volume: &Volume| (span.first..=span.last).contains(&volume.span.first);
        let old = self.volumes();
        let last = old.last().map_or(0, |last| last.span.last).max(span.last);
        fs::rename(&beside, self.directory.join(&name))
            .and_then(|()| sync())
            .and_then(|()| listing::write_count(&self.directory, last))
            .and_then(|()| sync())
            .map_err(HistoryError::io(&name))?;
        let mut volumes: Vec<_> = old
            .iter()
            .filter(|volume| !is_joined(volume))
            .cloned()
            .collect();
        volumes.push(Arc::new(open_volume(&self.directory, span)?));
        volumes.sort_unstable_by_key(|volume| volume.span);
        let mut installed = self.volumes.write().unwrap_or_else(PoisonError::into_inner);
        *installed = Arc::new(volumes);
        drop(installed);
        // Whoever reads them has them open.
        for volume in old.iter().filter(|volume| is_joined(volume)) {
            let name = volume.span.name();
            let removed = fs::remove_file(self.directory.join(&name));
            removed.map_err(HistoryError::io(&name))?;
        }
        Ok(true)
    }
}

/// Makes the name of a directory durable: without it everything in it is lost.
fn sync_parent(directory: &Path) -> io::Result<()> {
    match directory.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// A file that is being written.
struct Draft {
    span: Span,
    beside: PathBuf,
    writer: Writer<io::BufWriter<Settling>>,
}

impl Draft {
    /// Adds a row behind all others.
    ///
    /// # Errors
    /// [`HistoryError::Io`].
    fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), HistoryError> {
        let added = self.writer.add(key, value);
        added.map_err(HistoryError::io(&self.span.name()))
    }

    const fn rows(&self) -> u64 {
        self.writer.rows()
    }
}

fn open_volumes(directory: &Path) -> Result<Vec<Arc<Volume>>, HistoryError> {
    let spans = listing::read(directory)?.files.into_iter();
    spans
        .map(|span| open_volume(directory, span).map(Arc::new))
        .collect()
}

fn open_volume(directory: &Path, span: Span) -> Result<Volume, HistoryError> {
    let name = span.name();
    match Reader::open(&directory.join(&name)) {
        Ok(reader) => Ok(Volume { span, reader }),
        Err(Trouble::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
            Err(HistoryError::Missing { file: name })
        }
        Err(trouble) => Err(HistoryError::of(&name, trouble)),
    }
}

/// Copies the history of a data directory, which an engine may be serving, into another one.
/// Returns how much it is.
///
/// # Errors
/// [`HistoryError`] when a file is damaged or cannot be copied.
pub fn copy(from: &Path, to: &Path) -> Result<Extent, HistoryError> {
    let source = History::open(from)?;
    let damaged = source.read_all(|_, _| ()).into_iter().next();
    if let Some(damaged) = damaged {
        return Err(damaged);
    }
    let extent = source.extent();
    if extent.files == 0 {
        return Ok(extent);
    }
    let target = to.join(HISTORY_DIRECTORY);
    let mut private = DirBuilder::new();
    private.recursive(true).mode(0o700);
    private
        .create(&target)
        .and_then(|()| sync_parent(&target))
        .map_err(HistoryError::io(""))?;
    let mut count = 0;
    for volume in source.volumes().iter() {
        let name = volume.span.name();
        // Out of the open file: the engine may have joined it with others meanwhile.
        let copied = volume.reader.copy(&target.join(&name));
        copied.map_err(HistoryError::io(&name))?;
        count = volume.span.last;
    }
    listing::write_count(&target, count)
        .and_then(|()| File::open(&target)?.sync_all())
        .map_err(HistoryError::io(listing::COUNT_FILE))?;
    Ok(extent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(space: u8, number: u32) -> Vec<u8> {
        let mut key = vec![space; 17];
        key.extend_from_slice(&number.to_be_bytes());
        key.extend_from_slice(&[0; 12]);
        key
    }

    fn add(history: &History, rows: &[(Vec<u8>, &[u8])]) {
        let mut draft = history.begin().unwrap();
        for (key, value) in rows {
            draft.add(key, value).unwrap();
        }
        history.install(draft, &|| false).unwrap();
    }

    fn three_files(dir: &Path) -> History {
        let history = History::open(dir).unwrap();
        for file in 0..3_u32 {
            let value = [u8::try_from(file).unwrap()];
            // Neighbouring files share 50 rows.
            let rows: Vec<_> = (file * 100..file * 100 + 150)
                .map(|number| (key(b'P', number), value.as_slice()))
                .collect();
            add(&history, &rows);
        }
        history
    }

    #[test]
    fn the_newest_file_wins_in_look_ups_and_scans() {
        let dir = tempfile::tempdir().unwrap();
        for history in [three_files(dir.path()), History::open(dir.path()).unwrap()] {
            assert_eq!(history.extent().files, 3);
            let value = |number| history.get(&key(b'P', number)).unwrap();
            assert_eq!(value(99), Some(vec![0]));
            assert_eq!(value(100), Some(vec![1]));
            assert_eq!(value(349), Some(vec![2]));
            assert_eq!(value(350), None);
            let expected: Vec<KeyValue> = (0..350_u32)
                .map(|number| {
                    let file = u8::try_from((number / 100).min(2)).unwrap();
                    (key(b'P', number), vec![file])
                })
                .collect();
            let mut backwards = expected.clone();
            backwards.reverse();
            for limit in [1, 7, 100, 350, 1_000] {
                let shown = limit.min(350);
                assert_eq!(
                    history.scan(b"P", None, None, limit).unwrap(),
                    expected[..shown]
                );
                let back = history.scan_back(b"P", None, None, limit).unwrap();
                assert_eq!(back, backwards[..shown]);
            }
            let from = key(b'P', 120);
            assert_eq!(
                history.scan(b"P", Some(&from), None, 9).unwrap(),
                expected[120..129]
            );
            let back = history.scan_back(b"P", Some(&from), None, 9).unwrap();
            assert_eq!(back, backwards[230..239]);
            let until = key(b'P', 125);
            let some = history.scan(b"P", Some(&from), Some(&until), 9).unwrap();
            assert_eq!(some, expected[120..125]);
            let back = history
                .scan_back(b"P", Some(&until), Some(&from), 9)
                .unwrap();
            assert_eq!(back, backwards[225..230]);
            assert_eq!(history.scan(b"Q", None, None, 9).unwrap(), []);
            assert_eq!(history.scan_back(b"J", None, None, 9).unwrap(), []);
        }
    }

    #[test]
    fn a_missing_or_cut_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        drop(three_files(dir.path()));
        let path = |name: &str| dir.path().join(HISTORY_DIRECTORY).join(name);
        for number in 1..=3 {
            let name = Span::one(number).name();
            let file = path(&name);
            let whole = fs::read(&file).unwrap();
            fs::remove_file(&file).unwrap();
            let missing = History::open(dir.path()).unwrap_err().to_string();
            assert_eq!(missing, format!("history/{name} is missing"));
            fs::write(&file, &whole[..whole.len() - 1]).unwrap();
            let cut = History::open(dir.path()).unwrap_err().to_string();
            assert!(
                cut.starts_with(&format!("history/{name} is damaged")),
                "{cut}"
            );
            fs::write(&file, &whole).unwrap();
        }
        fs::write(path(listing::COUNT_FILE), "2 00000000\n").unwrap();
        assert!(History::open(dir.path()).is_err());
        fs::remove_file(path(listing::COUNT_FILE)).unwrap();
        assert!(History::open(dir.path()).is_err());
    }

    #[test]
    fn a_damaged_block_is_named_and_not_given_out() {
        let dir = tempfile::tempdir().unwrap();
        drop(three_files(dir.path()));
        let file = dir.path().join(HISTORY_DIRECTORY).join(Span::one(2).name());
        let mut bytes = fs::read(&file).unwrap();
        bytes[40] ^= 1;
        fs::write(&file, bytes).unwrap();
        let history = History::open(dir.path()).unwrap();
        assert_eq!(history.get(&key(b'P', 50)).unwrap(), Some(vec![0]));
        let fault = history.get(&key(b'P', 150)).unwrap_err().to_string();
        assert!(
            fault.contains("00000002.history is damaged at byte 16"),
            "{fault}"
        );
        let damaged = history.read_all(|key, _| assert_ne!(key, self::key(b'P', 160)));
        assert_eq!(damaged.len(), 1);
    }

    // Named and not counted: what a crash between the two leaves.
    #[test]
    fn a_file_that_was_not_counted_yet_is_read() {
        let dir = tempfile::tempdir().unwrap();
        drop(three_files(dir.path()));
        let directory = dir.path().join(HISTORY_DIRECTORY);
        listing::write_count(&directory, 2).unwrap();
        fs::write(directory.join("00000004.history.part"), b"half").unwrap();
        let history = History::open(dir.path()).unwrap();
        assert_eq!(history.extent().files, 3);
        add(&history, &[(key(b'P', 900), b"new")]);
        assert_eq!(History::open(dir.path()).unwrap().extent().files, 4);
    }

    fn files(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir.join(HISTORY_DIRECTORY)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn copy_directory(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }

    // Twelve files, each of which hides a third of the one before.
    fn twelve_files(dir: &Path) -> History {
        let history = History::open(dir).unwrap();
        for file in 0..12_u32 {
            let value = [u8::try_from(file).unwrap()];
            let numbers = file * 100..file * 100 + 150;
            let rows: Vec<_> = [b'J', b'P']
                .iter()
                .flat_map(|space| numbers.clone().map(|number| key(*space, number)))
                .map(|key| (key, value.as_slice()))
                .collect();
            add(&history, &rows);
        }
        history
    }

    #[test]
    fn joined_files_hold_the_same_whatever_a_crash_leaves() {
        let dir = tempfile::tempdir().unwrap();
        let history = twelve_files(dir.path());
        let all = |history: &History| {
            let back = history.scan_back(b"P", None, None, 9_999).unwrap();
            (history.scan(b"", None, None, 9_999).unwrap(), back)
        };
        let rows = all(&history);
        let crashed = dir.path().join("crashed");
        copy_directory(
            &dir.path().join(HISTORY_DIRECTORY),
            &crashed.join(HISTORY_DIRECTORY),
        );
        // Somebody reads while the files go.
        let reader = History::open(dir.path()).unwrap();
        assert_eq!(history.join(&|| true).unwrap(), Joined::default());
        assert_eq!(files(dir.path()).len(), 13);
        let joined = history.join(&|| false).unwrap();
        assert_eq!((joined.files, joined.into), (12, 1));
        assert_eq!(files(dir.path()), ["00000001-00000012.history", "count"]);
        for history in [&history, &reader, &History::open(dir.path()).unwrap()] {
            assert!(all(history) == rows, "rows differ");
        }
        assert_eq!(history.extent().rows, 2 * 1_250);
        assert_eq!(history.join(&|| false).unwrap(), Joined::default());
        // Named, and not all of its parts are gone.
        fs::copy(
            dir.path().join("history/00000001-00000012.history"),
            crashed.join("history/00000001-00000012.history"),
        )
        .unwrap();
        fs::remove_file(crashed.join("history/00000005.history")).unwrap();
        let again = History::open(&crashed).unwrap();
        assert!(all(&again) == rows, "rows differ");
        add(&again, &[(key(b'P', 9_000), b"new")]);
        assert_eq!(
            files(&crashed),
            ["00000001-00000012.history", "00000013.history", "count"]
        );
        let copied = tempfile::tempdir().unwrap();
        assert_eq!(copy(&crashed, copied.path()).unwrap(), again.extent());
        let copied = History::open(copied.path()).unwrap();
        assert!(all(&copied) == all(&again), "rows differ");
    }

    #[test]
    fn a_joined_file_that_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        twelve_files(dir.path()).join(&|| false).unwrap();
        fs::remove_file(dir.path().join("history/00000001-00000012.history")).unwrap();
        let missing = History::open(dir.path()).unwrap_err().to_string();
        assert_eq!(missing, "history/00000001.history is missing");
    }

    // Counts blocks that are unpacked, through the cache that each of them enters.
    #[test]
    fn a_page_looks_only_into_files_of_its_own_time() {
        let dir = tempfile::tempdir().unwrap();
        let history = History::open(dir.path()).unwrap();
        let key = |owner: u8, day: u16| {
            let mut key = vec![owner; 17];
            key[0] = b'P';
            key.extend_from_slice(&[0, 1, 0, 0]);
            key.extend_from_slice(&day.to_be_bytes());
            key.extend_from_slice(&[7; 10]);
            key
        };
        for day in 0..10 {
            add(&history, &[(key(1, day), b"one"), (key(2, day), b"two")]);
        }
        for (prefix, back, until, expected) in [
            (key(1, 0)[..17].to_vec(), true, None, 3),
            (key(2, 0)[..17].to_vec(), true, None, 3),
            (key(2, 0)[..17].to_vec(), false, None, 3),
            (key(1, 0)[..17].to_vec(), true, Some(key(1, 8)), 2),
            (key(1, 0)[..17].to_vec(), false, Some(key(1, 2)), 2),
            (key(1, 4), true, None, 1),
            (key(3, 0)[..17].to_vec(), true, None, 0),
        ] {
            history.cache.lock().unwrap().clear();
            let scan = if back {
                History::scan_back
            } else {
                History::scan
            };
            let rows = scan(&history, &prefix, None, until.as_deref(), 3).unwrap();
            let opened = history.cache.lock().unwrap().len();
            assert_eq!(rows.len(), expected, "{prefix:x?}");
            // A block may be looked into to find where the owner ends.
            assert!(opened <= expected + 1, "{opened} for {expected}");
        }
    }

    #[test]
    fn a_copy_holds_the_same() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let history = three_files(from.path());
        assert_eq!(copy(from.path(), to.path()).unwrap(), history.extent());
        let copied = History::open(to.path()).unwrap();
        assert_eq!(
            copied.scan(b"P", None, None, 999).unwrap(),
            history.scan(b"P", None, None, 999).unwrap()
        );
        let nothing = tempfile::tempdir().unwrap();
        assert_eq!(copy(nothing.path(), to.path()).unwrap(), Extent::default());
    }
}
