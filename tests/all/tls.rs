//! Tills that reach the engine over TLS: whom they believe, and what happens to the certificate.

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use engine::domain::time::Timestamp;
use engine::id_source::SystemIds;
use engine::tls::authority::{Authority as Issuer, Days, SERVER_LIFE};
use harness::programs::{Signal, signal};
use harness::raw::{self, exchange};
use harness::shop::{Engine, Shop, Till};
use harness::wait::{PATIENCE, until};
use serde_json::{Value, json};
use terminal_agent::tls::{Authority, ChainReport, Trust, inspect};

use crate::check::{directory, good};

const FOR_LOOPBACK: [&str; 4] = ["--name", "tillway.shop.example", "--address", "127.0.0.1"];

/// A shop whose engine was made by `engine init`.
fn shop(name: &str) -> Shop {
    let dir = directory(name);
    let made = Engine::init(&dir.join("engine"), &FOR_LOOPBACK).unwrap();
    assert!(made.status.success(), "{made:?}");
    Shop::open(&dir).unwrap()
}

fn authority(shop: &Shop) -> Authority {
    Engine::authority(&shop.engine.dir).unwrap()
}

/// What a till sees that believes the shop's authority.
fn seen(shop: &Shop) -> ChainReport {
    inspect(shop.pos.base(), &Trust::Pinned(authority(shop))).unwrap()
}

#[track_caller]
fn refused(output: &Output, exit: i32, code: &str) -> String {
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["error"]["code"], json!(code), "{json}");
    assert_eq!(output.status.code(), Some(exit), "{json}");
    json["error"]["message"].as_str().unwrap().to_owned()
}

/// Another till of the shop, not paired.
fn another_till(shop: &Shop, name: &str, url: &str) -> Till {
    Till::install(&shop.engine.dir.join(name), url, &shop.devices.dir).unwrap()
}

#[test]
fn a_till_pins_its_engine_and_sells() {
    let mut shop = shop("tls-sale");
    let approved = shop.tap_sale(1_250, "visa").unwrap();
    assert_eq!(approved.field("status"), "approved", "{}", approved.text);

    let identity = fs::read(shop.till.dir.join("state").join("identity.json")).unwrap();
    let identity: Value = serde_json::from_slice(&identity).unwrap();
    let pinned: Authority = serde_json::from_value(identity["engine_ca"].clone()).unwrap();
    assert_eq!(pinned, authority(&shop));
    let link = identity["link_url"].as_str().unwrap();
    assert!(link.starts_with("wss://127.0.0.1:"), "{link}");

    let status = shop.pos.get("/v1/status");
    let certificate = &good(&status, 200, "status")["tls"];
    assert_eq!(certificate["certificate"], "ok");
    assert_eq!(certificate["days_left"], 396);
    assert_eq!(
        certificate["ca_fingerprint"],
        pinned.fingerprint().to_string()
    );
    assert_eq!(
        certificate["fingerprint"],
        seen(&shop).fingerprint.to_string()
    );
    assert_eq!(certificate["names"][0], "tillway.shop.example");

    shop.engine.restart().unwrap();
    assert!(shop.wait_until_ready(), "the till does not come back");
    let approved = shop.tap_sale(700, "mastercard").unwrap();
    assert_eq!(approved.field("status"), "approved", "{}", approved.text);
}

#[test]
fn a_till_that_does_not_know_its_engine_does_not_pair() {
    let shop = shop("tls-strangers");
    let till = another_till(&shop, "other", shop.pos.base());
    let told = shop.pairing_answer();
    let code = told.field("code");
    let short = authority(&shop).fingerprint().short().to_string();
    assert_eq!(told.field("ca_fingerprint"), short);

    // Nobody is there to say yes.
    let asked = till.command(&["--json", "pair", "--code", code]).unwrap();
    let message = refused(&asked, 2, "TLS_CA_NOT_PINNED");
    assert!(message.contains(&short), "{message}");
    let other = Issuer::make(Timestamp(0), SystemIds).unwrap();
    let foreign = other.fingerprint().to_string();
    let pair = ["--json", "pair", "--code", code, "--accept-ca", &foreign];
    refused(&till.command(&pair).unwrap(), 4, "TLS_WRONG_CA");
    let file = till.dir.join("ca.pem");
    fs::write(&file, other.pem()).unwrap();
    let file = file.display().to_string();
    let pair = ["--json", "pair", "--code", code, "--ca-file", &file];
    refused(&till.command(&pair).unwrap(), 4, "TLS_WRONG_CA");
    assert!(!till.dir.join("state").join("identity.json").exists());

    // The code was never sent: it is as good as before.
    let paired = till.pair(&told).unwrap();
    assert!(paired.status.success(), "{paired:?}");
    // What is pinned stays pinned: another code needs no fingerprint, another engine no attention.
    let again = shop.pairing_code();
    let pair = ["--json", "pair", "--again", "--code", &again];
    assert!(till.command(&pair).unwrap().status.success());
    let identity = till.dir.join("state").join("identity.json");
    let mut paired: Value = serde_json::from_slice(&fs::read(&identity).unwrap()).unwrap();
    let foreign: Authority = Authority::read(Path::new(&file)).unwrap();
    paired["engine_ca"] = serde_json::to_value(foreign).unwrap();
    fs::write(&identity, paired.to_string()).unwrap();
    refused(&till.command(&pair).unwrap(), 4, "TLS_WRONG_CA");
}

