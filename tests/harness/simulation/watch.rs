//! Where the world shows the model and the checkers what happens.

use std::sync::Arc;

use engine::domain::pos::PosTransaction;
use engine::domain::rejection::Rejection;
use engine::owner::key;
use engine::owner::merchant::TerminalEvent;
use engine::owner::request::{Answer, Reply, Request};
use engine::owner::terminal::{TerminalInput, TerminalOutput};
use engine::store::memory::Space;
use engine::store::{KeyValue, Rows};
use protocol::id::{PosTransactionId, PrintJobId};
use protocol::link::{Concluded, HostDecision, PosStatus, ToAgent, ToEngine};
use protocol::receipt::Receipt;

use super::checker::{self, Checked, fail};
use super::engine::Caller;
use super::lost::{Kind, is_relaxed};
use super::world::World;

/// The longest pause between two askings about what is in doubt, or after the first "original not
/// found", which counts a minute later: a minute. The rest is a slow disk and a slow start.
const ASKING_MS_MAX: u64 = 75_000;

/// What a till is told of work that the engine has never heard of (docs/operations.md).
const UNKNOWN_HERE: &str = "unknown_to_engine";

/// The spaces of rows that owners write.
const SPACES: [u8; 13] = [
    key::PARTNER,
    key::API_KEY,
    key::PAIRING_CODE,
    key::MERCHANT,
    key::TERMINAL,
    key::POS,
    key::TRANSACTION,
    key::CLAIM,
    key::PRINT_JOB,
    key::COUNTERS,
    key::OPEN,
    key::COPY_MARK,
    key::TERMINAL_DEFAULTS,
];

/// What reaches a terminal's owner, as far as the model wants to know.
pub(super) enum Seen {
    /// Something was said.
    Said(Box<ToEngine>),
    /// A socket has closed.
    Closed(u64),
    /// Something else.
    Other,
}

impl Seen {
    pub(super) fn of(input: &TerminalInput) -> Self {
        match input {
            TerminalInput::Said { message, .. } => Self::Said(message.clone()),
            TerminalInput::Closed { socket } => Self::Closed(*socket),
            _ => Self::Other,
        }
    }
}

impl World {
    /// Holds what became of a link's input against what was seen on it.
    pub(super) fn check_link(&mut self, till: usize, seen: &Seen, out: &[TerminalOutput]) {
        let is_said = |one: &TerminalOutput| match one {
            TerminalOutput::Merchant(event) => matches!(**event, TerminalEvent::Said(_)),
            _ => false,
        };
        match seen {
            Seen::Said(message) => {
                let is_taken = out.iter().any(is_said);
                let checked = self.model.looked_at(till, message, is_taken);
                self.check(checked);
            }
            Seen::Closed(socket) => self.model.hung_up(till, *socket),
            Seen::Other => {}
        }
        for output in out {
            match output {
                TerminalOutput::Welcome { socket, .. } => {
                    self.lies.links.insert(till, *socket);
                    let checked = self.model.welcomed(till, *socket);
                    self.check(checked);
                }
                TerminalOutput::Close { socket } => self.model.hung_up(till, *socket),
                _ => {}
            }
        }
    }

    pub(super) fn note_request(&mut self, caller: &Caller, request: &Request) {
        if let Request::StartPos(start) = request {
            self.model.asks_to_start(start);
        }
        if let Some(claim) = &caller.claim {
            self.model.uses_key(claim.key, claim.fingerprint);
        }
    }

    /// Holds an answer against what everybody has seen.
    pub(super) fn check_told(
        &mut self,
        caller: &Caller,
        reply: &Result<Reply, Rejection>,
    ) -> Checked {
        let host = self.acquirer.line.host();
        match reply {
            Ok(Reply::Fresh(Answer::Started(pos) | Answer::Pos(pos) | Answer::Canceled(pos))) => {
                self.model.told(pos, host)?;
            }
            Ok(Reply::Fresh(Answer::Voided(one) | Answer::TipAdjusted(one))) => {
                self.model.told_of(one, host)?;
            }
            Err(Rejection::TerminalBusy { running }) => {
                checker::busy_is_true(&self.history, *running)?;
            }
            _ => {}
        }
        if let Some(claim) = &caller.claim {
            let merchant_id = self.engine.merchants[caller.merchant].id;
            let row = key::claim(merchant_id, claim.key);
            let is_claimed = self.history.rows.contains_key(&row);
            self.model
                .key_answered(claim.key, claim.fingerprint, is_claimed, reply)?;
        }
        Ok(())
    }

    /// Holds what the engine says to a till against what everybody has seen, and what is durable.
    pub(super) fn check_message(&mut self, message: &ToAgent) {
        let checked = self.judge_message(message);
        self.check(checked);
    }

