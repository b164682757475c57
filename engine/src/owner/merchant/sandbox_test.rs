//! Faults as the owner arms, meets, counts and keeps them.

use protocol::id::{FaultId, PosTransactionId};
use protocol::link::{ChipOutcome, ToAgent, ToEngine};

use super::bench::{Bench, approval};
use super::{Effect, Misbehaviour};
use crate::acquirer::{AcquirerAction, AuthorizationAnswer};
use crate::domain::rejection::Rejection;
use crate::domain::sandbox::{
    ARMED_MAX, Fault, HostFault, Kind, Moment, Order, Parameters, Policy, State, Target,
};
use crate::domain::time::Timestamp;
use crate::owner::key;
use crate::owner::request::{Answer, Reply, Request};
use crate::owner::work::Stored as _;
use crate::store::Rows as _;

const TEST_MODE: Policy = Policy::On {
    allows_engine_restart: true,
};

fn bench() -> Bench {
    let mut bench = Bench::new();
    under(&mut bench, TEST_MODE);
    bench
}

/// Restarts the engine under a policy; the till comes back.
fn under(bench: &mut Bench, policy: Policy) {
    bench.limits.sandbox = policy;
    bench.restart();
    bench.link_back(Vec::new());
    bench.effects.clear();
}

fn order(bench: &Bench, code: &str, at: Option<Moment>) -> Order {
    let parameters = Parameters {
        delay_ms: (code == "host_delay").then_some(500),
        card: (code == "card_presented").then(|| "visa".to_owned()),
        ..Parameters::default()
    };
    Order {
        target: Target::Terminal(bench.terminal_id),
        kind: Kind::read(code, parameters).unwrap(),
        at,
        times: 1,
        after_ms: 0,
        life_s: 60,
    }
}

fn arm(bench: &mut Bench, order: Order) -> FaultId {
    match bench.ask(None, Request::ArmFault(order)) {
        Some(Ok(Reply::Fresh(Answer::FaultArmed(fault)))) => fault.id,
        other => panic!("not armed: {other:?}"),
    }
}

fn refusal(bench: &mut Bench, request: Request) -> Rejection {
    match bench.ask(None, request) {
        Some(Err(rejection)) => rejection,
        other => panic!("not refused: {other:?}"),
    }
}

fn stored(bench: &Bench, id: FaultId) -> Fault {
    let bytes = bench.store.get(&key::fault(bench.merchant_id, id)).unwrap();
    Fault::from_bytes(&bytes.unwrap()).unwrap()
}

fn marks(bench: &Bench) -> usize {
    let prefix = key::open(
        bench.merchant_id,
        &key::fault(bench.merchant_id, FaultId::from_uuid(uuid::Uuid::nil())),
    );
    let space = prefix.get(..18).unwrap();
    bench.store.scan(space, None, usize::MAX).unwrap().len()
}

fn misbehaviours(bench: &Bench) -> Vec<Misbehaviour> {
    bench
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Misbehave(misbehaviour) => Some(misbehaviour.clone()),
            _ => None,
        })
        .collect()
}

/// A sale from start to approval, a void and its acknowledgement do not matter: every moment but
/// those of the acquirer's later requests is passed.
fn sell(bench: &mut Bench) -> PosTransactionId {
    bench.approved()
}

/// What stands directly behind the first misbehaviour.
fn behind(bench: &Bench) -> Option<&Effect> {
    let place = bench
        .effects
        .iter()
        .position(|effect| matches!(effect, Effect::Misbehave(_)))?;
    bench.effects.get(place + 1)
}

#[test]
fn a_link_is_cut_before_the_message_of_the_moment() {
    for (moment, is_message) in [
        (
            Moment::Offered,
            (|message| matches!(message, ToAgent::Offer(_))) as fn(&ToAgent) -> bool,
        ),
        (Moment::AwaitingCard, |message| {
            matches!(message, ToAgent::ReadCard(_))
        }),
        (Moment::Confirming, |message| {
            matches!(message, ToAgent::HostAnswer(_))
        }),
        (Moment::Approved, |message| {
            matches!(message, ToAgent::Concluded(_))
        }),
        (Moment::Printing, |message| {
            matches!(message, ToAgent::Print(_))
        }),
    ] {
        let mut bench = bench();
        let order = order(&bench, "link_cut", Some(moment));
        let id = arm(&mut bench, order);
        let pos_id = sell(&mut bench);
        assert_eq!(
            misbehaviours(&bench),
            [Misbehaviour::CutLink {
                terminal_id: bench.terminal_id,
                after_ms: 0,
                refusal_ms: 0
            }],
            "{moment:?}"
        );
        let Some(Effect::ToTerminal { message, .. }) = behind(&bench) else {
            panic!("{moment:?}: {:?}", behind(&bench));
        };
        assert!(is_message(message), "{moment:?}: {message:?}");
        let fault = stored(&bench, id);
        assert_eq!(fault.state, State::Fired, "{moment:?}");
        let firing = fault.firings.first().unwrap();
        assert_eq!(firing.met.pos_id, Some(pos_id), "{moment:?}");
        assert_eq!(firing.met.moment, moment);
        assert_eq!(marks(&bench), 0, "{moment:?}");
    }
}

