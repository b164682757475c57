//! What a commit changes in who may do what. Published before the answer leaves, so that a change
//! governs the very next operation.

use protocol::id::TerminalId;

use crate::domain::merchant::{Merchant, Partner, Terminal};
use crate::domain::pairing::PairingCode;
use crate::domain::terminal_settings::TerminalDefaults;
use crate::domain::token::ApiKey;

/// A change to the index that every door checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessChange {
    /// A partner was made, or its allowlist changed.
    Partner(Box<Partner>),
    /// A merchant was boarded.
    Merchant(Box<Merchant>),
    /// A terminal was made, paired or changed.
    Terminal(Box<Terminal>),
    /// A key was minted or revoked.
    ApiKey(Box<ApiKey>),
    /// A pairing code was made or used.
    PairingCode(Box<PairingCode>),
    /// What a merchant wants of its tills has changed.
    TerminalDefaults(Box<TerminalDefaults>),
    /// The terminal's live link must end: its key was replaced.
    DropLink(TerminalId),
}
