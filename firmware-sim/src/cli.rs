//! The command line: runs the devices, or tells a running simulator what the hands do.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
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

/// Card reader and receipt printer in software.
#[derive(Debug, Parser)]
#[command(name = "firmware-sim", version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the devices until SIGTERM; makes DIR/reader.pty, DIR/printer.pty, DIR/paper and
    /// DIR/control.sock.
    Run {
        #[command(flatten)]
        cables: Cables,
        /// Directory for links, socket and the reader's key counter.
        #[arg(long)]
        dir: PathBuf,
        /// Script of what the customer does.
        #[arg(long)]
        script: Option<PathBuf>,
        /// Read cards and boot without the delays of a real reader.
        #[arg(long)]
        instant: bool,
        /// A reader without keys, which an agent must refuse.
        #[arg(long)]
        without_keys: bool,
        /// A switch of the reader's firmware as NAME=SETTING; see the command quirk.
        #[arg(long = "quirk", value_name = "NAME=SETTING", value_parser = quirk)]
        quirks: Vec<(String, String)>,
        /// How the reader encrypts card data: tdes or aes128. Each has a key counter of its own.
        #[arg(long, default_value = "tdes", value_parser = encryption)]
        encryption: Encryption,
        /// A setting of the printer, NAME=VALUE, may be repeated; `printer-settings` lists them.
        #[arg(long = "printer", value_name = "NAME=VALUE")]
        printer_settings: Vec<String>,
    },
    /// Presents a card to the reader, or takes it away.
    Card {
        #[command(subcommand)]
        action: CardAction,
    },
    /// Arms a fault of the reader: wrong-crc, truncated, noise, garbled, duplicate, late, mute,
    /// event-first, slow, refused, reset, reset-midway, vanish.
    Fault {
        /// The fault.
        fault: String,
        /// next, next-final, second-final, third-final or always.
        #[arg(long, default_value = "next")]
        scope: String,
        /// Directory of the running simulator.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Sets what the firmware's documentation leaves open; without arguments, lists the switches.
    Quirk {
        /// The switch.
        name: Option<String>,
        /// Its setting.
        setting: Option<String>,
        /// Directory of the running simulator.
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Pulls the reader's cable.
    Unplug {
        /// Directory of the running simulator.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Puts the reader's cable back.
    PlugIn {
        /// Directory of the running simulator.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Clears the armed faults of the reader.
    ClearFaults {
        /// Directory of the running simulator.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Does something to the printer: paper-out, paper-near-end, paper-in, cover-open, cover-close,
    /// cutter-jam, cutter-clear, paper-jam, jam-clear, head-hot, head-cool, break, mend, feed-press,
    /// feed-release, drawer-open, drawer-close, stall, go-on, noise, power-off, power-on, power-cycle, tear-off, unplug,
    /// plug-in.
    Printer {
        /// What.
        action: String,
        /// Directory of the running simulator.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Shows what the devices are busy with.
    Status {
        /// Directory of the running simulator.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Lists the virtual cards.
    Cards,
    /// Lists the printer's settings.
    PrinterSettings,
}

/// How the devices are connected.
#[derive(Debug, clap::Args)]
struct Cables {
    /// The printer at this address of the network too; DIR/printer.tcp says at which port.
    #[arg(long, value_name = "ADDRESS:PORT")]
    printer_tcp: Option<SocketAddr>,
    /// DIR/reader.pty carries USB-HID reports rather than frames.
    #[arg(long)]
    reader_hid: bool,
    /// The reader is a USB gadget with this device file (`/dev/ttyGS0`; `/dev/hidg0` with
    /// --reader-hid).
    #[arg(long, value_name = "FILE")]
    reader_gadget: Option<PathBuf>,
    /// The printer is a USB gadget with this device file (`/dev/g_printer0`).
    #[arg(long, value_name = "FILE")]
    printer_gadget: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum CardAction {
    /// Holds a card to the contactless field.
    Tap(Named),
    /// Puts a card into the slot.
    Insert(Named),
    /// Draws a card through the stripe slot.
    Swipe(Named),
    /// Takes the card away.
    Remove {
        /// Directory of the running simulator.
        #[arg(long)]
        dir: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct Named {
    /// Name of the card; see `cards`.
    name: String,
    /// Directory of the running simulator.
    #[arg(long)]
    dir: PathBuf,
}

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
        Command::Run {
            cables,
            dir,
            script,
            instant,
            without_keys,
            quirks,
            encryption,
            printer_settings,
        } => {
            let printer = printer_config(&printer_settings)?;
            let counter_file = dir.join(counter_file_name(encryption));
            let mut config = ReaderConfig::demo();
            config.keys = KeyRegister::demo_of(encryption, read_counter(&counter_file)?);
            config.encryption_on = !without_keys;
            for (name, setting) in &quirks {
                config.quirks.set(name, setting);
            }
            if instant {
                config.timing = Timing::INSTANT;
            }
            let devices = Devices {
                reader: config,
                counter_file,
                printer,
            };
            run_devices(&cables, &dir, script.as_deref(), devices)
        }
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

/// What is switched on.
struct Devices {
    reader: ReaderConfig,
    counter_file: PathBuf,
    printer: PrinterConfig,
}

fn run_devices(
    cables: &Cables,
    dir: &Path,
    script: Option<&Path>,
    mut devices: Devices,
) -> Result<(), CliError> {
    std::fs::create_dir_all(dir)?;
    let script = match script {
        Some(path) => Script::parse(&std::fs::read_to_string(path)?)?,
        None => Script::default(),
    };
    devices.reader.date = clock::today();
    let clock = Clock::start();
    let reader = Reader::new(devices.reader, clock.now_ms());
    let printer = PrinterMachine::new(devices.printer);
    let counter_file = Some(devices.counter_file);
    let reader: Box<dyn Device> = Box::new(ReaderDevice::new(reader, counter_file));
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

fn encryption(word: &str) -> Result<Encryption, String> {
    let words = || Encryption::ALL.map(Encryption::word).join(" or ");
    Encryption::from_word(word).ok_or_else(|| format!("must be {}", words()))
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

/// NAME=SETTING, both known.
fn quirk(text: &str) -> Result<(String, String), String> {
    let (name, setting) = text.split_once('=').unwrap_or((text, "on"));
    if ReaderQuirks::default().set(name, setting) {
        Ok((name.to_owned(), setting.to_owned()))
    } else {
        Err("no such switch or setting; the command quirk lists them".to_owned())
    }
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
