//! What a till may do: when it touches the reader, what is on its disk before it acts, which link
//! it speaks on, what comes out of its printer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use protocol::id::{AttemptId, JournalId, PosTransactionId, PrintJobId};
use protocol::link::{
    ChipOutcome, Completion, Digest, DigestState, GO_WINDOW_MS, Grant, TipChoice, ToEngine,
};
use protocol::receipt::Receipt;
use terminal_agent::machine::record::JournalEntry;

use super::Model;
use crate::simulation::checker::{Checked, fail};

/// Two tills with one identity that replace each other's links within this time are noticed.
const TURNS_MS: u64 = 10 * 60 * 1_000;
/// The window for a go on the slowest of the tills' clocks.
const WINDOW_MS_MAX: u64 = GO_WINDOW_MS + GO_WINDOW_MS / 400;

/// How long the engine waits for a hello.
const HELLO_MS_MAX: u64 = 10_000;

/// What was seen of a till.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// When it last said something about a POS transaction.
    said_ms: BTreeMap<PosTransactionId, u64>,
    /// When the go for an attempt came, and whether it came in time.
    goes: BTreeMap<(PosTransactionId, u32), (AttemptId, u64, bool)>,
    /// The newest hello of each journal that was welcomed, and when it came.
    welcomed: BTreeMap<JournalId, (u64, u64, u64)>,
    /// The link that the engine has welcomed last, and its journal.
    link: Option<(u64, JournalId)>,
    /// The journal whose open link was replaced by that of another one, and when.
    replaced: Option<(JournalId, u64)>,
    /// Sockets whose hello shows that two tills take turns.
    copies: BTreeSet<u64>,
    /// Where that came from which the engine has not looked at yet.
    heard_on: VecDeque<u64>,
    /// Hellos that have reached the engine, by socket.
    hellos: BTreeMap<u64, (JournalId, u64, u64, u64)>,
}

impl Model {
    /// A till says something, or would if it had a link.
    pub fn till_says(&mut self, till: usize, now_ms: u64, message: &ToEngine) {
        let about = match message {
            ToEngine::Accept { pos_id }
            | ToEngine::Reject { pos_id, .. }
            | ToEngine::AttemptEnded { pos_id, .. } => *pos_id,
            ToEngine::TipChosen { pos_id, choice } => {
                let tip = match choice {
                    TipChoice::Amount(tip) => Some(*tip),
                    TipChoice::None | TipChoice::TimedOut => None,
                };
                self.sales.entry(*pos_id).or_default().tips.push(tip);
                *pos_id
            }
            ToEngine::Card(report) => report.pos_id,
            ToEngine::Completed(completion) => {
                self.completes(completion);
                completion.pos_id
            }
            ToEngine::Print(_)
            | ToEngine::Request { .. }
            | ToEngine::Status(_)
            | ToEngine::StatusReported(_)
            | ToEngine::Simulated { .. }
            | ToEngine::Ping
            | ToEngine::Pong => return,
        };
        self.speaks_of(till, now_ms, about);
    }

    /// A till says what it has open.
    pub fn till_has_open(&mut self, till: usize, now_ms: u64, digest: &Digest) {
        if let DigestState::Completed(completion) = &digest.state {
            self.completes(completion);
        }
        self.speaks_of(till, now_ms, digest.pos_id);
    }

    fn completes(&mut self, completion: &Completion) {
        if completion.chip == ChipOutcome::Agreed {
            self.sales.entry(completion.pos_id).or_default().has_agreed = true;
        }
    }

    /// A till has said something about a POS transaction, on whatever way.
    fn speaks_of(&mut self, till: usize, now_ms: u64, pos_id: PosTransactionId) {
        let seen = self.tills.entry(till).or_default();
        seen.said_ms.insert(pos_id, now_ms);
    }

