//! Asks the engine over HTTP, and takes its envelope apart. Reads no more than an answer may have.

use std::io::Read;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::PairError;
use crate::tls::Trust;

/// How long the engine may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// The largest answer of the engine that is read.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

#[derive(Deserialize)]
struct Envelope {
    success: bool,
    data: Option<serde_json::Value>,
    error: Option<EnvelopeError>,
}

#[derive(Deserialize)]
struct EnvelopeError {
    code: String,
    message: String,
    #[serde(default)]
    details: serde_json::Value,
}

/// Asks the engine.
pub(super) fn post<T: DeserializeOwned>(
    engine_url: &str,
    trust: &Trust,
    path: &str,
    request: &impl Serialize,
) -> Result<T, PairError> {
    let url = format!("{}{path}", engine_url.trim_end_matches('/'));
    let unreachable = |message: String| PairError::Unreachable {
        url: engine_url.to_owned(),
        message,
    };
    let agent = trust.http_client(ANSWER_TIMEOUT)?;
    let mut response = agent
        .post(&url)
        .send_json(request)
        .map_err(|error| unreachable(error.to_string()))?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    response
        .body_mut()
        .as_reader()
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut body)
        .map_err(|error| unreachable(error.to_string()))?;
    let envelope: Envelope = serde_json::from_slice(&body)
        .map_err(|_| unreachable(format!("status {status} without an answer of the engine")))?;
    match (envelope.success, envelope.data, envelope.error) {
        (true, Some(data), _) => serde_json::from_value(data)
            .map_err(|_| unreachable(format!("status {status} with half an answer"))),
        (false, _, Some(error)) => Err(PairError::Refused {
            code: error.code,
            message: error.message,
            details: error.details,
        }),
        (_, _, _) => Err(unreachable(format!("status {status} with half an answer"))),
    }
}
