//! The printing side of the device: modes, the line being filled, and the paper in the feed.
//!
//! Executes commands in order and knows nothing of buffers, sensors or time.

use super::code_page;
use super::symbol;
use super::ticket::{Align, Barcode, Cell, Image, QrSymbol, Row, Ticket};
use super::tokenizer::{Raster, Token};

/// Dots of 1/6 inch in the units of a TM-T88.
const LINE_SPACING_DOTS: u8 = 30;
/// Height of a barcode after power-on.
const BARCODE_HEIGHT_DOTS: u8 = 162;

/// What a command did beyond changing modes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing to be seen.
    None,
    /// Paper moved.
    Fed,
}

#[derive(Debug, Clone)]
struct Modes {
    code_page: u8,
    international_set: u8,
    is_font_b: bool,
    width: u8,
    height: u8,
    is_bold: bool,
    underline_dots: u8,
    is_reverse: bool,
    align: Align,
    spacing_dots: u8,
    barcode_height: u8,
    barcode_module: u8,
    barcode_text_place: u8,
    is_barcode_font_b: bool,
    qr_module: u8,
    qr_correction: u8,
    qr_content: Vec<u8>,
}

impl Modes {
    fn power_on(international_set: u8) -> Self {
        Self {
            code_page: 0,
            international_set,
            is_font_b: false,
            width: 1,
            height: 1,
            is_bold: false,
            underline_dots: 0,
            is_reverse: false,
            align: Align::Left,
            spacing_dots: LINE_SPACING_DOTS,
            barcode_height: BARCODE_HEIGHT_DOTS,
            barcode_module: 3,
            barcode_text_place: 0,
            is_barcode_font_b: false,
            qr_module: 3,
            qr_correction: 0,
            qr_content: Vec::new(),
        }
    }
}

/// The page under the head.
#[derive(Debug, Clone)]
pub(super) struct Page {
    width_dots: u16,
    international_set: u8,
    modes: Modes,
    line: Vec<Cell>,
    rows: Vec<Row>,
}

impl Page {
    pub(super) fn new(width_dots: u16, international_set: u8) -> Self {
        Self {
            width_dots,
            international_set,
            modes: Modes::power_on(international_set),
            line: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Modes as after power-on; an unfinished line is lost, printed paper stays in the feed.
    pub(super) fn initialise(&mut self) {
        self.modes = Modes::power_on(self.international_set);
        self.line.clear();
    }

    /// Drops the unfinished line.
    pub(super) fn discard_line(&mut self) {
        self.line.clear();
    }

    pub(super) fn is_at_line_start(&self) -> bool {
        self.line.is_empty()
    }

    pub(super) fn has_paper(&self) -> bool {
        !self.rows.is_empty()
    }

    /// Feeds to the cutter and takes the paper off.
    pub(super) fn cut(&mut self, feed_dots: u8) -> Ticket {
        self.feed(u16::from(feed_dots));
        Ticket {
            width_dots: self.width_dots,
            rows: std::mem::take(&mut self.rows),
        }
    }

    /// Executes a printing command; `Err` says which rule of the printer it breaks.
    pub(super) fn execute(&mut self, token: Token) -> Result<Effect, &'static str> {
        match token {
            Token::Character(byte) => return Ok(self.put(byte)),
            Token::LineFeed => return Ok(self.end_line()),
            Token::FeedLines(lines) => return Ok(self.feed_lines(lines)),
            Token::FeedDots(dots) => return Ok(self.feed_dots(dots)),
            Token::Code128(content) => return self.barcode(&content),
            Token::QrPrint => return self.qr(),
            Token::Raster(raster) => return self.raster(raster),
            Token::Justify(n) => return self.justify(n),
            other => self.set_mode(other),
        }
        Ok(Effect::None)
    }

    fn set_mode(&mut self, token: Token) {
        let modes = &mut self.modes;
        match token {
            Token::CodePage(page) => modes.code_page = page,
            Token::InternationalSet(set) => modes.international_set = set,
            Token::Emphasis(is_on) => modes.is_bold = is_on,
            Token::Underline(dots) => modes.underline_dots = dots,
            Token::Reverse(is_on) => modes.is_reverse = is_on,
            Token::Font(font) => modes.is_font_b = font == 1,
            Token::Size { width, height } => (modes.width, modes.height) = (width, height),
            Token::PrintMode(mode) => {
                modes.is_font_b = mode & 0x01 != 0;
                modes.is_bold = mode & 0x08 != 0;
                modes.height = if mode & 0x10 != 0 { 2 } else { 1 };
                modes.width = if mode & 0x20 != 0 { 2 } else { 1 };
                modes.underline_dots = u8::from(mode & 0x80 != 0);
            }
            Token::LineSpacing(dots) => modes.spacing_dots = dots.unwrap_or(LINE_SPACING_DOTS),
            Token::BarcodeHeight(dots) => modes.barcode_height = dots,
            Token::BarcodeModule(dots) => modes.barcode_module = dots,
            Token::BarcodeTextPlace(place) => modes.barcode_text_place = place,
            Token::BarcodeTextFont(font) => modes.is_barcode_font_b = font == 1,
            Token::QrModule(dots) => modes.qr_module = dots,
            Token::QrCorrection(level) => modes.qr_correction = level & 3,
            Token::QrStore(content) => modes.qr_content = content,
            _ => {}
        }
    }

    fn put(&mut self, byte: u8) -> Effect {
        let cell = Cell {
            character: code_page::character(
                byte,
                self.modes.code_page,
                self.modes.international_set,
            ),
            is_font_b: self.modes.is_font_b,
            width: self.modes.width,
            height: self.modes.height,
            is_bold: self.modes.is_bold,
            underline_dots: self.modes.underline_dots,
            is_reverse: self.modes.is_reverse,
        };
        let used: u16 = self.line.iter().map(Cell::width_dots).sum();
        let effect = if used.saturating_add(cell.width_dots()) > self.width_dots {
            self.end_line()
        } else {
            Effect::None
        };
        self.line.push(cell);
        effect
    }

    fn end_line(&mut self) -> Effect {
        self.rows.push(Row::Text {
            cells: std::mem::take(&mut self.line),
            align: self.modes.align,
            spacing_dots: u16::from(self.modes.spacing_dots),
        });
        Effect::Fed
    }

    fn feed(&mut self, dots: u16) {
        if dots > 0 {
            self.rows.push(Row::Feed { dots });
        }
    }

    fn feed_lines(&mut self, lines: u8) -> Effect {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.feed(u16::from(self.modes.spacing_dots).saturating_mul(u16::from(lines)));
        Effect::Fed
    }

    fn feed_dots(&mut self, dots: u8) -> Effect {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.feed(u16::from(dots));
        Effect::Fed
    }

    fn justify(&mut self, n: u8) -> Result<Effect, &'static str> {
        self.require_line_start("justification within a line")?;
        self.modes.align = match n {
            0 => Align::Left,
            1 => Align::Centre,
            _ => Align::Right,
        };
        Ok(Effect::None)
    }

