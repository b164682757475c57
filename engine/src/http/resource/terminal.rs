//! Terminals: create, list, read, change, live status.

use std::sync::Arc;

use protocol::id::TerminalId;
use protocol::link::{PaperState, ReaderState};
use serde::{Deserialize, Deserializer};

use crate::agent_link::fleet::{self, Entry, Filter, Sort, SortKey};
use crate::agent_link::registry::Availability;
use crate::domain::merchant::Terminal;
use crate::domain::rejection::Rejection;
use crate::owner::request::{ChangeTerminal, Request};
use crate::owner::terminal::Freshness;

use super::super::call::{Call, Handled};
use super::super::check::{line, optional_text, text};
use super::super::code::ErrorAnswer;
use super::super::envelope::Success;
use super::super::list::FleetPaging;
use super::super::view::terminal::{TerminalStatusView, TerminalView};
use super::super::view::terminal_configuration::AppliedView;
use super::terminal_configuration::defaults_of;

/// Longest place: an address on one line.
const LOCATION_LETTERS_MAX: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateForm {
    label: String,
    serial_number: Option<String>,
}

/// Absent leaves as it is, null clears.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeForm {
    #[serde(default, deserialize_with = "present")]
    label: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    location: Option<Option<String>>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ConnectionForm {
    Online,
    Offline,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AvailabilityForm {
    Ready,
    Busy,
    NotReady,
    Offline,
    Unpaired,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
enum SortForm {
    #[serde(rename = "created_at")]
    CreatedAt,
    #[default]
    #[serde(rename = "-created_at")]
    CreatedAtDescending,
    #[serde(rename = "label")]
    Label,
    #[serde(rename = "-label")]
    LabelDescending,
    #[serde(rename = "last_seen")]
    LastSeen,
    #[serde(rename = "-last_seen")]
    LastSeenDescending,
}

impl SortForm {
    const fn sort(self) -> Sort {
        let (key, is_descending) = match self {
            Self::CreatedAt => (SortKey::CreatedAt, false),
            Self::CreatedAtDescending => (SortKey::CreatedAt, true),
            Self::Label => (SortKey::Label, false),
            Self::LabelDescending => (SortKey::Label, true),
            Self::LastSeen => (SortKey::LastSeen, false),
            Self::LastSeenDescending => (SortKey::LastSeen, true),
        };
        Sort { key, is_descending }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListForm {
    limit: Option<u32>,
    cursor: Option<String>,
    search: Option<String>,
    serial_number: Option<String>,
    connection: Option<ConnectionForm>,
    availability: Option<AvailabilityForm>,
    paired: Option<bool>,
    reader: Option<ReaderState>,
    paper: Option<PaperState>,
    location: Option<String>,
    sort: Option<SortForm>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusForm {
    fresh: Option<bool>,
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

/// Where a terminal stands, if it is one line.
pub(super) fn location(text: String) -> Result<String, ErrorAnswer> {
    let expected = "1 to 100 characters without control characters, or null";
    line("location", text, LOCATION_LETTERS_MAX, expected)
}

/// `PATCH /v1/terminals/{id}`
pub(in crate::http) async fn change(call: Call) -> Handled {
    let form: ChangeForm = call.form()?;
    let terminal = own(&call)?;
    let change = ChangeTerminal {
        terminal_id: terminal.id,
        // Every terminal has a label.
        label: form
            .label
            .map(|label| text("label", label.unwrap_or_default()))
            .transpose()?,
        location: form
            .location
            .map(|wish| wish.map(location).transpose())
            .transpose()?,
    };
    call.ask(Request::ChangeTerminal(change)).await
}

/// `GET /v1/terminals`
pub(in crate::http) async fn list(call: Call) -> Handled {
    let form: ListForm = call.query()?;
    let paging = FleetPaging::of(&call, form.limit, form.cursor.as_deref())?;
    let merchant_id = call.merchant_id()?;
    let sort = form.sort.unwrap_or_default().sort();
    let filter = Filter {
        search: form.search,
        serial_number: form.serial_number,
        is_online: form.connection.map(|one| one == ConnectionForm::Online),
        availability: form.availability.map(|one| match one {
            AvailabilityForm::Ready => Availability::Ready,
            AvailabilityForm::Busy => Availability::Busy,
            AvailabilityForm::NotReady => Availability::NotReady,
            AvailabilityForm::Offline => Availability::Offline,
            AvailabilityForm::Unpaired => Availability::Unpaired,
        }),
        is_paired: form.paired,
        reader: form.reader,
        paper: form.paper,
        location: form.location,
    };
    let (index, registry) = (call.parts().guard.index(), &call.parts().registry);
    let (limit, after) = (paging.limit, paging.after.clone());
    let page = fleet::list(index, registry, merchant_id, &filter, sort, limit, after);
    let page = page.map_err(|_| {
        ErrorAnswer::invalid("sort", "created_at or label for more than 20000 terminals")
    })?;
    let defaults = defaults_of(&call, merchant_id);
    Ok(paging.answer(&page, |(terminal, live): &Entry| {
        let applied = AppliedView::of(terminal, &defaults, live.as_deref());
        TerminalView::of(terminal).with_live(terminal, live.as_deref(), applied)
    }))
}

/// `GET /v1/terminals/{id}`
pub(in crate::http) async fn read(call: Call) -> Handled {
    let terminal = own(&call)?;
    let live = call.parts().registry.status(terminal.id);
    let defaults = defaults_of(&call, terminal.merchant_id);
    let applied = || AppliedView::of(&terminal, &defaults, live.as_deref());
    let now = call.parts().clock.now();
    let status = TerminalStatusView::of(&terminal, live.as_deref(), applied(), now);
    let view = TerminalView::of(&terminal)
        .with_live(&terminal, live.as_deref(), applied())
        .with_status(status);
    Ok(Success::json(200, &view))
}

/// `GET /v1/terminals/{id}/status`
pub(in crate::http) async fn status(call: Call) -> Handled {
    let form: StatusForm = call.query()?;
    let terminal = own(&call)?;
    let freshness = match form.fresh {
        Some(true) => Some(refresh(&call, &terminal).await),
        Some(false) | None => None,
    };
    let live = call.parts().registry.status(terminal.id);
    let defaults = defaults_of(&call, terminal.merchant_id);
    let applied = AppliedView::of(&terminal, &defaults, live.as_deref());
    // Not `call.now`: the status may be younger than the request.
    let now = call.parts().clock.now();
    let view = TerminalStatusView::of(&terminal, live.as_deref(), applied, now);
    let view = match freshness {
        Some(freshness) => view.with_freshness(freshness),
        None => view,
    };
    Ok(Success::json(200, &view))
}

/// Asks the till, unless everybody knows that it cannot answer.
async fn refresh(call: &Call, terminal: &Terminal) -> Freshness {
    let live = call.parts().registry.status(terminal.id);
    if !live.is_some_and(|live| live.is_online) {
        return Freshness::Offline;
    }
    let owners = &call.parts().owners;
    owners.refresh(terminal.merchant_id, terminal.id).await
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
