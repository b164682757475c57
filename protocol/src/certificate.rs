//! What a person wants to know of an X.509 certificate (RFC 5280): whose it is, for which names, and
//! until when.
//!
//! Trust is never decided here: the TLS library verifies, this describes what it saw. Texts come
//! from whoever answered, so that control characters are taken out of them.

use core::net::IpAddr;
use std::fmt;
use std::str::FromStr;

/// Names that are kept; a certificate with more of them is cut.
const NAMES_MAX: usize = 100;
/// Length of a kept text in characters: the longest DNS name.
const TEXT_MAX: usize = 253;

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// Version, in front of the fields of a certificate.
const VERSION: u8 = 0xA0;
/// Extensions, after them.
const EXTENSIONS: u8 = 0xA3;
/// Context tags of a general name: a DNS name, an address.
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
/// 2.5.4.3 and 2.5.4.10.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0A];
/// 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1D, 0x11];

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
        read(der).ok_or(NotACertificate)
    }
}

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

/// What is left of the elements of a constructed value.
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    /// The next element, with its tag.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        // Tags of more than one byte do not occur in what is read here.
        if tag & 0x1F == 0x1F {
            return None;
        }
        let (&first, mut rest) = rest.split_first()?;
        let length = match first {
            0..=0x7F => usize::from(first),
            0x81..=0x84 => {
                let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7F))?;
                rest = after;
                let length = bytes
                    .iter()
                    .fold(0u32, |length, byte| length << 8 | u32::from(*byte));
                usize::try_from(length).ok()?
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, value))
    }

    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next()
            .filter(|(found, _)| *found == tag)
            .map(|(_, value)| value)
    }
}

fn read(der: &[u8]) -> Option<CertificateFacts> {
    let mut fields = Elements(Elements(Elements(der).expect(SEQUENCE)?).expect(SEQUENCE)?);
    if fields.0.first() == Some(&VERSION) {
        fields.next()?;
    }
    fields.expect(INTEGER)?;
    fields.expect(SEQUENCE)?;
    let issuer = fields.expect(SEQUENCE)?;
    let mut validity = Elements(fields.expect(SEQUENCE)?);
    let subject = fields.expect(SEQUENCE)?;
    let mut facts = CertificateFacts {
        subject: name(subject)?,
        issuer: name(issuer)?,
        is_self_issued: subject == issuer,
        names: Vec::new(),
        not_before_s: instant(validity.next()?)?,
        not_after_s: instant(validity.next()?)?,
    };
    while let Some((tag, value)) = fields.next() {
        if tag == EXTENSIONS {
            facts.names = alternative_names(Elements(value).expect(SEQUENCE)?);
        }
    }
    Some(facts)
}

/// The common name, or the organization, of a distinguished name.
fn name(value: &[u8]) -> Option<String> {
    let (mut relative, mut organization) = (Elements(value), String::new());
    while !relative.0.is_empty() {
        let mut attribute = Elements(Elements(relative.expect(SET)?).expect(SEQUENCE)?);
        let kind = attribute.expect(OBJECT_IDENTIFIER)?;
        let (_, text) = attribute.next()?;
        match kind {
            COMMON_NAME => return Some(printable(text)),
            ORGANIZATION => organization = printable(text),
            _ => {}
        }
    }
    Some(organization)
}

fn alternative_names(extensions: &[u8]) -> Vec<String> {
    let mut extensions = Elements(extensions);
    let mut names = Vec::new();
    while let Some(extension) = extensions.expect(SEQUENCE) {
        let mut extension = Elements(extension);
        if extension.expect(OBJECT_IDENTIFIER) != Some(SUBJECT_ALT_NAME) {
            continue;
        }
        // Whether it is critical may stand before the value.
        while let Some((tag, value)) = extension.next() {
            if tag == OCTET_STRING {
                let mut general = Elements(Elements(value).expect(SEQUENCE).unwrap_or_default());
                while let Some((tag, value)) = general.next() {
                    names.extend(general_name(tag, value));
                }
            }
        }
    }
    names.truncate(NAMES_MAX);
    names
}

fn general_name(tag: u8, value: &[u8]) -> Option<String> {
    match tag {
        DNS_NAME => Some(printable(value)),
        IP_ADDRESS => {
            let four = <[u8; 4]>::try_from(value).map(IpAddr::from);
            let address = four.or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.chars()
        .filter(|letter| !letter.is_control())
        .take(TEXT_MAX)
        .collect()
}

/// RFC 5280 §4.1.2.5: `YYMMDDHHMMSSZ` up to 2049, `YYYYMMDDHHMMSSZ` after.
fn instant((tag, value): (u8, &[u8])) -> Option<i64> {
    let (year_digits, digits) = match (tag, value.split_last()?) {
        (UTC_TIME, (b'Z', digits)) if digits.len() == 12 => (2, digits),
        (GENERALIZED_TIME, (b'Z', digits)) if digits.len() == 14 => (4, digits),
        _ => return None,
    };
    let (year, rest) = digits.split_at_checked(year_digits)?;
    let year = match (number(year)?, year_digits) {
        (year, 4) => year,
        (year, _) if year < 50 => year + 2_000,
        (year, _) => year + 1_900,
    };
    let mut pairs = rest.chunks(2).map(number);
    let mut next = |range: std::ops::RangeInclusive<i64>| {
        pairs
            .next()
            .flatten()
            .filter(|number| range.contains(number))
    };
    let (month, day) = (next(1..=12)?, next(1..=31)?);
    let (hour, minute, second) = (next(0..=23)?, next(0..=59)?, next(0..=60)?);
    Some(days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + i64::from(digit - b'0'))
    })
}

