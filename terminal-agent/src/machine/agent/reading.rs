//! What the reader says while a card is presented: readiness, card data, the chip's last word,
//! ends. Card data that nobody waits for is discarded and never sent.

use protocol::id::PosTransactionId;
use protocol::link::{
    Advice, AttemptEnd, CardReport, ChipOutcome, HostDecision, ReaderState, ToEngine,
};

use super::work::Phase;
use super::{Agent, Effect, Output, ReaderEvent, ReaderRequest};
use crate::machine::record::JournalEntry;
use crate::machine::screen::Screen;

/// The reader's word for "waits for a card", of its closed list.
const WAITS_FOR_CARD: &str = "present_card";
/// The most card data that fits into a frame of the link beside the rest of the report.
const CARD_BYTES_MAX: usize = 48 * 1024;

impl Agent {
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

    /// Frees the reader; gives whose card it was reading, and how far that was.
    fn take_holder(&mut self) -> Option<(PosTransactionId, Phase)> {
        let pos_id = self.holder_pos_id();
        self.reader_is_free();
        let pos_id = pos_id?;
        Some((pos_id, self.works.get(&pos_id)?.phase.clone()))
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
        let Some((pos_id, phase)) = self.take_holder() else {
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
        let Some((pos_id, phase)) = self.take_holder() else {
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
}
