//! Tills that show a code (RFC 8628 in this API's envelope): the till asks and polls, a technician
//! looks at what asks, and approves or turns it away. The approval is the owner's commit.

use protocol::id::TerminalId;
use serde::{Deserialize, Serialize};

use crate::domain::merchant::{Merchant, Terminal};
use crate::domain::pairing::display;
use crate::domain::pairing::waiting::{self, Asking, Full, Polled, Standing, Waiting};
use crate::domain::rejection::Rejection;
use crate::domain::token::SecretHash;
use crate::owner::request::{Answer, ApprovePairing, PairingTarget, Request};

use super::super::call::{Call, Handled};
use super::super::check::{optional_text, text};
use super::super::code::ErrorAnswer;
use super::super::envelope::Success;
use super::super::view::pairing::WaitingView;
use super::super::view::terminal::TerminalView;
use super::Empty;
use super::pairing::{PairedView, check_key, device_key, take_attempt};

/// Where a technician types the code, relative to the address of the API.
const PAGE_PATH: &str = "/pair";
/// Codes drawn until one is free. With 38 bits and a thousand tills the first one practically is.
const DRAWS_MAX: usize = 8;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskForm {
    public_key: String,
    serial_number: Option<String>,
    agent_version: Option<String>,
}

#[derive(Debug, Serialize)]
struct AskedView<'a> {
    device_code: &'a str,
    user_code: String,
    verification_path: &'static str,
    verification_path_complete: String,
    expires_in_s: u32,
    interval_s: u32,
}

/// `POST /v1/pairing/device`
pub(in crate::http) async fn ask(call: Call) -> Handled {
    take_attempt(&call)?;
    let form: AskForm = call.form()?;
    let asking = Asking {
        device_key: device_key(&form.public_key)?,
        serial_number: optional_text("serial_number", form.serial_number)?,
        agent_version: optional_text("agent_version", form.agent_version)?,
        source: call.address,
    };
    let device_code = call.parts().ids.secret()?;
    let hash = SecretHash::of(device_code.expose().as_bytes());
    for _ in 0..DRAWS_MAX {
        let user_code = call.parts().ids.user_code()?;
        let mut room = call.state.pairing.waiting();
        let asked = room.ask(call.now, asking.clone(), &user_code, hash);
        match asked {
            Ok(false) => continue,
            Ok(true) => {}
            Err(full) => {
                tracing::warn!(source = ?call.address, ?full, "no more tills may wait");
                return Err(match full {
                    Full::Source => ErrorAnswer::rate_limited(60),
                    Full::All => ErrorAnswer::unavailable().after_s(60),
                });
            }
        }
        tracing::info!(source = ?call.address, serial_number = asking.serial_number, "till waits");
        let shown = display(&user_code);
        let view = AskedView {
            device_code: device_code.expose(),
            verification_path: PAGE_PATH,
            verification_path_complete: format!("{PAGE_PATH}?code={shown}"),
            user_code: shown,
            expires_in_s: room.life_s(),
            interval_s: room.interval_s(),
        };
        return Ok(Success::json(201, &view));
    }
    Err(ErrorAnswer::unavailable())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PollForm {
    device_code: String,
}

#[derive(Debug, Default, Serialize)]
struct PolledView<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<PairedView<'a>>,
}

/// `POST /v1/pairing/device/poll`
pub(in crate::http) async fn poll(call: Call) -> Handled {
    let form: PollForm = call.form()?;
    let hash = SecretHash::of(form.device_code.as_bytes());
    let polled = call.state.pairing.waiting().poll(call.now, hash);
    let plain = |status, interval_s| PolledView {
        status,
        interval_s,
        identity: None,
    };
    let view = match polled {
        Polled::Pending(interval_s) => plain("pending", Some(interval_s)),
        Polled::SlowDown(interval_s) => plain("slow_down", Some(interval_s)),
        Polled::Denied => plain("denied", None),
        // What was stored counts: it is there after a restart too.
        Polled::Approved | Polled::Unknown => {
            let Some((terminal, merchant)) = approved(&call, hash) else {
                return Ok(Success::json(200, &plain("expired", None)));
            };
            let identity = Some(PairedView::of(&call, &terminal, &merchant));
            let view = PolledView {
                identity,
                ..plain("paired", None)
            };
            return Ok(Success::json(200, &view));
        }
    };
    Ok(Success::json(200, &view))
}

/// What a till was approved for, while its answer may be asked for and it is still that terminal.
fn approved(
    call: &Call,
    hash: SecretHash,
) -> Option<(std::sync::Arc<Terminal>, std::sync::Arc<Merchant>)> {
    let index = call.parts().guard.index();
    let code = index.pairing_code(hash)?;
    let (key, _) = code.redeemed?;
    let is_in_time = code.is_approval && call.now < code.expires_at;
    let terminal = index.terminal(code.terminal_id)?;
    let is_current = terminal.device_key == Some(key);
    let merchant = index.merchant(code.merchant_id)?;
    (is_in_time && is_current).then_some((terminal, merchant))
}

