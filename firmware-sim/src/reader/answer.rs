//! The data of the reader's transaction responses.
//!
//! Owns which tags a response carries, masking and encryption. It never decides an outcome.
//! Values of the card's kernel are scripted: cryptograms are a checksum of the transaction, no
//! card key is involved.

use protocol::dukpt::{DataKey, Ksn, Scheme};
use protocol::reader::outcome::{
    ContactlessError, TAG_CRYPTOGRAM_INFORMATION, TAG_ENTRY_MODE, TAG_ERROR, TAG_KSN,
    TAG_RESPONSE_CODE, TAG_RESULT, TAG_SWIPE, TransactionResult,
};
use protocol::reader::swipe;
use protocol::reader::tlv::TlvWriter;

use super::transaction::Transaction;
use crate::cards::{Card, mask};

/// Attribution bytes of a NEO2 reader with all encryption on; triple DES unless marked.
const CONTACT: u8 = 0xE0;
const CONTACTLESS: u8 = 0xE1;
const CONTACTLESS_STRIPE: u8 = 0xF1;
const SWIPE: u8 = 0xE8;
/// Marks an attribution byte: encrypted under AES.
const UNDER_AES: u8 = 0x02;
/// Marks the clear status of a stripe block: encrypted under AES.
const STRIPE_UNDER_AES: u8 = 0x10;

const TAG_TRACK2: u32 = 0x57;
const TAG_ACCOUNT: u32 = 0x5A;
const TAG_ENCRYPTION: u32 = 0x00DF_EE26;
const TAG_GROUP: u32 = 0x00FF_EE01;
const TAG_TRACK_SOURCE: u32 = 0x00DF_EE30;

/// Discretionary data of every card, on the chip and on tracks 1 and 2.
const DISCRETIONARY_CHIP: &str = "123456789";
const DISCRETIONARY_TRACK1: &str = "123400001230000000";
const DISCRETIONARY_TRACK2: &str = "1234000012300";
/// Name on the stripe, padded to 26 characters.
const HOLDER: &str = "TEST/CARD 01";

/// What the chip made of the transaction (tag 9F27).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Cryptogram {
    /// AAC.
    Declined = 0x00,
    /// TC.
    Approved = 0x40,
    /// ARQC.
    AskIssuer = 0x80,
}

/// What the terminal part of the reader knows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terminal<'a> {
    pub serial: &'a str,
    pub country: [u8; 2],
    pub date: [u8; 3],
    /// Masked tracks leave the service code in clear.
    pub shows_service_code: bool,
}

/// Everything that a response about one card is made of.
pub(super) struct Read<'a> {
    pub terminal: Terminal<'a>,
    pub transaction: &'a Transaction,
    pub card: &'static Card,
    /// The card's own transaction counter (tag 9F36).
    pub card_counter: u16,
    pub ksn: Ksn,
    pub key: DataKey,
}

