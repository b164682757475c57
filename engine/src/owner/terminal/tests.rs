//! What a terminal's owner does with links, and with faults that were asked for.

use protocol::id::FaultId;
use protocol::link::{
    ConfigurationRefused, ConfigurationReport, RefusedReason, SimulatorCommand, StatusReport,
    VERSION,
};
use uuid::Uuid;

use super::*;

const T0: Timestamp = Timestamp(1_800_000_000_000);

fn journal(number: u128) -> JournalId {
    JournalId::from_uuid(Uuid::from_u128(number))
}

fn hello(socket: u64, number: u128, connection: u64) -> TerminalInput {
    TerminalInput::Hello(Box::new(VerifiedHello {
        socket,
        version: VERSION,
        journal_id: journal(number),
        boot: 1,
        connection,
        open: Vec::new(),
        prints: Vec::new(),
        has_simulator: false,
    }))
}

fn welcome(socket: u64) -> TerminalInput {
    TerminalInput::Welcome {
        socket,
        label: "Lane 1".to_owned(),
        currencies: vec!["USD".parse().unwrap()],
        prints_known: Vec::new(),
    }
}

/// What one input makes visible: `up`, `down`, `close 1`, `refuse 1 Stale`, `ping`, …
fn step(owner: &mut TerminalOwner, now: Timestamp, input: TerminalInput) -> Vec<String> {
    let mut out = Vec::new();
    owner.handle(now, input, &mut out);
    out.iter()
        .filter_map(|output| {
            Some(match output {
                TerminalOutput::Welcome { socket, .. } => format!("welcome {socket}"),
                TerminalOutput::Refuse { socket, reason } => {
                    format!("refuse {socket} {reason:?}")
                }
                TerminalOutput::Send { socket, message } => {
                    format!("send {socket} {message:?}")
                }
                TerminalOutput::Close { socket } => format!("close {socket}"),
                TerminalOutput::Merchant(event) => match event.as_ref() {
                    TerminalEvent::Up { .. } => "up".to_owned(),
                    TerminalEvent::Down => "down".to_owned(),
                    TerminalEvent::Said(message) => format!("said {message:?}"),
                    TerminalEvent::Configured(report) => {
                        let refused = report.refused.as_ref().map(|one| one.version);
                        format!("configured {} refused {refused:?}", report.applied)
                    }
                },
                TerminalOutput::Told { askers, freshness } => {
                    format!("told {askers:?} {freshness:?}")
                }
                TerminalOutput::Status => return None,
            })
        })
        .collect()
}

/// Whoever owns the money refuses one of two that take turns: both lose their link.
#[test]
fn a_refused_hello_leaves_no_link_behind() {
    let mut owner = TerminalOwner::default();
    step(&mut owner, T0, hello(1, 1, 1));
    step(&mut owner, T0, welcome(1));
    let seen = step(&mut owner, T0, hello(2, 2, 1));
    assert_eq!(seen, ["close 1", "down", "up"]);
    let refuse = || TerminalInput::Refuse {
        socket: 2,
        reason: RefusedReason::DuplicateIdentity,
    };
    let seen = step(&mut owner, T0, refuse());
    assert_eq!(seen, ["refuse 2 DuplicateIdentity", "down"]);
    assert!(!owner.is_online());
    assert_eq!(step(&mut owner, T0, refuse()), [""; 0], "nobody is left");
}

/// A verdict is on the hello that it was made for, not on a later one.
#[test]
fn a_refusal_of_an_older_hello_does_not_touch_the_newer() {
    let mut owner = TerminalOwner::default();
    step(&mut owner, T0, hello(1, 1, 1));
    step(&mut owner, T0, hello(2, 1, 2));
    let refuse = TerminalInput::Refuse {
        socket: 1,
        reason: RefusedReason::Busy,
    };
    assert_eq!(step(&mut owner, T0, refuse), [""; 0]);
    assert_eq!(step(&mut owner, T0, welcome(2)), ["welcome 2"]);
}

/// A key that is replaced, or an owner that is discarded, ends the link while verdicts on earlier
/// hellos are still on their way (seed 777001738).
#[test]
fn a_verdict_from_before_a_reset_is_not_on_the_hello_after_it() {
    for is_renewed in [true, false] {
        let mut owner = TerminalOwner::default();
        step(&mut owner, T0, hello(1, 1, 1));
        step(&mut owner, T0, TerminalInput::Reset { is_renewed });
        step(&mut owner, T0, hello(2, 1, 2));
        assert_eq!(step(&mut owner, T0, welcome(1)), [""; 0]);
        assert!(!owner.is_online());
        assert_eq!(step(&mut owner, T0, welcome(2)), ["welcome 2"]);
    }
}

