//! Every invariant is able to fail: a good state is broken in one way, and the rule says so.

use std::collections::BTreeSet;

use protocol::id::{PosTransactionId, PrintJobId, TerminalId, TransactionId};
use protocol::link::{PosStatus, PrintState, ToEngine};
use uuid::Uuid;

use super::bench::{Bench, T0, claim, euros};
use crate::acquirer::AuthorizationAnswer;
use crate::domain::idempotency::Claim;
use crate::domain::invariant::{self, Holdings, OpenWork, RULES};
use crate::domain::merchant::DeviceKey;
use crate::domain::pairing::PairingCode;
use crate::domain::pos::{Cancel, IfTooLate, PosTransaction, Stage, Verdict};
use crate::domain::print::PrintJob;
use crate::domain::token::{ApiKey, SecretHash};
use crate::domain::transaction::{Transaction, TransactionState};
use crate::owner::inspect::Inspection;
use crate::store::Rows as _;

/// One sale approved, one being reversed, one that waits for a card.
fn good() -> (Bench, Holdings) {
    let mut bench = Bench::new();
    bench.approved();
    let doubtful = bench.start(false);
    bench.said(ToEngine::Accept { pos_id: doubtful });
    bench.tap(doubtful);
    bench.host(doubtful, AuthorizationAnswer::Unknown);
    let waiting = bench.start(false);
    bench.said(ToEngine::Accept { pos_id: waiting });
    let rows = bench.store.scan(&[], None, usize::MAX).unwrap();
    let inspection = Inspection::read(rows);
    assert_eq!(inspection.violations(), []);
    let holdings = inspection.merchants[&bench.merchant_id].clone();
    (bench, holdings)
}

fn pos(holdings: &mut Holdings, status: PosStatus) -> &mut PosTransaction {
    let mut all = holdings.pos.values_mut();
    all.find(|pos| pos.status() == status).unwrap()
}

fn transaction(holdings: &mut Holdings, state: TransactionState) -> &mut Transaction {
    let mut all = holdings.transactions.values_mut();
    all.find(|one| one.state == state).unwrap()
}

fn job(holdings: &mut Holdings) -> &mut PrintJob {
    holdings.print_jobs.values_mut().next().unwrap()
}

fn double_charge(holdings: &mut Holdings) {
    let mut second = transaction(holdings, TransactionState::Approved).clone();
    second.id = TransactionId::from_uuid(Uuid::from_u128(99));
    second.trace.number += 7;
    holdings.transactions.insert(second.id, second);
}

fn pairing_code(holdings: &Holdings) -> PairingCode {
    let terminal = holdings.terminals.values().next().unwrap();
    PairingCode {
        id: protocol::id::PairingCodeId::from_uuid(Uuid::from_u128(50)),
        terminal_id: terminal.id,
        merchant_id: terminal.merchant_id,
        hash: SecretHash([1; 32]),
        created_at: T0,
        expires_at: T0.plus_ms(1_000),
        redeemed: Some((DeviceKey([9; 32]), T0)),
        serial_number: None,
        revoked_at: None,
        wrong_serials: 0,
        is_approval: false,
    }
}

fn claim_on(holdings: &mut Holdings, resource: &str) {
    let request = claim("k", "b");
    let row = Claim {
        fingerprint: request.fingerprint,
        resource: resource.to_owned(),
        answer: None,
        at: T0,
    };
    holdings.claims.insert(request.key, row);
}

type Break = fn(&mut Holdings);

