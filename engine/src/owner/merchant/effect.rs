//! What a merchant's owner causes.
//!
//! Owns the effects as data; they are carried out behind the commit, and never here.

use std::sync::Arc;

use protocol::id::{PrintJobId, TerminalId};
use protocol::link::{Configuration, RefusedReason, ToAgent};
use protocol::money::Currency;

use crate::acquirer::AcquirerRequest;
use crate::domain::rejection::Rejection;
use crate::owner::access_change::AccessChange;
use crate::owner::request::{CallerId, Reply};

use super::sandbox::Misbehaviour;

/// What a merchant's owner causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The one answer to a caller.
    Answer {
        /// Who waits.
        caller: CallerId,
        /// What it gets.
        reply: Result<Reply, Rejection>,
    },
    /// The hello has been reconciled: the link may be welcomed. Precedes everything sent on it.
    Welcome {
        /// The terminal.
        terminal_id: TerminalId,
        /// The link whose hello it was.
        socket: u64,
        /// What the till calls itself.
        label: String,
        /// What the merchant takes, the usual one first.
        currencies: Vec<Currency>,
        /// Print reports that are stored.
        prints_known: Vec<PrintJobId>,
    },
    /// The hello gets no link.
    RefuseLink {
        /// The terminal.
        terminal_id: TerminalId,
        /// The link whose hello it was.
        socket: u64,
        /// Why.
        reason: RefusedReason,
    },
    /// A message for a terminal; dropped when it has no link, and owed again at the next one.
    ToTerminal {
        /// The terminal.
        terminal_id: TerminalId,
        /// The message.
        message: Box<ToAgent>,
    },
    /// What a till is to be like; sent when it is not. Behind the welcome of its link.
    Configure {
        /// The terminal.
        terminal_id: TerminalId,
        /// What it is to be like.
        configuration: Arc<Configuration>,
    },
    /// A request for the acquirer.
    Acquirer(Box<AcquirerRequest>),
    /// A change in who may do what.
    Publish(AccessChange),
    /// A fault that was asked for in test mode.
    Misbehave(Misbehaviour),
}
