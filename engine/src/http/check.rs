//! Checks of single values that several forms share.

use chrono::DateTime;
use serde::de::{self, Deserialize, Deserializer};

use crate::domain::rejection::Rejection;
use crate::domain::resolution::REASON_LETTERS_MAX;
use crate::domain::time::Timestamp;

use super::code::ErrorAnswer;

/// Longest label, name or reference: what fits a line of paper, twice.
pub(super) const TEXT_LETTERS_MAX: usize = 64;

/// Text for people: not blank, no control characters, not too long.
pub(super) fn text(field: &'static str, value: String) -> Result<String, ErrorAnswer> {
    let is_good = !value.trim().is_empty()
        && value.chars().count() <= TEXT_LETTERS_MAX
        && !value.chars().any(char::is_control);
    if !is_good {
        let expected = "1 to 64 characters without control characters";
        return Err(Rejection::invalid(field, expected).into());
    }
    Ok(value)
}

/// Words that are kept for whoever looks into it later.
pub(super) fn account(field: &'static str, value: String) -> Result<String, ErrorAnswer> {
    let is_good = !value.trim().is_empty()
        && value.chars().count() <= REASON_LETTERS_MAX
        && !value.chars().any(char::is_control);
    if !is_good {
        let expected = "1 to 500 characters without control characters";
        return Err(Rejection::invalid(field, expected).into());
    }
    Ok(value)
}

/// One line of text for people, at most so many characters long.
pub(super) fn line(
    field: &'static str,
    value: String,
    letters_max: usize,
    expected: &'static str,
) -> Result<String, ErrorAnswer> {
    let is_good = !value.trim().is_empty()
        && value.chars().count() <= letters_max
        && !value.chars().any(char::is_control);
    if is_good {
        Ok(value)
    } else {
        Err(Rejection::invalid(field, expected).into())
    }
}

/// As [`text`], where nothing may be given.
pub(super) fn optional_text(
    field: &'static str,
    value: Option<String>,
) -> Result<Option<String>, ErrorAnswer> {
    value.map(|value| text(field, value)).transpose()
}

/// An instant in a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instant(pub(super) Timestamp);

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        DateTime::parse_from_rfc3339(&text)
            .map(|at| Self(Timestamp(at.timestamp_millis())))
            .map_err(|_| de::Error::custom("not an RFC 3339 instant"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_printable_and_short() {
        for good in ["Lane 3", "Kafé", &"x".repeat(64)] {
            assert!(text("label", good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "  ", "a\nb", "\u{1b}@", &"x".repeat(65)] {
            assert!(text("label", bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
