//! Fresh ids and secrets: the only place that makes random values.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use protocol::id::TraceId;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::domain::pairing;
use crate::domain::token::Secret;
use crate::owner::work::Ids;

/// Random bytes of an API key's secret: 256 bits.
const SECRET_BYTES: usize = 32;
/// Random bytes drawn for a pairing code at a time: ten letters are needed, one byte in 64 is not
/// usable, so that 32 bytes practically always suffice.
const CODE_BYTES: usize = 32;

/// Random bytes that a thread draws for ids at a time: those of 64 ids. A call of the operating
/// system for each id, and a lock that all threads share, were a hundredth of a sale.
const DRAWN_BYTES: usize = 64 * RANDOM_BYTES;
/// Random bytes of one id: all but the time.
const RANDOM_BYTES: usize = 10;
/// The bits of an id that are neither time, version nor variant.
const RANDOM_BITS: u32 = 74;

thread_local! {
    static SOURCE: RefCell<Source> = const { RefCell::new(Source::new()) };
}

/// One thread's ids. What a merchant owns is made on one thread, so that it rises with time.
struct Source {
    drawn: [u8; DRAWN_BYTES],
    used: usize,
    last_ms: u64,
    last: u128,
}

impl Source {
    const fn new() -> Self {
        Self {
            drawn: [0; DRAWN_BYTES],
            used: DRAWN_BYTES,
            last_ms: 0,
            last: 0,
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that makes ids"
    )]
    fn next(&mut self) -> Uuid {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_ms = since_1970.map_or(0, |elapsed| elapsed.as_millis());
        let now_ms = u64::try_from(now_ms).unwrap_or(0);
        match self.random() {
            Some(random) => self.rise(now_ms, random),
            // As every id before there was a supply; without random numbers it panics.
            None => Uuid::now_v7(),
        }
    }

    /// The next id, above the last one whatever the clock says.
    fn rise(&mut self, now_ms: u64, random: u128) -> Uuid {
        let above = self.last + 1 + (random & u128::from(u32::MAX));
        if now_ms > self.last_ms {
            self.last_ms = now_ms;
            // With room above it for the ids of the same millisecond.
            self.last = random >> 1;
        } else if above >> RANDOM_BITS == 0 {
            self.last = above;
        } else {
            self.last_ms += 1;
            self.last = random >> 1;
        }
        let high = (self.last >> 62) & 0xFFF;
        let low = self.last & ((1 << 62) - 1);
        let time = u128::from(self.last_ms) << 80;
        Uuid::from_u128(time | (7 << 76) | (high << 64) | (0b10 << 62) | low)
    }

    /// So many fresh random bits; `None` when there are none to be had.
    fn random(&mut self) -> Option<u128> {
        if self.used + RANDOM_BYTES > DRAWN_BYTES {
            getrandom::fill(&mut self.drawn).ok()?;
            self.used = 0;
        }
        let bytes = self.drawn.get(self.used..self.used + RANDOM_BYTES)?;
        self.used += RANDOM_BYTES;
        let folded = bytes
            .iter()
            .fold(0_u128, |value, byte| (value << 8) | u128::from(*byte));
        Some(folded & ((1 << RANDOM_BITS) - 1))
    }
}

/// The operating system's random number generator does not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("random numbers are not available: {0}")]
pub struct RandomFault(String);

/// Ids and secrets from the operating system. Ids rise with time, also within a millisecond.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl SystemIds {
    /// A fresh UUIDv7.
    pub fn uuid(self) -> Uuid {
        SOURCE.with_borrow_mut(Source::next)
    }

    /// Names one request in answers and logs.
    pub fn trace_id(self) -> TraceId {
        TraceId::from_uuid(self.uuid())
    }

    /// 256 random bits as 64 hexadecimal digits: the secret part of an API key.
    ///
    /// # Errors
    /// [`RandomFault`].
    pub fn secret(self) -> Result<Secret, RandomFault> {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        self.fill(bytes.as_mut_slice())?;
        Ok(Secret::new(hex::encode(bytes.as_slice())))
    }

    /// A pairing code, normalized.
    ///
    /// # Errors
    /// [`RandomFault`].
    pub fn pairing_code(self) -> Result<Secret, RandomFault> {
        let mut bytes = Zeroizing::new([0; CODE_BYTES]);
        loop {
            self.fill(bytes.as_mut_slice())?;
            if let Some(code) = pairing::letters(bytes.as_slice()) {
                return Ok(Secret::new(code));
            }
        }
    }

    /// A code that a till shows while it waits to be paired, normalized.
    ///
    /// # Errors
    /// [`RandomFault`].
    pub fn user_code(self) -> Result<String, RandomFault> {
        let mut bytes = [0; CODE_BYTES];
        loop {
            self.fill(&mut bytes)?;
            if let Some(code) = pairing::waiting::letters(&bytes) {
                return Ok(code);
            }
        }
    }

    /// Fills `bytes` with random bits.
    ///
    /// # Errors
    /// [`RandomFault`].
    pub fn fill(self, bytes: &mut [u8]) -> Result<(), RandomFault> {
        getrandom::fill(bytes).map_err(|error| RandomFault(error.to_string()))
    }
}

impl Ids for SystemIds {
    fn next(&mut self) -> Uuid {
        self.uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_of_version_7_and_rise_whatever_the_clock_says() {
        let mut source = Source::new();
        let full = (1 << RANDOM_BITS) - 1;
        let mut made = Vec::new();
        for (now_ms, random) in [
            (5, 0),
            (5, 0),
            (5, full),
            (4, 1),
            (5, 2),
            (6, full),
            (6, full),
        ] {
            made.push(source.rise(now_ms, random));
        }
        source.last = full;
        made.push(source.rise(6, 0));
        made.push(source.rise(7, 9));
        assert!(made.is_sorted_by(|left, right| left < right), "{made:?}");
        for id in made.into_iter().chain([SystemIds.uuid()]) {
            assert_eq!(id.get_version_num(), 7);
            assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
        }
        let at = SystemIds.uuid().get_timestamp().unwrap().to_unix().0;
        assert!(at > 1_700_000_000);
    }

    #[test]
    fn ids_rise_and_secrets_differ() {
        let ids = SystemIds;
        let made: Vec<Uuid> = (0..1_000).map(|_| ids.uuid()).collect();
        assert!(made.is_sorted_by(|left, right| left < right));
        let (one, other) = (ids.secret().unwrap(), ids.secret().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.expose().len(), 64);
        let code = ids.pairing_code().unwrap();
        assert_eq!(
            pairing::normalize(code.expose()).as_deref(),
            Some(code.expose())
        );
    }
}
