//! Verdicts on made-up facts, and whole examinations of tills that are not there.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use protocol::link::{PaperState, ReaderState, VERSION};
use protocol::printer::{PrinterStatus, Trouble};

use super::check::Verdict::{Fail, Pass, Skip, Warn};
use super::check::{CheckId, Verdict};
use super::devices::{
    PrinterFact, ReaderAnswers, ReaderFact, judge_printer, judge_reader, trouble_of,
};
use super::host::{AgentFact, QueueFact, Running, StateFact};
use super::network::{IdentityFact, Target};
use super::*;
use crate::control::message::{AnswerError, LinkHealth, PortsHealth, ProcessHealth};
use crate::device::fault::{PortFault, PortState};
use crate::journal::JournalSummary;
use crate::machine::agent::AgentStatus;
use crate::machine::screen::Screen;
use crate::tls::TlsFault;

fn running(change: impl FnOnce(&mut Running)) -> AgentFact {
    let open = PortState::Open {
        port: "/dev/x".to_owned(),
    };
    let mut running = Running {
        status: AgentStatus {
            is_online: true,
            label: "Till".to_owned(),
            currencies: Vec::new(),
            journal_id: None,
            boot: 3,
            till: protocol::link::TillStatus {
                reader: ReaderState::Ready,
                reader_serial: String::new(),
                reader_firmware: "VP3350 V1".to_owned(),
                printer_online: true,
                paper: PaperState::Ok,
                cover_open: false,
                printer_trouble: String::new(),
                drawer_open: None,
                agent_version: env!("CARGO_PKG_VERSION").to_owned(),
                current: None,
                configuration: Default::default(),
                facts: Default::default(),
                backlog: Default::default(),
            },
            has_printer: true,
            open: Vec::new(),
            unanswered_requests: 0,
            waiting_prints: Vec::new(),
            screen: Screen::Idle,
            idle_text: None,
        },
        ports: PortsHealth {
            reader: open.clone(),
            printer: Some(open),
        },
        process: ProcessHealth {
            process_id: 7,
            watchdog_ms: Some(30_000),
            link: LinkHealth {
                version: Some(VERSION),
                ..LinkHealth::default()
            },
        },
    };
    change(&mut running);
    AgentFact::Running(Box::new(running))
}

fn link_fault(code: &str) -> AgentFact {
    running(|running| {
        running.status.is_online = false;
        running.process.link.fault = Some(AnswerError {
            code: code.to_owned(),
            message: "it said so".to_owned(),
        });
    })
}

/// Every failure and warning says what to do.
fn assert_helpful(check: &Check) {
    let is_bad = matches!(check.verdict, Fail | Warn);
    assert_eq!(is_bad, !check.remedy.is_empty(), "{check:?}");
    assert!(!check.seen.is_empty(), "{check:?}");
}

#[test]
fn an_agent_is_judged_by_what_it_says() {
    for (fact, agent, watchdog, version) in [
        (running(|_| ()), Pass, Pass, Pass),
        (
            running(|running| running.process.watchdog_ms = None),
            Pass,
            Warn,
            Pass,
        ),
        (
            running(|running| running.status.till.agent_version = "0.0.1".to_owned()),
            Warn,
            Pass,
            Pass,
        ),
        (
            running(|running| running.process.link.version = Some(1)),
            Pass,
            Pass,
            Warn,
        ),
        (
            running(|running| running.process.link.version = None),
            Pass,
            Pass,
            Skip,
        ),
        (link_fault("LINK_REFUSED_VERSION"), Pass, Pass, Fail),
        (
            AgentFact::Absent {
                has_stale_socket: true,
            },
            Warn,
            Skip,
            Skip,
        ),
        (AgentFact::Forbidden, Fail, Skip, Skip),
        (AgentFact::Silent, Fail, Skip, Skip),
    ] {
        let checks = [
            host::judge_agent(&fact),
            host::judge_watchdog(&fact),
            network::judge_version(fact.running()),
        ];
        checks.iter().for_each(assert_helpful);
        let verdicts = checks.map(|check| check.verdict);
        assert_eq!(verdicts, [agent, watchdog, version], "{fact:?}");
    }
}

