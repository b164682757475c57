//! New ids and jitter: the only place that makes them.

use protocol::id::{JournalId, RequestId};
use uuid::Uuid;

/// A name for a new journal.
pub fn journal_id() -> JournalId {
    JournalId::from_uuid(fresh())
}

/// A name for a request made at this till.
pub fn request_id() -> RequestId {
    RequestId::from_uuid(fresh())
}

/// A part of `whole_ms` between a half and all of it, so that many tills do not come back at once.
pub fn jittered(whole_ms: u64) -> u64 {
    let half_ms = whole_ms / 2;
    // Without randomness the delay is merely not spread.
    let random = getrandom::u64().unwrap_or(0);
    half_ms.saturating_add(random.checked_rem(half_ms.saturating_add(1)).unwrap_or(0))
}

#[expect(clippy::disallowed_methods, reason = "this is the source of ids")]
fn fresh() -> Uuid {
    Uuid::now_v7()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_between_half_and_whole() {
        for whole_ms in [0, 1, 2, 250, 10_000] {
            for _ in 0..50 {
                let delay_ms = jittered(whole_ms);
                assert!(delay_ms >= whole_ms / 2 && delay_ms <= whole_ms);
            }
        }
    }
}
