//! What a technician reads from the till's screen: the code in large letters, the address, and the
//! address as a QR symbol. Text in, text out.

use qrcode::{Color, EcLevel, QrCode};

use super::device::Shown;

/// Light modules around a symbol. ISO/IEC 18004 asks for four; phones read two.
const QUIET_MODULES: usize = 2;
/// Rows of a large letter.
const LETTER_ROWS: usize = 5;
/// Columns of a large letter.
const LETTER_COLUMNS: usize = 5;

/// The letters that codes have, five rows of five bits each.
const LETTERS: [(char, [u8; LETTER_ROWS]); 29] = [
    ('B', [0b11110, 0b10001, 0b11110, 0b10001, 0b11110]),
    ('C', [0b01111, 0b10000, 0b10000, 0b10000, 0b01111]),
    ('D', [0b11110, 0b10001, 0b10001, 0b10001, 0b11110]),
    ('F', [0b11111, 0b10000, 0b11110, 0b10000, 0b10000]),
    ('G', [0b01111, 0b10000, 0b10011, 0b10001, 0b01111]),
    ('H', [0b10001, 0b10001, 0b11111, 0b10001, 0b10001]),
    ('J', [0b00111, 0b00010, 0b00010, 0b10010, 0b01100]),
    ('K', [0b10001, 0b10010, 0b11100, 0b10010, 0b10001]),
    ('L', [0b10000, 0b10000, 0b10000, 0b10000, 0b11111]),
    ('M', [0b10001, 0b11011, 0b10101, 0b10001, 0b10001]),
    ('N', [0b10001, 0b11001, 0b10101, 0b10011, 0b10001]),
    ('P', [0b11110, 0b10001, 0b11110, 0b10000, 0b10000]),
    ('Q', [0b01110, 0b10001, 0b10101, 0b10010, 0b01101]),
    ('R', [0b11110, 0b10001, 0b11110, 0b10010, 0b10001]),
    ('S', [0b01111, 0b10000, 0b01110, 0b00001, 0b11110]),
    ('T', [0b11111, 0b00100, 0b00100, 0b00100, 0b00100]),
    ('V', [0b10001, 0b10001, 0b10001, 0b01010, 0b00100]),
    ('W', [0b10001, 0b10001, 0b10101, 0b11011, 0b10001]),
    ('X', [0b10001, 0b01010, 0b00100, 0b01010, 0b10001]),
    ('Z', [0b11111, 0b00010, 0b00100, 0b01000, 0b11111]),
    ('2', [0b11110, 0b00001, 0b01110, 0b10000, 0b11111]),
    ('3', [0b11110, 0b00001, 0b01110, 0b00001, 0b11110]),
    ('4', [0b10010, 0b10010, 0b11111, 0b00010, 0b00010]),
    ('5', [0b11111, 0b10000, 0b11110, 0b00001, 0b11110]),
    ('6', [0b01111, 0b10000, 0b11110, 0b10001, 0b01110]),
    ('7', [0b11111, 0b00001, 0b00010, 0b00100, 0b00100]),
    ('8', [0b01110, 0b10001, 0b01110, 0b10001, 0b01110]),
    ('9', [0b01110, 0b10001, 0b01111, 0b00001, 0b11110]),
    ('-', [0b00000, 0b00000, 0b11111, 0b00000, 0b00000]),
];

/// How it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Words only: for a screen reader, a log, or a terminal without block characters.
    pub is_plain: bool,
    /// Whether the output is a terminal that knows colours, so that the symbol is dark on light
    /// whatever the terminal's own colours are.
    pub has_colour: bool,
}

/// Everything that a technician needs to approve this till.
pub fn invitation(shown: &Shown, style: Style) -> String {
    let Shown {
        user_code,
        url,
        url_complete,
        key_fingerprint,
        ..
    } = shown;
    let minutes = shown.expires_in_s.div_ceil(60);
    let mut text = String::from("\n");
    if style.is_plain {
        push(&mut text, format_args!("Code: {user_code}\n"));
    } else {
        push(&mut text, format_args!("{}\n", large(user_code)));
    }
    push(
        &mut text,
        format_args!(
            "Approve this till: open {url} on a phone and type {user_code}\n\
             (good for {minutes} min; the phone shows the key {key_fingerprint})\n"
        ),
    );
    if !style.is_plain
        && let Some(symbol) = symbol(url_complete, style.has_colour)
    {
        push(&mut text, format_args!("\nor scan:\n\n{symbol}"));
    }
    push(
        &mut text,
        format_args!("\nWaiting for approval. Ctrl-C ends it.\n"),
    );
    text
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.push_str(&what.to_string());
}

