//! The owner of a terminal's link: its life and its live status. It owns no money, and no heartbeat:
//! that a link is silent it is told like any other end of a socket.
//!
//! A hello is handed to the merchant's owner, which reconciles open work and then welcomes; nothing
//! goes out on a link before its welcome. What belongs to an older link is dropped.

mod configuration;
mod contract;
mod link;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::id::JournalId;
use protocol::link::{Concluded, Configuration, TillStatus, ToAgent, ToEngine};

use crate::domain::time::Timestamp;

pub use contract::{Freshness, LastConcluded, TerminalInput, TerminalOutput, VerifiedHello};
pub use status::FRESH_MS_MAX;

use super::merchant::TerminalEvent;
use link::{HELLO_MS_MAX, Link};
use status::Asked;

/// Why a device fault cannot be carried out: the terminal's devices are not simulated.
const NO_SIMULATOR: &str = "not_supported";
/// Why a device fault cannot be carried out: the terminal has no link.
const OFFLINE: &str = "terminal_offline";

/// The state of a terminal's owner.
#[derive(Debug, Default)]
pub struct TerminalOwner {
    link: Option<Link>,
    epoch: u64,
    /// The hello that was taken last of each installation, by boot and connection, and when. Only
    /// what an older one may still follow.
    newest: BTreeMap<JournalId, ((u64, u64), Timestamp)>,
    since: Timestamp,
    till: Option<(Arc<TillStatus>, Timestamp)>,
    /// How old what the till says of its reader was when it said it.
    reader_age_ms: Option<u64>,
    wanted: Option<Arc<Configuration>>,
    asked: Option<Asked>,
    asked_count: u64,
    last: Option<LastConcluded>,
    /// Until when links are refused because somebody asked for it.
    refuses_until: Option<Timestamp>,
}

impl TerminalOwner {
    /// Whether a link is up and welcomed.
    pub fn is_online(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.is_welcomed)
    }

    /// The protocol version that the agent on the link speaks, once it is welcomed.
    pub fn version(&self) -> Option<u16> {
        let link = self.link.as_ref().filter(|link| link.is_welcomed);
        link.map(|link| link.version)
    }

    /// Since when it is, or is not.
    pub const fn since(&self) -> Timestamp {
        self.since
    }

    /// What the till last said about itself, and when.
    pub const fn till(&self) -> Option<&(Arc<TillStatus>, Timestamp)> {
        self.till.as_ref()
    }

    /// How old what the till last said of its reader was when it said it, where it knows.
    pub const fn reader_age_ms(&self) -> Option<u64> {
        self.reader_age_ms
    }

    /// How the last POS transaction ended that was concluded here.
    pub const fn last(&self) -> Option<&LastConcluded> {
        self.last.as_ref()
    }

    /// Whether there is no link, and nothing is remembered that a next one may depend on.
    pub fn is_at_rest(&self, now: Timestamp) -> bool {
        self.link.is_none()
            && self.asked.is_none()
            && self.refuses_until.is_none_or(|until| until <= now)
            && self
                .newest
                .values()
                .all(|(_, at)| now.since_ms(*at) >= HELLO_MS_MAX)
    }

    /// When the shell must send [`TerminalInput::Deadline`].
    pub fn poll_deadline(&self) -> Option<Timestamp> {
        self.asked.as_ref().map(|asked| asked.until)
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Timestamp, input: TerminalInput, out: &mut Vec<TerminalOutput>) {
        match input {
            TerminalInput::Hello(hello) => self.hello(now, *hello, out),
            TerminalInput::Said { socket, message } => self.said(now, socket, *message, out),
            TerminalInput::Closed { socket } => {
                if self.link.as_ref().is_some_and(|link| link.socket == socket) {
                    self.lose(now, out);
                }
            }
            TerminalInput::Welcome {
                socket,
                label,
                currencies,
                prints_known,
            } => self.welcome(now, socket, label, currencies, prints_known, out),
            TerminalInput::Refuse { socket, reason } => self.refuse(now, socket, reason, out),
            TerminalInput::Send(message) => self.send(now, message, out),
            TerminalInput::Configure(configuration) => {
                self.wanted = Some(configuration);
                self.configure(out);
                out.push(TerminalOutput::Status);
            }
            TerminalInput::Ask { asker } => self.ask(now, asker, out),
            TerminalInput::Cut { refusal_ms } => {
                self.refuses_until = Some(now.plus_ms(refusal_ms));
                self.close_and_lose(now, out);
            }
            TerminalInput::Reset { is_renewed } => {
                if is_renewed {
                    self.newest.clear();
                    self.till = None;
                }
                self.close_and_lose(now, out);
            }
            TerminalInput::Deadline => self.give_up(now, out),
        }
    }

    fn send(&mut self, now: Timestamp, message: Box<ToAgent>, out: &mut Vec<TerminalOutput>) {
        if let ToAgent::Concluded(concluded) = message.as_ref() {
            self.last = Some(last_of(concluded, now));
        }
        // Before the welcome, this is for a link that is no more.
        let link = self.link.as_ref().filter(|link| link.is_welcomed);
        // An agent that knows no simulator closes the link on which it hears of one.
        if let ToAgent::Simulate(command) = message.as_ref()
            && !link.is_some_and(|link| link.has_simulator)
        {
            let refusal = if link.is_some() {
                NO_SIMULATOR
            } else {
                OFFLINE
            };
            let refused = ToEngine::Simulated {
                fault_id: command.fault_id,
                refusal: Some(refusal.to_owned()),
            };
            out.push(TerminalOutput::Merchant(Box::new(TerminalEvent::Said(
                refused,
            ))));
        } else if let Some(link) = link.filter(|link| message.since() <= link.version) {
            out.push(TerminalOutput::Send {
                socket: link.socket,
                message,
            });
        }
    }
}

const fn last_of(concluded: &Concluded, at: Timestamp) -> LastConcluded {
    LastConcluded {
        pos_id: concluded.pos_id,
        status: concluded.status,
        amount: concluded.amount,
        at,
    }
}

#[cfg(test)]
mod tests;
