//! The link's life: hello, welcome, what is heard on it, heartbeat and silence.

use protocol::id::{JournalId, PrintJobId};
use protocol::link::{
    ConfigurationReport, HEARTBEAT_MS, RefusedReason, SILENCE_MS_MAX, ToAgent, ToEngine, Welcome,
};

use super::{Freshness, TerminalOutput, TerminalOwner, VerifiedHello};
use crate::domain::time::Timestamp;
use crate::owner::merchant::TerminalEvent;

/// How long an older hello can still be on its way after a newer one: the socket gives a hello up
/// that does not come within ten seconds of its challenge.
pub(super) const HELLO_MS_MAX: u64 = 10_000;

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

#[derive(Debug)]
pub(super) struct Link {
    pub(super) socket: u64,
    pub(super) version: u16,
    pub(super) boot: u64,
    pub(super) connection: u64,
    pub(super) journal_id: JournalId,
    pub(super) has_simulator: bool,
    pub(super) is_welcomed: bool,
    /// What it said on this link of its configuration; none before its first status.
    pub(super) configuration: Option<ConfigurationReport>,
    /// The version that it was sent on this link last.
    pub(super) sent: u64,
    pub(super) heard_at: Timestamp,
    pub(super) ping_at: Timestamp,
}

impl TerminalOwner {
    pub(super) fn hello(
        &mut self,
        now: Timestamp,
        hello: VerifiedHello,
        out: &mut Vec<TerminalOutput>,
    ) {
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

    pub(super) fn refusal(&self, now: Timestamp, hello: &VerifiedHello) -> Option<RefusedReason> {
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
    pub(super) fn is_overtaken(&self, now: Timestamp, hello: &VerifiedHello) -> bool {
        self.newest.is_some_and(|(journal_id, number, at)| {
            journal_id == hello.journal_id
                && (hello.boot, hello.connection) <= number
                && now.since_ms(at) < HELLO_MS_MAX
        })
    }

    pub(super) fn welcome(
        &mut self,
        now: Timestamp,
        label: String,
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
        };
        out.push(TerminalOutput::Welcome {
            socket: link.socket,
            welcome,
        });
        out.push(TerminalOutput::Status);
    }

    /// Only the latest of the hellos that wait for their answer has a socket.
    pub(super) fn refuse(
        &mut self,
        now: Timestamp,
        reason: RefusedReason,
        out: &mut Vec<TerminalOutput>,
    ) {
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

    pub(super) fn said(
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

    pub(super) fn deadline(&mut self, now: Timestamp, out: &mut Vec<TerminalOutput>) {
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

    pub(super) fn close_and_lose(&mut self, now: Timestamp, out: &mut Vec<TerminalOutput>) {
        if let Some(link) = &self.link {
            out.push(TerminalOutput::Close {
                socket: link.socket,
            });
            self.lose(now, out);
        }
    }

    pub(super) fn lose(&mut self, now: Timestamp, out: &mut Vec<TerminalOutput>) {
        if self.link.take().is_some() {
            self.since = now;
            self.tell(Freshness::Offline, out);
            out.push(TerminalOutput::Merchant(Box::new(TerminalEvent::Down)));
            out.push(TerminalOutput::Status);
        }
    }
}
