//! Bodies, queries, methods and paths that are wrong, on every route that could take them.

use engine::http::idempotency::Idempotency;
use engine::http::route::{ROUTES, Route};
use harness::raw;
use serde_json::{Value, json};

use super::{PUBLIC_KEY, World, right_body, world};
use crate::check::refused;

fn writing() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().filter(|route| route.verb.has_body())
}

fn name(route: &Route) -> String {
    format!("{} {}", route.verb.name(), route.path)
}

#[test]
fn every_writing_route_reads_its_body_strictly() {
    let world = world();
    for route in writing() {
        let path = world.path(route);
        let right = right_body(world, route).to_string();
        let mut unknown = right_body(world, route);
        unknown["colour"] = json!("red");
        let open = right.trim_end_matches('}');
        let deep = format!("{{\"a\":{}", "[".repeat(30_000));
        let bytes_max = match route.path {
            "/v1/pairing-codes/bulk" => 1024 * 1024,
            _ => 64 * 1024,
        };
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(bytes_max));
        for (what, body, status, code, field) in [
            ("not JSON", "{\"a\":", 400, "BAD_REQUEST", None),
            ("words", "hello", 400, "BAD_REQUEST", None),
            ("two values", "{} {}", 400, "BAD_REQUEST", None),
            ("cut", open, 400, "BAD_REQUEST", None),
            ("NUL", "\0", 400, "BAD_REQUEST", None),
            ("a list", "[]", 400, "BAD_REQUEST", None),
            ("a number", "5", 400, "BAD_REQUEST", None),
            ("a text", "\"x\"", 400, "BAD_REQUEST", None),
            ("null", "null", 400, "BAD_REQUEST", None),
            (
                "a member twice",
                "{\"a\":1,\"a\":1}",
                400,
                "BAD_REQUEST",
                None,
            ),
            ("deep", &deep, 400, "BAD_REQUEST", None),
            ("large", &large, 413, "PAYLOAD_TOO_LARGE", None),
            (
                "unknown",
                &unknown.to_string(),
                422,
                "VALIDATION_ERROR",
                Some("colour"),
            ),
        ] {
            let what = format!("{}: {what}", name(route));
            let answer = world.send(route, &path, body);
            let details = refused(&answer, status, code, &what);
            assert_eq!(details["field"].as_str(), field, "{what}: {}", answer.text);
        }
        media_types(world, route, &path, &right);
    }
}

fn media_types(world: &World, route: &Route, path: &str, body: &str) {
    let bearer = format!("Bearer {}", world.token(route));
    for headers in [
        &[][..],
        &[("Content-Type", "text/plain")],
        &[("Content-Type", "application/x-www-form-urlencoded")],
        &[("Content-Type", "application/jsonp")],
        &[
            ("Content-Type", "application/json"),
            ("Content-Encoding", "gzip"),
        ],
    ] {
        let what = format!("{}: {headers:?}", name(route));
        let fixed = [
            ("Authorization", bearer.as_str()),
            ("X-Idempotency-Key", "media-type"),
        ];
        let headers = [&fixed, headers].concat();
        let answer = raw::call(
            world.base(),
            route.verb.name(),
            path,
            &headers,
            body.as_bytes(),
        );
        refused(&answer, 415, "UNSUPPORTED_MEDIA_TYPE", &what);
    }
}

/// Member, value, status, code: each in an otherwise right body.
type Row = (&'static str, Value, u16, &'static str);

