//! Rules of a merchant's owner that the table of transitions does not show.

use protocol::id::{IncarnationId, JournalId};
use protocol::link::{
    Advice, AttemptEnd, ChipOutcome, Completion, Digest, DigestState, PosKind, PosStatus, ToAgent,
    ToEngine,
};
use uuid::Uuid;

use super::bench::{Bench, LATEST, T0, approval, card, decline, euros, host_result};
use super::{Effect, MerchantInput};
use crate::acquirer::{AcquirerAction, AcquirerAnswer, AuthorizationAnswer, IntentAnswer, Sending};
use crate::domain::idempotency;
use crate::domain::pos::{IfTooLate, Stage, Verdict};
use crate::domain::reason::Reason;
use crate::domain::rejection::Rejection;
use crate::domain::reversal::ReversalAnswer;
use crate::domain::time::Timestamp;
use crate::domain::token::Secret;
use crate::domain::transaction::{TransactionState, USE_CHIP};
use crate::owner::machine::Input;
use crate::owner::request::{Answer, Ask, CancelPos, Reply, Request, TransactionTarget};

fn reversals(bench: &Bench) -> usize {
    let is_reversal = |effect: &&Effect| {
        matches!(effect, Effect::Acquirer(request)
            if matches!(request.action, AcquirerAction::Reverse { .. }))
    };
    bench.effects.iter().filter(is_reversal).count()
}

fn started(reply: Option<Result<Reply, Rejection>>) -> protocol::id::PosTransactionId {
    match reply {
        Some(Ok(Reply::Fresh(Answer::Started(pos)))) => pos.id,
        other => panic!("not started: {other:?}"),
    }
}

#[test]
fn nothing_leaves_before_its_commit() {
    let mut bench = Bench::new();
    let caller = bench.caller();
    let request = bench.start_request(false);
    let ask = Ask {
        caller,
        claim: None,
        request,
    };
    bench.feed(Input::Outside(MerchantInput::Ask(ask)));
    assert_eq!(
        bench.effects,
        [],
        "an effect left before the commit was durable"
    );
    bench.settle();
    assert!(bench.answer(caller).is_some());
    assert!(matches!(bench.sent().as_slice(), [ToAgent::Offer(_)]));
}

#[test]
fn the_same_key_gives_the_same_answer_and_one_transaction() {
    let mut bench = Bench::new();
    let request = bench.start_request(false);
    let pos_id = started(bench.ask(Some("k"), request.clone()));
    let replay = bench.ask(Some("k"), request.clone());
    let Some(Ok(Reply::Replayed(stored))) = &replay else {
        panic!("no replay: {replay:?}")
    };
    assert!(String::from_utf8_lossy(&stored.body).contains(&pos_id.to_string()));
    bench.restart();
    assert_eq!(
        bench.ask(Some("k"), request),
        replay,
        "another answer after a restart"
    );
    let other = bench.start_request(true);
    assert_eq!(
        bench.ask(Some("k"), other),
        Some(Err(Rejection::IdempotencyConflict))
    );
    let offers = bench
        .sent()
        .iter()
        .filter(|message| matches!(message, ToAgent::Offer(_)))
        .count();
    assert_eq!(offers, 1);
}

#[test]
fn a_key_is_kept_for_a_week_and_is_then_a_new_request() {
    let mut bench = Bench::new();
    let request = bench.start_request(false);
    let first = started(bench.ask(Some("k"), request.clone()));
    bench.pass(idempotency::LIFE_MS - 1);
    let replayed = bench.ask(Some("k"), request.clone());
    assert!(matches!(replayed, Some(Ok(Reply::Replayed(_)))));
    bench.pass(1);
    assert_ne!(started(bench.ask(Some("k"), request)), first);
}

