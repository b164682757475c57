//! What every implementation of `Store` must do, as one suite over a factory. It must never know
//! which implementation it tests.

use std::sync::mpsc;
use std::time::Duration;

use super::{
    COMMIT_BYTES_MAX, Commit, CommitRefused, Committed, Position, Record, Row, SharedStore,
    StreamId, Urgency,
};

/// A store under test and what only its implementation can do.
pub(crate) trait Subject {
    /// The open store.
    fn store(&self) -> SharedStore;
    /// Lets what was submitted be decided, if the implementation waits to be told.
    fn settle(&self);
    /// Closes and opens the same store; nothing waits.
    fn reopen(&mut self);
}

type Rule = (&'static str, fn(&mut dyn Subject));
type Outcome = Result<Committed, CommitRefused>;

/// A stream that differs from others by `number`.
pub(crate) fn stream(number: u8) -> StreamId {
    StreamId([number; 17])
}

/// A row that puts `value`.
pub(crate) fn put(key: &[u8], value: &[u8]) -> Row {
    Row {
        key: key.to_vec(),
        value: Some(value.to_vec()),
    }
}

/// A row that removes `key`.
pub(crate) fn remove(key: &[u8]) -> Row {
    Row {
        key: key.to_vec(),
        value: None,
    }
}

/// A commit of one record per entry of `records`.
pub(crate) fn commit(number: u8, expected_seq: u64, records: Vec<Vec<Row>>) -> Commit {
    let records = records
        .into_iter()
        .map(|rows| Record {
            event: b"event".to_vec(),
            rows,
        })
        .collect();
    Commit {
        stream: stream(number),
        expected_seq,
        records,
        urgency: Urgency::New,
    }
}

/// Submits all, settles, and returns the outcomes in the order in which they were reported.
fn report(subject: &dyn Subject, commits: Vec<Commit>) -> Vec<(usize, Outcome)> {
    let (tx, rx) = mpsc::channel();
    let expected = commits.len();
    let store = subject.store();
    for (index, commit) in commits.into_iter().enumerate() {
        let tx = tx.clone();
        store.commit(
            commit,
            Box::new(move |outcome| drop(tx.send((index, outcome)))),
        );
    }
    subject.settle();
    (0..expected)
        .map(|_| {
            rx.recv_timeout(Duration::from_secs(60))
                .expect("an outcome")
        })
        .collect()
}

fn outcomes(subject: &dyn Subject, commits: Vec<Commit>) -> Vec<Outcome> {
    report(subject, commits)
        .into_iter()
        .map(|(_, outcome)| outcome)
        .collect()
}

/// Runs every rule, each on a store of its own.
pub(crate) fn run(mut open: impl FnMut() -> Box<dyn Subject>) {
    let rules: [Rule; 10] = [
        ("sequences are dense and positions ordered", dense_sequences),
        ("a wrong sequence is refused whole", wrong_sequence),
        ("a commit is atomic", atomic),
        ("commits are reported in order", reported_in_order),
        ("rows are visible when done is called", visible_when_done),
        ("scans keep their bounds", scan_bounds),
        ("reserved keys and empty commits are refused", malformed),
        ("a commit that is too large is refused", too_large),
        ("follow returns each record once", follow),
        ("a reopened store goes on where it stopped", reopened),
    ];
    for (name, rule) in rules {
        let mut subject = open();
        // Shown when the rule fails.
        eprintln!("rule: {name}");
        rule(subject.as_mut());
    }
}

fn dense_sequences(subject: &mut dyn Subject) {
    let results = outcomes(
        subject,
        vec![
            commit(1, 0, vec![vec![], vec![]]),
            commit(2, 0, vec![vec![]]),
            commit(1, 2, vec![vec![]]),
        ],
    );
    let expected = [(2, 2), (1, 3), (3, 4)];
    for (result, (seq, position)) in results.into_iter().zip(expected) {
        assert_eq!(
            result,
            Ok(Committed {
                seq,
                position: Position(position)
            })
        );
    }
    let store = subject.store();
    let heads = [1, 2, 3].map(|number| store.head(stream(number)).unwrap());
    assert_eq!(heads, [3, 1, 0]);
}

fn wrong_sequence(subject: &mut dyn Subject) {
    let row = |key: &[u8]| vec![vec![put(key, b"v")]];
    let results = outcomes(
        subject,
        vec![
            commit(1, 0, row(b"a")),
            commit(1, 0, row(b"b")),
            commit(1, 7, row(b"c")),
            commit(1, 1, row(b"d")),
        ],
    );
    assert!(results[0].is_ok());
    assert_eq!(
        results[1],
        Err(CommitRefused::WrongSequence {
            expected: 0,
            actual: 1
        })
    );
    assert_eq!(
        results[2],
        Err(CommitRefused::WrongSequence {
            expected: 7,
            actual: 1
        })
    );
    assert_eq!(
        results[3],
        Ok(Committed {
            seq: 2,
            position: Position(2)
        })
    );
    let store = subject.store();
    assert_eq!((store.get(b"b"), store.get(b"c")), (Ok(None), Ok(None)));
    assert_eq!(
        store.follow(Position(0), 10).unwrap().len(),
        2,
        "a refused commit was logged"
    );
}

fn atomic(subject: &mut dyn Subject) {
    let rows = vec![
        vec![put(b"k1", b"old"), put(b"k2", b"kept")],
        vec![put(b"k1", b"new"), remove(b"k3")],
        vec![put(b"k3", b"again"), put(b"k4", b"gone"), remove(b"k4")],
    ];
    let before = outcomes(
        subject,
        vec![commit(1, 0, vec![vec![put(b"k3", b"first")]])],
    );
    let after = outcomes(subject, vec![commit(1, 1, rows)]);
    assert!(before[0].is_ok() && after[0].is_ok());
    let store = subject.store();
    let value = |key: &[u8]| store.get(key).unwrap();
    assert_eq!(value(b"k1").as_deref(), Some(b"new".as_slice()));
    assert_eq!(value(b"k2").as_deref(), Some(b"kept".as_slice()));
    assert_eq!(value(b"k3").as_deref(), Some(b"again".as_slice()));
    assert_eq!(value(b"k4"), None);
}

fn reported_in_order(subject: &mut dyn Subject) {
    let commits = (0..50)
        .flat_map(|seq| [commit(1, seq, vec![vec![]]), commit(2, 99, vec![vec![]])])
        .collect();
    let reported = report(subject, commits);
    let order: Vec<usize> = reported.iter().map(|(index, _)| *index).collect();
    assert_eq!(order, (0..100).collect::<Vec<_>>());
    let accepted: Vec<bool> = reported
        .iter()
        .map(|(_, outcome)| outcome.is_ok())
        .collect();
    assert_eq!(accepted, [true, false].repeat(50));
}

fn visible_when_done(subject: &mut dyn Subject) {
    let (tx, rx) = mpsc::channel();
    let store = subject.store();
    for seq in 0..20_u64 {
        let (reader, tx) = (subject.store(), tx.clone());
        let key = [b"key".as_slice(), &seq.to_be_bytes()].concat();
        let commit = commit(1, seq, vec![vec![put(&key, b"v")]]);
        let done = move |outcome: Outcome| {
            let seen = (
                reader.get(&key).unwrap().is_some(),
                reader.head(stream(1)).unwrap() > seq,
                reader.follow(Position(seq), 1).unwrap().len(),
            );
            assert!(tx.send((outcome.is_ok(), seen)).is_ok());
        };
        store.commit(commit, Box::new(done));
    }
    subject.settle();
    for _ in 0..20 {
        let reported = rx
            .recv_timeout(Duration::from_secs(60))
            .expect("an outcome");
        assert_eq!(reported, (true, (true, true, 1)));
    }
}

fn scan_bounds(subject: &mut dyn Subject) {
    let keys: [&[u8]; 7] = [
        b"a",
        b"b1",
        b"b2",
        b"b3",
        b"c",
        &[0xff, 0xff],
        &[0xff, 0xff, 0xff],
    ];
    let rows = keys.iter().map(|key| put(key, key)).collect();
    assert!(outcomes(subject, vec![commit(1, 0, vec![rows])])[0].is_ok());
    let store = subject.store();
    type Case<'a> = (&'a [u8], Option<&'a [u8]>, usize, Vec<&'a [u8]>);
    let ascending: [Case<'_>; 9] = [
        (b"b", None, 10, vec![b"b1", b"b2", b"b3"]),
        (b"b", None, 2, vec![b"b1", b"b2"]),
        (b"b", None, 0, vec![]),
        (b"b", Some(b"b2"), 10, vec![b"b2", b"b3"]),
        (b"b", Some(b"a"), 1, vec![b"b1"]),
        (b"b", Some(b"c"), 10, vec![]),
        (b"", None, 3, vec![b"a", b"b1", b"b2"]),
        (&[0xff], None, 10, vec![&[0xff, 0xff], &[0xff, 0xff, 0xff]]),
        (b"d", None, 10, vec![]),
    ];
    for (prefix, from, limit, expected) in ascending {
        let found: Vec<_> = store.scan(prefix, from, limit).unwrap();
        let found: Vec<&[u8]> = found.iter().map(|(key, _)| key.as_slice()).collect();
        assert_eq!(found, expected, "scan {prefix:?} {from:?} {limit}");
    }
    let descending: [Case<'_>; 8] = [
        (b"b", None, 10, vec![b"b3", b"b2", b"b1"]),
        (b"b", Some(b"b3"), 10, vec![b"b2", b"b1"]),
        (b"b", Some(b"b3"), 1, vec![b"b2"]),
        (b"b", Some(b"b1"), 10, vec![]),
        (b"b", Some(b"z"), 1, vec![b"b3"]),
        (b"b", Some(b"a"), 10, vec![]),
        (b"", None, 2, vec![&[0xff, 0xff, 0xff], &[0xff, 0xff]]),
        (&[0xff], Some(&[0xff, 0xff, 0xff]), 9, vec![&[0xff, 0xff]]),
    ];
    for (prefix, before, limit, expected) in descending {
        let found: Vec<_> = store.scan_back(prefix, before, limit).unwrap();
        let found: Vec<&[u8]> = found.iter().map(|(key, _)| key.as_slice()).collect();
        assert_eq!(found, expected, "scan_back {prefix:?} {before:?} {limit}");
    }
    assert_eq!(
        store.scan(b"", None, 99).unwrap().len(),
        keys.len(),
        "more than the rows"
    );
    assert_eq!(
        store.scan(&[0], None, 99),
        Ok(vec![]),
        "the store's own keys are not rows"
    );
}

