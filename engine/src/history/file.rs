//! One history file: sorted rows in packed blocks, an index of them, a footer. Owns the form of the
//! file; must never give out a row of a block whose checksum does not match.
//!
//! ```text
//! header   16 bytes: "TILLHIST", version, zeros
//! blocks   rows in ascending order of keys, each block packed and summed (`store/block.rs`)
//! index    one packed block: rows in all, earliest and latest id; for each block its length,
//!          rows, first and last key
//! footer   28 bytes: offset and length of the index, CRC-32C of both, "TILLHEND"
//! ```

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::settling::Settling;
use crate::store::KeyValue;
use crate::store::block::{self, BlockError};

const MAGIC: &[u8; 8] = b"TILLHIST";
const END: &[u8; 8] = b"TILLHEND";
/// Version of this form.
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 16;
const FOOTER_BYTES: usize = 28;
/// Unpacked bytes after which a block is closed: unpacking one takes some 30 µs, and its index
/// entry 100 bytes of memory (measured 2026-11-21).
const BLOCK_BYTES: usize = 128 * 1024;
/// No block is longer unpacked: a row is part of a commit, which is at most 1 MiB.
const BLOCK_BYTES_MAX: usize = 2 * 1024 * 1024;
/// No index is longer unpacked: 2 million blocks, 250 GB of rows. Arbitrary, bounded.
const INDEX_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {what}")]
pub struct Damage {
    /// Where, in bytes.
    pub offset: u64,
    /// What.
    pub what: String,
}

fn damage(offset: u64, what: impl ToString) -> Damage {
    Damage {
        offset,
        what: what.to_string(),
    }
}

fn to_u64(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// When the id in a key was made, in milliseconds: space and owner come before it. `None` for keys
/// without one.
pub(super) fn made_at(key: &[u8]) -> Option<u64> {
    let time = key.get(17..23)?;
    Some(
        time.iter()
            .fold(0, |millis, byte| (millis << 8) | u64::from(*byte)),
    )
}

/// The rows of a block, unpacked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    raw: Vec<u8>,
    /// Beginning and end of each key, end of its value.
    rows: Vec<(usize, usize, usize)>,
}

impl Block {
    /// Reads the rows of an unpacked block; `None` when they are not in order.
    fn read(raw: Vec<u8>) -> Option<Self> {
        let mut rows = Vec::new();
        let mut at = 0;
        while at < raw.len() {
            let rest = raw.get(at..)?;
            let (key_length, rest) = rest.split_first_chunk::<2>()?;
            let (value_length, _) = rest.split_first_chunk::<4>()?;
            let key_at = at.checked_add(6)?;
            let value_at = key_at.checked_add(usize::from(u16::from_le_bytes(*key_length)))?;
            let value_length = usize::try_from(u32::from_le_bytes(*value_length)).ok()?;
            at = value_at.checked_add(value_length)?;
            let key = raw.get(key_at..value_at)?;
            raw.get(value_at..at)?;
            let before = rows
                .last()
                .and_then(|(key_at, value_at, _)| raw.get(*key_at..*value_at));
            if before.is_some_and(|before| before >= key) {
                return None;
            }
            rows.push((key_at, value_at, at));
        }
        (!rows.is_empty()).then_some(Self { raw, rows })
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// A row.
    pub(super) fn row(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let (key_at, value_at, end) = *self.rows.get(index)?;
        Some((
            self.raw.get(key_at..value_at)?,
            self.raw.get(value_at..end)?,
        ))
    }

    /// How many rows are below a key.
    pub(super) fn below(&self, key: &[u8]) -> usize {
        self.rows.partition_point(|(key_at, value_at, _)| {
            self.raw
                .get(*key_at..*value_at)
                .is_some_and(|found| found < key)
        })
    }

    /// All rows.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.len()).filter_map(|at| self.row(at))
    }

    /// The value at a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let (found, value) = self.row(self.below(key))?;
        (found == key).then_some(value)
    }
}

/// What the index says of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BlockEntry {
    offset: u64,
    length: u32,
    rows: u32,
    /// Its first key.
    pub(super) first: Box<[u8]>,
    /// Its last key.
    pub(super) last: Box<[u8]>,
}

/// What the index says of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Index {
    rows: u64,
    earliest: u64,
    latest: u64,
    blocks: Vec<BlockEntry>,
}

