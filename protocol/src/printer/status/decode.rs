//! Tells the answers of a printer apart: they share the line without framing.
//!
//! Owns at most one unfinished answer. It accepts arbitrary bytes.

use std::collections::VecDeque;

use super::{RealTimeQuery, XOFF, XON};

/// One answer of the printer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusEvent {
    /// XON: sending may go on.
    Resume,
    /// XOFF: sending must pause.
    Pause,
    /// The answer to a real-time query; `None` when none was outstanding, as after image data
    /// that happened to hold a request.
    RealTime {
        /// Which query it answers.
        query: Option<RealTimeQuery>,
        /// The answer.
        answer: u8,
    },
    /// A block of automatic status.
    Automatic([u8; 4]),
    /// A byte that answers a queued request (`1D 72 n`, `1D 49 1…3`).
    Reply(u8),
    /// A text that answers `1D 49 41…`, of at most 80 characters.
    Identification(String),
    /// The answer to a process-id request.
    ProcessId([u8; 4]),
    /// The printer says that it was switched on.
    PoweredOn,
    /// A byte of no known kind.
    Unknown(u8),
}

/// Queries that may be outstanding; printers answer about four in a row.
const EXPECTED_MAX: usize = 8;
/// Longest text between 5F and 00, from Epson's reference.
const BLOCK_BYTES_MAX: usize = 80;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Unfinished {
    #[default]
    Nothing,
    Automatic(Vec<u8>),
    Block {
        header: u8,
        content: Vec<u8>,
    },
}

/// Splits the bytes of a printer into answers.
#[derive(Debug, Clone, Default)]
pub struct StatusDecoder {
    expected: VecDeque<RealTimeQuery>,
    unfinished: Unfinished,
}

impl StatusDecoder {
    /// A decoder that expects nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that `query` was sent: answers carry no number and come in the order of questions.
    pub fn expect(&mut self, query: RealTimeQuery) {
        if self.expected.len() >= EXPECTED_MAX {
            self.expected.pop_front();
        }
        self.expected.push_back(query);
    }

    /// Queries without an answer so far.
    pub fn expected(&self) -> usize {
        self.expected.len()
    }

    /// Drops outstanding queries: their answers are not awaited any more.
    pub fn forget_expected(&mut self) {
        self.expected.clear();
    }

    /// Drops an unfinished answer, after a silence that no printer makes within one.
    pub fn forget_unfinished(&mut self) {
        self.unfinished = Unfinished::Nothing;
    }

    /// Drops outstanding queries and an unfinished answer, after silence or a new connection.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Takes in bytes and appends the answers that they complete.
    pub fn push(&mut self, bytes: &[u8], events: &mut Vec<StatusEvent>) {
        for byte in bytes {
            if let Some(event) = self.push_byte(*byte) {
                events.push(event);
            }
        }
    }

    fn push_byte(&mut self, byte: u8) -> Option<StatusEvent> {
        // Flow control and real-time answers may come between the bytes of anything.
        match byte {
            XON => return Some(StatusEvent::Resume),
            XOFF => return Some(StatusEvent::Pause),
            _ => {}
        }
        let is_printable = (0x20..0x7f).contains(&byte);
        let is_in_text = matches!(self.unfinished, Unfinished::Block { .. }) && is_printable;
        if byte & 0x93 == 0x12 && !is_in_text {
            let query = self.expected.pop_front();
            return Some(StatusEvent::RealTime {
                query,
                answer: byte,
            });
        }
        match std::mem::take(&mut self.unfinished) {
            Unfinished::Automatic(content) if byte & 0x90 == 0 => {
                self.continue_automatic(content, byte)
            }
            Unfinished::Block { header, content } if is_in_text || byte == 0 => {
                self.continue_block(header, content, byte)
            }
            _ => self.start(byte),
        }
    }

    fn continue_automatic(&mut self, mut content: Vec<u8>, byte: u8) -> Option<StatusEvent> {
        content.push(byte);
        if let Some(block) = content.first_chunk::<4>() {
            return Some(StatusEvent::Automatic(*block));
        }
        self.unfinished = Unfinished::Automatic(content);
        None
    }

    fn continue_block(
        &mut self,
        header: u8,
        mut content: Vec<u8>,
        byte: u8,
    ) -> Option<StatusEvent> {
        if byte != 0 {
            if content.len() >= BLOCK_BYTES_MAX {
                return Some(StatusEvent::Unknown(byte));
            }
            content.push(byte);
            self.unfinished = Unfinished::Block { header, content };
            return None;
        }
        match (header, content.as_slice()) {
            (0x37, [0x22, id @ ..]) => Some(match id.first_chunk::<4>() {
                Some(id_bytes) if id.len() == 4 => StatusEvent::ProcessId(*id_bytes),
                _ => StatusEvent::Unknown(header),
            }),
            (0x3b, [0x31]) => Some(StatusEvent::PoweredOn),
            (0x5f, text) => Some(StatusEvent::Identification(
                text.iter().copied().map(char::from).collect(),
            )),
            _ => Some(StatusEvent::Unknown(header)),
        }
    }

    fn start(&mut self, byte: u8) -> Option<StatusEvent> {
        match byte {
            0x37 | 0x3b | 0x5f => {
                self.unfinished = Unfinished::Block {
                    header: byte,
                    content: Vec::new(),
                };
                None
            }
            _ if byte & 0x93 == 0x10 => {
                self.unfinished = Unfinished::Automatic(vec![byte]);
                None
            }
            _ if byte & 0x90 == 0 => Some(StatusEvent::Reply(byte)),
            _ => Some(StatusEvent::Unknown(byte)),
        }
    }
}
