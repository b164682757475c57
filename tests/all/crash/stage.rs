//! One kill at each stage of a sale.

use std::thread;

use harness::api::fresh_key;
use harness::programs::Signal;
use harness::wait::until;
use serde_json::{Value, json};

use super::Victim;

/// Approved five seconds after it was booked.
const SLOW: i64 = 100_083;

/// Plays all scenarios in one shop, each followed by all checks.
fn play(scenarios: &[(&str, fn(&mut Victim))]) {
    let mut victim = Victim::open();
    for (what, scenario) in scenarios {
        assert!(victim.shop.wait_until_ready(), "before: {what}");
        scenario(&mut victim);
        victim.check(what);
        victim.shop.devices.remove_card();
    }
    victim.close();
}

fn status(pos: &Value) -> &str {
    pos["status"].as_str().unwrap_or_default()
}

#[test]
fn the_engine_is_killed_at_each_stage_before_the_end() {
    play(&[
        ("engine killed: offered", |victim| {
            victim.pause_agent();
            let pos_id = victim.start_sale(1_001);
            victim.wait_for_stage(&pos_id, "offered");
            victim.kill_engine();
            victim.restart_engine();
            victim.resume_agent();
            victim.pay("tap");
            assert_eq!(status(&victim.end_of(&pos_id)), "approved");
        }),
        ("engine killed: awaiting card", |victim| {
            let pos_id = victim.start_sale(1_002);
            assert!(victim.shop.devices.wait_for_reader());
            victim.wait_for_stage(&pos_id, "awaiting_card");
            victim.kill_engine();
            victim.restart_engine();
            // The attempt is forgotten on both sides; another one is granted.
            let path = format!("/v1/pos/transactions/{pos_id}");
            let granted = until("the second attempt", || {
                let pos = victim.shop.pos.get(&path);
                (pos.data()["attempts"][1]["state"] == "granted").then_some(())
            });
            assert!(granted.is_some(), "{}", victim.shop.pos.get(&path).text);
            victim.pay("tap");
            assert_eq!(status(&victim.end_of(&pos_id)), "approved");
        }),
        (
            "engine killed: authorizing, the acquirer has booked",
            |victim| {
                let length = victim.book_length();
                let pos_id = victim.start_paying(SLOW, "tap");
                victim.wait_for_book(length);
                victim.wait_for_stage(&pos_id, "authorizing");
                victim.kill_engine();
                victim.restart_engine();
                let end = victim.end_of(&pos_id);
                assert_eq!(
                    (status(&end), &end["reason"]),
                    ("reversed", &json!("engine_restarted"))
                );
            },
        ),
        (
            "engine killed: as soon as the acquirer has booked",
            |victim| {
                let length = victim.book_length();
                let pos_id = victim.start_paying(1_004, "insert");
                victim.wait_for_book(length);
                victim.kill_engine();
                victim.restart_engine();
                // Whether the answer was committed before the kill decides.
                assert!(matches!(
                    status(&victim.end_of(&pos_id)),
                    "approved" | "reversed"
                ));
            },
        ),
        ("engine killed twice: confirming", |victim| {
            let pos_id = victim.start_paying(SLOW, "tap");
            victim.wait_for_stage(&pos_id, "authorizing");
            victim.pause_agent();
            victim.wait_for_stage(&pos_id, "confirming");
            victim.kill_engine();
            victim.restart_engine();
            victim.kill_engine();
            victim.restart_engine();
            victim.resume_agent();
            assert_eq!(status(&victim.end_of(&pos_id)), "approved");
        }),
    ]);
}

