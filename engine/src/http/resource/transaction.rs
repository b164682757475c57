//! Transactions: list, read with what can be done, adjust the tip, void; resolved by the operator.

use protocol::id::{MerchantId, TerminalId};
use serde::Deserialize;

use crate::access::operation::Operation;
use crate::domain::receipt::Slip;
use crate::domain::rejection::Rejection;
use crate::domain::resolution::ResolutionOutcome;
use crate::domain::tip;
use crate::domain::transaction::{Transaction, TransactionState, void_refusal};
use crate::owner::request::{Request, Resolve, TransactionTarget};
use crate::query::list::{Created, TransactionFilter};

use super::super::call::{Call, Handled};
use super::super::check::{Instant, account, text};
use super::super::code::ErrorAnswer;
use super::super::envelope::Success;
use super::super::list::Paging;
use super::super::view::transaction::{AvailableView, TransactionView};
use super::{Empty, pos, wait_until};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListForm {
    terminal_id: Option<TerminalId>,
    status: Option<String>,
    reference: Option<String>,
    created_from: Option<Instant>,
    created_to: Option<Instant>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /v1/transactions`
pub(in crate::http) async fn list(call: Call) -> Handled {
    let form: ListForm = call.query()?;
    let paging = Paging::of(&call, form.limit, form.cursor.as_deref())?;
    let state = match &form.status {
        Some(code) => {
            let found = TransactionState::ALL
                .into_iter()
                .find(|state| state.code() == code);
            let unknown = || ErrorAnswer::invalid("status", "a status of a transaction");
            Some(found.ok_or_else(unknown)?)
        }
        None => None,
    };
    let filter = TransactionFilter {
        terminal_id: form.terminal_id,
        state,
        reference: form.reference,
        created: Created {
            from: form.created_from.map(|at| at.0),
            to: form.created_to.map(|at| at.0),
        },
    };
    let merchant_id = call.merchant_id()?;
    let query = &call.parts().query;
    let listed = query
        .list_transactions(merchant_id, filter, paging.slice)
        .await?;
    Ok(paging.answer(&listed, TransactionView::of))
}

/// `GET /v1/transactions/{id}`
pub(in crate::http) async fn read(call: Call) -> Handled {
    let transaction_id = call.path_id("id")?;
    let query = &call.parts().query;
    let found = query
        .transaction(call.merchant_id()?, transaction_id)
        .await?;
    let transaction = found.ok_or(Rejection::NotFound)?;
    let view = TransactionView::of(&transaction).with_operations(operations(&call, &transaction));
    Ok(Success::json(200, &view))
}

/// What this caller can do to a transaction now: the credential first, then the transaction.
fn operations(call: &Call, transaction: &Transaction) -> Vec<AvailableView> {
    let by_state = [
        (
            "void",
            Operation::VoidTransaction,
            void_refusal(transaction),
        ),
        (
            "tip_adjustment",
            Operation::AdjustTip,
            tip::refusal(transaction, call.parts().tips, call.now),
        ),
        (
            "print",
            Operation::PrintReceipt,
            Slip::of(transaction)
                .is_none()
                .then_some(Rejection::NoReceipt),
        ),
    ];
    by_state
        .into_iter()
        .map(|(name, operation, refusal)| {
            let refusal = call
                .also(operation)
                .err()
                .or_else(|| refusal.map(ErrorAnswer::from));
            AvailableView {
                operation: name,
                available: refusal.is_none(),
                reason: refusal.as_ref().map(|refusal| refusal.code.text()),
                message: refusal.map(|refusal| refusal.message),
            }
        })
        .collect()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TipForm {
    tip_amount: i64,
    currency: String,
}

/// `POST /v1/transactions/{id}/tip-adjustment`
pub(in crate::http) async fn adjust_tip(call: Call) -> Handled {
    let form: TipForm = call.form()?;
    let request = Request::AdjustTip {
        target: TransactionTarget::Transaction(call.path_id("id")?),
        tip: pos::money("tip_amount", form.tip_amount, &form.currency)?,
        wait_until: wait_until(call.now),
    };
    call.ask(request).await
}

/// `POST /v1/transactions/{id}/void`
pub(in crate::http) async fn void(call: Call) -> Handled {
    let Empty {} = call.form()?;
    let request = Request::Void {
        transaction_id: call.path_id("id")?,
        wait_until: wait_until(call.now),
    };
    call.ask(request).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResolveForm {
    outcome: String,
    reason: String,
    resolved_by: String,
}

/// `POST /v1/merchants/{id}/transactions/{transaction_id}/resolution`
pub(in crate::http) async fn resolve(call: Call) -> Handled {
    let form: ResolveForm = call.form()?;
    let merchant_id: MerchantId = call.path_id("id")?;
    let transaction_id = call.path_id("transaction_id")?;
    if call.parts().guard.index().merchant(merchant_id).is_none() {
        return Err(Rejection::NotFound.into());
    }
    let unknown = || {
        let expected = "reversed_by_acquirer, stands or never_authorized";
        ErrorAnswer::invalid("outcome", expected)
    };
    let resolve = Resolve {
        transaction_id,
        outcome: ResolutionOutcome::from_code(&form.outcome).ok_or_else(unknown)?,
        reason: account("reason", form.reason)?,
        by: text("resolved_by", form.resolved_by)?,
    };
    call.ask_of(merchant_id, Request::Resolve(resolve)).await
}
