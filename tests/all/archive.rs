//! `engine archive`: what is archived is shown as before, can be acted on as before, is checked,
//! backed up and restored; the room is given back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use engine::store::bytes_on_disk;
use harness::api::Api;
use harness::shop::{Engine, Shop};
use serde_json::{Value, json};

use crate::check::{directory, good};
use crate::fsck::{engine, fsck};

/// A disk that is used up quickly, so that a few sales fill segments.
const SMALL: &str = "[store]\nsegment_bytes = 24576\nreserve_bytes = 4096\nfree_bytes_min = 0\ncheckpoint_every_ms = 200\n";

fn run(arguments: &[&str]) -> String {
    let output = engine(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

fn archive(dir: &Path, older_than: &str) -> String {
    let data = dir.join("data").display().to_string();
    let config = dir.join("engine.toml").display().to_string();
    run(&[
        "archive",
        "--config",
        &config,
        "--data",
        &data,
        "--older-than",
        older_than,
    ])
}

/// The number before a word of the report.
fn told(report: &str, word: &str) -> u64 {
    let words: Vec<&str> = report.split_whitespace().collect();
    let before = words
        .windows(2)
        .find(|pair| pair[1].trim_end_matches(',') == word);
    before.unwrap_or_else(|| panic!("{report}"))[0]
        .parse()
        .unwrap()
}

fn open(name: &str) -> (PathBuf, Shop) {
    let dir = directory(name);
    let engine = dir.join("engine");
    fs::create_dir_all(&engine).unwrap();
    fs::write(engine.join("engine.toml"), SMALL).unwrap();
    let shop = Shop::open(&dir).unwrap();
    (engine, shop)
}

/// All pages of a list.
fn list(pos: &Api, path: &str, limit: usize) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let separator = if path.contains('?') { '&' } else { '?' };
        let answer = pos.get(&format!("{path}{separator}limit={limit}{cursor}"));
        let page = good(&answer, 200, path);
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

/// Everything that the API shows of the past.
fn shown(pos: &Api) -> BTreeMap<String, Value> {
    let mut shown = BTreeMap::new();
    let mut show = |path: String, value: Value| drop(shown.insert(path, value));
    for path in ["/v1/pos/transactions", "/v1/transactions"] {
        let items = list(pos, path, 2);
        assert_eq!(list(pos, path, 50), items);
        for item in &items {
            let one = format!("{path}/{}", item["id"].as_str().unwrap());
            show(one.clone(), pos.get(&one).data().clone());
            if path == "/v1/pos/transactions" {
                let jobs = format!("{one}/print-jobs");
                show(jobs.clone(), list(pos, &jobs, 1).into());
                for format in ["json", "text"] {
                    let receipt = format!("{one}/receipt?copy=merchant&format={format}");
                    let answer = pos.get(&receipt);
                    let body = match answer.status {
                        200 if format == "text" => json!(answer.text),
                        200 => answer.data().clone(),
                        status => json!([status, answer.code()]),
                    };
                    show(receipt, body);
                }
            }
        }
        show(path.to_owned(), items.into());
        for filter in ["status=approved", "status=declined"] {
            let filtered = format!("{path}?{filter}");
            show(filtered.clone(), list(pos, &filtered, 2).into());
        }
    }
    shown
}

#[track_caller]
fn assert_same(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) {
    for (path, value) in before {
        assert_eq!(after.get(path), Some(value), "{path}");
    }
    assert_eq!(before.len(), after.len());
}

/// Sales of every ending; ids of the first POS transaction, and of a transaction with a tip.
fn trade(shop: &Shop) -> (String, String) {
    let (mut first, mut transaction_id) = (None, String::new());
    for amount in [1_000, 1_100, 1_200, 1_300] {
        let sale = shop.tap_sale(amount, "visa").unwrap();
        assert_eq!(sale.field("status"), "approved", "{}", sale.text);
        first.get_or_insert_with(|| sale.field("id").to_owned());
        transaction_id = sale.field("transaction_id").to_owned();
    }
    let tip = format!("/v1/transactions/{transaction_id}/tip-adjustment");
    let tipped = shop
        .pos
        .post(&tip, &json!({"tip_amount": 100, "currency": "USD"}));
    good(&tipped, 200, "tip");
    let voided = shop.tap_sale(1_400, "visa").unwrap();
    let void = format!("/v1/transactions/{}/void", voided.field("transaction_id"));
    good(&shop.pos.post(&void, &json!({})), 200, "void");
    shop.devices.wait_until_idle();
    let canceled = shop.start_sale(1_500);
    let cancel = format!("/v1/pos/transactions/{}/cancel", canceled.field("id"));
    assert!(shop.pos.post(&cancel, &json!({})).status < 300);
    shop.end_of(canceled.field("id"));
    shop.devices.wait_until_idle();
    (first.unwrap(), transaction_id)
}

/// Waits until every receipt is on paper: a job that is not printed stays where it is.
fn await_paper(shop: &Shop) {
    let all_ended = || {
        list(&shop.pos, "/v1/pos/transactions", 50)
            .iter()
            .all(|sale| {
                let jobs = format!(
                    "/v1/pos/transactions/{}/print-jobs",
                    sale["id"].as_str().unwrap()
                );
                let jobs = list(&shop.pos, &jobs, 50);
                jobs.iter().all(|job| job["status"] == "printed")
            })
            .then_some(())
    };
    assert!(harness::wait::until("the paper", all_ended).is_some());
}

#[test]
fn what_is_archived_is_shown_and_acted_on_as_before() {
    let (dir, mut shop) = open("archive");
    let (pos_id, transaction_id) = trade(&shop);
    await_paper(&shop);
    let before = shown(&shop.pos);
    assert!(before.len() > 20, "{}", before.len());
    let data = dir.join("data");
    let running = engine(&[
        "archive",
        "--data",
        &data.display().to_string(),
        "--older-than",
        "0d",
    ]);
    assert!(!running.status.success(), "an engine has the database open");

    assert!(shop.engine.stop());
    let young = archive(&dir, "1d");
    assert_eq!(
        (told(&young, "archived"), told(&young, "removed")),
        (0, 0),
        "{young}"
    );
    let plain = bytes_on_disk(&data.join("store/archive")).unwrap();
    let (rows_before, _) = fsck(&data);
    let report = archive(&dir, "0d");
    assert!(told(&report, "archived") > 20, "{report}");
    assert_eq!(
        told(&report, "archived"),
        told(&report, "removed"),
        "{report}"
    );
    let (rows, is_clean) = fsck(&data);
    assert!(is_clean, "{rows:#}");
    assert!(rows["archived"].as_u64() > Some(20), "{rows}");
    let count = |name: &str| rows[name].as_u64().unwrap();
    assert_eq!(
        count("rows") + count("archived"),
        rows_before["rows"].as_u64().unwrap()
    );
    let again = archive(&dir, "0d");
    assert_eq!(
        (told(&again, "archived"), told(&again, "removed")),
        (0, 0),
        "{again}"
    );
    assert!(
        bytes_on_disk(&data.join("store/archive")).unwrap() <= plain,
        "{report}"
    );

    shop.engine.restart().unwrap();
    assert_same(&before, &shown(&shop.pos));
    // A kill, and a state that is built anew from packed segments.
    shop.engine.kill();
    fs::remove_dir_all(data.join("store/sled")).unwrap();
    shop.engine.restart().unwrap();
    assert_same(&before, &shown(&shop.pos));

    // Lists go on across the border.
    assert!(shop.wait_until_ready());
    let sale = shop.tap_sale(2_000, "visa").unwrap();
    assert_eq!(sale.field("status"), "approved", "{}", sale.text);
    for path in ["/v1/pos/transactions", "/v1/transactions"] {
        for limit in [1, 2, 3, 50] {
            let items = list(&shop.pos, path, limit);
            assert_eq!(
                items[1..],
                *before[path].as_array().unwrap(),
                "{path} by {limit}"
            );
        }
    }

    // An archived sale is the sale that it was: printed again as a duplicate, and voided.
    let print = format!("/v1/pos/transactions/{pos_id}/print-receipt");
    let printed = shop.pos.post(&print, &json!({"copy": "merchant"}));
    assert_eq!(good(&printed, 202, "print")["is_duplicate"], json!(true));
    await_paper(&shop);
    let void = format!("/v1/transactions/{transaction_id}/void");
    let voided = shop.pos.post(&void, &json!({}));
    assert_eq!(good(&voided, 200, "void")["status"], "voided");
    let one = format!("/v1/transactions/{transaction_id}");
    assert_eq!(shop.pos.get(&one).field("status"), "voided");
    await_paper(&shop);
    let before = shown(&shop.pos);
    assert!(shop.engine.stop());
    let (report, is_clean) = fsck(&data);
    assert!(is_clean, "{report:#}");
    let report = archive(&dir, "0d");
    assert_eq!(told(&report, "files"), 2, "{report}");
    let (report, is_clean) = fsck(&data);
    assert!(is_clean, "{report:#}");
    shop.engine.restart().unwrap();
    assert_same(&before, &shown(&shop.pos));
}

#[test]
fn history_is_backed_up_and_no_damage_to_it_goes_unnoticed() {
    let (dir, mut shop) = open("history");
    trade(&shop);
    await_paper(&shop);
    let before = shown(&shop.pos);
    assert!(shop.engine.stop());
    archive(&dir, "0d");
    let data = dir.join("data");
    let (backup, restored) = (dir.join("backup"), dir.join("restored"));
    let path = |path: &Path| path.display().to_string();
    run(&["backup", "--data", &path(&data), "--to", &path(&backup)]);
    run(&[
        "restore",
        "--from",
        &path(&backup),
        "--to",
        &path(&restored.join("data")),
    ]);
    let (report, is_clean) = fsck(&restored.join("data"));
    assert!(is_clean, "{report:#}");
    let token = "operator-token";
    fs::copy(data.join(token), restored.join("data").join(token)).unwrap();
    fs::copy(dir.join("engine.toml"), restored.join("engine.toml")).unwrap();
    {
        let engine = Engine::start(&restored).unwrap();
        assert_same(
            &before,
            &shown(&engine.operator.with_token(shop.pos.token())),
        );
    }

    let file = data.join("history/00000001.history");
    let whole = fs::read(&file).unwrap();
    let rule = |report: &Value| report["findings"][0]["rule"].clone();
    // A bit in the middle of the rows: the engine starts, says what it cannot read, and shows
    // nothing of it.
    let mut flipped = whole.clone();
    flipped[100] ^= 1;
    fs::write(&file, &flipped).unwrap();
    let (report, is_clean) = fsck(&data);
    assert!(!is_clean);
    assert_eq!(rule(&report), "history_is_intact", "{report:#}");
    let refused = engine(&[
        "backup",
        "--data",
        &path(&data),
        "--to",
        &path(&dir.join("never")),
    ]);
    assert!(!refused.status.success(), "a damaged history is no backup");
    shop.engine.restart().unwrap();
    let answer = shop.pos.get("/v1/pos/transactions");
    assert_eq!((answer.status, answer.code()), (500, "INTERNAL_ERROR"));
    let sale = shop
        .wait_until_ready()
        .then(|| shop.tap_sale(2_000, "visa").unwrap());
    assert_eq!(sale.unwrap().field("status"), "approved", "sales go on");
    assert!(shop.engine.stop());
    // Without the file the engine does not start, and the check says what is not there.
    fs::remove_file(&file).unwrap();
    assert!(Engine::start(&dir).is_err());
    let (report, _) = fsck(&data);
    assert_eq!(rule(&report), "history_is_intact", "{report:#}");
    fs::remove_dir_all(data.join("history")).unwrap();
    let (report, is_clean) = fsck(&data);
    assert!(!is_clean);
    let rules: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["rule"])
        .collect();
    assert!(rules.contains(&&json!("history_is_complete")), "{report:#}");
}

/// The engine archives by itself, over and over, while it serves.
#[test]
fn a_serving_engine_archives_and_shows_the_same() {
    let dir = directory("upkeep");
    let engine = dir.join("engine");
    fs::create_dir_all(&engine).unwrap();
    let config = format!("{SMALL}[history]\nolder_than_days = 0\nevery_s = 1\n");
    fs::write(engine.join("engine.toml"), config).unwrap();
    let mut shop = Shop::open(&dir).unwrap();
    let (_, transaction_id) = trade(&shop);
    await_paper(&shop);
    let before = shown(&shop.pos);
    let data = engine.join("data");
    let is_packed = |entry: fs::DirEntry| entry.file_name().to_string_lossy().ends_with(".packed");
    let done = harness::wait::until("history and packed segments", || {
        let file = data.join("history/00000001.history").exists();
        let mut segments = fs::read_dir(data.join("store/archive")).unwrap().flatten();
        (file && segments.any(is_packed)).then_some(())
    });
    assert!(done.is_some());
    assert_same(&before, &shown(&shop.pos));
    let void = format!("/v1/transactions/{transaction_id}/void");
    assert_eq!(
        good(&shop.pos.post(&void, &json!({})), 200, "void")["status"],
        "voided"
    );
    let sale = shop.tap_sale(2_000, "visa").unwrap();
    assert_eq!(sale.field("status"), "approved", "{}", sale.text);
    await_paper(&shop);
    let before = shown(&shop.pos);
    shop.engine.kill();
    let (report, is_clean) = fsck(&data);
    assert!(is_clean, "{report:#}");
    shop.engine.restart().unwrap();
    assert_same(&before, &shown(&shop.pos));
    assert!(shop.engine.stop());
    let (report, is_clean) = fsck(&data);
    assert!(is_clean, "{report:#}");
    assert!(report["archived"].as_u64() > Some(20), "{report}");
}
