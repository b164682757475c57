//! Printed paper as a picture.
//!
//! 203 dots an inch as on paper, one pixel a dot, with the margins that a print head cannot reach.

use super::font;
use super::symbol;
use super::ticket::{Align, Barcode, Cell, Image, QrSymbol, Row, Ticket};

/// Unprintable strip left and right: 80 mm paper is 640 dots wide, the head 576.
const MARGIN_DOTS: usize = 32;
/// Bare paper above the first line and below the last one.
const EDGE_DOTS: usize = 40;
/// Lower than any till's receipt, in dots: four metres.
const HEIGHT_DOTS_MAX: usize = 32_000;
/// Grey of thermal paper and of its print.
const PAPER_GREY: u8 = 0xfc;
const INK_GREY: u8 = 0x1c;

/// The paper as a PNG: grey, 8 bits, 64 dots wider than the printable width.
///
/// A ticket of more than four metres is cut short.
pub fn render_png(ticket: &Ticket) -> Vec<u8> {
    let mut canvas = Canvas::new(usize::from(ticket.width_dots));
    for row in &ticket.rows {
        match row {
            Row::Text {
                cells,
                align,
                spacing_dots,
            } => canvas.text(cells, *align, usize::from(*spacing_dots)),
            Row::Feed { dots } => canvas.advance(usize::from(*dots)),
            Row::Qr(qr) => canvas.qr(qr),
            Row::Barcode(barcode) => canvas.barcode(barcode),
            Row::Image(image) => canvas.image(image),
        }
    }
    canvas.png()
}

/// Paper that grows downward; `true` is ink.
struct Canvas {
    width: usize,
    rows: Vec<Vec<bool>>,
    top: usize,
}

impl Canvas {
    fn new(width: usize) -> Self {
        Self {
            width,
            rows: Vec::new(),
            top: 0,
        }
    }

    fn advance(&mut self, dots: usize) {
        self.top = self.top.saturating_add(dots).min(HEIGHT_DOTS_MAX);
        if self.rows.len() < self.top {
            self.rows.resize(self.top, vec![false; self.width]);
        }
    }

    fn ink(&mut self, x: usize, y: usize) {
        let y = self.top.saturating_add(y);
        if y >= HEIGHT_DOTS_MAX {
            return;
        }
        if self.rows.len() <= y {
            self.rows
                .resize(y.saturating_add(1), vec![false; self.width]);
        }
        if let Some(dot) = self.rows.get_mut(y).and_then(|row| row.get_mut(x)) {
            *dot = true;
        }
    }

    fn block(&mut self, x: usize, y: usize, width: usize, height: usize) {
        for row in y..y.saturating_add(height) {
            for column in x..x.saturating_add(width) {
                self.ink(column, row);
            }
        }
    }

    fn text(&mut self, cells: &[Cell], align: Align, spacing_dots: usize) {
        let used: usize = cells
            .iter()
            .map(|cell| usize::from(cell.width_dots()))
            .sum();
        let tallest = cells
            .iter()
            .map(|cell| usize::from(cell.height_dots()))
            .max()
            .unwrap_or(0);
        let mut x = align.indent(self.width, used);
        for cell in cells {
            // Characters of different heights stand on one line.
            let y = tallest.saturating_sub(usize::from(cell.height_dots()));
            self.cell(cell, x, y);
            x = x.saturating_add(usize::from(cell.width_dots()));
        }
        self.advance(spacing_dots.max(tallest));
    }

    fn cell(&mut self, cell: &Cell, x: usize, y: usize) {
        let (width, height) = (
            usize::from(cell.width_dots()),
            usize::from(cell.height_dots()),
        );
        let glyph = font::glyph(cell.character, width, height);
        let bold = if cell.is_bold {
            usize::from(cell.width)
        } else {
            0
        };
        let underline_top = height.saturating_sub(usize::from(cell.underline_dots));
        for row in 0..height {
            for column in 0..width {
                let is_stroke = glyph.is_ink(column, row)
                    || (bold > 0 && column >= bold && glyph.is_ink(column - bold, row))
                    || row >= underline_top;
                if is_stroke != cell.is_reverse {
                    self.ink(x.saturating_add(column), y.saturating_add(row));
                }
            }
        }
    }

