//! Tills that show a code and wait for a person to approve them (RFC 8628 calls it the device
//! flow). Holds who waits and how each request stands; pairs nobody, stores nothing, has no clock
//! and makes no codes. What is lost with it a till asks for again by itself.

use core::net::IpAddr;
use std::collections::BTreeMap;

use protocol::id::{MerchantId, TerminalId};

use crate::domain::merchant::DeviceKey;
use crate::domain::time::Timestamp;
use crate::domain::token::SecretHash;

/// Letters in a code that a till shows: 28^8 is 38 bits, short to type, good for minutes only and
/// worth nothing without a credential.
pub const USER_CODE_LENGTH: usize = 8;
/// How long a till waits for a person, unless configured otherwise.
pub const LIFE_S_DEFAULT: u32 = 600;
/// Seconds between two questions of a till (RFC 8628 §3.2), unless configured otherwise.
pub const INTERVAL_S_DEFAULT: u32 = 5;
/// What a till that asks too often must add to its interval (RFC 8628 §3.5).
const SLOW_DOWN_S: u32 = 5;
/// Tills that wait at once. Arbitrary, bounded: a roll-out of a region.
pub const WAITING_MAX: usize = 1_000;
/// Tills that wait at once behind one address: a shop with many lanes.
pub const WAITING_PER_SOURCE_MAX: usize = 50;

/// A user code from random bytes; `None` when there are not enough usable bytes.
pub fn letters(random: &[u8]) -> Option<String> {
    super::drawn(random, USER_CODE_LENGTH)
}

/// What people type for a user code; `None` when it cannot be one.
pub fn normalize(typed: &str) -> Option<String> {
    super::normalized(typed, USER_CODE_LENGTH)
}

/// What a till says about itself when it asks to be paired. Nobody vouches for any of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asking {
    /// The key made on the device.
    pub device_key: DeviceKey,
    /// Its serial number.
    pub serial_number: Option<String>,
    /// The version of its program.
    pub agent_version: Option<String>,
    /// Where it asks from.
    pub source: Option<IpAddr>,
}

/// How a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has decided.
    Waiting,
    /// An approval is being stored.
    Deciding,
    /// Approved for this terminal.
    Approved(MerchantId, TerminalId),
    /// Turned away.
    Denied,
}

/// A till that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// What it says about itself.
    pub asking: Asking,
    /// When it asked.
    pub asked_at: Timestamp,
    /// When it must ask anew.
    pub expires_at: Timestamp,
    /// How it stands.
    pub standing: Standing,
    /// Hash of the secret that it polls with.
    pub hash: SecretHash,
    user_code: String,
    interval_s: u32,
    polled_at: Option<Timestamp>,
}

/// Why no more till may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// Too many behind this address.
    Source,
    /// Too many at all.
    All,
}

/// What a till that polls is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polled {
    /// Nobody has decided; ask again after so many seconds.
    Pending(u32),
    /// Asked too early; from now on so many seconds must pass.
    SlowDown(u32),
    /// Turned away.
    Denied,
    /// Approved: what was stored says for what.
    Approved,
    /// No such request, or not any more. What was stored may still know of an approval.
    Unknown,
}

/// The tills that wait.
#[derive(Debug)]
pub struct WaitingRoom {
    life_s: u32,
    interval_s: u32,
    by_hash: BTreeMap<[u8; 32], Waiting>,
    by_code: BTreeMap<String, [u8; 32]>,
}

impl WaitingRoom {
    /// An empty one where tills wait for `life_s` and poll every `interval_s`.
    pub const fn new(life_s: u32, interval_s: u32) -> Self {
        Self {
            life_s,
            interval_s,
            by_hash: BTreeMap::new(),
            by_code: BTreeMap::new(),
        }
    }

    /// Seconds that a till waits.
    pub const fn life_s(&self) -> u32 {
        self.life_s
    }

    /// Seconds between two polls.
    pub const fn interval_s(&self) -> u32 {
        self.interval_s
    }

