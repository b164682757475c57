//! What the engine told a client, and when it had arrived.

use harness::api::{Answer, Api, fresh_key};
use harness::power::recorder::monotonic_ns;
use serde_json::Value;

use crate::crash::agreement::State;

/// An answer with success.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// When it had been received, on the recorder's clock.
    pub(super) at: u64,
    /// Method and path.
    pub(super) what: String,
    /// The body as it came.
    pub(super) text: String,
    /// `data` of the body.
    pub(super) data: Value,
    /// Whether a repeat must get the same bytes.
    pub(super) is_replayed: bool,
}

/// A client that notes every success.
#[derive(Debug, Clone)]
pub(super) struct Listener {
    /// The client.
    pub(super) api: Api,
    /// What it was told.
    pub(super) told: Vec<Told>,
}

impl Listener {
    /// A client that was told nothing yet.
    pub(super) fn new(api: Api) -> Self {
        let told = Vec::new();
        Self { api, told }
    }

    fn note(&mut self, what: String, answer: &Answer, is_replayed: bool) {
        if (200..300).contains(&answer.status) {
            self.told.push(Told {
                at: monotonic_ns(),
                what,
                text: answer.text.clone(),
                data: answer.data().clone(),
                is_replayed,
            });
        }
    }

    /// GET.
    pub(super) fn get(&mut self, path: &str) -> Answer {
        let answer = self.api.get(path);
        self.note(format!("GET {path}"), &answer, false);
        answer
    }

    /// POST with a fresh key.
    pub(super) fn post(&mut self, path: &str, body: &Value) -> Answer {
        let answer = self.api.post_keyed(path, body, &fresh_key());
        let is_money = path.starts_with("/v1/pos/") || path.starts_with("/v1/transactions/");
        self.note(format!("POST {path}"), &answer, is_money);
        answer
    }
}

/// Fails unless everything that was told still holds.
pub(super) fn hold(what: &str, told: &[Told], state: &State) {
    for told in told {
        let id = told.data["id"].as_str().unwrap_or_default();
        let now = match id.split('_').next() {
            Some("pos") => state.pos.get(id),
            Some("txn") => state.transactions.get(id),
            _ => continue,
        };
        let now = now.unwrap_or_else(|| panic!("{what}: {id} of {} is gone", told.what));
        let revisions = [now, &told.data].map(|one| one["revision"].as_u64());
        assert!(revisions[0] >= revisions[1], "{what}: {id}: {now}");
        let was = &told.data["status"];
        let finals = [
            "approved", "declined", "canceled", "failed", "reversed", "voided",
        ];
        if was.as_str().is_some_and(|was| finals.contains(&was)) {
            let may_follow = was == "approved" && now["status"] == "voided";
            assert!(
                &now["status"] == was || may_follow,
                "{what}: {id} was {was}: {now}"
            );
        }
    }
}
