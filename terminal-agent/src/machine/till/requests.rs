//! Lines that the agent owes an answer to, and their repetition. PURE.
//!
//! What carries a request id is repeated unchanged until an answer that settles it has come; the
//! rest is forgotten with its connection.

use std::collections::BTreeMap;

use protocol::id::PosTransactionId;
use protocol::money::Money;
use protocol::receipt::Copy;

use super::Output;
use crate::control::message::Line;

/// How long after an answer that settled nothing a request is repeated.
const REPEAT_AFTER_MS: u64 = 2_000;

/// What a line was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Watch,
    Status,
    Recent,
    Start,
    Cancel(PosTransactionId),
    CancelKey,
    ChooseTip(PosTransactionId),
    Print(PosTransactionId, Copy),
    Void(PosTransactionId),
    Tip(PosTransactionId, Money),
}

impl Purpose {
    /// Whether the line has a request id and outlives its connection.
    const fn is_kept(self) -> bool {
        matches!(
            self,
            Self::Start | Self::Cancel(_) | Self::Print(..) | Self::Void(_) | Self::Tip(..)
        )
    }
}

/// One line without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owed {
    pub(super) line: Line,
    pub(super) purpose: Purpose,
    /// How often it may have reached an agent.
    pub(super) sends: u32,
    /// When it is to be sent again, after an answer that settled nothing.
    repeat_ms: Option<u64>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Requests {
    last_id: u64,
    owed: BTreeMap<u64, Owed>,
    is_connected: bool,
}

impl Requests {
    pub(super) const fn new() -> Self {
        Self {
            last_id: 0,
            owed: BTreeMap::new(),
            is_connected: false,
        }
    }

    /// Sends a line, at once or with the next connection. Its number is given to `line`.
    pub(super) fn ask(
        &mut self,
        purpose: Purpose,
        line: impl FnOnce(u64) -> Line,
        out: &mut Vec<Output>,
    ) -> u64 {
        self.last_id = self.last_id.saturating_add(1);
        let id = self.last_id;
        let mut owed = Owed {
            line: line(id),
            purpose,
            sends: 0,
            repeat_ms: None,
        };
        if self.is_connected {
            owed.sends = 1;
            out.push(Output::Say(owed.line.clone()));
        }
        if self.is_connected || purpose.is_kept() {
            self.owed.insert(id, owed);
        }
        id
    }

    pub(super) fn ask_status(&mut self, _now_ms: u64, out: &mut Vec<Output>) {
        self.ask(Purpose::Status, |id| Line::Status { id }, out);
    }

    pub(super) fn ask_recent(&mut self, out: &mut Vec<Output>) {
        if !self.has(|purpose| purpose == Purpose::Recent) {
            self.ask(Purpose::Recent, |id| Line::Recent { id }, out);
        }
    }

    /// Takes out what an answer is about.
    pub(super) fn take(&mut self, id: u64) -> Option<Owed> {
        self.owed.remove(&id)
    }

    /// Puts back what an answer has not settled.
    pub(super) fn keep(&mut self, now_ms: u64, id: u64, mut owed: Owed) {
        owed.repeat_ms = Some(now_ms.saturating_add(REPEAT_AFTER_MS));
        self.owed.insert(id, owed);
    }

    pub(super) fn has(&self, is_meant: impl Fn(Purpose) -> bool) -> bool {
        self.owed.values().any(|owed| is_meant(owed.purpose))
    }

    pub(super) fn is_status_owed(&self) -> bool {
        self.has(|purpose| purpose == Purpose::Status)
    }

    pub(super) fn disconnect(&mut self) {
        self.is_connected = false;
        self.owed.retain(|_, owed| owed.purpose.is_kept());
    }

    /// Listens first, so that nothing that the repeated requests lead to is missed.
    pub(super) fn reconnect(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        self.is_connected = true;
        self.ask(Purpose::Watch, |id| Line::Watch { id }, out);
        self.ask_recent(out);
        self.ask_status(now_ms, out);
        for owed in self.owed.values_mut().filter(|o| o.purpose.is_kept()) {
            owed.repeat_ms = None;
            owed.sends = owed.sends.saturating_add(1);
            out.push(Output::Say(owed.line.clone()));
        }
    }

    pub(super) fn repeat_due(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        for owed in self.owed.values_mut() {
            if owed.repeat_ms.is_some_and(|due_ms| due_ms <= now_ms) {
                owed.repeat_ms = None;
                owed.sends = owed.sends.saturating_add(1);
                out.push(Output::Say(owed.line.clone()));
            }
        }
    }
}
