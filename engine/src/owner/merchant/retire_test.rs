//! What leaves the state for history: only what is in both, final, and the owner's own.

use std::cell::Cell;

use protocol::id::{MerchantId, PrintJobId};
use protocol::link::{PrintReport, PrintState, ToAgent, ToEngine};
use uuid::Uuid;

use super::bench::Bench;
use crate::domain::time::Timestamp;
use crate::history::archive::{ArchiveError, Moved, archive};
use crate::history::{History, SPACES};
use crate::owner::key;
use crate::owner::request::{Answer, ArchivedRow, Reply, Request};
use crate::store::{KeyValue, Rows};

fn rows(bench: &Bench) -> Vec<KeyValue> {
    SPACES
        .iter()
        .flat_map(|space| bench.store.scan(&[*space], None, 999).unwrap())
        .collect()
}

fn retire(bench: &mut Bench, rows: Vec<ArchivedRow>) -> usize {
    match bench.ask(None, Request::Retire(rows)) {
        Some(Ok(Reply::Fresh(Answer::Retired(removed)))) => removed,
        other => panic!("not retired: {other:?}"),
    }
}

/// Everything that was sent to the printer comes out.
fn print_all(bench: &mut Bench) {
    let jobs: Vec<PrintJobId> = bench
        .sent()
        .iter()
        .filter_map(|message| match message {
            ToAgent::Print(command) => Some(command.job_id),
            _ => None,
        })
        .collect();
    assert!(!jobs.is_empty());
    for job_id in jobs {
        let state = PrintState::Printed;
        bench.said(ToEngine::Print(PrintReport { job_id, state }));
    }
}

#[test]
fn only_final_rows_that_are_the_same_and_the_owners_own_are_removed() {
    let mut bench = Bench::new();
    bench.is_inspected = false;
    bench.approved();
    print_all(&mut bench);
    bench.start(false);
    let before = rows(&bench);
    let kinds = |found: &[KeyValue]| -> Vec<u8> { found.iter().map(|(key, _)| key[0]).collect() };
    let mut asked: Vec<ArchivedRow> = before
        .iter()
        .map(|(key, value)| ArchivedRow {
            key: key.clone(),
            value: value.clone(),
        })
        .collect();
    // Another's, and one that is never archived.
    let stranger = MerchantId::from_uuid(Uuid::from_u128(99));
    for row_key in [
        key::of_merchant(key::POS, stranger),
        key::merchant(bench.merchant_id),
    ] {
        let value = bench.store.get(&row_key).unwrap().unwrap_or_default();
        asked.push(ArchivedRow {
            key: row_key,
            value,
        });
    }
    let mut changed = asked.clone();
    for row in &mut changed {
        row.value.push(0);
    }
    assert_eq!(retire(&mut bench, changed), 0);
    assert_eq!(rows(&bench), before);
    let removed = retire(&mut bench, asked.clone());
    let left = rows(&bench);
    assert_eq!(kinds(&left), [key::POS], "the sale that is under way");
    assert_eq!(removed, before.len() - 1);
    assert!(
        bench
            .store
            .get(&key::merchant(bench.merchant_id))
            .unwrap()
            .is_some()
    );
    assert_eq!(retire(&mut bench, asked), 0);
}

/// Archives what the bench holds; the owner is asked unless `is_cut`.
fn run(bench: &mut Bench, history: &History, is_cut: bool) -> Result<Moved, ArchiveError> {
    let before = Timestamp(bench.now.0 + 1);
    let mut asked = Vec::new();
    let moved = archive(
        &bench.store,
        history,
        before,
        &|| false,
        &mut |merchant_id, rows| {
            assert_eq!(merchant_id, bench.merchant_id);
            if is_cut {
                return Err("the power goes".to_owned());
            }
            let count = rows.len();
            asked.extend(rows);
            Ok(count)
        },
    )?;
    assert_eq!(retire(bench, asked) as u64, moved.removed);
    Ok(moved)
}

#[test]
fn what_something_open_refers_to_stays_and_a_run_that_was_cut_is_taken_up() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(dir.path()).unwrap();
    let mut bench = Bench::new();
    bench.is_inspected = false;
    bench.approved();
    let moved = run(&mut bench, &history, false).unwrap();
    assert_eq!(moved, Moved::default(), "a receipt is still to be printed");
    print_all(&mut bench);
    let before = rows(&bench);

    assert!(run(&mut bench, &history, true).is_err());
    assert_eq!(rows(&bench), before);
    let history = History::open(dir.path()).unwrap();
    assert_eq!(history.extent().rows, before.len() as u64);
    let moved = run(&mut bench, &history, false).unwrap();
    assert_eq!(
        (moved.copied, moved.extent.files),
        (0, 1),
        "nothing is copied twice"
    );
    assert_eq!(moved.removed, before.len() as u64);
    assert_eq!(rows(&bench), []);

    for (key, value) in &before {
        assert_eq!(history.get(key).unwrap().as_ref(), Some(value));
    }
    let moved = run(&mut bench, &history, false).unwrap();
    assert_eq!((moved.copied, moved.removed), (0, 0));
}

/// Also where nothing is old: of many merchants each takes a look.
#[test]
fn every_look_is_preceded_by_a_pause_and_any_pause_may_be_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(dir.path()).unwrap();
    let mut bench = Bench::new();
    bench.approved();
    let pauses = Cell::new(0);
    let run = |before, last| {
        pauses.set(0);
        let pause = || {
            pauses.set(pauses.get() + 1);
            pauses.get() == last
        };
        archive(&bench.store, &history, before, &pause, &mut |_, rows| {
            Ok(rows.len())
        })
    };
    let looks = 1 + 2 * SPACES.len();
    assert_eq!(run(Timestamp(0), 0).unwrap(), Moved::default());
    assert_eq!(pauses.get(), looks);
    for last in 1..=looks {
        let stopped = run(Timestamp(0), last);
        assert!(matches!(stopped, Err(ArchiveError::Stopped)), "{last}");
    }
}
