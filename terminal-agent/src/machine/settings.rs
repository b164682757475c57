//! What a till can be told to be like: reads the engine's settings strictly. PURE.

use protocol::link::Configuration;
use protocol::link::configuration::{IDLE_TEXT, IDLE_TEXT_LETTERS_MAX, LOG_LEVEL, LOG_LEVELS};

/// The settings that this agent has, each absent where the agent is as it is by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TillSettings {
    /// What the till shows while nothing runs.
    pub idle_text: Option<String>,
    /// How much the agent logs: one of [`LOG_LEVELS`].
    pub log_level: Option<String>,
}

impl TillSettings {
    /// Reads a configuration; it is in force as a whole or not at all.
    ///
    /// # Errors
    /// What cannot be applied, for people. Never repeats more of a value than a name.
    pub fn read(configuration: &Configuration) -> Result<Self, String> {
        let mut settings = Self::default();
        for setting in &configuration.settings {
            let value = setting.value.as_str();
            let place = match setting.name.as_str() {
                IDLE_TEXT => {
                    let is_good = !value.is_empty()
                        && value.chars().count() <= IDLE_TEXT_LETTERS_MAX
                        && !value.chars().any(char::is_control);
                    if !is_good {
                        return Err(format!(
                            "{IDLE_TEXT} must be 1 to {IDLE_TEXT_LETTERS_MAX} characters without \
                             control characters"
                        ));
                    }
                    &mut settings.idle_text
                }
                LOG_LEVEL => {
                    if !LOG_LEVELS.contains(&value) {
                        return Err(format!("{LOG_LEVEL} must be one of {LOG_LEVELS:?}"));
                    }
                    &mut settings.log_level
                }
                other => {
                    let name: String = other.chars().take(64).collect();
                    return Err(format!("this agent has no setting {name:?}"));
                }
            };
            if place.replace(value.to_owned()).is_some() {
                return Err(format!("{} is given twice", setting.name));
            }
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use protocol::link::Setting;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<TillSettings, String> {
        let setting = |(name, value): &(&str, &str)| Setting {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        };
        TillSettings::read(&Configuration {
            version: 1,
            settings: pairs.iter().map(setting).collect(),
        })
    }

    #[test]
    fn a_configuration_is_read_as_a_whole_or_not_at_all() {
        assert_eq!(read(&[]), Ok(TillSettings::default()));
        let good = read(&[("till.idle_text", "Welcome"), ("till.log_level", "debug")]).unwrap();
        assert_eq!(good.idle_text.as_deref(), Some("Welcome"));
        assert_eq!(good.log_level.as_deref(), Some("debug"));
        let long = "x".repeat(65);
        for (pairs, expected) in [
            (&[("till.colour", "red")][..], "no setting \"till.colour\""),
            (
                &[("till.idle_text", "a"), ("till.idle_text", "b")],
                "given twice",
            ),
            (&[("till.idle_text", "")], "1 to 64"),
            (&[("till.idle_text", "\u{1b}[2J")], "1 to 64"),
            (&[("till.idle_text", &long)], "1 to 64"),
            (&[("till.log_level", "trace")], "one of"),
        ] {
            let reason = read(pairs).unwrap_err();
            assert!(reason.contains(expected), "{reason}");
        }
    }
}
