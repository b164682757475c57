//! Secrets are shown once, and give no more than whoever made them has.

use actix_web::http::Method;
use protocol::id::{ApiKeyId, JournalId, PairingCodeId};
use serde_json::json;
use uuid::Uuid;

use super::super::world::{
    OPERATOR, T0, World, every_scope, merchant, merchant_id, terminal, terminal_id,
};
use crate::domain::pairing::PairingCode;
use crate::domain::permission::Permission;
use crate::domain::rejection::Rejection;
use crate::domain::scope::Scope;
use crate::domain::token::{ApiKey, Secret, SecretHash};
use crate::owner::access_change::AccessChange;
use crate::owner::request::{Answer, PlatformRequest, Request};

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
