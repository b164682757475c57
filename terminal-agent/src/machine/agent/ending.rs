//! How an attempt ends, and what journal, engine and screen are told of it. Never shows APPROVED:
//! that is the engine's word.

use protocol::id::{AttemptId, PosTransactionId};
use protocol::link::{AttemptEnd, ChipOutcome, Completion, TipChoice, ToEngine};

use super::work::Phase;
use super::{Agent, Output, ReaderRequest};
use crate::machine::record::JournalEntry;
use crate::machine::screen::Screen;

impl Agent {
    /// Ends what is going on for a POS transaction, and says what that leaves behind.
    pub(super) fn break_off(&mut self, now_ms: u64, pos_id: PosTransactionId, end: AttemptEnd) {
        let Some(work) = self.works.get(&pos_id) else {
            return;
        };
        let phase = work.phase.clone();
        self.release_reader(phase.attempt_id());
        match phase {
            Phase::Waiting | Phase::Tip { .. } => self.end_attempt(now_ms, pos_id, None, end),
            Phase::Starting { grant, .. } | Phase::Reading { grant, .. } => {
                self.end_attempt(now_ms, pos_id, Some(grant.attempt_id), end);
            }
            Phase::Sent { attempt_id, .. } | Phase::Chip { attempt_id, .. } => {
                self.abort(now_ms, pos_id, attempt_id, end, Vec::new());
            }
            Phase::Agreed => {}
        }
    }

    /// Stops the reader at once if it works for this attempt. The attempt does not wait for it:
    /// whatever the reader still reports of it is discarded.
    pub(super) fn release_reader(&mut self, attempt_id: Option<AttemptId>) {
        if attempt_id.is_some() && self.reader.holder == attempt_id {
            self.urgent.push(Output::Reader(ReaderRequest::Cancel));
        }
    }

    pub(super) fn end_attempt(
        &mut self,
        now_ms: u64,
        pos_id: PosTransactionId,
        attempt_id: Option<AttemptId>,
        end: AttemptEnd,
    ) {
        if let Some(work) = self.works.get_mut(&pos_id) {
            work.phase = Phase::Waiting;
            work.speak(now_ms, self.link.is_up);
        }
        self.persist(JournalEntry::Ended {
            pos_id,
            attempt_id,
            end,
        });
        self.send(ToEngine::AttemptEnded {
            pos_id,
            attempt_id,
            end,
        });
        self.show(Screen::AttemptEnded { pos_id, end });
    }

    pub(super) fn complete(
        &mut self,
        now_ms: u64,
        pos_id: PosTransactionId,
        attempt_id: AttemptId,
        chip: ChipOutcome,
        data: Vec<u8>,
    ) {
        let completion = Completion {
            pos_id,
            attempt_id,
            chip,
            data,
            cause: None,
        };
        self.completed(now_ms, completion);
    }

    /// The card side is over without the chip's word.
    pub(super) fn abort(
        &mut self,
        now_ms: u64,
        pos_id: PosTransactionId,
        attempt_id: AttemptId,
        cause: AttemptEnd,
        data: Vec<u8>,
    ) {
        let completion = Completion {
            pos_id,
            attempt_id,
            chip: ChipOutcome::Aborted,
            data,
            cause: Some(cause),
        };
        self.completed(now_ms, completion);
    }

    fn completed(&mut self, now_ms: u64, completion: Completion) {
        let (pos_id, chip) = (completion.pos_id, completion.chip);
        let advice = self.works.get(&pos_id).and_then(|work| work.advice);
        if let Some(work) = self.works.get_mut(&pos_id) {
            work.speak(now_ms, self.link.is_up);
            work.phase = match chip {
                ChipOutcome::Agreed => Phase::Agreed,
                ChipOutcome::Refused | ChipOutcome::Aborted => Phase::Waiting,
            };
        }
        self.persist(JournalEntry::Completed(completion.clone()));
        self.send(ToEngine::Completed(completion));
        self.show(match chip {
            ChipOutcome::Refused => Screen::DeclinedTryAnother { pos_id, advice },
            ChipOutcome::Agreed | ChipOutcome::Aborted => Screen::Finishing { pos_id },
        });
    }

    pub(super) fn deadline(&mut self, now_ms: u64) {
        let due: Vec<_> = self
            .works
            .iter()
            .filter(|(_, work)| work.phase.deadline_ms().is_some_and(|due| due <= now_ms))
            .map(|(pos_id, work)| (*pos_id, work.phase.clone()))
            .collect();
        for (pos_id, phase) in due {
            match phase {
                Phase::Tip { .. } => self.tip_chosen(now_ms, pos_id, TipChoice::TimedOut),
                Phase::Starting { .. } => self.start_missed(now_ms, pos_id),
                Phase::Reading { .. } => {
                    self.break_off(now_ms, pos_id, AttemptEnd::CustomerTimeout);
                }
                Phase::Waiting | Phase::Sent { .. } | Phase::Chip { .. } | Phase::Agreed => {}
            }
        }
    }
}
