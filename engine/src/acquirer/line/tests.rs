//! Tests of the line, and of what an engine can make of it by reversing.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::acquirer::test_card::{NOW, authorize, base_keys, euros, request, reverse, transaction};
use crate::acquirer::{AuthorizationAnswer, IntentAnswer};
use crate::domain::reason::Reason;
use crate::domain::reversal::{HOST_DELAY_MS_MAX, Reversal, ReversalAnswer};

const TIMEOUT_MS: u64 = 15_000;

fn line() -> Line {
    Line::new(Host::new(base_keys(), 0), TIMEOUT_MS)
}

fn send(line: &mut Line, at_ms: u64, request: AcquirerRequest, fault: Option<Fault>) {
    let ticket = Ticket(line.step_next);
    line.submit(NOW.plus_ms(at_ms), ticket, request, fault);
    line.advance(NOW.plus_ms(at_ms));
}

fn answers(line: &mut Line) -> Vec<AcquirerAnswer> {
    std::iter::from_fn(|| line.poll_answer())
        .map(|delivery| delivery.answer)
        .collect()
}

fn standing(line: &Line) -> Vec<i64> {
    line.host()
        .book()
        .standing()
        .map(|(_, amount)| amount.minor())
        .collect()
}

fn is_approval(answers: &[AcquirerAnswer]) -> bool {
    matches!(
        answers,
        [AcquirerAnswer::Authorization(
            AuthorizationAnswer::Approved { .. }
        )]
    )
}

const UNKNOWN: AcquirerAnswer = AcquirerAnswer::Authorization(AuthorizationAnswer::Unknown);

#[test]
fn a_good_line_answers_at_once() {
    let mut line = line();
    send(&mut line, 0, authorize(1, 1234), None);
    assert_eq!(line.take_changes().len(), 1);
    assert!(is_approval(&answers(&mut line)));
    assert_eq!(line.poll_deadline(), None);
}

/// Amount or fault, answer at once, answer after the timeout, booked by then, booked at last.
#[test]
fn every_fault_is_answered_once_and_leaves_what_it_says() {
    let delay_request = |ms| Some(Fault::DelayRequest { ms });
    let delay_answer = |ms| Some(Fault::DelayAnswer { ms });
    let repeat = Some(Fault::RepeatRequest { after_ms: 20_000 });
    for (minor, fault, first, by_timeout, at_last) in [
        (1234, Some(Fault::NotSent), "not sent", 0, 0),
        (1234, Some(Fault::LoseRequest), "unknown", 0, 0),
        (1234, Some(Fault::LoseAnswer), "unknown", 1, 1),
        (1234, delay_request(5_000), "approved", 1, 1),
        (1234, delay_request(16_000), "unknown", 0, 1),
        (1234, delay_answer(5_000), "approved", 1, 1),
        (1234, delay_answer(16_000), "unknown", 1, 1),
        (1234, repeat, "approved", 1, 1),
        (
            1234,
            Some(Fault::Decline(ResponseCode::of(*b"51"))),
            "declined",
            0,
            0,
        ),
        (80, None, "unknown", 1, 1),
        (81, None, "unknown", 0, 0),
        (83, None, "approved", 1, 1),
        (84, None, "unknown", 0, 1),
        (85, None, "not sent", 0, 0),
    ] {
        let case = format!("{minor} {fault:?}");
        let mut line = line();
        send(&mut line, 0, authorize(1, minor), fault);
        line.advance(NOW.plus_ms(TIMEOUT_MS));
        let given = answers(&mut line);
        match first {
            "approved" => assert!(is_approval(&given), "{case}"),
            "unknown" => assert_eq!(given, [UNKNOWN], "{case}"),
            "declined" => {
                let [AcquirerAnswer::Authorization(AuthorizationAnswer::Declined { host, .. })] =
                    &given[..]
                else {
                    panic!("{case}: {given:?}");
                };
                assert_eq!(host.response_code, "51", "{case}");
            }
            _ => assert_eq!(
                given,
                [AcquirerAnswer::Authorization(AuthorizationAnswer::NotSent)],
                "{case}"
            ),
        }
        assert_eq!(standing(&line).len(), by_timeout, "{case}");
        line.advance(NOW.plus_ms(60_000));
        assert_eq!(standing(&line).len(), at_last, "{case}");
        assert_eq!(answers(&mut line), [], "{case}");
        assert_eq!(line.poll_deadline(), None, "{case}");
        assert_eq!(line.host().violations().duplicates, 0, "{case}");
    }
}

