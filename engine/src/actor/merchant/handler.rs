//! The mailbox of a merchant's actor: what each message becomes for its owner.
//!
//! A retired owner decides nothing: what it is still told goes on to its successor, or is dropped
//! with the link that it came by.

use actix::{Actor, ActorContext as _, AsyncContext, Context, Handler, MessageResult, Running};

use super::life::Life;
use super::message::{AcquirerDone, LastLook};
use super::{AskFromTill, AskMerchant, Caller, FromTerminal, MerchantActor, Stop};
use super::{TerminalOf, TerminalRetired};
use crate::actor::deliver;
use crate::actor::shell::StoreDone;
use crate::actor::terminal::TerminalActor;
use crate::owner::machine::Input;
use crate::owner::merchant::MerchantInput;

/// Messages that wait before callers are turned away.
const MAILBOX_CAPACITY: usize = 1_024;

impl Actor for MerchantActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX_CAPACITY);
        self.load(ctx);
        self.watch(ctx);
    }

    /// Nobody has the address of a retired owner any more, but what the last one sent may have come
    /// after the mailbox was looked at.
    fn stopping(&mut self, ctx: &mut Context<Self>) -> Running {
        if self.life == Life::Retired {
            deliver(&ctx.address(), LastLook);
            Running::Continue
        } else {
            Running::Stop
        }
    }
}

impl Handler<LastLook> for MerchantActor {
    type Result = ();

    fn handle(&mut self, _last: LastLook, _ctx: &mut Context<Self>) {
        self.life = Life::Seen;
    }
}

impl Handler<AskMerchant> for MerchantActor {
    type Result = ();

    fn handle(&mut self, ask: AskMerchant, ctx: &mut Context<Self>) {
        if let Some(successor) = self.successor() {
            // One that is too busy turns the caller away as it would have done itself.
            drop(successor.try_send(ask));
            return;
        }
        let caller = self.new_caller(Caller::Api(ask.reply_to));
        self.ask(ctx, caller, ask.claim, ask.request);
    }
}

impl Handler<AskFromTill> for MerchantActor {
    type Result = ();

    fn handle(&mut self, ask: AskFromTill, ctx: &mut Context<Self>) {
        // No terminal has a link to a retired owner: who asked has lost its link.
        if self.life != Life::Active {
            return;
        }
        let caller = self.new_caller(Caller::Till(ask.caller));
        self.ask(ctx, caller, Some(ask.claim), ask.request);
    }
}

impl Handler<FromTerminal> for MerchantActor {
    type Result = ();

    fn handle(&mut self, from: FromTerminal, ctx: &mut Context<Self>) {
        // As above.
        if self.life != Life::Active {
            return;
        }
        let input = MerchantInput::Terminal {
            terminal_id: from.terminal_id,
            event: from.event,
        };
        self.feed(ctx, Input::Outside(input));
    }
}

impl Handler<StoreDone> for MerchantActor {
    type Result = ();

    fn handle(&mut self, done: StoreDone, ctx: &mut Context<Self>) {
        if done.generation != self.shell.generation() {
            return;
        }
        match done.fate {
            Ok(committed) => self.feed(ctx, Input::Committed(committed)),
            Err(refused) => {
                tracing::warn!(merchant_id = %self.merchant_id, %refused, "commit refused");
                self.discard(ctx);
            }
        }
    }
}

impl Handler<AcquirerDone> for MerchantActor {
    type Result = ();

    fn handle(&mut self, done: AcquirerDone, ctx: &mut Context<Self>) {
        if let Some(successor) = self.successor() {
            deliver(&successor, done);
            return;
        }
        let AcquirerDone {
            transaction_id,
            sending,
            answer,
        } = done;
        self.feed(
            ctx,
            Input::Outside(MerchantInput::Acquirer {
                transaction_id,
                sending,
                answer,
            }),
        );
    }
}

impl Handler<TerminalOf> for MerchantActor {
    type Result = MessageResult<TerminalOf>;

    fn handle(&mut self, of: TerminalOf, ctx: &mut Context<Self>) -> Self::Result {
        if self.life != Life::Active {
            return MessageResult(None);
        }
        let merchant = ctx.address();
        let (merchant_id, around) = (self.merchant_id, self.around.clone());
        let terminal = self
            .terminals
            .entry(of.0)
            .or_insert_with(|| TerminalActor::new(of.0, merchant_id, merchant, around).start());
        MessageResult(Some(terminal.clone()))
    }
}

impl Handler<TerminalRetired> for MerchantActor {
    type Result = ();

    fn handle(&mut self, retired: TerminalRetired, _ctx: &mut Context<Self>) {
        self.terminals.remove(&retired.0);
    }
}

impl Handler<Stop> for MerchantActor {
    type Result = ();

    fn handle(&mut self, _stop: Stop, ctx: &mut Context<Self>) {
        self.life = Life::Seen;
        self.turn_away();
        ctx.stop();
    }
}
