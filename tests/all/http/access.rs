//! Who gets in: credentials, scopes, the partner's allowlist, somebody else's ids.

use chrono::{DateTime, SecondsFormat, TimeDelta};
use engine::access::operation::Audience;
use engine::domain::permission::Permission;
use engine::http::route::ROUTES;
use harness::raw;
use harness::wait::until;
use serde_json::{Value, json};

use super::{right_body, world};
use crate::check::{board, every_scope, good, mint, partner, refused, without_trace};

#[test]
fn every_route_refuses_bad_credentials() {
    let world = world();
    let (key_id, revoked) = mint(
        world.operator(),
        &world.shop.merchant_id,
        &json!({"label": "x"}),
    );
    let path = format!("/v1/merchant/api-keys/{key_id}/revoke");
    good(&world.api.post(&path, &json!({})), 200, "revoke");
    let flipped = |token: &str| {
        let (rest, last) = token.split_at(token.len() - 1);
        format!("{rest}{}", if last == "0" { "1" } else { "0" })
    };
    let bearer = |token: &str| vec![format!("Bearer {token}")];
    for route in ROUTES {
        if route.operation.rule().audience == Audience::Public {
            continue;
        }
        let token = world.token(route);
        for (what, credentials) in [
            ("none", vec![]),
            ("empty", vec!["Bearer ".to_owned()]),
            ("other scheme", vec!["Basic dXNlcjpwYXNz".to_owned()]),
            ("garbled", bearer(&flipped(token))),
            ("cut", bearer(&token[..token.len() - 1])),
            ("long", bearer(&"x".repeat(4_000))),
            ("revoked", bearer(&revoked)),
            ("twice", [bearer(token), bearer(token)].concat()),
        ] {
            let what = format!("{} {} with {what}", route.verb.name(), route.path);
            let headers: Vec<(&str, &str)> = credentials
                .iter()
                .map(|value| ("Authorization", value.as_str()))
                .collect();
            let path = world.path(route);
            let answer = raw::call(world.base(), route.verb.name(), &path, &headers, b"");
            refused(&answer, 401, "UNAUTHORIZED", &what);
            assert_eq!(answer.header("www-authenticate"), "Bearer", "{what}");
        }
    }
}

#[test]
fn a_revoked_key_is_out_at_the_very_next_request() {
    let world = world();
    for _ in 0..8 {
        let (key_id, secret) = mint(
            world.operator(),
            &world.shop.merchant_id,
            &json!({"label": "soon gone"}),
        );
        let client = world.api.with_token(&secret);
        good(&client.get("/v1/ping"), 200, "before");
        let path = format!("/v1/merchant/api-keys/{key_id}/revoke");
        good(&world.api.post(&path, &json!({})), 200, "revoke");
        refused(&client.get("/v1/ping"), 401, "UNAUTHORIZED", "after");
        good(&world.api.post(&path, &json!({})), 200, "revoking again");
    }
}

#[test]
fn an_expired_key_is_out() {
    let world = world();
    let now = world.api.get("/v1/ping").field("at").to_owned();
    let now = DateTime::parse_from_rfc3339(&now).unwrap();
    let at = |seconds| {
        let at = now + TimeDelta::seconds(seconds);
        at.to_rfc3339_opts(SecondsFormat::Millis, true)
    };
    let path = format!("/v1/merchants/{}/api-keys", world.shop.merchant_id);
    let late = world
        .operator()
        .post(&path, &json!({"label": "x", "expires_at": at(-1)}));
    let details = refused(&late, 422, "VALIDATION_ERROR", "already expired");
    assert_eq!(details["field"], "expires_at");
    let body = json!({"label": "x", "expires_at": at(2)});
    let (_, secret) = mint(world.operator(), &world.shop.merchant_id, &body);
    let client = world.api.with_token(&secret);
    let answer = until("the key to expire", || {
        let answer = client.get("/v1/ping");
        (answer.status != 200).then_some(answer)
    });
    refused(&answer.unwrap(), 401, "UNAUTHORIZED", "expired");
}

