//! A receipt as ESC/POS bytes.
//!
//! The bytes come in blocks of whole commands, one a line, each setting its own modes: between
//! two blocks a real-time request may be sent without falling into the data of a command, and a
//! printer that was switched off in between still prints the next line as it is meant.

use super::code_page::CodePage;
use super::encode::{Encoder, QrCorrection};
use super::paper::{Cut, Paper};
use crate::receipt::{Align, Entry, Line, Receipt};

/// Height of barcodes: 8 mm at 203 dpi.
const BARCODE_HEIGHT_DOTS: u8 = 64;
/// Narrowest module that printers take.
const BARCODE_MODULE_DOTS: u8 = 2;
/// Modules of a CODE128 character.
const BARCODE_CHARACTER_MODULES: usize = 11;
/// Modules of start (11), check (11) and stop character (13).
const BARCODE_FRAME_MODULES: usize = 35;
/// Largest QR module: 0.75 mm.
const QR_MODULE_DOTS_MAX: usize = 6;
/// Below 3 dots, 0.4 mm, telephones fail to read the symbol from thermal paper.
const QR_MODULE_DOTS_MIN: usize = 3;
/// Quiet zone of four modules on each side (ISO/IEC 18004).
const QR_QUIET_MODULES: usize = 8;
/// Bytes that a symbol of correction M holds, and its modules a side (ISO/IEC 18004 table 7).
const QR_SIZES: [(usize, usize); 12] = [
    (14, 21),
    (26, 25),
    (42, 29),
    (62, 33),
    (84, 37),
    (106, 41),
    (122, 45),
    (152, 49),
    (180, 53),
    (213, 57),
    (412, 77),
    (666, 97),
];

/// The whole job: blocks in order, and a request for confirmation at the end.
pub fn encode_receipt(receipt: &Receipt, paper: &Paper) -> Vec<u8> {
    let mut bytes = receipt_blocks(receipt, paper).concat();
    bytes.extend_from_slice(&super::encode::BARRIER);
    bytes
}

/// The receipt in blocks of whole commands: the set-up, the logo, each line, and the cut. Without
/// the request for confirmation.
pub fn receipt_blocks(receipt: &Receipt, paper: &Paper) -> Vec<Vec<u8>> {
    let mut blocks = vec![block(|encoder| {
        // ESC @ also ends automatic status, in most makers' reading.
        encoder
            .initialise()
            .automatic_status()
            .international_usa()
            .code_page(paper.code_page());
    })];
    let bands = paper.logo().map(|logo| logo.blocks(paper.band_bytes()));
    blocks.extend(bands.unwrap_or_default());
    blocks.extend(
        spelled(receipt, paper.code_page())
            .lay_out(paper.columns())
            .iter()
            .map(|line| encode_line(line, paper)),
    );
    let feed_dots = paper.feed_before_cut_dots();
    blocks.push(block(|encoder| {
        match paper.cut() {
            Cut::Partial => encoder.cut_partial(feed_dots),
            Cut::Full => encoder.cut_full(feed_dots),
            Cut::None => encoder.feed_dots(feed_dots),
        };
    }));
    blocks
}

/// The receipt in characters that the printer has, before its lines are measured. Symbols keep
/// their contents.
fn spelled(receipt: &Receipt, page: CodePage) -> Receipt {
    let mut receipt = receipt.clone();
    for entry in &mut receipt.entries {
        match entry {
            Entry::Heading { text } | Entry::Text { text, .. } => *text = page.readable(text),
            Entry::Field { label, value, .. } => {
                *label = page.readable(label);
                *value = page.readable(value);
            }
            Entry::Rule
            | Entry::Blank
            | Entry::Signature
            | Entry::Qr { .. }
            | Entry::Barcode { .. } => {}
        }
    }
    receipt
}

fn block(build: impl FnOnce(&mut Encoder)) -> Vec<u8> {
    let mut encoder = Encoder::new();
    build(&mut encoder);
    encoder.finish()
}

