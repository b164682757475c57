//! The right input of every route, and that no route is forgotten.

use std::collections::BTreeSet;

use engine::http::route::ROUTES;
use harness::api::Answer;
use harness::hand::{ask_to_pair, fresh_key, redeem, release};
use serde_json::{Value, json};

use super::{World, right_body, world};
use crate::check::{good, refused};

/// What each route answers: status, and the members that the data must have and be of use.
const RIGHT: &[(&str, u16, &[&str])] = &[
    ("GET /healthz", 200, &["status"]),
    ("GET /v1/ping", 200, &["pong", "at"]),
    (
        "GET /v1/status",
        200,
        &["status", "components", "version", "at"],
    ),
    (
        "GET /v1/configurations",
        200,
        &[
            "merchant_id",
            "currencies",
            "tip_adjustment",
            "tip_prompt",
            "receipt_columns",
        ],
    ),
    (
        "GET /v1/permissions",
        200,
        &["partner_id", "is_restricted", "scopes", "permissions"],
    ),
    (
        "POST /v1/pos/transactions",
        201,
        &[
            "id",
            "terminal_id",
            "type",
            "status",
            "stage",
            "amount",
            "total",
            "currency",
            "deadline",
        ],
    ),
    (
        "GET /v1/pos/transactions",
        200,
        &["object", "items", "has_more"],
    ),
    (
        "GET /v1/pos/transactions/{id}",
        200,
        &["id", "status", "attempts", "transaction_id"],
    ),
    (
        "POST /v1/pos/transactions/{id}/cancel",
        200,
        &["id", "cancel"],
    ),
    (
        "POST /v1/pos/transactions/{id}/print-receipt",
        202,
        &[
            "id",
            "pos_transaction_id",
            "terminal_id",
            "copy",
            "is_duplicate",
            "status",
        ],
    ),
    (
        "GET /v1/pos/transactions/{id}/receipt",
        200,
        &[
            "pos_transaction_id",
            "transaction_id",
            "copy",
            "fields",
            "columns",
            "text",
        ],
    ),
    (
        "GET /v1/pos/transactions/{id}/print-jobs",
        200,
        &["object", "items", "has_more"],
    ),
    (
        "GET /v1/transactions",
        200,
        &["object", "items", "has_more"],
    ),
    (
        "GET /v1/transactions/{id}",
        200,
        &[
            "id",
            "pos_transaction_id",
            "status",
            "card",
            "trace_number",
            "available_operations",
        ],
    ),
    (
        "POST /v1/transactions/{id}/tip-adjustment",
        200,
        &["id", "tip_amount", "total"],
    ),
    (
        "POST /v1/transactions/{id}/void",
        200,
        &["id", "status", "total"],
    ),
    ("POST /v1/terminals", 201, &["id", "label", "created_at"]),
    ("GET /v1/terminals", 200, &["object", "items", "has_more"]),
    (
        "GET /v1/terminals/{id}",
        200,
        &[
            "id",
            "label",
            "is_paired",
            "availability",
            "connection",
            "configuration",
            "status",
        ],
    ),
    (
        "GET /v1/terminals/{id}/status",
        200,
        &[
            "terminal_id",
            "availability",
            "is_online",
            "age_ms",
            "report_age_ms",
            "reader",
            "printer",
        ],
    ),
    (
        "PATCH /v1/terminals/{id}",
        200,
        &["id", "label", "location"],
    ),
    (
        "GET /v1/terminals/{id}/configuration",
        200,
        &[
            "terminal_id",
            "version",
            "settings",
            "effective",
            "configuration",
        ],
    ),
    (
        "PUT /v1/terminals/{id}/configuration",
        200,
        &["terminal_id", "version", "settings"],
    ),
    (
        "GET /v1/merchant/terminal-configuration",
        200,
        &["merchant_id", "version", "settings"],
    ),
    (
        "PUT /v1/merchant/terminal-configuration",
        200,
        &["merchant_id", "version", "settings", "updated_at"],
    ),
    (
        "POST /v1/terminals/{id}/pairing-codes",
        201,
        &["id", "terminal_id", "code", "expires_at"],
    ),
    (
        "GET /v1/terminals/{id}/pairing-codes",
        200,
        &["object", "items", "has_more"],
    ),
    ("POST /v1/terminals/{id}/unpair", 200, &["id", "label"]),
    (
        "GET /v1/pairing-codes",
        200,
        &["object", "items", "has_more"],
    ),
    (
        "POST /v1/pairing-codes/bulk",
        201,
        &["object", "created", "failed", "rows"],
    ),
    (
        "POST /v1/pairing-codes/{id}/revoke",
        200,
        &["id", "state", "revoked_at"],
    ),
    ("GET /pair", 200, &[]),
    (
        "POST /v1/pairing/device",
        201,
        &[
            "device_code",
            "user_code",
            "verification_path",
            "verification_path_complete",
            "expires_in_s",
            "interval_s",
        ],
    ),
    ("POST /v1/pairing/device/poll", 200, &["status"]),
    (
        "GET /v1/pairing/requests/{user_code}",
        200,
        &[
            "user_code",
            "status",
            "serial_number",
            "agent_version",
            "source_address",
            "key_fingerprint",
            "asked_at",
            "age_s",
        ],
    ),
    (
        "POST /v1/pairing/requests/{user_code}/approve",
        200,
        &["id", "label", "paired_at"],
    ),
    (
        "POST /v1/pairing/requests/{user_code}/deny",
        200,
        &["user_code", "status"],
    ),
    (
        "POST /v1/pairing/release",
        200,
        &["terminal_id", "released"],
    ),
    (
        "POST /v1/pairing/redeem",
        200,
        &[
            "terminal_id",
            "merchant_id",
            "merchant_name",
            "label",
            "engine_incarnation",
            "link_url",
        ],
    ),
    (
        "POST /v1/sandbox/faults",
        201,
        &[
            "id",
            "target",
            "kind",
            "at",
            "times",
            "status",
            "firings",
            "created_at",
            "expires_at",
        ],
    ),
    (
        "GET /v1/sandbox/faults",
        200,
        &["object", "items", "has_more"],
    ),
    (
        "DELETE /v1/sandbox/faults/{id}",
        200,
        &["id", "status", "ended_at"],
    ),
    (
        "GET /v1/merchant",
        200,
        &["id", "name", "address", "phone", "currencies", "scopes"],
    ),
    (
        "GET /v1/merchant/api-keys",
        200,
        &["object", "items", "has_more"],
    ),
    (
        "POST /v1/merchant/api-keys",
        201,
        &["id", "label", "prefix", "scopes", "secret"],
    ),
    (
        "POST /v1/merchant/api-keys/{id}/revoke",
        200,
        &["id", "revoked_at"],
    ),
    (
        "POST /v1/partners",
        201,
        &["id", "name", "permissions", "disabled"],
    ),
    ("GET /v1/partners", 200, &["object", "items", "has_more"]),
    ("GET /v1/partners/{id}", 200, &["id", "name", "permissions"]),
    (
        "PUT /v1/partners/{id}/permissions",
        200,
        &["id", "permissions", "disabled"],
    ),
    ("POST /v1/merchants", 201, &["id", "name", "currencies"]),
    ("GET /v1/merchants", 200, &["object", "items", "has_more"]),
    ("GET /v1/merchants/{id}", 200, &["id", "partner_id", "name"]),
    (
        "POST /v1/merchants/{id}/api-keys",
        201,
        &["id", "merchant_id", "secret"],
    ),
    (
        "POST /v1/merchants/{id}/transactions/{transaction_id}/resolution",
        200,
        &["id", "status", "reason", "resolution"],
    ),
];

