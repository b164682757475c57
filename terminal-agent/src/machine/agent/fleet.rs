//! What the engine asks of the till beside sales: how it is, and to be otherwise.

use protocol::link::{
    Configuration, ConfigurationRefused, ConfigurationReport, StatusReport, TillFacts, ToEngine,
};

use super::{Agent, Output};
use crate::machine::record::JournalEntry;
use crate::machine::settings::TillSettings;

/// How many questions may be open. Arbitrary, bounded: the engine asks one at a time.
const ASKS_MAX: usize = 8;

/// The machine of the till, and what the engine wants of it.
#[derive(Debug, Default)]
pub(super) struct FleetSide {
    pub(super) facts: Option<Box<TillFacts>>,
    /// Questions that wait for the machine to be looked at.
    asks: Vec<u64>,
    /// What waits until nothing runs here.
    pending: Option<(Configuration, TillSettings)>,
    refused: Option<ConfigurationRefused>,
    settings: TillSettings,
    pub(super) reader_heard_ms: Option<u64>,
}

impl FleetSide {
    /// As the journal has it. What it holds was once applied; a version of the agent that cannot
    /// read it any more is as it is by itself, and says so.
    pub(super) fn resumed(configuration: Option<&Configuration>) -> Self {
        let mut side = Self::default();
        match configuration.map(|known| (known.version, TillSettings::read(known))) {
            Some((_, Ok(settings))) => side.settings = settings,
            Some((version, Err(reason))) => {
                side.refused = Some(ConfigurationRefused { version, reason });
            }
            None => {}
        }
        side
    }
}

impl Agent {
    /// The settings in force, for the shell to begin with.
    pub const fn settings(&self) -> &TillSettings {
        &self.fleet.settings
    }

    /// The version of the configuration in force; 0 when there was never one.
    pub fn configuration_version(&self) -> u64 {
        let known = self.journal.configuration();
        known.map_or(0, |configuration| configuration.version)
    }

    pub(super) fn configuration_report(&self) -> Option<ConfigurationReport> {
        let report = ConfigurationReport {
            applied: self.configuration_version(),
            refused: self.fleet.refused.clone(),
        };
        (report != ConfigurationReport::default()).then_some(report)
    }

    /// The engine wants to know how the till is, now.
    pub(super) fn report_anew(&mut self, ask: u64) {
        if self.fleet.asks.len() < ASKS_MAX {
            self.fleet.asks.push(ask);
        }
        self.emit(Output::LookAround);
    }

    /// What was asked on a link that is no more is not answered.
    pub(super) fn forget_asks(&mut self) {
        self.fleet.asks.clear();
    }

    /// The machine was looked at.
    pub(super) fn looked_around(&mut self, now_ms: u64, facts: Box<TillFacts>) {
        self.fleet.facts = Some(facts);
        for ask in std::mem::take(&mut self.fleet.asks) {
            let report = self.status_report(now_ms, ask);
            self.link.reported = Some(report.status.clone());
            self.send(ToEngine::StatusReported(Box::new(report)));
        }
    }

    /// The reader is not asked: what it said last stands, with its age.
    pub(super) fn status_report(&self, now_ms: u64, ask: u64) -> StatusReport {
        let heard_ms = self.fleet.reader_heard_ms;
        StatusReport {
            ask,
            is_reader_held: self.reader.holder.is_some(),
            reader_age_ms: heard_ms.map(|heard_ms| now_ms.saturating_sub(heard_ms)),
            status: self.till_status(now_ms),
        }
    }

    /// The engine says what the till is to be like.
    pub(super) fn configure(&mut self, configuration: Configuration) {
        self.fleet.pending = None;
        self.fleet.refused = None;
        if configuration.version == self.configuration_version() {
            return;
        }
        match TillSettings::read(&configuration) {
            Ok(settings) => self.fleet.pending = Some((configuration, settings)),
            Err(reason) => {
                let version = configuration.version;
                self.fleet.refused = Some(ConfigurationRefused { version, reason });
            }
        }
    }

    /// Applies what was told, once nothing runs here.
    pub(super) fn configure_when_idle(&mut self, now_ms: u64) {
        if self.fleet.pending.is_none()
            || self.reader.holder.is_some()
            || self.is_busy(now_ms, None)
        {
            return;
        }
        if let Some((configuration, settings)) = self.fleet.pending.take() {
            let version = configuration.version;
            self.persist(JournalEntry::Configured(configuration));
            self.fleet.settings = settings.clone();
            self.emit(Output::Configured { version, settings });
        }
    }
}
