//! The way to the engine: name, connection, TLS.
//!
//! Facts are gathered by functions that begin with `look`, verdicts are made of facts alone. Says
//! nothing under the till's identity.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::Duration;

use protocol::certificate::day_of;
use tokio_tungstenite::tungstenite::http::Uri;

use super::check::{Check, CheckId};
use super::clock::DAY_S;
use crate::config::Config;
use crate::link::{host_of, is_loopback_url, port_of};
use crate::pair::Identity;
use crate::tls::{self, ChainReport, TlsFault, Trust};

/// How long a name server may take.
const DNS_PATIENCE: Duration = Duration::from_secs(10);
/// How long connecting may take, for each address.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// Certificates are renewed by hand; a month is time enough to plan it.
const CERTIFICATE_DAYS_WARN: i64 = 30;

/// Where the engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// As the configuration or the identity has it.
    pub url: String,
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether it is to speak TLS.
    pub is_tls: bool,
}

impl Target {
    /// The engine of this till: where its link goes, or where it was to be paired.
    pub fn of(config: &Config, identity: Option<&Identity>) -> Option<Self> {
        let paired = identity.map(|identity| &identity.link_url);
        let url = config.engine.link_url.as_ref().or(paired);
        Self::parse(url.unwrap_or(&config.engine.url))
    }

    /// The place that a URL names; nothing when it names none.
    pub fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let is_tls = match uri.scheme_str()? {
            "https" | "wss" => true,
            "http" | "ws" => false,
            _ => return None,
        };
        Some(Self {
            url: url.to_owned(),
            host: host_of(&uri)?,
            port: port_of(&uri),
            is_tls,
        })
    }

    fn address(&self) -> String {
        let host = &self.host;
        let port = self.port;
        if host.contains(':') {
            return format!("[{host}]:{port}");
        }
        format!("{host}:{port}")
    }

    pub(super) fn http_url(&self, path: &str) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address())
    }
}

/// Resolves the name.
///
/// # Errors
/// What the system says.
pub fn look_up(target: &Target) -> Result<Vec<SocketAddr>, String> {
    let (found_tx, found) = mpsc::channel();
    let asked = (target.host.clone(), target.port);
    // A name server that does not answer must not hold up the report.
    std::thread::spawn(move || {
        let addresses = asked.to_socket_addrs();
        found_tx
            .send(addresses.map(Iterator::collect::<Vec<_>>))
            .ok();
    });
    match found.recv_timeout(DNS_PATIENCE) {
        Ok(Ok(addresses)) if addresses.is_empty() => Err("the name has no address".to_owned()),
        Ok(found) => found.map_err(|error| error.to_string()),
        Err(_) => Err("no name server has answered".to_owned()),
    }
}

/// Whether the name has an address.
pub fn judge_dns(target: &Target, found: &Result<Vec<SocketAddr>, String>) -> Check {
    match found {
        Ok(addresses) => {
            let shown: Vec<_> = addresses.iter().map(|one| one.ip().to_string()).collect();
            let seen = format!("{} is {}", target.host, shown.join(", "));
            Check::pass(CheckId::NetDns, seen)
        }
        Err(error) => Check::fail(
            CheckId::NetDns,
            format!("{} has no address: {error}", target.host),
            "check the network cable and the name in engine.url; `resolvectl status` shows the \
             name server; if the shop has none, use the engine's address",
        ),
    }
}

/// Connects, and hangs up again; gives the address that answered.
///
/// # Errors
/// What each address said.
pub fn look_at_port(addresses: &[SocketAddr]) -> Result<SocketAddr, String> {
    let mut said = Vec::new();
    for address in addresses {
        match TcpStream::connect_timeout(address, CONNECT_PATIENCE) {
            Ok(_) => return Ok(*address),
            Err(error) => said.push(format!("{address}: {error}")),
        }
    }
    Err(said.join("; "))
}

