//! Carries out what a merchant's owner causes.
//!
//! Owns where each effect goes. Nothing here decides: an effect comes behind its commit.

use actix::{AsyncContext, Context};
use protocol::id::TerminalId;
use protocol::link::ToAgent;

use super::message::AcquirerDone;
use super::{Caller, MerchantActor};
use crate::acquirer::{self, AcquirerRequest};
use crate::actor::deliver;
use crate::actor::terminal::FromMerchant;
use crate::agent_link::till_request;
use crate::domain::rejection::Rejection;
use crate::owner::access_change::AccessChange;
use crate::owner::merchant::{Effect, Misbehaviour};
use crate::owner::request::{CallerId, Reply};
use crate::owner::terminal::TerminalInput;

impl MerchantActor {
    pub(super) fn carry_out(&mut self, ctx: &mut Context<Self>, effect: Effect) {
        match effect {
            Effect::Answer { caller, reply } => self.answer(caller, reply),
            Effect::Welcome {
                terminal_id,
                socket,
                label,
                currencies,
                prints_known,
            } => {
                self.to_terminal(
                    terminal_id,
                    TerminalInput::Welcome {
                        socket,
                        label,
                        currencies,
                        prints_known,
                    },
                );
            }
            Effect::RefuseLink {
                terminal_id,
                socket,
                reason,
            } => self.to_terminal(terminal_id, TerminalInput::Refuse { socket, reason }),
            Effect::ToTerminal {
                terminal_id,
                message,
            } => {
                self.to_terminal(terminal_id, TerminalInput::Send(message));
            }
            Effect::Configure {
                terminal_id,
                configuration,
            } => self.to_terminal(terminal_id, TerminalInput::Configure(configuration)),
            Effect::Acquirer(request) => {
                let answered = answered(ctx, &request);
                self.around.acquirer.submit(*request, answered);
            }
            Effect::Publish(AccessChange::DropLink(terminal_id)) => {
                self.to_terminal(terminal_id, TerminalInput::Reset { is_renewed: true });
            }
            Effect::Publish(change) => self.around.index.apply(change),
            Effect::Misbehave(misbehaviour) => self.misbehave(ctx, misbehaviour),
        }
    }

    /// Carries out what was asked for in test mode.
    fn misbehave(&mut self, ctx: &mut Context<Self>, misbehaviour: Misbehaviour) {
        match misbehaviour {
            Misbehaviour::Acquirer(request, fault) => {
                let answered = answered(ctx, &request);
                self.around.acquirer.misbehave(*request, fault, answered);
            }
            Misbehaviour::CutLink {
                terminal_id,
                after_ms,
                refusal_ms,
            } => self.later(ctx, after_ms, move |actor| {
                actor.to_terminal(terminal_id, TerminalInput::Cut { refusal_ms });
            }),
            Misbehaviour::Device {
                terminal_id,
                after_ms,
                command,
            } => self.later(ctx, after_ms, move |actor| {
                let message = Box::new(ToAgent::Simulate(command));
                actor.to_terminal(terminal_id, TerminalInput::Send(message));
            }),
            Misbehaviour::EndProcess { after_ms } => self.later(ctx, after_ms, |_| end_process()),
        }
    }

    /// Without a pause it happens at once, before the effects that come behind it.
    fn later(
        &mut self,
        ctx: &mut Context<Self>,
        after_ms: u64,
        act: impl FnOnce(&mut Self) + 'static,
    ) {
        if after_ms == 0 {
            act(self);
        } else {
            let pause = std::time::Duration::from_millis(after_ms);
            self.postponed += 1;
            ctx.run_later(pause, move |actor, _| {
                actor.postponed -= 1;
                act(actor);
            });
        }
    }

    pub(super) fn answer(&mut self, caller: CallerId, reply: Result<Reply, Rejection>) {
        match self.callers.remove(&caller) {
            Some(Caller::Api(reply_to)) => {
                // A caller that has gone away has its answer in the idempotency record.
                reply_to.send(reply).ok();
            }
            Some(Caller::Till(till)) => {
                let message = Box::new(till_request::answer(till.request_id, reply));
                self.to_terminal(till.terminal_id, TerminalInput::Send(message));
            }
            None => {}
        }
    }

    fn to_terminal(&self, terminal_id: TerminalId, input: TerminalInput) {
        if let Some(terminal) = self.terminals.get(&terminal_id) {
            deliver(terminal, FromMerchant(input));
        }
    }
}

/// The way back for the acquirer's answer.
fn answered(ctx: &Context<MerchantActor>, request: &AcquirerRequest) -> acquirer::Answered {
    let (actor, transaction_id) = (ctx.address(), request.transaction_id);
    let sending = request.sending;
    Box::new(move |answer| {
        deliver(
            &actor,
            AcquirerDone {
                transaction_id,
                sending,
                answer,
            },
        );
    })
}

/// Ends the process as kill -9 would: nothing is flushed, nobody is told.
fn end_process() {
    tracing::warn!("the process ends because a fault was asked for");
    std::process::abort();
}
