//! Cancels, voids and tips: what may still change, and which answer counts.

use protocol::link::ChipOutcome;

use crate::acquirer::{AcquirerAnswer, IntentAnswer};
use crate::domain::pos::{IfTooLate, Verdict};
use crate::domain::rejection::Rejection;
use crate::domain::reversal::ReversalAnswer;
use crate::domain::transaction::TransactionState;
use crate::owner::merchant::MerchantInput;
use crate::owner::merchant::bench::{Bench, approval, euros};
use crate::owner::request::{Answer, CancelPos, Reply, Request, TransactionTarget};

#[test]
fn a_cancel_during_authorization_gets_the_verdict_of_the_outcome() {
    for (chip, verdict) in [
        (ChipOutcome::Agreed, Verdict::TooLateApproved),
        (ChipOutcome::Refused, Verdict::TooLateReversed),
    ] {
        let mut bench = Bench::new();
        let pos_id = bench.tapped();
        let cancel = CancelPos {
            pos_id,
            if_too_late: IfTooLate::Keep,
            asked_by: None,
            wait_until: bench.now.plus_ms(5_000),
        };
        assert_eq!(
            bench.ask(Some("c"), Request::CancelPos(cancel)),
            None,
            "answered too early"
        );
        bench.host(pos_id, approval());
        bench.completed(pos_id, chip);
        if chip == ChipOutcome::Refused {
            let transaction_id = bench.transaction_of(pos_id).id;
            let answer = AcquirerAnswer::Reversal(ReversalAnswer::Acknowledged);
            bench.acquirer(transaction_id, answer);
        }
        let known = bench.pos(pos_id).cancel.unwrap().verdict;
        assert_eq!(known, Some(verdict));
        let again = bench.ask(None, Request::CancelPos(cancel));
        assert!(
            matches!(again, Some(Ok(Reply::Fresh(Answer::Canceled(_))))),
            "{again:?}"
        );
    }
}

#[test]
fn a_cancel_after_approval_can_void() {
    let mut bench = Bench::new();
    let pos_id = bench.approved();
    let cancel = CancelPos {
        pos_id,
        if_too_late: IfTooLate::Void,
        asked_by: None,
        wait_until: bench.now.plus_ms(5_000),
    };
    assert_eq!(bench.ask(None, Request::CancelPos(cancel)), None);
    let transaction_id = bench.transaction_of(pos_id).id;
    let answer = AcquirerAnswer::Intent(IntentAnswer::Acknowledged);
    bench.acquirer(transaction_id, answer);
    assert_eq!(
        bench.pos(pos_id).cancel.unwrap().verdict,
        Some(Verdict::TooLateVoided)
    );
    assert_eq!(bench.transaction_of(pos_id).state, TransactionState::Voided);
}

#[test]
fn a_tip_is_bounded_repeated_and_recorded() {
    let mut bench = Bench::new();
    let pos_id = bench.approved();
    let target = TransactionTarget::OfPos(pos_id);
    let adjust = |bench: &Bench, minor| Request::AdjustTip {
        target,
        tip: euros(minor),
        wait_until: bench.now.plus_ms(5_000),
    };
    // 20 % of 12.34 are 2.468: what is not above that ends at 2.46.
    let too_much = adjust(&bench, 247);
    let limit = euros(246);
    assert_eq!(
        bench.ask(None, too_much),
        Some(Err(Rejection::TipLimitExceeded { limit }))
    );
    let request = adjust(&bench, 200);
    assert_eq!(bench.ask(Some("t"), request.clone()), None);
    let in_progress = bench.ask(Some("t"), request.clone());
    assert!(matches!(
        in_progress,
        Some(Err(Rejection::IdempotencyInProgress { .. }))
    ));
    bench.restart();
    let transaction_id = bench.transaction_of(pos_id).id;
    let answer = AcquirerAnswer::Intent(IntentAnswer::Acknowledged);
    bench.acquirer(transaction_id, answer);
    assert_eq!(bench.transaction_of(pos_id).total(), euros(1434));
    let after = bench.ask(Some("t"), request.clone());
    assert!(
        matches!(after, Some(Ok(Reply::Fresh(Answer::TipAdjusted(_))))),
        "{after:?}"
    );
    assert!(matches!(
        bench.ask(Some("t"), request),
        Some(Ok(Reply::Replayed(_)))
    ));
}

/// Found by the simulation: the answer to a copy of a tip adjustment is not that to a later void.
#[test]
fn an_answer_counts_only_for_the_request_that_it_answers() {
    let mut bench = Bench::new();
    let pos_id = bench.approved();
    let transaction_id = bench.transaction_of(pos_id).id;
    let adjust = Request::AdjustTip {
        target: TransactionTarget::OfPos(pos_id),
        tip: euros(100),
        wait_until: bench.now.plus_ms(5_000),
    };
    bench.ask(None, adjust);
    let first = bench.last_sending();
    bench.pass(1_000);
    let second = bench.last_sending();
    assert!(second.number > first.number && second.at > first.at);
    let acknowledged = |sending| MerchantInput::Acquirer {
        transaction_id,
        sending,
        answer: AcquirerAnswer::Intent(IntentAnswer::Acknowledged),
    };
    bench.input(acknowledged(second));
    assert_eq!(bench.transaction_of(pos_id).total(), euros(1334));
    let wait_until = bench.now.plus_ms(5_000);
    bench.ask(
        None,
        Request::Void {
            transaction_id,
            wait_until,
        },
    );
    bench.input(acknowledged(first));
    let state = |bench: &Bench| bench.transaction_of(pos_id).state;
    assert_eq!(state(&bench), TransactionState::Approved, "an older answer");
    bench.input(acknowledged(bench.last_sending()));
    assert_eq!(state(&bench), TransactionState::Voided);
}