impl Index {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [
            self.rows,
            self.earliest,
            self.latest,
            to_u64(self.blocks.len()),
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for entry in &self.blocks {
            bytes.extend_from_slice(&entry.length.to_le_bytes());
            bytes.extend_from_slice(&entry.rows.to_le_bytes());
            for key in [&entry.first, &entry.last] {
                let length = u16::try_from(key.len()).unwrap_or(u16::MAX);
                bytes.extend_from_slice(&length.to_le_bytes());
                bytes.extend_from_slice(key);
            }
        }
        bytes
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let rest = &mut bytes;
        let (rows, earliest, latest) = (long(rest)?, long(rest)?, long(rest)?);
        let count = long(rest)?;
        let mut index = Self {
            rows,
            earliest,
            latest,
            blocks: Vec::new(),
        };
        let mut offset = to_u64(HEADER_BYTES);
        let mut rows_in_blocks: u64 = 0;
        for _ in 0..count {
            let (length, rows) = (short(rest)?, short(rest)?);
            let entry = BlockEntry {
                offset,
                length,
                rows,
                first: key(rest)?,
                last: key(rest)?,
            };
            offset = offset.checked_add(u64::from(length))?;
            rows_in_blocks = rows_in_blocks.checked_add(u64::from(rows))?;
            let before = index.blocks.last().map(|before| &before.last);
            if entry.first > entry.last || before.is_some_and(|before| *before >= entry.first) {
                return None;
            }
            index.blocks.push(entry);
        }
        (rest.is_empty() && rows_in_blocks == rows).then_some(index)
    }

    fn end(&self) -> u64 {
        self.blocks.last().map_or(to_u64(HEADER_BYTES), |last| {
            last.offset.saturating_add(u64::from(last.length))
        })
    }
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(taken)
}

fn long(bytes: &mut &[u8]) -> Option<u64> {
    take::<8>(bytes).map(|taken| u64::from_le_bytes(*taken))
}

fn short(bytes: &mut &[u8]) -> Option<u32> {
    take::<4>(bytes).map(|taken| u32::from_le_bytes(*taken))
}

fn key(bytes: &mut &[u8]) -> Option<Box<[u8]>> {
    let length = usize::from(u16::from_le_bytes(*take::<2>(bytes)?));
    let (key, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(key.into())
}

fn footer(offset: u64, length: u32) -> [u8; FOOTER_BYTES] {
    let mut bytes = [0; FOOTER_BYTES];
    let (place, rest) = bytes.split_at_mut(12);
    let (at, of) = place.split_at_mut(8);
    at.copy_from_slice(&offset.to_le_bytes());
    of.copy_from_slice(&length.to_le_bytes());
    let sum = block::sum(place);
    let (spare, rest) = rest.split_at_mut(8);
    let (of_place, _) = spare.split_at_mut(4);
    of_place.copy_from_slice(&sum.to_le_bytes());
    rest.copy_from_slice(END);
    bytes
}

fn header() -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    let (magic, rest) = bytes.split_at_mut(8);
    magic.copy_from_slice(MAGIC);
    let (version, _) = rest.split_at_mut(4);
    version.copy_from_slice(&VERSION.to_le_bytes());
    bytes
}

/// Writes a file, row by row in ascending order of keys.
pub(super) struct Writer<W: io::Write> {
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
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        Self::over(BufWriter::new(Settling::new(File::create(path)?)))
    }

    /// Writes what is left and syncs.
    ///
    /// # Errors
    /// When that fails; the file is then of no use.
    pub(super) fn finish(self) -> io::Result<()> {
        let file = self.close()?.into_inner();
        let file = file.map_err(io::IntoInnerError::into_error)?;
        file.into_file().sync_all()
    }
}

impl<W: io::Write> Writer<W> {
    fn over(mut file: W) -> io::Result<Self> {
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
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
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
    pub(super) const fn rows(&self) -> u64 {
        self.index.rows
    }

    fn close(mut self) -> io::Result<W> {
        self.close_block()?;
        self.packed.clear();
        let length = block::pack(&self.index.encode(), &mut self.packed);
        let length = u32::try_from(length).map_err(io::Error::other)?;
        self.file.write_all(&self.packed)?;
        self.file.write_all(&footer(self.index.end(), length))?;
        Ok(self.file)
    }
}

/// Bytes at places: a file, or memory.
pub(super) trait Bytes: std::fmt::Debug + Send + Sync {
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
pub(super) struct Reader {
    file: Box<dyn Bytes>,
    bytes: u64,
    index: Index,
}

impl Reader {
    /// Opens a file and reads its index.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(super) fn open(path: &Path) -> Result<Self, Trouble> {
        Self::over(Box::new(File::open(path)?))
    }

