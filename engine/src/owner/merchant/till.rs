//! What the agent says about a POS transaction: one table of stage × message.
//!
//! Whatever does not fit the stage is answered with the truth (`Concluded`, `AttemptClosed`) and
//! changes nothing: messages may be late, doubled or about somebody else's transaction.

use protocol::id::{AttemptId, PosTransactionId, TerminalId, TransactionId};
use protocol::link::{
    AttemptEnd, CardReport, ChipOutcome, Completion, Concluded, DigestState, PosStatus,
    RejectReason, TipChoice, ToAgent, ToEngine,
};

use crate::acquirer::{AcquirerAction, AcquirerRequest, SealedCard, Sending};
use crate::domain::card::{CardError, CardSummary};
use crate::domain::pos::{Attempt, AttemptState, PosTransaction, Stage};
use crate::domain::reason::Reason;
use crate::domain::tip;
use crate::domain::transaction::{Trace, Transaction, TransactionState};

use super::restore::TRACE_MAX;
use super::{Decided, Effect, MerchantOwner, MerchantWork};
use crate::owner::key;

impl MerchantOwner {
    pub(super) fn terminal_said(
        &mut self,
        work: &mut MerchantWork<'_>,
        terminal_id: TerminalId,
        message: ToEngine,
    ) -> Decided {
        match message {
            ToEngine::Accept { pos_id } => {
                if let Some(pos) = self.open_at(work, terminal_id, pos_id)?
                    && pos.stage == Stage::Offered
                {
                    self.accepted(work, pos);
                }
            }
            ToEngine::Reject { pos_id, reason } => {
                if let Some(pos) = self.open_at(work, terminal_id, pos_id)? {
                    self.rejected(work, pos, reason);
                }
            }
            ToEngine::TipChosen { pos_id, choice } => {
                if let Some(pos) = self.open_at(work, terminal_id, pos_id)? {
                    self.tip_chosen(work, pos, choice);
                }
            }
            ToEngine::Card(report) => self.card_read(work, terminal_id, report)?,
            ToEngine::AttemptEnded {
                pos_id,
                attempt_id,
                end,
            } => {
                if let Some(pos) = self.open_at(work, terminal_id, pos_id)? {
                    self.attempt_ended(work, pos, attempt_id, end);
                }
            }
            ToEngine::Completed(completion) => self.completed(work, terminal_id, completion)?,
            ToEngine::Print(report) => self.print_reported(work, terminal_id, &report)?,
            ToEngine::Simulated { fault_id, refusal } => {
                self.device_answered(work, terminal_id, fault_id, refusal)?;
            }
            // Requests come through the door that checks them; the rest concerns the link.
            ToEngine::Request { .. }
            | ToEngine::Status(_)
            | ToEngine::StatusReported(_)
            | ToEngine::Ping
            | ToEngine::Pong => {}
        }
        Ok(())
    }

    /// An open POS transaction of this terminal. For any other the agent is told how it ended.
    fn open_at(
        &self,
        work: &mut MerchantWork<'_>,
        terminal_id: TerminalId,
        pos_id: PosTransactionId,
    ) -> Result<Option<PosTransaction>, crate::store::ReadFault> {
        let found = self
            .pos(work, pos_id)?
            .filter(|pos| pos.terminal_id == terminal_id);
        match found {
            Some(pos) if pos.stage.occupies_terminal() => Ok(Some(pos)),
            Some(pos) => {
                self.send(work, terminal_id, ToAgent::Concluded(concluded(&pos)));
                Ok(None)
            }
            None => {
                self.conclude_unknown(work, terminal_id, pos_id, None);
                Ok(None)
            }
        }
    }

    fn rejected(&mut self, work: &mut MerchantWork<'_>, pos: PosTransaction, reason: RejectReason) {
        if !pos.stage.is_before_no_return() {
            return;
        }
        let reason = match reason {
            RejectReason::Busy => Reason::TerminalBusy,
            RejectReason::ReaderNotReady => Reason::ReaderFault,
            RejectReason::TooLate => Reason::TerminalUnreachable,
            RejectReason::JournalFault => Reason::TerminalFault,
        };
        self.close(work, end_attempt(pos, reason), PosStatus::Failed, reason);
    }

