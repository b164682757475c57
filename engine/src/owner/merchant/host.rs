//! What the acquirer says, and undoing what cannot be used.

use std::collections::BTreeSet;

use protocol::id::TransactionId;
use protocol::link::{HostAnswer, HostDecision, PosStatus, ToAgent};
use protocol::money::Money;

use crate::acquirer::{
    AcquirerAction, AcquirerAnswer, AcquirerRequest, AuthorizationAnswer, IntentAnswer, Sending,
};
use crate::domain::pos::{AttemptState, PosTransaction, Stage};
use crate::domain::reason::Reason;
use crate::domain::receipt::Slip;
use crate::domain::reversal::{Reversal, ReversalAnswer, pause_ms};
use crate::domain::time::Timestamp;
use crate::domain::transaction::{
    HostResult, Intent, IntentKind, Transaction, TransactionState, USE_CHIP, advice,
};

use super::till::concluded;
use super::{Decided, Effect, MerchantOwner, MerchantWork};
use crate::owner::quarantine::Identity;

impl MerchantOwner {
    pub(super) fn acquirer_answered(
        &mut self,
        work: &mut MerchantWork<'_>,
        transaction_id: TransactionId,
        sending: Sending,
        answer: AcquirerAnswer,
    ) -> Decided {
        let Some(mut transaction) = self.transaction(work, transaction_id)? else {
            return Ok(());
        };
        if self.is_settled_by_person(work, &mut transaction, &answer) {
            return Ok(());
        }
        match answer {
            AcquirerAnswer::Authorization(answer) => self.authorized(work, transaction, answer),
            AcquirerAnswer::Reversal(answer) => {
                self.reversal_answered(work, transaction, sending, answer)
            }
            AcquirerAnswer::Intent(answer) => {
                self.intent_answered(work, transaction, sending, answer);
                Ok(())
            }
        }
    }

    fn authorized(
        &mut self,
        work: &mut MerchantWork<'_>,
        mut transaction: Transaction,
        answer: AuthorizationAnswer,
    ) -> Decided {
        let is_approval = matches!(answer, AuthorizationAnswer::Approved { .. });
        match transaction.state {
            TransactionState::Authorizing => {}
            // The original turned up after its reversal had been settled: undo it again.
            TransactionState::Reversed | TransactionState::NotSent if is_approval => {
                transaction.state = TransactionState::Reversing;
                self.begin_reversal(work, transaction, Reason::LateApproval);
                return Ok(());
            }
            // The commit of the reversal is irrevocable; a word from before it changes nothing.
            _ => return Ok(()),
        }
        let Some(pos) = self.pos(work, transaction.pos_id)? else {
            return Ok(());
        };
        match answer {
            AuthorizationAnswer::Approved {
                amount,
                host,
                issuer_data,
            } => {
                transaction.host = Some(host);
                transaction.authorized = Some(amount);
                self.host_approved(work, pos, transaction, issuer_data);
            }
            AuthorizationAnswer::Declined { host, issuer_data } => {
                self.host_declined(work, pos, transaction, host, issuer_data);
            }
            AuthorizationAnswer::NotSent => self.host_not_reached(work, pos, transaction),
            AuthorizationAnswer::Unknown => {
                return self.reverse(work, pos, Reason::AcquirerUnknown);
            }
        }
        Ok(())
    }

    fn host_approved(
        &mut self,
        work: &mut MerchantWork<'_>,
        mut pos: PosTransaction,
        mut transaction: Transaction,
        issuer_data: Vec<u8>,
    ) {
        let is_partial = transaction.authorized != Some(transaction.requested);
        if is_partial && !pos.accept_partial {
            self.undo(work, pos, transaction, Reason::PartialNotAccepted);
            return;
        }
        pos.enter(
            Stage::Confirming,
            Some(work.now.plus_ms(self.limits.confirm_ms)),
            work.now,
        );
        pos.approved = transaction.authorized;
        set_attempt(&mut pos, AttemptState::Confirming);
        transaction.state = TransactionState::Confirming;
        transaction.touch(work.now);
        self.send_host_answer(work, &pos, HostDecision::Approved, issuer_data);
        self.save_pos(work, "pos_transaction.confirming", pos);
        self.save_transaction(work, "transaction.authorized", transaction);
    }

