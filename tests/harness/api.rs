//! The engine's HTTP API as a POS system calls it.

use serde_json::Value;
use terminal_agent::tls::{Authority, Trust};
use ureq::http::{HeaderMap, Response};
use ureq::{Agent, Body};

use crate::wait::PATIENCE;

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub text: String,
    /// The body as JSON; null when it is none.
    pub body: Value,
}

impl Answer {
    /// `data` of a success.
    pub fn data(&self) -> &Value {
        &self.body["data"]
    }

    /// A text field of `data`; empty when it is absent.
    pub fn field(&self, name: &str) -> &str {
        self.body["data"][name].as_str().unwrap_or_default()
    }

    /// The code of an error; empty for a success.
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    /// A header's value; empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// A client with a token.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    token: String,
    agent: Agent,
}

impl Api {
    /// A client of the engine at `base` (`http://127.0.0.1:7437`).
    pub fn new(base: &str, token: &str) -> Self {
        let config = Agent::config_builder().http_status_as_error(false).build();
        Self {
            base: base.to_owned(),
            token: token.to_owned(),
            agent: config.into(),
        }
    }

    /// A client of an engine that speaks TLS, which believes only this authority.
    pub fn trusting(base: &str, token: &str, authority: Authority) -> Self {
        let agent = Trust::Pinned(authority).http_client(2 * PATIENCE);
        Self {
            base: base.to_owned(),
            token: token.to_owned(),
            agent: agent.expect("an authority can be trusted"),
        }
    }

    /// The same engine with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: token.to_owned(),
            ..self.clone()
        }
    }

    /// The engine's address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The token, for the lines that a demo prints.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// GET.
    pub fn get(&self, path: &str) -> Answer {
        let request = self.agent.get(format!("{}{path}", self.base));
        read(
            request
                .header("Authorization", format!("Bearer {}", self.token))
                .call(),
        )
    }

    /// POST with a fresh idempotency key.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_keyed(path, body, &fresh_key())
    }

    /// POST with this idempotency key.
    pub fn post_keyed(&self, path: &str, body: &Value, key: &str) -> Answer {
        let request = self.agent.post(format!("{}{path}", self.base));
        let request = request
            .header("Authorization", format!("Bearer {}", self.token))
            .header("X-Idempotency-Key", key);
        read(request.send_json(body))
    }

    /// PUT.
    pub fn put(&self, path: &str, body: &Value) -> Answer {
        let request = self.agent.put(format!("{}{path}", self.base));
        let request = request
            .header("Authorization", format!("Bearer {}", self.token))
            .header("X-Idempotency-Key", fresh_key());
        read(request.send_json(body))
    }

    /// PATCH with a fresh idempotency key.
    pub fn patch(&self, path: &str, body: &Value) -> Answer {
        self.patch_keyed(path, body, &fresh_key())
    }

    /// PATCH with this idempotency key.
    pub fn patch_keyed(&self, path: &str, body: &Value, key: &str) -> Answer {
        let request = self.agent.patch(format!("{}{path}", self.base));
        let request = request
            .header("Authorization", format!("Bearer {}", self.token))
            .header("X-Idempotency-Key", key);
        read(request.send_json(body))
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Answer {
        let request = self.agent.delete(format!("{}{path}", self.base));
        let request = request.header("Authorization", format!("Bearer {}", self.token));
        read(request.call())
    }

    /// POST of raw bytes with these headers.
    pub fn post_raw(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request.send(body))
    }
}

/// An idempotency key that was never used before.
pub fn fresh_key() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn read(answer: Result<Response<Body>, ureq::Error>) -> Answer {
    match answer {
        Ok(mut response) => {
            let text = response.body_mut().read_to_string().unwrap_or_default();
            Answer {
                status: response.status().as_u16(),
                headers: response.headers().clone(),
                body: serde_json::from_str(&text).unwrap_or(Value::Null),
                text,
            }
        }
        // No answer at all: what a caller sees when the engine dies.
        Err(error) => Answer {
            status: 0,
            headers: HeaderMap::new(),
            text: error.to_string(),
            body: Value::Null,
        },
    }
}
