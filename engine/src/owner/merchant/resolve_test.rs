//! What a person may say about a transaction in doubt, and what the acquirer says afterwards.

use protocol::id::{PosTransactionId, TransactionId};
use protocol::link::{ChipOutcome, PosStatus, ToAgent};

use super::Effect;
use super::bench::{Bench, approval, decline};
use crate::acquirer::{AcquirerAction, AcquirerAnswer, AuthorizationAnswer, IntentAnswer};
use crate::domain::reason::Reason;
use crate::domain::rejection::Rejection;
use crate::domain::resolution::{Contradiction, ResolutionOutcome as O};
use crate::domain::reversal::ReversalAnswer;
use crate::domain::transaction::TransactionState as S;
use crate::owner::request::{Answer, Reply, Request, Resolve};

const HOUR_MS: u64 = 3_600_000;

fn resolve(transaction_id: TransactionId, outcome: O) -> Request {
    Request::Resolve(Resolve {
        transaction_id,
        outcome,
        reason: "acquirer's case 4711".to_owned(),
        by: "M. Operator".to_owned(),
    })
}

/// A sale whose answer is lost and whose reversal the acquirer never acknowledges.
fn in_doubt(bench: &mut Bench) -> (PosTransactionId, TransactionId) {
    let pos_id = bench.tapped();
    bench.host(pos_id, AuthorizationAnswer::Unknown);
    let transaction_id = bench.transaction_of(pos_id).id;
    for _ in 0..5 {
        bench.pass(60_000);
        bench.acquirer(
            transaction_id,
            AcquirerAnswer::Reversal(ReversalAnswer::Unknown),
        );
    }
    assert_eq!(bench.pos(pos_id).status(), PosStatus::InDoubt);
    (pos_id, transaction_id)
}

fn requests(bench: &Bench) -> usize {
    let is_request = |effect: &&Effect| matches!(effect, Effect::Acquirer(_));
    bench.effects.iter().filter(is_request).count()
}

fn finals(bench: &Bench, pos_id: PosTransactionId) -> usize {
    let is_final = |message: &&ToAgent| matches!(message, ToAgent::Concluded(one) if one.pos_id == pos_id && one.status.is_final());
    bench.sent().iter().filter(is_final).count()
}

#[test]
fn each_outcome_ends_the_asking_once_and_is_kept() {
    for (outcome, status, state) in [
        (O::ReversedByAcquirer, PosStatus::Reversed, S::Reversed),
        (O::Stands, PosStatus::Approved, S::Approved),
        (O::NeverAuthorized, PosStatus::Failed, S::NotSent),
    ] {
        let mut bench = Bench::new();
        let (pos_id, transaction_id) = in_doubt(&mut bench);
        let request = resolve(transaction_id, outcome);
        let answer = bench.ask(Some("r"), request.clone());
        assert!(
            matches!(answer, Some(Ok(Reply::Fresh(Answer::Resolved(_))))),
            "{answer:?}"
        );
        let said_at = bench.now;
        let asked = requests(&bench);
        bench.pass(HOUR_MS);
        bench.restart();
        bench.pass(HOUR_MS);
        assert_eq!(requests(&bench), asked, "{outcome:?}: still asking");
        let (pos, transaction) = (bench.pos(pos_id), bench.transaction_of(pos_id));
        assert_eq!(
            (pos.status(), pos.reason(), transaction.state),
            (status, Some(Reason::OperatorResolved), state)
        );
        let resolution = transaction.resolution.clone().unwrap();
        assert_eq!((resolution.outcome, resolution.at), (outcome, said_at));
        assert_eq!(
            (resolution.by.as_str(), resolution.reason.as_str()),
            ("M. Operator", "acquirer's case 4711")
        );
        assert!(!transaction.needs_attention());
        assert_eq!(finals(&bench, pos_id), 1);
        let again = bench.ask(Some("r"), request.clone());
        assert!(matches!(again, Some(Ok(Reply::Replayed(_)))), "{again:?}");
        for other in O::ALL {
            let refused = bench.ask(Some("s"), resolve(transaction_id, other));
            assert!(matches!(
                refused,
                Some(Err(Rejection::TransactionState { .. }))
            ));
        }
        assert_eq!(finals(&bench, pos_id), 1);
    }
}

#[test]
fn what_stands_can_be_voided_as_any_other() {
    let mut bench = Bench::new();
    let (pos_id, transaction_id) = in_doubt(&mut bench);
    bench
        .ask(None, resolve(transaction_id, O::Stands))
        .unwrap()
        .unwrap();
    let wait_until = bench.now.plus_ms(5_000);
    bench.ask(
        None,
        Request::Void {
            transaction_id,
            wait_until,
        },
    );
    bench.pass(60_000);
    let last = bench.effects.iter().rev().find_map(|effect| match effect {
        Effect::Acquirer(request) => Some(request.action.clone()),
        _ => None,
    });
    assert!(
        matches!(last, Some(AcquirerAction::Void { .. })),
        "{last:?}"
    );
    bench.acquirer(
        transaction_id,
        AcquirerAnswer::Intent(IntentAnswer::Acknowledged),
    );
    assert_eq!(bench.transaction_of(pos_id).state, S::Voided);
    assert_eq!(bench.pos(pos_id).status(), PosStatus::Approved);
}

