//! A till is asked how it is, and told what to be like, with the real agent.

use std::time::Duration;

use harness::shop::Shop;
use harness::wait::{until, until_within};
use serde_json::{Value, json};

use super::{Lane, begin_sale};
use crate::check::{directory, good};

/// Requirement: settings reach a till that is online within so long.
const PUSHED_WITHIN: Duration = Duration::from_secs(5);

fn path(shop: &Shop, of: &str) -> String {
    format!("/v1/terminals/{}/{of}", shop.terminal_id)
}

fn fresh(shop: &Shop) -> Value {
    let answer = shop.pos.get(&path(shop, "status?fresh=true"));
    good(&answer, 200, "a status").clone()
}

fn state(shop: &Shop) -> (Value, Value) {
    let answer = shop.pos.get(&path(shop, "configuration"));
    let data = good(&answer, 200, "a configuration");
    let configuration = &data["configuration"];
    (
        configuration["state"].clone(),
        configuration["applied_version"].clone(),
    )
}

#[test]
fn a_till_says_how_it_is_and_never_while_its_reader_is_held() {
    let shop = Lane::take();
    let status = fresh(&shop);
    assert_eq!(status["fresh"], true, "{status}");
    assert_eq!(status["reader"]["is_encrypting"], true);
    assert_eq!(status["reader"]["is_port_open"], true);
    assert_eq!(status["backlog"]["pos_transactions"], 0);
    let skew_ms = status["machine"]["clock_skew_ms"].as_i64().unwrap();
    assert!(
        skew_ms.abs() < 60_000,
        "the same machine has the same clock: {skew_ms}"
    );
    assert!(status["machine"]["kernel"].is_string(), "{status}");

    let pos_id = begin_sale(&shop, 1_700);
    assert!(shop.devices.wait_for_reader());
    let status = fresh(&shop);
    assert_eq!(
        (&status["fresh"], &status["stale_reason"]),
        (&json!(false), &json!("busy"))
    );
    assert_eq!(status["availability"], "busy");
    assert_eq!(status["current_pos_transaction_id"], json!(pos_id));
    // The question has not disturbed the reader.
    shop.devices.present("visa", "tap").unwrap();
    let sale = shop.end_of(&pos_id);
    assert_eq!(sale.field("status"), "approved", "{}", sale.text);
    let last = || {
        let status = shop.pos.get(&path(&shop, "status"));
        let last = status.data()["last_transaction"].clone();
        (last["pos_transaction_id"] == json!(pos_id)).then_some(last)
    };
    assert_eq!(until("the last sale", last).unwrap()["status"], "approved");
}

#[test]
fn settings_reach_the_till_and_survive_its_restart() {
    let mut shop = Shop::open(&directory("configured")).unwrap();
    assert!(shop.wait_until_ready());
    let body = json!({"settings": {
        "idle_text": "Welcome to the corner shop",
        "log_level": "debug",
        "receipt_footer": ["Thank you!"],
        "print_customer_copy": false,
    }});
    let set = shop.pos.put("/v1/merchant/terminal-configuration", &body);
    good(&set, 200, "settings");
    let is_applied = |shop: &Shop| (state(shop) == (json!("applied"), json!(1))).then_some(());
    until_within("the settings", PUSHED_WITHIN, || is_applied(&shop)).unwrap();
    let idle_text = |shop: &Shop| {
        let output = shop.till.command(&["--json", "status"]).unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        said.to_string().contains("Welcome to the corner shop")
    };
    assert!(idle_text(&shop));

    let papers = shop.devices.papers();
    let sale = shop.tap_sale(1_800, "visa").unwrap();
    assert_eq!(sale.field("status"), "approved", "{}", sale.text);
    let paper = shop.devices.paper(papers + 1).unwrap();
    assert!(paper.contains("Thank you!"), "{paper}");
    assert!(paper.contains("MERCHANT COPY"), "{paper}");

    assert!(shop.till.stop());
    shop.till.run().unwrap();
    assert!(shop.wait_until_ready());
    assert!(
        idle_text(&shop),
        "from the journal, before anybody tells it"
    );
    until("it says what it has", || is_applied(&shop)).unwrap();
}
