//! After the approval: tips, voids, cancels, and what can be done when.

use serde_json::{Value, json};

use super::{Lane, approved, begin_sale, pay, transaction};
use crate::check::{good, mint, refused};

fn tip_body(amount: i64) -> Value {
    json!({"tip_amount": amount, "currency": "USD"})
}

#[test]
fn tips_are_bounded_replaced_and_counted() {
    let lane = Lane::take();
    let (_, id) = approved(&lane, 10_000, "visa");
    let path = format!("/v1/transactions/{id}/tip-adjustment");
    let too_much = lane.pos.post(&path, &tip_body(2_001));
    let details = refused(&too_much, 422, "TIP_LIMIT_EXCEEDED", "one cent above 20 %");
    assert_eq!(
        details["limit"],
        json!({"amount": 2_000, "currency": "USD"})
    );
    assert_eq!(details["field"], "tip_amount");
    let euros = lane
        .pos
        .post(&path, &json!({"tip_amount": 1, "currency": "EUR"}));
    let details = refused(&euros, 422, "VALIDATION_ERROR", "euros");
    assert_eq!(details["field"], "currency");
    for (number, tip) in [2_000, 0, 1, 2, 3, 4, 5, 6, 7, 1_999]
        .into_iter()
        .enumerate()
    {
        let adjusted = lane.pos.post(&path, &tip_body(tip));
        let data = good(&adjusted, 200, "tip");
        assert_eq!(data["total"], 10_000 + tip);
        assert_eq!(data["tip_amount"], tip);
        assert_eq!(
            data["tip_revisions"].as_array().map(Vec::len),
            Some(number + 1)
        );
    }
    let once_more = lane.pos.post(&path, &tip_body(8));
    let details = refused(&once_more, 409, "TIP_NOT_ALLOWED", "the eleventh change");
    assert_eq!(details["why"], "changed too often");
    assert_eq!(transaction(&lane, &id)["total"], 11_999);
}

fn operations(data: &Value) -> Vec<(String, String)> {
    let each = data["available_operations"]
        .as_array()
        .into_iter()
        .flatten();
    each.map(|one| {
        let reason = match one["available"] == json!(true) {
            true => "-".to_owned(),
            false => one["reason"].as_str().unwrap_or("?").to_owned(),
        };
        (
            one["operation"].as_str().unwrap_or_default().to_owned(),
            reason,
        )
    })
    .collect()
}

fn named(reasons: [&str; 3]) -> Vec<(String, String)> {
    let names = ["void", "tip_adjustment", "print"];
    names
        .iter()
        .zip(reasons)
        .map(|(name, why)| ((*name).to_owned(), why.to_owned()))
        .collect()
}

#[test]
fn what_can_be_done_is_said_with_the_reason_for_what_cannot() {
    let lane = Lane::take();
    let (_, id) = approved(&lane, 2_000, "visa");
    assert_eq!(operations(&transaction(&lane, &id)), named(["-", "-", "-"]));
    let body = json!({"label": "reader", "scopes": ["transactions:read"]});
    let (_, secret) = mint(&lane.engine.operator, &lane.merchant_id, &body);
    let reading = lane
        .pos
        .with_token(&secret)
        .get(&format!("/v1/transactions/{id}"));
    let all = ["FORBIDDEN"; 3];
    assert_eq!(
        operations(good(&reading, 200, "with a reader's key")),
        named(all)
    );

    let void = format!("/v1/transactions/{id}/void");
    let voided = lane.pos.post(&void, &json!({}));
    assert_eq!(good(&voided, 200, "void")["status"], "voided");
    let after = ["ALREADY_PROCESSED", "INVALID_STATE", "-"];
    assert_eq!(operations(&transaction(&lane, &id)), named(after));
    let again = lane.pos.post(&void, &json!({}));
    let details = refused(&again, 409, "ALREADY_PROCESSED", "a second void");
    assert_eq!(details["resource_id"], json!(id));
    assert_eq!(details["outcome_known"], true);
    let tip = lane.pos.post(
        &format!("/v1/transactions/{id}/tip-adjustment"),
        &tip_body(1),
    );
    let details = refused(&tip, 409, "INVALID_STATE", "a tip after the void");
    assert_eq!(details["state"], "voided");

    let pos_id = begin_sale(&lane, 2_001);
    lane.devices.present("declined", "tap").unwrap();
    let pos = super::until_pos(&lane, &pos_id, "the decline", |pos| {
        pos["attempts"]
            .as_array()
            .is_some_and(|attempts| attempts.len() == 2)
    });
    let id = pos["attempts"][0]["transaction_id"].as_str().unwrap();
    let of_declined = ["INVALID_STATE", "INVALID_STATE", "-"];
    assert_eq!(operations(&transaction(&lane, id)), named(of_declined));
    let void = lane
        .pos
        .post(&format!("/v1/transactions/{id}/void"), &json!({}));
    refused(&void, 409, "INVALID_STATE", "a void of a declined one");
}

#[test]
fn a_void_that_the_acquirer_refuses_leaves_the_sale_standing() {
    let lane = Lane::take();
    let (_, id) = approved(&lane, 100_086, "mastercard");
    let void = lane
        .pos
        .post(&format!("/v1/transactions/{id}/void"), &json!({}));
    refused(&void, 409, "INVALID_STATE", "the void");
    let found = transaction(&lane, &id);
    assert_eq!(found["status"], "approved");
    assert_eq!(found["pending_operation"], Value::Null);
    assert_eq!(operations(&found), named(["-", "-", "-"]));
}