/// A code in letters of five rows; a letter that codes do not have is left out.
fn large(code: &str) -> String {
    let rows = (0..LETTER_ROWS).map(|row| {
        let pixels = code.chars().filter_map(|letter| {
            let found = LETTERS.iter().find(|(known, _)| *known == letter);
            found.and_then(|(_, bits)| bits.get(row)).copied()
        });
        let line: String = pixels
            .map(|bits| format!("{}  ", pixel_row(bits)))
            .collect();
        format!("  {}\n", line.trim_end())
    });
    rows.collect()
}

fn pixel_row(bits: u8) -> String {
    let is_set = |column: usize| bits & (1 << (LETTER_COLUMNS - 1 - column)) != 0;
    (0..LETTER_COLUMNS)
        .map(|column| if is_set(column) { '█' } else { ' ' })
        .collect()
}

/// A text as a QR symbol of half blocks, two modules a character; `None` when it is too long.
fn symbol(text: &str, has_colour: bool) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let width = code.width();
    let modules = code.to_colors();
    let is_dark = |row: usize, column: usize| {
        let inside = |at: usize| at.checked_sub(QUIET_MODULES).filter(|at| *at < width);
        let place = inside(row).zip(inside(column));
        let module = place.and_then(|(row, column)| modules.get(row * width + column));
        module == Some(&Color::Dark)
    };
    let whole = width + 2 * QUIET_MODULES;
    // Black on white, by ECMA-48 and its bright colours.
    let (on, off) = if has_colour {
        ("\u{1b}[30;107m", "\u{1b}[0m")
    } else {
        ("", "")
    };
    let mut drawn = String::new();
    for row in (0..whole).step_by(2) {
        let line: String = (0..whole)
            .map(
                |column| match (is_dark(row, column), is_dark(row + 1, column)) {
                    (true, true) => '█',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (false, false) => ' ',
                },
            )
            .collect();
        push(&mut drawn, format_args!("  {on}{line}{off}\n"));
    }
    Some(drawn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown() -> Shown {
        Shown {
            user_code: "BCDF-GH2K".to_owned(),
            url: "https://engine.example:7437/pair".to_owned(),
            url_complete: "https://engine.example:7437/pair?code=BCDF-GH2K".to_owned(),
            expires_in_s: 600,
            key_fingerprint: "0a0b0c0d".to_owned(),
        }
    }

    const BLOCKS: [char; 3] = ['█', '▀', '▄'];

    #[test]
    fn every_letter_of_a_code_is_drawn_and_no_two_look_alike() {
        let alphabet = "BCDFGHJKLMNPQRSTVWXZ23456789-";
        let drawn: Vec<String> = alphabet
            .chars()
            .map(|one| large(&one.to_string()))
            .collect();
        for (place, one) in drawn.iter().enumerate() {
            assert!(one.contains('█'), "{place}");
            assert!(!drawn[place + 1..].contains(one), "{place}");
        }
        let lines = large("BCDF-GH2K");
        assert!(lines.lines().all(|line| line.chars().count() <= 80));
        assert_eq!(lines.lines().count(), LETTER_ROWS);
    }

    #[test]
    fn plain_has_no_blocks_and_says_the_same() {
        let plain = Style {
            is_plain: true,
            has_colour: false,
        };
        let text = invitation(&shown(), plain);
        assert!(!text.contains(BLOCKS) && !text.contains('\u{1b}'));
        let drawn = invitation(
            &shown(),
            Style {
                is_plain: false,
                ..plain
            },
        );
        assert!(drawn.contains(BLOCKS) && !drawn.contains('\u{1b}'));
        for text in [text, drawn] {
            assert!(text.contains("BCDF-GH2K") && text.contains("0a0b0c0d"));
            assert!(text.contains("https://engine.example:7437/pair "));
        }
    }

    #[test]
    fn the_symbol_says_the_address() {
        let url = shown().url_complete;
        let drawn = symbol(&url, false).unwrap();
        let lines: Vec<Vec<char>> = drawn
            .lines()
            .map(|line| line.chars().skip(2).collect())
            .collect();
        let side = lines[0].len();
        let expected = QrCode::with_error_correction_level(&url, EcLevel::M).unwrap();
        assert_eq!(side, expected.width() + 2 * QUIET_MODULES);
        for row in 0..expected.width() {
            for column in 0..expected.width() {
                let (y, x) = (row + QUIET_MODULES, column + QUIET_MODULES);
                let drawn = match (lines[y / 2][x], y % 2) {
                    ('█', _) | ('▀', 0) | ('▄', 1) => Color::Dark,
                    _ => Color::Light,
                };
                assert_eq!(drawn, expected[(column, row)], "{row} {column}");
            }
        }
        assert!(symbol(&url, true).unwrap().contains("\u{1b}[30;107m"));
        assert_eq!(symbol(&"x".repeat(5_000), false), None);
    }
}
