//! Every virtual card, on every interface, and what comes of it.

use serde_json::{Value, json};

use super::{Lane, attempts, begin, begin_sale, pay, transaction, until_pos};

#[test]
fn cards_that_cooperate_pay_on_every_interface() {
    let lane = Lane::take();
    for (card, way, brand, entry, last4) in [
        ("visa", "tap", "visa", "contactless", "0010"),
        ("visa", "insert", "visa", "contact", "0010"),
        ("mastercard", "tap", "mastercard", "contactless", "0011"),
        ("mastercard", "insert", "mastercard", "contact", "0011"),
        ("amex", "tap", "amex", "contactless", "1006"),
        ("amex", "insert", "amex", "contact", "1006"),
        ("discover", "tap", "discover", "contactless", "1117"),
        ("discover", "insert", "discover", "contact", "1117"),
        ("stripe", "swipe", "visa", "swipe", "4242"),
        ("msd", "tap", "mastercard", "contactless_stripe", "8210"),
        ("msd", "swipe", "mastercard", "swipe", "8210"),
    ] {
        let what = format!("{card} by {way}");
        let end = pay(&lane, 1_234, card, way);
        let pos = end.data();
        assert_eq!(pos["status"], "approved", "{what}: {}", end.text);
        assert_eq!(pos["reason"], "approved", "{what}");
        assert_eq!(attempts(pos), "approved:-", "{what}");
        let found = transaction(&lane, end.field("transaction_id"));
        let card = &found["card"];
        assert_eq!(
            [&card["brand"], &card["entry_mode"], &card["last4"]],
            [&json!(brand), &json!(entry), &json!(last4)],
            "{what}: {found}"
        );
        assert_eq!(found["status"], "approved", "{what}");
        assert_eq!(found["authorized_amount"], 1_234, "{what}");
        assert_eq!(found["response_code"], "00", "{what}");
        assert!(found["authorization_code"].is_string(), "{what}: {found}");
    }
}

/// The receipt says how the card was read, on every interface.
#[test]
fn receipts_name_the_entry_mode() {
    let lane = Lane::take();
    for (card, way, words) in [
        ("msd", "tap", "CONTACTLESS STRIPE"),
        ("visa", "tap", "CONTACTLESS"),
        ("visa", "insert", "CHIP"),
        ("msd", "swipe", "SWIPE"),
    ] {
        let end = pay(&lane, 1_250, card, way);
        assert_eq!(end.field("status"), "approved", "{card}: {}", end.text);
        let id = end.field("transaction_id").to_owned();
        let mut from = 1;
        for copy in 1..=2 {
            // Papers of the sale before may still come out.
            let paper = loop {
                let paper = lane.devices.paper(from);
                let paper = paper.unwrap_or_else(|| panic!("{card} by {way}: copy {copy}"));
                from += 1;
                if paper.contains(&id) {
                    break paper;
                }
            };
            let mut lines = paper.lines().map(|line| line.trim_matches(['│', ' ']));
            let entry = lines.find_map(|line| line.strip_prefix("Entry "));
            let entry = entry.unwrap_or_else(|| panic!("{card} by {way}: {paper}"));
            assert_eq!(entry.trim(), words, "{card} by {way}");
        }
        lane.devices.remove_card();
    }
}

#[test]
fn a_card_that_does_not_work_is_followed_by_one_that_does() {
    let lane = Lane::take();
    for (card, way, first) in [
        ("declined", "tap", "declined:-"),
        ("blocked", "tap", "ended:card_unusable"),
        ("expired", "tap", "ended:card_unusable"),
        ("chip-declines", "tap", "ended:card_unusable"),
        ("chip-approves", "tap", "ended:offline_not_allowed"),
        ("pulled-reading", "insert", "ended:card_removed"),
    ] {
        let what = format!("{card} by {way}");
        let pos_id = begin_sale(&lane, 1_500);
        lane.devices.present(card, way).unwrap();
        until_pos(&lane, &pos_id, &what, |pos| {
            pos["attempts"]
                .as_array()
                .is_some_and(|attempts| attempts.len() == 2)
        });
        lane.devices.remove_card();
        assert!(lane.devices.wait_for_reader(), "{what}");
        lane.devices.present("mastercard", "tap").unwrap();
        let end = lane.end_of(&pos_id);
        assert_eq!(end.field("status"), "approved", "{what}: {}", end.text);
        assert_eq!(
            attempts(end.data()),
            format!("{first}, approved:-"),
            "{what}"
        );
    }
}

