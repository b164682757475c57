//! What a printer sends back, and what it says about the printer.
//!
//! Answers of several kinds share the line without framing; [`StatusDecoder`] tells them apart
//! by their fixed bits. It accepts arbitrary bytes and keeps at most one unfinished answer.

use std::collections::VecDeque;

/// The printer's request to pause: its buffer is nearly full or it is off-line.
pub const XOFF: u8 = 0x13;
/// The printer's permission to go on.
pub const XON: u8 = 0x11;

/// A question that is answered at once, even off-line or with a full buffer: `10 04 n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RealTimeQuery {
    /// n = 1: drawer and on-line.
    Printer,
    /// n = 2: why it is off-line.
    OffLine,
    /// n = 3: which error.
    Error,
    /// n = 4: paper sensors.
    Paper,
}

impl RealTimeQuery {
    /// All four, in the order of n.
    pub const ALL: [Self; 4] = [Self::Printer, Self::OffLine, Self::Error, Self::Paper];

    /// The request.
    pub const fn request(self) -> [u8; 3] {
        let n = match self {
            Self::Printer => 1,
            Self::OffLine => 2,
            Self::Error => 3,
            Self::Paper => 4,
        };
        [0x10, 0x04, n]
    }
}

/// What the paper sensors see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PaperState {
    /// Enough.
    #[default]
    Ok,
    /// The roll is thin; printing goes on.
    NearEnd,
    /// None.
    Out,
}

/// State of the printer as last heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrinterStatus {
    /// Ready to print.
    pub online: bool,
    /// The cover is open.
    pub cover_open: bool,
    /// What the paper sensors see.
    pub paper: PaperState,
    /// The cutter is jammed.
    pub cutter_error: bool,
    /// Another error that a person can clear.
    pub mechanical: bool,
    /// An error that only service can clear.
    pub unrecoverable: bool,
    /// The head is hot; printing goes on by itself.
    pub overheated: bool,
    /// The cause of being off-line is gone, and the printer waits to be put on-line by its feed
    /// button.
    pub waiting_for_recovery: bool,
    /// Somebody feeds paper with the button.
    pub feeding: bool,
    /// Level of the drawer's switch; what it means depends on the drawer.
    pub drawer_pin_high: bool,
}

impl Default for PrinterStatus {
    fn default() -> Self {
        Self {
            online: true,
            cover_open: false,
            paper: PaperState::Ok,
            cutter_error: false,
            mechanical: false,
            unrecoverable: false,
            overheated: false,
            waiting_for_recovery: false,
            feeding: false,
            drawer_pin_high: false,
        }
    }
}

impl PrinterStatus {
    /// Whether a job can start.
    pub fn is_ready(&self) -> bool {
        self.online && !self.cover_open && self.paper != PaperState::Out && !self.has_error()
    }

    /// Whether any error stands.
    pub const fn has_error(&self) -> bool {
        self.cutter_error || self.mechanical || self.unrecoverable || self.overheated
    }

    /// Takes in the answer to a real-time query.
    pub fn apply_real_time(&mut self, query: RealTimeQuery, answer: u8) {
        match query {
            RealTimeQuery::Printer => {
                self.drawer_pin_high = has(answer, 0x04);
                self.online = !has(answer, 0x08);
                self.waiting_for_recovery = has(answer, 0x20);
                self.feeding = has(answer, 0x40);
            }
            RealTimeQuery::OffLine => {
                self.cover_open = has(answer, 0x04);
                self.feeding |= has(answer, 0x08);
                if has(answer, 0x20) {
                    self.paper = PaperState::Out;
                }
            }
            RealTimeQuery::Error => {
                self.mechanical = has(answer, 0x04);
                self.cutter_error = has(answer, 0x08);
                self.unrecoverable = has(answer, 0x20);
                self.overheated = has(answer, 0x40);
            }
            RealTimeQuery::Paper => {
                self.paper = paper(has(answer, 0x0c), has(answer, 0x60));
            }
        }
    }

    /// Takes in a block of automatic status.
    pub fn apply_automatic(&mut self, [printer, error, sensors, _reserved]: [u8; 4]) {
        *self = Self {
            online: !has(printer, 0x08),
            cover_open: has(printer, 0x20),
            paper: paper(has(sensors, 0x03), has(sensors, 0x0c)),
            cutter_error: has(error, 0x08),
            mechanical: has(error, 0x04),
            unrecoverable: has(error, 0x20),
            overheated: has(error, 0x40),
            waiting_for_recovery: has(error, 0x01),
            feeding: has(printer, 0x40) || has(error, 0x02),
            drawer_pin_high: has(printer, 0x04),
        };
    }

    /// Takes in the answer to `1D 72 1`.
    pub fn apply_paper_reply(&mut self, reply: u8) {
        self.paper = paper(has(reply, 0x03), has(reply, 0x0c));
    }
}

