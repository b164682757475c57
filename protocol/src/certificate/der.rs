//! Reads a certificate's DER: the few fields that a person is shown.
//!
//! Owns the encoding. It accepts arbitrary bytes, and gives nothing for what it does not know.

use core::net::IpAddr;

use super::{CertificateFacts, days_since_1970};

/// Names that are kept; a certificate with more of them is cut.
const NAMES_MAX: usize = 100;
/// Length of a kept text in characters: the longest DNS name.
const TEXT_MAX: usize = 253;

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
/// Version, in front of the fields of a certificate.
pub(super) const VERSION: u8 = 0xA0;
/// Extensions, after them.
pub(super) const EXTENSIONS: u8 = 0xA3;
/// Context tags of a general name: a DNS name, an address.
pub(super) const DNS_NAME: u8 = 0x82;
pub(super) const IP_ADDRESS: u8 = 0x87;
/// 2.5.4.3 and 2.5.4.10.
pub(super) const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
pub(super) const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0A];
/// 2.5.29.17.
pub(super) const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1D, 0x11];

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

pub(super) fn read(der: &[u8]) -> Option<CertificateFacts> {
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
pub(super) fn instant((tag, value): (u8, &[u8])) -> Option<i64> {
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
