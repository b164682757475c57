//! Frames of the journal: bytes to entries and back. Pure and bounded.

use crc::{CRC_32_ISCSI, Crc, Table};

use crate::machine::record::{JOURNAL_FORMAT, JOURNAL_FORMAT_MIN, JournalEntry};

/// The largest entry. A completion's data comes in one frame of the link, which is smaller.
pub const FRAME_PAYLOAD_MAX: usize = 128 * 1024;

/// Length and checksum.
const HEAD_BYTES: usize = 8;

/// Set in the length of a frame that was written while something before it was not on stable
/// storage yet.
const LOOSE: u32 = 1 << 31;

/// CRC-32C (Castagnoli, RFC 3720 B.4) as the `crc` catalogue names it.
const CRC_32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// Why an entry is no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Larger than [`FRAME_PAYLOAD_MAX`].
    #[error("entry is larger than a frame")]
    TooLarge,
    /// It has no form as MessagePack.
    #[error("entry has no wire form")]
    NotEncodable,
}

/// What the bytes of a journal are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadBack {
    /// Entries, and so many bytes of a torn tail.
    Entries {
        /// In order; the first is a header of a known format, if there is any.
        entries: Vec<JournalEntry>,
        /// Bytes behind the last entry.
        torn: usize,
    },
    /// Not a frame here, although a frame behind it says that it was durable; or a frame of an
    /// unknown kind.
    Corrupt {
        /// Offset.
        at: usize,
    },
}

/// Appends the frame of an entry that is written when everything before it is on stable storage.
///
/// # Errors
/// [`FrameError`].
pub fn encode_frame(entry: &JournalEntry, bytes: &mut Vec<u8>) -> Result<(), FrameError> {
    encode(entry, 0, bytes)
}

/// Appends the frame of an entry that may reach the disk before what is in front of it does: then
/// a power cut in between leaves it behind a gap, and both are a torn tail.
///
/// # Errors
/// [`FrameError`].
pub fn encode_loose_frame(entry: &JournalEntry, bytes: &mut Vec<u8>) -> Result<(), FrameError> {
    encode(entry, LOOSE, bytes)
}

fn encode(entry: &JournalEntry, mark: u32, bytes: &mut Vec<u8>) -> Result<(), FrameError> {
    let payload = rmp_serde::to_vec_named(entry).map_err(|_| FrameError::NotEncodable)?;
    if payload.len() > FRAME_PAYLOAD_MAX {
        return Err(FrameError::TooLarge);
    }
    let length = u32::try_from(payload.len()).map_err(|_| FrameError::TooLarge)?;
    let length = (length | mark).to_le_bytes();
    bytes.extend_from_slice(&length);
    bytes.extend_from_slice(&checksum(length, &payload).to_le_bytes());
    bytes.extend_from_slice(&payload);
    Ok(())
}

/// Reads all frames.
pub fn read_back(bytes: &[u8]) -> ReadBack {
    let mut entries = Vec::new();
    let mut rest = bytes;
    while let Some((payload, _, next)) = split_frame(rest) {
        let at = bytes.len().saturating_sub(rest.len());
        match decode_entry(payload) {
            Some(entry) if entries.is_empty() != is_header(&entry) => {
                return ReadBack::Corrupt { at };
            }
            Some(entry) => entries.push(entry),
            // Whole, and yet not an entry: written by another program.
            None => return ReadBack::Corrupt { at },
        }
        rest = next;
    }
    if has_settled_frame_inside(rest) {
        return ReadBack::Corrupt {
            at: bytes.len().saturating_sub(rest.len()),
        };
    }
    ReadBack::Entries {
        entries,
        torn: rest.len(),
    }
}

/// Every known kind of header begins a journal, and nothing else does.
const fn is_header(entry: &JournalEntry) -> bool {
    matches!(
        entry,
        JournalEntry::Header { format, .. }
            if JOURNAL_FORMAT_MIN <= *format && *format <= JOURNAL_FORMAT
    )
}

/// The payload of the frame that begins here, whether it is a loose one, and what follows.
fn split_frame(bytes: &[u8]) -> Option<(&[u8], bool, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let [a, b, c, d, e, f, g, h] = *head;
    let length = [a, b, c, d];
    let word = u32::from_le_bytes(length);
    let size = usize::try_from(word & !LOOSE).ok()?;
    if size == 0 || size > FRAME_PAYLOAD_MAX {
        return None;
    }
    let (payload, rest) = rest.split_at_checked(size)?;
    let is_whole = checksum(length, payload) == u32::from_le_bytes([e, f, g, h]);
    is_whole.then_some((payload, word & LOOSE != 0, rest))
}

