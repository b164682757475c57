//! The log under power cuts, failing writes and syncs, and full disks, single-threaded and from
//! seeds: whatever was acknowledged is there, whatever was not is there whole or not at all.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use protocol::id::IncarnationId;

use super::conformance::{self, Subject, commit, put, remove, stream};
use super::disk::Disk;
use super::faulty::{Fault, FaultyDisk, MemoryHome, Random};
use super::queue::Pending;
use super::start::{self, Parts};
use super::state::State;
use super::verify::walk;
use super::{
    Commit, CommitRefused, Committed, DiskStore, Done, OpenError, Position, Record, Retention, Row,
    SharedStore, Store, StoreConfig, Urgency,
};

const SEGMENT_BYTES: u64 = 4096;
type Outcome = Result<Committed, CommitRefused>;

fn config() -> StoreConfig {
    let mut config = StoreConfig::new("", IncarnationId::from_bytes([1; 16]));
    config.segment_bytes = SEGMENT_BYTES;
    config.reserve_bytes = SEGMENT_BYTES / 4;
    config.free_bytes_min = 1000;
    config.checkpoint_every = Duration::from_secs(3600);
    config
}

/// What a caller was told, and what it has asked for without an answer.
#[derive(Default)]
struct Model {
    /// Records by stream, in order, that must be there.
    acknowledged: BTreeMap<u8, Vec<Record>>,
    /// Commits by stream whose fate the power cut has hidden, in order.
    unanswered: BTreeMap<u8, Vec<Vec<Record>>>,
    serial: u64,
    epoch: u64,
}

impl Model {
    /// The next random commit of a stream, after everything that was asked for before.
    fn next(&mut self, number: u8, random: &mut Random) -> Commit {
        let asked = self.unanswered.entry(number).or_default();
        let seq = self.acknowledged.entry(number).or_default().len()
            + asked.iter().map(Vec::len).sum::<usize>();
        let records: Vec<Vec<Row>> = (0..=random.below(3))
            .map(|_| {
                self.serial += 1;
                let key = [number, 1, u8::try_from(random.below(20)).unwrap()];
                let other = [number, 2, u8::try_from(random.below(5)).unwrap()];
                let length = usize::try_from(random.below(300)).unwrap() + 8;
                let mut value = self.serial.to_be_bytes().to_vec();
                value.resize(length, number);
                vec![
                    put(&key, &value),
                    if random.one_in(2) {
                        put(&other, b"x")
                    } else {
                        remove(&other)
                    },
                ]
            })
            .collect();
        let commit = commit(number, u64::try_from(seq).unwrap(), records);
        asked.push(commit.records.clone());
        commit
    }

    fn answered(&mut self, number: u8, outcome: &Outcome) {
        let asked = self.unanswered.get_mut(&number).unwrap();
        let records = asked.remove(0);
        match outcome {
            Ok(_) => self.acknowledged.get_mut(&number).unwrap().extend(records),
            Err(refusal) => panic!("commit of stream {number} was refused: {refusal}"),
        }
    }

    /// Holds what a reopened store has against what was told, and takes it over.
    fn check(&mut self, parts: &Parts) {
        let place = parts.progress.place();
        assert!(place.epoch > self.epoch, "a start did not begin an epoch");
        self.epoch = place.epoch;
        let durable = place.position;
        let mut found: BTreeMap<u8, Vec<Record>> = BTreeMap::new();
        let mut rows: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut after = Position(0);
        loop {
            let page = parts.follower.read(after, durable, 13).unwrap();
            let Some(last) = page.last() else { break };
            let expected = after.0 + u64::try_from(page.len()).unwrap();
            assert_eq!(last.position, Position(expected), "positions are not dense");
            after = last.position;
            for logged in page {
                let records = found.entry(logged.stream.0[0]).or_default();
                for row in &logged.record.rows {
                    match &row.value {
                        Some(value) => rows.insert(row.key.clone(), value.clone()),
                        None => rows.remove(&row.key),
                    };
                }
                records.push(logged.record);
                assert_eq!(
                    logged.seq,
                    u64::try_from(records.len()).unwrap(),
                    "sequence"
                );
            }
        }
        assert_eq!(after.0, durable, "the log does not reach its own end");
        for (number, acknowledged) in &mut self.acknowledged {
            let mut expected = acknowledged.clone();
            let found = found.remove(number).unwrap_or_default();
            assert!(
                found.len() >= expected.len(),
                "an acknowledged commit of {number} is lost"
            );
            let unanswered = self.unanswered.remove(number).unwrap_or_default();
            let mut asked = unanswered.into_iter();
            while found.len() > expected.len() {
                expected.extend(asked.next().expect("a record that nobody asked for"));
            }
            assert!(
                found == expected,
                "stream {number} has half a commit, or another's"
            );
            *acknowledged = expected;
        }
        assert!(found.is_empty(), "a stream that nobody wrote");
        let range = super::range::ascending(b"", None).unwrap();
        let state: BTreeMap<_, _> = parts
            .state
            .range(range, false, usize::MAX)
            .unwrap()
            .into_iter()
            .collect();
        assert!(state == rows, "the state differs from the log");
    }
}

