//! Lies between the engine and the acquirer.

use engine::acquirer::{
    AcquirerAction, AcquirerAnswer, AcquirerRequest, AuthorizationAnswer, IntentAnswer, SealedCard,
};
use engine::domain::reversal::ReversalAnswer;
use engine::domain::transaction::TransactionState;
use protocol::id::TransactionId;
use protocol::money::Money;

use super::Sabotage;
use crate::simulation::world::World;

impl World {
    /// Changes a request on its way; or answers it without sending it.
    pub(in super::super) fn lie_to_acquirer(
        &mut self,
        request: &mut AcquirerRequest,
    ) -> Option<AcquirerAnswer> {
        let is_void = matches!(request.action, AcquirerAction::Void { .. });
        if self.sabotage == Some(Sabotage::VoidEarly) && is_void {
            let fault = self.line_fault();
            let ticket = self.acquirer.next_ticket();
            let now = self.true_now();
            self.acquirer
                .line
                .submit(now, ticket, request.clone(), fault);
            return Some(AcquirerAnswer::Intent(IntentAnswer::Acknowledged));
        }
        let is_repeat = request.tries > 1;
        let acknowledged = AcquirerAnswer::Intent(IntentAnswer::Acknowledged);
        match (self.sabotage?, &mut request.action) {
            (Sabotage::DropReversals, AcquirerAction::Reverse { .. }) => {
                Some(AcquirerAnswer::Reversal(ReversalAnswer::Acknowledged))
            }
            (Sabotage::ReverseOnce, AcquirerAction::Reverse { .. }) if is_repeat => {
                Some(AcquirerAnswer::Reversal(ReversalAnswer::Unknown))
            }
            (Sabotage::DropAdjustments, AcquirerAction::Adjust { .. })
            | (Sabotage::DropVoids, AcquirerAction::Void { .. }) => Some(acknowledged),
            (Sabotage::ReverseAdjustments, AcquirerAction::Adjust { total, .. }) if is_repeat => {
                request.action = AcquirerAction::Reverse { amount: *total };
                None
            }
            (Sabotage::AdjustByTurns, AcquirerAction::Adjust { total, tip }) => {
                self.lies.adjustments += 1;
                let minor = if self.lies.adjustments.is_multiple_of(2) {
                    1
                } else {
                    -1
                };
                let total = total.plus(Money::new(minor, total.currency())).ok()?;
                request.action = AcquirerAction::Adjust { total, tip: *tip };
                None
            }
            (Sabotage::ReadOtherAmount, AcquirerAction::Authorize { card, .. }) => {
                let read = self.lies.cards.get(card.bytes())?;
                *card = SealedCard::new(read.clone());
                None
            }
            (Sabotage::NewTraceOnRepeat, _) if is_repeat => {
                request.trace.number += 500_000;
                None
            }
            _ => None,
        }
    }

    /// Changes an answer on its way back.
    pub(in super::super) fn lie_in_host_answer(
        &mut self,
        id: TransactionId,
        answer: &mut AcquirerAnswer,
    ) {
        match (self.sabotage, &answer) {
            (
                Some(Sabotage::CountNotFound),
                AcquirerAnswer::Reversal(ReversalAnswer::OriginalNotFound),
            ) => *answer = AcquirerAnswer::Reversal(ReversalAnswer::Acknowledged),
            (
                Some(Sabotage::AcceptLateApproval),
                AcquirerAnswer::Authorization(AuthorizationAnswer::Approved { .. }),
            ) => {
                let known = self.history.transactions.get(&id);
                if known.is_some_and(|known| known.state == TransactionState::Reversing) {
                    self.lies.late.insert(id);
                }
            }
            _ => {}
        }
    }
}
