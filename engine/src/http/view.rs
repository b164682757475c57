//! JSON forms of domain values: what callers see, apart from what is stored or sent on links.
//!
//! A view is a function of the value alone, so that the same state gives the same bytes. Fields
//! are only ever added.

pub(super) mod access;
pub(super) mod pairing;
pub(super) mod pos;
pub(super) mod sandbox;
pub(super) mod terminal;
pub(super) mod terminal_configuration;
pub(super) mod transaction;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::domain::time::Timestamp;

/// An instant as RFC 3339 in UTC with milliseconds.
pub(super) fn instant(at: Timestamp) -> String {
    DateTime::<Utc>::from_timestamp_millis(at.0)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_rfc_3339() {
        assert_eq!(instant(Timestamp(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            instant(Timestamp(1_767_225_599_999)),
            "2025-12-31T23:59:59.999Z"
        );
    }
}
