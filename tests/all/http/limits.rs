//! Too much at once: 503 and 429, with the key still good.

use std::fs;

use harness::api::fresh_key;
use harness::raw::{Raw, request};
use harness::shop::Engine;
use harness::wait::until;
use serde_json::json;

use crate::check::{board, directory, good, refused};

#[test]
fn a_full_engine_refuses_without_burning_the_key() {
    let dir = directory("limits");
    let config = "[limits]\nin_flight_per_merchant_max = 1\nrefused_credentials_per_minute = 3\n";
    fs::write(dir.join("engine.toml"), config).unwrap();
    let mut engine = Engine::start(&dir).unwrap();
    let merchant = board(&engine.operator, None);

    // A request whose body does not come holds the merchant's only place.
    let bearer = format!("Bearer {}", merchant.api.token());
    let headers = [("Authorization", bearer.as_str()), ("Content-Length", "10")];
    let body = json!({"label": "Lane 1"});
    // A ping still in flight may have the place first and the slow request be the one refused,
    // so every round sends another.
    let mut slow = Vec::new();
    let refusal = until("the place to be taken", || {
        let mut connection = Raw::connect(merchant.api.base());
        connection.send(&request("POST", "/v1/terminals", &headers, b""));
        slow.push(connection);
        let answer = merchant.api.get("/v1/ping");
        (answer.status != 200).then_some(answer)
    });
    refused(&refusal.unwrap(), 503, "SERVICE_UNAVAILABLE", "ping");
    let key = fresh_key();
    let refusal = merchant.api.post_keyed("/v1/terminals", &body, &key);
    let details = refused(&refusal, 503, "SERVICE_UNAVAILABLE", "create");
    assert_eq!(details["retryable"], true);
    assert_eq!(refusal.header("retry-after"), "1");
    drop(slow);
    let made = until("the place to be free", || {
        let answer = merchant.api.post_keyed("/v1/terminals", &body, &key);
        (answer.status != 503).then_some(answer)
    });
    let made = made.unwrap();
    good(&made, 201, "the same key, later");
    assert_eq!(made.header("idempotent-replayed"), "");

    let guesser = merchant.api.with_token("guess");
    let last = until("guessing to be slowed down", || {
        let answer = guesser.get("/v1/ping");
        (answer.status != 401).then_some(answer)
    });
    let last = last.unwrap();
    refused(&last, 429, "RATE_LIMITED", "guessing");
    assert!(
        last.header("retry-after")
            .parse::<u32>()
            .is_ok_and(|seconds| seconds > 0)
    );
    good(
        &merchant.api.get("/v1/ping"),
        200,
        "a good credential from the same address",
    );
    assert!(engine.stop());
}
