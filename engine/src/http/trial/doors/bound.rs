//! Guessing and load are bounded.

use serde_json::json;

use super::super::world::{OPERATOR, World, every_scope};
use crate::config::Limits;

#[actix_web::test]
async fn guessing_is_slowed_down() {
    let world = World::with_limits(Limits {
        refused_credentials_per_minute: 2,
        pairing_attempts_per_minute: 2,
        ..Limits::default()
    });
    let good = world.token(1, every_scope());
    for expected in [401, 401, 429, 429] {
        assert_eq!(world.get("wrong", "/v1/ping").await.status, expected);
    }
    // Somebody else's guessing from the same address does not keep a good credential out.
    assert_eq!(world.get(&good, "/v1/ping").await.status, 200);
    world.pass_ms(60_000);
    assert_eq!(world.get("wrong", "/v1/ping").await.status, 401);

    let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let body = json!({"code": "BCDFG-HJKLM", "public_key": key}).to_string();
    for expected in [422, 422, 429] {
        let got = world.post("", "/v1/pairing/redeem", None, &body).await;
        assert_eq!(got.status, expected);
        if expected == 429 {
            assert_eq!(got.header("retry-after").as_deref(), Some("30"));
        }
    }
}

#[actix_web::test]
async fn load_is_bounded_in_total_and_per_merchant() {
    let world = World::with_limits(Limits {
        in_flight_max: 2,
        in_flight_per_merchant_max: 1,
        merchant_requests_per_minute: 300,
        ..Limits::default()
    });
    let token = world.token(1, every_scope());
    let place = world
        .state
        .admission
        .enter_merchant(super::super::world::merchant_id(1));
    let got = world.get(&token, "/v1/ping").await;
    assert_eq!(
        (got.status.as_u16(), got.code().as_str()),
        (503, "SERVICE_UNAVAILABLE")
    );
    assert_eq!(got.header("retry-after").as_deref(), Some("1"));
    assert_eq!(world.get(OPERATOR, "/v1/ping").await.status, 200);
    drop(place);
    assert_eq!(world.get(&token, "/v1/ping").await.status, 200);
    let _all = (world.state.admission.enter(), world.state.admission.enter());
    assert_eq!(world.get(OPERATOR, "/v1/ping").await.status, 503);
    drop(_all);
    for _ in 0..8 {
        assert_eq!(world.get(&token, "/v1/ping").await.status, 200);
    }
    let got = world.get(&token, "/v1/ping").await;
    assert_eq!(
        (got.status.as_u16(), got.code().as_str()),
        (429, "RATE_LIMITED")
    );
}
