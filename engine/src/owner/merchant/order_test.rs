//! Every order of what can happen once card data has been sent: cancels, the acquirer's words, the
//! chip's word, lost links, restarts and deadlines, in all sequences of up to five of them.
//!
//! Each sequence is then brought to its end, with an acquirer that keeps its book, and must leave
//! exactly one truth: what stands there stands here, and everybody was told the same.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;

use protocol::id::{PosTransactionId, TransactionId};
use protocol::link::{
    AttemptEnd, ChipOutcome, Completion, Digest, DigestState, HostDecision, PosStatus, ToAgent,
    ToEngine,
};

use super::bench::{Bench, approval, decline};
use super::{Effect, MerchantInput, TerminalEvent};
use crate::acquirer::{
    AcquirerAction, AcquirerAnswer, AcquirerRequest, AuthorizationAnswer, IntentAnswer,
};
use crate::domain::pos::{IfTooLate, PosTransaction, Stage, Verdict};
use crate::domain::reversal::ReversalAnswer;
use crate::domain::transaction::TransactionState;
use crate::owner::request::{CallerId, CancelPos, Request};

/// Longest sequence tried; with it, every order of five of these.
const LENGTH_MAX: usize = 5;
/// Steps after which a sequence must have come to its end.
const STEPS_MAX: usize = 40;

/// Something that can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happens {
    Cancel,
    CancelAndVoid,
    HostApproves,
    HostDeclines,
    HostUnknown,
    /// The acquirer answers what else it was asked.
    HostAnswers,
    ChipAgrees,
    ChipAborts,
    /// The link breaks; the next time it comes back.
    Link,
    Restart,
    /// Time goes on to the next deadline.
    Deadline,
}

use Happens as H;

const ALL: [Happens; 11] = [
    H::Cancel,
    H::CancelAndVoid,
    H::HostApproves,
    H::HostDeclines,
    H::HostUnknown,
    H::HostAnswers,
    H::ChipAgrees,
    H::ChipAborts,
    H::Link,
    H::Restart,
    H::Deadline,
];

/// Whether it can follow: the acquirer decides once and so does the chip; a link
/// breaks and comes back, the rest happens once.
fn can_follow(sequence: &[Happens], next: Happens) -> bool {
    let has = |one: Happens| sequence.contains(&one);
    match next {
        H::HostApproves => !has(H::HostApproves) && !has(H::HostDeclines),
        H::HostDeclines => !has(H::HostApproves) && !has(H::HostDeclines),
        H::ChipAgrees | H::ChipAborts => !has(H::ChipAgrees) && !has(H::ChipAborts),
        H::Link => sequence.iter().filter(|one| **one == next).count() < 2,
        H::HostAnswers
        | H::Deadline
        | H::Cancel
        | H::CancelAndVoid
        | H::HostUnknown
        | H::Restart => !has(next),
    }
}

struct World {
    bench: Bench,
    pos_id: PosTransactionId,
    transaction_id: TransactionId,
    is_linked: bool,
    /// Effects that have been looked at.
    seen: usize,
    /// What the acquirer was asked and has not answered.
    asked: Vec<AcquirerRequest>,
    authorizations: u32,
    /// What the acquirer decided, and whether that was undone there.
    approved_there: Option<bool>,
    is_undone_there: bool,
    /// What the chip said, as the till's journal has it.
    chip: Option<ChipOutcome>,
    told: Option<PosStatus>,
    end: Option<(PosStatus, String)>,
    is_ending: bool,
}

impl World {
    fn new() -> Self {
        let mut bench = Bench::new();
        bench.is_inspected = false;
        let pos_id = bench.tapped();
        let transaction_id = bench.transaction_of(pos_id).id;
        let mut world = Self {
            bench,
            pos_id,
            transaction_id,
            is_linked: true,
            seen: 0,
            asked: Vec::new(),
            authorizations: 0,
            approved_there: None,
            is_undone_there: false,
            chip: None,
            told: None,
            end: None,
            is_ending: false,
        };
        world.look();
        world
    }

    fn pos(&self) -> PosTransaction {
        self.bench.pos(self.pos_id)
    }

    fn happens(&mut self, what: Happens) {
        match what {
            H::Cancel => self.cancel(IfTooLate::Keep),
            H::CancelAndVoid => self.cancel(IfTooLate::Void),
            H::HostApproves => {
                self.approved_there = Some(true);
                self.host(AcquirerAnswer::Authorization(approval()));
            }
            H::HostDeclines => {
                self.approved_there = Some(false);
                self.host(AcquirerAnswer::Authorization(decline()));
            }
            H::HostUnknown => {
                self.host(AcquirerAnswer::Authorization(AuthorizationAnswer::Unknown));
            }
            H::HostAnswers => self.host_answers(),
            H::ChipAgrees => self.chip_says(ChipOutcome::Agreed),
            H::ChipAborts => self.chip_says(ChipOutcome::Aborted),
            H::Link if self.is_linked => {
                self.is_linked = false;
                self.terminal(TerminalEvent::Down);
            }
            H::Link => self.link_up(),
            H::Restart => {
                self.is_linked = false;
                self.bench.restart();
            }
            H::Deadline => {
                if let Some(at) = self.bench.next_deadline() {
                    let pause_ms = at.since_ms(self.bench.now);
                    self.bench.pass(pause_ms);
                }
            }
        }
        self.look();
    }

