//! A small world: one partner, two merchants, a terminal, fake owners that answer what they are
//! told to, and a way to call the API.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use actix_web::http::header::HeaderMap;
use actix_web::http::{Method, StatusCode};
use actix_web::test::{self, TestRequest};
use actix_web::{App, web};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use protocol::id::{ApiKeyId, IncarnationId, MerchantId, PartnerId, PosTransactionId, TerminalId};
use protocol::link::PosKind;
use protocol::money::{Currency, Money};
use serde_json::Value;
use uuid::Uuid;

use crate::access::guard::Guard;
use crate::access::index::AccessIndex;
use crate::agent_link::registry::Registry;
use crate::clock::Clock;
use crate::config::Limits;
use crate::domain::idempotency::{ClaimKey, Fingerprint, StoredAnswer};
use crate::domain::installation::Installations;
use crate::domain::merchant::{DeviceKey, Merchant, Partner, Terminal};
use crate::domain::permission::Allowlist;
use crate::domain::pos::{Origin, PosTransaction, Stage};
use crate::domain::rejection::Rejection;
use crate::domain::sandbox::Policy;
use crate::domain::scope::{Scope, ScopeSet};
use crate::domain::time::Timestamp;
use crate::domain::tip::TipLimits;
use crate::domain::token::{ApiKey, Secret, SecretHash};
use crate::http::{AppState, Owners, Parts, configure};
use crate::id_source::SystemIds;
use crate::owner::access_change::AccessChange;
use crate::owner::key;
use crate::owner::request::{
    Answer, ClaimRequest, PlatformAnswer, PlatformRequest, Reply, Request,
};
use crate::owner::terminal::Freshness;
use crate::query::Query;
use crate::query::fake::FakeStore;

pub(super) const T0: Timestamp = Timestamp(1_700_000_000_000);
pub(super) const OPERATOR: &str = "tw_operator_for_tests";

/// A clock that tests set.
#[derive(Debug)]
pub(super) struct FakeClock(AtomicI64);

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// Owners that give the answers that tests queue, and keep the rule of idempotency keys.
#[derive(Debug, Default)]
pub(super) struct FakeOwners {
    pub(super) answers: Mutex<VecDeque<Result<Answer, Rejection>>>,
    pub(super) platform_answers: Mutex<VecDeque<Result<PlatformAnswer, Rejection>>>,
    pub(super) asked: Mutex<Vec<(MerchantId, Request)>>,
    pub(super) platform_asked: Mutex<Vec<PlatformRequest>>,
    /// What tills that are asked how they are come to; without one they are not asked.
    pub(super) freshness: Mutex<Option<Freshness>>,
    claims: Mutex<BTreeMap<ClaimKey, (Fingerprint, StoredAnswer)>>,
}

impl FakeOwners {
    fn reply(
        &self,
        merchant_id: MerchantId,
        claim: Option<ClaimRequest>,
        request: Request,
    ) -> Result<Reply, Rejection> {
        self.asked.lock().unwrap().push((merchant_id, request));
        let mut claims = self.claims.lock().unwrap();
        if let Some(claim) = &claim
            && let Some((fingerprint, stored)) = claims.get(&claim.key)
        {
            return match *fingerprint == claim.fingerprint {
                true => Ok(Reply::Replayed(stored.clone())),
                false => Err(Rejection::IdempotencyConflict),
            };
        }
        let answer = self.answers.lock().unwrap().pop_front();
        let answer = answer.expect("the test has queued an answer")?;
        if let Some(claim) = claim {
            claims.insert(claim.key, (claim.fingerprint, (claim.render)(&answer)));
        }
        Ok(Reply::Fresh(answer))
    }
}

impl Owners for FakeOwners {
    fn refresh(&self, _: MerchantId, _: TerminalId) -> LocalBoxFuture<'_, Freshness> {
        let freshness = self.freshness.lock().unwrap().take();
        async move { freshness.expect("the test expects a till to be asked") }.boxed_local()
    }

    fn ask(
        &self,
        merchant_id: MerchantId,
        claim: Option<ClaimRequest>,
        request: Request,
    ) -> LocalBoxFuture<'_, Result<Reply, Rejection>> {
        async move { self.reply(merchant_id, claim, request) }.boxed_local()
    }

    fn ask_platform(
        &self,
        _claim: Option<ClaimRequest<PlatformAnswer>>,
        request: PlatformRequest,
    ) -> LocalBoxFuture<'_, Result<Reply<PlatformAnswer>, Rejection>> {
        self.platform_asked.lock().unwrap().push(request);
        let answer = self.platform_answers.lock().unwrap().pop_front();
        async move {
            answer
                .expect("the test has queued an answer")
                .map(Reply::Fresh)
        }
        .boxed_local()
    }
}