fn malformed(subject: &mut dyn Subject) {
    let results = outcomes(
        subject,
        vec![
            commit(1, 0, vec![]),
            commit(1, 0, vec![vec![put(b"", b"v")]]),
            commit(1, 0, vec![vec![], vec![put(&[0, 1], b"v")]]),
            commit(1, 0, vec![vec![]]),
        ],
    );
    for result in &results[..3] {
        assert!(
            matches!(result, Err(CommitRefused::Malformed { .. })),
            "{result:?}"
        );
    }
    assert_eq!(
        results[3],
        Ok(Committed {
            seq: 1,
            position: Position(1)
        })
    );
}

fn too_large(subject: &mut dyn Subject) {
    let value = vec![7; COMMIT_BYTES_MAX];
    let results = outcomes(
        subject,
        vec![
            commit(1, 0, vec![vec![put(b"k", &value)]]),
            commit(1, 0, vec![vec![]]),
        ],
    );
    assert!(matches!(results[0], Err(CommitRefused::TooLarge { bytes }) if bytes > value.len()));
    assert!(results[1].is_ok());
    assert_eq!(subject.store().get(b"k"), Ok(None));
}

fn follow(subject: &mut dyn Subject) {
    let commits: Vec<Commit> = (0..40_u8)
        .map(|seq| {
            let rows = vec![put(&[1, seq], &[seq]), remove(&[2, seq])];
            commit(1, u64::from(seq) * 2, vec![rows, vec![]])
        })
        .collect();
    let submitted: Vec<Record> = commits
        .iter()
        .flat_map(|commit| commit.records.clone())
        .collect();
    assert!(outcomes(subject, commits).iter().all(Result::is_ok));
    let store = subject.store();
    for limit in [1, 3, 7, 1000] {
        let mut after = Position(0);
        let mut seen = Vec::new();
        loop {
            let page = store.follow(after, limit).unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = last.position;
            seen.extend(page);
        }
        let records: Vec<&Record> = seen.iter().map(|logged| &logged.record).collect();
        assert_eq!(
            records,
            submitted.iter().collect::<Vec<_>>(),
            "limit {limit}"
        );
        for (place, logged) in (1..).zip(&seen) {
            assert_eq!((logged.position, logged.seq), (Position(place), place));
        }
    }
    assert_eq!(store.follow(Position(u64::MAX), 1), Ok(vec![]));
    assert_eq!(store.follow(Position(0), 0), Ok(vec![]));
}

fn reopened(subject: &mut dyn Subject) {
    let mut last = 0;
    for round in 0..4_u64 {
        let key = [b"round".as_slice(), &round.to_be_bytes()].concat();
        let results = outcomes(subject, vec![commit(1, round, vec![vec![put(&key, b"v")]])]);
        let Ok(committed) = results[0] else {
            panic!("round {round}: {results:?}")
        };
        assert_eq!(committed.seq, round + 1);
        assert!(committed.position.0 > last, "a position was used twice");
        last = committed.position.0;
        subject.reopen();
        let store = subject.store();
        assert_eq!(store.head(stream(1)), Ok(round + 1));
        let rows = store.scan(b"round", None, 100).unwrap();
        assert_eq!(u64::try_from(rows.len()).unwrap(), round + 1);
        let logged = store.follow(Position(0), 100).unwrap();
        assert_eq!(u64::try_from(logged.len()).unwrap(), round + 1);
    }
}
