//! USB-HID reports: frames of either direction cut into pieces of 64 bytes, and put together again.
//!
//! Owns segmentation only. It never checks the CRC (the decoders of [`super::frame`] do), and its
//! `Debug` output never shows what it holds: a frame from the reader is card data.
//!
//! ```text
//! id | 63 bytes of the frame, zero padded        (card-reader.md §1)
//! 01   a whole frame of up to 63 bytes
//! 02   the first 63 bytes of a longer one
//! 03   the next 63 bytes
//! 04   the rest
//! ```

use std::fmt;

use super::frame::HEADER;

/// Bytes of every report, its id included.
pub const REPORT_LENGTH: usize = 64;

/// The longest frame over HID: the vendor's largest command or response.
pub const FRAME_LENGTH_MAX: usize = 1500;

const PAYLOAD_LENGTH: usize = REPORT_LENGTH - 1;
/// What the reports of the longest frame hold, padding included.
const HELD_MAX: usize = FRAME_LENGTH_MAX.next_multiple_of(PAYLOAD_LENGTH);

/// Header, two code bytes, two length bytes.
const PREFIX_LENGTH: usize = HEADER.len() + 4;
const CRC_LENGTH: usize = 2;

const WHOLE: u8 = 0x01;
const FIRST: u8 = 0x02;
const MIDDLE: u8 = 0x03;
const LAST: u8 = 0x04;

/// Why a frame cannot be sent over HID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HidError {
    /// The vendor's limit for HID.
    #[error("frame of {length} bytes is longer than the {FRAME_LENGTH_MAX} that fit over usb-hid")]
    TooLong {
        /// Bytes of the frame.
        length: usize,
    },
}

/// Cuts an encoded frame into reports.
///
/// # Errors
/// [`HidError::TooLong`] when the frame is longer than [`FRAME_LENGTH_MAX`].
pub fn encode(frame: &[u8]) -> Result<Vec<[u8; REPORT_LENGTH]>, HidError> {
    let length = frame.len();
    if length > FRAME_LENGTH_MAX {
        return Err(HidError::TooLong { length });
    }
    let pieces = frame.chunks(PAYLOAD_LENGTH);
    let count = pieces.len();
    let reports = pieces.enumerate().map(|(place, piece)| {
        let id = match (place, count) {
            (0, 1) => WHOLE,
            (0, _) => FIRST,
            (place, count) if place + 1 == count => LAST,
            _ => MIDDLE,
        };
        let mut report = [0; REPORT_LENGTH];
        let bytes = std::iter::once(&id).chain(piece);
        report
            .iter_mut()
            .zip(bytes)
            .for_each(|(target, source)| *target = *source);
        report
    });
    Ok(reports.collect())
}

/// Puts frames together from reports, at either end.
#[derive(Default)]
pub struct HidDecoder {
    /// Bytes since the last report 02; `None` when none is open.
    open: Option<Vec<u8>>,
    dropped_reports: u64,
}

impl HidDecoder {
    /// Takes one report in, its id first, and gives the frame that it completes, without padding.
    ///
    /// Other ids, pieces without a beginning, and frames whose own length does not fit what came
    /// are dropped. A report of fewer bytes counts as zero padded, one of more is dropped.
    pub fn decode(&mut self, report: &[u8]) -> Option<Vec<u8>> {
        let payload = match report {
            [_, payload @ ..] if payload.len() <= PAYLOAD_LENGTH => payload,
            _ => return self.drop_report(),
        };
        let mut padded = [0; PAYLOAD_LENGTH];
        padded
            .iter_mut()
            .zip(payload)
            .for_each(|(target, source)| *target = *source);
        match report.first() {
            Some(&WHOLE) => {
                self.abandon_partial();
                self.complete(&padded)
            }
            Some(&FIRST) => {
                self.abandon_partial();
                let mut held = Vec::with_capacity(HELD_MAX);
                held.extend_from_slice(&padded);
                self.open = Some(held);
                None
            }
            Some(&MIDDLE) => {
                let held = self.take_open(&padded)?;
                self.open = Some(held);
                None
            }
            Some(&LAST) => {
                let held = self.take_open(&padded)?;
                self.complete(&held)
            }
            _ => self.drop_report(),
        }
    }

    /// Whether a frame has begun whose remaining reports have not come.
    pub fn is_partial(&self) -> bool {
        self.open.is_some()
    }

    /// Gives up on a frame whose remaining reports do not come, and forgets it.
    ///
    /// To be called when the device was opened anew, or has been silent for longer than the gap
    /// within a frame.
    pub fn abandon_partial(&mut self) {
        if self.open.take().is_some() {
            self.drop_report::<()>();
        }
    }