/// Whether the port takes connections.
pub fn judge_tcp(found: &Result<SocketAddr, String>) -> Check {
    match found {
        Ok(address) => Check::pass(CheckId::NetTcp, format!("{address} takes connections")),
        Err(error) => Check::fail(
            CheckId::NetTcp,
            error.clone(),
            "refused: the engine does not run, or listens on another port or address; no answer: \
             a firewall in between, or the engine's machine is off",
        )
        .coded("ENGINE_UNREACHABLE"),
    }
}

/// Looks at the engine's certificate.
///
/// # Errors
/// [`TlsFault`].
pub fn look_at_tls(target: &Target, trust: &Trust) -> Result<ChainReport, TlsFault> {
    let url = target.http_url("/");
    tls::inspect(&url, trust)
}

/// Whether the engine is the one that is trusted, at `now_s` since 1970.
pub fn judge_tls(found: &Result<ChainReport, TlsFault>, now_s: i64) -> Check {
    let report = match found {
        Ok(report) => report,
        Err(fault) => {
            let remedy = tls_remedy(fault);
            return Check::fail(CheckId::NetTls, fault.to_string(), remedy).coded(fault.code());
        }
    };
    let days = report.not_after_s.saturating_sub(now_s) / DAY_S;
    let authority = report.authority.as_ref();
    let authority = authority.map(|authority| authority.fingerprint().short().to_string());
    let seen = format!(
        "{}, certificate of {} until {} ({days} days), CA {}",
        report.protocol,
        report.subject,
        day_of(report.not_after_s),
        authority.unwrap_or_else(|| "of this machine's store".to_owned()),
    );
    if days < CERTIFICATE_DAYS_WARN {
        let remedy = "renew it on the engine: `engine init --renew` (docs/tls.md); the engine \
            reloads it without a restart";
        return Check::warn(CheckId::NetTls, seen, remedy);
    }
    Check::pass(CheckId::NetTls, seen)
}

const fn tls_remedy(fault: &TlsFault) -> &'static str {
    match fault {
        TlsFault::Address(_) => "correct engine.url or engine.link_url in the configuration",
        TlsFault::Unreachable { .. } => "see net.tcp",
        TlsFault::TimedOut(_) => {
            "try again; if it stays, look for a proxy or firewall between till and engine"
        }
        TlsFault::NotTls(_) => {
            "correct the port in engine.url, or give the engine a certificate (`engine init`)"
        }
        TlsFault::NameMismatch { .. } => {
            "use a name of the certificate in engine.url and pair again, or renew the certificate \
             with this name on the engine"
        }
        TlsFault::Expired { .. } => {
            "renew it on the engine: `engine init --renew`; if it is valid by the calendar, set \
             this till's clock"
        }
        TlsFault::NotYetValid { .. } => "set this till's clock, or the engine's",
        TlsFault::WrongAuthority { .. } => {
            "if the engine was installed anew, compare the fingerprint with what `engine init` \
             has shown and pair the till again; if not, somebody else answers in its place: do \
             not pair"
        }
        TlsFault::NotPinned { .. } => "pair the till with --ca-fingerprint or --ca-file",
        TlsFault::NoAuthority(_) => {
            "install this machine's CA certificates (`sudo apt install ca-certificates`), or pair \
             with a pinned CA"
        }
        TlsFault::Failed(_) => "look at the engine's log at this moment",
    }
}

/// Whether plain text to this target stays on this machine.
pub fn judge_plain_text(target: &Target) -> Check {
    if is_loopback_url(&target.url) {
        let reason = "plain text on this machine itself, which needs no certificate";
        return Check::skip(CheckId::NetTls, reason);
    }
    let seen = format!("{} is plain text to another machine", target.url);
    let remedy = "use https:// in engine.url, and pair again (docs/tls.md)";
    Check::fail(CheckId::NetTls, seen, remedy).coded("PLAIN_TEXT")
}
