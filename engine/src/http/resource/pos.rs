//! POS transactions: start, list, read and wait, cancel.

use std::fmt;

use protocol::id::TerminalId;
use protocol::link::{PosKind, TipPrompt};
use protocol::money::{Currency, Money};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::access::operation::Operation;
use crate::domain::pos::{IfTooLate, Origin};
use crate::domain::rejection::Rejection;
use crate::domain::tip;
use crate::owner::request::{Answer, CancelPos, Request, StartPos};
use crate::query::list::{Created, PosFilter};

use super::super::call::{Call, Handled};
use super::super::check::{Instant, optional_text};
use super::super::code::ErrorAnswer;
use super::super::envelope::Success;
use super::super::list::Paging;
use super::super::render;
use super::super::view::pos::{PosView, status_of};
use super::wait_until;

/// Longest wait of a read (design: connections of proxies live for a minute).
const WAIT_S_MAX: u32 = 60;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StartForm {
    terminal_id: TerminalId,
    #[serde(default)]
    r#type: KindForm,
    amount: i64,
    currency: String,
    reference: Option<String>,
    #[serde(default)]
    tip_prompt: TipPromptForm,
    #[serde(default)]
    accept_partial: bool,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KindForm {
    #[default]
    Sale,
    Authorization,
}

/// `true` for the default prompt, an object for an own one.
#[derive(Debug, Default)]
enum TipPromptForm {
    #[default]
    Off,
    Default,
    Own(OwnPrompt),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnPrompt {
    options_bps: Option<Vec<u32>>,
    custom: Option<bool>,
    timeout_s: Option<u32>,
}

impl<'de> Deserialize<'de> for TipPromptForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TipPromptVisitor)
    }
}

struct TipPromptVisitor;

impl<'de> Visitor<'de> for TipPromptVisitor {
    type Value = TipPromptForm;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("true, false or an object")
    }

    fn visit_bool<E>(self, is_on: bool) -> Result<TipPromptForm, E> {
        Ok(match is_on {
            true => TipPromptForm::Default,
            false => TipPromptForm::Off,
        })
    }

    fn visit_unit<E>(self) -> Result<TipPromptForm, E> {
        Ok(TipPromptForm::Off)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<TipPromptForm, A::Error> {
        OwnPrompt::deserialize(MapAccessDeserializer::new(members)).map(TipPromptForm::Own)
    }
}

impl TipPromptForm {
    fn prompt(self) -> Result<Option<TipPrompt>, ErrorAnswer> {
        let default = tip::default_prompt();
        let prompt = match self {
            Self::Off => return Ok(None),
            Self::Default => default,
            Self::Own(own) => TipPrompt {
                options_bps: own.options_bps.unwrap_or(default.options_bps),
                custom: own.custom.unwrap_or(default.custom),
                timeout_s: own.timeout_s.unwrap_or(default.timeout_s),
            },
        };
        tip::check_prompt(&prompt)?;
        Ok(Some(prompt))
    }
}

/// An amount and its currency, each refused with its own code.
pub(super) fn money(field: &'static str, minor: i64, code: &str) -> Result<Money, ErrorAnswer> {
    let currency: Currency = code.parse().map_err(|_| Rejection::InvalidCurrency)?;
    if minor < 0 {
        let refusal = ErrorAnswer::invalid(field, "must not be negative");
        return Err(refusal.with("received", minor));
    }
    Ok(Money::new(minor, currency))
}

/// `POST /v1/pos/transactions`
pub(in crate::http) async fn start(call: Call) -> Handled {
    let form: StartForm = call.form()?;
    let amount = money("amount", form.amount, &form.currency)?;
    if !amount.is_positive() {
        let refusal = ErrorAnswer::invalid("amount", "must be above zero");
        return Err(refusal.with("received", form.amount));
    }
    let start = StartPos {
        terminal_id: form.terminal_id,
        kind: match form.r#type {
            KindForm::Sale => PosKind::Sale,
            KindForm::Authorization => PosKind::Authorization,
        },
        amount,
        reference: optional_text("reference", form.reference)?,
        tip_prompt: form.tip_prompt.prompt()?,
        accept_partial: form.accept_partial,
        origin: Origin::Api(call.key_id()?),
    };
    call.ask(Request::StartPos(start)).await
}

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

/// `GET /v1/pos/transactions`
pub(in crate::http) async fn list(call: Call) -> Handled {
    let form: ListForm = call.query()?;
    let paging = Paging::of(&call, form.limit, form.cursor.as_deref())?;
    let status = match &form.status {
        Some(code) => {
            let unknown = || ErrorAnswer::invalid("status", "a status of a POS transaction");
            Some(status_of(code).ok_or_else(unknown)?)
        }
        None => None,
    };
    let filter = PosFilter {
        terminal_id: form.terminal_id,
        status,
        reference: form.reference,
        created: Created {
            from: form.created_from.map(|at| at.0),
            to: form.created_to.map(|at| at.0),
        },
    };
    let merchant_id = call.merchant_id()?;
    let query = &call.parts().query;
    let listed = query.list_pos(merchant_id, filter, paging.slice).await?;
    Ok(paging.answer(&listed, PosView::of))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadForm {
    #[serde(default)]
    wait_s: u32,
}

/// `GET /v1/pos/transactions/{id}`
pub(in crate::http) async fn read(call: Call) -> Handled {
    let pos_id = call.path_id("id")?;
    let form: ReadForm = call.query()?;
    if form.wait_s > WAIT_S_MAX {
        return Err(ErrorAnswer::invalid("wait_s", "0 to 60 seconds"));
    }
    let merchant_id = call.merchant_id()?;
    // Rows are committed, so they may be shown; only waiting needs the owner, which looks itself.
    if form.wait_s == 0 {
        let pos = call.parts().query.pos(merchant_id, pos_id).await?;
        let pos = pos.ok_or(Rejection::NotFound)?;
        return Ok(Success::json(200, &PosView::of(&pos)));
    }
    let wait_ms = u64::from(form.wait_s).saturating_mul(1_000);
    let request = Request::ReadPos {
        pos_id,
        wait_until: Some(call.now.plus_ms(wait_ms)),
    };
    let answer: Answer = call.answer_of(merchant_id, request).await?;
    let rendered = render::fresh(&answer);
    Ok(Success::rendered(rendered.status, rendered.body))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CancelForm {
    #[serde(default)]
    if_too_late: IfTooLateForm,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum IfTooLateForm {
    #[default]
    Keep,
    Void,
}

/// `POST /v1/pos/transactions/{id}/cancel`
pub(in crate::http) async fn cancel(call: Call) -> Handled {
    let form: CancelForm = call.form()?;
    let if_too_late = match form.if_too_late {
        IfTooLateForm::Keep => IfTooLate::Keep,
        IfTooLateForm::Void => {
            // Undoing an approval is a void, whatever it is asked by.
            call.also(Operation::VoidTransaction)?;
            IfTooLate::Void
        }
    };
    let request = Request::CancelPos(CancelPos {
        pos_id: call.path_id("id")?,
        if_too_late,
        asked_by: None,
        wait_until: wait_until(call.now),
    });
    call.ask(request).await
}