fn encode_line(line: &Line, paper: &Paper) -> Vec<u8> {
    match line {
        Line::Text {
            text,
            align,
            is_bold,
            is_double,
        } => block(|encoder| {
            encoder
                .justify(*align)
                .print_mode(paper.font(), *is_bold, *is_double);
            if !text.is_ascii() {
                encoder.code_page(paper.code_page());
            }
            encoder.text(text, paper.code_page()).line_feed();
        }),
        Line::Qr(content) => {
            encode_qr(content, paper).unwrap_or_else(|| encode_plain(content, paper))
        }
        Line::Barcode(content) => {
            encode_barcode(content, paper).unwrap_or_else(|| encode_plain(content, paper))
        }
    }
}

fn encode_qr(content: &str, paper: &Paper) -> Option<Vec<u8>> {
    // The printer looks for real-time requests (10 04 n) even within a symbol's data.
    if content.chars().any(char::is_control) {
        return None;
    }
    let (_, modules) = QR_SIZES
        .iter()
        .find(|(capacity, _)| content.len() <= *capacity)?;
    let fitting = usize::from(paper.width_dots())
        .checked_div(modules.saturating_add(QR_QUIET_MODULES))?
        .min(QR_MODULE_DOTS_MAX);
    if fitting < QR_MODULE_DOTS_MIN {
        return None;
    }
    let mut encoder = Encoder::new();
    let module_dots = u8::try_from(fitting).ok()?;
    let quiet_dots = module_dots.saturating_mul(4);
    encoder
        .justify(Align::Centre)
        .feed_dots(quiet_dots)
        .qr(content.as_bytes(), module_dots, QrCorrection::Medium)
        .ok()?
        .feed_dots(quiet_dots);
    Some(encoder.finish())
}

fn encode_barcode(content: &str, paper: &Paper) -> Option<Vec<u8>> {
    let modules = content
        .len()
        .saturating_mul(BARCODE_CHARACTER_MODULES)
        .saturating_add(BARCODE_FRAME_MODULES);
    if modules.saturating_mul(usize::from(BARCODE_MODULE_DOTS)) > usize::from(paper.width_dots()) {
        return None;
    }
    let mut encoder = Encoder::new();
    encoder
        .justify(Align::Centre)
        .print_mode(paper.font(), false, false)
        .code128(content, BARCODE_MODULE_DOTS, BARCODE_HEIGHT_DOTS)
        .ok()?;
    Some(encoder.finish())
}

