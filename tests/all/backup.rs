//! Backup while the engine runs, restore, and restore into the past, when acquirer and tills know
//! more than the engine.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::acquirer::simulator::read_book;
use engine::domain::transaction::Transaction;
use engine::owner::inspect::Inspection;
use engine::store::{DiskStore, Rows as _, StoreConfig};
use harness::shop::{Engine, Shop};
use protocol::id::IncarnationId;
use serde_json::{Value, json};

use crate::check::{directory, good};
use crate::fsck::{engine, fsck};

fn run(arguments: &[&str]) -> Result<String, String> {
    let output = engine(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

fn backup(data: &Path, to: &Path) -> Result<String, String> {
    let (data, to) = (data.display().to_string(), to.display().to_string());
    run(&["backup", "--data", &data, "--to", &to])
}

fn restore(from: &Path, to: &Path) -> Result<String, String> {
    let (from, to) = (from.display().to_string(), to.display().to_string());
    run(&["restore", "--from", &from, "--to", &to])
}

/// What a stopped engine has stored, and which incarnation it is.
fn look(data: &Path) -> (Inspection, IncarnationId) {
    let fresh = IncarnationId::from_bytes([5; 16]);
    let config = StoreConfig {
        segment_bytes: 1024 * 1024,
        reserve_bytes: 1024,
        free_bytes_min: 0,
        ..StoreConfig::new(data.join("store"), fresh)
    };
    let store = DiskStore::open(config, Box::new(|_| ())).unwrap();
    let rows = store.scan(&[], None, usize::MAX).unwrap();
    (Inspection::read(rows), store.incarnation())
}

fn rules(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|finding| finding["rule"].as_str().unwrap())
        .collect()
}

#[test]
fn a_backup_of_a_busy_engine_is_whole_and_restores_everything_answered_before() {
    let dir = directory("backup");
    let mut shop = Shop::open(&dir.join("shop")).unwrap();
    let sale = shop.tap_sale(1_234, "visa").unwrap();
    let data = shop.engine.dir.join("data");
    let stop = Arc::new(AtomicBool::new(false));
    let (ended, pos) = (stop.clone(), shop.pos.clone());
    let busy = std::thread::spawn(move || {
        let mut made = Vec::new();
        while !ended.load(Ordering::Relaxed) {
            let answer = pos.post("/v1/terminals", &json!({"label": "Busy"}));
            if answer.status == 201 {
                made.push(answer.field("id").to_owned());
            }
        }
        made
    });
    let mut before = Vec::new();
    let backups: Vec<_> = (0..4)
        .map(|number| dir.join(format!("backup-{number}")))
        .collect();
    for to in &backups {
        let terminal = shop.pos.post("/v1/terminals", &json!({"label": "Lane 2"}));
        before.push(terminal.field("id").to_owned());
        backup(&data, to).unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    assert!(busy.join().unwrap().len() > 4, "nothing happened meanwhile");
    assert!(shop.engine.stop());

    for (to, terminal_id) in backups.iter().zip(&before) {
        let restored = to.with_extension("restored");
        restore(to, &restored.join("data")).unwrap();
        let again = restore(to, &restored.join("data")).unwrap_err();
        assert!(again.contains("not empty"), "{again}");
        let (report, is_clean) = fsck(&restored.join("data"));
        assert!(is_clean, "{report:#}");
        let (found, _) = look(&restored.join("data"));
        let holdings = found.merchants.values().next_back().unwrap();
        let knows = |id: &str| holdings.terminals.contains_key(&id.parse().unwrap());
        assert!(knows(terminal_id), "{terminal_id} was answered before");
        assert!(found.transactions().any(|one| one.total().minor() == 1_234));
    }

    // The API of a restored engine gives the same answers.
    let last = backups.last().unwrap().with_extension("restored");
    fs::copy(
        data.join("operator-token"),
        last.join("data/operator-token"),
    )
    .unwrap();
    let engine = Engine::start(&last).unwrap();
    let pos = engine.operator.with_token(shop.pos.token());
    let path = format!("/v1/pos/transactions/{}", sale.field("id"));
    let answer = pos.get(&path);
    assert_eq!(good(&answer, 200, &path), sale.data());

    // What is not whole is not restored, and what is there is not overwritten.
    let broken = dir.join("broken");
    crate::fsck::flip::copy(&backups[0], &broken);
    let log = broken.join("store/log/0000000000000001.log");
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&log, bytes).unwrap();
    let refused = restore(&broken, &dir.join("never")).unwrap_err();
    assert!(refused.contains("no whole backup"), "{refused}");
    fs::remove_file(backups[1].join("backup.json")).unwrap();
    let refused = restore(&backups[1], &dir.join("never")).unwrap_err();
    assert!(refused.contains("no whole backup"), "{refused}");
    assert!(!dir.join("never/store").exists());
    let refused = backup(&data, &backups[0]).unwrap_err();
    assert!(refused.contains("not empty"), "{refused}");
}

/// Backs up, lets more happen, loses the database, restores: the engine knows less than acquirer
/// and till.
#[test]
fn a_restore_into_the_past_charges_nobody_twice_and_names_what_was_lost() {
    let dir = directory("past");
    let mut shop = Shop::open(&dir.join("shop")).unwrap();
    let data = shop.engine.dir.join("data");
    let kept = shop.tap_sale(1_111, "visa").unwrap();
    let past = dir.join("backup");
    backup(&data, &past).unwrap();
    let lost = shop.tap_sale(2_222, "visa").unwrap();
    assert_eq!(lost.field("status"), "approved");
    // One more is on its way when the engine dies: the till holds it open.
    shop.devices.wait_until_idle();
    let open = shop.start_sale(3_333);
    shop.devices.wait_for_reader();
    shop.engine.kill();
    let (before, first) = look(&data);
    let traces: Vec<u32> = before.transactions().map(|one| one.trace.number).collect();
    fs::rename(data.join("store"), dir.join("lost")).unwrap();
    restore(&past, &data).unwrap();

    // The check names the authorization that stands at the acquirer and is not known here.
    let (report, is_clean) = fsck(&data);
    assert!(!is_clean);
    assert_eq!(rules(&report), ["authorization_is_known"], "{report:#}");
    let what = report["findings"][0]["what"].as_str().unwrap();
    assert!(
        what.contains("22.22") && what.contains("trace number"),
        "{what}"
    );
    assert_eq!(
        report["findings"][0]["subject"],
        lost.data()["transaction_id"]
    );
    let (_, second) = look(&data);
    assert_ne!(first, second, "a restored database is another incarnation");

    // Till and POS system meet the restored engine.
    shop.engine.restart().unwrap();
    assert!(shop.wait_until_ready(), "the till does not come back");
    let path = format!("/v1/pos/transactions/{}", kept.field("id"));
    assert_eq!(good(&shop.pos.get(&path), 200, &path), kept.data());
    for unknown in [&lost, &open] {
        let path = format!("/v1/pos/transactions/{}", unknown.field("id"));
        assert_eq!(shop.pos.get(&path).status, 404, "{path}");
    }
    // What the till had open is over there, and the next sale is served.
    assert!(shop.devices.wait_until_idle());
    let next = shop.tap_sale(4_444, "visa").unwrap();
    assert_eq!(next.field("status"), "approved", "{}", next.text);
    assert!(shop.engine.stop());
    let (found, _) = look(&data);
    let newest: &Transaction = found.transactions().max_by_key(|one| one.id).unwrap();
    let used = traces.iter().max().unwrap();
    assert!(newest.trace.number > used + 1_000, "{:?}", newest.trace);
    let book = read_book(&data.join("acquirer.book")).unwrap();
    let mut standing: Vec<i64> = book
        .iter()
        .filter_map(|entry| Some(entry.standing()?.minor()))
        .collect();
    standing.sort_unstable();
    assert_eq!(standing, [1_111, 2_222, 4_444]);
    let (report, _) = fsck(&data);
    assert_eq!(rules(&report), ["authorization_is_known"], "{report:#}");
}
