//! Log segments that nobody writes any more, packed: `X.log` becomes `X.log.packed`, and its readers
//! do not notice. Owns that form and the change from one to the other; must never remove a plain
//! segment before the packed one was read back, nor give out bytes whose checksum does not match.
//!
//! ```text
//! header   24 bytes: "TILLPACK", version, bytes of a block unpacked, length of the segment
//! table    length of each block, CRC-32C of header and table
//! blocks   see `block.rs`; all but the last hold as many bytes as the header says
//! ```

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::block;
use super::disk::{Disk, DiskFile, RealDisk, read_whole};
use super::segment::{self, ARCHIVE, SEGMENT_BYTES_MAX};
use crate::pace::Pause;

/// What a packed segment's name ends with.
pub(crate) const EXTENSION: &str = ".packed";
const UNFINISHED: &str = ".packed.part";
const MAGIC: &[u8; 8] = b"TILLPACK";
/// Version of this form.
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 24;
/// Unpacked bytes of a block. Longer ones pack no better: LZ4 looks back 64 KiB (measured
/// 2026-11-21 on a small log: 7.2 to 1 at 64 KiB, 8.4 at 256 KiB and at 1 MiB).
const BLOCK_BYTES: usize = 256 * 1024;
/// No block may claim to be longer.
const BLOCK_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What packing has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Packed {
    /// Segments.
    pub segments: u64,
    /// Bytes of them before.
    pub plain_bytes: u64,
    /// Bytes of them afterwards.
    pub packed_bytes: u64,
}

/// Bytes written and synced at a time: what a commit may have to wait for on the disk.
const PIECE_BYTES: usize = 512 * 1024;

/// Packs every plain segment in the archive of the store in `directory`, which may be in use: its
/// readers find either form. One packed segment at a time is in memory. Pauses between steps of some
/// milliseconds, and ends early when it is told to.
///
/// # Errors
/// When a segment cannot be read or written; it stays as it is.
pub fn pack_archive(directory: &Path, pause: Pause<'_>) -> io::Result<Packed> {
    let disk = RealDisk::new(directory);
    let mut packed = Packed::default();
    for generation in segment::generations(&disk, ARCHIVE)? {
        let path = segment::path(ARCHIVE, generation);
        match pack_one(&disk, &path, pause)? {
            Outcome::Packed(plain_bytes, packed_bytes) => {
                packed.segments += 1;
                packed.plain_bytes += plain_bytes;
                packed.packed_bytes += packed_bytes;
            }
            Outcome::WasPacked => {}
            Outcome::Stopped => break,
        }
    }
    Ok(packed)
}

/// What became of a file.
enum Outcome {
    /// Its length before and afterwards.
    Packed(u64, u64),
    WasPacked,
    Stopped,
}

fn pack_one(disk: &RealDisk, path: &str, pause: Pause<'_>) -> io::Result<Outcome> {
    let plain = match disk.open_plain(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Outcome::WasPacked),
        plain => plain?,
    };
    let Some(packed) = pack(&plain, pause)? else {
        return Ok(Outcome::Stopped);
    };
    let (beside, target) = (format!("{path}{UNFINISHED}"), format!("{path}{EXTENSION}"));
    if !write(disk, &beside, &packed, pause)? || !reads_back(disk, &beside, &plain, pause)? {
        return Ok(Outcome::Stopped);
    }
    disk.rename_plain(&beside, &target)?;
    disk.sync_directory(ARCHIVE)?;
    disk.remove_plain(path)?;
    disk.sync_directory(ARCHIVE)?;
    let plain_bytes = DiskFile::length(&plain)?;
    Ok(Outcome::Packed(plain_bytes, to_u64(packed.len())))
}

