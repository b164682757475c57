//! The engine begins again: after a stop, with another clock, from a backup.

use protocol::id::IncarnationId;
use protocol::link::{AttemptEnd, Digest, DigestState, PosStatus, ToAgent};
use uuid::Uuid;

use crate::acquirer::{AcquirerAnswer, AuthorizationAnswer};
use crate::domain::pos::Stage;
use crate::domain::reason::Reason;
use crate::domain::reversal::ReversalAnswer;
use crate::domain::time::Timestamp;
use crate::domain::transaction::TransactionState;
use crate::owner::merchant::MerchantInput;
use crate::owner::merchant::bench::{Bench, LATEST, T0, approval};
use crate::owner::request::{Answer, Reply, Request};

#[test]
fn an_unknown_outcome_is_reversed_until_acknowledged_across_restarts() {
    let mut bench = Bench::new();
    let pos_id = bench.tapped();
    bench.restart();
    assert_eq!(bench.pos(pos_id).status(), PosStatus::InDoubt);
    assert_eq!(bench.reversals(), 1);
    bench.pass(1_000);
    bench.restart();
    assert_eq!(bench.reversals(), 3);
    let transaction_id = bench.transaction_of(pos_id).id;
    let answer = |answer| MerchantInput::Acquirer {
        transaction_id,
        sending: LATEST,
        answer: AcquirerAnswer::Reversal(answer),
    };
    bench.input(answer(ReversalAnswer::OriginalNotFound));
    assert_eq!(
        bench.pos(pos_id).status(),
        PosStatus::InDoubt,
        "provisional"
    );
    bench.pass(60_000);
    bench.input(answer(ReversalAnswer::OriginalNotFound));
    assert_eq!(bench.pos(pos_id).status(), PosStatus::Reversed);
    assert_eq!(bench.pos(pos_id).reason(), Some(Reason::EngineRestarted));
    let late = AcquirerAnswer::Authorization(approval());
    bench.acquirer(transaction_id, late);
    assert_eq!(
        bench.transaction_of(pos_id).state,
        TransactionState::Reversing,
        "late approval"
    );
    bench.input(answer(ReversalAnswer::Acknowledged));
    assert_eq!(
        bench.transaction_of(pos_id).state,
        TransactionState::Reversed
    );
}

#[test]
fn a_clock_that_was_set_forward_at_a_restart_makes_no_not_found_count() {
    let mut bench = Bench::new();
    let pos_id = bench.tapped();
    bench.host(pos_id, AuthorizationAnswer::Unknown);
    let transaction_id = bench.transaction_of(pos_id).id;
    let not_found = |bench: &mut Bench| {
        bench.input(MerchantInput::Acquirer {
            transaction_id,
            sending: bench.last_sending(),
            answer: AcquirerAnswer::Reversal(ReversalAnswer::OriginalNotFound),
        });
        bench.pos(pos_id).status()
    };
    assert_eq!(not_found(&mut bench), PosStatus::InDoubt);
    bench.now = bench.now.plus_ms(3_600_000);
    bench.restart();
    assert_eq!(not_found(&mut bench), PosStatus::InDoubt, "asked anew");
    bench.pass(60_000);
    assert_eq!(not_found(&mut bench), PosStatus::Reversed);
}

#[test]
fn a_clock_that_was_set_back_at_a_restart_keeps_no_terminal() {
    let mut bench = Bench::new();
    let pos_id = bench.accepted();
    bench.now = Timestamp(bench.now.0 - 86_400_000);
    bench.restart();
    bench.link_back(vec![Digest {
        pos_id,
        attempt_id: Some(bench.attempt(pos_id)),
        state: DigestState::Reading,
    }]);
    for _ in 0..4 {
        bench.pass(62_000);
    }
    assert_eq!(bench.pos(pos_id).stage, Stage::Closed);
}

#[test]
fn what_is_told_after_a_restart_is_what_is_stored() {
    for clock_ms in [-86_400_000, 0, 4_000] {
        let mut bench = Bench::new();
        let pos_id = bench.accepted();
        let before = bench.pos(pos_id);
        bench.now = Timestamp(bench.now.0 + clock_ms);
        bench.restart();
        let wait_until = None;
        let told = bench.ask(None, Request::ReadPos { pos_id, wait_until });
        let Some(Ok(Reply::Fresh(Answer::Pos(told)))) = told else {
            panic!("{told:?}");
        };
        let stored = bench.pos(pos_id);
        assert_eq!(*told, stored, "{clock_ms}");
        let is_moved = told.deadline != before.deadline;
        assert_eq!(is_moved, told.revision > before.revision, "{clock_ms}");
        let latest = bench.now.plus_ms(86_400_000 / 2);
        assert!(told.deadline.is_some_and(|at| at < latest), "{clock_ms}");
        bench.restart();
        assert_eq!(bench.pos(pos_id), stored, "moved once: {clock_ms}");
    }
}

#[test]
fn a_restart_of_the_engine_alone_changes_nothing_before_the_grace() {
    let mut bench = Bench::new();
    let pos_id = bench.accepted();
    let attempt_id = bench.attempt(pos_id);
    bench.now = T0.plus_ms(61_000);
    bench.restart();
    bench.pass(29_000);
    assert_eq!(bench.pos(pos_id).stage, Stage::AwaitingCard);
    let state = DigestState::Ended(AttemptEnd::CustomerTimeout);
    bench.link_back(vec![Digest {
        pos_id,
        attempt_id: Some(attempt_id),
        state,
    }]);
    assert_eq!(bench.pos(pos_id).reason(), Some(Reason::CustomerTimeout));
}

/// Restored from a backup: the till, the acquirer and the paper know more than this engine.
#[test]
fn a_restored_engine_jumps_its_trace_numbers_and_prints_nothing_twice() {
    let life = |number| IncarnationId::from_uuid(Uuid::from_u128(number));
    let mut bench = Bench::new();
    bench.store.set_incarnation(life(1));
    bench.restart();
    bench.link_back(Vec::new());
    let trace = |bench: &mut Bench| {
        let pos_id = bench.approved();
        bench.transaction_of(pos_id).trace.number
    };
    assert_eq!((trace(&mut bench), trace(&mut bench)), (1, 2));
    bench.restart();
    bench.link_back(Vec::new());
    assert_eq!(trace(&mut bench), 3, "a restart is no restore");
    // By the last bytes of the life: 2, then 3.
    for (number, expected) in [(2, 100_006), (2, 100_007), (3, 200_011)] {
        bench.store.set_incarnation(life(number));
        bench.restart();
        bench.effects.clear();
        bench.link_back(Vec::new());
        let is_print = |message: &ToAgent| matches!(message, ToAgent::Print(_));
        let prints_again = bench.sent().iter().any(is_print);
        assert_eq!(prints_again, expected == 100_007, "of before the copy");
        assert_eq!(trace(&mut bench), expected);
    }
}
