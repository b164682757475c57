//! Power cuts while `engine archive` moves rows and packs the log: nothing is ever in neither place,
//! and the next run ends what was begun.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use engine::config::StoreSection;
use engine::domain::time::Timestamp;
use engine::history::{History as Archived, SPACES};
use engine::offline;
use engine::store::{DiskStore, Rows as _, StoreConfig};
use harness::power::history::History;
use harness::power::recorder::Recorder;
use harness::programs::bin_dir;
use harness::shop::Shop;
use harness::wait::until;
use protocol::id::IncarnationId;

use super::recording::STORE_SECTION;

/// A few sales fill a segment.
const SECTION: StoreSection = StoreSection {
    segment_bytes: Some(24 * 1024),
    reserve_bytes: Some(4 * 1024),
    ..STORE_SECTION
};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// What state and history hold together of what may be archived.
fn held(root: &Path) -> Result<Rows, String> {
    let history = Archived::open(root).map_err(|error| error.to_string())?;
    let mut rows = Rows::new();
    let damaged = history.read_all(|key, value| drop(rows.insert(key.to_vec(), value.to_vec())));
    if let Some(damaged) = damaged.first() {
        return Err(damaged.to_string());
    }
    let unused = IncarnationId::from_bytes([5; 16]);
    let config = SECTION.over(StoreConfig::new(root.join("store"), unused));
    let store = until("the lock to be free", || {
        match DiskStore::open(config.clone(), Box::new(|_| ())) {
            Err(engine::store::OpenError::Locked { .. }) => None,
            outcome => Some(outcome),
        }
    });
    let store = store.ok_or("locked")?.map_err(|error| error.to_string())?;
    for space in SPACES {
        let found = store.scan(&[space], None, usize::MAX);
        rows.extend(found.map_err(|error| error.to_string())?);
    }
    store.shutdown()?;
    Ok(rows)
}

fn problems(root: &Path, expected: &Rows) -> Vec<String> {
    let mut problems = Vec::new();
    let mut compare = |when: &str| match held(root) {
        Ok(rows) if rows == *expected => {}
        Ok(rows) => {
            let lost = expected.keys().filter(|key| !rows.contains_key(*key));
            problems.push(format!("{when}: {} rows are lost", lost.count()));
        }
        Err(error) => problems.push(format!("{when}: {error}")),
    };
    compare("after the cut");
    let far = Timestamp(i64::MAX / 2);
    let again = until("the lock to be free", || {
        match offline::archive(root, SECTION, far, false, Timestamp(1)) {
            Err(error) if error.to_string().contains("in use") => None,
            outcome => Some(outcome),
        }
    });
    match again {
        Some(Ok(_)) => compare("after another run"),
        outcome => problems.push(format!("another run: {outcome:?}")),
    }
    let findings = until("the lock to be free", || {
        let findings = offline::fsck(root).findings;
        let is_free = findings
            .iter()
            .all(|one| !one.to_string().contains("in use"));
        is_free.then_some(findings)
    });
    match findings {
        Some(findings) => problems.extend(findings.iter().map(|one| format!("fsck: {one}"))),
        None => problems.push("fsck: the lock is never free".to_owned()),
    }
    problems
}

#[test]
fn nothing_is_lost_when_the_power_goes_while_rows_are_archived() {
    if harness::power::recorder::library().is_none() {
        return;
    }
    let dir = super::scratch();
    let engine = dir.path().join("engine");
    fs::create_dir_all(&engine).expect("a directory");
    let config = "[store]\nsegment_bytes = 24576\nreserve_bytes = 4096\nfree_bytes_min = 0\n\
                  checkpoint_every_ms = 200\n";
    fs::write(engine.join("engine.toml"), config).expect("a configuration");
    let data = engine.join("data");
    {
        let mut shop = Shop::open(dir.path()).expect("a shop");
        for amount in [1_000, 1_001, 1_002, 1_003, 1_004, 1_005] {
            let sale = shop.tap_sale(amount, "visa").expect("a sale");
            assert_eq!(sale.field("status"), "approved");
        }
        assert!(shop.engine.stop());
    }
    let expected = held(&data).expect("a good database");
    let base = History::of(&data).expect("the files");
    let recorder = Recorder::new(&data);
    let mut command = Command::new(bin_dir().join("engine"));
    let config = engine.join("engine.toml");
    command.args(["archive", "--older-than", "0d", "--keep-state", "--config"]);
    command.arg(config).arg("--data").arg(&data);
    let output = command
        .envs(recorder.environment())
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        !told.contains("rows: 0 archived") && !told.contains("log: 0 segments"),
        "{told}"
    );
    let history = base.with(recorder.records().expect("a trace"));
    assert_eq!(history.gaps(), [""; 0]);
    let states = super::number("TILLWAY_POWER_STATES", 60);
    let mut dice = super::Dice(super::seed());
    let cuts = super::instants::choose(&history, &[], states, &mut dice);
    let troubles = super::check_all(&history, &cuts, |root, _| problems(root, &expected));
    super::expect_none("archive", states, &troubles);
}
