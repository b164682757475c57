//! TLS to the engine: whom this till believes, and what is wrong when it believes nobody.
//!
//! Knows nothing of pairing codes and links. There is no way here to a connection with an engine
//! whose certificate was not verified.

mod inspect;
mod pin;
#[cfg(test)]
mod tests;
mod witness;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use protocol::certificate::{CertificateFacts, Fingerprint, day_of};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

pub use inspect::{ChainReport, inspect};
pub use pin::{PinChoice, establish};

/// What is wrong with the way to the engine. Each has a stable code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// Not a URL of something that speaks TLS.
    #[error("{0} is not an https:// or wss:// url with a host")]
    Address(String),
    /// No connection.
    #[error("no connection to {address}: {message}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        message: String,
    },
    /// Nothing, or not enough, came in time.
    #[error(
        "{0} took the connection and did not finish the TLS handshake in time: it is overloaded, or \
         something between here and there holds the bytes back"
    )]
    TimedOut(String),
    /// The other side speaks something else.
    #[error(
        "{0} answers, but does not speak TLS: the port is wrong, or the engine is configured without \
         [tls]"
    )]
    NotTls(String),
    /// The certificate is for other names.
    #[error(
        "the engine's certificate is not for {asked}, only for {}: use one of these names in engine.url, \
         or renew the certificate with this one (engine init --renew --name …)", names.join(", ")
    )]
    NameMismatch {
        /// How this till calls the engine.
        asked: String,
        /// What the certificate is for.
        names: Vec<String>,
    },
    /// The certificate's time is over.
    #[error(
        "the engine's certificate ended on {}: renew it on the engine (engine init --renew), or correct \
         this till's clock", day(*not_after_s)
    )]
    Expired {
        /// Its last second, since 1970; 0 when it cannot be read.
        not_after_s: i64,
    },
    /// The certificate's time has not begun.
    #[error(
        "the engine's certificate begins on {}, which is not yet by this till's clock: the clock is wrong, \
         here or there", day(*not_before_s)
    )]
    NotYetValid {
        /// Its first second, since 1970; 0 when it cannot be read.
        not_before_s: i64,
    },
    /// Another authority, or somebody who passes for the right one.
    #[error(
        "the engine's certificate is of another CA than this till trusts (trusted: {trusted}; shown: {}): \
         this is another engine, or the engine has a new CA and the till must be paired again, or somebody \
         is listening in",
        shown(seen)
    )]
    WrongAuthority {
        /// Who is trusted, for people.
        trusted: String,
        /// The root that was shown, if there was one.
        seen: Option<Fingerprint>,
    },
    /// Nobody has said yet whom to believe.
    #[error(
        "nobody has confirmed this engine's CA yet (shown: {}): compare with what the engine shows \
         (engine init, the pairing code's answer, or GET /v1/status), then give --ca-fingerprint or --ca-file; \
         for a certificate of a public CA set engine.trust = \"system\"",
        shown(seen)
    )]
    NotPinned {
        /// The root that was shown, if there was one.
        seen: Option<Fingerprint>,
    },
    /// There is no CA in the file, or on this machine.
    #[error("no CA certificate in {0}")]
    NoAuthority(String),
    /// Anything else.
    #[error("the TLS handshake failed: {0}")]
    Failed(String),
}

impl TlsFault {
    /// The code, the same in every version.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Address(_) => "TLS_ADDRESS",
            Self::Unreachable { .. } => "ENGINE_UNREACHABLE",
            Self::TimedOut(_) => "TLS_TIMED_OUT",
            Self::NotTls(_) => "TLS_NOT_SPOKEN",
            Self::NameMismatch { .. } => "TLS_NAME_MISMATCH",
            Self::Expired { .. } => "TLS_CERTIFICATE_EXPIRED",
            Self::NotYetValid { .. } => "TLS_CERTIFICATE_NOT_YET_VALID",
            Self::WrongAuthority { .. } => "TLS_WRONG_CA",
            Self::NotPinned { .. } => "TLS_CA_NOT_PINNED",
            Self::NoAuthority(_) => "TLS_NO_CA",
            Self::Failed(_) => "TLS_FAILED",
        }
    }

    /// What an error of the library means, for a connection to `host` under `trust` on which
    /// `chain` was shown.
    fn of(error: &rustls::Error, host: &str, trust: &Trust, chain: &[CertificateDer<'_>]) -> Self {
        let facts = chain
            .first()
            .and_then(|first| CertificateFacts::read(first).ok());
        match error {
            rustls::Error::InvalidCertificate(error) => match error {
                CertificateError::Expired => Self::Expired {
                    not_after_s: facts.map_or(0, |facts| facts.not_after_s),
                },
                CertificateError::ExpiredContext { not_after, .. } => Self::Expired {
                    not_after_s: i64::try_from(not_after.as_secs()).unwrap_or(0),
                },
                CertificateError::NotValidYet => Self::NotYetValid {
                    not_before_s: facts.map_or(0, |facts| facts.not_before_s),
                },
                CertificateError::NotValidYetContext { not_before, .. } => Self::NotYetValid {
                    not_before_s: i64::try_from(not_before.as_secs()).unwrap_or(0),
                },
                CertificateError::NotValidForName => Self::NameMismatch {
                    asked: host.to_owned(),
                    names: facts.map(|facts| facts.names).unwrap_or_default(),
                },
                CertificateError::NotValidForNameContext { presented, .. } => Self::NameMismatch {
                    asked: host.to_owned(),
                    names: facts.map_or_else(|| presented.clone(), |facts| facts.names),
                },
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    Self::WrongAuthority {
                        trusted: trust.to_string(),
                        seen: root_of(chain).map(|root| fingerprint(root)),
                    }
                }
                other => Self::Failed(other.to_string()),
            },
            rustls::Error::InvalidMessage(_) => Self::NotTls(host.to_owned()),
            other => Self::Failed(other.to_string()),
        }
    }

    /// What a failed connection to `host` means.
    pub(crate) fn of_io(error: &std::io::Error, host: &str, trust: &Trust) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        match inner {
            Some(error) => Self::of(error, host, trust, &[]),
            None => Self::Unreachable {
                address: host.to_owned(),
                message: error.to_string(),
            },
        }
    }
}

