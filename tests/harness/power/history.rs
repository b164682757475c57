//! What was durable at an instant, and what was only written.
//!
//! A write is durable once a sync of its file that began after the write ended has itself ended. A
//! name is durable once its directory was synced like that, or, in the journal of a file system
//! like ext4, once anything later in the journal is. Everything else is at the mercy of [`super::cut`].

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::image::{Image, Inodes};
use super::trace::{Act, Record};

/// A disk as it was, and everything that was done to it since.
#[derive(Debug, Default)]
pub struct History {
    base: Image,
    inodes: Inodes,
    records: Vec<Record>,
    lie: bool,
}

/// Every name, as a path from the root, and what it stands for.
pub type Names = BTreeMap<String, Node>;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Directory,
    /// A file, by its place in [`Moment::files`].
    File(usize),
}

/// A change to a file that may be lost.
#[derive(Debug, Clone)]
pub struct Change<'a> {
    /// What.
    pub edit: Edit<'a>,
    /// Whether the call had ended; otherwise the power went in the middle of it.
    pub is_done: bool,
    begin: u64,
    end: u64,
}

/// One change to the bytes of a file.
#[derive(Debug, Clone, Copy)]
pub enum Edit<'a> {
    /// These bytes from there on.
    Write(u64, &'a [u8]),
    /// So many zeros from there on.
    Zero(u64, u64),
    /// The length, shorter or longer.
    Length(u64),
    /// At least this length.
    Grow(u64),
}

/// A file: what is certain, and the changes since in order.
#[derive(Debug, Clone, Default)]
pub struct File<'a> {
    /// Bytes on stable storage.
    pub durable: Vec<u8>,
    /// What was written since.
    pub changes: Vec<Change<'a>>,
    /// Whether its creation or length changed since it was last synced.
    is_resized: bool,
}

/// A change to names.
#[derive(Debug, Clone)]
pub struct NameChange<'a> {
    /// The name that goes, if one does.
    pub gone: Option<&'a str>,
    /// The name that comes, if one does, and what it stands for.
    pub come: Option<(&'a str, Node)>,
    /// Whether the loss of the one, and the arrival of the other, is durable.
    pub gone_durable: bool,
    /// See `gone_durable`.
    pub come_durable: bool,
    /// Whether the journal of a file system that keeps one has it.
    pub is_journaled: bool,
    /// Whether the call had ended.
    pub is_done: bool,
    end: u64,
}

/// A disk at an instant.
#[derive(Debug, Default)]
pub struct Moment<'a> {
    /// Names at the beginning, all durable.
    pub base: Names,
    /// What was done to names since, in order.
    pub names: Vec<NameChange<'a>>,
    /// Every file there ever was.
    pub files: Vec<File<'a>>,
    by_inode: BTreeMap<u64, usize>,
    known: Names,
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

impl History {
    /// Begins with what is on a real disk below `root`, all of it durable.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(root: &Path) -> io::Result<Self> {
        let (base, inodes) = Image::read(root)?;
        Ok(Self {
            base,
            inodes,
            ..Self::default()
        })
    }

    /// Sets what was done since.
    #[must_use]
    pub fn with(mut self, records: Vec<Record>) -> Self {
        self.records = records;
        self
    }

    /// The same, on a disk that takes `fdatasync` and does nothing.
    #[must_use]
    pub fn lying(mut self) -> Self {
        self.lie = true;
        self
    }

    /// What was done.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// What the recorder saw and could not follow; nothing may be concluded then.
    pub fn gaps(&self) -> Vec<String> {
        let bypasses = self.records.iter().filter_map(|record| match &record.act {
            Act::Bypass(what) => Some(format!("unseen changes: {what}")),
            _ => None,
        });
        bypasses.collect()
    }

    /// The disk at `instant`.
    pub fn at(&self, instant: u64) -> Moment<'_> {
        let mut moment = Moment::of(&self.base, &self.inodes);
        for record in &self.records {
            if record.begin <= instant {
                moment.add(record, instant, self.lie);
            }
        }
        moment
    }

    /// The disk as the running system sees it at the end: everything that was written.
    pub fn whole(&self) -> Image {
        self.seen(u64::MAX)
    }

    /// The disk as the running system sees it at `instant`.
    pub fn seen(&self, instant: u64) -> Image {
        let mut moment = self.at(instant);
        for file in &mut moment.files {
            file.settle(u64::MAX);
        }
        let names = moment.names.iter();
        let names = names.fold(moment.base.clone(), |mut names, change| {
            change.apply(&mut names, true, true);
            names
        });
        moment.image(&names, |_, file| file.durable.clone())
    }
}

