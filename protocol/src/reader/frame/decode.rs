//! The two ends of the line: bytes from the reader as responses, bytes from the host as commands.
//!
//! Owns what each end makes of a frame whose CRC is wrong.

use super::scan::{CrcRule, Found, Scanner, is_either, is_high_first, is_low_first};
use super::{Command, Response};

/// The agent's end: turns bytes from the reader into responses.
#[derive(Debug, Default)]
pub struct ResponseDecoder {
    pub(super) scanner: Scanner,
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
