//! How ports, process and link are, beside the state of the till.

use serde::{Deserialize, Serialize};

use super::AnswerError;
use crate::device::fault::PortState;

/// How the ports are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PortsHealth {
    /// The reader's.
    pub reader: PortState,
    /// The printer's, if the till has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub printer: Option<PortState>,
}

/// How the agent's process is, for a technician.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessHealth {
    /// Its number; 0 from an older agent.
    pub process_id: u32,
    /// After how long without a sign of life the service manager restarts it; absent when nobody
    /// watches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watchdog_ms: Option<u64>,
    /// The link.
    pub link: LinkHealth,
}

/// How the link is, beyond whether it is up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkHealth {
    /// Where it goes.
    pub address: String,
    /// The protocol version that both sides speak, on the connection that was opened last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u16>,
    /// How far the engine's clock was ahead of this machine's at the last welcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_ahead_ms: Option<i64>,
    /// Why the last connection ended; absent while the link is up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<AnswerError>,
}