fn bad_members(path: &str) -> Vec<Row> {
    const BAD: (u16, &str) = (422, "VALIDATION_ERROR");
    let rows = |rows: Vec<(&'static str, Value)>| -> Vec<Row> {
        rows.into_iter()
            .map(|(member, value)| (member, value, BAD.0, BAD.1))
            .collect()
    };
    let texts = |member: &'static str| {
        rows(vec![
            (member, json!(5)),
            (member, json!("")),
            (member, json!("  ")),
            (member, json!("a\nb")),
            (member, json!("\u{1b}@")),
            (member, json!("x".repeat(65))),
            (member, json!(["x"])),
        ])
    };
    let moneys = |member: &'static str| {
        rows(vec![
            (member, json!(12.5)),
            (member, json!(12.0)),
            (member, json!(1e3)),
            (member, json!("12")),
            (member, json!(null)),
            (member, json!(true)),
            (member, json!(-1)),
            (member, json!({"minor": 1})),
            (member, json!(18_446_744_073_709_551_615_u64)),
        ])
    };
    let currencies = vec![
        ("currency", json!("usd"), 422, "INVALID_CURRENCY"),
        ("currency", json!("XXX"), 422, "INVALID_CURRENCY"),
        ("currency", json!(""), 422, "INVALID_CURRENCY"),
        ("currency", json!(840), 422, "VALIDATION_ERROR"),
    ];
    match path {
        "/v1/pos/transactions" => [
            moneys("amount"),
            currencies,
            vec![
                ("amount", json!(0), 422, "VALIDATION_ERROR"),
                ("amount", json!(100_000_000), 422, "AMOUNT_TOO_LARGE"),
                ("currency", json!("JPY"), 422, "INVALID_CURRENCY"),
            ],
            texts("reference"),
            rows(vec![
                ("terminal_id", json!("pos_1")),
                ("terminal_id", json!(5)),
                ("terminal_id", json!(null)),
                ("type", json!("refund")),
                ("type", json!("Sale")),
                ("accept_partial", json!("yes")),
                ("tip_prompt", json!(1)),
                ("tip_prompt", json!([])),
            ]),
        ]
        .concat(),
        "/v1/transactions/{id}/tip-adjustment" => [moneys("tip_amount"), currencies].concat(),
        "/v1/pos/transactions/{id}/cancel" => rows(vec![
            ("if_too_late", json!("refund")),
            ("if_too_late", json!(true)),
        ]),
        "/v1/pos/transactions/{id}/print-receipt" => rows(vec![
            ("copy", json!("both")),
            ("copy", json!(1)),
            ("terminal_id", json!("txn_1")),
        ]),
        "/v1/terminals" => [texts("label"), texts("serial_number")].concat(),
        "/v1/terminals/{id}" => [
            texts("label"),
            rows(vec![
                ("label", json!(null)),
                ("location", json!("")),
                ("location", json!(" ")),
                ("location", json!("a\nb")),
                ("location", json!(5)),
                ("location", json!("x".repeat(101))),
            ]),
        ]
        .concat(),
        "/v1/terminals/{id}/configuration" | "/v1/merchant/terminal-configuration" => rows(vec![
            ("settings", json!({"idle_text": ""})),
            ("settings", json!({"idle_text": "x".repeat(65)})),
            ("settings", json!({"idle_text": "a\nb"})),
            ("settings", json!({"idle_text": 5})),
            ("settings", json!({"log_level": "trace"})),
            ("settings", json!({"log_level": 3})),
            ("settings", json!({"print_customer_copy": "no"})),
            ("settings", json!({"receipt_footer": "Thank you"})),
            (
                "settings",
                json!({"receipt_footer": ["1", "2", "3", "4", "5", "6", "7"]}),
            ),
            ("settings", json!({"receipt_footer": ["x".repeat(43)]})),
            ("settings", json!({"receipt_footer": [""]})),
            ("settings", json!({"colour": "red"})),
            ("settings", json!([])),
            ("settings", json!(null)),
        ]),
        "/v1/terminals/{id}/pairing-codes" => rows(vec![
            ("life_s", json!(59)),
            ("life_s", json!(8_000_000)),
            ("life_s", json!(-60)),
            ("life_s", json!(60.5)),
            ("life_s", json!("60")),
            ("serial_number", json!("")),
            ("serial_number", json!(5)),
        ]),
        "/v1/pairing/device" => [
            rows(vec![
                ("public_key", json!("")),
                ("public_key", json!("00".repeat(32))),
                ("public_key", json!(5)),
            ]),
            texts("serial_number"),
            texts("agent_version"),
        ]
        .concat(),
        "/v1/pairing/device/poll" => rows(vec![("device_code", json!(5))]),
        "/v1/pairing/requests/{user_code}/approve" => rows(vec![
            ("terminal_id", json!("txn_1")),
            ("terminal_id", json!("trm_01h2xcejqtf2nbrexx3vqjhp41")),
            ("new_terminal", json!({"label": ""})),
            ("new_terminal", json!({"label": "a\nb"})),
            ("new_terminal", json!({"label": "x".repeat(65)})),
            ("new_terminal", json!([])),
        ]),
        "/v1/pairing/release" => rows(vec![
            ("terminal_id", json!("txn_1")),
            ("engine_incarnation", json!("term_1")),
            ("signed_at_ms", json!("now")),
            ("signature", json!("00")),
            ("signature", json!("zz".repeat(64))),
        ]),
        "/v1/pairing-codes/bulk" => rows(vec![
            ("rows", json!([])),
            ("rows", json!("label")),
            ("rows", json!([{"label": 5}])),
            ("rows", json!([{"label": "x", "colour": 1}])),
            ("rows", json!([5])),
            ("csv", json!("label\nx")),
            ("life_s", json!(59)),
            ("life_s", json!("60")),
        ]),
        "/v1/pairing/redeem" => [
            vec![
                ("code", json!("BCDFG-HJKLM"), 422, "PAIRING_CODE_INVALID"),
                ("code", json!(""), 422, "PAIRING_CODE_INVALID"),
                (
                    "code",
                    json!("x".repeat(5_000)),
                    422,
                    "PAIRING_CODE_INVALID",
                ),
                ("code", json!(5), 422, "VALIDATION_ERROR"),
            ],
            rows(vec![
                ("public_key", json!("")),
                ("public_key", json!(PUBLIC_KEY[1..])),
                ("public_key", json!("00".repeat(32))),
                ("public_key", json!("zz".repeat(32))),
            ]),
            texts("serial_number"),
            texts("agent_version"),
        ]
        .concat(),
        "/v1/merchant/api-keys" | "/v1/merchants/{id}/api-keys" => [
            texts("label"),
            rows(vec![
                ("scopes", json!([])),
                ("scopes", json!(["*"])),
                ("scopes", json!(["pos:creat"])),
                ("scopes", json!("pos:create")),
                ("expires_at", json!("tomorrow")),
                ("expires_at", json!(1_700_000_000)),
                ("expires_at", json!("2001-01-01T00:00:00Z")),
            ]),
        ]
        .concat(),
        "/v1/partners" => texts("name"),
        super::RESOLUTION => [
            texts("resolved_by"),
            rows(vec![
                ("outcome", json!("approved")),
                ("outcome", json!("")),
                ("outcome", json!(1)),
                ("reason", json!("")),
                ("reason", json!("  ")),
                ("reason", json!("x".repeat(501))),
                ("reason", json!("a\nb")),
            ]),
        ]
        .concat(),
        "/v1/merchants" => [
            texts("name"),
            texts("phone"),
            rows(vec![
                ("address", json!("12 High Street")),
                ("address", json!(["1", "2", "3", "4", "5", "6", "7"])),
                ("address", json!(["a\nb"])),
                ("currencies", json!([])),
                ("currencies", json!(["USD", "USD"])),
                ("utc_offset_minutes", json!(841)),
                ("utc_offset_minutes", json!(-721)),
                ("utc_offset_minutes", json!(0.5)),
                ("partner_id", json!("mer_1")),
            ]),
            vec![("currencies", json!(["usd"]), 422, "INVALID_CURRENCY")],
        ]
        .concat(),
        _ => Vec::new(),
    }
}