#[test]
fn keys_do_not_grow_without_end_and_young_ones_stay() {
    use crate::store::Rows as _;
    let mut bench = Bench::new();
    let space = crate::owner::key::space(crate::owner::key::CLAIM);
    let request = |bench: &Bench, number: u64| Request::CreatePairingCode {
        terminal_id: bench.terminal_id,
        life_s: 60,
        serial_number: None,
        code: Secret::new(format!("BCDFGHJK{number}")),
    };
    let day_ms = 24 * 60 * 60 * 1_000;
    let mut most = 0;
    for day in 0..24 {
        for number in 0..10 {
            let made = request(&bench, number);
            let key = format!("{day}/{number}");
            assert!(bench.ask(Some(&key), made).unwrap().is_ok());
        }
        most = most.max(bench.store.scan(&space, None, usize::MAX).unwrap().len());
        let first_today = request(&bench, 0);
        let replayed = bench.ask(Some(&format!("{}/0", day)), first_today);
        assert!(
            matches!(replayed, Some(Ok(Reply::Replayed(_)))),
            "day {day}"
        );
        bench.pass(day_ms);
    }
    // A life brings 70.
    assert!(most < 140, "{most} keys of 240");
}

#[test]
fn two_requests_with_one_key_at_the_same_time_are_one() {
    let mut bench = Bench::new();
    let request = bench.start_request(false);
    let callers = [bench.caller(), bench.caller()];
    for caller in callers {
        let claim = Some(super::bench::claim("k", "body"));
        let ask = Ask {
            caller,
            claim,
            request: request.clone(),
        };
        bench.feed(Input::Outside(MerchantInput::Ask(ask)));
    }
    bench.settle();
    let first = started(bench.answer(callers[0]));
    let second = bench.answer(callers[1]);
    let Some(Ok(Reply::Replayed(stored))) = second else {
        panic!("not replayed: {second:?}")
    };
    assert!(String::from_utf8_lossy(&stored.body).contains(&first.to_string()));
}

#[test]
fn one_terminal_runs_one_transaction_and_a_refusal_burns_no_key() {
    let mut bench = Bench::new();
    let running = bench.start(false);
    let request = bench.start_request(false);
    let refused = bench.ask(Some("k"), request.clone());
    assert_eq!(refused, Some(Err(Rejection::TerminalBusy { running })));
    bench.pass(6_000);
    assert_eq!(
        bench.pos(running).reason(),
        Some(Reason::TerminalUnreachable)
    );
    started(bench.ask(Some("k"), request));
}

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
fn a_declined_card_is_followed_by_another_until_attempts_run_out() {
    let mut bench = Bench::new();
    let pos_id = bench.start(false);
    bench.said(ToEngine::Accept { pos_id });
    for number in 1..=3 {
        assert_eq!(bench.pos(pos_id).attempts.len(), number);
        bench.tap(pos_id);
        bench.host(pos_id, decline());
        bench.completed(pos_id, ChipOutcome::Refused);
    }
    let pos = bench.pos(pos_id);
    assert_eq!(
        (pos.status(), pos.reason()),
        (PosStatus::Declined, Some(Reason::HostDeclined))
    );
}

#[test]
fn a_stripe_that_the_acquirer_does_not_take_says_so_and_the_chip_may_follow() {
    let mut bench = Bench::new();
    let pos_id = bench.start(false);
    bench.said(ToEngine::Accept { pos_id });
    bench.tap(pos_id);
    let declined = bench.transaction_of(pos_id).id;
    bench.host(
        pos_id,
        AuthorizationAnswer::Declined {
            host: host_result(USE_CHIP),
            issuer_data: Vec::new(),
        },
    );
    let transaction = bench.transaction(declined);
    assert_eq!(transaction.state, TransactionState::Declined);
    assert_eq!(transaction.reason, Some(Reason::UseChip));
    let advice = |message: &ToAgent| match message {
        ToAgent::HostAnswer(answer) => Some(answer.advice),
        _ => None,
    };
    let told: Vec<_> = bench.sent().iter().filter_map(advice).collect();
    assert_eq!(told, [Some(Advice::UseChip)]);
    bench.completed(pos_id, ChipOutcome::Refused);
    assert_eq!(bench.pos(pos_id).attempts.len(), 2);
    bench.tap(pos_id);
    bench.host(pos_id, approval());
    bench.completed(pos_id, ChipOutcome::Agreed);
    assert_eq!(bench.pos(pos_id).status(), PosStatus::Approved);
}

