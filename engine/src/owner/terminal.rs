//! The owner of a terminal's link: its life and its live status. It owns no money.
//!
//! A hello is handed to the merchant's owner, which reconciles open work and then welcomes; nothing
//! goes out on a link before its welcome. What belongs to an older link is dropped.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::id::{JournalId, PosTransactionId, PrintJobId};
use protocol::link::{
    Concluded, Configuration, ConfigurationRefused, ConfigurationReport, Digest, HEARTBEAT_MS,
    PosStatus, PrintReport, RefusedReason, SILENCE_MS_MAX, StatusReport, TillStatus, ToAgent,
    ToEngine, Welcome,
};
use protocol::money::{Currency, Money};

use crate::domain::time::Timestamp;

use super::merchant::TerminalEvent;

/// Why a device fault cannot be carried out: the terminal's devices are not simulated.
const NO_SIMULATOR: &str = "not_supported";
/// Why a device fault cannot be carried out: the terminal has no link.
const OFFLINE: &str = "terminal_offline";

/// How long a till may take to say how it is. Requirement: at most 3 s.
pub const FRESH_MS_MAX: u64 = 3_000;
/// Why a till is not told its configuration: it speaks a protocol without words for it.
const TOO_OLD: &str = "the agent on this till is too old to be configured: update it";

/// How long an older hello can still be on its way after a newer one: the socket gives a hello up
/// that does not come within ten seconds of its challenge.
const HELLO_MS_MAX: u64 = 10_000;

/// How far apart the instants are at which heartbeats leave. With 10,000 links 77 share one: a
/// millisecond of work.
const SHARED_INSTANT_MS: i64 = 100;

/// The first heartbeat of a link comes no sooner: it has said hello a moment ago.
const QUIET_MS: u64 = 3_000;

/// When a new link's first heartbeat is due: links that came up together are spread evenly, so that
/// they do not come in waves for ever after.
const fn first_ping_after_ms(socket: u64) -> u64 {
    // Neighbours in a sequence of multiples of the golden ratio are far apart.
    const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;
    QUIET_MS + (socket.wrapping_mul(GOLDEN_RATIO) >> 32) % (HEARTBEAT_MS - QUIET_MS)
}

/// The heartbeat that is due after so long, or a moment before: those of many links share an
/// instant, so that their threads wake up once for all of them.
fn ping_at(now: Timestamp, after_ms: u64) -> Timestamp {
    let at = now.plus_ms(after_ms);
    let shared = Timestamp(at.0 - at.0.rem_euclid(SHARED_INSTANT_MS));
    shared.max(now.plus_ms(1))
}

/// A hello whose signature has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedHello {
    /// Number of the socket, given by the shell.
    pub socket: u64,
    /// The protocol version that the agent chose.
    pub version: u16,
    /// The journal of the installation.
    pub journal_id: JournalId,
    /// How often the agent has started on it.
    pub boot: u64,
    /// How often it has connected since.
    pub connection: u64,
    /// Open work there.
    pub open: Vec<Digest>,
    /// Print jobs that ended there.
    pub prints: Vec<PrintReport>,
    /// Whether its devices are simulated.
    pub has_simulator: bool,
}

