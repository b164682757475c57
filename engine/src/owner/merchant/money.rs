//! Void and tip adjustment: stored intents, repeated unchanged until the acquirer answers.

use protocol::money::Money;

use protocol::id::TransactionId;

use crate::domain::pos::{Stage, Verdict};
use crate::domain::receipt::Slip;
use crate::domain::rejection::Rejection;
use crate::domain::reversal::pause_ms;
use crate::domain::time::Timestamp;
use crate::domain::tip;
use crate::domain::transaction::{
    Intent, IntentKind, TipRevision, Transaction, TransactionState, void_refusal,
};
use crate::store::ReadFault;

use super::claim::{Answered, Outcome};
use super::host::intent_request;
use super::wait::Wanted;
use super::{Effect, MerchantOwner, MerchantWork};
use crate::owner::request::{CallerId, ClaimRequest, TransactionTarget};

impl MerchantOwner {
    pub(super) fn void(
        &mut self,
        work: &mut MerchantWork<'_>,
        caller: CallerId,
        claim: Option<ClaimRequest>,
        transaction_id: TransactionId,
        wait_until: Timestamp,
    ) -> Answered {
        let Some(transaction) = self.transaction(work, transaction_id)? else {
            return Ok(Rejection::NotFound.into());
        };
        if let Some(refusal) = void_refusal(&transaction) {
            return Ok(refusal.into());
        }
        self.begin_intent(work, transaction, IntentKind::Void);
        self.wait(caller, claim, Wanted::Void(transaction_id), wait_until);
        Ok(Outcome::Waits(transaction_id.to_string()))
    }

    pub(super) fn adjust_tip(
        &mut self,
        work: &mut MerchantWork<'_>,
        caller: CallerId,
        claim: Option<ClaimRequest>,
        target: TransactionTarget,
        tip: Money,
        wait_until: Timestamp,
    ) -> Answered {
        let Some(transaction) = self.targeted(work, target)? else {
            return Ok(Rejection::NotFound.into());
        };
        let total = match tip::adjusted_total(&transaction, tip, self.limits.tip, work.now) {
            Ok(total) => total,
            Err(rejection) => return Ok(rejection.into()),
        };
        let transaction_id = transaction.id;
        let kind = IntentKind::AdjustTip { tip, total };
        self.begin_intent(work, transaction, kind);
        self.wait(caller, claim, Wanted::Tip(transaction_id), wait_until);
        Ok(Outcome::Waits(transaction_id.to_string()))
    }

    /// The transaction meant: named, or the one that stands in a POS transaction.
    pub(super) fn targeted(
        &self,
        work: &MerchantWork<'_>,
        target: TransactionTarget,
    ) -> Result<Option<Transaction>, ReadFault> {
        match target {
            TransactionTarget::Transaction(id) => self.transaction(work, id),
            TransactionTarget::OfPos(pos_id) => match self.pos(work, pos_id)? {
                Some(pos) => self.current_transaction(work, &pos),
                None => Ok(None),
            },
        }
    }

    /// Stores an intent and sends it for the first time.
    pub(super) fn begin_intent(
        &mut self,
        work: &mut MerchantWork<'_>,
        mut transaction: Transaction,
        kind: IntentKind,
    ) {
        transaction.touch(work.now);
        transaction.intent = Some(Intent {
            kind,
            requested_at: work.now,
            first_sending: transaction.revision,
            tries: 1,
            next_at: work.now.plus_ms(pause_ms(1)),
        });
        if let Some(request) = intent_request(&transaction) {
            work.effect(Effect::Acquirer(Box::new(request)));
        }
        let event = match kind {
            IntentKind::Void => "transaction.void_requested",
            IntentKind::AdjustTip { .. } => "transaction.tip_requested",
        };
        self.save_transaction(work, event, transaction);
    }

    pub(super) fn intent_done(
        &mut self,
        work: &mut MerchantWork<'_>,
        mut transaction: Transaction,
        kind: IntentKind,
    ) {
        match kind {
            IntentKind::Void => {
                transaction.state = TransactionState::Voided;
                self.save_transaction(work, "transaction.voided", transaction.clone());
                self.settle_cancel(work, &transaction, Verdict::TooLateVoided);
                self.print_automatically(work, &transaction, Slip::Voided);
            }
            IntentKind::AdjustTip { tip, total } => {
                transaction.tip_revisions.push(TipRevision {
                    tip,
                    total,
                    at: work.now,
                });
                self.save_transaction(work, "transaction.tip_adjusted", transaction);
            }
        }
    }

    pub(super) fn intent_refused(
        &mut self,
        work: &mut MerchantWork<'_>,
        transaction: Transaction,
        response_code: &str,
    ) {
        tracing::warn!(transaction_id = %transaction.id, response_code, "acquirer refused intent");
        let rejection = Rejection::TransactionState {
            id: transaction.id.to_string(),
            state: "refused by the acquirer",
        };
        self.refuse_transaction_waiters(work, &transaction, &rejection);
        self.settle_cancel(work, &transaction, Verdict::TooLateApproved);
        self.save_transaction(work, "transaction.intent_refused", transaction);
    }

    /// Gives a cancel that waits for a void its verdict.
    fn settle_cancel(
        &mut self,
        work: &mut MerchantWork<'_>,
        transaction: &Transaction,
        verdict: Verdict,
    ) {
        let Ok(Some(mut pos)) = self.pos(work, transaction.pos_id) else {
            return;
        };
        if let Some(cancel) = &mut pos.cancel
            && cancel.verdict.is_none()
            && pos.stage == Stage::Closed
        {
            cancel.verdict = Some(verdict);
            pos.touch(work.now);
            self.save_pos(work, "pos_transaction.cancel_decided", pos);
        }
    }
}
