//! The actor of a merchant: feeds the owner, and gives it up when it fails.
//!
//! Owns the way from an input to what the owner emits, its timer and who waits for an answer.

mod effect;
mod handler;
mod life;
mod message;

use std::collections::BTreeMap;

use actix::{Addr, AsyncContext, Context, SpawnHandle};
use protocol::id::{MerchantId, TerminalId};

use super::directory::Home;
use super::shell::{Shell, StoreDone};
use super::terminal::{FromMerchant, TerminalActor};
use super::{Surroundings, deliver, until};
use crate::domain::rejection::Rejection;
use crate::domain::time::Timestamp;
use crate::id_source::SystemIds;
use crate::owner::machine::{self, Decider as _, Input, Output, Owner};
use crate::owner::merchant::{MerchantInput, MerchantOwner};
use crate::owner::request::{Ask, CallerId, ClaimRequest, Request, TillCaller};
use crate::owner::terminal::TerminalInput;
use crate::store::Urgency;
use life::Life;
use message::ReplyTo;
pub(crate) use message::{
    AskFromTill, AskMerchant, FromTerminal, Stop, TerminalOf, TerminalRetired,
};

/// Between giving an owner up and loading it again. Arbitrary: short beside the seconds in which a
/// terminal reconnects, long enough that a disk that cannot be read is not asked in a loop.
const RELOAD_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Who waits for an answer.
enum Caller {
    Api(ReplyTo),
    Till(TillCaller),
}

/// The actor.
pub struct MerchantActor {
    merchant_id: MerchantId,
    around: Surroundings,
    shell: Shell<MerchantOwner>,
    callers: BTreeMap<CallerId, Caller>,
    callers_made: u64,
    terminals: BTreeMap<TerminalId, Addr<TerminalActor>>,
    timer: Option<(Timestamp, SpawnHandle)>,
    home: Home,
    /// When it last had anything to do.
    busy_at: Timestamp,
    /// Acts that wait for their time.
    postponed: usize,
    life: Life,
}

impl std::fmt::Debug for MerchantActor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("MerchantActor")
            .field("id", &self.merchant_id)
            .finish_non_exhaustive()
    }
}

impl MerchantActor {
    /// An actor that loads its owner when it starts.
    pub(super) fn new(merchant_id: MerchantId, around: Surroundings, home: Home) -> Self {
        Self {
            merchant_id,
            busy_at: around.clock.now(),
            around,
            home,
            postponed: 0,
            life: Life::Active,
            shell: Shell::new(merchant_id.to_string()),
            callers: BTreeMap::new(),
            callers_made: 0,
            terminals: BTreeMap::new(),
            timer: None,
        }
    }

    fn load(&mut self, ctx: &mut Context<Self>) -> bool {
        let store = self.around.store.clone();
        match MerchantOwner::load(self.merchant_id, self.around.limits, store.as_ref()) {
            Ok(Some(owner)) => {
                self.shell.put(owner);
                self.feed(ctx, Input::Resume);
            }
            Ok(None) => tracing::error!(merchant_id = %self.merchant_id, "merchant has no row"),
            Err(fault) => {
                tracing::error!(merchant_id = %self.merchant_id, %fault, "owner was not loaded");
            }
        }
        self.shell.owner().is_some()
    }