#[test]
fn every_route_names_the_scope_that_is_missing() {
    let world = world();
    for route in ROUTES {
        let Some(scope) = route.operation.rule().scope else {
            continue;
        };
        let others: Vec<&str> = every_scope()
            .into_iter()
            .filter(|one| *one != scope.code())
            .collect();
        let body = json!({"label": "all but one", "scopes": others});
        let (_, secret) = mint(world.operator(), &world.shop.merchant_id, &body);
        // No body, no key: the guard answers before anything else is looked at.
        let what = format!("{} {}", route.verb.name(), route.path);
        let answer = world.send_as(route, &world.path(route), "", &secret);
        let details = refused(&answer, 403, "FORBIDDEN", &what);
        assert_eq!(details["required_scope"], scope.code(), "{what}");
        let sentence = format!("This endpoint requires the '{}' scope.", scope.code());
        assert_eq!(answer.body["error"]["message"], json!(sentence), "{what}");
    }
}

#[test]
fn the_wrong_kind_of_credential_is_refused() {
    let world = world();
    for route in ROUTES {
        let (token, kind) = match route.operation.rule().audience {
            Audience::Operator => (world.api.token(), "operator"),
            Audience::Merchant => (world.operator().token(), "merchant"),
            Audience::Any | Audience::Public => continue,
        };
        let what = format!("{} {}", route.verb.name(), route.path);
        let answer = world.send_as(route, &world.path(route), "", token);
        let details = refused(&answer, 403, "FORBIDDEN", &what);
        assert_eq!(details["required_credential"], kind, "{what}");
    }
}

#[test]
fn every_permission_closes_and_opens_its_routes_at_once() {
    let world = world();
    let operator = world.operator();
    let partner_id = partner(operator, "Fence Payments");
    let fenced = board(operator, Some(&partner_id));
    let free = board(operator, None);
    let path = format!("/v1/partners/{partner_id}/permissions");
    let mut closed = 0;
    for permission in Permission::ALL.iter().filter(|one| !one.is_always_on()) {
        let name = permission.name();
        let routes = || {
            ROUTES
                .iter()
                .filter(|one| one.operation.rule().permission == Some(*permission))
        };
        let answered = operator.put(&path, &json!({"disabled": [name]}));
        assert_eq!(good(&answered, 200, name)["disabled"], json!([name]));
        for route in routes() {
            let what = format!("{} {} without {name}", route.verb.name(), route.path);
            let filled = world.path(route);
            let answer = world.send_as(route, &filled, "", fenced.api.token());
            let details = refused(&answer, 403, "FORBIDDEN", &what);
            assert_eq!(details["required_permission"], name, "{what}");
            let answer = world.send_as(route, &filled, "", free.api.token());
            assert_ne!(answer.status, 403, "a standalone merchant: {what}");
            closed += 1;
        }
        let answered = operator.put(&path, &json!({"disabled": []}));
        assert_eq!(good(&answered, 200, name)["disabled"], json!([]));
        for route in routes() {
            let answer = world.send_as(route, &world.path(route), "", fenced.api.token());
            assert_ne!(answer.status, 403, "{} with {name}", route.path);
        }
    }
    assert!(closed >= 13, "only {closed} routes have a permission");
}

#[test]
fn allowlists_are_changed_as_a_whole_or_not_at_all() {
    let world = world();
    let partner_id = partner(world.operator(), "Table Payments");
    let path = format!("/v1/partners/{partner_id}/permissions");
    for (body, status, code, field) in [
        (
            json!({"disabled": ["Ping"]}),
            422,
            "VALIDATION_ERROR",
            "permissions",
        ),
        (
            json!({"disabled": ["Status"]}),
            422,
            "VALIDATION_ERROR",
            "permissions",
        ),
        (
            json!({"disabled": ["Configurations", "Void"]}),
            422,
            "VALIDATION_ERROR",
            "permissions",
        ),
        (
            json!({"permissions": ["Void"]}),
            422,
            "VALIDATION_ERROR",
            "permissions",
        ),
        (
            json!({"permissions": ["Ping", "Status"]}),
            422,
            "VALIDATION_ERROR",
            "permissions",
        ),
        (
            json!({"disabled": ["Fly"]}),
            422,
            "VALIDATION_ERROR",
            "permissions",
        ),
        (
            json!({"disabled": ["start pos transaction"]}),
            422,
            "VALIDATION_ERROR",
            "permissions",
        ),
        (
            json!({"disabled": ["x".repeat(10_000)]}),
            422,
            "VALIDATION_ERROR",
            "permissions",
        ),
        (
            json!({"permissions": ["Ping"], "disabled": ["Void"]}),
            422,
            "VALIDATION_ERROR",
            "disabled",
        ),
        (
            json!({"disabled": "Void"}),
            422,
            "VALIDATION_ERROR",
            "disabled",
        ),
        (json!({}), 400, "BAD_REQUEST", "permissions"),
    ] {
        let answer = world.operator().put(&path, &body);
        let details = refused(&answer, status, code, &body.to_string());
        assert_eq!(details["field"], field, "{body}");
        assert!(answer.text.len() < 1_000, "{body}");
    }
    let read = world.operator().get(&format!("/v1/partners/{partner_id}"));
    assert_eq!(good(&read, 200, "unchanged")["disabled"], json!([]));
}

