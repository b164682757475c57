//! The door to the owners, as handlers see it. A trait, so that the API can be tried without
//! actors, and so that nothing here assumes that owners live in this process.

use std::fmt;

use futures_util::future::LocalBoxFuture;
use protocol::id::{MerchantId, TerminalId};

use crate::actor::directory::Directory;
use crate::domain::rejection::Rejection;
use crate::owner::request::{ClaimRequest, PlatformAnswer, PlatformRequest, Reply, Request};
use crate::owner::terminal::Freshness;

/// Whom to ask.
pub trait Owners: fmt::Debug + Send + Sync {
    /// Asks a merchant's owner and waits for its one answer.
    fn ask(
        &self,
        merchant_id: MerchantId,
        claim: Option<ClaimRequest>,
        request: Request,
    ) -> LocalBoxFuture<'_, Result<Reply, Rejection>>;

    /// Asks the platform's owner.
    fn ask_platform(
        &self,
        claim: Option<ClaimRequest<PlatformAnswer>>,
        request: PlatformRequest,
    ) -> LocalBoxFuture<'_, Result<Reply<PlatformAnswer>, Rejection>>;

    /// Asks a terminal's till how it is now; the registry has what it says. Bounded in time.
    fn refresh(
        &self,
        merchant_id: MerchantId,
        terminal_id: TerminalId,
    ) -> LocalBoxFuture<'_, Freshness>;
}

impl Owners for Directory {
    fn ask(
        &self,
        merchant_id: MerchantId,
        claim: Option<ClaimRequest>,
        request: Request,
    ) -> LocalBoxFuture<'_, Result<Reply, Rejection>> {
        Box::pin(Self::ask(self, merchant_id, claim, request))
    }

    fn ask_platform(
        &self,
        claim: Option<ClaimRequest<PlatformAnswer>>,
        request: PlatformRequest,
    ) -> LocalBoxFuture<'_, Result<Reply<PlatformAnswer>, Rejection>> {
        Box::pin(Self::ask_platform(self, claim, request))
    }

    fn refresh(
        &self,
        merchant_id: MerchantId,
        terminal_id: TerminalId,
    ) -> LocalBoxFuture<'_, Freshness> {
        Box::pin(Self::refresh(self, merchant_id, terminal_id))
    }
}
