//! Rules of a merchant's owner that the table of transitions does not show.

mod afterwards;
mod card;
mod key;
mod link;
mod restart;

use protocol::link::ToAgent;

use super::MerchantInput;
use super::bench::Bench;
use crate::owner::machine::Input;
use crate::owner::request::{Ask, Request};

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
fn an_owner_is_at_rest_when_it_has_nothing_that_it_would_not_load() {
    let mut bench = Bench::new();
    assert!(!bench.is_at_rest(), "a terminal is linked");
    bench.terminal_event(super::TerminalEvent::Down);
    assert!(bench.is_at_rest());
    bench.link_back(Vec::new());
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
