//! Handlers, one file per resource: parse the form, ask, render. No rules live here.

pub(super) mod api_key;
pub(super) mod general;
pub(super) mod merchant;
pub(super) mod pairing;
pub(super) mod pairing_bulk;
pub(super) mod pairing_device;
pub(super) mod pairing_page;
pub(super) mod partner;
pub(super) mod pos;
pub(super) mod receipt;
pub(super) mod sandbox;
pub(super) mod terminal;
pub(super) mod terminal_configuration;
pub(super) mod transaction;

use serde::Deserialize;

use crate::domain::time::Timestamp;

/// How long a caller waits for an answer that the acquirer must give before it gets 202. Longer
/// than an acquirer usually takes, shorter than HTTP clients usually wait.
const ANSWER_WAIT_MS: u64 = 10_000;

/// A body without fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Empty {}

/// The query of a list without filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainList {
    limit: Option<u32>,
    cursor: Option<String>,
}

const fn wait_until(now: Timestamp) -> Timestamp {
    now.plus_ms(ANSWER_WAIT_MS)
}