#[test]
fn a_card_comes_behind_the_word_to_read_it() {
    let mut bench = bench();
    let order = order(&bench, "card_presented", None);
    arm(&mut bench, order);
    bench.accepted();
    let [Misbehaviour::Device { command, .. }] = &misbehaviours(&bench)[..] else {
        panic!("no card");
    };
    assert_eq!(command.command, "present");
    let argument = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let expected = [argument("card", "visa"), argument("way", "tap")];
    assert_eq!(command.arguments, expected);
    assert!(!command.wait_for.is_empty());
    assert!(matches!(bench.effects.last(), Some(Effect::Misbehave(_))));
}

#[test]
fn a_request_goes_out_once_with_its_fault() {
    let mut bench = bench();
    let order = order(&bench, "host_no_answer", None);
    let id = arm(&mut bench, order);
    let pos_id = sell(&mut bench);
    let [Misbehaviour::Acquirer(request, fault)] = &misbehaviours(&bench)[..] else {
        panic!("no request");
    };
    assert_eq!(*fault, HostFault::NoAnswer);
    assert!(matches!(request.action, AcquirerAction::Authorize { .. }));
    let is_plain = |effect: &Effect| matches!(effect, Effect::Acquirer(_));
    assert!(!bench.effects.iter().any(is_plain), "asked twice");
    let firing = *stored(&bench, id).firings.first().unwrap();
    assert_eq!(firing.met.transaction_id, Some(request.transaction_id));
    assert_eq!(firing.met.pos_id, Some(pos_id));
    bench.effects.clear();
    sell(&mut bench);
    assert_eq!(misbehaviours(&bench), [], "it happened twice");
}

#[test]
fn of_two_faults_of_one_request_the_second_waits() {
    let mut bench = bench();
    for code in ["host_delay", "host_no_answer"] {
        let order = Order {
            target: Target::Acquirer,
            ..order(&bench, code, None)
        };
        arm(&mut bench, order);
    }
    sell(&mut bench);
    sell(&mut bench);
    let faults: Vec<HostFault> = misbehaviours(&bench)
        .into_iter()
        .filter_map(|one| match one {
            Misbehaviour::Acquirer(_, fault) => Some(fault),
            _ => None,
        })
        .collect();
    assert_eq!(faults, [HostFault::Delay { ms: 500 }, HostFault::NoAnswer]);
}

#[test]
fn reversals_are_a_moment_of_their_own() {
    let mut bench = bench();
    let order = order(&bench, "host_no_answer", Some(Moment::Reversing));
    let id = arm(&mut bench, order);
    let pos_id = bench.tapped();
    assert_eq!(misbehaviours(&bench), []);
    bench.host(pos_id, AuthorizationAnswer::Unknown);
    let [Misbehaviour::Acquirer(request, _)] = &misbehaviours(&bench)[..] else {
        panic!("no reversal");
    };
    assert!(matches!(request.action, AcquirerAction::Reverse { .. }));
    assert_eq!(
        stored(&bench, id).firings.first().unwrap().met.pos_id,
        Some(pos_id)
    );
}

#[test]
fn an_armed_fault_outlives_a_restart_and_a_fired_one_does_not_come_back() {
    let mut bench = bench();
    let order = order(&bench, "engine_restart", Some(Moment::Confirming));
    let id = arm(&mut bench, order);
    under(&mut bench, TEST_MODE);
    assert_eq!(marks(&bench), 1);
    let pos_id = bench.tapped();
    bench.host(pos_id, approval());
    assert_eq!(
        misbehaviours(&bench),
        [Misbehaviour::EndProcess { after_ms: 0 }]
    );
    // The process has ended: what stands behind was never sent. The next life knows.
    assert_eq!(stored(&bench, id).state, State::Fired);
    under(&mut bench, TEST_MODE);
    bench.completed(pos_id, ChipOutcome::Agreed);
    sell(&mut bench);
    assert_eq!(misbehaviours(&bench), []);
}

