//! Pairing: a code for a technician, and its redemption by the till.

use ed25519_dalek::VerifyingKey;
use protocol::certificate::Fingerprint;
use protocol::id::{IncarnationId, MerchantId, TerminalId};
use serde::{Deserialize, Serialize};

use crate::domain::merchant::DeviceKey;
use crate::domain::pairing;
use crate::domain::rejection::Rejection;
use crate::domain::token::SecretHash;
use crate::owner::request::{Answer, RedeemPairingCode, Request};

use super::super::call::{Call, Handled};
use super::super::check::optional_text;
use super::super::code::ErrorAnswer;
use super::super::envelope::Success;

/// Where a paired terminal opens its link, relative to the address of the API.
const LINK_PATH: &str = "/v1/agent/link";
/// Shortest life of a code: time to type it.
const LIFE_S_MIN: u64 = 60;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeForm {
    life_s: Option<u64>,
}

/// `POST /v1/terminals/{id}/pairing-codes`
pub(in crate::http) async fn create_code(call: Call) -> Handled {
    let form: CodeForm = call.form()?;
    let life_s = form.life_s.unwrap_or(pairing::LIFE_S_DEFAULT);
    if !(LIFE_S_MIN..=pairing::LIFE_S_MAX).contains(&life_s) {
        return Err(ErrorAnswer::invalid("life_s", "60 seconds to 90 days"));
    }
    let request = Request::CreatePairingCode {
        terminal_id: call.path_id("id")?,
        life_s,
        code: call.parts().ids.pairing_code()?,
    };
    let made = call.ask(request).await?;
    // The technician reads it to the till beside the code, so that the till knows its engine.
    Ok(match ca_fingerprint(&call) {
        Some(fingerprint) if made.status == 201 => {
            made.with("ca_fingerprint", &fingerprint.short())
        }
        _ => made,
    })
}

fn ca_fingerprint(call: &Call) -> Option<Fingerprint> {
    let tls = call.parts().tls.as_ref()?;
    tls.shown().ca_fingerprint
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
struct PairedView<'a> {
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

/// `POST /v1/pairing/redeem`
pub(in crate::http) async fn redeem(call: Call) -> Handled {
    // Every try counts, good or bad: what is limited is guessing.
    if let Some(address) = call.address {
        let taken = call.state.pairing_attempts.take(address, call.now);
        taken.map_err(ErrorAnswer::rate_limited)?;
    }
    let form: RedeemForm = call.form()?;
    let device_key = device_key(&form.public_key)?;
    let serial_number = optional_text("serial_number", form.serial_number)?;
    let agent_version = optional_text("agent_version", form.agent_version)?;
    let code = pairing::normalize(&form.code).ok_or(Rejection::PairingCodeInvalid)?;
    let hash = SecretHash::of(code.as_bytes());
    let found = call.parts().guard.index().pairing_code(hash);
    let found = found.ok_or(Rejection::PairingCodeInvalid)?;
    let request = Request::RedeemPairingCode(RedeemPairingCode {
        code_id: found.id,
        device_key,
        serial_number,
    });
    match call.answer_of(found.merchant_id, request).await? {
        Answer::Paired(terminal, merchant) => {
            let terminal_id = terminal.id;
            tracing::info!(%terminal_id, agent_version, "terminal paired");
            let view = PairedView {
                terminal_id,
                merchant_id: merchant.id,
                merchant_name: &merchant.name,
                label: &terminal.label,
                engine_incarnation: call.parts().incarnation,
                link_url: LINK_PATH,
                ca_fingerprint: ca_fingerprint(&call).map(|one| one.to_string()),
            };
            Ok(Success::json(200, &view))
        }
        _ => {
            tracing::error!("an owner answered something else than was asked");
            Err(ErrorAnswer::internal())
        }
    }
}

fn device_key(text: &str) -> Result<DeviceKey, ErrorAnswer> {
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