/// The reader reads a card that is left in the slot again: attempts run out, nothing is paid.
#[test]
fn a_card_left_in_the_slot_is_not_tried_again() {
    let lane = Lane::take();
    for (card, state) in [
        ("declined", "declined:-"),
        ("blocked", "ended:card_unusable"),
        ("expired", "ended:card_unusable"),
        ("chip-declines", "ended:card_unusable"),
        ("chip-approves", "ended:offline_not_allowed"),
    ] {
        let pos_id = begin_sale(&lane, 1_550);
        lane.devices.present(card, "insert").unwrap();
        until_pos(&lane, &pos_id, "the next attempt", |pos| {
            pos["attempts"].as_array().map_or(0, Vec::len) == 2
        });
        let asked = harness::wait::until("the till to ask for the card's removal", || {
            let status = lane.till.command(&["--json", "status"]).ok()?;
            let text = String::from_utf8_lossy(&status.stdout).into_owned();
            text.contains("remove_card").then_some(())
        });
        assert!(asked.is_some(), "{card}");
        lane.devices.remove_card();
        assert!(lane.devices.wait_for_reader(), "{card}");
        lane.devices.present("visa", "insert").unwrap();
        let end = lane.end_of(&pos_id);
        assert_eq!(end.field("status"), "approved", "{card}: {}", end.text);
        assert_eq!(
            attempts(end.data()),
            format!("{state}, approved:-"),
            "{card}"
        );
    }
}

#[test]
fn a_card_left_from_the_last_sale_does_not_pay_the_next() {
    let lane = Lane::take();
    let end = pay(&lane, 1_551, "visa", "insert");
    assert_eq!(end.field("status"), "approved", "{}", end.text);
    assert!(lane.wait_until_ready());
    let next = lane.start_sale(1_552);
    let asked = harness::wait::until("the till to ask for the card's removal", || {
        let status = lane.till.command(&["--json", "status"]).ok()?;
        let text = String::from_utf8_lossy(&status.stdout).into_owned();
        text.contains("remove_card").then_some(())
    });
    assert!(asked.is_some());
    lane.devices.remove_card();
    assert!(lane.devices.wait_for_reader());
    lane.devices.present("mastercard", "tap").unwrap();
    let end = lane.end_of(next.field("id"));
    assert_eq!(end.field("status"), "approved", "{}", end.text);
    let id = end.field("transaction_id").to_owned();
    assert_eq!(transaction(&lane, &id)["card"]["brand"], "mastercard");
}

#[test]
fn three_declined_cards_are_enough() {
    let lane = Lane::take();
    let pos_id = begin_sale(&lane, 1_600);
    for number in 1..=3 {
        assert!(lane.devices.wait_for_reader(), "card {number}");
        lane.devices.present("declined", "tap").unwrap();
        until_pos(&lane, &pos_id, "the next attempt or the end", |pos| {
            let attempts = pos["attempts"].as_array().map_or(0, Vec::len);
            attempts > number || pos["status"] != "in_progress"
        });
    }
    let end = lane.end_of(&pos_id);
    assert_eq!(end.field("status"), "declined", "{}", end.text);
    assert_eq!(end.field("reason"), "host_declined");
    assert_eq!(attempts(end.data()), "declined:-, declined:-, declined:-");
    assert_eq!(end.data()["transaction_id"], Value::Null);
}

#[test]
fn an_approval_that_the_card_does_not_finish_is_reversed() {
    let lane = Lane::take();
    for (card, reason) in [
        ("chip-refuses", "chip_declined"),
        ("pulled-early", "card_removed"),
    ] {
        let end = pay(&lane, 1_700, card, "insert");
        let pos = end.data();
        assert_eq!(pos["status"], "reversed", "{card}: {}", end.text);
        assert_eq!(pos["reason"], reason, "{card}");
        assert_eq!(attempts(pos), format!("reversed:{reason}"), "{card}");
        let id = pos["attempts"][0]["transaction_id"].as_str().unwrap();
        let found = transaction(&lane, id);
        assert_eq!(found["status"], "reversed", "{card}");
        assert_eq!(found["reversal"]["reason"], reason, "{card}");
        assert!(found["reversal"]["done_at"].is_string(), "{card}: {found}");
    }
}

