//! How long an owner stays in memory: looked at once in a while, dropped when nobody needs it.
//!
//! Owns idling and retiring. It never drops anything that a successor would not find committed.

use actix::{Addr, AsyncContext, Context};

use super::MerchantActor;
use crate::actor::{next_look, until};
use crate::owner::machine::Owner;
use crate::owner::merchant::MerchantOwner;

/// An owner that nobody needs is dropped. Its actor lives on while somebody has its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// It decides.
    Active,
    /// It passes on what still comes to its successor.
    Retired,
    /// Nobody has its address, and everything that came was seen.
    Seen,
}

impl MerchantActor {
    /// Looks once in a while whether anybody needs this owner. Costs the work itself nothing.
    pub(super) fn watch(&self, ctx: &mut Context<Self>) {
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

    pub(super) fn successor(&self) -> Option<Addr<Self>> {
        match self.life {
            Life::Active => None,
            Life::Retired | Life::Seen => self.home.successor(self.merchant_id),
        }
    }
}
