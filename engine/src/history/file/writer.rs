//! Writing a file. Owns the order of its rows.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

use super::index::{BlockEntry, Index, footer, header};
use super::made_at;
use super::settling::Settling;
use super::{BLOCK_BYTES, BLOCK_BYTES_MAX};
use crate::store::block;

/// Writes a file, row by row in ascending order of keys.
pub(in crate::history) struct Writer<W: io::Write> {
    file: W,
    raw: Vec<u8>,
    rows_in_block: u32,
    first: Vec<u8>,
    last: Vec<u8>,
    packed: Vec<u8>,
    index: Index,
}

impl Writer<BufWriter<Settling>> {
    /// A new file at `path`, which is overwritten.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(in crate::history) fn create(path: &Path) -> io::Result<Self> {
        Self::over(BufWriter::new(Settling::new(File::create(path)?)))
    }

    /// Writes what is left and syncs.
    ///
    /// # Errors
    /// When that fails; the file is then of no use.
    pub(in crate::history) fn finish(self) -> io::Result<()> {
        let file = self.close()?.into_inner();
        let file = file.map_err(io::IntoInnerError::into_error)?;
        file.into_file().sync_all()
    }
}

impl<W: io::Write> Writer<W> {
    pub(super) fn over(mut file: W) -> io::Result<Self> {
        file.write_all(&header())?;
        Ok(Self {
            file,
            raw: Vec::new(),
            rows_in_block: 0,
            first: Vec::new(),
            last: Vec::new(),
            packed: Vec::new(),
            index: Index {
                earliest: u64::MAX,
                ..Index::default()
            },
        })
    }

    /// Adds a row behind all others.
    ///
    /// # Errors
    /// When it cannot be written; `InvalidInput` when it is not behind the others.
    pub(in crate::history) fn add(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let refused = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
        if self.index.rows > 0 && key <= self.last.as_slice() {
            return Err(refused("rows are not in order"));
        }
        let key_length = u16::try_from(key.len()).map_err(|_| refused("key is too long"))?;
        let value_length = u32::try_from(value.len()).map_err(|_| refused("row is too long"))?;
        if key.len() + value.len() > BLOCK_BYTES_MAX - BLOCK_BYTES - 6 {
            return Err(refused("row is too long"));
        }
        if self.raw.is_empty() {
            self.first = key.to_vec();
        }
        self.raw.extend_from_slice(&key_length.to_le_bytes());
        self.raw.extend_from_slice(&value_length.to_le_bytes());
        self.raw.extend_from_slice(key);
        self.raw.extend_from_slice(value);
        self.last.clear();
        self.last.extend_from_slice(key);
        self.rows_in_block += 1;
        self.index.rows += 1;
        let at = made_at(key);
        self.index.earliest = self.index.earliest.min(at.unwrap_or(0));
        self.index.latest = self.index.latest.max(at.unwrap_or(u64::MAX));
        if self.raw.len() >= BLOCK_BYTES {
            self.close_block()?;
        }
        Ok(())
    }

    fn close_block(&mut self) -> io::Result<()> {
        if self.raw.is_empty() {
            return Ok(());
        }
        self.packed.clear();
        let length = block::pack(&self.raw, &mut self.packed);
        self.index.blocks.push(BlockEntry {
            offset: self.index.end(),
            length: u32::try_from(length).map_err(io::Error::other)?,
            rows: self.rows_in_block,
            first: self.first.as_slice().into(),
            last: self.last.as_slice().into(),
        });
        self.raw.clear();
        self.rows_in_block = 0;
        self.file.write_all(&self.packed)
    }

    /// Rows so far.
    pub(in crate::history) const fn rows(&self) -> u64 {
        self.index.rows
    }

    pub(super) fn close(mut self) -> io::Result<W> {
        self.close_block()?;
        self.packed.clear();
        let length = block::pack(&self.index.encode(), &mut self.packed);
        let length = u32::try_from(length).map_err(io::Error::other)?;
        self.file.write_all(&self.packed)?;
        self.file.write_all(&footer(self.index.end(), length))?;
        Ok(self.file)
    }
}