    /// A till asks; it shows `user_code` and polls with the secret behind `hash`. An earlier
    /// request of the same key from the same address makes place: the till has started anew.
    /// `Ok(false)` when the user code is taken and another must be drawn.
    ///
    /// # Errors
    /// [`Full`].
    pub fn ask(
        &mut self,
        now: Timestamp,
        asking: Asking,
        user_code: &str,
        hash: SecretHash,
    ) -> Result<bool, Full> {
        self.forget(now, &asking);
        if self.by_code.contains_key(user_code) {
            return Ok(false);
        }
        if self.by_hash.len() >= WAITING_MAX {
            return Err(Full::All);
        }
        let is_beside = |waiting: &&Waiting| waiting.asking.source == asking.source;
        if self.by_hash.values().filter(is_beside).count() >= WAITING_PER_SOURCE_MAX {
            return Err(Full::Source);
        }
        let waiting = Waiting {
            asking,
            asked_at: now,
            expires_at: now.plus_ms(u64::from(self.life_s).saturating_mul(1_000)),
            standing: Standing::Waiting,
            hash,
            user_code: user_code.to_owned(),
            interval_s: self.interval_s,
            polled_at: None,
        };
        self.by_code.insert(user_code.to_owned(), hash.0);
        self.by_hash.insert(hash.0, waiting);
        Ok(true)
    }

    /// A till asks how its request stands.
    pub fn poll(&mut self, now: Timestamp, hash: SecretHash) -> Polled {
        let Some(waiting) = self.by_hash.get_mut(&hash.0) else {
            return Polled::Unknown;
        };
        match waiting.standing {
            Standing::Approved(..) => return Polled::Approved,
            Standing::Denied => return Polled::Denied,
            Standing::Waiting | Standing::Deciding => {}
        }
        if now >= waiting.expires_at {
            return Polled::Unknown;
        }
        let interval_ms = u64::from(waiting.interval_s) * 1_000;
        let is_early = waiting
            .polled_at
            .is_some_and(|at| now.since_ms(at) < interval_ms);
        waiting.polled_at = Some(now);
        if is_early {
            waiting.interval_s = waiting.interval_s.saturating_add(SLOW_DOWN_S);
            return Polled::SlowDown(waiting.interval_s);
        }
        Polled::Pending(waiting.interval_s)
    }

    /// The request behind a normalized user code, while it can be decided on or was.
    pub fn find(&self, now: Timestamp, user_code: &str) -> Option<&Waiting> {
        let hash = self.by_code.get(user_code)?;
        self.by_hash
            .get(hash)
            .filter(|waiting| now < waiting.expires_at)
    }

    /// Takes a request that nobody has decided on, to decide on it alone; `None` when there is no
    /// such request, or somebody was faster.
    pub fn begin_deciding(&mut self, now: Timestamp, user_code: &str) -> Option<Waiting> {
        let waiting = self.find_mut(now, user_code)?;
        if waiting.standing != Standing::Waiting {
            return None;
        }
        waiting.standing = Standing::Deciding;
        Some(waiting.clone())
    }

    /// How a decision came out; [`Standing::Waiting`] when it came to nothing.
    pub fn decided(&mut self, hash: SecretHash, standing: Standing) {
        if let Some(waiting) = self.by_hash.get_mut(&hash.0) {
            waiting.standing = standing;
        }
    }

    fn find_mut(&mut self, now: Timestamp, user_code: &str) -> Option<&mut Waiting> {
        let hash = self.by_code.get(user_code)?;
        self.by_hash
            .get_mut(hash)
            .filter(|waiting| now < waiting.expires_at)
    }

