//! The life of the link: hello, welcome, loss, and the till's status.

use protocol::link::{
    AttemptEnd, Digest, DigestState, ReaderState, TillBacklog, TillStatus, ToEngine, Welcome,
};
use protocol::money::Currency;
use protocol::printer::Trouble;

use super::work::Phase;
use super::{Agent, AgentStatus, Output};
use crate::machine::record::JournalEntry;

/// The link as the agent machine sees it.
#[derive(Debug, Default)]
pub(super) struct LinkSide {
    pub(super) is_up: bool,
    /// The protocol version of the connection.
    pub(super) version: u16,
    pub(super) label: String,
    /// As the last engine that said them did.
    currencies: Vec<Currency>,
    /// Open work as the last hello named it.
    hello: Vec<Digest>,
    /// The status that the engine was last told on this connection.
    pub(super) reported: Option<TillStatus>,
}

impl Agent {
    /// A hello is the agent's word on everything open: the window for a go begins anew.
    pub(super) fn link_connecting(&mut self, now_ms: u64, version: u16) {
        self.link.is_up = false;
        self.link.version = version;
        for work in self.works.values_mut() {
            work.speak(now_ms, true);
        }
        self.emit_hello();
    }

    pub(super) fn emit_hello(&mut self) {
        self.link.hello = self.journal.open().cloned().collect();
        self.emit(Output::Hello {
            open: self.link.hello.clone(),
            prints: self.journal.ended_prints(),
        });
    }

    pub(super) fn link_up(&mut self, welcome: Welcome) {
        self.link.is_up = true;
        self.link.label = welcome.label;
        if !welcome.currencies.is_empty() {
            self.link.currencies = welcome.currencies;
        }
        self.link.reported = None;
        for job_id in welcome.prints_known {
            if self.journal.print(job_id).is_some() && !self.is_printing(job_id) {
                self.persist(JournalEntry::PrintKnown { job_id });
            }
        }
        self.send_what_changed_since_hello();
        let requests: Vec<_> = self
            .journal
            .requests()
            .map(|(request_id, request)| (request_id, request.clone()))
            .collect();
        for (request_id, request) in requests {
            self.send(ToEngine::Request {
                request_id,
                request,
            });
        }
    }

    /// Between hello and welcome nothing could be said.
    fn send_what_changed_since_hello(&mut self) {
        let hello = std::mem::take(&mut self.link.hello);
        let changed: Vec<_> = self
            .journal
            .open()
            .filter(|digest| !hello.contains(digest))
            .cloned()
            .collect();
        for digest in changed {
            match digest.state {
                DigestState::Ended(end) => self.send(ToEngine::AttemptEnded {
                    pos_id: digest.pos_id,
                    attempt_id: digest.attempt_id,
                    end,
                }),
                DigestState::Completed(completion) => self.send(ToEngine::Completed(completion)),
                DigestState::Accepted
                | DigestState::Reading
                | DigestState::Sent
                | DigestState::Lost => {}
            }
        }
    }

    /// The engine forgets what was in flight, so no card may be read for it: an attempt that has
    /// sent nothing ends here, and the next hello says so. One that has sent card data waits.
    pub(super) fn link_down(&mut self, now_ms: u64) {
        self.link.is_up = false;
        self.forget_asks();
        let reading: Vec<_> = self
            .works
            .iter()
            .filter(|(_, work)| {
                matches!(work.phase, Phase::Starting { .. } | Phase::Reading { .. })
            })
            .map(|(pos_id, _)| *pos_id)
            .collect();
        for pos_id in reading {
            self.break_off(now_ms, pos_id, AttemptEnd::LinkLost);
        }
    }

    /// Tells the engine how the till is, whenever that has changed.
    pub(super) fn report_status(&mut self, now_ms: u64) {
        if !self.link.is_up {
            return;
        }
        let status = self.till_status(now_ms);
        let reported = self.link.reported.as_ref();
        if reported.is_none_or(|reported| reported.is_news(&status)) {
            self.link.reported = Some(status.clone());
            self.send(ToEngine::Status(status));
        }
    }

    pub(super) fn till_status(&self, now_ms: u64) -> TillStatus {
        let health = self.printer.health;
        TillStatus {
            reader: self.reader.state,
            reader_serial: self.reader.serial.clone(),
            reader_firmware: self.reader.firmware.clone(),
            printer_online: health.is_online,
            paper: health.paper,
            cover_open: health.is_cover_open,
            printer_trouble: self.printer_trouble().to_owned(),
            drawer_open: health.is_drawer_open,
            agent_version: self.config.agent_version.clone(),
            current: self
                .works
                .iter()
                .find(|(_, work)| work.is_live(now_ms, self.config.go_window_ms))
                .map(|(pos_id, _)| *pos_id),
            facts: self.fleet.facts.clone(),
            configuration: self.configuration_report(),
            backlog: TillBacklog {
                open: count(self.works.len()),
                requests: count(self.journal.requests().count()),
                prints: count(self.printer.waiting().len()),
            },
        }
    }

    /// A till without a printer has no trouble with it.
    fn printer_trouble(&self) -> &'static str {
        let health = self.printer.health;
        match health.trouble {
            Some(trouble) => trouble.code(),
            None if self.config.has_printer && !health.is_connected => Trouble::PortClosed.code(),
            None => "",
        }
    }

    pub(super) fn status(&self, now_ms: u64) -> AgentStatus {
        AgentStatus {
            is_online: self.link.is_up,
            label: self.link.label.clone(),
            currencies: self.link.currencies.clone(),
            journal_id: self.journal.journal_id(),
            boot: self.journal.boot(),
            till: self.till_status(now_ms),
            has_printer: self.config.has_printer,
            open: self.works.keys().copied().collect(),
            unanswered_requests: self.journal.requests().count(),
            waiting_prints: self.printer.waiting(),
            screen: self.screen.clone(),
            idle_text: self.settings().idle_text.clone(),
        }
    }

    /// Whether the reader could take a card now.
    pub fn is_reader_ready(&self) -> bool {
        self.reader.state == ReaderState::Ready
    }

    /// Whether card data was sent and the outcome has not been concluded: stopping the agent now
    /// would lead to a reversal.
    pub fn has_card_data_out(&self) -> bool {
        self.works.values().any(|work| {
            matches!(
                work.phase,
                Phase::Sent { .. } | Phase::Chip { .. } | Phase::Agreed
            )
        })
    }

    /// Whether the journal and the reader have ended what they were told.
    pub const fn is_settled(&self) -> bool {
        self.persisting.is_none() && self.reader.holder.is_none()
    }
}

fn count(things: usize) -> u32 {
    u32::try_from(things).unwrap_or(u32::MAX)
}
