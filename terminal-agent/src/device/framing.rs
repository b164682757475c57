//! Between a device's own packets and the byte stream that the machines speak. Pure.

use std::fmt;

use protocol::reader::hid::{self, HidDecoder, HidError, REPORT_LENGTH};

/// How bytes lie on a port.
pub(super) enum Framing {
    /// As they are.
    Raw,
    /// In HID reports, one a read.
    Reports(HidDecoder),
    /// In HID reports on a stream, which cuts where it likes: a simulated device.
    ReportStream {
        decoder: HidDecoder,
        /// The beginning of a report.
        rest: Vec<u8>,
    },
}

impl Framing {
    /// Bytes for the machine out of what one read gave.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Raw => bytes.to_vec(),
            Self::Reports(decoder) => decoder.decode(bytes).unwrap_or_default(),
            Self::ReportStream { decoder, rest } => {
                rest.extend_from_slice(bytes);
                let reports = rest.chunks_exact(REPORT_LENGTH);
                let left = reports.remainder().to_vec();
                let frames: Vec<_> = reports
                    .filter_map(|report| decoder.decode(report))
                    .collect();
                *rest = left;
                frames.concat()
            }
        }
    }

    /// Whether the rest of a frame is still to come.
    pub(super) fn is_partial(&self) -> bool {
        match self {
            Self::Raw => false,
            Self::Reports(decoder) => decoder.is_partial(),
            Self::ReportStream { decoder, rest } => decoder.is_partial() || !rest.is_empty(),
        }
    }

    /// Gives up on what does not come.
    pub(super) fn abandon(&mut self) {
        match self {
            Self::Raw => {}
            Self::Reports(decoder) => decoder.abandon_partial(),
            Self::ReportStream { decoder, rest } => {
                decoder.abandon_partial();
                rest.clear();
            }
        }
    }
}

/// What is to be written, piece by piece, for one frame to a HID device.
pub(super) fn reports(frame: &[u8]) -> Result<Vec<Vec<u8>>, HidError> {
    let reports = hid::encode(frame)?;
    Ok(reports.into_iter().map(Vec::from).collect())
}

/// Frames are card data.
impl fmt::Debug for Framing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Raw => "Raw",
            Self::Reports(_) => "Reports",
            Self::ReportStream { .. } => "ReportStream",
        })
    }
}

#[cfg(test)]
mod tests {
    use protocol::reader::frame::Response;

    use super::*;

    fn stream() -> Framing {
        Framing::ReportStream {
            decoder: HidDecoder::default(),
            rest: Vec::new(),
        }
    }

    #[test]
    fn raw_bytes_stay_as_they_are() {
        let mut raw = Framing::Raw;
        assert_eq!(raw.hear(b"\x01\x00"), b"\x01\x00");
        assert!(!raw.is_partial());
    }

    #[test]
    fn frames_come_out_of_reports_however_a_stream_cuts_them() {
        let long = Response::new(2, 0, vec![7; 150]).unwrap().encode();
        let short = Response::bare(0x18, 0).encode();
        let frames = [long.clone(), short.clone(), long].concat();
        let reports: Vec<_> = [&frames[..166], &short, &frames[182..]]
            .into_iter()
            .flat_map(|frame| reports(frame).unwrap())
            .collect();
        assert!(reports.iter().all(|report| report.len() == 64));
        let mut node = Framing::Reports(HidDecoder::default());
        let one_a_read: Vec<_> = reports.iter().map(|report| node.hear(report)).collect();
        assert_eq!(one_a_read.concat(), frames);
        let bytes = reports.concat();
        for cut in [1, 63, 64, 65, 200, bytes.len()] {
            let mut receiver = stream();
            let heard: Vec<_> = bytes.chunks(cut).map(|part| receiver.hear(part)).collect();
            assert_eq!(heard.concat(), frames, "cut into {cut}");
            assert!(!receiver.is_partial());
        }
    }

    #[test]
    fn a_frame_that_does_not_end_is_given_up() {
        let long = Response::new(2, 0, vec![7; 150]).unwrap().encode();
        let reports = reports(&long).unwrap();
        for mut framing in [stream(), Framing::Reports(HidDecoder::default())] {
            assert_eq!(framing.hear(&reports[0]), b"");
            assert!(framing.is_partial());
            framing.abandon();
            assert!(!framing.is_partial());
            let again: Vec<_> = reports.iter().map(|report| framing.hear(report)).collect();
            assert_eq!(again.concat(), long);
        }
        assert!(super::reports(&[0; 1_501]).is_err());
    }
}
