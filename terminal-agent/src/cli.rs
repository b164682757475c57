//! The command line: arguments in, text or JSON on standard output, everything else on standard
//! error, and an exit code that a script can branch on.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done; for `sale`: approved |
//! | 1 | failed; for `sale`: no money moved |
//! | 2 | usage or configuration |
//! | 3 | not paired |
//! | 4 | the engine cannot be reached |
//! | 5 | reader or port fault |
//! | 6 | declined or refused |
//! | 7 | outcome unknown |
//! | 8 | another agent is running on this state directory |
//! | 130 | interrupted |

pub(crate) mod client;
mod command;
mod output;
mod pairing;
pub(crate) mod ports;
mod technician;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use protocol::certificate::Fingerprint;
use protocol::id::{PosTransactionId, TransactionId};
use protocol::money::{Currency, Money};

use crate::config::{Config, ConfigError};
use crate::journal::JournalError;
use crate::pair::PairError;
use crate::run::{self, RunError, Stopped};
use crate::till_screen::{self, Left, TillError, TillOptions};
use crate::tls::TlsFault;
use output::Output;

/// How a command ended, as its exit code says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok,
    /// Failed; no money moved.
    Failed,
    /// Wrong arguments or configuration.
    Usage,
    /// This till is not paired.
    NotPaired,
    /// The engine cannot be reached.
    EngineUnreachable,
    /// Reader or port.
    DeviceFault,
    /// Declined by the issuer or the card, or refused by the engine or the agent.
    Refused,
    /// Nobody here knows the outcome.
    OutcomeUnknown,
    /// The state directory is in use.
    AlreadyRunning,
    /// SIGINT.
    Interrupted,
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotPaired => 3,
            Self::EngineUnreachable => 4,
            Self::DeviceFault => 5,
            Self::Refused => 6,
            Self::OutcomeUnknown => 7,
            Self::AlreadyRunning => 8,
            Self::Interrupted => 130,
        }
    }
}

const AFTER_HELP: &str = "Exit codes: 0 ok, 1 failed, 2 usage, 3 not paired, 4 engine unreachable, \
5 reader or port fault, 6 declined or refused, 7 outcome unknown, 8 already running, \
130 interrupted.";

/// Tillway's agent on the till.
#[derive(Debug, Parser)]
#[command(name = "terminal-agent", version, after_help = AFTER_HELP)]
struct Arguments {
    /// Configuration file.
    #[arg(
        long,
        global = true,
        env = "TILLWAY_AGENT_CONFIG",
        default_value = "/etc/tillway/terminal-agent.toml"
    )]
    config: PathBuf,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

/// How the technician knows the engine, where it speaks TLS.
#[derive(Debug, clap::Args)]
struct PinArguments {
    /// Fingerprint of the engine's CA, as `engine init` and the pairing code's answer show it:
    /// whole, or at least its first 20 digits.
    #[arg(long, visible_alias = "accept-ca")]
    ca_fingerprint: Option<Fingerprint>,
    /// The engine's CA certificate (PEM), brought here by hand.
    #[arg(long)]
    ca_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
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

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help goes to standard output, complaints to standard error; a reader that has gone
            // is no failure.
            drop(error.print());
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Ok
            };
            return ExitCode::from(exit.code());
        }
    };
    let mut stdout = std::io::stdout().lock();
    let exit = perform(&arguments, &mut stdout);
    ExitCode::from(exit.code())
}

