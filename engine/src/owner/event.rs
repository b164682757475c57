//! What a record says happened: the audit trail, and what is delivered as events later.

use std::fmt::Display;

use serde::{Deserialize, Serialize, Serializer};

use crate::domain::time::Timestamp;

/// One thing that happened, as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// What: `object.past_participle`.
    pub kind: String,
    /// To which object.
    pub object: String,
}

/// As [`Event`], borrowed.
#[derive(Serialize)]
struct EventForm<'a> {
    at_ms: i64,
    kind: &'a str,
    object: Shown<'a>,
}

/// Written as its text.
struct Shown<'a>(&'a dyn Display);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

/// What an event takes: a time, a kind, an id.
const EVENT_BYTES: usize = 80;

impl Event {
    /// The bytes of an event of `kind` on `object`.
    pub fn bytes(at: Timestamp, kind: &str, object: &dyn Display) -> Vec<u8> {
        let form = EventForm {
            at_ms: at.0,
            kind,
            object: Shown(object),
        };
        let mut bytes = Vec::with_capacity(EVENT_BYTES);
        // Serializing numbers and strings into memory has no way to fail.
        rmp_serde::encode::write(&mut bytes, &form).unwrap_or_default();
        bytes
    }
}