#[test]
fn every_cancel_has_its_verdict() {
    let lane = Lane::take();
    let cancel = |pos_id: &str, body: Value| {
        let answer = lane
            .pos
            .post(&format!("/v1/pos/transactions/{pos_id}/cancel"), &body);
        let data = good(&answer, 200, pos_id).clone();
        let text = |name: &str| data[name].as_str().unwrap_or("-").to_owned();
        let verdict = data["cancel"]["verdict"].as_str().unwrap_or("-").to_owned();
        (verdict, text("status"), text("reason"))
    };
    let is = |verdict: &str, status: &str, reason: &str| {
        (verdict.to_owned(), status.to_owned(), reason.to_owned())
    };
    let keep = || json!({});
    let void = || json!({"if_too_late": "void"});

    let waiting = begin_sale(&lane, 2_100);
    for body in [keep(), void(), keep()] {
        let found = cancel(&waiting, body);
        assert_eq!(
            (found.1.as_str(), found.2.as_str()),
            ("canceled", "pos_canceled")
        );
        assert!(
            ["canceled", "already_final"].contains(&found.0.as_str()),
            "{found:?}"
        );
    }
    let (standing, transaction_id) = approved(&lane, 2_200, "visa");
    assert_eq!(
        cancel(&standing, keep()),
        is("too_late_approved", "approved", "approved")
    );
    assert_eq!(transaction(&lane, &transaction_id)["status"], "approved");
    assert_eq!(
        cancel(&standing, void()),
        is("too_late_voided", "approved", "approved")
    );
    assert_eq!(transaction(&lane, &transaction_id)["status"], "voided");
    assert_eq!(
        cancel(&standing, void()),
        is("too_late_voided", "approved", "approved")
    );

    let reversed = pay(&lane, 2_300, "chip-refuses", "insert")
        .field("id")
        .to_owned();
    assert_eq!(
        cancel(&reversed, void()),
        is("too_late_reversed", "reversed", "chip_declined")
    );
    let failed = pay(&lane, 100_085, "visa", "tap").field("id").to_owned();
    assert_eq!(
        cancel(&failed, keep()),
        is("already_final", "failed", "acquirer_unreachable")
    );
}

#[test]
fn undoing_an_approval_by_a_cancel_takes_the_right_to_void() {
    let lane = Lane::take();
    let (pos_id, transaction_id) = approved(&lane, 2_400, "visa");
    let path = format!("/v1/pos/transactions/{pos_id}/cancel");
    let body = json!({"label": "no void", "scopes": ["pos:cancel"]});
    let (_, secret) = mint(&lane.engine.operator, &lane.merchant_id, &body);
    let narrow = lane.pos.with_token(&secret);
    let answer = narrow.post(&path, &json!({"if_too_late": "void"}));
    let details = refused(&answer, 403, "FORBIDDEN", "cancel and void");
    assert_eq!(details["required_scope"], "transactions:void");
    good(&narrow.post(&path, &json!({})), 200, "cancel");
    assert_eq!(transaction(&lane, &transaction_id)["status"], "approved");
}

#[test]
fn a_wait_ends_with_the_sale() {
    let lane = Lane::take();
    let pos_id = begin_sale(&lane, 2_500);
    let path = format!("/v1/pos/transactions/{pos_id}");
    let short = lane.pos.get(&format!("{path}?wait_s=0"));
    assert_eq!(good(&short, 200, "no wait")["status"], "in_progress");
    let short = lane.pos.get(&format!("{path}?wait_s=1"));
    assert_eq!(
        good(&short, 200, "a wait that runs out")["status"],
        "in_progress"
    );
    std::thread::scope(|scope| {
        let waits: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| lane.pos.get(&format!("{path}?wait_s=60"))))
            .collect();
        lane.devices.present("visa", "tap").unwrap();
        for wait in waits {
            let answer = wait.join().unwrap();
            assert_eq!(good(&answer, 200, "a wait")["status"], "approved");
        }
    });
}

#[test]
fn a_running_sale_shows_in_the_status_of_its_terminal() {
    let lane = Lane::take();
    let path = format!("/v1/terminals/{}/status", lane.terminal_id);
    let idle = lane.pos.get(&path);
    assert_eq!(
        good(&idle, 200, "idle")["current_pos_transaction_id"],
        Value::Null
    );
    let pos_id = begin_sale(&lane, 2_600);
    let busy = harness::wait::until("the terminal to be busy", || {
        let answer = lane.pos.get(&path);
        (answer.field("availability") == "busy").then_some(answer)
    });
    let busy = busy.unwrap();
    let data = good(&busy, 200, "busy");
    assert_eq!(data["current_pos_transaction_id"], json!(pos_id));
    for name in ["age_ms", "report_age_ms"] {
        // An online terminal is heard of at least every 30 seconds.
        assert!(
            data[name].as_u64().is_some_and(|age| age <= 30_000),
            "{name}: {data}"
        );
    }
    let second = lane.start_sale(2_601);
    let details = refused(&second, 409, "TERMINAL_BUSY", "a second start");
    assert_eq!(details["running"], json!(pos_id));
}
