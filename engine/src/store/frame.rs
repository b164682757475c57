//! The batch as it lies on disk: a header, the commits, and one checksum over all. Owns encoding
//! and decoding; must never trust a length that it has read, and must never do I/O.
//!
//! ```text
//!  0 magic "TWLB"   4 version u16   6 zero u16   8 epoch u64   16 generation u64
//! 24 first position u64   32 record count u32   36 body length u32   40 zero u32   44 CRC-32C
//! body: commits, then zeros up to a multiple of 8
//! commit: stream [17]  first sequence u64  record count u32
//! record: event length u32  row count u32  event
//! row:    key length u32  value length u32 (all ones: removed)  key  value
//! ```
//! Integers are little-endian. The checksum covers the log's id (which is not stored in the frame),
//! the header without the checksum, and the body: a frame of another log is never valid here.
//! A frame without records marks the beginning of an epoch, or the end of the log while it rests.

use crc::{CRC_32_ISCSI, Crc, Table};

use super::{COMMIT_BYTES_MAX, Commit, Logged, Position, Record, Row, StreamId};

/// Bytes of a frame's header.
pub(crate) const HEADER_BYTES: usize = 48;
/// Frames begin at multiples of this, so that a search for a later one is quick.
pub(crate) const ALIGNMENT: usize = 8;
/// Longest body: one batch holds at most what one commit may hold.
pub(crate) const BODY_BYTES_MAX: usize = COMMIT_BYTES_MAX;
/// Longest frame.
pub(crate) const FRAME_BYTES_MAX: usize = HEADER_BYTES + BODY_BYTES_MAX + ALIGNMENT;

const MAGIC: [u8; 4] = *b"TWLB";
const VERSION: u16 = 1;
const REMOVED: u32 = u32::MAX;

// CRC-32C (Castagnoli), RFC 3720 §12.1.
pub(crate) static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// Identifies one log for ever, also in restored copies: the id of its first incarnation.
pub(crate) type LogId = [u8; 16];

/// What a frame says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Raised by one at each start of the store.
    pub(crate) epoch: u64,
    /// The segment that the frame was written into.
    pub(crate) generation: u64,
    /// Position of the first record, or of the next one when there are none.
    pub(crate) first_position: u64,
    /// Records in the body; 0 marks the beginning of an epoch, or the end of a resting log.
    pub(crate) record_count: u32,
    body_length: u32,
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// Not even a header, or not enough bytes after it.
    #[error("frame is incomplete")]
    Incomplete,
    /// The header is not one of this version.
    #[error("no frame header")]
    NoHeader,
    /// The checksum does not match.
    #[error("checksum of frame does not match")]
    Checksum,
    /// The checksum matches but the body does not follow the format.
    #[error("frame body is malformed")]
    Malformed,
}

impl Header {
    /// A header that stands for none.
    pub(crate) const EMPTY: Self = Self {
        epoch: 0,
        generation: 0,
        first_position: 0,
        record_count: 0,
        body_length: 0,
    };

    /// Reads a header; says nothing about the checksum.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, FrameError> {
        let mut input = Input(bytes.get(..HEADER_BYTES).ok_or(FrameError::Incomplete)?);
        let known = input.take(4)? == MAGIC && input.u16()? == VERSION && input.u16()? == 0;
        if !known {
            return Err(FrameError::NoHeader);
        }
        let header = Self {
            epoch: input.u64()?,
            generation: input.u64()?,
            first_position: input.u64()?,
            record_count: input.u32()?,
            body_length: input.u32()?,
        };
        let bounded = header.body() <= BODY_BYTES_MAX + ALIGNMENT
            && header.body().is_multiple_of(ALIGNMENT)
            && header
                .first_position
                .checked_add(u64::from(header.record_count))
                .is_some();
        if !bounded || input.u32()? != 0 {
            return Err(FrameError::NoHeader);
        }
        Ok(header)
    }

    fn body(&self) -> usize {
        usize::try_from(self.body_length).unwrap_or(usize::MAX)
    }

    /// Bytes of the whole frame.
    pub(crate) fn frame_length(&self) -> usize {
        HEADER_BYTES.saturating_add(self.body())
    }

    /// The position of the first record after the frame.
    pub(crate) fn next_position(&self) -> u64 {
        self.first_position
            .saturating_add(u64::from(self.record_count))
    }
}

