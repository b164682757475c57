//! Who gets in: credentials, scopes, permissions, envelopes.

mod body;
mod bound;

use actix_web::http::Method;
use actix_web::test::TestRequest;
use protocol::id::PosTransactionId;
use serde_json::json;

use super::world::{OPERATOR, T0, World, every_scope, pos};
use crate::access::operation::Audience;
use crate::config::Limits;
use crate::domain::permission::{Allowlist, Permission};
use crate::domain::scope::ScopeSet;
use crate::http::route::{ROUTES, Route, Verb};
use crate::owner::request::Answer;

fn path_of(route: &Route) -> String {
    // An id of no kind: whoever gets past the guard finds nothing.
    let path = route.path.replace("{transaction_id}", "nothing");
    let path = path.replace("{user_code}", "nothing");
    path.replace("{id}", "nothing")
}

fn request_for(route: &Route) -> TestRequest {
    let request = match route.verb {
        Verb::Get => TestRequest::get(),
        Verb::Post => TestRequest::post(),
        Verb::Put => TestRequest::put(),
        Verb::Patch => TestRequest::patch(),
        Verb::Delete => TestRequest::delete(),
    };
    request.uri(&path_of(route))
}

#[actix_web::test]
async fn every_route_wants_its_credential() {
    let world = World::with_limits(Limits {
        refused_credentials_per_minute: 10_000,
        ..Limits::default()
    });
    for route in ROUTES {
        if route.operation.rule().audience == Audience::Public {
            continue;
        }
        for header in [
            None,
            Some("Bearer"),
            Some("Bearer "),
            Some("Basic dXNlcjpwYXNz"),
            Some("Bearer tw_test_00000000000000000000000000000000_00"),
            Some("Bearer wrong"),
        ] {
            let mut request = request_for(route);
            if let Some(header) = header {
                request = request.insert_header(("Authorization", header));
            }
            let got = world.send(request).await;
            assert_eq!(got.status, 401, "{} {header:?}", route.path);
            assert_eq!(got.code(), "UNAUTHORIZED");
            assert_eq!(got.header("www-authenticate").as_deref(), Some("Bearer"));
        }
    }
    assert_eq!(world.asked(), 0);
}

#[actix_web::test]
async fn every_route_checks_scope_and_permission_before_anything_else() {
    let world = World::new();
    let bare = world.token(1, ScopeSet::new());
    let full = world.token(1, every_scope());
    let standalone = world.token(2, every_scope());
    for route in ROUTES {
        let rule = route.operation.rule();
        if rule.audience != Audience::Merchant {
            continue;
        }
        let send = |token: &str| {
            let header = ("Authorization", format!("Bearer {token}"));
            // No body, no key: had the guard not answered first, the answer would be another.
            world.send(request_for(route).insert_header(header))
        };
        if let Some(scope) = rule.scope {
            let got = send(&bare).await;
            let error = got.error();
            assert_eq!(got.status, 403, "{}", route.path);
            assert_eq!(error["details"]["required_scope"], scope.code());
            assert_eq!(
                error["message"],
                format!("This endpoint requires the '{}' scope.", scope.code())
            );
        }
        if let Some(permission) = rule.permission {
            world.set_allowlist(Allowlist::of(
                Permission::ALL
                    .iter()
                    .copied()
                    .filter(|one| *one != permission),
            ));
            let got = send(&full).await;
            let error = got.error();
            assert_eq!(got.status, 403, "{}", route.path);
            assert_eq!(error["details"]["required_permission"], permission.name());
            assert_ne!(send(&standalone).await.status, 403, "{}", route.path);
            world.set_allowlist(Allowlist::full());
            assert_ne!(send(&full).await.status, 403, "{}", route.path);
        }
    }
    assert_eq!(world.asked(), 0);
}

#[actix_web::test]
async fn the_operators_routes_are_the_operators() {
    let world = World::new();
    let merchant = world.token(1, every_scope());
    for route in ROUTES {
        let (token, kind) = match route.operation.rule().audience {
            Audience::Operator => (merchant.as_str(), "operator"),
            Audience::Merchant => (OPERATOR, "merchant"),
            Audience::Any | Audience::Public => continue,
        };
        let header = ("Authorization", format!("Bearer {token}"));
        let got = world.send(request_for(route).insert_header(header)).await;
        assert_eq!(got.status, 403, "{}", route.path);
        assert_eq!(got.error()["details"]["required_credential"], kind);
    }
}

