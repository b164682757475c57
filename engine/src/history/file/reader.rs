//! Reading a file. Must never give out a row of a block whose checksum does not match.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::index::{BlockEntry, Index, footer, header, long, short};
use super::rows::Block;
use super::{
    BLOCK_BYTES, BLOCK_BYTES_MAX, Damage, FOOTER_BYTES, HEADER_BYTES, INDEX_BYTES_MAX, damage,
    to_u64,
};
use crate::store::block::{self, BlockError};

/// Bytes at places: a file, or memory.
pub(in crate::history) trait Bytes: std::fmt::Debug + Send + Sync {
    /// How many.
    fn length(&self) -> io::Result<u64>;
    /// Fills `buffer` from `offset` on.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl Bytes for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, offset)
    }
}

impl Bytes for Vec<u8> {
    fn length(&self) -> io::Result<u64> {
        Ok(to_u64(self.len()))
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        let end = at.saturating_add(buffer.len());
        let bytes = self.get(at..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

/// A file that is read.
#[derive(Debug)]
pub(in crate::history) struct Reader {
    file: Box<dyn Bytes>,
    bytes: u64,
    index: Index,
}

impl Reader {
    /// Opens a file and reads its index.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(in crate::history) fn open(path: &Path) -> Result<Self, Trouble> {
        Self::over(Box::new(File::open(path)?))
    }

    /// As [`Reader::open`], over any bytes.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(in crate::history) fn over(file: Box<dyn Bytes>) -> Result<Self, Trouble> {
        let bytes = file.length()?;
        let index = Self::index(file.as_ref(), bytes)?;
        Ok(Self { file, bytes, index })
    }

    fn index(file: &dyn Bytes, bytes: u64) -> Result<Index, Trouble> {
        let mut found = [0; HEADER_BYTES];
        let mut end = [0; FOOTER_BYTES];
        let least = to_u64(HEADER_BYTES + FOOTER_BYTES);
        if bytes < least {
            return Err(damage(bytes, "file is cut off").into());
        }
        file.read_exact_at(&mut found, 0)?;
        if found != header() {
            return Err(damage(0, "no history file of a known version").into());
        }
        let footer_at = bytes - to_u64(FOOTER_BYTES);
        file.read_exact_at(&mut end, footer_at)?;
        let mut rest = end.as_slice();
        let offset = long(&mut rest).unwrap_or_default();
        let length = short(&mut rest).unwrap_or_default();
        if end != footer(offset, length) || offset.checked_add(u64::from(length)) != Some(footer_at)
        {
            return Err(damage(footer_at, "footer is damaged or missing").into());
        }
        let raw = read_block(file, offset, length, INDEX_BYTES_MAX)?;
        let index = Index::decode(&raw).filter(|index| index.end() == offset);
        index.ok_or_else(|| damage(offset, "index is damaged").into())
    }

    /// Copies the file as it is, and syncs the copy.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub(in crate::history) fn copy(&self, to: &Path) -> io::Result<()> {
        let mut copy = File::create(to)?;
        let mut buffer = vec![0; BLOCK_BYTES];
        let mut at = 0;
        while at < self.bytes {
            let left = usize::try_from(self.bytes - at).unwrap_or(usize::MAX);
            let length = left.min(BLOCK_BYTES);
            let (piece, _) = buffer.split_at_mut(length);
            self.file.read_exact_at(piece, at)?;
            copy.write_all(piece)?;
            at += to_u64(length);
        }
        copy.sync_all()
    }

    /// Its length in bytes.
    pub(in crate::history) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Rows in it.
    pub(in crate::history) const fn rows(&self) -> u64 {
        self.index.rows
    }

    /// Its blocks.
    pub(in crate::history) fn blocks(&self) -> &[BlockEntry] {
        &self.index.blocks
    }

    /// Whether ids made at that time may be in it.
    pub(in crate::history) const fn covers(&self, made_at: u64) -> bool {
        self.index.earliest <= made_at && made_at <= self.index.latest
    }

    /// When its first and its last id were made.
    pub(in crate::history) const fn made_between(&self) -> (u64, u64) {
        (self.index.earliest, self.index.latest)
    }

    /// The block that would hold a key.
    pub(in crate::history) fn block_of(&self, key: &[u8]) -> Option<usize> {
        let at = self
            .index
            .blocks
            .partition_point(|entry| *entry.last < *key);
        let entry = self.index.blocks.get(at)?;
        (*entry.first <= *key).then_some(at)
    }

    /// Reads a block and holds it against the index.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(in crate::history) fn block(&self, index: usize) -> Result<Block, Trouble> {
        let end = || damage(self.bytes, "no such block");
        let entry = self.index.blocks.get(index).ok_or_else(end)?;
        let raw = read_block(
            self.file.as_ref(),
            entry.offset,
            entry.length,
            BLOCK_BYTES_MAX,
        )?;
        let malformed = || damage(entry.offset, "block is not what the index says");
        let block = Block::read(raw).ok_or_else(malformed)?;
        let agrees = u32::try_from(block.len()) == Ok(entry.rows)
            && block.row(0).map(|(key, _)| key) == Some(&entry.first)
            && block.row(block.len() - 1).map(|(key, _)| key) == Some(&entry.last);
        if agrees {
            Ok(block)
        } else {
            Err(malformed().into())
        }
    }
}

/// Why something was not read.
#[derive(Debug, thiserror::Error)]
pub(in crate::history) enum Trouble {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is damaged.
    #[error(transparent)]
    Damage(#[from] Damage),
}

fn read_block(
    file: &dyn Bytes,
    offset: u64,
    length: u32,
    raw_max: usize,
) -> Result<Vec<u8>, Trouble> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    let mut packed = vec![0; length];
    file.read_exact_at(&mut packed, offset)?;
    let (raw, used) = block::unpack(&packed, raw_max).map_err(|error| damage(offset, error))?;
    if used == length {
        Ok(raw)
    } else {
        Err(damage(offset, BlockError::Malformed).into())
    }
}