/// What a terminal's owner is told.
#[derive(Debug, Clone)]
pub enum TerminalInput {
    /// An agent has proved who it is, on a new socket.
    Hello(Box<VerifiedHello>),
    /// The agent said something on a socket.
    Said {
        /// The socket.
        socket: u64,
        /// The message.
        message: Box<ToEngine>,
    },
    /// A socket has closed.
    Closed {
        /// The socket.
        socket: u64,
    },
    /// The merchant's owner has reconciled the latest hello.
    Welcome {
        /// What the till calls itself.
        label: String,
        /// What the merchant takes, the usual one first.
        currencies: Vec<Currency>,
        /// Print reports that are stored.
        prints_known: Vec<PrintJobId>,
    },
    /// The merchant's owner gives the latest hello no link.
    Refuse {
        /// Why.
        reason: RefusedReason,
    },
    /// The merchant's owner has a message for the agent.
    Send(Box<ToAgent>),
    /// What the till is to be like. Sent when it says that it is not.
    Configure(Arc<Configuration>),
    /// Somebody wants to know how the till is now. Answered by one `Told`, within
    /// [`FRESH_MS_MAX`].
    Ask {
        /// Named by the shell.
        asker: u64,
    },
    /// The merchant's owner was discarded, or the device key replaced: begin anew.
    Reset {
        /// Whether the identity was renewed by a technician.
        is_renewed: bool,
    },
    /// A fault that was asked for in test mode: the link is to be lost, and new ones refused.
    Cut {
        /// For how long, in milliseconds.
        refusal_ms: u64,
    },
    /// The instant of [`TerminalOwner::poll_deadline`] has come.
    Deadline,
}

/// What a terminal's owner causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminalOutput {
    /// Answer the hello.
    Welcome {
        /// The socket.
        socket: u64,
        /// The answer.
        welcome: Welcome,
    },
    /// Refuse the hello and close.
    Refuse {
        /// The socket.
        socket: u64,
        /// Why.
        reason: RefusedReason,
    },
    /// Send a message.
    Send {
        /// The socket.
        socket: u64,
        /// The message.
        message: Box<ToAgent>,
    },
    /// Close a socket.
    Close {
        /// The socket.
        socket: u64,
    },
    /// Tell the merchant's owner.
    Merchant(Box<TerminalEvent>),
    /// The live status has changed.
    Status,
    /// Answers `Ask`: the live status is as fresh as this says.
    Told {
        /// Who asked.
        askers: BTreeSet<u64>,
        /// Whether it is fresh.
        freshness: Freshness,
    },
}

/// Whether a status is of now, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Freshness {
    /// The till has just said it.
    Fresh,
    /// The till has just said it, but for the reader: a transaction holds that, and nobody speaks to
    /// it meanwhile.
    ReaderHeld,
    /// The terminal has no link.
    Offline,
    /// The agent is too old to be asked.
    NotSupported,
    /// The till has not answered in time.
    TimedOut,
}

impl Freshness {
    /// The stable code of why it is not fresh.
    pub const fn code(self) -> Option<&'static str> {
        match self {
            Self::Fresh => None,
            Self::ReaderHeld => Some("busy"),
            Self::Offline => Some("offline"),
            Self::NotSupported => Some("not_supported"),
            Self::TimedOut => Some("timed_out"),
        }
    }
}

/// How the last POS transaction on a terminal ended, as it was told so since the engine started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastConcluded {
    /// The POS transaction.
    pub pos_id: PosTransactionId,
    /// How.
    pub status: PosStatus,
    /// The amount that stands.
    pub amount: Money,
    /// When it was told.
    pub at: Timestamp,
}

/// A question that the till has not answered.
#[derive(Debug)]
struct Asked {
    number: u64,
    askers: BTreeSet<u64>,
    until: Timestamp,
}

#[derive(Debug)]
struct Link {
    socket: u64,
    version: u16,
    boot: u64,
    connection: u64,
    journal_id: JournalId,
    has_simulator: bool,
    is_welcomed: bool,
    /// What it said on this link of its configuration; none before its first status.
    configuration: Option<ConfigurationReport>,
    /// The version that it was sent on this link last.
    sent: u64,
    heard_at: Timestamp,
    ping_at: Timestamp,
}

/// The state of a terminal's owner.
#[derive(Debug, Default)]
pub struct TerminalOwner {
    link: Option<Link>,
    epoch: u64,
    welcomes_owed: u32,
    /// The hello that was taken last, with its boot and connection, and when.
    newest: Option<(JournalId, (u64, u64), Timestamp)>,
    since: Timestamp,
    till: Option<(Arc<TillStatus>, Timestamp)>,
    /// How old what the till says of its reader was when it said it.
    reader_age_ms: Option<u64>,
    wanted: Option<Arc<Configuration>>,
    asked: Option<Asked>,
    asked_count: u64,
    last: Option<LastConcluded>,
    heard_at: Option<Timestamp>,
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

