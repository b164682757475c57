//! What the command line takes, with the words of its help.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::reader::ReaderQuirks;
use crate::reader::key_register::Encryption;

/// Card reader and receipt printer in software.
#[derive(Debug, Parser)]
#[command(name = "firmware-sim", version)]
pub struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Runs the devices until SIGTERM; makes DIR/reader.pty, DIR/printer.pty, DIR/paper and
    /// DIR/control.sock.
    Run(RunArguments),
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

/// What is run, and how.
#[derive(Debug, clap::Args)]
pub(super) struct RunArguments {
    #[command(flatten)]
    pub(super) cables: Cables,
    /// Directory for links, socket and the reader's key counter.
    #[arg(long)]
    pub(super) dir: PathBuf,
    /// Script of what the customer does.
    #[arg(long)]
    pub(super) script: Option<PathBuf>,
    /// Read cards and boot without the delays of a real reader.
    #[arg(long)]
    pub(super) instant: bool,
    /// A reader without keys, which an agent must refuse.
    #[arg(long)]
    pub(super) without_keys: bool,
    /// A switch of the reader's firmware as NAME=SETTING; see the command quirk.
    #[arg(long = "quirk", value_name = "NAME=SETTING", value_parser = quirk)]
    pub(super) quirks: Vec<(String, String)>,
    /// How the reader encrypts card data: tdes or aes128. Each has a key counter of its own.
    #[arg(long, default_value = "tdes", value_parser = encryption)]
    pub(super) encryption: Encryption,
    /// A setting of the printer, NAME=VALUE, may be repeated; `printer-settings` lists them.
    #[arg(long = "printer", value_name = "NAME=VALUE")]
    pub(super) printer_settings: Vec<String>,
}

/// How the devices are connected.
#[derive(Debug, clap::Args)]
pub(super) struct Cables {
    /// The printer at this address of the network too; DIR/printer.tcp says at which port.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) printer_tcp: Option<SocketAddr>,
    /// DIR/reader.pty carries USB-HID reports rather than frames.
    #[arg(long)]
    pub(super) reader_hid: bool,
    /// The reader is a USB gadget with this device file (`/dev/ttyGS0`; `/dev/hidg0` with
    /// --reader-hid).
    #[arg(long, value_name = "FILE")]
    pub(super) reader_gadget: Option<PathBuf>,
    /// The printer is a USB gadget with this device file (`/dev/g_printer0`).
    #[arg(long, value_name = "FILE")]
    pub(super) printer_gadget: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum CardAction {
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
pub(super) struct Named {
    /// Name of the card; see `cards`.
    pub(super) name: String,
    /// Directory of the running simulator.
    #[arg(long)]
    pub(super) dir: PathBuf,
}

fn encryption(word: &str) -> Result<Encryption, String> {
    let words = || Encryption::ALL.map(Encryption::word).join(" or ");
    Encryption::from_word(word).ok_or_else(|| format!("must be {}", words()))
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
