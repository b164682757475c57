//! The engine's process ends at a stage of a sale, and is started again by whoever runs it.

use engine::acquirer::host::BookState;
use harness::api::fresh_key;
use serde_json::json;

use super::Lab;
use crate::check::{good, refused};

#[test]
fn nobody_ends_the_process_unless_the_operator_lets_them() {
    let lab = Lab::open("no-restart");
    let body = json!({"target": lab.terminal_id, "kind": "engine_restart"});
    let answer = lab.pos.post("/v1/sandbox/faults", &body);
    let details = refused(&answer, 403, "NOT_ENABLED", "engine_restart");
    assert_eq!(details["required_setting"], "sandbox.allow_engine_restart");
}

#[test]
fn an_engine_that_ends_at_any_stage_of_a_sale_goes_on_with_it() {
    let mut lab = Lab::configured("restart", "[sandbox]\nallow_engine_restart = true\n");
    for (amount, stage, status, reason) in [
        (7_001, "offered", "approved", "approved"),
        (7_002, "awaiting_card", "approved", "approved"),
        (7_003, "authorizing", "reversed", "engine_restarted"),
        (7_004, "confirming", "approved", "approved"),
        (7_005, "approved", "approved", "approved"),
        (7_006, "printing", "approved", "approved"),
    ] {
        let mut body = json!({"kind": "engine_restart", "at": stage});
        if stage == "authorizing" {
            // After the request has left: one that never did is searched for longer than a minute.
            lab.arm(json!({"kind": "host_delay", "delay_ms": 5_000}));
            body["after_ms"] = json!(500);
        }
        let fault = lab.arm(body);
        lab.rest();
        let (key, body) = (fresh_key(), lab.shop.sale(amount));
        let first = lab.pos.post_keyed("/v1/pos/transactions", &body, &key);
        // The start was committed before the process ended; its answer may not have come.
        if stage != "offered" && stage != "awaiting_card" {
            good(&first, 201, stage);
            assert!(lab.devices.wait_for_reader());
            lab.devices.present("visa", "tap").unwrap();
        }
        assert!(lab.engine.wait_for_end(), "{stage}");
        lab.engine.restart().unwrap();
        let again = lab.pos.post_keyed("/v1/pos/transactions", &body, &key);
        let pos_id = good(&again, 201, stage)["id"].as_str().unwrap().to_owned();
        assert_eq!(again.header("idempotent-replayed"), "true", "{stage}");
        if stage == "offered" || stage == "awaiting_card" {
            assert!(lab.devices.wait_for_reader(), "{stage}");
            lab.devices.present("visa", "tap").unwrap();
        }
        lab.ended(&pos_id, status, reason);
        lab.fired(&fault, stage, &pos_id);
        let booked = match status {
            "approved" => vec![BookState::Authorized],
            _ => vec![BookState::Reversed],
        };
        assert_eq!(lab.booked(amount), booked, "{stage}");
        // A receipt that is still owed would be handed over again, and meet the next fault.
        lab.until_jobs(&pos_id, stage, |job| job["status"] == "printed");
    }
}
