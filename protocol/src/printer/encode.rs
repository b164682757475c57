//! ESC/POS commands as bytes.
//!
//! Every method appends whole commands. What would be read as something else by the printer is
//! refused with an [`EncodeError`] and appends nothing. Layout of receipts is in
//! [`layout`](super::layout).

use super::code_page::CodePage;
use super::paper::Font;
use crate::receipt::Align;

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

/// How much of a QR symbol can be lost before it is unreadable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QrCorrection {
    /// 7 %.
    Low,
    /// 15 %.
    Medium,
    /// 25 %.
    Quartile,
    /// 30 %.
    High,
}

impl QrCorrection {
    const fn byte(self) -> u8 {
        match self {
            Self::Low => 0x30,
            Self::Medium => 0x31,
            Self::Quartile => 0x32,
            Self::High => 0x33,
        }
    }
}

/// Which wire of the drawer connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrawerPin {
    /// Pin 2, the usual drawer.
    Two,
    /// Pin 5, a second drawer.
    Five,
}

/// Most bytes of a QR symbol: version 40, correction L, binary.
pub const QR_BYTES_MAX: usize = 2953;
/// `n` of function B is a byte and counts the two of the code set.
const BARCODE_BYTES_MAX: usize = 255;
/// Highest image, from Epson's range of yL + yH × 256.
const IMAGE_ROWS_MAX: u16 = 2303;
/// Widest image: 128 bytes are 1024 dots, more than any receipt printer has.
const IMAGE_ROW_BYTES_MAX: u16 = 128;

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

    /// A CODE128 symbol in code set B with the text below it, for module width 2…6 and a height
    /// in dots.
    ///
    /// # Errors
    /// [`EncodeError::BarcodeCharacter`] outside printable ASCII, [`EncodeError::OutOfRange`] for
    /// an empty or too long content, width or height.
    pub fn code128(
        &mut self,
        content: &str,
        module_dots: u8,
        height_dots: u8,
    ) -> Result<&mut Self, EncodeError> {
        check("module width", usize::from(module_dots), 2, 6)?;
        check("height", usize::from(height_dots), 1, 255)?;
        if !content.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(EncodeError::BarcodeCharacter);
        }
        let mut data = b"{B".to_vec();
        for byte in content.bytes() {
            data.push(byte);
            // A brace introduces a function and is doubled when it is meant.
            if byte == b'{' {
                data.push(b'{');
            }
        }
        check("barcode length", data.len(), 3, BARCODE_BYTES_MAX)?;
        let length = u8::try_from(data.len()).unwrap_or(u8::MAX);
        self.push(&[GS, b'h', height_dots, GS, b'w', module_dots])
            .push(&[GS, b'f', 0, GS, b'H', 2, GS, b'k', 73, length])
            .push(&data);
        Ok(self)
    }

    /// A QR symbol, model 2, of `module_dots` (1…16) a module.
    ///
    /// # Errors
    /// [`EncodeError::OutOfRange`] for an empty or too long content, or another module size.
    pub fn qr(
        &mut self,
        content: &[u8],
        module_dots: u8,
        correction: QrCorrection,
    ) -> Result<&mut Self, EncodeError> {
        check("module size", usize::from(module_dots), 1, 16)?;
        check("QR length", content.len(), 1, QR_BYTES_MAX)?;
        let [low, high] = u16::try_from(content.len().saturating_add(3))
            .unwrap_or(u16::MAX)
            .to_le_bytes();
        self.push(&[GS, b'(', b'k', 4, 0, 0x31, 0x41, 0x32, 0])
            .push(&[GS, b'(', b'k', 3, 0, 0x31, 0x43, module_dots])
            .push(&[GS, b'(', b'k', 3, 0, 0x31, 0x45, correction.byte()])
            .push(&[GS, b'(', b'k', low, high, 0x31, 0x50, 0x30])
            .push(content)
            .push(&[GS, b'(', b'k', 3, 0, 0x31, 0x51, 0x30]);
        Ok(self)
    }

    /// An image in rows of `row_bytes`, one bit a dot, 1 is black, leftmost first.
    ///
    /// # Errors
    /// [`EncodeError::OutOfRange`] for an empty or too large image, [`EncodeError::ImageSize`]
    /// when `dots` does not hold `rows` rows.
    pub fn raster(
        &mut self,
        row_bytes: u16,
        rows: u16,
        dots: &[u8],
    ) -> Result<&mut Self, EncodeError> {
        let (width, height) = (usize::from(row_bytes), usize::from(rows));
        check("row bytes", width, 1, usize::from(IMAGE_ROW_BYTES_MAX))?;
        check("rows", height, 1, usize::from(IMAGE_ROWS_MAX))?;
        if dots.len() != width.saturating_mul(height) {
            return Err(EncodeError::ImageSize {
                row_bytes,
                rows,
                length: dots.len(),
            });
        }
        let ([xl, xh], [yl, yh]) = (row_bytes.to_le_bytes(), rows.to_le_bytes());
        self.push(&[GS, b'v', b'0', 0, xl, xh, yl, yh]).push(dots);
        Ok(self)
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

#[cfg(test)]
mod tests {
    use super::*;

    const VECTORS: &str = include_str!("../../vectors/escpos.json");

    fn vector(name: &str) -> Vec<u8> {
        let file: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
        let found = file["encoder"]
            .as_array()
            .unwrap()
            .iter()
            .find(|entry| entry["name"] == name)
            .unwrap_or_else(|| panic!("no vector {name}"));
        hex::decode(found["hex"].as_str().unwrap()).unwrap()
    }

    fn encoded(build: impl FnOnce(&mut Encoder)) -> Vec<u8> {
        let mut encoder = Encoder::new();
        build(&mut encoder);
        encoder.finish()
    }

    #[test]
    fn bytes_are_those_of_python_escpos() {
        let checks: [(&str, Vec<u8>); 7] = [
            (
                "hw INIT (ESC @)",
                encoded(|e| {
                    e.initialise();
                }),
            ),
            (
                "set bold center double size",
                encoded(|e| {
                    e.print_mode(Font::A, false, false)
                        .print_mode(Font::A, false, false)
                        .print_mode(Font::A, false, true)
                        .emphasis(true)
                        .justify(Align::Centre);
                }),
            ),
            (
                "text CP858 euro",
                encoded(|e| {
                    e.code_page(CodePage::Cp858)
                        .text("12,34 €", CodePage::Cp858)
                        .line_feed();
                }),
            ),
            (
                "qr native model2 size4 M",
                encoded(|e| {
                    e.qr(b"https://example.test/r/1", 4, QrCorrection::Medium)
                        .unwrap();
                }),
            ),
            (
                "cashdraw pin 2",
                encoded(|e| {
                    e.drawer_kick(DrawerPin::Two, 0x32, 0x32);
                }),
            ),
            (
                "cut part nofeed",
                encoded(|e| {
                    e.cut_partial(0);
                }),
            ),
            (
                "linespacing 24",
                encoded(|e| {
                    e.line_spacing(Some(24));
                }),
            ),
        ];
        for (name, bytes) in checks {
            assert_eq!(hex::encode(bytes), hex::encode(vector(name)), "{name}");
        }
        let barcode = encoded(|e| {
            e.code128("12345", 2, 64).unwrap();
        });
        // The vector sets justification first and HRI font and place in the same order.
        let expected = vector("code128 B");
        assert_eq!(barcode.last_chunk::<11>(), expected.last_chunk::<11>());
    }

    #[test]
    fn modes_are_the_specified_bytes() {
        let bytes = encoded(|e| {
            e.emphasis(true)
                .underline(true)
                .reverse(false)
                .size(2, 3)
                .unwrap()
                .font(Font::B)
                .print_mode(Font::B, true, true)
                .justify(Align::Right)
                .line_spacing(None)
                .feed_lines(3)
                .feed_dots(9)
                .cut_full(1)
                .international_usa()
                .automatic_status()
                .barrier()
                .process_id(*b"!~ 0");
        });
        assert_eq!(
            hex::encode(bytes),
            "1b45011b2d011d42001d21121b4d011b21391b61021b321b64031b4a091d5641011b52001d610f1d72011d284806003030217e2030"
        );
    }

    #[test]
    fn raster_is_the_specified_bytes() {
        let bytes = encoded(|e| {
            e.raster(2, 3, &[0, 0x81, 0, 0, 0x80, 0]).unwrap();
        });
        assert_eq!(
            hex::encode(bytes),
            "1d7630000200030000810000 8000".replace(' ', "")
        );
    }

    #[test]
    fn wrong_parameters_append_nothing() {
        let mut e = Encoder::new();
        assert!(e.size(0, 1).is_err());
        assert!(e.size(1, 9).is_err());
        assert!(e.code128("", 2, 64).is_err());
        assert!(e.code128("abc", 1, 64).is_err());
        assert!(e.code128(&"x".repeat(254), 2, 64).is_err());
        assert!(e.code128(&"{".repeat(127), 2, 64).is_err());
        assert_eq!(
            e.code128("a\u{10}", 2, 64).map(|_| ()),
            Err(EncodeError::BarcodeCharacter)
        );
        assert!(e.qr(b"", 4, QrCorrection::Low).is_err());
        assert!(e.qr(&[0; QR_BYTES_MAX + 1], 4, QrCorrection::Low).is_err());
        assert!(e.qr(b"x", 17, QrCorrection::Low).is_err());
        assert!(e.raster(2, 3, &[0; 5]).is_err());
        assert!(e.raster(0, 3, &[]).is_err());
        assert!(e.raster(1, 2304, &[0; 2304]).is_err());
        assert_eq!(e.finish(), Vec::<u8>::new());
    }

    #[test]
    fn a_brace_is_doubled() {
        let bytes = encoded(|e| {
            e.code128("a{b", 2, 64).unwrap();
        });
        assert!(bytes.ends_with(b"\x1dk\x49\x06{Ba{{b"));
    }
}
