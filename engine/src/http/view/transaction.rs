//! View of transactions, with what can be done to them and what stands against the rest.

use protocol::id::{AttemptId, PosTransactionId, TerminalId, TransactionId};
use serde::Serialize;

use crate::domain::card::CardSummary;
use crate::domain::resolution::Resolution;
use crate::domain::reversal::Reversal;
use crate::domain::transaction::{Intent, IntentKind, TipRevision, Transaction, TransactionState};

use super::instant;
use super::pos::{InDoubtView, kind_code};

/// A transaction.
#[derive(Debug, Serialize)]
pub(in crate::http) struct TransactionView<'a> {
    id: TransactionId,
    pos_transaction_id: PosTransactionId,
    attempt_id: AttemptId,
    terminal_id: TerminalId,
    r#type: &'static str,
    status: &'static str,
    reason: Option<&'static str>,
    amount: i64,
    tip_amount: Option<i64>,
    requested_amount: i64,
    authorized_amount: Option<i64>,
    total: i64,
    currency: &'static str,
    reference: Option<&'a str>,
    card: CardView<'a>,
    authorization_code: Option<&'a str>,
    response_code: Option<&'a str>,
    retrieval_reference: Option<&'a str>,
    trace_number: u32,
    tip_revisions: Vec<TipRevisionView>,
    pending_operation: Option<PendingView>,
    reversal: Option<ReversalView>,
    in_doubt: Option<InDoubtView>,
    resolution: Option<ResolutionView<'a>>,
    needs_attention: bool,
    created_at: String,
    updated_at: String,
    revision: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    available_operations: Option<Vec<AvailableView>>,
    livemode: bool,
}

#[derive(Debug, Serialize)]
struct CardView<'a> {
    brand: &'a str,
    last4: Option<&'a str>,
    masked_number: Option<&'a str>,
    entry_mode: &'static str,
    application_label: Option<String>,
    application_id: Option<String>,
}

#[derive(Debug, Serialize)]
struct TipRevisionView {
    tip_amount: i64,
    total: i64,
    at: String,
}

#[derive(Debug, Serialize)]
struct PendingView {
    operation: &'static str,
    tip_amount: Option<i64>,
    total: Option<i64>,
    requested_at: String,
    tries: u32,
    next_at: String,
}

#[derive(Debug, Serialize)]
struct ReversalView {
    reason: &'static str,
    decided_at: String,
    tries: u32,
    next_at: Option<String>,
    done_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct ResolutionView<'a> {
    outcome: &'static str,
    reason: &'a str,
    resolved_by: &'a str,
    at: String,
    contradiction: Option<&'static str>,
    contradicted_at: Option<String>,
}

/// Something that can be done, or why it cannot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::http) struct AvailableView {
    /// As in the path of the API.
    pub(in crate::http) operation: &'static str,
    /// Whether it would be taken on now.
    pub(in crate::http) available: bool,
    /// The error code that it would be answered with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::http) reason: Option<&'static str>,
    /// The message of that error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::http) message: Option<String>,
}

impl<'a> TransactionView<'a> {
    pub(in crate::http) fn of(transaction: &'a Transaction) -> Self {
        let host = transaction.host.as_ref();
        let open_reversal = transaction
            .reversal
            .filter(|_| transaction.state == TransactionState::Reversing);
        Self {
            id: transaction.id,
            pos_transaction_id: transaction.pos_id,
            attempt_id: transaction.attempt_id,
            terminal_id: transaction.terminal_id,
            r#type: kind_code(transaction.kind),
            status: transaction.state.code(),
            reason: transaction.reason.map(|reason| reason.code()),
            amount: transaction.base.minor(),
            tip_amount: transaction.current_tip().map(|tip| tip.minor()),
            requested_amount: transaction.requested.minor(),
            authorized_amount: transaction.authorized.map(|amount| amount.minor()),
            total: transaction.total().minor(),
            currency: transaction.base.currency().code(),
            reference: transaction.reference.as_deref(),
            card: CardView::of(&transaction.card),
            authorization_code: host.and_then(|host| host.authorization_code.as_deref()),
            response_code: host.map(|host| host.response_code.as_str()),
            retrieval_reference: host.and_then(|host| host.retrieval_reference.as_deref()),
            trace_number: transaction.trace.number,
            tip_revisions: transaction
                .tip_revisions
                .iter()
                .map(TipRevisionView::of)
                .collect(),
            pending_operation: transaction.intent.as_ref().map(PendingView::of),
            reversal: transaction.reversal.map(ReversalView::of),
            in_doubt: open_reversal.map(|reversal| InDoubtView {
                who_holds_truth: "acquirer",
                next_action_at: Some(instant(reversal.next_at)),
            }),
            resolution: transaction.resolution.as_ref().map(ResolutionView::of),
            needs_attention: transaction.needs_attention(),
            created_at: instant(transaction.created_at),
            updated_at: instant(transaction.updated_at),
            revision: transaction.revision,
            available_operations: None,
            livemode: false,
        }
    }

    /// Adds what this caller can do to it now.
    pub(in crate::http) fn with_operations(mut self, operations: Vec<AvailableView>) -> Self {
        self.available_operations = Some(operations);
        self
    }
}

impl<'a> CardView<'a> {
    fn of(card: &'a CardSummary) -> Self {
        Self {
            brand: &card.brand,
            last4: card.last_four(),
            masked_number: card.masked_number.as_deref(),
            entry_mode: card.entry.code(),
            application_label: card.application_label(),
            application_id: card.application_id().map(hex::encode_upper),
        }
    }
}

impl<'a> ResolutionView<'a> {
    fn of(resolution: &'a Resolution) -> Self {
        let contradiction = resolution.contradiction;
        Self {
            outcome: resolution.outcome.code(),
            reason: &resolution.reason,
            resolved_by: &resolution.by,
            at: instant(resolution.at),
            contradiction: contradiction.map(|(what, _)| what.code()),
            contradicted_at: contradiction.map(|(_, at)| instant(at)),
        }
    }
}

impl TipRevisionView {
    fn of(revision: &TipRevision) -> Self {
        Self {
            tip_amount: revision.tip.minor(),
            total: revision.total.minor(),
            at: instant(revision.at),
        }
    }
}

impl PendingView {
    fn of(intent: &Intent) -> Self {
        let (operation, tip, total) = match intent.kind {
            IntentKind::Void => ("void", None, None),
            IntentKind::AdjustTip { tip, total } => ("tip_adjustment", Some(tip), Some(total)),
        };
        Self {
            operation,
            tip_amount: tip.map(|tip| tip.minor()),
            total: total.map(|total| total.minor()),
            requested_at: instant(intent.requested_at),
            tries: intent.tries,
            next_at: instant(intent.next_at),
        }
    }
}

impl ReversalView {
    fn of(reversal: Reversal) -> Self {
        Self {
            reason: reversal.reason.code(),
            decided_at: instant(reversal.decided_at),
            tries: reversal.tries,
            next_at: reversal
                .done_at
                .is_none()
                .then(|| instant(reversal.next_at)),
            done_at: reversal.done_at.map(instant),
        }
    }
}