    fn host_declined(
        &mut self,
        work: &mut MerchantWork<'_>,
        mut pos: PosTransaction,
        mut transaction: Transaction,
        host: HostResult,
        issuer_data: Vec<u8>,
    ) {
        transaction.state = TransactionState::Declined;
        let reason = match host.response_code == USE_CHIP {
            true => Reason::UseChip,
            false => Reason::HostDeclined,
        };
        let advice = advice(reason, &host.response_code);
        transaction.host = Some(host);
        transaction.reason = Some(reason);
        transaction.touch(work.now);
        set_attempt(&mut pos, AttemptState::Declined);
        if let Some(attempt) = pos.current_attempt_mut() {
            attempt.advice = advice;
        }
        self.send_host_answer(work, &pos, HostDecision::Declined, issuer_data);
        self.save_transaction(work, "transaction.declined", transaction.clone());
        if self.may_try_again(&pos, work.now) {
            // The terminal tells the chip and then asks for the next card by its completion.
            pos.enter(
                Stage::AwaitingCard,
                Some(work.now.plus_ms(self.limits.tell_ms)),
                work.now,
            );
            self.save_pos(work, "pos_transaction.attempt_declined", pos);
        } else {
            self.close(work, pos, PosStatus::Declined, Reason::HostDeclined);
        }
        self.print_automatically(work, &transaction, Slip::Declined);
    }

    fn host_not_reached(
        &mut self,
        work: &mut MerchantWork<'_>,
        mut pos: PosTransaction,
        mut transaction: Transaction,
    ) {
        let reason = Reason::AcquirerUnreachable;
        transaction.state = TransactionState::NotSent;
        transaction.reason = Some(reason);
        transaction.touch(work.now);
        set_attempt(&mut pos, AttemptState::Ended(reason));
        self.send_host_answer(work, &pos, HostDecision::Unreachable, Vec::new());
        self.save_transaction(work, "transaction.not_sent", transaction);
        self.close(work, pos, PosStatus::Failed, reason);
    }

    /// The chip agreed and the terminal knows: the transaction stands.
    pub(super) fn approve(
        &mut self,
        work: &mut MerchantWork<'_>,
        mut pos: PosTransaction,
        chip_data: &[u8],
    ) -> Decided {
        let Some(mut transaction) = self.current_transaction(work, &pos)? else {
            return Ok(());
        };
        set_attempt(&mut pos, AttemptState::Approved);
        transaction.state = TransactionState::Approved;
        transaction.reason = Some(Reason::Approved);
        transaction.card.complete(chip_data);
        transaction.touch(work.now);
        self.save_transaction(work, "transaction.approved", transaction.clone());
        self.close(work, pos, PosStatus::Approved, Reason::Approved);
        self.print_automatically(work, &transaction, Slip::Approved);
        Ok(())
    }

    /// The card side failed after card data had been sent.
    pub(super) fn reverse_confirming(
        &mut self,
        work: &mut MerchantWork<'_>,
        pos: PosTransaction,
        reason: Reason,
        chip_data: &[u8],
    ) -> Decided {
        if let Some(mut transaction) = self.current_transaction(work, &pos)? {
            transaction.card.complete(chip_data);
            self.undo(work, pos, transaction, reason);
        }
        Ok(())
    }

    /// Gives up on an authorization: from this commit on it will be undone, whatever arrives.
    pub(super) fn reverse(
        &mut self,
        work: &mut MerchantWork<'_>,
        pos: PosTransaction,
        reason: Reason,
    ) -> Decided {
        if let Some(transaction) = self.current_transaction(work, &pos)? {
            self.undo(work, pos, transaction, reason);
        }
        Ok(())
    }

    fn undo(
        &mut self,
        work: &mut MerchantWork<'_>,
        mut pos: PosTransaction,
        transaction: Transaction,
        reason: Reason,
    ) {
        let was_authorizing = pos.stage == Stage::Authorizing;
        pos.enter(Stage::Reversing, None, work.now);
        pos.approved = None;
        pos.reversing_for = Some(reason);
        pos.next_action_at = Some(work.now.plus_ms(pause_ms(1)));
        set_attempt(&mut pos, AttemptState::Reversed(reason));
        if was_authorizing {
            self.send_host_answer(work, &pos, HostDecision::Unreachable, Vec::new());
        }
        self.send(work, pos.terminal_id, ToAgent::Concluded(concluded(&pos)));
        self.save_pos(work, "pos_transaction.reversing", pos);
        self.begin_reversal(work, transaction, reason);
    }

    fn begin_reversal(
        &mut self,
        work: &mut MerchantWork<'_>,
        mut transaction: Transaction,
        reason: Reason,
    ) {
        transaction.state = TransactionState::Reversing;
        transaction.reason = Some(reason);
        transaction.reversal = Some(Reversal::begin(reason, work.now));
        transaction.touch(work.now);
        work.effect(Effect::Acquirer(Box::new(reversal_request(&transaction))));
        self.save_transaction(work, "transaction.reversing", transaction);
    }