#[test]
fn what_is_not_an_authorization_is_unknown_when_lost() {
    let amount = euros(1234);
    let void = request(1, AcquirerAction::Void { amount });
    for fault in [Fault::NotSent, Fault::LoseRequest] {
        let mut line = line();
        send(&mut line, 0, reverse(1, 1234, 1), Some(fault));
        send(&mut line, 0, void.clone(), Some(fault));
        line.advance(NOW.plus_ms(TIMEOUT_MS));
        assert_eq!(
            answers(&mut line),
            [
                AcquirerAnswer::Reversal(ReversalAnswer::Unknown),
                AcquirerAnswer::Intent(IntentAnswer::Unknown)
            ]
        );
    }
}

#[test]
fn a_held_authorization_outlives_the_first_reversal() {
    let mut line = line();
    send(&mut line, 0, authorize(1, 84), None);
    line.advance(NOW.plus_ms(TIMEOUT_MS));
    assert_eq!(answers(&mut line), [UNKNOWN]);
    send(&mut line, TIMEOUT_MS, reverse(1, 84, 1), None);
    let not_found = AcquirerAnswer::Reversal(ReversalAnswer::OriginalNotFound);
    assert_eq!(answers(&mut line), [not_found]);
    line.advance(NOW.plus_ms(TIMEOUT_MS + HELD_MS));
    assert_eq!(standing(&line), [84]);
    const { assert!(HELD_MS < HOST_DELAY_MS_MAX) }
    let again_at = TIMEOUT_MS + HOST_DELAY_MS_MAX;
    send(&mut line, again_at, reverse(1, 84, 2), None);
    let acknowledged = AcquirerAnswer::Reversal(ReversalAnswer::Acknowledged);
    assert_eq!(answers(&mut line), [acknowledged]);
    assert!(standing(&line).is_empty());
}

#[test]
fn cutting_the_line_answers_what_waits() {
    let mut line = line();
    send(&mut line, 0, authorize(1, 83), None);
    send(&mut line, 0, authorize(2, 84), None);
    line.cut();
    assert_eq!(answers(&mut line), [UNKNOWN, UNKNOWN]);
    line.advance(NOW.plus_ms(60_000));
    assert_eq!(standing(&line), [83]);
    assert_eq!(answers(&mut line), []);
}

#[test]
fn fault_rules_hit_their_target_as_often_as_they_say() {
    let amount = euros(1);
    let (reversal, void) = (
        AcquirerAction::Reverse { amount },
        AcquirerAction::Void { amount },
    );
    let mut plan = FaultPlan::default();
    plan.next(2, Target::Reversals, Fault::LoseAnswer);
    plan.next(0, Target::Reversals, Fault::NotSent);
    assert_eq!(plan.take(&void), None);
    let taken = [(); 3].map(|()| plan.take(&reversal));
    let lost = Some(Fault::LoseAnswer);
    assert_eq!(taken, [lost, lost, None]);
    plan.switch_on(Target::Intents, Fault::LoseRequest);
    plan.switch_on(Target::Everything, Fault::LoseAnswer);
    assert_eq!(plan.take(&void), Some(Fault::LoseRequest));
    assert_eq!(plan.take(&void), Some(Fault::LoseRequest));
    assert_eq!(plan.take(&reversal), lost);
    plan.clear();
    assert_eq!(plan.take(&reversal), None);
}

