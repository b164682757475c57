//! A person says what became of a transaction in doubt.
//!
//! Only what is in doubt can be resolved, once. Late words of the acquirer never change it: one that
//! contradicts is recorded, and an approval that is said not to stand is undone like any other.

use protocol::link::PosStatus;

use crate::acquirer::{AcquirerAnswer, AuthorizationAnswer};
use crate::domain::pos::{AttemptState, PosTransaction, Stage};
use crate::domain::reason::Reason;
use crate::domain::rejection::Rejection;
use crate::domain::resolution::{Contradiction, Resolution, ResolutionOutcome};
use crate::domain::reversal::ReversalAnswer;
use crate::domain::transaction::{Transaction, TransactionState};

use super::claim::{Answered, Outcome};
use super::host::set_attempt;
use super::{MerchantOwner, MerchantWork};
use crate::owner::request::{Answer, Resolve};

impl MerchantOwner {
    pub(super) fn resolve(&mut self, work: &mut MerchantWork<'_>, resolve: Resolve) -> Answered {
        let Some(mut transaction) = self.transaction(work, resolve.transaction_id)? else {
            return Ok(Rejection::NotFound.into());
        };
        let id = transaction.id.to_string();
        if transaction.state != TransactionState::Reversing {
            let state = transaction.state.code();
            return Ok(Rejection::TransactionState { id, state }.into());
        }
        let pos = self.open.get(&transaction.pos_id).cloned().filter(|pos| {
            pos.stage == Stage::Reversing && pos.current_transaction() == Some(transaction.id)
        });
        // Whoever was told that nothing stands must not be contradicted: that is final.
        if pos.is_none() && resolve.outcome == ResolutionOutcome::Stands {
            let state = "in_doubt after its POS transaction ended without it";
            return Ok(Rejection::TransactionState { id, state }.into());
        }
        if transaction.authorized.is_some() && resolve.outcome == ResolutionOutcome::NeverAuthorized
        {
            let state = "in_doubt after an approval";
            return Ok(Rejection::TransactionState { id, state }.into());
        }
        tracing::warn!(
            transaction_id = %transaction.id,
            outcome = resolve.outcome.code(),
            by = resolve.by,
            "transaction in doubt resolved by hand"
        );
        transaction.state = match resolve.outcome {
            ResolutionOutcome::ReversedByAcquirer => TransactionState::Reversed,
            ResolutionOutcome::Stands => TransactionState::Approved,
            ResolutionOutcome::NeverAuthorized => TransactionState::NotSent,
        };
        if resolve.outcome == ResolutionOutcome::Stands {
            transaction.authorized = Some(transaction.authorized.unwrap_or(transaction.requested));
        }
        if let Some(reversal) = &mut transaction.reversal {
            reversal.done_at = Some(work.now);
        }
        transaction.reason = Some(Reason::OperatorResolved);
        transaction.resolution = Some(Resolution {
            outcome: resolve.outcome,
            reason: resolve.reason,
            by: resolve.by,
            at: work.now,
            contradiction: None,
        });
        transaction.touch(work.now);
        self.save_transaction(work, "transaction.resolved", transaction.clone());
        if let Some(pos) = pos {
            self.close_resolved(work, pos, &transaction, resolve.outcome);
        }
        Ok(Outcome::Done(Answer::Resolved(Box::new(transaction)), id))
    }

    fn close_resolved(
        &mut self,
        work: &mut MerchantWork<'_>,
        mut pos: PosTransaction,
        transaction: &Transaction,
        outcome: ResolutionOutcome,
    ) {
        let reason = Reason::OperatorResolved;
        // What a cancel was told while nobody knew is replaced by what has come true.
        if let Some(cancel) = &mut pos.cancel {
            cancel.verdict = None;
        }
        let status = match outcome {
            ResolutionOutcome::ReversedByAcquirer => PosStatus::Reversed,
            ResolutionOutcome::Stands => {
                pos.approved = transaction.authorized;
                set_attempt(&mut pos, AttemptState::Approved);
                PosStatus::Approved
            }
            ResolutionOutcome::NeverAuthorized => {
                set_attempt(&mut pos, AttemptState::Ended(reason));
                PosStatus::Failed
            }
        };
        self.close(work, pos, status, reason);
    }

    /// Holds a word of the acquirer against what a person said. True when that settles it: the word
    /// is about something that has been resolved, and nothing else follows from it.
    pub(super) fn is_settled_by_person(
        &mut self,
        work: &mut MerchantWork<'_>,
        transaction: &mut Transaction,
        answer: &AcquirerAnswer,
    ) -> bool {
        let is_being_undone = transaction.state == TransactionState::Reversing;
        let Some(resolution) = &mut transaction.resolution else {
            return false;
        };
        let is_standing = resolution.outcome == ResolutionOutcome::Stands;
        let found = match answer {
            AcquirerAnswer::Authorization(answer) => match answer {
                AuthorizationAnswer::Approved { .. } if !is_standing => {
                    Some(Contradiction::Approved)
                }
                AuthorizationAnswer::Declined { .. } if is_standing => {
                    Some(Contradiction::Declined)
                }
                _ => None,
            },
            // What was approved after all is being undone: its reversal is answered as any other.
            AcquirerAnswer::Reversal(_) if is_being_undone => return false,
            AcquirerAnswer::Reversal(answer) => match answer {
                ReversalAnswer::Acknowledged if is_standing => Some(Contradiction::Reversed),
                ReversalAnswer::OriginalNotFound if is_standing => Some(Contradiction::NotFound),
                _ => None,
            },
            // Voids and tips of what stands are asked for and answered as ever.
            AcquirerAnswer::Intent(_) => return false,
        };
        let Some(contradiction) = found else {
            return true;
        };
        if resolution.contradiction.is_none() {
            resolution.contradiction = Some((contradiction, work.now));
            tracing::error!(
                transaction_id = %transaction.id,
                contradiction = contradiction.code(),
                "acquirer contradicts what was resolved by hand"
            );
            transaction.touch(work.now);
            let event = "transaction.resolution_contradicted";
            self.save_transaction(work, event, transaction.clone());
        }
        // An approval goes on to be undone.
        contradiction != Contradiction::Approved
    }
}
