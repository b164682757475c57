//! What the engine tells a till to be like, and what the till says of it.
//!
//! A configuration is a list of names and values rather than a struct: an agent that does not know
//! a name must refuse the whole of it and say why, and a struct would skip what it does not know.

use serde::{Deserialize, Serialize};

/// What the till shows while nothing runs.
pub const IDLE_TEXT: &str = "till.idle_text";
/// How much the agent logs: one of [`LOG_LEVELS`].
pub const LOG_LEVEL: &str = "till.log_level";

/// Levels of the agent's log, from quiet to verbose.
pub const LOG_LEVELS: [&str; 4] = ["error", "warn", "info", "debug"];

/// Longest text that a till shows while nothing runs, in characters.
pub const IDLE_TEXT_LETTERS_MAX: usize = 64;

/// Everything that a till is told to be like. What is not named is as the agent has it by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// Rises with every change; 0 is "never configured".
    pub version: u64,
    /// The settings, each name at most once.
    pub settings: Vec<Setting>,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value as text.
    pub value: String,
}

/// What a till says of its configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationReport {
    /// The version in force there; 0 when it was never configured.
    pub applied: u64,
    /// The version that it was told last, where it cannot be applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<ConfigurationRefused>,
}

/// A configuration that an agent cannot apply; the one before stays in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationRefused {
    /// Its version.
    pub version: u64,
    /// Why, for people.
    pub reason: String,
}
