//! A till whose reader encrypts under AES, beside one under triple DES at the same engine; and how
//! the card was read, from the reader to transaction and receipt.

use std::sync::OnceLock;

use harness::shop::{Devices, Lane as OtherLane, Shop, Till};
use serde_json::{Value, json};

use super::{Lane, attempts, begin_sale, transaction};
use crate::check::{directory, good};

/// The till under AES, opened once in the shop of these tests.
fn aes_lane(shop: &Shop) -> &'static OtherLane {
    static LANE: OnceLock<OtherLane> = OnceLock::new();
    LANE.get_or_init(|| {
        let dir = directory("aes-lane");
        let devices =
            Devices::start_encrypting(&dir.join("devices"), true, "aes128").expect("devices");
        let till = Till::install(&dir.join("till"), shop.pos.base(), &devices.dir).expect("till");
        OtherLane::equip(devices, till, &shop.pos, "Lane under AES").expect("lane")
    })
}

/// What a receipt's field says.
fn receipt_field(shop: &Shop, pos_id: &str, name: &str) -> Value {
    let receipt = shop
        .pos
        .get(&format!("/v1/pos/transactions/{pos_id}/receipt"));
    receipt.data()["fields"][name].clone()
}

/// A sale on that lane, with these cards one after another; gives its end.
fn sell(shop: &Shop, lane: &OtherLane, amount: i64, cards: &[(&str, &str)]) -> Value {
    lane.devices.remove_card();
    assert!(lane.devices.wait_until_idle());
    let mut body = shop.sale(amount);
    body["terminal_id"] = json!(lane.terminal_id);
    let started = shop.pos.post("/v1/pos/transactions", &body);
    let pos_id = good(&started, 201, "start")["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for (card, way) in cards {
        assert!(lane.devices.wait_for_slot(), "{card} by {way}");
        lane.devices.present(card, way).unwrap();
    }
    shop.end_of(&pos_id).data().clone()
}

/// Three failed insertions, then the stripe.
const FALLBACK: [(&str, &str); 4] = [
    ("bad-chip", "insert"),
    ("bad-chip", "insert"),
    ("bad-chip", "insert"),
    ("bad-chip", "swipe"),
];

#[test]
fn sales_under_aes_are_paid_on_every_interface() {
    let lane = Lane::take();
    let aes = aes_lane(&lane);
    assert_eq!(aes.devices.status()["reader"]["encryption"], "aes128");
    for (cards, entry, printed, last4) in [
        (&[("visa", "tap")][..], "contactless", "CONTACTLESS", "0010"),
        (&[("amex", "tap")], "contactless", "CONTACTLESS", "1006"),
        (&[("mastercard", "insert")], "contact", "CHIP", "0011"),
        (&[("stripe", "swipe")], "swipe", "SWIPE", "4242"),
        (&FALLBACK, "fallback_swipe", "FALLBACK SWIPE", "0061"),
    ] {
        let pos = sell(&lane, aes, 1_234, cards);
        assert_eq!(pos["status"], "approved", "{entry}: {pos}");
        let found = transaction(&lane, pos["transaction_id"].as_str().unwrap());
        assert_eq!(found["card"]["entry_mode"], entry, "{found}");
        assert_eq!(found["card"]["last4"], last4, "{found}");
        assert_eq!(found["response_code"], "00", "{entry}");
        let id = pos["id"].as_str().unwrap();
        assert_eq!(receipt_field(&lane, id, "entry_mode"), printed);
    }
    assert_eq!(aes.devices.violations(), 0);
}

#[test]
fn a_fallback_swipe_is_paid_and_named_under_triple_des_too() {
    let lane = Lane::take();
    let pos_id = begin_sale(&lane, 1_350);
    for (card, way) in FALLBACK {
        assert!(lane.devices.wait_for_slot());
        lane.devices.present(card, way).unwrap();
    }
    let end = lane.end_of(&pos_id);
    assert_eq!(end.field("status"), "approved", "{}", end.text);
    let found = transaction(&lane, end.field("transaction_id"));
    assert_eq!(found["card"]["entry_mode"], "fallback_swipe");
    let printed = receipt_field(&lane, &pos_id, "entry_mode");
    assert_eq!(printed, "FALLBACK SWIPE");
}

#[test]
fn a_declined_card_under_aes_is_followed_by_another() {
    let lane = Lane::take();
    let aes = aes_lane(&lane);
    let pos = sell(&lane, aes, 1_400, &[("declined", "tap"), ("visa", "tap")]);
    assert_eq!(pos["status"], "approved", "{pos}");
    assert_eq!(attempts(&pos), "declined:-, approved:-");
}
