//! What waits: open work, requests without an answer, receipts. Changes nothing in the journal.
//!
//! Facts are gathered by functions that begin with `look`, verdicts are made of facts alone.

use std::path::Path;

use super::agent::AgentFact;
use super::check::{Check, CheckId};
use crate::journal::{self, JournalSummary};

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
