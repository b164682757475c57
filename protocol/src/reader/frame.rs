//! NEO2 frames: header, command or response code, length, data, CRC.
//!
//! Owns framing only. It never looks into the data, and its `Debug` output never shows it: the
//! data of a response is card data.
//!
//! ```text
//! command : ViVOtech2 NUL | CMD | SUB    | length (2, high first) | data | CRC low,  CRC high
//! response: ViVOtech2 NUL | CMD | STATUS | length (2, high first) | data | CRC high, CRC low
//! ```

use std::fmt;

/// The first ten bytes of every frame.
pub const HEADER: [u8; 10] = *b"ViVOtech2\0";

/// The most data bytes that a frame may carry.
///
/// The vendor's largest message over HID is 1500 bytes; card-reader.md §2 bounds a receiver at 4096.
pub const DATA_LENGTH_MAX: usize = 4096;

/// Header, two code bytes, two length bytes.
const PREFIX_LENGTH: usize = HEADER.len() + 4;
const CRC_LENGTH: usize = 2;
const FRAME_LENGTH_MAX: usize = PREFIX_LENGTH + DATA_LENGTH_MAX + CRC_LENGTH;

/// Polynomial 1021, initial FFFF, no reflection, no final XOR.
const CRC: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_IBM_3740);

/// The CRC of every frame.
pub fn crc(bytes: &[u8]) -> u16 {
    CRC.checksum(bytes)
}

/// Why a frame cannot be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The data does not fit into one frame.
    #[error("frame data of {length} bytes is longer than {DATA_LENGTH_MAX}")]
    TooLong {
        /// Bytes of data.
        length: usize,
    },
}

/// What the host sends to the reader.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    cmd: u8,
    sub: u8,
    data: Vec<u8>,
}

impl Command {
    /// A command of group `cmd`, number `sub`.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] when `data` does not fit into one frame.
    pub fn new(cmd: u8, sub: u8, data: Vec<u8>) -> Result<Self, FrameError> {
        bounded(data).map(|data| Self { cmd, sub, data })
    }

    /// A command whose data is known to be short.
    pub(super) fn short<const N: usize>(cmd: u8, sub: u8, data: [u8; N]) -> Self {
        const { assert!(N <= DATA_LENGTH_MAX) };
        let data = data.to_vec();
        Self { cmd, sub, data }
    }

    /// The command group.
    pub fn cmd(&self) -> u8 {
        self.cmd
    }

    /// The command within its group.
    pub fn sub(&self) -> u8 {
        self.sub
    }

    /// The parameters.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The bytes on the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut frame = body(self.cmd, self.sub, &self.data);
        let crc = CRC.checksum(&frame);
        frame.extend_from_slice(&crc.to_le_bytes());
        frame
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cmd, sub, data } = self;
        write!(
            formatter,
            "Command({cmd:02X}-{sub:02X}, {} bytes)",
            data.len()
        )
    }
}

/// What the reader sends to the host.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    cmd: u8,
    status: u8,
    data: Vec<u8>,
}

impl Response {
    /// A response to command group `cmd`.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] when `data` does not fit into one frame.
    pub fn new(cmd: u8, status: u8, data: Vec<u8>) -> Result<Self, FrameError> {
        bounded(data).map(|data| Self { cmd, status, data })
    }

    /// A response that is only a status byte.
    pub fn bare(cmd: u8, status: u8) -> Self {
        let data = Vec::new();
        Self { cmd, status, data }
    }

    /// The command group that is answered.
    pub fn cmd(&self) -> u8 {
        self.cmd
    }

    /// The raw status byte; see [`super::outcome::Status`].
    pub fn status(&self) -> u8 {
        self.status
    }

    /// The result data.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Takes the result data out.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// The bytes on the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut frame = body(self.cmd, self.status, &self.data);
        let crc = CRC.checksum(&frame);
        frame.extend_from_slice(&crc.to_be_bytes());
        frame
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cmd, status, data } = self;
        write!(
            formatter,
            "Response({cmd:02X}, status {status:02X}, {} bytes)",
            data.len()
        )
    }
}

