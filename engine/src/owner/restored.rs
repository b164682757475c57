//! What a restored database must record before it serves anybody.
//!
//! Owns the rule that nothing which the lost part of the log may have used is used again. Pure.

use protocol::id::MerchantId;

use super::event::Event;
use super::key;
use super::stored::Counters;
use super::work::Stored as _;
use crate::domain::time::Timestamp;
use crate::store::{Record, Row};

/// How far trace numbers jump: half of their cycle of 999,999, so that neither those used since the
/// backup nor those used before it come again soon.
pub const TRACE_JUMP: u32 = 500_000;
/// Trace numbers run from 1 to this and begin again (ISO 8583, data element 11).
const TRACE_MAX: u32 = 999_999;

/// The last trace number that counts as used after a restore.
pub const fn trace_after(last: u32) -> u32 {
    (last + TRACE_JUMP) % TRACE_MAX
}

/// The record of a restore in a merchant's stream.
pub fn record(merchant_id: MerchantId, counters: Counters, now: Timestamp) -> Record {
    let counters = Counters {
        trace: trace_after(counters.trace.min(TRACE_MAX)),
    };
    let event = Event::new(now, "merchant.restored", &merchant_id);
    Record {
        event: rmp_serde::to_vec_named(&event).unwrap_or_default(),
        rows: vec![Row {
            key: key::counters(merchant_id),
            value: Some(counters.to_bytes()),
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_in_their_cycle_and_far_from_the_last() {
        for last in [0, 1, 499_998, 499_999, 500_000, 999_998, 999_999] {
            let after = trace_after(last);
            assert!(after < TRACE_MAX, "{last}");
            let ahead = (after + TRACE_MAX - last % TRACE_MAX) % TRACE_MAX;
            assert_eq!(ahead, TRACE_JUMP, "{last}");
        }
    }
}
