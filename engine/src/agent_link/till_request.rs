//! What a till asks for, as the operations that every door shares, and the answers on their way back.

use protocol::id::{RequestId, TerminalId};
use protocol::link::{AnswerBody, RequestRefused, TillRequest, ToAgent};
use sha2::{Digest, Sha256};

use crate::access::guard::Denied;
use crate::access::operation::Operation;
use crate::domain::idempotency::{ClaimKey, Fingerprint, StoredAnswer};
use crate::domain::pos::{IfTooLate, Origin, PosTransaction};
use crate::domain::rejection::Rejection;
use crate::domain::time::Timestamp;
use crate::domain::tip;
use crate::http::code::ErrorAnswer;
use crate::owner::request::{
    Answer, CancelPos, ClaimRequest, PrintReceipt, Reply, Request, StartPos, TillCaller,
    TransactionTarget,
};

/// How long an answer that depends on the acquirer may take. The till repeats its request after a
/// lost link, so a longer wait gains nothing.
const WAIT_MS: u64 = 20_000;

/// The operations that a request is: a cancel that may undo an approval is a void too.
pub const fn operations(request: &TillRequest) -> &'static [Operation] {
    match request {
        TillRequest::Start(_) => &[Operation::StartPos],
        TillRequest::Cancel {
            void_if_too_late: false,
            ..
        } => &[Operation::CancelPos],
        TillRequest::Cancel {
            void_if_too_late: true,
            ..
        } => &[Operation::CancelPos, Operation::VoidTransaction],
        TillRequest::Print { .. } => &[Operation::PrintReceipt],
        TillRequest::TipAdjust { .. } => &[Operation::AdjustTip],
        TillRequest::Void { .. } => &[Operation::VoidTransaction],
    }
}

/// The request for the merchant's owner.
pub fn request(caller: TillCaller, request: TillRequest, now: Timestamp) -> Request {
    let wait_until = now.plus_ms(WAIT_MS);
    match request {
        TillRequest::Start(start) => Request::StartPos(StartPos {
            terminal_id: caller.terminal_id,
            kind: start.kind,
            amount: start.amount,
            reference: start.reference,
            tip_prompt: start.tip_prompt.then(tip::default_prompt),
            accept_partial: false,
            origin: Origin::Till(caller.request_id),
        }),
        TillRequest::Cancel {
            pos_id,
            void_if_too_late,
        } => Request::CancelPos(CancelPos {
            pos_id,
            if_too_late: if void_if_too_late {
                IfTooLate::Void
            } else {
                IfTooLate::Keep
            },
            asked_by: Some(caller.terminal_id),
            wait_until,
        }),
        TillRequest::Print { pos_id, copy } => Request::PrintReceipt(PrintReceipt {
            pos_id,
            copy,
            terminal_id: Some(caller.terminal_id),
        }),
        TillRequest::TipAdjust { pos_id, tip } => Request::AdjustTip {
            target: TransactionTarget::OfPos(pos_id),
            tip,
            wait_until,
        },
        TillRequest::Void { transaction_id } => Request::Void {
            transaction_id,
            wait_until,
        },
    }
}

/// The till's name for its request is its idempotency key.
pub fn claim(
    terminal_id: TerminalId,
    request_id: RequestId,
    request: &TillRequest,
) -> ClaimRequest {
    let mut key = Sha256::new();
    key.update(b"till\0");
    key.update(terminal_id.bytes());
    key.update(request_id.bytes());
    let body = rmp_serde::to_vec_named(request).unwrap_or_default();
    ClaimRequest {
        key: ClaimKey(key.finalize().into()),
        fingerprint: Fingerprint(Sha256::digest(body).into()),
        render,
    }
}

/// The owner's reply as a message.
pub fn answer(request_id: RequestId, reply: Result<Reply, Rejection>) -> ToAgent {
    let body = match reply {
        Ok(Reply::Fresh(answer)) => body(&answer),
        Ok(Reply::Replayed(stored)) => rmp_serde::from_slice(&stored.body)
            .unwrap_or_else(|_| refused(Rejection::IdempotencyConflict)),
        Err(rejection) => refused(rejection),
    };
    ToAgent::Answer { request_id, body }
}

/// What a till is told when the check says no.
pub fn denied(request_id: RequestId, denied: Denied) -> ToAgent {
    ToAgent::Answer {
        request_id,
        body: refused(denied),
    }
}

/// What a till is told when its merchant has too much to do.
pub(crate) fn busy(request_id: RequestId) -> ToAgent {
    ToAgent::Answer {
        request_id,
        body: refused(Rejection::Busy),
    }
}

/// A refusal with the code and message that the API gives it.
fn refused(refusal: impl Into<ErrorAnswer>) -> AnswerBody {
    let answer = refusal.into();
    let (code, message) = (answer.code.text().to_owned(), answer.message);
    AnswerBody::Refused(RequestRefused { code, message })
}

fn render(answer: &Answer) -> StoredAnswer {
    let body = rmp_serde::to_vec_named(&body(answer)).unwrap_or_default();
    StoredAnswer { status: 0, body }
}

fn body(answer: &Answer) -> AnswerBody {
    match answer {
        Answer::Started(pos) | Answer::Pos(pos) => AnswerBody::Started { pos_id: pos.id },
        Answer::Canceled(pos) => AnswerBody::Canceled {
            verdict: verdict(pos),
        },
        Answer::PrintQueued(job) => AnswerBody::PrintQueued { job_id: job.id },
        Answer::TipAdjusted(transaction) => AnswerBody::TipAdjusted {
            transaction_id: transaction.id,
            total: transaction.total(),
        },
        Answer::Voided(transaction) => AnswerBody::Voided {
            transaction_id: transaction.id,
            is_final: transaction.intent.is_none(),
        },
        Answer::TerminalCreated(_)
        | Answer::TerminalChanged(_)
        | Answer::TerminalConfigured(..)
        | Answer::TerminalDefaultsSet(_)
        | Answer::PairingCodeCreated(..)
        | Answer::TillsCreated(_)
        | Answer::PairingCodeRevoked(_)
        | Answer::Paired(..)
        | Answer::Unpaired(_)
        | Answer::ApiKeyCreated(..)
        | Answer::Resolved(_)
        | Answer::ApiKeyRevoked(_)
        | Answer::FaultArmed(_)
        | Answer::FaultDisarmed(_)
        | Answer::Retired(_) => refused(Rejection::Internal),
    }
}

fn verdict(pos: &PosTransaction) -> String {
    let verdict = pos.cancel.and_then(|cancel| cancel.verdict);
    verdict
        .map_or("requested", |verdict| verdict.code())
        .to_owned()
}
