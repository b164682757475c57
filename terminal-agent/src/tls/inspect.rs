//! One handshake with the engine, for what can be said of it. Blocks for up to ten seconds.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use protocol::certificate::{CertificateFacts, Fingerprint};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, ProtocolVersion};

use super::witness::Witness;
use super::{ALPN, Authority, TlsFault, Trust, fingerprint, provider, root_of};
use crate::clock::Clock;
use crate::link::{host_of, port_of};

/// How long connecting may take, for each address of a name.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the handshake may take.
const HANDSHAKE_MS_MAX: u64 = 10_000;

/// What the engine shows, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainReport {
    /// Common name of the engine's certificate.
    pub subject: String,
    /// Names and addresses that it is for.
    pub names: Vec<String>,
    /// Its first second, since 1970.
    pub not_before_s: i64,
    /// Its last second, since 1970.
    pub not_after_s: i64,
    /// Its SHA-256.
    pub fingerprint: Fingerprint,
    /// The authority that it was verified against, where that is a pinned one or was shown.
    pub authority: Option<Authority>,
    /// `TLS 1.3` or `TLS 1.2`.
    pub protocol: &'static str,
}

/// Connects to the engine at an `https` or `wss` URL, and looks at what it shows.
///
/// # Errors
/// [`TlsFault`]; under [`Trust::Nobody`] always, with [`TlsFault::NotPinned`] when all else is well.
pub fn inspect(url: &str, trust: &Trust) -> Result<ChainReport, TlsFault> {
    inspect_within(HANDSHAKE_MS_MAX, url, trust)
}

pub(super) fn inspect_within(
    handshake_ms: u64,
    url: &str,
    trust: &Trust,
) -> Result<ChainReport, TlsFault> {
    let (host, port) = target(url)?;
    let address = format!("{host}:{port}");
    let witness = Witness::new(trust)?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsFault::Failed(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(witness.clone())
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    let name = ServerName::try_from(host.clone()).map_err(|_| TlsFault::Address(url.to_owned()))?;
    let mut connection = ClientConnection::new(config.into(), name)
        .map_err(|error| TlsFault::Failed(error.to_string()))?;
    let mut stream = connect(&host, port, &address)?;
    let shaken = shake_hands(&mut connection, &mut stream, &address, handshake_ms);
    let chain = witness.seen();
    shaken.map_err(|ended| match ended {
        Ended::Tls(error) => explain(&error, &host, trust, &chain),
        Ended::Fault(fault) => fault,
    })?;
    connection.send_close_notify();
    // A courtesy: what was to be learned is known.
    connection.write_tls(&mut stream).ok();
    report(trust, &chain, connection.protocol_version())
}

fn target(url: &str) -> Result<(String, u16), TlsFault> {
    let address = || TlsFault::Address(url.to_owned());
    let uri: tokio_tungstenite::tungstenite::http::Uri = url.parse().map_err(|_| address())?;
    if !matches!(uri.scheme_str(), Some("https" | "wss")) {
        return Err(address());
    }
    Ok((host_of(&uri).ok_or_else(address)?, port_of(&uri)))
}

fn explain(
    error: &rustls::Error,
    host: &str,
    trust: &Trust,
    chain: &[CertificateDer<'_>],
) -> TlsFault {
    use CertificateError::{ApplicationVerificationFailure, BadSignature, UnknownIssuer};
    match (trust, error) {
        (
            Trust::Nobody,
            rustls::Error::InvalidCertificate(
                ApplicationVerificationFailure | UnknownIssuer | BadSignature,
            ),
        ) => TlsFault::NotPinned {
            seen: root_of(chain).map(|root| fingerprint(root)),
        },
        _ => TlsFault::of(error, host, trust, chain),
    }
}

fn report(
    trust: &Trust,
    chain: &[CertificateDer<'static>],
    version: Option<ProtocolVersion>,
) -> Result<ChainReport, TlsFault> {
    let unreadable = || TlsFault::Failed("the certificate cannot be read".to_owned());
    let first = chain.first().ok_or_else(unreadable)?;
    let facts = CertificateFacts::read(first).map_err(|_| unreadable())?;
    let authority = match trust {
        Trust::Pinned(authority) => Some(authority.clone()),
        Trust::Fingerprint(wanted) => {
            let root = chain.iter().find(|one| wanted.is_of(&super::digest(one)));
            root.cloned().map(Authority)
        }
        Trust::System | Trust::Nobody => root_of(chain).cloned().map(Authority),
    };
    Ok(ChainReport {
        subject: facts.subject,
        names: facts.names,
        not_before_s: facts.not_before_s,
        not_after_s: facts.not_after_s,
        fingerprint: fingerprint(first),
        authority,
        protocol: match version {
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS 1.3",
        },
    })
}

fn connect(host: &str, port: u16, address: &str) -> Result<TcpStream, TlsFault> {
    let unreachable = |message: String| TlsFault::Unreachable {
        address: address.to_owned(),
        message,
    };
    let found = (host, port)
        .to_socket_addrs()
        .map_err(|error| unreachable(error.to_string()))?;
    let mut fault = unreachable("the name has no address".to_owned());
    for one in found {
        match TcpStream::connect_timeout(&one, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => fault = unreachable(error.to_string()),
        }
    }
    Err(fault)
}

enum Ended {
    Tls(rustls::Error),
    Fault(TlsFault),
}

/// Until the handshake has ended, whatever way; a drip of bytes does not make it longer.
fn shake_hands(
    connection: &mut ClientConnection,
    stream: &mut TcpStream,
    address: &str,
    handshake_ms: u64,
) -> Result<(), Ended> {
    let broken = |error: io::Error| {
        Ended::Fault(match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                TlsFault::TimedOut(address.to_owned())
            }
            _ => TlsFault::Unreachable {
                address: address.to_owned(),
                message: error.to_string(),
            },
        })
    };
    let clock = Clock::start();
    loop {
        let left_ms = handshake_ms.saturating_sub(clock.now_ms());
        if left_ms == 0 {
            return Err(Ended::Fault(TlsFault::TimedOut(address.to_owned())));
        }
        let left = Some(Duration::from_millis(left_ms));
        stream.set_read_timeout(left).map_err(broken)?;
        stream.set_write_timeout(left).map_err(broken)?;
        while connection.wants_write() {
            connection.write_tls(stream).map_err(broken)?;
        }
        // The last word of a handshake is this side's.
        if !connection.is_handshaking() {
            return Ok(());
        }
        if connection.wants_read() {
            if connection.read_tls(stream).map_err(broken)? == 0 {
                return Err(broken(io::Error::other(
                    "closed in the middle of the TLS handshake",
                )));
            }
            if let Err(error) = connection.process_new_packets() {
                // The alert is for the other side; that it cannot be sent changes nothing here.
                connection.write_tls(stream).ok();
                return Err(Ended::Tls(error));
            }
        }
    }
}