#[test]
fn every_route_is_in_the_table() {
    let named: BTreeSet<String> = RIGHT.iter().map(|(name, ..)| (*name).to_owned()).collect();
    let served: BTreeSet<String> = ROUTES
        .iter()
        .map(|route| format!("{} {}", route.verb.name(), route.path))
        .collect();
    assert_eq!(named, served);
}

#[test]
fn every_route_answers_right_input() {
    let world = world();
    let _till = world.till();
    for (name, status, members) in RIGHT {
        let (verb, path) = name.split_once(' ').unwrap();
        let route = super::route(verb, path);
        let mut filled = world.path(route);
        let mut body = right_body(world, route);
        match path {
            "/v1/transactions/{id}/void" => {
                let sale = world.shop.tap_sale(1_100, "mastercard").unwrap();
                filled = path.replace("{id}", sale.field("transaction_id"));
            }
            "/v1/pairing/redeem" => {
                body["code"] = json!(pairing_code(world));
                // A key is one terminal's at a time.
                let key = fresh_key().verifying_key();
                body["public_key"] = json!(hex::encode(key.as_bytes()));
            }
            "/v1/pairing-codes/{id}/revoke" => filled = path.replace("{id}", &live_code(world)),
            "/v1/pairing/requests/{user_code}/approve"
            | "/v1/pairing/requests/{user_code}/deny" => {
                let asked = ask_to_pair(world.base(), "SN-3", &fresh_key());
                filled = path.replace("{user_code}", asked.field("user_code"));
            }
            "/v1/pairing/release" => body = signed_release(world),
            "/v1/merchant/api-keys/{id}/revoke" => {
                let minted = world
                    .api
                    .post("/v1/merchant/api-keys", &json!({"label": "Old"}));
                filled = path.replace("{id}", minted.field("id"));
            }
            super::RESOLUTION => {
                let merchants = path.replace("{id}", &world.shop.merchant_id);
                filled = merchants.replace("{transaction_id}", &world.transaction_in_doubt());
            }
            _ => {}
        }
        let body = match route.verb.has_body() {
            true => body.to_string(),
            false => String::new(),
        };
        let answer = world.send(route, &filled, &body);
        if path == "/pair" {
            assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
            assert!(
                answer
                    .header("content-security-policy")
                    .contains("default-src 'none'")
            );
            continue;
        }
        let data = good(&answer, *status, name);
        for member in *members {
            let value = &data[*member];
            assert!(
                !value.is_null() && *value != json!(""),
                "{name}: {member} in {}",
                answer.text
            );
        }
        after(world, path, &answer);
    }
}

