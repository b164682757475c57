//! `engine fsck`: a shop that worked is clean, nothing is changed by looking, and no flipped bit
//! anywhere in the files is served.

pub(crate) mod flip;

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::Path;
use std::process::{Command, Output};

use harness::programs::bin_dir;
use harness::shop::Shop;
use serde_json::Value;

use crate::check::directory;

/// Runs one command of the engine to its end.
pub(crate) fn engine(arguments: &[&str]) -> Output {
    let mut command = Command::new(bin_dir().join("engine"));
    command.args(arguments).output().unwrap()
}

/// The report of `engine fsck --json`, and whether it ended with 0.
pub(crate) fn fsck(data_dir: &Path) -> (Value, bool) {
    let output = engine(&["fsck", "--data", &data_dir.display().to_string(), "--json"]);
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{output:?}"));
    (report, output.status.success())
}

/// Every file below a directory, as a hash.
pub(crate) fn contents(root: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let mut directories = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                let mut hasher = DefaultHasher::new();
                fs::read(path).unwrap().hash(&mut hasher);
                found.insert(name, hasher.finish());
            }
        }
    }
    found
}

/// `engine init | head` and the like: what was asked for is done, and its end says so.
#[test]
fn a_command_whose_reader_went_away_ends_as_if_it_were_there() {
    let dir = directory("reader-went-away");
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let data = dir.join("data");
    let mut command = Command::new(bin_dir().join("engine"));
    command.args(["init", "--address", "127.0.0.1", "--data-dir"]);
    let status = command.arg(&data).stdout(writer).status().unwrap();
    assert!(status.success(), "{status}");
    assert!(data.join("tls").join("ca.pem").exists());
}

#[test]
fn a_shop_that_worked_is_clean_and_looking_changes_nothing() {
    let dir = directory("fsck");
    let mut shop = Shop::open(&dir).unwrap();
    shop.tap_sale(1_234, "visa").unwrap();
    let data = shop.engine.dir.join("data");
    let (report, is_clean) = fsck(&data);
    assert!(!is_clean, "an engine has the database open: {report}");
    assert_eq!(report["findings"][0]["rule"], "database_can_be_read");

    for is_killed in [false, true] {
        shop.tap_sale(2_345, "visa").unwrap();
        if is_killed {
            shop.engine.kill();
        } else {
            assert!(shop.engine.stop());
        }
        let before = contents(&data);
        let (report, is_clean) = fsck(&data);
        assert!(is_clean, "killed: {is_killed}: {report:#}");
        assert_eq!(contents(&data), before);
        assert!(report["transactions"].as_u64() >= Some(2), "{report}");
        shop.engine.restart().unwrap();
        assert!(shop.wait_until_ready());
    }
}
