//! The lines of the control socket. Documented in `docs/control-socket.md`.

mod answer;
mod health;
mod line;

use serde::{Deserialize, Serialize};

use crate::device::endpoint::Role;
use crate::device::fault::PortState;
use crate::machine::screen::Screen;

pub use answer::{Answer, AnswerData, AnswerError, TestPrinted};
pub use health::{LinkHealth, PortsHealth, ProcessHealth};
pub use line::{BadLine, Choice, Line, Wanted, parse};

/// The longest line in either direction.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// What watchers are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum WatchEvent {
    /// The display changed.
    Screen {
        /// To this.
        data: Screen,
    },
    /// The link came or went.
    Link {
        /// Whether it is up.
        is_online: bool,
    },
    /// The merchant's configuration was applied.
    Configured {
        /// Its version.
        version: u64,
        /// What to show while nothing runs.
        idle_text: Option<String>,
    },
    /// A port opened, was lost, or cannot be opened.
    Port {
        /// Whose.
        device: Role,
        /// How it is now.
        port: PortState,
    },
}

/// A line from the agent, as a client of its socket reads it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Heard {
    /// Something happened.
    Event(WatchEvent),
    /// The answer to a line.
    Answer(Answer),
}

impl Heard {
    /// Reads one line; none for what a newer agent may say.
    pub fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

/// One line of text, with its end.
pub fn encode_line<T: Serialize>(value: &T) -> String {
    // These types have string keys and finite numbers only, so they always have a JSON form.
    let mut line = serde_json::to_string(value).unwrap_or_default();
    line.push('\n');
    line
}

#[cfg(test)]
mod tests;
