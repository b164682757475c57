//! Doors to the decoders of the store's files, for fuzz targets only: bytes in, plain values out.
//! Must never be used by the engine itself, nor do anything that the store does not do.

use super::checkpoint;
use super::frame::{self, FrameError, FrameWriter};
use super::packed;
use super::recovery::Place;
use super::{Commit, Logged};

/// A batch as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The start epoch of its writer.
    pub epoch: u64,
    /// The generation of its segment.
    pub generation: u64,
    /// Position of the first record.
    pub first_position: u64,
    /// Bytes of the frame.
    pub length: usize,
    /// The records in order.
    pub records: Vec<Logged>,
}

/// Reads the batch at the start of `bytes`; `None` when there is no whole and valid one.
pub fn read_batch(log: [u8; 16], bytes: &[u8]) -> Option<Batch> {
    let frame = frame::decode(log, bytes).ok()?;
    let mut records = Vec::new();
    frame
        .for_each(|record| {
            records.push(record.logged());
            Ok::<_, FrameError>(())
        })
        .ok()?;
    Some(Batch {
        epoch: frame.header.epoch,
        generation: frame.header.generation,
        first_position: frame.header.first_position,
        length: frame.header.frame_length(),
        records,
    })
}

/// The bytes of a batch of these commits, each with its first sequence number.
pub fn write_batch(
    log: [u8; 16],
    [epoch, generation, first_position]: [u64; 3],
    commits: &[(Commit, u64)],
) -> Vec<u8> {
    let mut writer = FrameWriter::new();
    for (commit, first_seq) in commits {
        writer.push(commit, *first_seq);
    }
    writer
        .finish(log, epoch, generation, first_position)
        .to_vec()
}

/// Where the first valid batch of this epoch or a later one begins, as recovery looks for it.
pub fn find_batch(log: [u8; 16], bytes: &[u8], epoch: u64, generation: u64) -> Option<usize> {
    frame::find(log, bytes, epoch, generation)
}

/// The segment that a packed one holds; `None` when it is damaged.
pub fn unpack_segment(bytes: &[u8]) -> Option<Vec<u8>> {
    packed::unpack(bytes.to_vec()).ok()
}

/// The packed form of a segment.
pub fn pack_segment(bytes: &[u8]) -> Option<Vec<u8>> {
    packed::pack(&bytes.to_vec(), &|| false).ok()?
}

/// Generation, offset, position and epoch of a checkpoint file.
pub fn read_checkpoint(log: [u8; 16], bytes: &[u8]) -> Option<[u64; 4]> {
    let place = checkpoint::decode(log, bytes)?;
    Some([place.generation, place.offset, place.position, place.epoch])
}

/// The bytes of a checkpoint file.
pub fn write_checkpoint(log: [u8; 16], [generation, offset, position, epoch]: [u64; 4]) -> Vec<u8> {
    let place = Place {
        generation,
        offset,
        position,
        epoch,
    };
    checkpoint::encode(log, place)
}
