//! The end of a pairing, at the till and at the merchant's, and what comes after it.

use std::fs;

use harness::hand::{Counter, fresh_key, redeem};
use harness::shop::Lane;
use harness::wait::until;
use protocol::link::RefusedReason;
use serde_json::json;

use super::{Site, fails, make_code, succeeds, terminal_of};
use crate::check::{good, refused};

#[test]
fn a_till_is_let_go_and_becomes_another_merchants() {
    let mut site = Site::open("release", super::CONFIG);
    let api = site.merchant.api.clone();
    let mut lane = Lane::open(&site.dir.join("lane"), &api, "Lane 1", None).unwrap();
    let state = lane.till.dir.join("state");
    let terminal_id = lane.terminal_id.clone();
    fails(&lane.till, &["unpair"], 8, "STATE_DIR");

    // A sale is under way at the engine, and in the till's journal.
    let body = json!({"terminal_id": terminal_id, "amount": 500, "currency": "USD"});
    let started = api.post("/v1/pos/transactions", &body);
    let pos_id = good(&started, 201, "sale")["id"].clone();
    assert!(lane.devices.wait_for_reader());
    lane.till.kill();
    fails(&lane.till, &["unpair"], 6, "OPEN_WORK");
    let path = format!("/v1/terminals/{terminal_id}/unpair");
    let refusal = api.post(&path, &json!({}));
    let details = refused(&refusal, 409, "TERMINAL_HAS_OPEN_WORK", "a sale");
    assert_eq!(details["running"], pos_id);
    assert!(state.join("device-key").exists() && state.join("identity.json").exists());
    let path = format!("/v1/pos/transactions/{}/cancel", pos_id.as_str().unwrap());
    good(&api.post(&path, &json!({})), 200, "cancel");
    // The till must hear of it before it forgets who it was.
    lane.till.run().unwrap();
    let peeked = || {
        lane.devices.wait_until_idle();
        let status = api.get(&format!("/v1/terminals/{terminal_id}/status"));
        (status.data()["availability"] == "ready").then_some(())
    };
    until("the till to be ready again", peeked).unwrap();
    assert!(lane.till.stop());

    // The engine is away: nothing is forgotten.
    assert!(site.engine.stop());
    fails(&lane.till, &["unpair"], 4, "PAIRING");
    assert!(state.join("device-key").exists());
    site.engine.restart().unwrap();

    let key = fs::read_to_string(state.join("device-key")).unwrap();
    let released = succeeds(&lane.till, &["unpair"]);
    assert_eq!(released["terminal_id"], terminal_id);
    assert_eq!(released["engine_knows"], true);
    let names: Vec<String> = fs::read_dir(&state)
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert!(
        !names
            .iter()
            .any(|name| name == "device-key" || name == "identity.json"),
        "{names:?}"
    );
    let terminal = terminal_of(&api, &terminal_id);
    assert_eq!(
        (&terminal["is_paired"], &terminal["availability"]),
        (&json!(false), &json!("unpaired"))
    );
    let refusal = api.post("/v1/pos/transactions", &body);
    refused(&refusal, 409, "TERMINAL_NOT_PAIRED", "a sale afterwards");
    fails(&lane.till, &["unpair"], 3, "NOT_PAIRED");
    fails(&lane.till, &["run"], 3, "IDENTITY");

    // Another merchant's now, with a key of its own.
    let elsewhere = site.terminal(&site.other.api, "Bar");
    let (_, code) = make_code(&site.other.api, &elsewhere, &json!({}));
    succeeds(&lane.till, &["pair", "--code", &code]);
    assert_ne!(fs::read_to_string(state.join("device-key")).unwrap(), key);
    lane.till.run().unwrap();
    let path = format!("/v1/terminals/{elsewhere}/status");
    let online = || (site.other.api.get(&path).data()["is_online"] == true).then_some(());
    until("the till to be the other merchant's", online).unwrap();
    // And the terminal is free for another till.
    let (_, code) = make_code(&api, &terminal_id, &json!({}));
    succeeds(&site.till("next"), &["pair", "--code", &code]);
}

#[test]
fn the_merchant_lets_a_till_go_and_its_next_hello_is_refused() {
    let site = Site::open("taken", super::CONFIG);
    let counter = Counter::board(&site.engine);
    let mut hand = counter.till();
    let (mut link, _) = hand.link().unwrap();
    let path = format!("/v1/terminals/{}/unpair", hand.terminal_id);
    let first = counter.pos.post(&path, &json!({}));
    assert_eq!(good(&first, 200, "unpair")["is_paired"], false);
    assert!(link.is_closed_by_engine());
    assert_eq!(hand.link().err(), Some(RefusedReason::Unauthorized));
    let again = counter.pos.post(&path, &json!({}));
    assert_eq!(again.data(), first.data());

    // Its key is nobody's and may become another terminal.
    let elsewhere = site.terminal(&site.other.api, "Bar");
    let (_, code) = make_code(&site.other.api, &elsewhere, &json!({}));
    assert_eq!(redeem(site.base(), &code, &hand.key).status, 200);
    let code = counter.pairing_code(hand.terminal_id);
    let refusal = redeem(site.base(), &code, &hand.key);
    let details = refused(&refusal, 409, "DEVICE_KEY_IN_USE", "two terminals at once");
    assert!(details["terminal_id"].is_null(), "not the caller's to know");
    assert_eq!(redeem(site.base(), &code, &fresh_key()).status, 200);
}

#[test]
fn a_till_whose_engine_is_gone_is_forced_and_says_what_remains() {
    let mut site = Site::open("forced", super::CONFIG);
    let terminal_id = site.terminal(&site.merchant.api, "Lane 1");
    let (_, code) = make_code(&site.merchant.api, &terminal_id, &json!({}));
    let till = site.till("till");
    succeeds(&till, &["pair", "--code", &code]);
    assert!(site.engine.stop());
    let released = succeeds(&till, &["unpair", "--force"]);
    assert_eq!(released["engine_knows"], false);
    let remains = released["remains"][0].as_str().unwrap();
    assert!(remains.contains(&format!("/v1/terminals/{terminal_id}/unpair")));
    fails(&till, &["unpair", "--force"], 3, "NOT_PAIRED");
    // It comes back as new hardware, while the engine still has its old key.
    site.engine.restart().unwrap();
    let api = &site.merchant.api;
    assert_eq!(terminal_of(api, &terminal_id)["is_paired"], true);
    let (_, code) = make_code(api, &terminal_id, &json!({}));
    succeeds(&till, &["pair", "--code", &code]);
}
