//! A till that shows a code and waits for a person.

use protocol::id::TerminalId;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::world::{T0, World, every_scope, terminal, terminal_id};
use super::{code, device_key, paired, post, public_key};
use crate::domain::pairing::PairingCode;
use crate::domain::rejection::Rejection;
use crate::owner::access_change::AccessChange;
use crate::owner::request::{PairingTarget, Request};

async fn ask(world: &World, key: u8) -> Value {
    let body =
        json!({"public_key": public_key(key), "serial_number": "SN-1", "agent_version": "9"});
    let got = post(world, "", "/v1/pairing/device", body).await;
    assert_eq!(got.status, 201);
    got.data()
}

async fn poll(world: &World, asked: &Value) -> Value {
    let body = json!({"device_code": asked["device_code"]});
    post(world, "", "/v1/pairing/device/poll", body)
        .await
        .data()
}

fn request_path(asked: &Value) -> String {
    let user_code = asked["user_code"].as_str().unwrap();
    format!("/v1/pairing/requests/{}", user_code.to_lowercase())
}

#[actix_web::test]
async fn a_till_that_shows_a_code_is_approved_once() {
    let world = World::new();
    let token = world.token(1, every_scope());
    let stranger = world.token(2, every_scope());
    let asked = ask(&world, 3).await;
    let shown = asked["user_code"].as_str().unwrap();
    assert_eq!(shown.len(), 9);
    assert_eq!(asked["verification_path"], "/pair");
    assert_eq!(
        asked["verification_path_complete"],
        format!("/pair?code={shown}")
    );
    assert_eq!(asked["expires_in_s"], 600);
    assert_eq!(poll(&world, &asked).await["status"], "pending");
    assert_eq!(poll(&world, &asked).await["status"], "slow_down");
    assert_eq!(poll(&world, &asked).await["interval_s"], 15);

    let path = request_path(&asked);
    world.pass_ms(61_000);
    let seen = world.get(&token, &path).await.data();
    assert_eq!(seen["status"], "waiting");
    assert_eq!(seen["serial_number"], "SN-1");
    assert_eq!(seen["agent_version"], "9");
    assert_eq!(seen["source_address"], "127.0.0.1");
    assert_eq!(seen["age_s"], 61);
    assert_eq!(seen["key_fingerprint"], public_key(3)[..8]);

    let approve = format!("{path}/approve");
    for bad in [
        json!({}),
        json!({"terminal_id": terminal_id(), "new_terminal": {"label": "x"}}),
        json!({"new_terminal": {"label": ""}}),
        json!({"new_terminal": {"label": "x", "colour": 1}}),
    ] {
        let got = post(&world, &token, &approve, bad).await;
        assert_eq!(
            (got.status.as_u16(), got.code().as_str()),
            (422, "VALIDATION_ERROR")
        );
    }
    // A refusal leaves it open for the next try.
    world.will_answer(Err(Rejection::NotFound));
    let body = json!({"terminal_id": terminal_id()});
    assert_eq!(
        post(&world, &token, &approve, body.clone()).await.status,
        404
    );

    let mut made = terminal();
    made.device_key = Some(device_key(3));
    paired(&world, made.clone());
    let got = post(&world, &token, &approve, body.clone()).await;
    assert_eq!(got.data()["id"], terminal_id().to_string());
    let (_, last) = world.owners.asked.lock().unwrap().pop().unwrap();
    let Request::ApprovePairing(approved) = last else {
        panic!("asked {last:?}");
    };
    assert_eq!(approved.target, PairingTarget::Existing(terminal_id()));
    assert_eq!(approved.device_key, device_key(3));
    assert_eq!(approved.serial_number.as_deref(), Some("SN-1"));

    // What the owner's commit publishes is what the till gets, as often as it asks.
    let row = PairingCode {
        hash: approved.hash,
        redeemed: Some((device_key(3), T0)),
        is_approval: true,
        ..code(6)
    };
    world.index.apply(AccessChange::PairingCode(Box::new(row)));
    world.index.apply(AccessChange::Terminal(Box::new(made)));
    for _ in 0..2 {
        let polled = poll(&world, &asked).await;
        assert_eq!(polled["status"], "paired");
        assert_eq!(polled["identity"]["terminal_id"], terminal_id().to_string());
        assert_eq!(polled["identity"]["link_url"], "/v1/agent/link");
    }
    // The same approval again is the same answer; anything else is too late.
    let again = post(&world, &token, &approve, body).await;
    assert_eq!(again.data()["id"], terminal_id().to_string());
    let other = json!({"terminal_id": TerminalId::from_uuid(Uuid::from_u128(9))});
    for (token, path, body) in [
        (&token, &approve, other.clone()),
        (&stranger, &approve, json!({"terminal_id": terminal_id()})),
        (&token, &format!("{path}/deny"), json!({})),
    ] {
        let got = post(&world, token, path, body).await;
        let code = got.code();
        assert!(
            got.status == 409
                && ["PAIRING_REQUEST_SETTLED", "DEVICE_KEY_IN_USE"].contains(&code.as_str()),
            "{code}"
        );
    }
}

