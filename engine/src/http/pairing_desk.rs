//! What pairing needs beside the owners: who has guessed, which tills wait for a person, and which
//! keys are being paired at this moment. In memory: tills ask again, guessers begin anew.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::id::MerchantId;

use crate::config::Limits;
use crate::domain::merchant::DeviceKey;
use crate::domain::pairing::lockout::{Lockouts, WRONG_TRIES_MAX};
use crate::domain::pairing::waiting::WaitingRoom;
use crate::domain::time::Timestamp;

use super::code::ErrorAnswer;

/// The state of pairing.
#[derive(Debug)]
pub(super) struct PairingDesk {
    sources: Mutex<Lockouts<IpAddr>>,
    /// Guessing what a till shows takes a credential: it is counted by merchant.
    readers: Mutex<Lockouts<MerchantId>>,
    waiting: Mutex<WaitingRoom>,
    keys: Mutex<BTreeSet<[u8; 32]>>,
}

/// A key that is being paired or released; nobody else pairs it until this is dropped.
#[derive(Debug)]
pub(super) struct KeyHold<'a> {
    keys: &'a Mutex<BTreeSet<[u8; 32]>>,
    key: DeviceKey,
}

impl Drop for KeyHold<'_> {
    fn drop(&mut self) {
        locked(self.keys).remove(&self.key.0);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PairingDesk {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            sources: Mutex::new(Lockouts::new(limits.pairing_wrong_tries_max)),
            readers: Mutex::new(Lockouts::new(WRONG_TRIES_MAX)),
            waiting: Mutex::new(WaitingRoom::new(
                limits.pairing_request_life_s,
                limits.pairing_poll_interval_s,
            )),
            keys: Mutex::new(BTreeSet::new()),
        }
    }

    /// The tills that wait. Never held across an await.
    pub(super) fn waiting(&self) -> MutexGuard<'_, WaitingRoom> {
        locked(&self.waiting)
    }

    /// Whether an address may try a code.
    ///
    /// # Errors
    /// The answer to give it instead.
    pub(super) fn check_source(
        &self,
        source: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), ErrorAnswer> {
        match source {
            Some(source) => locked(&self.sources)
                .check(source, now)
                .map_err(ErrorAnswer::locked_out),
            None => Ok(()),
        }
    }

    /// An address has tried a wrong code.
    pub(super) fn wrong_source(&self, source: Option<IpAddr>, now: Timestamp) {
        if let Some(source) = source
            && let Some(seconds) = locked(&self.sources).wrong(source, now)
        {
            tracing::warn!(%source, seconds, "too many wrong pairing codes: address locked out");
        }
    }

    /// An address has tried a right code.
    pub(super) fn right_source(&self, source: Option<IpAddr>) {
        if let Some(source) = source {
            locked(&self.sources).right(source);
        }
    }

    /// Whether a merchant may try a code that a till shows.
    ///
    /// # Errors
    /// The answer to give it instead.
    pub(super) fn check_reader(
        &self,
        merchant_id: MerchantId,
        now: Timestamp,
    ) -> Result<(), ErrorAnswer> {
        let checked = locked(&self.readers).check(merchant_id, now);
        checked.map_err(ErrorAnswer::locked_out)
    }

    /// A merchant has tried a code that no till shows.
    pub(super) fn wrong_reader(&self, merchant_id: MerchantId, now: Timestamp) {
        if let Some(seconds) = locked(&self.readers).wrong(merchant_id, now) {
            tracing::warn!(%merchant_id, seconds, "too many codes that no till shows: locked out");
        }
    }

    /// A merchant has tried a code that a till shows.
    pub(super) fn right_reader(&self, merchant_id: MerchantId) {
        locked(&self.readers).right(merchant_id);
    }

    /// Takes a key while it is being paired: two merchants must not pair it at the same moment.
    ///
    /// # Errors
    /// Somebody else is at it: try again.
    pub(super) fn hold_key(&self, key: DeviceKey) -> Result<KeyHold<'_>, ErrorAnswer> {
        match locked(&self.keys).insert(key.0) {
            true => Ok(KeyHold {
                keys: &self.keys,
                key,
            }),
            false => Err(ErrorAnswer::unavailable()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_held_by_one_until_it_is_let_go() {
        let desk = PairingDesk::new(&Limits::default());
        let (one, other) = (DeviceKey([1; 32]), DeviceKey([2; 32]));
        let held = desk.hold_key(one).unwrap();
        assert!(desk.hold_key(one).is_err());
        assert!(desk.hold_key(other).is_ok());
        drop(held);
        assert!(desk.hold_key(one).is_ok());
    }
}
