//! What people ask for at the till, and the engine's answers to it.

use protocol::id::{PosTransactionId, RequestId};
use protocol::link::{AnswerBody, AttemptEnd, DigestState, TillRequest, ToEngine};

use super::work::Phase;
use super::{Agent, ControlCommand, ControlId, ControlRefusal, ControlReply};
use crate::machine::record::JournalEntry;

/// How many requests wait for the engine. Arbitrary, bounded.
const REQUESTS_MAX: usize = 32;

impl Agent {
    pub(super) fn control(&mut self, now_ms: u64, control: ControlId, command: ControlCommand) {
        let done = match command {
            ControlCommand::Request {
                request_id,
                request,
            } => {
                if let Err(refusal) = self.request(now_ms, control, request_id, request) {
                    self.reply(control, ControlReply::Refused(refusal));
                }
                return;
            }
            ControlCommand::CancelCurrent {
                request_id,
                void_if_too_late,
            } => {
                if let Err(refusal) = self.cancel(now_ms, control, request_id, void_if_too_late) {
                    self.reply(control, ControlReply::Refused(refusal));
                }
                return;
            }
            ControlCommand::Status => {
                let status = self.status(now_ms);
                self.reply(control, ControlReply::Status(Box::new(status)));
                return;
            }
            ControlCommand::Recent => {
                let sales = self.recent(now_ms);
                self.reply(control, ControlReply::Recent(sales));
                return;
            }
            ControlCommand::PrintTest {
                job_id,
                opens_drawer,
            } => {
                if let Err(refusal) = self.print_test(control, job_id, opens_drawer) {
                    self.reply(control, ControlReply::Refused(refusal));
                }
                return;
            }
            ControlCommand::CancelKey => self.cancel_key(now_ms),
            ControlCommand::ChooseTip(key) => self.tip_key(now_ms, key),
        };
        self.reply(
            control,
            match done {
                Ok(()) => ControlReply::Done,
                Err(refusal) => ControlReply::Refused(refusal),
            },
        );
    }

    pub(super) fn control_closed(&mut self, control: ControlId) {
        for waiters in self.waiters.values_mut() {
            waiters.retain(|waiter| *waiter != control);
        }
        self.waiters.retain(|_, waiters| !waiters.is_empty());
    }

    /// The transaction that runs here, if one does.
    fn current(&self, now_ms: u64) -> Option<PosTransactionId> {
        self.works
            .iter()
            .find(|(_, work)| work.is_live(now_ms, self.config.go_window_ms))
            .map(|(pos_id, _)| *pos_id)
    }

    fn cancel(
        &mut self,
        now_ms: u64,
        control: ControlId,
        request_id: RequestId,
        void_if_too_late: bool,
    ) -> Result<(), ControlRefusal> {
        let pos_id = self.current(now_ms).ok_or(ControlRefusal::NothingRunning)?;
        let request = TillRequest::Cancel {
            pos_id,
            void_if_too_late,
        };
        self.request(now_ms, control, request_id, request)
    }

    fn request(
        &mut self,
        now_ms: u64,
        control: ControlId,
        request_id: RequestId,
        request: TillRequest,
    ) -> Result<(), ControlRefusal> {
        if let Some(sent) = self.journal.request(request_id) {
            if *sent != request {
                return Err(ControlRefusal::RequestConflict);
            }
            self.waiters.entry(request_id).or_default().push(control);
            return Ok(());
        }
        self.may_request(now_ms, request_id, &request)?;
        if matches!(request, TillRequest::Start(_)) {
            let window_ms = self.config.start_window_ms;
            self.starts
                .retain(|_, started_ms| now_ms.saturating_sub(*started_ms) <= window_ms);
            self.starts.insert(request_id, now_ms);
        }
        self.waiters.entry(request_id).or_default().push(control);
        self.persist(JournalEntry::Requested {
            request_id,
            request: request.clone(),
        });
        self.send(ToEngine::Request {
            request_id,
            request,
        });
        Ok(())
    }

    fn may_request(
        &self,
        now_ms: u64,
        request_id: RequestId,
        request: &TillRequest,
    ) -> Result<(), ControlRefusal> {
        if self.journal.requests().count() >= REQUESTS_MAX {
            return Err(ControlRefusal::TooManyRequests);
        }
        // A cancel of what is open here is worth keeping until the engine is back; everything
        // else would happen at a moment when nobody expects it any more.
        let is_kept = matches!(request, TillRequest::Cancel { pos_id, .. }
            if self.works.contains_key(pos_id));
        if !self.link.is_up && !is_kept {
            return Err(ControlRefusal::EngineUnreachable);
        }
        match request {
            TillRequest::Start(start) if !start.amount.is_positive() => {
                Err(ControlRefusal::InvalidAmount)
            }
            // The sale that runs is this one: its answer was lost, and the engine repeats it.
            TillRequest::Start(_) if self.runs_for(request_id) => Ok(()),
            TillRequest::Start(_) if self.is_busy(now_ms, None) || self.is_starting() => {
                Err(ControlRefusal::TerminalBusy)
            }
            TillRequest::TipAdjust { tip, .. } if tip.minor() < 0 => {
                Err(ControlRefusal::InvalidAmount)
            }
            TillRequest::Start(_)
            | TillRequest::Cancel { .. }
            | TillRequest::Print { .. }
            | TillRequest::TipAdjust { .. }
            | TillRequest::Void { .. } => Ok(()),
        }
    }

    fn runs_for(&self, request_id: RequestId) -> bool {
        self.works
            .values()
            .any(|work| work.request_id == Some(request_id))
    }

    /// Whether a start of this boot waits for the engine. An older one cannot lead to anything
    /// here: its offer comes too late.
    fn is_starting(&self) -> bool {
        self.journal.requests().any(|(request_id, request)| {
            matches!(request, TillRequest::Start(_)) && self.starts.contains_key(&request_id)
        })
    }

    pub(super) fn answer(&mut self, request_id: RequestId, body: &AnswerBody) {
        if self.journal.request(request_id).is_none() {
            return;
        }
        self.note_answer(request_id, body);
        self.persist(JournalEntry::Answered { request_id });
        for control in self.waiters.remove(&request_id).unwrap_or_default() {
            self.reply(
                control,
                ControlReply::Answered {
                    request_id,
                    body: body.clone(),
                },
            );
        }
    }

    /// The cancel key works without the engine; what had been sent before is the engine's to undo.
    fn cancel_key(&mut self, now_ms: u64) -> Result<(), ControlRefusal> {
        let pos_id = self.current(now_ms).ok_or(ControlRefusal::NothingRunning)?;
        let phase = self.works.get(&pos_id).map(|work| work.phase.clone());
        match phase {
            None | Some(Phase::Agreed) => return Err(ControlRefusal::NothingRunning),
            Some(Phase::Waiting) => {
                let is_accepted = self
                    .journal
                    .digest(pos_id)
                    .is_some_and(|digest| digest.state == DigestState::Accepted);
                if !is_accepted {
                    return Err(ControlRefusal::NothingRunning);
                }
            }
            Some(
                Phase::Tip { .. }
                | Phase::Starting { .. }
                | Phase::Reading { .. }
                | Phase::Sent { .. }
                | Phase::Chip { .. },
            ) => {}
        }
        self.break_off(now_ms, pos_id, AttemptEnd::CashierCanceled);
        Ok(())
    }
}
