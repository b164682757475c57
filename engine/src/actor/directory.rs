//! Who owns a merchant, and how to ask.
//!
//! A seam: on several machines this is where another process's owner is found. No code outside may
//! assume that there is one process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use actix::{Actor, Addr, Arbiter, ArbiterHandle};
use protocol::id::{MerchantId, TerminalId};
use tokio::sync::oneshot;

use super::Surroundings;
use super::merchant::{AskMerchant, MerchantActor, Stop, TerminalOf};
use super::platform::{AskPlatform, PlatformActor};
use super::terminal::TerminalActor;
use crate::domain::rejection::Rejection;
use crate::owner::request::{ClaimRequest, PlatformAnswer, PlatformRequest, Reply, Request};

/// The threads that owners live on: those that serve sockets, so that half of what passes between a
/// socket and an owner does not leave its thread.
#[derive(Debug, Clone, Default)]
pub struct Arbiters(Arc<RwLock<Vec<ArbiterHandle>>>);

impl Arbiters {
    /// Adds the calling thread, and forgets those that have ended.
    pub fn join(&self) {
        let mut arbiters = self.0.write().unwrap_or_else(PoisonError::into_inner);
        arbiters.retain(|arbiter| arbiter.spawn_fn(|| {}));
        arbiters.push(Arbiter::current());
    }

    /// The one of a merchant, by the last byte of its id: in a UUIDv7 that is random.
    fn of(&self, merchant_id: MerchantId) -> Option<ArbiterHandle> {
        let arbiters = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let at = usize::from(merchant_id.bytes()[15]).checked_rem(arbiters.len())?;
        arbiters.get(at).cloned()
    }
}

/// The owners of this process.
#[derive(Debug, Clone)]
pub struct Directory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    around: Surroundings,
    arbiters: Arbiters,
    platform: Addr<PlatformActor>,
    merchants: Mutex<BTreeMap<MerchantId, Addr<MerchantActor>>>,
}

impl Directory {
    /// Starts the platform's actor on this thread; merchants' actors start when they are first
    /// asked, on the threads that have joined by then.
    pub fn start(around: Surroundings, arbiters: Arbiters) -> Self {
        let platform = PlatformActor::new(around.clone()).start();
        let merchants = Mutex::new(BTreeMap::new());
        Self(Arc::new(Inner {
            around,
            arbiters,
            platform,
            merchants,
        }))
    }

    /// Asks a merchant's owner and waits for its one answer.
    ///
    /// # Errors
    /// [`Rejection`]; `Busy` when the owner has too much to do already.
    pub async fn ask(
        &self,
        merchant_id: MerchantId,
        claim: Option<ClaimRequest>,
        request: Request,
    ) -> Result<Reply, Rejection> {
        let (reply_to, reply) = oneshot::channel();
        let merchant = self.merchant(merchant_id);
        if merchant
            .try_send(AskMerchant {
                claim,
                request,
                reply_to,
            })
            .is_err()
        {
            return Err(Rejection::Busy);
        }
        reply.await.unwrap_or(Err(Rejection::Busy))
    }

    /// Asks the platform's owner.
    ///
    /// # Errors
    /// [`Rejection`].
    pub async fn ask_platform(
        &self,
        claim: Option<ClaimRequest<PlatformAnswer>>,
        request: PlatformRequest,
    ) -> Result<Reply<PlatformAnswer>, Rejection> {
        let (reply_to, reply) = oneshot::channel();
        if self
            .0
            .platform
            .try_send(AskPlatform {
                claim,
                request,
                reply_to,
            })
            .is_err()
        {
            return Err(Rejection::Busy);
        }
        reply.await.unwrap_or(Err(Rejection::Busy))
    }

    /// The actor of a terminal.
    ///
    /// # Errors
    /// `Busy` when the merchant's owner has too much to do already.
    pub(crate) async fn terminal(
        &self,
        merchant_id: MerchantId,
        terminal_id: TerminalId,
    ) -> Result<Addr<TerminalActor>, Rejection> {
        let merchant = self.merchant(merchant_id);
        merchant
            .send(TerminalOf(terminal_id))
            .await
            .map_err(|_| Rejection::Busy)
    }

    /// Starts the owners that have open work: nobody may have to ask before somebody is asking the
    /// acquirer.
    pub fn wake(&self, merchants: impl IntoIterator<Item = MerchantId>) {
        for merchant_id in merchants {
            self.merchant(merchant_id);
        }
    }

    /// Turns everybody away and stops the owners.
    pub fn stop(&self) {
        for merchant in self.merchants().values() {
            super::deliver(merchant, Stop);
        }
    }

    fn merchants(&self) -> std::sync::MutexGuard<'_, BTreeMap<MerchantId, Addr<MerchantActor>>> {
        self.0
            .merchants
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn merchant(&self, merchant_id: MerchantId) -> Addr<MerchantActor> {
        let mut merchants = self.merchants();
        if let Some(merchant) = merchants.get(&merchant_id)
            && merchant.connected()
        {
            return merchant.clone();
        }
        // A merchant and its terminals share one arbiter: a wake-up across costs 66 µs, within
        // 0.7 µs.
        let around = self.0.around.clone();
        let merchant = match self.0.arbiters.of(merchant_id) {
            Some(arbiter) => MerchantActor::start_in_arbiter(&arbiter, move |_| {
                MerchantActor::new(merchant_id, around)
            }),
            None => MerchantActor::new(merchant_id, around).start(),
        };
        merchants.insert(merchant_id, merchant.clone());
        merchant
    }
}
