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

/// The engine gives up after its time limit, undoes, and is right whenever the host acted. One
/// shop for all three: a doubt blocks nothing but itself, and the last kind takes over a minute.
#[test]
fn what_is_not_answered_in_time_is_in_doubt_and_undone() {
    let lab = Lab::open("doubts");
    let doubts: Vec<(i64, String)> = [
        (4_201, "host_acts_late"),
        (4_202, "host_no_answer"),
        (4_203, "host_answer_late"),
    ]
    .into_iter()
    .map(|(amount, kind)| {
        let fault = lab.arm(json!({"kind": kind, "target": "acquirer"}));
        lab.card_comes("tap");
        let pos_id = lab.begin(amount);
        let path = format!("/v1/pos/transactions/{pos_id}");
        let given_up = until(kind, || {
            let pos = lab.pos.get(&path);
            (pos.field("status") != "in_progress").then_some(pos)
        });
        let pos = given_up.unwrap();
        assert_eq!(pos.field("reason"), "acquirer_unknown", "{}", pos.text);
        lab.fired(&fault, "authorizing", &pos_id);
        (amount, pos_id)
    })
    .collect();
    lab.sale(4_204, "approved", "approved");
    for (amount, pos_id) in doubts {
        let end = lab.ended(&pos_id, "reversed", "acquirer_unknown");
        assert_eq!(end.data()["transaction_id"], Value::Null);
        assert_eq!(lab.booked(amount), [BookState::Reversed], "{amount}");
    }
    assert_eq!(lab.booked(4_204), [BookState::Authorized]);
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
