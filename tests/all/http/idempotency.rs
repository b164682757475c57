//! Same key, same answer: at the same time, with another body, written otherwise, after refusals.

use std::sync::Barrier;
use std::thread;

use harness::api::{Answer, fresh_key};
use harness::raw;
use serde_json::{Value, json};

use super::{PUBLIC_KEY, World, world};
use crate::check::{good, refused};

/// How many callers use one key at the same time.
const CALLERS: usize = 64;

/// The same request from many threads at once.
fn at_once(world: &World, path: &str, body: &Value, key: &str) -> Vec<Answer> {
    let start = Barrier::new(CALLERS);
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    // A client of its own: no connection is shared.
                    let api = harness::api::Api::new(world.base(), world.api.token());
                    api.post_keyed(path, body, key)
                })
            })
            .collect();
        callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .collect()
    })
}

/// One first answer; the rest repeat it or say that it is being made.
fn check_one(answers: &[Answer], status: u16) -> Answer {
    let is_first = |answer: &&Answer| {
        answer.status == status && answer.header("idempotent-replayed").is_empty()
    };
    let firsts: Vec<&Answer> = answers.iter().filter(is_first).collect();
    assert_eq!(firsts.len(), 1, "first answers: {firsts:?}");
    let first = firsts[0];
    for answer in answers {
        if answer.status == status {
            assert_eq!(answer.text, first.text);
        } else {
            let details = refused(answer, 409, "IDEMPOTENCY_IN_PROGRESS", "at once");
            assert!(details["resource_id"].is_string());
        }
    }
    first.clone()
}

#[test]
fn one_key_at_the_same_time_starts_one_sale() {
    let world = world();
    let _till = world.till();
    let key = fresh_key();
    let mut body = world.shop.sale(1_400);
    body["reference"] = json!(format!("{CALLERS} at once"));
    let answers = at_once(world, "/v1/pos/transactions", &body, &key);
    let first = check_one(&answers, 201);
    let page = world.api.get(&format!(
        "/v1/pos/transactions?reference={CALLERS}%20at%20once"
    ));
    let items = good(&page, 200, "list")["items"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(items.len(), 1, "{}", page.text);
    assert_eq!(items[0]["id"], first.data()["id"]);
    let path = format!("/v1/pos/transactions/{}/cancel", first.field("id"));
    let canceled = at_once(world, &path, &json!({}), &fresh_key());
    check_one(&canceled, 200);
    let later = world.api.post_keyed("/v1/pos/transactions", &body, &key);
    good(&later, 201, "the first answer, though it has ended since");
    assert_eq!(later.text, first.text);
}

#[test]
fn one_key_at_the_same_time_makes_one_of_everything() {
    let world = world();
    for (path, body) in [
        ("/v1/terminals".to_owned(), json!({"label": "At once"})),
        (
            format!("/v1/terminals/{}/pairing-codes", world.spare_terminal()),
            json!({}),
        ),
        (
            "/v1/merchant/api-keys".to_owned(),
            json!({"label": "At once"}),
        ),
    ] {
        let answers = at_once(world, &path, &body, &fresh_key());
        let ids: std::collections::BTreeSet<&str> = answers
            .iter()
            .filter(|answer| answer.status == 201)
            .map(|answer| answer.field("id"))
            .collect();
        assert_eq!(ids.len(), 1, "{path}");
        let secrets = answers.iter().filter(|answer| {
            let data = answer.data();
            data["secret"].is_string() || data["code"].is_string()
        });
        assert!(secrets.count() <= 1, "{path}: a secret was shown twice");
    }
}

#[test]
fn one_key_at_the_same_time_voids_once() {
    let world = world();
    let _till = world.till();
    let sale = world.shop.tap_sale(1_500, "amex").unwrap();
    let transaction_id = sale.field("transaction_id");
    let tip = format!("/v1/transactions/{transaction_id}/tip-adjustment");
    let answers = at_once(
        world,
        &tip,
        &json!({"tip_amount": 100, "currency": "USD"}),
        &fresh_key(),
    );
    assert_eq!(check_one(&answers, 200).data()["total"], 1_600);
    let void = format!("/v1/transactions/{transaction_id}/void");
    let answers = at_once(world, &void, &json!({}), &fresh_key());
    check_one(&answers, 200);
    let read = world.api.get(&format!("/v1/transactions/{transaction_id}"));
    assert_eq!(read.data()["tip_revisions"].as_array().unwrap().len(), 1);
    // Different keys at once: one voids, the rest learn that it was done or is being done.
    let sale = world.shop.tap_sale(1_501, "visa").unwrap();
    let void = format!("/v1/transactions/{}/void", sale.field("transaction_id"));
    let answers: Vec<Answer> = thread::scope(|scope| {
        let callers: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| world.api.post(&void, &json!({}))))
            .collect();
        callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .collect()
    });
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 200).count(),
        1
    );
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(answer.status, 409);
        assert!(["ALREADY_PROCESSED", "OPERATION_PENDING"].contains(&answer.code()));
    }
}

