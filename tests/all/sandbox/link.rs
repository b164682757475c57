//! The link is cut: the sale goes on where the rules let it, and nothing is printed twice.

use engine::acquirer::host::BookState;
use serde_json::json;

use super::Lab;
use crate::check::refused;

#[test]
fn a_cut_at_any_stage_costs_time_and_nothing_else() {
    let lab = Lab::open("cuts");
    let stages = [
        "offered",
        "awaiting_card",
        "authorizing",
        "confirming",
        "approved",
        "printing",
    ];
    for (amount, stage) in (5_001..).zip(stages) {
        let cut = lab.arm(json!({"kind": "link_cut", "at": stage}));
        let pos_id = lab.begin(amount);
        assert!(lab.devices.wait_for_reader(), "{stage}");
        lab.devices.present("visa", "tap").unwrap();
        lab.ended(&pos_id, "approved", "approved");
        lab.fired(&cut, stage, &pos_id);
        assert_eq!(lab.booked(amount), [BookState::Authorized], "{stage}");
        let jobs = lab.until_jobs(&pos_id, stage, |job| job["status"] == "printed");
        assert_eq!(jobs.len(), 2, "{stage}: {jobs:?}");
        assert!(jobs.iter().all(|job| job["is_duplicate"] == json!(false)));
    }
    assert_eq!(lab.devices.papers(), 2 * stages.len());
}

#[test]
fn a_cut_while_the_reader_waits_ends_the_attempt_and_grants_another() {
    let lab = Lab::open("cut-reading");
    let cut = lab.arm(json!({"kind": "link_cut", "at": "awaiting_card", "after_ms": 300}));
    let pos_id = lab.begin(5_101);
    let path = format!("/v1/pos/transactions/{pos_id}");
    let granted = harness::wait::until("the second attempt", || {
        let pos = lab.pos.get(&path);
        (pos.data()["attempts"].as_array().map(Vec::len) == Some(2)).then_some(())
    });
    assert!(granted.is_some(), "{}", lab.pos.get(&path).text);
    assert!(lab.devices.wait_for_reader());
    lab.devices.present("visa", "tap").unwrap();
    let end = lab.ended(&pos_id, "approved", "approved");
    assert_eq!(end.data()["attempts"][0]["reason"], "terminal_unreachable");
    lab.fired(&cut, "awaiting_card", &pos_id);
    assert_eq!(lab.booked(5_101), [BookState::Authorized]);
}

#[test]
fn a_terminal_that_stays_away_fails_the_offer_and_takes_no_other() {
    let lab = Lab::open("cut-long");
    let cut = lab.arm(json!({"kind": "link_cut", "at": "offered", "duration_ms": 8_000}));
    let pos_id = lab.begin(5_201);
    let refusal = harness::wait::until("the terminal to be away", || {
        let answer = lab.start_sale(5_202);
        (answer.code() == "TERMINAL_OFFLINE").then_some(answer)
    });
    refused(
        &refusal.unwrap(),
        409,
        "TERMINAL_OFFLINE",
        "while it is away",
    );
    lab.ended(&pos_id, "failed", "terminal_unreachable");
    lab.fired(&cut, "offered", &pos_id);
    assert_eq!(lab.booked(5_201), []);
    // It comes back by itself.
    lab.sale(5_203, "approved", "approved");
}
