//! The till's own files: key and identity, made, read back and replaced whole. Nobody else may read
//! them.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use super::{Identity, PairError};

/// Makes the state directory, if it is absent, for its owner; its group may reach the control
/// socket.
///
/// # Errors
/// When it cannot be made.
pub fn make_state_dir(state_dir: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(state_dir)
}

/// What is open in the journal of another terminal must never be told under the new name. The
/// other terminal's engine undoes it when that terminal comes back with a new journal, or never.
pub(super) fn set_foreign_journal_aside(
    state_dir: &Path,
    identity: &Identity,
) -> Result<(), PairError> {
    let Ok(earlier) = load_identity(state_dir) else {
        return Ok(());
    };
    if earlier.terminal_id == identity.terminal_id {
        return Ok(());
    }
    let journal = state_dir.join("journal");
    let aside = state_dir.join(format!("journal.of-{}", earlier.terminal_id));
    match std::fs::rename(&journal, &aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(at("set aside", &journal)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

pub(super) fn key_path(state_dir: &Path) -> PathBuf {
    state_dir.join("device-key")
}

pub(super) fn identity_path(state_dir: &Path) -> PathBuf {
    state_dir.join("identity.json")
}

pub(super) fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PairError {
    let path = path.to_owned();
    move |source| PairError::Io {
        action,
        path,
        source,
    }
}

pub(super) fn load_or_make_key(state_dir: &Path) -> Result<SigningKey, PairError> {
    match load_key(state_dir) {
        Err(PairError::NotPaired) => {}
        other => return other,
    }
    let mut secret = Zeroizing::new([0u8; 32]);
    getrandom::fill(secret.as_mut_slice()).map_err(|_| PairError::NoRandomness)?;
    let text = Zeroizing::new(hex::encode(secret.as_slice()));
    write_durably(state_dir, "device-key", text.as_bytes())?;
    Ok(SigningKey::from_bytes(&secret))
}

/// The private half of the device's key.
///
/// # Errors
/// [`PairError::NotPaired`] when there is none; [`PairError`].
pub fn load_key(state_dir: &Path) -> Result<SigningKey, PairError> {
    let path = key_path(state_dir);
    let text = Zeroizing::new(read(&path)?);
    let mut secret = Zeroizing::new([0u8; 32]);
    hex::decode_to_slice(text.trim_ascii(), secret.as_mut_slice())
        .map_err(|_| PairError::Damaged(path))?;
    Ok(SigningKey::from_bytes(&secret))
}

/// Who this till is.
///
/// # Errors
/// [`PairError::NotPaired`] when nobody has paired it; [`PairError`].
pub fn load_identity(state_dir: &Path) -> Result<Identity, PairError> {
    let path = identity_path(state_dir);
    serde_json::from_slice(&read(&path)?).map_err(|_| PairError::Damaged(path))
}

fn read(path: &Path) -> Result<Vec<u8>, PairError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(PairError::NotPaired),
        Err(error) => Err(at("read", path)(error)),
    }
}

/// Writes a file that nobody else may read: whole and durable, or not at all.
pub(super) fn write_durably(state_dir: &Path, name: &str, bytes: &[u8]) -> Result<(), PairError> {
    let (path, new) = (state_dir.join(name), state_dir.join(format!("{name}.new")));
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(at("remove", &new)(error));
        }
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&new)
        .map_err(at("create", &new))?;
    file.write_all(bytes).map_err(at("write to", &new))?;
    file.sync_all().map_err(at("sync", &new))?;
    std::fs::rename(&new, &path).map_err(at("replace", &path))?;
    std::fs::File::open(state_dir)
        .and_then(|directory| directory.sync_all())
        .map_err(at("sync", state_dir))
}
