//! Pairing, and whose hello is heard afterwards.

use protocol::id::{JournalId, PairingCodeId};
use protocol::link::{RefusedReason, ToAgent};
use uuid::Uuid;

use super::Effect;
use super::bench::{Bench, SOCKET};
use crate::domain::merchant::DeviceKey;
use crate::domain::merchant::Terminal;
use crate::domain::pairing::{CodeState, PairingCode};
use crate::domain::rejection::Rejection;
use crate::domain::token::Secret;
use crate::domain::token::SecretHash;
use crate::owner::key;
use crate::owner::request::{
    Answer, ApprovePairing, NewTill, PairingTarget, RedeemPairingCode, Reply, Request,
};
use crate::owner::work::Stored as _;
use crate::store::Rows as _;

fn create_code(bench: &mut Bench) -> PairingCodeId {
    let request = Request::CreatePairingCode {
        terminal_id: bench.terminal_id,
        life_s: 60,
        serial_number: None,
        code: Secret::new("BCDFGHJKLM".to_owned()),
    };
    match bench.ask(None, request) {
        Some(Ok(Reply::Fresh(Answer::PairingCodeCreated(code, _)))) => code.id,
        other => panic!("no code: {other:?}"),
    }
}

fn redeem(bench: &mut Bench, code_id: PairingCodeId, key: u8) -> Option<Result<Reply, Rejection>> {
    let device_key = DeviceKey([key; 32]);
    let redeem = RedeemPairingCode {
        code_id,
        device_key,
        serial_number: None,
    };
    bench.ask(None, Request::RedeemPairingCode(redeem))
}

fn journal(number: u128) -> JournalId {
    JournalId::from_uuid(Uuid::from_u128(number))
}

#[test]
fn an_expired_pairing_code_pairs_nobody_but_repeats_its_answer() {
    let mut bench = Bench::new();
    let (used, unused) = (create_code(&mut bench), create_code(&mut bench));
    let first = redeem(&mut bench, used, 8);
    assert!(
        matches!(first, Some(Ok(Reply::Fresh(Answer::Paired(..))))),
        "{first:?}"
    );
    bench.now = bench.now.plus_ms(60_000);
    assert_eq!(redeem(&mut bench, used, 8), first);
    for (code_id, key) in [(used, 9), (unused, 8), (unused, 9)] {
        let refused = redeem(&mut bench, code_id, key);
        assert_eq!(refused, Some(Err(Rejection::PairingCodeInvalid)));
    }
}

#[test]
fn a_till_that_is_paired_anew_is_not_sent_what_another_journal_may_have_printed() {
    let jobs = |bench: &Bench| {
        let sent = bench.sent().into_iter();
        sent.filter(|one| matches!(one, ToAgent::Print(_))).count()
    };
    for (next, sent_again) in [(3, 2), (4, 0)] {
        let mut bench = Bench::new();
        bench.link_up(journal(3), Vec::new());
        bench.approved();
        assert_eq!(jobs(&bench), 2);
        let code_id = create_code(&mut bench);
        redeem(&mut bench, code_id, 9);
        bench.link_up(journal(next), Vec::new());
        assert_eq!(jobs(&bench) - 2, sent_again, "journal {next}");
    }
}

#[test]
fn an_old_code_is_not_repeated_once_the_terminal_has_a_newer_key() {
    let mut bench = Bench::new();
    let (old, new) = (create_code(&mut bench), create_code(&mut bench));
    assert!(matches!(redeem(&mut bench, old, 8), Some(Ok(_))));
    assert!(matches!(redeem(&mut bench, new, 9), Some(Ok(_))));
    let refused = redeem(&mut bench, old, 8);
    assert_eq!(refused, Some(Err(Rejection::PairingCodeInvalid)));
}