    fn judge_message(&mut self, message: &ToAgent) -> Checked {
        match message {
            ToAgent::Offer(offer) => {
                self.model.offered(offer)?;
                self.is_committed(offer.pos_id, |_| true)
            }
            ToAgent::ReadCard(grant) => {
                self.model.granted(grant)?;
                self.is_committed(grant.pos_id, |pos| pos.attempt(grant.attempt_id).is_some())
            }
            ToAgent::HostAnswer(answer) if answer.decision == HostDecision::Approved => {
                // A reversal that was decided together with it takes the approval back.
                let is_undone = |pos: &PosTransaction| {
                    matches!(pos.status(), PosStatus::InDoubt | PosStatus::Reversed)
                };
                self.is_committed(answer.pos_id, |pos| {
                    pos.approved.is_some() || is_undone(pos)
                })
            }
            ToAgent::Concluded(concluded) if self.is_unknown_here(concluded) => {
                self.model.concluded_unknown(concluded)?;
                self.nobody_paid(concluded)
            }
            ToAgent::Concluded(concluded) => {
                // Before the model, whose word is about the same.
                if concluded.status == PosStatus::Approved {
                    let pos_id = concluded.pos_id;
                    checker::approved_shown_only_after_commit(&self.history, pos_id)?;
                }
                // Somebody else may have been told the end first: a till's mailbox is its own.
                let known = self.history.pos.get(&concluded.pos_id);
                let is_overtaken = concluded.status == PosStatus::InDoubt
                    && known.is_some_and(|pos| pos.status() == PosStatus::Reversed);
                if !is_overtaken {
                    let host = self.acquirer.line.host();
                    self.model.concluded(concluded, host)?;
                    self.nobody_paid(concluded)?;
                }
                // Decided together with the acquirer's yes, and before it.
                let was_in_doubt = |pos: &PosTransaction| {
                    concluded.status == PosStatus::InDoubt && pos.status() == PosStatus::Reversed
                };
                self.is_committed(concluded.pos_id, |pos| {
                    pos.status() == concluded.status || was_in_doubt(pos)
                })
            }
            _ => Ok(()),
        }
    }

    /// A till that names a card is not told that nobody has paid, lost or not; unless the till has
    /// forgotten it as well.
    fn nobody_paid(&self, concluded: &Concluded) -> Checked {
        let id = concluded.pos_id;
        let terminal_id = self.history.lost.terminal_of(id);
        let mut tills = self.tills.iter();
        let has_forgotten = is_relaxed("told_is_true", Kind::PosUnknown)
            && tills.any(|till| Some(till.terminal_id) == terminal_id && till.has_older_journal);
        if concluded.status != PosStatus::Failed || has_forgotten {
            return Ok(());
        }
        self.model.nobody_paid(id, self.acquirer.line.host())
    }

    /// Whether a till is told that what it names was lost.
    fn is_unknown_here(&self, concluded: &Concluded) -> bool {
        let (rule, id) = ("terminals_are_told_committed", concluded.pos_id);
        concluded.reason == UNKNOWN_HERE && self.history.lost.frees_pos(rule, id)
    }

    /// What a terminal is told is durable.
    fn is_committed(
        &self,
        pos_id: PosTransactionId,
        is_it: impl Fn(&PosTransaction) -> bool,
    ) -> Checked {
        if self.history.pos.get(&pos_id).is_some_and(is_it) {
            Ok(())
        } else {
            let what = format!("a terminal is told of {pos_id} what is not stored");
            fail("terminals_are_told_committed", what)
        }
    }

    /// What a started engine finds is what was committed, and what was told.
    pub(super) fn check_start(&self) -> Checked {
        let store = Arc::clone(&self.engine.store);
        self.model.is_kept(store.as_ref())?;
        let rows = |rows: &dyn Rows| -> Vec<KeyValue> {
            let found = SPACES.map(|space| rows.scan(&key::space(space), None, usize::MAX));
            found.into_iter().flatten().flatten().collect()
        };
        checker::rows_are_the_log(&self.history, &rows(&self.rows(&store)))?;
        checker::nothing_is_lost(&self.history, &rows(store.as_ref()))
    }

    pub(super) fn check_till_sends(&mut self, number: usize, message: &ToEngine) {
        let till = &self.tills[number];
        if let ToEngine::Card(report) = message {
            self.model.read(till.terminal_id, report);
        }
        let checked = self.model.till_sends(message, till.disk.synced());
        self.model.till_says(number, self.now_ms, message);
        self.check(checked);
    }

    pub(super) fn check_reader_starts(
        &mut self,
        number: usize,
        pos_id: PosTransactionId,
        attempt: u32,
    ) {
        let synced = self.tills[number].disk.synced();
        let checked = self
            .model
            .reader_starts(number, self.now_ms, pos_id, attempt, synced);
        self.check(checked);
    }

    pub(super) fn check_print(&mut self, number: usize, job_id: PrintJobId, receipt: &Receipt) {
        let synced = self.tills[number].disk.synced();
        let checked = self.model.prints(number, job_id, receipt, synced);
        self.check(checked);
    }

    /// While the engine runs and can note that it asks, it asks again and again about everything
    /// in doubt.
    pub(super) fn check_somebody_asks(&mut self) {
        let Some(up_ms) = self.engine.up_since_ms.filter(|_| self.engine.is_up) else {
            return;
        };
        if self.engine.store.space() == Space::Nothing {
            return;
        }
        let silent = self.history.pos.values().find(|pos| {
            let is_in_doubt = pos.status() == PosStatus::InDoubt;
            let merchants = &self.engine.merchants;
            let merchant = merchants.iter().position(|one| one.id == pos.merchant_id);
            let began = merchant.zip(pos.current_transaction());
            let began_ms = began
                .and_then(|(merchant, id)| self.acquirer.pause_began_ms(merchant, id))
                .unwrap_or(0);
            is_in_doubt && self.now_ms > began_ms.max(up_ms) + ASKING_MS_MAX
        });
        if let Some(silent) = silent {
            let checked = fail(
                "somebody_keeps_asking",
                format!("nobody asks about {}", silent.id),
            );
            self.check(checked);
        }
    }

    /// When everything else has an end, nobody waits for an answer that will not come.
    pub(super) fn every_request_is_answered(&self) -> Checked {
        let mut owners = self
            .engine
            .merchants
            .iter()
            .filter_map(|side| side.owner.as_ref());
        let waits = owners.any(|owner| owner.poll_deadline().is_some());
        if self.engine.is_idle() && !waits && !self.engine.callers.is_empty() {
            let callers = self.engine.callers.len();
            return fail(
                "every_request_is_answered",
                format!("{callers} callers wait"),
            );
        }
        Ok(())
    }
}
