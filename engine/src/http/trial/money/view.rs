//! What a POS transaction, a transaction and a receipt say of themselves.

use serde_json::json;

use super::super::world::{T0, World, every_scope, pos};
use super::{approved, transaction};
use crate::domain::permission::{Allowlist, Permission};
use crate::domain::pos::{AttemptState, Stage};
use crate::domain::reason::Reason;
use crate::domain::scope::Scope;
use crate::domain::transaction::TransactionState;
use crate::owner::key;
use crate::owner::request::{Answer, Request};

#[actix_web::test]
async fn a_pos_transaction_is_shown_whole() {
    let world = World::new();
    let token = world.token(1, every_scope());
    let transaction = transaction(TransactionState::Approved);
    let sale = approved(&transaction);
    world.put_pos(&sale);
    let path = format!("/v1/pos/transactions/{}", sale.id);
    let data = world.get(&token, &path).await.data();
    assert_eq!(
        world.asked(),
        0,
        "what is committed is shown without its owner"
    );
    assert_eq!(data["id"], sale.id.to_string());
    assert_eq!(data["status"], "approved");
    assert_eq!(data["stage"], "closed");
    assert_eq!(
        (&data["amount"], &data["currency"]),
        (&json!(1_234), &json!("USD"))
    );
    assert_eq!(data["created_at"], "2023-11-14T22:13:20.000Z");
    assert_eq!(data["transaction_id"], transaction.id.to_string());
    assert_eq!(data["attempts"][0]["state"], "approved");
    assert_eq!(data["livemode"], false);

    let mut doubtful = approved(&transaction);
    doubtful.outcome = None;
    doubtful.stage = Stage::Reversing;
    doubtful.reversing_for = Some(Reason::AcquirerUnknown);
    doubtful.next_action_at = Some(T0.plus_ms(1_000));
    doubtful.attempts[0].state = AttemptState::Reversed(Reason::AcquirerUnknown);
    world.put_pos(&doubtful);
    let data = world.get(&token, &path).await.data();
    assert_eq!(data["status"], "in_doubt");
    assert_eq!(data["in_doubt"]["who_holds_truth"], "acquirer");
    assert_eq!(
        data["in_doubt"]["next_action_at"],
        "2023-11-14T22:13:21.000Z"
    );
    assert_eq!(data["transaction_id"], transaction.id.to_string());

    world.will_answer(Ok(Answer::Pos(Box::new(sale))));
    let waiting = format!("{path}?wait_s=60");
    assert_eq!(
        world.get(&token, &waiting).await.data()["status"],
        "approved"
    );
    let asked = world.owners.asked.lock().unwrap().pop();
    match asked {
        Some((_, Request::ReadPos { wait_until, .. })) => {
            assert_eq!(wait_until, Some(T0.plus_ms(60_000)));
        }
        other => panic!("asked {other:?}"),
    }
    for bad in ["61", "-1", "x", ""] {
        let path = format!("/v1/pos/transactions/{}?wait_s={bad}", doubtful.id);
        assert_eq!(world.get(&token, &path).await.status, 422, "{bad}");
    }
}

#[actix_web::test]
async fn a_transaction_says_what_can_be_done_and_why_not() {
    let world = World::new();
    let every = world.token(1, every_scope());
    let reader = world.token(1, [Scope::TransactionsRead].into());
    let standing = transaction(TransactionState::Approved);
    let row = key::transaction(standing.merchant_id, standing.id);
    let path = format!("/v1/transactions/{}", standing.id);
    let reasons = async |token: &str| {
        let data = world.get(token, &path).await.data();
        let operations = data["available_operations"].as_array().unwrap().clone();
        let names: Vec<&str> = operations
            .iter()
            .filter_map(|one| one["operation"].as_str())
            .collect();
        assert_eq!(names, ["void", "tip_adjustment", "print"]);
        operations
            .iter()
            .map(|one| {
                assert_eq!(one["available"] == true, one.get("reason").is_none());
                one.get("reason")
                    .and_then(|one| one.as_str())
                    .unwrap_or("-")
                    .to_owned()
            })
            .collect::<Vec<String>>()
    };
    world.store.put(row.clone(), &standing);
    assert_eq!(reasons(&every).await, ["-", "-", "-"]);
    assert_eq!(reasons(&reader).await, ["FORBIDDEN"; 3]);
    world.set_allowlist(Allowlist::of(
        Permission::ALL
            .iter()
            .copied()
            .filter(|one| *one != Permission::Void),
    ));
    assert_eq!(reasons(&every).await, ["FORBIDDEN", "-", "-"]);
    world.set_allowlist(Allowlist::full());
    world.pass_ms(25 * 3_600 * 1_000);
    assert_eq!(reasons(&every).await, ["-", "TIP_NOT_ALLOWED", "-"]);
    world
        .store
        .put(row.clone(), &transaction(TransactionState::Voided));
    assert_eq!(
        reasons(&every).await,
        ["ALREADY_PROCESSED", "INVALID_STATE", "-"]
    );
    world
        .store
        .put(row, &transaction(TransactionState::Authorizing));
    assert_eq!(
        reasons(&every).await,
        ["INVALID_STATE", "INVALID_STATE", "NO_RECEIPT"]
    );

    let data = world.get(&every, &path).await.data();
    assert_eq!(data["card"]["last4"], "0002");
    assert_eq!(data["card"]["application_id"], "A0000000031010");
    assert_eq!(data["trace_number"], 7);
}

#[actix_web::test]
async fn receipts_are_data_and_text() {
    let world = World::new();
    let token = world.token(1, every_scope());
    let standing = transaction(TransactionState::Approved);
    let sale = approved(&standing);
    let path = format!("/v1/pos/transactions/{}/receipt", sale.id);
    world.put_pos(&pos(1, T0));
    assert_eq!(world.get(&token, &path).await.code(), "NO_RECEIPT");
    world.put_pos(&sale);
    world.store.put(
        key::transaction(standing.merchant_id, standing.id),
        &standing,
    );
    let data = world.get(&token, &path).await.data();
    assert_eq!(data["copy"], "customer");
    assert_eq!(data["fields"]["total"], "USD 12.34");
    assert_eq!(data["fields"]["authorization_code"], "123456");
    let text = world
        .get(
            &token,
            &format!("{path}?format=text&columns=32&copy=merchant"),
        )
        .await;
    assert_eq!(
        text.header("content-type").as_deref(),
        Some("text/plain; charset=utf-8")
    );
    assert!(text.header("x-trace-id").is_some());
    let text = String::from_utf8(text.bytes).unwrap();
    assert!(text.contains("MERCHANT COPY") && text.lines().all(|line| line.chars().count() <= 32));
    for bad in [
        "columns=33",
        "copy=both",
        "format=pdf",
        "colums=32",
        "copy=customer&copy=merchant",
    ] {
        assert_eq!(
            world.get(&token, &format!("{path}?{bad}")).await.status,
            422,
            "{bad}"
        );
    }
}
