//! Work at a till that the engine has never heard of, as after the restore of an old backup.

use protocol::id::{AttemptId, PosTransactionId};
use protocol::link::{
    AttemptEnd, ChipOutcome, Completion, Digest, DigestState, PosStatus, ToAgent, ToEngine,
};
use uuid::Uuid;

use super::bench::Bench;

#[test]
fn work_that_the_engine_never_heard_of_is_ended_once_at_the_till() {
    let unknown = PosTransactionId::from_uuid(Uuid::from_u128(77));
    let attempt_id = AttemptId::from_uuid(Uuid::from_u128(78));
    let completion = Completion {
        pos_id: unknown,
        attempt_id,
        chip: ChipOutcome::Agreed,
        data: Vec::new(),
        cause: None,
    };
    let cases = [
        (DigestState::Accepted, PosStatus::Failed),
        (DigestState::Reading, PosStatus::Failed),
        (DigestState::Ended(AttemptEnd::Stopped), PosStatus::Failed),
        (DigestState::Sent, PosStatus::InDoubt),
        (DigestState::Lost, PosStatus::InDoubt),
        (
            DigestState::Completed(completion.clone()),
            PosStatus::InDoubt,
        ),
    ];
    for (state, expected) in cases {
        let mut bench = Bench::new();
        let digest = Digest {
            pos_id: unknown,
            attempt_id: Some(attempt_id),
            state,
        };
        bench.link_back(vec![digest]);
        assert_eq!(ends(&bench, unknown), [expected]);
    }
    let mut bench = Bench::new();
    bench.said(ToEngine::Completed(completion));
    let end = AttemptEnd::Stopped;
    bench.said(ToEngine::AttemptEnded {
        pos_id: unknown,
        attempt_id: None,
        end,
    });
    assert_eq!(
        ends(&bench, unknown),
        [PosStatus::InDoubt, PosStatus::Failed]
    );
}

/// The ends of a POS transaction that the till was told; nothing else may be said about it.
fn ends(bench: &Bench, pos_id: PosTransactionId) -> Vec<PosStatus> {
    let sent = bench.sent();
    assert!(!sent.contains(&ToAgent::Stop { pos_id }), "{sent:?}");
    let ends = sent.into_iter().filter_map(|message| match message {
        ToAgent::Concluded(concluded) if concluded.pos_id == pos_id => Some(concluded.status),
        _ => None,
    });
    ends.collect()
}
