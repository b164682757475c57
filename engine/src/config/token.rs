//! The data directory and the operator's token in it. Must never leave either where others can read
//! it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::ConfigError;
use crate::domain::token::Secret;
use crate::id_source::SystemIds;

/// Name of the file with the operator's token, in the data directory.
pub const OPERATOR_TOKEN_FILE: &str = "operator-token";
/// What the operator's token begins with, so that a leaked one is recognized.
pub const OPERATOR_TOKEN_PREFIX: &str = "tw_operator_";

/// Makes the data directory, for its owner only, if it is absent.
///
/// # Errors
/// [`ConfigError::File`].
pub fn prepare_data_dir(data_dir: &Path) -> Result<(), ConfigError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .map_err(ConfigError::file(data_dir))
}

/// Reads the operator's token from the data directory, and makes one at the first start.
///
/// # Errors
/// [`ConfigError`]; also when others could have read the file.
pub fn operator_token(data_dir: &Path, ids: SystemIds) -> Result<Secret, ConfigError> {
    match read_operator_token(data_dir) {
        Err(ConfigError::File { error, path }) if error.kind() == io::ErrorKind::NotFound => {
            let secret = ids.secret()?;
            let token = Secret::new(format!("{OPERATOR_TOKEN_PREFIX}{}", secret.expose()));
            let line = Secret::new(format!("{}\n", token.expose()));
            write_durably(&path, line.expose().as_bytes(), 0o600)
                .map_err(ConfigError::file(&path))?;
            Ok(token)
        }
        read => read,
    }
}

/// Whether the operator's token can be used as it is.
///
/// # Errors
/// [`ConfigError`]; also when there is none.
pub fn check_operator_token(data_dir: &Path) -> Result<(), ConfigError> {
    read_operator_token(data_dir).map(drop)
}

fn read_operator_token(data_dir: &Path) -> Result<Secret, ConfigError> {
    let path = data_dir.join(OPERATOR_TOKEN_FILE);
    let metadata = fs::metadata(&path).map_err(ConfigError::file(&path))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(ConfigError::TokenExposed { path, mode });
    }
    let text = Secret::new(fs::read_to_string(&path).map_err(ConfigError::file(&path))?);
    let token = text.expose().trim_end();
    let is_digit = |letter: u8| letter.is_ascii_digit() || (b'a'..=b'f').contains(&letter);
    let is_token = token
        .strip_prefix(OPERATOR_TOKEN_PREFIX)
        .is_some_and(|secret| secret.len() == 64 && secret.bytes().all(is_digit));
    if !is_token {
        return Err(ConfigError::TokenMalformed(path));
    }
    Ok(Secret::new(token.to_owned()))
}

/// Written beside and renamed: a crash leaves the file as it was, or as it is to be.
///
/// # Errors
/// When the disk or its permissions refuse.
pub(crate) fn write_durably(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&beside)?;
    // The mode above counts only for a file that did not exist.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}