    /// When anything last arrived.
    pub const fn heard_at(&self) -> Option<Timestamp> {
        self.heard_at
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

    /// Why the till cannot have the configuration that it is to have, if it cannot.
    pub fn refused(&self) -> Option<ConfigurationRefused> {
        let wanted = self.wanted.as_ref()?;
        let link = self.link.as_ref()?;
        if link.version < 2 {
            return Some(ConfigurationRefused {
                version: wanted.version,
                reason: TOO_OLD.to_owned(),
            });
        }
        link.configuration.as_ref()?.refused.clone()
    }

    /// Whether there is no link, and nothing is remembered that a next one may depend on.
    pub fn is_at_rest(&self, now: Timestamp) -> bool {
        self.link.is_none()
            && self.asked.is_none()
            && self.welcomes_owed == 0
            && self.refuses_until.is_none_or(|until| until <= now)
            && self
                .newest
                .is_none_or(|(.., at)| now.since_ms(at) >= HELLO_MS_MAX)
    }

    /// When the shell must send [`TerminalInput::Deadline`].
    pub fn poll_deadline(&self) -> Option<Timestamp> {
        let link = self.link.as_ref();
        let link = link.map(|link| link.ping_at.min(link.heard_at.plus_ms(SILENCE_MS_MAX)));
        let asked = self.asked.as_ref().map(|asked| asked.until);
        link.into_iter().chain(asked).min()
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
                label,
                currencies,
                prints_known,
            } => {
                self.welcome(now, label, currencies, prints_known, out);
            }
            TerminalInput::Refuse { reason } => self.refuse(now, reason, out),
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
                    self.newest = None;
                    self.till = None;
                }
                self.close_and_lose(now, out);
                self.welcomes_owed = 0;
            }
            TerminalInput::Deadline => self.deadline(now, out),
        }
    }

    fn send(&mut self, now: Timestamp, message: Box<ToAgent>, out: &mut Vec<TerminalOutput>) {
        if let ToAgent::Concluded(concluded) = message.as_ref() {
            self.last = Some(last_of(concluded, now));
        }
        // While a welcome is owed, this is for a link that is no more.
        let link = self.link.as_ref();
        let link = link.filter(|link| link.is_welcomed && self.welcomes_owed == 0);
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

    fn hello(&mut self, now: Timestamp, hello: VerifiedHello, out: &mut Vec<TerminalOutput>) {
        if let Some(reason) = self.refusal(now, &hello) {
            out.push(TerminalOutput::Refuse {
                socket: hello.socket,
                reason,
            });
            return;
        }
        self.close_and_lose(now, out);
        self.epoch = self.epoch.saturating_add(1);
        self.welcomes_owed = self.welcomes_owed.saturating_add(1);
        self.heard_at = Some(now);
        self.newest = Some((hello.journal_id, (hello.boot, hello.connection), now));
        self.link = Some(Link {
            socket: hello.socket,
            version: hello.version,
            boot: hello.boot,
            connection: hello.connection,
            journal_id: hello.journal_id,
            has_simulator: hello.has_simulator,
            is_welcomed: false,
            configuration: None,
            sent: 0,
            heard_at: now,
            ping_at: ping_at(now, first_ping_after_ms(hello.socket)),
        });
        out.push(TerminalOutput::Merchant(Box::new(TerminalEvent::Up {
            journal_id: hello.journal_id,
            open: hello.open,
            prints: hello.prints,
        })));
    }

    fn refusal(&self, now: Timestamp, hello: &VerifiedHello) -> Option<RefusedReason> {
        if self.refuses_until.is_some_and(|until| now < until) {
            return Some(RefusedReason::Busy);
        }
        let is_of_link = |link: &Link| {
            link.journal_id == hello.journal_id
                && (hello.boot, hello.connection) <= (link.boot, link.connection)
        };
        let is_stale = self.link.as_ref().is_some_and(is_of_link) || self.is_overtaken(now, hello);
        is_stale.then_some(RefusedReason::Stale)
    }

    /// Whether a newer hello of the same installation came before this one, also when its link is
    /// gone: what this one says of open work is no longer true.
    fn is_overtaken(&self, now: Timestamp, hello: &VerifiedHello) -> bool {
        self.newest.is_some_and(|(journal_id, number, at)| {
            journal_id == hello.journal_id
                && (hello.boot, hello.connection) <= number
                && now.since_ms(at) < HELLO_MS_MAX
        })
    }

    fn welcome(
        &mut self,
        now: Timestamp,
        label: String,
        currencies: Vec<Currency>,
        prints_known: Vec<PrintJobId>,
        out: &mut Vec<TerminalOutput>,
    ) {
        self.welcomes_owed = self.welcomes_owed.saturating_sub(1);
        if self.welcomes_owed > 0 {
            return;
        }
        let epoch = self.epoch;
        let Some(link) = &mut self.link else { return };
        link.is_welcomed = true;
        self.since = now;
        let now_ms = u64::try_from(now.0).unwrap_or(0);
        let welcome = Welcome {
            epoch,
            now_ms,
            label,
            prints_known,
            currencies,
        };
        out.push(TerminalOutput::Welcome {
            socket: link.socket,
            welcome,
        });
        out.push(TerminalOutput::Status);
    }

    /// Only the latest of the hellos that wait for their answer has a socket.
    fn refuse(&mut self, now: Timestamp, reason: RefusedReason, out: &mut Vec<TerminalOutput>) {
        self.welcomes_owed = self.welcomes_owed.saturating_sub(1);
        if self.welcomes_owed > 0 {
            return;
        }
        if let Some(link) = &self.link {
            out.push(TerminalOutput::Refuse {
                socket: link.socket,
                reason,
            });
            self.lose(now, out);
        }
    }

    fn said(
        &mut self,
        now: Timestamp,
        socket: u64,
        message: ToEngine,
        out: &mut Vec<TerminalOutput>,
    ) {
        let is_current = self
            .link
            .as_ref()
            .is_some_and(|link| link.socket == socket && link.is_welcomed);
        let Some(link) = self.link.as_mut().filter(|_| is_current) else {
            return;
        };
        link.heard_at = now;
        self.heard_at = Some(now);
        match message {
            ToEngine::Ping => {
                let message = Box::new(ToAgent::Pong);
                out.push(TerminalOutput::Send { socket, message });
            }
            ToEngine::Pong => out.push(TerminalOutput::Status),
            ToEngine::Status(status) => {
                self.reader_age_ms = None;
                self.status(now, status, out);
            }
            ToEngine::StatusReported(report) => self.reported(now, *report, out),
            message => {
                out.push(TerminalOutput::Merchant(Box::new(TerminalEvent::Said(
                    message,
                ))));
            }
        }
    }

    fn deadline(&mut self, now: Timestamp, out: &mut Vec<TerminalOutput>) {
        if self.asked.as_ref().is_some_and(|asked| asked.until <= now) {
            self.tell(Freshness::TimedOut, out);
        }
        let Some(link) = &mut self.link else { return };
        if now >= link.heard_at.plus_ms(SILENCE_MS_MAX) {
            self.close_and_lose(now, out);
        } else if now >= link.ping_at {
            link.ping_at = ping_at(now, HEARTBEAT_MS);
            if link.is_welcomed {
                let message = Box::new(ToAgent::Ping);
                out.push(TerminalOutput::Send {
                    socket: link.socket,
                    message,
                });
            }
        }
    }

    fn status(&mut self, now: Timestamp, status: TillStatus, out: &mut Vec<TerminalOutput>) {
        let report = status.configuration.clone().unwrap_or_default();
        self.till = Some((Arc::new(status), now));
        out.push(TerminalOutput::Status);
        let Some(link) = &mut self.link else { return };
        let is_news = link.configuration.as_ref() != Some(&report);
        link.configuration = Some(report.clone());
        if is_news && self.wanted.is_some() {
            let event = TerminalEvent::Configured(report);
            out.push(TerminalOutput::Merchant(Box::new(event)));
        }
        self.configure(out);
    }

    /// Sends the configuration that is wanted, once on a link, when the till has said that it has
    /// another one.
    fn configure(&mut self, out: &mut Vec<TerminalOutput>) {
        let (Some(wanted), Some(link)) = (&self.wanted, &mut self.link) else {
            return;
        };
        if !link.is_welcomed {
            return;
        }
        let version = wanted.version;
        if link.version < 2 {
            if link.sent != version {
                link.sent = version;
                let refused = Some(ConfigurationRefused {
                    version,
                    reason: TOO_OLD.to_owned(),
                });
                let report = ConfigurationReport {
                    applied: 0,
                    refused,
                };
                let event = TerminalEvent::Configured(report);
                out.push(TerminalOutput::Merchant(Box::new(event)));
            }
            return;
        }
        let has_other = link.configuration.as_ref().is_some_and(|report| {
            let refused = report.refused.as_ref();
            report.applied != version && refused.is_none_or(|one| one.version != version)
        });
        if has_other && link.sent != version {
            link.sent = version;
            let message = Box::new(ToAgent::Configure(wanted.as_ref().clone()));
            out.push(TerminalOutput::Send {
                socket: link.socket,
                message,
            });
        }
    }

    /// All who ask while a question is open get the answer to it.
    fn ask(&mut self, now: Timestamp, asker: u64, out: &mut Vec<TerminalOutput>) {
        let link = self.link.as_ref().filter(|link| link.is_welcomed);
        let refusal = match link {
            None => Some(Freshness::Offline),
            Some(link) if link.version < 2 => Some(Freshness::NotSupported),
            Some(_) => None,
        };
        if let Some(freshness) = refusal {
            let askers = BTreeSet::from([asker]);
            out.push(TerminalOutput::Told { askers, freshness });
            return;
        }
        if let Some(asked) = &mut self.asked {
            asked.askers.insert(asker);
            return;
        }
        self.asked_count = self.asked_count.saturating_add(1);
        let number = self.asked_count;
        self.asked = Some(Asked {
            number,
            askers: BTreeSet::from([asker]),
            until: now.plus_ms(FRESH_MS_MAX),
        });
        if let Some(link) = link {
            let message = Box::new(ToAgent::ReportStatus { ask: number });
            out.push(TerminalOutput::Send {
                socket: link.socket,
                message,
            });
        }
    }

    /// The till has looked. An answer that comes too late is a status like any other.
    fn reported(&mut self, now: Timestamp, report: StatusReport, out: &mut Vec<TerminalOutput>) {
        let freshness = if report.is_reader_held {
            Freshness::ReaderHeld
        } else {
            Freshness::Fresh
        };
        self.reader_age_ms = report.reader_age_ms;
        self.status(now, report.status, out);
        if self
            .asked
            .as_ref()
            .is_some_and(|asked| asked.number == report.ask)
        {
            self.tell(freshness, out);
        }
    }

    fn tell(&mut self, freshness: Freshness, out: &mut Vec<TerminalOutput>) {
        if let Some(asked) = self.asked.take() {
            out.push(TerminalOutput::Told {
                askers: asked.askers,
                freshness,
            });
        }
    }

    fn close_and_lose(&mut self, now: Timestamp, out: &mut Vec<TerminalOutput>) {
        if let Some(link) = &self.link {
            out.push(TerminalOutput::Close {
                socket: link.socket,
            });
            self.lose(now, out);
        }
    }

    fn lose(&mut self, now: Timestamp, out: &mut Vec<TerminalOutput>) {
        if self.link.take().is_some() {
            self.since = now;
            self.tell(Freshness::Offline, out);
            out.push(TerminalOutput::Merchant(Box::new(TerminalEvent::Down)));
            out.push(TerminalOutput::Status);
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
