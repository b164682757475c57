//! One card presentation: from the engine's go to the completion.

use protocol::id::{AttemptId, PosTransactionId};
use protocol::link::{
    Advice, AttemptEnd, CardReport, ChipOutcome, Completion, DigestState, Grant, HostAnswer,
    HostDecision, ReaderState, RejectReason, TipChoice, ToEngine,
};

use super::work::Phase;
use super::{Agent, Effect, Output, ReaderEvent, ReaderRequest};
use crate::machine::record::JournalEntry;
use crate::machine::screen::Screen;

/// EMV tag 8A: approved online. EMV Book 4, annex A6; ISO 8583 response code 00.
const ARC_APPROVED: [u8; 2] = *b"00";
/// EMV tag 8A: do not honour; the decline that every chip knows. ISO 8583 response code 05.
const ARC_DECLINED: [u8; 2] = *b"05";
/// The reader's word for "waits for a card", of its closed list.
const WAITS_FOR_CARD: &str = "present_card";
/// How many attempts are remembered beyond their POS transaction. Arbitrary, bounded: an engine
/// names an attempt once, and ids are in the order of time.
const ATTEMPTS_MAX: usize = 256;
/// The most card data that fits into a frame of the link beside the rest of the report.
const CARD_BYTES_MAX: usize = 48 * 1024;

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

    fn start_missed(&mut self, now_ms: u64, pos_id: PosTransactionId) {
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

    pub(super) fn reader_event(&mut self, now_ms: u64, event: ReaderEvent) {
        match event {
            ReaderEvent::Ready {
                serial,
                firmware,
                is_encrypting,
            } => {
                self.reader.serial = serial;
                self.reader.firmware = firmware;
                self.reader.state = if is_encrypting {
                    ReaderState::Ready
                } else {
                    ReaderState::NotEncrypting
                };
            }
            ReaderEvent::NotReady { state } => {
                self.reader.state = state;
                self.reader_ended(now_ms, AttemptEnd::ReaderFault);
            }
            ReaderEvent::Progress(progress) => {
                if let Some(pos_id) = self.holder_pos_id() {
                    let advice = self.advice_while_waiting(pos_id, &progress);
                    self.show(Screen::Reader {
                        pos_id,
                        progress,
                        advice,
                    });
                }
            }
            ReaderEvent::CardData {
                data,
                needs_host_answer,
            } => self.card_data(now_ms, data, needs_host_answer),
            ReaderEvent::ChipFinal { is_approved, data } => {
                self.chip_final(now_ms, is_approved, data);
            }
            ReaderEvent::Ended(end) => self.reader_ended(now_ms, end),
        }
    }

    /// Whether the event ends or answers a card read that nobody waits for.
    pub(super) const fn is_of_nobody(&self, event: &ReaderEvent) -> bool {
        let is_of_a_read = matches!(
            event,
            ReaderEvent::CardData { .. } | ReaderEvent::ChipFinal { .. } | ReaderEvent::Ended(_)
        );
        is_of_a_read && self.reader.holder.is_none()
    }

    fn holder_pos_id(&self) -> Option<PosTransactionId> {
        let holder = self.reader.holder?;
        self.works
            .iter()
            .find(|(_, work)| work.phase.attempt_id() == Some(holder))
            .map(|(pos_id, _)| *pos_id)
    }

    /// That the reader waits for a card must not hide what is to be done differently with it.
    fn advice_while_waiting(&self, pos_id: PosTransactionId, progress: &str) -> Option<Advice> {
        let work = self.works.get(&pos_id)?;
        let is_waiting = matches!(work.phase, Phase::Reading { .. }) && progress == WAITS_FOR_CARD;
        work.advice.filter(|_| is_waiting)
    }

    fn card_data(&mut self, now_ms: u64, data: Vec<u8>, chip_waits: bool) {
        let running = self
            .holder_pos_id()
            .and_then(|pos_id| Some((pos_id, self.works.get(&pos_id)?.phase.clone())));
        let (pos_id, grant, expires_ms) = match running {
            Some((pos_id, Phase::Reading { grant, expires_ms })) => (pos_id, grant, expires_ms),
            // Given up meanwhile, or not asked for: nobody may be charged with it.
            _ => {
                self.discard_card(chip_waits);
                return;
            }
        };
        let attempt_id = grant.attempt_id;
        if now_ms >= expires_ms || data.len() > CARD_BYTES_MAX {
            let end = if now_ms >= expires_ms {
                AttemptEnd::CustomerTimeout
            } else {
                AttemptEnd::CardUnusable
            };
            self.discard_card(chip_waits);
            self.end_attempt(now_ms, pos_id, Some(attempt_id), end);
            return;
        }
        if !chip_waits {
            self.reader_is_free();
        }
        if let Some(work) = self.works.get_mut(&pos_id) {
            work.speak(now_ms, self.link.is_up);
            work.advice = None;
            work.phase = Phase::Sent {
                attempt_id,
                chip_waits,
            };
        }
        self.persist(JournalEntry::Sent { pos_id, attempt_id });
        self.send(ToEngine::Card(CardReport {
            pos_id,
            attempt_id,
            amount: grant.amount,
            data,
            chip_waits,
        }));
        self.show(Screen::Authorizing { pos_id });
    }

    fn discard_card(&mut self, chip_waits: bool) {
        if chip_waits {
            self.urgent.push(Output::Reader(ReaderRequest::Cancel));
        } else {
            self.reader_is_free();
        }
    }

    fn chip_final(&mut self, now_ms: u64, is_approved: bool, data: Vec<u8>) {
        let pos_id = self.holder_pos_id();
        self.reader_is_free();
        let Some((pos_id, phase)) =
            pos_id.and_then(|pos_id| Some((pos_id, self.works.get(&pos_id)?.phase.clone())))
        else {
            return;
        };
        match phase {
            Phase::Chip {
                attempt_id,
                decision,
            } => {
                // Without the acquirer's approval the chip's counts for nothing.
                let chip = if is_approved && decision == HostDecision::Approved {
                    ChipOutcome::Agreed
                } else {
                    ChipOutcome::Refused
                };
                self.complete(now_ms, pos_id, attempt_id, chip, data);
            }
            // The chip ended before the acquirer was asked.
            Phase::Reading { grant, .. } => {
                let end = if is_approved {
                    AttemptEnd::OfflineNotAllowed
                } else {
                    AttemptEnd::CardUnusable
                };
                self.end_attempt(now_ms, pos_id, Some(grant.attempt_id), end);
            }
            // The chip did not wait for the acquirer's answer.
            Phase::Sent { attempt_id, .. } => {
                let cause = if is_approved {
                    AttemptEnd::OfflineNotAllowed
                } else {
                    AttemptEnd::CardUnusable
                };
                self.abort(now_ms, pos_id, attempt_id, cause, data);
            }
            Phase::Waiting | Phase::Tip { .. } | Phase::Starting { .. } | Phase::Agreed => {}
        }
    }

    fn reader_ended(&mut self, now_ms: u64, end: AttemptEnd) {
        let pos_id = self.holder_pos_id();
        self.reader_is_free();
        let Some((pos_id, phase)) =
            pos_id.and_then(|pos_id| Some((pos_id, self.works.get(&pos_id)?.phase.clone())))
        else {
            return;
        };
        match phase {
            Phase::Reading { grant, .. } => {
                self.end_attempt(now_ms, pos_id, Some(grant.attempt_id), end);
            }
            Phase::Chip {
                attempt_id,
                decision: HostDecision::Declined,
            } => self.complete(now_ms, pos_id, attempt_id, ChipOutcome::Refused, Vec::new()),
            Phase::Sent { attempt_id, .. } | Phase::Chip { attempt_id, .. } => {
                self.abort(now_ms, pos_id, attempt_id, end, Vec::new());
            }
            Phase::Waiting | Phase::Tip { .. } | Phase::Starting { .. } | Phase::Agreed => {}
        }
    }

    fn reader_is_free(&mut self) {
        self.reader.holder = None;
        let waiting = self
            .works
            .iter()
            .find(|(_, work)| matches!(work.phase, Phase::Starting { .. }))
            .map(|(pos_id, _)| *pos_id);
        if let Some(pos_id) = waiting {
            self.effects.push(Effect::StartReader(pos_id));
        }
    }

    pub(super) fn host_answer(&mut self, now_ms: u64, answer: HostAnswer) {
        let pos_id = answer.pos_id;
        let Some(work) = self.works.get_mut(&pos_id) else {
            return;
        };
        match work.phase {
            Phase::Sent {
                attempt_id,
                chip_waits,
            } if attempt_id == answer.attempt_id => {
                work.advice = answer.advice;
                if !chip_waits {
                    let chip = match answer.decision {
                        HostDecision::Approved => ChipOutcome::Agreed,
                        HostDecision::Declined | HostDecision::Unreachable => ChipOutcome::Refused,
                    };
                    self.complete(now_ms, pos_id, attempt_id, chip, Vec::new());
                    return;
                }
                work.phase = Phase::Chip {
                    attempt_id,
                    decision: answer.decision,
                };
                self.emit(Output::Reader(chip_answer(answer)));
                self.show(Screen::Finishing { pos_id });
            }
            Phase::Waiting | Phase::Agreed => self.late_host_answer(now_ms, &answer),
            Phase::Tip { .. }
            | Phase::Starting { .. }
            | Phase::Reading { .. }
            | Phase::Sent { .. }
            | Phase::Chip { .. } => {}
        }
    }

    /// An answer to an attempt whose card side is over: says how, or that it was lost.
    fn late_host_answer(&mut self, now_ms: u64, answer: &HostAnswer) {
        let Some(digest) = self.journal.digest(answer.pos_id) else {
            return;
        };
        if digest.attempt_id != Some(answer.attempt_id) {
            return;
        }
        if digest.state == DigestState::Lost {
            let (pos_id, attempt_id) = (answer.pos_id, answer.attempt_id);
            let cause = AttemptEnd::AgentRestarted;
            self.abort(now_ms, pos_id, attempt_id, cause, Vec::new());
        } else {
            self.restate(now_ms, answer.pos_id);
        }
    }

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

    fn complete(
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
    fn abort(
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

fn chip_answer(answer: HostAnswer) -> ReaderRequest {
    match answer.decision {
        HostDecision::Approved => ReaderRequest::HostAnswer {
            approved: true,
            arc: ARC_APPROVED,
            issuer_data: answer.issuer_data,
        },
        HostDecision::Declined => ReaderRequest::HostAnswer {
            approved: false,
            arc: ARC_DECLINED,
            issuer_data: answer.issuer_data,
        },
        HostDecision::Unreachable => ReaderRequest::HostUnreachable,
    }
}