#[test]
fn the_credential_is_judged_by_the_link_and_never_by_a_second_one() {
    let directory = tempfile::tempdir().unwrap();
    let unpaired = IdentityFact::look(directory.path());
    let check = network::judge_auth(&unpaired, &running(|_| ()));
    assert_eq!(check.code.as_deref(), Some("NOT_PAIRED"));

    let identity = r#"{
        "terminal_id":"trm_01h2xcejqtf2nbrexx3vqjhp41",
        "merchant_id":"mer_01h2xcejqtf2nbrexx3vqjhp41",
        "label":"Till 1",
        "engine_incarnation":"inc_01h2xcejqtf2nbrexx3vqjhp41",
        "link_url":"ws://127.0.0.1:1/v1/agent/link"}"#;
    fs::write(directory.path().join("identity.json"), identity).unwrap();
    fs::write(directory.path().join("device-key"), "11".repeat(32)).unwrap();
    let paired = IdentityFact::look(directory.path());
    let absent = AgentFact::Absent {
        has_stale_socket: false,
    };
    for (fact, verdict, code) in [
        (running(|_| ()), Pass, None),
        (absent, Warn, None),
        (
            running(|running| running.status.is_online = false),
            Warn,
            None,
        ),
        (
            link_fault("LINK_REFUSED_UNAUTHORIZED"),
            Fail,
            Some("LINK_REFUSED_UNAUTHORIZED"),
        ),
        (
            link_fault("LINK_REFUSED_DUPLICATE_IDENTITY"),
            Fail,
            Some("LINK_REFUSED_DUPLICATE_IDENTITY"),
        ),
        (
            link_fault("ENGINE_UNREACHABLE"),
            Fail,
            Some("ENGINE_UNREACHABLE"),
        ),
    ] {
        let check = network::judge_auth(&paired, &fact);
        assert_helpful(&check);
        assert_eq!((check.verdict, check.code.as_deref()), (verdict, code));
    }
    fs::write(directory.path().join("device-key"), "zz").unwrap();
    let damaged = IdentityFact::look(directory.path());
    let check = network::judge_auth(&damaged, &running(|_| ()));
    assert_eq!(check.code.as_deref(), Some("IDENTITY_DAMAGED"));
}

#[test]
fn a_reader_is_judged_by_its_answers() {
    let answers = |has_answered, firmware: &str, is_encrypting| {
        ReaderFact::Asked(ReaderAnswers {
            has_answered,
            firmware: firmware.to_owned(),
            is_encrypting,
        })
    };
    let state = |state| ReaderFact::Agent {
        port: PortState::Open {
            port: "/dev/x".to_owned(),
        },
        state,
        firmware: "V1".to_owned(),
    };
    let closed = ReaderFact::Agent {
        port: PortState::Starting,
        state: ReaderState::Absent,
        firmware: String::new(),
    };
    let fault = PortFault::NotFound {
        what: "/dev/x".to_owned(),
    };
    for (fact, expected) in [
        (answers(true, "V1", Some(true)), [Pass, Pass, Pass]),
        (answers(true, "", Some(true)), [Pass, Warn, Pass]),
        (answers(true, "V1", Some(false)), [Pass, Pass, Fail]),
        (answers(true, "V1", None), [Pass, Pass, Fail]),
        (answers(false, "", None), [Fail, Skip, Skip]),
        (state(ReaderState::Ready), [Pass, Pass, Pass]),
        (state(ReaderState::NotEncrypting), [Pass, Pass, Fail]),
        (state(ReaderState::Absent), [Fail, Skip, Skip]),
        (state(ReaderState::Starting), [Fail, Skip, Skip]),
        (closed, [Skip, Skip, Skip]),
        (ReaderFact::Fault(fault), [Skip, Skip, Skip]),
        (ReaderFact::NotTried("no"), [Skip, Skip, Skip]),
    ] {
        let checks = judge_reader(&fact);
        checks.iter().for_each(assert_helpful);
        let verdicts: Vec<_> = checks.iter().map(|check| check.verdict).collect();
        assert_eq!(verdicts, expected, "{fact:?}");
    }
}

