//! Which authority a till pins when it is paired.

use std::path::PathBuf;

use protocol::certificate::Fingerprint;

use super::{Authority, TlsFault, Trust, inspect};
use crate::config::{EngineConfig, EngineTrust};

/// What the technician said about the engine's authority.
#[derive(Debug, Clone, Default)]
pub struct PinChoice {
    /// The fingerprint, whole or its beginning, as the engine shows it.
    pub fingerprint: Option<Fingerprint>,
    /// The authority's certificate in a file.
    pub file: Option<PathBuf>,
}

/// Finds out whom to trust at pairing: what the technician says, what was pinned before, or what
/// `confirm` agrees to when it is shown the fingerprint. The engine is spoken to, and has shown a
/// good certificate, when this comes back.
///
/// # Errors
/// [`TlsFault`].
pub fn establish(
    engine: &EngineConfig,
    choice: &PinChoice,
    earlier: Option<&Authority>,
    confirm: impl FnOnce(Fingerprint) -> bool,
) -> Result<Trust, TlsFault> {
    let url = engine.url.as_str();
    if !crate::link::is_tls_url(url) {
        return Ok(Trust::Nobody);
    }
    if engine.trust == EngineTrust::System {
        return inspect(url, &Trust::System).map(|_| Trust::System);
    }
    let trust = match (choice.fingerprint, &choice.file, earlier) {
        (Some(fingerprint), None, _) => Trust::Fingerprint(fingerprint),
        (None, Some(file), _) => Trust::Pinned(Authority::read(file)?),
        (Some(fingerprint), Some(file), _) => {
            let authority = Authority::read(file)?;
            if !fingerprint.is_of(&super::digest(&authority.0)) {
                return Err(TlsFault::WrongAuthority {
                    trusted: fingerprint.short().to_string(),
                    seen: Some(authority.fingerprint()),
                });
            }
            Trust::Pinned(authority)
        }
        (None, None, Some(authority)) => Trust::Pinned(authority.clone()),
        (None, None, None) => match inspect(url, &Trust::Nobody) {
            Err(TlsFault::NotPinned { seen: Some(seen) }) if confirm(seen) => {
                Trust::Fingerprint(seen)
            }
            Err(fault) => return Err(fault),
            Ok(_) => return Err(TlsFault::NotPinned { seen: None }),
        },
    };
    let report = inspect(url, &trust)?;
    let authority = report.authority.ok_or(TlsFault::NotPinned { seen: None })?;
    Ok(Trust::Pinned(authority))
}
