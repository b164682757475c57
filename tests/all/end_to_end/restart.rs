//! The engine dies as in a power cut: every answer that was given is given again, byte for byte,
//! and the till goes on.

use harness::api::{Answer, fresh_key};
use harness::shop::Shop;
use serde_json::{Value, json};

use super::{approved, begin_sale, pay};
use crate::check::{directory, good, mint, refused};

struct Asked {
    path: String,
    body: Value,
    key: String,
    first: Answer,
}

fn ask(shop: &Shop, asked: &mut Vec<Asked>, path: String, body: Value, status: u16) {
    let key = fresh_key();
    let first = shop.pos.post_keyed(&path, &body, &key);
    good(&first, status, &path);
    asked.push(Asked {
        path,
        body,
        key,
        first,
    });
}

/// What a repeat must be: the first answer, but without secrets.
fn check_repeats(shop: &Shop, asked: &[Asked], with_secret: &[&str]) {
    for Asked {
        path,
        body,
        key,
        first,
    } in asked
    {
        let again = shop.pos.post_keyed(path, body, key);
        assert_eq!(again.status, first.status, "{path}: {}", again.text);
        assert_eq!(again.header("idempotent-replayed"), "true", "{path}");
        assert_ne!(
            again.header("x-trace-id"),
            first.header("x-trace-id"),
            "{path}"
        );
        if with_secret.contains(&path.as_str()) {
            assert_eq!(again.data()["id"], first.data()["id"], "{path}");
            assert_eq!(again.data()["secret_available"], false, "{path}");
        } else {
            assert_eq!(again.text, first.text, "{path}");
        }
        let mut other = body.clone();
        other["reference"] = json!("other");
        if path.ends_with("/transactions") {
            let answer = shop.pos.post_keyed(path, &other, key);
            refused(&answer, 409, "IDEMPOTENCY_CONFLICT", path);
        }
    }
}

#[test]
fn answers_outlive_the_engine() {
    let mut shop = Shop::open(&directory("restart")).unwrap();
    let mut asked = Vec::new();
    let (pos_id, transaction_id) = approved(&shop, 9_000, "visa");
    let transactions = format!("/v1/transactions/{transaction_id}");
    let codes = format!("/v1/terminals/{}/pairing-codes", shop.terminal_id);
    ask(
        &shop,
        &mut asked,
        "/v1/terminals".into(),
        json!({"label": "Lane 2"}),
        201,
    );
    ask(&shop, &mut asked, codes.clone(), json!({}), 201);
    ask(
        &shop,
        &mut asked,
        "/v1/merchant/api-keys".into(),
        json!({"label": "k", "scopes": ["pos:read"]}),
        201,
    );
    let tip = json!({"tip_amount": 500, "currency": "USD"});
    ask(
        &shop,
        &mut asked,
        format!("{transactions}/tip-adjustment"),
        tip,
        200,
    );
    ask(
        &shop,
        &mut asked,
        format!("/v1/pos/transactions/{pos_id}/print-receipt"),
        json!({}),
        202,
    );
    ask(
        &shop,
        &mut asked,
        format!("{transactions}/void"),
        json!({}),
        200,
    );
    ask(
        &shop,
        &mut asked,
        format!("/v1/pos/transactions/{pos_id}/cancel"),
        json!({}),
        200,
    );
    assert!(shop.devices.wait_until_idle() && shop.wait_until_ready());
    ask(
        &shop,
        &mut asked,
        "/v1/pos/transactions".into(),
        shop.sale(9_100),
        201,
    );
    let running = asked.last().unwrap().first.field("id").to_owned();
    assert!(shop.devices.wait_for_reader());
    let (_, revoked) = mint(
        &shop.engine.operator,
        &shop.merchant_id,
        &json!({"label": "gone"}),
    );
    let prefix = revoked
        .rsplit_once('_')
        .map_or("", |(prefix, _)| prefix)
        .to_owned();
    let keys = shop.pos.get("/v1/merchant/api-keys?limit=100");
    let keys = good(&keys, 200, "keys")["items"]
        .as_array()
        .unwrap()
        .clone();
    let gone = keys
        .iter()
        .find(|key| key["prefix"] == json!(prefix))
        .expect("the key is listed");
    let path = format!(
        "/v1/merchant/api-keys/{}/revoke",
        gone["id"].as_str().unwrap()
    );
    ask(&shop, &mut asked, path, json!({}), 200);
    let disabled = json!({"disabled": ["Get Terminal List"]});
    let permissions = format!("/v1/partners/{}/permissions", shop.partner_id);
    good(
        &shop.engine.operator.put(&permissions, &disabled),
        200,
        "permissions",
    );

    let secrets = [codes.as_str(), "/v1/merchant/api-keys"];
    for _ in 0..2 {
        shop.engine.kill();
        shop.engine.restart().unwrap();
        check_repeats(&shop, &asked, &secrets);
        let answer = shop.pos.with_token(&revoked).get("/v1/ping");
        refused(
            &answer,
            401,
            "UNAUTHORIZED",
            "a revoked key after a restart",
        );
        let answer = shop.pos.get("/v1/terminals");
        refused(&answer, 403, "FORBIDDEN", "an allowlist after a restart");
    }

    // What waited for its card when the link broke waits for it again, and is paid once.
    assert!(shop.devices.wait_for_reader());
    shop.devices.present("visa", "tap").unwrap();
    let end = shop.end_of(&running);
    assert_eq!(end.field("status"), "approved", "{}", end.text);
    assert!(shop.wait_until_ready());
    let end = pay(&shop, 9_150, "visa", "insert");
    assert_eq!(end.field("status"), "approved", "{}", end.text);
    let listed = shop.pos.get("/v1/transactions?status=approved");
    assert_eq!(
        good(&listed, 200, "list")["items"].as_array().map(Vec::len),
        Some(2)
    );
    check_repeats(&shop, &asked, &secrets);
}

#[test]
fn an_agent_that_dies_in_the_middle_ends_the_sale_and_takes_the_next() {
    let mut shop = Shop::open(&directory("agent-restart")).unwrap();
    let pos_id = begin_sale(&shop, 9_200);
    shop.till.kill();
    shop.till.run().unwrap();
    let end = shop.end_of(&pos_id);
    assert_eq!(end.field("status"), "failed", "{}", end.text);
    assert_eq!(end.field("reason"), "terminal_restarted");
    assert!(shop.wait_until_ready());
    let end = pay(&shop, 9_300, "mastercard", "tap");
    assert_eq!(end.field("status"), "approved", "{}", end.text);
    let listed = shop.pos.get("/v1/transactions");
    assert_eq!(
        good(&listed, 200, "list")["items"].as_array().map(Vec::len),
        Some(1)
    );
}
