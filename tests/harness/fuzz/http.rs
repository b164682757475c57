//! The HTTP API from any bytes: every route with any path, query, headers, key and body, through the
//! code that serves them. Behind it no owner does anything, so that what is tried is the door.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::App;
use actix_web::http::header::HeaderValue;
use actix_web::http::{Method, Uri};
use actix_web::test::{self, TestRequest};
use engine::access::guard::Guard;
use engine::access::index::AccessIndex;
use engine::access::operation::Audience;
use engine::agent_link::registry::Registry;
use engine::clock::Clock;
use engine::config::Limits;
use engine::domain::merchant::{Merchant, Partner};
use engine::domain::permission::Allowlist;
use engine::domain::rejection::Rejection;
use engine::domain::sandbox::Policy;
use engine::domain::scope::Scope;
use engine::domain::time::Timestamp;
use engine::domain::tip::TipLimits;
use engine::domain::token::{ApiKey, Secret, SecretHash};
use engine::http::route::{ROUTES, Route, Verb};
use engine::http::{AppState, Owners, Parts, configure};
use engine::id_source::SystemIds;
use engine::owner::access_change::AccessChange;
use engine::owner::request::{ClaimRequest, PlatformAnswer, PlatformRequest, Reply, Request};
use engine::owner::terminal::Freshness;
use engine::query::Query;
use engine::store::MemoryStore;
use futures_util::future::LocalBoxFuture;
use protocol::id::{ApiKeyId, IncarnationId, MerchantId, PartnerId, TerminalId};
use serde_json::Value;

use super::input::Choices;
use super::property::keeps_secrets_text;

pub(super) const WORDS: &[&[u8]] = &[
    b"\"terminal_id\":\"trm_01h2xcejqtf2nbrexx3vqjhp41\"",
    b"\"amount\":",
    b"\"currency\":\"USD\"",
    b"\"tip_prompt\":{\"options_bps\":[1500]}",
    b"\"if_too_late\":\"void\"",
    b"\"scopes\":[\"payments.read\"]",
    b"\"expires_at\":\"2030-01-01T00:00:00Z\"",
    b"\"4761739001010010\":1",
    b"\"4761739001010010\"",
    b"1.0",
    b"1e2",
    b"-0",
    b"9223372036854775808",
    b"18446744073709551616",
    b"\\ud800",
    b"\\u0000",
    b"[[[[[[[[",
    b"null",
    b"cursor=",
    b"limit=",
    b"wait_s=",
    b"created_from=2026-01-01T00:00:00Z",
    b"created_to=+262142-12-31T23:59:59Z",
    b"%00",
    b"%zz",
    b"&",
];

const OPERATOR: &str = "tw_operator_for_tests";
const NOW: Timestamp = Timestamp(1_700_000_000_000);

#[derive(Debug)]
struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        NOW
    }
}

/// Owners that refuse everything: no answer of theirs is under test here.
#[derive(Debug)]
struct NoOwners;

impl Owners for NoOwners {
    fn refresh(&self, _: MerchantId, _: TerminalId) -> LocalBoxFuture<'_, Freshness> {
        Box::pin(async { Freshness::TimedOut })
    }

    fn ask(
        &self,
        _: MerchantId,
        _: Option<ClaimRequest>,
        _: Request,
    ) -> LocalBoxFuture<'_, Result<Reply, Rejection>> {
        Box::pin(async { Err(Rejection::NotFound) })
    }

    fn ask_platform(
        &self,
        _: Option<ClaimRequest<PlatformAnswer>>,
        _: PlatformRequest,
    ) -> LocalBoxFuture<'_, Result<Reply<PlatformAnswer>, Rejection>> {
        Box::pin(async { Err(Rejection::NotFound) })
    }
}

struct Got {
    status: u16,
    trace_id: Option<String>,
    body: Vec<u8>,
}

type Call = Rc<dyn Fn(TestRequest) -> LocalBoxFuture<'static, Got>>;

struct Door {
    runtime: tokio::runtime::Runtime,
    merchant: String,
    call: Call,
}

