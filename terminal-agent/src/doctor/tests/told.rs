//! The running agent, its link, and what waits in it.

use super::*;

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
            agent::judge_agent(&fact),
            agent::judge_watchdog(&fact),
            link::judge_version(fact.running()),
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
    let check = link::judge_auth(&unpaired, &running(|_| ()));
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
        let check = link::judge_auth(&paired, &fact);
        assert_helpful(&check);
        assert_eq!((check.verdict, check.code.as_deref()), (verdict, code));
    }
    fs::write(directory.path().join("device-key"), "zz").unwrap();
    let damaged = IdentityFact::look(directory.path());
    let check = link::judge_auth(&damaged, &running(|_| ()));
    assert_eq!(check.code.as_deref(), Some("IDENTITY_DAMAGED"));
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
        let check = queue::judge_queue(&fact);
        assert_helpful(&check);
        assert_eq!(check.verdict, expected, "{fact:?}");
    }
}