    fn tip_chosen(
        &mut self,
        work: &mut MerchantWork<'_>,
        mut pos: PosTransaction,
        choice: TipChoice,
    ) {
        if pos.stage != Stage::SelectingTip {
            return;
        }
        pos.tip = match choice {
            TipChoice::Amount(tip) if tip::is_plausible_at_terminal(pos.base, tip) => Some(tip),
            TipChoice::Amount(_) => {
                self.send(work, pos.terminal_id, ToAgent::Stop { pos_id: pos.id });
                self.close(work, pos, PosStatus::Failed, Reason::AmountMismatch);
                return;
            }
            TipChoice::None | TipChoice::TimedOut => None,
        };
        self.grant(work, pos);
    }

    /// Card data: the point of no return is the commit of what this decides.
    fn card_read(
        &mut self,
        work: &mut MerchantWork<'_>,
        terminal_id: TerminalId,
        report: CardReport,
    ) -> Decided {
        let (pos_id, attempt_id) = (report.pos_id, report.attempt_id);
        let Some(pos) = self.open_at(work, terminal_id, pos_id)? else {
            self.send(
                work,
                terminal_id,
                ToAgent::AttemptClosed { pos_id, attempt_id },
            );
            return Ok(());
        };
        if !is_granted(&pos, attempt_id, |attempt| work.now <= attempt.expires_at) {
            self.send(
                work,
                terminal_id,
                ToAgent::AttemptClosed { pos_id, attempt_id },
            );
            return Ok(());
        }
        let amount = pos
            .current_attempt()
            .map_or(pos.base, |attempt| attempt.amount);
        let read = if report.amount == amount {
            CardSummary::read(&report.data, amount)
        } else {
            Err(CardError::AmountMismatch)
        };
        match read {
            Ok(card) => self.authorize(work, pos, card, SealedCard::new(report.data)),
            Err(error) => {
                let reason = match error {
                    CardError::AmountMismatch => Reason::AmountMismatch,
                    CardError::Malformed | CardError::NotEncrypted => Reason::ReaderFault,
                    CardError::UnsupportedEncryption => Reason::UnsupportedEncryption,
                };
                self.send(
                    work,
                    terminal_id,
                    ToAgent::AttemptClosed { pos_id, attempt_id },
                );
                self.close(work, end_attempt(pos, reason), PosStatus::Failed, reason);
            }
        }
        Ok(())
    }

    fn authorize(
        &mut self,
        work: &mut MerchantWork<'_>,
        mut pos: PosTransaction,
        card: CardSummary,
        sealed: SealedCard,
    ) {
        let now = work.now;
        let trace = Trace {
            number: self.next_trace(),
            sent_at: now,
        };
        let transaction_id = TransactionId::from_uuid(work.id());
        pos.enter(
            Stage::Authorizing,
            Some(now.plus_ms(self.limits.host_ms)),
            now,
        );
        let Some(attempt) = pos.current_attempt_mut() else {
            return;
        };
        attempt.state = AttemptState::Authorizing;
        attempt.transaction_id = Some(transaction_id);
        let (attempt_id, amount, entry) = (attempt.id, attempt.amount, card.entry);
        let transaction = Transaction {
            id: transaction_id,
            merchant_id: pos.merchant_id,
            terminal_id: pos.terminal_id,
            pos_id: pos.id,
            attempt_id,
            kind: pos.kind,
            base: pos.base,
            tip: pos.tip,
            requested: amount,
            authorized: None,
            reference: pos.reference.clone(),
            state: TransactionState::Authorizing,
            trace,
            card,
            host: None,
            intent: None,
            reversal: None,
            tip_revisions: Vec::new(),
            resolution: None,
            reason: None,
            created_at: now,
            updated_at: now,
            revision: 1,
        };
        work.effect(Effect::Acquirer(Box::new(AcquirerRequest {
            merchant_id: pos.merchant_id,
            terminal_id: pos.terminal_id,
            transaction_id,
            trace,
            tries: 1,
            sending: Sending { number: 1, at: now },
            action: AcquirerAction::Authorize {
                kind: pos.kind,
                amount,
                entry,
                card: sealed,
            },
        })));
        self.save_pos(work, "pos_transaction.authorizing", pos);
        work.put(key::counters(self.id()), &self.counters);
        self.save_transaction(work, "transaction.authorizing", transaction);
    }