    /// Forgets what has expired, and what the till that asks now had asked before.
    fn forget(&mut self, now: Timestamp, asking: &Asking) {
        self.by_hash.retain(|_, waiting| {
            let is_same_till = waiting.asking.device_key == asking.device_key
                && waiting.asking.source == asking.source;
            now < waiting.expires_at && !(is_same_till && waiting.standing == Standing::Waiting)
        });
        let by_hash = &self.by_hash;
        self.by_code.retain(|user_code, hash| {
            by_hash
                .get(hash)
                .is_some_and(|waiting| waiting.user_code == *user_code)
        });
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;

    const T0: Timestamp = Timestamp(1_800_000_000_000);

    fn asking(key: u8, source: u8) -> Asking {
        Asking {
            device_key: DeviceKey([key; 32]),
            serial_number: None,
            agent_version: None,
            source: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, source))),
        }
    }

    fn hash(number: usize) -> SecretHash {
        SecretHash::of(&number.to_be_bytes())
    }

    fn room() -> WaitingRoom {
        let mut room = WaitingRoom::new(600, 5);
        assert_eq!(room.ask(T0, asking(1, 1), "BCDFGHJK", hash(1)), Ok(true));
        room
    }

    #[test]
    fn a_till_waits_until_somebody_decides_or_its_time_is_over() {
        let mut room = room();
        assert_eq!(room.poll(T0, hash(1)), Polled::Pending(5));
        assert_eq!(room.poll(T0.plus_ms(4_999), hash(1)), Polled::SlowDown(10));
        assert_eq!(room.poll(T0.plus_ms(14_998), hash(1)), Polled::SlowDown(15));
        assert_eq!(room.poll(T0.plus_ms(29_998), hash(1)), Polled::Pending(15));
        assert_eq!(room.poll(T0, hash(2)), Polled::Unknown);
        let end = T0.plus_ms(600_000);
        assert!(room.find(T0.plus_ms(599_999), "BCDFGHJK").is_some());
        assert!(room.find(end, "BCDFGHJK").is_none());
        assert_eq!(room.begin_deciding(end, "BCDFGHJK"), None);
        assert_eq!(room.poll(end, hash(1)), Polled::Unknown);
    }

    #[test]
    fn one_decides_and_nobody_else() {
        let mut room = room();
        let taken = room.begin_deciding(T0, "BCDFGHJK").unwrap();
        assert_eq!(taken.asking, asking(1, 1));
        assert_eq!(room.begin_deciding(T0, "BCDFGHJK"), None);
        assert_eq!(room.poll(T0, hash(1)), Polled::Pending(5));
        room.decided(hash(1), Standing::Waiting);
        assert!(room.begin_deciding(T0, "BCDFGHJK").is_some());
        let (merchant_id, terminal_id) = (
            MerchantId::from_bytes([1; 16]),
            TerminalId::from_bytes([2; 16]),
        );
        room.decided(hash(1), Standing::Approved(merchant_id, terminal_id));
        assert_eq!(room.begin_deciding(T0, "BCDFGHJK"), None);
        assert_eq!(room.poll(T0, hash(1)), Polled::Approved);
        room.decided(hash(1), Standing::Denied);
        assert_eq!(room.poll(T0, hash(1)), Polled::Denied);
        room.decided(hash(9), Standing::Denied);
    }

    #[test]
    fn a_till_that_starts_anew_has_one_request() {
        let mut room = room();
        let taken = room.ask(T0, asking(2, 1), "BCDFGHJK", hash(2));
        assert_eq!(taken, Ok(false), "the code is another till's");
        assert_eq!(room.ask(T0, asking(1, 2), "CCCCCCCC", hash(3)), Ok(true));
        assert!(
            room.find(T0, "BCDFGHJK").is_some(),
            "a stranger with its key"
        );
        assert_eq!(room.ask(T0, asking(1, 1), "DDDDDDDD", hash(4)), Ok(true));
        assert!(room.find(T0, "BCDFGHJK").is_none());
        assert_eq!(room.poll(T0, hash(1)), Polled::Unknown);
        assert!(room.find(T0, "DDDDDDDD").is_some());
    }

    #[test]
    fn places_are_bounded_and_come_back() {
        let mut room = WaitingRoom::new(600, 5);
        let user_code = |number: usize| format!("{number:08}");
        for number in 0..WAITING_PER_SOURCE_MAX {
            let key = u8::try_from(number).unwrap();
            let asked = room.ask(T0, asking(key, 1), &user_code(number), hash(number));
            assert_eq!(asked, Ok(true));
        }
        let asked = room.ask(T0, asking(200, 1), &user_code(200), hash(200));
        assert_eq!(asked, Err(Full::Source));
        for number in WAITING_PER_SOURCE_MAX..WAITING_MAX {
            let source = u8::try_from(2 + number / WAITING_PER_SOURCE_MAX).unwrap();
            let key = u8::try_from(number % WAITING_PER_SOURCE_MAX).unwrap();
            let asked = room.ask(T0, asking(key, source), &user_code(number), hash(number));
            assert_eq!(asked, Ok(true), "{number}");
        }
        let more = asking(1, 255);
        let asked = room.ask(T0, more.clone(), "ZZZZZZZZ", hash(5_000));
        assert_eq!(asked, Err(Full::All));
        let later = T0.plus_ms(600_000);
        assert_eq!(room.ask(later, more, "ZZZZZZZZ", hash(5_000)), Ok(true));
        assert_eq!(room.by_hash.len(), 1);
        assert_eq!(room.by_code.len(), 1);
    }

    #[test]
    fn user_codes_are_typed_in_many_ways() {
        assert_eq!(letters(&[0; 8]).as_deref(), Some("BBBBBBBB"));
        for typed in ["BCDF-GHJK", "bcdfghjk", " bcdf ghjk"] {
            assert_eq!(normalize(typed).as_deref(), Some("BCDFGHJK"), "{typed}");
        }
        for typed in ["", "BCDFGHJ", "BCDFGHJKLM", "AEIOUAEI"] {
            assert_eq!(normalize(typed), None, "{typed}");
        }
        assert_eq!(super::super::display("BCDFGHJK"), "BCDF-GHJK");
    }
}
