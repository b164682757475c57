//! Card data at the acquirer boundary: decryption of arbitrary bytes, and what is kept of a read.

use engine::acquirer::SealedCard;
use engine::acquirer::base_keys::{BaseKeys, TEST_AES_BASE_KEY_ID};
use engine::acquirer::card_data::ClearCard;
use engine::domain::card::CardSummary;
use protocol::dukpt::{DataKey, Scheme, aes, tdes};
use protocol::money::Money;
use protocol::reader::swipe::seal;
use protocol::reader::tlv::TlvWriter;

use super::input::Choices;
use super::property::{keeps_secrets, keeps_secrets_text};
pub(super) use super::reader::WORDS;

/// The key of the vectors (ANSI X9.24-1 test key).
const KEY: [u8; 16] = [
    0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF, 0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10,
];
const KSN: [u8; 10] = [0x62, 0x99, 0x49, 0x01, 0x30, 0x00, 0x00, 0x00, 0x00, 0x11];
const AES_KSN: [u8; 12] = [
    0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0x00, 0x00, 0x00, 0x11,
];

fn base_keys() -> BaseKeys {
    let aes = aes::BaseDerivationKey::try_from(KEY.as_slice()).expect("16 bytes");
    BaseKeys::new(tdes::BaseDerivationKey::new(KEY)).with_aes(TEST_AES_BASE_KEY_ID, aes)
}

/// A reader's key serial number and the key that goes with it.
fn reader(scheme: Scheme) -> (&'static [u8], DataKey) {
    match scheme {
        Scheme::TripleDes => {
            let ksn = tdes::Ksn::new(KSN);
            let key = tdes::BaseDerivationKey::new(KEY).initial_key(ksn);
            (&KSN, DataKey::TripleDes(key.data_key(ksn)))
        }
        Scheme::Aes => {
            let ksn = aes::Ksn::new(AES_KSN);
            let key = aes::BaseDerivationKey::try_from(KEY.as_slice()).expect("16 bytes");
            (&AES_KSN, DataKey::Aes(key.initial_key(ksn).data_key(ksn)))
        }
    }
}

/// The input as the reader's answer; then as plain text that readers with the right keys sealed, as
/// a chip's values and as a stripe.
pub(super) fn card_data(data: &[u8]) {
    let _ = is_opened(data);
}

fn is_opened(data: &[u8]) -> bool {
    let keys = base_keys();
    let mut is_opened = open(&keys, data, &[]);
    for scheme in [Scheme::TripleDes, Scheme::Aes] {
        let mut choices = Choices::new(data);
        let track = choices.short();
        let number = choices.short();
        let rest = choices.rest();
        is_opened |= open(&keys, &chip(scheme, track, number, rest), track);
        if let Some(read) = stripe(scheme, track, number) {
            is_opened |= open(&keys, &read, track);
        }
    }
    is_opened
}

fn chip(scheme: Scheme, track: &[u8], number: &[u8], rest: &[u8]) -> Vec<u8> {
    let (ksn, key) = reader(scheme);
    let sealed = key.encrypt(track);
    assert!(
        key.decrypt(&sealed)
            .is_ok_and(|plain| plain.starts_with(track)),
        "decryption is not the reverse of encryption"
    );
    let attribution = match scheme {
        Scheme::TripleDes => 0xC0,
        Scheme::Aes => 0xC2,
    };
    let read = TlvWriter::after(&[attribution])
        .clear(0x00DF_EE12, ksn)
        .encrypted(0x57, &sealed);
    let read = match number {
        [] => read,
        number => read.encrypted(0x5A, &key.encrypt(number)),
    };
    let mut read = read.finish();
    read.extend_from_slice(rest);
    read
}

/// Track 2 in a block whose masked track is `masked`, if that is as long.
fn stripe(scheme: Scheme, track: &[u8], masked: &[u8]) -> Option<Vec<u8>> {
    let (ksn, key) = reader(scheme);
    let (attribution, cipher) = match scheme {
        Scheme::TripleDes => (0xE8, 0x00),
        Scheme::Aes => (0xEA, 0x10),
    };
    let length = u8::try_from(track.len()).ok()?;
    let has_mask = u8::from(masked.len() == track.len()) << 1;
    let mut block = vec![0x80, 0x02, 0, length, 0, cipher | has_mask, 0x82];
    if has_mask != 0 {
        block.extend_from_slice(masked);
    }
    block.extend(key.encrypt(track));
    block.extend_from_slice(ksn);
    let read = TlvWriter::after(&[attribution]).clear(0x00DF_EE23, &seal(&block)?);
    Some(read.finish())
}

