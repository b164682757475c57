//! What every answer must be, and directories that go when the test program ends.

use std::path::PathBuf;

use harness::api::{Answer, Api};
use harness::reaper;
use serde_json::{Value, json};

/// Checks everything that every answer has.
#[track_caller]
fn envelope(answer: &Answer, status: u16, what: &str) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text);
    assert!(
        answer.header("x-trace-id").starts_with("trc_"),
        "{what}: no trace id"
    );
    assert_eq!(answer.header("content-type"), "application/json", "{what}");
}

/// Checks a success and gives its data.
#[track_caller]
pub(crate) fn good<'a>(answer: &'a Answer, status: u16, what: &str) -> &'a Value {
    envelope(answer, status, what);
    assert_eq!(
        answer.body["success"],
        json!(true),
        "{what}: {}",
        answer.text
    );
    let members = answer.body.as_object().map(serde_json::Map::len);
    assert_eq!(members, Some(2), "{what}: {}", answer.text);
    assert!(answer.body["data"].is_object(), "{what}: {}", answer.text);
    answer.data()
}

/// Checks a refusal and gives its details.
#[track_caller]
pub(crate) fn refused<'a>(answer: &'a Answer, status: u16, code: &str, what: &str) -> &'a Value {
    envelope(answer, status, what);
    assert_eq!(answer.code(), code, "{what}: {}", answer.text);
    assert_eq!(answer.body["success"], json!(false), "{what}");
    let members = answer.body.as_object().map(serde_json::Map::len);
    assert_eq!(members, Some(2), "{what}: {}", answer.text);
    let error = &answer.body["error"];
    assert!(
        !error["message"].as_str().unwrap_or_default().is_empty(),
        "{what}: no message"
    );
    let details = &error["details"];
    assert_eq!(
        details["trace_id"],
        json!(answer.header("x-trace-id")),
        "{what}"
    );
    assert!(details["retryable"].is_boolean(), "{what}: {}", answer.text);
    details
}

/// An error as it would be for every other request: without its trace id.
pub(crate) fn without_trace(answer: &Answer) -> Value {
    let mut body = answer.body.clone();
    body["error"]["details"]["trace_id"] = Value::Null;
    body
}

/// A directory of this name, removed when the test program ends.
pub(crate) fn directory(name: &str) -> PathBuf {
    let dir = tempfile::Builder::new()
        .prefix(&format!("tillway-{name}-"))
        .tempdir();
    let dir = dir.expect("a directory").keep();
    reaper::note_directory(&dir);
    dir
}

/// A merchant on its own, and a client that may do everything.
#[derive(Debug)]
pub(crate) struct Boarded {
    pub(crate) id: String,
    pub(crate) api: Api,
}

/// Every scope that merchants' tokens have.
pub(crate) fn every_scope() -> Vec<&'static str> {
    engine::domain::scope::Scope::ALL
        .iter()
        .map(|scope| scope.code())
        .collect()
}

/// Boards a merchant.
pub(crate) fn board(operator: &Api, partner_id: Option<&str>) -> Boarded {
    let body = json!({"partner_id": partner_id, "name": "Bay Books", "currencies": ["USD"]});
    let boarded = operator.post("/v1/merchants", &body);
    let id = good(&boarded, 201, "boarding")["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let (_, secret) = mint(
        operator,
        &id,
        &json!({"label": "all", "scopes": every_scope()}),
    );
    Boarded {
        id,
        api: operator.with_token(&secret),
    }
}

/// Mints a key as the operator; gives its id and its text.
pub(crate) fn mint(operator: &Api, merchant_id: &str, body: &Value) -> (String, String) {
    let minted = operator.post(&format!("/v1/merchants/{merchant_id}/api-keys"), body);
    let data = good(&minted, 201, "minting");
    let text = |name: &str| data[name].as_str().unwrap().to_owned();
    (text("id"), text("secret"))
}

/// Makes a partner and gives its id.
pub(crate) fn partner(operator: &Api, name: &str) -> String {
    let made = operator.post("/v1/partners", &json!({ "name": name }));
    good(&made, 201, "a partner")["id"]
        .as_str()
        .unwrap()
        .to_owned()
}