/// What was said last counts, also when the link that it was said on is gone; later than that
/// nothing older can be on its way, and the till's count has begun again.
#[test]
fn an_older_hello_is_stale_also_when_the_newer_link_is_gone() {
    let late = [(HELLO_MS_MAX - 1, "refuse 6 Stale"), (HELLO_MS_MAX, "up")];
    for (after_ms, expected) in late {
        let mut owner = TerminalOwner::default();
        step(&mut owner, T0, hello(7, 1, 7));
        step(&mut owner, T0, TerminalInput::Closed { socket: 7 });
        let seen = step(&mut owner, T0.plus_ms(after_ms), hello(6, 1, 6));
        assert_eq!(seen, [expected]);
    }
}

/// Another installation of the same identity in between changes nothing about it (seed 1888).
#[test]
fn an_older_hello_is_stale_also_when_another_installation_came_since() {
    let mut owner = TerminalOwner::default();
    step(&mut owner, T0, hello(7, 1, 7));
    step(&mut owner, T0.plus_ms(1_000), hello(8, 2, 1));
    let late = T0.plus_ms(HELLO_MS_MAX - 1);
    assert_eq!(step(&mut owner, late, hello(4, 1, 4)), ["refuse 4 Stale"]);
    let seen = step(&mut owner, late.plus_ms(1), hello(5, 1, 5));
    assert_eq!(
        seen,
        ["close 8", "down", "up"],
        "nothing is remembered for ever"
    );
}

#[test]
fn an_older_connection_of_the_same_agent_is_stale() {
    let mut owner = TerminalOwner::default();
    step(&mut owner, T0, hello(1, 1, 5));
    for connection in [4, 5] {
        assert_eq!(
            step(&mut owner, T0, hello(2, 1, connection)),
            ["refuse 2 Stale"]
        );
    }
    assert_eq!(
        step(&mut owner, T0, hello(3, 1, 6)),
        ["close 1", "down", "up"]
    );
    let old = TerminalInput::Said {
        socket: 1,
        message: Box::new(ToEngine::Pong),
    };
    assert_eq!(
        step(&mut owner, T0, old),
        [""; 0],
        "an older epoch is dropped"
    );
    assert_eq!(
        step(&mut owner, T0, TerminalInput::Closed { socket: 1 }),
        [""; 0]
    );
}

/// Nothing goes out before the welcome; a link ends when its socket does, and no timer of the owner
/// keeps it.
#[test]
fn a_link_begins_with_its_welcome_and_ends_with_its_socket() {
    let mut owner = TerminalOwner::default();
    step(&mut owner, T0, hello(1, 1, 1));
    let early = TerminalInput::Send(Box::new(ToAgent::Ping));
    assert_eq!(step(&mut owner, T0, early), [""; 0]);
    assert!(!owner.is_online());
    assert_eq!(step(&mut owner, T0, welcome(1)), ["welcome 1"]);
    assert!(owner.is_online());
    for heartbeat in [ToEngine::Ping, ToEngine::Pong] {
        assert_eq!(step(&mut owner, T0, says(1, heartbeat)), [""; 0]);
    }
    assert_eq!(owner.poll_deadline(), None, "whoever has the socket beats");
    let later = T0.plus_ms(29_000);
    let lost = step(&mut owner, later, TerminalInput::Closed { socket: 1 });
    assert_eq!(lost, ["down"]);
    assert_eq!((owner.is_online(), owner.since()), (false, later));
}

fn told(owner: &mut TerminalOwner, now: Timestamp, input: TerminalInput) -> Vec<TerminalOutput> {
    let mut out = Vec::new();
    owner.handle(now, input, &mut out);
    out
}

fn be_welcome(owner: &mut TerminalOwner, socket: u64) {
    told(owner, T0, welcome(socket));
    assert!(owner.is_online());
}

fn with_simulator(hello: TerminalInput) -> TerminalInput {
    match hello {
        TerminalInput::Hello(mut hello) => {
            hello.has_simulator = true;
            TerminalInput::Hello(hello)
        }
        other => other,
    }
}

fn simulate() -> TerminalInput {
    TerminalInput::Send(Box::new(ToAgent::Simulate(SimulatorCommand {
        fault_id: FaultId::from_uuid(Uuid::from_u128(2)),
        device: "printer".to_owned(),
        command: "paper-out".to_owned(),
        arguments: Vec::new(),
        wait_for: Vec::new(),
    })))
}

fn refusal(out: &[TerminalOutput]) -> Option<&str> {
    match out {
        [TerminalOutput::Merchant(event)] => match event.as_ref() {
            TerminalEvent::Said(ToEngine::Simulated { refusal, .. }) => refusal.as_deref(),
            _ => None,
        },
        _ => None,
    }
}

