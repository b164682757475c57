//! Printed paper as text for a terminal.
//!
//! One character a column of font A, wide characters followed by spaces, in a box like paper.
//! QR symbols are drawn in half blocks, light on dark, so that a telephone reads them from the
//! screen.

use super::symbol;
use super::ticket::{Align, Cell, Row, Ticket};

/// The paper in a box, each line ended by a line feed.
pub fn render_text(ticket: &Ticket) -> String {
    let columns = usize::from(ticket.width_dots / 12);
    let mut text = format!("┌{}┐\n", "─".repeat(columns.saturating_add(2)));
    for row in &ticket.rows {
        for line in row_lines(row, ticket.width_dots) {
            let free = columns.saturating_sub(line.chars().count());
            text.push_str(&format!("│ {line}{} │\n", " ".repeat(free)));
        }
    }
    text.push_str(&format!("└{}┘\n", "╌".repeat(columns.saturating_add(2))));
    text
}

fn row_lines(row: &Row, width_dots: u16) -> Vec<String> {
    let columns = usize::from(width_dots / 12);
    match row {
        Row::Text { cells, align, .. } => vec![text_line(cells, *align, width_dots)],
        // A feed of a line or more shows; less is only a gap.
        Row::Feed { dots } => vec![String::new(); usize::from(dots / 30)],
        Row::Qr(qr) => {
            let content = String::from_utf8_lossy(&qr.content).into_owned();
            let mut lines = match symbol::modules(qr) {
                Some((side, modules)) if side.saturating_add(4) <= columns => {
                    half_blocks(side, &modules, qr.align, columns)
                }
                _ => Vec::new(),
            };
            lines.extend(marked(&format!("[QR] {content}"), columns));
            lines
        }
        Row::Barcode(barcode) => marked(&format!("[BARCODE] {}", barcode.content), columns),
        Row::Image(image) => {
            let across = usize::from(image.row_bytes).saturating_mul(8);
            let rows = image
                .dots
                .len()
                .checked_div(usize::from(image.row_bytes))
                .unwrap_or(0);
            marked(&format!("[IMAGE] {across}×{rows} dots"), columns)
        }
    }
}

fn text_line(cells: &[Cell], align: Align, width_dots: u16) -> String {
    let used: u16 = cells.iter().map(Cell::width_dots).sum();
    // Font B has more characters a line than the box has columns: they are shown side by side.
    let column_dots = if cells.iter().any(|cell| cell.is_font_b) {
        9
    } else {
        12
    };
    let indent_dots = align.indent(usize::from(width_dots), usize::from(used));
    let mut line = " ".repeat(indent_dots / column_dots);
    for cell in cells {
        line.push(cell.character);
        line.push_str(&" ".repeat(usize::from(cell.width.saturating_sub(1))));
    }
    line.trim_end().to_owned()
}

fn marked(text: &str, columns: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters
        .chunks(columns.max(1))
        .map(|chunk| chunk.iter().collect())
        .collect()
}

/// Two rows of modules a line, with a light margin of two modules.
fn half_blocks(side: usize, modules: &[bool], align: Align, columns: usize) -> Vec<String> {
    const MARGIN: usize = 2;
    let total = side.saturating_add(2 * MARGIN);
    let is_dark = |row: usize, column: usize| -> bool {
        let (Some(row), Some(column)) = (row.checked_sub(MARGIN), column.checked_sub(MARGIN))
        else {
            return false;
        };
        row < side
            && column < side
            && modules
                .get(row.saturating_mul(side).saturating_add(column))
                .copied()
                .unwrap_or(false)
    };
    let indent = " ".repeat(align.indent(columns, total));
    (0..total)
        .step_by(2)
        .map(|row| {
            let blocks: String = (0..total)
                .map(
                    |column| match (is_dark(row, column), is_dark(row + 1, column)) {
                        (false, false) => '█',
                        (false, true) => '▀',
                        (true, false) => '▄',
                        (true, true) => ' ',
                    },
                )
                .collect();
            format!("{indent}{blocks}")
        })
        .collect()
}