#[test]
fn what_the_reader_asks_for_is_done_within_the_same_attempt() {
    let lane = Lane::take();
    for (card, way, then, then_way) in [
        ("two-cards", "tap", "visa", "tap"),
        ("use-chip", "tap", "use-chip", "insert"),
        ("leaves-field", "tap", "leaves-field", "insert"),
        ("stripe-of-chip", "swipe", "visa", "insert"),
        ("bad-chip", "insert", "visa", "tap"),
    ] {
        let what = format!("{card} by {way}, then {then} by {then_way}");
        let pos_id = begin_sale(&lane, 1_800);
        lane.devices.present(card, way).unwrap();
        lane.devices.remove_card();
        let is_ready = match then_way {
            "insert" => lane.devices.wait_for_slot(),
            _ => lane.devices.wait_for_reader(),
        };
        assert!(is_ready, "{what}");
        lane.devices.present(then, then_way).unwrap();
        let end = lane.end_of(&pos_id);
        assert_eq!(end.field("status"), "approved", "{what}: {}", end.text);
        let states = attempts(end.data());
        assert!(states.ends_with("approved:-"), "{what}: {states}");
        assert_eq!(states.matches("approved").count(), 1, "{what}: {states}");
    }
}

#[test]
fn amounts_choose_what_the_acquirer_does() {
    let lane = Lane::take();
    for (amount, code) in [
        (5, "05"),
        (12, "12"),
        (51, "51"),
        (100_054, "54"),
        (200_091, "91"),
    ] {
        let pos_id = begin_sale(&lane, amount);
        lane.devices.present("visa", "tap").unwrap();
        let pos = until_pos(&lane, &pos_id, "the decline", |pos| {
            pos["attempts"][0]["state"] == "declined"
        });
        let declined = transaction(
            &lane,
            pos["attempts"][0]["transaction_id"].as_str().unwrap(),
        );
        assert_eq!(declined["status"], "declined", "{amount}");
        assert_eq!(declined["response_code"], code, "{amount}");
        assert_eq!(declined["authorized_amount"], Value::Null, "{amount}");
        let cancel = lane
            .pos
            .post(&format!("/v1/pos/transactions/{pos_id}/cancel"), &json!({}));
        assert_eq!(
            cancel.field("status"),
            "canceled",
            "{amount}: {}",
            cancel.text
        );
    }
}

#[test]
fn an_acquirer_that_cannot_be_reached_moves_nothing() {
    let lane = Lane::take();
    let end = pay(&lane, 85, "visa", "insert");
    assert_eq!(end.field("status"), "failed", "{}", end.text);
    assert_eq!(end.field("reason"), "acquirer_unreachable");
    let id = end.data()["attempts"][0]["transaction_id"]
        .as_str()
        .unwrap();
    assert_eq!(transaction(&lane, id)["reason"], "acquirer_unreachable");
    let end = pay(&lane, 86, "visa", "tap");
    assert_eq!(
        end.field("status"),
        "approved",
        "the next sale: {}",
        end.text
    );
}

#[test]
fn a_partial_approval_stands_only_where_it_is_accepted() {
    let lane = Lane::take();
    let end = pay(&lane, 10, "visa", "tap");
    assert_eq!(end.field("status"), "reversed", "{}", end.text);
    assert_eq!(end.field("reason"), "partial_not_accepted");

    let mut body = lane.sale(100_010);
    body["accept_partial"] = json!(true);
    let pos_id = begin(&lane, &body);
    lane.devices.present("visa", "insert").unwrap();
    let end = lane.end_of(&pos_id);
    assert_eq!(end.field("status"), "approved", "{}", end.text);
    let found = transaction(&lane, end.field("transaction_id"));
    assert_eq!(found["requested_amount"], 100_010);
    assert_eq!(found["authorized_amount"], 50_005);
    assert_eq!(found["total"], 50_005);
    let path = format!("/v1/pos/transactions/{pos_id}/receipt");
    let receipt = lane.pos.get(&path);
    assert_eq!(
        receipt.data()["fields"]["amount_due"],
        "USD 500.05",
        "{}",
        receipt.text
    );
    let tip = format!(
        "/v1/transactions/{}/tip-adjustment",
        end.field("transaction_id")
    );
    let answer = lane
        .pos
        .post(&tip, &json!({"tip_amount": 100, "currency": "USD"}));
    crate::check::refused(&answer, 409, "TIP_NOT_ALLOWED", "a tip on part of it");
}

#[test]
fn an_authorization_reserves() {
    let lane = Lane::take();
    let mut body = lane.sale(2_500);
    body["type"] = json!("authorization");
    body["reference"] = json!("Room 12");
    let pos_id = begin(&lane, &body);
    lane.devices.present("visa", "insert").unwrap();
    let end = lane.end_of(&pos_id);
    assert_eq!(end.field("status"), "approved", "{}", end.text);
    assert_eq!(end.field("type"), "authorization");
    let found = transaction(&lane, end.field("transaction_id"));
    assert_eq!(found["type"], "authorization");
    assert_eq!(found["reference"], "Room 12");
}