fn bounded(data: Vec<u8>) -> Result<Vec<u8>, FrameError> {
    match data.len() {
        length if length > DATA_LENGTH_MAX => Err(FrameError::TooLong { length }),
        _ => Ok(data),
    }
}

fn body(cmd: u8, code: u8, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).expect("every constructor bounds the data");
    let mut frame = Vec::with_capacity(PREFIX_LENGTH + data.len() + CRC_LENGTH);
    frame.extend_from_slice(&HEADER);
    frame.extend_from_slice(&[cmd, code]);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(data);
    frame
}

/// The agent's end: turns bytes from the reader into responses.
#[derive(Debug, Default)]
pub struct ResponseDecoder {
    scanner: Scanner,
}

impl ResponseDecoder {
    /// Takes the next bytes in, however they were cut, and gives the frames that they complete.
    ///
    /// Bytes that belong to no valid frame are dropped one by one until a frame fits.
    pub fn decode(&mut self, bytes: &[u8]) -> Vec<Response> {
        let mut responses = Vec::new();
        self.scanner.scan(bytes, is_high_first, |found| {
            responses.extend(response(found));
        });
        responses
    }

    /// Gives up on a frame whose remaining bytes do not come, and looks for frames inside it.
    ///
    /// To be called when the line has been silent for longer than the gap within a frame.
    pub fn abandon_partial(&mut self) -> Vec<Response> {
        let mut responses = Vec::new();
        self.scanner.abandon_partial(is_high_first, |found| {
            responses.extend(response(found));
        });
        responses
    }

    /// Whether bytes are held that may be the beginning of a frame.
    pub fn is_partial(&self) -> bool {
        !self.scanner.pending.is_empty()
    }

    /// Forgets what was received: the port was opened anew.
    pub fn reset(&mut self) {
        self.scanner = Scanner::default();
    }

    /// Bytes dropped so far because they belonged to no valid frame.
    pub fn dropped_bytes(&self) -> u64 {
        self.scanner.dropped_bytes
    }
}

fn response(found: Found<'_>) -> Option<Response> {
    let Found {
        cmd,
        code: status,
        data,
        crc_matches,
    } = found;
    crc_matches.then(|| Response {
        cmd,
        status,
        data: data.to_vec(),
    })
}

/// What the reader's end made of the host's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A valid command.
    Command(Command),
    /// A frame with a wrong CRC, to be answered with status 04.
    WrongCrc {
        /// The command group that was received.
        cmd: u8,
    },
}

/// The reader's end: turns bytes from the host into commands.
#[derive(Debug, Default)]
pub struct CommandDecoder {
    scanner: Scanner,
    /// The vendor's guide shows some commands with the CRC the other way round.
    takes_either_order: bool,
}

impl CommandDecoder {
    /// Takes commands whose CRC has its bytes in the other order too.
    pub fn of_either_order() -> Self {
        Self {
            takes_either_order: true,
            ..Self::default()
        }
    }

    fn rule(&self) -> CrcRule {
        if self.takes_either_order {
            is_either
        } else {
            is_low_first
        }
    }

    /// Takes the next bytes in, however they were cut, and gives the frames that they complete.
    pub fn decode(&mut self, bytes: &[u8]) -> Vec<Received> {
        let mut frames = Vec::new();
        let rule = self.rule();
        self.scanner.scan(bytes, rule, |found| {
            frames.push(received(found));
        });
        frames
    }

    /// Gives up on a frame whose remaining bytes do not come, and looks for frames inside it.
    pub fn abandon_partial(&mut self) -> Vec<Received> {
        let mut frames = Vec::new();
        let rule = self.rule();
        self.scanner.abandon_partial(rule, |found| {
            frames.push(received(found));
        });
        frames
    }

    /// Whether bytes are held that may be the beginning of a frame.
    pub fn is_partial(&self) -> bool {
        !self.scanner.pending.is_empty()
    }
}

fn received(found: Found<'_>) -> Received {
    let Found {
        cmd,
        code: sub,
        data,
        crc_matches,
    } = found;
    if !crc_matches {
        return Received::WrongCrc { cmd };
    }
    Received::Command(Command {
        cmd,
        sub,
        data: data.to_vec(),
    })
}

