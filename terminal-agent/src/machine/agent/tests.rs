//! The rules of the till, each as a scripted conversation.
//!
//! A script is a table of `(milliseconds, what happens, what the agent does)`. The journal answers
//! at once unless the script says `disk slow`; the order in what the agent does is the order of
//! its outputs, so `persist intent; reader start` says that the intent was on disk first.

mod attempt;
mod fleet;
mod property;
mod request;
mod session;
mod start;
mod step;
mod stop;
mod words;

use std::sync::Arc;

use protocol::id::{AttemptId, JournalId, PrintJobId, RequestId, TransactionId};
use protocol::link::{
    Advice, AnswerBody, AttemptEnd, Completion, Concluded, Configuration, Digest, DigestState,
    Grant, HostAnswer, HostDecision, Offer, PaperState, PosKind, PosStatus, PrintCommand,
    PrintState, ReaderState, Setting, StatusReport, TillFacts, TillRequest, TillStart, TipPrompt,
    ToAgent, ToEngine, Welcome,
};
use protocol::receipt::{Copy, Receipt};
use uuid::Uuid;

use super::*;
use crate::machine::record::{JOURNAL_FORMAT, PrintRecord};
use crate::trial::{att, job, pos, usd};
use words::{name, render};

struct Till {
    agent: Agent,
    entries: Vec<JournalEntry>,
    is_disk_slow: bool,
    owed: Vec<JournalEntry>,
    controls: u64,
}

fn req(number: u128) -> RequestId {
    RequestId::from_uuid(Uuid::from_u128(number))
}

impl Till {
    fn new() -> Self {
        let header = JournalEntry::Header {
            format: JOURNAL_FORMAT,
            journal_id: JournalId::from_uuid(Uuid::from_u128(7)),
        };
        let entries = vec![header, JournalEntry::Boot { number: 1 }];
        Self {
            agent: Self::resume(&entries),
            entries,
            is_disk_slow: false,
            owed: Vec::new(),
            controls: 0,
        }
    }

    fn resume(entries: &[JournalEntry]) -> Agent {
        let config = AgentConfig::new("1.0", true);
        Agent::resume(config, JournalState::from_entries(entries))
    }

    /// Loses everything but the journal.
    fn restart(&mut self) {
        let number = self.agent.journal().boot() + 1;
        self.entries.push(JournalEntry::Boot { number });
        self.agent = Self::resume(&self.entries);
        self.owed.clear();
        self.is_disk_slow = false;
    }

    fn step(&mut self, now_ms: u64, words: &str) -> String {
        let mut done = Vec::new();
        for input in self.inputs(words) {
            self.feed(now_ms, input, &mut done);
        }
        done.join("; ")
    }

    fn feed(&mut self, now_ms: u64, input: Input, done: &mut Vec<String>) {
        let mut out = Vec::new();
        self.agent.handle(now_ms, input, &mut out);
        for output in out {
            if let Output::Persist(entries) = &output {
                done.extend(
                    entries
                        .iter()
                        .map(|entry| format!("persist {}", name(entry))),
                );
                self.owed = entries.clone();
            } else if let Some(text) = render(&output) {
                done.push(text);
            }
        }
        if !self.owed.is_empty() && !self.is_disk_slow {
            self.entries.append(&mut self.owed);
            self.feed(now_ms, Input::Persisted, done);
        }
    }
}

/// The till is up, its reader ready, its printer has paper.
const UP: &[(u64, &str, &str)] = &[
    (0, "up", "hello [] []"),
    (0, "ready", ""),
    (0, "printer on", ""),
];
/// A card of attempt 1 was read in POS transaction 1 at 1000 ms.
const READING: &[(u64, &str, &str)] = &[
    (0, "up", "hello [] []"),
    (0, "ready", ""),
    (0, "offer 1", "persist accepted; send accept"),
    (1_000, "go 1", "persist intent; reader start 60000"),
];
const CHIP_SENT: &[(u64, &str, &str)] = &[
    (0, "up", "hello [] []"),
    (0, "ready", ""),
    (0, "offer 1", "persist accepted; send accept"),
    (1_000, "go 1", "persist intent; reader start 60000"),
    (2_000, "chip", "persist sent; send card 1150"),
];
const TAP_SENT: &[(u64, &str, &str)] = &[
    (0, "up", "hello [] []"),
    (0, "ready", ""),
    (0, "offer 1", "persist accepted; send accept"),
    (1_000, "go 1", "persist intent; reader start 60000"),
    (2_000, "tap", "persist sent; send card 1150"),
];

fn check(rule: &str, start: &[(u64, &str, &str)], script: &[(u64, &str, &str)]) -> Till {
    let mut till = Till::new();
    for (now_ms, words, expected) in start.iter().chain(script) {
        let done = till.step(*now_ms, words);
        assert_eq!(&done, expected, "{rule}: at {now_ms} ms after {words:?}");
    }
    till
}
