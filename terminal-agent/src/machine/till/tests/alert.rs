//! What is broken or missing, with what to do about it.

use super::*;

#[test]
fn what_is_missing_is_said_with_what_to_do() {
    let with = |change: fn(&mut AgentStatus)| {
        let mut status = status();
        change(&mut status);
        let mut desk = Desk::new();
        desk.connect(status);
        desk.till.view(desk.now_ms).alerts.join("\n")
    };
    type Change = fn(&mut AgentStatus);
    let cases: [(Change, &str); 9] = [
        (|status| status.is_online = false, "ENGINE OFFLINE"),
        (
            |status| status.till.reader = ReaderState::Absent,
            "READER NOT FOUND: check its cable",
        ),
        (
            |status| status.till.reader = ReaderState::Starting,
            "READER STARTING",
        ),
        (
            |status| status.till.reader = ReaderState::NotEncrypting,
            "READER BLOCKED",
        ),
        (
            |status| status.till.paper = PaperState::Out,
            "NO PAPER: put in a new roll",
        ),
        (
            |status| status.till.paper = PaperState::NearEnd,
            "PAPER NEARLY OUT",
        ),
        (
            |status| status.till.cover_open = true,
            "PRINTER COVER OPEN: close it",
        ),
        (
            |status| status.till.printer_online = false,
            "PRINTER NOT READY",
        ),
        (
            |status| {
                status.screen = Screen::OutOfOrder {
                    reason: "journal_fault".to_owned(),
                };
            },
            "TILL OUT OF ORDER",
        ),
    ];
    for (change, words) in cases {
        let alerts = with(change);
        assert!(alerts.contains(words), "{words}: {alerts}");
    }
    assert_eq!(with(|_| ()), "");
    assert_eq!(
        with(|status| {
            status.has_printer = false;
            status.till.printer_online = false;
        }),
        ""
    );
    let mut desk = Desk::ready();
    desk.pass(1_500);
    desk.pass(6_000);
    assert!(
        desk.text().contains("AGENT DOES NOT ANSWER"),
        "{}",
        desk.text()
    );
    desk.input(Input::Absent(Absence::Forbidden));
    assert!(desk.text().contains("NO ACCESS"), "{}", desk.text());
}

#[test]
fn a_port_that_does_not_open_says_why() {
    let answer = br#"{"state":"faulty","code":"PORT_IN_USE","message":"/dev/ttyACM0 is in use",
        "remedy":"end the program that has it"}"#;
    let mut status = status();
    status.till.reader = ReaderState::Absent;
    let mut desk = Desk::new();
    desk.input(Input::Connected);
    let id = desk.take(|line| matches!(line, Line::Status { .. })).id();
    let ports = PortsHealth {
        reader: serde_json::from_slice(answer).unwrap(),
        printer: None,
    };
    let data = AnswerData::Status {
        status: Box::new(status),
        ports: Box::new(ports),
        process: Box::default(),
    };
    desk.answer(Answer::good(id, data));
    let alerts = desk.till.view(desk.now_ms).alerts;
    let expected = "READER NOT FOUND: /dev/ttyACM0 is in use. end the program that has it";
    assert_eq!(alerts, [expected]);
}