#[test]
fn only_what_is_in_doubt_can_be_resolved() {
    let refused = |bench: &mut Bench, pos_id| {
        let transaction = bench.transaction_of(pos_id);
        for outcome in O::ALL {
            let answer = bench.ask(None, resolve(transaction.id, outcome));
            let state = transaction.state.code();
            let id = transaction.id.to_string();
            assert_eq!(answer, Some(Err(Rejection::TransactionState { id, state })));
        }
        assert_eq!(bench.transaction_of(pos_id), transaction);
    };
    let mut bench = Bench::new();
    let approved = bench.approved();
    refused(&mut bench, approved);
    let pos_id = bench.tapped();
    refused(&mut bench, pos_id);
    bench.host(pos_id, decline());
    refused(&mut bench, pos_id);
    bench.completed(pos_id, ChipOutcome::Refused);
    bench.tap(pos_id);
    bench.host(pos_id, approval());
    refused(&mut bench, pos_id);
    bench.completed(pos_id, ChipOutcome::Aborted);
    let transaction_id = bench.transaction_of(pos_id).id;
    bench.acquirer(
        transaction_id,
        AcquirerAnswer::Reversal(ReversalAnswer::Acknowledged),
    );
    refused(&mut bench, pos_id);
    let nobody = TransactionId::from_uuid(uuid::Uuid::nil());
    let answer = bench.ask(None, resolve(nobody, O::Stands));
    assert_eq!(answer, Some(Err(Rejection::NotFound)));
}

#[test]
fn what_was_approved_was_not_never_authorized() {
    let mut bench = Bench::new();
    let pos_id = bench.tapped();
    bench.host(pos_id, approval());
    bench.completed(pos_id, ChipOutcome::Aborted);
    let transaction_id = bench.transaction_of(pos_id).id;
    let refused = bench.ask(None, resolve(transaction_id, O::NeverAuthorized));
    assert!(matches!(
        refused,
        Some(Err(Rejection::TransactionState { .. }))
    ));
    bench
        .ask(None, resolve(transaction_id, O::Stands))
        .unwrap()
        .unwrap();
    assert_eq!(bench.pos(pos_id).status(), PosStatus::Approved);
}

#[test]
fn a_word_against_it_is_shown_and_never_applied() {
    let approved = || AcquirerAnswer::Authorization(approval());
    let declined = || AcquirerAnswer::Authorization(decline());
    let reversal = AcquirerAnswer::Reversal;
    for (outcome, answer, contradiction) in [
        (
            O::Stands,
            reversal(ReversalAnswer::Acknowledged),
            Some(Contradiction::Reversed),
        ),
        (
            O::Stands,
            reversal(ReversalAnswer::OriginalNotFound),
            Some(Contradiction::NotFound),
        ),
        (O::Stands, reversal(ReversalAnswer::Unknown), None),
        (O::Stands, declined(), Some(Contradiction::Declined)),
        (O::Stands, approved(), None),
        (
            O::ReversedByAcquirer,
            reversal(ReversalAnswer::Acknowledged),
            None,
        ),
        (
            O::NeverAuthorized,
            reversal(ReversalAnswer::OriginalNotFound),
            None,
        ),
        (O::NeverAuthorized, declined(), None),
    ] {
        let mut bench = Bench::new();
        let (pos_id, transaction_id) = in_doubt(&mut bench);
        bench
            .ask(None, resolve(transaction_id, outcome))
            .unwrap()
            .unwrap();
        let before = (bench.pos(pos_id), bench.transaction_of(pos_id).state);
        let asked = requests(&bench);
        for _ in 0..2 {
            bench.acquirer(transaction_id, answer.clone());
        }
        let transaction = bench.transaction_of(pos_id);
        assert_eq!(
            (bench.pos(pos_id), transaction.state),
            before,
            "{outcome:?} {answer:?}"
        );
        assert_eq!(requests(&bench), asked);
        assert_eq!(transaction.needs_attention(), contradiction.is_some());
        let found = transaction.resolution.unwrap().contradiction;
        assert_eq!(found, contradiction.map(|what| (what, bench.now)));
    }
}

/// Nothing stands at the acquirer that does not stand here, whoever says what.
#[test]
fn an_approval_of_what_does_not_stand_is_undone_and_shown() {
    for outcome in [O::ReversedByAcquirer, O::NeverAuthorized] {
        let mut bench = Bench::new();
        let (pos_id, transaction_id) = in_doubt(&mut bench);
        bench
            .ask(None, resolve(transaction_id, outcome))
            .unwrap()
            .unwrap();
        let ended = bench.pos(pos_id);
        bench.acquirer(transaction_id, AcquirerAnswer::Authorization(approval()));
        let transaction = bench.transaction_of(pos_id);
        assert_eq!(transaction.state, S::Reversing);
        assert!(transaction.needs_attention());
        let refused = bench.ask(None, resolve(transaction_id, O::Stands));
        assert!(
            matches!(refused, Some(Err(Rejection::TransactionState { .. }))),
            "final is final"
        );
        bench.acquirer(
            transaction_id,
            AcquirerAnswer::Reversal(ReversalAnswer::Acknowledged),
        );
        let transaction = bench.transaction_of(pos_id);
        assert_eq!(transaction.state, S::Reversed);
        assert!(transaction.needs_attention());
        assert_eq!(bench.pos(pos_id), ended);
    }
}

#[test]
fn a_transaction_in_doubt_blocks_only_itself() {
    let mut bench = Bench::new();
    let (doubtful, transaction_id) = in_doubt(&mut bench);
    for _ in 0..3 {
        let sale = bench.approved();
        assert_eq!(bench.pos(sale).status(), PosStatus::Approved);
        bench.restart();
        bench.link_back(Vec::new());
    }
    assert_eq!(bench.pos(doubtful).status(), PosStatus::InDoubt);
    let running = bench.start(false);
    bench
        .ask(None, resolve(transaction_id, O::ReversedByAcquirer))
        .unwrap()
        .unwrap();
    assert_eq!(bench.pos(running).status(), PosStatus::InProgress);
}