#[test]
fn a_printer_is_judged_by_its_state() {
    use protocol::printer::PaperState as Sensed;
    let asked = |change: fn(&mut PrinterStatus)| {
        let mut status = PrinterStatus::default();
        change(&mut status);
        PrinterFact::Asked(Some(status))
    };
    let agent = |paper, trouble, is_online| PrinterFact::Agent {
        port: PortState::Open {
            port: "/dev/x".to_owned(),
        },
        is_online,
        paper,
        trouble,
    };
    for (fact, expected) in [
        (asked(|_| ()), [Pass, Pass]),
        (asked(|status| status.paper = Sensed::NearEnd), [Pass, Warn]),
        (
            asked(|status| {
                status.paper = Sensed::Out;
                status.online = false;
            }),
            [Pass, Fail],
        ),
        (asked(|status| status.cover_open = true), [Fail, Pass]),
        (asked(|status| status.cutter_error = true), [Fail, Pass]),
        (asked(|status| status.online = false), [Fail, Pass]),
        (PrinterFact::Asked(None), [Fail, Skip]),
        (agent(PaperState::Ok, None, true), [Pass, Pass]),
        (
            agent(PaperState::Out, Some(Trouble::NoPaper), false),
            [Pass, Fail],
        ),
        (agent(PaperState::Unknown, None, false), [Fail, Skip]),
        (
            agent(PaperState::Ok, Some(Trouble::CoverOpen), false),
            [Fail, Pass],
        ),
        (PrinterFact::NotTried("no"), [Skip, Skip]),
    ] {
        let checks = judge_printer(&fact);
        checks.iter().for_each(assert_helpful);
        let verdicts: Vec<_> = checks.iter().map(|check| check.verdict).collect();
        assert_eq!(verdicts, expected, "{fact:?}");
    }
    assert_eq!(trouble_of(&PrinterStatus::default()), None);
}

#[test]
fn the_state_directory_is_judged_by_modes_and_room() {
    let path = Path::new("/state");
    let fact = |mode, key_mode, free| StateFact {
        refusal: None,
        exists: true,
        mode: Some(mode),
        owner: Some(990),
        secrets: vec![("device-key".to_owned(), key_mode, 990)],
        free,
    };
    let room = Some((1 << 30, 1_000));
    for (fact, permissions, disk) in [
        (fact(0o750, 0o600, room), Pass, Pass),
        (fact(0o700, 0o400, room), Pass, Pass),
        (fact(0o755, 0o600, room), Fail, Pass),
        (fact(0o770, 0o600, room), Fail, Pass),
        (fact(0o750, 0o640, Some((1 << 20, 9))), Fail, Fail),
        (fact(0o750, 0o600, Some((50 << 20, 9))), Pass, Warn),
        (fact(0o750, 0o600, Some((1 << 30, 0))), Pass, Fail),
        (fact(0o750, 0o600, None), Pass, Skip),
    ] {
        let checks = [
            host::judge_permissions(path, &fact),
            host::judge_disk(&fact),
        ];
        checks.iter().for_each(assert_helpful);
        assert_eq!(
            checks.map(|check| check.verdict),
            [permissions, disk],
            "{fact:?}"
        );
    }
    let foreign = StateFact {
        secrets: vec![("device-key".to_owned(), 0o600, 0)],
        ..fact(0o750, 0o600, room)
    };
    assert_eq!(host::judge_permissions(path, &foreign).verdict, Fail);
    assert_eq!(
        host::judge_writable(path, &StateFact::default()).verdict,
        Fail
    );
}

#[test]
fn what_waits_is_judged_by_whether_it_can_be_told() {
    let running = |open, requests, prints, is_online| QueueFact::Running {
        open,
        requests,
        prints,
        is_online,
    };
    let journal = |open, corrupt_at| {
        QueueFact::Journal(JournalSummary {
            open,
            corrupt_at,
            ..JournalSummary::default()
        })
    };
    for (fact, expected) in [
        (running(0, 0, 0, false), Pass),
        (running(1, 0, 0, true), Pass),
        (running(1, 0, 0, false), Warn),
        (running(0, 2, 0, false), Warn),
        (running(0, 0, 3, true), Warn),
        (journal(0, None), Pass),
        (journal(2, None), Warn),
        (journal(0, Some(12)), Fail),
        (QueueFact::Unreadable("no".to_owned()), Fail),
    ] {
        let check = host::judge_queue(&fact);
        assert_helpful(&check);
        assert_eq!(check.verdict, expected, "{fact:?}");
    }
}

#[test]
fn certificates_and_clocks_are_judged_by_seconds() {
    for (theirs, expected) in [
        (1_000_000, Pass),
        (1_000_029, Pass),
        (1_000_031, Warn),
        (999_400, Warn),
        (999_399, Fail),
        (2_000_000, Fail),
    ] {
        let check = network::judge_skew(&Ok((theirs, 1_000_000)));
        assert_helpful(&check);
        assert_eq!(check.verdict, expected, "{theirs}");
    }
    assert_eq!(network::judge_skew(&Err("no".to_owned())).verdict, Warn);
    let fault = TlsFault::Expired { not_after_s: 1 };
    let check = network::judge_tls(&Err(fault), 0);
    assert_helpful(&check);
    assert_eq!(check.code.as_deref(), Some("TLS_CERTIFICATE_EXPIRED"));
    for (url, verdict) in [("ws://127.0.0.1:1/x", Skip), ("http://192.0.2.1:80", Fail)] {
        let target = Target::parse(url).unwrap();
        assert_eq!(network::judge_plain_text(&target).verdict, verdict);
    }
    for sync in [Some(true), Some(false), None] {
        assert_helpful(&host::judge_clock(sync));
    }
}