#[test]
fn nothing_is_armed_or_met_in_live_mode() {
    let mut bench = bench();
    let order = order(&bench, "link_cut", Some(Moment::Offered));
    let id = arm(&mut bench, order.clone());
    under(&mut bench, Policy::Off);
    sell(&mut bench);
    assert_eq!(misbehaviours(&bench), []);
    assert!(stored(&bench, id).firings.is_empty());
    for request in [
        Request::ArmFault(order),
        Request::DisarmFault { fault_id: id },
    ] {
        assert_eq!(refusal(&mut bench, request), Rejection::TestModeOnly);
    }
}

#[test]
fn only_the_operator_lets_the_process_end() {
    let mut bench = bench();
    let order = order(&bench, "engine_restart", Some(Moment::Offered));
    let id = arm(&mut bench, order.clone());
    let refuses = Policy::On {
        allows_engine_restart: false,
    };
    under(&mut bench, refuses);
    let refused = refusal(&mut bench, Request::ArmFault(order));
    assert!(matches!(refused, Rejection::NotEnabled { .. }), "{refused}");
    sell(&mut bench);
    assert_eq!(misbehaviours(&bench), []);
    let why = "engine_restart_not_allowed".to_owned();
    assert_eq!(stored(&bench, id).state, State::Refused(why));
}

#[test]
fn faults_at_once_happen_at_once() {
    let mut bench = bench();
    let order = order(&bench, "paper_in", None);
    let id = arm(&mut bench, order);
    let [Misbehaviour::Device { command, .. }] = &misbehaviours(&bench)[..] else {
        panic!("no paper");
    };
    assert_eq!(command.fault_id, id);
    assert_eq!(stored(&bench, id).state, State::Fired);
    let other = protocol::id::TerminalId::from_uuid(uuid::Uuid::from_u128(77));
    let message = |refusal: Option<&str>| ToEngine::Simulated {
        fault_id: id,
        refusal: refusal.map(str::to_owned),
    };
    bench.said(message(None));
    assert_eq!(stored(&bench, id).state, State::Fired);
    let terminal_id = std::mem::replace(&mut bench.terminal_id, other);
    bench.said(message(Some("a word of another till")));
    assert_eq!(stored(&bench, id).state, State::Fired);
    bench.terminal_id = terminal_id;
    bench.said(message(Some("not_supported\n")));
    let refused = State::Refused("not_supported".to_owned());
    assert_eq!(stored(&bench, id).state, refused);
}

#[test]
fn a_fault_that_is_not_met_expires_and_one_that_is_taken_back_does_not_happen() {
    let mut bench = bench();
    let order = order(&bench, "link_cut", Some(Moment::Offered));
    let expired = arm(&mut bench, order.clone());
    bench.pass(60_000);
    assert_eq!(stored(&bench, expired).state, State::Expired);
    let taken_back = arm(&mut bench, order);
    for _ in 0..2 {
        let answer = bench.ask(
            None,
            Request::DisarmFault {
                fault_id: taken_back,
            },
        );
        let Some(Ok(Reply::Fresh(Answer::FaultDisarmed(fault)))) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(fault.state, State::Disarmed);
    }
    assert_eq!(marks(&bench), 0);
    sell(&mut bench);
    assert_eq!(misbehaviours(&bench), []);
    let fault_id = FaultId::from_uuid(uuid::Uuid::from_u128(5));
    let absent = Request::DisarmFault { fault_id };
    assert_eq!(refusal(&mut bench, absent), Rejection::NotFound);
}

#[test]
fn targets_must_be_the_merchants_own_and_faults_are_bounded() {
    let mut bench = bench();
    let plain = order(&bench, "link_cut", None);
    for target in [
        Target::Terminal(protocol::id::TerminalId::from_uuid(uuid::Uuid::nil())),
        Target::Pos(PosTransactionId::from_uuid(uuid::Uuid::nil())),
    ] {
        let order = Order {
            target,
            ..plain.clone()
        };
        let refused = refusal(&mut bench, Request::ArmFault(order));
        assert_eq!(refused, Rejection::NotFound);
    }
    for _ in 0..ARMED_MAX {
        arm(&mut bench, plain.clone());
    }
    let refused = refusal(&mut bench, Request::ArmFault(plain));
    assert_eq!(refused, Rejection::TooManyFaults { max: ARMED_MAX });
}

#[test]
fn stored_faults_read_back() {
    let mut bench = bench();
    for code in Kind::CODES {
        let order = order(&bench, code, None);
        let id = arm(&mut bench, order);
        let mut fault = stored(&bench, id);
        for state in [
            State::Expired,
            State::Disarmed,
            State::Refused("why".to_owned()),
        ] {
            fault.state = state;
            fault.ended_at = Some(Timestamp(5));
            assert_eq!(Fault::from_bytes(&fault.to_bytes()), Some(fault.clone()));
        }
    }
}