#[test]
fn a_key_stands_for_one_request() {
    let world = world();
    let key = fresh_key();
    let first = world
        .api
        .post_keyed("/v1/terminals", &json!({"label": "A"}), &key);
    good(&first, 201, "first");
    let other = world
        .api
        .post_keyed("/v1/terminals", &json!({"label": "B"}), &key);
    refused(&other, 409, "IDEMPOTENCY_CONFLICT", "another body");
    let path = format!("/v1/terminals/{}/pairing-codes", first.field("id"));
    let other = world.api.post_keyed(&path, &json!({}), &key);
    refused(&other, 409, "IDEMPOTENCY_CONFLICT", "another operation");
    let more = json!({"label": "A", "serial_number": "7"});
    let other = world.api.post_keyed("/v1/terminals", &more, &key);
    refused(&other, 409, "IDEMPOTENCY_CONFLICT", "one member more");
    let again = world
        .api
        .post_keyed("/v1/terminals", &json!({"label": "A"}), &key);
    assert_eq!(again.text, first.text);
    // Keys are the merchant's, not everybody's, and not the token's.
    let elsewhere = world
        .other
        .api
        .post_keyed("/v1/terminals", &json!({"label": "A"}), &key);
    assert_ne!(
        good(&elsewhere, 201, "another merchant")["id"],
        first.data()["id"]
    );
    let rotated = world
        .shop
        .pos
        .post_keyed("/v1/terminals", &json!({"label": "A"}), &key);
    assert_eq!(rotated.text, first.text);
    assert_eq!(rotated.header("idempotent-replayed"), "true");
}

#[test]
fn order_and_spacing_of_members_do_not_matter() {
    let world = world();
    let bearer = format!("Bearer {}", world.api.token());
    let key = fresh_key();
    let send = |body: &str| {
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/json; charset=utf-8"),
            ("X-Idempotency-Key", &key),
        ];
        raw::call(
            world.base(),
            "POST",
            "/v1/terminals",
            &headers,
            body.as_bytes(),
        )
    };
    let first = send(r#"{"label":"Café 7","serial_number":"s"}"#);
    good(&first, 201, "first");
    for body in [
        r#"{"serial_number":"s","label":"Café 7"}"#,
        "\n{ \"serial_number\" : \"s\" ,\r\n\t\"label\":\"Café 7\" }  ",
        r#"{"label":"Caf\u00e9 \u0037","serial_number":"\u0073"}"#,
    ] {
        let again = send(body);
        assert_eq!(again.text, first.text, "{body}");
        assert_eq!(again.header("idempotent-replayed"), "true", "{body}");
    }
}

