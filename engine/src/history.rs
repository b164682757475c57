//! Rows that do not change any more, in files of their own: a lower layer of the rows.
//!
//! A row in the state hides one here, a newer file hides an older one. Owns the files in
//! `history/`; must never decide what may go into them (`archive.rs` does), nor change a file that
//! has its name.

pub mod archive;
mod file;
pub mod layered;
mod merge;
pub mod upkeep;

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::owner::key;
use crate::store::{KeyValue, ReadFault};

pub use file::{Damage, decode, encode};

use file::{Block, Reader, Trouble, Writer, made_at};

/// Where history is, in the data directory.
pub const HISTORY_DIRECTORY: &str = "history";
/// Says how many files there must be.
const COUNT_FILE: &str = "count";
const EXTENSION: &str = ".history";
/// Blocks that are kept unpacked: 2 MiB, a few pages of lists. Arbitrary, bounded.
const CACHED_BLOCKS: usize = 16;
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

/// The name of a file; they are numbered from 1.
fn name(number: u32) -> String {
    format!("{number:08}{EXTENSION}")
}

fn number_of(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(EXTENSION)?;
    (digits.len() == 8).then(|| digits.parse().ok()).flatten()
}

/// A file of history.
#[derive(Debug)]
struct Volume {
    number: u32,
    reader: Reader,
}

type Cached = (u32, usize, Arc<Block>);

/// The archived rows.
#[derive(Debug)]
pub struct History {
    directory: PathBuf,
    /// Ascending by number.
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
        let mut volumes = Vec::new();
        for number in 1..=count(&directory)? {
            volumes.push(Arc::new(open_volume(&directory, number)?));
        }
        Ok(Self {
            directory,
            volumes: RwLock::new(Arc::new(volumes)),
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
                    Err(trouble) => damaged.push(HistoryError::of(&name(volume.number), trouble)),
                }
            }
        }
        damaged
    }

    fn block(&self, volume: &Volume, at: usize) -> Result<Arc<Block>, HistoryError> {
        let lock = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cache = lock();
        let is_it = |cached: &Cached| (cached.0, cached.1) == (volume.number, at);
        if let Some(place) = cache.iter().position(is_it)
            && let Some(cached) = cache.remove(place)
        {
            let block = Arc::clone(&cached.2);
            cache.push_back(cached);
            return Ok(block);
        }
        drop(cache);
        let block = volume.reader.block(at);
        let block = block.map_err(|trouble| HistoryError::of(&name(volume.number), trouble))?;
        let block = Arc::new(block);
        let mut cache = lock();
        cache.push_back((volume.number, at, Arc::clone(&block)));
        if cache.len() > CACHED_BLOCKS {
            cache.pop_front();
        }
        Ok(block)
    }

    /// Begins a file behind all others; it counts once it is installed.
    ///
    /// # Errors
    /// [`HistoryError::Io`].
    fn begin(&self) -> Result<Draft, HistoryError> {
        let mut private = DirBuilder::new();
        private.recursive(true).mode(0o700);
        private
            .create(&self.directory)
            .and_then(|()| sync_parent(&self.directory))
            .map_err(HistoryError::io(""))?;
        let number = self.volumes().last().map_or(1, |last| last.number + 1);
        let beside = self.directory.join(format!("{}.part", name(number)));
        let writer = Writer::create(&beside).map_err(HistoryError::io(&name(number)))?;
        Ok(Draft {
            number,
            beside,
            writer,
        })
    }

    /// Syncs a file, reads it back, and gives it its name: from then on it is read.
    ///
    /// # Errors
    /// [`HistoryError`]; nothing is archived then.
    fn install(&self, draft: Draft) -> Result<(), HistoryError> {
        let Draft {
            number,
            beside,
            writer,
        } = draft;
        let name = name(number);
        let rows = writer.rows();
        writer.finish().map_err(HistoryError::io(&name))?;
        let read_back = Reader::open(&beside).and_then(|reader| {
            for at in 0..reader.blocks().len() {
                reader.block(at)?;
            }
            Ok(reader.rows())
        });
        let read_back = read_back.map_err(|trouble| HistoryError::of(&name, trouble))?;
        if read_back != rows {
            let error = io::Error::other("fewer rows were read back than written");
            return Err(HistoryError::io(&name)(error));
        }
        let sync = || File::open(&self.directory)?.sync_all();
        fs::rename(&beside, self.directory.join(&name))
            .and_then(|()| sync())
            .and_then(|()| write_count(&self.directory, number))
            .and_then(|()| sync())
            .map_err(HistoryError::io(&name))?;
        let mut volumes = self.volumes().to_vec();
        volumes.push(Arc::new(open_volume(&self.directory, number)?));
        let mut installed = self.volumes.write().unwrap_or_else(PoisonError::into_inner);
        *installed = Arc::new(volumes);
        Ok(())
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
    number: u32,
    beside: PathBuf,
    writer: Writer<io::BufWriter<File>>,
}

