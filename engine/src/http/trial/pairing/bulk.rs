//! Lists of tills: what comes back of each row, and what the same list makes again.

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::{Value, json};

use super::super::world::{Got, World, every_scope, terminal};
use super::code;
use crate::domain::merchant::Terminal;
use crate::domain::rejection::Rejection;
use crate::owner::request::{Answer, MadeTill, Request};

/// Answers for as many tills as were asked for, as the owner would.
fn made(labels: &[&str]) -> Result<Answer, Rejection> {
    let tills = labels.iter().map(|label| MadeTill {
        terminal: Terminal {
            label: (*label).to_owned(),
            ..terminal()
        },
        pairing_code: code(9),
        code: crate::domain::token::Secret::new("BCDFGHJKLM".to_owned()),
    });
    Ok(Answer::TillsCreated(tills.collect()))
}

async fn bulk(world: &World, token: &str, content: &str, accept: &str, body: &str) -> Got {
    let request = TestRequest::with_uri("/v1/pairing-codes/bulk")
        .method(Method::POST)
        .insert_header(("Authorization", format!("Bearer {token}")))
        .insert_header(("Content-Type", content))
        .insert_header(("Accept", accept))
        .insert_header(("X-Idempotency-Key", "bulk-1"))
        .set_payload(body.to_owned());
    world.send(request).await
}

#[actix_web::test]
async fn a_list_of_tills_comes_back_with_codes_or_with_what_is_wrong() {
    let world = World::new();
    let token = world.token(1, every_scope());
    let list = "label,serial_number,life_s\n=Lane 1,SN-1,60\nLane 2,SN-1,60\nLane 3,,59\n\
                ,SN-4,60\nLane 5\n\"Lane, 6\",SN-6,\n";
    world.will_answer(made(&["=Lane 1", "Lane, 6"]));
    let got = bulk(&world, &token, "text/csv", "text/csv", list).await;
    assert_eq!(got.status, 200, "not every row was made");
    assert_eq!(
        got.header("content-type").as_deref(),
        Some("text/csv; charset=utf-8")
    );
    let text = String::from_utf8(got.bytes).unwrap();
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(
        lines[0],
        "terminal_id,label,serial_number,code,expires_at,error"
    );
    assert!(lines[1].contains(",'=Lane 1,"), "{text}");
    assert!(lines[1].contains("BCDFG-HJKLM"), "{text}");
    for (line, what) in [
        (2, "row 2: "),
        (3, "row 3: "),
        (4, "row 4: "),
        (5, "row 5: "),
    ] {
        assert!(lines[line].contains(what), "{text}");
        assert!(lines[line].starts_with(','), "no terminal: {text}");
    }
    assert!(lines[6].contains("\"Lane, 6\""), "{text}");
    let (_, asked) = world.owners.asked.lock().unwrap().pop().unwrap();
    let Request::CreateTills(tills) = asked else {
        panic!("asked {asked:?}");
    };
    assert_eq!(tills[0].life_s, 60);
    assert_eq!(tills[1].life_s, 900);

    // The same list with the same key makes nothing and shows no code.
    let got = bulk(&world, &token, "text/csv", "application/json", list).await;
    assert_eq!(got.header("idempotent-replayed").as_deref(), Some("true"));
    let data = got.data();
    assert_eq!(
        (data["created"].clone(), data["failed"].clone()),
        (json!(2), json!(4))
    );
    assert_eq!(data["rows"][0]["code"], Value::Null);
    assert_eq!(data["rows"][0]["secret_available"], false);
    assert_eq!(
        data["rows"][1]["error"]["details"]["field"],
        "serial_number"
    );
    let got = bulk(&world, &token, "text/csv", "text/csv", "label\nLane 1\n").await;
    assert_eq!(got.code(), "IDEMPOTENCY_CONFLICT");
}

#[actix_web::test]
async fn long_lists_are_made_in_parts_and_a_part_that_fails_is_named() {
    let world = World::new();
    let token = world.token(1, every_scope());
    let labels: Vec<String> = (0..120).map(|number| format!("Lane {number}")).collect();
    let names: Vec<&str> = labels.iter().map(String::as_str).collect();
    let rows: Vec<Value> = labels.iter().map(|label| json!({"label": label})).collect();
    let body = json!({"rows": rows, "life_s": 86_400}).to_string();
    world.will_answer(made(&names[..50]));
    world.will_answer(Err(Rejection::Busy));
    world.will_answer(made(&names[100..]));
    let send = || bulk(&world, &token, "application/json", "*/*", &body);
    let data = send().await.data();
    assert_eq!(
        (data["created"].clone(), data["failed"].clone()),
        (json!(70), json!(50))
    );
    assert_eq!(data["rows"][50]["error"]["code"], "SERVICE_UNAVAILABLE");
    assert_eq!(data["rows"][50]["row"], 51);
    // The same again makes what is missing.
    world.will_answer(made(&names[50..100]));
    let got = send().await;
    assert_eq!(got.status, 201);
    let data = got.data();
    assert_eq!(data["created"], 120);
    assert_eq!(data["rows"][0]["code"], Value::Null);
    assert_eq!(data["rows"][50]["code"], "BCDFG-HJKLM");

    let none: Vec<Value> = Vec::new();
    let many: Vec<Value> = (0..2_001).map(|_| json!({"label": "x"})).collect();
    for body in [
        json!({"rows": none}),
        json!({"rows": many}),
        json!({"rows": [{"label": "x"}], "csv": "label\nx\n"}),
        json!({"csv": "colour\nred\n"}),
        json!({"rows": [{"label": 5}]}),
        json!({"rows": [{"label": "x"}], "life_s": 5}),
    ] {
        let text = body.to_string();
        let got = bulk(&world, &token, "application/json", "*/*", &text).await;
        assert_eq!(
            got.code(),
            "VALIDATION_ERROR",
            "{}",
            &text[..40.min(text.len())]
        );
    }
    let got = bulk(&world, &token, "application/json", "*/*", "{}").await;
    assert_eq!(got.code(), "BAD_REQUEST");
    let got = bulk(&world, &token, "text/csv", "*/*", &"x".repeat(1_100_000)).await;
    assert_eq!(got.status, 413);
}
