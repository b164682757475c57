//! A packed block: LZ4 behind its lengths and a checksum over all of it. Owns that form; must never
//! give out bytes that the checksum does not cover, nor allocate what only a damaged length asks for.

use super::frame::CRC;

/// Bytes before the packed ones: length, packed length, CRC-32C of both and the packed bytes.
pub(crate) const HEADER_BYTES: usize = 12;
/// LZ4 makes at most 255 bytes of one.
const RATIO_MAX: usize = 255;

/// What is wrong with a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BlockError {
    /// There are fewer bytes than it says.
    #[error("block is cut off")]
    Short,
    /// Its checksum does not match.
    #[error("block has a wrong checksum")]
    Checksum,
    /// Its checksum matches and it cannot be read.
    #[error("block cannot be unpacked")]
    Malformed,
}

/// Appends the block of `raw` to `out`; returns its length.
pub(crate) fn pack(raw: &[u8], out: &mut Vec<u8>) -> usize {
    let packed = lz4_flex::block::compress(raw);
    let (length, packed_length) = (number(raw.len()), number(packed.len()));
    out.reserve(HEADER_BYTES + packed.len());
    out.extend_from_slice(&length);
    out.extend_from_slice(&packed_length);
    out.extend_from_slice(&checksum(length, packed_length, &packed));
    out.extend_from_slice(&packed);
    HEADER_BYTES + packed.len()
}

/// Unpacks the block at the beginning of `bytes`, of at most `raw_max` bytes; returns it with its
/// packed length.
///
/// # Errors
/// [`BlockError`].
pub(crate) fn unpack(bytes: &[u8], raw_max: usize) -> Result<(Vec<u8>, usize), BlockError> {
    let (header, rest) = bytes
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or(BlockError::Short)?;
    let [a, b, c, d, e, f, g, h, sum @ ..] = *header;
    let (length, packed_length) = ([a, b, c, d], [e, f, g, h]);
    let packed = rest.get(..read(packed_length)).ok_or(BlockError::Short)?;
    if checksum(length, packed_length, packed) != sum {
        return Err(BlockError::Checksum);
    }
    let length = read(length);
    if length > raw_max || length > packed.len().saturating_mul(RATIO_MAX) {
        return Err(BlockError::Malformed);
    }
    let mut raw = vec![0; length];
    match lz4_flex::block::decompress_into(packed, &mut raw) {
        Ok(count) if count == length => Ok((raw, HEADER_BYTES + packed.len())),
        _ => Err(BlockError::Malformed),
    }
}

/// CRC-32C.
pub(crate) fn sum(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes)
}

fn number(length: usize) -> [u8; 4] {
    // Blocks are of bounded length; one that is not does not read back, and is found by that.
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

fn read(bytes: [u8; 4]) -> usize {
    usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX)
}

fn checksum(length: [u8; 4], packed_length: [u8; 4], packed: &[u8]) -> [u8; 4] {
    let mut digest = CRC.digest();
    digest.update(&length);
    digest.update(&packed_length);
    digest.update(packed);
    digest.finalize().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_flipped_bit_and_no_cut_passes() {
        let raw = b"pos_transaction pos_transaction pos_transaction".repeat(3);
        let mut block = Vec::new();
        assert_eq!(pack(&raw, &mut block), block.len());
        assert_eq!(unpack(&block, 1_000), Ok((raw.clone(), block.len())));
        assert_eq!(unpack(&block, raw.len() - 1), Err(BlockError::Malformed));
        for bit in 0..block.len() * 8 {
            block[bit / 8] ^= 1 << (bit % 8);
            assert!(unpack(&block, 1_000).is_err(), "bit {bit}");
            block[bit / 8] ^= 1 << (bit % 8);
        }
        for length in 0..block.len() {
            assert!(unpack(&block[..length], 1_000).is_err(), "length {length}");
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_unpacks(raw in proptest::collection::vec(0_u8..8, 0..2_000)) {
            let mut block = Vec::new();
            pack(&raw, &mut block);
            prop_assert_eq!(unpack(&block, 2_000).map(|(raw, _)| raw), Ok(raw));
        }

        #[test]
        fn arbitrary_bytes_are_refused_in_peace(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(unpack(&bytes, 1_000).is_err());
        }
    }
}
