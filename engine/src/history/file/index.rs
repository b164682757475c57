//! What is not rows: header, index, footer. Owns their bytes.

use super::{END, FOOTER_BYTES, HEADER_BYTES, MAGIC, VERSION, to_u64};
use crate::store::block;

/// What the index says of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::history) struct BlockEntry {
    pub(super) offset: u64,
    pub(super) length: u32,
    pub(super) rows: u32,
    /// Its first key.
    pub(in crate::history) first: Box<[u8]>,
    /// Its last key.
    pub(in crate::history) last: Box<[u8]>,
}

/// What the index says of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) rows: u64,
    pub(super) earliest: u64,
    pub(super) latest: u64,
    pub(super) blocks: Vec<BlockEntry>,
}

impl Index {
    pub(super) fn encode(&self) -> Vec<u8> {
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

    pub(super) fn decode(mut bytes: &[u8]) -> Option<Self> {
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

    pub(super) fn end(&self) -> u64 {
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

pub(super) fn long(bytes: &mut &[u8]) -> Option<u64> {
    take::<8>(bytes).map(|taken| u64::from_le_bytes(*taken))
}

pub(super) fn short(bytes: &mut &[u8]) -> Option<u32> {
    take::<4>(bytes).map(|taken| u32::from_le_bytes(*taken))
}

fn key(bytes: &mut &[u8]) -> Option<Box<[u8]>> {
    let length = usize::from(u16::from_le_bytes(*take::<2>(bytes)?));
    let (key, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(key.into())
}

pub(super) fn footer(offset: u64, length: u32) -> [u8; FOOTER_BYTES] {
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

pub(super) fn header() -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    let (magic, rest) = bytes.split_at_mut(8);
    magic.copy_from_slice(MAGIC);
    let (version, _) = rest.split_at_mut(4);
    version.copy_from_slice(&VERSION.to_le_bytes());
    bytes
}
