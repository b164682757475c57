//! What a client was told, to be held against what is true later.

use std::collections::BTreeMap;

use harness::api::{Answer, Api, fresh_key};
use serde_json::Value;

use super::agreement::State;

/// A POST that was answered with success.
#[derive(Debug)]
struct Told {
    path: String,
    key: String,
    body: Value,
    status: u16,
    text: String,
}

/// Every answer that counts.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    told: Vec<Told>,
    /// POS transactions whose end was seen: status and transaction.
    ends: BTreeMap<String, (Value, Value)>,
}

impl Ledger {
    /// POST with a fresh key, once.
    pub(super) fn post(&mut self, pos: &Api, path: &str, body: Value) -> Answer {
        self.post_keyed(pos, path, body, &fresh_key())
    }

    /// POST with this key, once.
    pub(super) fn post_keyed(&mut self, pos: &Api, path: &str, body: Value, key: &str) -> Answer {
        let answer = pos.post_keyed(path, &body, key);
        self.note(path, key, body, &answer);
        answer
    }

    /// Notes an answer to a POST.
    pub(super) fn note(&mut self, path: &str, key: &str, body: Value, answer: &Answer) {
        if (200..300).contains(&answer.status) {
            self.told.push(Told {
                path: path.to_owned(),
                key: key.to_owned(),
                body,
                status: answer.status,
                text: answer.text.clone(),
            });
        }
    }

    /// Notes the end of a POS transaction as it was shown.
    pub(super) fn ended(&mut self, pos: &Value) {
        let id = pos["id"].as_str().unwrap_or_default().to_owned();
        self.ends
            .insert(id, (pos["status"].clone(), pos["transaction_id"].clone()));
    }

    /// How many answers there are to hold.
    pub(super) fn len(&self) -> usize {
        self.told.len() + self.ends.len()
    }

    /// Takes another client's ledger over.
    pub(super) fn merge(&mut self, other: Self) {
        self.told.extend(other.told);
        self.ends.extend(other.ends);
    }

    /// Fails unless everything that was told still holds.
    pub(super) fn check(&self, what: &str, pos: &Api, state: &State) {
        for told in &self.told {
            let again = pos.post_keyed(&told.path, &told.body, &told.key);
            let first = (told.status, &told.text);
            assert_eq!(
                (again.status, &again.text),
                first,
                "{what}: replay of {}",
                told.path
            );
            assert_eq!(
                again.header("Idempotent-Replayed"),
                "true",
                "{what}: {}",
                told.path
            );
            holds(what, told, state);
        }
        for (id, end) in &self.ends {
            let now = &state.pos[id];
            let held = (now["status"].clone(), now["transaction_id"].clone());
            assert_eq!(&held, end, "{what}: the end of {id} has changed");
        }
    }
}

/// What the first answer said about money is still so.
fn holds(what: &str, told: &Told, state: &State) {
    let body: Value = serde_json::from_str(&told.text).unwrap();
    let data = &body["data"];
    let id = data["id"].as_str().unwrap_or_default();
    if told.path.ends_with("/void") {
        assert_eq!(
            state.transactions[id]["status"], "voided",
            "{what}: void of {id}"
        );
    } else if told.path.ends_with("/tip-adjustment") {
        let now = &state.transactions[id];
        if data["pending_operation"].is_null() {
            assert_eq!(now["total"], data["total"], "{what}: tip of {id}");
        }
    } else if told.path.ends_with("/cancel") {
        let verdict = &data["cancel"]["verdict"];
        let now = &state.pos[id];
        if !verdict.is_null() {
            assert_eq!(
                &now["cancel"]["verdict"], verdict,
                "{what}: verdict on {id}"
            );
        }
        if verdict == "canceled" {
            assert_eq!(now["status"], "canceled", "{what}: cancel of {id}");
        }
    } else {
        assert!(state.pos.contains_key(id), "{what}: {id} is gone");
    }
}
