//! The file operations that the log needs, as a seam for injecting faults. Paths are relative to
//! the store's directory. Must know nothing of segments or frames.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, FallocateFlags};

use super::packed::{self, PackedFile};
use super::segment::SEGMENT_BYTES_MAX;

/// An open file.
pub(crate) trait DiskFile: Send + Sync {
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Reads until `buffer` is full or the file ends; returns the count.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Gives the file `length` bytes and reserves their room; false where only writing does that.
    fn reserve(&self, length: u64) -> io::Result<bool>;
    /// Lets the system forget what it holds of the contents in memory. Only a hint.
    fn forget(&self) {}
    /// Puts contents and length on stable storage. Never to be repeated after it failed.
    fn sync(&self) -> io::Result<()>;
}

/// A directory tree.
pub(crate) trait Disk: Send + Sync {
    /// Creates a directory unless it exists.
    fn create_directory(&self, path: &str) -> io::Result<()>;
    /// Names in a directory, sorted.
    fn list(&self, directory: &str) -> io::Result<Vec<String>>;
    /// Creates an empty file, or empties it.
    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file for reading and writing.
    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file for reading.
    fn open_read_only(&self, path: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Renames a file over whatever has the new name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &str) -> io::Result<()>;
    /// Space that is left for this process, in bytes.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// Reads a whole file of at most `bytes_max`.
///
/// # Errors
/// `InvalidData` when the file is longer.
pub(crate) fn read_whole(file: &dyn DiskFile, bytes_max: u64) -> io::Result<Vec<u8>> {
    let length = file.length()?;
    if length > bytes_max {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "file is longer than its limit",
        ));
    }
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    let count = file.read_at(&mut bytes, 0)?;
    bytes.truncate(count);
    Ok(bytes)
}

/// Replaces a file so that after a crash either the old or the new contents are there.
///
/// # Errors
/// Whatever fails; the old contents stay unless only the last step failed.
pub(crate) fn replace(disk: &dyn Disk, path: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = format!("{path}.tmp");
    let file = disk.create(&temporary)?;
    file.write_at(bytes, 0)?;
    file.sync()?;
    disk.rename(&temporary, path)?;
    disk.sync_directory("")
}

/// The operating system's files below a root.
#[derive(Debug)]
pub(crate) struct RealDisk {
    root: PathBuf,
}

impl RealDisk {
    /// Files below `root`, which exists.
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
        }
    }
}

/// Files that are packed are read, listed, renamed and removed under their plain names.
impl RealDisk {
    /// Opens a file for reading in exactly this form.
    pub(crate) fn open_plain(&self, path: &str) -> io::Result<File> {
        File::open(self.root.join(path))
    }

    /// Renames a file in exactly this form.
    pub(crate) fn rename_plain(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.root.join(from), self.root.join(to))
    }

    /// Removes a file in exactly this form.
    pub(crate) fn remove_plain(&self, path: &str) -> io::Result<()> {
        std::fs::remove_file(self.root.join(path))
    }

    /// Puts a plain file in the place of a packed one, so that it can be written.
    fn unpack(&self, path: &str) -> io::Result<()> {
        let from = packed_path(path);
        let packed = PackedFile::open(self.open_plain(&from)?)?;
        let plain = read_whole(&packed, SEGMENT_BYTES_MAX)?;
        let beside = format!("{path}.unpacked.part");
        let file = self.create(&beside)?;
        file.write_at(&plain, 0)?;
        file.sync()?;
        self.rename_plain(&beside, path)?;
        self.remove_plain(&from)
    }
}

fn packed_path(path: &str) -> String {
    format!("{path}{}", packed::EXTENSION)
}

impl DiskFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match FileExt::read_at(self, rest, offset + u64::try_from(filled).unwrap_or(0)) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn reserve(&self, length: u64) -> io::Result<bool> {
        match rustix::fs::fallocate(self, FallocateFlags::empty(), 0, length) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn forget(&self) {
        rustix::fs::fadvise(self, 0, None, Advice::DontNeed).ok();
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

impl Disk for RealDisk {
    fn create_directory(&self, path: &str) -> io::Result<()> {
        std::fs::create_dir_all(self.root.join(path))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.root.join(directory))? {
            // Names that are no text are not ours.
            if let Ok(name) = entry?.file_name().into_string() {
                let name = name.strip_suffix(packed::EXTENSION).unwrap_or(&name);
                names.push(name.to_owned());
            }
        }
        names.sort();
        // For a moment a file may have both forms.
        names.dedup();
        Ok(names)
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        Ok(Box::new(options.open(self.root.join(path))?))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        match options.open(self.root.join(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.unpack(path).map_err(|_| error)?;
                Ok(Box::new(options.open(self.root.join(path))?))
            }
            file => Ok(Box::new(file?)),
        }
    }

    fn open_read_only(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        match self.open_plain(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = self.open_plain(&packed_path(path)).map_err(|_| error)?;
                Ok(Box::new(PackedFile::open(file)?))
            }
            file => Ok(Box::new(file?)),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        match self.rename_plain(from, to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self
                .rename_plain(&packed_path(from), &packed_path(to))
                .map_err(|_| error),
            outcome => outcome,
        }
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        match self.remove_plain(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.remove_plain(&packed_path(path)).map_err(|_| error)
            }
            outcome => outcome,
        }
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        File::open(self.root.join(path))?.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let statistics = rustix::fs::statvfs(&self.root)?;
        Ok(statistics.f_bavail.saturating_mul(statistics.f_frsize))
    }
}
