//! `pair` and `unpair`: what a technician types, sees, and gets as an exit code.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use protocol::certificate::Fingerprint;
use serde_json::json;

use super::output::Output;
use super::{Exit, PinArguments, exit_of_journal, exit_of_pair, explain};
use crate::config::Config;
use crate::journal::{JournalError, StateLock};
use crate::pair::device::{self, Progress, Surroundings};
use crate::pair::release::{self, ReleaseError, Released};
use crate::pair::show::{self, Style};
use crate::pair::{self, Identity, PairError, Pairing};
use crate::tls::{self, PinChoice, Trust};

/// How this till is to be paired.
pub(super) struct Wish<'a> {
    pub(super) code: Option<&'a str>,
    pub(super) is_plain: bool,
    pub(super) is_again: bool,
    pub(super) serial_number: Option<&'a str>,
    pub(super) pin: &'a PinArguments,
}

/// Pairs this till.
pub(super) fn pair(config: &Config, wish: &Wish<'_>, output: &mut Output<'_>) -> Exit {
    let lock = match lock(config) {
        Ok(lock) => lock,
        Err(error) => {
            let exit = exit_of_journal(&error);
            return output.fail(exit, "STATE_DIR", &explain(&error));
        }
    };
    let paired = attempt(config, wish, output);
    drop(lock);
    match paired {
        Ok(identity) => {
            let mut text = format!(
                "paired as {} ({})\nlink: {}\n",
                identity.label, identity.terminal_id, identity.link_url
            );
            if let Some(authority) = &identity.engine_ca {
                text.push_str(&format!("trusted CA: {}\n", authority.fingerprint()));
            }
            output.result(&identity, &text);
            Exit::Ok
        }
        Err(error) => output.fail(exit_of_pair(&error), code_of(&error), &explain(&error)),
    }
}

fn attempt(
    config: &Config,
    wish: &Wish<'_>,
    output: &mut Output<'_>,
) -> Result<Identity, PairError> {
    pair::check_unpaired(&config.state_dir, wish.is_again)?;
    let serial_number = wish.serial_number.map_or_else(machine_id, str::to_owned);
    let trust = trust_engine(config, wish.pin)?;
    let pairing = Pairing {
        state_dir: &config.state_dir,
        engine_url: &config.engine.url,
        trust: &trust,
        serial_number: &serial_number,
    };
    match wish.code {
        Some(code) => pair::pair(pairing, code),
        None => {
            let style = Style {
                is_plain: wish.is_plain,
                has_colour: std::io::stdout().is_terminal(),
            };
            let mut screen = Screen { output, style };
            device::pair_by_approval(pairing, device::PATIENCE_S, &mut screen)
        }
    }
}

/// The till's own screen and time.
struct Screen<'a, 'b> {
    output: &'a mut Output<'b>,
    style: Style,
}

