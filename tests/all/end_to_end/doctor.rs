//! What a technician is told of a real till: healthy, and with one thing broken at a time.

use std::fs;
use std::path::Path;

use harness::shop::{Devices, Engine, Shop, Till};
use harness::wait::until;
use serde_json::{Value, json};

use crate::check::directory;

/// The report of this till, and the exit code.
fn doctor(till: &Till, arguments: &[&str]) -> (Value, i32) {
    let mut all = vec!["--json", "doctor"];
    all.extend(arguments);
    let output = till.command(&all).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    assert_eq!(json["success"], true);
    assert_eq!(json["data"]["schema"], "terminal-agent.doctor/v1");
    (json["data"].clone(), output.status.code().unwrap())
}

/// A check of the report: its name, with the device where it has one.
fn check<'a>(report: &'a Value, title: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    let is_meant = |check: &&Value| {
        let id = check["id"].as_str().unwrap();
        match check["device"].as_str() {
            Some(device) => format!("{id} {device}") == title,
            None => id == title,
        }
    };
    checks.iter().find(is_meant).unwrap_or(&Value::Null)
}

/// Names of all checks that ended like this.
fn titles(report: &Value, verdict: &str) -> Vec<String> {
    let checks = report["checks"].as_array().unwrap().iter();
    let titled = checks.filter(|check| check["verdict"] == verdict);
    titled
        .map(|check| {
            let id = check["id"].as_str().unwrap();
            let device = check["device"].as_str();
            device.map_or_else(|| id.to_owned(), |device| format!("{id} {device}"))
        })
        .collect()
}

/// Waits until the report says this of a check: what a device says reaches the agent a little later.
fn until_check(till: &Till, title: &str, verdict: &str) -> (Value, i32) {
    let found = until(&format!("{title} to be {verdict}"), || {
        let (report, code) = doctor(till, &[]);
        (check(&report, title)["verdict"] == verdict).then_some((report, code))
    });
    found.unwrap_or_else(|| panic!("{:#}", doctor(till, &[]).0))
}

#[test]
fn a_shop_is_examined_with_and_without_its_agent() {
    let dir = directory("doctor");
    let mut shop = Shop::open(&dir).unwrap();
    let (report, code) = until_check(&shop.till, "printer.status printer", "pass");
    assert_eq!(titles(&report, "fail"), [""; 0], "{report:#}");
    assert_eq!(titles(&report, "warn"), ["watchdog.active"], "{report:#}");
    assert_eq!((report["verdict"].as_str(), code), (Some("warn"), 0));
    for title in [
        "config.valid",
        "state.permissions",
        "agent.running",
        "clock.skew",
        "engine.auth",
        "engine.version",
        "port.exists reader",
        "port.permission reader",
        "port.in_use reader",
        "port.in_use printer",
        "reader.hello reader",
        "reader.firmware reader",
        "reader.encryption reader",
        "printer.paper printer",
        "queue.depth",
    ] {
        assert_eq!(check(&report, title)["verdict"], "pass", "{title}");
    }
    let text = shop.till.command(&["doctor"]).unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("pass  reader.hello (reader)"), "{text}");

    // Nothing was disturbed: the next sale is paid.
    let end = shop.tap_sale(1_200, "visa").unwrap();
    assert_eq!(end.field("status"), "approved", "{}", end.text);

    // Out of paper.
    shop.devices.printer("paper-out").unwrap();
    let (report, code) = until_check(&shop.till, "printer.paper printer", "fail");
    assert_eq!(check(&report, "printer.paper printer")["code"], "no_paper");
    assert_eq!(code, 1);
    shop.devices.printer("paper-in").unwrap();
    until_check(&shop.till, "printer.paper printer", "pass");

    // The agent is gone: the devices are asked themselves, and what was left behind is named.
    shop.till.kill();
    let (report, code) = doctor(&shop.till, &[]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(
        titles(&report, "warn"),
        ["agent.running", "engine.auth"],
        "{report:#}"
    );
    for title in ["reader.encryption reader", "printer.paper printer"] {
        assert_eq!(check(&report, title)["verdict"], "pass", "{title}");
    }
    let seen = check(&report, "agent.running")["seen"].as_str().unwrap();
    assert!(seen.contains("left its control socket behind"), "{seen}");
    shop.devices.printer("paper-out").unwrap();
    let (report, code) = doctor(&shop.till, &["--fix"]);
    assert_eq!(titles(&report, "fail"), ["printer.paper printer"]);
    assert_eq!(code, 1);
    assert!(!shop.till.dir.join("state/control.sock").exists());
    assert_eq!(shop.devices.violations(), 0);

    // No devices.
    shop.devices.unplug();
    let (report, code) = doctor(&shop.till, &[]);
    for title in ["port.exists reader", "port.exists printer"] {
        let port = check(&report, title);
        assert_eq!(port["verdict"], "fail", "{report:#}");
        assert_eq!(port["code"], "PORT_NOT_FOUND", "{port:#}");
    }
    assert_eq!(check(&report, "reader.hello reader")["verdict"], "skip");
    assert_eq!(code, 1);

    // No engine.
    shop.engine.kill();
    let (report, _) = doctor(&shop.till, &[]);
    assert_eq!(check(&report, "net.tcp")["code"], "ENGINE_UNREACHABLE");
    assert_eq!(check(&report, "clock.skew")["verdict"], "skip");
    shop.till.run().unwrap();
    let (report, _) = until_check(&shop.till, "agent.running", "pass");
    assert_ne!(check(&report, "engine.auth")["verdict"], "pass");

    // A plug that is pulled while the agent runs.
    shop.engine.restart().unwrap();
    shop.devices = Devices::start(&shop.devices.dir.clone(), true).unwrap();
    assert!(shop.wait_until_ready());
    shop.devices.unplug();
    until_check(&shop.till, "port.exists reader", "fail");
}

