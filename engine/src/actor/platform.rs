//! The actor of the platform's owner.

use std::collections::BTreeMap;

use actix::{Actor, AsyncContext, Context, Handler, Message};
use tokio::sync::oneshot;

use super::shell::{Shell, StoreDone};
use super::{Surroundings, deliver};
use crate::domain::rejection::Rejection;
use crate::id_source::SystemIds;
use crate::owner::machine::{self, Input, Output};
use crate::owner::platform::{PlatformAsk, PlatformEffect, PlatformOwner};
use crate::owner::request::{CallerId, ClaimRequest, PlatformAnswer, PlatformRequest, Reply};

type ReplyTo = oneshot::Sender<Result<Reply<PlatformAnswer>, Rejection>>;

/// A request of the operator.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct AskPlatform {
    pub(crate) claim: Option<ClaimRequest<PlatformAnswer>>,
    pub(crate) request: PlatformRequest,
    pub(crate) reply_to: ReplyTo,
}

/// The actor.
#[derive(Debug)]
pub struct PlatformActor {
    around: Surroundings,
    shell: Shell<PlatformOwner>,
    callers: BTreeMap<CallerId, ReplyTo>,
    callers_made: u64,
}

impl PlatformActor {
    /// An actor that loads its owner when it is first asked.
    pub fn new(around: Surroundings) -> Self {
        Self {
            around,
            shell: Shell::new("platform".to_owned()),
            callers: BTreeMap::new(),
            callers_made: 0,
        }
    }

    fn feed(&mut self, ctx: &mut Context<Self>, input: Input<PlatformAsk>) {
        let store = self.around.store.clone();
        if self.shell.owner().is_none() {
            match PlatformOwner::load(store.as_ref()) {
                Ok(owner) => self.shell.put(owner),
                Err(fault) => {
                    tracing::error!(%fault, "platform owner was not loaded");
                    self.discard();
                    return;
                }
            }
        }
        let mut ids = SystemIds;
        let now = self.around.clock.now();
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
                Output::Effect(PlatformEffect::Publish(change)) => self.around.index.apply(change),
                Output::Effect(PlatformEffect::Answer { caller, reply }) => {
                    if let Some(reply_to) = self.callers.remove(&caller) {
                        reply_to.send(reply).ok();
                    }
                }
                Output::Discard(fault) => {
                    tracing::error!(%fault, "platform owner discarded");
                    self.discard();
                    return;
                }
            }
        }
        if fed.has_panicked {
            self.discard();
        }
    }

    fn discard(&mut self) {
        self.shell.discard();
        for (_, reply_to) in std::mem::take(&mut self.callers) {
            reply_to.send(Err(Rejection::Busy)).ok();
        }
    }
}

impl Actor for PlatformActor {
    type Context = Context<Self>;
}

impl Handler<AskPlatform> for PlatformActor {
    type Result = ();

    fn handle(&mut self, ask: AskPlatform, ctx: &mut Context<Self>) {
        self.callers_made += 1;
        let caller = CallerId(self.callers_made);
        self.callers.insert(caller, ask.reply_to);
        let ask = PlatformAsk {
            caller,
            claim: ask.claim,
            request: ask.request,
        };
        self.feed(ctx, Input::Outside(ask));
    }
}

impl Handler<StoreDone> for PlatformActor {
    type Result = ();

    fn handle(&mut self, done: StoreDone, ctx: &mut Context<Self>) {
        if done.generation != self.shell.generation() {
            return;
        }
        match done.fate {
            Ok(committed) => self.feed(ctx, Input::Committed(committed)),
            Err(refused) => {
                tracing::warn!(%refused, "commit refused");
                self.discard();
            }
        }
    }
}
