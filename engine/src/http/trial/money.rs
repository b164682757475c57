//! Same key, same answer; what is not decided yet is answered so.

mod secret;
mod view;

use std::sync::Arc;

use protocol::id::{AttemptId, PosTransactionId, TransactionId};
use protocol::link::{PosKind, PosStatus};
use serde_json::json;
use uuid::Uuid;

use super::world::{T0, World, every_scope, merchant_id, pos, terminal_id, usd};
use crate::domain::card::{CardSummary, EntryMode};
use crate::domain::pos::{Attempt, AttemptState, Cancel, IfTooLate, PosTransaction};
use crate::domain::reason::Reason;
use crate::domain::rejection::Rejection;
use crate::domain::transaction::{
    HostResult, Intent, IntentKind, Trace, Transaction, TransactionState,
};
use crate::owner::request::Answer;

const START: &str = "/v1/pos/transactions";

fn start_body(amount: i64) -> String {
    json!({"terminal_id": terminal_id(), "amount": amount, "currency": "USD"}).to_string()
}

fn transaction(state: TransactionState) -> Transaction {
    Transaction {
        id: TransactionId::from_uuid(Uuid::from_u128(21)),
        merchant_id: merchant_id(1),
        terminal_id: terminal_id(),
        pos_id: PosTransactionId::from_uuid(Uuid::from_u128(22)),
        attempt_id: AttemptId::from_uuid(Uuid::from_u128(23)),
        kind: PosKind::Sale,
        base: usd(1_234),
        tip: None,
        requested: usd(1_234),
        authorized: Some(usd(1_234)),
        reference: None,
        state,
        trace: Trace {
            number: 7,
            sent_at: T0,
        },
        card: CardSummary {
            brand: "visa".into(),
            masked_number: Some("400000******0002".into()),
            entry: EntryMode::Contact,
            emv: Arc::new([(0x84, vec![0xA0, 0, 0, 0, 3, 0x10, 0x10])].into()),
        },
        host: Some(HostResult {
            response_code: "00".into(),
            authorization_code: Some("123456".into()),
            retrieval_reference: None,
        }),
        intent: None,
        reversal: None,
        tip_revisions: Vec::new(),
        resolution: None,
        reason: None,
        created_at: T0,
        updated_at: T0,
        revision: 3,
    }
}

fn approved(transaction: &Transaction) -> PosTransaction {
    let mut sale = pos(1, T0);
    sale.attempts.push(Attempt {
        id: transaction.attempt_id,
        number: 1,
        granted_at: T0,
        expires_at: T0,
        amount: usd(1_234),
        state: AttemptState::Approved,
        transaction_id: Some(transaction.id),
        advice: None,
    });
    sale.close(PosStatus::Approved, Reason::Approved, T0);
    sale
}

#[actix_web::test]
async fn a_repeat_gets_the_same_status_and_bytes() {
    let world = World::new();
    let token = world.token(1, every_scope());
    let rotated = world.token(1, every_scope());
    world.will_answer(Ok(Answer::Started(Box::new(pos(1, T0)))));
    let first = world
        .post(&token, START, Some("order-1"), &start_body(1_234))
        .await;
    assert_eq!(first.status, 201);
    assert_eq!(first.header("idempotent-replayed"), None);
    let spaced = format!(
        r#"{{ "currency": "USD", "amount": 1234, "terminal_id": "{}" }}"#,
        terminal_id()
    );
    let again = world.post(&rotated, START, Some("order-1"), &spaced).await;
    assert_eq!((again.status, &again.bytes), (first.status, &first.bytes));
    assert_eq!(again.header("idempotent-replayed").as_deref(), Some("true"));
    assert_ne!(again.header("x-trace-id"), first.header("x-trace-id"));

    let other = world
        .post(&token, START, Some("order-1"), &start_body(9))
        .await;
    assert_eq!(
        (other.status.as_u16(), other.code().as_str()),
        (409, "IDEMPOTENCY_CONFLICT")
    );
    assert_eq!(other.error()["details"]["retry"], "new_key");

    // Another merchant's key of the same text is another key.
    let stranger = world.token(2, every_scope());
    world.will_answer(Err(Rejection::NotFound));
    let got = world
        .post(&stranger, START, Some("order-1"), &start_body(1_234))
        .await;
    assert_eq!(got.status, 404);
}

#[actix_web::test]
async fn a_refused_start_says_why_and_what_runs() {
    let world = World::new();
    let token = world.token(1, every_scope());
    let running = pos(5, T0).id;
    world.will_answer(Err(Rejection::TerminalBusy { running }));
    let got = world.post(&token, START, Some("k"), &start_body(1)).await;
    let error = got.error();
    assert_eq!(got.status, 409);
    assert_eq!(error["code"], "TERMINAL_BUSY");
    assert_eq!(error["details"]["running"], running.to_string());
    assert_eq!(error["details"]["outcome_known"], true);
    assert_eq!(error["details"]["retryable"], true);
    // The key is not used up.
    world.will_answer(Ok(Answer::Started(Box::new(pos(1, T0)))));
    assert_eq!(
        world
            .post(&token, START, Some("k"), &start_body(1))
            .await
            .status,
        201
    );
}

#[actix_web::test]
async fn undecided_operations_are_answered_202() {
    let world = World::new();
    let token = world.token(1, every_scope());
    let mut voided = transaction(TransactionState::Approved);
    voided.intent = Some(Intent {
        kind: IntentKind::Void,
        requested_at: T0,
        first_sending: 1,
        tries: 1,
        next_at: T0.plus_ms(1_000),
    });
    let path = format!("/v1/transactions/{}/void", voided.id);
    world.will_answer(Ok(Answer::Voided(Box::new(voided))));
    let got = world.post(&token, &path, Some("v"), "").await;
    assert_eq!(got.status, 202);
    assert_eq!(got.data()["pending_operation"]["operation"], "void");

    let mut canceled = pos(1, T0);
    canceled.cancel = Some(Cancel {
        requested_at: T0,
        if_too_late: IfTooLate::Keep,
        verdict: None,
    });
    let path = format!("/v1/pos/transactions/{}/cancel", canceled.id);
    world.will_answer(Ok(Answer::Canceled(Box::new(canceled))));
    let got = world.post(&token, &path, None, "{}").await;
    assert_eq!(got.status, 202);
    assert_eq!(got.data()["cancel"]["if_too_late"], "keep");
}
