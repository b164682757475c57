//! What the tills' journals say, against what the engine says.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use protocol::id::JournalId;
use protocol::link::{ChipOutcome, DigestState};
use terminal_agent::journal::{Journal, StateLock};
use terminal_agent::machine::record::JournalState;
use uuid::Uuid;

use super::agreement::State;

/// What a till's journal adds up to now. It is read from a copy: opening is a boot, and cuts a
/// torn tail off.
pub(super) fn read(till: &Path) -> JournalState {
    let copy = tempfile::tempdir().unwrap();
    fs::copy(
        till.join("state").join("journal"),
        copy.path().join("journal"),
    )
    .unwrap();
    let lock = StateLock::take(copy.path()).unwrap();
    let nameless = JournalId::from_uuid(Uuid::nil());
    let (journal, _) = Journal::open(copy.path(), lock, nameless).unwrap();
    assert_ne!(
        journal.state().journal_id(),
        Some(nameless),
        "the journal of {} is broken",
        till.display()
    );
    journal.state().clone()
}

/// What the chips were seen to say, by attempt.
#[derive(Debug, Default)]
pub(super) struct ChipWords(BTreeMap<String, ChipOutcome>);

impl ChipWords {
    /// Notes what a journal holds at the moment of a kill.
    pub(super) fn note(&mut self, journal: &JournalState) {
        for digest in journal.open() {
            if let DigestState::Completed(completion) = &digest.state {
                self.0
                    .insert(completion.attempt_id.to_string(), completion.chip);
            }
        }
    }

    /// How many were seen.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Fails if an attempt stands whose chip did not agree.
    pub(super) fn check(&self, what: &str, state: &State) {
        let attempts = state.pos.values().flat_map(|pos| {
            let attempts = pos["attempts"].as_array().map_or(&[][..], Vec::as_slice);
            attempts.iter().map(move |attempt| (pos, attempt))
        });
        for (pos, attempt) in attempts {
            let id = attempt["id"].as_str().unwrap_or_default();
            let has_refused = self
                .0
                .get(id)
                .is_some_and(|chip| *chip != ChipOutcome::Agreed);
            let transaction = &attempt["transaction_id"];
            let stands = state
                .transactions
                .get(transaction.as_str().unwrap_or_default())
                .is_some_and(|one| matches!(one["status"].as_str(), Some("approved" | "voided")));
            assert!(
                !(has_refused && stands),
                "{what}: the chip of {id} did not agree, and it stands: {pos}"
            );
        }
    }
}
