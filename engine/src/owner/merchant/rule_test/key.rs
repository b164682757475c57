//! Idempotency keys: one answer each, for a week.

use protocol::link::ToAgent;

use crate::domain::idempotency;
use crate::domain::reason::Reason;
use crate::domain::rejection::Rejection;
use crate::domain::token::Secret;
use crate::owner::machine::Input;
use crate::owner::merchant::MerchantInput;
use crate::owner::merchant::bench::{Bench, claim};
use crate::owner::request::{Answer, Ask, Reply, Request};

fn started(reply: Option<Result<Reply, Rejection>>) -> protocol::id::PosTransactionId {
    match reply {
        Some(Ok(Reply::Fresh(Answer::Started(pos)))) => pos.id,
        other => panic!("not started: {other:?}"),
    }
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
        let claim = Some(claim("k", "body"));
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
