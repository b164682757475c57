//! Finding idempotency keys that have expired, beside the claims of new ones: when to look, and
//! where. Must never hold a claim up by more than a short scan.

use crate::domain::idempotency::LIFE_MS;
use crate::domain::time::Timestamp;
use crate::store::ReadFault;

use super::work::Work;

/// How many keys one look is at: well below a millisecond.
pub const SWEEP_ROWS: usize = 64;
/// Claims from one look to the next.
const CLAIMS_PER_LOOK: u32 = 8;
/// From the end of a round over all keys to the beginning of the next. What expires meanwhile
/// waits: with half a life there are at most as many keys as one and a half lives bring, and those
/// that a round takes to come by, and a key is looked at three times in its own life.
const REST_MS: u64 = LIFE_MS / 2;

/// A walk over all keys of an owner, a few at a time, that begins where chance has it: an owner that
/// is dropped and loaded again between two claims then still comes by every key.
#[derive(Debug, Clone, Default)]
pub struct ClaimSweep {
    claims: u32,
    round: Option<Round>,
    rests_until: Timestamp,
}

#[derive(Debug, Clone)]
struct Round {
    begun_at: Vec<u8>,
    next: Vec<u8>,
    has_wrapped: bool,
}

impl ClaimSweep {
    /// A key has been claimed in this unit of work: removes some that have expired, among those in
    /// `space`, if it is time to look.
    ///
    /// # Errors
    /// [`ReadFault`] when the storage fails.
    pub fn claimed<E>(
        &mut self,
        work: &mut Work<'_, E>,
        space: &[u8],
        key: &[u8],
    ) -> Result<(), ReadFault> {
        if work.now < self.rests_until {
            return Ok(());
        }
        let is_turn = self.claims.is_multiple_of(CLAIMS_PER_LOOK);
        self.claims = self.claims.wrapping_add(1);
        if !is_turn {
            return Ok(());
        }
        let round = self.round.get_or_insert_with(|| Round {
            begun_at: key.to_vec(),
            next: key.to_vec(),
            has_wrapped: false,
        });
        let is_over = match work.sweep_claims(space, &round.next, SWEEP_ROWS)? {
            Some(mut last) => {
                last.push(0);
                round.next = last;
                round.has_wrapped && round.next > round.begun_at
            }
            None if round.has_wrapped => true,
            None => {
                round.has_wrapped = true;
                round.next = space.to_vec();
                false
            }
        };
        if is_over {
            self.round = None;
            self.rests_until = work.now.plus_ms(REST_MS);
        }
        Ok(())
    }
}
