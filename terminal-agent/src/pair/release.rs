//! The end of a pairing: the engine lets the terminal go, then key and identity are deleted here.
//!
//! Nothing is deleted before the engine has answered, unless a person insists; and nothing at all
//! while the journal holds what nobody else knows.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ed25519_dalek::Signer;
use protocol::id::{IncarnationId, TerminalId};
use protocol::pairing::release_bytes;
use serde::{Deserialize, Serialize};

use super::{Identity, PairError, at, identity_path, key_path, load_identity, load_key, post};
use crate::journal::{JournalError, peek};
use crate::tls::Trust;

/// The engine's code for a signature that is of another life or time than its own.
const STALE: &str = "SIGNATURE_STALE";

/// Why a till stays paired.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// There is no identity, or the engine does not answer, or refuses.
    #[error(transparent)]
    Pair(#[from] PairError),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal holds work whose end the engine does not know.
    #[error(
        "there is open work in the journal ({0}): start the agent and let it reach the engine, then \
         try again"
    )]
    OpenWork(String),
}

/// A till that is nobody any more.
#[derive(Debug, Serialize)]
pub struct Released {
    /// Who it was.
    pub terminal_id: TerminalId,
    /// What people called it.
    pub label: String,
    /// Whether the engine knows.
    pub engine_knows: bool,
    /// Where the journal is now, if there was one.
    pub journal: Option<PathBuf>,
    /// What a person still has to do elsewhere.
    pub remains: Vec<String>,
}

#[derive(Serialize)]
struct ReleaseRequest {
    terminal_id: TerminalId,
    engine_incarnation: IncarnationId,
    signed_at_ms: i64,
    signature: String,
}

#[derive(Deserialize)]
struct ReleasedAnswer {
    released: bool,
}

#[derive(Deserialize)]
struct Stale {
    engine_incarnation: IncarnationId,
    engine_time_ms: i64,
}

