//! Why a request is refused: the caller's situation, expected, never our fault.

use protocol::id::{PairingCodeId, PosTransactionId, TerminalId};
use protocol::money::Money;

/// A refusal. Nothing was stored, nothing moved, no idempotency key was used up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It does not exist, or is somebody else's; callers cannot tell which.
    #[error("no such resource")]
    NotFound,
    /// A field is present but cannot be used.
    #[error("{field} is invalid: {expected}")]
    Invalid {
        /// Dotted path.
        field: &'static str,
        /// What would be accepted.
        expected: &'static str,
    },
    /// The currency is not one that the merchant charges.
    #[error("currency is not supported")]
    InvalidCurrency,
    /// Below the least amount.
    #[error("amount is below the minimum")]
    AmountTooSmall {
        /// Least minor units.
        min_minor: i64,
    },
    /// Above the highest amount.
    #[error("amount is above the maximum")]
    AmountTooLarge {
        /// Most minor units.
        max_minor: i64,
    },
    /// The key was used with another request.
    #[error("idempotency key already used with a different request")]
    IdempotencyConflict,
    /// The first request with this key has no answer yet.
    #[error("the first request with this idempotency key is still running")]
    IdempotencyInProgress {
        /// Id of what it made or moves.
        resource: String,
    },
    /// One terminal runs at most one transaction.
    #[error("terminal is busy")]
    TerminalBusy {
        /// What it runs.
        running: PosTransactionId,
    },
    /// The terminal has no link to the engine at this moment.
    #[error("terminal is not connected")]
    TerminalOffline,
    /// The terminal has never been paired.
    #[error("terminal is not paired")]
    TerminalNotPaired,
    /// It cannot be done in this state.
    #[error("transaction is {state}")]
    TransactionState {
        /// The transaction.
        id: String,
        /// Its state.
        state: &'static str,
    },
    /// Another operation on it awaits the acquirer's answer.
    #[error("another operation on this transaction is under way")]
    OperationPending {
        /// The transaction.
        id: String,
    },
    /// It was done before.
    #[error("already processed")]
    AlreadyProcessed {
        /// The transaction.
        id: String,
    },
    /// There is nothing to print yet.
    #[error("no receipt exists yet")]
    NoReceipt,
    /// The tip is above the limit.
    #[error("tip is above the limit of {limit}")]
    TipLimitExceeded {
        /// The limit.
        limit: Money,
    },
    /// The tip of this transaction cannot change.
    #[error("tip cannot be changed: {why}")]
    TipNotAllowed {
        /// Why.
        why: &'static str,
    },
    /// Unknown, used, revoked or expired: a caller cannot tell which.
    #[error("pairing code is not valid")]
    PairingCodeInvalid,
    /// The code is right and meant for another till. That it was tried is counted.
    #[error("pairing code is bound to another serial number")]
    PairingSerialMismatch {
        /// Tries until the code is locked.
        tries_left: u32,
    },
    /// The wrong till tried the code too often.
    #[error("pairing code is locked: the wrong till tried it too often; ask for a new one")]
    PairingCodeLocked,
    /// A code that has paired a till cannot be taken back.
    #[error("pairing code is {state}")]
    PairingCodeState {
        /// The code.
        id: PairingCodeId,
        /// Its state.
        state: &'static str,
    },
    /// The till's key is the live key of another terminal.
    #[error("this till is paired as another terminal: unpair it first")]
    DeviceKeyInUse {
        /// That terminal, if it is the caller's to know.
        terminal: Option<TerminalId>,
    },
    /// Somebody has decided on the till's request already.
    #[error("this request was decided on already: the till must ask again")]
    PairingRequestSettled,
    /// The terminal has open work; its key cannot be replaced.
    #[error("terminal has open work")]
    TerminalHasOpenWork {
        /// Some of it.
        running: PosTransactionId,
    },
    /// A permission that is always on was left out, or an unknown one was named.
    #[error("permission '{name}' cannot be changed: {why}")]
    PermissionFixed {
        /// The name.
        name: String,
        /// Why.
        why: &'static str,
    },
    /// A key cannot give what it does not have.
    #[error("scope '{scope}' exceeds the caller's own")]
    ScopeExceeded {
        /// The scope.
        scope: &'static str,
    },
    /// It is for testing, and this is live, or the operator does not want it.
    #[error("faults can be asked for in test mode only")]
    TestModeOnly,
    /// The operator of the engine has not switched it on.
    #[error("the operator of this engine has not enabled it")]
    NotEnabled {
        /// The setting that would.
        setting: &'static str,
    },
    /// Enough faults are armed.
    #[error("too many faults are armed")]
    TooManyFaults {
        /// As many as there may be.
        max: usize,
    },
    /// Too much waits already, or the disk is nearly full: try again.
    #[error("try again later")]
    Busy,
    /// Our or the machine's trouble; logged where it happened.
    #[error("internal error")]
    Internal,
}

impl Rejection {
    /// A field that cannot be used.
    pub const fn invalid(field: &'static str, expected: &'static str) -> Self {
        Self::Invalid { field, expected }
    }
}
