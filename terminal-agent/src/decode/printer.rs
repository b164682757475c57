//! ESC/POS by name: commands to a printer, and what a printer answers. Pure; what is printed is
//! shown with everything hidden that may be a card number.

use protocol::printer::{PaperState, PrinterStatus, RealTimeQuery, StatusDecoder, StatusEvent};

use super::{Decoded, Part, unknown};
use crate::redact::redact;

/// How many bytes follow the bytes of a command's name.
#[derive(Clone, Copy)]
enum Parameters {
    /// So many.
    Count(usize),
    /// A byte 41 or 42 and a distance, or one byte.
    Cut,
    /// A symbology; then a length and content, or content up to a NUL.
    Barcode,
    /// A function byte, a length (2, low first) and so many bytes.
    Extended,
    /// `0`, a mode, width in bytes and height (2 each, low first), and so many dots.
    Raster,
    /// A mode, a width (2, low first), and as many columns of dots.
    BitImage,
    /// Bytes up to a NUL.
    ToNul,
    /// A function, and what it takes.
    RealTimeRequest,
}

use Parameters::{Barcode, BitImage, Count, Cut, Extended, Raster, RealTimeRequest, ToNul};

/// Commands by their first bytes (receipt-printer.md; Epson's command reference).
const COMMANDS: &[(&[u8], Parameters, &str)] = &[
    (b"\x10\x04", Count(1), "DLE EOT: status in real time"),
    (b"\x10\x05", Count(1), "DLE ENQ: recover from an error"),
    (b"\x10\x14", RealTimeRequest, "DLE DC4: real-time request"),
    (b"\x1B@", Count(0), "ESC @: initialise"),
    (b"\x1B!", Count(1), "ESC !: print mode"),
    (b"\x1B*", BitImage, "ESC *: bit image"),
    (b"\x1B-", Count(1), "ESC -: underline"),
    (b"\x1B2", Count(0), "ESC 2: default line spacing"),
    (b"\x1B3", Count(1), "ESC 3: line spacing"),
    (b"\x1B=", Count(1), "ESC =: select peripheral"),
    (b"\x1BD", ToNul, "ESC D: tab positions"),
    (b"\x1BE", Count(1), "ESC E: bold"),
    (b"\x1BG", Count(1), "ESC G: double strike"),
    (b"\x1BJ", Count(1), "ESC J: feed dots"),
    (b"\x1BM", Count(1), "ESC M: font"),
    (b"\x1BR", Count(1), "ESC R: international set"),
    (b"\x1BV", Count(1), "ESC V: rotate"),
    (b"\x1Ba", Count(1), "ESC a: justify"),
    (b"\x1Bc3", Count(1), "ESC c 3: paper sensors"),
    (b"\x1Bc4", Count(1), "ESC c 4: sensors that stop printing"),
    (b"\x1Bc5", Count(1), "ESC c 5: panel buttons"),
    (b"\x1Bd", Count(1), "ESC d: feed lines"),
    (b"\x1Bi", Count(0), "ESC i: cut"),
    (b"\x1Bm", Count(0), "ESC m: cut but for one point"),
    (b"\x1Bp", Count(3), "ESC p: open the drawer"),
    (b"\x1Bt", Count(1), "ESC t: code page"),
    (b"\x1Bu", Count(1), "ESC u: drawer status"),
    (b"\x1Bv", Count(0), "ESC v: paper status"),
    (b"\x1B{", Count(1), "ESC {: upside down"),
    (b"\x1C.", Count(0), "FS .: no Kanji"),
    (b"\x1D!", Count(1), "GS !: character size"),
    (b"\x1D(", Extended, "GS (: extended function"),
    (b"\x1DB", Count(1), "GS B: white on black"),
    (b"\x1DH", Count(1), "GS H: place of the barcode's text"),
    (b"\x1DI", Count(1), "GS I: identify"),
    (b"\x1DL", Count(2), "GS L: left margin"),
    (b"\x1DP", Count(2), "GS P: motion units"),
    (b"\x1DV", Cut, "GS V: cut"),
    (b"\x1DW", Count(2), "GS W: print area width"),
    (b"\x1Da", Count(1), "GS a: automatic status"),
    (b"\x1Db", Count(1), "GS b: smoothing"),
    (b"\x1Df", Count(1), "GS f: font of the barcode's text"),
    (b"\x1Dh", Count(1), "GS h: barcode height"),
    (b"\x1Dk", Barcode, "GS k: barcode"),
    (b"\x1Dr", Count(1), "GS r: transmit status"),
    (b"\x1Dv", Raster, "GS v 0: raster image"),
    (b"\x1Dw", Count(1), "GS w: barcode module"),
];