/// Hands a plain segment to `each` block by block, its offset first; false when it was stopped.
fn for_each_block(
    plain: &dyn DiskFile,
    pause: Pause<'_>,
    each: &mut dyn FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<bool> {
    let mut buffer = vec![0; BLOCK_BYTES];
    let mut at = 0;
    loop {
        if pause() {
            return Ok(false);
        }
        let count = plain.read_at(&mut buffer, at)?;
        if count == 0 {
            return Ok(true);
        }
        each(at, buffer.get(..count).unwrap_or_default())?;
        at += to_u64(count);
    }
}

/// Writes a file; false when it was stopped.
fn write(disk: &RealDisk, path: &str, bytes: &[u8], pause: Pause<'_>) -> io::Result<bool> {
    let file = disk.create(path)?;
    for (at, piece) in bytes.chunks(PIECE_BYTES).enumerate() {
        file.write_at(piece, to_u64(at * PIECE_BYTES))?;
        file.sync()?;
        if pause() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Holds a packed file against what it must hold; false when it was stopped.
fn reads_back(
    disk: &RealDisk,
    path: &str,
    plain: &dyn DiskFile,
    pause: Pause<'_>,
) -> io::Result<bool> {
    let file = PackedFile::open(disk.open_plain(path)?)?;
    let differs = || io::Error::other("packed segment does not read back");
    if file.length()? != plain.length()? {
        return Err(differs());
    }
    let mut read = vec![0; BLOCK_BYTES];
    for_each_block(plain, pause, &mut |at, raw| {
        let count = file.read_at(&mut read, at)?;
        if read.get(..count) == Some(raw) {
            Ok(())
        } else {
            Err(differs())
        }
    })
}

/// The packed form of a segment; `None` when it was stopped.
///
/// # Errors
/// When it cannot be read, or is longer than a segment can be.
pub(crate) fn pack(plain: &dyn DiskFile, pause: Pause<'_>) -> io::Result<Option<Vec<u8>>> {
    let length = plain.length()?;
    if length > SEGMENT_BYTES_MAX {
        return Err(io::Error::other("segment is too long"));
    }
    let mut blocks = Vec::new();
    let mut table = Vec::new();
    let is_done = for_each_block(plain, pause, &mut |_, raw| {
        let length = u32::try_from(block::pack(raw, &mut blocks)).map_err(io::Error::other)?;
        table.extend_from_slice(&length.to_le_bytes());
        Ok(())
    })?;
    if !is_done {
        return Ok(None);
    }
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    let block_bytes = u32::try_from(BLOCK_BYTES).map_err(io::Error::other)?;
    bytes.extend_from_slice(&block_bytes.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&table);
    let sum = block::sum(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes.extend_from_slice(&blocks);
    Ok(Some(bytes))
}

/// The segment that a packed one holds: the decoder as a function, for checks.
///
/// # Errors
/// `InvalidData` when it is damaged.
pub(crate) fn unpack(packed: Vec<u8>) -> io::Result<Vec<u8>> {
    read_whole(&PackedFile::open(packed)?, SEGMENT_BYTES_MAX)
}

fn to_u64(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn damage(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("packed segment is damaged: {what}"),
    )
}

/// A packed segment that reads like a plain one.
pub(crate) struct PackedFile<F> {
    file: F,
    length: u64,
    block_bytes: usize,
    /// Offset and length of each block.
    blocks: Vec<(u64, usize)>,
    /// The block that was read last.
    last: Mutex<Option<(usize, Vec<u8>)>>,
}

impl DiskFile for Vec<u8> {
    fn length(&self) -> io::Result<u64> {
        Ok(to_u64(self.len()))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let at = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(self.len());
        let rest = self.get(at..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        let (to, from) = (buffer.get_mut(..count), rest.get(..count));
        to.unwrap_or_default()
            .copy_from_slice(from.unwrap_or_default());
        Ok(count)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn reserve(&self, _: u64) -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

impl<F: DiskFile> PackedFile<F> {
    /// Reads header and table.
    ///
    /// # Errors
    /// `InvalidData` when they are damaged.
    pub(crate) fn open(file: F) -> io::Result<Self> {
        let whole = file.length()?;
        let mut header = [0; HEADER_BYTES];
        if file.read_at(&mut header, 0)? < HEADER_BYTES {
            return Err(damage("cut off"));
        }
        let [
            a,
            b,
            c,
            d,
            e,
            f,
            g,
            h,
            v0,
            v1,
            v2,
            v3,
            b0,
            b1,
            b2,
            b3,
            length @ ..,
        ] = header;
        if [a, b, c, d, e, f, g, h] != *MAGIC || [v0, v1, v2, v3] != VERSION.to_le_bytes() {
            return Err(damage("not of a known version"));
        }
        let length = u64::from_le_bytes(length);
        let block_bytes = u32::from_le_bytes([b0, b1, b2, b3]);
        let block_bytes = usize::try_from(block_bytes).map_err(io::Error::other)?;
        if length > SEGMENT_BYTES_MAX || !(1..=BLOCK_BYTES_MAX).contains(&block_bytes) {
            return Err(damage("lengths are out of bounds"));
        }
        let count = length.div_ceil(to_u64(block_bytes));
        let table_bytes = count.saturating_mul(4).saturating_add(4);
        if table_bytes > whole {
            return Err(damage("cut off"));
        }
        let mut table = vec![0; usize::try_from(table_bytes).map_err(io::Error::other)?];
        if file.read_at(&mut table, to_u64(HEADER_BYTES))? < table.len() {
            return Err(damage("cut off"));
        }
        let mut summed = header.to_vec();
        let Some((lengths, sum)) = table.split_last_chunk::<4>() else {
            return Err(damage("cut off"));
        };
        summed.extend_from_slice(lengths);
        if block::sum(&summed).to_le_bytes() != *sum {
            return Err(damage("table has a wrong checksum"));
        }
        let mut offset = to_u64(HEADER_BYTES + table.len());
        let mut blocks = Vec::new();
        for length in lengths.chunks_exact(4) {
            let length = length.iter().rev();
            let length = length.fold(0, |length: u64, byte| (length << 8) | u64::from(*byte));
            blocks.push((offset, usize::try_from(length).map_err(io::Error::other)?));
            offset = offset.saturating_add(length);
        }
        if offset != whole {
            return Err(damage("it ends elsewhere than its table says"));
        }
        Ok(Self {
            file,
            length,
            block_bytes,
            blocks,
            last: Mutex::new(None),
        })
    }

    fn unpack(&self, index: usize) -> io::Result<Vec<u8>> {
        let (offset, length) = self.blocks.get(index).copied().unwrap_or_default();
        let mut packed = vec![0; length];
        let count = self.file.read_at(&mut packed, offset)?;
        packed.truncate(count);
        let (raw, used) = block::unpack(&packed, self.block_bytes)
            .map_err(|error| damage(format!("at byte {offset}: {error}")))?;
        let is_last = index + 1 == self.blocks.len();
        let before = to_u64(index).saturating_mul(to_u64(self.block_bytes));
        let expected = if is_last {
            self.length.saturating_sub(before)
        } else {
            to_u64(self.block_bytes)
        };
        if to_u64(raw.len()) == expected && used == length {
            Ok(raw)
        } else {
            Err(damage(format!(
                "at byte {offset}: block has a wrong length"
            )))
        }
    }
}

impl<F: DiskFile> DiskFile for PackedFile<F> {
    fn length(&self) -> io::Result<u64> {
        Ok(self.length)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let at = usize::try_from(offset)
                .unwrap_or(usize::MAX)
                .saturating_add(filled);
            if to_u64(at) >= self.length {
                break;
            }
            let (index, within) = (at / self.block_bytes, at % self.block_bytes);
            let block = match last.take() {
                Some((found, block)) if found == index => block,
                _ => self.unpack(index)?,
            };
            let from = block.get(within..).unwrap_or_default();
            let count = from.len().min(rest.len());
            let (to, from) = (rest.get_mut(..count), from.get(..count));
            to.unwrap_or_default()
                .copy_from_slice(from.unwrap_or_default());
            filled += count;
            *last = Some((index, block));
            if count == 0 {
                return Err(damage("block is too short"));
            }
        }
        Ok(filled)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn reserve(&self, _: u64) -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(length: usize) -> Vec<u8> {
        let number = |at: usize| u8::try_from((at / 64) % 251).unwrap();
        (0..length).map(number).collect()
    }

    #[test]
    fn segments_survive_the_round_trip_and_read_from_anywhere() {
        for length in [
            0,
            1,
            BLOCK_BYTES - 1,
            BLOCK_BYTES,
            BLOCK_BYTES + 1,
            3 * BLOCK_BYTES + 7,
        ] {
            let plain = segment(length);
            let packed = pack(&plain, &|| false).unwrap().unwrap();
            assert_eq!(unpack(packed.clone()).unwrap(), plain);
            let file = PackedFile::open(packed).unwrap();
            let mut buffer = [0; 1_000];
            for offset in [0, 500, BLOCK_BYTES - 500, 2 * BLOCK_BYTES + 1, length] {
                let count = file.read_at(&mut buffer, to_u64(offset)).unwrap();
                let end = (offset + 1_000).min(length);
                assert_eq!(buffer[..count], plain[offset.min(end)..end]);
            }
        }
    }

    /// Written on 2026-11-21. Every later version reads it.
    #[test]
    fn a_segment_of_version_1_is_read() {
        let packed = concat!(
            "54494c4c5041434b0100000000000400e7030000000000001b00000095163e3b",
            "e70300000f000000ab1071571f000100ffffffd060000000000000"
        );
        let packed = hex::decode(packed).unwrap();
        assert_eq!(unpack(packed).unwrap(), [0; 999]);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let mut packed = pack(&segment(3_000), &|| false).unwrap().unwrap();
        for bit in 0..packed.len() * 8 {
            packed[bit / 8] ^= 1 << (bit % 8);
            assert!(unpack(packed.clone()).is_err(), "bit {bit}");
            packed[bit / 8] ^= 1 << (bit % 8);
        }
        for length in 0..packed.len() {
            assert!(
                unpack(packed[..length].to_vec()).is_err(),
                "length {length}"
            );
        }
    }

    #[test]
    fn a_packed_segment_is_read_and_listed_under_its_own_name() {
        let root = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(root.path());
        disk.create_directory(ARCHIVE).unwrap();
        let plain = segment(BLOCK_BYTES + 9);
        for generation in [1, 2] {
            let file = disk.create(&segment::path(ARCHIVE, generation)).unwrap();
            file.write_at(&plain, 0).unwrap();
        }
        // A crash before the last step leaves both.
        let path = segment::path(ARCHIVE, 1);
        std::fs::write(
            root.path().join(format!("{path}.packed")),
            pack(&plain, &|| false).unwrap().unwrap(),
        )
        .unwrap();
        let done = pack_archive(root.path(), &|| false).unwrap();
        assert_eq!(
            (done.segments, done.plain_bytes),
            (2, 2 * to_u64(plain.len()))
        );
        assert!(done.packed_bytes * 10 < done.plain_bytes);
        assert_eq!(
            pack_archive(root.path(), &|| false).unwrap(),
            Packed::default()
        );
        assert_eq!(segment::generations(&disk, ARCHIVE).unwrap(), [1, 2]);
        let file = disk.open_read_only(&path).unwrap();
        assert_eq!(read_whole(file.as_ref(), SEGMENT_BYTES_MAX).unwrap(), plain);
        // Put together by hand, it can become the end of the log again.
        disk.create_directory("log").unwrap();
        disk.rename(&path, "log/1.log").unwrap();
        let file = disk.open("log/1.log").unwrap();
        file.write_at(b"more", 0).unwrap();
        assert_eq!(disk.list("log").unwrap(), ["1.log"]);
        assert_eq!(
            std::fs::read_dir(root.path().join("log")).unwrap().count(),
            1
        );
    }
}
