//! What is sent is read strictly, bounded and declared.

use actix_web::test::TestRequest;
use serde_json::json;

use super::super::world::{OPERATOR, World, every_scope};
use super::path_of;
use crate::access::operation::Audience;
use crate::http::idempotency::Idempotency;
use crate::http::route::ROUTES;

#[actix_web::test]
async fn bodies_are_read_strictly() {
    let world = World::new();
    let token = world.token(1, every_scope());
    let terminal = super::super::world::terminal_id();
    let good = json!({"terminal_id": terminal, "amount": 100, "currency": "USD"});
    let with = |name: &str, value: serde_json::Value| {
        let mut body = good.clone();
        body[name] = value;
        body.to_string()
    };
    let without = |name: &str| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(name);
        body.to_string()
    };
    let twice = r#"{"amount": 1, "amount": 2}"#.to_owned();
    for (body, status, code, field) in [
        ("{".to_owned(), 400, "BAD_REQUEST", None),
        ("[]".to_owned(), 400, "BAD_REQUEST", None),
        ("\"x\"".to_owned(), 400, "BAD_REQUEST", None),
        (twice, 400, "BAD_REQUEST", None),
        (String::new(), 400, "BAD_REQUEST", Some("terminal_id")),
        (without("amount"), 400, "BAD_REQUEST", Some("amount")),
        (without("currency"), 400, "BAD_REQUEST", Some("currency")),
        (
            with("amuont", json!(1)),
            422,
            "VALIDATION_ERROR",
            Some("amuont"),
        ),
        (
            with("amount", json!(12.5)),
            422,
            "VALIDATION_ERROR",
            Some("amount"),
        ),
        (
            with("amount", json!(12.0)),
            422,
            "VALIDATION_ERROR",
            Some("amount"),
        ),
        (
            with("amount", json!("12")),
            422,
            "VALIDATION_ERROR",
            Some("amount"),
        ),
        (
            with("amount", json!(null)),
            422,
            "VALIDATION_ERROR",
            Some("amount"),
        ),
        (
            with("amount", json!(-10)),
            422,
            "VALIDATION_ERROR",
            Some("amount"),
        ),
        (
            with("amount", json!(0)),
            422,
            "VALIDATION_ERROR",
            Some("amount"),
        ),
        (
            with("currency", json!("usd")),
            422,
            "INVALID_CURRENCY",
            Some("currency"),
        ),
        (
            with("currency", json!("XXX")),
            422,
            "INVALID_CURRENCY",
            Some("currency"),
        ),
        (
            with("terminal_id", json!("pos_1")),
            422,
            "VALIDATION_ERROR",
            Some("terminal_id"),
        ),
        (
            with("type", json!("refund")),
            422,
            "VALIDATION_ERROR",
            Some("type"),
        ),
        (
            with("reference", json!("a\nb")),
            422,
            "VALIDATION_ERROR",
            Some("reference"),
        ),
        (
            with("tip_prompt", json!(1)),
            422,
            "VALIDATION_ERROR",
            Some("tip_prompt"),
        ),
        (
            with("tip_prompt", json!({"timeout_s": 1})),
            422,
            "VALIDATION_ERROR",
            Some("tip_prompt.timeout_s"),
        ),
        (
            with("tip_prompt", json!({"option_bps": [1]})),
            422,
            "VALIDATION_ERROR",
            Some("tip_prompt.option_bps"),
        ),
    ] {
        let path = "/v1/pos/transactions";
        let got = world.post(&token, path, Some("k"), &body).await;
        let error = got.error();
        assert_eq!(got.status, status, "{body}: {error}");
        assert_eq!(error["code"], code, "{body}");
        let found = error["details"]
            .get("field")
            .and_then(|field| field.as_str());
        assert_eq!(found, field, "{body}");
        assert_eq!(error["details"]["outcome_known"], true);
    }
    assert_eq!(world.asked(), 0);
}

#[actix_web::test]
async fn bodies_are_bounded_and_declared() {
    let world = World::new();
    let token = world.token(1, every_scope());
    let path = "/v1/terminals";
    let large = format!(r#"{{"label": "{}"}}"#, "x".repeat(64 * 1024));
    let got = world.post(&token, path, None, &large).await;
    assert_eq!(
        (got.status.as_u16(), got.code().as_str()),
        (413, "PAYLOAD_TOO_LARGE")
    );
    for (name, value) in [
        ("Content-Type", "text/plain"),
        ("Content-Type", "application/jsonp"),
        ("Content-Encoding", "gzip"),
    ] {
        let mut request = TestRequest::post()
            .uri(path)
            .insert_header(("Authorization", format!("Bearer {token}")))
            .insert_header((name, value))
            .set_payload(r#"{"label": "x"}"#);
        if name != "Content-Type" {
            request = request.insert_header(("Content-Type", "application/json"));
        }
        let got = world.send(request).await;
        assert_eq!(got.status, 415, "{name}: {value}");
        assert_eq!(got.code(), "UNSUPPORTED_MEDIA_TYPE");
    }
    assert_eq!(world.asked(), 0);
}

#[actix_web::test]
async fn money_wants_a_key() {
    let world = World::new();
    let token = world.token(1, every_scope());
    for route in ROUTES {
        if route.idempotency != Idempotency::Required {
            continue;
        }
        let token = match route.operation.rule().audience {
            Audience::Operator => OPERATOR,
            _ => token.as_str(),
        };
        for key in [None, Some("a b")] {
            let got = world.post(token, &path_of(route), key, "{}").await;
            assert_eq!(got.status, 400, "{}", route.path);
            assert_eq!(got.error()["details"]["field"], "X-Idempotency-Key");
        }
    }
}