    /// The number after the last one; after the highest comes the lowest.
    fn next_trace(&mut self) -> u32 {
        let next = self.counters.trace % TRACE_MAX + 1;
        self.counters.trace = next;
        next
    }

    /// The attempt ended without card data, or the tip prompt was left.
    pub(super) fn attempt_ended(
        &mut self,
        work: &mut MerchantWork<'_>,
        pos: PosTransaction,
        attempt_id: Option<AttemptId>,
        end: AttemptEnd,
    ) {
        let is_current = match (pos.stage, attempt_id) {
            (Stage::SelectingTip, None) => true,
            (Stage::AwaitingCard, Some(id)) => is_granted(&pos, id, |_| true),
            _ => false,
        };
        if !is_current {
            return;
        }
        let reason = reason_of(end);
        let can_retry = matches!(
            end,
            AttemptEnd::CardRemoved
                | AttemptEnd::CardUnusable
                | AttemptEnd::OfflineNotAllowed
                | AttemptEnd::LinkLost
        );
        let status = match end {
            AttemptEnd::CashierCanceled => PosStatus::Canceled,
            _ => PosStatus::Failed,
        };
        let pos = end_attempt(pos, reason);
        if can_retry && attempt_id.is_some() && self.may_try_again(&pos, work.now) {
            self.grant(work, pos);
        } else {
            let (status, reason) = after_decline(&pos, status, reason);
            self.close(work, pos, status, reason);
        }
    }

