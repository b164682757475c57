//! The journal on a real disk: reopened, torn, damaged, written anew.

use protocol::link::{AttemptEnd, ChipOutcome, Completion, DigestState, PrintState, TillRequest};
use uuid::Uuid;

use super::*;
use crate::trial::{att, job, pos};

fn fresh(number: u128) -> JournalId {
    JournalId::from_uuid(Uuid::from_u128(number))
}

fn open(directory: &Path, fresh_id: u128) -> (Journal, Found) {
    let lock = StateLock::take(directory).unwrap();
    Journal::open(directory, lock, fresh(fresh_id)).unwrap()
}

fn sample() -> Vec<JournalEntry> {
    vec![
        JournalEntry::Accepted { pos_id: pos(1) },
        JournalEntry::Intent {
            pos_id: pos(1),
            attempt_id: att(1),
        },
        JournalEntry::Sent {
            pos_id: pos(1),
            attempt_id: att(1),
        },
        JournalEntry::Completed(Completion {
            pos_id: pos(1),
            attempt_id: att(1),
            chip: ChipOutcome::Agreed,
            data: vec![0x9F, 0x26, 0x00],
            cause: None,
        }),
        JournalEntry::Requested {
            request_id: protocol::id::RequestId::from_uuid(Uuid::from_u128(9)),
            request: TillRequest::Cancel {
                pos_id: pos(1),
                void_if_too_late: true,
            },
        },
        JournalEntry::PrintStarted { job_id: job(1) },
        JournalEntry::PrintEnded {
            job_id: job(1),
            state: PrintState::Printed,
        },
        JournalEntry::PrintStarted { job_id: job(2) },
        JournalEntry::Accepted { pos_id: pos(2) },
        JournalEntry::Ended {
            pos_id: pos(2),
            attempt_id: None,
            end: AttemptEnd::CashierCanceled,
        },
    ]
}

#[test]
fn reopening_keeps_the_name_and_counts_the_boots() {
    let directory = tempfile::tempdir().unwrap();
    let (mut journal, found) = open(directory.path(), 1);
    assert_eq!(found, Found::Nothing);
    assert_eq!(journal.state().boot(), 1);
    journal.append(&sample()).unwrap();
    drop(journal);

    let (journal, found) = open(directory.path(), 2);
    assert_eq!(found, Found::Whole);
    assert_eq!(journal.state().journal_id(), Some(fresh(1)));
    assert_eq!(journal.state().boot(), 2);
    assert_eq!(journal.state().requests().count(), 1);
    let digest = journal.state().digest(pos(1)).unwrap();
    assert!(matches!(digest.state, DigestState::Completed(_)));
    // A job that had begun when the agent stopped: nobody can say whether paper came out.
    let prints = journal.state().ended_prints();
    assert_eq!(prints.len(), 2);
    assert_eq!(prints[1].state, PrintState::Unknown);
}

#[test]
fn a_second_agent_is_refused_until_the_first_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path(), 1);
    assert!(matches!(
        StateLock::take(directory.path()),
        Err(JournalError::InUse(_))
    ));
    drop(journal);
    assert!(StateLock::take(directory.path()).is_ok());
}

#[test]
fn every_truncation_opens_as_a_prefix() {
    let directory = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(directory.path(), 1);
    for entry in sample() {
        journal.append(&[entry]).unwrap();
    }
    drop(journal);
    let whole = std::fs::read(path_of(directory.path())).unwrap();
    let ReadBack::Entries { entries, torn: 0 } = read_back(&whole) else {
        panic!("the journal does not read back");
    };
    for kept in 0..=whole.len() {
        let ReadBack::Entries {
            entries: prefix,
            torn,
        } = read_back(&whole[..kept])
        else {
            panic!("{kept} bytes read as corruption");
        };
        assert_eq!(prefix, entries[..prefix.len()], "after {kept} bytes");
        assert!(torn <= kept);
    }
    // The same through the file system, at one byte inside the last frame.
    std::fs::write(path_of(directory.path()), &whole[..whole.len() - 1]).unwrap();
    let (journal, found) = open(directory.path(), 2);
    assert!(matches!(found, Found::Torn(_)), "{found:?}");
    assert_eq!(journal.state().journal_id(), Some(fresh(1)));
    let digest = journal.state().digest(pos(2)).unwrap();
    assert_eq!(digest.state, DigestState::Accepted);
}

#[test]
fn damage_before_the_end_moves_the_file_aside_and_begins_a_new_journal() {
    let directory = tempfile::tempdir().unwrap();
    for round in 1..=2u128 {
        let (mut journal, _) = open(directory.path(), round);
        journal.append(&sample()).unwrap();
        drop(journal);
        let path = path_of(directory.path());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[60] ^= 0x40;
        std::fs::write(&path, &bytes).unwrap();
        let (journal, found) = open(directory.path(), round + 10);
        let aside = directory.path().join(format!("journal.broken-{round}"));
        assert_eq!(found, Found::Broken(aside.clone()));
        assert_eq!(std::fs::read(aside).unwrap(), bytes, "evidence is kept");
        assert_eq!(journal.state().journal_id(), Some(fresh(round + 10)));
        assert_eq!(journal.state().boot(), 1);
        assert!(journal.state().is_quiet());
    }
}

#[test]
fn a_large_quiet_journal_is_written_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(directory.path(), 1);
    let noise = JournalEntry::Completed(Completion {
        pos_id: pos(1),
        attempt_id: att(1),
        chip: ChipOutcome::Refused,
        data: vec![7; 60_000],
        cause: None,
    });
    for _ in 0..12 {
        journal.append(std::slice::from_ref(&noise)).unwrap();
    }
    let length = || std::fs::metadata(path_of(directory.path())).unwrap().len();
    assert!(length() > COMPACT_ABOVE_BYTES, "open work is never moved");
    journal
        .append(&[JournalEntry::Concluded { pos_id: pos(1) }])
        .unwrap();
    assert!(length() < 200);
    journal
        .append(&[JournalEntry::Accepted { pos_id: pos(3) }])
        .unwrap();
    drop(journal);
    let (journal, found) = open(directory.path(), 2);
    assert_eq!(found, Found::Whole);
    assert!(journal.state().digest(pos(3)).is_some());
}

#[test]
fn a_snapshot_adds_up_to_the_same_state() {
    let mut state = JournalState::default();
    state.apply(&JournalEntry::Header {
        format: 1,
        journal_id: fresh(1),
    });
    for entry in sample() {
        state.apply(&entry);
        assert_eq!(JournalState::from_entries(&state.snapshot()), state);
    }
}