/// Asks the engine to let this till go, and deletes key and identity. The caller holds the state
/// directory, so that no agent runs on it.
///
/// # Errors
/// [`ReleaseError`]: then nothing has changed here.
pub fn unpair(state_dir: &Path, engine_url: &str, trust: &Trust) -> Result<Released, ReleaseError> {
    let identity = load_identity(state_dir)?;
    if let Some(open) = open_work(state_dir)? {
        return Err(ReleaseError::OpenWork(open));
    }
    match load_key(state_dir) {
        Ok(key) => release(&key, &identity, engine_url, trust)?,
        // Interrupted after the key had gone: the engine had answered then.
        Err(PairError::NotPaired) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(forget(state_dir, identity, true, Vec::new())?)
}

/// Deletes key and identity without a word to the engine, for a till whose engine is gone.
///
/// # Errors
/// [`ReleaseError`] when there is nothing to delete, or it cannot be.
pub fn force_unpair(state_dir: &Path) -> Result<Released, ReleaseError> {
    let identity = load_identity(state_dir)?;
    let mut remains = vec![format!(
        "the engine, if it comes back, still takes this till for {}: unpair it there with POST \
         /v1/terminals/{}/unpair",
        identity.label, identity.terminal_id
    )];
    match open_work(state_dir) {
        Ok(None) => {}
        Ok(Some(open)) => remains.push(format!(
            "the journal holds work whose end the engine does not know ({open}): it was kept; the \
             engine undoes what was not confirmed"
        )),
        Err(error) => remains.push(format!("the journal cannot be read ({error}): it was kept")),
    }
    Ok(forget(state_dir, identity, false, remains)?)
}

/// What the journal holds that nobody else knows, in words.
fn open_work(state_dir: &Path) -> Result<Option<String>, JournalError> {
    let state = peek(state_dir)?;
    let open: Vec<String> = state.open().map(|one| one.pos_id.to_string()).collect();
    let requests = state.requests().count();
    let mut parts = Vec::new();
    if !open.is_empty() {
        parts.push(format!("transactions {}", open.join(", ")));
    }
    if requests > 0 {
        parts.push(format!("{requests} requests without an answer"));
    }
    Ok((!parts.is_empty()).then(|| parts.join("; ")))
}

fn release(
    key: &ed25519_dalek::SigningKey,
    identity: &Identity,
    engine_url: &str,
    trust: &Trust,
) -> Result<(), PairError> {
    let terminal_id = identity.terminal_id;
    let send = |engine_incarnation: IncarnationId, signed_at_ms: i64| {
        let message = release_bytes(engine_incarnation, terminal_id, signed_at_ms);
        let request = ReleaseRequest {
            terminal_id,
            engine_incarnation,
            signed_at_ms,
            signature: hex::encode(key.sign(&message).to_bytes()),
        };
        post::<ReleasedAnswer>(engine_url, trust, "/v1/pairing/release", &request)
    };
    // This till's clock is not asked: whoever knows the engine's time is the engine.
    let first = send(identity.engine_incarnation, 0);
    let answer = match first {
        Err(PairError::Refused { code, details, .. }) if code == STALE => {
            let stale = serde_json::from_value::<Stale>(details);
            let stale = stale.map_err(|_| PairError::Unreachable {
                url: engine_url.to_owned(),
                message: "half an answer".to_owned(),
            })?;
            send(stale.engine_incarnation, stale.engine_time_ms)?
        }
        other => other?,
    };
    match answer.released {
        true => Ok(()),
        false => Err(PairError::Unreachable {
            url: engine_url.to_owned(),
            message: "an answer that says nothing".to_owned(),
        }),
    }
}

/// The key goes first: with an identity and without a key, the next try finishes this one.
fn forget(
    state_dir: &Path,
    identity: Identity,
    engine_knows: bool,
    remains: Vec<String>,
) -> Result<Released, PairError> {
    erase(&key_path(state_dir))?;
    let journal = set_journal_aside(state_dir, identity.terminal_id)?;
    let path = identity_path(state_dir);
    remove(&path)?;
    std::fs::File::open(state_dir)
        .and_then(|directory| directory.sync_all())
        .map_err(at("sync", state_dir))?;
    Ok(Released {
        terminal_id: identity.terminal_id,
        label: identity.label,
        engine_knows,
        journal,
        remains,
    })
}

/// Overwrites a file and removes it. What the medium keeps of it beside the file is beyond a
/// program's reach; that the engine does not take the key any more is not.
fn erase(path: &Path) -> Result<(), PairError> {
    let opened = std::fs::OpenOptions::new().write(true).open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at("overwrite", path)(error)),
    };
    let length = file.metadata().map_err(at("measure", path))?.len();
    let zeros = vec![0; usize::try_from(length).unwrap_or(0)];
    file.write_all(&zeros).map_err(at("overwrite", path))?;
    file.sync_all().map_err(at("sync", path))?;
    remove(path)
}

