//! Fresh ids and secrets: the only place that makes random values.

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

/// The operating system's random number generator does not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("random numbers are not available: {0}")]
pub struct RandomFault(String);

/// Ids and secrets from the operating system. Ids rise with time, also within a millisecond.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl SystemIds {
    /// A fresh UUIDv7.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that makes ids"
    )]
    pub fn uuid(self) -> Uuid {
        Uuid::now_v7()
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