/// The code in the path, which must be one that a till shows. Wrong ones are counted.
fn shown(call: &Call) -> Result<(String, Waiting), ErrorAnswer> {
    let merchant_id = call.merchant_id()?;
    call.state.pairing.check_reader(merchant_id, call.now)?;
    let typed = waiting::normalize(call.path_text("user_code"));
    let found = typed.and_then(|user_code| {
        let room = call.state.pairing.waiting();
        let found = room.find(call.now, &user_code).cloned()?;
        Some((user_code, found))
    });
    match found {
        Some(found) => {
            call.state.pairing.right_reader(merchant_id);
            Ok(found)
        }
        None => {
            call.state.pairing.wrong_reader(merchant_id, call.now);
            Err(Rejection::NotFound.into())
        }
    }
}

/// `GET /v1/pairing/requests/{user_code}`
pub(in crate::http) async fn read(call: Call) -> Handled {
    let (user_code, found) = shown(&call)?;
    let view = WaitingView::of(&found, &user_code, call.now);
    Ok(Success::json(200, &view))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApproveForm {
    terminal_id: Option<TerminalId>,
    new_terminal: Option<NewTerminalForm>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTerminalForm {
    label: String,
}

/// `POST /v1/pairing/requests/{user_code}/approve`
pub(in crate::http) async fn approve(call: Call) -> Handled {
    let form: ApproveForm = call.form()?;
    let target = match (form.terminal_id, form.new_terminal) {
        (Some(terminal_id), None) => PairingTarget::Existing(terminal_id),
        (None, Some(new)) => PairingTarget::New(text("new_terminal.label", new.label)?),
        _ => {
            let expected = "either this or new_terminal, and not both";
            return Err(ErrorAnswer::invalid("terminal_id", expected));
        }
    };
    let merchant_id = call.merchant_id()?;
    let (user_code, found) = shown(&call)?;
    if let Standing::Approved(by, terminal_id) = found.standing
        && by == merchant_id
        && target_is(&target, terminal_id)
    {
        return repeated(&call, terminal_id);
    }
    let device_key = found.asking.device_key;
    let _held = call.state.pairing.hold_key(device_key)?;
    let becomes = match &target {
        PairingTarget::Existing(terminal_id) => Some(*terminal_id),
        PairingTarget::New(_) => None,
    };
    check_key(&call, device_key, merchant_id, becomes)?;
    let taken = call
        .state
        .pairing
        .waiting()
        .begin_deciding(call.now, &user_code);
    let taken = taken.ok_or(Rejection::PairingRequestSettled)?;
    let request = Request::ApprovePairing(ApprovePairing {
        target,
        device_key,
        serial_number: taken.asking.serial_number,
        hash: taken.hash,
    });
    // A caller that goes away now leaves the request undecided for everybody: the owner may still
    // pair the till, and then what is stored says so to whoever polls.
    let answer = call.answer_of(merchant_id, request).await;
    let decided = |standing| call.state.pairing.waiting().decided(taken.hash, standing);
    match answer {
        Ok(Answer::Paired(terminal, _)) => {
            let terminal_id = terminal.id;
            decided(Standing::Approved(merchant_id, terminal_id));
            tracing::info!(%terminal_id, %merchant_id, "till approved and paired");
            Ok(Success::json(200, &TerminalView::of(&terminal)))
        }
        Ok(_) => {
            tracing::error!("an owner answered something else than was asked");
            Err(ErrorAnswer::internal())
        }
        Err(error) => {
            decided(Standing::Waiting);
            tracing::info!(%merchant_id, code = error.code.text(), "approval refused");
            Err(error)
        }
    }
}

/// Whether a repeated approval asks for what was done.
fn target_is(target: &PairingTarget, terminal_id: TerminalId) -> bool {
    match target {
        PairingTarget::Existing(asked) => *asked == terminal_id,
        PairingTarget::New(_) => true,
    }
}

fn repeated(call: &Call, terminal_id: TerminalId) -> Handled {
    let terminal = call.parts().guard.index().terminal(terminal_id);
    let terminal = terminal.ok_or(Rejection::NotFound)?;
    Ok(Success::json(200, &TerminalView::of(&terminal)))
}

#[derive(Debug, Serialize)]
struct DeniedView {
    user_code: String,
    status: &'static str,
}

/// `POST /v1/pairing/requests/{user_code}/deny`
pub(in crate::http) async fn deny(call: Call) -> Handled {
    let Empty {} = call.form()?;
    let (user_code, found) = shown(&call)?;
    if found.standing != Standing::Denied {
        let mut room = call.state.pairing.waiting();
        let taken = room.begin_deciding(call.now, &user_code);
        let taken = taken.ok_or(Rejection::PairingRequestSettled)?;
        room.decided(taken.hash, Standing::Denied);
        let merchant_id = call.merchant_id()?;
        tracing::info!(%merchant_id, source = ?taken.asking.source, "till turned away");
    }
    let view = DeniedView {
        user_code: display(&user_code),
        status: "denied",
    };
    Ok(Success::json(200, &view))
}