    /// The card side is complete.
    pub(super) fn completed(
        &mut self,
        work: &mut MerchantWork<'_>,
        terminal_id: TerminalId,
        completion: Completion,
    ) -> Decided {
        let pos_id = completion.pos_id;
        let is_known = self
            .pos(work, pos_id)?
            .is_some_and(|pos| pos.terminal_id == terminal_id);
        if !is_known {
            // The acquirer was asked, by an engine that knew more than this one.
            let state = DigestState::Completed(completion);
            self.conclude_unknown(work, terminal_id, pos_id, Some(&state));
            return Ok(());
        }
        let Some(pos) = self.open_at(work, terminal_id, pos_id)? else {
            return Ok(());
        };
        let Some(attempt) = pos
            .current_attempt()
            .filter(|one| one.id == completion.attempt_id)
        else {
            return Ok(());
        };
        let (stage, state, chip) = (pos.stage, attempt.state, completion.chip);
        match (stage, state, chip) {
            (Stage::Confirming, _, ChipOutcome::Agreed) => {
                self.approve(work, pos, &completion.data)
            }
            (Stage::Confirming, _, ChipOutcome::Refused) => {
                self.reverse_confirming(work, pos, Reason::ChipDeclined, &completion.data)
            }
            (Stage::Confirming | Stage::Authorizing, _, ChipOutcome::Aborted) => {
                let reason = abort_reason(completion.cause);
                self.reverse_confirming(work, pos, reason, &completion.data)
            }
            // The card was read and gone again before its data arrived: the acquirer knows nothing.
            (Stage::AwaitingCard, AttemptState::Granted, ChipOutcome::Aborted) => {
                let end = completion.cause.unwrap_or(AttemptEnd::CardRemoved);
                self.attempt_ended(work, pos, Some(completion.attempt_id), end);
                Ok(())
            }
            (Stage::AwaitingCard, AttemptState::Declined, _) => {
                if self.may_try_again(&pos, work.now) {
                    self.grant(work, pos);
                } else {
                    self.close(work, pos, PosStatus::Declined, Reason::HostDeclined);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A stage has run out of time.
    pub(super) fn stage_ran_out(
        &mut self,
        work: &mut MerchantWork<'_>,
        pos_id: PosTransactionId,
    ) -> Decided {
        let Some(pos) = self.open.get(&pos_id).cloned() else {
            return Ok(());
        };
        let is_declined = matches!(
            pos.current_attempt(),
            Some(Attempt {
                state: AttemptState::Declined,
                ..
            })
        );
        match pos.stage {
            Stage::Offered => self.give_up(work, pos, Reason::TerminalUnreachable),
            Stage::AwaitingCard if is_declined => {
                self.close(work, pos, PosStatus::Declined, Reason::HostDeclined);
            }
            Stage::SelectingTip | Stage::AwaitingCard => {
                self.give_up(work, pos, Reason::CustomerTimeout);
            }
            Stage::Authorizing => return self.reverse(work, pos, Reason::AcquirerUnknown),
            Stage::Confirming => return self.reverse(work, pos, Reason::NotConfirmed),
            Stage::Reversing | Stage::Closed => {}
        }
        Ok(())
    }

    fn give_up(&mut self, work: &mut MerchantWork<'_>, pos: PosTransaction, reason: Reason) {
        self.send(work, pos.terminal_id, ToAgent::Stop { pos_id: pos.id });
        let pos = end_attempt(pos, reason);
        let (status, reason) = after_decline(&pos, PosStatus::Failed, reason);
        self.close(work, pos, status, reason);
    }
}

/// How a POS transaction ends whose payer did not come up with another card after the acquirer had
/// declined one: declined, which is the last that anybody decided. A device that fails is told.
fn after_decline(pos: &PosTransaction, status: PosStatus, reason: Reason) -> (PosStatus, Reason) {
    let is_declined = pos
        .attempts
        .iter()
        .any(|attempt| attempt.state == AttemptState::Declined);
    let is_payers = matches!(
        reason,
        Reason::CustomerTimeout | Reason::CardRemoved | Reason::CardUnusable
    );
    if is_declined && is_payers && status == PosStatus::Failed {
        (PosStatus::Declined, Reason::HostDeclined)
    } else {
        (status, reason)
    }
}

/// Whether this is the granted attempt, and it satisfies the condition.
fn is_granted(
    pos: &PosTransaction,
    attempt_id: AttemptId,
    condition: impl Fn(&Attempt) -> bool,
) -> bool {
    pos.stage == Stage::AwaitingCard
        && pos.current_attempt().is_some_and(|attempt| {
            attempt.id == attempt_id && attempt.state == AttemptState::Granted && condition(attempt)
        })
}

/// Marks the granted attempt, if there is one, as ended.
pub(super) fn end_attempt(mut pos: PosTransaction, reason: Reason) -> PosTransaction {
    if let Some(attempt) = pos.current_attempt_mut()
        && attempt.state == AttemptState::Granted
    {
        attempt.state = AttemptState::Ended(reason);
    }
    pos
}

const fn reason_of(end: AttemptEnd) -> Reason {
    match end {
        AttemptEnd::CustomerTimeout => Reason::CustomerTimeout,
        AttemptEnd::CashierCanceled => Reason::CashierCanceled,
        // What the engine stopped is closed before the till says so: this till stopped by itself.
        AttemptEnd::Stopped => Reason::TerminalUnreachable,
        AttemptEnd::CardRemoved => Reason::CardRemoved,
        AttemptEnd::CardUnusable => Reason::CardUnusable,
        AttemptEnd::ReaderFault => Reason::ReaderFault,
        AttemptEnd::OfflineNotAllowed => Reason::OfflineNotAllowed,
        AttemptEnd::AgentRestarted => Reason::TerminalRestarted,
        AttemptEnd::LinkLost => Reason::TerminalUnreachable,
    }
}

/// Why the chip's word is missing. Agents that do not say were mostly left by the card.
const fn abort_reason(cause: Option<AttemptEnd>) -> Reason {
    match cause {
        None => Reason::CardRemoved,
        // What the engine stops has been decided before: somebody canceled at the reader itself.
        Some(AttemptEnd::Stopped) => Reason::CashierCanceled,
        // The reader gave up waiting for a card that was there.
        Some(AttemptEnd::CustomerTimeout) => Reason::NotConfirmed,
        Some(end) => reason_of(end),
    }
}

/// How a POS transaction ended, for its terminal.
pub(super) fn concluded(pos: &PosTransaction) -> Concluded {
    let status = pos.status();
    Concluded {
        pos_id: pos.id,
        status,
        reason: pos
            .reason()
            .map(|reason| reason.code().to_owned())
            .unwrap_or_default(),
        amount: pos.amount(),
        tip: pos.tip,
        transaction_id: match status {
            PosStatus::Approved => pos.current_transaction(),
            _ => None,
        },
        kind: Some(pos.kind),
        advice: match status {
            PosStatus::Declined => pos.advice(),
            _ => None,
        },
    }
}
