//! Terminals: create, list, read, live status.

use std::sync::Arc;

use protocol::id::TerminalId;
use serde::Deserialize;

use crate::domain::merchant::Terminal;
use crate::domain::rejection::Rejection;
use crate::owner::request::Request;

use super::super::call::{Call, Handled};
use super::super::check::{optional_text, text};
use super::super::code::ErrorAnswer;
use super::super::envelope::Success;
use super::super::list::Paging;
use super::super::view::terminal::{TerminalStatusView, TerminalView, availability};
use super::PlainList;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateForm {
    label: String,
    serial_number: Option<String>,
}

/// `POST /v1/terminals`
pub(in crate::http) async fn create(call: Call) -> Handled {
    let form: CreateForm = call.form()?;
    let request = Request::CreateTerminal {
        label: text("label", form.label)?,
        serial_number: optional_text("serial_number", form.serial_number)?,
    };
    call.ask(request).await
}

/// `GET /v1/terminals`
pub(in crate::http) async fn list(call: Call) -> Handled {
    let form: PlainList = call.query()?;
    let paging = Paging::of(&call, form.limit, form.cursor.as_deref())?;
    let merchant_id = call.merchant_id()?;
    let query = &call.parts().query;
    let listed = query.list_terminals(merchant_id, paging.slice).await?;
    Ok(paging.answer(&listed, |terminal| view(&call, terminal)))
}

/// `GET /v1/terminals/{id}`
pub(in crate::http) async fn read(call: Call) -> Handled {
    let terminal = own(&call)?;
    Ok(Success::json(200, &view(&call, &terminal)))
}

/// `GET /v1/terminals/{id}/status`
pub(in crate::http) async fn status(call: Call) -> Handled {
    let terminal = own(&call)?;
    let live = call.parts().registry.status(terminal.id);
    // Not `call.now`: the status may be younger than the request.
    let now = call.parts().clock.now();
    let view = TerminalStatusView::of(&terminal, live.as_ref(), now);
    Ok(Success::json(200, &view))
}

fn view<'a>(call: &Call, terminal: &'a Terminal) -> TerminalView<'a> {
    let live = call.parts().registry.status(terminal.id);
    TerminalView::of(terminal).with_live(availability(terminal, live.as_ref()))
}

/// The terminal in the path, if it is the caller's.
pub(super) fn own(call: &Call) -> Result<Arc<Terminal>, ErrorAnswer> {
    let terminal_id: TerminalId = call.path_id("id")?;
    let merchant_id = call.merchant_id()?;
    let terminal = call.parts().guard.index().terminal(terminal_id);
    terminal
        .filter(|terminal| terminal.merchant_id == merchant_id)
        .ok_or_else(|| Rejection::NotFound.into())
}
