//! Stored forms of POS transactions and print jobs.

use std::sync::Arc;

use protocol::id::{
    ApiKeyId, AttemptId, MerchantId, PosTransactionId, PrintJobId, RequestId, TerminalId,
    TransactionId,
};
use protocol::link::{Advice, PosKind, PosStatus, PrintState, TipPrompt};
use protocol::money::Money;
use protocol::receipt::{Copy, Receipt};
use serde::{Deserialize, Serialize};

use crate::domain::pos::{
    Attempt, AttemptState, Cancel, IfTooLate, Origin, Outcome, PosTransaction, Stage, Verdict,
};
use crate::domain::print::PrintJob;
use crate::domain::reason::Reason;
use crate::domain::time::Timestamp;

use super::Form;

#[derive(Serialize, Deserialize)]
pub(in crate::owner) struct PosForm {
    id: PosTransactionId,
    merchant_id: MerchantId,
    terminal_id: TerminalId,
    kind: PosKind,
    base: Money,
    tip: Option<Money>,
    tip_prompt: Option<TipPrompt>,
    reference: Option<String>,
    accept_partial: bool,
    api_key_id: Option<ApiKeyId>,
    request_id: Option<RequestId>,
    created_at: i64,
    updated_at: i64,
    revision: u32,
    stage: String,
    deadline: Option<i64>,
    retry_until: i64,
    attempts: Vec<AttemptForm>,
    cancel: Option<CancelForm>,
    #[serde(default)]
    approved: Option<Money>,
    reversing_for: Option<String>,
    #[serde(default)]
    next_action_at: Option<i64>,
    outcome: Option<OutcomeForm>,
}

#[derive(Serialize, Deserialize)]
struct AttemptForm {
    id: AttemptId,
    number: u32,
    granted_at: i64,
    expires_at: i64,
    amount: Money,
    state: String,
    reason: Option<String>,
    transaction_id: Option<TransactionId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    advice: Option<Advice>,
}

#[derive(Serialize, Deserialize)]
struct CancelForm {
    requested_at: i64,
    void_if_too_late: bool,
    verdict: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct OutcomeForm {
    status: PosStatus,
    reason: String,
    at: i64,
}

impl Form for PosForm {
    type Value = PosTransaction;

    fn of(pos: &PosTransaction) -> Self {
        Self {
            id: pos.id,
            merchant_id: pos.merchant_id,
            terminal_id: pos.terminal_id,
            kind: pos.kind,
            base: pos.base,
            tip: pos.tip,
            tip_prompt: pos.tip_prompt.clone(),
            reference: pos.reference.clone(),
            accept_partial: pos.accept_partial,
            api_key_id: match pos.origin {
                Origin::Api(id) => Some(id),
                Origin::Till(_) => None,
            },
            request_id: match pos.origin {
                Origin::Till(id) => Some(id),
                Origin::Api(_) => None,
            },
            created_at: pos.created_at.0,
            updated_at: pos.updated_at.0,
            revision: pos.revision,
            stage: pos.stage.code().to_owned(),
            deadline: pos.deadline.map(|at| at.0),
            retry_until: pos.retry_until.0,
            attempts: pos.attempts.iter().map(AttemptForm::of).collect(),
            cancel: pos.cancel.map(|cancel| CancelForm {
                requested_at: cancel.requested_at.0,
                void_if_too_late: cancel.if_too_late == IfTooLate::Void,
                verdict: cancel.verdict.map(|verdict| verdict.code().to_owned()),
            }),
            approved: pos.approved,
            next_action_at: pos.next_action_at.map(|at| at.0),
            reversing_for: pos.reversing_for.map(|reason| reason.code().to_owned()),
            outcome: pos.outcome.map(|outcome| OutcomeForm {
                status: outcome.status,
                reason: outcome.reason.code().to_owned(),
                at: outcome.at.0,
            }),
        }
    }