/// Whether a whole frame begins at any later place that was written after everything before it was
/// durable: then the damage is not a torn tail.
fn has_settled_frame_inside(bytes: &[u8]) -> bool {
    (1..bytes.len()).any(|at| {
        bytes
            .get(at..)
            .and_then(split_frame)
            .is_some_and(|(payload, is_loose, _)| !is_loose && decode_entry(payload).is_some())
    })
}

fn decode_entry(payload: &[u8]) -> Option<JournalEntry> {
    let mut rest = payload;
    let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
    // The deepest entry has six levels; hostile nesting must not reach the stack.
    deserializer.set_max_depth(32);
    let entry = serde::Deserialize::deserialize(&mut deserializer).ok()?;
    rest.is_empty().then_some(entry)
}

fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    let mut digest = CRC_32C.digest();
    digest.update(&length);
    digest.update(payload);
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::id::{JournalId, PosTransactionId};
    use uuid::Uuid;

    use super::*;

    fn sample() -> (Vec<JournalEntry>, Vec<u8>) {
        let entries = vec![
            JournalEntry::Header {
                format: JOURNAL_FORMAT,
                journal_id: JournalId::from_uuid(Uuid::from_u128(1)),
            },
            JournalEntry::Boot { number: 1 },
            JournalEntry::Accepted {
                pos_id: PosTransactionId::from_uuid(Uuid::from_u128(2)),
            },
            JournalEntry::Concluded {
                pos_id: PosTransactionId::from_uuid(Uuid::from_u128(2)),
            },
        ];
        let mut bytes = Vec::new();
        for entry in &entries {
            encode_frame(entry, &mut bytes).unwrap();
        }
        (entries, bytes)
    }

    #[test]
    fn the_checksum_is_crc_32c() {
        // RFC 3720 B.4: 32 bytes of zeroes.
        assert_eq!(checksum([0; 4], &[0; 28]), 0x8A91_36AA);
    }

    #[test]
    fn a_header_begins_every_journal_and_nothing_else() {
        let (entries, bytes) = sample();
        assert_eq!(read_back(&bytes), ReadBack::Entries { entries, torn: 0 });
        let mut twice = bytes.clone();
        twice.extend_from_slice(&bytes);
        assert!(matches!(read_back(&twice), ReadBack::Corrupt { at } if at == bytes.len()));
        let mut headless = Vec::new();
        encode_frame(&JournalEntry::Boot { number: 1 }, &mut headless).unwrap();
        assert_eq!(read_back(&headless), ReadBack::Corrupt { at: 0 });
        let mut newer = Vec::new();
        let header = JournalEntry::Header {
            format: JOURNAL_FORMAT + 1,
            journal_id: JournalId::from_uuid(Uuid::from_u128(1)),
        };
        encode_frame(&header, &mut newer).unwrap();
        assert_eq!(read_back(&newer), ReadBack::Corrupt { at: 0 });
    }

    #[test]
    fn a_gap_is_a_torn_tail_until_something_says_that_it_was_durable() {
        let (entries, whole) = sample();
        let gap = whole.len()..whole.len() + 20;
        let mut bytes = whole.clone();
        encode_frame(&entries[2], &mut bytes).unwrap();
        encode_loose_frame(&entries[3], &mut bytes).unwrap();
        bytes[gap].fill(0);
        let torn = bytes.len() - whole.len();
        let expected = ReadBack::Entries { entries, torn };
        assert_eq!(read_back(&bytes), expected);
        encode_frame(&JournalEntry::Boot { number: 2 }, &mut bytes).unwrap();
        assert_eq!(read_back(&bytes), ReadBack::Corrupt { at: whole.len() });
    }

    #[test]
    fn the_first_format_is_read() {
        let mut bytes = Vec::new();
        let header = JournalEntry::Header {
            format: 1,
            journal_id: JournalId::from_uuid(Uuid::from_u128(1)),
        };
        encode_frame(&header, &mut bytes).unwrap();
        let entries = vec![header];
        assert_eq!(read_back(&bytes), ReadBack::Entries { entries, torn: 0 });
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(read_back(&bytes));
        }

        #[test]
        fn one_damaged_byte_is_never_read_as_an_entry(at in 0usize..1_000, flip in 1u8..=255) {
            let (entries, mut bytes) = sample();
            let at = at % bytes.len();
            bytes[at] ^= flip;
            match read_back(&bytes) {
                ReadBack::Entries { entries: read, torn } => {
                    prop_assert!(torn > 0);
                    prop_assert_eq!(&read[..], &entries[..read.len()]);
                }
                ReadBack::Corrupt { at: found } => prop_assert!(found <= at),
            }
        }
    }
}
