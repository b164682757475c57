//! NEO2 frames: header, command or response code, length, data, CRC.
//!
//! Owns framing only. It never looks into the data, and its `Debug` output never shows it: the
//! data of a response is card data.
//!
//! ```text
//! command : ViVOtech2 NUL | CMD | SUB    | length (2, high first) | data | CRC low,  CRC high
//! response: ViVOtech2 NUL | CMD | STATUS | length (2, high first) | data | CRC high, CRC low
//! ```

mod decode;
mod scan;
#[cfg(test)]
mod tests;

use std::fmt;

pub use decode::{CommandDecoder, Received, ResponseDecoder};

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
