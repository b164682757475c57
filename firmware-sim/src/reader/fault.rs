//! What can go wrong on the way to the host, and the queue of bytes on that way.
//!
//! Owns the damage to frames that are otherwise right. It never changes what the reader thinks.

use std::collections::BTreeMap;

use protocol::reader::command;
use protocol::reader::frame::Response;

/// A switchable fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The CRC is wrong.
    WrongCrc,
    /// The second half of the frame is missing.
    Truncated,
    /// Bytes that belong to nothing come before the frame, among them the beginning of a header.
    Noise,
    /// Bytes inside the frame are others.
    Garbled,
    /// The frame comes twice.
    Duplicate,
    /// The frame comes three seconds late, after the host's first-byte timer.
    Late,
    /// Nothing is sent.
    Mute,
    /// A user interface event comes before the frame.
    EventFirst,
    /// The frame comes byte by byte with gaps.
    Slow,
    /// The frame is replaced by one with status 0B, not allowed.
    Refused,
    /// The reader loses power for a moment; takes effect at once.
    Reset,
    /// The reader loses power in the middle of the frame.
    ResetMidway,
    /// The cable is pulled in the middle of the frame, and comes back some seconds later; the
    /// reader itself goes on.
    Vanish,
}

/// Which frames a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The next frame.
    Next,
    /// The next final response of a transaction.
    NextFinal,
    /// A final response after so many others: a chip's transaction has three.
    FinalAfter(u8),
    /// Every frame until the faults are cleared.
    Always,
}

/// Longer than the two seconds that a host waits for the first byte.
const LATE_MS: u64 = 3_000;
/// A tenth of the 250 ms that a host allows between bytes.
const SLOW_GAP_MS: u64 = 25;
/// Bounds the list of armed faults; arbitrary.
const ARMED_MAX: usize = 32;

const WORDS: &[(&str, Fault)] = &[
    ("wrong-crc", Fault::WrongCrc),
    ("truncated", Fault::Truncated),
    ("noise", Fault::Noise),
    ("garbled", Fault::Garbled),
    ("duplicate", Fault::Duplicate),
    ("late", Fault::Late),
    ("mute", Fault::Mute),
    ("event-first", Fault::EventFirst),
    ("slow", Fault::Slow),
    ("refused", Fault::Refused),
    ("reset", Fault::Reset),
    ("reset-midway", Fault::ResetMidway),
    ("vanish", Fault::Vanish),
];

impl Fault {
    /// Looks a fault up by its word on the command line.
    pub fn from_word(word: &str) -> Option<Self> {
        let found = WORDS.iter().find(|(candidate, _)| *candidate == word);
        found.map(|(_, fault)| *fault)
    }

    /// Every word on the command line.
    pub fn words() -> impl Iterator<Item = &'static str> {
        WORDS.iter().map(|(word, _)| *word)
    }
}

impl Scope {
    /// Looks a scope up by its word on the command line.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "next" => Some(Self::Next),
            "next-final" => Some(Self::NextFinal),
            "second-final" => Some(Self::FinalAfter(1)),
            "third-final" => Some(Self::FinalAfter(2)),
            "always" => Some(Self::Always),
            _ => None,
        }
    }
}

/// What a frame under way took with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Break {
    /// The reader's power.
    Power,
    /// The cable.
    Cable,
}

/// What is on a line where a plug has a bad contact; ends with the first half of a header.
const NOISE: &[u8] = b"\xFF\x00\x56ViVOtech2\x0060\x7F\xFFViVOt";
/// Every so many bytes one is another when a frame is garbled; arbitrary.
const GARBLED_STEP: usize = 7;

/// Bytes under way to the host.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// The latest break, until somebody looks.
    broken: Option<Break>,
    armed: Vec<(Fault, Scope)>,
    /// By due time, then by order of sending.
    under_way: BTreeMap<(u64, u64), Vec<u8>>,
    sent: u64,
    /// A frame that goes out byte by byte holds the line until then.
    busy_until_ms: u64,
}