impl Read<'_> {
    /// A contactless card's data, status 23 or 00.
    pub(super) fn contactless(&self, cryptogram: Cryptogram) -> Vec<u8> {
        let writer = TlvWriter::after(&[self.attribution(CONTACTLESS)])
            .clear(TAG_KSN, self.ksn.bytes())
            .clear(0x50, self.card.brand.label().as_bytes());
        let writer = self
            .account(writer)
            .clear(0x5F34, &[0x01])
            .clear(0x82, &[0x20, 0x00])
            .clear(0x84, self.card.brand.application_id())
            .clear(0x95, &[0; 5]);
        let writer = self
            .amounts(writer.clear(0x9A, &self.terminal.date))
            .clear(0x9F10, &[0x06, 0x01, 0x12, 0x03, 0xA0, 0x00, 0x00])
            .clear(0x9F1A, &self.terminal.country);
        self.cryptogram(writer, cryptogram)
            .clear(0x9F33, &[0xE0, 0xF8, 0xC8])
            .clear(0x9F36, &self.card_counter.to_be_bytes())
            .clear(0x9F37, &self.unpredictable())
            .clear(0x9F66, &[0x36, 0x00, 0x40, 0x00])
            .clear(0x9F6E, &[0x20, 0x70, 0x00, 0x00])
            .clear(TAG_ENTRY_MODE, &[0x07])
            .clear(TAG_GROUP, &source(0x00))
            .clear(TAG_ENCRYPTION, &[self.attribution(CONTACTLESS), 0])
            .finish()
    }

    /// A contactless card in magstripe mode: its track, as tag 57 or as the block of a stripe.
    pub(super) fn contactless_stripe(&self, is_block: bool) -> Vec<u8> {
        let writer = TlvWriter::after(&[self.attribution(CONTACTLESS_STRIPE)])
            .clear(TAG_KSN, self.ksn.bytes())
            .clear(0x50, self.card.brand.label().as_bytes());
        let writer = if is_block {
            writer.clear(TAG_SWIPE, &self.stripe_block())
        } else {
            self.account(writer)
        };
        let writer = writer
            .clear(0x84, self.card.brand.application_id())
            .clear(0x9A, &self.terminal.date);
        self.amounts(writer)
            .clear(0x9F1A, &self.terminal.country)
            .clear(TAG_ENTRY_MODE, &[0x91])
            .clear(TAG_GROUP, &source(0x00))
            .clear(TAG_ENCRYPTION, &[self.attribution(CONTACTLESS_STRIPE), 0])
            .finish()
    }

    /// A chip card is powered: result 0010.
    pub(super) fn contact_started(&self) -> Vec<u8> {
        let writer = self
            .result_writer(TransactionResult::StartSucceeded)
            .clear(TAG_KSN, self.ksn.bytes());
        let expiry = hex::decode(format!("{}31", self.card.expiry)).unwrap_or_default();
        self.account(writer)
            .clear(0x5F34, &[0x01])
            .clear(0x5F24, &expiry)
            .clear(0x50, self.card.brand.label().as_bytes())
            .clear(0x84, self.card.brand.application_id())
            .clear(TAG_ENTRY_MODE, &[0x05])
            .clear(TAG_GROUP, &source(0x01))
            .clear(TAG_ENCRYPTION, &[self.attribution(CONTACT), 0])
            .finish()
    }

    /// The chip has taken its first decision.
    pub(super) fn authenticated(
        &self,
        result: TransactionResult,
        cryptogram: Cryptogram,
    ) -> Vec<u8> {
        let writer = self.result_writer(result).clear(TAG_KSN, self.ksn.bytes());
        let writer = self
            .account(writer)
            .clear(0x82, &[0x1C, 0x00])
            // No PIN: signature, then no verification.
            .clear(
                0x8E,
                &[0, 0, 0, 0, 0, 0, 0, 0, 0x42, 0x03, 0x1E, 0x03, 0x1F, 0],
            )
            .clear(0x95, &[0x00, 0x80, 0x00, 0x80, 0x00])
            .clear(0x9A, &self.terminal.date)
            .clear(0x9B, &[0xE8, 0x00]);
        let serial: Vec<u8> = padded(self.terminal.serial, 8);
        let writer = self
            .amounts(writer)
            .clear(0x9F06, self.card.brand.application_id())
            .clear(0x9F10, &[0x06, 0x01, 0x0A, 0x03, 0xA0, 0x00, 0x00])
            .clear(0x9F1A, &self.terminal.country)
            .clear(0x9F1E, &serial);
        self.cryptogram(writer, cryptogram)
            .clear(0x9F33, &[0xE0, 0xF8, 0xC8])
            .clear(0x9F34, &[0x5E, 0x03, 0x00])
            .clear(0x9F35, &[0x22])
            .clear(0x9F36, &self.card_counter.to_be_bytes())
            .clear(0x9F37, &self.unpredictable())
            .clear(TAG_ENCRYPTION, &[self.attribution(CONTACT), 0])
            .finish()
    }

    /// The stripe's data.
    pub(super) fn swiped(&self, is_fallback: bool) -> Vec<u8> {
        let (result, entry_mode) = if is_fallback {
            (TransactionResult::FallBackToMagstripe, 0x80)
        } else {
            (TransactionResult::Swiped, 0x90)
        };
        TlvWriter::after(&[self.attribution(SWIPE)])
            .clear(TAG_RESULT, &result.code().to_be_bytes())
            .clear(TAG_SWIPE, &self.stripe_block())
            .clear(TAG_ENTRY_MODE, &[entry_mode])
            .clear(TAG_GROUP, &source(0x0C))
            .clear(TAG_ENCRYPTION, &[self.attribution(SWIPE), 0])
            .clear(0x9F02, &self.transaction.amount)
            .clear(0x9F03, &self.transaction.other)
            .finish()
    }

    /// Tags 57 and 5A, each masked and encrypted.
    fn account(&self, writer: TlvWriter) -> TlvWriter {
        let Card {
            expiry,
            service_code,
            ..
        } = self.card;
        let account = self.card.account();
        let hidden = mask(account, 'C');
        let discretionary = DISCRETIONARY_CHIP;
        let track2 = packed(
            &format!("{account}D{expiry}{service_code}{discretionary}"),
            'F',
        );
        // The padding digit of the last byte is hidden with the discretionary data.
        let masked_discretionary = "C".repeat(discretionary.len());
        let masked_track2 = packed(
            &format!("{hidden}D{expiry}{service_code}{masked_discretionary}"),
            'C',
        );
        let writer = writer
            .masked(TAG_TRACK2, &masked_track2)
            .encrypted(TAG_TRACK2, &self.sealed(TAG_TRACK2, &track2));
        let number = packed(account, 'F');
        writer
            .masked(TAG_ACCOUNT, &packed(&hidden, 'F'))
            .encrypted(TAG_ACCOUNT, &self.sealed(TAG_ACCOUNT, &number))
    }

    /// What is encrypted is the whole TLV.
    fn sealed(&self, tag: u32, value: &[u8]) -> Vec<u8> {
        let plain = TlvWriter::default().clear(tag, value).finish();
        self.key.encrypt(&plain)
    }

    fn attribution(&self, entry: u8) -> u8 {
        attribution(entry, self.ksn.scheme())
    }

    fn result_writer(&self, result: TransactionResult) -> TlvWriter {
        result_writer(result, self.ksn.scheme())
    }

    fn amounts(&self, writer: TlvWriter) -> TlvWriter {
        writer
            .clear(0x9C, &[self.transaction.kind])
            .clear(0x5F2A, &self.transaction.currency)
            .clear(0x9F02, &self.transaction.amount)
            .clear(0x9F03, &self.transaction.other)
    }

    fn cryptogram(&self, writer: TlvWriter, cryptogram: Cryptogram) -> TlvWriter {
        writer
            .clear(0x9F26, &self.checksum(cryptogram))
            .clear(TAG_CRYPTOGRAM_INFORMATION, &[cryptogram as u8])
    }

    fn checksum(&self, cryptogram: Cryptogram) -> [u8; 8] {
        checksum(
            self.card,
            self.transaction,
            self.card_counter,
            cryptogram as u8,
        )
    }

    fn unpredictable(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.checksum(Cryptogram::AskIssuer);
        [d, c, b, a]
    }

    fn stripe_block(&self) -> Vec<u8> {
        let tracks = stripe_tracks(self.card, self.terminal.shows_service_code);
        let lengths = tracks.each_ref().map(|track| clamp(track.clear.len()));
        let [one, two] = lengths;
        // Encoding ISO, both tracks decoded and sampled; both masked, serial; both encrypted,
        // both hashed, key serial number.
        let cipher = match self.ksn.scheme() {
            Scheme::TripleDes => 0,
            Scheme::Aes => STRIPE_UNDER_AES,
        };
        let mut data = vec![0x80, 0x1F, one, two, 0, 0x83 | cipher, 0x9B];
        for track in &tracks {
            data.extend_from_slice(track.masked.as_bytes());
        }
        for track in &tracks {
            data.extend(self.key.encrypt(track.clear.as_bytes()));
        }
        // Hashes of real tracks would let an account number be searched for.
        data.extend([0; 40]);
        data.extend(padded(self.terminal.serial, 10));
        data.extend_from_slice(self.ksn.bytes());
        swipe::seal(&data).unwrap_or_default()
    }
}

