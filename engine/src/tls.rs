//! TLS of the engine's one listener: which certificate is shown, and how connections come in.
//!
//! Knows nothing of HTTP and links. Private keys go from their file into the TLS library and
//! nowhere else: not into logs, errors or `Debug`.

pub mod accept;
pub mod authority;
pub mod pair;
pub mod serving;

use std::sync::Arc;

use protocol::certificate::Fingerprint;
use rustls::crypto::CryptoProvider;
use sha2::{Digest as _, Sha256};

/// The cryptography of every TLS connection here.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The fingerprint of a certificate in DER.
pub fn fingerprint(der: &[u8]) -> Fingerprint {
    Fingerprint::of_digest(Sha256::digest(der).into())
}