    /// The go for an attempt reaches a till.
    pub fn go_arrives(&mut self, till: usize, now_ms: u64, grant: &Grant) {
        let seen = self.tills.entry(till).or_default();
        let said_ms = seen.said_ms.get(&grant.pos_id);
        let is_timely = said_ms.is_some_and(|said_ms| now_ms <= said_ms + WINDOW_MS_MAX);
        seen.goes
            .entry((grant.pos_id, grant.number))
            .and_modify(|go| *go = (go.0, now_ms, go.2 || is_timely))
            .or_insert((grant.attempt_id, now_ms, is_timely));
    }

    /// A till shows that a card may be presented; its journal holds these synced entries.
    ///
    /// # Errors
    /// `nothing_starts_late`, `till_writes_before_it_acts`.
    pub fn reader_starts(
        &self,
        till: usize,
        now_ms: u64,
        pos_id: PosTransactionId,
        number: u32,
        synced: &[JournalEntry],
    ) -> Checked {
        let seen = self.tills.get(&till);
        let go = seen.and_then(|seen| seen.goes.get(&(pos_id, number)));
        let Some((attempt_id, came_ms, is_timely)) = go else {
            return fail(
                "nothing_starts_late",
                format!("{pos_id} starts without a go"),
            );
        };
        if !is_timely || now_ms > came_ms + WINDOW_MS_MAX {
            let what = format!("{attempt_id} starts long after the till's last word");
            return fail("nothing_starts_late", what);
        }
        written(
            synced,
            *attempt_id,
            |entry| matches!(entry, JournalEntry::Intent { attempt_id: id, .. } if id == attempt_id),
        )
    }

    /// A till sends something that its journal must hold first.
    ///
    /// # Errors
    /// `till_writes_before_it_acts`.
    pub fn till_sends(&self, message: &ToEngine, synced: &[JournalEntry]) -> Checked {
        match message {
            ToEngine::Card(report) => written(synced, report.attempt_id, |entry| {
                let id = report.attempt_id;
                matches!(entry, JournalEntry::Sent { attempt_id, .. } if *attempt_id == id)
            }),
            ToEngine::Completed(completion) => {
                written(synced, completion.attempt_id, |entry| match entry {
                    JournalEntry::Completed(known) => known == completion,
                    // As a start leaves it.
                    JournalEntry::Open(digest) => digest.attempt_id == Some(completion.attempt_id),
                    _ => false,
                })
            }
            _ => Ok(()),
        }
    }

    /// Bytes of a print job go to the printer.
    ///
    /// # Errors
    /// `till_writes_before_it_acts`, `first_print_once`.
    pub fn prints(
        &mut self,
        till: usize,
        job_id: PrintJobId,
        receipt: &Receipt,
        synced: &[JournalEntry],
    ) -> Checked {
        written(
            synced,
            job_id,
            |entry| matches!(entry, JournalEntry::PrintStarted { job_id: id } if *id == job_id),
        )?;
        if receipt.is_duplicate {
            return Ok(());
        }
        let first = self.papers.entry(format!("{receipt:?}"));
        let first = first.or_insert((till, job_id));
        if self.lost.frees_receipt("first_print_once", first.1) {
            *first = (till, job_id);
        }
        // Whether the same job may begin again at its till is for `prints_once` to say.
        if *first != (till, job_id) {
            let what = format!("{job_id} prints what was printed before, without DUPLICATE");
            return fail("first_print_once", what);
        }
        Ok(())
    }

    /// A terminal's journal was replaced by an older one: its numbers begin again.
    pub fn numbers_begin_again(&mut self, till: usize) {
        self.tills.entry(till).or_default().welcomed.clear();
    }

    /// The engine's end of a link closes.
    pub fn hung_up(&mut self, till: usize, socket: u64) {
        let seen = self.tills.entry(till).or_default();
        seen.link = seen.link.filter(|link| link.0 != socket);
    }