type Answers = Arc<Mutex<Vec<(u8, Outcome)>>>;

fn pending(number: u8, commit: Commit, answers: &Answers) -> Pending {
    let answers = Arc::clone(answers);
    let done: Done = Box::new(move |outcome| answers.lock().unwrap().push((number, outcome)));
    Pending { commit, done }
}

/// Works until the disk fails or enough was done; true when it failed.
fn work(parts: &mut Parts, model: &mut Model, random: &mut Random) -> bool {
    for _ in 0..40 {
        let failed = match random.below(8) {
            0 => {
                parts.spares.replenish();
                false
            }
            1 => parts.checkpointer.take().is_err(),
            2 => parts.state.fold().is_err(),
            _ => turn(parts, model, random),
        };
        if failed {
            return true;
        }
    }
    false
}

fn turn(parts: &mut Parts, model: &mut Model, random: &mut Random) -> bool {
    let answers = Answers::default();
    let mut taken: VecDeque<Pending> = (0..=random.below(6))
        .map(|_| {
            let number = u8::try_from(random.below(3)).unwrap() + 1;
            let mut commit = model.next(number, random);
            commit.urgency = Urgency::Concluding;
            pending(number, commit, &answers)
        })
        .collect();
    let failed = parts.committer.turn(&mut taken).is_err();
    let answers = std::mem::take(&mut *answers.lock().unwrap());
    for (number, outcome) in answers {
        // When the disk is off, no segment can be prepared: refused, and then cut.
        if outcome == Err(CommitRefused::NoSpace)
            || matches!(outcome, Err(CommitRefused::WrongSequence { .. }))
        {
            return true;
        }
        model.answered(number, &outcome);
    }
    failed
}

fn survive(seed: u64) {
    let mut random = Random::new(seed);
    let (disk, home) = (FaultyDisk::new(), MemoryHome::default());
    let mut config = config();
    let recycle = random.one_in(4);
    config.retention = if recycle {
        Retention::Recycle
    } else {
        Retention::Archive
    };
    config.segment_bytes = [2048, 4096, 16384][usize::try_from(random.below(3)).unwrap()];
    config.reserve_bytes = 256;
    let mut model = Model::default();
    for round in 0..6 {
        let fault = match random.below(6) {
            0 => Fault::Write,
            1 => Fault::Sync,
            _ => Fault::Crash,
        };
        // Half of them while it opens.
        let within = if random.one_in(2) { 12 } else { 120 };
        disk.fail_after(random.below(within), fault);
        if let Ok(mut parts) = start::open(&config, Arc::new(disk.clone()), &home) {
            if !disk.is_off() {
                check(&mut model, &parts, recycle);
            }
            work(&mut parts, &mut model, &mut random);
        }
        if random.one_in(2) && !disk.is_off() {
            disk.kill();
        } else {
            disk.power_cut(&mut random);
            home.power_cut(&mut random);
        }
        // The next start meets what this one has left, and fails somewhere itself.
        if round < 5 && random.one_in(3) {
            continue;
        }
        if !recycle && random.one_in(5) {
            home.damage();
        }
        let parts = start::open(&config, Arc::new(disk.clone()), &home)
            .unwrap_or_else(|error| panic!("round {round}: {error}"));
        check(&mut model, &parts, recycle);
        if !recycle {
            assert_eq!(walk(&disk), vec![], "round {round}");
        }
    }
}