fn open(keys: &BaseKeys, read: &[u8], plain: &[u8]) -> bool {
    match ClearCard::open(&SealedCard::new(read.to_vec()), keys) {
        Ok(card) => {
            let digits = card.account_number();
            assert!((12..=19).contains(&digits.len()));
            assert!(digits.bytes().all(|byte| byte.is_ascii_digit()));
            assert!(card.last_four().is_some());
            assert!(card.expiry().is_none_or(|expiry| expiry.len() == 4));
            assert!(!card.has_chip() || card.service_code().is_some());
            assert!(
                !format!("{card:?}").contains(digits),
                "Debug shows the card"
            );
            true
        }
        Err(error) => {
            keeps_secrets(&error, read);
            keeps_secrets(&error, plain);
            false
        }
    }
}

/// What may be kept of a read; then what a completion may add.
pub(super) fn card_summary(data: &[u8]) {
    let _ = is_summarized(data);
}

fn is_summarized(data: &[u8]) -> bool {
    let mut choices = Choices::new(data);
    let currency = choices.pick(&["EUR", "USD", "JPY", "KWD"]);
    let currency = currency.parse().expect("a currency");
    let amount = match choices.byte() {
        // As the vectors were made.
        0..=127 => 1_234,
        _ => i64::from_le_bytes(choices.array()),
    };
    let completion = choices.short();
    let read = choices.rest();
    match CardSummary::read(read, Money::new(amount, currency)) {
        Ok(mut summary) => {
            check(&summary, read);
            summary.complete(completion);
            check(&summary, data);
            true
        }
        Err(error) => {
            keeps_secrets(&error, data);
            false
        }
    }
}

fn check(summary: &CardSummary, data: &[u8]) {
    for tag in [0x57, 0x5A, 0x56, 0x9F6B, 0x9F20, 0x5F24, 0x00DF_EE23] {
        assert!(!summary.emv.contains_key(&tag), "tag {tag:X} is kept");
    }
    if let Some(masked) = &summary.masked_number {
        let shown = masked.bytes().filter(u8::is_ascii_digit).count();
        assert!(
            shown <= 10,
            "{shown} digits of the account number are shown"
        );
    }
    assert!(summary.last_four().is_none_or(|four| four.len() == 4));
    drop(summary.application_label());
    let _ = summary.application_id();
    let _ = summary.is_tip_adjustable();
    keeps_secrets_text(&format!("{summary:?}"), data);
}

pub(super) fn card_seeds() -> Vec<Vec<u8>> {
    let mut seeds = super::reader::tlv_seeds();
    let plain = [
        "57134761739001010010D20121200012339900031F000000",
        "5A084761739001010010000000000000",
    ]
    .map(|text| hex::decode(text).expect("hexadecimal"));
    let mut clear = Vec::new();
    for part in &plain {
        clear.push(u8::try_from(part.len()).expect("short"));
        clear.extend(part);
    }
    seeds.push(clear);
    // A stripe, with its masked form.
    let track = b";4761739001010010=28122011234000012300?<";
    let masked = b";4761********0010=2812****************?*";
    let length = u8::try_from(track.len()).expect("short");
    seeds.push([&[length][..], track, &[length], masked].concat());
    for scheme in [Scheme::TripleDes, Scheme::Aes] {
        let (track, number) = (plain.first().expect("two"), plain.last().expect("two"));
        seeds.push(chip(scheme, track, number, &[]));
        seeds.extend(stripe(scheme, b";4242424242424242=2812101123?5", &[]));
    }
    // As `card_summary` reads them: euros, 12.34, nothing to complete with.
    let reads: Vec<_> = seeds
        .iter()
        .map(|read| [&[0, 0, 0], read.as_slice()].concat())
        .collect();
    seeds.extend(reads);
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_open_and_are_summarized() {
        let seeds = card_seeds();
        assert!(seeds.iter().filter(|seed| is_opened(seed)).count() >= 3);
        assert!(seeds.iter().filter(|seed| is_summarized(seed)).count() >= 3);
    }
}
