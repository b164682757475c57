//! A device behind USB-HID reports: its pseudo-terminal carries reports of 64 bytes, as the
//! system's `hidraw` does one at a time.

use protocol::reader::hid::{self, HidDecoder, REPORT_LENGTH};
use serde_json::Value;

use super::{ControlError, ControlRequest, Device};

/// Puts reports around what a device hears and says.
pub struct HidDevice {
    device: Box<dyn Device>,
    decoder: HidDecoder,
    /// The beginning of a report.
    rest: Vec<u8>,
}

impl HidDevice {
    /// `device`, which hears and says whole frames, behind reports.
    pub fn new(device: Box<dyn Device>) -> Self {
        Self {
            device,
            decoder: HidDecoder::default(),
            rest: Vec::new(),
        }
    }
}

/// A device that breaks off or says noise sends what fits: HID hosts see whole reports only.
fn reports(answers: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let encode = |answer: Vec<u8>| match hid::encode(&answer) {
        Ok(reports) => reports.concat(),
        Err(error) => {
            tracing::error!(%error, "the device says more than HID carries");
            Vec::new()
        }
    };
    answers.into_iter().map(encode).collect()
}

impl Device for HidDevice {
    fn hear(&mut self, now_ms: u64, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.rest.extend_from_slice(bytes);
        let whole = self.rest.len() - self.rest.len() % REPORT_LENGTH;
        let heard: Vec<u8> = self.rest.drain(..whole).collect();
        let frames = heard.chunks(REPORT_LENGTH);
        let frames: Vec<_> = frames.filter_map(|it| self.decoder.decode(it)).collect();
        let answers = frames.iter().flat_map(|it| self.device.hear(now_ms, it));
        reports(answers.collect())
    }

    fn tick(&mut self, now_ms: u64) -> Vec<Vec<u8>> {
        reports(self.device.tick(now_ms))
    }

    fn poll_deadline(&self) -> Option<u64> {
        self.device.poll_deadline()
    }

    fn control(
        &mut self,
        now_ms: u64,
        request: &ControlRequest,
    ) -> Result<Vec<Vec<u8>>, ControlError> {
        self.device.control(now_ms, request).map(reports)
    }

    fn phase(&self) -> &'static str {
        self.device.phase()
    }

    fn status(&self) -> Value {
        self.device.status()
    }
}

#[cfg(test)]
mod tests {
    use protocol::reader::command;
    use protocol::reader::frame::Response;

    use super::*;
    use crate::device::ReaderDevice;
    use crate::reader::{Reader, ReaderConfig, Timing};

    #[test]
    fn a_reader_is_asked_and_answers_in_reports() {
        let mut config = ReaderConfig::demo();
        config.timing = Timing::INSTANT;
        let reader = Reader::new(config, 0);
        let mut device = HidDevice::new(Box::new(ReaderDevice::new(reader, None)));
        device.tick(10_000);
        let ping = hid::encode(&command::ping().encode()).unwrap().concat();
        let (first, second) = ping.split_at(20);
        assert!(device.hear(10_000, first).is_empty());
        let mut said = device.hear(10_000, second);
        said.extend(device.tick(20_000));
        let said = said.concat();
        let mut decoder = HidDecoder::default();
        let frames: Vec<_> = said
            .chunks(64)
            .filter_map(|it| decoder.decode(it))
            .collect();
        assert!(
            frames.contains(&Response::bare(0x18, 0).encode()),
            "{frames:02x?}"
        );
    }
}
