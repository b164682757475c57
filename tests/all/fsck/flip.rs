//! One flipped bit anywhere in a database: named by fsck, and by the start, which refuses or builds
//! the state anew; or in bytes that hold nothing. Never served.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use engine::offline;
use engine::store::{
    Commit, DiskStore, KeyValue, Logged, Position, Rows as _, Store as _, StoreConfig, Urgency,
};
use harness::shop::Shop;
use protocol::id::IncarnationId;

use crate::check::directory;

/// Small, so that a few sales fill an archive.
const SEGMENT_BYTES: u64 = 16 * 1024;
/// Flipped bits in each file, besides those in its header.
const SAMPLES: usize = 5;
/// Where the fields of a batch's header begin.
const BATCH_FIELDS: [usize; 10] = [0, 4, 6, 8, 16, 24, 32, 36, 40, 44];

fn config(data: &Path) -> StoreConfig {
    let incarnation = IncarnationId::from_bytes([9; 16]);
    StoreConfig {
        segment_bytes: SEGMENT_BYTES,
        reserve_bytes: 1024,
        free_bytes_min: 0,
        cache_bytes: 8 * 1024 * 1024,
        checkpoint_every: Duration::from_secs(3_600),
        ..StoreConfig::new(data.join("store"), incarnation)
    }
}

pub(crate) fn open(data: &Path) -> Result<Arc<DiskStore>, String> {
    let opened = DiskStore::open(config(data), Box::new(|_| ()));
    opened.map_err(|error| error.to_string())
}

fn rows(store: &DiskStore) -> Result<Vec<KeyValue>, String> {
    let rows = store.scan(&[], None, usize::MAX);
    rows.map_err(|fault| fault.to_string())
}