    fn reversal_answered(
        &mut self,
        work: &mut MerchantWork<'_>,
        mut transaction: Transaction,
        sending: Sending,
        answer: ReversalAnswer,
    ) -> Decided {
        let Some(mut reversal) = transaction.reversal.filter(|one| one.done_at.is_none()) else {
            return Ok(());
        };
        let is_done = reversal.answered(answer, sending.at, work.now, self.limits.host_delay_ms);
        transaction.reversal = Some(reversal);
        transaction.touch(work.now);
        if !is_done {
            self.note_next_action(work, &transaction);
            self.save_transaction(work, "transaction.reversal_answered", transaction);
            return Ok(());
        }
        transaction.state = TransactionState::Reversed;
        self.save_transaction(work, "transaction.reversed", transaction.clone());
        if let Some(pos) = self.open.get(&transaction.pos_id).cloned()
            && pos.stage == Stage::Reversing
            && pos.current_transaction() == Some(transaction.id)
        {
            self.close(work, pos, PosStatus::Reversed, reversal.reason);
        }
        // The payer has left with a slip, if there was one; the next one in line must not get this.
        if reversal.reason != Reason::LateApproval {
            self.print_automatically(work, &transaction, Slip::Reversed);
        }
        Ok(())
    }

    /// As [`Self::send_again`], unless that has panicked before: then it is never due again.
    pub(super) fn send_again_if_free(&mut self, work: &mut MerchantWork<'_>, id: TransactionId) {
        if work.takes_up(Identity::of(&("repeat", id))) {
            self.send_again(work, id);
        } else if let Some(transaction) = self.pending.get_mut(&id) {
            let never = Timestamp(i64::MAX);
            if let Some(reversal) = &mut transaction.reversal {
                reversal.next_at = never;
            }
            if let Some(intent) = &mut transaction.intent {
                intent.next_at = never;
            }
        }
    }

    /// Sends a reversal or an intent once more, unchanged but for the mark of a repeat.
    pub(super) fn send_again(&mut self, work: &mut MerchantWork<'_>, id: TransactionId) {
        let Some(mut transaction) = self.pending.get(&id).cloned() else {
            return;
        };
        let now = work.now;
        transaction.touch(now);
        let reversal = transaction.reversal.as_mut();
        let request = if let Some(reversal) = reversal.filter(|one| one.done_at.is_none()) {
            reversal.sent_again(now);
            Some(reversal_request(&transaction))
        } else if let Some(intent) = &mut transaction.intent {
            intent.tries = intent.tries.saturating_add(1);
            intent.next_at = now.plus_ms(pause_ms(intent.tries));
            intent_request(&transaction)
        } else {
            None
        };
        let Some(request) = request else { return };
        work.effect(Effect::Acquirer(Box::new(request)));
        self.note_next_action(work, &transaction);
        self.save_transaction(work, "transaction.repeated", transaction);
    }

    /// Who asks about a transaction in doubt is told when the engine acts next.
    fn note_next_action(&mut self, work: &mut MerchantWork<'_>, transaction: &Transaction) {
        let next_action_at = transaction.reversal.map(|reversal| reversal.next_at);
        if let Some(mut pos) = self.open.get(&transaction.pos_id).cloned()
            && pos.stage == Stage::Reversing
        {
            pos.next_action_at = next_action_at;
            pos.touch(work.now);
            self.save_pos(work, "pos_transaction.reversal_goes_on", pos);
        }
    }

    fn intent_answered(
        &mut self,
        work: &mut MerchantWork<'_>,
        mut transaction: Transaction,
        sending: Sending,
        answer: IntentAnswer,
    ) {
        // A word on an earlier intent, or on a copy of it, says nothing about this one.
        let is_asked = |intent: &Intent| sending.number >= intent.first_sending;
        let Some(intent) = transaction.intent.clone().filter(is_asked) else {
            return;
        };
        match answer {
            IntentAnswer::Acknowledged => {
                transaction.intent = None;
                transaction.touch(work.now);
                self.intent_done(work, transaction, intent.kind);
            }
            IntentAnswer::Refused { response_code } => {
                transaction.intent = None;
                transaction.touch(work.now);
                self.intent_refused(work, transaction, &response_code);
            }
            // The stored schedule asks again.
            IntentAnswer::Unknown => {}
        }
    }

