//! Beginning a POS transaction, and granting cards within it.

use protocol::id::{AttemptId, PosTransactionId};
use protocol::link::{Grant, Offer, PosStatus, TipPrompt, ToAgent};

use crate::domain::pos::{Attempt, AttemptState, Origin, PosTransaction, Stage};
use crate::domain::reason::Reason;
use crate::domain::rejection::Rejection;
use crate::domain::time::Timestamp;
use crate::domain::tip;

use super::claim::{Answered, Outcome};
use super::wait::Wanted;
use super::{MerchantOwner, MerchantWork};
use crate::owner::request::{Answer, CallerId, StartPos};

/// Longest reference of a merchant; what fits on a receipt line with its label.
const REFERENCE_LENGTH_MAX: usize = 36;

/// Card data that left the till just before the expiry of its attempt is still on its way.
pub(super) const CARD_ON_ITS_WAY_MS: u64 = 2_000;

impl MerchantOwner {
    pub(super) fn start_pos(&mut self, work: &mut MerchantWork<'_>, start: StartPos) -> Answered {
        let Some(terminal) = self.terminal_as_linked(work, start.terminal_id)? else {
            return Ok(Rejection::NotFound.into());
        };
        if let Err(rejection) = self.check_start(&start) {
            return Ok(rejection.into());
        }
        if terminal.device_key.is_none() {
            return Ok(Rejection::TerminalNotPaired.into());
        }
        let running = self
            .open
            .values()
            .find(|pos| pos.terminal_id == start.terminal_id && pos.stage.occupies_terminal());
        if let Some(running) = running {
            return Ok(Rejection::TerminalBusy {
                running: running.id,
            }
            .into());
        }
        if !self.links.contains_key(&start.terminal_id) {
            return Ok(Rejection::TerminalOffline.into());
        }
        let pos = self.new_pos(PosTransactionId::from_uuid(work.id()), start, work.now);
        self.send(work, pos.terminal_id, ToAgent::Offer(offer(&pos)));
        self.save_pos(work, "pos_transaction.created", pos.clone());
        let resource = pos.id.to_string();
        Ok(Outcome::Done(Answer::Started(Box::new(pos)), resource))
    }

    fn check_start(&self, start: &StartPos) -> Result<(), Rejection> {
        let amount = start.amount;
        if !self.merchant.currencies.contains(&amount.currency()) {
            return Err(Rejection::InvalidCurrency);
        }
        if !amount.is_positive() {
            return Err(Rejection::AmountTooSmall { min_minor: 1 });
        }
        if amount.minor() > self.limits.amount_max {
            return Err(Rejection::AmountTooLarge {
                max_minor: self.limits.amount_max,
            });
        }
        let reference = start.reference.as_deref().unwrap_or("x");
        let is_printable = reference.chars().all(|letter| !letter.is_control());
        if reference.is_empty() || reference.chars().count() > REFERENCE_LENGTH_MAX || !is_printable
        {
            return Err(Rejection::invalid(
                "reference",
                "1 to 36 printable characters",
            ));
        }
        start.tip_prompt.as_ref().map_or(Ok(()), tip::check_prompt)
    }

    fn new_pos(&self, id: PosTransactionId, start: StartPos, now: Timestamp) -> PosTransaction {
        PosTransaction {
            id,
            merchant_id: self.id(),
            terminal_id: start.terminal_id,
            kind: start.kind,
            base: start.amount,
            tip: None,
            tip_prompt: start.tip_prompt,
            reference: start.reference,
            accept_partial: start.accept_partial,
            origin: start.origin,
            created_at: now,
            updated_at: now,
            revision: 1,
            stage: Stage::Offered,
            deadline: Some(now.plus_ms(self.limits.offer_ms)),
            retry_until: now.plus_ms(self.limits.retry_ms),
            attempts: Vec::new(),
            cancel: None,
            approved: None,
            reversing_for: None,
            next_action_at: None,
            outcome: None,
        }
    }

