//! Receipts: print one, read one as data or text, see what became of prints.

use protocol::id::{PosTransactionId, TerminalId, TransactionId};
use protocol::receipt::{Copy, Entry, Receipt};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::pos::PosTransaction;
use crate::domain::receipt::{self, Source};
use crate::domain::rejection::Rejection;
use crate::owner::request::{PrintReceipt, Request};

use super::super::call::{Call, Handled};
use super::super::code::ErrorAnswer;
use super::super::envelope::Success;
use super::super::list::Paging;
use super::super::view::pos::{PrintJobView, copy_code};
use super::PlainList;
use super::terminal_configuration::defaults_of;

/// Widths of paper: 58 mm, 80 mm in font A at 42 and at 48 columns.
const COLUMNS: [u32; 3] = [32, 42, 48];
const COLUMNS_DEFAULT: u32 = 42;

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CopyForm {
    #[default]
    Customer,
    Merchant,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FormatForm {
    #[default]
    Json,
    Text,
}

impl CopyForm {
    const fn copy(self) -> Copy {
        match self {
            Self::Customer => Copy::Customer,
            Self::Merchant => Copy::Merchant,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PrintForm {
    #[serde(default)]
    copy: CopyForm,
    terminal_id: Option<TerminalId>,
}

/// `POST /v1/pos/transactions/{id}/print-receipt`
pub(in crate::http) async fn print(call: Call) -> Handled {
    let form: PrintForm = call.form()?;
    let request = Request::PrintReceipt(PrintReceipt {
        pos_id: call.path_id("id")?,
        copy: form.copy.copy(),
        terminal_id: form.terminal_id,
    });
    call.ask(request).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadForm {
    #[serde(default)]
    copy: CopyForm,
    #[serde(default)]
    format: FormatForm,
    columns: Option<u32>,
}

/// A receipt as data.
#[derive(Debug, Serialize)]
struct ReceiptView<'a> {
    pos_transaction_id: PosTransactionId,
    transaction_id: TransactionId,
    revision: u32,
    copy: &'static str,
    is_duplicate: bool,
    fields: Map<String, Value>,
    columns: u32,
    text: &'a str,
    livemode: bool,
}

/// `GET /v1/pos/transactions/{id}/receipt`
pub(in crate::http) async fn read(call: Call) -> Handled {
    let pos_id: PosTransactionId = call.path_id("id")?;
    let form: ReadForm = call.query()?;
    let columns = form.columns.unwrap_or(COLUMNS_DEFAULT);
    if !COLUMNS.contains(&columns) {
        return Err(ErrorAnswer::invalid("columns", "32, 42 or 48"));
    }
    let merchant_id = call.merchant_id()?;
    let query = &call.parts().query;
    let pos = query.pos(merchant_id, pos_id).await?;
    let pos = pos.ok_or(Rejection::NotFound)?;
    let transaction_id = latest_transaction(&pos).ok_or(Rejection::NoReceipt)?;
    let source = query.receipt_source(merchant_id, transaction_id).await?;
    let source = source.ok_or(Rejection::NoReceipt)?;
    let copy = form.copy.copy();
    let defaults = defaults_of(&call, merchant_id);
    let wanted = defaults.wanted(source.terminal.id, &source.terminal.own);
    let footer = wanted.settings.receipt_footer.unwrap_or_default();
    let made = receipt::make(
        &Source {
            footer: &footer,
            merchant: &source.merchant,
            terminal: &source.terminal,
            transaction: &source.transaction,
        },
        copy,
        false,
    );
    let made = made.ok_or(Rejection::NoReceipt)?;
    let text = made.text(usize::try_from(columns).unwrap_or_default());
    if form.format == FormatForm::Text {
        return Ok(Success::text(text));
    }
    let view = ReceiptView {
        pos_transaction_id: pos_id,
        transaction_id,
        revision: source.transaction.revision,
        copy: copy_code(copy),
        is_duplicate: made.is_duplicate,
        fields: fields(&made),
        columns,
        text: &text,
        livemode: false,
    };
    Ok(Success::json(200, &view))
}

/// The transaction of the last attempt that reached the acquirer: a slip tells of that one.
fn latest_transaction(pos: &PosTransaction) -> Option<TransactionId> {
    pos.attempts
        .iter()
        .rev()
        .find_map(|attempt| attempt.transaction_id)
}

fn fields(receipt: &Receipt) -> Map<String, Value> {
    let named = receipt.entries.iter().filter_map(|entry| match entry {
        Entry::Field { name, value, .. } => Some((name.clone(), Value::from(value.as_str()))),
        _ => None,
    });
    named.collect()
}

/// `GET /v1/pos/transactions/{id}/print-jobs`
pub(in crate::http) async fn list_jobs(call: Call) -> Handled {
    let pos_id: PosTransactionId = call.path_id("id")?;
    let form: PlainList = call.query()?;
    let paging = Paging::of(&call, form.limit, form.cursor.as_deref())?;
    let merchant_id = call.merchant_id()?;
    let query = &call.parts().query;
    if query.pos(merchant_id, pos_id).await?.is_none() {
        return Err(Rejection::NotFound.into());
    }
    let listed = query
        .list_print_jobs(merchant_id, pos_id, paging.slice)
        .await?;
    Ok(paging.answer(&listed, PrintJobView::of))
}
