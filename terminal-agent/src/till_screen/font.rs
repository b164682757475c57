//! Letters and figures out of blocks, five rows high, for what has to be read from a metre away.

/// Rows of every glyph.
pub(super) const ROWS: usize = 5;
/// Empty columns between two glyphs.
const GAP: usize = 1;

/// A glyph: its rows from the top, the leftmost column in the highest of `width` bits.
type Glyph = (usize, [u8; ROWS]);

/// The glyph of a character, if there is one.
fn glyph(letter: char) -> Option<Glyph> {
    let wide = |rows| Some((5, rows));
    match letter {
        'A' => wide([0b01110, 0b10001, 0b11111, 0b10001, 0b10001]),
        'B' => wide([0b11110, 0b10001, 0b11110, 0b10001, 0b11110]),
        'C' => wide([0b01111, 0b10000, 0b10000, 0b10000, 0b01111]),
        'D' => wide([0b11110, 0b10001, 0b10001, 0b10001, 0b11110]),
        'E' => wide([0b11111, 0b10000, 0b11110, 0b10000, 0b11111]),
        'F' => wide([0b11111, 0b10000, 0b11110, 0b10000, 0b10000]),
        'G' => wide([0b01111, 0b10000, 0b10011, 0b10001, 0b01111]),
        'H' => wide([0b10001, 0b10001, 0b11111, 0b10001, 0b10001]),
        'I' => Some((3, [0b111, 0b010, 0b010, 0b010, 0b111])),
        'J' => wide([0b00111, 0b00010, 0b00010, 0b10010, 0b01100]),
        'K' => wide([0b10001, 0b10010, 0b11100, 0b10010, 0b10001]),
        'L' => wide([0b10000, 0b10000, 0b10000, 0b10000, 0b11111]),
        'M' => wide([0b10001, 0b11011, 0b10101, 0b10001, 0b10001]),
        'N' => wide([0b10001, 0b11001, 0b10101, 0b10011, 0b10001]),
        'O' => wide([0b01110, 0b10001, 0b10001, 0b10001, 0b01110]),
        'P' => wide([0b11110, 0b10001, 0b11110, 0b10000, 0b10000]),
        'Q' => wide([0b01110, 0b10001, 0b10101, 0b10010, 0b01101]),
        'R' => wide([0b11110, 0b10001, 0b11110, 0b10010, 0b10001]),
        'S' => wide([0b01111, 0b10000, 0b01110, 0b00001, 0b11110]),
        'T' => wide([0b11111, 0b00100, 0b00100, 0b00100, 0b00100]),
        'U' => wide([0b10001, 0b10001, 0b10001, 0b10001, 0b01110]),
        'V' => wide([0b10001, 0b10001, 0b10001, 0b01010, 0b00100]),
        'W' => wide([0b10001, 0b10001, 0b10101, 0b11011, 0b10001]),
        'X' => wide([0b10001, 0b01010, 0b00100, 0b01010, 0b10001]),
        'Y' => wide([0b10001, 0b01010, 0b00100, 0b00100, 0b00100]),
        'Z' => wide([0b11111, 0b00010, 0b00100, 0b01000, 0b11111]),
        '0' => wide([0b01110, 0b10001, 0b10001, 0b10001, 0b01110]),
        '1' => Some((3, [0b010, 0b110, 0b010, 0b010, 0b111])),
        '2' => wide([0b11110, 0b00001, 0b01110, 0b10000, 0b11111]),
        '3' => wide([0b11110, 0b00001, 0b01110, 0b00001, 0b11110]),
        '4' => wide([0b10010, 0b10010, 0b11111, 0b00010, 0b00010]),
        '5' => wide([0b11111, 0b10000, 0b11110, 0b00001, 0b11110]),
        '6' => wide([0b01111, 0b10000, 0b11110, 0b10001, 0b01110]),
        '7' => wide([0b11111, 0b00001, 0b00010, 0b00100, 0b00100]),
        '8' => wide([0b01110, 0b10001, 0b01110, 0b10001, 0b01110]),
        '9' => wide([0b01110, 0b10001, 0b01111, 0b00001, 0b11110]),
        '.' => Some((1, [0, 0, 0, 0, 1])),
        '-' => Some((3, [0, 0, 0b111, 0, 0])),
        '?' => wide([0b11110, 0b00001, 0b00110, 0b00000, 0b00100]),
        ' ' => Some((2, [0; ROWS])),
        _ => None,
    }
}

/// A text in large letters that are `scale` cells a dot wide, as rows of blocks and spaces; none
/// if it is wider than `width` or has a character without a glyph.
pub(super) fn large(text: &str, width: usize, scale: usize, block: char) -> Option<Vec<String>> {
    let mut rows = vec![String::new(); ROWS];
    for letter in text.chars() {
        let (columns, bits) = glyph(letter)?;
        for (row, bits) in rows.iter_mut().zip(bits) {
            if !row.is_empty() {
                row.extend(std::iter::repeat_n(' ', GAP.saturating_mul(scale)));
            }
            for column in (0..columns).rev() {
                let dot = if bits >> column & 1 == 1 { block } else { ' ' };
                row.extend(std::iter::repeat_n(dot, scale));
            }
        }
    }
    let widest = rows.first().map_or(0, |row| row.chars().count());
    (widest > 0 && widest <= width).then_some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_drawn_as_wide_as_asked_or_not_at_all() {
        let rows = large("1.T", 40, 1, '#').unwrap();
        assert_eq!(
            rows,
            [
                " #    #####",
                "##      #  ",
                " #      #  ",
                " #      #  ",
                "### #   #  "
            ]
        );
        let double = large("1", 40, 2, '#').unwrap();
        assert_eq!(double[1], "####  ");
        assert_eq!(large("1234567890", 40, 1, '#'), None);
        assert_eq!(large("ä", 40, 1, '#'), None);
        assert_eq!(large("", 40, 1, '#'), None);
    }

    #[test]
    fn all_figures_and_letters_have_glyphs_that_differ() {
        let letters: Vec<char> = ('A'..='Z').chain('1'..='9').collect();
        for (index, letter) in letters.iter().enumerate() {
            for other in &letters[..index] {
                assert_ne!(glyph(*letter), glyph(*other), "{letter} and {other}");
            }
            assert!(glyph(*letter).is_some(), "{letter}");
        }
    }
}