/// The chip's last word.
pub(super) fn completed(
    scheme: Scheme,
    result: TransactionResult,
    response_code: [u8; 2],
    card: &Card,
    transaction: &Transaction,
    card_counter: u16,
) -> Vec<u8> {
    let cryptogram = match result {
        TransactionResult::Approved => Cryptogram::Approved,
        _ => Cryptogram::Declined,
    };
    let information = cryptogram as u8;
    result_writer(result, scheme)
        .clear(0x95, &[0x00, 0x80, 0x00, 0x80, 0x00])
        .clear(0x9B, &[0xF8, 0x00])
        .clear(
            0x9F26,
            &checksum(card, transaction, card_counter, information),
        )
        .clear(TAG_CRYPTOGRAM_INFORMATION, &[information])
        .clear(0x9F36, &card_counter.to_be_bytes())
        .clear(TAG_RESPONSE_CODE, &response_code)
        .clear(TAG_ENCRYPTION, &[attribution(CONTACT, scheme), 0])
        .finish()
}

/// The chip was told that the issuer could not be reached.
pub(super) fn unreachable(scheme: Scheme) -> Vec<u8> {
    result_writer(TransactionResult::Declined, scheme)
        .clear(TAG_RESPONSE_CODE, b"Z3")
        .clear(TAG_CRYPTOGRAM_INFORMATION, &[Cryptogram::Declined as u8])
        .clear(TAG_ENCRYPTION, &[attribution(CONTACT, scheme), 0])
        .finish()
}

/// A contact result without card data.
pub(super) fn contact_result(result: TransactionResult, scheme: Scheme) -> Vec<u8> {
    result_writer(result, scheme)
        .clear(TAG_ENCRYPTION, &[attribution(CONTACT, scheme), 0])
        .finish()
}

