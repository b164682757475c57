//! What the agent's encoder says and what the simulator's interpreter reads are one and the same.

use firmware_sim::printer::{
    Input, Output, PrinterConfig, PrinterMachine, Row, Ticket, render_text,
};
use protocol::printer::{CodePage, Cut, Font, Logo, Paper, encode_receipt};
use protocol::receipt::{Align, Copy, Entry, Receipt};

fn receipt(entries: Vec<Entry>) -> Receipt {
    Receipt {
        copy: Copy::Merchant,
        is_duplicate: false,
        entries,
    }
}

fn text(text: &str) -> Entry {
    Entry::Text {
        text: text.to_owned(),
        align: Align::Left,
    }
}

/// Prints on paper of this width; breaks when the printer does not understand a byte.
fn print(entries: Vec<Entry>, paper: &Paper, columns: u16) -> Ticket {
    let config = PrinterConfig {
        columns,
        has_full_cut: true,
        // A printer set to another country must not matter.
        international_set: 2,
        ..PrinterConfig::default()
    };
    let mut printer = PrinterMachine::new(config);
    let mut out = Vec::new();
    // A second at a time the buffer empties.
    for bytes in encode_receipt(&receipt(entries), paper).chunks(1_000) {
        printer.handle(0, Input::HostBytes(bytes), &mut out);
    }
    printer.handle(0, Input::TearOff, &mut out);
    let mut tickets = Vec::new();
    for output in out {
        match output {
            Output::Paper(ticket) => tickets.push(ticket),
            Output::Violation(what) => panic!("{what}"),
            _ => {}
        }
    }
    assert_eq!(tickets.len(), 1, "one piece of paper");
    tickets.remove(0)
}

fn printed(entries: Vec<Entry>, paper: &Paper, columns: u16) -> String {
    render_text(&print(entries, paper, columns))
}

#[test]
fn every_character_of_every_page_is_the_same_on_both_sides() {
    for (name, page) in CodePage::NAMES {
        let paper = Paper::new(48).with_code_page(page);
        let printable: Vec<char> = ('!'..='\u{2fff}')
            .filter(|character| page.readable(&character.to_string()) == character.to_string())
            .filter(|character| page.byte(*character) != b'?' || *character == '?')
            // Breaks of their own kinds.
            .filter(|character| !character.is_whitespace() && *character != '\u{ad}')
            .collect();
        assert!(printable.len() > 200, "{name}: {}", printable.len());
        for characters in printable.chunks(40) {
            let line: String = characters.iter().collect();
            let paper_text = printed(vec![text(&line)], &paper, 48);
            assert!(paper_text.contains(&line), "{name}: {line}\n{paper_text}");
        }
    }
}

#[test]
fn the_euro_is_readable_on_every_page_and_the_line_stays_full() {
    let total = || Entry::Field {
        name: "total".into(),
        label: "TOTAL".into(),
        value: "12,34 €".into(),
        emphasis: true,
    };
    for (page, columns, expected) in [
        (CodePage::Cp437, 32, "TOTAL                  12,34 EUR"),
        (CodePage::Cp850, 32, "TOTAL                  12,34 EUR"),
        (CodePage::Cp858, 32, "TOTAL                    12,34 €"),
        (
            CodePage::Wpc1252,
            42,
            "TOTAL                              12,34 €",
        ),
        (
            CodePage::Cp858,
            48,
            "TOTAL                                    12,34 €",
        ),
    ] {
        let paper = Paper::new(usize::from(columns)).with_code_page(page);
        let text = printed(vec![total()], &paper, columns);
        assert!(text.contains(expected), "{page:?}\n{text}");
    }
}

#[test]
fn font_b_fits_more_on_the_same_paper() {
    // 58 mm: 384 dots are 32 columns of font A and 42 of font B.
    let line = "0123456789".repeat(4) + "01";
    let paper = Paper::new(42).with_font(Font::B);
    let text = printed(vec![text(&line)], &paper, 32);
    assert!(text.contains(&line), "{text}");
}

#[test]
fn the_logo_stands_above_the_receipt_dot_by_dot() {
    // A chessboard of 8 dots, which has no byte 10, on paper of 48 and of 32 columns.
    for (columns, width, height) in [(48u16, 576usize, 200usize), (32, 384, 512), (32, 17, 3)] {
        let black: Vec<bool> = (0..width * height)
            .map(|dot| (dot % width / 8 + dot / width / 8) % 2 == 0)
            .collect();
        let logo = Logo::new(width, height, &black).unwrap();
        for cut in [Cut::Partial, Cut::Full, Cut::None] {
            let paper = Paper::new(usize::from(columns))
                .with_logo(logo.clone())
                .with_cut(cut);
            let ticket = print(vec![text("below")], &paper, columns);
            let Some(Row::Image(image)) = ticket.rows.first() else {
                panic!("{:?}", ticket.rows.first());
            };
            let row_bytes = usize::from(image.row_bytes);
            assert_eq!(image.dots.len(), row_bytes * height);
            for (dot, is_black) in black.iter().enumerate() {
                let (row, column) = (dot / width, dot % width);
                let byte = image.dots[row * row_bytes + column / 8];
                assert_eq!(byte >> (7 - column % 8) & 1 == 1, *is_black, "dot {dot}");
            }
            assert!(matches!(ticket.rows[1], Row::Text { .. }));
        }
    }
}
