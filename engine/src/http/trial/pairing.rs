//! Pairing at the door: guessers, codes that are listed, the page; tills that wait, lists and
//! releases in their rooms.

mod bulk;
mod release;
mod waiting;

use actix_web::test::TestRequest;
use ed25519_dalek::SigningKey;
use protocol::id::{PairingCodeId, TerminalId};
use serde_json::{Value, json};
use uuid::Uuid;

use super::world::{Got, T0, World, every_scope, merchant, merchant_id, terminal, terminal_id};
use crate::domain::merchant::{DeviceKey, Terminal};
use crate::domain::pairing::PairingCode;
use crate::domain::rejection::Rejection;
use crate::domain::token::SecretHash;
use crate::owner::access_change::AccessChange;
use crate::owner::key;
use crate::owner::request::Answer;

fn code(number: u128) -> PairingCode {
    PairingCode {
        id: PairingCodeId::from_uuid(super::world::id_at(T0, number)),
        terminal_id: terminal_id(),
        merchant_id: merchant_id(1),
        hash: SecretHash::of(b"BCDFGHJKLM"),
        created_at: T0,
        expires_at: T0.plus_ms(3_600_000),
        redeemed: None,
        serial_number: None,
        revoked_at: None,
        wrong_serials: 0,
        is_approval: false,
    }
}

fn signing_key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn public_key(number: u8) -> String {
    hex::encode(signing_key(number).verifying_key().as_bytes())
}

fn device_key(number: u8) -> DeviceKey {
    DeviceKey(signing_key(number).verifying_key().to_bytes())
}

async fn post(world: &World, token: &str, path: &str, body: Value) -> Got {
    world.post(token, path, None, &body.to_string()).await
}

async fn redeem(world: &World, code: &str, key: u8) -> Got {
    let body = json!({"code": code, "public_key": public_key(key)});
    post(world, "", "/v1/pairing/redeem", body).await
}

fn paired(world: &World, terminal: Terminal) {
    let answer = Answer::Paired(Box::new(terminal), Box::new(merchant(1)));
    world.will_answer(Ok(answer));
}

#[actix_web::test]
async fn five_wrong_codes_in_a_row_lock_an_address_out_for_longer_each_time() {
    let world = World::new();
    world
        .index
        .apply(AccessChange::PairingCode(Box::new(code(5))));
    for lock_s in [60, 120, 240] {
        for wrong in ["ZZZZZ-ZZZZZ", "", "ZZZZZ", "ZZZZZ-ZZZZ2", "ZZZZZ-ZZZZ3"] {
            assert_eq!(
                redeem(&world, wrong, 1).await.code(),
                "PAIRING_CODE_INVALID"
            );
        }
        // The right code is no way around it.
        let got = redeem(&world, "BCDFG-HJKLM", 1).await;
        assert_eq!(got.status, 429);
        assert_eq!(got.code(), "PAIRING_LOCKED_OUT");
        assert_eq!(got.header("retry-after"), Some(lock_s.to_string()));
        assert_eq!(world.asked(), 0);
        world.pass_ms(lock_s * 1_000);
    }
    // A right code ends the row.
    for wrong in ["ZZZZZ-ZZZZZ", "ZZZZZ-ZZZZ2", "ZZZZZ-ZZZZ3", "ZZZZZ-ZZZZ4"] {
        assert_eq!(redeem(&world, wrong, 1).await.status, 422);
    }
    paired(&world, terminal());
    assert_eq!(redeem(&world, "BCDFG-HJKLM", 1).await.status, 200);
    for wrong in ["ZZZZZ-ZZZZZ", "ZZZZZ-ZZZZ2", "ZZZZZ-ZZZZ3", "ZZZZZ-ZZZZ4"] {
        assert_eq!(redeem(&world, wrong, 1).await.status, 422);
    }
    // The wrong till counts as wrong, too.
    world.will_answer(Err(Rejection::PairingSerialMismatch { tries_left: 4 }));
    let got = redeem(&world, "BCDFG-HJKLM", 1).await;
    assert_eq!(got.code(), "PAIRING_SERIAL_MISMATCH");
    assert_eq!(got.error()["details"]["tries_left"], 4);
    assert_eq!(
        redeem(&world, "BCDFG-HJKLM", 1).await.code(),
        "PAIRING_LOCKED_OUT"
    );
}