/// A frame whose checksum matched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    /// What it says about itself.
    pub(crate) header: Header,
    body: &'a [u8],
}

/// Decodes the frame at the beginning of `bytes`.
pub(crate) fn decode(log: LogId, bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
    let header = Header::read(bytes)?;
    let frame = bytes
        .get(..header.frame_length())
        .ok_or(FrameError::Incomplete)?;
    let (head, body) = frame
        .split_at_checked(HEADER_BYTES)
        .ok_or(FrameError::Incomplete)?;
    let (covered, stored) = head
        .split_at_checked(HEADER_BYTES - 4)
        .ok_or(FrameError::Incomplete)?;
    if checksum(log, covered, body).to_le_bytes() != stored {
        return Err(FrameError::Checksum);
    }
    Ok(Frame { header, body })
}

fn checksum(log: LogId, head: &[u8], body: &[u8]) -> u32 {
    let mut digest = CRC.digest();
    digest.update(&log);
    digest.update(head);
    digest.update(body);
    digest.finalize()
}

/// A record inside a frame.
#[derive(Debug)]
pub(crate) struct RecordView<'a> {
    pub(crate) position: u64,
    pub(crate) stream: StreamId,
    pub(crate) seq: u64,
    pub(crate) event: &'a [u8],
    pub(crate) rows: Vec<RowView<'a>>,
}

/// A row inside a frame: the key, and the value unless the row is removed.
pub(crate) type RowView<'a> = (&'a [u8], Option<&'a [u8]>);

impl RecordView<'_> {
    /// The record as followers get it.
    pub(crate) fn logged(&self) -> Logged {
        let row = |(key, value): &RowView<'_>| Row {
            key: key.to_vec(),
            value: value.map(<[u8]>::to_vec),
        };
        Logged {
            position: Position(self.position),
            stream: self.stream,
            seq: self.seq,
            record: Record {
                event: self.event.to_vec(),
                rows: self.rows.iter().map(row).collect(),
            },
        }
    }
}

