//! The acquirer misbehaves: one charge at most, and the book says so too.

use engine::acquirer::host::BookState;
use harness::wait::until;
use serde_json::{Value, json};

use super::Lab;

#[test]
fn answers_that_come_in_time_change_nothing() {
    let lab = Lab::open("answers");
    let delayed = lab.arm(json!({"kind": "host_delay", "delay_ms": 1_500}));
    lab.card_comes("tap");
    let pos_id = lab.begin(4_001);
    let path = format!("/v1/pos/transactions/{pos_id}");
    let is_waiting = || {
        let stage = lab.pos.get(&path);
        (stage.field("stage") == "authorizing").then_some(())
    };
    until("the host to think", is_waiting).unwrap();
    let end = lab.ended(&pos_id, "approved", "approved");
    let firing = lab.fired(&delayed, "authorizing", &pos_id);
    assert_eq!(firing["transaction_id"], end.data()["transaction_id"]);

    let doubled = lab.arm(json!({"kind": "host_answer_twice", "target": "acquirer"}));
    let pos_id = lab.sale(4_002, "approved", "approved");
    lab.fired(&doubled, "authorizing", &pos_id);
    // The copy has arrived by the time of another sale, and was not booked again.
    lab.arm(json!({"kind": "host_delay", "delay_ms": 500}));
    lab.sale(4_003, "approved", "approved");
    for amount in [4_001, 4_002, 4_003] {
        assert_eq!(lab.booked(amount), [BookState::Authorized], "{amount}");
    }
}

#[test]
fn a_host_that_declines_or_cannot_be_reached_moves_no_money() {
    let lab = Lab::open("declines");
    let once = lab.arm(json!({"kind": "host_declines", "response_code": "51"}));
    lab.arm(json!({"kind": "card_presented", "card": "visa", "times": 2}));
    let pos_id = lab.begin(4_101);
    let end = lab.ended(&pos_id, "approved", "approved");
    assert_eq!(
        end.data()["attempts"][0]["state"],
        "declined",
        "{}",
        end.text
    );
    lab.fired(&once, "authorizing", &pos_id);
    let declined = end.data()["attempts"][0]["transaction_id"].as_str();
    let path = format!("/v1/transactions/{}", declined.unwrap());
    let transaction = lab.pos.get(&path);
    assert_eq!(
        transaction.data()["response_code"],
        "51",
        "{}",
        transaction.text
    );
    let mut booked = lab.booked(4_101);
    booked.sort_by_key(|state| *state == BookState::Authorized);
    assert_eq!(booked, [BookState::Declined, BookState::Authorized]);

    let always = lab.arm(json!({"kind": "host_declines", "times": 3}));
    lab.arm(json!({"kind": "card_presented", "card": "visa", "times": 3}));
    let pos_id = lab.begin(4_102);
    lab.ended(&pos_id, "declined", "host_declined");
    assert_eq!(lab.fault(&always)["fired_count"], 3);
    assert_eq!(lab.booked(4_102), [BookState::Declined; 3]);

    let away = lab.arm(json!({"kind": "host_unreachable", "target": "acquirer"}));
    let pos_id = lab.sale(4_103, "failed", "acquirer_unreachable");
    lab.fired(&away, "authorizing", &pos_id);
    assert_eq!(lab.booked(4_103), []);
}

/// The engine gives up, undoes, and is right whenever the host acted.
fn is_undone(name: &str, kind: &str, amount: i64) -> (Lab, String) {
    let lab = Lab::open(name);
    let fault = lab.arm(json!({"kind": kind, "target": "acquirer"}));
    lab.card_comes("tap");
    let pos_id = lab.begin(amount);
    let end = lab.ended(&pos_id, "reversed", "acquirer_unknown");
    assert_eq!(end.data()["transaction_id"], Value::Null);
    lab.fired(&fault, "authorizing", &pos_id);
    assert_eq!(lab.booked(amount), [BookState::Reversed]);
    // The doubt blocked nothing but itself, and leaves nothing behind.
    lab.sale(amount + 1, "approved", "approved");
    assert_eq!(lab.booked(amount + 1), [BookState::Authorized]);
    (lab, pos_id)
}

#[test]
fn an_answer_that_never_comes_is_in_doubt_and_undone() {
    is_undone("no-answer", "host_no_answer", 4_201);
}

#[test]
fn an_answer_that_comes_too_late_is_not_believed() {
    let (lab, pos_id) = is_undone("answer-late", "host_answer_late", 4_301);
    // The answer has come five seconds after the time limit, while the sales above went on.
    lab.ended(&pos_id, "reversed", "acquirer_unknown");
    assert_eq!(lab.booked(4_301), [BookState::Reversed]);
}

#[test]
fn a_host_that_acts_too_late_is_undone_when_it_has() {
    is_undone("acts-late", "host_acts_late", 4_401);
}

#[test]
fn a_reversal_can_be_made_to_wait() {
    let lab = Lab::open("slow-reversal");
    lab.card_comes("insert");
    lab.arm(json!({"kind": "card_pulled", "at": "confirming"}));
    let slow = lab.arm(json!({"kind": "host_delay", "at": "reversing", "delay_ms": 3_000}));
    let pos_id = lab.begin(4_501);
    let path = format!("/v1/pos/transactions/{pos_id}");
    let seen = until("the doubt", || {
        let answer = lab.pos.get(&path);
        (answer.field("status") == "in_doubt").then_some(answer)
    });
    let seen = seen.unwrap();
    assert_eq!(seen.data()["in_doubt"]["who_holds_truth"], "acquirer");
    lab.ended(&pos_id, "reversed", "card_removed");
    lab.fired(&slow, "reversing", &pos_id);
    assert_eq!(lab.booked(4_501), [BookState::Reversed]);
}
