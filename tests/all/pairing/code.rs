//! Codes typed at the till: bound, taken back, locked, used up; and lists of them.

use harness::hand::fresh_key;
use harness::raw;
use serde_json::json;

use super::{Site, agent, fails, make_code, state_of, succeeds, terminal_of};
use crate::check::{good, refused};

#[test]
fn a_code_pairs_one_till_once() {
    let site = Site::open("codes", super::CONFIG);
    let api = &site.merchant.api;
    let terminal_id = site.terminal(api, "Lane 1");
    let (used, code) = make_code(api, &terminal_id, &json!({"life_s": 7_776_000}));
    let (back, taken_back) = make_code(api, &terminal_id, &json!({}));
    let path = format!("/v1/pairing-codes/{back}/revoke");
    good(&api.post(&path, &json!({})), 200, "revoke");
    let till = site.till("till");
    fails(
        &till,
        &["pair", "--code", &taken_back],
        6,
        "PAIRING_CODE_INVALID",
    );
    let identity = succeeds(&till, &["pair", "--code", &code.to_lowercase()]);
    assert_eq!(identity["terminal_id"], terminal_id);
    assert_eq!(state_of(api, &used), "redeemed");
    assert_eq!(state_of(api, &back), "revoked");
    let path = format!("/v1/pairing-codes/{used}/revoke");
    let refusal = api.post(&path, &json!({}));
    let details = refused(&refusal, 409, "INVALID_STATE", "a code that was used");
    assert_eq!(details["state"], "redeemed");

    // Another till with the same code is nobody, and this one must be let go first.
    let second = site.till("second");
    fails(
        &second,
        &["pair", "--code", &code],
        6,
        "PAIRING_CODE_INVALID",
    );
    let elsewhere = site.terminal(&site.other.api, "Lane 1");
    let (_, others) = make_code(&site.other.api, &elsewhere, &json!({}));
    fails(&till, &["pair", "--code", &others], 6, "ALREADY_PAIRED");
    fails(&till, &["pair"], 6, "ALREADY_PAIRED");
    // The engine does not take its word for it.
    let again = ["pair", "--again", "--code", &others];
    fails(&till, &again, 6, "DEVICE_KEY_IN_USE");
    let (_, own) = make_code(api, &terminal_id, &json!({}));
    succeeds(&till, &["pair", "--again", "--code", &own]);
}

#[test]
fn a_bound_code_is_for_its_till_and_locked_by_the_fifth_wrong_one() {
    let config = "[limits]\npairing_wrong_tries_max = 1000\n";
    let mut site = Site::open("bound", config);
    let terminal_id = site.terminal(&site.merchant.api, "Lane 1");
    let bound = json!({"serial_number": "SN-1"});
    let (good_id, for_first) = make_code(&site.merchant.api, &terminal_id, &bound);
    let (locked_id, for_nobody) = make_code(&site.merchant.api, &terminal_id, &bound);
    let wrong = site.till("wrong");
    let try_wrong = |code: &str, expected: &str| {
        let arguments = ["pair", "--code", code, "--serial-number", "SN-2"];
        fails(&wrong, &arguments, 6, expected);
    };
    try_wrong(&for_first, "PAIRING_SERIAL_MISMATCH");
    for _ in 0..4 {
        try_wrong(&for_nobody, "PAIRING_SERIAL_MISMATCH");
    }
    // The count is stored.
    site.engine.kill();
    site.engine.restart().unwrap();
    try_wrong(&for_nobody, "PAIRING_SERIAL_MISMATCH");
    let api = &site.merchant.api;
    assert_eq!(state_of(api, &locked_id), "locked");
    let right = site.till("right");
    let pair = |code: &str| agent(&right, &["pair", "--code", code, "--serial-number", "SN-1"]);
    let (exit, line) = pair(&for_nobody);
    assert_eq!(
        (exit, line["error"]["code"].as_str()),
        (Some(6), Some("PAIRING_CODE_LOCKED"))
    );
    let (exit, _) = pair(&for_first);
    assert_eq!(exit, Some(0));
    assert_eq!(state_of(api, &good_id), "redeemed");
    assert_eq!(terminal_of(api, &terminal_id)["serial_number"], "SN-1");
}

#[test]
fn a_list_of_a_thousand_tills_is_made_and_every_code_works() {
    let site = Site::open("bulk", super::CONFIG);
    let api = &site.merchant.api;
    let mut list = "label,location,serial_number,life_s\r\n".to_owned();
    for number in 0..1_000 {
        let row = format!("\"Lane {number}\",Cellar bar,SN-{number},7776000\r\n");
        list.push_str(&row);
    }
    list.push_str("Broken,,SN-5,60\r\n");
    let bearer = format!("Bearer {}", api.token());
    let send = |list: &str| {
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "text/csv"),
            ("Accept", "text/csv"),
            ("X-Idempotency-Key", "roll-out"),
        ];
        let path = "/v1/pairing-codes/bulk";
        raw::call(site.base(), "POST", path, &headers, list.as_bytes())
    };
    let made = send(&list);
    assert_eq!(made.status, 200, "one row was refused: {}", made.text);
    assert_eq!(made.header("content-type"), "text/csv; charset=utf-8");
    let lines: Vec<Vec<&str>> = made
        .text
        .lines()
        .map(|line| line.split(',').collect())
        .collect();
    assert_eq!(lines.len(), 1_002);
    assert_eq!(
        lines[0][..4],
        ["terminal_id", "label", "serial_number", "code"]
    );
    assert!(lines[1_001][0].is_empty() && made.text.contains("row 1001: VALIDATION_ERROR"));
    for place in [1, 500, 1_000] {
        let (terminal_id, code) = (lines[place][0], lines[place][3]);
        let serial_number = format!("SN-{}", place - 1);
        let till = site.till(&serial_number);
        let arguments = ["pair", "--code", code, "--serial-number", &serial_number];
        let identity = succeeds(&till, &arguments);
        assert_eq!(identity["terminal_id"], terminal_id);
        assert_eq!(identity["label"], format!("Lane {}", place - 1));
        assert_eq!(terminal_of(api, terminal_id)["location"], "Cellar bar");
    }
    // Again: nothing is made, and no code is shown twice.
    let again = send(&list);
    assert_eq!(again.header("idempotent-replayed"), "true");
    let first: Vec<&str> = again.text.lines().nth(1).unwrap().split(',').collect();
    assert_eq!((first[0], first[3]), (lines[1][0], ""));
    let key = fresh_key();
    let code = lines[2][3];
    let stolen = harness::hand::redeem(site.base(), code, &key);
    refused(
        &stolen,
        422,
        "PAIRING_SERIAL_MISMATCH",
        "without the serial number",
    );
}