    pub(super) fn read_pos(
        &mut self,
        work: &MerchantWork<'_>,
        caller: CallerId,
        pos_id: PosTransactionId,
        wait_until: Option<Timestamp>,
    ) -> Answered {
        let Some(pos) = self.pos(work, pos_id)? else {
            return Ok(Rejection::NotFound.into());
        };
        match wait_until {
            Some(until) if !pos.status().is_final() && until > work.now => {
                self.wait(caller, None, Wanted::End(pos_id), until);
                Ok(Outcome::Waits(pos_id.to_string()))
            }
            _ => Ok(Outcome::Done(
                Answer::Pos(Box::new(pos)),
                pos_id.to_string(),
            )),
        }
    }

    /// The terminal took the offer: asks for a tip, or grants the first card.
    pub(super) fn accepted(&mut self, work: &mut MerchantWork<'_>, mut pos: PosTransaction) {
        let Some(prompt) = pos.tip_prompt.clone() else {
            self.grant(work, pos);
            return;
        };
        let until = work.now.plus_ms(prompt_life_ms(&prompt));
        pos.enter(Stage::SelectingTip, Some(until), work.now);
        self.send_tip_prompt(work, &pos);
        self.save_pos(work, "pos_transaction.accepted", pos);
    }

    pub(super) fn send_tip_prompt(&self, work: &mut MerchantWork<'_>, pos: &PosTransaction) {
        if let Some(prompt) = pos.tip_prompt.clone() {
            let (pos_id, amount) = (pos.id, pos.base);
            self.send(
                work,
                pos.terminal_id,
                ToAgent::SelectTip {
                    pos_id,
                    amount,
                    prompt,
                },
            );
        }
    }

    /// Grants one card; ends the POS transaction when no further one is allowed.
    pub(super) fn grant(&mut self, work: &mut MerchantWork<'_>, mut pos: PosTransaction) {
        let Ok(amount) = pos.total() else {
            self.close(work, pos, PosStatus::Failed, Reason::AmountMismatch);
            return;
        };
        let expires_at = work.now.plus_ms(self.limits.attempt_ms);
        let number = u32::try_from(pos.attempts.len())
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        pos.attempts.push(Attempt {
            id: AttemptId::from_uuid(work.id()),
            number,
            granted_at: work.now,
            expires_at,
            amount,
            state: AttemptState::Granted,
            transaction_id: None,
            advice: None,
        });
        let until = expires_at.plus_ms(CARD_ON_ITS_WAY_MS);
        pos.enter(Stage::AwaitingCard, Some(until), work.now);
        self.send_grant(work, &pos);
        self.save_pos(work, "pos_transaction.attempt_granted", pos);
    }

    pub(super) fn send_grant(&self, work: &mut MerchantWork<'_>, pos: &PosTransaction) {
        if let Some(attempt) = pos.current_attempt() {
            let grant = Grant {
                pos_id: pos.id,
                attempt_id: attempt.id,
                number: attempt.number,
                amount: attempt.amount,
                expires_in_ms: attempt.expires_at.since_ms(work.now),
            };
            self.send(work, pos.terminal_id, ToAgent::ReadCard(grant));
        }
    }

    /// Whether one more card may be tried.
    pub(super) fn may_try_again(&self, pos: &PosTransaction, now: Timestamp) -> bool {
        let tried = u32::try_from(pos.attempts.len()).unwrap_or(u32::MAX);
        tried < self.limits.attempts_max && now < pos.retry_until && pos.cancel.is_none()
    }
}

/// How long a tip prompt may stay. The terminal counts the prompt's time itself; the rest covers
/// the way there and back.
pub(super) fn prompt_life_ms(prompt: &TipPrompt) -> u64 {
    u64::from(prompt.timeout_s)
        .saturating_mul(1_000)
        .saturating_add(10_000)
}

/// The offer of a POS transaction.
pub(super) fn offer(pos: &PosTransaction) -> Offer {
    Offer {
        pos_id: pos.id,
        kind: pos.kind,
        amount: pos.base,
        reference: pos.reference.clone(),
        request_id: match pos.origin {
            Origin::Till(request_id) => Some(request_id),
            Origin::Api(_) => None,
        },
    }
}
