//! The pipeline in front of every handler, in its fixed order.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{self, Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::FutureExt;
use serde_json::{Map, Value};
use tracing::Instrument;

use crate::access::operation::Audience;
use crate::access::principal::Principal;
use crate::domain::rejection::Rejection;
use crate::domain::time::Timestamp;

use super::AppState;
use super::call::{Call, Handled};
use super::code::{Code, ErrorAnswer};
use super::envelope::error_response;
use super::idempotency;
use super::json;
use super::route::{self, Found, Parameters, Route};

/// How long a body may take to arrive. Arbitrary, bounded: a slow sender must not hold a place.
const BODY_WAIT: Duration = Duration::from_secs(10);

/// Answers a request, whatever it is for.
pub(super) async fn serve(
    state: web::Data<AppState>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    match route::find(request.method(), request.match_info().as_str()) {
        Found::Route(route, path) => answer(state, (route, path), request, payload).await,
        Found::OtherMethods(allowed) => method_not_allowed(&state, &allowed),
        Found::Nothing => no_such_route(&state),
    }
}

/// A route, and the parameters in its path.
type Place = (&'static Route, Parameters);

/// Answers a request for a route of the table.
async fn answer(
    state: web::Data<AppState>,
    (route, path): Place,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let trace_id = state.parts.ids.trace_id();
    let began_at = state.parts.clock.now();
    let clock = state.parts.clock.clone();
    let operation = route.operation;
    let span = tracing::info_span!("request", %trace_id, operation = operation.name());
    async move {
        let work = admitted(state, (route, path), request, payload, began_at);
        // A panic in one request must not take others with it, and its caller gets an answer.
        let handled = AssertUnwindSafe(work).catch_unwind().await;
        let handled = handled.unwrap_or_else(|_| {
            tracing::error!("the handler panicked");
            Err(ErrorAnswer::internal())
        });
        let response = match handled {
            Ok(success) => success.into_response(trace_id),
            Err(error) => error_response(error, trace_id, operation.moves_money()),
        };
        let duration_ms = clock.now().since_ms(began_at);
        tracing::info!(
            status = response.status().as_u16(),
            duration_ms,
            "{} {}",
            route.verb.name(),
            route.path
        );
        response
    }
    .instrument(span)
    .await
}

/// Answers a request for a path that is not in the table.
fn no_such_route(state: &AppState) -> HttpResponse {
    let trace_id = state.parts.ids.trace_id();
    error_response(Rejection::NotFound.into(), trace_id, false)
}

/// Answers a request with a method that the path does not have.
fn method_not_allowed(state: &AppState, allowed: &str) -> HttpResponse {
    let trace_id = state.parts.ids.trace_id();
    let error = ErrorAnswer::new(Code::MethodNotAllowed, "This path has no such method.")
        .with("allowed", allowed);
    let mut response = error_response(error, trace_id, false);
    if let Ok(allowed) = header::HeaderValue::from_str(allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

async fn admitted(
    state: web::Data<AppState>,
    (route, path): Place,
    request: HttpRequest,
    payload: Payload,
    now: Timestamp,
) -> Handled {
    let Some(_place) = state.admission.enter() else {
        return Err(ErrorAnswer::unavailable());
    };
    let caller = authenticate(&state, route, &request, now)?;
    let merchant_id = caller.as_ref().and_then(Principal::merchant_id);
    let _merchant_place = match merchant_id {
        Some(merchant_id) => {
            let taken = state.merchants.take(merchant_id, now);
            taken.map_err(ErrorAnswer::rate_limited)?;
            let place = state.admission.enter_merchant(merchant_id);
            Some(place.ok_or_else(ErrorAnswer::unavailable)?)
        }
        None => None,
    };
    if let Some(caller) = &caller {
        state.parts.guard.authorize(caller, route.operation)?;
    }
    let key = idempotency::key(request.headers(), route.idempotency)?;
    let body = match route.verb.has_body() {
        true => read_body(route, request.headers(), payload).await?,
        false => Value::Null,
    };
    let call = Call {
        route,
        caller,
        path,
        query: request.query_string().to_owned(),
        wants_csv: wants_csv(request.headers()),
        body,
        key,
        address: request.peer_addr().map(|address| address.ip()),
        now,
        state,
    };
    (route.handler)(call).await
}

fn authenticate(
    state: &AppState,
    route: &Route,
    request: &HttpRequest,
    now: Timestamp,
) -> Result<Option<Principal>, ErrorAnswer> {
    if route.operation.rule().audience == Audience::Public {
        return Ok(None);
    }
    let principal =
        bearer(request.headers()).and_then(|token| state.parts.guard.authenticate(token, now).ok());
    if let Some(principal) = principal {
        return Ok(Some(principal));
    }
    if let Some(address) = request.peer_addr() {
        let taken = state.refused_credentials.take(address.ip(), now);
        taken.map_err(ErrorAnswer::rate_limited)?;
    }
    Err(ErrorAnswer::unauthorized())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION);
    let value = values.next()?.to_str().ok()?;
    // Two credentials: nobody can say which one is meant.
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

async fn read_body(
    route: &Route,
    headers: &HeaderMap,
    payload: Payload,
) -> Result<Value, ErrorAnswer> {
    let bytes_max = route.body_bytes_max();
    let read = tokio::time::timeout(BODY_WAIT, payload.to_bytes_limited(bytes_max));
    let bytes = match read.await {
        Ok(Ok(Ok(bytes))) => bytes,
        Ok(Ok(Err(_))) => {
            return Err(ErrorAnswer::new(
                Code::BadRequest,
                "The body did not arrive whole.",
            ));
        }
        Ok(Err(_)) => {
            return Err(
                ErrorAnswer::new(Code::PayloadTooLarge, "The body is too large.")
                    .with("bytes_max", bytes_max),
            );
        }
        Err(_) => {
            return Err(ErrorAnswer::new(
                Code::RequestTimeout,
                "The body did not arrive in time.",
            ));
        }
    };
    match route.takes_csv() && is_plain(headers, "text/csv") {
        true => csv_body(&bytes),
        false => parse_body(headers, &bytes),
    }
}

/// CSV as the member of a form: fingerprints and forms then know one kind of body.
fn csv_body(bytes: &Bytes) -> Result<Value, ErrorAnswer> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| ErrorAnswer::new(Code::BadRequest, "The body is not UTF-8."))?;
    Ok(serde_json::json!({ "csv": text }))
}

/// Whether the answer is wanted as CSV rather than JSON.
fn wants_csv(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|value| value.to_str().ok());
    let first = accept.and_then(|text| text.split([',', ';']).next());
    first.is_some_and(|first| first.trim().eq_ignore_ascii_case("text/csv"))
}

fn parse_body(headers: &HeaderMap, bytes: &Bytes) -> Result<Value, ErrorAnswer> {
    if bytes.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    if !is_plain(headers, "application/json") {
        return Err(ErrorAnswer::new(
            Code::UnsupportedMediaType,
            "The body must be application/json, not compressed.",
        ));
    }
    let body = json::parse(bytes)
        .map_err(|what| ErrorAnswer::new(Code::BadRequest, format!("The body {what}.")))?;
    if !body.is_object() {
        return Err(ErrorAnswer::new(
            Code::BadRequest,
            "The body is not a JSON object.",
        ));
    }
    Ok(body)
}

fn is_plain(headers: &HeaderMap, expected: &str) -> bool {
    let text = |name| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap_or("?").trim().to_ascii_lowercase())
    };
    let media_type = text(header::CONTENT_TYPE).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let is_plain = text(header::CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity");
    essence == expected && is_plain
}