    fn barcode(&mut self, content: &[u8]) -> Result<Effect, &'static str> {
        self.require_line_start("barcode within a line")?;
        let place = self.modes.barcode_text_place;
        let barcode = Barcode {
            content: content.iter().copied().map(char::from).collect(),
            module_dots: self.modes.barcode_module,
            height_dots: self.modes.barcode_height,
            has_text_above: place & 1 != 0,
            has_text_below: place & 2 != 0,
            is_font_b: self.modes.is_barcode_font_b,
            align: self.modes.align,
        };
        let modules = symbol::bars(&barcode).ok_or("barcode content cannot be encoded")?;
        self.require_width(
            modules.len(),
            barcode.module_dots,
            "barcode wider than paper",
        )?;
        self.rows.push(Row::Barcode(barcode));
        Ok(Effect::Fed)
    }

    fn qr(&mut self) -> Result<Effect, &'static str> {
        self.require_line_start("QR symbol within a line")?;
        let qr = QrSymbol {
            content: self.modes.qr_content.clone(),
            module_dots: self.modes.qr_module,
            correction: self.modes.qr_correction,
            align: self.modes.align,
        };
        if qr.content.is_empty() {
            return Err("QR symbol printed before its data was stored");
        }
        let (side, _) = symbol::modules(&qr).ok_or("QR content cannot be encoded")?;
        self.require_width(side, qr.module_dots, "QR symbol wider than paper")?;
        self.rows.push(Row::Qr(qr));
        Ok(Effect::Fed)
    }

    fn raster(&mut self, raster: Raster) -> Result<Effect, &'static str> {
        self.require_line_start("image within a line")?;
        let image = Image {
            row_bytes: raster.row_bytes,
            dots: raster.dots,
            width: if raster.mode & 1 != 0 { 2 } else { 1 },
            height: if raster.mode & 2 != 0 { 2 } else { 1 },
            align: self.modes.align,
        };
        let across = usize::from(image.row_bytes).saturating_mul(8);
        self.require_width(across, image.width, "image wider than paper")?;
        self.push_image(image);
        Ok(Effect::Fed)
    }

    /// A picture right below one of the same width is the same picture.
    fn push_image(&mut self, image: Image) {
        if let Some(Row::Image(above)) = self.rows.last_mut()
            && (above.row_bytes, above.width, above.height, above.align)
                == (image.row_bytes, image.width, image.height, image.align)
        {
            above.dots.extend(image.dots);
        } else {
            self.rows.push(Row::Image(image));
        }
    }

    fn require_line_start(&self, broken_rule: &'static str) -> Result<(), &'static str> {
        if self.line.is_empty() {
            return Ok(());
        }
        Err(broken_rule)
    }

    fn require_width(
        &self,
        units: usize,
        unit_dots: u8,
        broken_rule: &'static str,
    ) -> Result<(), &'static str> {
        if units.saturating_mul(usize::from(unit_dots)) <= usize::from(self.width_dots) {
            return Ok(());
        }
        Err(broken_rule)
    }
}
