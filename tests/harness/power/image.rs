//! A directory tree as bytes: read from disk, written to disk, compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Files and directories below a root, by relative path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Directories, the root left out.
    pub directories: BTreeSet<String>,
    /// Contents.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Which inode each path has on a real disk.
pub type Inodes = BTreeMap<String, u64>;

impl Image {
    /// Reads a tree; an absent root is an empty one.
    ///
    /// # Errors
    /// When something in it cannot be read.
    pub fn read(root: &Path) -> io::Result<(Self, Inodes)> {
        let (mut image, mut inodes) = (Self::default(), Inodes::new());
        if root.is_dir() {
            inodes.insert(String::new(), fs::metadata(root)?.ino());
            image.gather(root, "", &mut inodes)?;
        }
        Ok((image, inodes))
    }

    fn gather(&mut self, dir: &Path, prefix: &str, inodes: &mut Inodes) -> io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if prefix.is_empty() {
                name
            } else {
                format!("{prefix}/{name}")
            };
            let metadata = entry.metadata()?;
            inodes.insert(path.clone(), metadata.ino());
            if metadata.is_dir() {
                self.gather(&entry.path(), &path, inodes)?;
                self.directories.insert(path);
            } else if metadata.is_file() {
                self.files.insert(path, fs::read(entry.path())?);
            }
        }
        Ok(())
    }

    /// Writes the tree below an empty or absent root, for its owner only.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, root: &Path) -> io::Result<()> {
        fs::create_dir_all(root)?;
        for directory in &self.directories {
            fs::create_dir_all(root.join(directory))?;
        }
        for (path, bytes) in &self.files {
            let mut options = fs::OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            io::Write::write_all(&mut options.open(root.join(path))?, bytes)?;
        }
        Ok(())
    }

    /// How two trees differ, in words; empty when they are the same, byte for byte.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let names = |image: &Self| -> BTreeSet<String> { image.files.keys().cloned().collect() };
        for path in names(self).union(&names(other)) {
            match (self.files.get(path), other.files.get(path)) {
                (Some(one), Some(two)) if one == two => {}
                (Some(one), Some(two)) => {
                    let same = one.iter().zip(two).take_while(|(a, b)| a == b).count();
                    let (one, two) = (one.len(), two.len());
                    found.push(format!("{path}: {one} and {two} bytes, equal up to {same}"));
                }
                (one, _) => {
                    let which = if one.is_some() { "first" } else { "second" };
                    found.push(format!("{path} is in the {which} only"));
                }
            }
        }
        for path in self.directories.symmetric_difference(&other.directories) {
            found.push(format!("directory {path} is in one only"));
        }
        found
    }
}