#[test]
fn names_and_ports_are_judged_by_what_the_system_says() {
    let target = Target::parse("wss://[::1]:7437/v1/agent/link").unwrap();
    assert_eq!((target.host.as_str(), target.port), ("::1", 7437));
    assert_eq!(Target::parse("ftp://x"), None);
    assert_eq!(Target::parse("nonsense"), None);
    let refused = Err("refused".to_owned());
    assert_helpful(&network::judge_dns(&target, &Err("no".to_owned())));
    assert_helpful(&network::judge_tcp(&refused));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let closed = "127.0.0.1:1".parse().unwrap();
    assert_eq!(network::look_at_port(&[closed, address]), Ok(address));
    drop(listener);
    assert!(network::look_at_port(&[address]).is_err());
}

fn verdict_of(report: &Report, id: CheckId) -> Verdict {
    let check = report.checks.iter().find(|check| check.id == id.name());
    check.unwrap().verdict
}

/// A till in a directory, with these ports and an engine that is not there.
fn till(directory: &Path) -> PathBuf {
    let state = directory.join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o755)).unwrap();
    let path = directory.join("agent.toml");
    let config = format!(
        "state_dir = {state:?}\ndevice_root = {directory:?}\n[engine]\nurl = \
         \"http://127.0.0.1:1\"\n[reader]\npath = {:?}\n",
        directory.join("nothing")
    );
    fs::write(&path, config).unwrap();
    path
}

#[test]
fn every_check_is_reported_whatever_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let broken = directory.path().join("broken.toml");
    fs::write(&broken, "[reader]\nbuad = 1").unwrap();
    for path in [
        till(directory.path()),
        broken,
        directory.path().join("nothing.toml"),
    ] {
        let report = examine(&path, false);
        assert!(report.has_failed());
        for id in CheckId::ALL {
            verdict_of(&report, *id);
        }
        report.checks.iter().for_each(assert_helpful);
    }
}

#[test]
fn a_till_without_an_engine_says_what_rests_on_it() {
    let directory = tempfile::tempdir().unwrap();
    let report = examine(&till(directory.path()), false);
    for (id, verdict) in [
        (CheckId::ConfigValid, Pass),
        (CheckId::StateWritable, Pass),
        (CheckId::StatePermissions, Fail),
        (CheckId::AgentRunning, Warn),
        (CheckId::NetDns, Pass),
        (CheckId::NetTcp, Fail),
        (CheckId::NetTls, Skip),
        (CheckId::ClockSkew, Skip),
        (CheckId::EngineAuth, Fail),
        (CheckId::PortExists, Fail),
        (CheckId::PortPermission, Skip),
        (CheckId::ReaderHello, Skip),
        (CheckId::PrinterStatus, Skip),
        (CheckId::QueueDepth, Pass),
    ] {
        assert_eq!(verdict_of(&report, id), verdict, "{}", id.name());
    }
}

#[test]
fn fixing_closes_the_state_directory_and_removes_a_left_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = till(directory.path());
    let state = directory.path().join("state");
    let key = state.join("device-key");
    fs::write(&key, "11".repeat(32)).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let socket = crate::control::socket_path(&state);
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;

    let report = examine(&path, false);
    assert_eq!(verdict_of(&report, CheckId::StatePermissions), Fail);
    assert_eq!((mode(&state), mode(&key)), (0o755, 0o644), "only looked at");
    assert!(socket.exists());

    let report = examine(&path, true);
    assert_eq!(verdict_of(&report, CheckId::StatePermissions), Pass);
    assert_eq!((mode(&state), mode(&key)), (0o750, 0o600));
    assert!(!socket.exists());
    let fixed = report.checks.iter().filter(|check| check.fixed.is_some());
    assert_eq!(fixed.count(), 2);
    assert!(report.text().contains("fixed: "));
    assert_eq!(fs::read_dir(&state).unwrap().count(), 1, "nothing is left");
}