    /// Reports dropped so far, beginnings that were given up included.
    pub fn dropped_reports(&self) -> u64 {
        self.dropped_reports
    }

    /// The open frame with this piece added.
    fn take_open(&mut self, piece: &[u8]) -> Option<Vec<u8>> {
        let Some(mut held) = self.open.take() else {
            return self.drop_report();
        };
        if held.len() + piece.len() > HELD_MAX {
            return self.drop_report();
        }
        held.extend_from_slice(piece);
        Some(held)
    }

    /// The frame at the front of `held`: its own length tells where the padding starts.
    fn complete(&mut self, held: &[u8]) -> Option<Vec<u8>> {
        let frame = frame_length(held)
            .filter(|length| *length <= FRAME_LENGTH_MAX)
            .and_then(|length| held.get(..length));
        match frame {
            Some(frame) => Some(frame.to_vec()),
            None => self.drop_report(),
        }
    }

    fn drop_report<T>(&mut self) -> Option<T> {
        self.dropped_reports = self.dropped_reports.saturating_add(1);
        None
    }
}

impl fmt::Debug for HidDecoder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.open.as_ref().map_or(0, Vec::len);
        write!(formatter, "HidDecoder({held} bytes held)")
    }
}

/// The length of the frame that begins here, by its own length field.
fn frame_length(held: &[u8]) -> Option<usize> {
    let prefix = held.first_chunk::<PREFIX_LENGTH>()?;
    let [.., high, low] = *prefix;
    let data_length = usize::from(u16::from_be_bytes([high, low]));
    prefix
        .starts_with(&HEADER)
        .then_some(PREFIX_LENGTH + data_length + CRC_LENGTH)
}

#[cfg(test)]
mod tests {
    use super::super::frame::{Command, Response};
    use super::*;
    use proptest::prelude::*;

    fn vectors() -> serde_json::Value {
        serde_json::from_str(include_str!("../../vectors/idtech_neo2.json")).unwrap()
    }