impl<'a> Frame<'a> {
    /// Reads the records in order; stops at the first that does not follow the format.
    ///
    /// # Errors
    /// [`FrameError::Malformed`], and whatever `each` returns.
    pub(crate) fn for_each<E: From<FrameError>>(
        &self,
        mut each: impl FnMut(RecordView<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut input = Input(self.body);
        let mut position = self.header.first_position;
        while position < self.header.next_position() {
            let (stream, first_seq, count) = input.commit()?;
            for place in 0..u64::from(count) {
                let (event, rows) = input.record()?;
                let seq = first_seq.checked_add(place).ok_or(FrameError::Malformed)?;
                each(RecordView {
                    position,
                    stream,
                    seq,
                    event,
                    rows,
                })?;
                position = position.checked_add(1).ok_or(FrameError::Malformed)?;
            }
        }
        let padded = input.0.len() < ALIGNMENT && input.0.iter().all(|byte| *byte == 0);
        if position != self.header.next_position() || !padded {
            return Err(FrameError::Malformed.into());
        }
        Ok(())
    }
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], FrameError> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(FrameError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(FrameError::Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u16(&mut self) -> Result<u16, FrameError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, FrameError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, FrameError> {
        self.array().map(u64::from_le_bytes)
    }

    fn length(&mut self) -> Result<usize, FrameError> {
        usize::try_from(self.u32()?).map_err(|_| FrameError::Malformed)
    }

    fn commit(&mut self) -> Result<(StreamId, u64, u32), FrameError> {
        let (stream, first_seq, count) = (self.array()?, self.u64()?, self.u32()?);
        // A commit without records would let the caller's loop run without end.
        if count == 0 {
            Err(FrameError::Malformed)
        } else {
            Ok((StreamId(stream), first_seq, count))
        }
    }

    fn record(&mut self) -> Result<(&'a [u8], Vec<RowView<'a>>), FrameError> {
        let event_length = self.length()?;
        let row_count = self.u32()?;
        let event = self.take(event_length)?;
        // Grows with the rows that are there, not with the count that is claimed.
        let mut rows = Vec::new();
        for _ in 0..row_count {
            let key_length = self.length()?;
            let value_length = self.u32()?;
            let key = self.take(key_length)?;
            let value = match value_length {
                REMOVED => None,
                length => {
                    Some(self.take(usize::try_from(length).map_err(|_| FrameError::Malformed)?)?)
                }
            };
            rows.push((key, value));
        }
        Ok((event, rows))
    }
}

/// Encodes batches into one buffer that is used again for each.
#[derive(Debug)]
pub(crate) struct FrameWriter {
    buffer: Vec<u8>,
    record_count: u32,
}

impl FrameWriter {
    /// An empty batch.
    pub(crate) fn new() -> Self {
        Self {
            buffer: vec![0; HEADER_BYTES],
            record_count: 0,
        }
    }

    /// Forgets the batch, keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.buffer.truncate(HEADER_BYTES);
        self.record_count = 0;
    }

    /// Records in the batch so far.
    pub(crate) fn record_count(&self) -> u32 {
        self.record_count
    }

    /// Bytes of the frame if a commit of `commit_bytes` were added.
    pub(crate) fn frame_length_with(&self, commit_bytes: usize) -> usize {
        (self.buffer.len() + commit_bytes).next_multiple_of(ALIGNMENT)
    }

    /// Bytes of the body so far.
    pub(crate) fn body_length(&self) -> usize {
        self.buffer.len() - HEADER_BYTES
    }

    /// Adds a commit whose first record gets `first_seq`. The caller has held its length against
    /// the limit, which is far below what the length fields can say.
    pub(crate) fn push(&mut self, commit: &Commit, first_seq: u64) {
        self.buffer.extend_from_slice(&commit.stream.0);
        self.buffer.extend_from_slice(&first_seq.to_le_bytes());
        self.put_length(commit.records.len());
        for record in &commit.records {
            self.put_length(record.event.len());
            self.put_length(record.rows.len());
            self.buffer.extend_from_slice(&record.event);
            for row in &record.rows {
                self.put_length(row.key.len());
                match &row.value {
                    Some(value) => self.put_length(value.len()),
                    None => self.buffer.extend_from_slice(&REMOVED.to_le_bytes()),
                }
                self.buffer.extend_from_slice(&row.key);
                self.buffer
                    .extend_from_slice(row.value.as_deref().unwrap_or_default());
            }
        }
        self.record_count += length_field(commit.records.len());
    }

    fn put_length(&mut self, length: usize) {
        self.buffer
            .extend_from_slice(&length_field(length).to_le_bytes());
    }

    /// Completes the frame; the batch stays until [`FrameWriter::clear`].
    pub(crate) fn finish(
        &mut self,
        log: LogId,
        epoch: u64,
        generation: u64,
        first_position: u64,
    ) -> &[u8] {
        self.buffer
            .resize(self.buffer.len().next_multiple_of(ALIGNMENT), 0);
        let (head, body) = self.buffer.split_at_mut(HEADER_BYTES);
        let mut fields = Vec::with_capacity(HEADER_BYTES);
        fields.extend_from_slice(&MAGIC);
        fields.extend_from_slice(&VERSION.to_le_bytes());
        fields.extend_from_slice(&[0; 2]);
        fields.extend_from_slice(&epoch.to_le_bytes());
        fields.extend_from_slice(&generation.to_le_bytes());
        fields.extend_from_slice(&first_position.to_le_bytes());
        fields.extend_from_slice(&self.record_count.to_le_bytes());
        fields.extend_from_slice(&length_field(body.len()).to_le_bytes());
        fields.extend_from_slice(&[0; 4]);
        let crc = checksum(log, &fields, body);
        fields.extend_from_slice(&crc.to_le_bytes());
        head.copy_from_slice(&fields);
        &self.buffer
    }
}

fn length_field(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Looks for a frame of `generation` and of `epoch` or a later one that begins anywhere in `bytes`,
/// and returns its offset. The log's id in the checksum keeps copies of frames inside payloads of
/// other logs from being found.
pub(crate) fn find(log: LogId, bytes: &[u8], epoch: u64, generation: u64) -> Option<usize> {
    (0..bytes.len()).step_by(ALIGNMENT).find(|offset| {
        let rest = bytes.get(*offset..).unwrap_or_default();
        // The checksum last: bytes that only look like frames must not cost one each.
        Header::read(rest).is_ok_and(|header| {
            header.generation == generation && header.epoch >= epoch && decode(log, rest).is_ok()
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::{Urgency, encoded_length};

    const LOG: LogId = [9; 16];

    fn commits() -> impl Strategy<Value = Vec<Commit>> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..20);
        let row = (bytes(), prop::option::of(bytes())).prop_map(|(key, value)| Row { key, value });
        let record = (bytes(), prop::collection::vec(row, 0..4))
            .prop_map(|(event, rows)| Record { event, rows });
        let commit = (
            any::<[u8; 17]>(),
            0..u64::MAX / 2,
            prop::collection::vec(record, 1..4),
        )
            .prop_map(|(stream, expected_seq, records)| Commit {
                stream: StreamId(stream),
                expected_seq,
                records,
                urgency: Urgency::New,
            });
        prop::collection::vec(commit, 0..5)
    }

    fn encode(commits: &[Commit]) -> Vec<u8> {
        let mut writer = FrameWriter::new();
        for commit in commits {
            let expected = writer.body_length() + encoded_length(commit);
            writer.push(commit, commit.expected_seq + 1);
            assert_eq!(
                writer.body_length(),
                expected,
                "encoded_length differs from the encoding"
            );
        }
        writer.finish(LOG, 3, 4, 5).to_vec()
    }

    fn read(frame: &Frame<'_>) -> Result<Vec<Logged>, FrameError> {
        let mut records = Vec::new();
        frame.for_each::<FrameError>(|record| {
            records.push(record.logged());
            Ok(())
        })?;
        Ok(records)
    }

    proptest! {
        #[test]
        fn batches_survive_the_round_trip(commits in commits()) {
            let bytes = encode(&commits);
            let frame = decode(LOG, &bytes).unwrap();
            prop_assert_eq!((frame.header.epoch, frame.header.generation), (3, 4));
            prop_assert_eq!(frame.header.frame_length(), bytes.len());
            let mut position = 5;
            let mut expected = Vec::new();
            for commit in commits {
                for (record, seq) in commit.records.into_iter().zip(commit.expected_seq + 1..) {
                    let stream = commit.stream;
                    expected.push(Logged { position: Position(position), stream, seq, record });
                    position += 1;
                }
            }
            prop_assert_eq!(read(&frame).unwrap(), expected);
        }

        #[test]
        fn any_flipped_bit_is_detected(commits in commits()) {
            let mut bytes = encode(&commits);
            for bit in 0..bytes.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                prop_assert!(decode(LOG, &bytes).is_err(), "bit {} was not noticed", bit);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(decode(LOG, &bytes).is_err());
            prop_assert_eq!(find(LOG, &bytes, 0, 0), None);
        }

        // Behind a right checksum, as only a bug of ours or a forger could write it.
        #[test]
        fn arbitrary_bodies_never_panic(
            mut body in prop::collection::vec(any::<u8>(), 0..200),
            small in any::<bool>(),
            record_count in any::<u32>(),
        ) {
            if small {
                body.iter_mut().for_each(|byte| *byte %= 3);
            }
            let header = Header {
                epoch: 1,
                generation: 1,
                first_position: 1,
                record_count,
                body_length: u32::try_from(body.len()).unwrap(),
            };
            if let Ok(records) = read(&Frame { header, body: &body }) {
                prop_assert_eq!(u32::try_from(records.len()).unwrap(), record_count);
            }
        }
    }

    #[test]
    fn lengths_beyond_the_limit_are_refused_before_reading_on() {
        let mut bytes = encode(&[]);
        bytes[36..40].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(decode(LOG, &bytes).unwrap_err(), FrameError::NoHeader);
    }

    #[test]
    fn a_frame_of_another_log_is_not_valid() {
        let bytes = encode(&[]);
        assert!(decode(LOG, &bytes).is_ok());
        assert_eq!(decode([8; 16], &bytes).unwrap_err(), FrameError::Checksum);
    }

    #[test]
    fn a_later_frame_is_found_only_in_its_epoch_and_generation() {
        let mut bytes = vec![0xaa; 64];
        bytes.extend(encode(&[]));
        let cases = [
            (3, 4, Some(64)),
            (2, 4, Some(64)),
            (4, 4, None),
            (3, 5, None),
        ];
        for (epoch, generation, expected) in cases {
            assert_eq!(
                find(LOG, &bytes, epoch, generation),
                expected,
                "{epoch} {generation}"
            );
        }
    }
}