/// The log of an engine, written again in small segments.
pub(crate) fn rewrite(from: &Path, to: &Path) -> Arc<DiskStore> {
    let incarnation = IncarnationId::from_bytes([1; 16]);
    let source = DiskStore::open(
        StoreConfig::new(from.join("store"), incarnation),
        Box::new(|_| ()),
    )
    .unwrap();
    let mut store = open(to).unwrap();
    let records = source.follow(Position(0), usize::MAX).unwrap();
    for (number, logged) in records.into_iter().enumerate() {
        // A checkpoint in the middle fills the archive; what follows it is replayed.
        if number == 40 {
            drop(store);
            store = open(to).unwrap();
        }
        commit(&store, logged);
    }
    for name in ["acquirer.book", "operator-token"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    store
}

fn commit(store: &DiskStore, logged: Logged) {
    let commit = Commit {
        stream: logged.stream,
        expected_seq: logged.seq - 1,
        records: vec![logged.record],
        urgency: Urgency::New,
    };
    let (fate, told) = channel();
    store.commit(commit, Box::new(move |done| fate.send(done).unwrap()));
    told.recv().unwrap().unwrap();
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn files(root: &Path) -> Vec<String> {
    super::contents(root).into_keys().collect()
}

/// Where batches begin.
fn batches(bytes: &[u8]) -> Vec<usize> {
    let places = (0..bytes.len()).step_by(8);
    places
        .filter(|at| bytes[*at..].starts_with(b"TWLB"))
        .collect()
}

/// Where a file is flipped: fields of headers, and places in between at odd distances.
fn places(name: &str, bytes: &[u8]) -> Vec<usize> {
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
    let samples = (0..SAMPLES).map(|sample| (sample * used / SAMPLES + sample * 13) % used);
    let mut places: Vec<usize> = samples.collect();
    if name.ends_with(".log") {
        let starts = batches(bytes);
        for start in starts
            .first()
            .into_iter()
            .chain(starts.iter().rev().take(2))
        {
            places.extend(BATCH_FIELDS.map(|field| start + field));
        }
    } else if name.ends_with("acquirer.book") {
        places.extend([0, 4, 8, 12]);
    } else if used < 100 {
        places.extend((0..used).step_by(4));
    }
    places.retain(|place| *place < bytes.len());
    places.sort_unstable();
    places.dedup();
    places
}

struct Base {
    data: PathBuf,
    good: Vec<KeyValue>,
}

impl Base {
    /// Flips one bit and says what came of it.
    fn flip(&self, work: &Path, name: &str, bytes: &[u8], place: usize) -> &'static str {
        fs::remove_dir_all(work).ok();
        copy(&self.data, work);
        let mut flipped = bytes.to_vec();
        flipped[place] ^= 1 << (place % 8);
        fs::write(work.join(name), &flipped).unwrap();
        let what = format!("{name} at {place}");
        let report = offline::fsck(work);
        let is_named = |file: &str| report.findings.iter().any(|one| one.subject.contains(file));
        let started = open(work).and_then(|store| rows(&store));
        if let Ok(rows) = &started {
            assert_eq!(rows.len(), self.good.len(), "{what} is served: {report}");
            assert!(*rows == self.good, "{what} is served: {report}");
        }
        let is_rebuilt = work.join("store/sled.broken.1").exists();
        match (report.is_clean(), started) {
            (true, Ok(_)) if is_rebuilt => "rebuilt, unseen by fsck",
            (true, Ok(_)) => {
                // Only the mark behind the last batch, which holds nothing.
                let is_mark = batches(bytes).last() <= Some(&place);
                assert!(!name.ends_with(".log") || is_mark, "{what}: {report}");
                "harmless"
            }
            (true, Err(error)) => panic!("{what} is refused and fsck is content: {error}"),
            (false, started) => {
                // The state is one thing, whichever of its files is damaged; a book that lost its
                // end is told by what is missing there.
                let is_told = match name {
                    name if name.contains("sled/") => is_named("sled"),
                    "acquirer.book" => true,
                    name => is_named(name),
                };
                assert!(is_told, "{what}: {report}");
                match started {
                    Ok(_) if is_rebuilt => "rebuilt",
                    Ok(_) => "named",
                    Err(_) => "refused",
                }
            }
        }
    }
}

#[test]
fn no_flipped_bit_is_served_and_every_one_that_counts_is_named() {
    let dir = directory("flip");
    let mut shop = Shop::open(&dir.join("shop")).unwrap();
    for (amount, card) in [(1_234, "visa"), (2_005, "visa"), (3_210, "mastercard")] {
        shop.tap_sale(amount, card).unwrap();
    }
    assert!(shop.engine.stop());
    let clean = dir.join("clean");
    fs::create_dir_all(&clean).unwrap();
    let store = rewrite(&shop.engine.dir.join("data"), &clean);
    let good = rows(&store).unwrap();
    let killed = dir.join("killed");
    copy(&clean, &killed);
    store.shutdown().unwrap();
    drop(store);

    let work = dir.join("work");
    for data in [clean, killed] {
        assert!(offline::fsck(&data).is_clean(), "{}", offline::fsck(&data));
        let good = good.clone();
        let base = Base { data, good };
        let mut tally: BTreeMap<(String, &str), u32> = BTreeMap::new();
        for name in files(&base.data) {
            // A token has no checksum; what is flipped in it opens no door.
            if name == "operator-token" || name.ends_with("/lock") {
                continue;
            }
            let bytes = fs::read(base.data.join(&name)).unwrap();
            for place in places(&name, &bytes) {
                let outcome = base.flip(&work, &name, &bytes, place);
                let kind = name
                    .rsplit_once('/')
                    .map_or(name.as_str(), |(kind, _)| kind);
                *tally.entry((kind.to_owned(), outcome)).or_default() += 1;
            }
        }
        println!("{}: {tally:#?}", base.data.display());
        let count = |kind: &str, outcome| tally.get(&(kind.to_owned(), outcome)).copied();
        assert!(count("store/archive", "named") > Some(0), "{tally:?}");
        let is_killed = base.data.ends_with("killed");
        assert_eq!(
            count("store/log", "refused").is_some(),
            is_killed,
            "{tally:?}"
        );
        assert!(count("store/sled", "rebuilt") > Some(0), "{tally:?}");
    }
}
