//! Truncated, duplicated and malformed requests on the socket itself.

use harness::api::fresh_key;
use harness::raw::{self, Raw};
use serde_json::json;

use super::{World, world};
use crate::check::{good, refused};

fn create(world: &World, label: &str, key: &str) -> Vec<u8> {
    let bearer = format!("Bearer {}", world.api.token());
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
        ("X-Idempotency-Key", key),
    ];
    let body = json!({ "label": label }).to_string();
    raw::request("POST", "/v1/terminals", &headers, body.as_bytes())
}

fn count(world: &World, label: &str) -> usize {
    let mut cursor = String::new();
    let mut found = 0;
    loop {
        let page = world.api.get(&format!("/v1/terminals?limit=100{cursor}"));
        let data = good(&page, 200, "terminals");
        let items = data["items"].as_array().unwrap();
        found += items
            .iter()
            .filter(|one| one["label"] == json!(label))
            .count();
        match data["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

#[test]
fn a_request_cut_anywhere_does_nothing() {
    let world = world();
    let label = "Cut";
    let whole = create(world, label, &fresh_key());
    for length in (0..whole.len()).step_by(7) {
        for answer in raw::exchange(world.base(), &whole[..length]) {
            refused(&answer, 400, "BAD_REQUEST", &format!("{length} bytes"));
        }
    }
    assert_eq!(count(world, label), 0);
    let answers = raw::exchange(world.base(), &whole);
    good(&answers[0], 201, "the whole request");
    assert_eq!(count(world, label), 1);
}

#[test]
fn a_caller_that_hangs_up_after_half_a_body_does_not_hold_anything() {
    let world = world();
    for _ in 0..50 {
        let whole = create(world, "Half", &fresh_key());
        let mut raw = Raw::connect(world.base());
        raw.send(&whole[..whole.len() - 5]);
        drop(raw);
    }
    assert_eq!(count(world, "Half"), 0);
    good(&world.api.get("/v1/ping"), 200, "ping");
}

#[test]
fn pipelined_duplicates_make_one_thing_and_distinct_ones_are_answered_in_order() {
    let world = world();
    let key = fresh_key();
    let request = create(world, "Pipe", &key);
    let answers = raw::exchange(world.base(), &request.repeat(5));
    assert_eq!(answers.len(), 5);
    let first = good(&answers[0], 201, "first").clone();
    for answer in &answers[1..] {
        assert_eq!(*good(answer, 201, "repeat"), first);
        assert_eq!(answer.header("idempotent-replayed"), "true");
        assert_ne!(answer.header("x-trace-id"), answers[0].header("x-trace-id"));
    }
    assert_eq!(count(world, "Pipe"), 1);

    let requests: Vec<Vec<u8>> = (0..5)
        .map(|number| create(world, &format!("Order {number}"), &fresh_key()))
        .collect();
    let answers = raw::exchange(world.base(), &requests.concat());
    let labels: Vec<&str> = answers.iter().map(|answer| answer.field("label")).collect();
    assert_eq!(
        labels,
        ["Order 0", "Order 1", "Order 2", "Order 3", "Order 4"]
    );
}

#[test]
fn bytes_that_are_no_request_do_no_harm() {
    let world = world();
    let token = world.api.token();
    let head = format!(
        "POST /v1/terminals HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\n"
    );
    let chunk = format!("{:x}\r\n{}\r\n", 4_096, "x".repeat(4_096));
    for (what, bytes) in [
        (
            "TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        ),
        ("zeros", vec![0; 10_000]),
        ("no spaces", b"GET\r\n\r\n".to_vec()),
        (
            "version",
            b"GET /v1/ping HTTP/9.9\r\nHost: x\r\n\r\n".to_vec(),
        ),
        (
            "long line",
            format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(200_000)).into_bytes(),
        ),
        (
            "long header",
            format!("{head}X: {}\r\n\r\n", "y".repeat(300_000)).into_bytes(),
        ),
        (
            "many headers",
            format!("{head}{}\r\n", "A: b\r\n".repeat(5_000)).into_bytes(),
        ),
        (
            "negative length",
            format!("{head}Content-Length: -1\r\n\r\n{{}}").into_bytes(),
        ),
        (
            "two lengths",
            format!("{head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}").into_bytes(),
        ),
        (
            "bad chunk",
            format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n").into_bytes(),
        ),
        (
            "many chunks",
            format!(
                "{head}Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
                chunk.repeat(40)
            )
            .into_bytes(),
        ),
        (
            "huge length",
            format!("{head}Content-Length: 99999999999\r\n\r\n{{}}").into_bytes(),
        ),
    ] {
        for answer in raw::exchange(world.base(), &bytes) {
            assert!(
                (400..500).contains(&answer.status),
                "{what}: {} {}",
                answer.status,
                answer.text
            );
        }
        good(&world.api.get("/v1/ping"), 200, what);
    }
}