fn any_fault() -> impl Strategy<Value = Option<Fault>> {
    let late = 0u64..40_000;
    prop_oneof![
        Just(None),
        Just(Some(Fault::NotSent)),
        Just(Some(Fault::LoseRequest)),
        Just(Some(Fault::LoseAnswer)),
        late.clone().prop_map(|ms| Some(Fault::DelayRequest { ms })),
        late.clone().prop_map(|ms| Some(Fault::DelayAnswer { ms })),
        late.prop_map(|after_ms| Some(Fault::RepeatRequest { after_ms })),
    ]
}

/// Reverses as the domain's schedule says, each sending with the next of `faults`; none afterwards.
fn reverse_until_done(line: &mut Line, from_ms: u64, faults: &[Option<Fault>]) {
    let mut faults = faults.iter().copied();
    let mut now = NOW.plus_ms(from_ms);
    let mut reversal = Reversal::begin(Reason::AcquirerUnknown, now);
    for _ in 0..50 {
        let ticket = Ticket(line.step_next);
        let sent_at = now;
        let request = reverse(1, 1234, reversal.tries);
        line.submit(now, ticket, request, faults.next().flatten());
        let answer = loop {
            line.advance(now);
            match line.poll_answer() {
                Some(delivery) if delivery.ticket == ticket => break delivery.answer,
                Some(other) => panic!("{other:?}"),
                None => now = line.poll_deadline().unwrap(),
            }
        };
        let AcquirerAnswer::Reversal(answer) = answer else {
            panic!("{answer:?}");
        };
        if reversal.answered(answer, sent_at, now, HOST_DELAY_MS_MAX) {
            return;
        }
        now = now.max(reversal.next_at);
        reversal.sent_again(now);
    }
    panic!("reversal was never done");
}

proptest! {
    #[test]
    fn whatever_goes_wrong_nothing_stands_after_its_reversal(
        first in any_fault(), faults in prop::collection::vec(any_fault(), 0..5)
    ) {
        let mut line = line();
        send(&mut line, 0, authorize(1, 1234), first);
        while let Some(at) = line.poll_deadline().filter(|at| *at <= NOW.plus_ms(TIMEOUT_MS)) {
            line.advance(at);
        }
        prop_assert_eq!(answers(&mut line).len(), 1);
        reverse_until_done(&mut line, TIMEOUT_MS, &faults);
        line.advance(NOW.plus_ms(10_000_000));
        prop_assert_eq!(standing(&line), Vec::<i64>::new());
        prop_assert_eq!(line.host().violations().duplicates, 0);
    }

    #[test]
    fn every_request_is_answered_exactly_once_and_booked_at_most_once(
        sendings in prop::collection::vec((0u64..30_000, any_fault(), 1i64..200), 1..20)
    ) {
        let mut line = line();
        let mut now_ms = 0;
        for (number, (pause_ms, fault, minor)) in (1u32..).zip(&sendings) {
            now_ms += pause_ms;
            line.advance(NOW.plus_ms(now_ms));
            let ticket = Ticket(u64::from(number));
            line.submit(NOW.plus_ms(now_ms), ticket, authorize(number, *minor), *fault);
        }
        line.advance(NOW.plus_ms(10_000_000));
        let mut tickets = BTreeSet::new();
        while let Some(delivery) = line.poll_answer() {
            prop_assert!(tickets.insert(delivery.ticket), "answered twice");
            let number = u32::try_from(delivery.ticket.0).unwrap();
            let stands = line.host().book().standing().any(|(id, _)| id == transaction(number));
            match delivery.answer {
                AcquirerAnswer::Authorization(AuthorizationAnswer::Approved { .. }) => {
                    prop_assert!(stands);
                }
                AcquirerAnswer::Authorization(AuthorizationAnswer::Unknown) => {}
                _ => prop_assert!(!stands),
            }
        }
        prop_assert_eq!(tickets.len(), sendings.len());
    }
}