#[test]
fn ids_of_others_and_ids_of_nobody_get_the_same_answer() {
    let world = world();
    for route in ROUTES.iter().filter(|route| route.path.contains("{id}")) {
        let name = format!("{} {}", route.verb.name(), route.path);
        let body = match route.verb.has_body() {
            true => right_body(world, route).to_string(),
            false => String::new(),
        };
        let is_merchants = route.operation.rule().audience == Audience::Merchant;
        let token = if is_merchants {
            world.other.api.token()
        } else {
            world.operator().token()
        };
        let mut seen: Option<Value> = None;
        let absent = world.path_with(route, |_, id| {
            let (rest, last) = id.split_at(id.len() - 1);
            format!("{rest}{}", if last == "0" { "1" } else { "0" })
        });
        let garbage = world.path_with(route, |_, _| "%F0%9F%92%B3".to_owned());
        let long = world.path_with(route, |_, _| "9".repeat(500));
        let wrong_kind = world.path_with(route, |kind, _| match kind {
            "pos" => world.transaction_id.clone(),
            _ => world.pos_id.clone(),
        });
        let mut paths = vec![absent, garbage, long, wrong_kind];
        if is_merchants {
            paths.push(world.path(route));
        }
        for path in paths {
            let answer = world.send_as(route, &path, &body, token);
            refused(&answer, 404, "NOT_FOUND", &format!("{name}: {path}"));
            let body = without_trace(&answer);
            assert_eq!(
                *seen.get_or_insert_with(|| body.clone()),
                body,
                "{name}: {path}"
            );
        }
    }
    let start = json!({"terminal_id": world.shop.terminal_id, "amount": 1, "currency": "USD"});
    let answer = world.other.api.post("/v1/pos/transactions", &start);
    refused(
        &answer,
        404,
        "NOT_FOUND",
        "a start on somebody else's terminal",
    );
    let listed = world.other.api.get("/v1/pos/transactions");
    assert_eq!(good(&listed, 200, "list")["items"], json!([]));
    let query = format!("/v1/transactions?terminal_id={}", world.shop.terminal_id);
    let listed = world.other.api.get(&query);
    assert_eq!(good(&listed, 200, "list")["items"], json!([]));
    let merchants = world.operator().get(&format!(
        "/v1/merchants?partner_id={}",
        world.other_partner_id
    ));
    let items = good(&merchants, 200, "merchants")["items"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["id"], json!(world.other.id));
}

#[test]
fn a_key_cannot_give_what_it_does_not_have() {
    let world = world();
    let body = json!({"label": "minter", "scopes": ["api_keys:manage", "pos:read"]});
    let (_, secret) = mint(world.operator(), &world.shop.merchant_id, &body);
    let minter = world.api.with_token(&secret);
    let body = json!({"label": "more", "scopes": ["pos:create"]});
    let answer = minter.post("/v1/merchant/api-keys", &body);
    let details = refused(&answer, 403, "FORBIDDEN", "a wider key");
    assert_eq!(details["required_scope"], "pos:create");
    let body = json!({"label": "less", "scopes": ["pos:read"]});
    good(
        &minter.post("/v1/merchant/api-keys", &body),
        201,
        "a narrower key",
    );
    let listed = world.api.get("/v1/merchant/api-keys?limit=100");
    assert!(!listed.text.contains("secret"), "{}", listed.text);
    assert!(!listed.text.contains("hash"), "{}", listed.text);
}
