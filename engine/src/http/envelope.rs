//! The envelope around every answer, and the headers that every answer has.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use protocol::id::TraceId;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::code::{Code, ErrorAnswer, Retry};

/// Names the request in answers and logs.
pub(super) const TRACE_HEADER: &str = "X-Trace-Id";
/// Says that an answer was given before.
pub(super) const REPLAYED_HEADER: &str = "Idempotent-Replayed";

/// A good answer, rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Success {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    pub(super) content_type: &'static str,
    pub(super) is_replay: bool,
    /// What a page may do in a browser; what is no page may do nothing anyway.
    pub(super) policy: Option<String>,
}

#[derive(Serialize)]
struct SuccessForm<'a, T> {
    success: bool,
    data: &'a T,
}

#[derive(Serialize)]
struct ErrorForm<'a> {
    success: bool,
    error: ErrorView<'a>,
}

#[derive(Serialize)]
struct ErrorView<'a> {
    code: &'static str,
    message: &'a str,
    details: &'a Map<String, Value>,
}

/// Body bytes of a good answer.
pub(super) fn body_of(data: &impl Serialize) -> Vec<u8> {
    let form = SuccessForm {
        success: true,
        data,
    };
    // Serializing views of numbers, strings and lists into memory has no way to fail.
    serde_json::to_vec(&form).unwrap_or_default()
}

impl Success {
    /// An answer in the envelope.
    pub(super) fn json(status: u16, data: &impl Serialize) -> Self {
        Self::rendered(status, body_of(data))
    }

    /// An answer whose body has been rendered.
    pub(super) const fn rendered(status: u16, body: Vec<u8>) -> Self {
        Self {
            status,
            body,
            content_type: "application/json",
            is_replay: false,
            policy: None,
        }
    }

    /// The same with one more field in `data`.
    pub(super) fn with(mut self, name: &str, value: &impl std::fmt::Display) -> Self {
        let body = serde_json::from_slice(&self.body).ok();
        if let Some(Value::Object(mut form)) = body
            && let Some(data) = form.get_mut("data").and_then(Value::as_object_mut)
        {
            data.insert(name.to_owned(), json!(value.to_string()));
            // As in `body_of`: there is no way to fail.
            self.body = serde_json::to_vec(&form).unwrap_or_default();
        }
        self
    }

    /// A plain text, as it would be printed.
    pub(super) fn text(text: String) -> Self {
        Self {
            content_type: "text/plain; charset=utf-8",
            ..Self::rendered(200, text.into_bytes())
        }
    }

    /// A table.
    pub(super) fn csv(status: u16, table: Vec<u8>) -> Self {
        Self {
            content_type: "text/csv; charset=utf-8",
            ..Self::rendered(status, table)
        }
    }

    /// A page for a browser, which may do what `policy` says and nothing else.
    pub(super) fn page(html: String, policy: String) -> Self {
        Self {
            content_type: "text/html; charset=utf-8",
            policy: Some(policy),
            ..Self::rendered(200, html.into_bytes())
        }
    }

    pub(super) fn into_response(self, trace_id: TraceId) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let mut response = HttpResponse::build(status);
        response.insert_header((TRACE_HEADER, trace_id.to_string()));
        response.insert_header((header::CONTENT_TYPE, self.content_type));
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if let Some(policy) = self.policy {
            response.insert_header((header::CONTENT_SECURITY_POLICY, policy));
            response.insert_header((header::REFERRER_POLICY, "no-referrer"));
            response.insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
        }
        if self.is_replay {
            response.insert_header((REPLAYED_HEADER, "true"));
        }
        response.body(self.body)
    }
}

/// Puts an error into the envelope. `is_money` adds whether the outcome is known.
pub(super) fn error_response(
    error: ErrorAnswer,
    trace_id: TraceId,
    is_money: bool,
) -> HttpResponse {
    let is_outcome_known = error.is_outcome_known();
    let retry = error.code.retry();
    let mut details = error.details;
    details.insert("trace_id".to_owned(), json!(trace_id.to_string()));
    details.insert("retryable".to_owned(), json!(retry == Retry::SameKey));
    details.insert("retry".to_owned(), json!(retry.code()));
    if is_money {
        details.insert("outcome_known".to_owned(), json!(is_outcome_known));
    }
    let form = ErrorForm {
        success: false,
        error: ErrorView {
            code: error.code.text(),
            message: &error.message,
            details: &details,
        },
    };
    // As in `body_of`: there is no way to fail.
    let body = serde_json::to_vec(&form).unwrap_or_default();
    let status =
        StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    response.insert_header((TRACE_HEADER, trace_id.to_string()));
    response.insert_header((header::CONTENT_TYPE, "application/json"));
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    if error.code == Code::Unauthorized {
        response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
    }
    if let Some(seconds) = error.retry_after_s {
        response.insert_header((header::RETRY_AFTER, seconds.to_string()));
    }
    response.body(body)
}