    /// As [`Reader::open`], over any bytes.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(super) fn over(file: Box<dyn Bytes>) -> Result<Self, Trouble> {
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
    pub(super) fn copy(&self, to: &Path) -> io::Result<()> {
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
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Rows in it.
    pub(super) const fn rows(&self) -> u64 {
        self.index.rows
    }

    /// Its blocks.
    pub(super) fn blocks(&self) -> &[BlockEntry] {
        &self.index.blocks
    }

    /// Whether ids made at that time may be in it.
    pub(super) const fn covers(&self, made_at: u64) -> bool {
        self.index.earliest <= made_at && made_at <= self.index.latest
    }

    /// When its first and its last id were made.
    pub(super) const fn made_between(&self) -> (u64, u64) {
        (self.index.earliest, self.index.latest)
    }

    /// The block that would hold a key.
    pub(super) fn block_of(&self, key: &[u8]) -> Option<usize> {
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
    pub(super) fn block(&self, index: usize) -> Result<Block, Trouble> {
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
pub(super) enum Trouble {
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

/// All rows of the file in `bytes`, or what is wrong with it: the decoder as a function, for checks
/// that make files up.
///
/// # Errors
/// [`Damage`].
pub fn decode(bytes: &[u8]) -> Result<Vec<KeyValue>, Damage> {
    let told = |trouble| match trouble {
        Trouble::Damage(damage) => damage,
        Trouble::Io(error) => damage(0, error),
    };
    let reader = Reader::over(Box::new(bytes.to_vec())).map_err(told)?;
    let mut rows = Vec::new();
    for at in 0..reader.blocks().len() {
        let block = reader.block(at).map_err(told)?;
        rows.extend(
            block
                .rows()
                .map(|(key, value)| (key.to_vec(), value.to_vec())),
        );
    }
    Ok(rows)
}

/// A file with these rows, which ascend: the encoder as a function, for checks.
///
/// # Errors
/// `InvalidInput` when they do not ascend or one is too long.
pub fn encode<'a>(rows: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> io::Result<Vec<u8>> {
    let mut writer = Writer::over(Vec::new())?;
    for (key, value) in rows {
        writer.add(key, value)?;
    }
    writer.close()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(count: u32) -> Vec<KeyValue> {
        let row = |number: u32| {
            let mut key = vec![b'P'; 17];
            key.extend_from_slice(&number.to_be_bytes());
            key.extend_from_slice(&[7; 12]);
            (key, number.to_string().repeat(50).into_bytes())
        };
        (0..count).map(row).collect()
    }

    fn file(rows: &[KeyValue]) -> Vec<u8> {
        encode(
            rows.iter()
                .map(|(key, value)| (key.as_slice(), value.as_slice())),
        )
        .unwrap()
    }

    #[test]
    fn rows_survive_the_round_trip_over_many_blocks() {
        for count in [0, 1, 2, 5_000] {
            let rows = rows(count);
            let bytes = file(&rows);
            assert_eq!(decode(&bytes), Ok(rows.clone()));
            let reader = Reader::over(Box::new(bytes)).unwrap();
            assert_eq!(reader.rows(), u64::from(count));
            assert!(count < 5_000 || reader.blocks().len() > 5);
            for (key, value) in rows.iter().step_by(97) {
                let block = reader.block(reader.block_of(key).unwrap()).unwrap();
                assert_eq!(block.get(key), Some(value.as_slice()));
                assert_eq!(block.get(&key[1..]), None);
                assert!(reader.covers(made_at(key).unwrap()));
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let rows = rows(20);
        let mut bytes = file(&rows);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bytes).is_err(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(decode(&bytes), Ok(rows));
    }

    #[test]
    fn a_torn_file_is_found_wherever_it_ends() {
        let bytes = file(&rows(20));
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "length {length}");
            let mut zeroed = bytes.clone();
            zeroed[length..].fill(0);
            assert!(
                zeroed == bytes || decode(&zeroed).is_err(),
                "zeros from {length}"
            );
        }
    }

    /// Written on 2026-11-21. Every later version reads it.
    #[test]
    fn a_file_of_version_1_is_read() {
        let bytes = concat!(
            "54494c4c4849535401000000000000004f0000001600000017784f8c7c210028",
            "0000005001001f0001001e600000000000006e000000210000000b5040442f01",
            "0001000304180013220c003c21005001000c39000f23000a6000000000000032",
            "000000000000002d0000002e99ffe50000000054494c4c48454e44"
        );
        let rows = decode(&hex::decode(bytes).unwrap()).unwrap();
        let key = [[b'P'; 17].as_slice(), &[0; 16]].concat();
        assert_eq!(rows, [(key, vec![0; 40])]);
    }

    #[test]
    fn rows_out_of_order_are_refused() {
        let mut writer = Writer::over(Vec::new()).unwrap();
        writer.add(b"b", b"1").unwrap();
        assert!(writer.add(b"b", b"2").is_err());
        assert!(writer.add(b"a", b"2").is_err());
        assert!(writer.add(b"c", &vec![0; BLOCK_BYTES_MAX]).is_err());
        writer.add(b"c", b"2").unwrap();
        let rows = decode(&writer.close().unwrap()).unwrap();
        assert_eq!(rows.len(), 2);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_refused_in_peace(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
            is_headed: bool,
        ) {
            if is_headed {
                bytes.splice(..0, header());
            }
            prop_assert!(decode(&bytes).is_err());
        }
    }
}