fn perform(arguments: &Arguments, stdout: &mut dyn Write) -> Exit {
    let mut output = Output::new(stdout, arguments.json);
    if let Command::Ports { user } = &arguments.command {
        return ports::ports(&arguments.config, user.as_deref(), &mut output);
    }
    if let Command::Doctor { fix } = &arguments.command {
        return technician::doctor(&arguments.config, *fix, &mut output);
    }
    if let Command::Decode(capture) = &arguments.command {
        return technician::decode(capture, &mut output);
    }
    if let Command::SupportBundle { out, log } = &arguments.command {
        let log = log.as_deref();
        return technician::support_bundle(&arguments.config, out, log, &mut output);
    }
    let config = match Config::read(&arguments.config) {
        Ok(config) => config,
        Err(error) => return output.fail(Exit::Usage, "CONFIG", &explain_config(&error)),
    };
    match &arguments.command {
        Command::Pair {
            code,
            plain,
            again,
            serial_number,
            pin,
        } => {
            let wish = pairing::Wish {
                code: code.as_deref(),
                is_plain: *plain,
                is_again: *again,
                serial_number: serial_number.as_deref(),
                pin,
            };
            pairing::pair(&config, &wish, &mut output)
        }
        Command::Unpair { force } => pairing::unpair(&config, *force, &mut output),
        Command::Run => {
            crate::log::start();
            perform_run(&config, &mut output)
        }
        Command::PrintTest { drawer } => technician::print_test(&config, *drawer, &mut output),
        Command::Journal { open } => technician::journal(&config, *open, &mut output),
        Command::Sale {
            amount,
            currency,
            authorization,
            reference,
            tip_prompt,
            wait: _,
            no_wait,
        } => {
            let sale = command::Sale {
                amount: Money::new(*amount, *currency),
                is_authorization: *authorization,
                reference: reference.clone(),
                tip_prompt: *tip_prompt,
                waits: !*no_wait,
            };
            command::sale(&config.state_dir, sale, &mut output)
        }
        Command::Till {
            currency,
            tip_prompt,
            plain,
        } => {
            let options = TillOptions {
                state_dir: config.state_dir,
                currency: *currency,
                tip_prompt: *tip_prompt,
                is_plain: *plain,
            };
            perform_till(&options, &mut output)
        }
        other => match simple_line(other) {
            Some(line) => command::simple(&config.state_dir, &line, &mut output),
            None => Exit::Usage,
        },
    }
}

fn simple_line(command: &Command) -> Option<crate::control::message::Line> {
    use crate::control::message::{Choice, Line};
    Some(match command {
        Command::Cancel { key: true, .. } => Line::CancelKey { id: 1 },
        Command::Cancel {
            pos,
            void_if_too_late,
            ..
        } => Line::Cancel {
            id: 1,
            pos_id: *pos,
            void_if_too_late: *void_if_too_late,
            request_id: None,
        },
        Command::Print { pos, copy } => Line::Print {
            id: 1,
            pos_id: *pos,
            copy: (*copy).into(),
            request_id: None,
        },
        Command::Tip {
            pos,
            amount,
            currency,
        } => Line::Tip {
            id: 1,
            pos_id: *pos,
            tip: Money::new(*amount, *currency),
            request_id: None,
        },
        Command::ChooseTip { option } => Line::ChooseTip {
            id: 1,
            choice: option.map_or(Choice::None, Choice::Option),
        },
        Command::Void { transaction } => Line::Void {
            id: 1,
            transaction_id: *transaction,
            request_id: None,
        },
        Command::Status => Line::Status { id: 1 },
        Command::Pair { .. }
        | Command::Unpair { .. }
        | Command::Run
        | Command::Sale { .. }
        | Command::Ports { .. }
        | Command::Doctor { .. }
        | Command::Decode(_)
        | Command::Journal { .. }
        | Command::PrintTest { .. }
        | Command::SupportBundle { .. }
        | Command::Till { .. } => {
            return None;
        }
    })
}

fn explain_config(error: &ConfigError) -> String {
    explain(error)
}

/// An error with its causes.
fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn perform_run(config: &Config, output: &mut Output<'_>) -> Exit {
    match run::run(config) {
        Ok(Stopped::Terminated) => Exit::Ok,
        Ok(Stopped::Interrupted) => Exit::Interrupted,
        Err(error) => {
            let (exit, code) = match &error {
                RunError::Config(_) => (Exit::Usage, "CONFIG"),
                RunError::Pair(error) => (exit_of_pair(error), "IDENTITY"),
                RunError::Journal(error) => (exit_of_journal(error), "STATE_DIR"),
                RunError::Address(_) => (Exit::Usage, "LINK_ADDRESS"),
                RunError::Tls(fault) => (Exit::NotPaired, fault.code()),
                RunError::System { .. } => (Exit::Failed, "SYSTEM"),
                RunError::JournalFault => (Exit::Failed, "JOURNAL_FAULT"),
            };
            output.fail(exit, code, &explain(&error))
        }
    }
}

