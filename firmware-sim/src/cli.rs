//! The command line: runs the devices, or tells a running simulator what the hands do.

mod arguments;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cards::{CARDS, Way};
use crate::clock::{self, Clock};
use crate::control;
use crate::device::{ControlRequest, Device, HidDevice, PrinterDevice, ReaderDevice, read_counter};
use crate::printer::{PrinterConfig, PrinterMachine, SETTINGS, SettingError};
use crate::reader::key_register::{Encryption, KeyRegister};
use crate::reader::quirks::SWITCHES;
use crate::reader::{Reader, ReaderConfig, ReaderQuirks, Timing};
use crate::run::{Plugged, Reach, control_socket, run};
use crate::script::{Script, ScriptError};
pub use arguments::Arguments;
use arguments::{CardAction, Command, Named, RunArguments};

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The system refused something.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The script cannot be understood.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// The printer has no such setting.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The running simulator refused the command.
    #[error("{reason}")]
    Refused {
        /// What it says.
        reason: String,
    },
}

/// Carries the command line out; what it has to say goes to `out`.
///
/// # Errors
/// [`CliError`].
pub fn execute(arguments: Arguments, out: &mut impl Write) -> Result<(), CliError> {
    match arguments.command {
        Command::Run(arguments) => run_devices(&arguments),
        Command::Card { action } => {
            let (dir, request) = card_request(action);
            ask(&dir, &request, out)
        }
        Command::Fault { fault, scope, dir } => {
            let request = ControlRequest::new("reader", "fault")
                .with("fault", &fault)
                .with("scope", &scope);
            ask(&dir, &request, out)
        }
        Command::Quirk { name, setting, dir } => match (name, setting, dir) {
            (Some(name), Some(setting), Some(dir)) => {
                let request = ControlRequest::new("reader", "quirk")
                    .with("name", &name)
                    .with("setting", &setting);
                ask(&dir, &request, out)
            }
            _ => list_switches(out),
        },
        Command::Unplug { dir } => ask(&dir, &ControlRequest::new("reader", "unplug"), out),
        Command::PlugIn { dir } => ask(&dir, &ControlRequest::new("reader", "plug-in"), out),
        Command::ClearFaults { dir } => {
            ask(&dir, &ControlRequest::new("reader", "clear-faults"), out)
        }
        Command::Printer { action, dir } => {
            ask(&dir, &ControlRequest::new("printer", &action), out)
        }
        Command::Status { dir } => ask(&dir, &ControlRequest::new("all", "status"), out),
        Command::Cards => list_cards(out),
        Command::PrinterSettings => {
            for (name, takes) in SETTINGS {
                writeln!(out, "{name:<16} {takes}")?;
            }
            Ok(())
        }
    }
}

fn printer_config(settings: &[String]) -> Result<PrinterConfig, SettingError> {
    let mut config = PrinterConfig::default();
    for setting in settings {
        config.set(setting)?;
    }
    Ok(config)
}

/// The reader as it is switched on.
fn reader_config(arguments: &RunArguments, counter_file: &Path) -> Result<ReaderConfig, CliError> {
    let mut config = ReaderConfig::demo();
    config.keys = KeyRegister::demo_of(arguments.encryption, read_counter(counter_file)?);
    config.encryption_on = !arguments.without_keys;
    for (name, setting) in &arguments.quirks {
        config.quirks.set(name, setting);
    }
    if arguments.instant {
        config.timing = Timing::INSTANT;
    }
    config.date = clock::today();
    Ok(config)
}

fn run_devices(arguments: &RunArguments) -> Result<(), CliError> {
    let RunArguments { cables, dir, .. } = arguments;
    let printer = printer_config(&arguments.printer_settings)?;
    let counter_file = dir.join(counter_file_name(arguments.encryption));
    let reader = reader_config(arguments, &counter_file)?;
    std::fs::create_dir_all(dir)?;
    let script = match &arguments.script {
        Some(path) => Script::parse(&std::fs::read_to_string(path)?)?,
        None => Script::default(),
    };
    let clock = Clock::start();
    let reader = Reader::new(reader, clock.now_ms());
    let printer = PrinterMachine::new(printer);
    let reader: Box<dyn Device> = Box::new(ReaderDevice::new(reader, Some(counter_file)));
    let devices = vec![
        Plugged {
            name: "reader",
            device: if cables.reader_hid {
                Box::new(HidDevice::new(reader))
            } else {
                reader
            },
            reach: Reach {
                network: None,
                gadget: cables.reader_gadget.clone(),
            },
        },
        Plugged {
            name: "printer",
            device: Box::new(PrinterDevice::new(printer, dir.join("paper"))?),
            reach: Reach {
                network: cables.printer_tcp,
                gadget: cables.printer_gadget.clone(),
            },
        },
    ];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(dir, devices, script, clock))?;
    Ok(())
}