#[test]
fn a_cut_link_is_closed_and_new_ones_refused_for_as_long_as_was_asked() {
    let mut owner = TerminalOwner::default();
    told(&mut owner, T0, hello(1, 1, 1));
    be_welcome(&mut owner, 1);
    let out = told(&mut owner, T0, TerminalInput::Cut { refusal_ms: 5_000 });
    assert!(matches!(
        out.first(),
        Some(TerminalOutput::Close { socket: 1 })
    ));
    assert!(out.contains(&TerminalOutput::Merchant(Box::new(TerminalEvent::Down))));
    let early = told(&mut owner, T0.plus_ms(4_999), hello(2, 1, 2));
    let busy = TerminalOutput::Refuse {
        socket: 2,
        reason: RefusedReason::Busy,
    };
    assert_eq!(early, [busy]);
    told(&mut owner, T0.plus_ms(5_000), hello(3, 1, 3));
    be_welcome(&mut owner, 3);
}

#[test]
fn only_an_agent_that_knows_a_simulator_hears_of_it() {
    let mut owner = TerminalOwner::default();
    assert_eq!(refusal(&told(&mut owner, T0, simulate())), Some(OFFLINE));
    told(&mut owner, T0, hello(1, 1, 1));
    assert_eq!(refusal(&told(&mut owner, T0, simulate())), Some(OFFLINE));
    be_welcome(&mut owner, 1);
    assert_eq!(
        refusal(&told(&mut owner, T0, simulate())),
        Some(NO_SIMULATOR)
    );
    told(&mut owner, T0, with_simulator(hello(2, 1, 2)));
    be_welcome(&mut owner, 2);
    let out = told(&mut owner, T0, simulate());
    assert!(
        matches!(&out[..], [TerminalOutput::Send { socket: 2, .. }]),
        "{out:?}"
    );
}

#[test]
fn what_the_next_link_depends_on_is_kept() {
    let mut owner = TerminalOwner::default();
    let mut now = T0;
    assert!(owner.is_at_rest(now));
    step(&mut owner, now, hello(1, 1, 1));
    step(&mut owner, now, welcome(1));
    assert!(!owner.is_at_rest(now.plus_ms(HELLO_MS_MAX)), "linked");
    step(&mut owner, now, TerminalInput::Closed { socket: 1 });
    assert!(!owner.is_at_rest(now), "an older hello may be on its way");
    now = now.plus_ms(HELLO_MS_MAX);
    assert!(owner.is_at_rest(now));
    let refusal_ms = 1_000;
    step(&mut owner, now, TerminalInput::Cut { refusal_ms });
    assert!(!owner.is_at_rest(now), "refuses links");
    assert!(owner.is_at_rest(now.plus_ms(refusal_ms)));
}

#[test]
fn what_is_newer_than_the_link_is_not_sent_on_it() {
    for (version, expected) in [(0, 0), (VERSION, 1)] {
        let mut owner = TerminalOwner::default();
        let TerminalInput::Hello(mut greeting) = hello(1, 1, 1) else {
            unreachable!("a hello is one")
        };
        // Nothing speaks version 0: every message is newer.
        greeting.version = version;
        let mut out = Vec::new();
        owner.handle(T0, TerminalInput::Hello(greeting), &mut out);
        assert_eq!(owner.version(), None);
        owner.handle(T0, welcome(1), &mut out);
        assert_eq!(owner.version(), Some(version));
        out.clear();
        owner.handle(T0, TerminalInput::Send(Box::new(ToAgent::Pong)), &mut out);
        assert_eq!(out.len(), expected, "{out:?}");
    }
}

fn status(applied: u64, refused: Option<u64>) -> TillStatus {
    let refused = refused.map(|version| ConfigurationRefused {
        version,
        reason: "no such setting".to_owned(),
    });
    TillStatus {
        configuration: Some(ConfigurationReport { applied, refused }),
        ..TillStatus::healthy()
    }
}

fn says(socket: u64, message: ToEngine) -> TerminalInput {
    let message = Box::new(message);
    TerminalInput::Said { socket, message }
}

fn reports(socket: u64, ask: u64, is_reader_held: bool) -> TerminalInput {
    let report = StatusReport {
        ask,
        is_reader_held,
        reader_age_ms: Some(70),
        status: status(0, None),
    };
    says(socket, ToEngine::StatusReported(Box::new(report)))
}

