//! Shells around the owners: mailbox, timer, store and outside world; no rules.
//!
//! Handlers are synchronous. Requests enter by [`directory::Directory`], which bounds what is
//! admitted; completions and link events enter by `deliver`, bounded by what was admitted.

pub mod directory;
pub mod merchant;
pub mod platform;
mod shell;
pub mod terminal;

use std::sync::Arc;
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler, Message};

use crate::access::guard::Guard;
use crate::access::index::AccessIndex;
use crate::acquirer::Acquirer;
use crate::agent_link::registry::Registry;
use crate::clock::SharedClock;
use crate::domain::time::Timestamp;
use crate::owner::merchant::Limits;
use crate::store::SharedStore;

/// What every actor may reach.
#[derive(Clone)]
pub struct Surroundings {
    /// The log and its rows.
    pub store: SharedStore,
    /// The card host.
    pub acquirer: Arc<dyn Acquirer>,
    /// Who may do what; told of changes before answers leave.
    pub index: AccessIndex,
    /// Checks the till's requests.
    pub guard: Guard,
    /// Live statuses of terminals.
    pub registry: Registry,
    /// The time.
    pub clock: SharedClock,
    /// How long things may take.
    pub limits: Limits,
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Surroundings")
            .field("acquirer", &self.acquirer.name())
            .finish_non_exhaustive()
    }
}

/// Hands a completion to its actor, past the mailbox's bound: what it completes was admitted, so
/// there are never more of them than that. The only place that may use `do_send`.
#[expect(clippy::disallowed_methods, reason = "completions must not be refused")]
pub(crate) fn deliver<A, M>(actor: &Addr<A>, message: M)
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    actor.do_send(message);
}

/// When an actor that was busy last at `busy_at` is to be asked whether anybody needs it. One that
/// is busy in other ways is asked again after as long.
fn next_look(now: Timestamp, busy_at: Timestamp, idle_ms: u64) -> Timestamp {
    let at = busy_at.plus_ms(idle_ms);
    if at > now { at } else { now.plus_ms(idle_ms) }
}

/// From now until an instant.
fn until(now: Timestamp, at: Timestamp) -> Duration {
    Duration::from_millis(at.since_ms(now))
}