/// What the till is to say is stored with the attempt: it is said again after a lost link, and with
/// the end.
#[test]
fn what_to_do_about_a_decline_is_said_again_until_it_is_over() {
    let decline = |code| AuthorizationAnswer::Declined {
        host: host_result(code),
        issuer_data: Vec::new(),
    };
    let advice = |message: &ToAgent| match message {
        ToAgent::HostAnswer(answer) => answer.advice,
        ToAgent::Concluded(concluded) => concluded.advice,
        _ => None,
    };
    let mut bench = Bench::new();
    let pos_id = bench.start(false);
    bench.said(ToEngine::Accept { pos_id });
    bench.tap(pos_id);
    bench.host(pos_id, decline("91"));
    let attempt_id = Some(bench.attempt(pos_id));
    bench.restart();
    bench.effects.clear();
    let open = vec![Digest {
        pos_id,
        attempt_id,
        state: DigestState::Sent,
    }];
    bench.link_up(JournalId::from_uuid(Uuid::from_u128(3)), open);
    let told: Vec<_> = bench.sent().iter().filter_map(advice).collect();
    assert_eq!(told, [Advice::TryLater]);
    for code in ["05", USE_CHIP] {
        bench.completed(pos_id, ChipOutcome::Refused);
        bench.tap(pos_id);
        bench.effects.clear();
        bench.host(pos_id, decline(code));
    }
    // The last answer, and the end: attempts have run out.
    let told: Vec<_> = bench.sent().iter().filter_map(advice).collect();
    assert_eq!(told, [Advice::UseChip, Advice::UseChip]);
    let Some(ToAgent::Concluded(concluded)) = bench.sent().pop() else {
        panic!("{:?}", bench.sent())
    };
    assert_eq!(concluded.status, PosStatus::Declined);
    assert_eq!(concluded.kind, Some(PosKind::Sale));
}

/// Nobody is asked for money on card data that nobody can open.
#[test]
fn card_data_under_another_scheme_ends_the_sale_unpaid() {
    let mut bench = Bench::new();
    let pos_id = bench.start(false);
    bench.said(ToEngine::Accept { pos_id });
    let mut report = card(pos_id, bench.attempt(pos_id));
    report.data[0] = 0xE5;
    bench.said(ToEngine::Card(report));
    let pos = bench.pos(pos_id);
    assert_eq!(
        (pos.status(), pos.reason()),
        (PosStatus::Failed, Some(Reason::UnsupportedEncryption))
    );
    assert_eq!(pos.current_transaction(), None);
}

/// The last thing that the payer heard was the acquirer's no: a second card never came.
#[test]
fn a_retry_that_nobody_uses_after_a_decline_ends_declined() {
    let ends = [
        Some(AttemptEnd::CustomerTimeout),
        Some(AttemptEnd::CardRemoved),
        Some(AttemptEnd::CardUnusable),
        None,
    ];
    for end in ends {
        let mut bench = Bench::new();
        let pos_id = bench.start(false);
        bench.said(ToEngine::Accept { pos_id });
        bench.tap(pos_id);
        bench.host(pos_id, decline());
        bench.completed(pos_id, ChipOutcome::Refused);
        assert_eq!(
            bench.pos(pos_id).attempts.len(),
            2,
            "another card is asked for"
        );
        match end {
            // Past the retry window, so that no third card is granted.
            Some(end) => {
                bench.now = bench.now.plus_ms(180_000);
                let attempt_id = Some(bench.attempt(pos_id));
                bench.said(ToEngine::AttemptEnded {
                    pos_id,
                    attempt_id,
                    end,
                });
            }
            None => bench.pass(70_000),
        }
        let pos = bench.pos(pos_id);
        let ended = (pos.status(), pos.reason());
        let declined = (PosStatus::Declined, Some(Reason::HostDeclined));
        assert_eq!(ended, declined, "{end:?}");
    }
    let mut bench = Bench::new();
    let pos_id = bench.start(false);
    bench.said(ToEngine::Accept { pos_id });
    bench.tap(pos_id);
    bench.host(pos_id, decline());
    bench.completed(pos_id, ChipOutcome::Refused);
    let attempt_id = Some(bench.attempt(pos_id));
    let end = AttemptEnd::ReaderFault;
    bench.said(ToEngine::AttemptEnded {
        pos_id,
        attempt_id,
        end,
    });
    let pos = bench.pos(pos_id);
    let failed = (PosStatus::Failed, Some(Reason::ReaderFault));
    assert_eq!(
        (pos.status(), pos.reason()),
        failed,
        "our fault, not theirs"
    );
}