impl Line {
    pub(super) fn arm(&mut self, fault: Fault, scope: Scope) {
        if self.armed.len() < ARMED_MAX {
            self.armed.push((fault, scope));
        }
    }

    pub(super) fn clear_faults(&mut self) {
        self.armed.clear();
    }

    /// Forgets what is under way: the power is gone.
    pub(super) fn cut(&mut self) {
        self.under_way.clear();
        self.busy_until_ms = 0;
    }

    /// What the frames sent so far have taken with them.
    pub(super) fn take_break(&mut self) -> Option<Break> {
        self.broken.take()
    }

    /// Forgets what was due by `now_ms`: nobody listened.
    pub(super) fn drop_until(&mut self, now_ms: u64) {
        drop(self.arrived(now_ms));
    }

    /// Sends card data that nobody asked for: not a frame, but with a CRC, high byte first.
    pub(super) fn send_burst(&mut self, now_ms: u64, mut bytes: Vec<u8>) {
        let crc = protocol::reader::frame::crc(&bytes);
        bytes.extend_from_slice(&crc.to_be_bytes());
        self.put(now_ms, bytes);
    }

    pub(super) fn next_due_ms(&self) -> Option<u64> {
        self.under_way.first_key_value().map(|((due, _), _)| *due)
    }

    /// Takes out what has arrived by `now_ms`.
    pub(super) fn arrived(&mut self, now_ms: u64) -> Vec<Vec<u8>> {
        let later = self.under_way.split_off(&(now_ms.saturating_add(1), 0));
        let arrived = std::mem::replace(&mut self.under_way, later);
        arrived.into_values().collect()
    }

    /// Sends a frame through the armed faults. `is_final` marks the end of a transaction.
    pub(super) fn send(&mut self, now_ms: u64, response: &Response, is_final: bool) {
        let faults = self.take_faults(is_final);
        let has = |fault| faults.contains(&fault);
        if has(Fault::Mute) {
            return;
        }
        let due_ms = if has(Fault::Late) {
            now_ms + LATE_MS
        } else {
            now_ms
        };
        let due_ms = due_ms.max(self.busy_until_ms);
        if has(Fault::EventFirst) {
            self.put(due_ms, interface_event().encode());
        }
        let mut bytes = if has(Fault::Refused) {
            Response::bare(response.cmd(), 0x0B).encode()
        } else {
            response.encode()
        };
        if let (true, Some(last)) = (has(Fault::WrongCrc), bytes.last_mut()) {
            *last ^= 0x55;
        }
        if has(Fault::Garbled) {
            for byte in bytes.iter_mut().skip(GARBLED_STEP).step_by(GARBLED_STEP) {
                *byte = byte.wrapping_mul(31).wrapping_add(1);
            }
        }
        if has(Fault::Vanish) {
            self.broken = Some(Break::Cable);
            return;
        }
        if has(Fault::ResetMidway) {
            self.broken = Some(Break::Power);
        }
        if has(Fault::Truncated) || has(Fault::ResetMidway) {
            bytes.truncate(bytes.len() / 2);
        }
        if has(Fault::Noise) {
            bytes.splice(..0, NOISE.iter().copied());
        }
        for _ in 0..if has(Fault::Duplicate) { 2 } else { 1 } {
            if has(Fault::Slow) {
                let mut byte_ms = due_ms.max(self.busy_until_ms);
                for byte in &bytes {
                    self.put(byte_ms, vec![*byte]);
                    byte_ms += SLOW_GAP_MS;
                }
                self.busy_until_ms = byte_ms;
            } else {
                self.put(due_ms, bytes.clone());
            }
        }
    }

    fn take_faults(&mut self, is_final: bool) -> Vec<Fault> {
        let mut faults = Vec::new();
        self.armed.retain_mut(|(fault, scope)| {
            let (hits, remains) = match scope {
                Scope::Next => (true, false),
                Scope::NextFinal | Scope::FinalAfter(0) => (is_final, !is_final),
                Scope::FinalAfter(others) => {
                    *others -= u8::from(is_final);
                    (false, true)
                }
                Scope::Always => (true, true),
            };
            faults.extend(hits.then_some(*fault));
            remains
        });
        faults
    }