    /// A technician has paired the terminal anew: whoever took turns before does so no longer.
    pub fn identity_renewed(&mut self, till: usize) {
        self.tills.entry(till).or_default().replaced = None;
    }

    /// The engine's process has ended: what it knew of links is gone.
    pub fn engine_ends(&mut self) {
        for seen in self.tills.values_mut() {
            seen.link = None;
            seen.replaced = None;
            seen.copies.clear();
            seen.heard_on.clear();
        }
    }

    /// Something that a till has said reaches the engine's end of a socket.
    pub fn said_on(&mut self, till: usize, socket: u64, message: &ToEngine) {
        if is_for_merchant(message) {
            let seen = self.tills.entry(till).or_default();
            seen.heard_on.push_back(socket);
        }
    }

    /// The engine looks at what came, and takes it or not.
    ///
    /// # Errors
    /// `old_links_are_silent`.
    pub fn looked_at(&mut self, till: usize, message: &ToEngine, is_taken: bool) -> Checked {
        if !is_for_merchant(message) {
            return Ok(());
        }
        let seen = self.tills.entry(till).or_default();
        let socket = seen.heard_on.pop_front();
        let newest = seen.link.map(|link| link.0);
        if is_taken && socket != newest {
            let what = format!("till {till} was heard on {socket:?}, its link is {newest:?}");
            return fail("old_links_are_silent", what);
        }
        Ok(())
    }

    /// A hello reaches the engine.
    pub fn hello(&mut self, till: usize, socket: u64, now_ms: u64, hello: (JournalId, u64, u64)) {
        let seen = self.tills.entry(till).or_default();
        if let Some((_, journal_id)) = seen.link.filter(|link| link.1 != hello.0) {
            let replaced = seen.replaced.replace((journal_id, now_ms));
            let is_turn = |(other, at_ms)| other == hello.0 && now_ms < at_ms + TURNS_MS;
            if replaced.is_some_and(is_turn) {
                seen.copies.insert(socket);
            }
        }
        let (journal_id, boot, connection) = hello;
        seen.hellos
            .insert(socket, (journal_id, boot, connection, now_ms));
    }

    /// The engine welcomes a link: none that is newer was welcomed before.
    ///
    /// # Errors
    /// `newest_link_wins`, `copies_are_refused`.
    pub fn welcomed(&mut self, till: usize, socket: u64) -> Checked {
        let seen = self.tills.entry(till).or_default();
        let Some(&(journal_id, boot, connection, came_ms)) = seen.hellos.get(&socket) else {
            return fail(
                "newest_link_wins",
                format!("socket {socket} has said no hello"),
            );
        };
        if seen.copies.contains(&socket) {
            let what = format!("till {till}: {journal_id} takes turns with another");
            return fail("copies_are_refused", what);
        }
        seen.link = Some((socket, journal_id));
        let hello = (boot, connection, came_ms);
        let newest = seen.welcomed.insert(journal_id, hello);
        // Later than that it was not overtaken: the till's numbers began again.
        let is_overtaken = |newest: &(u64, u64, u64)| {
            (boot, connection) < (newest.0, newest.1) && came_ms < newest.2 + HELLO_MS_MAX
        };
        if newest.as_ref().is_some_and(is_overtaken) {
            let what = format!("till {till}: {hello:?} after {newest:?}");
            return fail("newest_link_wins", what);
        }
        Ok(())
    }
}

/// Whether it is about work, rather than about the link.
fn is_for_merchant(message: &ToEngine) -> bool {
    !matches!(
        message,
        ToEngine::Ping | ToEngine::Pong | ToEngine::Status(_)
    )
}

fn written(
    synced: &[JournalEntry],
    what: impl std::fmt::Display,
    is_it: impl Fn(&JournalEntry) -> bool,
) -> Checked {
    if synced.iter().rev().any(is_it) {
        Ok(())
    } else {
        let what = format!("{what} is acted on and not on the disk");
        fail("till_writes_before_it_acts", what)
    }
}
