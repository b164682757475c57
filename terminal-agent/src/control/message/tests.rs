//! Lines that are understood, and lines that are refused.

use proptest::prelude::*;
use protocol::id::RequestId;
use protocol::link::{PosKind, TillRequest, TillStart};
use protocol::money::Money;
use uuid::Uuid;

use super::*;
use crate::machine::agent::{ControlCommand, TipKey};

fn command(line: &str) -> ControlCommand {
    let fresh = RequestId::from_uuid(Uuid::from_u128(1));
    match parse(line.as_bytes()).unwrap().wanted(fresh) {
        Wanted::Command(command) => command,
        Wanted::Watch => panic!("{line} watches"),
    }
}

#[test]
fn lines_become_commands() {
    let fresh = RequestId::from_uuid(Uuid::from_u128(1));
    let own: RequestId = "req_01h2xcejqtf2nbrexx3vqjhp41".parse().unwrap();
    let sale = |tip_prompt| {
        TillRequest::Start(TillStart {
            kind: PosKind::Sale,
            amount: Money::new(1_250, "USD".parse().unwrap()),
            reference: None,
            tip_prompt,
        })
    };
    for (line, expected) in [
        (
            r#"{"id":1,"command":"sale","amount":{"minor":1250,"currency":"USD"}}"#,
            ControlCommand::Request {
                request_id: fresh,
                request: sale(false),
            },
        ),
        (
            r#"{"id":1,"command":"sale","amount":{"minor":1250,"currency":"USD"},
               "tip_prompt":true,"request_id":"req_01h2xcejqtf2nbrexx3vqjhp41"}"#,
            ControlCommand::Request {
                request_id: own,
                request: sale(true),
            },
        ),
        (
            r#"{"id":1,"command":"cancel"}"#,
            ControlCommand::CancelCurrent {
                request_id: fresh,
                void_if_too_late: false,
            },
        ),
        (
            r#"{"id":1,"command":"choose_tip","choice":{"option":2}}"#,
            ControlCommand::ChooseTip(TipKey::Option(2)),
        ),
        (
            r#"{"id":1,"command":"choose_tip","choice":"none"}"#,
            ControlCommand::ChooseTip(TipKey::None),
        ),
        (
            r#"{"id":1,"command":"cancel_key"}"#,
            ControlCommand::CancelKey,
        ),
        (r#"{"command":"status","id":1}"#, ControlCommand::Status),
    ] {
        assert_eq!(command(line), expected, "{line}");
    }
}

/// Found by fuzzing.
#[test]
fn refusals_do_not_repeat_what_may_be_a_card_number() {
    for line in [
        r#"{"id":1,"command":"cancel_key","4761739001010010":1}"#,
        r#"{"id":1,"command":"4761 7390 0101 0010"}"#,
        r#"{"id":"4761-7390-0101-0010","command":"status"}"#,
    ] {
        let message = parse(line.as_bytes()).unwrap_err().message;
        let digits = message.chars().filter(char::is_ascii_digit).count();
        assert!(digits < 8, "{message}");
    }
    let message = parse(br#"{"id":1,"command":"sela"}"#).unwrap_err().message;
    assert!(message.contains("`sela`"), "{message}");
}

#[test]
fn hostile_lines_are_refused() {
    let long = format!(
        r#"{{"id":1,"command":"status","x":"{}"}}"#,
        "a".repeat(70_000)
    );
    let nested = "[".repeat(60_000);
    let reference = format!(
        r#"{{"id":1,"command":"sale","amount":{{"minor":1,"currency":"USD"}},"reference":"{}"}}"#,
        "r".repeat(129)
    );
    for line in [
        "",
        "null",
        "[]",
        "{}",
        "status",
        r#"{"id":1}"#,
        r#"{"id":1,"command":"drop"}"#,
        r#"{"command":"status"}"#,
        r#"{"id":-1,"command":"status"}"#,
        r#"{"id":1,"command":"status","extra":1}"#,
        r#"{"id":1,"command":"status"} {}"#,
        r#"{"id":1,"command":"sale"}"#,
        r#"{"id":1,"command":"sale","amount":12.50}"#,
        r#"{"id":1,"command":"sale","amount":{"minor":12.5,"currency":"USD"}}"#,
        r#"{"id":1,"command":"sale","amount":{"minor":1250,"currency":"usd"}}"#,
        r#"{"id":1,"command":"sale","amount":{"minor":99999999999999999999,"currency":"USD"}}"#,
        r#"{"id":1,"command":"sale","amount":{"minor":1250,"currency":"USD","x":1}}"#,
        r#"{"id":1,"command":"void","transaction_id":"pos_01h2xcejqtf2nbrexx3vqjhp41"}"#,
        r#"{"id":1,"command":"choose_tip","choice":{"option":-1}}"#,
        &long,
        &nested,
        &reference,
    ] {
        assert!(parse(line.as_bytes()).is_err(), "accepted: {line:.80}");
    }
    assert!(parse(b"\xFF\xFE{}").is_err());
}

proptest! {
    #[test]
    fn arbitrary_lines_never_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(parse(&line));
    }
}