/// Of the Gregorian calendar, counted in years that begin with March, so that a leap day is the
/// last of its year. Years from 0 on.
const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month_from_march = (month + 9) % 12;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (month_from_march * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let body = parts.concat();
        let mut out = vec![tag, 0x82];
        out.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        out.extend(body);
        out
    }

    fn named(kind: &[u8], text: &str) -> Vec<u8> {
        let attribute = der(
            SEQUENCE,
            &[
                &der(OBJECT_IDENTIFIER, &[kind]),
                &der(0x0C, &[text.as_bytes()]),
            ],
        );
        der(SEQUENCE, &[&der(SET, &[&attribute])])
    }

    fn certificate(not_before: (u8, &str), not_after: (u8, &str)) -> Vec<u8> {
        let times = [not_before, not_after].map(|(tag, text)| der(tag, &[text.as_bytes()]));
        let general = der(
            SEQUENCE,
            &[
                &der(DNS_NAME, &[b"tillway.shop.example"]),
                &der(0x86, &[b"https://other.example"]),
                &der(IP_ADDRESS, &[&[10, 0, 0, 5]]),
                &der(IP_ADDRESS, &[&[0; 15], &[1]]),
                &der(IP_ADDRESS, &[&[1, 2, 3]]),
            ],
        );
        let names = der(
            SEQUENCE,
            &[
                &der(OBJECT_IDENTIFIER, &[SUBJECT_ALT_NAME]),
                &der(0x01, &[&[0xFF]]),
                &der(OCTET_STRING, &[&general]),
            ],
        );
        let tbs = der(
            SEQUENCE,
            &[
                &der(VERSION, &[&der(INTEGER, &[&[2]])]),
                &der(INTEGER, &[&[7]]),
                &der(SEQUENCE, &[]),
                &named(ORGANIZATION, "A root"),
                &der(SEQUENCE, &[&times[0], &times[1]]),
                &named(COMMON_NAME, "tillway\u{1b}[2J"),
                &der(SEQUENCE, &[]),
                &der(EXTENSIONS, &[&der(SEQUENCE, &[&names])]),
            ],
        );
        der(SEQUENCE, &[&tbs, &der(SEQUENCE, &[])])
    }

    #[test]
    fn a_certificate_says_whose_it_is_and_until_when() {
        let whole = certificate(
            (UTC_TIME, "700101000000Z"),
            (GENERALIZED_TIME, "20500228235959Z"),
        );
        let facts = CertificateFacts::read(&whole).unwrap();
        assert_eq!(facts.subject, "tillway[2J");
        assert_eq!(facts.issuer, "A root");
        assert!(!facts.is_self_issued);
        assert_eq!(facts.names, ["tillway.shop.example", "10.0.0.5", "::1"]);
        assert_eq!((facts.not_before_s, facts.not_after_s), (0, 2_529_705_599));
        for end in 0..whole.len() {
            assert_eq!(CertificateFacts::read(&whole[..end]), Err(NotACertificate));
        }
    }

    #[test]
    fn instants_are_those_of_the_calendar() {
        // `date -u -d … +%s`
        for (tag, text, expected) in [
            (UTC_TIME, "261121070314Z", Some(1_795_244_594)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (UTC_TIME, "500101000000Z", Some(-631_152_000)),
            (GENERALIZED_TIME, "20000229120000Z", Some(951_825_600)),
            (GENERALIZED_TIME, "20360301000000Z", Some(2_087_942_400)),
            (UTC_TIME, "261321070314Z", None),
            (UTC_TIME, "2611210703Z", None),
            (UTC_TIME, "261121070314+", None),
            (UTC_TIME, "26112107031xZ", None),
        ] {
            assert_eq!(instant((tag, text.as_bytes())), expected, "{text}");
        }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (951_825_600, "2000-02-29"),
            (1_795_244_594, "2026-11-21"),
            (2_087_942_399, "2036-02-29"),
            (2_524_607_999, "2049-12-31"),
        ] {
            assert_eq!(day_of(seconds), expected);
        }
    }

    #[test]
    fn fingerprints_are_read_in_any_grouping_and_need_eighty_bits() {
        let digest: [u8; 32] = std::array::from_fn(|index| u8::try_from(index * 7).unwrap());
        let whole = Fingerprint::of_digest(digest);
        let text = whole.to_string();
        assert!(text.starts_with("0007:0E15:1C23:"), "{text}");
        assert_eq!(text.parse(), Ok(whole));
        let plain = text.replace(':', "").to_lowercase();
        assert_eq!(plain.parse(), Ok(whole));
        let short = whole.short().to_string();
        assert_eq!(short, "0007:0E15:1C23:2A31:383F");
        let short: Fingerprint = short.replace(':', " ").parse().unwrap();
        assert!(short.is_of(&digest) && whole.is_of(&digest));
        let mut other = digest;
        other[9] ^= 1;
        assert!(!short.is_of(&other));
        other = digest;
        other[31] ^= 1;
        assert!(short.is_of(&other) && !whole.is_of(&other));
        for bad in [
            "",
            &plain[..19],
            &format!("{plain}0"),
            "x007:0E15:1C23:2A31:383F",
        ] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(NotAFingerprint), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            CertificateFacts::read(&bytes).ok();
        }

        #[test]
        fn a_changed_certificate_does_no_harm(at in 0usize..400, value: u8) {
            let mut bytes = certificate((UTC_TIME, "700101000000Z"), (UTC_TIME, "491231235959Z"));
            let at = at % bytes.len();
            bytes[at] = value;
            CertificateFacts::read(&bytes).ok();
        }
    }
}