#[test]
fn one_of_two_that_take_turns_is_refused_across_restarts_until_paired_anew() {
    let mut bench = Bench::new();
    let is_refused = |bench: &mut Bench, number| {
        bench.effects.clear();
        bench.link_up(journal(number), Vec::new());
        let terminal_id = bench.terminal_id;
        let reason = RefusedReason::DuplicateIdentity;
        let refusal = Effect::RefuseLink {
            terminal_id,
            socket: SOCKET,
            reason,
        };
        bench.effects.contains(&refusal)
    };
    for (number, expected) in [(3, false), (4, false), (3, true), (4, true)] {
        assert_eq!(is_refused(&mut bench, number), expected, "journal {number}");
    }
    bench.restart();
    for number in [4, 3] {
        assert!(is_refused(&mut bench, number), "journal {number}");
    }
    let code_id = create_code(&mut bench);
    redeem(&mut bench, code_id, 9);
    assert!(!is_refused(&mut bench, 4), "paired anew");
}

fn redeem_as(
    bench: &mut Bench,
    code_id: PairingCodeId,
    key: u8,
    serial_number: &str,
) -> Result<Reply, Rejection> {
    let redeem = RedeemPairingCode {
        code_id,
        device_key: DeviceKey([key; 32]),
        serial_number: Some(serial_number.to_owned()),
    };
    bench.ask(None, Request::RedeemPairingCode(redeem)).unwrap()
}

fn create_bound(bench: &mut Bench, serial_number: &str) -> PairingCodeId {
    let request = Request::CreatePairingCode {
        terminal_id: bench.terminal_id,
        life_s: 600,
        serial_number: Some(serial_number.to_owned()),
        code: Secret::new("BCDFGHJKLM".to_owned()),
    };
    match bench.ask(None, request) {
        Some(Ok(Reply::Fresh(Answer::PairingCodeCreated(code, _)))) => code.id,
        other => panic!("no code: {other:?}"),
    }
}

fn code_row(bench: &Bench, code_id: PairingCodeId) -> PairingCode {
    let row = bench
        .store
        .get(&key::pairing_code(bench.merchant_id, code_id));
    PairingCode::from_bytes(&row.unwrap().unwrap()).unwrap()
}

fn terminal_row(bench: &Bench) -> Terminal {
    let row = bench
        .store
        .get(&key::terminal(bench.merchant_id, bench.terminal_id));
    Terminal::from_bytes(&row.unwrap().unwrap()).unwrap()
}

fn is_paired(reply: &Result<Reply, Rejection>) -> bool {
    matches!(reply, Ok(Reply::Fresh(Answer::Paired(..))))
}

#[test]
fn a_bound_code_waits_for_its_till_and_is_locked_by_the_fifth_wrong_one() {
    let mut bench = Bench::new();
    let code_id = create_bound(&mut bench, "SN-1");
    for tries_left in [4, 3, 2, 1] {
        let refused = redeem_as(&mut bench, code_id, 9, "SN-2");
        assert_eq!(
            refused,
            Err(Rejection::PairingSerialMismatch { tries_left })
        );
    }
    // What was counted is stored.
    bench.restart();
    assert_eq!(code_row(&bench, code_id).wrong_serials, 4);
    let mut other = Bench::new();
    let same = create_bound(&mut other, "SN-1");
    for _ in 0..4 {
        assert!(redeem_as(&mut other, same, 9, "SN-2").is_err());
    }
    assert!(is_paired(&redeem_as(&mut other, same, 8, "SN-1")));

    let refused = redeem_as(&mut bench, code_id, 9, "SN-2");
    let mismatch = Rejection::PairingSerialMismatch { tries_left: 0 };
    assert_eq!(refused, Err(mismatch));
    for (key, serial_number) in [(9, "SN-2"), (8, "SN-1")] {
        let refused = redeem_as(&mut bench, code_id, key, serial_number);
        assert_eq!(refused, Err(Rejection::PairingCodeLocked));
    }
    assert_eq!(
        code_row(&bench, code_id).state(bench.now),
        CodeState::Locked
    );
    assert_eq!(code_row(&bench, code_id).wrong_serials, 5);
}

