//! One state of the agent's disk: opened with the shipped journal, and held against what the agent
//! had said on its link.

use std::fs;
use std::path::Path;

use harness::power::image::Image;
use harness::power::sent::Said;
use protocol::id::JournalId;
use protocol::link::{Completion, Digest, DigestState, Handshake, PrintReport, ToEngine};
use terminal_agent::journal::{Found, Journal, ReadBack, StateLock, read_back};
use terminal_agent::machine::record::{JournalState, PrintRecord};
use uuid::Uuid;

use super::recording::Recording;

/// Everything that is wrong with the state directory `root` after a cut at `instant`.
pub(super) fn problems(root: &Path, instant: u64, recording: &Recording) -> Vec<String> {
    let mut problems = Vec::new();
    if recording.paired_at <= instant {
        for name in ["identity.json", "device-key"] {
            if fs::read(root.join(name)).ok().as_ref() != recording.agent.real.files.get(name) {
                problems.push(format!("lost: {name}"));
            }
        }
    }
    let bytes = fs::read(root.join("journal")).unwrap_or_default();
    let after = match state_of(&bytes) {
        Ok(state) => state,
        Err(at) => {
            problems.push(format!("lost: the journal is broken at byte {at}"));
            return problems;
        }
    };
    let seen = recording.agent.history.seen(instant);
    let before = journal_in(&seen);
    let boot = check_said(instant, recording, &before, &after, &mut problems);
    check_open(root, boot, &mut problems);
    problems
}

fn state_of(bytes: &[u8]) -> Result<JournalState, usize> {
    match read_back(bytes) {
        ReadBack::Entries { entries, .. } => Ok(JournalState::from_entries(&entries)),
        ReadBack::Corrupt { at } => Err(at),
    }
}

/// The journal as the agent itself had written it.
fn journal_in(seen: &Image) -> JournalState {
    let bytes = seen.files.get("journal").map_or(&[][..], Vec::as_slice);
    state_of(bytes).unwrap_or_default()
}

/// What the agent had said is in the journal, unless the agent had written since that it is over;
/// gives the last boot that was told.
fn check_said(
    instant: u64,
    recording: &Recording,
    before: &JournalState,
    after: &JournalState,
    problems: &mut Vec<String>,
) -> u64 {
    let mut boot = 0;
    for sent in recording.sent.iter().filter(|sent| sent.at <= instant) {
        let kept = match &sent.message {
            Said::Handshake(handshake) => {
                let Handshake::Hello(hello) = handshake.as_ref();
                boot = hello.boot;
                after.journal_id() == Some(hello.journal_id) && after.boot() >= hello.boot
            }
            Said::ToEngine(message) => match message.as_ref() {
                ToEngine::Card(card) => before.digest(card.pos_id).is_none_or(|last| {
                    let found = after.digest(card.pos_id);
                    let is_same = |one: &Digest| one.attempt_id == Some(card.attempt_id);
                    let has_moved_on = !is_same(last);
                    has_moved_on || found.is_some_and(|one| is_same(one) && is_sent(one))
                }),
                ToEngine::Completed(completion) => holds_completion(before, after, completion),
                ToEngine::Print(report) => holds_print(before, after, report),
                ToEngine::Request { request_id, .. } => {
                    before.request(*request_id).is_none() || after.request(*request_id).is_some()
                }
                _ => true,
            },
        };
        if !kept {
            problems.push(format!("lost: {:?}", sent.message));
        }
    }
    boot
}

fn is_sent(digest: &Digest) -> bool {
    !matches!(digest.state, DigestState::Accepted | DigestState::Reading)
}

fn holds_completion(before: &JournalState, after: &JournalState, said: &Completion) -> bool {
    let is_it =
        |digest: &Digest| matches!(&digest.state, DigestState::Completed(one) if one == said);
    before
        .digest(said.pos_id)
        .is_none_or(|last| !is_it(last) || after.digest(said.pos_id).is_some_and(is_it))
}

fn holds_print(before: &JournalState, after: &JournalState, said: &PrintReport) -> bool {
    !said.state.is_final()
        || before.print(said.job_id).is_none()
        || after.print(said.job_id) == Some(&PrintRecord::Ended(said.state.clone()))
}

/// The shipped program takes the journal as its own, for one more boot.
fn check_open(root: &Path, boot: u64, problems: &mut Vec<String>) {
    let fresh = JournalId::from_uuid(Uuid::from_u128(1));
    let opened = StateLock::take(root).and_then(|lock| Journal::open(root, lock, fresh));
    match opened {
        Ok((_, Found::Broken(aside))) => {
            problems.push(format!(
                "lost: the journal was set aside as {}",
                aside.display()
            ));
        }
        Ok((journal, _)) if journal.state().boot() <= boot => {
            problems.push(format!("lost: boot {} again", journal.state().boot()));
        }
        Ok(_) => {}
        Err(error) => problems.push(format!("the journal does not open: {error}")),
    }
}
