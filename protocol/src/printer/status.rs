//! What a printer sends back, and what it says about the printer.
//!
//! Owns the meaning of the bits. Answers of several kinds share the line without framing;
//! [`StatusDecoder`] tells them apart by their fixed bits.

mod decode;
#[cfg(test)]
mod tests;

pub use decode::{StatusDecoder, StatusEvent};

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