/// An answer of the API.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Vec<u8>,
}

impl Got {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).expect("an answer in JSON")
    }

    pub(super) fn data(&self) -> Value {
        let mut json = self.json();
        assert_eq!(json["success"], true, "{json}");
        json["data"].take()
    }

    /// The error, after checking everything that every error has.
    pub(super) fn error(&self) -> Value {
        let mut json = self.json();
        assert_eq!(json["success"], false, "{json}");
        let error = json["error"].take();
        let trace_id = self.header("x-trace-id").expect("a trace id");
        assert_eq!(error["details"]["trace_id"], trace_id.as_str());
        assert!(error["details"]["retryable"].is_boolean());
        assert!(!error["message"].as_str().unwrap_or_default().is_empty());
        error
    }

    pub(super) fn code(&self) -> String {
        self.error()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn header(&self, name: &str) -> Option<String> {
        let value = self.headers.get(name)?;
        Some(value.to_str().ok()?.to_owned())
    }
}

/// The API and what is behind it.
pub(super) struct World {
    pub(super) state: web::Data<AppState>,
    pub(super) owners: Arc<FakeOwners>,
    pub(super) store: Arc<FakeStore>,
    pub(super) index: AccessIndex,
    clock: Arc<FakeClock>,
}

pub(super) fn merchant_id(number: u128) -> MerchantId {
    MerchantId::from_uuid(Uuid::from_u128(number))
}

pub(super) fn terminal_id() -> TerminalId {
    TerminalId::from_uuid(Uuid::from_u128(50))
}

pub(super) fn usd(minor: i64) -> Money {
    Money::new(minor, usd_currency())
}

fn usd_currency() -> Currency {
    "USD".parse().unwrap()
}

fn partner_id() -> PartnerId {
    PartnerId::from_uuid(Uuid::from_u128(70))
}

pub(super) fn every_scope() -> ScopeSet {
    Scope::ALL.iter().copied().collect()
}

pub(super) fn merchant(number: u128) -> Merchant {
    Merchant {
        id: merchant_id(number),
        partner_id: (number == 1).then(partner_id),
        name: "Corner Shop".into(),
        address: vec!["1 High Street".into()],
        phone: None,
        currencies: vec![usd_currency()],
        utc_offset_minutes: 60,
        created_at: T0,
    }
}

pub(super) fn terminal() -> Terminal {
    Terminal {
        id: terminal_id(),
        merchant_id: merchant_id(1),
        label: "Lane 1".into(),
        serial_number: None,
        device_key: Some(DeviceKey([1; 32])),
        paired_at: Some(T0),
        installations: Installations::default(),
        created_at: T0,
        location: None,
        own: crate::domain::terminal_settings::Versioned::default(),
    }
}

/// The id that UUIDv7 gives at `at`, told apart by `number`.
pub(super) fn id_at(at: Timestamp, number: u128) -> Uuid {
    let millis = u128::try_from(at.0).unwrap();
    Uuid::from_u128((millis << 80) | (0x7 << 76) | (0x2 << 62) | number)
}

pub(super) fn pos(number: u128, created_at: Timestamp) -> PosTransaction {
    PosTransaction {
        id: PosTransactionId::from_uuid(id_at(created_at, number)),
        merchant_id: merchant_id(1),
        terminal_id: terminal_id(),
        kind: PosKind::Sale,
        base: usd(1_234),
        tip: None,
        tip_prompt: None,
        reference: Some(format!("order {number}")),
        accept_partial: false,
        origin: Origin::Api(ApiKeyId::from_uuid(Uuid::from_u128(1))),
        created_at,
        updated_at: created_at,
        revision: 1,
        stage: Stage::Offered,
        deadline: Some(created_at.plus_ms(5_000)),
        retry_until: created_at.plus_ms(60_000),
        attempts: Vec::new(),
        cancel: None,
        approved: None,
        reversing_for: None,
        next_action_at: None,
        outcome: None,
    }
}