fn linked(version: u16) -> TerminalOwner {
    let mut owner = TerminalOwner::default();
    let TerminalInput::Hello(mut greeting) = hello(1, 1, 1) else {
        unreachable!("a hello is one")
    };
    greeting.version = version;
    step(&mut owner, T0, TerminalInput::Hello(greeting));
    step(&mut owner, T0, welcome(1));
    owner
}

#[test]
fn all_who_ask_at_once_get_one_answer() {
    let ask = |asker| TerminalInput::Ask { asker };
    let mut owner = linked(2);
    assert_eq!(
        step(&mut owner, T0, ask(1)),
        ["send 1 ReportStatus { ask: 1 }"]
    );
    assert_eq!(
        step(&mut owner, T0, ask(2)),
        [""; 0],
        "one question is open"
    );
    assert_eq!(
        step(&mut owner, T0, reports(1, 9, false)),
        [""; 0],
        "another answer"
    );
    let told = step(&mut owner, T0, reports(1, 1, false));
    assert_eq!(told, ["told {1, 2} Fresh"]);
    assert_eq!(owner.reader_age_ms(), Some(70));
    step(&mut owner, T0, ask(3));
    let told = step(&mut owner, T0, reports(1, 2, true));
    assert_eq!(told, ["told {3} ReaderHeld"]);
}

#[test]
fn nobody_waits_longer_than_three_seconds() {
    let ask = |asker| TerminalInput::Ask { asker };
    let mut owner = linked(2);
    step(&mut owner, T0, ask(1));
    let until = T0.plus_ms(FRESH_MS_MAX);
    assert_eq!(owner.poll_deadline(), Some(until));
    step(&mut owner, until.plus_ms(0), ask(2));
    let told = step(&mut owner, until, TerminalInput::Deadline);
    assert_eq!(told, ["told {1, 2} TimedOut"]);
    assert_eq!(
        step(&mut owner, until, reports(1, 1, false)),
        [""; 0],
        "too late"
    );

    step(&mut owner, until, ask(3));
    let lost = step(&mut owner, until, TerminalInput::Closed { socket: 1 });
    assert_eq!(lost, ["told {3} Offline", "down"]);
    assert_eq!(step(&mut owner, until, ask(4)), ["told {4} Offline"]);
    let mut old = linked(1);
    assert_eq!(step(&mut old, T0, ask(1)), ["told {1} NotSupported"]);
}

#[test]
fn a_configuration_is_sent_when_the_till_says_that_it_has_another() {
    let configure = |version| {
        let settings = Vec::new();
        TerminalInput::Configure(Arc::new(Configuration { version, settings }))
    };
    let sent = |version: u64| {
        format!("send 1 Configure(Configuration {{ version: {version}, settings: [] }})")
    };
    let has = |applied, refused| says(1, ToEngine::Status(status(applied, refused)));
    let mut owner = linked(2);
    assert_eq!(
        step(&mut owner, T0, configure(3)),
        [""; 0],
        "it has not spoken"
    );
    let seen = step(&mut owner, T0, has(2, None));
    assert_eq!(seen, ["configured 2 refused None".to_owned(), sent(3)]);
    assert_eq!(
        step(&mut owner, T0, has(2, None)),
        [""; 0],
        "it is on its way"
    );
    assert_eq!(
        step(&mut owner, T0, has(3, None)),
        ["configured 3 refused None"]
    );
    assert_eq!(step(&mut owner, T0, configure(3)), [""; 0], "it has it");
    assert_eq!(step(&mut owner, T0, configure(4)), [sent(4)]);
    let refused = step(&mut owner, T0, has(3, Some(4)));
    assert_eq!(refused, ["configured 3 refused Some(4)"]);
    assert_eq!(owner.refused().map(|one| one.version), Some(4));
    // Back to what it has: it is told, so that it forgets what it refused.
    assert_eq!(step(&mut owner, T0, configure(5)), [sent(5)]);

    // The next link is told once the till has spoken on it.
    step(&mut owner, T0, TerminalInput::Closed { socket: 1 });
    step(&mut owner, T0, hello(1, 1, 2));
    step(&mut owner, T0, welcome(1));
    let seen = step(&mut owner, T0, has(5, None));
    assert_eq!(seen, ["configured 5 refused None"]);

    let mut old = linked(1);
    let seen = step(&mut old, T0, configure(3));
    assert_eq!(seen, ["configured 0 refused Some(3)"]);
    assert!(old.refused().unwrap().reason.contains("too old"));
    assert_eq!(step(&mut old, T0, configure(3)), [""; 0]);
}

#[test]
fn nothing_is_said_of_configurations_where_none_is_wanted() {
    let mut owner = linked(2);
    let spoken = says(1, ToEngine::Status(status(7, None)));
    assert_eq!(step(&mut owner, T0, spoken), [""; 0]);
}
