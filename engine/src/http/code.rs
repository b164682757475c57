//! Error codes: one table of what each means to a program, and one exhaustive match from every
//! refusal to its code.
//!
//! Callers switch on codes; messages may change, codes may not. No refusal is ever stored for
//! replay: an idempotency key is used up only by the commit of an effect.

use protocol::money::Money;
use serde_json::{Map, Value, json};

use crate::access::guard::Denied;
use crate::access::operation::Audience;
use crate::domain::rejection::Rejection;
use crate::id_source::RandomFault;
use crate::query::QueryFault;

use super::form::{FormError, Problem};

/// What a program should do after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same request with the same key, later: it can succeed, and never acts twice.
    SameKey,
    /// Another key.
    NewKey,
    /// The same request gets the same answer until something else has changed.
    Never,
}

impl Retry {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::SameKey => "same_key",
            Self::NewKey => "new_key",
            Self::Never => "never",
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal, $retry:ident;)*) => {
        /// A stable error code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as callers see it.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status that it always comes with.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// What to do after it.
            pub const fn retry(self) -> Retry {
                match self { $(Self::$name => Retry::$retry,)* }
            }
        }
    };
}

codes! {
    /// Not JSON, not an object, or something required is absent.
    BadRequest = "BAD_REQUEST", 400, Never;
    /// The credential is missing, malformed, expired or revoked.
    Unauthorized = "UNAUTHORIZED", 401, Never;
    /// The credential is good and does not suffice.
    Forbidden = "FORBIDDEN", 403, Never;
    /// It is for testing, and this is live.
    TestModeOnly = "TEST_MODE_ONLY", 403, Never;
    /// The operator of the engine has not switched it on.
    NotEnabled = "NOT_ENABLED", 403, Never;
    /// Absent, or somebody else's.
    NotFound = "NOT_FOUND", 404, Never;
    /// The resource is there and knows no such method.
    MethodNotAllowed = "METHOD_NOT_ALLOWED", 405, Never;
    /// The body did not arrive in time.
    RequestTimeout = "REQUEST_TIMEOUT", 408, SameKey;
    /// The body is too large.
    PayloadTooLarge = "PAYLOAD_TOO_LARGE", 413, Never;
    /// The body is not declared as JSON.
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE", 415, Never;
    /// A field is there and cannot be used.
    ValidationError = "VALIDATION_ERROR", 422, Never;
    /// The merchant does not charge this currency.
    InvalidCurrency = "INVALID_CURRENCY", 422, Never;
    /// Below the least amount.
    AmountTooSmall = "AMOUNT_TOO_SMALL", 422, Never;
    /// Above the highest amount.
    AmountTooLarge = "AMOUNT_TOO_LARGE", 422, Never;
    /// The tip is above the limit.
    TipLimitExceeded = "TIP_LIMIT_EXCEEDED", 422, Never;
    /// Unknown, used, taken back, or expired.
    PairingCodeInvalid = "PAIRING_CODE_INVALID", 422, Never;
    /// The code is right and bound to another till.
    PairingSerialMismatch = "PAIRING_SERIAL_MISMATCH", 422, Never;
    /// The wrong till tried the code too often.
    PairingCodeLocked = "PAIRING_CODE_LOCKED", 422, Never;
    /// The key was used with another request.
    IdempotencyConflict = "IDEMPOTENCY_CONFLICT", 409, NewKey;
    /// The first request with the key has no answer yet.
    IdempotencyInProgress = "IDEMPOTENCY_IN_PROGRESS", 409, SameKey;
    /// It was done before.
    AlreadyProcessed = "ALREADY_PROCESSED", 409, Never;
    /// Not in this state.
    InvalidState = "INVALID_STATE", 409, Never;
    /// Another operation on it awaits the acquirer's answer.
    OperationPending = "OPERATION_PENDING", 409, SameKey;
    /// The terminal runs another transaction.
    TerminalBusy = "TERMINAL_BUSY", 409, SameKey;
    /// The terminal is not connected.
    TerminalOffline = "TERMINAL_OFFLINE", 409, SameKey;
    /// The terminal has never been paired.
    TerminalNotPaired = "TERMINAL_NOT_PAIRED", 409, Never;
    /// The terminal has open work, so that its key stays.
    TerminalHasOpenWork = "TERMINAL_HAS_OPEN_WORK", 409, SameKey;
    /// The till is paired as another terminal.
    DeviceKeyInUse = "DEVICE_KEY_IN_USE", 409, Never;
    /// Somebody has decided on the till's request already.
    PairingRequestSettled = "PAIRING_REQUEST_SETTLED", 409, Never;
    /// The signature is good and not of this engine's life and time.
    SignatureStale = "SIGNATURE_STALE", 409, Never;
    /// There is no receipt yet.
    NoReceipt = "NO_RECEIPT", 409, SameKey;
    /// The tip of this transaction cannot change.
    TipNotAllowed = "TIP_NOT_ALLOWED", 409, Never;
    /// As many faults as there may be are armed.
    TooManyFaults = "TOO_MANY_FAULTS", 409, Never;
    /// Too many requests.
    RateLimited = "RATE_LIMITED", 429, SameKey;
    /// Too many wrong pairing codes from there.
    PairingLockedOut = "PAIRING_LOCKED_OUT", 429, SameKey;
    /// Our trouble.
    InternalError = "INTERNAL_ERROR", 500, SameKey;
    /// Too much to do, starting or stopping.
    ServiceUnavailable = "SERVICE_UNAVAILABLE", 503, SameKey;
}

