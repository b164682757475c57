//! The agent's command line: what it prints, and its exit codes.

use std::process::{Output, Stdio};

use harness::shop::Till;
use harness::wait::until;
use serde_json::{Value, json};

use super::{Lane, approved, attempts, begin_sale, transaction, until_pos};
use crate::check::{directory, good, refused};

/// Exit code and the one line of JSON of a command.
fn outcome(output: &Output) -> (i32, Value) {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    assert!(text.lines().count() <= 1, "more than one line: {text}");
    (
        output.status.code().unwrap_or(-1),
        serde_json::from_str(line).unwrap_or(Value::Null),
    )
}

fn run(till: &Till, arguments: &[&str]) -> (i32, Value) {
    outcome(&till.command(&[&["--json"], arguments].concat()).unwrap())
}

/// Runs a command that succeeds; gives its data.
fn done(till: &Till, arguments: &[&str]) -> Value {
    let (code, line) = run(till, arguments);
    assert_eq!(
        (code, &line["success"]),
        (0, &json!(true)),
        "{arguments:?}: {line}"
    );
    line["data"].clone()
}

/// Runs a command that fails; checks exit code and error code.
fn fails(till: &Till, arguments: &[&str], exit: i32, error: &str) {
    let (code, line) = run(till, arguments);
    assert_eq!(
        (code, &line["error"]["code"]),
        (exit, &json!(error)),
        "{arguments:?}: {line}"
    );
    assert!(
        line["error"]["message"]
            .as_str()
            .is_some_and(|it| !it.is_empty()),
        "{line}"
    );
}

/// A sale at the till, in the background, until the reader waits for the card.
fn sale(lane: &Lane, arguments: &[&str]) -> std::process::Child {
    assert!(lane.devices.wait_until_idle() && lane.wait_until_ready());
    let fixed = ["--json", "sale", "--amount", "4000", "--currency", "USD"];
    let mut command = lane.till.spawnable(&[&fixed, arguments].concat());
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    harness::reaper::note(child.id());
    child
}

fn ended(child: std::process::Child) -> (i32, Value) {
    let id = child.id();
    let output = child.wait_with_output().unwrap();
    harness::reaper::forget(id);
    outcome(&output)
}

#[test]
fn a_sale_at_the_till_says_how_it_ended() {
    let lane = Lane::take();
    let child = sale(&lane, &["--reference", "Table 4"]);
    assert!(lane.devices.wait_for_reader());
    lane.devices.present("visa", "insert").unwrap();
    let (code, line) = ended(child);
    assert_eq!(code, 0, "{line}");
    let data = &line["data"];
    assert_eq!(data["status"], "approved", "{line}");
    assert_eq!(data["amount"], json!({"minor": 4_000, "currency": "USD"}));
    let pos = lane.pos.get(&format!(
        "/v1/pos/transactions/{}",
        data["pos_id"].as_str().unwrap()
    ));
    let pos = good(&pos, 200, "read");
    assert_eq!(pos["origin"], "till");
    assert_eq!(pos["reference"], "Table 4");
    assert_eq!(pos["transaction_id"], data["transaction_id"]);
    lane.devices.remove_card();

    let child = sale(&lane, &["--authorization"]);
    for number in 1..=3 {
        assert!(lane.devices.wait_for_reader());
        lane.devices.present("declined", "tap").unwrap();
        let path = "/v1/pos/transactions?limit=1&status=in_progress";
        until("the next attempt or the end", || {
            let page = lane.pos.get(path);
            let attempts = page.data()["items"][0]["attempts"]
                .as_array()
                .map_or(9, Vec::len);
            (attempts > number).then_some(())
        });
    }
    let (code, line) = ended(child);
    assert_eq!(code, 6, "{line}");
    assert_eq!(line["data"]["status"], "declined", "{line}");

    let child = sale(&lane, &[]);
    assert!(lane.devices.wait_for_reader());
    lane.devices.present("chip-refuses", "insert").unwrap();
    let (code, line) = ended(child);
    assert!([1, 7].contains(&code), "never 0: {line}");
    assert!(
        ["in_doubt", "reversed"].contains(&line["data"]["status"].as_str().unwrap_or("-")),
        "{line}"
    );
}

