//! The engine's clock: the only place that reads one. Everywhere else an instant is an argument.

use std::fmt;
use std::sync::Arc;

use crate::domain::time::Timestamp;

/// Something that knows the time.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The instant on the engine's clock.
    fn now(&self) -> Timestamp;
}

/// A clock that several places share.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    fn now(&self) -> Timestamp {
        Timestamp(chrono::Utc::now().timestamp_millis())
    }
}
