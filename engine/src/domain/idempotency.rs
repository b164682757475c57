//! Same key, same answer.
//!
//! A key is claimed only inside the commit of the effect that it stands for. The record points to
//! the resource; the answer is added with the result. Refusals store nothing. Keys expire.

use super::time::Timestamp;

/// Who said it and what: the hash of the key within its merchant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClaimKey(pub [u8; 32]);

/// What the request asked for: the hash of operation and body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

/// An answer as it first went out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// HTTP status, or 0 for an answer to a till.
    pub status: u16,
    /// Body bytes.
    pub body: Vec<u8>,
}

/// How long a key is kept after its claim, or after its answer was added. Callers are promised a
/// day (ecosystem.md 4.2); a week covers a till that was off over a long weekend.
pub const LIFE_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

/// A claimed key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Of the first request.
    pub fingerprint: Fingerprint,
    /// Id of what the request made or moved, as text.
    pub resource: String,
    /// The answer; absent while the result is awaited.
    pub answer: Option<StoredAnswer>,
    /// When it was claimed.
    pub at: Timestamp,
}

impl Claim {
    /// Whether the key may be used for something else: a repeat is then a new request.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now.since_ms(self.at) >= LIFE_MS
    }
}
