//! Finds frames among arbitrary bytes.
//!
//! Owns what was received and is not a frame yet: never more than one frame of it.

use std::fmt;

use super::{CRC, CRC_LENGTH, DATA_LENGTH_MAX, FRAME_LENGTH_MAX, HEADER, PREFIX_LENGTH};

pub(super) struct Found<'a> {
    pub(super) cmd: u8,
    pub(super) code: u8,
    pub(super) data: &'a [u8],
    pub(super) crc_matches: bool,
}

/// The receiver rule of both ends: find the header, bound the length, check the CRC, and on any
/// mismatch drop one byte and search again.
#[derive(Default)]
pub(super) struct Scanner {
    /// Starts with a header or a part of one; never longer than one frame.
    pub(super) pending: Vec<u8>,
    pub(super) dropped_bytes: u64,
}

/// Whether the trailer of a frame is this CRC.
pub(super) type CrcRule = fn([u8; 2], u16) -> bool;

/// Reader to host.
pub(super) fn is_high_first(trailer: [u8; 2], crc: u16) -> bool {
    u16::from_be_bytes(trailer) == crc
}

/// Host to reader.
pub(super) fn is_low_first(trailer: [u8; 2], crc: u16) -> bool {
    u16::from_le_bytes(trailer) == crc
}

pub(super) fn is_either(trailer: [u8; 2], crc: u16) -> bool {
    is_low_first(trailer, crc) || is_high_first(trailer, crc)
}

impl Scanner {
    pub(super) fn scan(
        &mut self,
        mut bytes: &[u8],
        rule: CrcRule,
        mut emit: impl FnMut(Found<'_>),
    ) {
        while !bytes.is_empty() {
            let room = FRAME_LENGTH_MAX.saturating_sub(self.pending.len()).max(1);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.pending.extend_from_slice(now);
            self.drain(rule, &mut emit);
            bytes = later;
        }
    }

    pub(super) fn abandon_partial(&mut self, rule: CrcRule, mut emit: impl FnMut(Found<'_>)) {
        while !self.pending.is_empty() {
            self.drop_front(1);
            self.drain(rule, &mut emit);
        }
    }

    fn drain(&mut self, rule: CrcRule, emit: &mut impl FnMut(Found<'_>)) {
        loop {
            self.drop_front(noise_length(&self.pending));
            let Some(prefix) = self.pending.first_chunk::<PREFIX_LENGTH>() else {
                return;
            };
            let [.., cmd, code, length_high, length_low] = *prefix;
            let length = usize::from(u16::from_be_bytes([length_high, length_low]));
            if length > DATA_LENGTH_MAX {
                self.drop_front(1);
                continue;
            }
            let signed = PREFIX_LENGTH + length;
            let Some((covered, rest)) = self.pending.split_at_checked(signed) else {
                return;
            };
            let Some(&trailer) = rest.first_chunk::<CRC_LENGTH>() else {
                return;
            };
            let crc_matches = rule(trailer, CRC.checksum(covered));
            emit(Found {
                cmd,
                code,
                data: covered.get(PREFIX_LENGTH..).unwrap_or_default(),
                crc_matches,
            });
            if crc_matches {
                self.pending.drain(..signed + CRC_LENGTH);
            } else {
                self.drop_front(1);
            }
        }
    }

    fn drop_front(&mut self, count: usize) {
        self.pending.drain(..count.min(self.pending.len()));
        self.dropped_bytes = self
            .dropped_bytes
            .saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
    }
}

impl fmt::Debug for Scanner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Scanner({} bytes pending)", self.pending.len())
    }
}

/// Bytes at the front that cannot begin a frame.
fn noise_length(bytes: &[u8]) -> usize {
    (0..bytes.len())
        .find(|&start| {
            let tail = bytes.get(start..).unwrap_or_default();
            tail.starts_with(&HEADER) || HEADER.starts_with(tail)
        })
        .unwrap_or(bytes.len())
}