/// An error on its way to a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorAnswer {
    /// What it is.
    pub code: Code,
    /// For people. Never repeats what the caller sent.
    pub message: String,
    /// For programs.
    pub details: Map<String, Value>,
    /// Seconds after which to try again.
    pub retry_after_s: Option<u64>,
}

impl ErrorAnswer {
    /// An error without details.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            details: Map::new(),
            retry_after_s: None,
        }
    }

    /// Adds a detail.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub const fn after_s(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// A missing or malformed part of the request, named.
    pub fn absent(field: &str) -> Self {
        Self::new(Code::BadRequest, format!("{field} is required.")).with("field", field)
    }

    /// A part of the request that cannot be used, named.
    pub fn invalid(field: &'static str, expected: &'static str) -> Self {
        Rejection::invalid(field, expected).into()
    }

    /// The credential is no good; callers cannot tell why.
    pub fn unauthorized() -> Self {
        Self::new(
            Code::Unauthorized,
            "Missing, malformed, expired or revoked credential.",
        )
    }

    /// Too many requests; try again after `seconds`.
    pub fn rate_limited(seconds: u64) -> Self {
        Self::new(Code::RateLimited, "Too many requests.").after_s(seconds)
    }

    /// Too many wrong pairing codes; try again after `seconds`.
    pub fn locked_out(seconds: u64) -> Self {
        let message = format!(
            "Too many wrong pairing codes came from this address: nothing more is tried for \
             {seconds} seconds."
        );
        Self::new(Code::PairingLockedOut, message).after_s(seconds)
    }

    /// Too much to do.
    pub fn unavailable() -> Self {
        Rejection::Busy.into()
    }

    /// Our trouble, logged where it happened.
    pub fn internal() -> Self {
        Rejection::Internal.into()
    }

    /// Whether the caller knows after this what has happened to its money: nothing. Not so when
    /// something went wrong here, or while the first request with the key is still running.
    pub const fn is_outcome_known(&self) -> bool {
        !matches!(self.code, Code::InternalError | Code::IdempotencyInProgress)
    }
}

/// A message for people from an error's lower-case text.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}

fn money(money: Money) -> Value {
    json!({ "amount": money.minor(), "currency": money.currency().code() })
}

