//! Cancel: an object with a verdict.
//!
//! Before the point of no return it is final at once, also when the terminal cannot be reached.
//! After it, the acquirer's answer decides, unless the caller asked for the money back.

use protocol::link::{PosStatus, ToAgent};

use crate::domain::pos::{Cancel, IfTooLate, PosTransaction, Stage, Verdict, verdict_of};
use crate::domain::reason::Reason;
use crate::domain::rejection::Rejection;
use crate::domain::transaction::{IntentKind, TransactionState};

use super::claim::{Answered, Outcome};
use super::till::end_attempt;
use super::wait::Wanted;
use super::{MerchantOwner, MerchantWork};
use crate::owner::request::{Answer, CallerId, CancelPos, ClaimRequest};

impl MerchantOwner {
    pub(super) fn cancel_pos(
        &mut self,
        work: &mut MerchantWork<'_>,
        caller: CallerId,
        claim: Option<ClaimRequest>,
        cancel: CancelPos,
    ) -> Answered {
        let found = self.pos(work, cancel.pos_id)?;
        let is_visible = |pos: &PosTransaction| {
            cancel
                .asked_by
                .is_none_or(|terminal_id| terminal_id == pos.terminal_id)
        };
        let Some(pos) = found.filter(is_visible) else {
            return Ok(Rejection::NotFound.into());
        };
        let resource = pos.id.to_string();
        if !self.note_cancel(work, &pos, &cancel)? {
            self.wait(caller, claim, Wanted::Verdict(pos.id), cancel.wait_until);
            return Ok(Outcome::Waits(resource));
        }
        let pos = self.pos(work, pos.id)?.unwrap_or(pos);
        Ok(Outcome::Done(Answer::Canceled(Box::new(pos)), resource))
    }

    /// Carries the cancel out as far as it goes; true when it has its verdict.
    fn note_cancel(
        &mut self,
        work: &mut MerchantWork<'_>,
        pos: &PosTransaction,
        cancel: &CancelPos,
    ) -> Result<bool, crate::store::ReadFault> {
        let mut pos = pos.clone();
        let is_stronger = cancel.if_too_late == IfTooLate::Void
            && pos
                .cancel
                .is_some_and(|known| known.if_too_late == IfTooLate::Keep);
        if let Some(known) = pos.cancel
            && !is_stronger
        {
            return Ok(known.verdict.is_some());
        }
        pos.cancel = Some(Cancel {
            requested_at: work.now,
            if_too_late: cancel.if_too_late,
            verdict: None,
        });
        let is_void = cancel.if_too_late == IfTooLate::Void;
        match pos.stage {
            Stage::Offered | Stage::SelectingTip | Stage::AwaitingCard => {
                self.cancel_at_once(work, pos, cancel);
                Ok(true)
            }
            Stage::Authorizing | Stage::Confirming if is_void => {
                set_verdict(&mut pos, Verdict::TooLateReversed);
                self.reverse(work, pos, Reason::PosCanceled)?;
                Ok(true)
            }
            Stage::Authorizing | Stage::Confirming => {
                pos.touch(work.now);
                self.save_pos(work, "pos_transaction.cancel_requested", pos);
                Ok(false)
            }
            Stage::Reversing => {
                set_verdict(&mut pos, Verdict::TooLateReversed);
                pos.touch(work.now);
                self.save_pos(work, "pos_transaction.cancel_requested", pos);
                Ok(true)
            }
            Stage::Closed => self.cancel_closed(work, pos, is_void),
        }
    }

    fn cancel_at_once(
        &mut self,
        work: &mut MerchantWork<'_>,
        mut pos: PosTransaction,
        cancel: &CancelPos,
    ) {
        let is_till = cancel.asked_by.is_some();
        let reason = if is_till {
            Reason::CashierCanceled
        } else {
            Reason::PosCanceled
        };
        set_verdict(&mut pos, Verdict::Canceled);
        self.send(work, pos.terminal_id, ToAgent::Stop { pos_id: pos.id });
        self.close(work, end_attempt(pos, reason), PosStatus::Canceled, reason);
    }

    fn cancel_closed(
        &mut self,
        work: &mut MerchantWork<'_>,
        mut pos: PosTransaction,
        is_void: bool,
    ) -> Result<bool, crate::store::ReadFault> {
        let status = pos.status();
        let transaction = self.current_transaction(work, &pos)?;
        let voidable = transaction.filter(|transaction| {
            is_void
                && status == PosStatus::Approved
                && transaction.state == TransactionState::Approved
                && transaction.intent.is_none()
        });
        let is_decided = match voidable {
            Some(transaction) => {
                self.begin_intent(work, transaction, IntentKind::Void);
                false
            }
            None => {
                let verdict = match status {
                    PosStatus::Canceled => Verdict::AlreadyFinal,
                    _ => verdict_of(status),
                };
                set_verdict(&mut pos, verdict);
                true
            }
        };
        pos.touch(work.now);
        self.save_pos(work, "pos_transaction.cancel_requested", pos);
        Ok(is_decided)
    }
}

fn set_verdict(pos: &mut PosTransaction, verdict: Verdict) {
    if let Some(cancel) = &mut pos.cancel {
        cancel.verdict = Some(verdict);
    }
}
