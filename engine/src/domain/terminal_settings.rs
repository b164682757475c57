//! What tills may be told to be like: a merchant's settings for all of them, those of one till over
//! these, and which version of them a till should have. Knows nothing of links.

use protocol::id::{MerchantId, TerminalId};
use protocol::link::configuration::{IDLE_TEXT, LOG_LEVEL};
use protocol::link::{Configuration, Setting};

use super::rollout::Rollout;
use super::time::Timestamp;

/// Lines below a receipt.
pub const FOOTER_LINES_MAX: usize = 6;
/// Characters of such a line: what fits the narrowest paper of the usual width.
pub const FOOTER_LETTERS_MAX: usize = 42;

/// Settings; each absent where it is left to what is below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TerminalSettings {
    /// What the till shows while nothing runs.
    pub idle_text: Option<String>,
    /// How much the agent logs.
    pub log_level: Option<String>,
    /// Whether the customer's copy is printed without being asked for.
    pub prints_customer_copy: Option<bool>,
    /// Lines at the end of every receipt.
    pub receipt_footer: Option<Vec<String>>,
}

impl TerminalSettings {
    /// These settings, and where they say nothing the others.
    pub fn over(&self, below: &Self) -> Self {
        let (own, below) = (self.clone(), below.clone());
        Self {
            idle_text: own.idle_text.or(below.idle_text),
            log_level: own.log_level.or(below.log_level),
            prints_customer_copy: own.prints_customer_copy.or(below.prints_customer_copy),
            receipt_footer: own.receipt_footer.or(below.receipt_footer),
        }
    }

    /// What the till itself has to know. Receipts are made here.
    pub fn for_till(&self) -> Vec<Setting> {
        [(IDLE_TEXT, &self.idle_text), (LOG_LEVEL, &self.log_level)]
            .into_iter()
            .filter_map(|(name, value)| {
                Some(Setting {
                    name: name.to_owned(),
                    value: value.clone()?,
                })
            })
            .collect()
    }
}

/// Settings with the number of the change that made them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versioned {
    /// Which change of the merchant's made them; 0 for none.
    pub version: u64,
    /// The settings.
    pub settings: TerminalSettings,
}

/// What a merchant wants of all its tills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TerminalDefaults {
    /// Whose they are.
    pub merchant_id: MerchantId,
    /// The number of the last change to these or to the settings of any till.
    pub latest: u64,
    /// What all tills should have.
    pub current: Versioned,
    /// What those have that a roll-out has not come to.
    pub former: Versioned,
    /// How the current settings reach the tills; none when they went to all at once.
    pub rollout: Option<Rollout>,
    /// When they were last changed.
    pub updated_at: Timestamp,
}

impl TerminalDefaults {
    /// Before anything was ever set.
    pub fn none(merchant_id: MerchantId) -> Self {
        Self {
            merchant_id,
            latest: 0,
            current: Versioned::default(),
            former: Versioned::default(),
            rollout: None,
            updated_at: Timestamp::default(),
        }
    }

    /// What a till is to have, its own settings over these.
    pub fn wanted(&self, terminal_id: TerminalId, own: &Versioned) -> Versioned {
        let is_reached = self
            .rollout
            .as_ref()
            .is_none_or(|rollout| rollout.includes(terminal_id));
        let below = if is_reached {
            &self.current
        } else {
            &self.former
        };
        Versioned {
            version: own.version.max(below.version),
            settings: own.settings.over(&below.settings),
        }
    }

    /// The number of the next change.
    pub const fn next_version(&mut self) -> u64 {
        self.latest = self.latest.saturating_add(1);
        self.latest
    }
}

impl Versioned {
    /// What the till is told; nothing when nothing was ever set.
    pub fn for_till(&self) -> Option<Configuration> {
        (self.version > 0).then(|| Configuration {
            version: self.version,
            settings: self.settings.for_till(),
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn text(idle_text: &str) -> TerminalSettings {
        TerminalSettings {
            idle_text: Some(idle_text.to_owned()),
            ..TerminalSettings::default()
        }
    }

    #[test]
    fn a_tills_own_settings_win_and_the_version_is_that_of_the_last_change() {
        let terminal_id = TerminalId::from_uuid(Uuid::from_u128(1));
        let mut defaults = TerminalDefaults::none(MerchantId::from_uuid(Uuid::from_u128(2)));
        let none = Versioned::default();
        assert_eq!(defaults.wanted(terminal_id, &none).for_till(), None);
        defaults.current = Versioned {
            version: defaults.next_version(),
            settings: TerminalSettings {
                log_level: Some("debug".to_owned()),
                ..text("all")
            },
        };
        let wanted = defaults.wanted(terminal_id, &none);
        assert_eq!((wanted.version, wanted.settings.for_till().len()), (1, 2));
        let own = Versioned {
            version: defaults.next_version(),
            settings: text("own"),
        };
        let wanted = defaults.wanted(terminal_id, &own);
        assert_eq!(wanted.version, 2);
        assert_eq!(wanted.settings.idle_text.as_deref(), Some("own"));
        assert_eq!(wanted.settings.log_level.as_deref(), Some("debug"));
    }
}
