//! A card at the till: which is tried, and what ends an attempt.

use protocol::id::JournalId;
use protocol::link::{
    Advice, AttemptEnd, ChipOutcome, Completion, Digest, DigestState, PosKind, PosStatus, ToAgent,
    ToEngine,
};
use uuid::Uuid;

use crate::acquirer::{AcquirerAnswer, AuthorizationAnswer};
use crate::domain::pos::Stage;
use crate::domain::reason::Reason;
use crate::domain::reversal::ReversalAnswer;
use crate::domain::transaction::{TransactionState, USE_CHIP};
use crate::owner::merchant::bench::{Bench, approval, card, decline, euros, host_result};

#[test]
fn a_declined_card_is_followed_by_another_until_attempts_run_out() {
    let mut bench = Bench::new();
    let pos_id = bench.accepted();
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
    let pos_id = bench.tapped();
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
    let sent = bench.sent();
    let concluded = sent.iter().find_map(|message| match message {
        ToAgent::Concluded(concluded) => Some((concluded.status, concluded.kind)),
        _ => None,
    });
    let expected = (PosStatus::Declined, Some(PosKind::Sale));
    assert_eq!(concluded, Some(expected), "{sent:?}");
}

/// Nobody is asked for money on card data that nobody can open.
#[test]
fn card_data_under_another_scheme_ends_the_sale_unpaid() {
    let mut bench = Bench::new();
    let pos_id = bench.accepted();
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
        let pos_id = bench.tapped();
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
    let pos_id = bench.tapped();
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
    let pos_id = bench.accepted();
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
fn less_than_asked_is_reversed_unless_accepted() {
    let mut bench = Bench::new();
    let pos_id = bench.tapped();
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
    assert_eq!(bench.reversals(), 1);
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
            let pos_id = bench.tapped();
            if is_approved {
                bench.host(pos_id, approval());
            }
            bench.completed_for(pos_id, ChipOutcome::Aborted, cause);
            assert_eq!(bench.pos(pos_id).status(), PosStatus::InDoubt);
            let transaction_id = bench.transaction_of(pos_id).id;
            bench.acquirer(
                transaction_id,
                AcquirerAnswer::Reversal(ReversalAnswer::Acknowledged),
            );
            let pos = bench.pos(pos_id);
            assert_eq!(
                (pos.status(), pos.reason()),
                (PosStatus::Reversed, Some(reason))
            );
        }
    }
}

#[test]
fn an_attempt_whose_card_data_was_lost_ends_with_the_chips_abort() {
    for (cause, expected) in [
        (None, Stage::AwaitingCard),
        (Some(AttemptEnd::ReaderFault), Stage::Closed),
    ] {
        let mut bench = Bench::new();
        let pos_id = bench.accepted();
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
