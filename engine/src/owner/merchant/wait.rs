//! Callers that wait for something to happen, each until its own instant.

use protocol::id::{PosTransactionId, TransactionId};

use crate::domain::pos::PosTransaction;
use crate::domain::rejection::Rejection;
use crate::domain::time::Timestamp;
use crate::domain::transaction::Transaction;

use super::{Decided, Effect, MerchantOwner, MerchantWork};
use crate::owner::request::{Answer, CallerId, ClaimRequest, Reply};

/// What a caller waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The end of a POS transaction.
    End(PosTransactionId),
    /// The verdict on its cancel.
    Verdict(PosTransactionId),
    /// The acquirer's word on a void.
    Void(TransactionId),
    /// The acquirer's word on a tip.
    Tip(TransactionId),
}

/// A caller that waits.
#[derive(Debug, Clone)]
pub(super) struct Waiter {
    caller: CallerId,
    claim: Option<ClaimRequest>,
    wanted: Wanted,
    until: Timestamp,
}

impl Waiter {
    pub(super) const fn until(&self) -> Timestamp {
        self.until
    }
}

impl Wanted {
    fn is_reached_by(self, pos: &PosTransaction) -> bool {
        match self {
            Self::End(id) => id == pos.id && pos.status().is_final(),
            Self::Verdict(id) => {
                id == pos.id && pos.cancel.is_some_and(|cancel| cancel.verdict.is_some())
            }
            Self::Void(_) | Self::Tip(_) => false,
        }
    }

    fn is_about(self, transaction: &Transaction) -> bool {
        match self {
            Self::Void(id) | Self::Tip(id) => id == transaction.id,
            Self::End(_) | Self::Verdict(_) => false,
        }
    }

    fn of_pos(self, pos: PosTransaction) -> Answer {
        match self {
            Self::Verdict(_) => Answer::Canceled(Box::new(pos)),
            _ => Answer::Pos(Box::new(pos)),
        }
    }

    fn of_transaction(self, transaction: Transaction) -> Answer {
        match self {
            Self::Tip(_) => Answer::TipAdjusted(Box::new(transaction)),
            _ => Answer::Voided(Box::new(transaction)),
        }
    }
}

impl MerchantOwner {
    pub(super) fn wait(
        &mut self,
        caller: CallerId,
        claim: Option<ClaimRequest>,
        wanted: Wanted,
        until: Timestamp,
    ) {
        self.waiters.push(Waiter {
            caller,
            claim,
            wanted,
            until,
        });
    }

    /// Callers that wait for money to move: their operation is committed, its result is not.
    pub fn callers_of_open_operations(&self) -> Vec<CallerId> {
        let is_operation = |waiter: &&Waiter| !matches!(waiter.wanted, Wanted::End(_));
        self.waiters
            .iter()
            .filter(is_operation)
            .map(|waiter| waiter.caller)
            .collect()
    }

    /// Answers the callers whose wish this change of a POS transaction fulfils.
    pub(super) fn settle_pos_waiters(&mut self, work: &mut MerchantWork<'_>, pos: &PosTransaction) {
        for waiter in self
            .waiters
            .extract_if(.., |waiter| waiter.wanted.is_reached_by(pos))
        {
            conclude(
                work,
                self.merchant.id,
                &waiter,
                waiter.wanted.of_pos(pos.clone()),
            );
        }
    }

    /// Answers the callers that waited for the acquirer's word on this transaction.
    pub(super) fn settle_transaction_waiters(
        &mut self,
        work: &mut MerchantWork<'_>,
        transaction: &Transaction,
    ) {
        for waiter in self
            .waiters
            .extract_if(.., |waiter| waiter.wanted.is_about(transaction))
        {
            let answer = waiter.wanted.of_transaction(transaction.clone());
            conclude(work, self.merchant.id, &waiter, answer);
        }
    }

    /// Refuses the callers that waited for an operation which the acquirer will not do.
    pub(super) fn refuse_transaction_waiters(
        &mut self,
        work: &mut MerchantWork<'_>,
        transaction: &Transaction,
        rejection: &Rejection,
    ) {
        for waiter in self
            .waiters
            .extract_if(.., |waiter| waiter.wanted.is_about(transaction))
        {
            let reply = Err(rejection.clone());
            work.effect(Effect::Answer {
                caller: waiter.caller,
                reply,
            });
        }
    }

    /// Answers callers whose time is up with what there is. Their keys stay unanswered: a repeat
    /// gets the result once there is one.
    pub(super) fn answer_late_waiters(&mut self, work: &mut MerchantWork<'_>) -> Decided {
        let now = work.now;
        let late: Vec<Waiter> = self
            .waiters
            .extract_if(.., |waiter| waiter.until <= now)
            .collect();
        for waiter in late {
            let answer = match waiter.wanted {
                Wanted::End(id) | Wanted::Verdict(id) => {
                    self.pos(work, id)?.map(|pos| waiter.wanted.of_pos(pos))
                }
                Wanted::Void(id) | Wanted::Tip(id) => self
                    .transaction(work, id)?
                    .map(|one| waiter.wanted.of_transaction(one)),
            };
            let reply = answer.map(Reply::Fresh).ok_or(Rejection::NotFound);
            work.effect(Effect::Answer {
                caller: waiter.caller,
                reply,
            });
        }
        Ok(())
    }
}

fn conclude(
    work: &mut MerchantWork<'_>,
    merchant_id: protocol::id::MerchantId,
    waiter: &Waiter,
    answer: Answer,
) {
    if let Some(claim) = &waiter.claim {
        super::claim::store_answer(work, merchant_id, claim, &answer);
    }
    work.effect(Effect::Answer {
        caller: waiter.caller,
        reply: Ok(Reply::Fresh(answer)),
    });
}