#[actix_web::test]
async fn a_till_that_is_turned_away_or_forgotten_learns_it() {
    let world = World::new();
    let token = world.token(1, every_scope());
    let denied = ask(&world, 3).await;
    for _ in 0..2 {
        let path = format!("{}/deny", request_path(&denied));
        let got = post(&world, &token, &path, json!({})).await;
        assert_eq!(got.data()["status"], "denied");
    }
    assert_eq!(poll(&world, &denied).await["status"], "denied");
    let path = format!("{}/approve", request_path(&denied));
    let body = json!({"new_terminal": {"label": "x"}});
    let got = post(&world, &token, &path, body).await;
    assert_eq!(got.code(), "PAIRING_REQUEST_SETTLED");

    let late = ask(&world, 4).await;
    world.pass_ms(600_000);
    assert_eq!(poll(&world, &late).await["status"], "expired");
    let got = world.get(&token, &request_path(&late)).await;
    assert_eq!(got.code(), "NOT_FOUND");
    // An engine that has restarted has forgotten it: the till asks anew.
    let unknown = json!({"device_code": "0".repeat(64)});
    assert_eq!(poll(&world, &unknown).await["status"], "expired");
    // A pairing code is no device code.
    world
        .index
        .apply(AccessChange::PairingCode(Box::new(code(5))));
    let typed = json!({"device_code": "BCDFGHJKLM"});
    assert_eq!(poll(&world, &typed).await["status"], "expired");
}

#[actix_web::test]
async fn guessing_what_tills_show_locks_a_merchant_out() {
    let world = World::new();
    let token = world.token(1, every_scope());
    for _ in 0..5 {
        let got = world.get(&token, "/v1/pairing/requests/ZZZZ-ZZZZ").await;
        assert_eq!(got.code(), "NOT_FOUND");
    }
    let asked = ask(&world, 3).await;
    let got = world.get(&token, &request_path(&asked)).await;
    assert_eq!(got.code(), "PAIRING_LOCKED_OUT");
    let other = world.token(2, every_scope());
    assert_eq!(world.get(&other, &request_path(&asked)).await.status, 200);
}

#[actix_web::test]
async fn tills_that_wait_behind_one_address_are_bounded() {
    let world = World::with_limits(crate::config::Limits {
        pairing_attempts_per_minute: 100_000,
        ..crate::config::Limits::default()
    });
    for key in 0..50 {
        ask(&world, key + 1).await;
    }
    let body = json!({"public_key": public_key(100)});
    let got = post(&world, "", "/v1/pairing/device", body).await;
    assert_eq!(got.code(), "RATE_LIMITED");
}