impl World {
    pub(super) fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    pub(super) fn with_limits(limits: Limits) -> Self {
        let index = AccessIndex::default();
        let store = Arc::new(FakeStore::default());
        let owners = Arc::new(FakeOwners::default());
        let clock = Arc::new(FakeClock(AtomicI64::new(T0.0)));
        let state = AppState::new(Parts {
            owners: owners.clone(),
            registry: Registry::default(),
            guard: Guard::new(index.clone(), SecretHash::of(OPERATOR.as_bytes())),
            query: Query::new(store.clone(), limits.queries_at_once),
            clock: clock.clone(),
            ids: SystemIds,
            incarnation: IncarnationId::from_uuid(Uuid::from_u128(3)),
            limits,
            tips: TipLimits::default(),
            sandbox: Policy::On {
                allows_engine_restart: false,
            },
            tls: None,
        });
        let world = Self {
            state,
            owners,
            store,
            index,
            clock,
        };
        world.set_allowlist(Allowlist::full());
        for number in [1, 2] {
            let merchant = merchant(number);
            world.store.put(key::merchant(merchant.id), &merchant);
            let change = AccessChange::Merchant(Box::new(merchant));
            world.index.apply(change);
        }
        let terminal = terminal();
        let key = key::terminal(terminal.merchant_id, terminal.id);
        world.store.put(key, &terminal);
        let change = AccessChange::Terminal(Box::new(terminal));
        world.index.apply(change);
        world
    }

    pub(super) fn set_allowlist(&self, allowlist: Allowlist) {
        self.index.apply(AccessChange::Partner(Box::new(Partner {
            id: partner_id(),
            name: "Partner".into(),
            allowlist,
            created_at: T0,
            updated_at: T0,
        })));
    }

    /// The bearer token of a merchant's key with these scopes.
    pub(super) fn token(&self, merchant: u128, scopes: ScopeSet) -> String {
        let id = ApiKeyId::from_uuid(SystemIds.uuid());
        let secret = Secret::new("5e".repeat(32));
        self.index.apply(AccessChange::ApiKey(Box::new(ApiKey {
            id,
            merchant_id: merchant_id(merchant),
            label: "key".into(),
            hash: SecretHash::of(secret.expose().as_bytes()),
            scopes,
            created_at: T0,
            expires_at: None,
            revoked_at: None,
        })));
        ApiKey::text(id, &secret).expose().to_owned()
    }

    pub(super) fn put_pos(&self, pos: &PosTransaction) {
        self.store.put(key::pos(pos.merchant_id, pos.id), pos);
    }

    pub(super) fn will_answer(&self, answer: Result<Answer, Rejection>) {
        self.owners.answers.lock().unwrap().push_back(answer);
    }

    /// How often owners were asked anything.
    pub(super) fn asked(&self) -> usize {
        self.owners.asked.lock().unwrap().len() + self.owners.platform_asked.lock().unwrap().len()
    }

    pub(super) fn pass_ms(&self, ms: i64) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
    }

    pub(super) async fn send(&self, request: TestRequest) -> Got {
        let app = test::init_service(App::new().configure(configure(self.state.clone()))).await;
        let request = request.peer_addr("127.0.0.1:40000".parse().unwrap());
        let response = test::call_service(&app, request.to_request()).await;
        Got {
            status: response.status(),
            headers: response.headers().clone(),
            bytes: test::read_body(response).await.to_vec(),
        }
    }

    pub(super) async fn get(&self, token: &str, path: &str) -> Got {
        let request = TestRequest::get().uri(path);
        self.send(request.insert_header(("Authorization", format!("Bearer {token}"))))
            .await
    }

    pub(super) async fn post(&self, token: &str, path: &str, key: Option<&str>, body: &str) -> Got {
        self.write(Method::POST, token, path, key, body).await
    }

    pub(super) async fn write(
        &self,
        method: Method,
        token: &str,
        path: &str,
        key: Option<&str>,
        body: &str,
    ) -> Got {
        let mut request = TestRequest::with_uri(path)
            .method(method)
            .insert_header(("Authorization", format!("Bearer {token}")))
            .insert_header(("Content-Type", "application/json"))
            .set_payload(body.to_owned());
        if let Some(key) = key {
            request = request.insert_header(("X-Idempotency-Key", key));
        }
        self.send(request).await
    }
}
