//! Idempotency keys, as their callers see them.

use engine::domain::idempotency::{ClaimKey, Fingerprint};
use engine::domain::rejection::Rejection;
use engine::owner::request::Reply;

use super::Model;
use crate::simulation::checker::{Checked, fail};

/// A key that somebody has used.
#[derive(Debug)]
pub(super) struct Key {
    first: Fingerprint,
    bodies: u32,
    /// The body that was answered.
    answered: Option<Fingerprint>,
}

impl Model {
    /// A request comes with a key.
    pub fn uses_key(&mut self, key: ClaimKey, body: Fingerprint) {
        let known = self.keys.entry(key).or_insert(Key {
            first: body,
            bodies: 1,
            answered: None,
        });
        if known.first != body {
            known.bodies += 1;
        }
    }

    /// A request with a key is answered. Only an effect uses a key up, and only another body
    /// conflicts with it.
    ///
    /// # Errors
    /// `refusals_burn_no_key`, `keys_conflict_rightly`, `one_body_for_each_key`.
    pub fn key_answered(
        &mut self,
        key: ClaimKey,
        body: Fingerprint,
        is_claimed: bool,
        reply: &Result<Reply, Rejection>,
    ) -> Checked {
        let needs_claim = matches!(
            reply,
            Ok(Reply::Replayed(_))
                | Err(Rejection::IdempotencyInProgress { .. } | Rejection::IdempotencyConflict)
        );
        if needs_claim && !is_claimed {
            let what = "a key counts as used, and nothing was done with it".to_owned();
            return fail("refusals_burn_no_key", what);
        }
        let Some(known) = self.keys.get_mut(&key) else {
            return Ok(());
        };
        if reply.is_ok() && *known.answered.get_or_insert(body) != body {
            let what = "a key is answered for two bodies".to_owned();
            return fail("one_body_for_each_key", what);
        }
        if matches!(reply, Err(Rejection::IdempotencyConflict)) && known.bodies == 1 {
            let what = "a key conflicts with itself".to_owned();
            return fail("keys_conflict_rightly", what);
        }
        Ok(())
    }
}
