//! The printer's side of the protocol: its answers, characters, and receipts as paper.

use firmware_sim::printer::{Input, Output, PrinterConfig, PrinterMachine};
use protocol::link::{ToAgent, decode};
use protocol::printer::{
    CodePage, Paper, RealTimeQuery, StatusDecoder, StatusEvent, encode_receipt, receipt_blocks,
};
use protocol::receipt::{Align, Copy, Entry, Line, Receipt};

use super::corpus::{PRINTER_VECTORS, hex_members, link_messages};
use super::input::{Choices, pieces};

pub(super) const WORDS: &[&[u8]] = &[
    b"\x10\x04\x01",
    b"\x10\x05\x02",
    b"\x10\x14\x01",
    b"\x1B@",
    b"\x1B\x74\x13",
    b"\x1D\x56\x42\x18",
    b"\x1D\x61\xFF",
    b"\x1D\x28\x6B",
    b"\x1D\x28\x4C",
    b"\x1D\x6B\x49",
    b"\x1D\x28\x48\x06\x00\x30\x30",
    b"\x37\x22",
    b"\x5F",
    b"\x11",
    b"\x13",
    b"\x14\0\0\x0F",
    "€".as_bytes(),
    "\u{202e}".as_bytes(),
    "🧾".as_bytes(),
];

/// The first byte says how many real-time answers are expected.
pub(super) fn status(data: &[u8]) {
    let (first, bytes) = data.split_first().unwrap_or((&0, &[]));
    let whole = events(*first, &[bytes]);
    assert!(
        events(*first, &pieces(bytes)) == whole,
        "cuts change what is read"
    );
    for event in &whole {
        if let StatusEvent::Identification(text) = event {
            assert!(text.len() <= 4 * 80, "an identification without end");
        }
    }
}

fn events(expected: u8, pieces: &[&[u8]]) -> Vec<StatusEvent> {
    let mut decoder = StatusDecoder::new();
    for number in 0..expected % 16 {
        decoder.expect(RealTimeQuery::ALL[usize::from(number % 4)]);
    }
    assert!(decoder.expected() <= 8);
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(piece, &mut events);
    }
    events
}

/// No character may reach the printer as a command.
pub(super) fn code_page(data: &[u8]) {
    for page in [CodePage::Cp437, CodePage::Cp858, CodePage::Wpc1252] {
        for character in String::from_utf8_lossy(data).chars() {
            let byte = page.byte(character);
            assert!(byte >= 0x20 && byte != 0x7F, "{character:?} is a command");
            let is_plain = (' '..='~').contains(&character);
            assert!(!is_plain || char::from(byte) == character);
        }
    }
}

/// Lays a receipt out, encodes it and lets the strict interpreter read it.
pub(super) fn receipt(data: &[u8]) {
    let mut choices = Choices::new(data);
    let columns = usize::from(choices.byte());
    let page = choices.pick(&[CodePage::Cp858, CodePage::Cp437, CodePage::Wpc1252]);
    let receipt = arbitrary_receipt(choices);
    let columns_used = columns.clamp(24, 64);
    for line in receipt.lay_out(columns) {
        if let Line::Text {
            text, is_double, ..
        } = line
        {
            let width = text.chars().count();
            let limit = if is_double {
                columns_used / 2
            } else {
                columns_used
            };
            assert!(width <= limit, "a line of {width} on {limit} columns");
            assert!(!text.chars().any(char::is_control));
        }
    }
    drop(receipt.text(columns));
    let paper = Paper::new(columns).with_code_page(page);
    let bytes = encode_receipt(&receipt, &paper);
    assert!(bytes.starts_with(&receipt_blocks(&receipt, &paper).concat()));
    let printable = [(48, 48), (42, 42), (32, 32)];
    if let Some((_, columns)) = printable.iter().find(|(own, _)| *own == columns_used) {
        print(*columns, &bytes);
    }
}

