//! The link between engine and agent: one WebSocket, MessagePack maps in binary frames.
//!
//! The order of a connection is [`Challenge`] → [`Hello`] → [`Welcome`] or [`Refused`]; after the
//! welcome both sides send [`ToAgent`] and [`ToEngine`] freely. Nothing is resumed by message
//! number: when the socket breaks, everything in flight on it is forgotten, and the next hello
//! names the open work of the agent ([`Digest`]) so that both sides can reconcile by id.
//!
//! # Versions
//! [`VERSION`] rises when a message changes its meaning, a required field is added, or a variant is
//! added that the other side may not know: either side closes a link on which it hears what it does
//! not know. Never rename or reuse a variant or field; add optional ones at the end.
//! [`ToAgent::since`] and [`ToEngine::since`] name the version that a message came with, and both
//! senders drop what is newer than their link's version: the engine in the terminal's owner, the
//! agent in its machine. `tests/wire` keeps the exact bytes of each version.
//!
//! | version | what came with it |
//! |---|---|
//! | 1 | the first |
//! | 2 | `report_status`, `configure`, `status_reported`; later ones say so in `since` |

mod codec;
pub mod configuration;
mod facts;
mod handshake;
mod to_agent;
mod to_engine;

pub use codec::{DecodeError, FRAME_BYTES_MAX, decode, encode};
pub use configuration::{Configuration, ConfigurationRefused, ConfigurationReport, Setting};
pub use facts::{ConnectionType, TillFacts};
pub use handshake::{
    Challenge, Digest, DigestState, Handshake, HandshakeReply, Hello, Refused, RefusedReason,
    Welcome, signed_bytes,
};
pub use to_agent::{
    Advice, AnswerBody, Concluded, Grant, HostAnswer, HostDecision, Offer, PrintCommand,
    RequestRefused, SimulatorCommand, TipPrompt, ToAgent,
};
pub use to_engine::{
    AttemptEnd, CardReport, ChipOutcome, Completion, PaperState, PrintReport, PrintState,
    ReaderState, RejectReason, StatusReport, TillBacklog, TillRequest, TillStart, TillStatus,
    TipChoice, ToEngine,
};

use serde::{Deserialize, Serialize};

/// The protocol version of this build.
pub const VERSION: u16 = 2;
/// The oldest version that this build still speaks.
pub const VERSION_MIN: u16 = 1;

/// How often the engine sends a ping. Design: a heartbeat both ways at least every 15 s.
pub const HEARTBEAT_MS: u64 = 13_000;
/// The agent sends one when it has said nothing for so long. Later than the engine's, whose ping and
/// its answer then serve both ways.
pub const AGENT_HEARTBEAT_MS: u64 = 14_000;
/// Silence after which a link is lost: two missed heartbeats, and some delay. Design: "online" is
/// never older than 30 s.
pub const SILENCE_MS_MAX: u64 = 29_000;
/// How long after its own last word on a transaction the agent still touches the reader for it.
pub const GO_WINDOW_MS: u64 = 5_000;

/// What a POS transaction is to lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PosKind {
    /// Authorized now, captured at the close of the batch.
    Sale,
    /// Authorized now, captured only when asked for.
    Authorization,
}

/// What a caller branches on. Final unless `InProgress` or `InDoubt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PosStatus {
    /// Work is going on at the terminal or the acquirer.
    InProgress,
    /// The money is reserved and the card agreed.
    Approved,
    /// The acquirer or the card said no.
    Declined,
    /// Somebody canceled it before any money moved.
    Canceled,
    /// It ended without money moving: nobody paid, or a device failed.
    Failed,
    /// The outcome is not known; the engine is asking and undoing.
    InDoubt,
    /// Undone at the acquirer: no money moved in the end.
    Reversed,
}

impl PosStatus {
    /// Whether nothing will change any more.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::InProgress | Self::InDoubt)
    }
}
