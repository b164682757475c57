//! Pairing: makes the device's key, redeems a code, and remembers who this till is. How a till asks
//! a person instead is in [`device`], how it ends in [`release`].
//!
//! The private half never leaves the state directory. It is durable before the code is sent, so
//! that a lost answer can be asked for again: the engine answers the same code with the same
//! public key as it did before.

mod ask;
pub mod device;
mod files;
pub mod release;
pub mod show;

use std::io;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use protocol::id::{IncarnationId, MerchantId, TerminalId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::config::{EngineConfig, EngineTrust};
use crate::tls::{Authority, TlsFault, Trust};
use ask::post;
use files::{
    at, identity_path, key_path, load_or_make_key, set_foreign_journal_aside, write_durably,
};
pub use files::{load_identity, load_key, make_state_dir};

/// Why pairing, or reading what it left behind, failed.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// There is no identity here.
    #[error("this till is not paired: run `terminal-agent pair`")]
    NotPaired,
    /// A file cannot be read or written.
    #[error("failed to {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what this program wrote.
    #[error("{0} is damaged; pair the till again with a new code")]
    Damaged(PathBuf),
    /// The operating system gave no random bytes.
    #[error("no random bytes for a key")]
    NoRandomness,
    /// The engine cannot be reached, or gave no usable answer. The same code can be tried again.
    #[error("the engine at {url} gave no usable answer: {message}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        message: String,
    },
    /// Plain text to another machine.
    #[error(
        "{0} is plain text to another machine, where anybody could listen in: use https:// \
         (docs/tls.md)"
    )]
    PlainText(String),
    /// The engine is not one that this till may believe.
    #[error(transparent)]
    Tls(#[from] TlsFault),
    /// The engine refuses.
    #[error("the engine refuses: {message}")]
    Refused {
        /// Stable code.
        code: String,
        /// For people.
        message: String,
        /// For programs.
        details: serde_json::Value,
    },
    /// This till has an identity already.
    #[error(
        "this till is paired as {label} ({terminal_id}): run `terminal-agent unpair` first, or give \
         --again to pair it as the same terminal anew"
    )]
    AlreadyPaired {
        /// What people call it.
        label: String,
        /// The terminal.
        terminal_id: TerminalId,
    },
    /// A person has turned this till away.
    #[error("a person has turned this till away")]
    Denied,
    /// Nobody has approved this till.
    #[error("nobody approved this till in time: run `terminal-agent pair` again when somebody can")]
    NobodyApproved,
}

/// What every way to pair needs.
#[derive(Debug, Clone, Copy)]
pub struct Pairing<'a> {
    /// Where key and identity are.
    pub state_dir: &'a Path,
    /// The engine.
    pub engine_url: &'a str,
    /// Whom to believe that it is the engine.
    pub trust: &'a Trust,
    /// What the till calls itself.
    pub serial_number: &'a str,
}

/// Who this till is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The terminal.
    pub terminal_id: TerminalId,
    /// Its merchant.
    pub merchant_id: MerchantId,
    /// What people call the till.
    pub label: String,
    /// The engine's life at pairing.
    pub engine_incarnation: IncarnationId,
    /// Where the link goes.
    pub link_url: String,
    /// The authority whose certificates are believed, where the engine speaks TLS. Never what an
    /// answer of the engine says: what was verified before it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_ca: Option<Authority>,
}

impl Identity {
    /// Whom this till believes that it is its engine.
    pub fn trust(&self, engine: &EngineConfig) -> Trust {
        match (engine.trust, &self.engine_ca) {
            (EngineTrust::System, _) => Trust::System,
            (EngineTrust::Pinned, Some(authority)) => Trust::Pinned(authority.clone()),
            (EngineTrust::Pinned, None) => Trust::Nobody,
        }
    }
}

#[derive(Serialize)]
struct RedeemRequest<'a> {
    code: &'a str,
    public_key: String,
    serial_number: &'a str,
    agent_version: &'a str,
}

/// Redeems `code` and stores what the engine answers, with what was pinned of it
/// ([`crate::tls::establish`]).
///
/// # Errors
/// [`PairError`]; after [`PairError::Unreachable`] the same code can be tried again.
pub fn pair(pairing: Pairing<'_>, code: &str) -> Result<Identity, PairError> {
    let key = pairing.prepare()?;
    let request = RedeemRequest {
        code,
        public_key: hex::encode(key.verifying_key().as_bytes()),
        serial_number: pairing.serial_number,
        agent_version: env!("CARGO_PKG_VERSION"),
    };
    let identity = pairing.post("/v1/pairing/redeem", &request)?;
    pairing.become_this(identity)
}

/// Refuses when this till is somebody already: whoever it is must let it go first. `again` is for
/// the same terminal; the engine refuses another one, because the key stays the same.
///
/// # Errors
/// [`PairError::AlreadyPaired`]. What cannot be read is no identity.
pub fn check_unpaired(state_dir: &Path, again: bool) -> Result<(), PairError> {
    match load_identity(state_dir) {
        Ok(identity) if !again => Err(PairError::AlreadyPaired {
            label: identity.label,
            terminal_id: identity.terminal_id,
        }),
        _ => Ok(()),
    }
}

impl Pairing<'_> {
    /// The device's key, durable before anybody is told of it.
    fn prepare(&self) -> Result<SigningKey, PairError> {
        let url = self.engine_url;
        if !crate::link::is_loopback_url(url) && !crate::link::is_tls_url(url) {
            return Err(PairError::PlainText(url.to_owned()));
        }
        make_state_dir(self.state_dir).map_err(at("create", self.state_dir))?;
        load_or_make_key(self.state_dir)
    }

    /// Remembers what the engine has made of this till.
    fn become_this(&self, mut identity: Identity) -> Result<Identity, PairError> {
        identity.engine_ca = self.trust.pinned().cloned();
        identity.link_url = absolute(self.engine_url, &identity.link_url);
        set_foreign_journal_aside(self.state_dir, &identity)?;
        let json = serde_json::to_vec_pretty(&identity)
            .map_err(|_| PairError::Damaged(identity_path(self.state_dir)))?;
        write_durably(self.state_dir, "identity.json", &json)?;
        Ok(identity)
    }

    fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        request: &impl Serialize,
    ) -> Result<T, PairError> {
        post(self.engine_url, self.trust, path, request)
    }
}

/// The engine names the path only: it cannot know under which name the till reaches it.
fn absolute(engine_url: &str, link_url: &str) -> String {
    if !link_url.starts_with('/') {
        return link_url.to_owned();
    }
    let base = engine_url.trim_end_matches('/');
    match base.strip_prefix("http") {
        // `http` becomes `ws`, `https` becomes `wss`.
        Some(rest) => format!("ws{rest}{link_url}"),
        None => format!("{base}{link_url}"),
    }
}

#[cfg(test)]
mod tests;
