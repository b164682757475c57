//! Pairing by code, against an engine that answers what it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// Answers each connection with the next body, and gives back the bodies of the requests.
pub(super) fn engine(
    answers: Vec<Option<String>>,
) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let mut requests = Vec::new();
        for answer in answers {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(&stream);
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            requests.push(String::from_utf8(body).unwrap());
            if let Some(answer) = answer {
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    answer.len()
                );
                (&stream).write_all((head + &answer).as_bytes()).unwrap();
            }
        }
        requests
    });
    (url, thread)
}

pub(super) const fn pairing<'a>(state_dir: &'a Path, engine_url: &'a str) -> Pairing<'a> {
    Pairing {
        state_dir,
        engine_url,
        trust: &Trust::Nobody,
        serial_number: "SN-1",
    }
}

#[test]
fn a_till_that_is_somebody_must_be_let_go_first() {
    let directory = tempfile::tempdir().unwrap();
    assert!(check_unpaired(directory.path(), false).is_ok());
    std::fs::write(identity_path(directory.path()), "{}").unwrap();
    assert!(check_unpaired(directory.path(), false).is_ok(), "damaged");
    let json = r#"{"terminal_id":"trm_01h2xcejqtf2nbrexx3vqjhp41",
        "merchant_id":"mer_01h2xcejqtf2nbrexx3vqjhp41","label":"Till 1",
        "engine_incarnation":"inc_01h2xcejqtf2nbrexx3vqjhp41","link_url":"ws://127.0.0.1:1"}"#;
    std::fs::write(identity_path(directory.path()), json).unwrap();
    let refused = check_unpaired(directory.path(), false);
    assert!(matches!(refused, Err(PairError::AlreadyPaired { label, .. }) if label == "Till 1"));
    assert!(check_unpaired(directory.path(), true).is_ok());
}

#[test]
fn a_lost_answer_is_asked_for_again_with_the_same_key() {
    let directory = tempfile::tempdir().unwrap();
    let good = r#"{"success":true,"data":{
        "terminal_id":"trm_01h2xcejqtf2nbrexx3vqjhp41",
        "merchant_id":"mer_01h2xcejqtf2nbrexx3vqjhp41",
        "label":"Till 1",
        "engine_incarnation":"inc_01h2xcejqtf2nbrexx3vqjhp41",
        "link_url":"ws://127.0.0.1:1/v1/agent/link"}}"#;
    let bad = r#"{"success":false,"error":{"code":"NOT_FOUND","message":"no such code",
        "details":{}}}"#;
    let (url, thread) = engine(vec![None, Some(bad.to_owned()), Some(good.to_owned())]);
    let state_dir = directory.path().join("state");
    let attempt = || pair(pairing(&state_dir, &url), "ABCD-1234");

    assert!(matches!(attempt(), Err(PairError::Unreachable { .. })));
    assert!(matches!(
        load_identity(&state_dir),
        Err(PairError::NotPaired)
    ));
    let refused = attempt().unwrap_err();
    assert!(matches!(&refused, PairError::Refused { code, .. } if code == "NOT_FOUND"));
    let identity = attempt().unwrap();
    assert_eq!(load_identity(&state_dir).unwrap(), identity);

    let requests = thread.join().unwrap();
    assert_eq!(requests[0], requests[2]);
    let key = load_key(&state_dir).unwrap();
    assert!(requests[0].contains(&hex::encode(key.verifying_key().as_bytes())));
    assert!(!requests[0].contains(&hex::encode(key.to_bytes())));
    for name in ["device-key", "identity.json"] {
        let mode = std::fs::metadata(state_dir.join(name))
            .unwrap()
            .permissions();
        assert_eq!(mode.mode() & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_till_that_becomes_another_terminal_leaves_its_journal_behind() {
    let directory = tempfile::tempdir().unwrap();
    let identity = |number: u128| Identity {
        terminal_id: TerminalId::from_uuid(uuid::Uuid::from_u128(number)),
        merchant_id: MerchantId::from_uuid(uuid::Uuid::from_u128(1)),
        label: "Till".to_owned(),
        engine_incarnation: IncarnationId::from_uuid(uuid::Uuid::from_u128(1)),
        link_url: "ws://127.0.0.1:1".to_owned(),
        engine_ca: None,
    };
    let first = identity(1);
    let json = serde_json::to_vec(&first).unwrap();
    std::fs::write(identity_path(directory.path()), json).unwrap();
    let journal = directory.path().join("journal");
    std::fs::write(&journal, "open work").unwrap();
    set_foreign_journal_aside(directory.path(), &first).unwrap();
    assert!(journal.exists(), "the same terminal goes on");
    set_foreign_journal_aside(directory.path(), &identity(2)).unwrap();
    assert!(!journal.exists());
    let aside = format!("journal.of-{}", first.terminal_id);
    assert!(directory.path().join(aside).exists());
    set_foreign_journal_aside(directory.path(), &identity(3)).unwrap();
}

#[test]
fn a_path_becomes_an_address_of_the_engine_that_answered() {
    for (engine, link, expected) in [
        (
            "http://127.0.0.1:7437",
            "/v1/agent/link",
            "ws://127.0.0.1:7437/v1/agent/link",
        ),
        ("https://pay.example/", "/l", "wss://pay.example/l"),
        ("http://127.0.0.1:1", "ws://[::1]:2/l", "ws://[::1]:2/l"),
    ] {
        assert_eq!(absolute(engine, link), expected);
    }
}

#[test]
fn nothing_is_sent_in_plain_text_to_another_machine() {
    let directory = tempfile::tempdir().unwrap();
    for url in ["http://192.0.2.1:80", "http://engine.example", "nonsense"] {
        let result = pair(pairing(directory.path(), url), "code");
        assert!(matches!(result, Err(PairError::PlainText(_))), "{url}");
    }
    // TLS without anybody to trust is no way around it.
    let url = "https://127.0.0.1:1";
    let result = pair(pairing(directory.path(), url), "code");
    assert!(matches!(
        result,
        Err(PairError::Tls(_) | PairError::Unreachable { .. })
    ));
}

#[test]
fn damaged_files_are_named() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(key_path(directory.path()), "zz").unwrap();
    std::fs::write(identity_path(directory.path()), "{}").unwrap();
    assert!(matches!(
        load_key(directory.path()),
        Err(PairError::Damaged(_))
    ));
    assert!(matches!(
        load_identity(directory.path()),
        Err(PairError::Damaged(_))
    ));
}
