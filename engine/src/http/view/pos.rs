//! Views of POS transactions and print jobs.

use protocol::id::{AttemptId, PosTransactionId, PrintJobId, TerminalId, TransactionId};
use protocol::link::{PosKind, PosStatus, PrintState};
use protocol::receipt::Copy;
use serde::Serialize;

use crate::domain::pos::{
    Attempt, AttemptState, Cancel, IfTooLate, Origin, PosTransaction, Stage, Verdict,
};
use crate::domain::print::PrintJob;

use super::instant;
use super::terminal::PrinterProblemView;

/// Every status, to find one by its code.
const STATUSES: [PosStatus; 7] = [
    PosStatus::InProgress,
    PosStatus::Approved,
    PosStatus::Declined,
    PosStatus::Canceled,
    PosStatus::Failed,
    PosStatus::InDoubt,
    PosStatus::Reversed,
];

/// The code of a kind.
pub(in crate::http) const fn kind_code(kind: PosKind) -> &'static str {
    match kind {
        PosKind::Sale => "sale",
        PosKind::Authorization => "authorization",
    }
}

/// The code of a status.
pub(in crate::http) const fn status_code(status: PosStatus) -> &'static str {
    match status {
        PosStatus::InProgress => "in_progress",
        PosStatus::Approved => "approved",
        PosStatus::Declined => "declined",
        PosStatus::Canceled => "canceled",
        PosStatus::Failed => "failed",
        PosStatus::InDoubt => "in_doubt",
        PosStatus::Reversed => "reversed",
    }
}

/// The status with this code.
pub(in crate::http) fn status_of(code: &str) -> Option<PosStatus> {
    STATUSES
        .into_iter()
        .find(|status| status_code(*status) == code)
}

/// The code of a copy.
pub(in crate::http) const fn copy_code(copy: Copy) -> &'static str {
    match copy {
        Copy::Merchant => "merchant",
        Copy::Customer => "customer",
    }
}

/// Who knows what nobody here knows, and when the engine asks again.
#[derive(Debug, Serialize)]
pub(in crate::http) struct InDoubtView {
    pub(super) who_holds_truth: &'static str,
    pub(super) next_action_at: Option<String>,
}

/// A POS transaction.
#[derive(Debug, Serialize)]
pub(in crate::http) struct PosView<'a> {
    id: PosTransactionId,
    terminal_id: TerminalId,
    r#type: &'static str,
    status: &'static str,
    stage: &'static str,
    reason: Option<&'static str>,
    amount: i64,
    tip_amount: Option<i64>,
    total: i64,
    approved_amount: Option<i64>,
    currency: &'static str,
    reference: Option<&'a str>,
    accept_partial: bool,
    origin: &'static str,
    created_at: String,
    updated_at: String,
    revision: u32,
    deadline: Option<String>,
    attempts: Vec<AttemptView>,
    cancel: Option<CancelView>,
    transaction_id: Option<TransactionId>,
    in_doubt: Option<InDoubtView>,
    livemode: bool,
}

#[derive(Debug, Serialize)]
struct AttemptView {
    id: AttemptId,
    number: u32,
    state: &'static str,
    reason: Option<&'static str>,
    amount: i64,
    transaction_id: Option<TransactionId>,
}

#[derive(Debug, Serialize)]
struct CancelView {
    requested_at: String,
    if_too_late: &'static str,
    verdict: Option<&'static str>,
}

impl<'a> PosView<'a> {
    pub(in crate::http) fn of(pos: &'a PosTransaction) -> Self {
        let in_doubt = (pos.stage == Stage::Reversing).then(|| InDoubtView {
            who_holds_truth: "acquirer",
            next_action_at: pos.next_action_at.map(instant),
        });
        Self {
            id: pos.id,
            terminal_id: pos.terminal_id,
            r#type: kind_code(pos.kind),
            status: status_code(pos.status()),
            stage: pos.stage.code(),
            reason: pos.reason().map(|reason| reason.code()),
            amount: pos.base.minor(),
            tip_amount: pos.tip.map(|tip| tip.minor()),
            total: pos.total().unwrap_or(pos.base).minor(),
            approved_amount: pos.approved.map(|approved| approved.minor()),
            currency: pos.base.currency().code(),
            reference: pos.reference.as_deref(),
            accept_partial: pos.accept_partial,
            origin: match pos.origin {
                Origin::Api(_) => "api",
                Origin::Till(_) => "till",
            },
            created_at: instant(pos.created_at),
            updated_at: instant(pos.updated_at),
            revision: pos.revision,
            deadline: pos.deadline.map(instant),
            attempts: pos.attempts.iter().map(AttemptView::of).collect(),
            cancel: pos.cancel.map(CancelView::of),
            transaction_id: standing_transaction(pos),
            in_doubt,
            livemode: false,
        }
    }
}

/// The transaction that stands, is being decided, or is in doubt.
fn standing_transaction(pos: &PosTransaction) -> Option<TransactionId> {
    let is_in_doubt = pos.stage == Stage::Reversing;
    pos.attempts
        .iter()
        .rev()
        .find(|attempt| match attempt.state {
            AttemptState::Authorizing | AttemptState::Confirming | AttemptState::Approved => true,
            AttemptState::Reversed(_) => is_in_doubt,
            AttemptState::Granted | AttemptState::Declined | AttemptState::Ended(_) => false,
        })
        .and_then(|attempt| attempt.transaction_id)
}

impl AttemptView {
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
            state,
            reason: reason.map(|reason| reason.code()),
            amount: attempt.amount.minor(),
            transaction_id: attempt.transaction_id,
        }
    }
}

impl CancelView {
    fn of(cancel: Cancel) -> Self {
        Self {
            requested_at: instant(cancel.requested_at),
            if_too_late: match cancel.if_too_late {
                IfTooLate::Keep => "keep",
                IfTooLate::Void => "void",
            },
            verdict: cancel.verdict.map(Verdict::code),
        }
    }
}

/// A print job.
#[derive(Debug, Serialize)]
pub(in crate::http) struct PrintJobView<'a> {
    id: PrintJobId,
    pos_transaction_id: PosTransactionId,
    terminal_id: TerminalId,
    copy: &'static str,
    is_duplicate: bool,
    status: &'static str,
    held_by: Option<&'a str>,
    reason: Option<&'a str>,
    problem: Option<PrinterProblemView>,
    created_at: String,
    updated_at: String,
    livemode: bool,
}

impl<'a> PrintJobView<'a> {
    pub(in crate::http) fn of(job: &'a PrintJob) -> Self {
        let filled = |text: &'a String| (!text.is_empty()).then_some(text.as_str());
        let (status, held_by, reason) = match &job.state {
            PrintState::Queued { held_by } => ("queued", filled(held_by), None),
            PrintState::Printing => ("printing", None, None),
            PrintState::Printed => ("printed", None, None),
            PrintState::Failed { reason } => ("failed", None, filled(reason)),
            PrintState::Unknown => ("unknown", None, None),
        };
        Self {
            id: job.id,
            pos_transaction_id: job.pos_id,
            terminal_id: job.terminal_id,
            copy: copy_code(job.copy),
            is_duplicate: job.is_duplicate,
            status,
            held_by,
            reason,
            problem: held_by.or(reason).and_then(PrinterProblemView::of),
            created_at: instant(job.created_at),
            updated_at: instant(job.updated_at),
            livemode: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_read_back() {
        for status in STATUSES {
            assert_eq!(status_of(status_code(status)), Some(status));
        }
        assert_eq!(status_of("completed"), None);
    }
}
