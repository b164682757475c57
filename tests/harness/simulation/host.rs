//! The acquirer: its book, and the way to it and back, which delays, loses and reorders.
//!
//! A reversal that overtakes its original finds nothing, and the original stands when it arrives:
//! the host remembers nothing that it was not asked to do.

use std::collections::BTreeMap;

use engine::acquirer::{
    AcquirerAction, AcquirerAnswer, AcquirerRequest, AuthorizationAnswer, IntentAnswer,
};
use engine::domain::reversal::ReversalAnswer;
use engine::domain::transaction::HostResult;
use protocol::id::{PosTransactionId, TransactionId};
use protocol::money::Money;

use super::checker::Violation;
use super::fault::{Fault, Sabotage};
use super::world::{Event, World};

/// When the engine's end stops to wait and says *unknown*.
const TIMEOUT_MS: u64 = 20_000;
/// The longest that a request is under way: what the engine is promised.
const DELAY_MS_MAX: u64 = 55_000;

/// What became of an authorization at the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The card is charged.
    Stands,
    /// Declined: never charged.
    Refused,
    /// Was charged, and is not any more.
    Undone,
}

/// An authorization in the host's book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The POS transaction, as the world knows it; the host does not.
    pub pos_id: PosTransactionId,
    /// What the card is charged.
    pub amount: Money,
    /// What became of it.
    pub standing: Standing,
}

/// The host's book.
pub type Book = BTreeMap<TransactionId, Entry>;

/// Which answer goes back, and when.
#[derive(Debug, Clone, Copy)]
pub struct Return {
    /// The engine process that asked.
    pub life: u64,
    /// The merchant.
    pub merchant: usize,
    /// When the host's answer is back; `None` when it is lost.
    pub at_ms: Option<u64>,
}

impl World {
    /// Takes a request over, as the acquirer's shell does.
    pub fn submit(&mut self, merchant: usize, request: AcquirerRequest) {
        let (life, now_ms) = (self.engine.life, self.now_ms);
        let transaction_id = request.transaction_id;
        let is_reversal = matches!(request.action, AcquirerAction::Reverse { .. });
        if self.sabotage == Some(Sabotage::DropReversals) && is_reversal {
            let answer = AcquirerAnswer::Reversal(ReversalAnswer::Acknowledged);
            let event = Event::HostAnswers { life, merchant, transaction_id, answer };
            self.queue.push(now_ms + 50, event);
            return;
        }
        let unknown = unknown_to(&request.action);
        let mut arrives_ms = Some(now_ms + self.random.between(10, 200));
        let mut back_ms = self.random.between(10, 200);
        let mut is_lost = false;
        if self.plan.strikes(Fault::HostTrouble, 30, &mut self.random) {
            match self.random.below(6) {
                0 => {
                    // Not one byte has left.
                    let answer = not_sent(&request.action);
                    let event = Event::HostAnswers { life, merchant, transaction_id, answer };
                    self.queue.push(now_ms + 5, event);
                    return;
                }
                1 => arrives_ms = None,
                2 => is_lost = true,
                3 => arrives_ms = Some(now_ms + self.random.between(1_000, DELAY_MS_MAX)),
                _ => back_ms = self.random.between(1_000, 45_000),
            }
        }
        let at_ms = arrives_ms.map(|at_ms| at_ms + back_ms);
        // Exactly one answer: the host's, or *unknown* when the shell has waited long enough. A
        // slow host may still be heard after the engine's own patience is over.
        let is_answered = !is_lost && at_ms.is_some_and(|at_ms| at_ms <= now_ms + 45_200);
        if !is_answered {
            let answer = unknown;
            let event = Event::HostAnswers { life, merchant, transaction_id, answer };
            self.queue.push(now_ms + TIMEOUT_MS, event);
        }
        if let Some(arrives_ms) = arrives_ms {
            let back = Return { life, merchant, at_ms: at_ms.filter(|_| is_answered) };
            self.queue.push(arrives_ms, Event::HostHears { request: Box::new(request), back });
        }
    }

