//! Requests: the idempotency key first, then the operation, then exactly one answer.

use protocol::id::MerchantId;

use crate::domain::idempotency::Claim;
use crate::domain::rejection::Rejection;
use crate::domain::transaction::{Transaction, TransactionState};
use crate::store::ReadFault;

use super::{Decided, Effect, MerchantOwner, MerchantWork};
use crate::owner::key;
use crate::owner::request::{Answer, Ask, CallerId, ClaimRequest, Reply, Request};

/// What a decision on a request comes to.
pub(super) enum Outcome {
    /// An answer, about the resource of this name.
    Done(Answer, String),
    /// The caller has been put with the waiters; the key is claimed for this resource.
    Waits(String),
    /// Refused: nothing was written, but perhaps that it was tried.
    Refused(Rejection),
}

impl From<Rejection> for Outcome {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }
}

/// What deciding a request comes to, or a failed read.
pub(super) type Answered = Result<Outcome, ReadFault>;

impl MerchantOwner {
    pub(super) fn ask(&mut self, ask: Ask, work: &mut MerchantWork<'_>) -> Decided {
        let Ask {
            caller,
            claim,
            request,
        } = ask;
        if let Some(claim) = &claim
            && let Some(found) = work.get::<Claim>(&key::claim(self.id(), claim.key))?
            && !found.is_expired(work.now)
        {
            return self.repeat(work, caller, claim, found, request);
        }
        let (resource, answer) = match self.operate(work, caller, claim, request)? {
            Outcome::Done(answer, resource) => (resource, Some(answer)),
            Outcome::Waits(resource) => (resource, None),
            Outcome::Refused(rejection) => {
                reply(work, caller, Err(rejection));
                return Ok(());
            }
        };
        if let Some(claim) = &claim {
            let merchant_id = self.merchant.id;
            claim_key(work, merchant_id, claim, resource, answer.as_ref());
            let space = key::of_merchant(key::CLAIM, merchant_id);
            let row_key = key::claim(merchant_id, claim.key);
            self.sweep.claimed(work, &space, &row_key)?;
        }
        if let Some(answer) = answer {
            reply(work, caller, Ok(Reply::Fresh(answer)));
        }
        Ok(())
    }

    fn operate(
        &mut self,
        work: &mut MerchantWork<'_>,
        caller: CallerId,
        claim: Option<ClaimRequest>,
        request: Request,
    ) -> Answered {
        match request {
            Request::StartPos(start) => self.start_pos(work, start),
            Request::ReadPos { pos_id, wait_until } => {
                self.read_pos(work, caller, pos_id, wait_until)
            }
            Request::CancelPos(cancel) => self.cancel_pos(work, caller, claim, cancel),
            Request::PrintReceipt(print) => self.print_receipt(work, print),
            Request::AdjustTip {
                target,
                tip,
                wait_until,
            } => self.adjust_tip(work, caller, claim, target, tip, wait_until),
            Request::Void {
                transaction_id,
                wait_until,
            } => self.void(work, caller, claim, transaction_id, wait_until),
            Request::Resolve(resolve) => self.resolve(work, resolve),
            Request::CreateTerminal {
                label,
                serial_number,
            } => Ok(self.create_terminal(work, label, serial_number)),
            Request::ChangeTerminal(change) => self.change_terminal(work, change),
            Request::SetTerminalSettings {
                terminal_id,
                settings,
            } => self.set_terminal_settings(work, terminal_id, settings),
            Request::SetTerminalDefaults { settings, in_waves } => {
                Ok(self.set_terminal_defaults(work, settings, in_waves))
            }
            Request::CreatePairingCode {
                terminal_id,
                life_s,
                serial_number,
                code,
            } => self.create_pairing_code(work, terminal_id, life_s, serial_number, code),
            Request::CreateTills(tills) => Ok(self.create_tills(work, tills)),
            Request::RevokePairingCode { code_id } => self.revoke_pairing_code(work, code_id),
            Request::RedeemPairingCode(redeem) => self.redeem_pairing_code(work, redeem),
            Request::ApprovePairing(approve) => self.approve_pairing(work, approve),
            Request::Unpair {
                terminal_id,
                device_key,
            } => self.unpair(work, terminal_id, device_key),
            Request::CreateApiKey {
                label,
                scopes,
                expires_at,
                secret,
            } => Ok(self.create_api_key(work, label, scopes, expires_at, secret)),
            Request::RevokeApiKey { key_id } => self.revoke_api_key(work, key_id),
            Request::ArmFault(order) => self.arm_fault(work, order),
            Request::DisarmFault { fault_id } => self.disarm_fault(work, fault_id),
            Request::Retire(rows) => self.retire(work, rows),
        }
    }