    fn value(self) -> Option<PosTransaction> {
        let origin = match (self.api_key_id, self.request_id) {
            (Some(id), _) => Origin::Api(id),
            (None, id) => Origin::Till(id?),
        };
        let attempts: Option<Vec<Attempt>> =
            self.attempts.into_iter().map(AttemptForm::value).collect();
        Some(PosTransaction {
            id: self.id,
            merchant_id: self.merchant_id,
            terminal_id: self.terminal_id,
            kind: self.kind,
            base: self.base,
            tip: self.tip,
            tip_prompt: self.tip_prompt,
            reference: self.reference,
            accept_partial: self.accept_partial,
            origin,
            created_at: Timestamp(self.created_at),
            updated_at: Timestamp(self.updated_at),
            revision: self.revision,
            stage: Stage::ALL
                .into_iter()
                .find(|stage| stage.code() == self.stage)?,
            deadline: self.deadline.map(Timestamp),
            retry_until: Timestamp(self.retry_until),
            attempts: attempts?,
            cancel: read(self.cancel, CancelForm::value)?,
            approved: self.approved,
            next_action_at: self.next_action_at.map(Timestamp),
            reversing_for: read(self.reversing_for, |code| Reason::from_code(&code))?,
            outcome: read(self.outcome, OutcomeForm::value)?,
        })
    }
}

/// `None` for damage; an absent form is an absent value.
fn read<F, V>(form: Option<F>, value: impl FnOnce(F) -> Option<V>) -> Option<Option<V>> {
    match form {
        Some(form) => value(form).map(Some),
        None => Some(None),
    }
}

impl AttemptForm {
    fn of(attempt: &Attempt) -> Self {
        let (state, reason) = match attempt.state {
            AttemptState::Granted => ("granted", None),
            AttemptState::Authorizing => ("authorizing", None),
            AttemptState::Confirming => ("confirming", None),
            AttemptState::Approved => ("approved", None),
            AttemptState::Declined => ("declined", None),
            AttemptState::Ended(reason) => ("ended", Some(reason)),
            AttemptState::Reversed(reason) => ("reversed", Some(reason)),
        };
        Self {
            id: attempt.id,
            number: attempt.number,
            granted_at: attempt.granted_at.0,
            expires_at: attempt.expires_at.0,
            amount: attempt.amount,
            state: state.to_owned(),
            reason: reason.map(|reason| reason.code().to_owned()),
            transaction_id: attempt.transaction_id,
            advice: attempt.advice,
        }
    }

    fn value(self) -> Option<Attempt> {
        let reason = self.reason.as_deref().and_then(Reason::from_code);
        let state = match (self.state.as_str(), reason) {
            ("granted", _) => AttemptState::Granted,
            ("authorizing", _) => AttemptState::Authorizing,
            ("confirming", _) => AttemptState::Confirming,
            ("approved", _) => AttemptState::Approved,
            ("declined", _) => AttemptState::Declined,
            ("ended", Some(reason)) => AttemptState::Ended(reason),
            ("reversed", Some(reason)) => AttemptState::Reversed(reason),
            _ => return None,
        };
        Some(Attempt {
            id: self.id,
            number: self.number,
            granted_at: Timestamp(self.granted_at),
            expires_at: Timestamp(self.expires_at),
            amount: self.amount,
            state,
            transaction_id: self.transaction_id,
            advice: self.advice,
        })
    }
}

impl CancelForm {
    fn value(self) -> Option<Cancel> {
        let find = |code: String| Verdict::ALL.into_iter().find(|one| one.code() == code);
        Some(Cancel {
            requested_at: Timestamp(self.requested_at),
            if_too_late: if self.void_if_too_late {
                IfTooLate::Void
            } else {
                IfTooLate::Keep
            },
            verdict: read(self.verdict, find)?,
        })
    }
}

impl OutcomeForm {
    fn value(self) -> Option<Outcome> {
        let reason = Reason::from_code(&self.reason)?;
        Some(Outcome {
            status: self.status,
            reason,
            at: Timestamp(self.at),
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::owner) struct PrintJobForm {
    id: PrintJobId,
    merchant_id: MerchantId,
    pos_id: PosTransactionId,
    terminal_id: TerminalId,
    copy: Copy,
    is_duplicate: bool,
    receipt: Option<Arc<Receipt>>,
    state: PrintState,
    #[serde(default)]
    has_begun: bool,
    created_at: i64,
    updated_at: i64,
}

impl Form for PrintJobForm {
    type Value = PrintJob;

    fn of(job: &PrintJob) -> Self {
        Self {
            id: job.id,
            merchant_id: job.merchant_id,
            pos_id: job.pos_id,
            terminal_id: job.terminal_id,
            copy: job.copy,
            is_duplicate: job.is_duplicate,
            receipt: job.receipt.clone(),
            state: job.state.clone(),
            has_begun: job.has_begun,
            created_at: job.created_at.0,
            updated_at: job.updated_at.0,
        }
    }

    fn value(self) -> Option<PrintJob> {
        Some(PrintJob {
            id: self.id,
            merchant_id: self.merchant_id,
            pos_id: self.pos_id,
            terminal_id: self.terminal_id,
            copy: self.copy,
            is_duplicate: self.is_duplicate,
            receipt: self.receipt,
            // Rows of before the field say it with their state only.
            has_begun: self.has_begun || self.state == PrintState::Printing,
            state: self.state,
            created_at: Timestamp(self.created_at),
            updated_at: Timestamp(self.updated_at),
        })
    }
}
