//! Tests of arming, meeting and counting.

use uuid::Uuid;

use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn terminal(number: u128) -> TerminalId {
    TerminalId::from_uuid(Uuid::from_u128(number))
}

fn pos(number: u128) -> PosTransactionId {
    PosTransactionId::from_uuid(Uuid::from_u128(number))
}

fn kind(code: &str) -> Kind {
    let parameters = Parameters {
        delay_ms: (code == "host_delay").then_some(500),
        card: (code == "card_presented").then(|| "visa".to_owned()),
        ..Parameters::default()
    };
    Kind::read(code, parameters).unwrap()
}

fn order(code: &str) -> Order {
    Order {
        target: Target::Terminal(terminal(1)),
        kind: kind(code),
        at: None,
        times: 1,
        after_ms: 0,
        life_s: 60,
    }
}

fn arm(order: Order) -> Result<Fault, Rejection> {
    let id = FaultId::from_uuid(Uuid::from_u128(9));
    let merchant_id = MerchantId::from_uuid(Uuid::from_u128(8));
    Fault::arm(id, merchant_id, order, NOW)
}

fn met(moment: Moment) -> Encounter {
    Encounter {
        moment,
        terminal_id: terminal(1),
        pos_id: Some(pos(1)),
        transaction_id: None,
    }
}

#[test]
fn every_kind_reads_back_and_has_a_usual_moment() {
    for code in Kind::CODES {
        let kind = kind(code);
        assert_eq!(kind.code(), code);
        assert_eq!(Kind::read(code, kind.parameters()), Ok(kind.clone()));
        assert!(kind.happens_at(kind.usual_moment()), "{code}");
        assert_eq!(arm(order(code)).unwrap().at, kind.usual_moment(), "{code}");
    }
    for moment in Moment::ALL {
        assert_eq!(Moment::from_code(moment.code()), Some(*moment));
    }
}

#[test]
fn parameters_that_do_not_fit_are_named() {
    let none = Parameters::default;
    let delay = |ms| Parameters {
        delay_ms: Some(ms),
        ..none()
    };
    let code = |code: &str| Parameters {
        response_code: Some(code.to_owned()),
        ..none()
    };
    let card = |card: &str, way: &str| Parameters {
        card: Some(card.to_owned()),
        way: Some(way.to_owned()),
        ..none()
    };
    let duration = |ms| Parameters {
        duration_ms: Some(ms),
        ..none()
    };
    for (kind, parameters, wrong) in [
        ("explode", none(), "kind"),
        ("host_delay", none(), "delay_ms"),
        ("host_delay", delay(0), "delay_ms"),
        ("host_delay", delay(DELAY_MS_MAX_AND_ONE), "delay_ms"),
        ("host_no_answer", delay(5), "delay_ms"),
        ("host_declines", code("00"), "response_code"),
        ("host_declines", code("10"), "response_code"),
        ("host_declines", code("5"), "response_code"),
        ("host_declines", code("n0"), "response_code"),
        ("paper_out", code("05"), "response_code"),
        ("card_presented", none(), "card"),
        ("card_presented", card("", "tap"), "card"),
        ("card_presented", card("a b", "tap"), "card"),
        ("card_presented", card("visa", "throw"), "way"),
        ("card_pulled", card("visa", "tap"), "card"),
        ("link_cut", duration(300_001), "duration_ms"),
        ("engine_restart", duration(1), "duration_ms"),
    ] {
        let Err(Rejection::Invalid { field, .. }) = Kind::read(kind, parameters.clone()) else {
            panic!("{kind} takes {parameters:?}");
        };
        assert_eq!(field, wrong, "{kind} {parameters:?}");
    }
}

const DELAY_MS_MAX_AND_ONE: u64 = kind::DELAY_MS_MAX + 1;

