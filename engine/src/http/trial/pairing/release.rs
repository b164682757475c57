//! A till that gives its key back.

use ed25519_dalek::Signer as _;
use protocol::id::{IncarnationId, TerminalId};
use protocol::pairing::release_bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::world::{T0, World, terminal, terminal_id};
use super::{device_key, post, signing_key};
use crate::domain::rejection::Rejection;
use crate::domain::time::Timestamp;
use crate::owner::access_change::AccessChange;
use crate::owner::request::{Answer, Request};

fn release_body(key: u8, engine: u128, at: Timestamp) -> Value {
    let incarnation = IncarnationId::from_uuid(Uuid::from_u128(engine));
    let message = release_bytes(incarnation, terminal_id(), at.0);
    json!({
        "terminal_id": terminal_id(),
        "engine_incarnation": incarnation,
        "signed_at_ms": at.0,
        "signature": hex::encode(signing_key(key).sign(&message).to_bytes()),
    })
}

#[actix_web::test]
async fn only_the_tills_own_key_releases_it_and_only_now() {
    let world = World::new();
    let mut till = terminal();
    till.device_key = Some(device_key(3));
    world
        .index
        .apply(AccessChange::Terminal(Box::new(till.clone())));
    let release = async |body: Value| post(&world, "", "/v1/pairing/release", body).await;
    let mut unsigned = release_body(3, 3, T0);
    unsigned["signed_at_ms"] = json!(T0.0 + 1);
    let mut nobody = release_body(3, 3, T0);
    nobody["terminal_id"] = json!(TerminalId::from_uuid(Uuid::from_u128(404)));
    for wrong in [release_body(4, 3, T0), unsigned, nobody] {
        assert_eq!(release(wrong).await.code(), "UNAUTHORIZED");
    }
    for stale in [
        release_body(3, 4, T0),
        release_body(3, 3, T0.plus_ms(60_001)),
        release_body(3, 3, Timestamp(0)),
    ] {
        let got = release(stale).await;
        assert_eq!(
            (got.status.as_u16(), got.code().as_str()),
            (409, "SIGNATURE_STALE")
        );
        let details = got.error()["details"].clone();
        assert_eq!(details["engine_time_ms"], T0.0);
        let now = IncarnationId::from_uuid(Uuid::from_u128(3));
        assert_eq!(details["engine_incarnation"], now.to_string());
    }
    assert_eq!(world.asked(), 0);
    let running = protocol::id::PosTransactionId::from_uuid(Uuid::from_u128(1));
    world.will_answer(Err(Rejection::TerminalHasOpenWork { running }));
    let got = release(release_body(3, 3, T0)).await;
    assert_eq!(got.code(), "TERMINAL_HAS_OPEN_WORK");

    world.will_answer(Ok(Answer::Unpaired(Box::new(till.clone()))));
    let got = release(release_body(3, 3, T0.plus_ms(59_000))).await;
    assert_eq!(got.data()["released"], true);
    // The answer was lost: the key that was given back may hear it again, and no other.
    till.device_key = None;
    till.installations.release(device_key(3), T0);
    world
        .index
        .apply(AccessChange::Terminal(Box::new(till.clone())));
    world.will_answer(Ok(Answer::Unpaired(Box::new(till))));
    assert_eq!(release(release_body(3, 3, T0)).await.status, 200);
    assert_eq!(release(release_body(4, 3, T0)).await.status, 401);
    match world.owners.asked.lock().unwrap().pop() {
        Some((
            _,
            Request::Unpair {
                device_key: key, ..
            },
        )) => {
            assert_eq!(key, Some(device_key(3)));
        }
        other => panic!("asked {other:?}"),
    }
}