/// Single bytes that are commands.
const CONTROLS: &[(u8, &str)] = &[
    (0x09, "HT: tab"),
    (0x0A, "LF: print the line"),
    (0x0C, "FF: form feed"),
    (0x0D, "CR: carriage return"),
    (0x18, "CAN: cancel"),
];

/// Decodes what was sent to a printer.
pub fn decode_commands(bytes: &[u8]) -> Decoded {
    let mut parts = Vec::new();
    let mut unknown_bytes = 0usize;
    let mut at = 0;
    while at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        let part = take_text(at, rest)
            .or_else(|| take_control(at, rest))
            .unwrap_or_else(|| take_command(at, rest));
        if part.name == "not understood" {
            unknown_bytes = unknown_bytes.saturating_add(part.length);
        }
        at = at.saturating_add(part.length.max(1));
        parts.push(part);
    }
    Decoded::new(bytes.len(), unknown_bytes, parts)
}

/// A run of characters; those above ASCII depend on the code page.
fn take_text(at: usize, bytes: &[u8]) -> Option<Part> {
    let is_text = |byte: &&u8| **byte >= 0x20 && **byte != 0x7F;
    let length = bytes.iter().take_while(is_text).count();
    let run = bytes.get(..length).filter(|run| !run.is_empty())?;
    let shown: String = run
        .iter()
        .map(|byte| match byte {
            0x20..=0x7E => char::from(*byte).to_string(),
            _ => format!("\\x{byte:02X}"),
        })
        .collect();
    Some(Part::new(Some(at), length, "text").saying(redact(&shown)))
}

fn take_control(at: usize, bytes: &[u8]) -> Option<Part> {
    let first = bytes.first()?;
    let (_, name) = CONTROLS.iter().find(|(byte, _)| byte == first)?;
    Some(Part::new(Some(at), 1, *name))
}

fn take_command(at: usize, bytes: &[u8]) -> Part {
    let found = COMMANDS
        .iter()
        .find(|(start, _, _)| bytes.starts_with(start));
    let Some((start, parameters, name)) = found else {
        // The introducer and the letter that it introduces, where there is one.
        let is_introduced = matches!(bytes.first(), Some(0x10 | 0x1B | 0x1C | 0x1D));
        let length = if is_introduced { bytes.len().min(2) } else { 1 };
        let shown = hex::encode_upper(bytes.get(..length).unwrap_or_default());
        return unknown(at, length, &format!("no known command begins with {shown}"));
    };
    let rest = bytes.get(start.len()..).unwrap_or_default();
    let Some((length, value)) = take_parameters(*parameters, rest) else {
        return unknown(at, bytes.len(), &format!("{name} is cut off"));
    };
    let part = Part::new(Some(at), start.len().saturating_add(length), *name);
    part.saying(value)
}