impl Surroundings for Screen<'_, '_> {
    fn tell(&mut self, progress: Progress<'_>) {
        match progress {
            Progress::Code(shown) => {
                let event = json!({"event": "code", "data": shown});
                let text = show::invitation(shown, self.style);
                self.output.event(&event, &text);
            }
            Progress::NoAnswer(why) => {
                let event = json!({"event": "no_answer", "message": why});
                self.output.event(&event, "");
                let text = format!("{why}; asking again");
                self.output.progress(&text);
            }
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the engine says how often it may be asked; there is no condition to wait for"
    )]
    fn wait(&mut self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// Ends this till's pairing.
pub(super) fn unpair(config: &Config, is_forced: bool, output: &mut Output<'_>) -> Exit {
    let lock = match lock(config) {
        Ok(lock) => lock,
        Err(error @ JournalError::InUse(_)) => {
            let message =
                "an agent runs on this till: stop it first (systemctl stop tillway-agent)";
            return output.fail(exit_of_journal(&error), "STATE_DIR", message);
        }
        Err(error) => {
            let exit = exit_of_journal(&error);
            return output.fail(exit, "STATE_DIR", &explain(&error));
        }
    };
    let released = match is_forced {
        true => release::force_unpair(&config.state_dir),
        false => let_go(config),
    };
    drop(lock);
    match released {
        Ok(released) => {
            output.result(&released, &told(&released));
            Exit::Ok
        }
        Err(ReleaseError::Pair(error)) => {
            let mut message = explain(&error);
            if let Some(advice) = advice(&error) {
                message.push_str("; ");
                message.push_str(advice);
            }
            output.fail(exit_of_pair(&error), code_of(&error), &message)
        }
        Err(ReleaseError::Journal(error)) => {
            output.fail(exit_of_journal(&error), "JOURNAL", &explain(&error))
        }
        Err(error @ ReleaseError::OpenWork(_)) => {
            output.fail(Exit::Refused, "OPEN_WORK", &explain(&error))
        }
    }
}

fn let_go(config: &Config) -> Result<Released, ReleaseError> {
    let identity = pair::load_identity(&config.state_dir)?;
    let trust = identity.trust(&config.engine);
    release::unpair(&config.state_dir, &config.engine.url, &trust)
}

/// What to do about it.
fn advice(error: &PairError) -> Option<&'static str> {
    match error {
        PairError::Refused { code, .. } if code == "UNAUTHORIZED" => Some(
            "another till has taken its place there: `terminal-agent unpair --force` deletes what \
             this till has",
        ),
        PairError::Unreachable { .. } | PairError::Tls(_) => {
            Some("if the engine is gone for good: `terminal-agent unpair --force`")
        }
        _ => None,
    }
}

fn told(released: &Released) -> String {
    let mut text = format!(
        "unpaired: this till is {} ({}) no more\n",
        released.label, released.terminal_id
    );
    if let Some(journal) = &released.journal {
        text.push_str(&format!("its journal was kept: {}\n", journal.display()));
    }
    for remains in &released.remains {
        text.push_str(&format!("remains: {remains}\n"));
    }
    text
}

fn lock(config: &Config) -> Result<StateLock, JournalError> {
    pair::make_state_dir(&config.state_dir)
        .map_err(|source| JournalError::Io {
            action: "create",
            path: config.state_dir.clone(),
            source,
        })
        .and_then(|()| StateLock::take(&config.state_dir))
}

/// The stable code of a failure.
fn code_of(error: &PairError) -> &str {
    match error {
        PairError::Refused { code, .. } => code,
        PairError::Tls(fault) => fault.code(),
        PairError::PlainText(_) => "PLAIN_TEXT",
        PairError::NotPaired => "NOT_PAIRED",
        PairError::AlreadyPaired { .. } => "ALREADY_PAIRED",
        PairError::Denied => "PAIRING_DENIED",
        PairError::NobodyApproved => "PAIRING_NOT_APPROVED",
        _ => "PAIRING",
    }
}

/// Whom to believe: what the technician says, what was pinned before, or what a person agrees to.
fn trust_engine(config: &Config, pin: &PinArguments) -> Result<Trust, PairError> {
    let earlier = pair::load_identity(&config.state_dir);
    let earlier = earlier.ok().and_then(|identity| identity.engine_ca);
    let choice = PinChoice {
        fingerprint: pin.ca_fingerprint,
        file: pin.ca_file.clone(),
    };
    Ok(tls::establish(
        &config.engine,
        &choice,
        earlier.as_ref(),
        confirm,
    )?)
}

/// Asks a person, if there is one.
fn confirm(shown: Fingerprint) -> bool {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return false;
    }
    let question = format!(
        "The engine shows a CA with this fingerprint:\n  {shown}\nCompare it with what the engine \
         itself shows. Is it the same? Type yes: "
    );
    let mut answer = String::new();
    let asked = std::io::stderr().write_all(question.as_bytes());
    let heard = asked.and_then(|()| std::io::stdin().read_line(&mut answer));
    heard.is_ok() && answer.trim() == "yes"
}

/// What tells this machine from others; made by the system at installation.
fn machine_id() -> String {
    std::fs::read_to_string("/etc/machine-id")
        .map(|id| id.trim().to_owned())
        .ok()
        .filter(|id| !id.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}
