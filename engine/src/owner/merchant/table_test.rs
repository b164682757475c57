//! Walks the whole stage × trigger square against the published table.

use protocol::id::PosTransactionId;
use protocol::link::{
    AttemptEnd, ChipOutcome, Completion, PosStatus, RejectReason, TipChoice, ToEngine,
};
use uuid::Uuid;

use super::MerchantInput;
use super::bench::{Bench, LATEST, approval, card, decline, euros};
use crate::acquirer::{AcquirerAnswer, AuthorizationAnswer};
use crate::domain::pos::{IfTooLate, Stage, TRANSITIONS, Trigger};
use crate::domain::reversal::ReversalAnswer;
use crate::owner::request::{CancelPos, Request};

/// A POS transaction that has come as far as `stage`.
fn brought_to(stage: Stage) -> (Bench, PosTransactionId) {
    let mut bench = Bench::new();
    let pos_id = bench.start(true);
    let step = |bench: &mut Bench, wanted: Stage| {
        assert_eq!(bench.pos(pos_id).stage, wanted, "on the way to {stage:?}");
        wanted == stage
    };
    if step(&mut bench, Stage::Offered) {
        return (bench, pos_id);
    }
    bench.said(ToEngine::Accept { pos_id });
    if step(&mut bench, Stage::SelectingTip) {
        return (bench, pos_id);
    }
    bench.said(ToEngine::TipChosen {
        pos_id,
        choice: TipChoice::None,
    });
    if step(&mut bench, Stage::AwaitingCard) {
        return (bench, pos_id);
    }
    bench.tap(pos_id);
    if step(&mut bench, Stage::Authorizing) {
        return (bench, pos_id);
    }
    if stage == Stage::Reversing {
        bench.host(pos_id, AuthorizationAnswer::Unknown);
        return (bench, pos_id);
    }
    bench.host(pos_id, approval());
    if step(&mut bench, Stage::Confirming) {
        return (bench, pos_id);
    }
    bench.completed(pos_id, ChipOutcome::Agreed);
    (bench, pos_id)
}

fn pull(bench: &mut Bench, pos_id: PosTransactionId, trigger: Trigger) {
    let attempt_id = bench
        .pos(pos_id)
        .current_attempt()
        .map_or(protocol::id::AttemptId::from_uuid(Uuid::nil()), |attempt| {
            attempt.id
        });
    let transaction_id = bench
        .pos(pos_id)
        .current_transaction()
        .unwrap_or(protocol::id::TransactionId::from_uuid(Uuid::nil()));
    let complete = |chip| Completion {
        pos_id,
        attempt_id,
        chip,
        data: Vec::new(),
        cause: None,
    };
    let end = |end| ToEngine::AttemptEnded {
        pos_id,
        attempt_id: Some(attempt_id),
        end,
    };
    let host = |answer| MerchantInput::Acquirer {
        transaction_id,
        sending: LATEST,
        answer: AcquirerAnswer::Authorization(answer),
    };
    match trigger {
        Trigger::Accept => bench.said(ToEngine::Accept { pos_id }),
        Trigger::Reject => {
            bench.said(ToEngine::Reject {
                pos_id,
                reason: RejectReason::TooLate,
            });
        }
        Trigger::TipChosen => {
            let choice = TipChoice::Amount(euros(0));
            bench.said(ToEngine::TipChosen { pos_id, choice });
        }
        Trigger::Card => bench.said(ToEngine::Card(card(pos_id, attempt_id))),
        Trigger::CardFailed => bench.said(end(AttemptEnd::CardUnusable)),
        Trigger::NobodyPaid => bench.said(end(AttemptEnd::CustomerTimeout)),
        Trigger::HostApproves => bench.input(host(approval())),
        Trigger::HostDeclines => bench.input(host(decline())),
        Trigger::HostNotSent => bench.input(host(AuthorizationAnswer::NotSent)),
        Trigger::HostUnknown => bench.input(host(AuthorizationAnswer::Unknown)),
        Trigger::ChipAgrees => bench.said(ToEngine::Completed(complete(ChipOutcome::Agreed))),
        Trigger::ChipRefuses => bench.said(ToEngine::Completed(complete(ChipOutcome::Refused))),
        Trigger::ChipAborts => bench.said(ToEngine::Completed(complete(ChipOutcome::Aborted))),
        Trigger::Cancel => cancel(bench, pos_id, IfTooLate::Keep),
        Trigger::CancelAndVoid => cancel(bench, pos_id, IfTooLate::Void),
        Trigger::Deadline => bench.pass(600_000),
        Trigger::ReversalDone => bench.acquirer(
            transaction_id,
            AcquirerAnswer::Reversal(ReversalAnswer::Acknowledged),
        ),
    }
}

fn cancel(bench: &mut Bench, pos_id: PosTransactionId, if_too_late: IfTooLate) {
    let wait_until = bench.now.plus_ms(1_000);
    let request = Request::CancelPos(CancelPos {
        pos_id,
        if_too_late,
        asked_by: None,
        wait_until,
    });
    bench.ask(None, request);
}

#[test]
fn the_machine_is_the_table() {
    let mut walked = 0;
    for stage in Stage::ALL {
        for trigger in Trigger::ALL {
            let (mut bench, pos_id) = brought_to(stage);
            let status = bench.pos(pos_id).status();
            pull(&mut bench, pos_id, trigger);
            let pos = bench.pos(pos_id);
            let listed = TRANSITIONS
                .iter()
                .find(|(from, by, ..)| (*from, *by) == (stage, trigger))
                .map(|(_, _, stage, status)| (*stage, *status));
            walked += usize::from(listed.is_some());
            let expected = listed.unwrap_or((stage, status));
            assert_eq!(
                (pos.stage, pos.status()),
                expected,
                "{stage:?} × {trigger:?}"
            );
        }
    }
    assert_eq!(
        walked,
        TRANSITIONS.len(),
        "a listed transition was not walked"
    );
}

#[test]
fn a_closed_transaction_stays_as_it_ended() {
    let (mut bench, pos_id) = brought_to(Stage::Closed);
    for trigger in Trigger::ALL {
        pull(&mut bench, pos_id, trigger);
        assert_eq!(
            bench.pos(pos_id).status(),
            PosStatus::Approved,
            "{trigger:?}"
        );
    }
}