fn open_volume(directory: &Path, number: u32) -> Result<Volume, HistoryError> {
    let name = name(number);
    match Reader::open(&directory.join(&name)) {
        Ok(reader) => Ok(Volume { number, reader }),
        Err(Trouble::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
            Err(HistoryError::Missing { file: name })
        }
        Err(trouble) => Err(HistoryError::of(&name, trouble)),
    }
}

/// How many files there are: as many as were counted, and one more if a crash came between naming
/// and counting it. That one is whole, and whatever is in it is still in the state.
fn count(directory: &Path) -> Result<u32, HistoryError> {
    let failed = HistoryError::io("");
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(failed)?,
    };
    let mut last = 0;
    for entry in entries {
        let entry = entry.map_err(HistoryError::io(""))?;
        let number = entry.file_name().to_str().and_then(number_of);
        last = last.max(number.unwrap_or(0));
    }
    let counted = match fs::read_to_string(directory.join(COUNT_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        text => {
            let text = text.map_err(HistoryError::io(COUNT_FILE))?;
            let counted = read_count(&text);
            let unreadable = || io::Error::from(io::ErrorKind::InvalidData);
            counted.ok_or_else(|| HistoryError::io(COUNT_FILE)(unreadable()))?
        }
    };
    if last > counted + 1 {
        let file = COUNT_FILE.to_owned();
        return Err(HistoryError::Missing { file });
    }
    Ok(last.max(counted))
}

/// `3 c0ffee00`: the count and its checksum, so that no flipped bit hides a file.
fn counted(count: u32) -> String {
    let sum = crate::store::block::sum(&count.to_le_bytes());
    format!("{count} {sum:08x}\n")
}

fn read_count(text: &str) -> Option<u32> {
    let count = text.split(' ').next()?.parse().ok()?;
    (text == counted(count)).then_some(count)
}

fn write_count(directory: &Path, count: u32) -> io::Result<()> {
    let beside = directory.join(format!("{COUNT_FILE}.part"));
    fs::write(&beside, counted(count))?;
    File::open(&beside)?.sync_all()?;
    fs::rename(beside, directory.join(COUNT_FILE))
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
    for number in 1..=extent.files {
        let name = name(number);
        let (from, to) = (source.directory.join(&name), target.join(&name));
        fs::copy(from, &to)
            .and_then(|_| File::open(to)?.sync_all())
            .map_err(HistoryError::io(&name))?;
    }
    write_count(&target, extent.files)
        .and_then(|()| File::open(&target)?.sync_all())
        .map_err(HistoryError::io(COUNT_FILE))?;
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
            draft.writer.add(key, value).unwrap();
        }
        history.install(draft).unwrap();
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
            let file = path(&name(number));
            let whole = fs::read(&file).unwrap();
            fs::remove_file(&file).unwrap();
            let missing = History::open(dir.path()).unwrap_err().to_string();
            assert_eq!(missing, format!("history/{} is missing", name(number)));
            fs::write(&file, &whole[..whole.len() - 1]).unwrap();
            let cut = History::open(dir.path()).unwrap_err().to_string();
            assert!(
                cut.starts_with(&format!("history/{} is damaged", name(number))),
                "{cut}"
            );
            fs::write(&file, &whole).unwrap();
        }
        fs::write(path(COUNT_FILE), "2 00000000\n").unwrap();
        assert!(History::open(dir.path()).is_err());
        fs::remove_file(path(COUNT_FILE)).unwrap();
        assert!(History::open(dir.path()).is_err());
    }

    #[test]
    fn a_damaged_block_is_named_and_not_given_out() {
        let dir = tempfile::tempdir().unwrap();
        drop(three_files(dir.path()));
        let file = dir.path().join(HISTORY_DIRECTORY).join(name(2));
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
        write_count(&directory, 2).unwrap();
        fs::write(directory.join("00000004.history.part"), b"half").unwrap();
        let history = History::open(dir.path()).unwrap();
        assert_eq!(history.extent().files, 3);
        add(&history, &[(key(b'P', 900), b"new")]);
        assert_eq!(History::open(dir.path()).unwrap().extent().files, 4);
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
