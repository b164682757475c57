//! The disk store on real files and the real sled: conformance, reopening, rebuilding, damage.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use protocol::id::IncarnationId;
use tempfile::TempDir;

use super::conformance::{self, Subject, commit, put, stream};
use super::{
    CommitRefused, Committed, DiskStore, OpenError, Position, Retention, Rows, SharedStore, Store,
    StoreConfig, verify,
};
use std::sync::Arc;

const SEGMENT_BYTES: u64 = 8 * 1024;

fn config(directory: &Path) -> StoreConfig {
    let id = IncarnationId::from_bytes([1; 16]);
    let mut config = StoreConfig::new(directory, id);
    config.segment_bytes = SEGMENT_BYTES;
    config.reserve_bytes = SEGMENT_BYTES / 4;
    config.free_bytes_min = 0;
    config.cache_bytes = 8 * 1024 * 1024;
    config.checkpoint_every = Duration::from_secs(3600);
    config.checkpoint_bytes = 4 * SEGMENT_BYTES;
    config
}

fn unexpected(reason: String) {
    panic!("fatal: {reason}");
}

fn open(config: StoreConfig) -> Arc<DiskStore> {
    DiskStore::open(config, Box::new(unexpected)).unwrap()
}

struct OnDisk {
    config: StoreConfig,
    store: Option<Arc<DiskStore>>,
    _directory: TempDir,
}

impl OnDisk {
    fn new(adjust: impl FnOnce(&mut StoreConfig)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = config(directory.path());
        adjust(&mut config);
        Self {
            store: Some(open(config.clone())),
            config,
            _directory: directory,
        }
    }
}

impl Subject for OnDisk {
    fn store(&self) -> SharedStore {
        Arc::clone(self.store.as_ref().unwrap()) as SharedStore
    }
    fn settle(&self) {}
    fn reopen(&mut self) {
        self.store.as_ref().unwrap().shutdown().unwrap();
        self.store = None;
        self.store = Some(open(self.config.clone()));
    }
}

/// Commits `count` records to one stream, one commit each, and waits for all.
fn fill(store: &DiskStore, number: u8, count: u64) {
    let head = store.head(stream(number)).unwrap();
    let (tx, rx) = mpsc::channel();
    for seq in head..head + count {
        let key = [&[number], seq.to_be_bytes().as_slice()].concat();
        let tx = tx.clone();
        let commit = commit(number, seq, vec![vec![put(&key, &[number; 100])]]);
        store.commit(commit, Box::new(move |outcome| tx.send(outcome).unwrap()));
    }
    for seq in head + 1..=head + count {
        let outcome = rx.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(
            matches!(outcome, Ok(Committed { seq: found, .. }) if found == seq),
            "{outcome:?}"
        );
    }
}

fn assert_filled(store: &DiskStore, number: u8, count: u64) {
    assert_eq!(store.head(stream(number)), Ok(count));
    let rows = store.scan(&[number], None, usize::MAX).unwrap();
    assert_eq!(u64::try_from(rows.len()).unwrap(), count);
}

#[test]
fn the_disk_store_conforms() {
    conformance::run(|| Box::new(OnDisk::new(|_| ())));
}

#[test]
fn the_disk_store_conforms_with_large_segments() {
    conformance::run(|| Box::new(OnDisk::new(|config| config.segment_bytes = 4 * 1024 * 1024)));
}

#[test]
fn a_log_of_many_segments_is_archived_followed_and_reopened() {
    let mut subject = OnDisk::new(|_| ());
    for round in 1..=3 {
        let store = subject.store.clone().unwrap();
        fill(&store, 1, 400);
        assert_filled(&store, 1, round * 400);
        drop(store);
        subject.reopen();
    }
    let store = subject.store.clone().unwrap();
    assert_filled(&store, 1, 1200);
    let archived = std::fs::read_dir(subject.config.directory.join("archive"))
        .unwrap()
        .count();
    assert!(archived >= 10, "only {archived} segments were archived");
    let mut after = Position(0);
    while let Some(last) = store.follow(after, 77).unwrap().last() {
        assert!(last.position.0 <= after.0 + 77);
        after = last.position;
    }
    assert_eq!(after, Position(1200));
    // Not where the last reader stopped: found by searching.
    for position in [1, 2, 600, 1199] {
        let found = store.follow(Position(position - 1), 1).unwrap();
        assert_eq!(found[0].position, Position(position));
        assert_eq!(found[0].seq, position);
    }
    assert_eq!(verify(&subject.config.directory), vec![]);
}

