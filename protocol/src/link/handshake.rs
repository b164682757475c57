//! Who speaks, and what each side still has open.

use serde::{Deserialize, Serialize};

use crate::id::{AttemptId, IncarnationId, JournalId, PosTransactionId, PrintJobId, TerminalId};

use crate::money::Currency;

use super::to_engine::{AttemptEnd, Completion, PrintReport};

/// The engine's first message on a new socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// Oldest protocol version that the engine speaks.
    pub version_min: u16,
    /// Newest protocol version that the engine speaks.
    pub version_max: u16,
    /// Fresh random bytes that the agent signs.
    #[serde(with = "serde_bytes")]
    pub nonce: Vec<u8>,
    /// The life of the engine's database. A new one means that it was restored.
    pub incarnation: IncarnationId,
}

/// The agent's answer to the challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Protocol version that the agent chose.
    pub version: u16,
    /// Who it claims to be.
    pub terminal_id: TerminalId,
    /// Version of the agent's program.
    pub agent_version: String,
    /// The journal that the agent writes; a new one means a re-imaged till.
    pub journal_id: JournalId,
    /// How often the agent has started on this journal.
    pub boot: u64,
    /// How often the agent has connected since it started.
    pub connection: u64,
    /// Ed25519 signature over [`signed_bytes`].
    #[serde(with = "serde_bytes")]
    pub signature: Vec<u8>,
    /// Every POS transaction that the agent has not seen concluded.
    pub open: Vec<Digest>,
    /// Print jobs whose end the agent has reported without knowing that it arrived.
    pub prints: Vec<PrintReport>,
    /// Whether reader and printer are simulated, so that faults of devices may be asked for.
    #[serde(default, skip_serializing_if = "is_false")]
    pub has_simulator: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde asks for"
)]
pub(super) const fn is_false(value: &bool) -> bool {
    !*value
}

/// One open POS transaction as the agent's journal has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// The POS transaction.
    pub pos_id: PosTransactionId,
    /// The attempt that the agent was last granted.
    pub attempt_id: Option<AttemptId>,
    /// How far it came.
    pub state: DigestState,
}

/// How far the agent came with its last attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DigestState {
    /// Accepted, no attempt granted yet.
    Accepted,
    /// The reader is waiting for a card or reading it; nothing was sent to the engine.
    Reading,
    /// Card data was sent; the agent waits for the acquirer's answer.
    Sent,
    /// The agent restarted in the middle and cannot say how the attempt ended at the card.
    Lost,
    /// The attempt ended before card data was sent.
    Ended(AttemptEnd),
    /// The card side is complete.
    Completed(Completion),
}

/// The engine's answer to a good hello.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// Number of this connection, rising per terminal.
    pub epoch: u64,
    /// The engine's clock, milliseconds since 1970, for the agent's clock skew.
    pub now_ms: u64,
    /// What the till calls itself.
    pub label: String,
    /// Print jobs whose reports arrived: the agent may forget them.
    pub prints_known: Vec<PrintJobId>,
    /// Currencies that the merchant takes, the usual one first; older engines do not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub currencies: Vec<Currency>,
}

/// The engine's answer to a bad hello; the socket closes after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Why.
    pub reason: RefusedReason,
}

/// Why a link is refused. All but `Busy` need a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedReason {
    /// No common protocol version.
    Version,
    /// Unknown terminal, no key, or a wrong signature.
    Unauthorized,
    /// Two installations claim to be this terminal.
    DuplicateIdentity,
    /// A newer connection of the same agent exists.
    Stale,
    /// The engine is starting, stopping or full: try again.
    Busy,
}

/// What the agent sends before the link is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Handshake {
    /// The only message it may send.
    Hello(Box<Hello>),
}

/// What the engine sends before the link is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandshakeReply {
    /// First.
    Challenge(Challenge),
    /// The link is up.
    Welcome(Welcome),
    /// The link is refused.
    Refused(Refused),
}

/// What the agent's key signs: the nonce bound to everything that identifies the connection, so
/// that a signature cannot be replayed for another terminal, journal or engine.
pub fn signed_bytes(
    nonce: &[u8],
    incarnation: IncarnationId,
    terminal_id: TerminalId,
    journal_id: JournalId,
    boot: u64,
    connection: u64,
) -> Vec<u8> {
    let mut bytes = b"tillway link hello v1\0".to_vec();
    bytes.extend_from_slice(&incarnation.bytes());
    bytes.extend_from_slice(&terminal_id.bytes());
    bytes.extend_from_slice(&journal_id.bytes());
    bytes.extend_from_slice(&boot.to_be_bytes());
    bytes.extend_from_slice(&connection.to_be_bytes());
    bytes.extend_from_slice(nonce);
    bytes
}