/// How many bytes the parameters take, and what they say; nothing when they are cut off.
fn take_parameters(parameters: Parameters, bytes: &[u8]) -> Option<(usize, String)> {
    let word = |low: u8, high: u8| usize::from(u16::from_le_bytes([low, high]));
    let whole = |length: usize, value: String| (bytes.len() >= length).then_some((length, value));
    match (parameters, bytes) {
        (Count(count), _) => {
            let shown = bytes.get(..count)?;
            let numbers: Vec<_> = shown.iter().map(u8::to_string).collect();
            Some((count, numbers.join(" ")))
        }
        (Cut, [mode @ (0x41 | 0x42), dots, ..]) => {
            let how = if *mode == 0x41 {
                "through"
            } else {
                "but for one point"
            };
            Some((2, format!("{how}, after {dots} dots")))
        }
        (Cut, [mode, ..]) if !matches!(mode, 0x41 | 0x42) => Some((1, format!("mode {mode}"))),
        (Barcode, [kind @ 0..=6, rest @ ..]) => {
            let end = rest.iter().position(|byte| *byte == 0)?;
            Some((end.saturating_add(2), content(*kind, rest.get(..end)?)))
        }
        (Barcode, [kind, length, rest @ ..]) => {
            let length = usize::from(*length);
            Some((
                length.saturating_add(2),
                content(*kind, rest.get(..length)?),
            ))
        }
        (Extended, [function, low, high, rest @ ..]) => {
            let length = word(*low, *high);
            let data = rest.get(..length)?;
            Some((length.saturating_add(3), extended(*function, data)))
        }
        (Raster, [b'0', mode, xl, xh, yl, yh, ..]) => {
            let (width, height) = (word(*xl, *xh), word(*yl, *yh));
            let dots = width.saturating_mul(8);
            let value = format!("mode {mode}, {dots} × {height} dots");
            whole(width.saturating_mul(height).saturating_add(6), value)
        }
        (BitImage, [mode, low, high, ..]) => {
            let width = word(*low, *high);
            let rows = if matches!(mode, 32 | 33) { 3 } else { 1 };
            let value = format!("mode {mode}, {width} dots wide");
            whole(width.saturating_mul(rows).saturating_add(3), value)
        }
        (ToNul, _) => {
            let end = bytes.iter().position(|byte| *byte == 0)?;
            Some((end.saturating_add(1), format!("{end} positions")))
        }
        (RealTimeRequest, [function, ..]) => {
            let (length, name) = match function {
                1 => (3, "pulse to the drawer"),
                2 => (3, "power off"),
                8 => (8, "clear the buffers"),
                _ => (3, "unknown function"),
            };
            whole(length, format!("{function}: {name}"))
        }
        _ => None,
    }
}

fn content(kind: u8, bytes: &[u8]) -> String {
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let text = text.replace(|c: char| !c.is_ascii_graphic() && c != ' ', "·");
    format!("kind {kind}, {}", redact(&text))
}

fn extended(function: u8, data: &[u8]) -> String {
    match (function, data) {
        (b'k', [0x31, 0x41, ..]) => "QR: model".to_owned(),
        (b'k', [0x31, 0x43, dots]) => format!("QR: module of {dots} dots"),
        (b'k', [0x31, 0x45, ..]) => "QR: error correction".to_owned(),
        (b'k', [0x31, 0x50, 0x30, text @ ..]) => {
            let text = String::from_utf8_lossy(text);
            format!("QR: content {}", redact(&text))
        }
        (b'k', [0x31, 0x51, ..]) => "QR: print".to_owned(),
        (b'H', [0x30, 0x30, ..]) => "give an id back when all is printed".to_owned(),
        _ => format!("{:?}, {} bytes", char::from(function), data.len()),
    }
}

/// Decodes what a printer has sent.
pub fn decode_answers(bytes: &[u8]) -> Decoded {
    let mut decoder = StatusDecoder::new();
    let mut parts = Vec::new();
    let mut unknown_bytes = 0usize;
    let mut start = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let mut events = Vec::new();
        decoder.push(&[*byte], &mut events);
        for event in events {
            // One that comes within another is its own single byte.
            let is_inside = matches!(
                event,
                StatusEvent::Resume | StatusEvent::Pause | StatusEvent::RealTime { .. }
            );
            let from = if is_inside { at } else { start };
            let length = at.saturating_sub(from).saturating_add(1);
            unknown_bytes =
                unknown_bytes.saturating_add(usize::from(matches!(event, StatusEvent::Unknown(_))));
            parts.push(answer(from, length, &event));
            start = at.saturating_add(1);
        }
    }
    let left = bytes.len().saturating_sub(start);
    if left > 0 {
        unknown_bytes = unknown_bytes.saturating_add(left);
        parts.push(unknown(start, left, "an answer that is cut off"));
    }
    Decoded::new(bytes.len(), unknown_bytes, parts)
}

