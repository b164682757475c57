//! Databases and journals that earlier versions have written, kept for ever: this version opens
//! them. `docs/operations.md` says how one is added.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use engine::offline;
use engine::owner::inspect::Inspection;
use engine::store::Rows as _;
use harness::shop::Shop;
use protocol::id::JournalId;
use serde::{Deserialize, Serialize};
use terminal_agent::journal::{Found, Journal, StateLock};

use crate::check::directory;
use crate::fsck::flip::{copy, open, rewrite};

/// Names the fixture to be written, when somebody wants a new one.
const WRITE: &str = "TILLWAY_WRITE_FIXTURE";
/// Length of the file that holds sled's pages: it is kept without the zeros at its end.
const SLED_SEGMENT_BYTES: u64 = 512 * 1024;

/// What a fixture holds, in words that every version has.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Expected {
    incarnation: String,
    rows: usize,
    pos: BTreeMap<String, String>,
    transactions: BTreeMap<String, String>,
    journal_id: String,
    journal_open: Vec<String>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// A fixture's files as the programs left them.
fn unpack(fixture: &Path, to: &Path) {
    copy(fixture, to);
    let pages = to.join("engine/store/sled/db");
    let file = fs::OpenOptions::new().write(true).open(&pages).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length.next_multiple_of(SLED_SEGMENT_BYTES))
        .unwrap();
}

/// Reads a fixture with this version's code; changes it.
fn read(unpacked: &Path) -> Expected {
    let store = open(&unpacked.join("engine")).unwrap();
    let rows = store.scan(&[], None, usize::MAX).unwrap();
    let count = rows.len();
    let inspection = Inspection::read(rows);
    assert_eq!(inspection.violations(), []);
    let holdings = || inspection.merchants.values();
    let lock = StateLock::take(&unpacked.join("agent")).unwrap();
    let fresh = JournalId::from_bytes([9; 16]);
    let (journal, found) = Journal::open(&unpacked.join("agent"), lock, fresh).unwrap();
    assert!(matches!(found, Found::Whole), "{found:?}");
    let state = journal.state();
    Expected {
        incarnation: store.incarnation().to_string(),
        rows: count,
        pos: holdings()
            .flat_map(|one| one.pos.values())
            .map(|pos| (pos.id.to_string(), format!("{:?}", pos.status())))
            .collect(),
        transactions: holdings()
            .flat_map(|one| one.transactions.values())
            .map(|one| (one.id.to_string(), one.state.code().to_owned()))
            .collect(),
        journal_id: state
            .journal_id()
            .map(|id| id.to_string())
            .unwrap_or_default(),
        journal_open: state
            .open()
            .map(|digest| digest.pos_id.to_string())
            .collect(),
    }
}

/// A small database with a bit of everything, as a killed engine leaves it, and the journal of its
/// till with an open sale.
fn write(fixture: &Path) {
    let dir = directory("fixture");
    let mut shop = Shop::open(&dir.join("shop")).unwrap();
    let data = shop.engine.dir.join("data");
    shop.tap_sale(1_234, "visa").unwrap();
    shop.tap_sale(2_005, "visa").unwrap();
    let voided = shop.tap_sale(3_210, "mastercard").unwrap();
    let id = voided.data()["transaction_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/transactions/{id}/void");
    assert_eq!(shop.pos.post(&path, &serde_json::json!({})).status, 200);
    shop.devices.wait_until_idle();
    shop.start_sale(4_444);
    shop.devices.wait_for_reader();
    shop.engine.kill();
    shop.till.kill();

    let work = dir.join("work");
    fs::create_dir_all(work.join("engine")).unwrap();
    let store = rewrite(&data, &work.join("engine"));
    copy(&work.join("engine/store"), &fixture.join("engine/store"));
    store.shutdown().unwrap();
    fs::remove_file(fixture.join("engine/store/lock")).unwrap();
    trim(&fixture.join("engine/store/sled/db"));
    fs::create_dir_all(fixture.join("agent")).unwrap();
    let journal = shop.till.dir.join("state/journal");
    fs::copy(journal, fixture.join("agent/journal")).unwrap();

    unpack(fixture, &dir.join("unpacked"));
    let expected = read(&dir.join("unpacked"));
    let text = serde_json::to_string_pretty(&expected).unwrap();
    fs::write(fixture.join("expected.json"), text + "\n").unwrap();
}

fn trim(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let used = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    bytes.truncate(used);
    fs::write(path, bytes).unwrap();
}

#[test]
fn every_version_that_ever_wrote_is_read() {
    if let Ok(name) = std::env::var(WRITE) {
        write(&fixtures().join(name));
    }
    let dir = directory("fixtures");
    let mut read_any = 0;
    for entry in fs::read_dir(fixtures()).unwrap().flatten() {
        let text = fs::read_to_string(entry.path().join("expected.json")).unwrap();
        let expected: Expected = serde_json::from_str(&text).unwrap();
        let unpacked = dir.join(entry.file_name());
        unpack(&entry.path(), &unpacked);
        let report = offline::fsck(&unpacked.join("engine"));
        assert!(report.is_clean(), "{:?}: {report}", entry.file_name());
        assert_eq!(read(&unpacked), expected, "{:?}", entry.file_name());
        // It was opened, not built anew from the log.
        assert!(!unpacked.join("engine/store/sled.broken.1").exists());
        read_any += 1;
    }
    assert!(read_any > 0);
}