#[test]
fn members_that_cannot_be_used_are_named() {
    let world = world();
    let mut tried = 0;
    for route in writing() {
        let path = world.path(route);
        for (member, value, status, code) in bad_members(route.path) {
            let mut body = right_body(world, route);
            body[member] = value;
            let short: String = body.to_string().chars().take(200).collect();
            let what = format!("{}: {short}", name(route));
            let answer = world.send(route, &path, &body.to_string());
            let details = refused(&answer, status, code, &what);
            let field = details["field"].as_str().unwrap_or_default();
            assert!(field.starts_with(member), "{what}: {}", answer.text);
            tried += 1;
        }
    }
    assert!(tried > 100, "only {tried}");
}

#[test]
fn members_that_are_missing_are_named() {
    let world = world();
    for route in writing() {
        let right = right_body(world, route);
        let required: &[&str] = match route.path {
            "/v1/pos/transactions" => &["terminal_id", "amount", "currency"],
            "/v1/transactions/{id}/tip-adjustment" => &["tip_amount", "currency"],
            "/v1/terminals" | "/v1/merchant/api-keys" | "/v1/merchants/{id}/api-keys" => &["label"],
            "/v1/pairing/redeem" => &["code", "public_key"],
            "/v1/pairing/device" => &["public_key"],
            "/v1/pairing/device/poll" => &["device_code"],
            "/v1/pairing/release" => &[
                "terminal_id",
                "engine_incarnation",
                "signed_at_ms",
                "signature",
            ],
            "/v1/pairing-codes/bulk" => &["rows"],
            "/v1/partners" => &["name"],
            "/v1/terminals/{id}/configuration" | "/v1/merchant/terminal-configuration" => {
                &["settings"]
            }
            super::RESOLUTION => &["outcome", "reason", "resolved_by"],
            "/v1/merchants" => &["name", "currencies"],
            _ => &[],
        };
        for member in required {
            let mut body = right.clone();
            body.as_object_mut().unwrap().remove(*member);
            let what = format!("{} without {member}", name(route));
            let answer = world.send(route, &world.path(route), &body.to_string());
            let details = refused(&answer, 400, "BAD_REQUEST", &what);
            assert_eq!(details["field"], *member, "{what}");
        }
    }
}

