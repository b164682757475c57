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

use file::{Block, Reader, Settling, Trouble, Writer, made_at};
use listing::Span;

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
mod tests;