#[test]
fn batches_grow_with_what_waits() {
    let subject = OnDisk::new(|config| config.segment_bytes = 1024 * 1024);
    let store = subject.store.clone().unwrap();
    fill(&store, 1, 2000);
    let stats = store.stats();
    assert_eq!(
        (stats.commits, stats.records, stats.position),
        (2000, 2000, Position(2000))
    );
    assert!(
        stats.batches < 2000,
        "no two of 2000 waiting commits shared a sync"
    );
    assert_eq!(
        stats.syncs,
        stats.batches + 1,
        "a batch costs one sync, an epoch one"
    );
}

#[test]
fn many_threads_share_the_store() {
    let subject = OnDisk::new(|_| ());
    let store = subject.store.clone().unwrap();
    std::thread::scope(|scope| {
        for number in 1..=8 {
            let store = &store;
            scope.spawn(move || fill(store, number, 100));
        }
    });
    for number in 1..=8 {
        assert_filled(&store, number, 100);
    }
}

#[test]
fn a_second_engine_is_kept_out() {
    let subject = OnDisk::new(|_| ());
    let second = DiskStore::open(subject.config.clone(), Box::new(unexpected));
    assert!(
        matches!(second, Err(OpenError::Locked { .. })),
        "{second:?}"
    );
}

#[test]
fn a_closed_store_refuses_and_still_reads() {
    let subject = OnDisk::new(|_| ());
    let store = subject.store.clone().unwrap();
    fill(&store, 1, 3);
    store.shutdown().unwrap();
    let (tx, rx) = mpsc::channel();
    let late = commit(1, 3, vec![vec![]]);
    store.commit(late, Box::new(move |outcome| tx.send(outcome).unwrap()));
    assert_eq!(rx.try_recv(), Ok(Err(CommitRefused::Closed)));
    assert_filled(&store, 1, 3);
    store.shutdown().unwrap();
}

#[test]
fn a_lost_or_damaged_state_is_rebuilt_from_log_and_archive() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 4] = [
        ("state removed", |root| {
            std::fs::remove_dir_all(root.join("sled")).unwrap()
        }),
        ("state damaged", |root| {
            std::fs::write(root.join("sled/conf"), b"no configuration").unwrap()
        }),
        ("checkpoint removed", |root| {
            std::fs::remove_file(root.join("checkpoint")).unwrap()
        }),
        ("both", |root| {
            std::fs::remove_dir_all(root.join("sled")).unwrap();
            std::fs::write(root.join("checkpoint"), b"x").unwrap();
        }),
    ];
    let mut subject = OnDisk::new(|_| ());
    let mut count = 0;
    for (name, harm) in harms {
        eprintln!("harm: {name}");
        fill(subject.store.as_ref().unwrap(), 1, 200);
        count += 200;
        subject.store = None;
        harm(&subject.config.directory);
        subject.store = Some(open(subject.config.clone()));
        assert_filled(subject.store.as_ref().unwrap(), 1, count);
    }
    assert!(
        subject.config.directory.join("sled.broken.1").exists(),
        "no state was moved aside"
    );
}