#[test]
fn nested_members_are_named_by_their_path() {
    let world = world();
    for (prompt, field) in [
        (json!({"timeout_s": 1}), "tip_prompt.timeout_s"),
        (json!({"timeout_s": 121}), "tip_prompt.timeout_s"),
        (json!({"timeout_s": 5.5}), "tip_prompt.timeout_s"),
        (json!({"options_bps": [100, 50]}), "tip_prompt.options_bps"),
        (
            json!({"options_bps": [1, 2, 3, 4, 5]}),
            "tip_prompt.options_bps",
        ),
        (json!({"options_bps": [0]}), "tip_prompt.options_bps"),
        (json!({"option_bps": [1]}), "tip_prompt.option_bps"),
        (json!({"custom": 1}), "tip_prompt.custom"),
    ] {
        let mut body = world.shop.sale(100);
        body["tip_prompt"] = prompt;
        let answer = world.api.post("/v1/pos/transactions", &body);
        let details = refused(&answer, 422, "VALIDATION_ERROR", &body.to_string());
        assert_eq!(details["field"], field, "{body}");
        assert_eq!(details["outcome_known"], true, "{body}");
    }
}

#[test]
fn queries_are_read_strictly() {
    let world = world();
    let pos = format!("/v1/pos/transactions/{}", world.pos_id);
    for (path, field) in [
        ("/v1/pos/transactions?colour=red".to_owned(), "colour"),
        ("/v1/pos/transactions?limit=0".to_owned(), "limit"),
        ("/v1/pos/transactions?limit=101".to_owned(), "limit"),
        ("/v1/pos/transactions?limit=ten".to_owned(), "limit"),
        ("/v1/pos/transactions?limit=1&limit=2".to_owned(), "limit"),
        ("/v1/pos/transactions?status=completed".to_owned(), "status"),
        (
            "/v1/pos/transactions?terminal_id=5".to_owned(),
            "terminal_id",
        ),
        (
            "/v1/pos/transactions?created_from=yesterday".to_owned(),
            "created_from",
        ),
        ("/v1/pos/transactions?cursor=zz".to_owned(), "cursor"),
        ("/v1/transactions?status=in_progress".to_owned(), "status"),
        ("/v1/transactions?created_to=1".to_owned(), "created_to"),
        ("/v1/terminals?label=x".to_owned(), "label"),
        ("/v1/terminals?sort=colour".to_owned(), "sort"),
        ("/v1/terminals?sort=+label".to_owned(), "sort"),
        ("/v1/terminals?connection=up".to_owned(), "connection"),
        ("/v1/terminals?availability=free".to_owned(), "availability"),
        ("/v1/terminals?paired=1".to_owned(), "paired"),
        ("/v1/terminals?reader=fine".to_owned(), "reader"),
        ("/v1/terminals?paper=plenty".to_owned(), "paper"),
        ("/v1/terminals?cursor=00".to_owned(), "cursor"),
        (
            format!("/v1/terminals/{}/status?fresh=yes", world.shop.terminal_id),
            "fresh",
        ),
        ("/v1/merchant/api-keys?limit=-1".to_owned(), "limit"),
        ("/v1/pairing-codes?state=used".to_owned(), "state"),
        ("/v1/pairing-codes?code=1".to_owned(), "code"),
        ("/v1/pairing-codes?terminal_id=5".to_owned(), "terminal_id"),
        (format!("{pos}?wait_s=61"), "wait_s"),
        (format!("{pos}?wait_s=-1"), "wait_s"),
        (format!("{pos}?wait=1"), "wait"),
        (format!("{pos}/receipt?columns=33"), "columns"),
        (format!("{pos}/receipt?copy=both"), "copy"),
        (format!("{pos}/receipt?format=pdf"), "format"),
        (format!("{pos}/print-jobs?page=2"), "page"),
    ] {
        let answer = world.api.get(&path);
        let details = refused(&answer, 422, "VALIDATION_ERROR", &path);
        assert_eq!(details["field"], field, "{path}: {}", answer.text);
    }
}