#[test]
fn the_cashier_cancels_in_two_ways() {
    let lane = Lane::take();
    fails(&lane.till, &["cancel"], 6, "NOTHING_RUNNING");
    let started = done(
        &lane.till,
        &["sale", "--amount", "4100", "--currency", "USD", "--no-wait"],
    );
    assert_eq!(started["result"], "started", "{started}");
    let pos_id = started["pos_id"].as_str().unwrap().to_owned();
    assert!(lane.devices.wait_for_reader());
    fails(
        &lane.till,
        &["sale", "--amount", "1", "--currency", "USD"],
        6,
        "TERMINAL_BUSY",
    );
    refused(&lane.start_sale(1), 409, "TERMINAL_BUSY", "the other door");
    assert_eq!(done(&lane.till, &["cancel"])["verdict"], "canceled");
    let end = lane.end_of(&pos_id);
    assert_eq!(
        (end.field("status"), end.field("reason")),
        ("canceled", "cashier_canceled")
    );

    let child = sale(&lane, &[]);
    assert!(lane.devices.wait_for_reader());
    until("the cancel key to be taken", || {
        (run(&lane.till, &["cancel", "--key"]).0 == 0).then_some(())
    });
    let (code, line) = ended(child);
    assert_eq!(code, 1, "{line}");
    assert_eq!(line["data"]["status"], "canceled", "{line}");
    assert_eq!(line["data"]["reason"], "cashier_canceled", "{line}");

    // A sale of the API is canceled at the till, too, and its approval voided when asked.
    let pos_id = begin_sale(&lane, 4_200);
    assert_eq!(
        done(&lane.till, &["cancel", "--pos", &pos_id])["verdict"],
        "canceled"
    );
    let (pos_id, transaction_id) = approved(&lane, 4_300, "visa");
    let kept = done(&lane.till, &["cancel", "--pos", &pos_id]);
    assert_eq!(kept["verdict"], "too_late_approved");
    let voided = done(
        &lane.till,
        &["cancel", "--pos", &pos_id, "--void-if-too-late"],
    );
    assert_eq!(voided["verdict"], "too_late_voided");
    assert_eq!(transaction(&lane, &transaction_id)["status"], "voided");
}

#[test]
fn print_tip_void_and_status_work_at_the_till() {
    let lane = Lane::take();
    let (pos_id, transaction_id) = approved(&lane, 5_000, "mastercard");
    let tip = |amount: &str| {
        run(
            &lane.till,
            &[
                "tip",
                "--pos",
                &pos_id,
                "--amount",
                amount,
                "--currency",
                "USD",
            ],
        )
    };
    let (code, line) = tip("750");
    assert_eq!(
        (code, &line["data"]["total"]["minor"]),
        (0, &json!(5_750)),
        "{line}"
    );
    let (code, line) = tip("1001");
    assert_eq!(
        (code, &line["error"]["code"]),
        (6, &json!("TIP_LIMIT_EXCEEDED")),
        "{line}"
    );
    let queued = done(
        &lane.till,
        &["print", "--pos", &pos_id, "--copy", "merchant"],
    );
    assert_eq!(queued["result"], "print_queued", "{queued}");
    let voided = done(&lane.till, &["void", "--transaction", &transaction_id]);
    assert_eq!(voided["is_final"], true, "{voided}");
    fails(
        &lane.till,
        &["void", "--transaction", &transaction_id],
        6,
        "ALREADY_PROCESSED",
    );
    let status = done(&lane.till, &["status"]);
    assert_eq!(status["result"], "status", "{status}");
    assert!(status.to_string().contains("ready"), "{status}");
    let text = lane.till.command(&["status"]).unwrap();
    assert!(text.status.success());
    assert!(String::from_utf8_lossy(&text.stdout).contains("ready"));

    let other = "pos_01h2xcejqtf2nbrexx3vqjhp41";
    fails(&lane.till, &["print", "--pos", other], 6, "NOT_FOUND");
    fails(&lane.till, &["cancel", "--pos", other], 6, "NOT_FOUND");
    fails(
        &lane.till,
        &["void", "--transaction", "txn_01h2xcejqtf2nbrexx3vqjhp41"],
        6,
        "NOT_FOUND",
    );
    fails(
        &lane.till,
        &["sale", "--amount", "0", "--currency", "USD"],
        2,
        "INVALID_AMOUNT",
    );
    fails(
        &lane.till,
        &["sale", "--amount", "5", "--currency", "JPY"],
        6,
        "INVALID_CURRENCY",
    );
}