    /// Everything on which the rest depends.
    fn looks(&self) -> String {
        let pos = self.pos();
        let transaction = self.bench.transaction(self.transaction_id);
        let asked: Vec<_> = self
            .asked
            .iter()
            .map(|one| (&one.action, one.sending))
            .collect();
        let there = (
            self.approved_there,
            self.is_undone_there,
            self.chip,
            self.told,
        );
        let next = self.bench.next_deadline();
        let rest = (self.is_linked, self.bench.now, next, &self.end);
        format!("{pos:?} {transaction:?} {asked:?} {there:?} {rest:?}")
    }

    fn cancel(&mut self, if_too_late: IfTooLate) {
        let wait_until = self.bench.now.plus_ms(5_000);
        let pos_id = self.pos_id;
        let cancel = CancelPos {
            pos_id,
            if_too_late,
            asked_by: None,
            wait_until,
        };
        self.bench.ask(None, Request::CancelPos(cancel));
    }

    fn host(&mut self, answer: AcquirerAnswer) {
        self.bench.acquirer(self.transaction_id, answer);
    }

    fn host_answers(&mut self) {
        for request in std::mem::take(&mut self.asked) {
            let is_known = self.approved_there.is_some();
            let answer = match request.action {
                AcquirerAction::Authorize { .. } => continue,
                AcquirerAction::Reverse { .. } if is_known => {
                    self.is_undone_there = true;
                    AcquirerAnswer::Reversal(ReversalAnswer::Acknowledged)
                }
                AcquirerAction::Reverse { .. } => {
                    AcquirerAnswer::Reversal(ReversalAnswer::OriginalNotFound)
                }
                AcquirerAction::Void { .. } | AcquirerAction::Adjust { .. } => {
                    assert_eq!(self.approved_there, Some(true), "a void of nothing");
                    self.is_undone_there = true;
                    AcquirerAnswer::Intent(IntentAnswer::Acknowledged)
                }
            };
            self.bench.input(MerchantInput::Acquirer {
                transaction_id: self.transaction_id,
                sending: request.sending,
                answer,
            });
        }
    }

    fn terminal(&mut self, event: TerminalEvent) {
        self.bench.input(MerchantInput::Terminal {
            terminal_id: self.bench.terminal_id,
            event,
        });
    }

    fn completion(&self, chip: ChipOutcome) -> Completion {
        let attempts = self.pos().attempts;
        let attempt_id = attempts.first().unwrap().id;
        Completion {
            pos_id: self.pos_id,
            attempt_id,
            chip,
            data: Vec::new(),
            cause: (chip == ChipOutcome::Aborted).then_some(AttemptEnd::CardRemoved),
        }
    }

    fn chip_says(&mut self, chip: ChipOutcome) {
        if self.told.is_none() {
            self.chip = Some(chip);
            self.say_chip();
        }
    }

    fn say_chip(&mut self) {
        if self.is_linked
            && let Some(chip) = self.chip
        {
            let completion = self.completion(chip);
            self.bench.said(ToEngine::Completed(completion));
        }
    }

    fn link_up(&mut self) {
        self.is_linked = true;
        let attempt_id = Some(self.completion(ChipOutcome::Agreed).attempt_id);
        let state = match self.chip {
            Some(chip) => DigestState::Completed(self.completion(chip)),
            None => DigestState::Sent,
        };
        let digest = Digest {
            pos_id: self.pos_id,
            attempt_id,
            state,
        };
        let open = self.told.is_none().then_some(digest);
        self.bench.link_back(open.into_iter().collect());
    }

    /// Carries what the owner has caused to the till and to the acquirer, until nothing is new.
    fn look(&mut self) {
        while let Some(effect) = self.bench.effects.get(self.seen).cloned() {
            self.seen += 1;
            match effect {
                Effect::Acquirer(request) => {
                    let is_authorization =
                        matches!(request.action, AcquirerAction::Authorize { .. });
                    self.authorizations += u32::from(is_authorization);
                    self.asked.push(*request);
                }
                Effect::ToTerminal { message, .. } if self.is_linked => self.hears(*message),
                _ => {}
            }
        }
        let pos = self.pos();
        if let Some((status, reason)) = &self.end {
            let now = (pos.status(), pos.reason().map(|one| one.to_string()));
            assert_eq!(now, (*status, Some(reason.clone())), "an end is final");
        } else if pos.stage == Stage::Closed {
            self.end = Some((pos.status(), pos.reason().unwrap().to_string()));
        }
    }

