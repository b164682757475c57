//! Verifies a chain against what is trusted, and remembers what was shown, also when it is refused.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::{Trust, digest, provider, root_of};

type Chain = Vec<CertificateDer<'static>>;

/// One handshake's verifier.
#[derive(Debug)]
pub(super) struct Witness {
    trust: Trust,
    /// Of those that are trusted before anything is shown.
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
    seen: Mutex<Chain>,
}

impl Witness {
    pub(super) fn new(trust: &Trust) -> Result<Arc<Self>, super::TlsFault> {
        let roots = match trust {
            Trust::Pinned(_) | Trust::System => trust.root_store()?,
            Trust::Fingerprint(_) | Trust::Nobody => RootCertStore::empty(),
        };
        Ok(Arc::new(Self {
            trust: trust.clone(),
            roots,
            provider: provider(),
            seen: Mutex::default(),
        }))
    }

    /// What was shown, the server's own certificate first.
    pub(super) fn seen(&self) -> Chain {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Against whom this chain is to be verified.
    fn roots(&self, chain: &Chain) -> Result<RootCertStore, Error> {
        let root = match &self.trust {
            Trust::Pinned(_) | Trust::System => return Ok(self.roots.clone()),
            Trust::Fingerprint(wanted) => chain.iter().find(|one| wanted.is_of(&digest(one))),
            // Verified all the same, so that a wrong name or time is what is told.
            Trust::Nobody => root_of(chain),
        };
        let root = root.ok_or(CertificateError::UnknownIssuer)?;
        let mut store = RootCertStore::empty();
        store.add(root.clone())?;
        Ok(store)
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = std::iter::once(end_entity).chain(intermediates);
        let chain: Chain = shown.map(|one| one.clone().into_owned()).collect();
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&chain);
        let roots = Arc::new(self.roots(&chain)?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, self.provider.clone())
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        let verified = verifier.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )?;
        match self.trust {
            // The end of every handshake under this trust: there is no connection to misuse.
            Trust::Nobody => Err(CertificateError::ApplicationVerificationFailure.into()),
            _ => Ok(verified),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
