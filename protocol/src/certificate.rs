//! What a person wants to know of an X.509 certificate (RFC 5280): whose it is, for which names, and
//! until when.
//!
//! Trust is never decided here: the TLS library verifies, this describes what it saw. Texts come
//! from whoever answered, so that control characters are taken out of them.

mod der;
mod fingerprint;
#[cfg(test)]
mod tests;

pub use fingerprint::{Fingerprint, NotAFingerprint};

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Common name of the subject, or its organization; may be empty.
    pub subject: String,
    /// The same of the issuer.
    pub issuer: String,
    /// Whether subject and issuer are the same: the mark of a root.
    pub is_self_issued: bool,
    /// DNS names and addresses that it is for.
    pub names: Vec<String>,
    /// First second of its life, since 1970.
    pub not_before_s: i64,
    /// Last second of its life, since 1970.
    pub not_after_s: i64,
}

/// The bytes are no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an X.509 certificate")]
pub struct NotACertificate;

impl CertificateFacts {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// [`NotACertificate`].
    pub fn read(der: &[u8]) -> Result<Self, NotACertificate> {
        der::read(der).ok_or(NotACertificate)
    }
}

/// The day of an instant in UTC: `2026-11-21`.
pub fn day_of(seconds_since_1970: i64) -> String {
    let days = seconds_since_1970.div_euclid(86_400);
    // A year is at least 365 days, so that the first guess is late by no more than the leap days.
    let mut year = 1_970 + days.div_euclid(365);
    while days_since_1970(year, 1, 1) > days {
        year -= 1;
    }
    let month = (1..=12).rfind(|month| days_since_1970(year, *month, 1) <= days);
    let month = month.unwrap_or(1);
    let day = days - days_since_1970(year, month, 1) + 1;
    format!("{year:04}-{month:02}-{day:02}")
}

/// Of the Gregorian calendar, counted in years that begin with March, so that a leap day is the
/// last of its year. Years from 0 on.
const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month_from_march = (month + 9) % 12;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (month_from_march * 153 + 2) / 5 + day - 1 - 719_468
}
