//! Where the link may go: plain text stays on this machine.

use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::http::Uri;

use super::LinkError;

/// Why a URL is no address for the link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a `ws` URL with a host.
    #[error("{0} is not a ws:// url")]
    Malformed(String),
    /// Plain text to another machine.
    #[error("{0} is not a loopback address; TLS is not available in this version")]
    PlainText(String),
}

/// The path of the link on every engine.
const LINK_PATH: &str = "/v1/agent/link";

/// An address on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkAddress {
    url: String,
    host: String,
    port: u16,
}

impl LinkAddress {
    /// Reads `ws://host:port/path`.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn parse(url: &str) -> Result<Self, AddressError> {
        let malformed = || AddressError::Malformed(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| malformed())?;
        let host = host_of(&uri).ok_or_else(malformed)?;
        match uri.scheme_str() {
            Some("ws") => {}
            Some("wss") => return Err(AddressError::PlainText(url.to_owned())),
            _ => return Err(malformed()),
        }
        if !is_loopback_host(&host) {
            return Err(AddressError::PlainText(url.to_owned()));
        }
        let path = match uri.path() {
            "" | "/" => LINK_PATH,
            path => path,
        };
        let authority = uri.authority().ok_or_else(malformed)?;
        Ok(Self {
            url: format!("ws://{authority}{path}"),
            host,
            port: uri.port_u16().unwrap_or(80),
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Opens a socket; a name is believed only as far as it leads to this machine.
    pub(super) async fn open(&self) -> Result<TcpStream, LinkError> {
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(LinkError::Connect)?
            .filter(|address| address.ip().is_loopback())
            .collect();
        TcpStream::connect(addresses.as_slice())
            .await
            .map_err(LinkError::Connect)
    }
}

/// Whether an `http` or `ws` URL stays on this machine.
pub fn is_loopback_url(url: &str) -> bool {
    url.parse::<Uri>()
        .ok()
        .filter(|uri| matches!(uri.scheme_str(), Some("http" | "ws")))
        .and_then(|uri| host_of(&uri))
        .is_some_and(|host| is_loopback_host(&host))
}

fn host_of(uri: &Uri) -> Option<String> {
    // User information in front of the host would only hide where a URL goes.
    if uri.authority()?.as_str().contains('@') {
        return None;
    }
    let host = uri.host()?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    Some(bare.unwrap_or(host).to_owned())
}

fn is_loopback_host(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_in_plain_text() {
        for (url, expected) in [
            (
                "ws://127.0.0.1:8080/v1/agent/link",
                Ok("ws://127.0.0.1:8080/v1/agent/link"),
            ),
            (
                "ws://127.0.0.1:8080",
                Ok("ws://127.0.0.1:8080/v1/agent/link"),
            ),
            ("ws://localhost:1/x", Ok("ws://localhost:1/x")),
            ("ws://[::1]:1/x", Ok("ws://[::1]:1/x")),
            ("ws://192.0.2.1/x", Err(true)),
            ("ws://engine.example/x", Err(true)),
            ("ws://localhost.example/x", Err(true)),
            ("ws://localhost@engine.example/x", Err(false)),
            ("wss://127.0.0.1/x", Err(true)),
            ("http://127.0.0.1/x", Err(false)),
            ("127.0.0.1:80", Err(false)),
            ("", Err(false)),
        ] {
            let parsed = LinkAddress::parse(url);
            match expected {
                Ok(normal) => assert_eq!(parsed.unwrap().url(), normal),
                Err(true) => assert!(matches!(parsed, Err(AddressError::PlainText(_))), "{url}"),
                Err(false) => assert!(matches!(parsed, Err(AddressError::Malformed(_))), "{url}"),
            }
        }
        assert!(is_loopback_url("http://localhost:8080"));
        assert!(!is_loopback_url("https://localhost:8080"));
        assert!(!is_loopback_url("http://a@localhost:8080"));
    }
}