#[test]
fn the_engine_is_killed_after_an_approval() {
    play(&[
        ("engine killed: approved, not printed", |victim| {
            run_out_of_paper(victim);
            let pos_id = victim.start_paying(1_101, "tap");
            let sale = victim.end_of(&pos_id);
            victim.kill_engine();
            victim.restart_engine();
            assert!(victim.shop.wait_until_ready());
            victim.shop.devices.printer("paper-in").unwrap();
            expect_prints(victim, &sale);
        }),
        ("engine killed: voiding", |victim| {
            killed_during(victim, "void", json!({}));
        }),
        ("engine killed: tip adjustment", |victim| {
            killed_during(
                victim,
                "tip-adjustment",
                json!({"tip_amount": 100, "currency": "USD"}),
            );
        }),
        ("engine killed: canceling", |victim| {
            let pos_id = victim.start_sale(1_104);
            assert!(victim.shop.devices.wait_for_reader());
            let path = format!("/v1/pos/transactions/{pos_id}/cancel");
            let canceled = victim.ledger.post(&victim.shop.pos, &path, json!({}));
            assert_eq!(canceled.data()["cancel"]["verdict"], "canceled");
            victim.kill_engine();
            victim.restart_engine();
            assert_eq!(status(&victim.end_of(&pos_id)), "canceled");
            assert!(victim.shop.devices.wait_until_idle());
        }),
    ]);
}

/// The printer runs out of paper, and the agent knows: nothing of a job goes to it from now on.
/// Before that is known a job may have begun, and whoever is killed then leaves it `unknown`.
fn run_out_of_paper(victim: &Victim) {
    victim.shop.devices.printer("paper-out").unwrap();
    let path = format!("/v1/terminals/{}/status", victim.shop.terminal_id);
    let known = until("the engine to hear of it", || {
        let status = victim.shop.pos.get(&path);
        (status.data()["printer"]["paper"] == "out").then_some(())
    });
    assert!(known.is_some(), "{}", victim.shop.pos.get(&path).text);
}

/// The sale stands, its copies come out once, and the engine knows.
fn expect_prints(victim: &Victim, sale: &Value) {
    assert_eq!(status(sale), "approved", "{sale}");
    let pos_id = sale["id"].as_str().unwrap_or_default();
    let path = format!("/v1/pos/transactions/{pos_id}/print-jobs");
    let printed = until("both copies", || {
        let jobs = victim.shop.pos.get(&path).data()["items"].clone();
        let jobs = jobs.as_array().cloned().unwrap_or_default();
        let is_printed = |job: &Value| job["status"] == "printed";
        (jobs.len() == 2 && jobs.iter().all(is_printed)).then_some(())
    });
    assert!(printed.is_some(), "{}", victim.shop.pos.get(&path).text);
    let id = sale["transaction_id"].as_str().unwrap();
    let count = || {
        let papers = 1..=victim.shop.devices.papers();
        let text = papers.filter_map(|number| victim.shop.devices.paper(number));
        text.filter(|text| text.contains(id)).count()
    };
    until("both papers", || (count() >= 2).then_some(()));
    assert_eq!(count(), 2, "papers of {id}");
}

/// Kills the engine as soon as the acquirer has acted on an operation, and asks again.
fn killed_during(victim: &mut Victim, operation: &str, body: Value) {
    let pos_id = victim.start_paying(1_110, "tap");
    let sale = victim.end_of(&pos_id);
    let transaction_id = sale["transaction_id"].as_str().unwrap_or_default();
    let path = format!("/v1/transactions/{transaction_id}/{operation}");
    let key = fresh_key();
    let length = victim.book_length();
    let asking = {
        let (pos, path, body, key) = (
            victim.shop.pos.clone(),
            path.clone(),
            body.clone(),
            key.clone(),
        );
        thread::spawn(move || pos.post_keyed(&path, &body, &key))
    };
    victim.wait_for_book(length);
    victim.kill_engine();
    let answer = asking.join().unwrap();
    victim.ledger.note(&path, &key, body.clone(), &answer);
    victim.restart_engine();
    let again = until("the answer", || {
        let again = victim
            .ledger
            .post_keyed(&victim.shop.pos, &path, body.clone(), &key);
        (again.code() != "IDEMPOTENCY_IN_PROGRESS").then_some(again)
    });
    let again = again.expect("an operation ends");
    assert_eq!(again.status, 200, "{}", again.text);
}

