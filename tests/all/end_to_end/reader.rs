//! The reader on its pseudo-terminal: faults on the line, chips that fail, and what the firmware's
//! documentation leaves open. In a shop of its own: its reader goes out of order now and then.
//!
//! Every fault at every step, in virtual time, is in `crate::reader`.

use firmware_sim::device::ControlRequest;
use harness::shop::Shop;
use serde_json::json;

use super::{attempts, begin_sale, pay, transaction, until_pos};
use crate::check::directory;

fn hands(shop: &Shop, request: &ControlRequest) {
    shop.devices.hands(request).unwrap();
}

fn arm(shop: &Shop, fault: &str, scope: &str) {
    let request = ControlRequest::new("reader", "fault")
        .with("fault", fault)
        .with("scope", scope);
    hands(shop, &request);
}

fn quirk(shop: &Shop, name: &str, setting: &str) {
    let request = ControlRequest::new("reader", "quirk")
        .with("name", name)
        .with("setting", setting);
    hands(shop, &request);
}

/// The reader and the agent understand each other.
fn works(shop: &Shop, what: &str) {
    hands(shop, &ControlRequest::new("reader", "clear-faults"));
    shop.devices.remove_card();
    assert!(shop.wait_until_ready(), "{what}: not ready again");
    let end = pay(shop, 4_100, "visa", "tap");
    assert_eq!(end.field("status"), "approved", "{what}: {}", end.text);
}

#[test]
fn a_line_that_adds_bytes_or_repeats_frames_changes_nothing() {
    let shop = Shop::open(&directory("reader-line")).unwrap();
    for (fault, scope) in [
        ("noise", "always"),
        ("duplicate", "always"),
        ("event-first", "always"),
        ("slow", "third-final"),
        ("late", "third-final"),
        // What they hit is only the news that a card was seen.
        ("wrong-crc", "next"),
        ("garbled", "next"),
        ("truncated", "next"),
        ("mute", "next"),
    ] {
        let pos_id = begin_sale(&shop, 4_000);
        arm(&shop, fault, scope);
        shop.devices.present("visa", "insert").unwrap();
        let end = shop.end_of(&pos_id);
        assert_eq!(end.field("status"), "approved", "{fault}: {}", end.text);
        works(&shop, fault);
    }
}

#[test]
fn a_reader_that_is_lost_with_the_issuers_answer_says_how_it_ended_or_the_sale_is_reversed() {
    let shop = Shop::open(&directory("reader-lost")).unwrap();
    for (card, fault, keeps, status) in [
        ("visa", "vanish", "off", "approved"),
        ("chip-refuses", "vanish", "off", "reversed"),
        ("pulled-early", "vanish", "off", "reversed"),
        ("visa", "reset-midway", "on", "approved"),
        ("visa", "reset-midway", "off", "reversed"),
        ("visa", "refused", "off", "approved"),
    ] {
        let what = format!("{card}, {fault}, keeps its result: {keeps}");
        quirk(&shop, "keeps-last-result", keeps);
        let pos_id = begin_sale(&shop, 4_200);
        arm(&shop, fault, "third-final");
        shop.devices.present(card, "insert").unwrap();
        let end = shop.end_of(&pos_id);
        assert_eq!(end.field("status"), status, "{what}: {}", end.text);
        let id = end.data()["attempts"][0]["transaction_id"]
            .as_str()
            .unwrap();
        assert_eq!(transaction(&shop, id)["status"], status, "{what}");
        works(&shop, &what);
    }
}

#[test]
fn a_reader_that_is_lost_before_the_issuer_is_asked_ends_the_attempt() {
    let shop = Shop::open(&directory("reader-early")).unwrap();
    for (fault, scope) in [
        ("vanish", "next-final"),
        ("reset-midway", "next-final"),
        ("refused", "next-final"),
        ("vanish", "second-final"),
        ("reset", "next"),
    ] {
        let what = format!("{fault} {scope}");
        let pos_id = begin_sale(&shop, 4_300);
        arm(&shop, fault, scope);
        shop.devices.present("visa", "insert").ok();
        let pos = until_pos(&shop, &pos_id, &what, |pos| {
            pos["attempts"][0]["state"] == "ended"
        });
        assert!(
            attempts(&pos).starts_with("ended:reader_fault"),
            "{what}: {pos}"
        );
        assert_eq!(pos["transaction_id"], json!(null), "{what}");
        shop.pos
            .post(&format!("/v1/pos/transactions/{pos_id}/cancel"), &json!({}));
        shop.end_of(&pos_id);
        works(&shop, &what);
    }
}

#[test]
fn a_chip_that_fails_three_times_lets_the_stripe_pay() {
    let shop = Shop::open(&directory("reader-fallback")).unwrap();
    let pos_id = begin_sale(&shop, 4_400);
    for number in 1..=3 {
        assert!(shop.devices.wait_for_reader(), "insertion {number}");
        shop.devices.present("bad-chip", "insert").unwrap();
    }
    assert!(shop.devices.wait_for_reader());
    shop.devices.present("bad-chip", "swipe").unwrap();
    let end = shop.end_of(&pos_id);
    assert_eq!(end.field("status"), "approved", "{}", end.text);
    assert_eq!(attempts(end.data()), "approved:-");
    works(&shop, "fallback");
}

#[test]
fn what_the_firmware_leaves_open_is_no_difference() {
    let shop = Shop::open(&directory("reader-quirks")).unwrap();
    for (name, setting) in [
        ("prompt", "language"),
        ("prompt", "application"),
        ("prompt", "pin"),
        ("prompt", "none"),
        ("old-attribution", "on"),
        ("old-error-tag", "on"),
        ("stray-answer", "after"),
        ("one-key-per-transaction", "on"),
        ("powered-by-cable", "on"),
    ] {
        let what = format!("{name}={setting}");
        quirk(&shop, name, setting);
        let end = pay(&shop, 4_500, "visa", "insert");
        assert_eq!(end.field("status"), "approved", "{what}: {}", end.text);
        works(&shop, &what);
    }
    hands(&shop, &ControlRequest::new("reader", "unplug"));
    hands(&shop, &ControlRequest::new("reader", "plug-in"));
    works(&shop, "a pulled cable");
}
