//! The technician's ways: a code, a list of tills, a code that the till shows; and the ends of a
//! pairing. Real engine, real agent.

mod approval;
mod code;
mod page;
mod release;

use std::path::PathBuf;
use std::process::Output;

use harness::api::{Answer, Api};
use harness::shop::{Engine, Till};
use serde_json::{Value, json};

use crate::check::{Boarded, board, directory, good};

/// An engine of its own, two merchants, and as many tills as are installed.
struct Site {
    dir: PathBuf,
    engine: Engine,
    merchant: Boarded,
    other: Boarded,
}

/// Tills in these tests poll every second.
const CONFIG: &str = "[limits]\npairing_poll_interval_s = 1\npairing_request_life_s = 120\n";

impl Site {
    fn open(name: &str, config: &str) -> Self {
        let dir = directory(name);
        let engine = Engine::start_configured(&dir.join("engine"), config).unwrap();
        let merchant = board(&engine.operator, None);
        let other = board(&engine.operator, None);
        Self {
            dir,
            engine,
            merchant,
            other,
        }
    }

    fn base(&self) -> &str {
        self.engine.operator.base()
    }

    /// A till on which an agent is installed, and nothing is plugged in.
    fn till(&self, name: &str) -> Till {
        Till::install(&self.dir.join(name), self.base(), &self.dir.join("devices")).unwrap()
    }

    fn terminal(&self, api: &Api, label: &str) -> String {
        let made = api.post("/v1/terminals", &json!({ "label": label }));
        good(&made, 201, "a terminal")["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

/// A pairing code: its id and its text.
fn make_code(api: &Api, terminal_id: &str, body: &Value) -> (String, String) {
    let path = format!("/v1/terminals/{terminal_id}/pairing-codes");
    let made = api.post(&path, body);
    let data = good(&made, 201, "a pairing code");
    assert_eq!(data["state"], "live");
    let text = |name: &str| data[name].as_str().unwrap().to_owned();
    (text("id"), text("code"))
}

fn state_of(api: &Api, code_id: &str) -> String {
    let listed = api.get("/v1/pairing-codes");
    let items = good(&listed, 200, "codes")["items"].as_array().unwrap();
    let found = items.iter().find(|item| item["id"] == code_id);
    found.unwrap()["state"].as_str().unwrap().to_owned()
}

fn terminal_of(api: &Api, id: &str) -> Value {
    let read: Answer = api.get(&format!("/v1/terminals/{id}"));
    good(&read, 200, "terminal").clone()
}

/// A command of the agent as JSON: exit code and its last line.
fn agent(till: &Till, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = till.command(&[&["--json"], arguments].concat()).unwrap();
    (output.status.code(), last_line(&output))
}

fn last_line(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or(Value::Null)
}

#[track_caller]
fn fails(till: &Till, arguments: &[&str], exit: i32, code: &str) {
    let (found, line) = agent(till, arguments);
    assert_eq!(found, Some(exit), "{arguments:?}: {line}");
    assert_eq!(line["error"]["code"], code, "{arguments:?}: {line}");
}

#[track_caller]
fn succeeds(till: &Till, arguments: &[&str]) -> Value {
    let (exit, line) = agent(till, arguments);
    assert_eq!(exit, Some(0), "{arguments:?}: {line}");
    line["data"].clone()
}
