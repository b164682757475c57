//! A certificate with its key: read from files, checked, made into what connections are accepted
//! with.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::certificate::{CertificateFacts, Fingerprint};
use rustls::ServerConfig;
use rustls::crypto::ring::Ticketer;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;

use super::{fingerprint, provider};
use crate::config::TlsSection;
use crate::domain::time::Timestamp;

/// The only protocol that is offered inside TLS.
const ALPN: &[u8] = b"http/1.1";
/// Session tickets for each full handshake. A till opens one link at a time.
const TICKETS: usize = 1;
/// Permissions of a key file that nobody but its owner and, for reading, its group may have.
const KEY_MODE_REFUSED: u32 = 0o037;

/// Why a certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PairFault {
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others can read, or the group can write, the key.
    #[error(
        "{} can be used by others (mode {mode:o}); take the permission away (chmod 600), and have a \
         new key made: this one may be known", path.display()
    )]
    KeyExposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// There is nothing of this kind in the file.
    #[error("{} holds no {what} in PEM that can be used", path.display())]
    Nothing {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// The key is that of another certificate.
    #[error("the key in {} does not belong to the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's.
        key: PathBuf,
    },
    /// Its time is over.
    #[error(
        "the certificate in {} ended {days} days ago; `engine init --renew` issues a new one", path.display()
    )]
    Expired {
        /// The file.
        path: PathBuf,
        /// Since when.
        days: i64,
    },
    /// The TLS library refuses.
    #[error("{} cannot be served: {message}", path.display())]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        message: String,
    },
}

/// The certificate that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Names and addresses that it is for.
    pub names: Vec<String>,
    /// When its time ends.
    pub not_after: Timestamp,
    /// SHA-256 of the certificate.
    pub fingerprint: Fingerprint,
    /// SHA-256 of the authority's own certificate, where the file holds it: what tills pin.
    pub ca_fingerprint: Option<Fingerprint>,
}

impl Shown {
    /// Whole days that are left; negative when its time is over.
    pub fn days_left(&self, now: Timestamp) -> i64 {
        self.not_after
            .0
            .saturating_sub(now.0)
            .div_euclid(86_400_000)
    }
}

/// A pair that can be served.
pub(super) struct Pair {
    pub(super) config: Arc<ServerConfig>,
    pub(super) shown: Shown,
}

impl Pair {
    /// Reads both files.
    ///
    /// # Errors
    /// [`PairFault`], but not for a certificate whose time is over: [`Self::check_time`].
    pub(super) fn read(files: &TlsSection) -> Result<Self, PairFault> {
        let chain = read_chain(&files.certificate)?;
        let key = read_key(&files.key)?;
        let shown = describe(&files.certificate, &chain)?;
        let unusable = |error: rustls::Error| PairFault::Unusable {
            path: files.certificate.clone(),
            message: error.to_string(),
        };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => PairFault::Mismatch {
                    certificate: files.certificate.clone(),
                    key: files.key.clone(),
                },
                error => unusable(error),
            })?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        // What a returning till needs is in its ticket, not here.
        config.ticketer = Ticketer::new().map_err(unusable)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = TICKETS;
        Ok(Self {
            config: Arc::new(config),
            shown,
        })
    }

    /// Refuses a certificate whose time is over.
    ///
    /// # Errors
    /// [`PairFault::Expired`].
    pub(super) fn check_time(&self, path: &Path, now: Timestamp) -> Result<(), PairFault> {
        if now <= self.shown.not_after {
            return Ok(());
        }
        Err(PairFault::Expired {
            path: path.to_owned(),
            days: self.shown.days_left(now).saturating_neg(),
        })
    }
}

/// The certificates of a file, the server's own first.
pub(super) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, PairFault> {
    let nothing = || PairFault::Nothing {
        path: path.to_owned(),
        what: "certificate",
    };
    let text = read(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|_| nothing())?;
    if chain.is_empty() {
        return Err(nothing());
    }
    Ok(chain)
}