#[test]
fn orders_out_of_range_are_named() {
    let of = |code: &str, change: fn(&mut Order)| {
        let mut order = order(code);
        change(&mut order);
        order
    };
    for (order, wrong) in [
        (
            of("link_cut", |one| one.target = Target::Acquirer),
            "target",
        ),
        (
            of("paper_in", |one| one.target = Target::Pos(pos(1))),
            "target",
        ),
        (
            of("paper_out", |one| one.at = Some(Moment::Authorizing)),
            "at",
        ),
        (
            of("host_declines", |one| one.at = Some(Moment::Voiding)),
            "at",
        ),
        (of("link_cut", |one| one.times = 0), "times"),
        (of("link_cut", |one| one.times = TIMES_MAX + 1), "times"),
        (of("paper_in", |one| one.times = 2), "times"),
        (
            of("link_cut", |one| one.after_ms = AFTER_MS_MAX + 1),
            "after_ms",
        ),
        (of("host_no_answer", |one| one.after_ms = 1), "after_ms"),
        (of("link_cut", |one| one.life_s = 0), "expires_in_s"),
        (
            of("link_cut", |one| one.life_s = LIFE_S_MAX + 1),
            "expires_in_s",
        ),
    ] {
        let Err(Rejection::Invalid { field, .. }) = arm(order.clone()) else {
            panic!("armed: {order:?}");
        };
        assert_eq!(field, wrong, "{order:?}");
    }
}

#[test]
fn a_fault_meets_its_moment_on_its_target_until_it_expires() {
    let at = Moment::AwaitingCard;
    for (target, terminal_id, pos_id, expected) in [
        (
            Target::Terminal(terminal(1)),
            terminal(1),
            Some(pos(1)),
            true,
        ),
        (
            Target::Terminal(terminal(1)),
            terminal(2),
            Some(pos(1)),
            false,
        ),
        (Target::Pos(pos(1)), terminal(1), Some(pos(1)), true),
        (Target::Pos(pos(1)), terminal(1), Some(pos(2)), false),
        (Target::Pos(pos(1)), terminal(1), None, false),
    ] {
        let fault = arm(Order {
            target,
            ..order("link_cut")
        });
        let met = Encounter {
            terminal_id,
            pos_id,
            ..met(at)
        };
        assert_eq!(fault.unwrap().meets(&met, NOW), expected, "{target:?}");
    }
    let fault = arm(order("link_cut")).unwrap();
    assert!(!fault.meets(&met(Moment::Offered), NOW));
    assert!(fault.meets(&met(at), NOW.plus_ms(59_999)));
    assert!(!fault.meets(&met(at), NOW.plus_ms(60_000)));
    let everywhere = arm(Order {
        target: Target::Acquirer,
        ..order("host_no_answer")
    });
    let elsewhere = Encounter {
        terminal_id: terminal(7),
        ..met(Moment::Authorizing)
    };
    assert!(everywhere.unwrap().meets(&elsewhere, NOW));
}

#[test]
fn a_fault_happens_as_often_as_it_was_armed_for() {
    let mut fault = arm(Order {
        times: 2,
        ..order("link_cut")
    })
    .unwrap();
    let here = met(Moment::AwaitingCard);
    fault.fire(here, NOW);
    assert!(fault.meets(&here, NOW));
    fault.fire(here, NOW.plus_ms(5));
    assert_eq!(fault.state, State::Fired);
    assert_eq!(fault.ended_at, Some(NOW.plus_ms(5)));
    assert!(!fault.meets(&here, NOW));
    assert_eq!(fault.firings.len(), 2);
}

#[test]
fn the_first_end_stays_but_for_a_late_refusal() {
    let refused = || State::Refused("not_supported".to_owned());
    for (first, second, last) in [
        (State::Disarmed, State::Expired, State::Disarmed),
        (State::Expired, State::Disarmed, State::Expired),
        (State::Fired, State::Disarmed, State::Fired),
        (State::Fired, refused(), refused()),
        (State::Disarmed, refused(), State::Disarmed),
        (refused(), State::Fired, refused()),
    ] {
        let mut fault = arm(order("paper_out")).unwrap();
        fault.end(first, NOW);
        fault.end(second, NOW);
        assert_eq!(fault.state, last);
    }
}
