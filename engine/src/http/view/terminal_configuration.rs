//! Views of what tills are told to be like.

use protocol::id::{MerchantId, TerminalId};
use protocol::link::ConfigurationRefused;
use serde::Serialize;

use crate::agent_link::registry::LiveStatus;
use crate::domain::merchant::Terminal;
use crate::domain::rollout::{Progress, Rollout};
use crate::domain::terminal_settings::{TerminalDefaults, TerminalSettings};

use super::instant;

/// Settings; null where they are left to what is below them.
#[derive(Debug, Serialize)]
pub(in crate::http) struct SettingsView<'a> {
    idle_text: Option<&'a str>,
    log_level: Option<&'a str>,
    print_customer_copy: Option<bool>,
    receipt_footer: Option<&'a [String]>,
}

impl<'a> SettingsView<'a> {
    fn of(settings: &'a TerminalSettings) -> Self {
        Self {
            idle_text: settings.idle_text.as_deref(),
            log_level: settings.log_level.as_deref(),
            print_customer_copy: settings.prints_customer_copy,
            receipt_footer: settings.receipt_footer.as_deref(),
        }
    }
}

/// Which version a till should have and which it has.
#[derive(Debug, Serialize)]
pub(in crate::http) struct AppliedView {
    wanted_version: u64,
    applied_version: Option<u64>,
    state: &'static str,
    refused: Option<RefusedView>,
}

#[derive(Debug, Serialize)]
struct RefusedView {
    version: u64,
    reason: String,
}

impl AppliedView {
    pub(in crate::http) fn of(
        terminal: &Terminal,
        defaults: &TerminalDefaults,
        live: Option<&LiveStatus>,
    ) -> Self {
        let wanted_version = defaults.wanted(terminal.id, &terminal.own).version;
        let report = live
            .and_then(|live| live.till.as_ref())
            .and_then(|till| till.configuration.as_ref());
        let has_spoken = live.is_some_and(|live| live.till.is_some());
        let applied_version = report
            .map(|report| report.applied)
            .or(has_spoken.then_some(0));
        let refused = live
            .and_then(|live| live.refused.clone())
            .or_else(|| report?.refused.clone())
            .filter(|refused| refused.version == wanted_version);
        let state = match applied_version {
            _ if wanted_version == 0 => "none",
            _ if refused.is_some() => "refused",
            Some(applied) if applied == wanted_version => "applied",
            Some(_) => "pending",
            None => "unknown",
        };
        Self {
            wanted_version,
            applied_version,
            state,
            refused: refused.map(RefusedView::of),
        }
    }
}

impl RefusedView {
    fn of(refused: ConfigurationRefused) -> Self {
        let ConfigurationRefused { version, reason } = refused;
        Self { version, reason }
    }
}

/// What one till is told to be like.
#[derive(Debug, Serialize)]
pub(in crate::http) struct TerminalConfigurationView<'a> {
    terminal_id: TerminalId,
    version: u64,
    /// The terminal's own.
    settings: SettingsView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration: Option<AppliedView>,
    livemode: bool,
}

impl<'a> TerminalConfigurationView<'a> {
    pub(in crate::http) fn of(terminal: &'a Terminal, defaults: &TerminalDefaults) -> Self {
        Self {
            terminal_id: terminal.id,
            version: defaults.wanted(terminal.id, &terminal.own).version,
            settings: SettingsView::of(&terminal.own.settings),
            configuration: None,
            livemode: false,
        }
    }

    pub(in crate::http) fn with_applied(mut self, applied: AppliedView) -> Self {
        self.configuration = Some(applied);
        self
    }
}

/// The settings in force for a till: its own over those of all.
#[derive(Debug, Serialize)]
pub(in crate::http) struct EffectiveView<'a> {
    #[serde(flatten)]
    own: TerminalConfigurationView<'a>,
    effective: SettingsView<'a>,
}

impl<'a> EffectiveView<'a> {
    pub(in crate::http) fn of(
        own: TerminalConfigurationView<'a>,
        effective: &'a TerminalSettings,
    ) -> Self {
        Self {
            own,
            effective: SettingsView::of(effective),
        }
    }
}

/// What all tills of a merchant are told to be like.
#[derive(Debug, Serialize)]
pub(in crate::http) struct TerminalDefaultsView<'a> {
    merchant_id: MerchantId,
    version: u64,
    settings: SettingsView<'a>,
    roll_out: Option<RolloutView<'a>>,
    updated_at: Option<String>,
    livemode: bool,
}

#[derive(Debug, Serialize)]
struct RolloutView<'a> {
    state: &'static str,
    wave: u8,
    reached: usize,
    confirmed: usize,
    /// What those have that it has not reached.
    former_version: u64,
    stopped_at: Option<TerminalId>,
    reason: Option<&'a str>,
}

impl<'a> TerminalDefaultsView<'a> {
    pub(in crate::http) fn of(defaults: &'a TerminalDefaults) -> Self {
        let former_version = defaults.former.version;
        let is_set = defaults.current.version > 0;
        Self {
            merchant_id: defaults.merchant_id,
            version: defaults.current.version,
            settings: SettingsView::of(&defaults.current.settings),
            roll_out: defaults
                .rollout
                .as_ref()
                .map(|rollout| RolloutView::of(rollout, former_version)),
            updated_at: is_set.then(|| instant(defaults.updated_at)),
            livemode: false,
        }
    }
}

impl<'a> RolloutView<'a> {
    fn of(rollout: &'a Rollout, former_version: u64) -> Self {
        let (state, stopped_at, reason) = match &rollout.progress {
            Progress::Running => ("running", None, None),
            Progress::Done => ("done", None, None),
            Progress::Stopped {
                terminal_id,
                reason,
            } => ("stopped", Some(*terminal_id), Some(reason.as_str())),
        };
        Self {
            state,
            wave: rollout.wave,
            reached: rollout.members.len(),
            confirmed: rollout.confirmed.len(),
            former_version,
            stopped_at,
            reason,
        }
    }
}
