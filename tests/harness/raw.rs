//! Bytes to the engine as no HTTP client would send them, and the answers in what comes back.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use serde_json::Value;
use ureq::http::{HeaderMap, HeaderName, HeaderValue};

use crate::api::Answer;
use crate::wait::PATIENCE;

/// A connection to the engine.
#[derive(Debug)]
pub struct Raw(TcpStream);

impl Raw {
    /// Connects to the engine at `base` (`http://127.0.0.1:7437`).
    pub fn connect(base: &str) -> Self {
        let stream = TcpStream::connect(base.rsplit('/').next().unwrap_or_default());
        let stream = stream.expect("the engine listens");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a socket has timeouts");
        Self(stream)
    }

    /// Sends bytes; the engine may have had enough before it has read them all.
    pub fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).ok();
    }

    /// Says that nothing more comes, and reads until the engine closes.
    pub fn finish(mut self) -> Vec<Answer> {
        self.0.shutdown(Shutdown::Write).ok();
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).ok();
        answers(&bytes)
    }
}

/// Sends bytes on a connection of their own and gives the answers.
pub fn exchange(base: &str, bytes: &[u8]) -> Vec<Answer> {
    let mut raw = Raw::connect(base);
    raw.send(bytes);
    raw.finish()
}

/// A request as bytes. `Content-Length` is added when there is a body.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: engine\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Sends one request on a connection of its own; status 0 when no answer came.
pub fn call(base: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let headers = [headers, &[("Connection", "close")]].concat();
    let answers = exchange(base, &request(method, path, &headers, body));
    answers.into_iter().next().unwrap_or(Answer {
        status: 0,
        headers: HeaderMap::new(),
        text: String::new(),
        body: Value::Null,
    })
}

/// Every whole answer in `bytes`.
pub fn answers(bytes: &[u8]) -> Vec<Answer> {
    let mut rest = bytes;
    let mut found = Vec::new();
    while let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .unwrap_or_default();
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
            headers.append(
                name,
                HeaderValue::from_str(value).expect("a header's value"),
            );
        }
        let length = headers
            .get("content-length")
            .and_then(|value| value.to_str().ok());
        let length: usize = length.and_then(|text| text.parse().ok()).unwrap_or(0);
        let Some(body) = rest.get(end + 4..end + 4 + length) else {
            break;
        };
        let text = String::from_utf8_lossy(body).into_owned();
        found.push(Answer {
            status: status.parse().unwrap_or(0),
            headers,
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        });
        rest = &rest[end + 4 + length..];
    }
    found
}