#[test]
fn plain_text_is_told_to_use_tls() {
    let shop = shop("tls-plain");
    let request = raw::request("GET", "/healthz", &[], b"");
    let answers = exchange(shop.pos.base(), &request);
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].status, 400);
    assert_eq!(answers[0].code(), "BAD_REQUEST", "{}", answers[0].text);
    assert!(answers[0].text.contains("https://"), "{}", answers[0].text);
    // What is neither: closed without a word.
    for bytes in [
        &b"\0\0\0\0"[..],
        b"ssh",
        b"\x16\x03\x01\x00\x02\x01\x00",
        b"\x16",
    ] {
        assert_eq!(exchange(shop.pos.base(), bytes).len(), 0);
    }
    let plain = shop.pos.base().replace("https://", "http://");
    let till = another_till(&shop, "plain", &plain);
    let paired = till.command(&["--json", "pair", "--code", "X"]).unwrap();
    let message = refused(&paired, 6, "BAD_REQUEST");
    assert!(message.contains("https://"), "{message}");
    assert!(good(&shop.pos.get("/v1/ping"), 200, "ping")["pong"] == json!(true));
}

#[test]
fn a_new_certificate_is_taken_while_links_are_up_and_a_broken_one_is_not() {
    let shop = shop("tls-reload");
    let since = || {
        let path = format!("/v1/terminals/{}/status", shop.terminal_id);
        shop.pos.get(&path).data()["since"].clone()
    };
    let linked_since = since();
    assert!(linked_since.is_string(), "{linked_since}");
    let first = seen(&shop);
    let renew = || {
        let renewed = Engine::init(&shop.engine.dir, &["--renew"]).unwrap();
        assert!(renewed.status.success(), "{renewed:?}");
    };
    let taken_after = |before: &ChainReport| {
        until("a new certificate", || {
            Some(seen(&shop)).filter(|now| now != before)
        })
    };
    let complaint = "the new certificate cannot be used";

    renew();
    signal(shop.engine.id(), Signal::HUP);
    let second = taken_after(&first).unwrap();
    assert_eq!(second.names, first.names);
    let shown = shop.pos.get("/v1/status").data()["tls"]["fingerprint"].clone();
    assert_eq!(shown, second.fingerprint.to_string());

    let files = shop.engine.dir.join("data").join("tls");
    let good_one = fs::read(files.join("server.pem")).unwrap();
    fs::write(files.join("server.pem"), "-----BEGIN NONSENSE-----").unwrap();
    signal(shop.engine.id(), Signal::HUP);
    let told = until("a complaint", || {
        shop.engine.log().contains(complaint).then_some(())
    });
    assert!(told.is_some());
    assert_eq!(seen(&shop), second);
    fs::write(files.join("server.pem"), good_one).unwrap();

    // Also without being told.
    renew();
    assert!(taken_after(&second).is_some());
    assert_eq!(since(), linked_since, "the link was cut");
    let approved = shop.tap_sale(500, "visa").unwrap();
    assert_eq!(approved.field("status"), "approved", "{}", approved.text);
}

