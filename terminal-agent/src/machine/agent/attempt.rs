//! One card presentation: from the engine's go to the reader's start. What the reader says then is
//! in `reading`, the acquirer's answer in `host`, the end in `ending`.

use protocol::id::PosTransactionId;
use protocol::link::{AttemptEnd, DigestState, Grant, ReaderState, RejectReason};

use super::work::Phase;
use super::{Agent, Effect, Output, ReaderRequest};
use crate::machine::record::JournalEntry;
use crate::machine::screen::Screen;

/// How many attempts are remembered beyond their POS transaction. Arbitrary, bounded: an engine
/// names an attempt once, and ids are in the order of time.
const ATTEMPTS_MAX: usize = 256;

impl Agent {
    /// Whether a go for this POS transaction is obeyed; says why to the engine when it is not.
    pub(super) fn may_go(&mut self, now_ms: u64, pos_id: PosTransactionId) -> bool {
        let window_ms = self.config.go_window_ms;
        let reason = match self.works.get(&pos_id) {
            None => RejectReason::TooLate,
            Some(_) if self.is_busy(now_ms, Some(pos_id)) => RejectReason::Busy,
            Some(work) if !matches!(work.phase, Phase::Waiting) => RejectReason::Busy,
            Some(work) if !work.is_go_timely(now_ms, window_ms) => RejectReason::TooLate,
            Some(_) if self.reader.state != ReaderState::Ready => RejectReason::ReaderNotReady,
            Some(_) => return true,
        };
        self.reject(pos_id, reason);
        false
    }

    pub(super) fn read_card(&mut self, now_ms: u64, grant: Grant) {
        let pos_id = grant.pos_id;
        let is_running = self
            .works
            .get(&pos_id)
            .is_some_and(|work| work.phase.attempt_id() == Some(grant.attempt_id));
        if is_running {
            return;
        }
        // One attempt is one card presentation: what it came to is said again, never redone.
        let is_over = self
            .journal
            .digest(pos_id)
            .is_some_and(|digest| digest.attempt_id == Some(grant.attempt_id));
        if is_over {
            self.restate(now_ms, pos_id);
            return;
        }
        if self.attempts.contains(&grant.attempt_id) {
            self.reject(pos_id, RejectReason::TooLate);
            return;
        }
        // The go and the cashier's cancel have crossed: the engine takes a cancel only of the
        // attempt that it has granted last.
        if self.is_canceled_here(pos_id) {
            let (attempt_id, end) = (Some(grant.attempt_id), AttemptEnd::CashierCanceled);
            self.end_attempt(now_ms, pos_id, attempt_id, end);
            return;
        }
        if !self.may_go(now_ms, pos_id) {
            return;
        }
        let Some(work) = self.works.get_mut(&pos_id) else {
            return;
        };
        let attempt_id = grant.attempt_id;
        self.attempts.insert(attempt_id);
        if self.attempts.len() > ATTEMPTS_MAX {
            self.attempts.pop_first();
        }
        work.phase = Phase::Starting {
            expires_ms: now_ms.saturating_add(grant.expires_in_ms),
            // The go came in time; what the till itself may add to that is bounded as well.
            start_by_ms: now_ms.saturating_add(self.config.go_window_ms),
            grant,
        };
        self.persist(JournalEntry::Intent { pos_id, attempt_id });
        self.effects.push(Effect::StartReader(pos_id));
    }

    /// Whether the last that happened here is that the cashier canceled.
    fn is_canceled_here(&self, pos_id: PosTransactionId) -> bool {
        let is_waiting = self
            .works
            .get(&pos_id)
            .is_some_and(|work| matches!(work.phase, Phase::Waiting));
        let end = match self.journal.digest(pos_id).map(|digest| &digest.state) {
            Some(DigestState::Ended(end)) => Some(*end),
            Some(DigestState::Completed(completion)) => completion.cause,
            _ => None,
        };
        is_waiting && end == Some(AttemptEnd::CashierCanceled)
    }

    /// Touches the reader, unless the journal or an earlier transaction took too long.
    pub(super) fn start_reader(
        &mut self,
        now_ms: u64,
        pos_id: PosTransactionId,
        out: &mut Vec<Output>,
    ) {
        let Some(work) = self.works.get_mut(&pos_id) else {
            return;
        };
        let Phase::Starting {
            grant,
            expires_ms,
            start_by_ms,
        } = work.phase.clone()
        else {
            return;
        };
        if now_ms >= expires_ms || now_ms > start_by_ms {
            self.start_missed(now_ms, pos_id);
            return;
        }
        if self.reader.state != ReaderState::Ready {
            let attempt_id = Some(grant.attempt_id);
            self.end_attempt(now_ms, pos_id, attempt_id, AttemptEnd::ReaderFault);
            return;
        }
        // The reader still ends something else; its end starts this one.
        if self.reader.holder.is_some() {
            return;
        }
        self.reader.holder = Some(grant.attempt_id);
        out.push(Output::Reader(ReaderRequest::Start {
            amount: grant.amount,
            timeout_ms: expires_ms.saturating_sub(now_ms),
            advice: work.advice,
        }));
        let screen = Screen::PresentCard {
            pos_id,
            amount: grant.amount,
            attempt: grant.number,
            advice: work.advice,
        };
        self.screen = screen.clone();
        out.push(Output::Show(screen));
        work.phase = Phase::Reading { grant, expires_ms };
    }

    pub(super) fn start_missed(&mut self, now_ms: u64, pos_id: PosTransactionId) {
        let Some(work) = self.works.get_mut(&pos_id) else {
            return;
        };
        let attempt_id = work.phase.attempt_id();
        let is_expired =
            matches!(work.phase, Phase::Starting { expires_ms, .. } if now_ms >= expires_ms);
        if is_expired {
            self.end_attempt(now_ms, pos_id, attempt_id, AttemptEnd::CustomerTimeout);
            return;
        }
        work.phase = Phase::Waiting;
        self.persist(JournalEntry::Ended {
            pos_id,
            attempt_id,
            end: AttemptEnd::Stopped,
        });
        self.reject(pos_id, RejectReason::TooLate);
    }
}