fn live_code(world: &World) -> String {
    let path = format!("/v1/terminals/{}/pairing-codes", world.spare_terminal());
    world.api.post(&path, &json!({})).field("id").to_owned()
}

/// A till of its own that was paired for this, and gives its identity back.
fn signed_release(world: &World) -> Value {
    let key = fresh_key();
    let paired = redeem(world.base(), &pairing_code(world), &key);
    let incarnation = paired.field("engine_incarnation").parse().unwrap();
    let now_ms = chrono::Utc::now().timestamp_millis();
    let terminal_id = paired.field("terminal_id").parse().unwrap();
    release(terminal_id, incarnation, now_ms, &key)
}

fn pairing_code(world: &World) -> String {
    let path = format!("/v1/terminals/{}/pairing-codes", world.spare_terminal());
    world
        .api
        .post(&path, &json!({"life_s": 60}))
        .field("code")
        .to_owned()
}

/// What has to be put back before the next route, and what is true of the answer besides.
fn after(world: &World, path: &str, answer: &Answer) {
    let data = answer.data();
    match (path, data["stage"].as_str()) {
        ("/v1/pos/transactions", Some(stage)) => {
            assert_eq!(data["status"], "in_progress");
            assert_eq!(stage, "offered");
            let path = format!("/v1/pos/transactions/{}/cancel", answer.field("id"));
            let canceled = world.api.post(&path, &json!({}));
            assert_eq!(
                good(&canceled, 200, "cancel")["cancel"]["verdict"],
                "canceled"
            );
            assert!(world.shop.devices.wait_until_idle());
        }
        ("/v1/pos/transactions/{id}/cancel", _) => {
            assert_eq!(data["cancel"]["verdict"], "too_late_approved");
            assert_eq!(data["status"], "approved");
        }
        ("/v1/transactions/{id}/tip-adjustment", _) => assert_eq!(data["total"], 1_001),
        (super::RESOLUTION, _) => {
            assert_eq!(data["status"], "failed");
            assert_eq!(data["reason"], "operator_resolved");
            assert_eq!(data["resolution"]["resolved_by"], "M. Operator");
            assert_eq!(data["needs_attention"], false);
            let path = format!("/v1/transactions/{}", answer.field("id"));
            let read = world.api.get(&path);
            assert_eq!(read.data()["resolution"], data["resolution"]);
            let pos_id = data["pos_transaction_id"].as_str().unwrap();
            let pos = world.api.get(&format!("/v1/pos/transactions/{pos_id}"));
            assert_eq!(
                (pos.field("status"), pos.field("reason")),
                ("failed", "operator_resolved")
            );
            let path = format!(
                "/v1/merchants/{}/transactions/{}/resolution",
                world.shop.merchant_id, world.transaction_id
            );
            let route = super::route("POST", super::RESOLUTION);
            let body = right_body(world, route).to_string();
            let refusal = world.send(route, &path, &body);
            refused(
                &refusal,
                409,
                "INVALID_STATE",
                "what stands is not in doubt",
            );
        }
        ("/v1/transactions/{id}/void", _) => assert_eq!(data["status"], "voided"),
        ("/v1/terminals/{id}/status", _) => {
            assert_eq!(data["availability"], "ready");
            assert_eq!(data["reader"]["state"], "ready");
            assert_eq!(data["printer"]["paper"], "ok");
        }
        _ => {}
    }
}