impl Door {
    fn open() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let index = AccessIndex::default();
        let merchant = board(&index);
        let unlimited = Limits {
            idle_owner_s: u32::MAX,
            in_flight_max: u32::MAX,
            in_flight_per_merchant_max: u32::MAX,
            merchant_requests_per_minute: u32::MAX,
            refused_credentials_per_minute: u32::MAX,
            pairing_attempts_per_minute: u32::MAX,
            pairing_wrong_tries_max: u32::MAX,
            pairing_request_life_s: 600,
            pairing_poll_interval_s: 5,
            queries_at_once: 1,
        };
        let state = AppState::new(Parts {
            owners: Arc::new(NoOwners),
            registry: Registry::default(),
            guard: Guard::new(index, SecretHash::of(OPERATOR.as_bytes())),
            query: Query::new(Arc::new(MemoryStore::new()), unlimited.queries_at_once),
            clock: Arc::new(FixedClock),
            ids: SystemIds,
            incarnation: IncarnationId::from_bytes([3; 16]),
            limits: unlimited,
            tips: TipLimits::default(),
            sandbox: Policy::On {
                allows_engine_restart: false,
            },
            tls: None,
        });
        let app = App::new().configure(configure(state));
        let app = Rc::new(runtime.block_on(test::init_service(app)));
        let call: Call = Rc::new(move |request| {
            let app = Rc::clone(&app);
            Box::pin(async move {
                let response = test::call_service(&*app, request.to_request()).await;
                let trace_id = response.headers().get("x-trace-id");
                Got {
                    status: response.status().as_u16(),
                    trace_id: trace_id.and_then(|value| Some(value.to_str().ok()?.to_owned())),
                    body: test::read_body(response).await.to_vec(),
                }
            })
        });
        Self {
            runtime,
            merchant,
            call,
        }
    }
}

/// One partner, one merchant, one key with every scope; gives the key.
fn board(index: &AccessIndex) -> String {
    let partner_id = PartnerId::from_bytes([5; 16]);
    let merchant_id = MerchantId::from_bytes([1; 16]);
    index.apply(AccessChange::Partner(Box::new(Partner {
        id: partner_id,
        name: "Partner".to_owned(),
        allowlist: Allowlist::full(),
        created_at: NOW,
        updated_at: NOW,
    })));
    index.apply(AccessChange::Merchant(Box::new(Merchant {
        id: merchant_id,
        partner_id: Some(partner_id),
        name: "Corner Shop".to_owned(),
        address: Vec::new(),
        phone: None,
        currencies: vec!["USD".parse().expect("a currency")],
        utc_offset_minutes: 0,
        created_at: NOW,
    })));
    let id = ApiKeyId::from_bytes([4; 16]);
    let secret = Secret::new("5e".repeat(32));
    index.apply(AccessChange::ApiKey(Box::new(ApiKey {
        id,
        merchant_id,
        label: "key".to_owned(),
        hash: SecretHash::of(secret.expose().as_bytes()),
        scopes: Scope::ALL.iter().copied().collect(),
        created_at: NOW,
        expires_at: None,
        revoked_at: None,
    })));
    ApiKey::text(id, &secret).expose().to_owned()
}

thread_local! {
    // Never dropped: a runtime cannot be while its thread ends.
    static DOOR: &'static Door = Box::leak(Box::new(Door::open()));
}

/// First the route, then header choices, path, query and key with their lengths, then the body.
pub(super) fn request(data: &[u8]) {
    let mut choices = Choices::new(data);
    let route = &ROUTES[usize::from(choices.byte()) % ROUTES.len()];
    let shape = choices.byte();
    let part = choices.short();
    let query = choices.short();
    let key = choices.short();
    let body = choices.rest();
    let Some(uri) = uri(route, shape, part, query) else {
        return;
    };
    let got = DOOR.with(|door| {
        let request = put_together(route, shape, &uri, key, body, &door.merchant);
        door.runtime.block_on((door.call)(request))
    });
    check(&got, data);
}