    /// A request arrives at the host, which acts at once.
    pub fn host_hears(&mut self, request: &AcquirerRequest, back: Return) {
        let transaction_id = request.transaction_id;
        let answer = match request.action {
            AcquirerAction::Authorize { amount, .. } => self.host_authorizes(request, amount),
            AcquirerAction::Reverse { .. } => {
                AcquirerAnswer::Reversal(match self.book.get_mut(&transaction_id) {
                    None => ReversalAnswer::OriginalNotFound,
                    Some(entry) => {
                        undo(entry);
                        ReversalAnswer::Acknowledged
                    }
                })
            }
            AcquirerAction::Void { .. } => {
                AcquirerAnswer::Intent(match self.book.get_mut(&transaction_id) {
                    Some(entry) if entry.standing != Standing::Refused => {
                        undo(entry);
                        IntentAnswer::Acknowledged
                    }
                    _ => IntentAnswer::Refused { response_code: "25".to_owned() },
                })
            }
            AcquirerAction::Adjust { total, .. } => {
                AcquirerAnswer::Intent(match self.book.get_mut(&transaction_id) {
                    Some(entry) if entry.standing == Standing::Stands => {
                        entry.amount = total;
                        IntentAnswer::Acknowledged
                    }
                    _ => IntentAnswer::Refused { response_code: "25".to_owned() },
                })
            }
        };
        self.note(|| format!("host hears {:?} of {transaction_id}: {answer:?}", request.action));
        let (life, merchant) = (back.life, back.merchant);
        if let Some(at_ms) = back.at_ms {
            self.queue.push(at_ms, Event::HostAnswers { life, merchant, transaction_id, answer });
        }
    }

    fn host_authorizes(&mut self, request: &AcquirerRequest, asked: Money) -> AcquirerAnswer {
        let transaction_id = request.transaction_id;
        if self.book.contains_key(&transaction_id) {
            let what = format!("{transaction_id} was sent to the acquirer twice");
            self.violate(Violation::new("one_charge", what));
        }
        let pos_id = self.history.pos_of.get(&transaction_id).copied();
        let Some(pos_id) = pos_id else {
            let what = format!("{transaction_id} reached the acquirer and is not stored");
            self.violate(Violation::new("answers_hold", what));
            return AcquirerAnswer::Authorization(AuthorizationAnswer::Unknown);
        };
        let draw = self.random.below(100);
        let (standing, amount) = match draw {
            0..=14 => (Standing::Refused, asked),
            15..=22 => (Standing::Stands, Money::new(asked.minor() / 2 + 1, asked.currency())),
            _ => (Standing::Stands, asked),
        };
        self.book.insert(transaction_id, Entry { pos_id, amount, standing });
        let host = HostResult {
            response_code: if standing == Standing::Refused { "05" } else { "00" }.to_owned(),
            authorization_code: (standing == Standing::Stands).then(|| "123456".to_owned()),
            retrieval_reference: None,
        };
        AcquirerAnswer::Authorization(match standing {
            Standing::Refused => {
                AuthorizationAnswer::Declined { host, issuer_data: Vec::new() }
            }
            _ => AuthorizationAnswer::Approved { amount, host, issuer_data: Vec::new() },
        })
    }
}

fn undo(entry: &mut Entry) {
    if entry.standing == Standing::Stands {
        entry.standing = Standing::Undone;
    }
}

const fn unknown_to(action: &AcquirerAction) -> AcquirerAnswer {
    match action {
        AcquirerAction::Authorize { .. } => {
            AcquirerAnswer::Authorization(AuthorizationAnswer::Unknown)
        }
        AcquirerAction::Reverse { .. } => AcquirerAnswer::Reversal(ReversalAnswer::Unknown),
        AcquirerAction::Void { .. } | AcquirerAction::Adjust { .. } => {
            AcquirerAnswer::Intent(IntentAnswer::Unknown)
        }
    }
}

const fn not_sent(action: &AcquirerAction) -> AcquirerAnswer {
    match action {
        AcquirerAction::Authorize { .. } => {
            AcquirerAnswer::Authorization(AuthorizationAnswer::NotSent)
        }
        _ => unknown_to(action),
    }
}
