//! Who this till is, whether the engine accepts it, and which protocol both speak.
//!
//! Verdicts are made of facts alone. Never opens a link: a second one under the same identity could
//! be taken for another till.

use std::path::Path;

use protocol::link::{VERSION, VERSION_MIN};

use super::agent::{AgentFact, Running};
use super::check::{Check, CheckId};
use crate::config::{Config, EngineTrust};
use crate::pair::{self, Identity, PairError};
use crate::tls::Trust;

/// Key and identity of the till.
#[derive(Debug)]
pub struct IdentityFact {
    /// Who the till is.
    pub identity: Result<Identity, PairError>,
    /// Whether its key is good.
    pub key: Result<(), PairError>,
}

impl IdentityFact {
    /// Reads both.
    pub fn look(state_dir: &Path) -> Self {
        Self {
            identity: pair::load_identity(state_dir),
            key: pair::load_key(state_dir).map(drop),
        }
    }

    /// Whom this till believes.
    pub fn trust(&self, config: &Config) -> Trust {
        match &self.identity {
            Ok(identity) => identity.trust(&config.engine),
            Err(_) => match config.engine.trust {
                EngineTrust::System => Trust::System,
                EngineTrust::Pinned => Trust::Nobody,
            },
        }
    }
}

/// Whether the engine accepts this till.
pub fn judge_auth(fact: &IdentityFact, agent: &AgentFact) -> Check {
    const PAIR: &str = "pair the till: ask for a code in the console, then `sudo -u \
        terminal-agent terminal-agent pair --code …`, and restart the agent";
    let id = CheckId::EngineAuth;
    let wrong = |error: &PairError| {
        let code = match error {
            PairError::NotPaired => "NOT_PAIRED",
            PairError::Damaged(_) => "IDENTITY_DAMAGED",
            _ => "IDENTITY_UNREADABLE",
        };
        let remedy = match error {
            PairError::Io { .. } => "run this as root or as the agent's user",
            _ => PAIR,
        };
        Check::fail(id, error.to_string(), remedy).coded(code)
    };
    let identity = match (&fact.identity, &fact.key) {
        (Err(error), _) | (_, Err(error)) => return wrong(error),
        (Ok(identity), Ok(())) => identity,
    };
    let who = format!("paired as {} ({})", identity.label, identity.terminal_id);
    let Some(running) = agent.running() else {
        let seen =
            format!("{who}; whether the engine accepts it was not asked, because no agent answers");
        return Check::warn(id, seen, "start the agent and run this again");
    };
    if running.status.is_online {
        return Check::pass(id, format!("{who}; the link is up"));
    }
    let Some(fault) = &running.process.link.fault else {
        let seen = format!("{who}; the agent is connecting");
        return Check::warn(id, seen, "run this again in a few seconds");
    };
    let seen = format!("{who}; the link is down: {}", fault.message);
    Check::fail(id, seen, link_remedy(&fault.code)).coded(&fault.code)
}

fn link_remedy(code: &str) -> &'static str {
    match code {
        "LINK_REFUSED_UNAUTHORIZED" => {
            "the engine does not know this till's key: its pairing was revoked or replaced; pair \
             it again with a new code"
        }
        "LINK_REFUSED_DUPLICATE_IDENTITY" => {
            "two machines claim to be this till (a copied disk?): stop the other one, or pair \
             this one again with a new code"
        }
        "LINK_REFUSED_STALE" => "another agent with this journal is linked: stop it",
        "LINK_REFUSED_BUSY" => "the engine is starting, stopping or full: wait, then look again",
        "LINK_REFUSED_VERSION" => "see engine.version",
        "ENGINE_UNREACHABLE" => "see net.dns and net.tcp; the agent connects again by itself",
        code if code.starts_with("TLS_") => "see net.tls",
        _ => "the agent connects again by itself; if it stays, look at the engine's log",
    }
}

/// Whether both speak a common protocol.
pub fn judge_version(running: Option<&Running>) -> Check {
    let id = CheckId::EngineVersion;
    let own = format!("this agent speaks versions {VERSION_MIN} to {VERSION} of the link");
    let Some(running) = running else {
        let reason = "no agent answers, and only a link tells which version the engine speaks";
        return Check::skip(id, reason);
    };
    let link = &running.process.link;
    let is_refused = link
        .fault
        .as_ref()
        .is_some_and(|fault| fault.code == "LINK_REFUSED_VERSION");
    if is_refused {
        let remedy = "install an agent and an engine of releases that belong together";
        let seen = format!("{own}; the engine speaks none of them");
        return Check::fail(id, seen, remedy).coded("LINK_REFUSED_VERSION");
    }
    match link.version {
        Some(VERSION) => Check::pass(id, format!("link protocol {VERSION}")),
        Some(version) => Check::warn(
            id,
            format!("link protocol {version}; {own}"),
            "the engine is older than this agent: sales go on, newer features do not; update the \
             engine",
        ),
        None => Check::skip(
            id,
            "the engine has not been reached since the agent started",
        ),
    }
}
