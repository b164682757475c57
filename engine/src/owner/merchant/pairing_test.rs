//! Pairing, and whose hello is heard afterwards.

use protocol::id::{JournalId, PairingCodeId};
use protocol::link::{RefusedReason, ToAgent};
use uuid::Uuid;

use super::Effect;
use super::bench::Bench;
use crate::domain::merchant::DeviceKey;
use crate::domain::rejection::Rejection;
use crate::domain::token::Secret;
use crate::owner::request::{Answer, RedeemPairingCode, Reply, Request};

fn create_code(bench: &mut Bench) -> PairingCodeId {
    let request = Request::CreatePairingCode {
        terminal_id: bench.terminal_id,
        life_s: 60,
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
