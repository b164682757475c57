//! The actor of a terminal: feeds the owner of its link, and checks what the till asks for.

use std::collections::BTreeMap;

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, SpawnHandle};
use protocol::id::{MerchantId, RequestId, TerminalId};
use protocol::link::{HandshakeReply, Refused, TillRequest, ToAgent, ToEngine};
use tokio::sync::{mpsc, oneshot};

use super::merchant::{AskFromTill, FromTerminal, MerchantActor, TerminalRetired};
use super::{Surroundings, deliver, next_look, until};
use crate::access::operation::Operation;
use crate::access::principal::Principal;
use crate::agent_link::registry::{Heard, LiveStatus};
use crate::agent_link::till_request;
use crate::domain::time::Timestamp;
use crate::owner::merchant::TerminalEvent;
use crate::owner::request::TillCaller;
use crate::owner::terminal::{
    Freshness, TerminalInput, TerminalOutput, TerminalOwner, VerifiedHello,
};

/// What a socket's task is to send.
#[derive(Debug)]
pub(crate) enum Outbound {
    /// An answer to the hello.
    Handshake(Box<HandshakeReply>),
    /// A message.
    Message(Box<ToAgent>),
}

/// A verified hello on a new socket. Dropping the sender ends the socket.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct LinkHello {
    pub(crate) outbound: mpsc::Sender<Outbound>,
    pub(crate) heard: Heard,
    pub(crate) hello: VerifiedHello,
}

/// The agent said something.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct LinkSaid {
    pub(crate) socket: u64,
    pub(crate) message: ToEngine,
}

/// A socket has closed.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct LinkClosed {
    pub(crate) socket: u64,
}

/// From the merchant's owner.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct FromMerchant(pub(crate) TerminalInput);

/// Somebody wants to know how the till is now. The status is published before the answer.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct AskStatus(pub(crate) oneshot::Sender<Freshness>);

/// The actor's end of a socket.
struct LinkEnd {
    outbound: mpsc::Sender<Outbound>,
    heard: Heard,
}

/// The actor.
pub struct TerminalActor {
    terminal_id: TerminalId,
    merchant_id: MerchantId,
    merchant: Addr<MerchantActor>,
    around: Surroundings,
    owner: TerminalOwner,
    sockets: BTreeMap<u64, LinkEnd>,
    /// When anything last arrived on the link that was welcomed last.
    heard: Heard,
    askers: BTreeMap<u64, oneshot::Sender<Freshness>>,
    askers_made: u64,
    timer: Option<(Timestamp, SpawnHandle)>,
    /// When it last had anything to do.
    busy_at: Timestamp,
    /// Its merchant's owner was told to forget it: what still comes is too late.
    is_retired: bool,
}

impl std::fmt::Debug for TerminalActor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("TerminalActor")
            .field("id", &self.terminal_id)
            .finish_non_exhaustive()
    }
}

impl TerminalActor {
    /// The actor of a terminal of `merchant`.
    pub(crate) fn new(
        terminal_id: TerminalId,
        merchant_id: MerchantId,
        merchant: Addr<MerchantActor>,
        around: Surroundings,
    ) -> Self {
        Self {
            terminal_id,
            merchant_id,
            merchant,
            busy_at: around.clock.now(),
            around,
            owner: TerminalOwner::default(),
            sockets: BTreeMap::new(),
            heard: Heard::default(),
            askers: BTreeMap::new(),
            askers_made: 0,
            timer: None,
            is_retired: false,
        }
    }

    fn feed(&mut self, ctx: &mut Context<Self>, input: TerminalInput) {
        let mut out = Vec::new();
        self.busy_at = self.around.clock.now();
        self.owner.handle(self.busy_at, input, &mut out);
        for output in out {
            self.carry_out(ctx, output);
        }
        self.set_timer(ctx);
    }

    fn carry_out(&mut self, ctx: &mut Context<Self>, output: TerminalOutput) {
        match output {
            TerminalOutput::Welcome { socket, welcome } => {
                if let Some(end) = self.sockets.get(&socket) {
                    self.heard = end.heard.clone();
                }
                let reply = HandshakeReply::Welcome(welcome);
                self.send(ctx, socket, Outbound::Handshake(Box::new(reply)));
            }
            TerminalOutput::Refuse { socket, reason } => {
                let reply = HandshakeReply::Refused(Refused { reason });
                self.send(ctx, socket, Outbound::Handshake(Box::new(reply)));
                self.sockets.remove(&socket);
            }
            TerminalOutput::Send { socket, message } => {
                self.send(ctx, socket, Outbound::Message(message));
            }
            TerminalOutput::Close { socket } => {
                self.sockets.remove(&socket);
            }
            TerminalOutput::Merchant(event) => match *event {
                TerminalEvent::Said(ToEngine::Request {
                    request_id,
                    request,
                }) => {
                    self.asked(ctx, request_id, request);
                }
                event => {
                    let terminal_id = self.terminal_id;
                    deliver(&self.merchant, FromTerminal { terminal_id, event });
                }
            },
            TerminalOutput::Status => self.publish(),
            TerminalOutput::Told { askers, freshness } => {
                for asker in askers {
                    if let Some(reply_to) = self.askers.remove(&asker) {
                        // Whoever asked may have gone away.
                        reply_to.send(freshness).ok();
                    }
                }
            }
        }
    }

