//! The till shows a code: approved, turned away, forgotten, asked anew.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Stdio};

use harness::hand::{ask_to_pair, fresh_key, poll_pairing};
use harness::shop::Till;
use harness::wait::until;
use serde_json::{Value, json};

use super::{Site, succeeds, terminal_of};
use crate::check::{good, refused};

/// An agent that waits for a person.
struct Waiting {
    program: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Waiting {
    fn start(till: &Till, serial_number: &str) -> Self {
        let arguments = ["--json", "pair", "--serial-number", serial_number];
        let mut program = till
            .spawnable(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(program.stdout.take().unwrap()).lines();
        Self { program, lines }
    }

    fn next(&mut self) -> Value {
        let line = self.lines.next().expect("another line").unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// The code that it shows next.
    fn code(&mut self) -> String {
        loop {
            let line = self.next();
            if line["event"] == "code" {
                let url = line["data"]["url_complete"].as_str().unwrap();
                let code = line["data"]["user_code"].as_str().unwrap();
                assert!(url.ends_with(&format!("/pair?code={code}")), "{line}");
                return code.to_owned();
            }
            assert_eq!(line["event"], "no_answer", "{line}");
        }
    }

    /// Its result, and its exit code.
    fn end(mut self) -> (Value, Option<i32>) {
        let last = loop {
            let line = self.next();
            if line["event"].is_null() {
                break line;
            }
        };
        (last, self.program.wait().unwrap().code())
    }
}

#[test]
fn a_technician_approves_what_the_till_shows() {
    let site = Site::open("approval", super::CONFIG);
    let api = &site.merchant.api;
    let till = site.till("till");
    let mut waiting = Waiting::start(&till, "SN-7");
    let path = format!("/v1/pairing/requests/{}", waiting.code());
    let seen = api.get(&path);
    let data = good(&seen, 200, "what asks");
    assert_eq!(data["serial_number"], "SN-7");
    assert_eq!(data["agent_version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(data["source_address"], "127.0.0.1");
    let approve = format!("{path}/approve");
    let body = json!({"new_terminal": {"label": "Lane 7"}});
    let made = api.post(&approve, &body);
    let terminal_id = good(&made, 200, "approved")["id"].clone();
    let (result, exit) = waiting.end();
    assert_eq!(exit, Some(0), "{result}");
    assert_eq!(result["data"]["terminal_id"], terminal_id);
    assert_eq!(result["data"]["label"], "Lane 7");
    let terminal = terminal_of(api, terminal_id.as_str().unwrap());
    assert_eq!(terminal["serial_number"], "SN-7");
    assert_eq!(terminal["is_paired"], true);
    let listed = api.get("/v1/pairing-codes?state=redeemed");
    let items = &good(&listed, 200, "codes")["items"];
    assert_eq!(items[0]["way"], "approval");
    let again = api.post(&approve, &body);
    assert_eq!(good(&again, 200, "again")["id"], terminal_id);
    let stolen = site.other.api.post(&approve, &body);
    assert_eq!(stolen.status, 409, "{}", stolen.text);

    // The till comes up as that terminal.
    let mut till = till;
    till.run().unwrap();
    let path = format!("/v1/terminals/{}/status", terminal_id.as_str().unwrap());
    until("the till to be online", || {
        let status = api.get(&path);
        (status.data()["is_online"] == true).then_some(())
    })
    .unwrap();
}

#[test]
fn a_till_that_is_turned_away_ends() {
    let site = Site::open("denied", super::CONFIG);
    let till = site.till("till");
    let mut waiting = Waiting::start(&till, "SN-7");
    let path = format!("/v1/pairing/requests/{}/deny", waiting.code());
    let denied = site.merchant.api.post(&path, &json!({}));
    good(&denied, 200, "deny");
    let (result, exit) = waiting.end();
    assert_eq!(exit, Some(6), "{result}");
    assert_eq!(result["error"]["code"], "PAIRING_DENIED");
}

#[test]
fn a_till_asks_anew_when_its_code_is_over_or_the_engine_has_forgotten_it() {
    let config = "[limits]\npairing_poll_interval_s = 1\npairing_request_life_s = 2\n\
                  pairing_attempts_per_minute = 1000\n";
    let mut site = Site::open("forgotten", config);
    let till = site.till("till");
    let mut waiting = Waiting::start(&till, "SN-7");
    let (first, second) = (waiting.code(), waiting.code());
    assert_ne!(first, second);
    let over = format!("/v1/pairing/requests/{first}");
    let refusal = site.merchant.api.get(&over);
    refused(&refusal, 404, "NOT_FOUND", "a code that is over");
    site.engine.kill();
    site.engine.restart().unwrap();
    // Codes of before are gone with the engine's memory; the till shows another by itself.
    let paired = until("an approval in time", || {
        let path = format!("/v1/pairing/requests/{}/approve", waiting.code());
        let body = json!({"new_terminal": {"label": "Lane 7"}});
        let made = site.merchant.api.post(&path, &body);
        (made.status == 200).then_some(made)
    });
    assert!(paired.is_some());
    let (result, exit) = waiting.end();
    assert_eq!(exit, Some(0), "{result}");
}

#[test]
fn an_approval_outlives_the_engine_that_gave_it() {
    let mut site = Site::open("approved", super::CONFIG);
    let key = fresh_key();
    let asked = ask_to_pair(site.base(), "SN-8", &key);
    let device_code = asked.field("device_code").to_owned();
    let path = format!("/v1/pairing/requests/{}/approve", asked.field("user_code"));
    let body = json!({"new_terminal": {"label": "Lane 8"}});
    good(&site.merchant.api.post(&path, &body), 200, "approve");
    // The till has not asked yet.
    site.engine.kill();
    site.engine.restart().unwrap();
    for _ in 0..2 {
        let polled = poll_pairing(site.base(), &device_code);
        let data = good(&polled, 200, "poll");
        assert_eq!(data["status"], "paired");
        assert_eq!(data["identity"]["label"], "Lane 8");
    }
}

#[test]
fn what_a_technician_sees_can_be_read_and_scanned() {
    let site = Site::open("shown", super::CONFIG);
    for (more, has_symbol) in [(&["--plain"][..], false), (&[][..], true)] {
        let till = site.till(if has_symbol { "drawn" } else { "plain" });
        let arguments = [&["pair"], more].concat();
        let mut program = till
            .spawnable(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let mut shown = String::new();
        for line in lines.map_while(Result::ok) {
            shown.push_str(&line);
            shown.push('\n');
            if line.starts_with("Waiting for approval") {
                break;
            }
        }
        program.kill().unwrap();
        program.wait().unwrap();
        assert!(shown.contains("/pair on a phone and type "), "{shown}");
        assert_eq!(shown.contains('█'), has_symbol, "{shown}");
    }
    let till = site.till("plain");
    let terminal_id = site.terminal(&site.merchant.api, "Lane 1");
    let (_, code) = super::make_code(&site.merchant.api, &terminal_id, &json!({}));
    succeeds(&till, &["pair", "--code", &code]);
}
