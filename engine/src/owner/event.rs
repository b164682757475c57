//! What a record says happened: the audit trail, and what is delivered as events later.

use serde::{Deserialize, Serialize};

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

impl Event {
    /// An event of `kind` on `object`.
    pub fn new(at: Timestamp, kind: &str, object: &dyn std::fmt::Display) -> Self {
        Self {
            at_ms: at.0,
            kind: kind.to_owned(),
            object: object.to_string(),
        }
    }
}
