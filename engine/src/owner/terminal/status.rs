//! What the till says of itself, and who waits for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::link::{StatusReport, TillStatus, ToAgent};

use super::{Freshness, TerminalOutput, TerminalOwner};
use crate::domain::time::Timestamp;
use crate::owner::merchant::TerminalEvent;

/// How long a till may take to say how it is. Requirement: at most 3 s.
pub const FRESH_MS_MAX: u64 = 3_000;

/// A question that the till has not answered.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) number: u64,
    pub(super) askers: BTreeSet<u64>,
    pub(super) until: Timestamp,
}

impl TerminalOwner {
    pub(super) fn status(
        &mut self,
        now: Timestamp,
        status: TillStatus,
        out: &mut Vec<TerminalOutput>,
    ) {
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

    /// All who ask while a question is open get the answer to it.
    pub(super) fn ask(&mut self, now: Timestamp, asker: u64, out: &mut Vec<TerminalOutput>) {
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
    pub(super) fn reported(
        &mut self,
        now: Timestamp,
        report: StatusReport,
        out: &mut Vec<TerminalOutput>,
    ) {
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

    /// The till has not answered in time.
    pub(super) fn give_up(&mut self, now: Timestamp, out: &mut Vec<TerminalOutput>) {
        if self.asked.as_ref().is_some_and(|asked| asked.until <= now) {
            self.tell(Freshness::TimedOut, out);
        }
    }

    pub(super) fn tell(&mut self, freshness: Freshness, out: &mut Vec<TerminalOutput>) {
        if let Some(asked) = self.asked.take() {
            out.push(TerminalOutput::Told {
                askers: asked.askers,
                freshness,
            });
        }
    }
}
