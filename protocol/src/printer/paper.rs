//! What the encoder must know of the paper and the printer behind it.

use std::sync::Arc;

use super::code_page::CodePage;
use super::logo::Logo;
use crate::receipt::{COLUMNS_MAX, COLUMNS_MIN};

/// A character font.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Font {
    /// 12×24 dots.
    A,
    /// 9×17 dots.
    B,
}

impl Font {
    /// The `n` of `1B 4D n`.
    pub const fn number(self) -> u8 {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }

    /// Width of a character cell in dots.
    pub const fn width_dots(self) -> u16 {
        match self {
            Self::A => 12,
            Self::B => 9,
        }
    }
}

/// How a receipt is parted from the roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// All but one point: the usual receipt cut, which every cutter makes.
    Partial,
    /// Through. Not every printer can.
    Full,
    /// No cutter: a person tears.
    None,
}

/// The paper that a receipt is laid out for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paper {
    columns: u16,
    font: Font,
    code_page: CodePage,
    feed_before_cut_dots: u8,
    cut: Cut,
    logo: Option<Arc<Logo>>,
    band_bytes: usize,
}

/// Most columns in font A: 576 dots, 80 mm paper at 203 dpi.
const FONT_A_COLUMNS_MAX: u16 = 48;
/// Bytes of a picture in one command: it goes out whole, into an empty buffer.
const BAND_BYTES_MAX: usize = 512;
/// An empty strip of 3 mm below the last line.
const FEED_BEFORE_CUT_DOTS: u8 = 24;

impl Paper {
    /// Paper of `columns` characters, clamped to 24…64; above 48 they are of font B.
    pub fn new(columns: usize) -> Self {
        let columns =
            u16::try_from(columns.clamp(COLUMNS_MIN, COLUMNS_MAX)).unwrap_or(FONT_A_COLUMNS_MAX);
        Self {
            columns,
            font: if columns <= FONT_A_COLUMNS_MAX {
                Font::A
            } else {
                Font::B
            },
            code_page: CodePage::Cp858,
            feed_before_cut_dots: FEED_BEFORE_CUT_DOTS,
            cut: Cut::Partial,
            logo: None,
            band_bytes: BAND_BYTES_MAX,
        }
    }

    /// The same paper in a printer that prints with another code page.
    pub fn with_code_page(self, code_page: CodePage) -> Self {
        Self { code_page, ..self }
    }

    /// The same paper with another feed between the last line and the cutter, in dots.
    pub fn with_feed_before_cut(self, feed_before_cut_dots: u8) -> Self {
        Self {
            feed_before_cut_dots,
            ..self
        }
    }

    /// The same paper printed in another font: 42 columns of font B are 58 mm paper.
    pub fn with_font(self, font: Font) -> Self {
        Self { font, ..self }
    }

    /// The same paper in a printer with another cutter.
    pub fn with_cut(self, cut: Cut) -> Self {
        Self { cut, ..self }
    }

    /// The same paper with a picture above each receipt.
    pub fn with_logo(self, logo: Logo) -> Self {
        let logo = Some(Arc::new(logo));
        Self { logo, ..self }
    }

    /// The same paper in a printer that takes pictures in commands of up to this many bytes, of
    /// 512 at most and of one row at least.
    pub fn with_band_bytes(self, band_bytes: usize) -> Self {
        let band_bytes = band_bytes.min(BAND_BYTES_MAX);
        Self { band_bytes, ..self }
    }

    /// Characters a line.
    pub fn columns(&self) -> usize {
        usize::from(self.columns)
    }

    /// The font in which that many columns fit.
    pub const fn font(&self) -> Font {
        self.font
    }

    /// The code page of texts.
    pub const fn code_page(&self) -> CodePage {
        self.code_page
    }

    /// Feed between the last line and the cutter, in dots.
    pub const fn feed_before_cut_dots(&self) -> u8 {
        self.feed_before_cut_dots
    }

    /// How receipts are parted.
    pub const fn cut(&self) -> Cut {
        self.cut
    }

    /// The picture above each receipt.
    pub fn logo(&self) -> Option<&Logo> {
        self.logo.as_deref()
    }

    /// Bytes of a picture in one command.
    pub const fn band_bytes(&self) -> usize {
        self.band_bytes
    }

    /// Dots across that surely are printable.
    pub const fn width_dots(&self) -> u16 {
        self.columns.saturating_mul(self.font.width_dots())
    }
}