fn remove(path: &Path) -> Result<(), PairError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The journal of one terminal is never told under another name; it stays for whoever looks into it.
fn set_journal_aside(
    state_dir: &Path,
    terminal_id: TerminalId,
) -> Result<Option<PathBuf>, PairError> {
    let journal = state_dir.join("journal");
    let aside = state_dir.join(format!("journal.of-{terminal_id}"));
    match std::fs::rename(&journal, &aside) {
        Ok(()) => Ok(Some(aside)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at("set aside", &journal)(error)),
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signature, Verifier};

    use super::super::tests::{engine, pairing};
    use super::super::{load_or_make_key, write_durably};
    use super::*;

    fn paired(state_dir: &Path) -> Identity {
        let identity = Identity {
            terminal_id: TerminalId::from_uuid(uuid::Uuid::from_u128(5)),
            merchant_id: protocol::id::MerchantId::from_uuid(uuid::Uuid::from_u128(1)),
            label: "Lane 1".to_owned(),
            engine_incarnation: IncarnationId::from_uuid(uuid::Uuid::from_u128(2)),
            link_url: "ws://127.0.0.1:1".to_owned(),
            engine_ca: None,
        };
        load_or_make_key(state_dir).unwrap();
        let json = serde_json::to_vec(&identity).unwrap();
        write_durably(state_dir, "identity.json", &json).unwrap();
        identity
    }

    #[test]
    fn the_engine_lets_go_by_its_own_clock_and_then_nothing_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let identity = paired(directory.path());
        let key = load_key(directory.path()).unwrap().verifying_key();
        let incarnation = IncarnationId::from_uuid(uuid::Uuid::from_u128(9));
        let stale = format!(
            r#"{{"success":false,"error":{{"code":"SIGNATURE_STALE","message":"m","details":
            {{"engine_incarnation":"{incarnation}","engine_time_ms":1800000000000}}}}}}"#
        );
        let good = r#"{"success":true,"data":{"terminal_id":"x","released":true}}"#;
        let (url, thread) = engine(vec![None, Some(stale), Some(good.to_owned())]);
        let trust = pairing(directory.path(), &url).trust;

        let lost = unpair(directory.path(), &url, trust);
        assert!(matches!(
            lost,
            Err(ReleaseError::Pair(PairError::Unreachable { .. }))
        ));
        assert_eq!(load_identity(directory.path()).unwrap(), identity);
        let released = unpair(directory.path(), &url, trust).unwrap();
        assert!(released.engine_knows && released.remains.is_empty());
        let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");

        let requests = thread.join().unwrap();
        let last: serde_json::Value = serde_json::from_str(&requests[2]).unwrap();
        let mut signature = [0; 64];
        hex::decode_to_slice(last["signature"].as_str().unwrap(), &mut signature).unwrap();
        let message = release_bytes(incarnation, identity.terminal_id, 1_800_000_000_000);
        key.verify(&message, &Signature::from_bytes(&signature))
            .unwrap();
    }

    #[test]
    fn a_refusal_changes_nothing_and_force_says_what_remains() {
        let directory = tempfile::tempdir().unwrap();
        let identity = paired(directory.path());
        std::fs::write(directory.path().join("journal"), "").unwrap();
        let refused = r#"{"success":false,"error":{"code":"TERMINAL_HAS_OPEN_WORK",
            "message":"m","details":{}}}"#;
        let (url, thread) = engine(vec![Some(refused.to_owned())]);
        let trust = pairing(directory.path(), &url).trust;
        let refusal = unpair(directory.path(), &url, trust);
        assert!(matches!(
            refusal,
            Err(ReleaseError::Pair(PairError::Refused { .. }))
        ));
        thread.join().unwrap();
        assert_eq!(load_identity(directory.path()).unwrap(), identity);
        assert!(load_key(directory.path()).is_ok());

        let released = force_unpair(directory.path()).unwrap();
        assert!(!released.engine_knows);
        assert_eq!(released.remains.len(), 1, "{released:?}");
        assert!(released.journal.is_some_and(|path| path.exists()));
        assert!(matches!(
            load_key(directory.path()),
            Err(PairError::NotPaired)
        ));
        let nobody = force_unpair(directory.path());
        assert!(matches!(
            nobody,
            Err(ReleaseError::Pair(PairError::NotPaired))
        ));
    }

    #[test]
    fn an_interrupted_end_is_finished_without_the_engine() {
        let directory = tempfile::tempdir().unwrap();
        paired(directory.path());
        erase(&key_path(directory.path())).unwrap();
        let trust = Trust::Nobody;
        let released = unpair(directory.path(), "http://127.0.0.1:1", &trust).unwrap();
        assert!(released.engine_knows);
        assert!(load_identity(directory.path()).is_err());
    }
}
