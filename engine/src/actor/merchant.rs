//! The actor of a merchant: feeds the owner, carries out what it emits.

use std::collections::BTreeMap;

use actix::{
    Actor, ActorContext as _, Addr, AsyncContext, Context, Handler, Message, MessageResult,
    Running, SpawnHandle,
};
use protocol::id::{MerchantId, TerminalId, TransactionId};
use protocol::link::ToAgent;
use tokio::sync::oneshot;

use super::directory::Home;
use super::shell::Shell;
use super::terminal::{FromMerchant, TerminalActor};
use super::{Surroundings, deliver, next_look, until};
use crate::acquirer::{self, AcquirerAnswer, AcquirerRequest, Sending};
use crate::agent_link::till_request;
use crate::domain::rejection::Rejection;
use crate::domain::time::Timestamp;
use crate::id_source::SystemIds;
use crate::owner::access_change::AccessChange;
use crate::owner::machine::{self, Decider as _, Input, Output, Owner};
use crate::owner::merchant::{Effect, MerchantInput, MerchantOwner, Misbehaviour, TerminalEvent};
use crate::owner::request::{Ask, CallerId, ClaimRequest, Reply, Request, TillCaller};
use crate::owner::terminal::TerminalInput;
use crate::store::{CommitRefused, Committed, Urgency};

/// Messages that wait before callers are turned away.
const MAILBOX_CAPACITY: usize = 1_024;

/// Between giving an owner up and loading it again. Arbitrary: short beside the seconds in which a
/// terminal reconnects, long enough that a disk that cannot be read is not asked in a loop.
const RELOAD_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

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
struct LastLook;

/// The end of this process's work: answers nobody, stops.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Stop;

/// The fate of the commit in flight.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct StoreDone {
    generation: u64,
    fate: Result<Committed, CommitRefused>,
}

/// The acquirer answered.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct AcquirerDone {
    transaction_id: TransactionId,
    sending: Sending,
    answer: AcquirerAnswer,
}

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

/// An owner that nobody needs is dropped. Its actor lives on while somebody has its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// It decides.
    Active,
    /// It passes on what still comes to its successor.
    Retired,
    /// Nobody has its address, and everything that came was seen.
    Seen,
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

    fn carry_out(&mut self, ctx: &mut Context<Self>, effect: Effect) {
        match effect {
            Effect::Answer { caller, reply } => self.answer(caller, reply),
            Effect::Welcome {
                terminal_id,
                label,
                currencies,
                prints_known,
            } => {
                self.to_terminal(
                    terminal_id,
                    TerminalInput::Welcome {
                        label,
                        currencies,
                        prints_known,
                    },
                );
            }
            Effect::RefuseLink {
                terminal_id,
                reason,
            } => self.to_terminal(terminal_id, TerminalInput::Refuse { reason }),
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

    fn answer(&mut self, caller: CallerId, reply: Result<Reply, Rejection>) {
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

    /// Looks once in a while whether anybody needs this owner. Costs the work itself nothing.
    fn watch(&self, ctx: &mut Context<Self>) {
        let idle_ms = self.around.limits.idle_ms;
        let now = self.around.clock.now();
        let at = next_look(now, self.busy_at, idle_ms);
        ctx.run_later(until(now, at), |actor, ctx| {
            let idle_ms = actor.around.limits.idle_ms;
            let is_idle = actor.around.clock.now().since_ms(actor.busy_at) >= idle_ms;
            if is_idle && actor.is_at_rest() {
                actor.retire(ctx);
            } else {
                actor.watch(ctx);
            }
        });
    }

    /// Whether nothing would be lost with this owner: nobody waits for it, nothing is in flight, and
    /// what it has in memory is what it would load.
    fn is_at_rest(&self) -> bool {
        let is_at_rest =
            |owner: &Owner<MerchantOwner>| owner.is_idle() && owner.decider().is_at_rest();
        self.callers.is_empty()
            && self.terminals.is_empty()
            && self.postponed == 0
            && self.timer.is_none()
            && self.shell.has_clean_record()
            && self.shell.owner().is_none_or(is_at_rest)
    }

    /// Leaves the merchant to a successor. Nothing of this owner is in flight, and it decides
    /// nothing from here on, so that the successor finds everything committed.
    fn retire(&mut self, ctx: &Context<Self>) {
        self.life = Life::Retired;
        self.shell.discard();
        self.home.retire(self.merchant_id, &ctx.address());
        tracing::debug!(merchant_id = %self.merchant_id, "owner has nothing to do and is dropped");
    }

    fn successor(&self) -> Option<Addr<Self>> {
        match self.life {
            Life::Active => None,
            Life::Retired | Life::Seen => self.home.successor(self.merchant_id),
        }
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