#[test]
fn refusals_burn_no_key() {
    let world = world();
    let _till = world.till();
    let path = "/v1/pos/transactions";
    let running = world.api.post(path, &world.shop.sale(1_600));
    let running_id = good(&running, 201, "the first start")["id"].clone();
    let key = fresh_key();
    let body = world.shop.sale(1_601);
    for _ in 0..3 {
        let busy = world.api.post_keyed(path, &body, &key);
        let details = refused(&busy, 409, "TERMINAL_BUSY", "the second start");
        assert_eq!(details["running"], running_id);
        assert_eq!(details["outcome_known"], true);
    }
    let mut wrong = body.clone();
    wrong["amount"] = json!(0);
    refused(
        &world.api.post_keyed(path, &wrong, &key),
        422,
        "VALIDATION_ERROR",
        "zero",
    );
    wrong["amount"] = json!(1);
    wrong["currency"] = json!("JPY");
    refused(
        &world.api.post_keyed(path, &wrong, &key),
        422,
        "INVALID_CURRENCY",
        "yen",
    );
    wrong["terminal_id"] = json!(world.spare_terminal());
    wrong["currency"] = json!("USD");
    refused(
        &world.api.post_keyed(path, &wrong, &key),
        409,
        "TERMINAL_NOT_PAIRED",
        "unpaired",
    );
    let cancel = |id: &str| {
        let path = format!("/v1/pos/transactions/{id}/cancel");
        good(&world.api.post(&path, &json!({})), 200, "cancel");
        assert!(world.shop.devices.wait_until_idle() && world.shop.wait_until_ready());
    };
    cancel(running_id.as_str().unwrap());
    let started = world.api.post_keyed(path, &body, &key);
    good(&started, 201, "the same key once the terminal is free");
    assert_eq!(started.header("idempotent-replayed"), "");
    cancel(started.field("id"));
}

#[test]
fn terminals_without_a_link_take_no_sale() {
    let world = world();
    let terminal_id = world.spare_terminal();
    let sale = json!({"terminal_id": terminal_id, "amount": 100, "currency": "USD"});
    let key = fresh_key();
    let start = || world.api.post_keyed("/v1/pos/transactions", &sale, &key);
    refused(&start(), 409, "TERMINAL_NOT_PAIRED", "never paired");
    let path = format!("/v1/terminals/{terminal_id}/pairing-codes");
    let code = world.api.post(&path, &json!({})).field("code").to_owned();
    let redeem = json!({"code": code, "public_key": PUBLIC_KEY});
    let paired = world.api.post("/v1/pairing/redeem", &redeem);
    assert_eq!(
        good(&paired, 200, "redeem")["terminal_id"],
        json!(terminal_id)
    );
    refused(&start(), 409, "TERMINAL_OFFLINE", "paired, but not there");
    let status = world
        .api
        .get(&format!("/v1/terminals/{terminal_id}/status"));
    let data = good(&status, 200, "status");
    assert_eq!(data["availability"], "offline");
    assert_eq!(data["is_online"], false);
    assert_eq!(data["reader"], Value::Null);
    // A code pairs one till; the same till may have missed the answer and may ask again.
    let other_key = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    let stolen = json!({"code": code, "public_key": other_key});
    let answer = world.api.post("/v1/pairing/redeem", &stolen);
    refused(&answer, 422, "PAIRING_CODE_INVALID", "a used code");
    good(
        &world.api.post("/v1/pairing/redeem", &redeem),
        200,
        "the same till again",
    );
}

#[test]
fn a_repeated_minting_shows_no_secret() {
    let world = world();
    let merchant_path = format!("/v1/merchants/{}/api-keys", world.shop.merchant_id);
    let code_path = format!("/v1/terminals/{}/pairing-codes", world.spare_terminal());
    for (api, path, body, secret) in [
        (
            &world.api,
            "/v1/merchant/api-keys",
            json!({"label": "Once"}),
            "secret",
        ),
        (
            world.operator(),
            &merchant_path,
            json!({"label": "Once"}),
            "secret",
        ),
        (&world.api, &code_path, json!({}), "code"),
    ] {
        let key = fresh_key();
        let first = api.post_keyed(path, &body, &key);
        let data = good(&first, 201, path);
        assert_eq!(data["secret_available"], true, "{path}");
        let shown = data[secret].as_str().unwrap().to_owned();
        let again = api.post_keyed(path, &body, &key);
        let data = good(&again, 201, path);
        assert_eq!(again.header("idempotent-replayed"), "true", "{path}");
        assert_eq!(data["id"], first.data()["id"], "{path}");
        assert_eq!(data["secret_available"], false, "{path}");
        assert_eq!(data[secret], Value::Null, "{path}");
        assert!(!again.text.contains(&shown), "{path}");
    }
}