/// An engine with a certificate of these days.
fn engine_with(dir: &Path, from: Timestamp, life: Days) -> Engine {
    let made = Engine::init(dir, &FOR_LOOPBACK).unwrap();
    assert!(made.status.success(), "{made:?}");
    let tls = dir.join("data").join("tls");
    let issuer = Issuer::make(from, SystemIds).unwrap();
    let issued = issuer.issue(&["127.0.0.1".to_owned()], None, from, life, SystemIds);
    let issued = issued.unwrap();
    fs::write(tls.join("ca.pem"), issuer.pem()).unwrap();
    fs::write(tls.join("server.key"), issued.key_pem.expose()).unwrap();
    fs::write(tls.join("server.pem"), &issued.chain_pem).unwrap();
    Engine::start(dir).unwrap()
}

fn now() -> Timestamp {
    Timestamp(chrono::Utc::now().timestamp_millis())
}

#[test]
fn a_certificate_outside_its_time_is_named_by_the_till_and_the_engine() {
    const DAY_MS: i64 = 86_400_000;
    for (name, days, code) in [
        ("tls-expired", -400, "TLS_CERTIFICATE_EXPIRED"),
        ("tls-early", 3, "TLS_CERTIFICATE_NOT_YET_VALID"),
    ] {
        let dir = directory(name);
        let from = Timestamp(now().0 + days * DAY_MS);
        let engine = engine_with(&dir, from, SERVER_LIFE);
        let till = Till::install(&dir.join("till"), engine.operator.base(), &dir).unwrap();
        let fingerprint = Engine::authority(&dir).unwrap().fingerprint().to_string();
        let pair = [
            "--json",
            "pair",
            "--code",
            "X",
            "--ca-fingerprint",
            &fingerprint,
        ];
        refused(&till.command(&pair).unwrap(), 4, code);
        let is_told = engine.log().contains("the certificate's time is over");
        assert_eq!(is_told, days < 0, "{}", engine.log());
    }
}

#[test]
fn the_end_of_a_certificate_is_seen_in_the_status() {
    let dir = directory("tls-soon");
    let engine = engine_with(&dir, now(), Days(20));
    let status = engine.operator.get("/v1/status");
    let certificate = &good(&status, 200, "status")["tls"];
    assert_eq!(certificate["certificate"], "expires_soon");
    assert_eq!(certificate["days_left"], 19);
    assert!(engine.log().contains("the certificate ends soon"));
}

#[test]
fn connections_that_say_nothing_hold_nobody_up_and_are_closed() {
    let shop = shop("tls-slow");
    let address = shop.pos.base().rsplit('/').next().unwrap().to_owned();
    let mut silent: Vec<TcpStream> = (0..200)
        .map(|number| {
            let mut stream = TcpStream::connect(&address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            // Some not even begin.
            if number % 2 == 0 {
                stream.write_all(b"\x16\x03\x01").unwrap();
            }
            stream
        })
        .collect();
    assert_eq!(shop.pos.get("/v1/ping").status, 200);
    seen(&shop);
    for stream in &mut silent {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty() || rest[0] == 21, "{rest:?}");
    }
}

#[test]
fn what_would_be_unsafe_is_refused() {
    let dir = directory("tls-refused");
    let made = Engine::init(&dir, &FOR_LOOPBACK).unwrap();
    let said = String::from_utf8(made.stdout).unwrap();
    let fingerprint = Engine::authority(&dir).unwrap().fingerprint();
    assert!(said.contains(&fingerprint.to_string()), "{said}");
    let again = Engine::init(&dir, &FOR_LOOPBACK).unwrap();
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(
        !again.status.success() && said.contains("--renew"),
        "{said}"
    );

    let log = || fs::read_to_string(dir.join("engine.log")).unwrap();
    let key = dir.join("data").join("tls").join("server.key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    assert!(Engine::start(&dir).is_err());
    assert!(
        log().contains("can be used by others (mode 644)"),
        "{}",
        log()
    );
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();

    let open = harness::programs::Program::start(
        "engine",
        &["run", "--data-dir", "/nonexistent", "--listen", "0.0.0.0:0"],
        &dir.join("engine.log"),
    );
    assert_eq!(open.unwrap().end(), Some(1));
    assert!(
        log().contains("refusing to listen on 0.0.0.0:0"),
        "{}",
        log()
    );

    let till = Till::install(&dir.join("till"), "http://192.0.2.1:7437", &dir).unwrap();
    let pair = ["--json", "pair", "--code", "X"];
    let message = refused(&till.command(&pair).unwrap(), 2, "PLAIN_TEXT");
    assert!(message.contains("https://"), "{message}");
}