#[test]
fn a_code_that_was_taken_back_pairs_nobody() {
    let mut bench = Bench::new();
    let code_id = create_code(&mut bench);
    let revoke = Request::RevokePairingCode { code_id };
    let first = bench.ask(None, revoke.clone()).unwrap().unwrap();
    bench.now = bench.now.plus_ms(1_000);
    let again = bench.ask(None, revoke).unwrap().unwrap();
    assert_eq!(first, again, "taken back once");
    let refused = redeem(&mut bench, code_id, 9);
    assert_eq!(refused, Some(Err(Rejection::PairingCodeInvalid)));

    let used = create_code(&mut bench);
    redeem(&mut bench, used, 9);
    let refused = bench.ask(None, Request::RevokePairingCode { code_id: used });
    let state = CodeState::Redeemed.code();
    let rejection = Rejection::PairingCodeState { id: used, state };
    assert_eq!(refused, Some(Err(rejection)));
    let code_id = PairingCodeId::from_uuid(Uuid::from_u128(404));
    let refused = bench.ask(None, Request::RevokePairingCode { code_id });
    assert_eq!(refused, Some(Err(Rejection::NotFound)));
}

/// Only what the merchant promised binds; what a till called itself does not keep its successor out.
#[test]
fn new_hardware_takes_the_place_of_the_old() {
    let mut bench = Bench::new();
    let first = create_code(&mut bench);
    assert!(is_paired(&redeem_as(&mut bench, first, 8, "SN-1")));
    assert_eq!(terminal_row(&bench).serial_number.as_deref(), Some("SN-1"));
    let second = create_code(&mut bench);
    assert!(is_paired(&redeem_as(&mut bench, second, 9, "SN-2")));
    assert_eq!(terminal_row(&bench).serial_number.as_deref(), Some("SN-2"));
}

fn new_till(number: u8, serial_number: Option<&str>) -> NewTill {
    NewTill {
        label: format!("Lane {number}"),
        location: None,
        serial_number: serial_number.map(str::to_owned),
        life_s: 600,
        code: Secret::new(format!("BCDFGHJKL{number}")),
    }
}

#[test]
fn tills_in_bulk_are_made_together_and_bound_one_by_one() {
    let mut bench = Bench::new();
    let tills = vec![new_till(2, Some("SN-2")), new_till(3, None)];
    let made = bench.ask(None, Request::CreateTills(tills));
    let Some(Ok(Reply::Fresh(Answer::TillsCreated(made)))) = made else {
        panic!("not made: {made:?}");
    };
    assert_eq!(made.len(), 2);
    let ids: Vec<PairingCodeId> = made.iter().map(|till| till.pairing_code.id).collect();
    let wrong = redeem_as(&mut bench, ids[0], 8, "SN-9");
    assert!(matches!(
        wrong,
        Err(Rejection::PairingSerialMismatch { .. })
    ));
    for (id, key, serial_number) in [(ids[0], 8, "SN-2"), (ids[1], 9, "SN-9")] {
        assert!(is_paired(&redeem_as(&mut bench, id, key, serial_number)));
    }
    let none = bench.ask(None, Request::CreateTills(Vec::new()));
    assert!(matches!(none, Some(Err(Rejection::Invalid { .. }))));
}

fn approve(bench: &mut Bench, target: PairingTarget, key: u8) -> Result<Reply, Rejection> {
    let approve = ApprovePairing {
        target,
        device_key: DeviceKey([key; 32]),
        serial_number: Some("SN-1".to_owned()),
        hash: SecretHash([key; 32]),
    };
    bench.ask(None, Request::ApprovePairing(approve)).unwrap()
}

#[test]
fn an_approval_is_a_redemption_that_is_stored() {
    let mut bench = Bench::new();
    let target = PairingTarget::New("Lane 7".to_owned());
    let Ok(Reply::Fresh(Answer::Paired(terminal, _))) = approve(&mut bench, target, 9) else {
        panic!("not paired");
    };
    assert_eq!(terminal.label, "Lane 7");
    assert_eq!(terminal.device_key, Some(DeviceKey([9; 32])));
    let published = bench.effects.iter().find_map(|effect| match effect {
        Effect::Publish(crate::owner::access_change::AccessChange::PairingCode(code)) => {
            Some((**code).clone())
        }
        _ => None,
    });
    let code = published.unwrap();
    assert!(code.is_approval);
    assert_eq!(code.hash, SecretHash([9; 32]));
    assert_eq!(code.state(bench.now), CodeState::Redeemed);
    assert_eq!(code_row(&bench, code.id), code);

    // A terminal that there is: its till is replaced, unless money is under way there.
    let here = PairingTarget::Existing(bench.terminal_id);
    assert!(is_paired(&approve(&mut bench, here.clone(), 10)));
    assert_eq!(terminal_row(&bench).device_key, Some(DeviceKey([10; 32])));
    bench.link_up(journal(3), Vec::new());
    let running = bench.start(false);
    let refused = approve(&mut bench, here, 11);
    assert_eq!(refused, Err(Rejection::TerminalHasOpenWork { running }));
    let nowhere = PairingTarget::Existing(protocol::id::TerminalId::from_bytes([4; 16]));
    assert_eq!(approve(&mut bench, nowhere, 11), Err(Rejection::NotFound));
}