#[test]
fn a_state_that_cannot_be_rebuilt_is_not_touched() {
    let mut subject = OnDisk::new(|config| config.retention = Retention::Recycle);
    fill(subject.store.as_ref().unwrap(), 1, 400);
    subject.reopen();
    fill(subject.store.as_ref().unwrap(), 1, 400);
    subject.reopen();
    assert_filled(subject.store.as_ref().unwrap(), 1, 800);
    let root = subject.config.directory.clone();
    assert_eq!(std::fs::read_dir(root.join("archive")).unwrap().count(), 0);
    assert_eq!(verify(&root), vec![]);
    let far = subject.store.as_ref().unwrap().follow(Position(0), 1);
    assert!(far.is_err(), "recycled records were returned: {far:?}");

    subject.store = None;
    std::fs::write(root.join("sled/conf"), b"no configuration").unwrap();
    let refused = DiskStore::open(subject.config.clone(), Box::new(unexpected));
    assert!(
        matches!(refused, Err(OpenError::HistoryIncomplete { .. })),
        "{refused:?}"
    );
    assert!(!root.join("sled.broken.1").exists());
}

#[test]
fn damage_in_the_log_is_reported_with_its_place_and_nothing_is_changed() {
    let mut subject = OnDisk::new(|config| config.checkpoint_bytes = u64::MAX);
    fill(subject.store.as_ref().unwrap(), 1, 20);
    fill(subject.store.as_ref().unwrap(), 1, 20);
    // As after a kill: no checkpoint, so that the next start reads everything.
    subject.store = None;
    let root = subject.config.directory.clone();
    std::fs::remove_file(root.join("checkpoint")).unwrap();
    let path = root.join("log/0000000000000001.log");
    let intact = std::fs::read(&path).unwrap();
    let mut damaged = intact.clone();
    damaged[100] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    let refused = DiskStore::open(subject.config.clone(), Box::new(unexpected)).unwrap_err();
    let OpenError::Corrupt { file, offset, .. } = refused else {
        panic!("{refused}")
    };
    assert_eq!((file.as_str(), offset), ("log/0000000000000001.log", 48));
    assert_eq!(std::fs::read(&path).unwrap(), damaged);
    let problems = verify(&root);
    assert_eq!((problems.len(), problems[0].offset), (1, 48));
    std::fs::write(&path, &intact).unwrap();
    assert_filled(&open(subject.config.clone()), 1, 40);
}

#[test]
fn a_log_that_lost_its_end_is_refused() {
    let mut subject = OnDisk::new(|_| ());
    fill(subject.store.as_ref().unwrap(), 1, 10);
    subject.store = None;
    let root = subject.config.directory.clone();
    std::fs::remove_file(root.join("checkpoint")).unwrap();
    let path = root.join("log/0000000000000001.log");
    let mut cut = std::fs::read(&path).unwrap();
    cut[48..].fill(0);
    std::fs::write(&path, &cut).unwrap();
    let refused = DiskStore::open(subject.config.clone(), Box::new(unexpected)).unwrap_err();
    assert!(matches!(refused, OpenError::Corrupt { .. }), "{refused}");
}

#[test]
fn incarnations_are_kept_until_a_copy_gets_a_new_one() {
    let mut subject = OnDisk::new(|_| ());
    let first = subject.config.incarnation;
    let second = IncarnationId::from_bytes([2; 16]);
    subject.config.incarnation = IncarnationId::from_bytes([3; 16]);
    for (new_incarnation, expected) in [(None, first), (Some(second), second), (None, second)] {
        subject.config.new_incarnation = new_incarnation;
        subject.reopen();
        let store = subject.store.clone().unwrap();
        assert_eq!(store.incarnation(), expected);
        assert_eq!(Rows::is_restored(store.as_ref()), expected != first);
        fill(&store, 1, 5);
    }
    assert_filled(subject.store.as_ref().unwrap(), 1, 15);
}

