//! The link's life: hello, welcome, what is heard on it, its end. Heartbeat and silence are the
//! business of whoever has the socket ([`crate::agent_link::pulse`]).

use protocol::id::{JournalId, PrintJobId};
use protocol::link::{ConfigurationReport, RefusedReason, ToEngine, Welcome};
use protocol::money::Currency;

use super::{Freshness, TerminalOutput, TerminalOwner, VerifiedHello};
use crate::domain::time::Timestamp;
use crate::owner::merchant::TerminalEvent;

/// How long an older hello can still be on its way after a newer one: the socket gives a hello up
/// that does not come within ten seconds of its challenge.
pub(super) const HELLO_MS_MAX: u64 = 10_000;

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
        self.newest
            .retain(|_, (_, at)| now.since_ms(*at) < HELLO_MS_MAX);
        let number = (hello.boot, hello.connection);
        self.newest.insert(hello.journal_id, (number, now));
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
        });
        out.push(TerminalOutput::Merchant(Box::new(TerminalEvent::Up {
            socket: hello.socket,
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
        let newest = self.newest.get(&hello.journal_id);
        newest.is_some_and(|(number, at)| {
            (hello.boot, hello.connection) <= *number && now.since_ms(*at) < HELLO_MS_MAX
        })
    }

    pub(super) fn welcome(
        &mut self,
        now: Timestamp,
        socket: u64,
        label: String,
        currencies: Vec<Currency>,
        prints_known: Vec<PrintJobId>,
        out: &mut Vec<TerminalOutput>,
    ) {
        let epoch = self.epoch;
        let link = self.link.as_mut().filter(|link| link.socket == socket);
        let Some(link) = link else { return };
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
        out.push(TerminalOutput::Welcome { socket, welcome });
        out.push(TerminalOutput::Status);
    }

    /// Only the latest of the hellos that wait for their verdict has a link.
    pub(super) fn refuse(
        &mut self,
        now: Timestamp,
        socket: u64,
        reason: RefusedReason,
        out: &mut Vec<TerminalOutput>,
    ) {
        if self.link.as_ref().is_some_and(|link| link.socket == socket) {
            out.push(TerminalOutput::Refuse { socket, reason });
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
        let is_of_link = |link: &Link| link.socket == socket && link.is_welcomed;
        if !self.link.as_ref().is_some_and(is_of_link) {
            return;
        }
        match message {
            // The heartbeat is the business of whoever has the socket.
            ToEngine::Ping | ToEngine::Pong => {}
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
