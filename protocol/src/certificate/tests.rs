//! Certificates made here, the calendar, fingerprints.

use proptest::prelude::*;

use super::der::{
    COMMON_NAME, DNS_NAME, EXTENSIONS, GENERALIZED_TIME, INTEGER, IP_ADDRESS, OBJECT_IDENTIFIER,
    OCTET_STRING, ORGANIZATION, SEQUENCE, SET, SUBJECT_ALT_NAME, UTC_TIME, VERSION, instant,
};
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
