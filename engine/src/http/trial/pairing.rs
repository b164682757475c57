//! Pairing at the door: guessers, tills that wait for a person, lists of tills, releases, the page.

use actix_web::http::Method;
use actix_web::test::TestRequest;
use ed25519_dalek::{Signer, SigningKey};
use protocol::id::{IncarnationId, PairingCodeId, TerminalId};
use protocol::pairing::release_bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use super::world::{Got, T0, World, every_scope, merchant, merchant_id, terminal, terminal_id};
use crate::domain::merchant::{DeviceKey, Terminal};
use crate::domain::pairing::PairingCode;
use crate::domain::rejection::Rejection;
use crate::domain::time::Timestamp;
use crate::domain::token::SecretHash;
use crate::owner::access_change::AccessChange;
use crate::owner::key;
use crate::owner::request::{Answer, MadeTill, PairingTarget, Request};

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

/// Answers for as many tills as were asked for, as the owner would.
fn made(labels: &[&str]) -> Result<Answer, Rejection> {
    let tills = labels.iter().map(|label| MadeTill {
        terminal: Terminal {
            label: (*label).to_owned(),
            ..terminal()
        },
        pairing_code: code(9),
        code: crate::domain::token::Secret::new("BCDFGHJKLM".to_owned()),
    });
    Ok(Answer::TillsCreated(tills.collect()))
}

async fn bulk(world: &World, token: &str, content: &str, accept: &str, body: &str) -> Got {
    let request = TestRequest::with_uri("/v1/pairing-codes/bulk")
        .method(Method::POST)
        .insert_header(("Authorization", format!("Bearer {token}")))
        .insert_header(("Content-Type", content))
        .insert_header(("Accept", accept))
        .insert_header(("X-Idempotency-Key", "bulk-1"))
        .set_payload(body.to_owned());
    world.send(request).await
}

#[actix_web::test]
async fn a_list_of_tills_comes_back_with_codes_or_with_what_is_wrong() {
    let world = World::new();
    let token = world.token(1, every_scope());
    let list = "label,serial_number,life_s\n=Lane 1,SN-1,60\nLane 2,SN-1,60\nLane 3,,59\n\
                ,SN-4,60\nLane 5\n\"Lane, 6\",SN-6,\n";
    world.will_answer(made(&["=Lane 1", "Lane, 6"]));
    let got = bulk(&world, &token, "text/csv", "text/csv", list).await;
    assert_eq!(got.status, 200, "not every row was made");
    assert_eq!(
        got.header("content-type").as_deref(),
        Some("text/csv; charset=utf-8")
    );
    let text = String::from_utf8(got.bytes).unwrap();
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(
        lines[0],
        "terminal_id,label,serial_number,code,expires_at,error"
    );
    assert!(lines[1].contains(",'=Lane 1,"), "{text}");
    assert!(lines[1].contains("BCDFG-HJKLM"), "{text}");
    for (line, what) in [
        (2, "row 2: "),
        (3, "row 3: "),
        (4, "row 4: "),
        (5, "row 5: "),
    ] {
        assert!(lines[line].contains(what), "{text}");
        assert!(lines[line].starts_with(','), "no terminal: {text}");
    }
    assert!(lines[6].contains("\"Lane, 6\""), "{text}");
    let (_, asked) = world.owners.asked.lock().unwrap().pop().unwrap();
    let Request::CreateTills(tills) = asked else {
        panic!("asked {asked:?}");
    };
    assert_eq!(tills[0].life_s, 60);
    assert_eq!(tills[1].life_s, 900);

    // The same list with the same key makes nothing and shows no code.
    let got = bulk(&world, &token, "text/csv", "application/json", list).await;
    assert_eq!(got.header("idempotent-replayed").as_deref(), Some("true"));
    let data = got.data();
    assert_eq!(
        (data["created"].clone(), data["failed"].clone()),
        (json!(2), json!(4))
    );
    assert_eq!(data["rows"][0]["code"], Value::Null);
    assert_eq!(data["rows"][0]["secret_available"], false);
    assert_eq!(
        data["rows"][1]["error"]["details"]["field"],
        "serial_number"
    );
    let got = bulk(&world, &token, "text/csv", "text/csv", "label\nLane 1\n").await;
    assert_eq!(got.code(), "IDEMPOTENCY_CONFLICT");
}