/// The contactless error block.
pub(super) fn contactless_error(error: ContactlessError, scheme: Scheme) -> Vec<u8> {
    const STEP_SELECT: u8 = 0x02;
    const STEP_READ_RECORD: u8 = 0x04;
    let step = match error {
        ContactlessError::UseOtherInterface | ContactlessError::UseContact => STEP_SELECT,
        _ => STEP_READ_RECORD,
    };
    TlvWriter::after(&[attribution(CONTACTLESS, scheme)])
        .clear(TAG_ERROR, &[error.code(), 0, 0, step])
        .finish()
}

fn result_writer(result: TransactionResult, scheme: Scheme) -> TlvWriter {
    TlvWriter::after(&[attribution(CONTACT, scheme)])
        .clear(TAG_RESULT, &result.code().to_be_bytes())
}

const fn attribution(entry: u8, scheme: Scheme) -> u8 {
    match scheme {
        Scheme::TripleDes => entry,
        Scheme::Aes => entry | UNDER_AES,
    }
}

fn source(code: u8) -> Vec<u8> {
    TlvWriter::default()
        .clear(TAG_TRACK_SOURCE, &[code])
        .finish()
}

struct StripeTrack {
    clear: String,
    masked: String,
}

fn stripe_tracks(card: &Card, shows_service_code: bool) -> [StripeTrack; 2] {
    let Card {
        expiry,
        service_code,
        ..
    } = card;
    let account = card.account();
    let hidden = card.masked_account();
    let one = format!("%B{account}^{HOLDER:<26}^{expiry}{service_code}{DISCRETIONARY_TRACK1}?");
    let two = format!(";{account}={expiry}{service_code}{DISCRETIONARY_TRACK2}?");
    let shown = if shows_service_code {
        service_code
    } else {
        "***"
    };
    let stars_one = format!("{shown}{}", "*".repeat(DISCRETIONARY_TRACK1.len()));
    let stars_two = format!("{shown}{}", "*".repeat(DISCRETIONARY_TRACK2.len()));
    [
        StripeTrack {
            clear: with_check_character(one, 0x3F, b' '),
            masked: format!("%B{hidden}^{HOLDER:<26}^{expiry}{stars_one}?*"),
        },
        StripeTrack {
            clear: with_check_character(two, 0x0F, b'0'),
            masked: format!(";{hidden}={expiry}{stars_two}?*"),
        },
    ]
}

/// Adds the longitudinal check over the character codes of a track.
fn with_check_character(mut track: String, bits: u8, zero: u8) -> String {
    let check = track
        .bytes()
        .fold(0, |check, byte| check ^ (byte.wrapping_sub(zero) & bits));
    track.push(char::from(zero.wrapping_add(check)));
    track
}

/// Digits two to a byte; an odd count is filled up on the right.
fn packed(digits: &str, fill: char) -> Vec<u8> {
    let mut even = digits.to_owned();
    if !even.len().is_multiple_of(2) {
        even.push(fill);
    }
    hex::decode(even).unwrap_or_default()
}

/// Text cut or filled with zeros on the right to a fixed length.
pub(super) fn padded(text: &str, length: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = text.bytes().take(length).collect();
    bytes.resize(length, 0);
    bytes
}

fn clamp(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

/// FNV-1a over the transaction: differs from one to the next, and is the same on every run.
fn checksum(card: &Card, transaction: &Transaction, counter: u16, information: u8) -> [u8; 8] {
    const OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01B3;
    let counter = counter.to_be_bytes();
    let parts: [&[u8]; 4] = [
        card.name.as_bytes(),
        &transaction.amount,
        &counter,
        &[information],
    ];
    parts
        .into_iter()
        .flatten()
        .fold(OFFSET, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(PRIME)
        })
        .to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cards;

    #[test]
    fn the_tracks_of_the_vectors_come_out() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../protocol/vectors/idtech_neo2.json"))
                .unwrap();
        let [one, two] = stripe_tracks(cards::find("visa").unwrap(), false);
        assert_eq!(one.clear, vectors["flow_keys"]["msr_t1"].as_str().unwrap());
        assert_eq!(two.clear, vectors["flow_keys"]["msr_t2"].as_str().unwrap());
        for track in [one, two] {
            assert_eq!(track.clear.len(), track.masked.len());
        }
    }

    #[test]
    fn digits_are_packed_with_a_filler() {
        assert_eq!(packed("374245001751006", 'F').last(), Some(&0x6F));
        assert_eq!(packed("1234", 'F'), [0x12, 0x34]);
    }
}
