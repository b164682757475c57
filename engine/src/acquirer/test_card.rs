//! Cards, requests and keys for the tests of this module.

use protocol::dukpt::tdes::{BaseDerivationKey, Ksn};
use protocol::id::{MerchantId, TerminalId, TransactionId};
use protocol::link::PosKind;
use protocol::money::Money;
use protocol::reader::outcome::TAG_KSN;
use protocol::reader::tlv::TlvWriter;
use uuid::Uuid;

use super::base_keys::{BaseKeys, TEST_BASE_KEY, parse_base_key};
use super::{AcquirerAction, AcquirerRequest, SealedCard, Sending};
use crate::domain::card::EntryMode;
use crate::domain::time::Timestamp;
use crate::domain::transaction::Trace;

/// A contactless read as the reader's documentation lays it out: 12.34 EUR, KSN counter 14.
pub(super) const TAP: &str = "E1DFEE120A62994901300000000014500956495341205445535457A1114761CCCCCCCC0010D2812201CCCCCCCCCC57C118F73EB3EEBE9E9143BED5BD2BFF47FCC1B071EBF9C67BE1555AA1084761CCCCCCCC00105AC1101C7E951134A1F06170442D066EE94AE65F340101820220008407A0000000031010950500000000009A032611209C01005F2A0209789F02060000000012349F03060000000000009F100706011203A000009F1A0202769F260801020304050607089F2701809F3303E0F8C89F360200019F3704A1B2C3D49F6604360040009F6E04207000009F390107FFEE0105DFEE300100DFEE2602E100";

/// 2026-11-20T09:30:15Z.
pub(super) const NOW: Timestamp = Timestamp(1_795_167_015_000);

pub(super) fn base_key() -> BaseDerivationKey {
    parse_base_key(TEST_BASE_KEY).unwrap()
}

pub(super) fn base_keys() -> BaseKeys {
    BaseKeys::published_for_tests()
}

/// The documented tap.
pub(super) fn visa() -> SealedCard {
    SealedCard::new(hex::decode(TAP).unwrap())
}

/// A card with this number and expiry; attribution E0 is a chip in the slot, E1 a tap.
pub(super) fn card(attribution: u8, number: &str, expiry: &str) -> SealedCard {
    let ksn = Ksn::new([0x62, 0x99, 0x49, 0x01, 0x30, 0, 0, 0, 0, 0x21]);
    let track = format!("{number}D{expiry}2010000");
    let fill = if track.len().is_multiple_of(2) {
        ""
    } else {
        "F"
    };
    let value = hex::decode(track + fill).unwrap();
    let mut plain = vec![0x57, u8::try_from(value.len()).unwrap()];
    plain.extend(value);
    let key = base_key().initial_key(ksn).data_key(ksn);
    let writer = TlvWriter::after(&[attribution]).clear(TAG_KSN, ksn.bytes());
    SealedCard::new(writer.encrypted(0x57, &key.encrypt(&plain)).finish())
}

pub(super) fn euros(minor: i64) -> Money {
    Money::new(minor, "EUR".parse().unwrap())
}

pub(super) fn transaction(number: u32) -> TransactionId {
    TransactionId::from_uuid(Uuid::from_u128(u128::from(number)))
}

/// A request about transaction and trace number `number`.
pub(super) fn request(number: u32, action: AcquirerAction) -> AcquirerRequest {
    AcquirerRequest {
        merchant_id: MerchantId::from_uuid(Uuid::from_u128(1)),
        terminal_id: TerminalId::from_uuid(Uuid::from_u128(2)),
        transaction_id: transaction(number),
        trace: Trace {
            number,
            sent_at: NOW,
        },
        tries: 1,
        sending: Sending { number: 1, at: NOW },
        action,
    }
}

pub(super) fn authorize(number: u32, minor: i64) -> AcquirerRequest {
    authorize_with(number, minor, visa())
}

pub(super) fn authorize_with(number: u32, minor: i64, card: SealedCard) -> AcquirerRequest {
    let action = AcquirerAction::Authorize {
        kind: PosKind::Sale,
        amount: euros(minor),
        entry: EntryMode::Contactless,
        card,
    };
    request(number, action)
}

pub(super) fn reverse(number: u32, minor: i64, tries: u32) -> AcquirerRequest {
    let action = AcquirerAction::Reverse {
        amount: euros(minor),
    };
    AcquirerRequest {
        tries,
        ..request(number, action)
    }
}