impl NameChange<'_> {
    /// Carries it out on a list of names.
    pub fn apply(&self, names: &mut Names, gone: bool, come: bool) {
        if let (true, Some(path)) = (gone, self.gone) {
            names.remove(path);
        }
        let Some((path, node)) = self.come.filter(|_| come) else {
            return;
        };
        if let (Node::Directory, Some(from)) = (node, self.gone) {
            // What is in a directory moves with it.
            let inside = format!("{from}/");
            let moved: Vec<String> = names
                .range(inside.clone()..)
                .map(|(name, _)| name.clone())
                .take_while(|name| name.starts_with(&inside))
                .collect();
            for name in moved {
                if let Some(node) = names.remove(&name) {
                    names.insert(format!("{path}/{}", &name[inside.len()..]), node);
                }
            }
        }
        names.insert(path.to_owned(), node);
    }

    /// Whether it gives a directory another name.
    pub fn moves_directory(&self) -> bool {
        self.gone.is_some() && matches!(self.come, Some((_, Node::Directory)))
    }
}

impl File<'_> {
    /// Everything that ended by `begin` is durable.
    fn settle(&mut self, begin: u64) {
        let (settled, rest) = std::mem::take(&mut self.changes)
            .into_iter()
            .partition(|change| change.end <= begin);
        self.changes = rest;
        let settled: Vec<Change<'_>> = settled;
        for change in &settled {
            change.edit.apply(&mut self.durable);
        }
    }
}

impl Edit<'_> {
    /// Carries it out whole.
    pub fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
        match *self {
            Self::Write(offset, data) => {
                let end = place(offset) + data.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[place(offset)..end].copy_from_slice(data);
            }
            Self::Zero(offset, length) => {
                let end = place(offset + length);
                bytes.resize(bytes.len().max(end), 0);
                bytes[place(offset)..end].fill(0);
            }
            Self::Length(length) => bytes.resize(place(length), 0),
            Self::Grow(length) => bytes.resize(bytes.len().max(place(length)), 0),
        }
    }
}

impl<'a> Moment<'a> {
    fn of(base: &'a Image, inodes: &Inodes) -> Self {
        let mut moment = Self::default();
        for path in &base.directories {
            moment.base.insert(path.clone(), Node::Directory);
        }
        for (path, bytes) in &base.files {
            let file = moment.new_file(inodes.get(path).copied().unwrap_or(0));
            if let Node::File(file) = file {
                moment.files[file].durable.clone_from(bytes);
            }
            moment.base.insert(path.clone(), file);
        }
        moment.known.clone_from(&moment.base);
        moment
    }

    fn new_file(&mut self, inode: u64) -> Node {
        self.files.push(File {
            is_resized: true,
            ..File::default()
        });
        self.by_inode.insert(inode, self.files.len() - 1);
        Node::File(self.files.len() - 1)
    }