fn day(seconds: i64) -> String {
    match seconds {
        0 => "an unknown day".to_owned(),
        seconds => day_of(seconds),
    }
}

fn shown(seen: &Option<Fingerprint>) -> String {
    match seen {
        Some(fingerprint) => fingerprint.short().to_string(),
        None => "no CA certificate".to_owned(),
    }
}

/// A certificate authority that was pinned.
#[derive(Clone, PartialEq, Eq)]
pub struct Authority(CertificateDer<'static>);

impl Authority {
    /// Reads the authority of a PEM file: the root in it, or else its last certificate.
    ///
    /// # Errors
    /// [`TlsFault::NoAuthority`].
    pub fn read(path: &Path) -> Result<Self, TlsFault> {
        let nothing = || TlsFault::NoAuthority(path.display().to_string());
        let text = std::fs::read(path).map_err(|_| nothing())?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let found = found.map_err(|_| nothing())?;
        let chosen = root_of(&found).or(found.last()).ok_or_else(nothing)?;
        CertificateFacts::read(chosen).map_err(|_| nothing())?;
        Ok(Self(chosen.clone().into_owned()))
    }

    /// Its fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.0)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({})", self.fingerprint().short())
    }
}

/// DER as hexadecimal digits.
impl Serialize for Authority {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Authority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let text = String::deserialize(deserializer)?;
        let der = hex::decode(text).map_err(D::Error::custom)?;
        CertificateFacts::read(&der).map_err(D::Error::custom)?;
        Ok(Self(der.into()))
    }
}

/// Whom a till believes that it is the engine.
#[derive(Debug, Clone)]
pub enum Trust {
    /// This authority, and no other.
    Pinned(Authority),
    /// The authorities of the operating system, for engines with a public certificate.
    System,
    /// The authority with this fingerprint, whose certificate the engine shows. Only good for
    /// pinning it.
    Fingerprint(Fingerprint),
    /// Nobody yet: what the engine shows can be looked at, and no connection comes of it.
    Nobody,
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned(authority) => authority.fingerprint().short().fmt(f),
            Self::System => f.write_str("the CAs of this machine"),
            Self::Fingerprint(fingerprint) => fingerprint.short().fmt(f),
            Self::Nobody => f.write_str("nobody"),
        }
    }
}

impl Trust {
    /// What was pinned.
    pub const fn pinned(&self) -> Option<&Authority> {
        match self {
            Self::Pinned(authority) => Some(authority),
            _ => None,
        }
    }

    fn roots(&self) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
        match self {
            Self::Pinned(authority) => Ok(vec![authority.0.clone()]),
            Self::System => {
                let found = rustls_native_certs::load_native_certs().certs;
                match found.is_empty() {
                    true => Err(TlsFault::NoAuthority("this machine's store".to_owned())),
                    false => Ok(found),
                }
            }
            Self::Fingerprint(_) | Self::Nobody => Err(TlsFault::NotPinned { seen: None }),
        }
    }

    fn root_store(&self) -> Result<RootCertStore, TlsFault> {
        let mut store = RootCertStore::empty();
        let (taken, _) = store.add_parsable_certificates(self.roots()?);
        match taken {
            0 => Err(TlsFault::NoAuthority(self.to_string())),
            _ => Ok(store),
        }
    }

    /// What the link connects with. To be kept: sessions are resumed by what is in it.
    ///
    /// # Errors
    /// [`TlsFault::NotPinned`] and [`TlsFault::NoAuthority`].
    pub(crate) fn client_config(&self) -> Result<Arc<ClientConfig>, TlsFault> {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsFault::Failed(error.to_string()))?
            .with_root_certificates(self.root_store()?)
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Arc::new(config))
    }

    /// A client of the engine's HTTP API that believes nobody else. Under [`Trust::Nobody`] it
    /// speaks plain HTTP only.
    ///
    /// # Errors
    /// [`TlsFault::NoAuthority`].
    pub fn http_client(&self, timeout: Duration) -> Result<ureq::Agent, TlsFault> {
        use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
        let roots = match self {
            Self::Nobody => Vec::new(),
            trusted => trusted.roots()?,
        };
        let roots = roots
            .iter()
            .map(|root| Certificate::from_der(root).to_owned());
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(provider())
            .root_certs(RootCerts::Specific(Arc::new(roots.collect())))
            .build();
        Ok(ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            // A proxy of the environment must not see what is said.
            .proxy(None)
            .tls_config(tls)
            .build()
            .into())
    }
}

/// The only protocol that is spoken inside TLS.
const ALPN: &[u8] = b"http/1.1";

/// The cryptography of every TLS connection here.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn digest(der: &[u8]) -> [u8; 32] {
    Sha256::digest(der).into()
}

fn fingerprint(der: &[u8]) -> Fingerprint {
    Fingerprint::of_digest(digest(der))
}

/// The root that a chain ends with.
fn root_of<'a, 'der>(chain: &'a [CertificateDer<'der>]) -> Option<&'a CertificateDer<'der>> {
    chain
        .iter()
        .rfind(|one| CertificateFacts::read(one).is_ok_and(|facts| facts.is_self_issued))
}
