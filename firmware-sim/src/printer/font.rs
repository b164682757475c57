//! The printer's bitmap font.
//!
//! Drawn for this project on a grid of 6×12: two rows for accents, seven for the body, two below
//! the line and one of space; five columns and one of space. Cells of 12×24 dots are made of it
//! by doubling with rounded corners (the Scale2x rule), other cells by sampling those.

use glyphs::{ACCENTED, GLYPHS, Mark};

mod glyphs;

const GRID_WIDTH: usize = 6;
const GRID_HEIGHT: usize = 12;
/// Grid row of the top of capitals.
const BODY_ROW: usize = 2;

/// A character as dots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glyph {
    width: usize,
    height: usize,
    dots: Vec<bool>,
}

impl Glyph {
    fn blank(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            dots: vec![false; width.saturating_mul(height)],
        }
    }

    /// Whether the dot is black; outside of the cell none is.
    pub(super) fn is_ink(&self, x: usize, y: usize) -> bool {
        x < self.width
            && self
                .dots
                .get(y.saturating_mul(self.width).saturating_add(x))
                .copied()
                .unwrap_or(false)
    }

    fn set(&mut self, x: usize, y: usize) {
        let place = y.saturating_mul(self.width).saturating_add(x);
        if let (true, Some(dot)) = (x < self.width, self.dots.get_mut(place)) {
            *dot = true;
        }
    }

    /// Sets the five columns of a grid row from the low bits of `bits`.
    fn set_row(&mut self, y: usize, bits: u8) {
        for x in 0..5 {
            if bits & (0x10 >> x) != 0 {
                self.set(x, y);
            }
        }
    }

    /// Twice the size; a corner between two equal neighbours is rounded.
    fn doubled(&self) -> Self {
        let mut double = Self::blank(self.width.saturating_mul(2), self.height.saturating_mul(2));
        for y in 0..self.height {
            for x in 0..self.width {
                let above = y.checked_sub(1).is_some_and(|y| self.is_ink(x, y));
                let below = self.is_ink(x, y.saturating_add(1));
                let left = x.checked_sub(1).is_some_and(|x| self.is_ink(x, y));
                let right = self.is_ink(x.saturating_add(1), y);
                let own = self.is_ink(x, y);
                let is_corner = above != below && left != right;
                let quarters = [
                    (
                        0,
                        0,
                        if is_corner && left == above {
                            left
                        } else {
                            own
                        },
                    ),
                    (
                        1,
                        0,
                        if is_corner && above == right {
                            right
                        } else {
                            own
                        },
                    ),
                    (
                        0,
                        1,
                        if is_corner && left == below {
                            left
                        } else {
                            own
                        },
                    ),
                    (
                        1,
                        1,
                        if is_corner && below == right {
                            right
                        } else {
                            own
                        },
                    ),
                ];
                for (dx, dy, is_ink) in quarters {
                    if is_ink {
                        double.set(x.saturating_mul(2) + dx, y.saturating_mul(2) + dy);
                    }
                }
            }
        }
        double
    }

    fn sampled(&self, width: usize, height: usize) -> Self {
        let mut result = Self::blank(width, height);
        for y in 0..height {
            for x in 0..width {
                let from_x = x.saturating_mul(self.width) / width.max(1);
                let from_y = y.saturating_mul(self.height) / height.max(1);
                if self.is_ink(from_x, from_y) {
                    result.set(x, y);
                }
            }
        }
        result
    }
}

/// The character in a cell of that many dots; what the font lacks is a hollow box.
pub(super) fn glyph(character: char, width: usize, height: usize) -> Glyph {
    let mut drawn = on_grid(character);
    while drawn.width.saturating_mul(2) <= width && drawn.height.saturating_mul(2) <= height {
        drawn = drawn.doubled();
    }
    if (drawn.width, drawn.height) == (width, height) {
        return drawn;
    }
    drawn.sampled(width, height)
}

fn on_grid(character: char) -> Glyph {
    let mut grid = Glyph::blank(GRID_WIDTH, GRID_HEIGHT);
    if let Some((_, base, mark)) = ACCENTED.iter().find(|(known, _, _)| *known == character) {
        draw_body(&mut grid, *base);
        draw_mark(&mut grid, *mark, base.is_uppercase());
    } else if !draw_line_art(&mut grid, character) {
        draw_body(&mut grid, character);
    }
    grid
}

fn draw_body(grid: &mut Glyph, character: char) {
    const MISSING: [u8; 9] = [0x1f, 0x11, 0x11, 0x11, 0x11, 0x11, 0x1f, 0, 0];
    if matches!(character, ' ' | '\u{a0}' | '\u{ad}') {
        return;
    }
    let rows = GLYPHS
        .iter()
        .find(|(known, _)| *known == character)
        .map_or(&MISSING, |(_, rows)| rows);
    for (row, bits) in rows.iter().enumerate() {
        grid.set_row(BODY_ROW.saturating_add(row), *bits);
    }
}