    fn hears(&mut self, message: ToAgent) {
        match message {
            ToAgent::Concluded(concluded) if concluded.pos_id == self.pos_id => {
                self.told = Some(concluded.status);
            }
            ToAgent::HostAnswer(answer) if self.told.is_none() => {
                if self.chip.is_none() && self.is_ending {
                    let is_approved = answer.decision == HostDecision::Approved;
                    self.chip = Some(if is_approved {
                        ChipOutcome::Agreed
                    } else {
                        ChipOutcome::Refused
                    });
                }
                self.say_chip();
            }
            _ => {}
        }
    }

    /// Everything works again and goes on until nothing is open any more.
    fn ends(&mut self) {
        self.is_ending = true;
        for _ in 0..STEPS_MAX {
            if !self.is_linked {
                self.happens(H::Link);
            }
            let pos = self.pos();
            if pos.stage == Stage::Confirming && self.chip.is_none() {
                self.chip_says(ChipOutcome::Agreed);
                self.look();
            }
            self.happens(H::HostAnswers);
            let transaction = self.bench.transaction(self.transaction_id);
            if self.pos().stage == Stage::Closed && !transaction.is_open() {
                return;
            }
            self.happens(H::Deadline);
        }
        panic!("it hangs: {:?}", self.pos());
    }

    fn check(&self, sequence: &[Happens]) {
        let pos = self.pos();
        let transaction = self.bench.transaction(self.transaction_id);
        let stands_there = self.approved_there == Some(true) && !self.is_undone_there;
        let stands_here = transaction.state == TransactionState::Approved;
        assert_eq!(stands_here, stands_there, "books differ");
        assert_eq!(self.authorizations, 1, "one charge");
        let has = |one| sequence.contains(&one);
        if has(H::CancelAndVoid) {
            assert!(!stands_there, "the money was wanted back");
        }
        let verdict = pos.cancel.map(|cancel| cancel.verdict);
        if has(H::Cancel) || has(H::CancelAndVoid) {
            assert!(
                matches!(verdict, Some(Some(_))),
                "a cancel without a verdict"
            );
        }
        let is_true = match verdict.flatten() {
            None => true,
            Some(Verdict::TooLateApproved) => stands_here,
            Some(Verdict::TooLateVoided) => transaction.state == TransactionState::Voided,
            Some(_) => !stands_here,
        };
        assert!(is_true, "{verdict:?} while {:?}", transaction.state);
        assert!(pos.status().is_final());
        if self.told == Some(PosStatus::Approved) {
            assert_eq!(pos.status(), PosStatus::Approved, "APPROVED was shown");
        }
        let mut answers: BTreeMap<CallerId, u32> = BTreeMap::new();
        for effect in &self.bench.effects {
            if let Effect::Answer { caller, .. } = effect {
                *answers.entry(*caller).or_default() += 1;
            }
        }
        assert!(answers.values().all(|count| *count == 1), "one answer each");
        self.bench.inspect();
    }
}

/// Worlds that were met: what can still happen to two equal ones is the same.
type Met = BTreeSet<(Vec<Happens>, String)>;

/// Runs a sequence to its end, unless another order of it has led to the same world.
fn run(sequence: &[Happens], met: &mut Met) -> bool {
    let mut world = World::new();
    for what in sequence {
        world.happens(*what);
    }
    let mut happened = sequence.to_vec();
    happened.sort_unstable();
    if !met.insert((happened, world.looks())) {
        return false;
    }
    world.ends();
    world.check(sequence);
    // The request that nobody had heard of was only slow.
    if world.approved_there.is_none() {
        world.happens(H::HostApproves);
        world.ends();
        world.check(sequence);
    }
    true
}

/// Tries the sequence and all that begin with it; returns how many different worlds that were.
fn run_all(sequence: &mut Vec<Happens>, met: &mut Met) -> u32 {
    let attempted = std::panic::catch_unwind(AssertUnwindSafe(|| run(sequence, met)));
    let Ok(is_new) = attempted else {
        panic!("after {sequence:?}");
    };
    if !is_new {
        return 0;
    }
    let mut count = 1;
    if sequence.len() < LENGTH_MAX {
        for next in ALL {
            if can_follow(sequence, next) {
                sequence.push(next);
                count += run_all(sequence, met);
                sequence.pop();
            }
        }
    }
    count
}

fn run_from(first: &[Happens]) -> u32 {
    let mut met = Met::new();
    first
        .iter()
        .map(|one| run_all(&mut vec![*one], &mut met))
        .sum()
}

#[test]
fn every_order_that_begins_with_a_cancel() {
    assert!(run_from(&[H::Cancel, H::CancelAndVoid]) > 500);
}

#[test]
fn every_order_that_begins_with_the_acquirer() {
    let first = [
        H::HostApproves,
        H::HostDeclines,
        H::HostUnknown,
        H::HostAnswers,
    ];
    assert!(run_from(&first) > 500);
}

#[test]
fn every_order_that_begins_with_the_chip_or_the_link() {
    assert!(run_from(&[H::ChipAgrees, H::ChipAborts, H::Link]) > 500);
}

#[test]
fn every_order_that_begins_with_a_restart_or_a_deadline() {
    assert!(run_from(&[H::Restart, H::Deadline]) > 500);
}