#[test]
fn wrong_arguments_and_wrong_places_have_their_exit_codes() {
    let lane = Lane::take();
    for arguments in [
        &["sale"][..],
        &["sale", "--amount", "12.50", "--currency", "USD"],
        &["sale", "--amount", "1250", "--currency", "usd"],
        &[
            "sale",
            "--amount",
            "99999999999999999999",
            "--currency",
            "USD",
        ],
        &["cancel", "--pos", "txn_1"],
        &["print", "--pos", "x"],
        &["refund"],
        &[],
    ] {
        let output = lane.till.command(arguments).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    // This till's state belongs to the agent that runs.
    fails(
        &lane.till,
        &["pair", "--code", "BCDFG-HJKLM"],
        8,
        "STATE_DIR",
    );
    fails(&lane.till, &["run"], 8, "STATE_DIR");
    let dir = directory("unpaired");
    let fresh = Till::install(&dir, lane.pos.base(), &lane.devices.dir).unwrap();
    fails(&fresh, &["run"], 3, "IDENTITY");
    fails(&fresh, &["status"], 1, "AGENT_NOT_RUNNING");
    fails(
        &fresh,
        &["pair", "--code", "BCDFG-HJKLM"],
        6,
        "PAIRING_CODE_INVALID",
    );
    let lost = Till::install(&dir, "http://127.0.0.1:1", &lane.devices.dir).unwrap();
    fails(&lost, &["pair", "--code", "BCDFG-HJKLM"], 4, "PAIRING");
    std::fs::write(dir.join("agent.toml"), "[reader]\npath = 5\n").unwrap();
    fails(&lost, &["status"], 2, "CONFIG");
}

#[test]
fn the_allowlist_governs_both_doors_at_once() {
    let lane = Lane::take();
    let (pos_id, transaction_id) = approved(&lane, 6_000, "visa");
    let path = format!("/v1/partners/{}/permissions", lane.partner_id);
    let set = |disabled: Value| {
        let answer = lane
            .engine
            .operator
            .put(&path, &json!({ "disabled": disabled }));
        good(&answer, 200, "permissions");
    };
    let transactions = format!("/v1/transactions/{transaction_id}");
    let pos = format!("/v1/pos/transactions/{pos_id}");
    let tip = json!({"tip_amount": 1, "currency": "USD"});
    for (permission, path, body, command) in [
        (
            "Start POS Transaction",
            "/v1/pos/transactions".to_owned(),
            lane.sale(1),
            vec!["sale", "--amount", "1", "--currency", "USD"],
        ),
        (
            "Cancel POS Transaction",
            format!("{pos}/cancel"),
            json!({}),
            vec!["cancel", "--pos", &pos_id],
        ),
        (
            "Print POS Receipt",
            format!("{pos}/print-receipt"),
            json!({}),
            vec!["print", "--pos", &pos_id],
        ),
        (
            "Submit Tip Adjustment",
            format!("{transactions}/tip-adjustment"),
            tip,
            vec![
                "tip",
                "--pos",
                &pos_id,
                "--amount",
                "1",
                "--currency",
                "USD",
            ],
        ),
        (
            "Void",
            format!("{transactions}/void"),
            json!({}),
            vec!["void", "--transaction", &transaction_id],
        ),
        (
            "Void",
            format!("{pos}/cancel"),
            json!({"if_too_late": "void"}),
            vec!["cancel", "--pos", &pos_id, "--void-if-too-late"],
        ),
    ] {
        set(json!([permission]));
        let answer = lane.pos.post(&path, &body);
        let details = refused(&answer, 403, "FORBIDDEN", permission);
        assert_eq!(details["required_permission"], permission);
        fails(&lane.till, &command, 6, "FORBIDDEN");
        set(json!([]));
    }
    assert_eq!(transaction(&lane, &transaction_id)["status"], "approved");
    assert_eq!(
        transaction(&lane, &transaction_id)["tip_amount"],
        Value::Null
    );

    // What runs goes on when the permission goes: it was checked when it began.
    let pos_id = begin_sale(&lane, 6_100);
    set(json!(["Start POS Transaction"]));
    lane.devices.present("visa", "tap").unwrap();
    assert_eq!(lane.end_of(&pos_id).field("status"), "approved");
    refused(&lane.start_sale(1), 403, "FORBIDDEN", "the next start");
    set(json!([]));
    let (pos_id, _) = approved(&lane, 6_200, "visa");
    assert_eq!(
        done(&lane.till, &["print", "--pos", &pos_id])["result"],
        "print_queued"
    );
}

#[test]
fn the_payer_chooses_the_tip_before_the_card() {
    let lane = Lane::take();
    fails(
        &lane.till,
        &["choose-tip", "--option", "0"],
        6,
        "NOTHING_RUNNING",
    );
    for (prompt, choice, tip) in [
        (json!(true), &["--option", "0"][..], json!(750)),
        (json!(true), &["--option", "2"], json!(1_000)),
        (json!(true), &[], Value::Null),
        (
            json!({"options_bps": [1_000, 2_500]}),
            &["--option", "1"],
            json!(1_250),
        ),
    ] {
        assert!(lane.devices.wait_until_idle() && lane.wait_until_ready());
        let mut body = lane.sale(5_000);
        body["tip_prompt"] = prompt;
        let started = lane.pos.post("/v1/pos/transactions", &body);
        let pos_id = good(&started, 201, "start")["id"]
            .as_str()
            .unwrap()
            .to_owned();
        until_pos(&lane, &pos_id, "the tip prompt", |pos| {
            pos["stage"] == "selecting_tip"
        });
        let command = [&["choose-tip"], choice].concat();
        until("the prompt to be on the display", || {
            (run(&lane.till, &command).0 == 0).then_some(())
        });
        assert!(lane.devices.wait_for_reader());
        lane.devices.present("visa", "tap").unwrap();
        let end = lane.end_of(&pos_id);
        let total = 5_000 + tip.as_i64().unwrap_or(0);
        assert_eq!(end.field("status"), "approved", "{}", end.text);
        assert_eq!(end.data()["tip_amount"], tip, "{choice:?}");
        assert_eq!(end.data()["total"], total, "{choice:?}");
        assert_eq!(end.data()["attempts"][0]["amount"], total, "{choice:?}");
        let found = transaction(&lane, end.field("transaction_id"));
        assert_eq!(found["authorized_amount"], total, "{choice:?}");
        assert_eq!(found["amount"], 5_000, "{choice:?}");
    }
}

#[test]
fn a_key_that_is_not_on_the_prompt_changes_nothing() {
    let lane = Lane::take();
    let mut body = lane.sale(5_000);
    body["tip_prompt"] = json!({"options_bps": [1_000], "custom": false});
    let started = lane.pos.post("/v1/pos/transactions", &body);
    let pos_id = good(&started, 201, "start")["id"]
        .as_str()
        .unwrap()
        .to_owned();
    until_pos(&lane, &pos_id, "the tip prompt", |pos| {
        pos["stage"] == "selecting_tip"
    });
    until("the prompt to be on the display", || {
        let (code, line) = run(&lane.till, &["choose-tip", "--option", "7"]);
        assert_eq!(
            code,
            if line["error"]["code"] == "INVALID_TIP" {
                2
            } else {
                6
            },
            "{line}"
        );
        (line["error"]["code"] == "INVALID_TIP").then_some(())
    })
    .unwrap();
    let pos = lane.pos.get(&format!("/v1/pos/transactions/{pos_id}"));
    assert_eq!(pos.field("stage"), "selecting_tip");
    done(&lane.till, &["cancel"]);
    assert_eq!(lane.end_of(&pos_id).field("status"), "canceled");
}

#[test]
fn a_tip_prompt_of_a_sale_at_the_till() {
    let lane = Lane::take();
    let child = sale(&lane, &["--tip-prompt"]);
    until("the prompt to be on the display", || {
        (run(&lane.till, &["choose-tip", "--option", "1"]).0 == 0).then_some(())
    });
    assert!(lane.devices.wait_for_reader());
    lane.devices.present("amex", "tap").unwrap();
    let (code, line) = ended(child);
    assert_eq!(code, 0, "{line}");
    assert_eq!(line["data"]["amount"]["minor"], 4_720, "{line}");
    assert_eq!(line["data"]["tip"]["minor"], 720, "{line}");
}

#[test]
fn a_second_card_at_a_sale_with_a_tip_is_asked_for_the_same_total() {
    let lane = Lane::take();
    let mut body = lane.sale(4_000);
    body["tip_prompt"] = json!(true);
    body["reference"] = json!("Split");
    let started = lane.pos.post("/v1/pos/transactions", &body);
    let pos_id = good(&started, 201, "start")["id"]
        .as_str()
        .unwrap()
        .to_owned();
    until("the prompt to be on the display", || {
        (run(&lane.till, &["choose-tip", "--option", "0"]).0 == 0).then_some(())
    });
    for (number, card) in ["declined", "visa"].into_iter().enumerate() {
        until_pos(&lane, &pos_id, "the attempt", |pos| {
            pos["attempts"]
                .as_array()
                .is_some_and(|attempts| attempts.len() == number + 1)
        });
        assert!(lane.devices.wait_for_reader());
        lane.devices.present(card, "tap").unwrap();
    }
    let end = lane.end_of(&pos_id);
    assert_eq!(attempts(end.data()), "declined:-, approved:-");
    let amounts: Vec<&Value> = end.data()["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["amount"])
        .collect();
    assert_eq!(amounts, [&json!(4_600), &json!(4_600)]);
}