fn check(model: &mut Model, parts: &Parts, recycle: bool) {
    // Recycled history cannot be compared.
    if recycle {
        check_heads(model, parts);
    } else {
        model.check(parts);
    }
}

/// What can be held against a log that forgets: the streams' heads.
fn check_heads(model: &mut Model, parts: &Parts) {
    for (number, acknowledged) in &mut model.acknowledged {
        let head = super::committer::read_head(parts.state.as_ref(), stream(*number)).unwrap();
        let head = usize::try_from(head).unwrap();
        assert!(
            head >= acknowledged.len(),
            "an acknowledged commit of {number} is lost"
        );
        for records in model.unanswered.remove(number).unwrap_or_default() {
            if acknowledged.len() < head {
                acknowledged.extend(records);
            }
        }
        assert_eq!(acknowledged.len(), head, "half a commit");
    }
}

#[test]
fn whatever_was_acknowledged_survives_any_crash() {
    for seed in 1..=300 {
        let outcome = std::panic::catch_unwind(|| survive(seed));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

struct OnFaulty {
    disk: FaultyDisk,
    home: MemoryHome,
    store: Option<Arc<DiskStore>>,
}

impl OnFaulty {
    fn new() -> Self {
        let (disk, home) = (FaultyDisk::new(), MemoryHome::default());
        let store = Some(open(&disk, &home, &mpsc::channel().0));
        Self { disk, home, store }
    }
}

fn open(disk: &FaultyDisk, home: &MemoryHome, fatal: &mpsc::Sender<String>) -> Arc<DiskStore> {
    let fatal = fatal.clone();
    let fatal = Box::new(move |reason| drop(fatal.send(reason)));
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    DiskStore::open_on(&config(), disk, home, fatal, None).unwrap()
}

impl Subject for OnFaulty {
    fn store(&self) -> SharedStore {
        Arc::clone(self.store.as_ref().unwrap()) as SharedStore
    }
    fn settle(&self) {}
    fn reopen(&mut self) {
        self.store = None;
        self.store = Some(open(&self.disk, &self.home, &mpsc::channel().0));
    }
}

#[test]
fn the_store_conforms_on_a_disk_in_memory() {
    conformance::run(|| Box::new(OnFaulty::new()));
}

fn ask(store: &DiskStore, commit: Commit) -> Outcome {
    let (tx, rx) = mpsc::channel();
    store.commit(commit, Box::new(move |outcome| tx.send(outcome).unwrap()));
    rx.recv_timeout(Duration::from_secs(60))
        .expect("an outcome")
}

#[test]
fn a_failed_write_or_sync_ends_the_store_once_and_is_not_retried() {
    for fault in [Fault::Write, Fault::Sync] {
        let (disk, home) = (FaultyDisk::new(), MemoryHome::default());
        let (tx, fatal) = mpsc::channel();
        let store = open(&disk, &home, &tx);
        drop(tx);
        assert!(ask(&store, commit(1, 0, vec![vec![put(b"a", b"v")]])).is_ok());
        disk.fail_after(0, fault);
        // The segments' thread may meet the fault instead while it prepares a spare; that stops new
        // work only.
        let mut seq = 1;
        let next = |seq| {
            let mut commit = commit(1, seq, vec![vec![put(b"b", b"v")]]);
            commit.urgency = Urgency::Concluding;
            ask(&store, commit)
        };
        while next(seq).is_ok() {
            seq += 1;
            disk.fail_after(0, fault);
        }
        for _ in 0..3 {
            let later = ask(&store, commit(1, seq, vec![vec![put(b"c", b"v")]]));
            assert_eq!(later, Err(CommitRefused::Closed), "{fault:?}");
        }
        assert!(store.shutdown().is_err());
        drop(store);
        assert_eq!(fatal.iter().count(), 1, "{fault:?}: told other than once");
        disk.power_cut(&mut Random::new(1));
        let store = open(&disk, &home, &mpsc::channel().0);
        assert!(
            store.stats().position.0 >= seq,
            "an acknowledged commit is lost"
        );
    }
}

#[test]
fn data_that_only_a_failed_sync_has_seen_is_made_durable_before_it_is_used() {
    let (disk, home) = (FaultyDisk::new(), MemoryHome::default());
    let mut parts = start::open(&config(), Arc::new(disk.clone()), &home).unwrap();
    let answers = Answers::default();
    let mut taken = VecDeque::from([pending(1, commit(1, 0, vec![vec![]]), &answers)]);
    parts.spares.replenish();
    disk.fail_after(0, Fault::Sync);
    assert!(parts.committer.turn(&mut taken).is_err());
    assert!(answers.lock().unwrap().is_empty());
    drop(parts);
    // Only the process ends. The batch is readable, but no sync would write it.
    disk.kill();
    let parts = start::open(&config(), Arc::new(disk.clone()), &home).unwrap();
    assert_eq!(parts.progress.place().position, 1);
    drop(parts);
    disk.power_cut(&mut Random::new(1));
    let parts = start::open(&config(), Arc::new(disk.clone()), &home).unwrap();
    assert_eq!(
        parts.progress.place().position,
        1,
        "what a start has shown is lost"
    );
}

#[test]
fn the_state_is_never_ahead_of_the_log() {
    for (operations, seed) in (0..15).flat_map(|one| (1..=40).map(move |seed| (one, seed))) {
        let (disk, home) = (FaultyDisk::new(), MemoryHome::default());
        let mut parts = start::open(&config(), Arc::new(disk.clone()), &home).unwrap();
        disk.fail_after(0, Fault::Sync);
        let mut taken =
            VecDeque::from([pending(1, commit(1, 0, vec![vec![]]), &Answers::default())]);
        assert!(parts.committer.turn(&mut taken).is_err());
        drop(parts);
        disk.kill();
        // The next start reads a batch that is not on the disk, and is cut somewhere.
        disk.fail_after(operations, Fault::Crash);
        drop(start::open(&config(), Arc::new(disk.clone()), &home));
        let mut random = Random::new(seed);
        disk.power_cut(&mut random);
        home.power_cut(&mut random);
        let opened = start::open(&config(), Arc::new(disk.clone()), &home);
        assert!(
            opened.is_ok(),
            "cut after {operations}, seed {seed}: {:?}",
            opened.err()
        );
    }
}

#[test]
fn a_full_disk_refuses_new_work_first_and_recovers() {
    let (disk, home) = (FaultyDisk::new(), MemoryHome::default());
    let mut parts = start::open(&config(), Arc::new(disk.clone()), &home).unwrap();
    disk.limit(Some(0));
    parts.spares.replenish();
    let mut seq = 0;
    let mut ask = |parts: &mut Parts, urgency| {
        let answers = Answers::default();
        let mut commit = commit(1, seq, vec![vec![put(b"k", &[1; 200])]]);
        commit.urgency = urgency;
        parts
            .committer
            .turn(&mut VecDeque::from([pending(1, commit, &answers)]))
            .unwrap();
        let (_, outcome) = answers.lock().unwrap().pop().unwrap();
        seq += u64::from(outcome.is_ok());
        outcome
    };
    assert_eq!(ask(&mut parts, Urgency::New), Err(CommitRefused::NoSpace));
    let mut concluded = 0;
    while ask(&mut parts, Urgency::Concluding).is_ok() {
        concluded += 1;
    }
    assert!(
        concluded >= 10,
        "only {concluded} commits fitted into what was reserved"
    );
    assert_eq!(
        ask(&mut parts, Urgency::Concluding),
        Err(CommitRefused::NoSpace)
    );
    disk.limit(None);
    parts.spares.replenish();
    assert!(ask(&mut parts, Urgency::New).is_ok());
    // The reserve of the segments is there, but the file system itself is nearly full.
    disk.set_free_bytes(999);
    parts.spares.replenish();
    assert_eq!(ask(&mut parts, Urgency::New), Err(CommitRefused::NoSpace));
    assert!(ask(&mut parts, Urgency::Concluding).is_ok());
    disk.set_free_bytes(1000);
    parts.spares.replenish();
    assert!(ask(&mut parts, Urgency::New).is_ok());
}

#[test]
fn new_work_stops_at_the_reserve_while_no_spare_can_be_prepared() {
    let (disk, home) = (FaultyDisk::new(), MemoryHome::default());
    let mut parts = start::open(&config(), Arc::new(disk.clone()), &home).unwrap();
    // Nobody has found out yet that there is no room for a spare.
    disk.limit(Some(0));
    let mut seq = 0;
    loop {
        let answers = Answers::default();
        let commit = commit(1, seq, vec![vec![put(b"k", &[1; 200])]]);
        parts
            .committer
            .turn(&mut VecDeque::from([pending(1, commit, &answers)]))
            .unwrap();
        let (_, outcome) = answers.lock().unwrap().pop().unwrap();
        if outcome == Err(CommitRefused::NoSpace) {
            break;
        }
        seq = outcome.unwrap().seq;
    }
    let left = parts.committer.end.remaining();
    assert!(
        seq > 0 && left >= config().reserve_bytes,
        "new work used the reserve: {left} left"
    );
}

#[test]
fn damage_before_the_end_is_told_from_a_torn_tail() {
    let (disk, home) = (FaultyDisk::new(), MemoryHome::default());
    let mut parts = start::open(&config(), Arc::new(disk.clone()), &home).unwrap();
    let mut ends = vec![parts.progress.place()];
    for seq in 0..30 {
        let answers = Answers::default();
        let commit = commit(1, seq, vec![vec![put(b"k", &[1; 200])]]);
        parts
            .committer
            .turn(&mut VecDeque::from([pending(1, commit, &answers)]))
            .unwrap();
        ends.push(parts.progress.place());
    }
    parts.state.fold().unwrap();
    drop(parts);
    let tail = *ends.last().unwrap();
    assert!(tail.generation > 2, "the log did not move on");
    // No checkpoint was taken, and the state is empty: only the log knows what there was.
    for (index, pair) in ends.windows(2).enumerate() {
        let [begin, end] = pair else { unreachable!() };
        let start = if begin.generation == end.generation {
            begin.offset
        } else {
            0
        };
        let path = super::segment::path("log", end.generation);
        let intact = disk.contents(&path);
        let byte = usize::try_from(start + 60).unwrap();
        disk.damage(&path, |bytes| bytes[byte] ^= 1);
        let fresh = MemoryHome::default();
        let opened = start::open(&config(), Arc::new(disk.clone()), &fresh);
        if index + 2 < ends.len() {
            let Err(OpenError::Corrupt { file, offset, .. }) = opened else {
                panic!("damage of batch {index} was not noticed")
            };
            // A damaged first batch of a segment shows as its own beginning; the last of one as
            // the place where the next segment does not follow.
            let at = (file.as_str(), offset);
            let next = super::segment::path("log", end.generation + 1);
            assert!(
                at == (path.as_str(), start) || at == (next.as_str(), 0),
                "{index}: {at:?}"
            );
            disk.damage(&path, |bytes| *bytes = intact);
        } else {
            // Nothing follows the last batch: it may have been torn, and is discarded for good.
            assert_eq!(opened.unwrap().progress.place().position, 29);
            assert!(
                disk.contents(&path)[byte + 100..]
                    .iter()
                    .all(|byte| *byte == 0)
            );
        }
    }
    assert!(
        matches!(
            start::open(&config(), Arc::new(disk.clone()), &home).map(drop),
            Err(OpenError::Corrupt { .. })
        ),
        "a state that is ahead of the log was accepted"
    );
}

#[test]
fn a_broken_state_is_set_aside_once() {
    let mut subject = OnFaulty::new();
    assert!(
        ask(
            subject.store.as_ref().unwrap(),
            commit(1, 0, vec![vec![put(b"a", b"v")]])
        )
        .is_ok()
    );
    subject.store = None;
    subject.home.damage();
    subject.reopen();
    subject.reopen();
    assert_eq!(subject.home.times_set_aside(), 1);
    assert_eq!(subject.store().get(b"a"), Ok(Some(b"v".to_vec())));
}

#[test]
fn a_panicking_completion_ends_the_store() {
    let (disk, home) = (FaultyDisk::new(), MemoryHome::default());
    let (tx, fatal) = mpsc::channel();
    let store = open(&disk, &home, &tx);
    store.commit(commit(1, 0, vec![vec![]]), Box::new(|_| panic!("injected")));
    assert!(fatal.recv_timeout(Duration::from_secs(60)).is_ok());
    assert_eq!(
        ask(&store, commit(1, 1, vec![vec![]])),
        Err(CommitRefused::Closed)
    );
}
