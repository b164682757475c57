//! Pairing: codes for technicians, their redemption by the till, and the end of a pairing.

use ed25519_dalek::{Signature, VerifyingKey};
use protocol::certificate::Fingerprint;
use protocol::id::{IncarnationId, MerchantId, PairingCodeId, TerminalId};
use protocol::pairing::release_bytes;
use serde::{Deserialize, Serialize};

use crate::domain::merchant::{DeviceKey, Merchant, Terminal};
use crate::domain::pairing::{self, CodeState};
use crate::domain::rejection::Rejection;
use crate::domain::time::Timestamp;
use crate::domain::token::SecretHash;
use crate::owner::request::{Answer, RedeemPairingCode, Request};
use crate::query::list::CodeFilter;

use super::super::call::{Call, Handled};
use super::super::check::optional_text;
use super::super::code::{Code, ErrorAnswer};
use super::super::envelope::Success;
use super::super::list::Paging;
use super::super::view::pairing::PairingCodeView;
use super::terminal::own;
use super::{Empty, PlainList};

/// Where a paired terminal opens its link, relative to the address of the API.
const LINK_PATH: &str = "/v1/agent/link";
/// How far the time in a till's release may be from ours: what a request takes, and no more. A till
/// whose clock is wrong is told our time and signs again.
const RELEASE_SKEW_MS_MAX: u64 = 60_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeForm {
    life_s: Option<u64>,
    serial_number: Option<String>,
}

/// `POST /v1/terminals/{id}/pairing-codes`
pub(in crate::http) async fn create_code(call: Call) -> Handled {
    let form: CodeForm = call.form()?;
    let request = Request::CreatePairingCode {
        life_s: life_s(form.life_s)?,
        serial_number: optional_text("serial_number", form.serial_number)?,
        terminal_id: call.path_id("id")?,
        code: call.parts().ids.pairing_code()?,
    };
    let terminal_id = call.path_text("id").to_owned();
    let made = call.ask(request).await?;
    tracing::info!(terminal_id, "pairing code made");
    // The technician reads it to the till beside the code, so that the till knows its engine.
    Ok(match ca_fingerprint(&call) {
        Some(fingerprint) if made.status == 201 => {
            made.with("ca_fingerprint", &fingerprint.short())
        }
        _ => made,
    })
}

pub(super) fn ca_fingerprint(call: &Call) -> Option<Fingerprint> {
    let tls = call.parts().tls.as_ref()?;
    tls.shown().ca_fingerprint
}