#[test]
fn card_data_after_the_expiry_is_never_authorized() {
    let mut bench = Bench::new();
    let pos_id = bench.start(false);
    bench.said(ToEngine::Accept { pos_id });
    bench.now = bench.now.plus_ms(60_001);
    bench.tap(pos_id);
    assert!(
        bench
            .sent()
            .iter()
            .any(|one| matches!(one, ToAgent::AttemptClosed { .. }))
    );
    assert_eq!(bench.pos(pos_id).stage, Stage::AwaitingCard);
    assert!(bench.pos(pos_id).current_transaction().is_none());
}

#[test]
fn an_unknown_outcome_is_reversed_until_acknowledged_across_restarts() {
    let mut bench = Bench::new();
    let pos_id = bench.start(false);
    bench.said(ToEngine::Accept { pos_id });
    bench.tap(pos_id);
    bench.restart();
    assert_eq!(bench.pos(pos_id).status(), PosStatus::InDoubt);
    assert_eq!(reversals(&bench), 1);
    bench.pass(1_000);
    bench.restart();
    assert_eq!(reversals(&bench), 3);
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
    bench.input(MerchantInput::Acquirer {
        transaction_id,
        sending: LATEST,
        answer: late,
    });
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
    let pos_id = bench.start(false);
    bench.said(ToEngine::Accept { pos_id });
    bench.tap(pos_id);
    bench.host(pos_id, AuthorizationAnswer::Unknown);
    let transaction_id = bench.transaction_of(pos_id).id;
    let not_found = |bench: &mut Bench| {
        bench.input(MerchantInput::Acquirer {
            transaction_id,
            sending: last_sending(bench),
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
    let pos_id = bench.start(false);
    bench.said(ToEngine::Accept { pos_id });
    bench.now = Timestamp(bench.now.0 - 86_400_000);
    bench.restart();
    let journal_id = JournalId::from_uuid(Uuid::from_u128(3));
    bench.link_up(
        journal_id,
        vec![Digest {
            pos_id,
            attempt_id: Some(bench.attempt(pos_id)),
            state: DigestState::Reading,
        }],
    );
    for _ in 0..4 {
        bench.pass(62_000);
    }
    assert_eq!(bench.pos(pos_id).stage, Stage::Closed);
}

#[test]
fn what_is_told_after_a_restart_is_what_is_stored() {
    for clock_ms in [-86_400_000, 0, 4_000] {
        let mut bench = Bench::new();
        let pos_id = bench.start(false);
        bench.said(ToEngine::Accept { pos_id });
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
fn less_than_asked_is_reversed_unless_accepted() {
    let mut bench = Bench::new();
    let pos_id = bench.start(false);
    bench.said(ToEngine::Accept { pos_id });
    bench.tap(pos_id);
    let answer = match approval() {
        AuthorizationAnswer::Approved {
            host, issuer_data, ..
        } => AuthorizationAnswer::Approved {
            amount: euros(1000),
            host,
            issuer_data,
        },
        other => other,
    };
    bench.host(pos_id, answer);
    assert_eq!(bench.pos(pos_id).reason(), Some(Reason::PartialNotAccepted));
    assert_eq!(reversals(&bench), 1);
}

#[test]
fn a_cancel_during_authorization_gets_the_verdict_of_the_outcome() {
    for (chip, verdict) in [
        (ChipOutcome::Agreed, Verdict::TooLateApproved),
        (ChipOutcome::Refused, Verdict::TooLateReversed),
    ] {
        let mut bench = Bench::new();
        let pos_id = bench.start(false);
        bench.said(ToEngine::Accept { pos_id });
        bench.tap(pos_id);
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
            bench.input(MerchantInput::Acquirer {
                transaction_id,
                sending: LATEST,
                answer,
            });
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
fn who_breaks_off_a_card_that_was_sent_is_told_apart() {
    for (cause, reason) in [
        (None, Reason::CardRemoved),
        (Some(AttemptEnd::CardRemoved), Reason::CardRemoved),
        (Some(AttemptEnd::CashierCanceled), Reason::CashierCanceled),
        (Some(AttemptEnd::Stopped), Reason::CashierCanceled),
        (Some(AttemptEnd::ReaderFault), Reason::ReaderFault),
        (Some(AttemptEnd::CustomerTimeout), Reason::NotConfirmed),
        (Some(AttemptEnd::AgentRestarted), Reason::TerminalRestarted),
        (Some(AttemptEnd::LinkLost), Reason::TerminalUnreachable),
    ] {
        for is_approved in [false, true] {
            let mut bench = Bench::new();
            let pos_id = bench.start(false);
            bench.said(ToEngine::Accept { pos_id });
            bench.tap(pos_id);
            if is_approved {
                bench.host(pos_id, approval());
            }
            bench.completed_for(pos_id, ChipOutcome::Aborted, cause);
            assert_eq!(bench.pos(pos_id).status(), PosStatus::InDoubt);
            let transaction_id = bench.transaction_of(pos_id).id;
            bench.input(MerchantInput::Acquirer {
                transaction_id,
                sending: LATEST,
                answer: AcquirerAnswer::Reversal(ReversalAnswer::Acknowledged),
            });
            let pos = bench.pos(pos_id);
            assert_eq!(
                (pos.status(), pos.reason()),
                (PosStatus::Reversed, Some(reason))
            );
        }
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
    bench.input(MerchantInput::Acquirer {
        transaction_id,
        sending: LATEST,
        answer,
    });
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
    bench.input(MerchantInput::Acquirer {
        transaction_id,
        sending: LATEST,
        answer,
    });
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

/// What the owner last asked the acquirer.
fn last_sending(bench: &Bench) -> Sending {
    let asked = bench.effects.iter().rev().find_map(|effect| match effect {
        Effect::Acquirer(request) => Some(request.sending),
        _ => None,
    });
    asked.unwrap()
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
    let first = last_sending(&bench);
    bench.pass(1_000);
    let second = last_sending(&bench);
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
    bench.input(acknowledged(last_sending(&bench)));
    assert_eq!(state(&bench), TransactionState::Voided);
}

#[test]
fn a_replaced_installation_loses_its_open_work() {
    for (stage, status) in [
        (Stage::AwaitingCard, PosStatus::Failed),
        (Stage::Confirming, PosStatus::InDoubt),
    ] {
        let mut bench = Bench::new();
        let pos_id = bench.start(false);
        bench.said(ToEngine::Accept { pos_id });
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
    let journal_id = JournalId::from_uuid(Uuid::from_u128(3));
    let mut bench = Bench::new();
    let pos_id = bench.start(false);
    bench.said(ToEngine::Accept { pos_id });
    bench.tap(pos_id);
    bench.host(pos_id, approval());
    let attempt_id = Some(bench.attempt(pos_id));
    bench.effects.clear();
    bench.link_up(
        journal_id,
        vec![Digest {
            pos_id,
            attempt_id,
            state: DigestState::Sent,
        }],
    );
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
    bench.link_up(
        journal_id,
        vec![Digest {
            pos_id,
            attempt_id,
            state: DigestState::Lost,
        }],
    );
    assert_eq!(bench.pos(pos_id).reason(), Some(Reason::TerminalRestarted));
    assert_eq!(bench.pos(pos_id).status(), PosStatus::InDoubt);
}

#[test]
fn an_attempt_whose_card_data_was_lost_ends_with_the_chips_abort() {
    for (cause, expected) in [
        (None, Stage::AwaitingCard),
        (Some(AttemptEnd::ReaderFault), Stage::Closed),
    ] {
        let mut bench = Bench::new();
        let pos_id = bench.start(false);
        bench.said(ToEngine::Accept { pos_id });
        let attempt_id = bench.attempt(pos_id);
        bench.said(ToEngine::Completed(Completion {
            pos_id,
            attempt_id,
            chip: ChipOutcome::Aborted,
            data: Vec::new(),
            cause,
        }));
        assert_eq!(bench.pos(pos_id).stage, expected, "{cause:?}");
        let is_new = expected == Stage::AwaitingCard;
        assert_eq!(bench.attempt(pos_id) != attempt_id, is_new, "{cause:?}");
    }
}

#[test]
fn a_restart_of_the_engine_alone_changes_nothing_before_the_grace() {
    let journal_id = JournalId::from_uuid(Uuid::from_u128(3));
    let mut bench = Bench::new();
    let pos_id = bench.start(false);
    bench.said(ToEngine::Accept { pos_id });
    let attempt_id = bench.attempt(pos_id);
    bench.now = T0.plus_ms(61_000);
    bench.restart();
    bench.pass(29_000);
    assert_eq!(bench.pos(pos_id).stage, Stage::AwaitingCard);
    let state = DigestState::Ended(AttemptEnd::CustomerTimeout);
    bench.link_up(
        journal_id,
        vec![Digest {
            pos_id,
            attempt_id: Some(attempt_id),
            state,
        }],
    );
    assert_eq!(bench.pos(pos_id).reason(), Some(Reason::CustomerTimeout));
}

/// Restored from a backup: the till, the acquirer and the paper know more than this engine.
#[test]
fn a_restored_engine_jumps_its_trace_numbers_and_prints_nothing_twice() {
    let life = |number| IncarnationId::from_uuid(Uuid::from_u128(number));
    let journal_id = JournalId::from_uuid(Uuid::from_u128(3));
    let mut bench = Bench::new();
    bench.store.set_incarnation(life(1));
    bench.restart();
    bench.link_up(journal_id, Vec::new());
    let trace = |bench: &mut Bench| {
        let pos_id = bench.approved();
        bench.transaction_of(pos_id).trace.number
    };
    assert_eq!((trace(&mut bench), trace(&mut bench)), (1, 2));
    bench.restart();
    bench.link_up(journal_id, Vec::new());
    assert_eq!(trace(&mut bench), 3, "a restart is no restore");
    // By the last bytes of the life: 2, then 3.
    for (number, expected) in [(2, 100_006), (2, 100_007), (3, 200_011)] {
        bench.store.set_incarnation(life(number));
        bench.restart();
        bench.effects.clear();
        bench.link_up(journal_id, Vec::new());
        let is_print = |message: &ToAgent| matches!(message, ToAgent::Print(_));
        let prints_again = bench.sent().iter().any(is_print);
        assert_eq!(prints_again, expected == 100_007, "of before the copy");
        assert_eq!(trace(&mut bench), expected);
    }
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
        bench.link_up(JournalId::from_uuid(Uuid::from_u128(3)), vec![digest]);
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

// Owners are dropped when they are idle: what they remember of a sweep is lost with them.
#[test]
fn keys_do_not_grow_without_end_although_the_owner_forgets() {
    use crate::store::Rows as _;
    let mut bench = Bench::new();
    bench.is_inspected = false;
    let space = crate::owner::key::space(crate::owner::key::CLAIM);
    let mut most = 0;
    for day in 0..30 {
        for number in 0..10 {
            let made = Request::CreatePairingCode {
                terminal_id: bench.terminal_id,
                life_s: 60,
                serial_number: None,
                code: Secret::new(format!("BCDFGHJK{number}")),
            };
            let key = format!("{day}/{number}");
            assert!(bench.ask(Some(&key), made).unwrap().is_ok());
            bench.restart();
        }
        most = most.max(bench.store.scan(&space, None, usize::MAX).unwrap().len());
        bench.pass(24 * 60 * 60 * 1_000);
    }
    // A life brings 70.
    assert!(most < 140, "{most} keys of 300");
}

#[test]
fn an_owner_is_at_rest_when_it_has_nothing_that_it_would_not_load() {
    let mut bench = Bench::new();
    assert!(!bench.is_at_rest(), "a terminal is linked");
    bench.terminal_event(super::TerminalEvent::Down);
    assert!(bench.is_at_rest());
    bench.link_up(JournalId::from_uuid(Uuid::from_u128(3)), Vec::new());
    let pos_id = bench.start(false);
    bench.terminal_event(super::TerminalEvent::Down);
    assert!(!bench.is_at_rest(), "a sale is open");
    let waits = Request::ReadPos {
        pos_id,
        wait_until: Some(bench.now.plus_ms(1_000_000)),
    };
    assert_eq!(bench.ask(None, waits), None);
    bench.pass(bench.limits.offer_ms);
    assert!(bench.is_at_rest());
}
