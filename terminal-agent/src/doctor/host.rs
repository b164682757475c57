//! The till's own machine: configuration, state directory, disk, clock, and the running agent.
//!
//! Facts are gathered by functions that begin with `look`, verdicts are made of facts alone.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::check::{Check, CheckId};
use crate::cli::client::{Client, ClientError};
use crate::config::ConfigError;
use crate::control::message::{Answer, AnswerData, Line, PortsHealth, ProcessHealth};
use crate::control::socket_path;
use crate::journal::{self, JournalSummary};
use crate::machine::agent::AgentStatus;

/// How long the agent may take to say how it is.
const STATUS_PATIENCE: Duration = Duration::from_secs(5);
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

/// The running agent, as it says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Its status.
    pub status: AgentStatus,
    /// Its ports.
    pub ports: PortsHealth,
    /// Its process.
    pub process: ProcessHealth,
}

/// What is behind the control socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentFact {
    /// An agent that answers.
    Running(Box<Running>),
    /// Nobody.
    Absent {
        /// Whether a socket was left behind.
        has_stale_socket: bool,
    },
    /// Somebody this user may not speak to.
    Forbidden,
    /// Somebody who does not answer.
    Silent,
}

impl AgentFact {
    /// What the running agent says, if one does.
    pub fn running(&self) -> Option<&Running> {
        match self {
            Self::Running(running) => Some(running),
            _ => None,
        }
    }

    /// Whether the devices may be opened here: nobody has them for the agent.
    pub const fn leaves_ports_alone(&self) -> bool {
        matches!(self, Self::Absent { .. })
    }
}

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

/// Asks the agent of this state directory how it is.
pub fn look_at_agent(state_dir: &Path) -> AgentFact {
    let mut client = match Client::connect(state_dir) {
        Ok(client) => client,
        Err(ClientError::Forbidden) => return AgentFact::Forbidden,
        Err(_) => {
            return AgentFact::Absent {
                has_stale_socket: socket_path(state_dir).exists(),
            };
        }
    };
    let answer = client
        .say(&Line::Status { id: 1 })
        .and_then(|()| client.answer(1, STATUS_PATIENCE, drop));
    let answer = answer
        .ok()
        .and_then(|json| serde_json::from_value(json).ok());
    match answer {
        Some(Answer {
            data:
                Some(AnswerData::Status {
                    status,
                    ports,
                    process,
                }),
            ..
        }) => AgentFact::Running(Box::new(Running {
            status: *status,
            ports: *ports,
            process: *process,
        })),
        _ => AgentFact::Silent,
    }
}

/// Removes a socket that nobody listens on; says so.
pub fn fix_socket(state_dir: &Path, fact: &AgentFact) -> Option<String> {
    let path = socket_path(state_dir);
    let is_stale = matches!(
        fact,
        AgentFact::Absent {
            has_stale_socket: true
        }
    );
    (is_stale && fs::remove_file(&path).is_ok()).then(|| format!("{} removed", path.display()))
}

/// Whether an agent runs.
pub fn judge_agent(fact: &AgentFact) -> Check {
    const START: &str = "start it: `sudo systemctl start terminal-agent`, or `terminal-agent run` \
        in the foreground; what it says then is the cause";
    match fact {
        AgentFact::Running(running) => {
            let (id, boot) = (running.process.process_id, running.status.boot);
            let version = &running.status.till.agent_version;
            let seen = format!("process {id}, version {version}, start number {boot}");
            if version != env!("CARGO_PKG_VERSION") {
                let own = env!("CARGO_PKG_VERSION");
                let seen = format!("{seen}; this program is version {own}");
                let remedy = "restart the agent, so that the installed version runs: `sudo \
                    systemctl restart terminal-agent`";
                return Check::warn(CheckId::AgentRunning, seen, remedy);
            }
            Check::pass(CheckId::AgentRunning, seen)
        }
        AgentFact::Absent { has_stale_socket } => {
            let left = if *has_stale_socket {
                "; the last one was killed and left its control socket behind"
            } else {
                ""
            };
            let seen = format!("no agent runs on this state directory{left}");
            Check::warn(CheckId::AgentRunning, seen, START)
        }
        AgentFact::Forbidden => Check::fail(
            CheckId::AgentRunning,
            "an agent runs, but this user may not speak to it",
            "run this as root or as the agent's user: `sudo terminal-agent doctor`",
        ),
        AgentFact::Silent => Check::fail(
            CheckId::AgentRunning,
            "an agent has the control socket and does not answer",
            "look at its log (`journalctl -u terminal-agent -e`), then restart it: `sudo \
             systemctl restart terminal-agent`",
        ),
    }
}