#[test]
fn a_till_that_was_revoked_is_told_to_pair_again() {
    let dir = directory("doctor-revoked");
    let mut shop = Shop::open(&dir).unwrap();
    // Another key at the same terminal: the old one is not known any more.
    let other = Till::install(&dir.join("other"), shop.pos.base(), &dir.join("none")).unwrap();
    let paired = other.pair(&shop.pairing_answer()).unwrap();
    assert!(paired.status.success());
    shop.till.kill();
    shop.till.run().unwrap();
    let (report, code) = until_check(&shop.till, "engine.auth", "fail");
    let found = until("the engine's refusal", || {
        let (report, _) = doctor(&shop.till, &[]);
        let code = check(&report, "engine.auth")["code"].clone();
        (code == "LINK_REFUSED_UNAUTHORIZED").then_some(())
    });
    assert!(found.is_some(), "{report:#}");
    assert_eq!(code, 1);
}

#[test]
fn a_reader_that_does_not_encrypt_is_found_out() {
    let dir = directory("doctor-clear");
    let devices = Devices::start_without_keys(&dir.join("devices")).unwrap();
    let till = Till::install(&dir.join("till"), "http://127.0.0.1:1", &devices.dir).unwrap();
    let (report, code) = doctor(&till, &[]);
    let encryption = check(&report, "reader.encryption reader");
    assert_eq!(encryption["code"], "READER_NOT_ENCRYPTING", "{report:#}");
    assert_eq!(check(&report, "reader.hello reader")["verdict"], "pass");
    assert_eq!(check(&report, "state.writable")["verdict"], "fail");
    assert_eq!(check(&report, "engine.auth")["code"], "NOT_PAIRED");
    assert_eq!(code, 1);
}

/// A pairing with another engine's authority: the till believes nobody else.
fn trust(till: &Till, authority: &Path) {
    let path = till.dir.join("state/identity.json");
    let text = fs::read_to_string(&path).unwrap();
    let mut identity: Value = serde_json::from_str(&text).unwrap();
    let other = terminal_agent::tls::Authority::read(authority).unwrap();
    identity["engine_ca"] = json!(other);
    fs::write(&path, identity.to_string()).unwrap();
}

#[test]
fn an_engine_behind_tls_is_known_by_its_authority() {
    let dir = directory("doctor-tls");
    let engine_dir = dir.join("engine");
    assert!(
        Engine::init(&engine_dir, &["--address", "127.0.0.1"])
            .unwrap()
            .status
            .success()
    );
    let engine = Engine::start(&engine_dir).unwrap();
    let boarded = engine.board();
    let devices = Devices::start(&dir.join("devices"), true).unwrap();
    let mut till = Till::install(&dir.join("till"), boarded.pos.base(), &devices.dir).unwrap();
    till.open(&boarded.pos, "Lane 1").unwrap();
    let (report, code) = until_check(&till, "printer.status printer", "pass");
    let tls = check(&report, "net.tls");
    assert_eq!(tls["verdict"], "pass", "{tls:#}");
    assert!(tls["seen"].as_str().unwrap().contains("CA "), "{tls:#}");
    assert_eq!(check(&report, "clock.skew")["verdict"], "pass");
    assert_eq!(code, 0);

    let other = dir.join("other");
    assert!(
        Engine::init(&other, &["--address", "127.0.0.1"])
            .unwrap()
            .status
            .success()
    );
    trust(&till, &other.join("data/tls/ca.pem"));
    let (report, code) = doctor(&till, &[]);
    assert_eq!(
        check(&report, "net.tls")["code"],
        "TLS_WRONG_CA",
        "{report:#}"
    );
    assert_eq!(check(&report, "clock.skew")["verdict"], "skip");
    assert_eq!(code, 1);
}

#[test]
fn wrong_arguments_and_configurations_have_codes_of_their_own() {
    let dir = directory("doctor-usage");
    let till = Till::install(&dir.join("till"), "http://127.0.0.1:1", &dir).unwrap();
    let usage = till.command(&["doctor", "--mend"]).unwrap();
    assert_eq!(usage.status.code(), Some(2));
    fs::write(till.dir.join("agent.toml"), "[reader]\nbuad = 1\n").unwrap();
    let (report, code) = doctor(&till, &[]);
    assert_eq!(titles(&report, "fail"), ["config.valid"]);
    assert_eq!(titles(&report, "pass"), [""; 0]);
    assert_eq!(code, 1);
}

