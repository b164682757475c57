//! Samples of both ends of the handshake.

use super::{ATTEMPT, INCARNATION, JOB, JOURNAL, POS, TERMINAL, completion, prints};
use protocol::link::{
    AttemptEnd, Challenge, ChipOutcome, Digest, DigestState, Handshake, HandshakeReply, Hello,
    PrintReport, Refused, RefusedReason, Welcome,
};

fn hello(open: Vec<Digest>, prints: Vec<PrintReport>) -> Handshake {
    hello_of(1, open, prints)
}

fn hello_of(version: u16, open: Vec<Digest>, prints: Vec<PrintReport>) -> Handshake {
    Handshake::Hello(Box::new(Hello {
        version,
        terminal_id: TERMINAL,
        agent_version: "0.1.0".to_owned(),
        journal_id: JOURNAL,
        boot: 3,
        connection: 70_000,
        signature: vec![0xA5; 64],
        open,
        prints,
        has_simulator: false,
    }))
}

/// The hello of a till whose devices are simulated; the field is absent from every other.
fn simulated_hello() -> Handshake {
    let Handshake::Hello(mut hello) = hello(Vec::new(), Vec::new());
    hello.has_simulator = true;
    Handshake::Hello(hello)
}

pub(super) fn handshakes() -> Vec<(&'static str, Handshake)> {
    let states = [
        DigestState::Accepted,
        DigestState::Reading,
        DigestState::Sent,
        DigestState::Lost,
        DigestState::Ended(AttemptEnd::AgentRestarted),
        DigestState::Completed(completion(ChipOutcome::Agreed)),
    ];
    let digest = |state| Digest {
        pos_id: POS,
        attempt_id: Some(ATTEMPT),
        state,
    };
    let mut open: Vec<Digest> = states.into_iter().map(digest).collect();
    open[0].attempt_id = None;
    vec![
        ("", hello(Vec::new(), Vec::new())),
        (
            "open",
            hello(
                open,
                prints().into_iter().map(|(_, report)| report).collect(),
            ),
        ),
        ("simulated", simulated_hello()),
        ("", hello_of(2, Vec::new(), Vec::new())),
    ]
}

fn challenge(version_max: u16) -> HandshakeReply {
    HandshakeReply::Challenge(Challenge {
        version_min: 1,
        version_max,
        nonce: (0..32).collect(),
        incarnation: INCARNATION,
    })
}

pub(super) fn replies() -> Vec<(&'static str, HandshakeReply)> {
    let refused = |reason| HandshakeReply::Refused(Refused { reason });
    vec![
        ("", challenge(1)),
        ("", challenge(2)),
        (
            "",
            HandshakeReply::Welcome(Welcome {
                epoch: 9,
                now_ms: 1_800_000_000_000,
                label: "Lane 1".to_owned(),
                prints_known: vec![JOB],
                currencies: vec![],
            }),
        ),
        (
            "currencies",
            HandshakeReply::Welcome(Welcome {
                epoch: 9,
                now_ms: 1_800_000_000_000,
                label: "Lane 1".to_owned(),
                prints_known: vec![],
                currencies: vec!["JPY".parse().unwrap(), "USD".parse().unwrap()],
            }),
        ),
        ("version", refused(RefusedReason::Version)),
        ("unauthorized", refused(RefusedReason::Unauthorized)),
        (
            "duplicate_identity",
            refused(RefusedReason::DuplicateIdentity),
        ),
        ("stale", refused(RefusedReason::Stale)),
        ("busy", refused(RefusedReason::Busy)),
    ]
}