/// Whether the service manager watches the agent.
pub fn judge_watchdog(fact: &AgentFact) -> Check {
    let Some(running) = fact.running() else {
        return Check::skip(CheckId::WatchdogActive, "no agent answers");
    };
    match running.process.watchdog_ms {
        Some(limit_ms) => {
            let seen = format!(
                "restarted after {} s without a sign of life",
                limit_ms / 1_000
            );
            Check::pass(CheckId::WatchdogActive, seen)
        }
        None => Check::warn(
            CheckId::WatchdogActive,
            "nobody restarts the agent when it hangs",
            "run it as the service of the package (`sudo systemctl enable --now terminal-agent`), \
             whose unit has WatchdogSec",
        ),
    }
}

/// Whether the system says that its clock is synchronised; nothing when it does not say.
pub fn look_at_clock(root: &Path) -> Option<bool> {
    if root.join("run/systemd/timesync/synchronized").exists() {
        return Some(true);
    }
    if root != Path::new("/") {
        return None;
    }
    let asked = Command::new("timedatectl")
        .args(["show", "-p", "NTPSynchronized", "--value"])
        .output()
        .ok()?;
    match asked.stdout.trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

/// Whether the clock is kept.
pub fn judge_clock(fact: Option<bool>) -> Check {
    match fact {
        Some(true) => Check::pass(CheckId::ClockSync, "the system's clock is synchronised"),
        Some(false) => Check::warn(
            CheckId::ClockSync,
            "the system's clock is not synchronised",
            "switch it on: `sudo timedatectl set-ntp true`; port 123/udp to a time server must \
             be open",
        ),
        None => Check::skip(
            CheckId::ClockSync,
            "this machine has no time service that can be asked; clock.skew compares with the \
             engine",
        ),
    }
}

/// What waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueFact {
    /// In a running agent.
    Running {
        /// POS transactions that are not concluded.
        open: usize,
        /// Requests without an answer.
        requests: usize,
        /// Print jobs that wait for the printer.
        prints: usize,
        /// Whether the engine can be told.
        is_online: bool,
    },
    /// In the file of an agent that does not run.
    Journal(JournalSummary),
    /// In a file that cannot be read.
    Unreadable(String),
}

/// Looks at what waits.
pub fn look_at_queue(state_dir: &Path, agent: &AgentFact) -> QueueFact {
    if let Some(running) = agent.running() {
        return QueueFact::Running {
            open: running.status.open.len(),
            requests: running.status.unanswered_requests,
            prints: running.status.waiting_prints.len(),
            is_online: running.status.is_online,
        };
    }
    match journal::look(state_dir) {
        Ok(look) => QueueFact::Journal(look.summary()),
        Err(error) => QueueFact::Unreadable(error.to_string()),
    }
}

/// Whether nothing waits.
pub fn judge_queue(fact: &QueueFact) -> Check {
    const TOLD_LATER: &str = "start the agent and let it reach the engine: it tells the engine \
        what is open, and the engine settles or reverses it";
    let id = CheckId::QueueDepth;
    match fact {
        QueueFact::Unreadable(error) => {
            Check::fail(id, error.clone(), "run this as the agent's user or as root")
        }
        QueueFact::Running {
            open: 0,
            requests: 0,
            prints: 0,
            ..
        } => Check::pass(id, "nothing waits"),
        QueueFact::Running {
            open,
            requests,
            prints,
            is_online,
        } => {
            let seen = format!(
                "{open} open POS transactions, {requests} requests without an answer, {prints} \
                 receipts that wait for the printer"
            );
            if !is_online {
                return Check::warn(id, seen, TOLD_LATER);
            }
            if *prints > 0 {
                return Check::warn(id, seen, "see printer.status for what holds the printer");
            }
            Check::pass(id, seen)
        }
        QueueFact::Journal(journal) if journal.corrupt_at.is_some() => Check::fail(
            id,
            format!(
                "the journal is damaged at byte {}",
                journal.corrupt_at.unwrap_or_default()
            ),
            "start the agent: it moves the file aside and begins a new journal, and the engine \
             undoes what was open; keep journal.broken-* for support",
        ),
        QueueFact::Journal(journal) => {
            let seen = format!(
                "{} open POS transactions, {} requests without an answer, {} ends of print jobs \
                 to be told again at the next start",
                journal.open, journal.requests, journal.unreported_prints
            );
            match journal.open.saturating_add(journal.requests) {
                0 => Check::pass(id, seen),
                _ => Check::warn(id, seen, TOLD_LATER),
            }
        }
    }
}
