//! Printed paper as data: what a renderer needs, and nothing of how it came.

/// A piece of paper, from cut to cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Printable dots across.
    pub width_dots: u16,
    /// What is on it, from top to bottom.
    pub rows: Vec<Row>,
}

/// One thing across the paper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// A line of characters.
    Text {
        /// The characters.
        cells: Vec<Cell>,
        /// Position on the paper.
        align: Align,
        /// Paper fed for the line, in dots; taller characters take more.
        spacing_dots: u16,
    },
    /// Empty paper.
    Feed {
        /// Its length in dots.
        dots: u16,
    },
    /// A QR symbol.
    Qr(QrSymbol),
    /// A CODE128 symbol.
    Barcode(Barcode),
    /// A picture.
    Image(Image),
}

/// Position on the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Align {
    /// At the left margin.
    #[default]
    Left,
    /// In the middle.
    Centre,
    /// At the right margin.
    Right,
}

impl Align {
    /// Space to the left of something of `width` on paper of `available`, in any one unit.
    pub(super) fn indent(self, available: usize, width: usize) -> usize {
        let free = available.saturating_sub(width);
        match self {
            Self::Left => 0,
            Self::Centre => free / 2,
            Self::Right => free,
        }
    }
}

/// One printed character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// The character.
    pub character: char,
    /// Font B, 9×17 dots, instead of A, 12×24 dots.
    pub is_font_b: bool,
    /// Times wider, 1…8.
    pub width: u8,
    /// Times higher, 1…8.
    pub height: u8,
    /// Bold.
    pub is_bold: bool,
    /// Underlined by this many dots.
    pub underline_dots: u8,
    /// White on black.
    pub is_reverse: bool,
}

impl Cell {
    /// Dots across.
    pub fn width_dots(&self) -> u16 {
        let width = if self.is_font_b { 9 } else { 12 };
        u16::from(self.width).saturating_mul(width)
    }

    /// Dots from top to bottom.
    pub fn height_dots(&self) -> u16 {
        let height = if self.is_font_b { 17 } else { 24 };
        u16::from(self.height).saturating_mul(height)
    }
}

/// A QR symbol, model 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QrSymbol {
    /// What it encodes.
    pub content: Vec<u8>,
    /// Dots a module.
    pub module_dots: u8,
    /// Error correction 0…3: L, M, Q, H.
    pub correction: u8,
    /// Position on the paper.
    pub align: Align,
}

/// A CODE128 symbol in code set B.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barcode {
    /// What it encodes: printable ASCII.
    pub content: String,
    /// Dots a module.
    pub module_dots: u8,
    /// Height in dots.
    pub height_dots: u8,
    /// Whether the content is printed above.
    pub has_text_above: bool,
    /// Whether the content is printed below.
    pub has_text_below: bool,
    /// Whether that text is in font B.
    pub is_font_b: bool,
    /// Position on the paper.
    pub align: Align,
}

/// A picture of one bit a dot, 1 is black.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Bytes a row; the highest bit is the leftmost dot.
    pub row_bytes: u16,
    /// The rows, one after another.
    pub dots: Vec<u8>,
    /// Times wider, 1 or 2.
    pub width: u8,
    /// Times higher, 1 or 2.
    pub height: u8,
    /// Position on the paper.
    pub align: Align,
}