    /// After loading: the acquirer's answers of the former life are lost. After a restore, what was
    /// being confirmed may have been undone since: a till's confirmation comes too late.
    pub(super) fn resume_open_work(
        &mut self,
        work: &mut MerchantWork<'_>,
        is_restored: bool,
    ) -> Decided {
        let owed: Vec<TransactionId> = self.pending.keys().copied().collect();
        let mut fresh = BTreeSet::new();
        for pos in self.open.values().cloned().collect::<Vec<_>>() {
            if !work.takes_up(Identity::of(&("resume", pos.id))) {
                continue;
            }
            let is_lost = pos.stage == Stage::Confirming && is_restored;
            if pos.stage == Stage::Authorizing || is_lost {
                fresh.extend(pos.current_transaction());
                self.reverse(work, pos, Reason::EngineRestarted)?;
            } else {
                self.restate_times(work, &pos);
            }
        }
        for transaction in self.pending.values_mut() {
            if let Some(reversal) = &mut transaction.reversal {
                reversal.forget_elapsed();
            }
        }
        for transaction_id in owed.into_iter().filter(|id| !fresh.contains(id)) {
            self.send_again_if_free(work, transaction_id);
        }
        Ok(())
    }

    /// After loading: terminals need time to come back. The machine's clock may have been set back
    /// meanwhile: nothing is further away than it was when it was set. What moved is committed,
    /// for callers are told these instants.
    fn restate_times(&mut self, work: &mut MerchantWork<'_>, stored: &PosTransaction) {
        let now = work.now;
        let grace = now.plus_ms(self.limits.reconnect_ms);
        let bound = grace.max(now.plus_ms(self.limits.life_ms(stored)));
        let mut pos = stored.clone();
        pos.deadline = pos.deadline.map(|at| at.max(grace).min(bound));
        pos.retry_until = pos.retry_until.min(now.plus_ms(self.limits.retry_ms));
        if let Some(attempt) = pos.current_attempt_mut() {
            let latest = now.plus_ms(self.limits.attempt_ms);
            attempt.expires_at = attempt.expires_at.min(latest);
        }
        if pos != *stored {
            pos.touch(now);
            self.save_pos(work, "pos_transaction.times_restated", pos);
        }
    }

    pub(super) fn current_transaction(
        &self,
        work: &MerchantWork<'_>,
        pos: &PosTransaction,
    ) -> Result<Option<Transaction>, crate::store::ReadFault> {
        match pos.current_transaction() {
            Some(transaction_id) => self.transaction(work, transaction_id),
            None => Ok(None),
        }
    }

    pub(super) fn send_host_answer(
        &self,
        work: &mut MerchantWork<'_>,
        pos: &PosTransaction,
        decision: HostDecision,
        issuer_data: Vec<u8>,
    ) {
        if let Some(attempt) = pos.current_attempt() {
            let attempt_id = attempt.id;
            let answer = HostAnswer {
                pos_id: pos.id,
                attempt_id,
                decision,
                issuer_data,
                advice: pos.advice(),
            };
            self.send(work, pos.terminal_id, ToAgent::HostAnswer(answer));
        }
    }
}

pub(super) fn set_attempt(pos: &mut PosTransaction, state: AttemptState) {
    if let Some(attempt) = pos.current_attempt_mut() {
        attempt.state = state;
    }
}

/// When the acquirer is asked again, if it is.
pub(super) fn next_sending(transaction: &Transaction) -> Option<Timestamp> {
    let reversal = transaction.reversal.filter(|one| one.done_at.is_none());
    reversal
        .map(|reversal| reversal.next_at)
        .or(transaction.intent.as_ref().map(|intent| intent.next_at))
}

fn request(transaction: &Transaction, tries: u32, action: AcquirerAction) -> AcquirerRequest {
    AcquirerRequest {
        merchant_id: transaction.merchant_id,
        terminal_id: transaction.terminal_id,
        transaction_id: transaction.id,
        trace: transaction.trace,
        tries,
        sending: Sending {
            number: transaction.revision,
            at: transaction.updated_at,
        },
        action,
    }
}

fn reversal_request(transaction: &Transaction) -> AcquirerRequest {
    let tries = transaction.reversal.map_or(1, |reversal| reversal.tries);
    request(
        transaction,
        tries,
        AcquirerAction::Reverse {
            amount: transaction.requested,
        },
    )
}

/// The request of the transaction's intent.
pub(super) fn intent_request(transaction: &Transaction) -> Option<AcquirerRequest> {
    let intent = transaction.intent.as_ref()?;
    let amount: Money = transaction.authorized.unwrap_or(transaction.requested);
    let action = match intent.kind {
        IntentKind::Void => AcquirerAction::Void { amount },
        IntentKind::AdjustTip { tip, total } => AcquirerAction::Adjust { total, tip },
    };
    Some(request(transaction, intent.tries, action))
}
