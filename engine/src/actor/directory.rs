//! Who owns a merchant, and how to ask.
//!
//! A seam: on several machines this is where another process's owner is found. No code outside may
//! assume that there is one process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use actix::{Actor, Addr, ArbiterHandle};
use protocol::id::{MerchantId, TerminalId};
use tokio::sync::oneshot;

use super::Surroundings;
use super::merchant::{AskMerchant, MerchantActor, Stop, TerminalOf};
use super::platform::{AskPlatform, PlatformActor};
use super::terminal::TerminalActor;
use crate::domain::rejection::Rejection;
use crate::owner::request::{ClaimRequest, PlatformAnswer, PlatformRequest, Reply, Request};

/// The owners of this process.
#[derive(Debug, Clone)]
pub struct Directory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    around: Surroundings,
    arbiters: Vec<ArbiterHandle>,
    platform: Addr<PlatformActor>,
    merchants: Mutex<BTreeMap<MerchantId, Addr<MerchantActor>>>,
}

impl Directory {
    /// Starts the platform's actor; merchants' actors start when they are first asked. At least one
    /// arbiter is needed.
    pub fn start(around: Surroundings, arbiters: Vec<ArbiterHandle>) -> Option<Self> {
        let first = arbiters.first()?;
        let platform_around = around.clone();
        let platform =
            PlatformActor::start_in_arbiter(first, |_| PlatformActor::new(platform_around));
        let merchants = Mutex::new(BTreeMap::new());
        Some(Self(Arc::new(Inner {
            around,
            arbiters,
            platform,
            merchants,
        })))
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
        // 0.7 µs. The last byte of a UUIDv7 is random.
        let arbiters = &self.0.arbiters;
        let at = usize::from(merchant_id.bytes()[15])
            .checked_rem(arbiters.len())
            .unwrap_or(0);
        let around = self.0.around.clone();
        let merchant = match arbiters.get(at) {
            Some(arbiter) => MerchantActor::start_in_arbiter(arbiter, move |_| {
                MerchantActor::new(merchant_id, around)
            }),
            None => MerchantActor::new(merchant_id, around).start(),
        };
        merchants.insert(merchant_id, merchant.clone());
        merchant
    }
}
