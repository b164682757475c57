//! Tests of the host's rules and of its book.

use super::*;
use crate::acquirer::Sending;
use crate::acquirer::test_card::{
    NOW, authorize, authorize_with, base_keys, card, euros, request, reverse, transaction, visa,
};

fn host() -> Host {
    Host::new(base_keys(), 0)
}

fn sent(host: &mut Host, request: &AcquirerRequest) -> Option<AcquirerAnswer> {
    host.handle(NOW, request, Arrival::Sent).answer
}

fn standing(host: &Host) -> Vec<(u128, i64)> {
    host.book()
        .standing()
        .map(|(id, amount)| (id.uuid().as_u128(), amount.minor()))
        .collect()
}

fn code(answer: &Option<AcquirerAnswer>) -> &str {
    match answer {
        Some(AcquirerAnswer::Authorization(
            AuthorizationAnswer::Approved { host, .. } | AuthorizationAnswer::Declined { host, .. },
        )) => &host.response_code,
        Some(AcquirerAnswer::Intent(IntentAnswer::Refused { response_code })) => response_code,
        Some(AcquirerAnswer::Intent(IntentAnswer::Acknowledged)) => "00",
        other => panic!("{other:?}"),
    }
}

const ACKNOWLEDGED: Option<AcquirerAnswer> =
    Some(AcquirerAnswer::Reversal(ReversalAnswer::Acknowledged));
const NOT_FOUND: Option<AcquirerAnswer> =
    Some(AcquirerAnswer::Reversal(ReversalAnswer::OriginalNotFound));

#[test]
fn ordinary_sales_are_approved_and_stand() {
    let mut host = host();
    for (number, minor) in [(1, 1234), (2, 2000), (3, 550)] {
        let answer = sent(&mut host, &authorize(number, minor));
        let Some(AcquirerAnswer::Authorization(AuthorizationAnswer::Approved {
            amount, host, ..
        })) = answer
        else {
            panic!("{answer:?}");
        };
        assert_eq!(amount, euros(minor));
        assert_eq!(host.response_code, "00");
        assert_eq!(host.authorization_code, Some(format!("{number:06}")));
        assert_eq!(host.retrieval_reference, Some(format!("{number:012}")));
    }
    assert_eq!(standing(&host), [(1, 1234), (2, 2000), (3, 550)]);
    let entry = host.book().find_transaction(transaction(1)).unwrap();
    assert_eq!(entry.last_four, Some(*b"0010"));
    assert_eq!(host.violations(), Violations::default());
}

#[test]
fn every_row_of_the_amounts_does_what_it_says() {
    for row in SANDBOX_AMOUNTS {
        let mut host = host();
        let minor = row.minor + 100_000;
        let reaction = host.handle(NOW, &authorize(1, minor), Arrival::Sent);
        let stands = standing(&host);
        match row.outcome {
            Outcome::Decline(expected) => {
                assert_eq!(code(&reaction.answer), expected);
                assert!(stands.is_empty(), "{}", row.meaning);
            }
            Outcome::ApproveHalf => {
                assert_eq!(code(&reaction.answer), "10");
                assert_eq!(stands, [(1, minor / 2)]);
            }
            Outcome::Slow(ms) => {
                assert_eq!(code(&reaction.answer), "00");
                assert_eq!(reaction.delay_ms, ms);
            }
            Outcome::LoseAnswer | Outcome::LoseAnswers => {
                assert_eq!(reaction.answer, None);
                assert_eq!(stands, [(1, minor)]);
            }
            // What the line does: a request that arrives is a request like any other.
            Outcome::LoseRequest
            | Outcome::HoldRequest
            | Outcome::NotSent
            | Outcome::RefuseVoid => assert_eq!(code(&reaction.answer), "00"),
        }
    }
}

#[test]
fn every_row_of_the_cards_does_what_it_says() {
    for row in SANDBOX_CARDS {
        let mut host = host();
        let request = authorize_with(1, 1234, card(0xE1, row.number, "2812"));
        let answer = sent(&mut host, &request);
        let Outcome::Decline(expected) = row.outcome else {
            panic!("{}", row.meaning);
        };
        assert_eq!(code(&answer), expected);
        assert!(standing(&host).is_empty());
    }
}