fn check(got: &Got, data: &[u8]) {
    assert!(got.status != 500, "the handler broke");
    assert!(got.trace_id.is_some(), "no trace id");
    if got.status == 200 && !got.body.starts_with(b"{") {
        return;
    }
    let mut answer: Value = serde_json::from_slice(&got.body).expect("an answer in JSON");
    assert_eq!(answer["success"], got.status < 400);
    if got.status >= 400 {
        let error = answer["error"].take();
        let code = error["code"].as_str().expect("a code");
        assert!(!code.is_empty());
        let trace_id = error["details"]["trace_id"].as_str();
        assert_eq!(trace_id, got.trace_id.as_deref());
        let message = error["message"].as_str().expect("a message");
        keeps_secrets_text(message, data);
        assert!(message.len() < 1_000, "a message as long as its request");
    }
}

fn put_together(
    route: &Route,
    shape: u8,
    uri: &str,
    key: &[u8],
    body: &[u8],
    merchant: &str,
) -> TestRequest {
    let token = match route.operation.rule().audience {
        Audience::Operator => OPERATOR,
        Audience::Public | Audience::Any | Audience::Merchant => merchant,
    };
    let mut request = TestRequest::with_uri(uri)
        .method(match route.verb {
            Verb::Get => Method::GET,
            Verb::Post => Method::POST,
            Verb::Put => Method::PUT,
            Verb::Patch => Method::PATCH,
            Verb::Delete => Method::DELETE,
        })
        .peer_addr(([127, 0, 0, 1], 40_000).into());
    let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).ok();
    let authorization = match shape & 0x07 {
        0 => value(key),
        _ => value(format!("Bearer {token}").as_bytes()),
    };
    let media_type = match shape >> 3 & 0x07 {
        0 => value(key),
        1 => value(b"Application/JSON; charset=utf-8"),
        _ => value(b"application/json"),
    };
    for (name, value) in [
        ("Authorization", authorization),
        ("Content-Type", media_type),
        ("X-Idempotency-Key", value(key).filter(|_| !key.is_empty())),
    ] {
        if let Some(value) = value {
            request = request.insert_header((name, value));
        }
    }
    if route.verb.has_body() {
        request = request.set_payload(body.to_vec());
    }
    request
}

/// The route's path with an id in its place, good or made of the bytes, and the query.
fn uri(route: &Route, shape: u8, part: &[u8], query: &[u8]) -> Option<String> {
    let good = route.path.contains("/pos/").then_some("pos");
    let id = match (shape & 0x40, part) {
        (0, _) | (_, []) => format!("{}_01h2xcejqtf2nbrexx3vqjhp41", good.unwrap_or("txn")),
        (_, part) => escaped(part, b""),
    };
    let mut uri = route
        .path
        .replace("{id}", &id)
        .replace("{transaction_id}", "txn_01h2xcejqtf2nbrexx3vqjhp41");
    if !query.is_empty() {
        uri.push('?');
        uri.push_str(&escaped(query, b"=&%+/"));
    }
    Uri::try_from(&uri).is_ok().then_some(uri)
}