fn unpair(bench: &mut Bench, key: Option<u8>) -> Result<Reply, Rejection> {
    let request = Request::Unpair {
        terminal_id: bench.terminal_id,
        device_key: key.map(|key| DeviceKey([key; 32])),
    };
    bench.ask(None, request).unwrap()
}

#[test]
fn a_terminal_is_released_once_nothing_is_open() {
    let mut bench = Bench::new();
    let running = bench.start(false);
    for key in [None, Some(7)] {
        let refused = unpair(&mut bench, key);
        assert_eq!(refused, Err(Rejection::TerminalHasOpenWork { running }));
    }
    bench.pass(600_000);
    assert_eq!(bench.pos(running).stage, crate::domain::pos::Stage::Closed);
    assert_eq!(unpair(&mut bench, Some(9)), Err(Rejection::NotFound));
    assert!(terminal_row(&bench).device_key.is_some());

    bench.effects.clear();
    let first = unpair(&mut bench, Some(7)).unwrap();
    let row = terminal_row(&bench);
    assert_eq!((row.device_key, row.paired_at), (None, None));
    let dropped = |effect: &Effect| {
        use crate::owner::access_change::AccessChange::DropLink;
        matches!(effect, Effect::Publish(DropLink(id)) if *id == row.id)
    };
    assert!(bench.effects.iter().any(dropped));
    bench.restart();
    assert_eq!(unpair(&mut bench, Some(7)).unwrap(), first, "a lost answer");
    assert_eq!(unpair(&mut bench, None).unwrap(), first);
    assert_eq!(unpair(&mut bench, Some(9)), Err(Rejection::NotFound));

    // A hello that was on its way is refused, and nothing starts.
    bench.effects.clear();
    bench.link_up(journal(3), Vec::new());
    let refusal = Effect::RefuseLink {
        terminal_id: bench.terminal_id,
        socket: SOCKET,
        reason: RefusedReason::Unauthorized,
    };
    assert!(bench.effects.contains(&refusal));
    let start = bench.start_request(false);
    let refused = bench.ask(None, start);
    assert_eq!(refused, Some(Err(Rejection::TerminalNotPaired)));

    // Another till comes.
    let code_id = create_code(&mut bench);
    assert!(is_paired(&redeem_as(&mut bench, code_id, 9, "SN-2")));
    assert_eq!(unpair(&mut bench, Some(7)), Err(Rejection::NotFound));
    bench.link_up(journal(4), Vec::new());
    bench.approved();
}

#[test]
fn what_was_queued_for_print_ends_with_the_pairing() {
    let mut bench = Bench::new();
    bench.approved();
    assert!(unpair(&mut bench, None).is_ok());
    bench.terminal_event(super::TerminalEvent::Down);
    assert!(bench.is_at_rest(), "nothing is owed to a till that is gone");
}

#[test]
fn a_terminal_made_for_one_till_is_not_approved_for_another() {
    let mut bench = Bench::new();
    let made = Request::CreateTerminal {
        label: "Lane 9".to_owned(),
        serial_number: Some("SN-9".to_owned()),
    };
    let Some(Ok(Reply::Fresh(Answer::TerminalCreated(terminal)))) = bench.ask(None, made) else {
        panic!("not made");
    };
    let target = PairingTarget::Existing(terminal.id);
    let refused = approve(&mut bench, target, 9);
    assert!(matches!(
        refused,
        Err(Rejection::Invalid {
            field: "terminal_id",
            ..
        })
    ));
}
