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

mod arguments;
pub(crate) mod client;
mod command;
mod exit;
mod output;
mod pairing;
pub(crate) mod ports;
mod technician;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use protocol::money::Money;

use crate::config::{Config, ConfigError};
use crate::run::{self, RunError, Stopped};
use crate::till_screen::{self, Left, TillError, TillOptions};
use arguments::{Arguments, Command, PinArguments};
pub use exit::Exit;
use exit::{exit_of_journal, exit_of_pair};
use output::Output;

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
    if let Some(exit) = perform_unconfigured(arguments, &mut output) {
        return exit;
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

/// What works without a configuration that can be read.
fn perform_unconfigured(arguments: &Arguments, output: &mut Output<'_>) -> Option<Exit> {
    let config = arguments.config.as_path();
    Some(match &arguments.command {
        Command::Ports { user } => ports::ports(config, user.as_deref(), output),
        Command::Doctor { fix } => technician::doctor(config, *fix, output),
        Command::Decode(capture) => technician::decode(capture, output),
        Command::SupportBundle { out, log } => {
            technician::support_bundle(config, out, log.as_deref(), output)
        }
        _ => return None,
    })
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
