//! Stored forms of what tills are told to be like.

use std::collections::BTreeSet;

use protocol::id::{MerchantId, TerminalId};
use serde::{Deserialize, Serialize};

use crate::domain::rollout::{Progress, Rollout};
use crate::domain::terminal_settings::{TerminalDefaults, TerminalSettings, Versioned};
use crate::domain::time::Timestamp;

use super::Form;

#[derive(Serialize, Deserialize, Default)]
pub(in crate::owner) struct VersionedForm {
    version: u64,
    idle_text: Option<String>,
    log_level: Option<String>,
    prints_customer_copy: Option<bool>,
    receipt_footer: Option<Vec<String>>,
}

impl VersionedForm {
    pub(super) fn of(versioned: &Versioned) -> Self {
        let settings = versioned.settings.clone();
        Self {
            version: versioned.version,
            idle_text: settings.idle_text,
            log_level: settings.log_level,
            prints_customer_copy: settings.prints_customer_copy,
            receipt_footer: settings.receipt_footer,
        }
    }

    pub(super) fn value(self) -> Versioned {
        Versioned {
            version: self.version,
            settings: TerminalSettings {
                idle_text: self.idle_text,
                log_level: self.log_level,
                prints_customer_copy: self.prints_customer_copy,
                receipt_footer: self.receipt_footer,
            },
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::owner) struct TerminalDefaultsForm {
    merchant_id: MerchantId,
    latest: u64,
    current: VersionedForm,
    former: VersionedForm,
    rollout: Option<RolloutForm>,
    updated_at: i64,
}

#[derive(Serialize, Deserialize)]
struct RolloutForm {
    wave: u8,
    members: BTreeSet<TerminalId>,
    confirmed: BTreeSet<TerminalId>,
    changed_at: i64,
    is_done: bool,
    stopped: Option<(TerminalId, String)>,
}

impl RolloutForm {
    fn of(rollout: &Rollout) -> Self {
        let stopped = match &rollout.progress {
            Progress::Stopped {
                terminal_id,
                reason,
            } => Some((*terminal_id, reason.clone())),
            Progress::Running | Progress::Done => None,
        };
        Self {
            wave: rollout.wave,
            members: rollout.members.clone(),
            confirmed: rollout.confirmed.clone(),
            changed_at: rollout.changed_at.0,
            is_done: rollout.progress == Progress::Done,
            stopped,
        }
    }

    fn value(self) -> Rollout {
        let progress = match self.stopped {
            Some((terminal_id, reason)) => Progress::Stopped {
                terminal_id,
                reason,
            },
            None if self.is_done => Progress::Done,
            None => Progress::Running,
        };
        Rollout {
            wave: self.wave,
            members: self.members,
            confirmed: self.confirmed,
            changed_at: Timestamp(self.changed_at),
            progress,
        }
    }
}

impl Form for TerminalDefaultsForm {
    type Value = TerminalDefaults;

    fn of(defaults: &TerminalDefaults) -> Self {
        Self {
            merchant_id: defaults.merchant_id,
            latest: defaults.latest,
            current: VersionedForm::of(&defaults.current),
            former: VersionedForm::of(&defaults.former),
            rollout: defaults.rollout.as_ref().map(RolloutForm::of),
            updated_at: defaults.updated_at.0,
        }
    }

    fn value(self) -> Option<TerminalDefaults> {
        Some(TerminalDefaults {
            merchant_id: self.merchant_id,
            latest: self.latest,
            current: self.current.value(),
            former: self.former.value(),
            rollout: self.rollout.map(RolloutForm::value),
            updated_at: Timestamp(self.updated_at),
        })
    }
}