const BREAKS: &[(&str, Break)] = &[
    ("merchant_exists", |all| all.merchant = None),
    ("terminal_key_was_paired", |all| {
        let terminal = all.terminals.values_mut().next().unwrap();
        terminal.paired_at = None;
    }),
    ("terminal_key_was_paired", |all| {
        let code = pairing_code(all);
        all.pairing_codes.insert(code.id, code);
    }),
    ("pairing_code_has_terminal", |all| {
        let mut code = pairing_code(all);
        code.terminal_id = TerminalId::from_uuid(Uuid::from_u128(51));
        all.pairing_codes.insert(code.id, code);
    }),
    ("api_key_is_consistent", |all| {
        for id in [60, 61] {
            let merchant_id = all.merchant.as_ref().unwrap().id;
            let id = protocol::id::ApiKeyId::from_uuid(Uuid::from_u128(id));
            let api_key = ApiKey {
                id,
                merchant_id,
                label: "POS".into(),
                hash: SecretHash([4; 32]),
                scopes: BTreeSet::new().into_iter().collect(),
                created_at: T0,
                expires_at: None,
                revoked_at: None,
            };
            all.api_keys.insert(id, api_key);
        }
    }),
    ("claim_has_resource", |all| claim_on(all, "")),
    ("claim_has_resource", |all| {
        let missing = PosTransactionId::from_uuid(Uuid::from_u128(70));
        claim_on(all, &missing.to_string());
    }),
    ("claim_has_resource", |all| {
        let job = job(all).id;
        claim_on(all, &job.to_string());
    }),
    ("pos_amounts_add_up", |all| {
        pos(all, PosStatus::InProgress).tip = Some(euros(1));
    }),
    ("pos_amounts_add_up", |all| {
        pos(all, PosStatus::Approved).approved = Some(euros(1_235));
    }),
    ("transaction_amounts_add_up", |all| {
        transaction(all, TransactionState::Approved).requested = euros(1_235);
    }),
    ("transaction_amounts_add_up", |all| {
        transaction(all, TransactionState::Approved).authorized =
            Some(protocol::money::Money::new(1, "USD".parse().unwrap()));
    }),
    ("one_money_action_per_terminal", |all| {
        let mut second = pos(all, PosStatus::InProgress).clone();
        second.id = PosTransactionId::from_uuid(Uuid::from_u128(71));
        all.open.insert(OpenWork::Pos(second.id));
        all.pos.insert(second.id, second);
    }),
    ("open_work_is_marked", |all| all.open.clear()),
    ("open_work_is_marked", |all| {
        let id = PrintJobId::from_uuid(Uuid::from_u128(72));
        all.open.insert(OpenWork::Print(id));
    }),
    ("nothing_hangs", |all| {
        pos(all, PosStatus::InProgress).deadline = None
    }),
    ("closed_is_final", |all| {
        pos(all, PosStatus::Approved).outcome = None
    }),
    ("closed_is_final", |all| {
        let outcome = pos(all, PosStatus::Approved).outcome;
        pos(all, PosStatus::InProgress).outcome = outcome;
    }),
    ("doubt_is_being_resolved", |all| {
        transaction(all, TransactionState::Reversing).reversal = None;
    }),
    ("doubt_is_being_resolved", |all| {
        pos(all, PosStatus::InDoubt).next_action_at = None;
    }),
    ("cancel_has_true_verdict", |all| {
        pos(all, PosStatus::Approved).cancel = Some(Cancel {
            requested_at: T0,
            if_too_late: IfTooLate::Keep,
            verdict: Some(Verdict::Canceled),
        });
    }),
    ("one_authorization_stands", double_charge),
    ("attempts_and_transactions_agree", double_charge),
    ("attempts_and_transactions_agree", |all| {
        all.transactions.clear()
    }),
    ("status_agrees_with_transactions", |all| {
        transaction(all, TransactionState::Approved).state = TransactionState::Declined;
    }),
    ("status_agrees_with_transactions", |all| {
        pos(all, PosStatus::InProgress).stage = Stage::Confirming;
    }),
    ("transaction_is_consistent", |all| {
        transaction(all, TransactionState::Approved).host = None;
    }),
    ("transaction_is_consistent", |all| {
        transaction(all, TransactionState::Reversing).state = TransactionState::Reversed;
    }),
    ("trace_is_used_once", |all| {
        let trace = transaction(all, TransactionState::Approved).trace;
        transaction(all, TransactionState::Reversing).trace = trace;
    }),
    ("trace_is_used_once", |all| all.trace = None),
    ("print_job_has_pos", |all| {
        job(all).pos_id = PosTransactionId::from_uuid(Uuid::from_u128(73));
    }),
    ("print_job_has_pos", |all| {
        job(all).state = PrintState::Printed
    }),
    ("first_copy_is_marked", |all| all.copy_marks.clear()),
    ("first_copy_is_marked", |all| all.print_jobs.clear()),
];

#[test]
fn every_invariant_is_able_to_fail() {
    let (bench, good) = good();
    for (number, (rule, break_it)) in BREAKS.iter().enumerate() {
        let mut broken = good.clone();
        break_it(&mut broken);
        let found = invariant::check(bench.merchant_id, &broken);
        let is_found = found.iter().any(|violation| violation.rule == *rule);
        assert!(is_found, "{number} {rule}: {found:?}");
    }
    let shown: BTreeSet<&str> = BREAKS.iter().map(|(rule, _)| *rule).collect();
    let all: BTreeSet<&str> = RULES.iter().map(|(rule, _)| *rule).collect();
    assert_eq!(shown, all);
}