fn escaped(bytes: &[u8], kept: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        b'-' | b'_' | b'.' | b':' => char::from(*byte).to_string(),
        byte if byte.is_ascii_alphanumeric() || kept.contains(byte) => {
            char::from(*byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    bytes.iter().map(one).collect()
}

/// The canonical form is one form: it reads as the same value, and is its own canonical form.
pub(super) fn json(data: &[u8]) {
    match engine::http::json::parse(data) {
        Ok(value) => {
            let lenient: Value = serde_json::from_slice(data).expect("the stricter reader took it");
            assert!(lenient == value, "two readers disagree");
            let text = canonical(&value);
            let again = engine::http::json::parse(&text).expect("canonical JSON is JSON");
            // serde_json reads some fractions a last digit off; no form takes fractions.
            if !has_fraction(&value) {
                assert!(again == value, "the canonical form is another value");
                assert!(canonical(&again) == text, "two canonical forms");
            }
        }
        Err(what) => keeps_secrets_text(&what, data),
    }
}

fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_fraction),
        Value::Object(members) => members.values().any(has_fraction),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

fn canonical(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    engine::http::json::canonical(value, &mut out);
    out
}

const BODIES: &[(&str, &str)] = &[
    (
        "/v1/sandbox/faults",
        r#"{"target":"acquirer","kind":"delay","at":"authorizing","times":1,"after_ms":1,"duration_ms":1,"delay_ms":500,"response_code":"51","card":"visa","way":"tap","expires_in_s":60}"#,
    ),
    (
        "/v1/merchants/{id}/transactions/{transaction_id}/resolution",
        r#"{"outcome":"reversed","reason":"asked the host","resolved_by":"operator"}"#,
    ),
    (
        "/v1/pos/transactions",
        r#"{"terminal_id":"trm_01h2xcejqtf2nbrexx3vqjhp41","amount":1234,"currency":"USD","reference":"a","tip_prompt":{"options_bps":[1500,2000],"custom":true,"timeout_s":30},"accept_partial":true,"type":"authorization"}"#,
    ),
    (
        "/v1/pos/transactions/{id}/cancel",
        r#"{"if_too_late":"void"}"#,
    ),
    (
        "/v1/pos/transactions/{id}/print-receipt",
        r#"{"copy":"merchant"}"#,
    ),
    (
        "/v1/transactions/{id}/tip-adjustment",
        r#"{"tip_amount":150,"tip":150}"#,
    ),
    ("/v1/terminals", r#"{"label":"Lane 1","serial_number":"1"}"#),
    (
        "/v1/terminals/{id}/pairing-codes",
        r#"{"life_s":900,"serial_number":"1"}"#,
    ),
    (
        "/v1/pairing/redeem",
        r#"{"code":"ABCDE-FGHJK","public_key":"00"}"#,
    ),
    (
        "/v1/pairing/device",
        r#"{"public_key":"00","serial_number":"1","agent_version":"1"}"#,
    ),
    ("/v1/pairing/device/poll", r#"{"device_code":"00"}"#),
    (
        "/v1/pairing/requests/{user_code}/approve",
        r#"{"new_terminal":{"label":"x"}}"#,
    ),
    (
        "/v1/pairing-codes/bulk",
        r#"{"csv":"label,serial_number\nLane 1,SN-1\n","life_s":60}"#,
    ),
    (
        "/v1/pairing/release",
        r#"{"terminal_id":"trm_01h2xcejqtf2nbrexx3vqjhp41","engine_incarnation":"inc_01h2xcejqtf2nbrexx3vqjhp41","signed_at_ms":0,"signature":"00"}"#,
    ),
    (
        "/v1/merchant/api-keys",
        r#"{"label":"k","scopes":["payments.read"],"expires_at":"2030-01-01T00:00:00Z"}"#,
    ),
    ("/v1/merchants/{id}/api-keys", r#"{"label":"k"}"#),
    ("/v1/partners", r#"{"name":"p","permissions":[]}"#),
    ("/v1/partners/{id}/permissions", r#"{"permissions":{}}"#),
    (
        "/v1/merchants",
        r#"{"name":"m","partner_id":"par_01h2xcejqtf2nbrexx3vqjhp41","address":["a"],"currencies":["USD"],"utc_offset_minutes":60}"#,
    ),
];

pub(super) fn request_seeds() -> Vec<Vec<u8>> {
    let queries = [
        "limit=10&cursor=00000000000000000000000000000000aaaaaaaaaaaaaaaa",
        "status=approved&reference=a&created_from=2026-01-01T00:00:00Z&created_to=2026-01-02T00:00:00Z",
        "wait_s=0&copy=customer&format=text&columns=32",
    ];
    let mut seeds = Vec::new();
    for (number, route) in (0u8..).zip(ROUTES) {
        let body = BODIES
            .iter()
            .find(|(path, _)| *path == route.path)
            .map_or("{}", |(_, body)| body);
        for query in queries {
            let is_read = !route.verb.has_body();
            let query = if is_read { query } else { "" };
            let key = "\"key-1\"";
            let mut seed = vec![number, 0xFF, 0];
            for part in [query, key] {
                seed.push(u8::try_from(part.len()).expect("short"));
                seed.extend(part.as_bytes());
            }
            seed.extend(body.as_bytes());
            seeds.push(seed);
            if !is_read {
                break;
            }
        }
    }
    seeds
}

pub(super) fn json_seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = BODIES
        .iter()
        .map(|(_, body)| body.as_bytes().to_vec())
        .collect();
    seeds.push(br#"{"b":[1,1.0,-0,1e3,null,true,"\u00e9\n"],"a":{"z":{},"a":[]}}"#.to_vec());
    seeds
}
