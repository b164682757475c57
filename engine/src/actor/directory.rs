//! Who owns a merchant, and how to ask.

use protocol::id::MerchantId;

use crate::domain::rejection::Rejection;
use crate::owner::request::{ClaimRequest, PlatformAnswer, PlatformRequest, Reply, Request};

/// The owners of this process. No code outside may assume that there is one process.
#[derive(Debug, Clone)]
pub struct Directory;

impl Directory {
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
        let _unused = (merchant_id, claim, request);
        Err(Rejection::Busy)
    }

    /// Asks the platform's owner.
    ///
    /// # Errors
    /// [`Rejection`].
    pub async fn ask_platform(
        &self,
        request: PlatformRequest,
    ) -> Result<PlatformAnswer, Rejection> {
        let _unused = request;
        Err(Rejection::Busy)
    }
}