#[test]
fn cards_that_cannot_be_used_are_declined() {
    let mut clear = visa().bytes().to_vec();
    clear[0] = 0x21;
    for (number, card, expected) in [
        (1, card(0xE1, "4761739001010010", "2610"), "54"),
        (2, card(0xE1, "4761739001010010", "2611"), "00"),
        (3, card(0xE1, "4761739001010010", "9912"), "54"),
        (4, card(0xE1, "4761739001010011", "2812"), "14"),
        (5, SealedCard::new(clear), "63"),
        (6, SealedCard::new(Vec::new()), "30"),
    ] {
        let answer = sent(&mut host(), &authorize_with(number, 1234, card));
        assert_eq!(code(&answer), expected, "case {number}");
    }
    assert_eq!(code(&sent(&mut host(), &authorize(1, 0))), "13");
}

#[test]
fn the_stripe_of_a_card_with_a_chip_counts_only_after_the_chip_has_failed() {
    // A track 2 says the same on chip and stripe.
    for (entry, expected) in [
        (EntryMode::Swipe, USE_CHIP),
        (EntryMode::Fallback, "00"),
        (EntryMode::Contact, "00"),
        (EntryMode::Contactless, "00"),
        (EntryMode::ContactlessStripe, "00"),
    ] {
        let mut host = host();
        let mut request = authorize(1, 1234);
        if let AcquirerAction::Authorize { entry: as_read, .. } = &mut request.action {
            *as_read = entry;
        }
        assert_eq!(code(&sent(&mut host, &request)), expected, "{entry:?}");
        assert_eq!(standing(&host).is_empty(), expected == USE_CHIP);
    }
}

#[test]
fn only_a_chip_in_the_slot_gets_issuer_data() {
    for (attribution, expected) in [(0xE0, "910A00000000000000013030"), (0xE1, "")] {
        let sealed = card(attribution, "4761739001010010", "2812");
        let answer = sent(&mut host(), &authorize_with(1, 1234, sealed));
        let Some(AcquirerAnswer::Authorization(AuthorizationAnswer::Approved {
            issuer_data, ..
        })) = answer
        else {
            panic!("{answer:?}");
        };
        assert_eq!(hex::encode_upper(issuer_data), expected);
    }
}

#[test]
fn a_repeated_authorization_is_answered_alike_and_booked_once() {
    let mut host = host();
    let first = sent(&mut host, &authorize(1, 1234));
    assert_eq!(sent(&mut host, &authorize(1, 1234)), first);
    assert_eq!(standing(&host), [(1, 1234)]);
    assert_eq!(host.violations().duplicates, 1);
    let again = host.handle(NOW, &authorize(1, 1234), Arrival::Repeated);
    assert_eq!((again.answer, again.changed), (first, None));
    assert_eq!(host.violations().duplicates, 1);
}

#[test]
fn a_second_trace_is_a_second_charge_and_shows() {
    let mut host = host();
    sent(&mut host, &authorize(1, 1234));
    let mut second = authorize(1, 1234);
    second.trace.number = 2;
    sent(&mut host, &second);
    assert_eq!(standing(&host), [(1, 1234), (1, 1234)]);
    assert_eq!(host.violations().second_traces, 1);
}

#[test]
fn a_reused_trace_is_refused() {
    let mut host = host();
    sent(&mut host, &authorize(1, 1234));
    let mut other = authorize(2, 500);
    other.trace.number = 1;
    assert_eq!(code(&sent(&mut host, &other)), "94");
    let mut reversal = reverse(2, 500, 1);
    reversal.trace.number = 1;
    assert_eq!(sent(&mut host, &reversal), NOT_FOUND);
    assert_eq!(standing(&host), [(1, 1234)]);
    assert_eq!(host.violations().reused_traces, 2);
}

#[test]
fn reversals_are_idempotent() {
    let mut host = host();
    sent(&mut host, &authorize(1, 1234));
    assert_eq!(sent(&mut host, &reverse(1, 1234, 1)), ACKNOWLEDGED);
    assert!(standing(&host).is_empty());
    let again = host.handle(NOW, &reverse(1, 1234, 2), Arrival::Sent);
    assert_eq!((again.answer, again.changed), (ACKNOWLEDGED, None));
    assert_eq!(host.violations(), Violations::default());
    sent(&mut host, &authorize(2, 5 + 100_000));
    assert_eq!(sent(&mut host, &reverse(2, 100_005, 1)), ACKNOWLEDGED);
}