    /// The same key again: the first answer, or why there is none yet.
    fn repeat(
        &mut self,
        work: &mut MerchantWork<'_>,
        caller: CallerId,
        claim: &ClaimRequest,
        found: Claim,
        request: Request,
    ) -> Decided {
        let answer = if found.fingerprint != claim.fingerprint {
            Err(Rejection::IdempotencyConflict)
        } else if let Some(answer) = found.answer {
            Ok(Reply::Replayed(answer))
        } else {
            self.present_result(work, request, found.resource)?
                .map(|answer| {
                    // The first caller is gone and so is its answer: this one becomes the answer.
                    store_answer(work, self.merchant.id, claim, &answer);
                    Reply::Fresh(answer)
                })
        };
        reply(work, caller, answer);
        Ok(())
    }

    /// The result of a deferred operation, or that there is none yet.
    fn present_result(
        &self,
        work: &MerchantWork<'_>,
        request: Request,
        resource: String,
    ) -> Result<Result<Answer, Rejection>, ReadFault> {
        let refused = |transaction: &Transaction| Rejection::TransactionState {
            id: transaction.id.to_string(),
            state: transaction.state.code(),
        };
        let result = match request {
            Request::CancelPos(cancel) => self
                .pos(work, cancel.pos_id)?
                .filter(|pos| pos.cancel.is_some_and(|cancel| cancel.verdict.is_some()))
                .map(|pos| Ok(Answer::Canceled(Box::new(pos)))),
            Request::Void { transaction_id, .. } => self
                .transaction(work, transaction_id)?
                .filter(|transaction| transaction.intent.is_none())
                .map(|transaction| match transaction.state {
                    TransactionState::Voided => Ok(Answer::Voided(Box::new(transaction))),
                    _ => Err(refused(&transaction)),
                }),
            Request::AdjustTip { target, tip, .. } => self
                .targeted(work, target)?
                .filter(|transaction| transaction.intent.is_none())
                .map(|transaction| {
                    let is_set = transaction.tip_revisions.iter().any(|one| one.tip == tip);
                    let refusal = refused(&transaction);
                    if is_set {
                        Ok(Answer::TipAdjusted(Box::new(transaction)))
                    } else {
                        Err(refusal)
                    }
                }),
            _ => None,
        };
        Ok(result.unwrap_or(Err(Rejection::IdempotencyInProgress { resource })))
    }
}

/// Claims a key inside the commit of the effect, with or without its answer.
fn claim_key(
    work: &mut MerchantWork<'_>,
    merchant_id: MerchantId,
    claim: &ClaimRequest,
    resource: String,
    answer: Option<&Answer>,
) {
    let row = Claim {
        fingerprint: claim.fingerprint,
        resource,
        answer: answer.map(claim.render),
        at: work.now,
    };
    work.put(key::claim(merchant_id, claim.key), &row);
}

/// Adds the answer to a claimed key.
pub(super) fn store_answer(
    work: &mut MerchantWork<'_>,
    merchant_id: MerchantId,
    claim: &ClaimRequest,
    answer: &Answer,
) {
    let resource = match answer {
        Answer::Voided(transaction) | Answer::TipAdjusted(transaction) => {
            transaction.id.to_string()
        }
        Answer::Canceled(pos) | Answer::Pos(pos) | Answer::Started(pos) => pos.id.to_string(),
        _ => String::new(),
    };
    claim_key(work, merchant_id, claim, resource, Some(answer));
}

fn reply(work: &mut MerchantWork<'_>, caller: CallerId, reply: Result<Reply, Rejection>) {
    work.effect(Effect::Answer { caller, reply });
}
