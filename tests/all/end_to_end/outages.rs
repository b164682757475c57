//! Cables that are pulled, and an acquirer whose answer is lost. In a shop of its own: its till is
//! out of order for a while.

use harness::shop::{Devices, QUICK_ACQUIRER, Shop};
use serde_json::{Value, json};

use super::{attempts, begin_sale, pay, transaction, until_pos};
use crate::check::{directory, good};

#[test]
fn a_reader_that_is_unplugged_ends_the_sale_and_the_next_one_works_again() {
    let mut shop = Shop::open(&directory("unplugged")).unwrap();
    for _ in 0..2 {
        let pos_id = begin_sale(&shop, 8_000);
        shop.devices.unplug();
        let end = shop.end_of(&pos_id);
        assert_eq!(end.field("status"), "failed", "{}", end.text);
        assert_eq!(end.field("reason"), "reader_fault");
        assert_eq!(attempts(end.data()), "ended:reader_fault");
        let path = format!("/v1/terminals/{}/status", shop.terminal_id);
        let status = harness::wait::until("the reader to be gone", || {
            let status = shop.pos.get(&path);
            (status.data()["availability"] == json!("not_ready")).then_some(status)
        });
        let status = status.unwrap();
        assert_eq!(good(&status, 200, "status")["reader"]["state"], "absent");
        // Without its reader the till takes no sale; it says so at once.
        let refused = shop.start_sale(8_001);
        let end = shop.end_of(refused.field("id"));
        assert_eq!(
            (end.field("status"), end.field("reason")),
            ("failed", "reader_fault")
        );
        let output = shop
            .till
            .command(&["--json", "sale", "--amount", "1", "--currency", "USD"]);
        assert_eq!(output.unwrap().status.code(), Some(5));

        let dir = shop.devices.dir.clone();
        shop.devices = Devices::start(&dir, true).unwrap();
        assert!(shop.wait_until_ready(), "the reader is not found again");
        let end = pay(&shop, 8_100, "visa", "insert");
        assert_eq!(end.field("status"), "approved", "{}", end.text);
        shop.devices.remove_card();
    }
    assert_eq!(shop.devices.violations(), 0);
}

fn quick_shop(name: &str) -> Shop {
    let dir = directory(name);
    let engine = dir.join("engine");
    std::fs::create_dir_all(&engine).unwrap();
    std::fs::write(engine.join("engine.toml"), QUICK_ACQUIRER).unwrap();
    Shop::open(&dir).unwrap()
}

#[test]
fn a_lost_answer_is_in_doubt_and_then_reversed() {
    let shop = quick_shop("doubt");
    let pos_id = begin_sale(&shop, 80);
    shop.devices.present("visa", "insert").unwrap();
    let seen = until_pos(&shop, &pos_id, "the doubt or the reversal", |pos| {
        pos["status"] != "in_progress"
    });
    assert!(
        ["in_doubt", "reversed"].contains(&seen["status"].as_str().unwrap()),
        "{seen}"
    );
    if seen["status"] == "in_doubt" {
        assert_eq!(seen["in_doubt"]["who_holds_truth"], "acquirer", "{seen}");
        assert_eq!(seen["reason"], "acquirer_unknown", "{seen}");
    }
    let end = shop.end_of(&pos_id);
    assert_eq!(end.field("status"), "reversed", "{}", end.text);
    assert_eq!(end.field("reason"), "acquirer_unknown");
    assert_eq!(end.data()["transaction_id"], Value::Null);
    assert_eq!(attempts(end.data()), "reversed:acquirer_unknown");
    let id = end.data()["attempts"][0]["transaction_id"]
        .as_str()
        .unwrap();
    let found = transaction(&shop, id);
    assert_eq!(found["status"], "reversed", "{found}");
    assert!(found["reversal"]["done_at"].is_string(), "{found}");

    // A cancel while the acquirer thinks waits for the verdict; this approval stands.
    let pos_id = begin_sale(&shop, 83);
    shop.devices.present("visa", "tap").unwrap();
    until_pos(&shop, &pos_id, "authorizing", |pos| {
        pos["stage"] == "authorizing"
    });
    let canceled = shop
        .pos
        .post(&format!("/v1/pos/transactions/{pos_id}/cancel"), &json!({}));
    let data = good(&canceled, 200, "cancel");
    assert_eq!(data["cancel"]["verdict"], "too_late_approved", "{data}");
    assert_eq!(data["status"], "approved", "{data}");
}

#[test]
fn a_cancel_that_undoes_beats_an_approval_that_comes_late() {
    let shop = quick_shop("late");
    // The acquirer takes five seconds for this amount.
    let pos_id = begin_sale(&shop, 83);
    shop.devices.present("visa", "insert").unwrap();
    until_pos(&shop, &pos_id, "authorizing", |pos| {
        pos["stage"] == "authorizing"
    });
    let path = format!("/v1/pos/transactions/{pos_id}");
    let body = json!({"if_too_late": "void"});
    let canceled = shop.pos.post(&format!("{path}/cancel"), &body);
    let data = good(&canceled, 200, "cancel");
    assert_eq!(data["cancel"]["verdict"], "too_late_reversed", "{data}");
    let end = shop.end_of(&pos_id);
    assert_eq!(end.field("status"), "reversed", "{}", end.text);
    assert_eq!(end.field("reason"), "pos_canceled");
    let id = end.data()["attempts"][0]["transaction_id"]
        .as_str()
        .unwrap();
    // The approval arrives after that, and is undone as well: nobody has paid.
    let undone = harness::wait::until("the late approval to be undone", || {
        let found = transaction(&shop, id);
        let is_late = found["reversal"]["reason"] == "late_approval";
        (is_late && found["status"] == "reversed").then_some(found)
    });
    assert!(undone.is_some(), "{}", transaction(&shop, id));
    // One slip says so; a second one would go to the next customer.
    let jobs = shop.pos.get(&format!("{path}/print-jobs"));
    let jobs = good(&jobs, 200, "jobs")["items"].as_array().map(Vec::len);
    assert_eq!(jobs, Some(1));
    let end = pay(&shop, 8_300, "visa", "tap");
    assert_eq!(end.field("status"), "approved", "{}", end.text);
}
