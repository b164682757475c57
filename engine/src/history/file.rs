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

mod index;
mod reader;
mod rows;
mod settling;
#[cfg(test)]
mod tests;
mod writer;

use std::io;

pub(super) use reader::{Reader, Trouble};
pub(super) use rows::Block;
pub(super) use settling::Settling;
pub(super) use writer::Writer;

use crate::store::KeyValue;

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