impl From<Rejection> for ErrorAnswer {
    fn from(rejection: Rejection) -> Self {
        let text = rejection.to_string();
        let plain = |code| Self::new(code, sentence(&text));
        match rejection {
            Rejection::NotFound => plain(Code::NotFound),
            Rejection::Invalid { field, .. } => {
                Self::new(Code::ValidationError, format!("{text}.")).with("field", field)
            }
            Rejection::InvalidCurrency => plain(Code::InvalidCurrency).with("field", "currency"),
            Rejection::AmountTooSmall { min_minor } => plain(Code::AmountTooSmall)
                .with("field", "amount")
                .with("minimum", min_minor),
            Rejection::AmountTooLarge { max_minor } => plain(Code::AmountTooLarge)
                .with("field", "amount")
                .with("maximum", max_minor),
            Rejection::IdempotencyConflict => plain(Code::IdempotencyConflict),
            Rejection::IdempotencyInProgress { resource } => plain(Code::IdempotencyInProgress)
                .with("resource_id", resource)
                .after_s(1),
            Rejection::TerminalBusy { running } => {
                plain(Code::TerminalBusy).with("running", running.to_string())
            }
            Rejection::TerminalOffline => plain(Code::TerminalOffline),
            Rejection::TerminalNotPaired => plain(Code::TerminalNotPaired),
            Rejection::TransactionState { id, state } => plain(Code::InvalidState)
                .with("resource_id", id)
                .with("state", state),
            Rejection::OperationPending { id } => {
                plain(Code::OperationPending).with("resource_id", id)
            }
            Rejection::AlreadyProcessed { id } => {
                plain(Code::AlreadyProcessed).with("resource_id", id)
            }
            Rejection::NoReceipt => plain(Code::NoReceipt),
            Rejection::TipLimitExceeded { limit } => plain(Code::TipLimitExceeded)
                .with("field", "tip_amount")
                .with("limit", money(limit)),
            Rejection::TipNotAllowed { why } => plain(Code::TipNotAllowed).with("why", why),
            Rejection::PairingCodeInvalid => plain(Code::PairingCodeInvalid).with("field", "code"),
            Rejection::PairingSerialMismatch { tries_left } => plain(Code::PairingSerialMismatch)
                .with("field", "serial_number")
                .with("tries_left", tries_left),
            Rejection::PairingCodeLocked => plain(Code::PairingCodeLocked).with("field", "code"),
            Rejection::PairingCodeState { id, state } => plain(Code::InvalidState)
                .with("resource_id", id.to_string())
                .with("state", state),
            Rejection::DeviceKeyInUse { terminal } => {
                let answer = plain(Code::DeviceKeyInUse).with("field", "public_key");
                match terminal {
                    Some(terminal_id) => answer.with("terminal_id", terminal_id.to_string()),
                    None => answer,
                }
            }
            Rejection::PairingRequestSettled => plain(Code::PairingRequestSettled),
            Rejection::TerminalHasOpenWork { running } => {
                plain(Code::TerminalHasOpenWork).with("running", running.to_string())
            }
            Rejection::PermissionFixed { name, why } => plain(Code::ValidationError)
                .with("field", "permissions")
                .with("permission", name)
                .with("why", why),
            Rejection::ScopeExceeded { scope } => plain(Code::Forbidden)
                .with("field", "scopes")
                .with("required_scope", scope),
            Rejection::TestModeOnly => plain(Code::TestModeOnly),
            Rejection::NotEnabled { setting } => {
                plain(Code::NotEnabled).with("required_setting", setting)
            }
            Rejection::TooManyFaults { max } => plain(Code::TooManyFaults).with("maximum", max),
            Rejection::Busy => plain(Code::ServiceUnavailable).after_s(1),
            Rejection::Internal => plain(Code::InternalError),
        }
    }
}

impl From<Denied> for ErrorAnswer {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Scope(scope) => Self::new(
                Code::Forbidden,
                format!("This endpoint requires the '{}' scope.", scope.code()),
            )
            .with("required_scope", scope.code()),
            Denied::Permission(permission) => Self::new(
                Code::Forbidden,
                format!(
                    "This operation requires the '{}' permission.",
                    permission.name()
                ),
            )
            .with("required_permission", permission.name()),
            Denied::Audience(audience) => {
                let (kind, article) = match audience {
                    Audience::Operator => ("operator", "an"),
                    Audience::Merchant => ("merchant", "a"),
                    Audience::Any | Audience::Public => ("valid", "a"),
                };
                Self::new(
                    Code::Forbidden,
                    format!("This endpoint requires {article} {kind} credential."),
                )
                .with("required_credential", kind)
            }
        }
    }
}

impl From<FormError> for ErrorAnswer {
    fn from(error: FormError) -> Self {
        let is_form_itself = error.field.is_empty();
        let code = match error.problem {
            Problem::Absent => Code::BadRequest,
            Problem::Unusable(_) if is_form_itself => Code::BadRequest,
            Problem::Unknown | Problem::Unusable(_) => Code::ValidationError,
        };
        let answer = Self::new(code, format!("{error}."));
        match is_form_itself {
            true => answer,
            false => answer.with("field", error.field),
        }
    }
}

