//! A terminal's link: who is refused, and what a hello settles.

use protocol::id::JournalId;
use protocol::link::{
    AttemptEnd, ChipOutcome, Completion, Digest, DigestState, PosStatus, ToAgent, ToEngine,
};
use uuid::Uuid;

use crate::domain::pos::Stage;
use crate::domain::reason::Reason;
use crate::domain::rejection::Rejection;
use crate::owner::merchant::Effect;
use crate::owner::merchant::bench::{Bench, approval};

#[test]
fn a_terminal_without_link_is_refused_at_once() {
    let mut bench = Bench::new();
    bench.restart();
    let request = bench.start_request(false);
    assert_eq!(
        bench.ask(Some("k"), request),
        Some(Err(Rejection::TerminalOffline))
    );
}

#[test]
fn a_replaced_installation_loses_its_open_work() {
    for (stage, status) in [
        (Stage::AwaitingCard, PosStatus::Failed),
        (Stage::Confirming, PosStatus::InDoubt),
    ] {
        let mut bench = Bench::new();
        let pos_id = bench.accepted();
        if stage == Stage::Confirming {
            bench.tap(pos_id);
            bench.host(pos_id, approval());
        }
        bench.link_up(JournalId::from_uuid(Uuid::from_u128(99)), Vec::new());
        assert_eq!(bench.pos(pos_id).status(), status);
        assert_eq!(bench.pos(pos_id).reason(), Some(Reason::TerminalReplaced));
    }
}

#[test]
fn a_digest_is_reconciled_before_new_work() {
    let mut bench = Bench::new();
    let pos_id = bench.tapped();
    bench.host(pos_id, approval());
    let attempt_id = Some(bench.attempt(pos_id));
    bench.effects.clear();
    bench.link_back(vec![Digest {
        pos_id,
        attempt_id,
        state: DigestState::Sent,
    }]);
    assert!(matches!(
        bench.effects.first(),
        Some(Effect::Welcome { .. })
    ));
    assert!(
        bench
            .sent()
            .iter()
            .any(|one| matches!(one, ToAgent::HostAnswer(_)))
    );
    bench.link_back(vec![Digest {
        pos_id,
        attempt_id,
        state: DigestState::Lost,
    }]);
    assert_eq!(bench.pos(pos_id).reason(), Some(Reason::TerminalRestarted));
    assert_eq!(bench.pos(pos_id).status(), PosStatus::InDoubt);
}

#[test]
fn what_only_the_till_knows_is_ended_there_once() {
    let mut bench = Bench::new();
    let pos_id = protocol::id::PosTransactionId::from_uuid(Uuid::from_u128(77));
    let attempt_id = protocol::id::AttemptId::from_uuid(Uuid::from_u128(78));
    let completion = |chip| Completion {
        pos_id,
        attempt_id,
        chip,
        data: Vec::new(),
        cause: None,
    };
    for (state, status) in [
        (DigestState::Accepted, PosStatus::Failed),
        (DigestState::Reading, PosStatus::Failed),
        (
            DigestState::Ended(AttemptEnd::CardRemoved),
            PosStatus::Failed,
        ),
        (DigestState::Sent, PosStatus::InDoubt),
        (DigestState::Lost, PosStatus::InDoubt),
        (
            DigestState::Completed(completion(ChipOutcome::Agreed)),
            PosStatus::InDoubt,
        ),
    ] {
        bench.effects.clear();
        let digest = Digest {
            pos_id,
            attempt_id: Some(attempt_id),
            state,
        };
        bench.link_back(vec![digest]);
        let sent = bench.sent();
        assert!(
            matches!(sent.as_slice(), [ToAgent::Concluded(one)] if one.pos_id == pos_id && one.status == status),
            "{sent:?}"
        );
    }
    // Nothing that the till says about it makes the engine ask it for anything: no endless talk.
    for message in [
        ToEngine::AttemptEnded {
            pos_id,
            attempt_id: None,
            end: AttemptEnd::Stopped,
        },
        ToEngine::Completed(completion(ChipOutcome::Agreed)),
    ] {
        bench.effects.clear();
        bench.said(message);
        assert!(matches!(bench.sent().as_slice(), [ToAgent::Concluded(_)]));
    }
}
