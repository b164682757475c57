//! What a merchant's actor is told.
//!
//! Owns the messages as data; requests are bounded by its mailbox, completions by what was admitted.

use actix::{Addr, Message};
use protocol::id::{TerminalId, TransactionId};
use tokio::sync::oneshot;

use crate::acquirer::{AcquirerAnswer, Sending};
use crate::actor::terminal::TerminalActor;
use crate::domain::rejection::Rejection;
use crate::owner::merchant::TerminalEvent;
use crate::owner::request::{ClaimRequest, Reply, Request, TillCaller};

/// The answer's way back to an HTTP handler.
pub(crate) type ReplyTo = oneshot::Sender<Result<Reply, Rejection>>;

/// A request from the API.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct AskMerchant {
    pub(crate) claim: Option<ClaimRequest>,
    pub(crate) request: Request,
    pub(crate) reply_to: ReplyTo,
}

/// A request from a till; scope and permission have been checked.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct AskFromTill {
    pub(crate) caller: TillCaller,
    pub(crate) claim: ClaimRequest,
    pub(crate) request: Request,
}

/// Something about a terminal's link.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct FromTerminal {
    pub(crate) terminal_id: TerminalId,
    pub(crate) event: TerminalEvent,
}

/// Asks for the actor of one of the merchant's terminals; none when this owner has retired.
#[derive(Debug, Message)]
#[rtype(result = "Option<Addr<TerminalActor>>")]
pub(crate) struct TerminalOf(pub(crate) TerminalId);

/// The actor of a terminal without a link has retired: another is made when it is asked for.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct TerminalRetired(pub(crate) TerminalId);

/// To itself: everything that came before has been seen.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct LastLook;

/// The end of this process's work: answers nobody, stops.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Stop;

/// The acquirer answered.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct AcquirerDone {
    pub(super) transaction_id: TransactionId,
    pub(super) sending: Sending,
    pub(super) answer: AcquirerAnswer,
}