/// Capitals have two rows above them, small letters three, the last one a gap in most marks.
fn draw_mark(grid: &mut Glyph, mark: Mark, is_capital: bool) {
    let (top, rows) = match mark {
        Mark::Acute => (0, [0x02, 0x04, 0]),
        Mark::Grave => (0, [0x08, 0x04, 0]),
        Mark::Circumflex => (0, [0x04, 0x0a, 0]),
        Mark::Caron => (0, [0x0a, 0x04, 0]),
        Mark::Diaeresis => (0, [0x0a, 0, 0]),
        Mark::Tilde => (0, [0x0d, 0x16, 0]),
        Mark::Ring if is_capital => (0, [0x0e, 0x0a, 0]),
        Mark::Ring => (0, [0x04, 0x0a, 0x04]),
        Mark::Cedilla => (9, [0x04, 0x0c, 0]),
    };
    let is_lowered = !is_capital && mark != Mark::Cedilla;
    let top = if is_lowered { 1 } else { top };
    for (row, bits) in rows.into_iter().enumerate() {
        if bits != 0 {
            grid.set_row(top + row, bits);
        }
    }
}

/// Characters that touch their neighbours: the underscore, frames and blocks.
fn draw_line_art(grid: &mut Glyph, character: char) -> bool {
    let (up, down, left, right) = match character {
        '_' => {
            (0..GRID_WIDTH).for_each(|x| grid.set(x, 9));
            return true;
        }
        '█' | '▀' | '▄' | '▌' | '▐' | '■' | '░' | '▒' | '▓' => {
            draw_blocks(grid, character);
            return true;
        }
        '─' | '═' => (false, false, true, true),
        '│' | '║' => (true, true, false, false),
        '┌' | '╔' => (false, true, false, true),
        '┐' | '╗' => (false, true, true, false),
        '└' | '╚' => (true, false, false, true),
        '┘' | '╝' => (true, false, true, false),
        '├' | '╠' => (true, true, false, true),
        '┤' | '╣' => (true, true, true, false),
        '┬' | '╦' => (false, true, true, true),
        '┴' | '╩' => (true, false, true, true),
        '┼' | '╬' => (true, true, true, true),
        _ => return false,
    };
    let (middle_x, middle_y) = (2, 5);
    (0..=middle_y)
        .filter(|_| up)
        .for_each(|y| grid.set(middle_x, y));
    (middle_y..GRID_HEIGHT)
        .filter(|_| down)
        .for_each(|y| grid.set(middle_x, y));
    (0..=middle_x)
        .filter(|_| left)
        .for_each(|x| grid.set(x, middle_y));
    (middle_x..GRID_WIDTH)
        .filter(|_| right)
        .for_each(|x| grid.set(x, middle_y));
    true
}

fn draw_blocks(grid: &mut Glyph, character: char) {
    for y in 0..GRID_HEIGHT {
        for x in 0..GRID_WIDTH {
            let is_ink = match character {
                '█' => true,
                '▀' => y < GRID_HEIGHT / 2,
                '▄' => y >= GRID_HEIGHT / 2,
                '▌' => x < GRID_WIDTH / 2,
                '▐' => x >= GRID_WIDTH / 2,
                '■' => (4..9).contains(&y) && x < 5,
                '░' => x % 2 == 0 && y % 2 == 0,
                '▒' => (x + y) % 2 == 0,
                _ => x % 2 == 1 || y % 2 == 1,
            };
            if is_ink {
                grid.set(x, y);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_printable_character_differs_from_every_other() {
        let mut characters: Vec<char> = ('!'..='~').collect();
        characters.extend(ACCENTED.iter().map(|(character, _, _)| *character));
        characters.extend("€£¢¥§ßæÆøØµ".chars());
        for (place, character) in characters.iter().enumerate() {
            let drawn = glyph(*character, 12, 24);
            let missing = glyph('\u{1f600}', 12, 24);
            assert!(drawn != missing, "{character} is missing");
            for other in &characters[..place] {
                assert_ne!(
                    drawn,
                    glyph(*other, 12, 24),
                    "{character} looks like {other}"
                );
            }
        }
    }

    #[test]
    fn accents_stand_on_known_letters() {
        for (character, base, _) in ACCENTED {
            assert!(
                GLYPHS.iter().any(|(known, _)| *known == base),
                "{character} stands on {base}"
            );
        }
    }

    #[test]
    fn glyphs_fill_the_cells_asked_for() {
        for (width, height) in [(12, 24), (9, 17), (24, 48), (12, 48), (96, 192)] {
            let glyph = glyph('H', width, height);
            assert_eq!(glyph.dots.len(), width * height);
            assert!(glyph.dots.iter().any(|dot| *dot));
        }
    }
}