/// A device that is loaded with another key counts anew.
const fn counter_file_name(encryption: Encryption) -> &'static str {
    match encryption {
        Encryption::TripleDes => "reader.counter",
        Encryption::Aes128 => "reader-aes128.counter",
    }
}

fn card_request(action: CardAction) -> (PathBuf, ControlRequest) {
    let (way, Named { name, dir }) = match action {
        CardAction::Tap(named) => (Way::Tap, named),
        CardAction::Insert(named) => (Way::Insert, named),
        CardAction::Swipe(named) => (Way::Swipe, named),
        CardAction::Remove { dir } => return (dir, ControlRequest::new("reader", "remove")),
    };
    let request = ControlRequest::new("reader", "present")
        .with("card", &name)
        .with("way", way.word());
    (dir, request)
}

fn ask(dir: &Path, request: &ControlRequest, out: &mut impl Write) -> Result<(), CliError> {
    let answer = control::ask(&control_socket(dir), request)?;
    match answer.get("ok") {
        Some(Value::Bool(true)) => {}
        _ => {
            let reason = answer.get("error").and_then(Value::as_str);
            let reason = reason.unwrap_or("no reason given").to_owned();
            return Err(CliError::Refused { reason });
        }
    }
    if let Some(status) = answer.get("status") {
        writeln!(out, "{status:#}")?;
    }
    Ok(())
}

fn list_switches(out: &mut impl Write) -> Result<(), CliError> {
    for (name, settings) in SWITCHES {
        let default = settings.iter().find(|setting| {
            let mut quirks = ReaderQuirks::default();
            quirks.set(name, setting) && quirks == ReaderQuirks::default()
        });
        let default = default.copied().unwrap_or_default();
        writeln!(
            out,
            "{name:<24} {} (as delivered: {default})",
            settings.join(", ")
        )?;
    }
    Ok(())
}

fn list_cards(out: &mut impl Write) -> Result<(), CliError> {
    for card in CARDS {
        let ways: Vec<_> = card.ways.iter().map(|way| way.word()).collect();
        writeln!(
            out,
            "{:<16} {:<17} {:<17} {}",
            card.name,
            card.masked_account(),
            ways.join(","),
            card.summary
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn the_documented_command_lines_are_understood() {
        for line in [
            "firmware-sim run --dir /tmp/till",
            "firmware-sim run --dir /tmp/till --script demo.txt --instant --without-keys",
            "firmware-sim run --dir /tmp/till --printer-tcp 127.0.0.1:0 --reader-hid",
            "firmware-sim run --dir /tmp/till --reader-gadget /dev/ttyGS0 --printer-gadget /dev/g_printer0",
            "firmware-sim run --dir /tmp/till --encryption aes128",
            "firmware-sim run --dir /tmp/till --printer columns=32 --printer flow=none",
            "firmware-sim printer-settings",
            "firmware-sim card tap visa --dir /tmp/till",
            "firmware-sim card insert visa --dir /tmp/till",
            "firmware-sim card swipe stripe --dir /tmp/till",
            "firmware-sim card remove --dir /tmp/till",
            "firmware-sim fault late --scope next-final --dir /tmp/till",
            "firmware-sim clear-faults --dir /tmp/till",
            "firmware-sim run --dir /tmp/till --quirk stray-answer=after --quirk old-error-tag",
            "firmware-sim quirk",
            "firmware-sim quirk stray-answer after --dir /tmp/till",
            "firmware-sim unplug --dir /tmp/till",
            "firmware-sim plug-in --dir /tmp/till",
            "firmware-sim printer paper-out --dir /tmp/till",
            "firmware-sim status --dir /tmp/till",
            "firmware-sim cards",
        ] {
            let parsed = Arguments::try_parse_from(line.split(' '));
            assert!(parsed.is_ok(), "{line}: {parsed:?}");
        }
    }

    #[test]
    fn an_unknown_encryption_is_refused_with_the_choice() {
        let line = "firmware-sim run --dir /tmp/till --encryption rsa";
        let refused = Arguments::try_parse_from(line.split(' ')).unwrap_err();
        assert!(refused.to_string().contains("tdes or aes128"), "{refused}");
    }

    #[test]
    fn cards_are_listed_without_their_accounts() {
        let mut out = Vec::new();
        let arguments = Arguments::try_parse_from(["firmware-sim", "cards"]).unwrap();
        execute(arguments, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), CARDS.len());
        for card in CARDS {
            assert!(text.contains(card.name) && !text.contains(card.account()));
        }
    }

    #[test]
    fn a_simulator_that_does_not_run_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let request = ControlRequest::new("reader", "remove");
        let asked = ask(dir.path(), &request, &mut Vec::new());
        assert!(matches!(asked, Err(CliError::Io(_))));
    }
}