const fn has(byte: u8, bits: u8) -> bool {
    byte & bits != 0
}

const fn paper(is_near_end: bool, is_out: bool) -> PaperState {
    match (is_near_end, is_out) {
        (_, true) => PaperState::Out,
        (true, false) => PaperState::NearEnd,
        (false, false) => PaperState::Ok,
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VECTORS: &str = include_str!("../../vectors/escpos.json");

    fn decoded(decoder: &mut StatusDecoder, bytes: &[u8]) -> Vec<StatusEvent> {
        let mut events = Vec::new();
        decoder.push(bytes, &mut events);
        events
    }

    fn expected_status(state: &str) -> PrinterStatus {
        let offline = PrinterStatus {
            online: false,
            ..PrinterStatus::default()
        };
        match state {
            "normal" => PrinterStatus::default(),
            "near_end" | "paper_near_end" => PrinterStatus {
                paper: PaperState::NearEnd,
                ..PrinterStatus::default()
            },
            "paper_out" => PrinterStatus {
                paper: PaperState::Out,
                ..offline
            },
            "paper_out_no_near_sensor" => PrinterStatus {
                paper: PaperState::Out,
                ..PrinterStatus::default()
            },
            "cover_open" | "offline_cover_open" => PrinterStatus {
                cover_open: true,
                ..offline
            },
            "cover_open_paper_out_shown" => PrinterStatus {
                cover_open: true,
                paper: PaperState::Out,
                ..PrinterStatus::default()
            },
            "cutter_error" => PrinterStatus {
                cutter_error: true,
                ..offline
            },
            "unrecoverable" => PrinterStatus {
                unrecoverable: true,
                ..offline
            },
            "recoverable_waiting" => PrinterStatus {
                waiting_for_recovery: true,
                ..offline
            },
            "drawer_pin3_high" => PrinterStatus {
                drawer_pin_high: true,
                ..PrinterStatus::default()
            },
            other => panic!("no expectation for {other}"),
        }
    }

    #[test]
    fn real_time_answers_give_the_state() {
        let file: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
        for (state, answers) in file["dle_eot_bytes"]["states"].as_object().unwrap() {
            let mut decoder = StatusDecoder::new();
            let mut status = PrinterStatus::default();
            for (n, answer) in answers.as_object().unwrap() {
                let query = RealTimeQuery::ALL[n.parse::<usize>().unwrap() - 1];
                assert_eq!(query.request(), [0x10, 4, n.parse().unwrap()]);
                decoder.expect(query);
                let bytes = hex::decode(answer.as_str().unwrap()).unwrap();
                assert_eq!(
                    decoded(&mut decoder, &bytes),
                    [StatusEvent::RealTime {
                        query: Some(query),
                        answer: bytes[0]
                    }]
                );
                status.apply_real_time(query, bytes[0]);
            }
            assert_eq!(status, expected_status(state), "{state}");
        }
    }

    #[test]
    fn automatic_blocks_give_the_state() {
        let file: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
        for (state, block) in file["asb_bytes"]["states"].as_object().unwrap() {
            let bytes = hex::decode(block.as_str().unwrap()).unwrap();
            let events = decoded(&mut StatusDecoder::new(), &bytes);
            let [StatusEvent::Automatic(block)] = events.as_slice() else {
                panic!("{state} gave {events:?}");
            };
            let mut status = PrinterStatus {
                mechanical: true,
                ..PrinterStatus::default()
            };
            status.apply_automatic(*block);
            assert_eq!(status, expected_status(state), "{state}");
        }
    }

    /// Every bit of the tables in receipt-printer.md 3.1 and 3.2, one at a time.
    #[test]
    fn each_bit_has_its_meaning() {
        type Seen = fn(&PrinterStatus) -> bool;
        let real_time: [(usize, u8, Seen); 12] = [
            (0, 0x04, |status| status.drawer_pin_high),
            (0, 0x08, |status| !status.online),
            (0, 0x20, |status| status.waiting_for_recovery),
            (0, 0x40, |status| status.feeding),
            (1, 0x04, |status| status.cover_open),
            (1, 0x08, |status| status.feeding),
            (1, 0x20, |status| status.paper == PaperState::Out),
            (2, 0x04, |status| status.mechanical),
            (2, 0x08, |status| status.cutter_error),
            (2, 0x20, |status| status.unrecoverable),
            (2, 0x40, |status| status.overheated),
            (3, 0x0c, |status| status.paper == PaperState::NearEnd),
        ];
        for (query, bits, seen) in real_time {
            let mut status = PrinterStatus::default();
            assert!(!seen(&status));
            status.apply_real_time(RealTimeQuery::ALL[query], 0x12 | bits);
            assert!(seen(&status), "n = {}, bits {bits:02x}", query + 1);
        }
        let automatic: [([u8; 4], Seen); 12] = [
            ([0x14, 0, 0, 0], |status| status.drawer_pin_high),
            ([0x18, 0, 0, 0], |status| !status.online),
            ([0x30, 0, 0, 0], |status| status.cover_open),
            ([0x50, 0, 0, 0], |status| status.feeding),
            ([0x10, 1, 0, 0], |status| status.waiting_for_recovery),
            ([0x10, 2, 0, 0], |status| status.feeding),
            ([0x10, 4, 0, 0], |status| status.mechanical),
            ([0x10, 8, 0, 0], |status| status.cutter_error),
            ([0x10, 0x20, 0, 0], |status| status.unrecoverable),
            ([0x10, 0x40, 0, 0], |status| status.overheated),
            ([0x10, 0, 3, 0], |status| {
                status.paper == PaperState::NearEnd
            }),
            ([0x10, 0, 0x0f, 0], |status| status.paper == PaperState::Out),
        ];
        for (block, seen) in automatic {
            // Split at every place, with flow control and a real-time answer in between.
            for split in 0..=4 {
                let (head, tail) = block.split_at(split);
                let mut decoder = StatusDecoder::new();
                let mut events = decoded(&mut decoder, head);
                decoded(&mut decoder, &[0x13, 0x12, 0x11]);
                events.extend(decoded(&mut decoder, tail));
                assert_eq!(events, [StatusEvent::Automatic(block)], "split at {split}");
            }
            let mut status = PrinterStatus::default();
            assert!(!seen(&status));
            status.apply_automatic(block);
            assert!(seen(&status), "{block:02x?}");
        }
    }

    #[test]
    fn answers_are_told_apart_in_one_stream() {
        let mut decoder = StatusDecoder::new();
        decoder.expect(RealTimeQuery::Paper);
        let bytes = b"\x13\x18\x00\x7e\x0f\x00\x11\x0c\x12\x5fTM-T88V\x00\x372AB\x00\x37\x22ABCD\x00\x3b1\x00\x00\xff";
        assert_eq!(
            decoded(&mut decoder, bytes),
            [
                StatusEvent::Pause,
                StatusEvent::RealTime {
                    query: Some(RealTimeQuery::Paper),
                    answer: 0x7e
                },
                StatusEvent::Automatic([0x18, 0, 0x0f, 0]),
                StatusEvent::Resume,
                StatusEvent::Reply(0x0c),
                StatusEvent::RealTime {
                    query: None,
                    answer: 0x12
                },
                StatusEvent::Identification("TM-T88V".into()),
                StatusEvent::Unknown(0x37),
                StatusEvent::ProcessId(*b"ABCD"),
                StatusEvent::PoweredOn,
                StatusEvent::Reply(0),
                StatusEvent::Unknown(0xff),
            ]
        );
    }

    #[test]
    fn noise_ends_an_unfinished_answer() {
        for (noise, unknown) in [
            (&[0x5f, b'T', 0xff][..], vec![0xff]),
            (&[0x37, 0x22, 0x80], vec![0x80]),
            (&[0x10, 0x00, 0xd5], vec![0xd5]),
            (&[0x91, 0xb0], vec![0x91, 0xb0]),
        ] {
            let mut decoder = StatusDecoder::new();
            let mut expected: Vec<_> = unknown.into_iter().map(StatusEvent::Unknown).collect();
            expected.push(StatusEvent::Reply(0));
            let bytes = [noise, &[0]].concat();
            assert_eq!(decoded(&mut decoder, &bytes), expected, "{noise:02x?}");
        }
        let mut decoder = StatusDecoder::new();
        decoded(&mut decoder, &[0x5f, b'T']);
        decoder.forget_unfinished();
        assert_eq!(decoded(&mut decoder, &[0]), [StatusEvent::Reply(0)]);
    }

    #[test]
    fn a_broken_block_gives_way_to_the_next() {
        let mut decoder = StatusDecoder::new();
        assert_eq!(
            decoded(&mut decoder, &[0x10, 0x00, 0x10, 0, 3, 0]),
            [StatusEvent::Automatic([0x10, 0, 3, 0])]
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, split in 0usize..64) {
            let mut status = PrinterStatus::default();
            let mut whole = StatusDecoder::new();
            for query in RealTimeQuery::ALL { whole.expect(query); }
            let mut parts = whole.clone();
            let split = split.min(bytes.len());
            let mut events = decoded(&mut parts, &bytes[..split]);
            events.extend(decoded(&mut parts, &bytes[split..]));
            prop_assert_eq!(&events, &decoded(&mut whole, &bytes));
            for event in events {
                match event {
                    StatusEvent::RealTime { query: Some(query), answer } => status.apply_real_time(query, answer),
                    StatusEvent::Automatic(block) => status.apply_automatic(block),
                    StatusEvent::Reply(reply) => status.apply_paper_reply(reply),
                    _ => {}
                }
            }
        }
    }
}