#[test]
fn damage_to_the_last_batch_is_not_taken_for_a_torn_one() {
    // Neither checkpoint nor state know of the last batch, as after a kill.
    let mut subject = OnDisk::new(|config| config.checkpoint_bytes = u64::MAX);
    let root = subject.config.directory.clone();
    let before = tempfile::tempdir().unwrap();
    subject.reopen();
    super::audit::copy_tree(&root.join("sled"), before.path()).unwrap();
    fill(subject.store.as_ref().unwrap(), 1, 1);
    let path = root.join("log/0000000000000001.log");
    // The mark is written behind the answer.
    let intact = (0..1_000)
        .map(|_| std::fs::read(&path).unwrap())
        .find(|bytes| frames_in(bytes) >= 4)
        .expect("no mark behind the last batch");
    subject.store = None;
    std::fs::remove_file(root.join("checkpoint")).unwrap();
    std::fs::remove_dir_all(root.join("sled")).unwrap();
    super::audit::copy_tree(before.path(), &root.join("sled")).unwrap();
    let last = (0..intact.len())
        .step_by(8)
        .filter(|at| intact[*at..].starts_with(b"TWLB"))
        .nth_back(1)
        .unwrap();
    let mut damaged = intact.clone();
    damaged[last + 50] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    assert_eq!(verify(&root)[0].offset, u64::try_from(last).unwrap());
    let refused = DiskStore::open(subject.config.clone(), Box::new(unexpected)).unwrap_err();
    assert!(matches!(refused, OpenError::Corrupt { .. }), "{refused}");
    std::fs::write(&path, &intact).unwrap();
    assert_filled(&open(subject.config.clone()), 1, 1);
}

/// How many batches begin in a segment, those without records too.
fn frames_in(bytes: &[u8]) -> usize {
    let heads = bytes.chunks(8).filter(|chunk| chunk.starts_with(b"TWLB"));
    heads.count()
}

#[test]
fn a_row_that_silently_went_back_ends_the_store_and_is_right_after_the_next_start() {
    let mut subject = OnDisk::new(|_| ());
    fill(subject.store.as_ref().unwrap(), 1, 50);
    let config = subject.config.clone();
    subject.store = None;
    let key = [&[1], 7_u64.to_be_bytes().as_slice()].concat();
    let harms: [&dyn Fn(&sled::Db); 3] = [
        &|rows| drop(rows.insert(&key, b"older".as_slice()).unwrap()),
        &|rows| drop(rows.remove(&key).unwrap()),
        &|rows| {
            drop(
                rows.insert(super::state::head_key(stream(1)), &[0; 8])
                    .unwrap(),
            )
        },
    ];
    for (number, harm) in harms.into_iter().enumerate() {
        let rows = sled::open(config.directory.join("sled")).unwrap();
        harm(&rows);
        rows.flush().unwrap();
        drop(rows);
        let (fatal, told) = mpsc::channel();
        let store = DiskStore::open(
            config.clone(),
            Box::new(move |reason| fatal.send(reason).unwrap()),
        )
        .unwrap();
        // Neither the row itself, nor a scan over it, nor what hangs on it is given out.
        let read = store.get(&key).and(store.head(stream(1)));
        assert!(read.is_err(), "harm {number}");
        let reason = told.try_recv().unwrap();
        assert!(reason.contains("do not add up"), "{reason}");
        assert!(store.shutdown().is_err());
        drop(store);
        assert_filled(&open(config.clone()), 1, 50);
        let aside = format!("sled.broken.{}", number + 1);
        assert!(config.directory.join(aside).exists(), "harm {number}");
    }
}

#[test]
fn digests_that_went_back_are_noticed_by_replay_and_the_same_start_builds_anew() {
    let mut subject = OnDisk::new(|_| ());
    fill(subject.store.as_ref().unwrap(), 1, 50);
    let config = subject.config.clone();
    subject.store = None;
    let rows = sled::open(config.directory.join("sled")).unwrap();
    // The first leaf's digest.
    let leaf: &[u8] = &[0, 1];
    assert!(rows.insert(leaf, [0; 12].as_slice()).unwrap().is_some());
    rows.flush().unwrap();
    drop(rows);
    // Without it everything is applied again.
    std::fs::remove_file(config.directory.join("checkpoint")).unwrap();
    assert_filled(&open(config.clone()), 1, 50);
    assert!(config.directory.join("sled.broken.1").exists());
}