    fn decode_all<'a>(reports: impl IntoIterator<Item = &'a [u8; 64]>) -> Vec<Vec<u8>> {
        let mut decoder = HidDecoder::default();
        let frames = reports
            .into_iter()
            .filter_map(|report| decoder.decode(report));
        frames.collect()
    }

    #[test]
    fn the_documented_reports_are_made_and_read() {
        let vectors = vectors();
        let cases = vectors["hid"].as_array().unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let expected: Vec<[u8; 64]> = case["reports"]
                .as_array()
                .unwrap()
                .iter()
                .map(|report| hex::decode(report.as_str().unwrap()).unwrap())
                .map(|report| report.try_into().unwrap())
                .collect();
            assert_eq!(case["frame"], "ping command");
            let ping = Command::new(0x18, 0x01, vec![]).unwrap().encode();
            assert_eq!(encode(&ping).unwrap(), expected);
            assert_eq!(decode_all(&expected), [ping]);
        }
    }

    #[test]
    fn every_frame_of_the_vectors_survives() {
        let vectors = vectors();
        let mut lengths = std::collections::BTreeSet::new();
        for frame in vectors["frames"].as_array().unwrap() {
            let frame = hex::decode(frame["hex"].as_str().unwrap()).unwrap();
            lengths.insert(encode(&frame).unwrap().len());
            assert_eq!(decode_all(&encode(&frame).unwrap()), [frame]);
        }
        assert!(
            lengths.contains(&1) && lengths.iter().any(|count| *count > 2),
            "{lengths:?}"
        );
    }

    /// The boundaries of the segmentation: frame length, report ids.
    #[test]
    fn ids_and_padding_follow_the_length() {
        for (length, ids) in [
            (16, vec![1]),
            (63, vec![1]),
            (64, vec![2, 4]),
            (126, vec![2, 4]),
            (127, vec![2, 3, 4]),
            (189, vec![2, 3, 4]),
        ] {
            let frame = Response::new(2, 0, vec![0xFF; length - 16])
                .unwrap()
                .encode();
            assert_eq!(frame.len(), length);
            let reports = encode(&frame).unwrap();
            let found: Vec<u8> = reports.iter().map(|report| report[0]).collect();
            assert_eq!(found, ids, "{length}");
            let padding = reports.len() * 63 - length;
            let last = reports.last().unwrap();
            assert!(last[64 - padding..].iter().all(|byte| *byte == 0));
        }
        let longest = Response::new(2, 0, vec![1; 1484]).unwrap().encode();
        assert_eq!(encode(&longest).unwrap().len(), 24);
        assert_eq!(decode_all(&encode(&longest).unwrap()), [longest]);
        let longer = Response::new(2, 0, vec![1; 1485]).unwrap().encode();
        assert_eq!(encode(&longer), Err(HidError::TooLong { length: 1501 }));
        assert_eq!(encode(&[]).unwrap(), [[0; 64]; 0]);
    }

    #[test]
    fn what_does_not_belong_is_dropped_and_what_follows_is_read() {
        let long = Response::new(2, 0, vec![7; 150]).unwrap().encode();
        let [first, middle, last] = encode(&long).unwrap().try_into().unwrap();
        let ping = Response::bare(0x18, 0).encode();
        let [whole] = encode(&ping).unwrap().try_into().unwrap();
        let mut other = whole;
        other[0] = 5;
        let mut headless = whole;
        headless[1] = b'X';
        let mut overlong = whole;
        overlong[13..15].copy_from_slice(&[0xFF, 0xFF]);
        type Case<'a> = (&'a str, Vec<[u8; 64]>, Vec<&'a [u8]>, u64);
        let cases: Vec<Case<'_>> = vec![
            ("in order", vec![first, middle, last], vec![&long], 0),
            (
                "pieces without a beginning",
                vec![middle, last, whole],
                vec![&ping],
                2,
            ),
            (
                "another id between",
                vec![first, other, middle, last],
                vec![&long],
                1,
            ),
            (
                "begun anew",
                vec![first, first, middle, last],
                vec![&long],
                1,
            ),
            (
                "a whole frame between",
                vec![first, whole, middle, last],
                vec![&ping],
                3,
            ),
            (
                "a piece is missing",
                vec![first, last, whole],
                vec![&ping],
                1,
            ),
            ("no header", vec![headless, whole], vec![&ping], 1),
            (
                "longer than what came",
                vec![overlong, whole],
                vec![&ping],
                1,
            ),
        ];
        for (name, reports, frames, dropped) in cases {
            let mut decoder = HidDecoder::default();
            let found: Vec<_> = reports
                .iter()
                .filter_map(|report| decoder.decode(report))
                .collect();
            assert_eq!(found, frames, "{name}");
            assert_eq!(decoder.dropped_reports(), dropped, "{name}");
            assert!(!decoder.is_partial(), "{name}");
        }
    }

    #[test]
    fn an_endless_frame_is_given_up() {
        let frame = Response::new(2, 0, vec![7; 150]).unwrap().encode();
        let [first, middle, last] = encode(&frame).unwrap().try_into().unwrap();
        let mut decoder = HidDecoder::default();
        assert_eq!(decoder.decode(&first), None);
        for _ in 0..100 {
            assert_eq!(decoder.decode(&middle), None);
        }
        assert!(!decoder.is_partial());
        assert_eq!(decoder.decode(&last), None);
    }

    #[test]
    fn debug_output_shows_no_data() {
        let frame = Response::new(2, 0, vec![0x47; 150]).unwrap().encode();
        let mut decoder = HidDecoder::default();
        assert_eq!(decoder.decode(&encode(&frame).unwrap()[0]), None);
        assert_eq!(format!("{decoder:?}"), "HidDecoder(63 bytes held)");
    }

    proptest! {
        #[test]
        fn every_frame_that_fits_round_trips(
            cmd: u8, status: u8, data in prop::collection::vec(any::<u8>(), 0..=1484)
        ) {
            let frame = Response::new(cmd, status, data).unwrap().encode();
            let reports = encode(&frame).unwrap();
            prop_assert!(reports.iter().all(|report| (1..=4).contains(&report[0])));
            prop_assert_eq!(decode_all(&reports), vec![frame]);
        }

        #[test]
        fn arbitrary_reports_never_panic_and_never_pile_up(
            reports in prop::collection::vec(
                (0u8..6, prop::collection::vec(any::<u8>(), 0..70)), 0..60
            )
        ) {
            let mut decoder = HidDecoder::default();
            for (id, payload) in reports {
                let report: Vec<u8> = std::iter::once(id).chain(payload).collect();
                let frame = decoder.decode(&report);
                prop_assert!(frame.is_none_or(|frame| frame.len() <= FRAME_LENGTH_MAX));
                prop_assert!(decoder.open.as_ref().is_none_or(|held| held.len() <= HELD_MAX));
            }
            decoder.decode(&[]);
            decoder.abandon_partial();
            prop_assert!(!decoder.is_partial());
        }
    }
}