/// The printer takes everything, in order, and gives paper.
fn print(columns: u16, bytes: &[u8]) {
    let config = PrinterConfig {
        columns,
        buffer_bytes: usize::MAX,
        ..PrinterConfig::default()
    };
    let mut printer = PrinterMachine::new(config);
    let mut out = Vec::new();
    printer.handle(0, Input::HostBytes(bytes), &mut out);
    let papers = out
        .iter()
        .filter(|output| matches!(output, Output::Paper(_)));
    assert_eq!(papers.count(), 1, "one receipt is one paper");
    for output in &out {
        if let Output::Violation(rule) = output {
            panic!("the encoder breaks a rule: {rule}");
        }
    }
}

/// A receipt of any texts; entries in the order of the bytes.
pub(super) fn arbitrary_receipt(mut choices: Choices<'_>) -> Receipt {
    let mut entries = Vec::new();
    while !choices.is_over() && entries.len() < 64 {
        let kind = choices.byte();
        let text = |choices: &mut Choices<'_>| {
            let bytes = choices.short();
            String::from_utf8_lossy(bytes).into_owned()
        };
        entries.push(match kind % 10 {
            0 => Entry::Heading {
                text: text(&mut choices),
            },
            1 | 2 => Entry::Text {
                text: text(&mut choices),
                align: choices.pick(&[Align::Left, Align::Centre, Align::Right]),
            },
            3..=5 => Entry::Field {
                name: "field".to_owned(),
                label: text(&mut choices),
                value: text(&mut choices),
                emphasis: kind & 0x80 != 0,
            },
            6 => Entry::Rule,
            7 => Entry::Signature,
            8 => Entry::Qr {
                content: text(&mut choices),
            },
            _ => Entry::Barcode {
                content: text(&mut choices),
            },
        });
    }
    Receipt {
        copy: Copy::Customer,
        is_duplicate: false,
        entries,
    }
}

pub(super) fn status_seeds() -> Vec<Vec<u8>> {
    let answers: &[&[u8]] = &[
        b"\x01\x12\x1A\x32\x16\x1E\x7E",
        b"\x02\x14\0\0\x0F\x10\0\0\x0F\x11\x13",
        b"\x00\x5FEPSON\0\x5FTM-T88V\0",
        b"\x00\x37\x22ABCD\0\x37\x22AB\x12CD\0",
    ];
    answers.iter().map(|answer| answer.to_vec()).collect()
}

pub(super) fn text_seeds() -> Vec<Vec<u8>> {
    [
        "Crème brûlée 4,50 €",
        "– “quoted” • ’til",
        "Ünï\u{1b}@\u{10}\u{4}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// Receipts as choices: the texts of the receipt among the link's vectors.
pub(super) fn receipt_seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for message in link_messages("to_agent") {
        if let Ok(ToAgent::Print(command)) = decode(&message) {
            let body: Vec<u8> = command
                .receipt
                .entries
                .iter()
                .flat_map(choices_of)
                .collect();
            for columns in [32, 42, 48, 64] {
                seeds.push([&[columns, 0], body.as_slice()].concat());
            }
        }
    }
    seeds
}

fn choices_of(entry: &Entry) -> Vec<u8> {
    let with = |kind: u8, texts: &[&str]| {
        let mut bytes = vec![kind];
        for text in texts {
            let text = &text.as_bytes()[..text.len().min(255)];
            bytes.push(u8::try_from(text.len()).expect("at most 255"));
            bytes.extend_from_slice(text);
        }
        bytes
    };
    match entry {
        Entry::Heading { text } => with(0, &[text]),
        Entry::Text { text, .. } => [with(1, &[text]), vec![0]].concat(),
        Entry::Field { label, value, .. } => with(3, &[label, value]),
        Entry::Rule | Entry::Blank => vec![6],
        Entry::Signature => vec![7],
        Entry::Qr { content } => with(8, &[content]),
        Entry::Barcode { content } => with(9, &[content]),
    }
}

pub(super) fn language_seeds() -> Vec<Vec<u8>> {
    let mut seeds = hex_members(PRINTER_VECTORS);
    let stream = seeds.concat();
    seeds.push(stream);
    for seed in receipt_seeds() {
        let receipt = arbitrary_receipt(Choices::new(&seed[2..]));
        seeds.push(encode_receipt(&receipt, &Paper::new(48)));
    }
    seeds
}
