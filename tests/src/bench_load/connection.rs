//! One keep-alive connection of an API client: HTTP/1.1 with as little work as possible.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::wire::Wire;

/// A connection; opened again after an error.
pub(crate) struct Connection {
    address: Arc<str>,
    stream: Option<Wire>,
    received: Vec<u8>,
}

/// An answer of the engine.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    /// The first text field of this name, by looking for it rather than parsing.
    pub(crate) fn field(&self, name: &str) -> &str {
        let start = format!("\"{name}\":\"");
        let rest = self.body.split_once(&start).map_or("", |(_, rest)| rest);
        rest.split_once('"').map_or("", |(value, _)| value)
    }
}

impl Connection {
    /// A connection to be opened when it is first used.
    pub(crate) fn new(address: Arc<str>) -> Self {
        Self {
            address,
            stream: None,
            received: Vec::new(),
        }
    }

    /// POST of a JSON body.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub(crate) async fn post(
        &mut self,
        path: &str,
        token: &str,
        key: &str,
        body: &str,
    ) -> io::Result<Answer> {
        let length = body.len();
        let host = &self.address;
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\
             x-idempotency-key: {key}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        self.call(&request).await
    }

    /// GET.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub(crate) async fn get(&mut self, path: &str, token: &str) -> io::Result<Answer> {
        let host = &self.address;
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\r\n");
        self.call(&request).await
    }

    async fn call(&mut self, request: &str) -> io::Result<Answer> {
        // Taken out while it is used: after an error nobody knows what is still to come on it.
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                self.received.clear();
                Wire::connect(&self.address).await?
            }
        };
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        loop {
            if let Some((answer, length)) = parse(&self.received)? {
                self.received.drain(..length);
                self.stream = Some(stream);
                return Ok(answer);
            }
            if stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// A whole answer at the start of `bytes` and its length; nothing while it is not all there.
fn parse(bytes: &[u8]) -> io::Result<Option<(Answer, usize)>> {
    let malformed = || io::Error::other("answer is not HTTP/1.1 with a length");
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| malformed())?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status = status
        .and_then(|status| status.parse().ok())
        .ok_or_else(malformed)?;
    let length: usize = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .ok_or_else(malformed)?;
    let whole = end + 4 + length;
    let Some(body) = bytes.get(end + 4..whole) else {
        return Ok(None);
    };
    let body = String::from_utf8(body.to_vec()).map_err(|_| malformed())?;
    Ok(Some((Answer { status, body }, whole)))
}
