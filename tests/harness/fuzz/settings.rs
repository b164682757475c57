//! Texts that people write: configuration files, lines of the control sockets, scripts.

use std::path::Path;

use engine::config::ConfigArgs;
use firmware_sim::device::{Device, ReaderDevice};
use firmware_sim::reader::{Reader, ReaderConfig};
use firmware_sim::script::Script;
use protocol::id::RequestId;
use terminal_agent::control::message::{LINE_BYTES_MAX, encode_line, parse};

use super::property::keeps_secrets;

pub(super) const WORDS: &[&[u8]] = &[
    b"{\"command\":\"sale\",\"id\":1,\"amount\":{\"minor\":1234,\"currency\":\"USD\"}",
    b"\"command\":\"watch\"",
    b"\"pos_id\":\"pos_01h2xcejqtf2nbrexx3vqjhp41\"",
    b"\"request_id\":\"req_01h2xcejqtf2nbrexx3vqjhp41\"",
    b"\"minor\":-1",
    b"4761739001010010",
    b"\\u0000",
    b"\\ud800",
    b"1e400",
    b"[[[[",
    b"listen = \"127.0.0.1:0\"\n",
    b"[limits]\n",
    b"[tls]\ncertificate = \"/x\"\nkey = \"/y\"\n",
    b"[printer]\npath = \"/dev/x\"\n",
    b"'''",
    b"\"\"\"",
    b"when polling, after 99999999999999999999: tap visa\n",
    b"repeat\n",
];

pub(super) fn engine_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let arguments = ConfigArgs::default();
    match engine::config::Config::parse(&arguments, Path::new("engine.toml"), text) {
        Ok(config) => {
            assert!(config.listen.ip().is_loopback() || config.tls.is_some());
            assert!(config.limits.in_flight_max > 0 && config.limits.queries_at_once > 0);
        }
        Err(error) => drop(format!("{error} {error:?}")),
    }
}

pub(super) fn agent_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match terminal_agent::config::Config::parse(Path::new("agent.toml"), text) {
        Ok(config) => {
            assert!((1_200..=4_000_000).contains(&config.reader.baud));
            let columns = config.printer.map_or(48, |printer| printer.columns);
            assert!((24..=64).contains(&columns));
        }
        Err(error) => drop(format!("{error} {error:?}")),
    }
}

pub(super) fn agent_control(data: &[u8]) {
    match parse(data) {
        Ok(line) => {
            assert!(data.len() <= LINE_BYTES_MAX);
            let text = encode_line(&line);
            let again = parse(text.as_bytes());
            assert!(again.as_ref() == Ok(&line), "a line does not go round");
            let fresh = RequestId::from_bytes([1; 16]);
            assert!(line.clone().wanted(fresh) == line.wanted(fresh));
        }
        Err(error) => keeps_secrets(&error, data),
    }
}

/// One line to the simulator, and the reader's answer to it.
pub(super) fn simulator_control(data: &[u8]) {
    match firmware_sim::control::parse(data) {
        Ok(request) => {
            let text = serde_json::to_vec(&request).expect("maps of strings");
            let again = firmware_sim::control::parse(&text);
            assert!(again.as_ref() == Ok(&request), "a line does not go round");
            let mut reader = ReaderDevice::new(Reader::new(ReaderConfig::demo(), 0), None);
            reader.tick(2_000);
            let outcome = reader.control(2_000, &request);
            drop(reader.status());
            drop(firmware_sim::control::answer(
                outcome.map(|_| serde_json::Value::Null),
            ));
        }
        Err(error) => drop(error.to_string()),
    }
}

pub(super) fn simulator_script(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(mut script) = Script::parse(text) else {
        return;
    };
    let mut now_ms = 0;
    for phase in ["idle", "polling", "wait-host", "reading"].repeat(8) {
        for _ in 0..3 {
            drop(script.next_due(now_ms, phase));
        }
        let next_ms = script
            .poll_deadline()
            .map_or(now_ms + 100, |due| due.max(now_ms));
        now_ms = next_ms.min(u64::MAX - 1_000);
    }
    let _ = script.is_over();
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub(super) fn engine_config_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "data_dir = \"/var/lib/tillway\"\nlisten = \"127.0.0.1:7437\"\nlog_format = \"json\"\n\
         log_filter = \"info\"\n[limits]\nin_flight_max = 10\n[tips]\nbps_max = 10000\n",
        "data_dir = \"x\"\nlisten = \"0.0.0.0:1\"\n",
    ])
}

pub(super) fn agent_config_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "state_dir = \"/var/lib/agent\"\n[engine]\nurl = \"http://127.0.0.1:7437\"\n\
         [reader]\npath = \"/dev/ttyACM0\"\nbaud = 115200\n\
         [printer]\npath = \"/dev/ttyUSB0\"\nbaud = 38400\ncolumns = 48\n",
        "[reader]\npath = \"/dev/ttyACM0\"\n",
    ])
}

pub(super) fn agent_control_seeds() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"command":"sale","id":1,"amount":{"minor":1234,"currency":"USD"},"reference":"a","tip_prompt":true}"#,
        r#"{"command":"sale","id":1,"amount":{"minor":1,"currency":"EUR"},"kind":"authorization","request_id":"req_01h2xcejqtf2nbrexx3vqjhp41"}"#,
        r#"{"command":"cancel","id":2,"pos_id":"pos_01h2xcejqtf2nbrexx3vqjhp41","void_if_too_late":true}"#,
        r#"{"command":"cancel","id":2}"#,
        r#"{"command":"cancel_key","id":3}"#,
        r#"{"command":"choose_tip","id":4,"choice":{"option":1}}"#,
        r#"{"command":"choose_tip","id":4,"choice":{"amount":{"minor":100,"currency":"USD"}}}"#,
        r#"{"command":"choose_tip","id":4,"choice":"none"}"#,
        r#"{"command":"print","id":5,"pos_id":"pos_01h2xcejqtf2nbrexx3vqjhp41","copy":"customer"}"#,
        r#"{"command":"tip","id":6,"pos_id":"pos_01h2xcejqtf2nbrexx3vqjhp41","tip":{"minor":5,"currency":"USD"}}"#,
        r#"{"command":"void","id":7,"transaction_id":"txn_01h2xcejqtf2nbrexx3vqjhp41"}"#,
        r#"{"command":"status","id":8}"#,
        r#"{"command":"watch","id":9}"#,
    ])
}

pub(super) fn simulator_control_seeds() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"device":"reader","command":"present","arguments":{"card":"visa","way":"tap"}}"#,
        r#"{"device":"reader","command":"remove"}"#,
        r#"{"device":"reader","command":"fault","arguments":{"fault":"wrong-crc","scope":"next-final"}}"#,
        r#"{"device":"all","command":"status"}"#,
        r#"{"device":"printer","command":"paper-out"}"#,
    ])
}

pub(super) fn script_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "# a customer\nwhen polling: tap visa\nwhen wait-host, after 500: remove\n\
         after 2000: printer paper-out\nfault wrong-crc next-final\nrepeat\n",
        "after 1: insert amex\n",
    ])
}
