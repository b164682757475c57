//! ESC/POS commands as bytes.
//!
//! Every method appends whole commands. What would be read as something else by the printer is
//! refused with an [`EncodeError`] and appends nothing. Layout of receipts is in
//! [`layout`](super::layout).

mod picture;
#[cfg(test)]
mod tests;

use super::code_page::CodePage;
use super::paper::Font;
use crate::receipt::Align;

pub use picture::{QR_BYTES_MAX, QrCorrection};

const DLE: u8 = 0x10;
const ESC: u8 = 0x1b;
const GS: u8 = 0x1d;
const LF: u8 = 0x0a;

/// Asks for the paper sensors once everything before was printed: the confirmation of a job.
pub const BARRIER: [u8; 3] = [GS, b'r', 1];
/// Asks for the model's name once everything before was printed: an answer that cannot be taken
/// for that to a [`BARRIER`].
pub const IDENTIFY_MODEL: [u8; 3] = [GS, b'I', 67];
/// Has the printer send its status now and at every change of drawer, line, error, or paper.
pub const AUTOMATIC_STATUS_ON: [u8; 3] = [GS, b'a', 0x0f];
/// Recovers from an error that was cleared and goes on with the line. Real-time.
pub const RECOVER_AND_CONTINUE: [u8; 3] = [DLE, 0x05, 1];
/// Recovers from an error that was cleared and drops what is buffered. Real-time.
pub const RECOVER_AND_CLEAR: [u8; 3] = [DLE, 0x05, 2];

/// Why a command cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A parameter is outside what printers take.
    #[error("{parameter} is {value}, allowed are {min} to {max}")]
    OutOfRange {
        /// Which parameter.
        parameter: &'static str,
        /// What was asked for.
        value: usize,
        /// The lowest allowed.
        min: usize,
        /// The highest allowed.
        max: usize,
    },
    /// CODE128 in code set B has printable ASCII only.
    #[error("barcode content has a character outside printable ASCII")]
    BarcodeCharacter,
    /// The image's bytes are not rows × bytes a row.
    #[error("image of {rows} rows of {row_bytes} bytes has {length} bytes")]
    ImageSize {
        /// Bytes a row.
        row_bytes: u16,
        /// Rows.
        rows: u16,
        /// Bytes given.
        length: usize,
    },
}

/// Which wire of the drawer connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrawerPin {
    /// Pin 2, the usual drawer.
    Two,
    /// Pin 5, a second drawer.
    Five,
}

