//! Same key, same answer; secrets shown once; views of what owners answer.

use std::sync::Arc;

use actix_web::http::Method;
use protocol::id::{
    ApiKeyId, AttemptId, JournalId, PairingCodeId, PosTransactionId, TransactionId,
};
use protocol::link::{PosKind, PosStatus};
use serde_json::json;
use uuid::Uuid;

use super::world::{
    OPERATOR, T0, World, every_scope, merchant, merchant_id, pos, terminal, terminal_id, usd,
};
use crate::domain::card::{CardSummary, EntryMode};
use crate::domain::pairing::PairingCode;
use crate::domain::permission::{Allowlist, Permission};
use crate::domain::pos::{Attempt, AttemptState, Cancel, IfTooLate, PosTransaction, Stage};
use crate::domain::reason::Reason;
use crate::domain::rejection::Rejection;
use crate::domain::scope::Scope;
use crate::domain::token::{ApiKey, Secret, SecretHash};
use crate::domain::transaction::{
    HostResult, Intent, IntentKind, Trace, Transaction, TransactionState,
};
use crate::owner::access_change::AccessChange;
use crate::owner::key;
use crate::owner::request::{Answer, PlatformRequest, Request};

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
async fn minted_secrets_are_shown_once() {
    let world = World::new();
    let token = world.token(1, every_scope());
    let secret = Secret::new("c0".repeat(32));
    let api_key = ApiKey {
        id: ApiKeyId::from_uuid(Uuid::from_u128(4)),
        merchant_id: merchant_id(1),
        label: "till".into(),
        hash: SecretHash::of(secret.expose().as_bytes()),
        scopes: Scope::defaults(),
        created_at: T0,
        expires_at: None,
        revoked_at: None,
    };
    world.will_answer(Ok(Answer::ApiKeyCreated(
        Box::new(api_key.clone()),
        secret.clone(),
    )));
    let path = "/v1/merchant/api-keys";
    let first = world
        .post(&token, path, Some("k"), r#"{"label": "till"}"#)
        .await;
    assert_eq!(first.status, 201);
    let data = first.data();
    assert_eq!(data["secret"], ApiKey::text(api_key.id, &secret).expose());
    assert_eq!(data["secret_available"], true);
    assert_eq!(data["scopes"], json!(["payments:create", "payments:read"]));
    let again = world
        .post(&token, path, Some("k"), r#"{"label": "till"}"#)
        .await;
    assert_eq!(again.status, 201);
    assert_eq!(again.data()["secret"], json!(null));
    assert_eq!(again.data()["secret_available"], false);
    assert!(!String::from_utf8_lossy(&again.bytes).contains(secret.expose()));

    let code = Secret::new("BCDFGHJKLM".into());
    let pairing = PairingCode {
        id: PairingCodeId::from_uuid(Uuid::from_u128(5)),
        terminal_id: terminal_id(),
        merchant_id: merchant_id(1),
        hash: SecretHash::of(code.expose().as_bytes()),
        created_at: T0,
        expires_at: T0.plus_ms(60_000),
        redeemed: None,
        serial_number: None,
        revoked_at: None,
        wrong_serials: 0,
        is_approval: false,
    };
    world.will_answer(Ok(Answer::PairingCodeCreated(Box::new(pairing), code)));
    let path = format!("/v1/terminals/{}/pairing-codes", terminal_id());
    let first = world.post(&token, &path, Some("p"), "").await;
    assert_eq!(first.data()["code"], "BCDFG-HJKLM");
    let again = world.post(&token, &path, Some("p"), "{}").await;
    assert_eq!(again.data()["code"], json!(null));
    assert_eq!(again.data()["secret_available"], false);
}

#[actix_web::test]
async fn a_key_cannot_give_what_it_does_not_have() {
    let world = World::new();
    let token = world.token(1, [Scope::ApiKeysManage, Scope::PosRead].into());
    let path = "/v1/merchant/api-keys";
    for (body, excess) in [
        (
            json!({"label": "x", "scopes": ["pos:create"]}),
            "pos:create",
        ),
        (json!({"label": "x"}), "payments:create"),
    ] {
        let got = world.post(&token, path, None, &body.to_string()).await;
        assert_eq!(got.status, 403);
        assert_eq!(got.error()["details"]["required_scope"], excess);
    }
    let past = json!({"label": "x", "scopes": ["pos:read"], "expires_at": "2001-01-01T00:00:00Z"});
    let got = world.post(&token, path, None, &past.to_string()).await;
    assert_eq!(
        (
            got.status.as_u16(),
            got.error()["details"]["field"].as_str()
        ),
        (422, Some("expires_at"))
    );
    assert_eq!(world.asked(), 0);
    // The operator mints a merchant's first key with any scopes.
    world.will_answer(Err(Rejection::Busy));
    let path = format!("/v1/merchants/{}/api-keys", merchant_id(1));
    let body = json!({"label": "first", "scopes": ["pos:create"]}).to_string();
    assert_eq!(world.post(OPERATOR, &path, None, &body).await.status, 503);
    assert_eq!(world.asked(), 1);
    let path = format!("/v1/merchants/{}/api-keys", merchant_id(99));
    assert_eq!(world.post(OPERATOR, &path, None, &body).await.status, 404);
    assert_eq!(world.asked(), 1);
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

#[actix_web::test]
async fn a_till_redeems_its_code() {
    let world = World::new();
    let code = PairingCode {
        id: PairingCodeId::from_uuid(Uuid::from_u128(5)),
        terminal_id: terminal_id(),
        merchant_id: merchant_id(1),
        hash: SecretHash::of(b"BCDFGHJKLM"),
        created_at: T0,
        expires_at: T0.plus_ms(60_000),
        redeemed: None,
        serial_number: None,
        revoked_at: None,
        wrong_serials: 0,
        is_approval: false,
    };
    world
        .index
        .apply(AccessChange::PairingCode(Box::new(code.clone())));
    let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let body = json!({"code": " bcdfg hjklm", "public_key": key, "agent_version": "1.0"});
    let mut paired = terminal();
    paired.installations.latest = Some(JournalId::from_uuid(Uuid::from_u128(8)));
    for _ in 0..2 {
        world.will_answer(Ok(Answer::Paired(
            Box::new(paired.clone()),
            Box::new(merchant(1)),
        )));
        let got = world
            .post("", "/v1/pairing/redeem", None, &body.to_string())
            .await;
        assert_eq!(got.status, 200);
        let data = got.data();
        assert_eq!(data["terminal_id"], terminal_id().to_string());
        assert_eq!(data["merchant_id"], merchant_id(1).to_string());
        assert_eq!(data["link_url"], "/v1/agent/link");
        assert!(
            data["engine_incarnation"]
                .as_str()
                .unwrap()
                .starts_with("inc_")
        );
    }
    let asked = world.owners.asked.lock().unwrap().pop();
    match asked {
        Some((asked_of, Request::RedeemPairingCode(redeem))) => {
            assert_eq!((asked_of, redeem.code_id), (merchant_id(1), code.id));
        }
        other => panic!("asked {other:?}"),
    }
    let wrong = json!({"code": "ZZZZZ-ZZZZZ", "public_key": key}).to_string();
    let got = world.post("", "/v1/pairing/redeem", None, &wrong).await;
    assert_eq!(
        (got.status.as_u16(), got.code().as_str()),
        (422, "PAIRING_CODE_INVALID")
    );
}

#[actix_web::test]
async fn the_operator_sets_allowlists() {
    let world = World::new();
    let id = protocol::id::PartnerId::from_uuid(Uuid::from_u128(70));
    let path = format!("/v1/partners/{id}/permissions");
    for bad in [
        json!({"disabled": ["Ping"]}),
        json!({"permissions": ["Void"]}),
        json!({"disabled": ["Fly"]}),
    ] {
        let got = world
            .write(Method::PUT, OPERATOR, &path, None, &bad.to_string())
            .await;
        assert_eq!(
            (got.status.as_u16(), got.code().as_str()),
            (422, "VALIDATION_ERROR")
        );
    }
    assert_eq!(world.asked(), 0);
    let answer = Err(Rejection::NotFound);
    world
        .owners
        .platform_answers
        .lock()
        .unwrap()
        .push_back(answer);
    let body = json!({"disabled": ["Start POS Transaction"]}).to_string();
    let got = world.write(Method::PUT, OPERATOR, &path, None, &body).await;
    assert_eq!(got.status, 404);
    match world.owners.platform_asked.lock().unwrap().pop() {
        Some(PlatformRequest::SetAllowlist {
            partner_id,
            allowlist,
        }) => {
            assert_eq!(partner_id, id);
            assert!(!allowlist.allows(Permission::StartPosTransaction));
        }
        other => panic!("asked {other:?}"),
    }
}
