//! Hostile lines on the control sockets of the agent and of the simulator: both go on.

use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use harness::wait::{PATIENCE, until};
use serde_json::{Value, json};

use super::{Lane, approved, begin_sale};

/// Writes bytes and gives every line of JSON that comes back until the other side closes.
fn say(socket: &Path, bytes: &[u8]) -> Vec<Value> {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The other side may hang up before it has read everything.
    stream.write_all(bytes).ok();
    stream.shutdown(Shutdown::Write).ok();
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines
        .map(|line| serde_json::from_str(&line).unwrap_or(Value::Null))
        .collect()
}

#[test]
fn the_agents_socket_survives_hostile_lines() {
    let lane = Lane::take();
    let socket = lane.till.dir.join("state").join("control.sock");
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o007, 0, "everybody may open the socket");
    // A sale is running: nothing of this may disturb it.
    let pos_id = begin_sale(&lane, 7_000);
    let long = "x".repeat(1024 * 1024);
    let sale = |amount: &str| format!(r#"{{"id":1,"command":"sale","amount":{amount}}}"#);
    let lines: Vec<Vec<u8>> = vec![
        b"garbage".to_vec(),
        b"\xff\xfe\x00\x01".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"{}".to_vec(),
        b"\"status\"".to_vec(),
        "[".repeat(60_000).into_bytes(),
        br#"{"id":1}"#.to_vec(),
        br#"{"id":1,"command":"explode"}"#.to_vec(),
        br#"{"id":-1,"command":"status"}"#.to_vec(),
        br#"{"id":1.0,"command":"status"}"#.to_vec(),
        br#"{"id":1,"command":"status","extra":1}"#.to_vec(),
        br#"{"id":1,"command":"status"} {}"#.to_vec(),
        sale("12.50").into_bytes(),
        sale(r#"{"minor":12.5,"currency":"USD"}"#).into_bytes(),
        sale(r#"{"minor":"12","currency":"USD"}"#).into_bytes(),
        sale(r#"{"minor":1e2,"currency":"USD"}"#).into_bytes(),
        sale(r#"{"minor":12,"currency":"usd"}"#).into_bytes(),
        sale(r#"{"minor":99999999999999999999,"currency":"USD"}"#).into_bytes(),
        br#"{"id":1,"command":"void","transaction_id":"pos_01h2xcejqtf2nbrexx3vqjhp41"}"#.to_vec(),
        br#"{"id":1,"command":"choose_tip","choice":{"option":-1}}"#.to_vec(),
        br#"{"id":1,"command":"choose_tip","choice":{"amount":{"minor":0.1,"currency":"USD"}}}"#
            .to_vec(),
        format!(r#"{{"id":1,"command":"status","x":"{long}"}}"#).into_bytes(),
        long.clone().into_bytes(),
    ];
    for line in lines {
        let what = String::from_utf8_lossy(&line[..line.len().min(60)]).into_owned();
        let answers = say(&socket, &[&line[..], b"\n"].concat());
        for answer in &answers {
            assert_eq!(answer["success"], json!(false), "{what}: {answer}");
            assert_eq!(answer["error"]["code"], "BAD_REQUEST", "{what}: {answer}");
        }
        // A peer that is hung up on in the middle of a megabyte may miss the answer.
        assert!(
            line.len() > 1_000_000 || answers.len() == 1,
            "{what}: {answers:?}"
        );
    }
    // A bad line does not spoil the good ones around it; a line without an end is none.
    let mixed = b"\n{\"id\":7,\"command\":\"status\"}\nnonsense\n{\"id\":8,\"command\":\"status\"}\n{\"id\":9";
    let answers = say(&socket, mixed);
    let ids: Vec<(&Value, &Value)> = answers
        .iter()
        .map(|one| (&one["id"], &one["success"]))
        .collect();
    let good = |id: u64| {
        answers
            .iter()
            .any(|one| one["id"] == json!(id) && one["success"] == json!(true))
    };
    assert!(good(7) && good(8) && !good(9), "{ids:?}");
    assert_eq!(
        answers
            .iter()
            .filter(|one| one["success"] == json!(false))
            .count(),
        2,
        "{ids:?}"
    );
    // Many connections that say nothing; the next ones wait their turn and are served.
    let silent: Vec<UnixStream> = (0..40)
        .filter_map(|_| UnixStream::connect(&socket).ok())
        .collect();
    drop(silent);
    let answers = say(&socket, b"{\"id\":1,\"command\":\"status\"}\n");
    assert_eq!(answers.len(), 1, "{answers:?}");
    lane.devices.present("visa", "tap").unwrap();
    assert_eq!(lane.end_of(&pos_id).field("status"), "approved");
}

#[test]
fn a_repeated_line_with_a_request_id_is_one_sale() {
    let lane = Lane::take();
    let socket = lane.till.dir.join("state").join("control.sock");
    let request_id = format!("req_{}", "01h2xcejqtf2nbrexx3vqjhp41");
    let line = |minor: i64| {
        let line = json!({
            "id": 5,
            "command": "sale",
            "amount": {"minor": minor, "currency": "USD"},
            "request_id": request_id,
        });
        format!("{line}\n")
    };
    let first = say(&socket, line(7_100).as_bytes());
    assert_eq!(first[0]["success"], true, "{first:?}");
    let pos_id = first[0]["data"]["pos_id"].as_str().unwrap().to_owned();
    let again = say(&socket, line(7_100).as_bytes());
    assert_eq!(again[0]["data"]["pos_id"], json!(pos_id), "{again:?}");
    let other = say(&socket, line(7_101).as_bytes());
    assert_eq!(other[0]["success"], false, "{other:?}");
    assert!(lane.devices.wait_for_reader());
    lane.devices.present("visa", "tap").unwrap();
    assert_eq!(lane.end_of(&pos_id).field("status"), "approved");
}

#[test]
fn watchers_are_told_what_the_display_shows() {
    let lane = Lane::take();
    let socket = lane.till.dir.join("state").join("control.sock");
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(b"{\"id\":1,\"command\":\"watch\"}\n")
        .unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap()).unwrap() };
    assert_eq!(next()["success"], true);
    let (pos_id, _) = approved(&lane, 7_200, "visa");
    let mut screens = Vec::new();
    until("the end on the display", || {
        let event = next();
        let screen = event["data"]["screen"].as_str().unwrap_or("-").to_owned();
        let is_end = screen == "concluded" && event["data"]["pos_id"] == json!(pos_id);
        screens.push((screen, event["data"]["status"].clone()));
        is_end.then_some(())
    });
    let place = |name: &str| screens.iter().position(|(screen, _)| screen == name);
    assert!(place("present_card") < place("authorizing"), "{screens:?}");
    assert!(place("authorizing") < place("concluded"), "{screens:?}");
    assert_eq!(screens.last().unwrap().1, "approved", "{screens:?}");
}

#[test]
fn the_simulators_socket_survives_hostile_lines() {
    let lane = Lane::take();
    let socket = lane.devices.dir.join("control.sock");
    let pos_id = begin_sale(&lane, 7_300);
    let long = "x".repeat(1024 * 1024);
    let lines: Vec<Vec<u8>> = vec![
        b"garbage".to_vec(),
        b"\xff\xfe\x00".to_vec(),
        b"5.5".to_vec(),
        b"[]".to_vec(),
        b"{}".to_vec(),
        br#"{"device":"toaster","command":"status"}"#.to_vec(),
        br#"{"device":"reader","command":"explode"}"#.to_vec(),
        br#"{"device":"printer","command":"explode"}"#.to_vec(),
        br#"{"device":"reader","command":"present"}"#.to_vec(),
        br#"{"device":"reader","command":"present","arguments":{"card":"gold","way":"tap"}}"#
            .to_vec(),
        br#"{"device":"reader","command":"present","arguments":{"card":"stripe","way":"tap"}}"#
            .to_vec(),
        br#"{"device":"reader","command":"present","arguments":{"card":1.5,"way":"tap"}}"#.to_vec(),
        br#"{"device":"reader","command":"fault","arguments":{"fault":"melted"}}"#.to_vec(),
        br#"{"device":"all","command":"status","extra":1}"#.to_vec(),
        "[".repeat(5_000).into_bytes(),
        long.into_bytes(),
    ];
    for line in lines {
        let what = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
        let answers = say(&socket, &[&line[..], b"\n"].concat());
        assert!(
            line.len() > 1_000_000 || answers.len() == 1,
            "{what}: {answers:?}"
        );
        for answer in &answers {
            assert_eq!(answer["ok"], json!(false), "{what}: {answer}");
            assert!(answer["error"].is_string(), "{what}: {answer}");
        }
    }
    assert_eq!(lane.devices.status()["reader"]["phase"], "polling");
    lane.devices.present("visa", "insert").unwrap();
    assert_eq!(lane.end_of(&pos_id).field("status"), "approved");
}