#[test]
fn the_agent_is_killed_at_each_stage() {
    play(&[
        ("agent killed: offered", |victim| {
            victim.pause_agent();
            let pos_id = victim.start_sale(1_201);
            victim.wait_for_stage(&pos_id, "offered");
            victim.kill_agent();
            victim.run_agent();
            // Back within the offer's seconds it is offered again; later it has failed.
            let waits = || {
                let end = victim
                    .shop
                    .pos
                    .get(&format!("/v1/pos/transactions/{pos_id}"));
                let is_over = end.field("status") != "in_progress";
                let phase = victim.shop.devices.status()["reader"]["phase"].clone();
                (is_over || phase == "polling").then_some(is_over)
            };
            if until("another offer, or the end", waits) == Some(false) {
                victim.pay("tap");
            }
            assert!(matches!(
                status(&victim.end_of(&pos_id)),
                "approved" | "failed"
            ));
        }),
        ("agent killed: awaiting card", |victim| {
            let pos_id = victim.start_sale(1_202);
            assert!(victim.shop.devices.wait_for_reader());
            victim.kill_agent();
            victim.run_agent();
            let end = victim.end_of(&pos_id);
            assert_eq!(
                (status(&end), &end["reason"]),
                ("failed", &json!("terminal_restarted"))
            );
            assert!(
                victim.shop.devices.wait_until_idle(),
                "the reader is told to stop"
            );
        }),
        ("agent killed: authorizing", |victim| {
            let pos_id = victim.start_paying(SLOW, "insert");
            victim.wait_for_stage(&pos_id, "authorizing");
            victim.kill_agent();
            victim.run_agent();
            assert_eq!(status(&victim.end_of(&pos_id)), "reversed");
        }),
        ("agent killed: confirming", |victim| {
            let pos_id = victim.start_paying(SLOW, "tap");
            victim.wait_for_stage(&pos_id, "authorizing");
            harness::programs::signal(victim.shop.till.id(), Signal::STOP);
            victim.wait_for_stage(&pos_id, "confirming");
            victim.kill_agent();
            victim.run_agent();
            assert_eq!(status(&victim.end_of(&pos_id)), "reversed");
        }),
        ("agent killed: approved, not printed", |victim| {
            run_out_of_paper(victim);
            let pos_id = victim.start_paying(1_205, "tap");
            let sale = victim.end_of(&pos_id);
            victim.kill_agent();
            victim.run_agent();
            assert!(victim.shop.wait_until_ready());
            victim.shop.devices.printer("paper-in").unwrap();
            expect_prints(victim, &sale);
        }),
    ]);
}

#[test]
fn the_devices_are_killed_at_each_stage() {
    play(&[
        ("devices killed: awaiting card", |victim| {
            let pos_id = victim.start_sale(1_301);
            assert!(victim.shop.devices.wait_for_reader());
            victim.unplug_devices();
            let end = victim.end_of(&pos_id);
            assert_eq!(
                (status(&end), &end["reason"]),
                ("failed", &json!("reader_fault"))
            );
            victim.plug_devices_in();
        }),
        (
            "devices killed: the chip waits for the acquirer",
            |victim| {
                let pos_id = victim.start_paying(SLOW, "insert");
                victim.wait_for_stage(&pos_id, "authorizing");
                victim.unplug_devices();
                assert_eq!(status(&victim.end_of(&pos_id)), "reversed");
                victim.plug_devices_in();
            },
        ),
        ("devices killed: approved, not printed", |victim| {
            run_out_of_paper(victim);
            let pos_id = victim.start_paying(1_303, "tap");
            let sale = victim.end_of(&pos_id);
            victim.unplug_devices();
            victim.plug_devices_in();
            expect_prints(victim, &sale);
        }),
    ]);
}