#[test]
fn keys_are_required_where_money_moves_and_read_strictly_everywhere() {
    let world = world();
    let long = "k".repeat(300);
    for route in writing() {
        let path = world.path(route);
        let bearer = format!("Bearer {}", world.token(route));
        let fixed = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/json"),
        ];
        let send = |keys: &[(&str, &str)]| {
            let headers = [&fixed, keys].concat();
            raw::call(
                world.base(),
                route.verb.name(),
                &path,
                &headers,
                b"{\"colour\":1}",
            )
        };
        for (what, keys, is_bad) in [
            ("none", &[][..], route.idempotency == Idempotency::Required),
            (
                "300 characters",
                &[("X-Idempotency-Key", long.as_str())],
                true,
            ),
            ("blank", &[("X-Idempotency-Key", "a b")], true),
            ("empty", &[("X-Idempotency-Key", "")], true),
            (
                "two",
                &[("X-Idempotency-Key", "a"), ("Idempotency-Key", "b")],
                true,
            ),
            ("one", &[("Idempotency-Key", "a")], false),
        ] {
            let what = format!("{} with key: {what}", name(route));
            let answer = send(keys);
            if is_bad && route.idempotency != Idempotency::None {
                let details = refused(&answer, 400, "BAD_REQUEST", &what);
                assert_eq!(details["field"], "X-Idempotency-Key", "{what}");
            } else {
                refused(&answer, 422, "VALIDATION_ERROR", &what);
            }
        }
    }
}

#[test]
fn unknown_paths_and_methods_are_answered_in_the_envelope() {
    let world = world();
    let bearer = format!("Bearer {}", world.api.token());
    let headers = [("Authorization", bearer.as_str())];
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v1/pos/transaction",
        "/v1/ping/",
        "/v2/ping",
        "/v1/%00",
        "/v1/../etc",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let answer = raw::call(world.base(), method, path, &headers, b"");
            refused(&answer, 404, "NOT_FOUND", &format!("{method} {path}"));
        }
    }
    for route in ROUTES {
        let path = world.path(route);
        for method in ["DELETE", "PATCH", "GET", "POST", "PUT", "BREW"] {
            let is_served = ROUTES
                .iter()
                .any(|one| one.path == route.path && one.verb.name() == method);
            if is_served {
                continue;
            }
            let what = format!("{method} {path}");
            let answer = raw::call(world.base(), method, &path, &headers, b"");
            refused(&answer, 405, "METHOD_NOT_ALLOWED", &what);
            assert!(answer.header("allow").contains(route.verb.name()), "{what}");
        }
    }
}