#[actix_web::test]
async fn long_lists_are_made_in_parts_and_a_part_that_fails_is_named() {
    let world = World::new();
    let token = world.token(1, every_scope());
    let labels: Vec<String> = (0..120).map(|number| format!("Lane {number}")).collect();
    let names: Vec<&str> = labels.iter().map(String::as_str).collect();
    let rows: Vec<Value> = labels.iter().map(|label| json!({"label": label})).collect();
    let body = json!({"rows": rows, "life_s": 86_400}).to_string();
    world.will_answer(made(&names[..50]));
    world.will_answer(Err(Rejection::Busy));
    world.will_answer(made(&names[100..]));
    let send = || bulk(&world, &token, "application/json", "*/*", &body);
    let data = send().await.data();
    assert_eq!(
        (data["created"].clone(), data["failed"].clone()),
        (json!(70), json!(50))
    );
    assert_eq!(data["rows"][50]["error"]["code"], "SERVICE_UNAVAILABLE");
    assert_eq!(data["rows"][50]["row"], 51);
    // The same again makes what is missing.
    world.will_answer(made(&names[50..100]));
    let got = send().await;
    assert_eq!(got.status, 201);
    let data = got.data();
    assert_eq!(data["created"], 120);
    assert_eq!(data["rows"][0]["code"], Value::Null);
    assert_eq!(data["rows"][50]["code"], "BCDFG-HJKLM");

    let none: Vec<Value> = Vec::new();
    let many: Vec<Value> = (0..2_001).map(|_| json!({"label": "x"})).collect();
    for body in [
        json!({"rows": none}),
        json!({"rows": many}),
        json!({"rows": [{"label": "x"}], "csv": "label\nx\n"}),
        json!({"csv": "colour\nred\n"}),
        json!({"rows": [{"label": 5}]}),
        json!({"rows": [{"label": "x"}], "life_s": 5}),
    ] {
        let text = body.to_string();
        let got = bulk(&world, &token, "application/json", "*/*", &text).await;
        assert_eq!(
            got.code(),
            "VALIDATION_ERROR",
            "{}",
            &text[..40.min(text.len())]
        );
    }
    let got = bulk(&world, &token, "application/json", "*/*", "{}").await;
    assert_eq!(got.code(), "BAD_REQUEST");
    let got = bulk(&world, &token, "text/csv", "*/*", &"x".repeat(1_100_000)).await;
    assert_eq!(got.status, 413);
}

fn release_body(key: u8, engine: u128, at: Timestamp) -> Value {
    let incarnation = IncarnationId::from_uuid(Uuid::from_u128(engine));
    let message = release_bytes(incarnation, terminal_id(), at.0);
    json!({
        "terminal_id": terminal_id(),
        "engine_incarnation": incarnation,
        "signed_at_ms": at.0,
        "signature": hex::encode(signing_key(key).sign(&message).to_bytes()),
    })
}

#[actix_web::test]
async fn only_the_tills_own_key_releases_it_and_only_now() {
    let world = World::new();
    let mut till = terminal();
    till.device_key = Some(device_key(3));
    world
        .index
        .apply(AccessChange::Terminal(Box::new(till.clone())));
    let release = async |body: Value| post(&world, "", "/v1/pairing/release", body).await;
    let mut unsigned = release_body(3, 3, T0);
    unsigned["signed_at_ms"] = json!(T0.0 + 1);
    let mut nobody = release_body(3, 3, T0);
    nobody["terminal_id"] = json!(TerminalId::from_uuid(Uuid::from_u128(404)));
    for wrong in [release_body(4, 3, T0), unsigned, nobody] {
        assert_eq!(release(wrong).await.code(), "UNAUTHORIZED");
    }
    for stale in [
        release_body(3, 4, T0),
        release_body(3, 3, T0.plus_ms(60_001)),
        release_body(3, 3, Timestamp(0)),
    ] {
        let got = release(stale).await;
        assert_eq!(
            (got.status.as_u16(), got.code().as_str()),
            (409, "SIGNATURE_STALE")
        );
        let details = got.error()["details"].clone();
        assert_eq!(details["engine_time_ms"], T0.0);
        let now = IncarnationId::from_uuid(Uuid::from_u128(3));
        assert_eq!(details["engine_incarnation"], now.to_string());
    }
    assert_eq!(world.asked(), 0);
    let running = protocol::id::PosTransactionId::from_uuid(Uuid::from_u128(1));
    world.will_answer(Err(Rejection::TerminalHasOpenWork { running }));
    let got = release(release_body(3, 3, T0)).await;
    assert_eq!(got.code(), "TERMINAL_HAS_OPEN_WORK");

    world.will_answer(Ok(Answer::Unpaired(Box::new(till.clone()))));
    let got = release(release_body(3, 3, T0.plus_ms(59_000))).await;
    assert_eq!(got.data()["released"], true);
    // The answer was lost: the key that was given back may hear it again, and no other.
    till.device_key = None;
    till.installations.release(device_key(3), T0);
    world
        .index
        .apply(AccessChange::Terminal(Box::new(till.clone())));
    world.will_answer(Ok(Answer::Unpaired(Box::new(till))));
    assert_eq!(release(release_body(3, 3, T0)).await.status, 200);
    assert_eq!(release(release_body(4, 3, T0)).await.status, 401);
    match world.owners.asked.lock().unwrap().pop() {
        Some((
            _,
            Request::Unpair {
                device_key: key, ..
            },
        )) => {
            assert_eq!(key, Some(device_key(3)));
        }
        other => panic!("asked {other:?}"),
    }
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
