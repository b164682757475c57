//! What is printed, when, and what it says of earlier copies.

use protocol::id::{JournalId, PrintJobId};
use protocol::link::{PrintReport, PrintState, ToAgent, ToEngine};
use uuid::Uuid;

use super::bench::{Bench, euros};
use crate::acquirer::{AcquirerAnswer, IntentAnswer};
use crate::owner::request::{Request, TransactionTarget};

#[test]
fn receipts_print_after_approval_and_reprints_say_duplicate() {
    let mut bench = Bench::new();
    let pos_id = bench.approved();
    let printed = |bench: &Bench| -> Vec<(bool, String)> {
        bench
            .sent()
            .into_iter()
            .filter_map(|message| match message {
                ToAgent::Print(command) => {
                    Some((command.receipt.is_duplicate, command.receipt.text(42)))
                }
                _ => None,
            })
            .collect()
    };
    let first = printed(&bench);
    assert_eq!(
        first
            .iter()
            .map(|(duplicate, _)| *duplicate)
            .collect::<Vec<_>>(),
        [false, false]
    );
    assert!(
        first
            .iter()
            .all(|(_, text)| text.contains("APPROVED") && text.contains("EUR 12.34"))
    );
    let reprint = Request::PrintReceipt(crate::owner::request::PrintReceipt {
        pos_id,
        copy: protocol::receipt::Copy::Customer,
        terminal_id: None,
    });
    bench.effects.clear();
    bench.ask(None, reprint);
    let again = printed(&bench);
    assert!(
        again
            .iter()
            .all(|(duplicate, text)| *duplicate && text.contains("DUPLICATE"))
    );
    assert_eq!(again.len(), 1);
}

/// Found by the simulation: the same tip once more made a receipt without DUPLICATE.
#[test]
fn a_receipt_that_says_the_same_again_says_duplicate() {
    let mut bench = Bench::new();
    let pos_id = bench.approved();
    let transaction_id = bench.transaction_of(pos_id).id;
    let mut adjust_and_print = |minor| {
        let request = Request::AdjustTip {
            target: TransactionTarget::OfPos(pos_id),
            tip: euros(minor),
            wait_until: bench.now.plus_ms(5_000),
        };
        bench.ask(None, request);
        bench.acquirer(
            transaction_id,
            AcquirerAnswer::Intent(IntentAnswer::Acknowledged),
        );
        assert_eq!(
            bench.transaction_of(pos_id).current_tip(),
            Some(euros(minor))
        );
        bench.effects.clear();
        let reprint = Request::PrintReceipt(crate::owner::request::PrintReceipt {
            pos_id,
            copy: protocol::receipt::Copy::Customer,
            terminal_id: None,
        });
        bench.ask(None, reprint);
        match bench.sent().as_slice() {
            [ToAgent::Print(command)] => command.receipt.is_duplicate,
            other => panic!("no receipt: {other:?}"),
        }
    };
    let tips = [(100, false), (100, true), (200, false), (100, true)];
    for (minor, is_duplicate) in tips {
        assert_eq!(adjust_and_print(minor), is_duplicate, "tip of {minor}");
    }
}

/// A link of weeks: what the till must remember of past prints does not grow.
#[test]
fn ends_of_prints_are_acknowledged_with_the_next_job() {
    let mut bench = Bench::new();
    let jobs = |bench: &Bench| -> Vec<(PrintJobId, Vec<PrintJobId>)> {
        let command = |message| match message {
            ToAgent::Print(command) => Some((command.job_id, command.known)),
            _ => None,
        };
        bench.sent().into_iter().filter_map(command).collect()
    };
    let printed = |bench: &mut Bench, job_id| {
        bench.said(ToEngine::Print(PrintReport {
            job_id,
            state: PrintState::Printed,
        }));
    };
    bench.approved();
    let first = jobs(&bench);
    assert!(first.iter().all(|(_, known)| known.is_empty()));
    bench.effects.clear();
    // Said twice by a till that was not sure, and once about a job of nobody.
    for (job_id, _) in &first {
        printed(&mut bench, *job_id);
    }
    printed(&mut bench, first[0].0);
    bench.approved();
    let second = jobs(&bench);
    let acknowledged: Vec<PrintJobId> =
        second.iter().flat_map(|(_, known)| known.clone()).collect();
    assert_eq!(acknowledged, [first[0].0, first[1].0]);
    // A new link: its welcome acknowledges what its hello says, and nothing is said twice.
    printed(&mut bench, second[0].0);
    bench.effects.clear();
    bench.link_back(Vec::new());
    bench.approved();
    assert!(jobs(&bench).iter().all(|(_, known)| known.is_empty()));
}

#[test]
fn a_replaced_installation_prints_nothing_that_may_have_been_printed() {
    let mut bench = Bench::new();
    bench.approved();
    let is_print = |message: &ToAgent| matches!(message, ToAgent::Print(_));
    bench.effects.clear();
    bench.link_back(Vec::new());
    assert_eq!(
        bench.sent().iter().filter(|one| is_print(one)).count(),
        2,
        "the same till is sent its open jobs again"
    );
    bench.effects.clear();
    bench.link_up(JournalId::from_uuid(Uuid::from_u128(99)), Vec::new());
    assert!(!bench.sent().iter().any(is_print));
}

/// Found by the simulation: a till of which an older journal was put back printed again what had
/// stopped in the middle.
#[test]
fn a_job_that_has_begun_is_told_to_have_begun_when_it_is_sent_again() {
    let mut bench = Bench::new();
    bench.approved();
    let jobs = |bench: &Bench| -> Vec<(PrintJobId, bool)> {
        let command = |message| match message {
            ToAgent::Print(command) => Some((command.job_id, command.has_begun)),
            _ => None,
        };
        bench.sent().into_iter().filter_map(command).collect()
    };
    let first = jobs(&bench);
    assert!(first.iter().all(|(_, has_begun)| !has_begun));
    let held = PrintState::Queued {
        held_by: "cover_open".to_owned(),
    };
    let told = [
        (first[0].0, PrintState::Printing),
        (first[0].0, held.clone()),
        (first[1].0, held),
    ];
    for (job_id, state) in told {
        bench.said(ToEngine::Print(PrintReport { job_id, state }));
    }
    for restarts in [false, true] {
        if restarts {
            bench.restart();
        }
        bench.effects.clear();
        bench.link_back(Vec::new());
        let again = [(first[0].0, true), (first[1].0, false)];
        assert_eq!(jobs(&bench), again, "after a restart: {restarts}");
    }
}
