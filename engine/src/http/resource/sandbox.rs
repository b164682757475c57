//! Faults asked for in test mode: arm, list, take back.

use protocol::id::{PosTransactionId, TerminalId};
use serde::Deserialize;

use crate::domain::rejection::Rejection;
use crate::domain::sandbox::{Kind, LIFE_S_DEFAULT, Moment, Order, Parameters, Policy, Target};
use crate::owner::request::Request;

use super::super::call::{Call, Handled};
use super::super::code::ErrorAnswer;
use super::super::list::Paging;
use super::super::view::sandbox::FaultView;
use super::PlainList;

/// How callers name the acquirer as a target.
pub(in crate::http) const ACQUIRER: &str = "acquirer";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ArmForm {
    target: String,
    kind: String,
    at: Option<String>,
    times: Option<u32>,
    after_ms: Option<u64>,
    duration_ms: Option<u64>,
    delay_ms: Option<u64>,
    response_code: Option<String>,
    card: Option<String>,
    way: Option<String>,
    expires_in_s: Option<u64>,
}

/// `POST /v1/sandbox/faults`
pub(in crate::http) async fn arm(call: Call) -> Handled {
    check_mode(&call)?;
    let form: ArmForm = call.form()?;
    let target = target(&form.target)?;
    let parameters = Parameters {
        duration_ms: form.duration_ms,
        delay_ms: form.delay_ms,
        response_code: form.response_code,
        card: form.card,
        way: form.way,
    };
    let unknown = || ErrorAnswer::invalid("at", "a stage at which this kind happens");
    let at = form
        .at
        .as_deref()
        .map(|code| Moment::from_code(code).ok_or_else(unknown));
    let order = Order {
        target,
        kind: Kind::read(&form.kind, parameters)?,
        at: at.transpose()?,
        times: form.times.unwrap_or(1),
        after_ms: form.after_ms.unwrap_or(0),
        life_s: form.expires_in_s.unwrap_or(LIFE_S_DEFAULT),
    };
    call.ask(Request::ArmFault(order)).await
}

/// `GET /v1/sandbox/faults`
pub(in crate::http) async fn list(call: Call) -> Handled {
    check_mode(&call)?;
    let form: PlainList = call.query()?;
    let paging = Paging::of(&call, form.limit, form.cursor.as_deref())?;
    let merchant_id = call.merchant_id()?;
    let query = &call.parts().query;
    let listed = query.list_faults(merchant_id, paging.slice).await?;
    Ok(paging.answer(&listed, FaultView::of))
}

/// `DELETE /v1/sandbox/faults/{id}`
pub(in crate::http) async fn disarm(call: Call) -> Handled {
    check_mode(&call)?;
    let fault_id = call.path_id("id")?;
    call.ask(Request::DisarmFault { fault_id }).await
}

/// The owners refuse as well; here it comes before what the request says.
fn check_mode(call: &Call) -> Result<(), ErrorAnswer> {
    match call.parts().sandbox {
        Policy::Off => Err(Rejection::TestModeOnly.into()),
        Policy::On { .. } => Ok(()),
    }
}

fn target(text: &str) -> Result<Target, ErrorAnswer> {
    let terminal = || text.parse::<TerminalId>().ok().map(Target::Terminal);
    let pos = || text.parse::<PosTransactionId>().ok().map(Target::Pos);
    let acquirer = (text == ACQUIRER).then_some(Target::Acquirer);
    acquirer.or_else(terminal).or_else(pos).ok_or_else(|| {
        ErrorAnswer::invalid("target", "acquirer, a terminal's id or a POS transaction's")
    })
}
