//! Views of pairing codes, of terminals made in bulk, and of tills that wait for approval.

use protocol::id::{PairingCodeId, TerminalId};
use serde::{Deserialize, Serialize};

use crate::domain::pairing::{self, PairingCode, waiting};
use crate::domain::time::Timestamp;
use crate::domain::token::Secret;
use crate::owner::request::MadeTill;

use super::instant;

/// A pairing code; the code itself only in the first answer.
#[derive(Debug, Serialize)]
pub(in crate::http) struct PairingCodeView<'a> {
    id: PairingCodeId,
    terminal_id: TerminalId,
    state: &'static str,
    serial_number: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_available: Option<bool>,
    /// `code` when somebody typed it, `approval` when a person approved what the till showed.
    way: &'static str,
    refused_tries: u32,
    created_at: String,
    expires_at: String,
    redeemed_at: Option<String>,
    revoked_at: Option<String>,
    livemode: bool,
}

impl<'a> PairingCodeView<'a> {
    pub(in crate::http) fn of(code: &'a PairingCode, now: Timestamp) -> Self {
        Self {
            id: code.id,
            terminal_id: code.terminal_id,
            state: code.state(now).code(),
            serial_number: code.serial_number.as_deref(),
            code: None,
            secret_available: None,
            way: if code.is_approval { "approval" } else { "code" },
            refused_tries: code.wrong_serials,
            created_at: instant(code.created_at),
            expires_at: instant(code.expires_at),
            redeemed_at: code.redeemed.map(|(_, at)| instant(at)),
            revoked_at: code.revoked_at.map(instant),
            livemode: false,
        }
    }

    /// Adds the code, or that it was shown before.
    pub(in crate::http) fn with_secret(mut self, secret: Option<&Secret>) -> Self {
        self.code = Some(secret.map(|secret| pairing::display(secret.expose())));
        self.secret_available = Some(secret.is_some());
        self
    }
}

/// A terminal that was made in bulk, with its code. Read back from stored answers, where the code
/// is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::http) struct MadeTillView {
    pub(in crate::http) terminal_id: TerminalId,
    pub(in crate::http) pairing_code_id: PairingCodeId,
    pub(in crate::http) label: String,
    pub(in crate::http) serial_number: Option<String>,
    pub(in crate::http) code: Option<String>,
    pub(in crate::http) secret_available: bool,
    pub(in crate::http) expires_at: String,
}

impl MadeTillView {
    pub(in crate::http) fn of(till: &MadeTill, shows_secrets: bool) -> Self {
        let code = shows_secrets.then(|| pairing::display(till.code.expose()));
        Self {
            terminal_id: till.terminal.id,
            pairing_code_id: till.pairing_code.id,
            label: till.terminal.label.clone(),
            serial_number: till.terminal.serial_number.clone(),
            secret_available: code.is_some(),
            code,
            expires_at: instant(till.pairing_code.expires_at),
        }
    }
}

/// A till that waits for a person, as that person sees it.
#[derive(Debug, Serialize)]
pub(in crate::http) struct WaitingView<'a> {
    user_code: String,
    status: &'static str,
    serial_number: Option<&'a str>,
    agent_version: Option<&'a str>,
    source_address: Option<String>,
    /// The first bytes of the till's public key, as the till shows them too.
    key_fingerprint: String,
    asked_at: String,
    age_s: u64,
    expires_in_s: u64,
}

impl<'a> WaitingView<'a> {
    pub(in crate::http) fn of(
        waiting: &'a waiting::Waiting,
        user_code: &str,
        now: Timestamp,
    ) -> Self {
        let asking = &waiting.asking;
        let key = hex::encode(asking.device_key.0);
        Self {
            user_code: pairing::display(user_code),
            status: match waiting.standing {
                waiting::Standing::Waiting => "waiting",
                waiting::Standing::Deciding => "deciding",
                waiting::Standing::Approved(..) => "approved",
                waiting::Standing::Denied => "denied",
            },
            serial_number: asking.serial_number.as_deref(),
            agent_version: asking.agent_version.as_deref(),
            source_address: asking.source.map(|source| source.to_string()),
            key_fingerprint: key.get(..8).unwrap_or_default().to_owned(),
            asked_at: instant(waiting.asked_at),
            age_s: now.since_ms(waiting.asked_at) / 1_000,
            expires_in_s: waiting.expires_at.since_ms(now) / 1_000,
        }
    }
}