fn perform_till(options: &TillOptions, output: &mut Output<'_>) -> Exit {
    match till_screen::run(options) {
        Ok(Left::Quit) => Exit::Ok,
        Ok(Left::Interrupted) => Exit::Interrupted,
        Err(error) => {
            let (exit, code) = match &error {
                TillError::NoTerminal => (Exit::Usage, "NO_TERMINAL"),
                TillError::System { .. } => (Exit::Failed, "SYSTEM"),
            };
            output.fail(exit, code, &explain(&error))
        }
    }
}

const fn exit_of_pair(error: &PairError) -> Exit {
    match error {
        PairError::NotPaired => Exit::NotPaired,
        PairError::Unreachable { .. } => Exit::EngineUnreachable,
        PairError::PlainText(_) => Exit::Usage,
        PairError::Tls(
            TlsFault::Address(_) | TlsFault::NoAuthority(_) | TlsFault::NotPinned { .. },
        ) => Exit::Usage,
        PairError::Tls(_) => Exit::EngineUnreachable,
        PairError::Refused { .. } | PairError::AlreadyPaired { .. } | PairError::Denied => {
            Exit::Refused
        }
        PairError::NobodyApproved => Exit::Failed,
        PairError::Io { .. } | PairError::Damaged(_) | PairError::NoRandomness => Exit::Failed,
    }
}

const fn exit_of_journal(error: &JournalError) -> Exit {
    match error {
        JournalError::InUse(_) => Exit::AlreadyRunning,
        JournalError::Io { .. } | JournalError::Frame(_) => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::journal::StateLock;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    fn run(arguments: &[&str]) -> (Exit, String) {
        let arguments = [&["terminal-agent"], arguments].concat();
        let arguments = Arguments::try_parse_from(arguments).unwrap();
        let mut stdout = Vec::new();
        let exit = perform(&arguments, &mut stdout);
        (exit, String::from_utf8(stdout).unwrap())
    }

    #[test]
    fn failures_have_their_exit_code_and_leave_standard_output_to_json() {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("agent.toml");
        let state_dir = directory.path().join("state");
        let text = format!(
            "state_dir = {state_dir:?}\n[engine]\nurl = \"http://127.0.0.1:1\"\n\
             [reader]\npath = \"/nonexistent\"\n"
        );
        std::fs::write(&config, text).unwrap();
        let config = config.to_str().unwrap();
        let missing = ["--config", "/nonexistent/agent.toml", "status"];
        assert_eq!(run(&missing), (Exit::Usage, String::new()));
        assert_eq!(run(&["--config", config, "run"]).0, Exit::NotPaired);
        let pair = ["--config", config, "pair", "--code", "X"];
        assert_eq!(run(&pair).0, Exit::EngineUnreachable);
        let _lock = StateLock::take(&state_dir).unwrap();
        assert_eq!(run(&pair).0, Exit::AlreadyRunning);
        let (exit, json) = run(&["--config", config, "--json", "status"]);
        assert_eq!(exit, Exit::Failed);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["error"]["code"], "AGENT_NOT_RUNNING");
    }

    #[test]
    fn ports_are_listed_without_a_configuration() {
        let missing = ["--config", "/nonexistent/agent.toml", "--json", "ports"];
        let (exit, json) = run(&missing);
        assert_eq!(exit, Exit::Ok);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["data"]["schema"], "tillway.ports/v1");
        let problem = json["data"]["configuration_problem"].as_str().unwrap();
        assert!(problem.contains("/nonexistent/agent.toml"), "{problem}");
        let (exit, json) = run(&[&missing[..], &["--user", "no such user"]].concat());
        assert_eq!(exit, Exit::Usage);
        assert!(json.contains("NO_SUCH_USER"), "{json}");
    }
}