/// The life of a code.
pub(super) fn life_s(asked: Option<u64>) -> Result<u64, ErrorAnswer> {
    let life_s = asked.unwrap_or(pairing::LIFE_S_DEFAULT);
    match (pairing::LIFE_S_MIN..=pairing::LIFE_S_MAX).contains(&life_s) {
        true => Ok(life_s),
        false => Err(ErrorAnswer::invalid("life_s", "60 seconds to 90 days")),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListForm {
    state: Option<String>,
    terminal_id: Option<TerminalId>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /v1/pairing-codes`
pub(in crate::http) async fn list(call: Call) -> Handled {
    let form: ListForm = call.query()?;
    let paging = Paging::of(&call, form.limit, form.cursor.as_deref())?;
    let state = match &form.state {
        Some(code) => {
            let found = CodeState::ALL
                .into_iter()
                .find(|state| state.code() == code);
            let expected = "live, redeemed, revoked, expired or locked";
            Some(found.ok_or_else(|| ErrorAnswer::invalid("state", expected))?)
        }
        None => None,
    };
    page(&call, &paging, form.terminal_id, state).await
}

/// `GET /v1/terminals/{id}/pairing-codes`
pub(in crate::http) async fn list_of_terminal(call: Call) -> Handled {
    let terminal_id = own(&call)?.id;
    let form: PlainList = call.query()?;
    let paging = Paging::of(&call, form.limit, form.cursor.as_deref())?;
    page(&call, &paging, Some(terminal_id), None).await
}

async fn page(
    call: &Call,
    paging: &Paging,
    terminal_id: Option<TerminalId>,
    state: Option<CodeState>,
) -> Handled {
    let filter = CodeFilter {
        terminal_id,
        state,
        now: call.now,
    };
    let query = &call.parts().query;
    let listed = query.list_pairing_codes(call.merchant_id()?, filter, paging.slice);
    let listed = listed.await?;
    Ok(paging.answer(&listed, |code| PairingCodeView::of(code, call.now)))
}

/// `POST /v1/pairing-codes/{id}/revoke`
pub(in crate::http) async fn revoke(call: Call) -> Handled {
    let Empty {} = call.form()?;
    let code_id: PairingCodeId = call.path_id("id")?;
    let handled = call.ask(Request::RevokePairingCode { code_id }).await?;
    tracing::info!(%code_id, "pairing code taken back");
    Ok(handled)
}

/// `POST /v1/terminals/{id}/unpair`
pub(in crate::http) async fn unpair(call: Call) -> Handled {
    let Empty {} = call.form()?;
    let terminal_id: TerminalId = call.path_id("id")?;
    let request = Request::Unpair {
        terminal_id,
        device_key: None,
    };
    let handled = call.ask(request).await?;
    tracing::info!(%terminal_id, "terminal unpaired by its merchant");
    Ok(handled)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RedeemForm {
    code: String,
    public_key: String,
    serial_number: Option<String>,
    agent_version: Option<String>,
}

/// What a till must know to open its link.
#[derive(Debug, Serialize)]
pub(super) struct PairedView<'a> {
    terminal_id: TerminalId,
    merchant_id: MerchantId,
    merchant_name: &'a str,
    label: &'a str,
    engine_incarnation: IncarnationId,
    link_url: &'static str,
    /// Whole; a till compares it with what it pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_fingerprint: Option<String>,
}

impl<'a> PairedView<'a> {
    pub(super) fn of(call: &Call, terminal: &'a Terminal, merchant: &'a Merchant) -> Self {
        Self {
            terminal_id: terminal.id,
            merchant_id: merchant.id,
            merchant_name: &merchant.name,
            label: &terminal.label,
            engine_incarnation: call.parts().incarnation,
            link_url: LINK_PATH,
            ca_fingerprint: ca_fingerprint(call).map(|one| one.to_string()),
        }
    }
}

/// `POST /v1/pairing/redeem`
pub(in crate::http) async fn redeem(call: Call) -> Handled {
    take_attempt(&call)?;
    call.state.pairing.check_source(call.address, call.now)?;
    let form: RedeemForm = call.form()?;
    let device_key = device_key(&form.public_key)?;
    let serial_number = optional_text("serial_number", form.serial_number)?;
    let agent_version = optional_text("agent_version", form.agent_version)?;
    let code = pairing::normalize(&form.code);
    let hash = code.map(|code| SecretHash::of(code.as_bytes()));
    let found = hash.and_then(|hash| call.parts().guard.index().pairing_code(hash));
    let Some(found) = found else {
        call.state.pairing.wrong_source(call.address, call.now);
        tracing::info!(source = ?call.address, "a pairing code that there is not");
        return Err(Rejection::PairingCodeInvalid.into());
    };
    let _held = call.state.pairing.hold_key(device_key)?;
    check_key(
        &call,
        device_key,
        found.merchant_id,
        Some(found.terminal_id),
    )?;
    let code_id = found.id;
    let request = Request::RedeemPairingCode(RedeemPairingCode {
        code_id,
        device_key,
        serial_number,
    });
    let answer = call.answer_of(found.merchant_id, request).await;
    let source = call.address;
    match answer {
        Ok(Answer::Paired(terminal, merchant)) => {
            // A repeat shows nothing that the till did not know: it ends no row of guesses.
            if found.redeemed.is_none() {
                call.state.pairing.right_source(call.address);
            }
            let terminal_id = terminal.id;
            tracing::info!(%terminal_id, %code_id, ?source, agent_version, "terminal paired");
            Ok(Success::json(
                200,
                &PairedView::of(&call, &terminal, &merchant),
            ))
        }
        Ok(_) => {
            tracing::error!("an owner answered something else than was asked");
            Err(ErrorAnswer::internal())
        }
        Err(error) => {
            let is_wrong = matches!(
                error.code,
                Code::PairingCodeInvalid | Code::PairingSerialMismatch | Code::PairingCodeLocked
            );
            if is_wrong {
                call.state.pairing.wrong_source(call.address, call.now);
            }
            tracing::info!(%code_id, ?source, code = error.code.text(), "pairing refused");
            Err(error)
        }
    }
}

/// Every try counts, good or bad: what is limited is guessing.
pub(super) fn take_attempt(call: &Call) -> Result<(), ErrorAnswer> {
    match call.address {
        Some(address) => {
            let taken = call.state.pairing_attempts.take(address, call.now);
            taken.map_err(ErrorAnswer::rate_limited)
        }
        None => Ok(()),
    }
}

/// A till is one terminal at a time: its key must not be that of another one, whoever's that is.
pub(super) fn check_key(
    call: &Call,
    device_key: DeviceKey,
    merchant_id: MerchantId,
    becomes: Option<TerminalId>,
) -> Result<(), ErrorAnswer> {
    let Some(holder) = call.parts().guard.index().terminal_of_key(device_key) else {
        return Ok(());
    };
    if Some(holder.id) == becomes {
        return Ok(());
    }
    let terminal = (holder.merchant_id == merchant_id).then_some(holder.id);
    Err(Rejection::DeviceKeyInUse { terminal }.into())
}

/// A key that a till has made.
pub(super) fn device_key(text: &str) -> Result<DeviceKey, ErrorAnswer> {
    let expected = "a public Ed25519 key as 64 hexadecimal digits";
    let refusal = || ErrorAnswer::invalid("public_key", expected);
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| refusal())?;
    let key = VerifyingKey::from_bytes(&bytes).map_err(|_| refusal())?;
    // Signatures of a weak key verify for almost anything.
    match key.is_weak() {
        true => Err(refusal()),
        false => Ok(DeviceKey(bytes)),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReleaseForm {
    terminal_id: TerminalId,
    engine_incarnation: IncarnationId,
    signed_at_ms: i64,
    signature: String,
}

#[derive(Debug, Serialize)]
struct ReleasedView {
    terminal_id: TerminalId,
    released: bool,
}

/// `POST /v1/pairing/release`
pub(in crate::http) async fn release(call: Call) -> Handled {
    take_attempt(&call)?;
    let form: ReleaseForm = call.form()?;
    let terminal_id = form.terminal_id;
    let mut signature = [0; 64];
    hex::decode_to_slice(&form.signature, &mut signature)
        .map_err(|_| ErrorAnswer::invalid("signature", "128 hexadecimal digits"))?;
    let message = release_bytes(form.engine_incarnation, terminal_id, form.signed_at_ms);
    let terminal = call.parts().guard.index().terminal(terminal_id);
    let signed = terminal.and_then(|terminal| {
        let key = signer(&terminal, &message, &Signature::from_bytes(&signature))?;
        Some((terminal, key))
    });
    // Absent, unpaired, paired with another till, or not signed: a caller cannot tell which.
    let (terminal, key) = signed.ok_or_else(ErrorAnswer::unauthorized)?;
    let signed_at = Timestamp(form.signed_at_ms);
    let skew_ms = call
        .now
        .since_ms(signed_at)
        .max(signed_at.since_ms(call.now));
    if form.engine_incarnation != call.parts().incarnation || skew_ms > RELEASE_SKEW_MS_MAX {
        let message = "The release is not of this engine's life and time: sign it again.";
        return Err(ErrorAnswer::new(Code::SignatureStale, message)
            .with("engine_incarnation", call.parts().incarnation.to_string())
            .with("engine_time_ms", call.now.0));
    }
    let _held = call.state.pairing.hold_key(key)?;
    let request = Request::Unpair {
        terminal_id,
        device_key: Some(key),
    };
    call.answer_of(terminal.merchant_id, request).await?;
    tracing::info!(%terminal_id, source = ?call.address, "terminal unpaired by its till");
    let view = ReleasedView {
        terminal_id,
        released: true,
    };
    Ok(Success::json(200, &view))
}

/// The key of the terminal, present or given back, that has signed.
fn signer(terminal: &Terminal, message: &[u8], signature: &Signature) -> Option<DeviceKey> {
    let released = terminal.installations.released.map(|(key, _)| key);
    let holder = terminal.device_key.or(released)?;
    let key = VerifyingKey::from_bytes(&holder.0).ok()?;
    key.verify_strict(message, signature).ok()?;
    Some(holder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_bind_are_taken() {
        // The public key of the first test vector of RFC 8032.
        let good = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert!(device_key(good).is_ok());
        let zero = "00".repeat(32);
        let identity = format!("01{}", "00".repeat(31));
        for bad in ["", "d7", &good[1..], &zero, &identity, &"zz".repeat(32)] {
            assert!(device_key(bad).is_err(), "{bad}");
        }
    }
}