    fn qr(&mut self, qr: &QrSymbol) {
        let Some((side, modules)) = symbol::modules(qr) else {
            return;
        };
        let dots = usize::from(qr.module_dots);
        let left = qr.align.indent(self.width, side.saturating_mul(dots));
        for (row, line) in modules.chunks(side.max(1)).enumerate() {
            for (column, _) in line.iter().enumerate().filter(|(_, is_dark)| **is_dark) {
                let x = left.saturating_add(column.saturating_mul(dots));
                self.block(x, row.saturating_mul(dots), dots, dots);
            }
        }
        self.advance(side.saturating_mul(dots));
    }

    fn barcode(&mut self, barcode: &Barcode) {
        let Some(bars) = symbol::bars(barcode) else {
            return;
        };
        if barcode.has_text_above {
            self.barcode_text(barcode);
        }
        let dots = usize::from(barcode.module_dots);
        let left = barcode
            .align
            .indent(self.width, bars.len().saturating_mul(dots));
        for (column, _) in bars.iter().enumerate().filter(|(_, is_bar)| **is_bar) {
            let x = left.saturating_add(column.saturating_mul(dots));
            self.block(x, 0, dots, usize::from(barcode.height_dots));
        }
        self.advance(usize::from(barcode.height_dots));
        if barcode.has_text_below {
            self.barcode_text(barcode);
        }
    }

    fn barcode_text(&mut self, barcode: &Barcode) {
        let cells: Vec<Cell> = barcode
            .content
            .chars()
            .map(|character| Cell {
                character,
                is_font_b: barcode.is_font_b,
                width: 1,
                height: 1,
                is_bold: false,
                underline_dots: 0,
                is_reverse: false,
            })
            .collect();
        self.text(&cells, barcode.align, 0);
    }

    fn image(&mut self, image: &Image) {
        let row_bytes = usize::from(image.row_bytes).max(1);
        let (wide, high) = (usize::from(image.width), usize::from(image.height));
        let across = row_bytes.saturating_mul(8).saturating_mul(wide);
        let left = image.align.indent(self.width, across);
        let mut rows: usize = 0;
        for line in image.dots.chunks(row_bytes) {
            for column in 0..row_bytes.saturating_mul(8) {
                let is_dark = line
                    .get(column / 8)
                    .is_some_and(|byte| byte & (0x80 >> (column % 8)) != 0);
                if is_dark {
                    let x = left.saturating_add(column.saturating_mul(wide));
                    self.block(x, rows.saturating_mul(high), wide, high);
                }
            }
            rows = rows.saturating_add(1);
        }
        self.advance(rows.saturating_mul(high));
    }

    fn png(&self) -> Vec<u8> {
        let width = self.width.saturating_add(2 * MARGIN_DOTS);
        let bare = vec![PAPER_GREY; width.saturating_mul(EDGE_DOTS)];
        let mut pixels = bare.clone();
        for row in &self.rows {
            pixels.extend([PAPER_GREY; MARGIN_DOTS]);
            pixels.extend(
                row.iter()
                    .map(|is_ink| if *is_ink { INK_GREY } else { PAPER_GREY }),
            );
            pixels.extend([PAPER_GREY; MARGIN_DOTS]);
        }
        pixels.extend(bare);
        let height = self.rows.len().saturating_add(2 * EDGE_DOTS);
        encode_png(width, height, &pixels).unwrap_or_default()
    }
}

/// Writing to memory fails only for a size that does not match, which the caller excludes.
fn encode_png(width: usize, height: usize, pixels: &[u8]) -> Option<Vec<u8>> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(
        &mut file,
        u32::try_from(width).ok()?,
        u32::try_from(height).ok()?,
    );
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(pixels).ok()?;
    writer.finish().ok()?;
    Some(file)
}
