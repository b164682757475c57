//! The till's own machine: configuration, state directory, disk.
//!
//! Facts are gathered by functions that begin with `look`, verdicts are made of facts alone.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::check::{Check, CheckId};
use crate::config::ConfigError;

/// The journal is written anew beside itself: below this it may not fit.
const DISK_BYTES_FAIL: u64 = 8 * 1024 * 1024;
/// Below this somebody should look at what fills the disk.
const DISK_BYTES_WARN: u64 = 100 * 1024 * 1024;
/// What others may not have of the state directory: its group may pass, to reach the control
/// socket, and others may nothing.
const STATE_MODE_FORBIDDEN: u32 = 0o027;
/// What others may not have of a secret file.
const SECRET_MODE_FORBIDDEN: u32 = 0o077;
/// Files that only the agent's user may read.
const SECRETS: [&str; 2] = ["device-key", "identity.json"];

/// Judges what reading the configuration came to.
pub fn judge_config(path: &Path, error: Option<&ConfigError>) -> Check {
    let shown = path.display();
    let Some(error) = error else {
        return Check::pass(CheckId::ConfigValid, format!("{shown} is valid"));
    };
    let seen = match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    let remedy = match error {
        ConfigError::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            "write the file, or name another one by --config or TILLWAY_AGENT_CONFIG; \
             `terminal-agent ports` shows what to write for reader and printer"
        }
        ConfigError::Unreadable { .. } => "let the agent's user read the file",
        ConfigError::Malformed { .. }
        | ConfigError::OutOfRange { .. }
        | ConfigError::Port { .. } => "correct this place in the file, then restart the agent",
    };
    Check::fail(CheckId::ConfigValid, seen, remedy)
}

/// The state directory as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateFact {
    /// Why it cannot be written to, if it cannot.
    pub refusal: Option<String>,
    /// Whether it is there.
    pub exists: bool,
    /// Owner and group, by number, and mode of the directory.
    pub mode: Option<u32>,
    /// The directory's owner.
    pub owner: Option<u32>,
    /// Name, mode and owner of each secret that is there.
    pub secrets: Vec<(String, u32, u32)>,
    /// Bytes that this user may still write, and files.
    pub free: Option<(u64, u64)>,
}

/// Looks at the state directory; writes and removes one small file.
pub fn look_at_state(state_dir: &Path) -> StateFact {
    let Ok(directory) = fs::metadata(state_dir) else {
        return StateFact::default();
    };
    let secrets = SECRETS.iter().filter_map(|name| {
        let file = fs::metadata(state_dir.join(name)).ok()?;
        Some(((*name).to_owned(), file.mode() & 0o7777, file.uid()))
    });
    let disk = rustix::fs::statvfs(state_dir).ok();
    StateFact {
        refusal: try_to_write(state_dir).err().map(|error| error.to_string()),
        exists: true,
        mode: Some(directory.mode() & 0o7777),
        owner: Some(directory.uid()),
        secrets: secrets.collect(),
        free: disk.map(|disk| (disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_favail)),
    }
}

fn try_to_write(state_dir: &Path) -> io::Result<()> {
    use std::io::Write as _;
    let path = state_dir.join(format!("doctor.{}.tmp", std::process::id()));
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&path)?;
    let written = file.write_all(b"doctor\n").and_then(|()| file.sync_all());
    fs::remove_file(&path)?;
    written
}

/// Whether it can be written to.
pub fn judge_writable(state_dir: &Path, fact: &StateFact) -> Check {
    let shown = state_dir.display();
    if !fact.exists {
        let seen = format!("{shown} is not there");
        let remedy = "pair the till (`terminal-agent pair`), which makes it, or correct state_dir";
        return Check::fail(CheckId::StateWritable, seen, remedy);
    }
    match &fact.refusal {
        None => Check::pass(CheckId::StateWritable, format!("{shown} takes files")),
        Some(refusal) => Check::fail(
            CheckId::StateWritable,
            format!("{shown} takes no file: {refusal}"),
            "run this as the agent's user or as root; if it still fails, give the directory to \
             the agent's user (`sudo chown -R`), or mount the disk writable",
        ),
    }
}

/// Whether nobody else may read it.
pub fn judge_permissions(state_dir: &Path, fact: &StateFact) -> Check {
    let mut wrong = Vec::new();
    if let Some(mode) = fact.mode.filter(|mode| mode & STATE_MODE_FORBIDDEN != 0) {
        wrong.push(format!("{} has mode {mode:04o}", state_dir.display()));
    }
    for (name, mode, owner) in &fact.secrets {
        if mode & SECRET_MODE_FORBIDDEN != 0 {
            wrong.push(format!("{name} has mode {mode:04o}"));
        }
        if Some(*owner) != fact.owner {
            wrong.push(format!(
                "{name} belongs to user {owner}, not to the directory's owner"
            ));
        }
    }
    if wrong.is_empty() {
        let mode = fact.mode.unwrap_or_default();
        let seen = format!("mode {mode:04o}; only the agent's user reads its key");
        return Check::pass(CheckId::StatePermissions, seen);
    }
    let is_key_open = fact
        .secrets
        .iter()
        .any(|(_, mode, _)| mode & SECRET_MODE_FORBIDDEN != 0);
    let remedy = if is_key_open {
        "`terminal-agent doctor --fix` closes it; if others could have read the key, revoke the \
         till's pairing and pair it again"
    } else {
        "`terminal-agent doctor --fix` sets the modes; a wrong owner is set by `sudo chown`"
    };
    Check::fail(CheckId::StatePermissions, wrong.join("; "), remedy)
}

/// Takes from group and others what they must not have; says what was changed.
pub fn fix_permissions(state_dir: &Path, fact: &StateFact) -> Option<String> {
    let mut changed = Vec::new();
    let mut narrow = |path: PathBuf, mode: u32, forbidden: u32| {
        let new = mode & !forbidden;
        if new == mode {
            return;
        }
        if fs::set_permissions(&path, fs::Permissions::from_mode(new)).is_ok() {
            changed.push(format!("{} is {new:04o} now", path.display()));
        }
    };
    if let Some(mode) = fact.mode {
        narrow(state_dir.to_owned(), mode, STATE_MODE_FORBIDDEN);
    }
    for (name, mode, _) in &fact.secrets {
        narrow(state_dir.join(name), *mode, SECRET_MODE_FORBIDDEN);
    }
    (!changed.is_empty()).then(|| changed.join("; "))
}

/// Whether there is room.
pub fn judge_disk(fact: &StateFact) -> Check {
    const REMEDY: &str = "make room on the disk of the state directory (`df -h`, `journalctl \
        --vacuum-size=100M`); without room the agent stops taking payments";
    let Some((bytes, files)) = fact.free else {
        return Check::skip(
            CheckId::DiskFree,
            "the system does not say how much is free",
        );
    };
    let seen = format!("{} MiB free", bytes / (1024 * 1024));
    if files == 0 {
        let seen = format!("{seen}, but no more files");
        return Check::fail(CheckId::DiskFree, seen, REMEDY);
    }
    if bytes < DISK_BYTES_FAIL {
        Check::fail(CheckId::DiskFree, seen, REMEDY)
    } else if bytes < DISK_BYTES_WARN {
        Check::warn(CheckId::DiskFree, seen, REMEDY)
    } else {
        Check::pass(CheckId::DiskFree, seen)
    }
}
