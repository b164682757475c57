//! What is not text: bar codes, QR symbols, images.
//!
//! Owns their bounds; what is out of them appends nothing.

use super::{EncodeError, Encoder, GS, check};

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

/// Most bytes of a QR symbol: version 40, correction L, binary.
pub const QR_BYTES_MAX: usize = 2953;
/// `n` of function B is a byte and counts the two of the code set.
const BARCODE_BYTES_MAX: usize = 255;
/// Highest image, from Epson's range of yL + yH × 256.
const IMAGE_ROWS_MAX: u16 = 2303;
/// Widest image: 128 bytes are 1024 dots, more than any receipt printer has.
const IMAGE_ROW_BYTES_MAX: u16 = 128;

impl Encoder {
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
}