/// Builds a stream of commands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    /// An empty stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// The stream.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn push(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Clears the line and all modes, automatic status included; not the receive buffer.
    pub fn initialise(&mut self) -> &mut Self {
        self.push(&[ESC, b'@'])
    }

    /// Selects the code page of the bytes above 7F.
    pub fn code_page(&mut self, page: CodePage) -> &mut Self {
        self.push(&[ESC, b't', page.number()])
    }

    /// Selects the international set USA; in others # $ @ [ \ ] differ from ASCII.
    pub fn international_usa(&mut self) -> &mut Self {
        self.push(&[ESC, b'R', 0])
    }

    /// Appends characters in a code page selected before; no control character gets through.
    pub fn text(&mut self, text: &str, page: CodePage) -> &mut Self {
        self.bytes
            .extend(text.chars().map(|character| page.byte(character)));
        self
    }

    /// Ends the line.
    pub fn line_feed(&mut self) -> &mut Self {
        self.push(&[LF])
    }

    /// Turns bold on or off.
    pub fn emphasis(&mut self, is_on: bool) -> &mut Self {
        self.push(&[ESC, b'E', u8::from(is_on)])
    }

    /// Turns underlining on or off.
    pub fn underline(&mut self, is_on: bool) -> &mut Self {
        self.push(&[ESC, b'-', u8::from(is_on)])
    }

    /// Turns white on black on or off.
    pub fn reverse(&mut self, is_on: bool) -> &mut Self {
        self.push(&[GS, b'B', u8::from(is_on)])
    }

    /// Magnifies characters, each way 1 to 8 times.
    ///
    /// # Errors
    /// [`EncodeError::OutOfRange`] for other factors.
    pub fn size(&mut self, width: u8, height: u8) -> Result<&mut Self, EncodeError> {
        check("width factor", usize::from(width), 1, 8)?;
        check("height factor", usize::from(height), 1, 8)?;
        let nibbles = (width.saturating_sub(1) << 4) | height.saturating_sub(1);
        Ok(self.push(&[GS, b'!', nibbles]))
    }

    /// Selects the font.
    pub fn font(&mut self, font: Font) -> &mut Self {
        self.push(&[ESC, b'M', font.number()])
    }

    /// Selects font, bold and double size at once; underlining ends.
    pub fn print_mode(&mut self, font: Font, is_bold: bool, is_double: bool) -> &mut Self {
        let mode =
            font.number() | if is_bold { 0x08 } else { 0 } | if is_double { 0x30 } else { 0 };
        self.push(&[ESC, b'!', mode])
    }

    /// Positions the lines that follow. Only at the start of a line.
    pub fn justify(&mut self, align: Align) -> &mut Self {
        let position = match align {
            Align::Left => 0,
            Align::Centre => 1,
            Align::Right => 2,
        };
        self.push(&[ESC, b'a', position])
    }

    /// Sets the line spacing in dots, or the default of 1/6 inch.
    pub fn line_spacing(&mut self, dots: Option<u8>) -> &mut Self {
        match dots {
            Some(dots) => self.push(&[ESC, b'3', dots]),
            None => self.push(&[ESC, b'2']),
        }
    }

    /// Ends the line and feeds `lines` lines.
    pub fn feed_lines(&mut self, lines: u8) -> &mut Self {
        self.push(&[ESC, b'd', lines])
    }

    /// Ends the line and feeds `dots` dots.
    pub fn feed_dots(&mut self, dots: u8) -> &mut Self {
        self.push(&[ESC, b'J', dots])
    }

    /// Feeds to the cutter and `dots` further, then cuts but for one point.
    /// Only at the start of a line.
    pub fn cut_partial(&mut self, dots: u8) -> &mut Self {
        self.push(&[GS, b'V', b'B', dots])
    }

    /// Feeds to the cutter and `dots` further, then cuts through. Not every printer can.
    pub fn cut_full(&mut self, dots: u8) -> &mut Self {
        self.push(&[GS, b'V', b'A', dots])
    }

    /// Opens the drawer by a pulse; times in units of 2 ms.
    pub fn drawer_kick(&mut self, pin: DrawerPin, on_2ms: u8, off_2ms: u8) -> &mut Self {
        let pin = match pin {
            DrawerPin::Two => 0,
            DrawerPin::Five => 1,
        };
        self.push(&[ESC, b'p', pin, on_2ms, off_2ms])
    }

    /// Turns automatic status on; see [`AUTOMATIC_STATUS_ON`].
    pub fn automatic_status(&mut self) -> &mut Self {
        self.push(&AUTOMATIC_STATUS_ON)
    }

    /// Asks for `id` back once everything before was printed. Only newer models know it; others
    /// print the bytes. Epson allows 32 to 126 in the id.
    pub fn process_id(&mut self, id: [u8; 4]) -> &mut Self {
        self.push(&[GS, b'(', b'H', 6, 0, 0x30, 0x30]).push(&id)
    }

    /// Asks for a confirmation of everything before; see [`BARRIER`].
    pub fn barrier(&mut self) -> &mut Self {
        self.push(&BARRIER)
    }
}

fn check(parameter: &'static str, value: usize, min: usize, max: usize) -> Result<(), EncodeError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(EncodeError::OutOfRange {
        parameter,
        value,
        min,
        max,
    })
}