#[test]
fn configurations_and_own_merchant_are_the_callers() {
    let world = world();
    let data = world.api.get("/v1/configurations");
    let data = good(&data, 200, "configurations");
    assert_eq!(data["merchant_id"], json!(world.shop.merchant_id));
    assert_eq!(data["currencies"], json!(["USD", "EUR"]));
    assert_eq!(data["tip_adjustment"]["tip_bps_max"], 2_000);
    assert_eq!(data["receipt_columns"], json!([32, 42, 48]));
    assert_eq!(
        data["default_scopes"],
        json!(["payments:create", "payments:read"])
    );
    let merchant = world.api.get("/v1/merchant");
    let data = good(&merchant, 200, "merchant");
    assert_eq!(data["id"], json!(world.shop.merchant_id));
    assert_eq!(data["partner_id"], json!(world.shop.partner_id));
    let of_operator = world.operator().get("/v1/configurations");
    assert_eq!(
        good(&of_operator, 200, "operator")["merchant_id"],
        Value::Null
    );
}

#[test]
fn all_37_permissions_are_listed_and_a_standalone_merchant_has_no_restriction() {
    let world = world();
    let count = |api: &harness::api::Api| {
        let answer = api.get("/v1/permissions");
        let data = good(&answer, 200, "permissions").clone();
        let permissions = data["permissions"].as_array().unwrap().clone();
        let names: BTreeSet<String> = permissions
            .iter()
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect();
        let on = permissions
            .iter()
            .filter(|one| one["enabled"] == json!(true))
            .count();
        (data["is_restricted"].clone(), names.len(), on)
    };
    assert_eq!(count(&world.api), (json!(true), 37, 37));
    let standalone = crate::check::board(world.operator(), None);
    assert_eq!(count(&standalone.api), (json!(false), 37, 37));
    let partner_id = crate::check::partner(world.operator(), "Strict Payments");
    let strict = crate::check::board(world.operator(), Some(&partner_id));
    let path = format!("/v1/partners/{partner_id}/permissions");
    let only = json!({"permissions": ["Ping", "Status", "Configurations"]});
    good(
        &world.operator().put(&path, &only),
        200,
        "the least allowlist",
    );
    assert_eq!(count(&strict.api), (json!(true), 37, 3));
    for path in ["/v1/ping", "/v1/status", "/v1/configurations"] {
        good(&strict.api.get(path), 200, path);
    }
    let refusal = strict.api.get("/v1/terminals");
    let details = refused(&refusal, 403, "FORBIDDEN", "terminals");
    assert_eq!(details["required_permission"], "Get Terminal List");
}