#[test]
fn an_authorization_after_its_reversal_stands_until_reversed_again() {
    let mut host = host();
    assert_eq!(sent(&mut host, &reverse(1, 1234, 1)), NOT_FOUND);
    sent(&mut host, &authorize(1, 1234));
    assert_eq!(standing(&host), [(1, 1234)]);
    assert_eq!(sent(&mut host, &reverse(1, 1234, 2)), ACKNOWLEDGED);
    assert!(standing(&host).is_empty());
}

#[test]
fn the_first_two_reversals_can_be_lost() {
    let mut host = host();
    sent(&mut host, &authorize(1, 82));
    let answers = [1, 2, 3].map(|tries| sent(&mut host, &reverse(1, 82, tries)));
    assert_eq!(answers, [None, None, ACKNOWLEDGED]);
    assert!(standing(&host).is_empty());
}

#[test]
fn voids_are_idempotent_and_need_an_authorization_that_stands() {
    let void = |number, minor| {
        let amount = euros(minor);
        request(number, AcquirerAction::Void { amount })
    };
    let mut host = host();
    assert_eq!(code(&sent(&mut host, &void(1, 1234))), "25");
    for (number, minor) in [(1, 1234), (2, 2000), (3, 5), (4, 86)] {
        sent(&mut host, &authorize(number, minor));
    }
    assert_eq!(code(&sent(&mut host, &void(1, 1234))), "00");
    assert_eq!(code(&sent(&mut host, &void(1, 1234))), "00");
    sent(&mut host, &reverse(2, 2000, 1));
    assert_eq!(code(&sent(&mut host, &void(2, 2000))), "12");
    assert_eq!(code(&sent(&mut host, &void(3, 5))), "12");
    assert_eq!(code(&sent(&mut host, &void(4, 86))), "12");
    assert_eq!(standing(&host), [(4, 86)]);
    assert_eq!(host.violations(), Violations::default());
}

#[test]
fn a_delayed_copy_does_not_undo_a_later_adjustment() {
    let mut host = host();
    sent(&mut host, &authorize(1, 1234));
    let adjust = |number, minor| AcquirerRequest {
        sending: Sending { number, at: NOW },
        ..request(
            1,
            AcquirerAction::Adjust {
                total: euros(1234 + minor),
                tip: euros(minor),
            },
        )
    };
    for (number, minor) in [(3, 100), (5, 200), (4, 100), (5, 200)] {
        assert_eq!(code(&sent(&mut host, &adjust(number, minor))), "00");
    }
    let standing: Vec<_> = host.book().standing().map(|(_, total)| total).collect();
    assert_eq!(standing, [euros(1434)]);
}

#[test]
fn adjustments_set_the_total_and_refuse_what_makes_no_sense() {
    let adjust = |number, total, tip| {
        let (total, tip) = (euros(total), euros(tip));
        request(number, AcquirerAction::Adjust { total, tip })
    };
    let mut host = host();
    assert_eq!(code(&sent(&mut host, &adjust(1, 1400, 166))), "25");
    sent(&mut host, &authorize(1, 1234));
    assert_eq!(code(&sent(&mut host, &adjust(1, 1400, 166))), "00");
    let again = host.handle(NOW, &adjust(1, 1400, 166), Arrival::Sent);
    assert_eq!((code(&again.answer), again.changed), ("00", None));
    assert_eq!(standing(&host), [(1, 1400)]);
    for (total, tip, expected) in [
        (0, 0, "13"),
        (1400, -1, "13"),
        (100, 200, "13"),
        (100_061, 0, "61"),
    ] {
        let answer = sent(&mut host, &adjust(1, total, tip));
        assert_eq!(code(&answer), expected, "{total} {tip}");
    }
    let dollars = Money::new(1500, "USD".parse().unwrap());
    let foreign = AcquirerAction::Adjust {
        total: dollars,
        tip: dollars,
    };
    assert_eq!(code(&sent(&mut host, &request(1, foreign))), "13");
    assert_eq!(standing(&host), [(1, 1400)]);
    assert_eq!(sent(&mut host, &reverse(1, 1234, 1)), ACKNOWLEDGED);
    assert_eq!(code(&sent(&mut host, &adjust(1, 1500, 266))), "12");
    assert_eq!(host.violations(), Violations::default());
}

#[test]
fn another_amount_is_noticed() {
    let mut host = host();
    sent(&mut host, &authorize(1, 1234));
    assert_eq!(sent(&mut host, &reverse(1, 1235, 1)), ACKNOWLEDGED);
    assert_eq!(host.violations().other_amounts, 1);
}