    /// Gives the owner one input and carries out everything that it emits.
    fn feed(&mut self, ctx: &mut Context<Self>, input: Input<MerchantInput>) {
        if self.shell.owner().is_none() && !self.load(ctx) {
            self.turn_away();
            return;
        }
        let mut ids = SystemIds;
        let store = self.around.store.clone();
        let now = self.around.clock.now();
        self.busy_at = now;
        let mut around = machine::Surroundings {
            now,
            ids: &mut ids,
            rows: store.as_ref(),
        };
        let fed = self.shell.feed(input, &mut around);
        for output in fed.outputs {
            match output {
                Output::Commit(commit) => {
                    let (actor, generation) = (ctx.address(), self.shell.generation());
                    let done = move |fate| deliver(&actor, StoreDone { generation, fate });
                    self.around.store.commit(commit, Box::new(done));
                }
                Output::Effect(effect) => self.carry_out(ctx, effect),
                Output::Discard(fault) => {
                    tracing::error!(merchant_id = %self.merchant_id, %fault, "owner discarded");
                    self.discard(ctx);
                    return;
                }
            }
        }
        if fed.has_panicked {
            self.discard(ctx);
        } else {
            self.set_timer(ctx);
        }
    }

    /// Gives the owner up; it is built anew from what is committed. Everybody who waits is turned
    /// away; links begin again, because what was sent on them may not be committed. Of what was
    /// not committed only the acquirer's word is worth keeping.
    fn discard(&mut self, ctx: &mut Context<Self>) {
        self.turn_away();
        let owner = self.shell.discard();
        let kept: Vec<MerchantInput> = owner
            .map(|owner| owner.into_kept().collect())
            .unwrap_or_default();
        for terminal in self.terminals.values() {
            deliver(
                terminal,
                FromMerchant(TerminalInput::Reset { is_renewed: false }),
            );
        }
        self.postponed += 1;
        ctx.run_later(RELOAD_PAUSE, |actor, ctx| {
            actor.postponed -= 1;
            for input in kept {
                actor.feed(ctx, Input::Outside(input));
            }
            if actor.shell.owner().is_none() {
                actor.load(ctx);
            }
        });
    }

    /// Answers everybody who waits. Nothing has moved for them, except where an operation is
    /// committed and goes on: that outcome is not known.
    fn turn_away(&mut self) {
        let open = self
            .shell
            .owner()
            .map(|owner| owner.decider().callers_of_open_operations());
        for caller in open.unwrap_or_default() {
            self.answer(caller, Err(Rejection::Internal));
        }
        for (caller_id, caller) in std::mem::take(&mut self.callers) {
            self.callers.insert(caller_id, caller);
            self.answer(caller_id, Err(Rejection::Busy));
        }
    }

    fn ask(
        &mut self,
        ctx: &mut Context<Self>,
        caller: CallerId,
        claim: Option<ClaimRequest>,
        request: Request,
    ) {
        let input = MerchantInput::Ask(Ask {
            caller,
            claim,
            request,
        });
        if MerchantOwner::urgency(&input) == Urgency::New && self.around.store.is_exhausted() {
            self.answer(caller, Err(Rejection::Busy));
        } else {
            self.feed(ctx, Input::Outside(input));
        }
    }

    fn new_caller(&mut self, caller: Caller) -> CallerId {
        self.callers_made += 1;
        let caller_id = CallerId(self.callers_made);
        self.callers.insert(caller_id, caller);
        caller_id
    }

    fn set_timer(&mut self, ctx: &mut Context<Self>) {
        let Some(deadline) = self.deadline() else {
            return;
        };
        // Deadlines mostly move on: a timer that is early looks again, and costs less than a new
        // one for each message.
        if self.timer.is_some_and(|(at, _)| at <= deadline) {
            return;
        }
        if let Some((_, handle)) = self.timer.take() {
            ctx.cancel_future(handle);
        }
        let pause = until(self.around.clock.now(), deadline);
        let handle = ctx.run_later(pause, |actor, ctx| {
            actor.timer = None;
            let now = actor.around.clock.now();
            if actor.deadline().is_some_and(|at| at <= now) {
                actor.feed(ctx, Input::Deadline);
            } else {
                actor.set_timer(ctx);
            }
        });
        self.timer = Some((deadline, handle));
    }

    /// When the owner has something to do by itself.
    fn deadline(&self) -> Option<Timestamp> {
        self.shell.owner().and_then(Owner::poll_deadline)
    }
}