struct Found<'a> {
    cmd: u8,
    code: u8,
    data: &'a [u8],
    crc_matches: bool,
}

/// The receiver rule of both ends: find the header, bound the length, check the CRC, and on any
/// mismatch drop one byte and search again.
#[derive(Default)]
struct Scanner {
    /// Starts with a header or a part of one; never longer than one frame.
    pending: Vec<u8>,
    dropped_bytes: u64,
}

/// Whether the trailer of a frame is this CRC.
type CrcRule = fn([u8; 2], u16) -> bool;

/// Reader to host.
fn is_high_first(trailer: [u8; 2], crc: u16) -> bool {
    u16::from_be_bytes(trailer) == crc
}

/// Host to reader.
fn is_low_first(trailer: [u8; 2], crc: u16) -> bool {
    u16::from_le_bytes(trailer) == crc
}

fn is_either(trailer: [u8; 2], crc: u16) -> bool {
    is_low_first(trailer, crc) || is_high_first(trailer, crc)
}

impl Scanner {
    fn scan(&mut self, mut bytes: &[u8], rule: CrcRule, mut emit: impl FnMut(Found<'_>)) {
        while !bytes.is_empty() {
            let room = FRAME_LENGTH_MAX.saturating_sub(self.pending.len()).max(1);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.pending.extend_from_slice(now);
            self.drain(rule, &mut emit);
            bytes = later;
        }
    }

    fn abandon_partial(&mut self, rule: CrcRule, mut emit: impl FnMut(Found<'_>)) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VECTORS: &str = include_str!("../../vectors/idtech_neo2.json");

    fn vectors() -> serde_json::Value {
        serde_json::from_str(VECTORS).unwrap()
    }

    fn check_command(bytes: &[u8], name: &str) {
        let frames = CommandDecoder::default().decode(bytes);
        let [Received::Command(command)] = frames.as_slice() else {
            panic!("{name}: {frames:?}");
        };
        assert_eq!(command.encode(), bytes, "{name}");
        assert_eq!(ResponseDecoder::default().decode(bytes), [], "{name}");
    }

    fn check_response(bytes: &[u8], name: &str) {
        let frames = ResponseDecoder::default().decode(bytes);
        let [response] = frames.as_slice() else {
            panic!("{name}: {frames:?}");
        };
        assert_eq!(response.encode(), bytes, "{name}");
    }

    #[test]
    fn every_documented_frame_decodes_and_encodes_to_itself() {
        let vectors = vectors();
        for frame in vectors["frames"].as_array().unwrap() {
            let name = frame["name"].as_str().unwrap();
            let bytes = hex::decode(frame["hex"].as_str().unwrap()).unwrap();
            let crc = hex::decode(frame["crc16"].as_str().unwrap()).unwrap();
            // The CRC's byte order is what tells the directions apart.
            if bytes.ends_with(&crc) {
                check_response(&bytes, name);
            } else {
                check_command(&bytes, name);
            }
        }
    }

    #[test]
    fn every_frame_of_the_flows_decodes_in_its_direction() {
        let vectors = vectors();
        let mut count = 0;
        for flow in vectors["flows"].as_array().unwrap() {
            for step in flow["steps"].as_array().unwrap() {
                let bytes = hex::decode(step["hex"].as_str().unwrap()).unwrap();
                let name = step["what"].as_str().unwrap();
                match step["dir"].as_str().unwrap() {
                    ">" => check_command(&bytes, name),
                    _ => check_response(&bytes, name),
                }
                count += 1;
            }
        }
        assert!(count > 20);
    }

    #[test]
    fn a_command_with_the_other_byte_order_needs_a_tolerant_reader() {
        let mut bytes = Command::new(0x2C, 0x18, vec![]).unwrap().encode();
        let end = bytes.len();
        bytes.swap(end - 1, end - 2);
        let wrong = [Received::WrongCrc { cmd: 0x2C }];
        assert_eq!(CommandDecoder::default().decode(&bytes), wrong);
        let taken = CommandDecoder::of_either_order().decode(&bytes);
        assert!(matches!(taken.as_slice(), [Received::Command(_)]));
        *bytes.first_mut().unwrap() ^= 0x01;
        assert_eq!(CommandDecoder::of_either_order().decode(&bytes), []);
    }

    #[test]
    fn the_crc_has_its_check_value() {
        assert_eq!(CRC.checksum(b"123456789"), 0x29B1);
    }

    #[test]
    fn a_wrong_crc_is_told_to_the_reader_and_hidden_from_the_agent() {
        let mut bytes = Command::new(0x18, 0x01, vec![]).unwrap().encode();
        *bytes.last_mut().unwrap() ^= 1;
        assert_eq!(
            CommandDecoder::default().decode(&bytes),
            [Received::WrongCrc { cmd: 0x18 }]
        );
        let mut bytes = Response::bare(0x18, 0).encode();
        *bytes.last_mut().unwrap() ^= 1;
        let mut decoder = ResponseDecoder::default();
        assert_eq!(decoder.decode(&bytes), []);
        assert!(!decoder.is_partial());
        assert_eq!(decoder.dropped_bytes(), 16);
    }

    #[test]
    fn a_frame_after_a_truncated_one_is_found() {
        let whole = Response::new(2, 0, vec![7; 40]).unwrap().encode();
        let next = Response::bare(0x18, 0);
        let mut decoder = ResponseDecoder::default();
        assert_eq!(decoder.decode(&whole[..20]), []);
        assert_eq!(decoder.decode(&next.encode()), []);
        assert_eq!(decoder.abandon_partial(), [Response::bare(0x18, 0)]);
        assert!(!decoder.is_partial());

        let mut decoder = ResponseDecoder::default();
        let mut stream = whole[..20].to_vec();
        for _ in 0..3 {
            stream.extend(next.encode());
        }
        assert_eq!(decoder.decode(&stream).len(), 3);
    }

    #[test]
    fn an_announced_length_above_the_bound_is_skipped() {
        let mut stream = HEADER.to_vec();
        stream.extend([2, 0, 0x10, 0x01]);
        stream.extend(Response::bare(0x18, 0).encode());
        assert_eq!(
            ResponseDecoder::default().decode(&stream),
            [Response::bare(0x18, 0)]
        );
        assert!(Command::new(0, 0, vec![0; DATA_LENGTH_MAX]).is_ok());
        assert_eq!(
            Command::new(0, 0, vec![0; DATA_LENGTH_MAX + 1]),
            Err(FrameError::TooLong { length: 4097 })
        );
    }

    #[test]
    fn debug_output_shows_no_data() {
        let response = Response::new(2, 0, b"4761739001010010".to_vec()).unwrap();
        assert_eq!(format!("{response:?}"), "Response(02, status 00, 16 bytes)");
        let mut decoder = ResponseDecoder::default();
        assert_eq!(decoder.decode(&response.encode()[..25]), []);
        assert!(!format!("{decoder:?}").contains("47"));
    }

    proptest! {
        #[test]
        fn responses_survive_any_cut_and_leading_noise(
            cmd: u8, status: u8,
            data in prop::collection::vec(any::<u8>(), 0..300),
            noise in prop::collection::vec(0u8..0x50, 0..40),
            cut in 1usize..40,
        ) {
            let response = Response::new(cmd, status, data).unwrap();
            let mut stream = noise;
            stream.extend(response.encode());
            stream.extend(response.encode());
            let mut decoder = ResponseDecoder::default();
            let found: Vec<_> = stream.chunks(cut).flat_map(|part| decoder.decode(part)).collect();
            prop_assert_eq!(found, vec![response.clone(), response]);
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_never_pile_up(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20)
        ) {
            let mut agent = ResponseDecoder::default();
            let mut reader = CommandDecoder::default();
            for part in &parts {
                agent.decode(part);
                reader.decode(part);
                prop_assert!(agent.scanner.pending.len() <= FRAME_LENGTH_MAX);
            }
            agent.abandon_partial();
            prop_assert!(!agent.is_partial());
        }
    }
}