/// A symbol that does not fit on the paper is still readable as text.
fn encode_plain(content: &str, paper: &Paper) -> Vec<u8> {
    let characters: Vec<char> = content.chars().collect();
    characters
        .chunks(paper.columns())
        .flat_map(|chunk| {
            let line = Line::Text {
                text: chunk.iter().collect(),
                align: Align::Left,
                is_bold: false,
                is_double: false,
            };
            encode_line(&line, paper)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::logo::Logo;
    use super::*;
    use crate::receipt::{Copy, Entry};
    use proptest::prelude::*;

    fn receipt(entries: Vec<Entry>) -> Receipt {
        Receipt {
            copy: Copy::Customer,
            is_duplicate: false,
            entries,
        }
    }

    #[test]
    fn a_receipt_is_these_bytes() {
        let bytes = encode_receipt(
            &receipt(vec![
                Entry::Heading {
                    text: "Café".into(),
                },
                Entry::Field {
                    name: "total".into(),
                    label: "TOTAL".into(),
                    value: "3,50 €".into(),
                    emphasis: true,
                },
            ]),
            &Paper::new(24).with_feed_before_cut(5),
        );
        let mut expected: Vec<u8> = Vec::new();
        expected.extend(b"\x1b@\x1da\x0f\x1bR\x00\x1bt\x13");
        expected.extend(b"\x1ba\x01\x1b!\x38\x1bt\x13Caf\x82\n");
        expected.extend(b"\x1ba\x00\x1b!\x08\x1bt\x13TOTAL             3,50 \xd5\n");
        expected.extend(b"\x1dVB\x05\x1dr\x01");
        assert_eq!(hex::encode(bytes), hex::encode(expected));
    }

    #[test]
    fn symbols_that_do_not_fit_become_text() {
        let fits = receipt_blocks(
            &receipt(vec![Entry::Barcode {
                content: "prn_01h2xcej".into(),
            }]),
            &Paper::new(48),
        )
        .concat();
        assert!(fits.windows(2).any(|pair| pair == b"\x1dk"));
        let too_wide = "A".repeat(100);
        let symbols = receipt(vec![
            Entry::Barcode {
                content: too_wide.clone(),
            },
            Entry::Qr {
                content: "x".repeat(700),
            },
        ]);
        let bytes = receipt_blocks(&symbols, &Paper::new(48)).concat();
        assert!(!bytes.contains(&0x6b), "a symbol command was sent");
        assert!(bytes.windows(48).any(|window| window == [b'A'; 48]));
    }

    #[test]
    fn the_qr_module_shrinks_with_the_paper() {
        for (columns, length, module) in [(48, 60, 6), (24, 60, 6), (24, 213, 4), (32, 400, 4)] {
            let content = "q".repeat(length);
            let bytes = encode_qr(&content, &Paper::new(columns)).unwrap();
            let wanted = [0x1d, b'(', b'k', 3, 0, 0x31, 0x43, module];
            assert!(
                bytes.windows(8).any(|window| window == wanted),
                "{columns} columns, {length} bytes"
            );
        }
    }

    #[test]
    fn a_page_without_euro_still_fills_the_line() {
        let receipt = receipt(vec![Entry::Field {
            name: "total".into(),
            label: "Übergröße".into(),
            value: "3,50 €".into(),
            emphasis: false,
        }]);
        for (page, line) in [
            (CodePage::Cp437, &b"\x9abergr\x94\xe1e       3,50 EUR\n"[..]),
            (CodePage::Cp850, b"\x9abergr\x94\xe1e       3,50 EUR\n"),
            (CodePage::Cp858, b"\x9abergr\x94\xe1e         3,50 \xd5\n"),
            (CodePage::Wpc1252, b"\xdcbergr\xf6\xdfe         3,50 \x80\n"),
        ] {
            let paper = Paper::new(24).with_code_page(page);
            let blocks = receipt_blocks(&receipt, &paper);
            assert!(
                blocks[1].ends_with(line),
                "{page:?}: {}",
                hex::encode(&blocks[1])
            );
            let selected = [0x1b, b't', page.number()];
            assert!(blocks[0].ends_with(&selected));
        }
    }

    #[test]
    fn the_logo_comes_first_and_the_cutter_is_chosen() {
        let logo = Logo::new(16, 2, &[true; 32]).unwrap();
        let plain = Paper::new(48).with_feed_before_cut(7);
        let receipt = receipt(vec![Entry::Rule]);
        let with_logo = receipt_blocks(&receipt, &plain.clone().with_logo(logo));
        assert_eq!(
            with_logo[1],
            b"\x1ba\x01\x1dv0\x00\x02\x00\x02\x00\xff\xff\xff\xff"
        );
        let without = receipt_blocks(&receipt, &plain);
        assert_eq!(with_logo[2..], without[1..]);
        for (cut, end) in [
            (Cut::Partial, &b"\x1dVB\x07"[..]),
            (Cut::Full, b"\x1dVA\x07"),
            (Cut::None, b"\x1bJ\x07"),
        ] {
            let blocks = receipt_blocks(&receipt, &plain.clone().with_cut(cut));
            assert_eq!(blocks.last().unwrap(), end);
        }
    }

    proptest! {
        #[test]
        fn every_receipt_is_encoded_in_blocks(text in ".{0,60}", content in ".{0,300}", columns in 0usize..80) {
            let receipt = receipt(vec![
                Entry::Text { text, align: Align::Right },
                Entry::Qr { content: content.clone() },
                Entry::Barcode { content },
            ]);
            let paper = Paper::new(columns);
            let mut whole = receipt_blocks(&receipt, &paper).concat();
            whole.extend(super::super::encode::BARRIER);
            prop_assert_eq!(&whole, &encode_receipt(&receipt, &paper));
        }
    }
}