    fn add(&mut self, record: &'a Record, instant: u64, lie: bool) {
        let is_done = record.end <= instant;
        let edit = match &record.act {
            Act::Write { offset, data } => Edit::Write(*offset, data),
            Act::Zero { offset, length } => Edit::Zero(*offset, *length),
            Act::Truncate(length) => Edit::Length(*length),
            Act::Allocate(length) => Edit::Grow(*length),
            Act::Sync { data_only } if is_done && !(lie && *data_only) => {
                return self.sync(record);
            }
            Act::SyncDirectory(path) if is_done => return self.sync_directory(path, record.begin),
            _ => return self.rename(record, is_done),
        };
        if let Some(file) = self.by_inode.get(&record.inode) {
            let file = &mut self.files[*file];
            let resizes = match edit {
                Edit::Write(offset, data) => {
                    let end = offset + u64::try_from(data.len()).unwrap_or(0);
                    end > u64::try_from(file.durable.len()).unwrap_or(0)
                }
                Edit::Zero(..) | Edit::Length(_) | Edit::Grow(_) => true,
            };
            file.is_resized |= resizes;
            file.changes.push(Change {
                edit,
                is_done,
                begin: record.begin,
                end: record.end,
            });
        }
    }

    fn rename(&mut self, record: &'a Record, is_done: bool) {
        let (gone, come): (Option<&str>, Option<(&str, Node)>) = match &record.act {
            Act::Create(path) => {
                let file = self.new_file(record.inode);
                (None, Some((path, file)))
            }
            Act::MakeDirectory(path) => (None, Some((path, Node::Directory))),
            Act::Unlink(path) | Act::RemoveDirectory(path) => (Some(path), None),
            Act::Rename(from, to) => {
                let Some(node) = self.known.get(from.as_str()).copied() else {
                    return;
                };
                (Some(from), Some((to, node)))
            }
            Act::Link(from, to) => {
                let Some(node) = self.known.get(from.as_str()).copied() else {
                    return;
                };
                (None, Some((to, node)))
            }
            _ => return,
        };
        // The root itself is there before anything is promised.
        if come.is_some_and(|(path, _)| path.is_empty()) {
            return;
        }
        let change = NameChange {
            gone,
            come,
            gone_durable: gone.is_none(),
            come_durable: come.is_none(),
            is_journaled: false,
            is_done,
            end: record.end,
        };
        change.apply(&mut self.known, true, true);
        self.names.push(change);
    }

    fn sync(&mut self, record: &Record) {
        let Some(file) = self.by_inode.get(&record.inode) else {
            return;
        };
        let file = &mut self.files[*file];
        file.settle(record.begin);
        // A file's new length is in the journal, and what is there before it goes with it.
        if std::mem::take(&mut file.is_resized) {
            self.journal(record.begin);
        }
    }

    fn sync_directory(&mut self, path: &str, begin: u64) {
        self.journal(begin);
        for change in self.names.iter_mut().filter(|change| change.end <= begin) {
            let is_here = |name: Option<&str>| name.is_some_and(|name| parent(name) == path);
            change.gone_durable |= is_here(change.gone);
            change.come_durable |= is_here(change.come.map(|(name, _)| name));
        }
    }

    fn journal(&mut self, begin: u64) {
        for change in self.names.iter_mut().filter(|change| change.end <= begin) {
            change.is_journaled = true;
        }
    }

    /// These names as a tree; what has no directory above it cannot be reached.
    pub fn image(
        &self,
        names: &Names,
        mut contents: impl FnMut(usize, &File<'_>) -> Vec<u8>,
    ) -> Image {
        let mut image = Image::default();
        for (path, node) in names {
            let above = parent(path);
            if !above.is_empty() && !image.directories.contains(above) {
                continue;
            }
            match node {
                Node::Directory => {
                    image.directories.insert(path.clone());
                }
                Node::File(file) => {
                    let bytes = contents(*file, &self.files[*file]);
                    image.files.insert(path.clone(), bytes);
                }
            }
        }
        image
    }
}

impl Change<'_> {
    /// When it was being made.
    pub const fn span(&self) -> (u64, u64) {
        (self.begin, self.end)
    }
}