#[actix_web::test]
async fn a_key_that_is_another_terminals_is_refused_before_the_owner_is_asked() {
    let world = World::new();
    let mut holder = terminal();
    holder.id = TerminalId::from_uuid(Uuid::from_u128(51));
    holder.device_key = Some(device_key(7));
    for (owner, shows) in [(1, true), (2, false)] {
        holder.merchant_id = merchant_id(owner);
        world
            .index
            .apply(AccessChange::Terminal(Box::new(holder.clone())));
        world
            .index
            .apply(AccessChange::PairingCode(Box::new(code(5))));
        let got = redeem(&world, "BCDFG-HJKLM", 7).await;
        assert_eq!(got.status, 409);
        assert_eq!(got.code(), "DEVICE_KEY_IN_USE");
        let named = got.error()["details"]["terminal_id"].is_string();
        assert_eq!(named, shows, "only to whom it belongs");
        assert_eq!(world.asked(), 0);
    }
    // Its own terminal's code is another matter: the technician pairs it anew.
    let mut own = terminal();
    own.device_key = Some(device_key(8));
    world
        .index
        .apply(AccessChange::Terminal(Box::new(own.clone())));
    paired(&world, own);
    assert_eq!(redeem(&world, "BCDFG-HJKLM", 8).await.status, 200);
}

#[actix_web::test]
async fn codes_are_listed_without_the_codes() {
    let world = World::new();
    let token = world.token(1, every_scope());
    let mut other = code(8);
    other.terminal_id = TerminalId::from_uuid(Uuid::from_u128(51));
    other.revoked_at = Some(T0);
    for code in [code(7), other] {
        world
            .store
            .put(key::pairing_code(merchant_id(1), code.id), &code);
    }
    let listed = async |path: &str| {
        let data = world.get(&token, path).await.data();
        let items = data["items"].as_array().unwrap().clone();
        let states = items.iter().map(|item| item["state"].clone());
        assert!(items.iter().all(|item| item.get("code").is_none()));
        assert!(items.iter().all(|item| item.get("hash").is_none()));
        states.collect::<Vec<_>>()
    };
    assert_eq!(listed("/v1/pairing-codes").await, ["revoked", "live"]);
    assert_eq!(listed("/v1/pairing-codes?state=live").await, ["live"]);
    let of_terminal = format!("/v1/terminals/{}/pairing-codes", terminal_id());
    assert_eq!(listed(&of_terminal).await, ["live"]);
    world.pass_ms(3_600_000);
    assert_eq!(listed(&of_terminal).await, ["expired"]);
    let got = world.get(&token, "/v1/pairing-codes?state=used").await;
    assert_eq!(got.error()["details"]["field"], "state");
    let stranger = world.token(2, every_scope());
    assert_eq!(world.get(&stranger, &of_terminal).await.status, 404);
    let data = world.get(&stranger, "/v1/pairing-codes").await.data();
    assert_eq!(data["items"], json!([]));
}

#[actix_web::test]
async fn the_page_may_do_nothing_but_call_this_engine() {
    let world = World::new();
    let mut policies = Vec::new();
    for path in ["/pair", "/pair?code=%3Cscript%3E"] {
        let got = world.send(TestRequest::get().uri(path)).await;
        assert_eq!(got.status, 200);
        assert_eq!(
            got.header("content-type").as_deref(),
            Some("text/html; charset=utf-8")
        );
        assert_eq!(got.header("cache-control").as_deref(), Some("no-store"));
        assert_eq!(
            got.header("x-content-type-options").as_deref(),
            Some("nosniff")
        );
        assert_eq!(
            got.header("referrer-policy").as_deref(),
            Some("no-referrer")
        );
        let policy = got.header("content-security-policy").unwrap();
        let nonce = policy.split("'nonce-").nth(1).unwrap();
        let nonce = nonce.split('\'').next().unwrap();
        let html = String::from_utf8(got.bytes).unwrap();
        assert_eq!(html.matches(&format!("nonce=\"{nonce}\"")).count(), 2);
        assert!(!html.contains("{{") && !html.contains("%3C"));
        assert!(policy.starts_with("default-src 'none'"));
        assert!(!policy.contains("unsafe"));
        policies.push(policy);
    }
    assert_ne!(policies[0], policies[1], "a nonce is used once");
}
