//! The HTTP API: one route table, one pipeline in front of every handler, one envelope.
//!
//! Order of checks, the same for every route: trace id → admission (503) → authentication (401) →
//! rate (429) → scope and permission (403) → body (400, 413, 415, 422) → then the owner: key
//! look-up, ownership (404), validation (422), state (409). Handlers parse, ask and render; they
//! decide nothing.

mod admission;
mod call;
mod check;
pub mod code;
mod csv_table;
mod dispatch;
mod envelope;
mod form;
pub mod idempotency;
#[doc(hidden)]
pub mod json;
mod limiter;
mod list;
mod owners;
mod pairing_desk;
mod render;
mod resource;
pub mod route;
#[cfg(test)]
mod trial;
mod view;

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::web;
use protocol::id::{IncarnationId, MerchantId};

use crate::access::guard::Guard;
use crate::agent_link::registry::Registry;
use crate::clock::SharedClock;
use crate::config::Limits;
use crate::domain::sandbox::Policy;
use crate::domain::tip::TipLimits;
use crate::id_source::SystemIds;
use crate::query::Query;
use crate::tls::serving::Serving;

use admission::Admission;
use limiter::Limiter;
pub use owners::Owners;
use pairing_desk::PairingDesk;

/// Everything that handlers use.
#[derive(Debug)]
pub struct AppState {
    parts: Parts,
    admission: Admission,
    merchants: Limiter<MerchantId>,
    refused_credentials: Limiter<IpAddr>,
    pairing_attempts: Limiter<IpAddr>,
    pairing: PairingDesk,
}

/// What the API is put together from.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The owners.
    pub owners: Arc<dyn Owners>,
    /// Live links.
    pub registry: Registry,
    /// Who may do what.
    pub guard: Guard,
    /// Committed rows.
    pub query: Query,
    /// The engine's clock.
    pub clock: SharedClock,
    /// Trace ids and secrets.
    pub ids: SystemIds,
    /// This life of the database.
    pub incarnation: IncarnationId,
    /// Bounds on load.
    pub limits: Limits,
    /// Bounds on tips, as the owners apply them.
    pub tips: TipLimits,
    /// Whether faults may be asked for, as the owners apply it.
    pub sandbox: Policy,
    /// The certificate; absent where plain HTTP is spoken.
    pub tls: Option<Arc<Serving>>,
}

impl AppState {
    /// The state of the API. One per process, shared by every worker: limits count across them.
    pub fn new(parts: Parts) -> web::Data<Self> {
        let limits = parts.limits;
        // A burst of two seconds' worth lets a shop's tills start together; at least ten requests.
        let burst = (limits.merchant_requests_per_minute / 30).max(10);
        web::Data::new(Self {
            admission: Admission::new(limits.in_flight_max, limits.in_flight_per_merchant_max),
            merchants: Limiter::new(limits.merchant_requests_per_minute, burst),
            refused_credentials: Limiter::new(
                limits.refused_credentials_per_minute,
                limits.refused_credentials_per_minute,
            ),
            pairing_attempts: Limiter::new(
                limits.pairing_attempts_per_minute,
                limits.pairing_attempts_per_minute,
            ),
            pairing: PairingDesk::new(&limits),
            parts,
        })
    }

    /// The engine's clock.
    pub(crate) fn clock(&self) -> SharedClock {
        self.parts.clock.clone()
    }

    /// The certificate; absent where plain HTTP is spoken.
    pub(crate) fn tls(&self) -> Option<Arc<Serving>> {
        self.parts.tls.clone()
    }

    /// Refuses new requests with 503 from now on: the first step of stopping.
    pub fn close(&self) {
        self.admission.close();
    }

    /// How many requests are in work, waiting ones included.
    pub fn in_flight(&self) -> u32 {
        self.admission.in_flight()
    }
}

/// Adds every route of the table, and the answers for what is not in it. The table is walked here
/// rather than by the framework, which tries one regular expression after the other.
pub fn configure(state: web::Data<AppState>) -> impl FnOnce(&mut web::ServiceConfig) + Clone {
    move |config| {
        config.default_service(web::to(move |request, payload| {
            dispatch::serve(state.clone(), request, payload)
        }));
    }
}