#[actix_web::test]
async fn what_is_not_in_the_table_is_answered_in_the_envelope() {
    let world = World::new();
    for path in [
        "/",
        "/v1",
        "/v1/pos/transaction",
        "/v1/ping/",
        "/v2/ping",
        "/v1/cards",
    ] {
        let got = world.get(OPERATOR, path).await;
        assert_eq!(
            (got.status.as_u16(), got.code().as_str()),
            (404, "NOT_FOUND")
        );
    }
    for (method, path, allowed) in [
        (Method::DELETE, "/v1/ping", "GET"),
        (Method::PATCH, "/v1/pos/transactions", "GET, POST"),
        (Method::POST, "/v1/partners/x/permissions", "PUT"),
    ] {
        let got = world.write(method, OPERATOR, path, None, "").await;
        assert_eq!(got.status, 405);
        assert_eq!(got.code(), "METHOD_NOT_ALLOWED");
        let mut found: Vec<String> = got
            .header("allow")
            .unwrap()
            .split(", ")
            .map(str::to_owned)
            .collect();
        found.sort();
        assert_eq!(found.join(", "), allowed);
    }
}

#[actix_web::test]
async fn a_panic_is_answered() {
    let world = World::new();
    let token = world.token(1, every_scope());
    // No answer is queued: the fake owner panics.
    let got = world
        .post(&token, "/v1/terminals", None, r#"{"label": "x"}"#)
        .await;
    assert_eq!(got.status, 500);
    assert_eq!(got.code(), "INTERNAL_ERROR");
    assert_eq!(world.state.in_flight(), 0);
}

#[actix_web::test]
async fn absent_and_not_yours_look_the_same() {
    let world = World::new();
    let other = world.token(2, every_scope());
    let sale = pos(1, T0);
    world.put_pos(&sale);
    let absent = PosTransactionId::from_uuid(uuid::Uuid::from_u128(9));
    let error_of = async |path: String| {
        let got = world.get(&other, &path).await;
        assert_eq!(got.status, 404, "{path}");
        let mut error = got.error();
        error["details"]["trace_id"] = json!(null);
        error
    };
    let expected = error_of(format!("/v1/pos/transactions/{absent}")).await;
    for path in [
        format!("/v1/pos/transactions/{}", sale.id),
        format!("/v1/pos/transactions/{}/receipt", sale.id),
        format!("/v1/pos/transactions/{}/print-jobs", sale.id),
        "/v1/pos/transactions/x".to_owned(),
        format!("/v1/terminals/{}", super::world::terminal_id()),
        format!("/v1/terminals/{}/status", super::world::terminal_id()),
        "/v1/transactions/txn_01h2xcejqtf2nbrexx3vqjhp41".to_owned(),
    ] {
        assert_eq!(error_of(path).await, expected);
    }
}

#[actix_web::test]
async fn general_operations_answer_any_credential() {
    let world = World::new();
    let bare = world.token(1, ScopeSet::new());
    world.set_allowlist(Allowlist::of([]));
    for token in [bare.as_str(), OPERATOR] {
        for path in ["/v1/ping", "/v1/status", "/v1/configurations"] {
            assert_eq!(world.get(token, path).await.status, 200, "{path}");
        }
    }
    assert_eq!(
        world.send(TestRequest::get().uri("/healthz")).await.status,
        200
    );
    let data = world.get(&bare, "/v1/permissions").await.data();
    assert_eq!(data["is_restricted"], true);
    assert_eq!(data["permissions"].as_array().unwrap().len(), 37);
    let enabled: Vec<&str> = data["permissions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["enabled"] == true)
        .filter_map(|one| one["name"].as_str())
        .collect();
    assert_eq!(enabled, ["Ping", "Status", "Configurations"]);
}

#[actix_web::test]
async fn a_cancel_that_voids_needs_what_a_void_needs() {
    let world = World::new();
    let scopes = every_scope()
        .into_iter()
        .filter(|scope| scope.code() != "transactions:void")
        .collect();
    let token = world.token(1, scopes);
    let sale = pos(1, T0);
    let path = format!("/v1/pos/transactions/{}/cancel", sale.id);
    let got = world
        .post(&token, &path, None, r#"{"if_too_late": "void"}"#)
        .await;
    assert_eq!(got.status, 403);
    assert_eq!(
        got.error()["details"]["required_scope"],
        "transactions:void"
    );
    assert_eq!(world.asked(), 0);
    world.will_answer(Ok(Answer::Canceled(Box::new(sale))));
    assert_eq!(world.post(&token, &path, None, "").await.status, 200);
}
