//! The firmware of the simulated devices: whatever a host sends and a hand does.

use firmware_sim::cards::{CARDS, Way};
use firmware_sim::printer::{
    Input as PrinterInput, Output as PrinterOutput, PrinterConfig, PrinterMachine, render_text,
};
use firmware_sim::reader::fault::{Fault, Scope};
use firmware_sim::reader::{Input, Output, Presentation, Reader, ReaderConfig};
use protocol::reader::command;
use protocol::reader::frame::{Command, ResponseDecoder};

use super::corpus::{READER_VECTORS, hex_members};
use super::input::Choices;
pub(super) use super::printer::WORDS;
use super::printer::language_seeds;

const STEPS_MAX: usize = 400;

/// Commands that a host sends, by their codes, beside bytes of any kind.
const COMMANDS: &[(u8, u8)] = &[
    (command::ACTIVATE, command::ACTIVATE_TRANSACTION),
    (command::CONTACT, command::CONTACT_START),
    (command::CONTACT, command::CONTACT_AUTHENTICATE),
    (command::CONTACT, command::CONTACT_APPLY_HOST_RESPONSE),
    (command::CONTACT, command::CONTACT_LAST_RESULT),
    (command::CANCEL, command::CANCEL_TRANSACTION),
    (command::CONFIGURATION, 0),
    (command::ENCRYPTION, command::ENCRYPTION_STATUS),
];

/// Every step: what happens, then its parameters.
pub(super) fn reader(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut now_ms = 0;
    let mut reader = Reader::new(ReaderConfig::demo(), now_ms);
    let mut decoder = ResponseDecoder::default();
    for _ in 0..STEPS_MAX {
        if choices.is_over() {
            break;
        }
        let kind = choices.byte();
        let bytes;
        let input = match kind % 12 {
            0 | 1 => Input::Host(choices.short()),
            2..=4 => {
                let (cmd, sub) = choices.pick(COMMANDS);
                let data = choices.short().to_vec();
                let Ok(command) = Command::new(cmd, sub, data) else {
                    continue;
                };
                bytes = command.encode();
                Input::Host(&bytes)
            }
            5 | 6 => Input::Present(Presentation {
                card: &CARDS[usize::from(choices.byte()) % CARDS.len()],
                way: choices.pick(&[Way::Tap, Way::Insert, Way::Swipe]),
            }),
            7 => Input::Remove,
            8 => {
                let words: Vec<_> = Fault::words().collect();
                let word = choices.pick(&words);
                let fault = Fault::from_word(word).expect("a listed word");
                let scope = choices.pick(&[Scope::Next, Scope::NextFinal, Scope::Always]);
                Input::Fault(fault, scope)
            }
            9 => Input::ClearFaults,
            10 => {
                now_ms += choices.duration_ms();
                Input::Deadline
            }
            _ => {
                now_ms = reader.poll_deadline().unwrap_or(now_ms).max(now_ms);
                Input::Deadline
            }
        };
        for Output::Host(bytes) in reader.handle(now_ms, input) {
            drop(decoder.decode(&bytes));
        }
        let due_ms = reader.poll_deadline();
        assert!(
            due_ms.is_none_or(|due_ms| due_ms > now_ms),
            "a deadline that has passed is still due"
        );
    }
    assert!(reader.phase().word().is_ascii());
}

/// The first byte is how the printer is built; then steps.
pub(super) fn printer(data: &[u8]) {
    let mut choices = Choices::new(data);
    let shape = choices.byte();
    let config = PrinterConfig {
        columns: [48, 42, 32][usize::from(shape % 3)],
        line_ms: u64::from(shape >> 4),
        ..PrinterConfig::default()
    };
    let buffer_bytes = config.buffer_bytes;
    let mut printer = PrinterMachine::new(config);
    let mut now_ms = 0;
    let mut out = Vec::new();
    for _ in 0..STEPS_MAX {
        if choices.is_over() {
            break;
        }
        let input = printer_input(&mut choices, &printer, &mut now_ms);
        printer.handle(now_ms, input, &mut out);
        let slack = 16;
        assert!(printer.buffered_bytes() <= buffer_bytes + slack);
    }
    // What is left prints on its own.
    for _ in 0..10_000 {
        let Some(due_ms) = printer.poll_deadline() else {
            break;
        };
        now_ms = due_ms.max(now_ms);
        printer.handle(now_ms, PrinterInput::Deadline, &mut out);
    }
    for output in &out {
        if let PrinterOutput::Paper(ticket) = output {
            drop(render_text(ticket));
        }
    }
}

fn printer_input<'a>(
    choices: &mut Choices<'a>,
    printer: &PrinterMachine,
    now_ms: &mut u64,
) -> PrinterInput<'a> {
    match choices.byte() % 20 {
        0..=5 => PrinterInput::HostBytes(choices.short()),
        6..=8 => PrinterInput::HostBytes(choices.long()),
        9 => PrinterInput::PaperOut,
        10 => PrinterInput::PaperNearEnd,
        11 => PrinterInput::PaperIn,
        12 => PrinterInput::CoverOpen,
        13 => PrinterInput::CoverClose,
        14 => PrinterInput::CutterJam,
        15 => PrinterInput::CutterClear,
        16 => PrinterInput::TearOff,
        17 => PrinterInput::PowerCycle,
        18 => {
            *now_ms += choices.duration_ms();
            PrinterInput::HeadHot
        }
        _ => {
            *now_ms = printer.poll_deadline().unwrap_or(*now_ms).max(*now_ms);
            PrinterInput::HeadCool
        }
    }
}

/// The vectors' frames as steps, with cards in between.
pub(super) fn reader_seeds() -> Vec<Vec<u8>> {
    let mut steps = vec![10, 250];
    for frame in hex_members(READER_VECTORS) {
        if let Ok(length) = u8::try_from(frame.len()) {
            steps.extend([0, length]);
            steps.extend(frame);
            steps.extend([5, 0, 0, 11, 11]);
        }
    }
    let activate = "0000271E9C01005F2A0209789F02060000000012349F0306000000000000DFEF370107";
    let activate = hex::decode(&activate[4..]).expect("hexadecimal");
    let mut sale = vec![10, 250, 2, 0, u8::try_from(activate.len()).expect("short")];
    sale.extend(activate);
    sale.extend([
        5, 0, 1, 11, 11, 11, 2, 3, 7, 1, 0x8A, 2, b'0', b'0', 0, 0, 11, 11, 7,
    ]);
    vec![steps, sale]
}

pub(super) fn printer_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for bytes in language_seeds() {
        let length = u16::try_from(bytes.len()).expect("a receipt");
        let mut seed = vec![0, 6];
        seed.extend(length.to_le_bytes());
        seed.extend(bytes);
        seeds.push(seed);
    }
    seeds
}
