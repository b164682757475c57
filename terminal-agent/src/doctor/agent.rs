//! The running agent: whether one answers, and what it says of itself.
//!
//! Facts are gathered by functions that begin with `look`, verdicts are made of facts alone.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::check::{Check, CheckId};
use crate::cli::client::{Client, ClientError};
use crate::control::message::{Answer, AnswerData, Line, PortsHealth, ProcessHealth};
use crate::control::socket_path;
use crate::machine::agent::AgentStatus;

/// How long the agent may take to say how it is.
const STATUS_PATIENCE: Duration = Duration::from_secs(5);

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
