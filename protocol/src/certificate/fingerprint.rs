//! Fingerprints of certificates, as people read them to each other.
//!
//! Owns their form. A short one is enough to tell authorities apart, and no more is believed of it.

use std::fmt;
use std::str::FromStr;

/// The SHA-256 of a certificate, or the beginning of one: enough of it tells one authority from all
/// others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    digest: [u8; 32],
    digits: usize,
}

impl Fingerprint {
    /// Shortest beginning that is taken for the whole: 80 bits. Whoever wants another certificate
    /// with the same ones makes 2^80 of them.
    pub const DIGITS_MIN: usize = 20;
    const DIGITS: usize = 64;

    /// Of a certificate with this SHA-256.
    pub const fn of_digest(digest: [u8; 32]) -> Self {
        Self {
            digest,
            digits: Self::DIGITS,
        }
    }

    /// Its beginning, short enough to be typed.
    #[must_use]
    pub const fn short(self) -> Self {
        Self {
            digits: Self::DIGITS_MIN,
            ..self
        }
    }

    /// Whether a certificate with this SHA-256 is meant.
    pub fn is_of(&self, digest: &[u8; 32]) -> bool {
        let digit = |bytes: &[u8; 32], index: usize| {
            let byte = bytes.get(index / 2).copied().unwrap_or_default();
            if index.is_multiple_of(2) {
                byte >> 4
            } else {
                byte & 0x0F
            }
        };
        (0..self.digits).all(|index| digit(&self.digest, index) == digit(digest, index))
    }
}

/// Groups of four digits: `AB12:CD34:…`.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self
            .digest
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        for (index, digit) in text.chars().take(self.digits).enumerate() {
            if index > 0 && index % 4 == 0 {
                f.write_str(":")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint has 64 hexadecimal digits, of which at least the first 20 are needed")]
pub struct NotAFingerprint;

/// Digits in any grouping by colons, dashes and spaces, in either case.
impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut digest = [0; 32];
        let mut digits = 0;
        for letter in text.chars().filter(|letter| !":- ".contains(*letter)) {
            let value = letter
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok());
            let value = value.ok_or(NotAFingerprint)?;
            let byte = digest.get_mut(digits / 2).ok_or(NotAFingerprint)?;
            *byte |= if digits % 2 == 0 { value << 4 } else { value };
            digits += 1;
        }
        if digits < Self::DIGITS_MIN {
            return Err(NotAFingerprint);
        }
        Ok(Self { digest, digits })
    }
}
