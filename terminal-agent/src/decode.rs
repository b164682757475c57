//! Captured bytes as text: what a reader, a printer or the link said, without card data.
//!
//! Pure. A value is shown only when it is known to be harmless; of everything else its length is.
//! Bytes that mean nothing are named with their offset, and what follows is read on.

pub mod input;
pub mod link;
pub mod printer;
pub mod reader;

use serde::Serialize;

/// The form of the JSON.
pub const SCHEMA: &str = "terminal-agent.decode/v1";

/// A part of the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Offset of its first byte; absent where offsets say nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<usize>,
    /// Its bytes.
    pub length: usize,
    /// What it is.
    pub name: String,
    /// What it says; empty when that is in its parts, or is not shown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// What it is made of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

impl Part {
    fn new(at: Option<usize>, length: usize, name: impl Into<String>) -> Self {
        Self {
            at,
            length,
            name: name.into(),
            value: String::new(),
            parts: Vec::new(),
        }
    }

    fn saying(mut self, value: impl Into<String>) -> Self {
        self.value = value.into();
        self
    }

    fn made_of(mut self, parts: Vec<Self>) -> Self {
        self.parts = parts;
        self
    }

    fn write(&self, depth: usize, text: &mut String) {
        let place = match self.at {
            Some(at) => format!("{at:06x}"),
            None => " ".repeat(6),
        };
        let indent = depth.saturating_mul(2);
        let colon = if self.value.is_empty() { "" } else { ": " };
        text.push_str(&format!(
            "{place}  {:indent$}{}{colon}{}\n",
            "", self.name, self.value
        ));
        for part in &self.parts {
            part.write(depth.saturating_add(1), text);
        }
    }
}

/// Captured bytes, decoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decoded {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Bytes that were read.
    pub bytes: usize,
    /// Bytes that mean nothing.
    pub unknown_bytes: usize,
    /// In order.
    pub parts: Vec<Part>,
}

impl Decoded {
    fn new(bytes: usize, unknown_bytes: usize, parts: Vec<Part>) -> Self {
        Self {
            schema: SCHEMA,
            bytes,
            unknown_bytes,
            parts,
        }
    }

    /// For a person: an offset and a line for each part.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for part in &self.parts {
            part.write(0, &mut text);
        }
        text.push_str(&format!(
            "{} bytes, {} of them not understood\n",
            self.bytes, self.unknown_bytes
        ));
        text
    }
}

/// Bytes that mean nothing, as a part.
fn unknown(at: usize, length: usize, why: &str) -> Part {
    Part::new(Some(at), length, "not understood").saying(format!("{length} bytes: {why}"))
}