fn answer(at: usize, length: usize, event: &StatusEvent) -> Part {
    let part = |name: &str| Part::new(Some(at), length, name);
    match event {
        StatusEvent::Resume => part("XON").saying("sending may go on"),
        StatusEvent::Pause => part("XOFF").saying("sending must pause"),
        StatusEvent::RealTime { answer, .. } => {
            let parts = RealTimeQuery::ALL
                .into_iter()
                .zip(1..)
                .map(|(query, number)| {
                    let mut status = PrinterStatus::default();
                    status.apply_real_time(query, *answer);
                    let name = format!("if it answers DLE EOT {number}");
                    Part::new(None, 0, name).saying(words(&status))
                });
            part("answer in real time")
                .saying(format!("{answer:02X}"))
                .made_of(parts.collect())
        }
        StatusEvent::Automatic(block) => {
            let mut status = PrinterStatus::default();
            status.apply_automatic(*block);
            let value = format!("{}: {}", hex::encode_upper(block), words(&status));
            part("automatic status").saying(value)
        }
        StatusEvent::Reply(byte) => {
            let mut status = PrinterStatus::default();
            status.apply_paper_reply(*byte);
            let value = format!("{byte:02X}: to GS r 1: {}", words(&status));
            part("reply").saying(value)
        }
        StatusEvent::Identification(text) => part("identification").saying(redact(text)),
        StatusEvent::ProcessId(id) => {
            let id: String = id.iter().map(|byte| char::from(*byte)).collect();
            part("everything up to this id is printed").saying(id.escape_debug().to_string())
        }
        StatusEvent::PoweredOn => part("the printer was switched on"),
        StatusEvent::Unknown(byte) => unknown(at, length, &format!("{byte:02X} answers nothing")),
    }
}

fn words(status: &PrinterStatus) -> String {
    let words: Vec<_> = [
        (!status.online, "off-line"),
        (status.cover_open, "cover open"),
        (status.paper == PaperState::NearEnd, "paper near its end"),
        (status.paper == PaperState::Out, "no paper"),
        (status.cutter_error, "cutter jammed"),
        (status.mechanical, "error that can be cleared"),
        (status.unrecoverable, "error that needs service"),
        (status.overheated, "head too hot"),
        (status.waiting_for_recovery, "waits for the FEED button"),
        (status.feeding, "FEED button pressed"),
        (status.drawer_pin_high, "drawer switch high"),
    ]
    .into_iter()
    .filter_map(|(is_so, word)| is_so.then_some(word))
    .collect();
    if words.is_empty() {
        "nothing to report".to_owned()
    } else {
        words.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::printer::{Paper, encode_receipt};
    use protocol::receipt::{Align, Copy, Entry, Receipt};

    use super::*;

    fn receipt(text: &str) -> Vec<u8> {
        let text = text.to_owned();
        let receipt = Receipt {
            copy: Copy::Customer,
            is_duplicate: false,
            entries: vec![
                Entry::Heading { text: text.clone() },
                Entry::Text {
                    text: text.clone(),
                    align: Align::Centre,
                },
                Entry::Rule,
                Entry::Qr {
                    content: text.clone(),
                },
                Entry::Barcode { content: text },
            ],
        };
        encode_receipt(&receipt, &Paper::new(48))
    }

    #[test]
    fn every_command_of_our_own_receipts_has_a_name() {
        let decoded = decode_commands(&receipt("Tillway 1"));
        assert_eq!(decoded.unknown_bytes, 0, "{}", decoded.text());
        let total: usize = decoded.parts.iter().map(|part| part.length).sum();
        assert_eq!(total, decoded.bytes);
        let text = decoded.text();
        for expected in ["ESC @", "GS k", "QR: content Tillway 1", "GS V", "GS r"] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }

    #[test]
    fn a_card_number_on_paper_is_hidden() {
        let text = decode_commands(&receipt("4761739001010010")).text();
        assert!(!text.contains("4761739001010010"), "{text}");
    }

    #[test]
    fn unknown_and_cut_commands_are_named_with_their_place() {
        let decoded = decode_commands(b"ab\x1B\x7Fcd\x1Dk\x49\x40x");
        let text = decoded.text();
        assert!(
            text.contains("000002  not understood: 2 bytes: no known command begins with 1B7F")
        );
        assert!(text.contains("GS k: barcode is cut off"), "{text}");
    }

    #[test]
    fn answers_are_explained() {
        let decoded = decode_answers(b"\x12\x13\x11\x14\x00\x0C\x0F\x72\x5FTM-T88\0\x0C");
        let text = decoded.text();
        for expected in [
            "XOFF",
            "automatic status: 14000C0F",
            "no paper",
            "answer in real time: 72",
            "if it answers DLE EOT 4: no paper",
            "identification: TM-T88",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert_eq!(decoded.unknown_bytes, 0, "{text}");
        assert_eq!(decode_answers(b"\x5FTM").unknown_bytes, 3);
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_without_a_panic_and_none_is_lost(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let decoded = decode_commands(&bytes);
            let total: usize = decoded.parts.iter().map(|part| part.length).sum();
            prop_assert_eq!(total, bytes.len());
            drop(decoded.text());
            drop(decode_answers(&bytes).text());
        }
    }
}
