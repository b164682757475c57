//! The sections of the configuration file, each with its defaults.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::ConfigError;
use crate::acquirer::line::HELD_MS;
use crate::acquirer::simulator::ANSWER_TIMEOUT_MS_DEFAULT;
use crate::domain::pairing::{lockout, waiting};
use crate::domain::reversal::HOST_DELAY_MS_MAX;
use crate::domain::sandbox::Policy;
use crate::domain::tip::TipLimits;
use crate::store::StoreConfig;

/// What bounds the load that the engine takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests in work at once, waiting ones included; above it 503.
    pub in_flight_max: u32,
    /// Requests of one merchant in work at once, waiting ones included; above it 503.
    pub in_flight_per_merchant_max: u32,
    /// Requests of one merchant a minute, on average; above it 429.
    pub merchant_requests_per_minute: u32,
    /// Refused credentials a minute from one address; above it 429 instead of 401.
    pub refused_credentials_per_minute: u32,
    /// Pairing codes tried a minute from one address; above it 429.
    pub pairing_attempts_per_minute: u32,
    /// Wrong pairing codes in a row from one address that lock it out, for longer each time.
    pub pairing_wrong_tries_max: u32,
    /// Seconds that a till which shows a code waits for a person.
    pub pairing_request_life_s: u32,
    /// Seconds between two questions of such a till.
    pub pairing_poll_interval_s: u32,
    /// Look-ups and lists read from the database at once.
    pub queries_at_once: u32,
    /// Seconds after which a merchant or terminal with nothing to do is dropped from memory.
    pub idle_owner_s: u32,
}

impl Default for Limits {
    /// Arbitrary, bounded: far above what a merchant's tills do, far below what hurts others. A
    /// pairing code has 48 bits and lives for 15 minutes by default: 30 tries a minute find one of
    /// a thousand live codes with a chance of 1 in 600 million.
    fn default() -> Self {
        Self {
            in_flight_max: 4_096,
            in_flight_per_merchant_max: 1_024,
            merchant_requests_per_minute: 60_000,
            refused_credentials_per_minute: 60,
            pairing_attempts_per_minute: 30,
            pairing_wrong_tries_max: lockout::WRONG_TRIES_MAX,
            pairing_request_life_s: waiting::LIFE_S_DEFAULT,
            pairing_poll_interval_s: waiting::INTERVAL_S_DEFAULT,
            queries_at_once: 8,
            idle_owner_s: 300,
        }
    }
}

/// How often and how far tips may change after the authorization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TipSection {
    pub(super) bps_max: u32,
    pub(super) hours_max: u32,
    pub(super) changes_max: u32,
}

impl Default for TipSection {
    fn default() -> Self {
        let limits = TipLimits::default();
        Self {
            bps_max: limits.bps_max,
            hours_max: limits.hours_max,
            changes_max: limits.changes_max,
        }
    }
}

/// What integrators may do to test their recovery. The acquirer of this build is a simulator, so
/// that every engine is in test mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SandboxSection {
    /// Whether faults can be asked for.
    pub(super) faults: bool,
    /// Whether this process may be made to end; only where something starts it again.
    pub(super) allow_engine_restart: bool,
}

impl Default for SandboxSection {
    fn default() -> Self {
        Self {
            faults: true,
            allow_engine_restart: false,
        }
    }
}

impl SandboxSection {
    pub(super) const fn policy(self) -> Policy {
        match self.faults {
            true => Policy::On {
                allows_engine_restart: self.allow_engine_restart,
            },
            false => Policy::Off,
        }
    }
}

/// How the database uses the disk. The defaults suit a server; a small disk wants less.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSection {
    /// Length of a log segment, in bytes.
    pub segment_bytes: Option<u64>,
    /// Log space that only concluding work may use, in bytes; less than a segment.
    pub reserve_bytes: Option<u64>,
    /// Free space of the file system below which new work is refused, in bytes.
    pub free_bytes_min: Option<u64>,
    /// Longest time between checkpoints while there is work, in milliseconds.
    pub checkpoint_every_ms: Option<u64>,
}

impl StoreSection {
    /// Puts what the file says over a store's defaults.
    pub fn over(self, defaults: StoreConfig) -> StoreConfig {
        StoreConfig {
            segment_bytes: self.segment_bytes.unwrap_or(defaults.segment_bytes),
            reserve_bytes: self.reserve_bytes.unwrap_or(defaults.reserve_bytes),
            free_bytes_min: self.free_bytes_min.unwrap_or(defaults.free_bytes_min),
            checkpoint_every: self
                .checkpoint_every_ms
                .map_or(defaults.checkpoint_every, Duration::from_millis),
            ..defaults
        }
    }
}

/// What becomes of what is old, while the engine serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HistorySection {
    /// Whether anything is archived and packed.
    pub enabled: bool,
    /// Days without a change after which rows are archived. Segments of the log that are covered
    /// are packed whatever their age.
    pub older_than_days: u32,
    /// How often, in seconds.
    pub every_s: u32,
}

impl Default for HistorySection {
    /// Once a day: each time is a file. A week, as idempotency keys are kept: what is left in the
    /// state is what the time to start grows with, and archived rows answer the same.
    fn default() -> Self {
        Self {
            enabled: true,
            older_than_days: 7,
            every_s: 86_400,
        }
    }
}

/// What is known of the acquirer's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AcquirerSection {
    /// After this long without an answer the outcome is unknown, in milliseconds.
    pub answer_timeout_ms: u64,
    /// Longest time that a request can be on its way to the host, in milliseconds. Until it has
    /// passed, "original not found" is not taken for an answer.
    pub longest_delay_ms: u64,
}

impl Default for AcquirerSection {
    fn default() -> Self {
        Self {
            answer_timeout_ms: ANSWER_TIMEOUT_MS_DEFAULT,
            longest_delay_ms: HOST_DELAY_MS_MAX,
        }
    }
}

impl AcquirerSection {
    /// An hour bounds what is added to instants; a shorter longest delay than the timeout and what
    /// the simulated line holds back would let a reversal overtake what it undoes.
    pub(super) const fn check(self) -> Result<Self, ConfigError> {
        let least_ms = self.answer_timeout_ms.saturating_add(HELD_MS);
        let is_long = least_ms < self.longest_delay_ms && self.longest_delay_ms <= 3_600_000;
        if self.answer_timeout_ms > 0 && is_long {
            Ok(self)
        } else {
            Err(ConfigError::AcquirerTimes)
        }
    }
}

/// What the engine shows of itself where it speaks TLS. Both files may be one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSection {
    /// The certificate and those that lead to its authority, in PEM.
    pub certificate: PathBuf,
    /// The certificate's private key, in PEM.
    pub key: PathBuf,
}