impl From<QueryFault> for ErrorAnswer {
    fn from(fault: QueryFault) -> Self {
        tracing::error!(%fault, "query failed");
        match fault {
            QueryFault::Read(_) => Self::internal(),
            QueryFault::NotCarriedOut => Self::unavailable(),
        }
    }
}

impl From<RandomFault> for ErrorAnswer {
    fn from(fault: RandomFault) -> Self {
        tracing::error!(%fault, "no random numbers");
        Self::internal()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use protocol::id::PosTransactionId;
    use uuid::Uuid;

    use super::*;
    use crate::domain::permission::Permission;
    use crate::domain::scope::Scope;

    #[test]
    fn codes_are_distinct_and_statuses_make_sense() {
        let texts: BTreeSet<&str> = Code::ALL.iter().map(|code| code.text()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!((400..600).contains(&code.status()), "{code:?}");
            assert_eq!(code.text(), code.text().to_ascii_uppercase());
            // Seed 003: these statuses are never worth repeating, those always are.
            match code.status() {
                401 | 403 | 404 | 422 => assert_eq!(code.retry(), Retry::Never, "{code:?}"),
                429 | 500.. => assert_eq!(code.retry(), Retry::SameKey, "{code:?}"),
                _ => {}
            }
        }
    }

    #[test]
    fn codes_of_the_seed_have_the_status_of_the_seed() {
        for (text, status) in [
            ("UNAUTHORIZED", 401),
            ("FORBIDDEN", 403),
            ("VALIDATION_ERROR", 422),
            ("INVALID_CURRENCY", 422),
            ("AMOUNT_TOO_SMALL", 422),
            ("AMOUNT_TOO_LARGE", 422),
            ("NOT_FOUND", 404),
            ("IDEMPOTENCY_CONFLICT", 409),
            ("ALREADY_PROCESSED", 409),
            ("RATE_LIMITED", 429),
            ("INTERNAL_ERROR", 500),
            ("SERVICE_UNAVAILABLE", 503),
        ] {
            let code = Code::ALL.iter().find(|code| code.text() == text).unwrap();
            assert_eq!(code.status(), status, "{text}");
        }
    }

    #[test]
    fn refusals_carry_what_a_program_needs() {
        let running = PosTransactionId::from_uuid(Uuid::from_u128(5));
        let limit = Money::new(250, "USD".parse().unwrap());
        for (rejection, code, detail, value) in [
            (
                Rejection::TerminalBusy { running },
                Code::TerminalBusy,
                "running",
                json!(running.to_string()),
            ),
            (
                Rejection::IdempotencyInProgress {
                    resource: "pos_x".into(),
                },
                Code::IdempotencyInProgress,
                "resource_id",
                json!("pos_x"),
            ),
            (
                Rejection::TipLimitExceeded { limit },
                Code::TipLimitExceeded,
                "limit",
                json!({"amount": 250, "currency": "USD"}),
            ),
            (
                Rejection::invalid("tip_prompt.timeout_s", "5 to 120 seconds"),
                Code::ValidationError,
                "field",
                json!("tip_prompt.timeout_s"),
            ),
        ] {
            let answer = ErrorAnswer::from(rejection);
            assert_eq!(answer.code, code);
            assert_eq!(answer.details.get(detail), Some(&value));
        }
        assert_eq!(ErrorAnswer::unavailable().retry_after_s, Some(1));
        assert!(ErrorAnswer::unavailable().is_outcome_known());
        assert!(!ErrorAnswer::internal().is_outcome_known());
    }

    #[test]
    fn the_sentences_of_a_403_are_those_of_the_seed() {
        let scope = ErrorAnswer::from(Denied::Scope(Scope::PaymentsCreate));
        assert_eq!(
            scope.message,
            "This endpoint requires the 'payments:create' scope."
        );
        assert_eq!(scope.details["required_scope"], "payments:create");
        let permission = ErrorAnswer::from(Denied::Permission(Permission::StartPosTransaction));
        assert_eq!(
            permission.message,
            "This operation requires the 'Start POS Transaction' permission."
        );
        assert_eq!(
            permission.details["required_permission"],
            "Start POS Transaction"
        );
    }
}