    /// A request of the till passes the same check as one of the API.
    fn asked(&mut self, ctx: &mut Context<Self>, request_id: RequestId, request: TillRequest) {
        let principal = Principal::Terminal {
            merchant_id: self.merchant_id,
            terminal_id: self.terminal_id,
        };
        let now = self.around.clock.now();
        let caller = TillCaller {
            terminal_id: self.terminal_id,
            request_id,
        };
        let mut operations = till_request::operations(&request).iter();
        let check = |operation: &Operation| self.around.guard.authorize(&principal, *operation);
        if let Err(denied) = operations.try_for_each(check) {
            let message = Box::new(till_request::denied(request_id, denied));
            self.feed(ctx, TerminalInput::Send(message));
            return;
        }
        let claim = till_request::claim(self.terminal_id, request_id, &request);
        let request = till_request::request(caller, request, now);
        let is_taken = self
            .merchant
            .try_send(AskFromTill {
                caller,
                claim,
                request,
            })
            .is_ok();
        if !is_taken {
            let message = Box::new(till_request::busy(request_id));
            self.feed(ctx, TerminalInput::Send(message));
        }
    }

    /// A full queue means that the socket does not drain: it is closed, and the next hello
    /// reconciles.
    fn send(&mut self, ctx: &mut Context<Self>, socket: u64, outbound: Outbound) {
        let is_sent = self
            .sockets
            .get(&socket)
            .is_some_and(|end| end.outbound.try_send(outbound).is_ok());
        if !is_sent && self.sockets.remove(&socket).is_some() {
            deliver(&ctx.address(), LinkClosed { socket });
        }
    }

    fn publish(&self) {
        let till = self.owner.till();
        self.around.registry.publish(
            self.terminal_id,
            LiveStatus {
                is_online: self.owner.is_online(),
                link_version: self.owner.version(),
                since: self.owner.since(),
                heard: self.heard.clone(),
                till: till.map(|(status, _)| status.clone()),
                reported_at: till.map(|(_, at)| *at),
                reader_age_ms: self.owner.reader_age_ms(),
                refused: self.owner.refused(),
                last: self.owner.last().cloned(),
            },
        );
    }

    /// Looks once in a while whether anybody needs this actor.
    fn watch(&self, ctx: &mut Context<Self>) {
        let idle_ms = self.around.limits.idle_ms;
        let now = self.around.clock.now();
        let at = next_look(now, self.busy_at, idle_ms);
        ctx.run_later(until(now, at), |actor, ctx| {
            let now = actor.around.clock.now();
            let is_idle = now.since_ms(actor.busy_at) >= actor.around.limits.idle_ms;
            if is_idle && actor.sockets.is_empty() && actor.owner.is_at_rest(now) {
                // The last that the merchant hears of it: a link that comes from here on is closed,
                // and comes again to another actor.
                actor.is_retired = true;
                deliver(&actor.merchant, TerminalRetired(actor.terminal_id));
            } else {
                actor.watch(ctx);
            }
        });
    }

    fn set_timer(&mut self, ctx: &mut Context<Self>) {
        let deadline = self.owner.poll_deadline();
        if self.timer.map(|(at, _)| at) == deadline {
            return;
        }
        if let Some((_, handle)) = self.timer.take() {
            ctx.cancel_future(handle);
        }
        if let Some(at) = deadline {
            let pause = until(self.around.clock.now(), at);
            let handle = ctx.run_later(pause, |actor, ctx| {
                actor.timer = None;
                actor.feed(ctx, TerminalInput::Deadline);
            });
            self.timer = Some((at, handle));
        }
    }
}

impl Actor for TerminalActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.watch(ctx);
    }
}

impl Handler<LinkHello> for TerminalActor {
    type Result = ();

    fn handle(&mut self, link: LinkHello, ctx: &mut Context<Self>) {
        if self.is_retired {
            // Dropping the sender ends the socket.
            return;
        }
        let LinkHello {
            outbound,
            heard,
            hello,
        } = link;
        let end = LinkEnd { outbound, heard };
        self.sockets.insert(hello.socket, end);
        self.feed(ctx, TerminalInput::Hello(Box::new(hello)));
    }
}

impl Handler<LinkSaid> for TerminalActor {
    type Result = ();

    fn handle(&mut self, said: LinkSaid, ctx: &mut Context<Self>) {
        let message = Box::new(said.message);
        self.feed(
            ctx,
            TerminalInput::Said {
                socket: said.socket,
                message,
            },
        );
    }
}

impl Handler<LinkClosed> for TerminalActor {
    type Result = ();

    fn handle(&mut self, closed: LinkClosed, ctx: &mut Context<Self>) {
        self.sockets.remove(&closed.socket);
        self.feed(
            ctx,
            TerminalInput::Closed {
                socket: closed.socket,
            },
        );
    }
}

impl Handler<AskStatus> for TerminalActor {
    type Result = ();

    fn handle(&mut self, ask: AskStatus, ctx: &mut Context<Self>) {
        self.askers_made += 1;
        let asker = self.askers_made;
        self.askers.insert(asker, ask.0);
        self.feed(ctx, TerminalInput::Ask { asker });
    }
}

impl Handler<FromMerchant> for TerminalActor {
    type Result = ();

    fn handle(&mut self, from: FromMerchant, ctx: &mut Context<Self>) {
        self.feed(ctx, from.0);
    }
}
