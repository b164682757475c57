//! The door: modes, ownership, forms, keys, pages.

use harness::api::fresh_key;
use serde_json::{Value, json};

use super::Lab;
use crate::check::{board, directory, good, refused};

const FAULTS: &str = "/v1/sandbox/faults";

#[test]
fn an_engine_without_faults_says_so_on_every_route() {
    let engine =
        harness::shop::Engine::start_configured(&directory("off"), "[sandbox]\nfaults = false\n");
    let engine = engine.unwrap();
    let merchant = board(&engine.operator, None);
    let one = format!("{FAULTS}/flt_01h2xcejqtf2nbrexx3vqjhp41");
    let body = json!({"target": "acquirer", "kind": "host_no_answer"});
    for (what, answer) in [
        ("arm", merchant.api.post(FAULTS, &body)),
        ("arm nonsense", merchant.api.post(FAULTS, &json!({"x": 1}))),
        ("list", merchant.api.get(FAULTS)),
        ("disarm", merchant.api.delete(&one)),
    ] {
        refused(&answer, 403, "TEST_MODE_ONLY", what);
    }
}

#[test]
fn faults_are_armed_listed_and_taken_back_by_their_owner_only() {
    let lab = Lab::open("door");
    let other = board(&lab.engine.operator, None);
    for target in [
        lab.terminal_id.clone(),
        "trm_01h2xcejqtf2nbrexx3vqjhp41".to_owned(),
        "pos_01h2xcejqtf2nbrexx3vqjhp41".to_owned(),
    ] {
        let body = json!({"target": target, "kind": "link_cut"});
        refused(&other.api.post(FAULTS, &body), 404, "NOT_FOUND", &target);
    }
    wrong_forms(&lab);

    let body = json!({
        "target": "acquirer", "kind": "host_declines", "response_code": "91", "times": 3,
        "expires_in_s": 60,
    });
    let key = fresh_key();
    let first = lab.pos.post_keyed(FAULTS, &body, &key);
    let again = lab.pos.post_keyed(FAULTS, &body, &key);
    assert_eq!(good(&first, 201, "arm"), good(&again, 201, "arm again"));
    assert_eq!(again.header("idempotent-replayed"), "true");
    let fault = first.data();
    assert_eq!(fault["status"], "armed");
    assert_eq!(
        (&fault["at"], &fault["times"]),
        (&json!("authorizing"), &json!(3))
    );
    assert_eq!(fault["response_code"], "91");
    let conflict = lab.pos.post_keyed(
        FAULTS,
        &json!({"target": "acquirer", "kind": "host_no_answer"}),
        &key,
    );
    refused(&conflict, 409, "IDEMPOTENCY_CONFLICT", "another body");

    let path = format!("{FAULTS}/{}", first.field("id"));
    refused(
        &other.api.delete(&path),
        404,
        "NOT_FOUND",
        "somebody else's",
    );
    assert_eq!(
        good(&other.api.get(FAULTS), 200, "list")["items"],
        json!([])
    );
    for _ in 0..2 {
        let taken_back = lab.pos.delete(&path);
        assert_eq!(good(&taken_back, 200, "disarm")["status"], "disarmed");
    }
    pages(&lab);

    let short = lab.arm(json!({"kind": "link_cut", "expires_in_s": 1}));
    let expired = harness::wait::until("the fault to expire", || {
        (lab.fault(&short)["status"] == "expired").then_some(())
    });
    assert!(expired.is_some(), "{}", lab.fault(&short));
}

fn wrong_forms(lab: &Lab) {
    for (change, status, code, field) in [
        (json!({"target": null}), 422, "VALIDATION_ERROR", "target"),
        (
            json!({"target": "lane 1"}),
            422,
            "VALIDATION_ERROR",
            "target",
        ),
        (
            json!({"target": "acquirer"}),
            422,
            "VALIDATION_ERROR",
            "target",
        ),
        (json!({"kind": "explode"}), 422, "VALIDATION_ERROR", "kind"),
        (json!({"at": "noon"}), 422, "VALIDATION_ERROR", "at"),
        (
            json!({"kind": "paper_out", "at": "offered"}),
            422,
            "VALIDATION_ERROR",
            "at",
        ),
        (json!({"times": 0}), 422, "VALIDATION_ERROR", "times"),
        (json!({"times": 21}), 422, "VALIDATION_ERROR", "times"),
        (json!({"times": 1.5}), 422, "VALIDATION_ERROR", "times"),
        (
            json!({"after_ms": 60_001}),
            422,
            "VALIDATION_ERROR",
            "after_ms",
        ),
        (
            json!({"duration_ms": 300_001}),
            422,
            "VALIDATION_ERROR",
            "duration_ms",
        ),
        (json!({"delay_ms": 5}), 422, "VALIDATION_ERROR", "delay_ms"),
        (
            json!({"expires_in_s": 86_401}),
            422,
            "VALIDATION_ERROR",
            "expires_in_s",
        ),
        (
            json!({"kind": "host_delay"}),
            422,
            "VALIDATION_ERROR",
            "delay_ms",
        ),
        (
            json!({"kind": "card_presented"}),
            422,
            "VALIDATION_ERROR",
            "card",
        ),
        (json!({"surprise": 1}), 422, "VALIDATION_ERROR", "surprise"),
    ] {
        let mut body = json!({"target": lab.terminal_id, "kind": "link_cut"});
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        let details = refused(
            &lab.pos.post(FAULTS, &body),
            status,
            code,
            &body.to_string(),
        )
        .clone();
        assert_eq!(details["field"], json!(field), "{body}");
    }
    let absent = lab.pos.post(FAULTS, &json!({"kind": "link_cut"}));
    let details = refused(&absent, 400, "BAD_REQUEST", "no target");
    assert_eq!(details["field"], "target");
}

/// The list is walked page by page, newest first, and every fault is on one page.
fn pages(lab: &Lab) {
    let armed: Vec<String> = (0..7)
        .map(|_| lab.arm(json!({"kind": "link_cut", "at": "voiding"})))
        .collect();
    let mut seen: Vec<String> = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = lab.pos.get(&format!("{FAULTS}?limit=3{cursor}"));
        let data = good(&page, 200, "page");
        let ids = data["items"].as_array().unwrap().iter();
        seen.extend(ids.map(|one| one["id"].as_str().unwrap().to_owned()));
        match &data["next_cursor"] {
            Value::String(next) => cursor = format!("&cursor={next}"),
            _ => break,
        }
    }
    let newest: Vec<String> = seen.iter().take(7).rev().cloned().collect();
    assert_eq!(newest, armed);
    assert_eq!(seen.len(), 8, "{seen:?}");
}