    fn put(&mut self, due_ms: u64, bytes: Vec<u8>) {
        self.under_way.insert((due_ms, self.sent), bytes);
        self.sent += 1;
    }
}

/// An event of the reader's display, as the reader sends them by itself.
fn interface_event() -> Response {
    const EVENT: u8 = 0x55;
    const DISPLAY: u8 = 0x03;
    Response::new(command::INTERFACE_EVENT, EVENT, vec![DISPLAY, 0, 0, 0])
        .unwrap_or_else(|_| Response::bare(command::INTERFACE_EVENT, EVENT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::reader::frame::ResponseDecoder;

    fn through(fault: Fault) -> Vec<Vec<u8>> {
        let mut line = Line::default();
        line.arm(fault, Scope::Next);
        line.send(0, &Response::bare(0x18, 0), false);
        assert!(line.armed.is_empty());
        line.arrived(10_000)
    }

    fn decoded(fault: Fault) -> usize {
        let mut decoder = ResponseDecoder::default();
        let parts = through(fault);
        parts.iter().map(|part| decoder.decode(part).len()).sum()
    }

    #[test]
    fn each_fault_does_what_it_says() {
        for (fault, frames) in [
            (Fault::WrongCrc, 0),
            (Fault::Truncated, 0),
            (Fault::Noise, 1),
            (Fault::Garbled, 0),
            (Fault::ResetMidway, 0),
            (Fault::Vanish, 0),
            (Fault::Duplicate, 2),
            (Fault::Late, 1),
            (Fault::Mute, 0),
            (Fault::EventFirst, 2),
            (Fault::Slow, 1),
            (Fault::Refused, 1),
        ] {
            assert_eq!(decoded(fault), frames, "{fault:?}");
        }
        assert_eq!(through(Fault::Slow).len(), 16);
    }

    #[test]
    fn a_slow_frame_is_not_cut_by_the_next() {
        let mut line = Line::default();
        line.arm(Fault::Slow, Scope::Next);
        for cmd in [0x18, 0x29] {
            line.send(0, &Response::bare(cmd, 0), false);
        }
        let mut decoder = ResponseDecoder::default();
        let parts = line.arrived(10_000);
        let frames: Vec<_> = parts.iter().flat_map(|p| decoder.decode(p)).collect();
        assert_eq!(frames, [0x18, 0x29].map(|cmd| Response::bare(cmd, 0)));
    }

    #[test]
    fn faults_wait_for_their_frame() {
        let mut line = Line::default();
        line.arm(Fault::Mute, Scope::NextFinal);
        let response = Response::bare(0x60, 0x63);
        line.send(0, &response, false);
        assert_eq!(line.arrived(0).len(), 1);
        line.send(0, &response, true);
        assert_eq!(line.arrived(0).len(), 0);
        line.send(0, &response, true);
        assert_eq!(line.arrived(0).len(), 1);

        line.arm(Fault::Mute, Scope::FinalAfter(2));
        for (is_final, arrives) in [(true, 1), (false, 1), (true, 1), (false, 1), (true, 0)] {
            line.send(0, &response, is_final);
            assert_eq!(line.arrived(0).len(), arrives);
        }
        line.send(0, &response, true);
        assert_eq!(line.arrived(0).len(), 1);

        line.arm(Fault::Late, Scope::Always);
        for _ in 0..2 {
            line.send(0, &response, false);
            assert_eq!(line.arrived(LATE_MS - 1).len(), 0);
            assert_eq!(line.next_due_ms(), Some(LATE_MS));
            assert_eq!(line.arrived(LATE_MS).len(), 1);
        }
        line.clear_faults();
        line.send(0, &response, false);
        assert_eq!(line.arrived(0).len(), 1);
    }

    #[test]
    fn every_word_is_a_fault() {
        for word in Fault::words() {
            assert!(Fault::from_word(word).is_some());
        }
        assert_eq!(Fault::from_word("melted"), None);
    }
}