/// The private key of a file that only its owner and group may read.
pub(super) fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, PairFault> {
    let file = |error| PairFault::File {
        path: path.to_owned(),
        error,
    };
    let mode = std::fs::metadata(path).map_err(file)?.permissions().mode() & 0o777;
    if mode & KEY_MODE_REFUSED != 0 {
        return Err(PairFault::KeyExposed {
            path: path.to_owned(),
            mode,
        });
    }
    let text = zeroize::Zeroizing::new(read(path)?);
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| PairFault::Nothing {
        path: path.to_owned(),
        what: "private key",
    })
}

fn read(path: &Path) -> Result<Vec<u8>, PairFault> {
    std::fs::read(path).map_err(|error| PairFault::File {
        path: path.to_owned(),
        error,
    })
}

fn describe(path: &Path, chain: &[CertificateDer<'_>]) -> Result<Shown, PairFault> {
    let nothing = || PairFault::Nothing {
        path: path.to_owned(),
        what: "certificate",
    };
    let first = chain.first().ok_or_else(nothing)?;
    let facts = CertificateFacts::read(first).map_err(|_| nothing())?;
    let root = chain
        .last()
        .filter(|last| CertificateFacts::read(last).is_ok_and(|facts| facts.is_self_issued));
    Ok(Shown {
        names: facts.names,
        not_after: Timestamp(facts.not_after_s.saturating_mul(1_000)),
        fingerprint: fingerprint(first),
        ca_fingerprint: root.map(|root| fingerprint(root)),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs::{self, Permissions};

    use super::*;
    use crate::id_source::SystemIds;
    use crate::tls::authority::{Authority, Issued, SERVER_LIFE};

    pub(crate) const NOW: Timestamp = Timestamp(1_795_244_594_000);

    pub(crate) fn issue(authority: &Authority, now: Timestamp) -> Issued {
        let names = ["shop.example".to_owned()];
        authority
            .issue(&names, None, now, SERVER_LIFE, SystemIds)
            .unwrap()
    }

    pub(crate) fn write(dir: &Path, issued: &Issued) -> TlsSection {
        let files = TlsSection {
            certificate: dir.join("server.pem"),
            key: dir.join("server.key"),
        };
        fs::write(&files.certificate, &issued.chain_pem).unwrap();
        fs::write(&files.key, issued.key_pem.expose()).unwrap();
        fs::set_permissions(&files.key, Permissions::from_mode(0o600)).unwrap();
        files
    }

    #[test]
    fn a_pair_is_served_only_when_it_is_one_and_its_key_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::make(NOW, SystemIds).unwrap();
        let files = write(dir.path(), &issue(&authority, NOW));
        let pair = Pair::read(&files).unwrap();
        assert_eq!(pair.shown.ca_fingerprint, Some(authority.fingerprint()));
        assert_eq!(pair.shown.days_left(NOW), 397);
        assert!(pair.shown.names.contains(&"shop.example".to_owned()));
        assert!(pair.check_time(&files.certificate, NOW).is_ok());
        let later = NOW.plus_ms(398 * 86_400_000);
        let expired = pair.check_time(&files.certificate, later).unwrap_err();
        assert!(
            matches!(expired, PairFault::Expired { days: 1, .. }),
            "{expired}"
        );

        for (mode, is_refused) in [(0o640, false), (0o604, true), (0o660, true), (0o644, true)] {
            fs::set_permissions(&files.key, Permissions::from_mode(mode)).unwrap();
            let is_exposed = matches!(Pair::read(&files), Err(PairFault::KeyExposed { .. }));
            assert_eq!(is_exposed, is_refused, "{mode:o}");
        }
        fs::set_permissions(&files.key, Permissions::from_mode(0o600)).unwrap();
        let other = issue(&authority, NOW);
        fs::write(&files.key, other.key_pem.expose()).unwrap();
        let mismatch = Pair::read(&files).err().unwrap();
        assert!(matches!(mismatch, PairFault::Mismatch { .. }), "{mismatch}");
        for (path, text) in [(&files.certificate, ""), (&files.key, "-----BEGIN NOTHING")] {
            let before = fs::read(path).unwrap();
            fs::write(path, text).unwrap();
            let fault = Pair::read(&files).err().unwrap();
            assert!(matches!(fault, PairFault::Nothing { .. }), "{fault}");
            fs::write(path, before).unwrap();
        }
    }
}