/// A result of a command with `--json`, and the exit code.
fn command(till: &Till, arguments: &[&str]) -> (Value, i32) {
    let mut all = vec!["--json"];
    all.extend(arguments);
    let output = till.command(&all).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    (json, output.status.code().unwrap())
}

#[test]
fn test_pages_journals_and_bundles_come_from_a_real_till() {
    let dir = directory("technician");
    let mut shop = Shop::open(&dir).unwrap();

    // A page through the agent, which the engine never hears of.
    let before = shop.devices.papers();
    let (page, code) = command(&shop.till, &["print-test", "--drawer"]);
    assert_eq!(page["data"]["state"], "printed", "{page}");
    assert_eq!(code, 0);
    let paper = shop.devices.paper(before + 1).unwrap();
    assert!(paper.contains("This is no receipt."), "{paper}");
    assert!(paper.contains('\u{20ac}'), "{paper}");
    assert_eq!(shop.devices.violations(), 0);
    shop.devices.printer("paper-out").unwrap();
    let (page, code) = command(&shop.till, &["print-test"]);
    assert_eq!((page["data"]["state"].as_str(), code), (Some("held"), 5));
    assert_eq!(page["data"]["reason"], "no_paper", "{page}");
    let (busy, code) = command(&shop.till, &["print-test"]);
    assert_eq!(busy["error"]["code"], "PRINTER_BUSY", "{busy}");
    assert_eq!(code, 6);
    shop.devices.printer("paper-in").unwrap();
    assert!(shop.devices.paper(before + 2).is_some());

    // The journal of a running agent, in the middle of a sale.
    let path = shop.till.dir.join("state/journal");
    let started = shop.start_sale(1_500);
    assert!(shop.devices.wait_for_reader());
    let bytes = fs::read(&path).unwrap();
    let (journal, code) = command(&shop.till, &["journal"]);
    assert_eq!(code, 0);
    assert_eq!(fs::read(&path).unwrap(), bytes, "only looked at");
    let open = &journal["data"]["open"][0];
    assert_eq!(open["pos_id"], started.field("id"), "{journal}");
    assert_eq!(open["stage"], "reading");
    assert_eq!(journal["data"]["prints"], json!([]), "{journal}");
    shop.till.kill();
    let (report, code) = doctor(&shop.till, &[]);
    assert_eq!(check(&report, "queue.depth")["verdict"], "warn");
    assert_eq!(code, 0);

    // A page without an agent.
    let before = shop.devices.papers();
    let (page, code) = command(&shop.till, &["print-test"]);
    assert_eq!((page["data"]["state"].as_str(), code), (Some("printed"), 0));
    assert!(shop.devices.paper(before + 1).is_some());

    // A bundle, with a log that has what it must not have.
    let number = firmware_sim::cards::CARDS[0].account();
    let key = fs::read_to_string(shop.till.dir.join("state/device-key")).unwrap();
    let log = dir.join("agent.log");
    let token = shop.pos.token();
    fs::write(&log, format!("{number}\n{}\n{token}\n", key.trim())).unwrap();
    let bundle = dir.join("bundle.json");
    let (out, log) = (bundle.display().to_string(), log.display().to_string());
    let arguments = ["support-bundle", "--out", &out, "--log", &log];
    assert_eq!(command(&shop.till, &arguments).1, 0);
    let text = fs::read_to_string(&bundle).unwrap();
    for secret in [number, key.trim(), token] {
        assert!(!text.contains(secret), "{text}");
    }
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["journal"]["open_work"]["open"][0]["stage"], "reading");
    assert_eq!(json["doctor"]["schema"], "terminal-agent.doctor/v1");
    assert_eq!(
        command(&shop.till, &arguments).1,
        1,
        "nothing is overwritten"
    );
}

#[test]
fn captures_are_decoded_on_the_command_line() {
    let dir = directory("decode");
    let till = Till::install(&dir.join("till"), "http://127.0.0.1:1", &dir).unwrap();
    let ping = hex::encode(protocol::reader::command::ping().encode());
    let (decoded, code) = command(&till, &["decode", "reader", &ping]);
    let name = decoded["data"]["parts"][0]["name"].as_str().unwrap();
    assert!(name.contains("ping"), "{decoded}");
    assert_eq!(code, 0);
    let dump = dir.join("capture.txt");
    fs::write(&dump, "0000: 1b 40 41 0a\n").unwrap();
    let file = dump.display().to_string();
    let (decoded, _) = command(&till, &["decode", "printer", "--file", &file]);
    assert_eq!(decoded["data"]["unknown_bytes"], 0, "{decoded}");
    let (decoded, _) = command(&till, &["decode", "printer", "--answers", "12"]);
    assert_eq!(decoded["data"]["parts"][0]["value"], "12", "{decoded}");
    let (refused, code) = command(&till, &["decode", "link", "zz"]);
    assert_eq!(refused["error"]["code"], "BAD_CAPTURE");
    assert_eq!(code, 2);
}
