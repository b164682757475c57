//! Where the link may go: plain text stays on this machine, TLS goes to an engine that is trusted.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::http::Uri;

use super::LinkError;
use crate::tls::{TlsFault, Trust};

/// Why a URL is no address for the link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a `ws` or `wss` URL with a host.
    #[error("{0} is not a ws:// or wss:// url")]
    Malformed(String),
    /// Plain text to another machine.
    #[error("{0} is plain text to another machine: use wss:// (docs/tls.md)")]
    PlainText(String),
}

/// The path of the link on every engine.
const LINK_PATH: &str = "/v1/agent/link";

/// What carries a link's bytes.
pub(super) trait Carrier: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Carrier for T {}

/// An address on this machine, or one of an engine that speaks TLS.
#[derive(Clone)]
pub struct LinkAddress {
    url: String,
    host: String,
    port: u16,
    tls: Option<Tls>,
}

/// How the engine is known. Under [`Trust::Nobody`] there is nothing to connect with.
#[derive(Clone)]
struct Tls {
    trust: Trust,
    name: ServerName<'static>,
    config: Option<Arc<ClientConfig>>,
}

impl fmt::Debug for LinkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LinkAddress").field(&self.url).finish()
    }
}

impl LinkAddress {
    /// Reads `ws://host:port/path` or `wss://host:port/path`; [`Self::trusting`] says which engine
    /// the latter may lead to.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn parse(url: &str) -> Result<Self, AddressError> {
        let malformed = || AddressError::Malformed(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| malformed())?;
        let host = host_of(&uri).ok_or_else(malformed)?;
        let (scheme, tls) = match uri.scheme_str() {
            Some("ws") if is_loopback_host(&host) => ("ws", None),
            Some("ws") => return Err(AddressError::PlainText(url.to_owned())),
            Some("wss") => {
                let tls = Tls {
                    trust: Trust::Nobody,
                    name: ServerName::try_from(host.clone()).map_err(|_| malformed())?,
                    config: None,
                };
                ("wss", Some(tls))
            }
            _ => return Err(malformed()),
        };
        let path = match uri.path() {
            "" | "/" => LINK_PATH,
            path => path,
        };
        let authority = uri.authority().ok_or_else(malformed)?;
        Ok(Self {
            url: format!("{scheme}://{authority}{path}"),
            port: port_of(&uri),
            host,
            tls,
        })
    }

    /// The same address, for engines that `trust` believes. Plain text stays as it is.
    ///
    /// # Errors
    /// [`TlsFault::NotPinned`] and [`TlsFault::NoAuthority`].
    pub fn trusting(mut self, trust: &Trust) -> Result<Self, TlsFault> {
        if let Some(tls) = &mut self.tls {
            tls.config = Some(trust.client_config()?);
            tls.trust = trust.clone();
        }
        Ok(self)
    }

    /// Where it leads, with the path.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Opens a connection.
    pub(super) async fn open(&self) -> Result<Box<dyn Carrier>, LinkError> {
        let Some(tls) = &self.tls else {
            return Ok(Box::new(
                self.open_tcp(|address| address.ip().is_loopback()).await?,
            ));
        };
        let config = tls
            .config
            .clone()
            .ok_or(TlsFault::NotPinned { seen: None })?;
        let stream = self.open_tcp(|_| true).await?;
        let connector = TlsConnector::from(config);
        let stream = connector.connect(tls.name.clone(), stream).await;
        let stream = stream.map_err(|error| TlsFault::of_io(&error, &self.host, &tls.trust))?;
        Ok(Box::new(stream))
    }

    /// Opens a socket. Without TLS a name is believed only as far as it leads to this machine.
    async fn open_tcp(&self, is_allowed: fn(&SocketAddr) -> bool) -> Result<TcpStream, LinkError> {
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(LinkError::Connect)?
            .filter(is_allowed)
            .collect();
        let stream = TcpStream::connect(addresses.as_slice()).await;
        let stream = stream.map_err(LinkError::Connect)?;
        stream.set_nodelay(true).map_err(LinkError::Connect)?;
        Ok(stream)
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

/// Whether a URL is one of an engine that speaks TLS.
pub fn is_tls_url(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("https" | "wss")) && host_of(&uri).is_some()
    })
}

/// The port of a URL, or that of its scheme.
pub(crate) fn port_of(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(match uri.scheme_str() {
        Some("https" | "wss") => 443,
        _ => 80,
    })
}

/// The host of a URL, without brackets.
pub(crate) fn host_of(uri: &Uri) -> Option<String> {
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
            ("wss://127.0.0.1/x", Ok("wss://127.0.0.1/x")),
            (
                "wss://engine.example",
                Ok("wss://engine.example/v1/agent/link"),
            ),
            (
                "wss://[2001:db8::1]:7437",
                Ok("wss://[2001:db8::1]:7437/v1/agent/link"),
            ),
            ("wss://a@engine.example/x", Err(false)),
            ("wss://a..b/x", Err(false)),
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
        for (url, port) in [
            ("wss://e.example", 443),
            ("ws://localhost", 80),
            ("wss://e:9", 9),
        ] {
            assert_eq!(LinkAddress::parse(url).unwrap().port, port, "{url}");
        }
        assert!(is_tls_url("https://engine.example") && !is_tls_url("http://engine.example"));
        assert!(is_loopback_url("http://localhost:8080"));
        assert!(!is_loopback_url("https://localhost:8080"));
        assert!(!is_loopback_url("http://a@localhost:8080"));
    }
}
