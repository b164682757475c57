//! What the command line takes, with the words of its help.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use protocol::certificate::Fingerprint;
use protocol::id::{PosTransactionId, TransactionId};
use protocol::money::Currency;

use super::{command, technician};

const AFTER_HELP: &str = "Exit codes: 0 ok, 1 failed, 2 usage, 3 not paired, 4 engine unreachable, \
5 reader or port fault, 6 declined or refused, 7 outcome unknown, 8 already running, \
130 interrupted.";

/// Tillway's agent on the till.
#[derive(Debug, Parser)]
#[command(name = "terminal-agent", version, after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Configuration file.
    #[arg(
        long,
        global = true,
        env = "TILLWAY_AGENT_CONFIG",
        default_value = "/etc/tillway/terminal-agent.toml"
    )]
    pub(super) config: PathBuf,
    /// Print JSON.
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// How the technician knows the engine, where it speaks TLS.
#[derive(Debug, clap::Args)]
pub(super) struct PinArguments {
    /// Fingerprint of the engine's CA, as `engine init` and the pairing code's answer show it:
    /// whole, or at least its first 20 digits.
    #[arg(long, visible_alias = "accept-ca")]
    pub(super) ca_fingerprint: Option<Fingerprint>,
    /// The engine's CA certificate (PEM), brought here by hand.
    #[arg(long)]
    pub(super) ca_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Pair this till with the engine: by a code, or by showing one for a person to approve.
    Pair {
        /// The code that somebody made for this till; without it the till shows one, with an
        /// address and a QR symbol, and waits until a person approves it there.
        #[arg(long)]
        code: Option<String>,
        /// Show words only, without large letters and QR symbol.
        #[arg(long)]
        plain: bool,
        /// Pair anew as the terminal that this till is already.
        #[arg(long)]
        again: bool,
        /// Serial number of the till; the machine's id if absent.
        #[arg(long)]
        serial_number: Option<String>,
        #[command(flatten)]
        pin: PinArguments,
    },
    /// End this till's pairing: the engine lets the terminal go, then key and identity are deleted.
    Unpair {
        /// Delete key and identity without the engine, for a till whose engine is gone; says what
        /// remains.
        #[arg(long)]
        force: bool,
    },
    /// Run the agent in the foreground.
    Run,
    /// Start a sale at this till and wait for its end.
    Sale {
        /// Amount without tip, in minor units (cents).
        #[arg(long)]
        amount: i64,
        /// ISO 4217 code.
        #[arg(long)]
        currency: Currency,
        /// Reserve only; capture later.
        #[arg(long)]
        authorization: bool,
        /// The shop's own reference.
        #[arg(long)]
        reference: Option<String>,
        /// Ask the payer for a tip.
        #[arg(long)]
        tip_prompt: bool,
        /// Wait for the end and print the result (the default).
        #[arg(long, overrides_with = "no_wait")]
        wait: bool,
        /// Return as soon as the engine has started it.
        #[arg(long)]
        no_wait: bool,
    },
    /// Cancel what is running here, or a given POS transaction.
    Cancel {
        /// The POS transaction.
        #[arg(long)]
        pos: Option<PosTransactionId>,
        /// Undo an approval that won the race.
        #[arg(long)]
        void_if_too_late: bool,
        /// Press the till's own cancel key instead of asking the engine.
        #[arg(long, conflicts_with_all = ["pos", "void_if_too_late"])]
        key: bool,
    },
    /// Print a receipt.
    Print {
        /// The POS transaction.
        #[arg(long)]
        pos: PosTransactionId,
        /// Which copy.
        #[arg(long, value_enum, default_value = "customer")]
        copy: command::CopyArgument,
    },
    /// Change the tip of a transaction.
    Tip {
        /// The POS transaction.
        #[arg(long)]
        pos: PosTransactionId,
        /// The new tip in minor units; replaces the old one.
        #[arg(long)]
        amount: i64,
        /// ISO 4217 code.
        #[arg(long)]
        currency: Currency,
    },
    /// Press a key of the tip prompt.
    ChooseTip {
        /// The option, counted from 0; no tip if absent.
        #[arg(long)]
        option: Option<usize>,
    },
    /// Undo an approved transaction before settlement.
    Void {
        /// The transaction.
        #[arg(long)]
        transaction: TransactionId,
    },
    /// Show how this till is.
    Status,
    /// List the ports of this machine: what is behind them, who may use them, who does, and which
    /// of them the configuration means. Opens none; needs no configuration.
    Ports {
        /// Whether this user may use them; the agent's user, if absent.
        #[arg(long)]
        user: Option<String>,
    },
    /// Examine everything that a sale needs: what was seen, and what to do. Exit code 1 when
    /// something failed.
    Doctor {
        /// Repair what is safe to repair: modes of the state directory's files, a control socket
        /// that was left behind.
        #[arg(long)]
        fix: bool,
    },
    /// Print a test page: by the running agent, or directly when none runs.
    PrintTest {
        /// Open the drawer first.
        #[arg(long)]
        drawer: bool,
    },
    /// Show what bytes of a reader, a printer or the link mean, without card data.
    Decode(technician::Capture),
    /// Show the agent's journal: what is open, and its entries. Reads only.
    Journal {
        /// Only what is open.
        #[arg(long)]
        open: bool,
    },
    /// Write a file for support: the doctor's report, ports, versions, configuration, journal and
    /// log, with card data and secrets hidden.
    SupportBundle {
        /// The file; must not be there.
        #[arg(long)]
        out: PathBuf,
        /// A log file whose last lines are taken along.
        #[arg(long)]
        log: Option<PathBuf>,
    },
    /// Open the cashier's screen. It speaks to a running agent and can be closed at any time.
    Till {
        /// ISO 4217 code of the amounts that are typed; learned or asked for if absent.
        #[arg(long, env = "TILLWAY_TILL_CURRENCY")]
        currency: Option<Currency>,
        /// Ask payers for a tip, until it is switched off at the screen.
        #[arg(long)]
        tip_prompt: bool,
        /// Line by line, for screen readers and scripts.
        #[arg(long)]
        plain: bool,
    },
}
