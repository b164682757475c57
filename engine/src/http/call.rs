//! One request after the pipeline: who asks, what for, and how to ask the owners.

use std::net::IpAddr;
use std::str::FromStr;

use actix_web::web;
use protocol::id::{ApiKeyId, MerchantId};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::access::operation::Operation;
use crate::access::principal::Principal;
use crate::domain::rejection::Rejection;
use crate::domain::time::Timestamp;
use crate::owner::request::{Answer, ClaimRequest, PlatformRequest, Reply, Request};

use super::code::{Code, ErrorAnswer};
use super::envelope::Success;
use super::form;
use super::idempotency;
use super::render;
use super::route::Route;
use super::{AppState, Parts};

/// What a handler returns.
pub(super) type Handled = Result<Success, ErrorAnswer>;

/// One request.
pub(super) struct Call {
    pub(super) state: web::Data<AppState>,
    pub(super) route: &'static Route,
    pub(super) caller: Option<Principal>,
    /// Path parameters, in the order of the path.
    pub(super) path: Vec<(String, String)>,
    pub(super) query: String,
    /// Whether the answer is wanted as CSV, where there is one.
    pub(super) wants_csv: bool,
    pub(super) body: Value,
    pub(super) key: Option<String>,
    pub(super) address: Option<IpAddr>,
    pub(super) now: Timestamp,
}

impl Call {
    /// What the API is put together from.
    pub(super) fn parts(&self) -> &Parts {
        &self.state.parts
    }

    /// The merchant whose credential was sent.
    pub(super) fn merchant_id(&self) -> Result<MerchantId, ErrorAnswer> {
        let merchant_id = self.caller.as_ref().and_then(Principal::merchant_id);
        merchant_id.ok_or_else(ErrorAnswer::unauthorized)
    }

    /// The API key that was sent.
    pub(super) fn key_id(&self) -> Result<ApiKeyId, ErrorAnswer> {
        match &self.caller {
            Some(Principal::Merchant { key_id, .. }) => Ok(*key_id),
            _ => Err(ErrorAnswer::unauthorized()),
        }
    }

    /// An id in the path. What cannot be an id does not exist.
    pub(super) fn path_id<T: FromStr>(&self, name: &str) -> Result<T, ErrorAnswer> {
        self.path
            .iter()
            .find(|(found, _)| found == name)
            .and_then(|(_, text)| text.parse().ok())
            .ok_or_else(|| Rejection::NotFound.into())
    }

    /// The body as a form.
    pub(super) fn form<T: DeserializeOwned>(&self) -> Result<T, ErrorAnswer> {
        Ok(form::from_json(&self.body)?)
    }

    /// The pairs of the query string.
    pub(super) fn query_pairs(&self) -> Result<Vec<(String, String)>, ErrorAnswer> {
        web::Query::<Vec<(String, String)>>::from_query(&self.query)
            .map(web::Query::into_inner)
            .map_err(|_| ErrorAnswer::new(Code::BadRequest, "The query string is malformed."))
    }

    /// The query string as a form.
    pub(super) fn query<T: DeserializeOwned>(&self) -> Result<T, ErrorAnswer> {
        Ok(form::from_query(self.query_pairs()?)?)
    }

    /// Checks another operation that the body asks for besides that of the route.
    pub(super) fn also(&self, operation: Operation) -> Result<(), ErrorAnswer> {
        let caller = self.caller.as_ref().ok_or_else(ErrorAnswer::unauthorized)?;
        Ok(self.parts().guard.authorize(caller, operation)?)
    }

    /// Asks the caller's merchant's owner and renders its answer.
    pub(super) async fn ask(&self, request: Request) -> Handled {
        let merchant_id = self.merchant_id()?;
        self.ask_of(merchant_id, request).await
    }

    /// Asks the platform's owner and renders its answer.
    pub(super) async fn ask_platform(&self, request: PlatformRequest) -> Handled {
        let claim = self.key.as_deref().map(|key| ClaimRequest {
            key: idempotency::operator_claim_key(key),
            fingerprint: idempotency::fingerprint(self.route.operation, &self.path, &self.body),
            render: render::of_platform,
        });
        Ok(
            match self.parts().owners.ask_platform(claim, request).await? {
                Reply::Fresh(answer) => {
                    let answer = render::of_platform(&answer);
                    Success::rendered(answer.status, answer.body)
                }
                Reply::Replayed(stored) => Success {
                    is_replay: true,
                    ..Success::rendered(stored.status, stored.body)
                },
            },
        )
    }

    /// Asks a merchant's owner and renders its answer.
    pub(super) async fn ask_of(&self, merchant_id: MerchantId, request: Request) -> Handled {
        let reply = self.reply_of(merchant_id, request).await?;
        let (answer, is_replay) = match reply {
            Reply::Fresh(answer) => (render::fresh(&answer), false),
            Reply::Replayed(stored) => (stored, true),
        };
        Ok(Success {
            is_replay,
            ..Success::rendered(answer.status, answer.body)
        })
    }

    /// Asks a merchant's owner and expects a first answer, for requests that take no key.
    pub(super) async fn answer_of(
        &self,
        merchant_id: MerchantId,
        request: Request,
    ) -> Result<Answer, ErrorAnswer> {
        match self.reply_of(merchant_id, request).await? {
            Reply::Fresh(answer) => Ok(answer),
            Reply::Replayed(_) => {
                tracing::error!("an owner repeated an answer without a key");
                Err(ErrorAnswer::internal())
            }
        }
    }

    /// A parameter in the path, as it stands there.
    pub(super) fn path_text(&self, name: &str) -> &str {
        let found = self.path.iter().find(|(found, _)| found == name);
        found.map_or("", |(_, text)| text)
    }

    /// Asks a merchant's owner for one part of what the request asks for. Each part has a key of
    /// its own made of the request's, so that a repeat makes what is missing and nothing twice.
    pub(super) async fn reply_of_part(
        &self,
        merchant_id: MerchantId,
        part: usize,
        request: Request,
    ) -> Result<Reply, ErrorAnswer> {
        let claim = self.key.as_deref().map(|key| ClaimRequest {
            key: idempotency::part_claim_key(merchant_id, key, part),
            fingerprint: idempotency::fingerprint(self.route.operation, &self.path, &self.body),
            render: render::stored,
        });
        Ok(self.parts().owners.ask(merchant_id, claim, request).await?)
    }

    async fn reply_of(
        &self,
        merchant_id: MerchantId,
        request: Request,
    ) -> Result<Reply, ErrorAnswer> {
        let claim = self.key.as_deref().map(|key| ClaimRequest {
            key: idempotency::claim_key(merchant_id, key),
            fingerprint: idempotency::fingerprint(self.route.operation, &self.path, &self.body),
            render: render::stored,
        });
        Ok(self.parts().owners.ask(merchant_id, claim, request).await?)
    }
}
