//! Offers, the tip prompt, and the ends that the engine decides.

use protocol::id::{AttemptId, PosTransactionId};
use protocol::link::{
    AttemptEnd, Concluded, DigestState, Offer, PosStatus, ReaderState, RejectReason, TipChoice,
    TipPrompt, ToEngine,
};
use protocol::money::Money;

use super::work::{Phase, Work};
use super::{Agent, ControlRefusal, TipKey};
use crate::machine::record::JournalEntry;
use crate::machine::screen::{Screen, TipOption};

/// How many POS transactions may be open. Arbitrary, bounded: the engine concludes one before it
/// offers the next, so this takes a broken engine.
const OPEN_MAX: usize = 64;

impl Agent {
    pub(super) fn offer(&mut self, now_ms: u64, offer: &Offer) {
        let pos_id = offer.pos_id;
        if let Some(work) = self.works.get_mut(&pos_id) {
            if matches!(work.phase, Phase::Waiting) {
                work.speak(now_ms, self.link.is_up);
                self.send(ToEngine::Accept { pos_id });
            }
            return;
        }
        let is_late = offer.request_id.is_some_and(|request_id| {
            self.starts.get(&request_id).is_none_or(|started_ms| {
                now_ms.saturating_sub(*started_ms) > self.config.start_window_ms
            })
        });
        if is_late {
            self.reject(pos_id, RejectReason::TooLate);
        } else if self.is_busy(now_ms, Some(pos_id)) {
            self.reject(pos_id, RejectReason::Busy);
        } else if self.reader.state != ReaderState::Ready {
            self.reject(pos_id, RejectReason::ReaderNotReady);
        } else {
            self.forget_oldest_dead(now_ms);
            self.works
                .insert(pos_id, Work::accepted(now_ms, offer.request_id));
            self.persist(JournalEntry::Accepted { pos_id });
            self.send(ToEngine::Accept { pos_id });
            self.show(Screen::Preparing {
                pos_id,
                amount: offer.amount,
            });
        }
    }

    /// Whether a POS transaction other than this one needs the till.
    pub(super) fn is_busy(&self, now_ms: u64, except: Option<PosTransactionId>) -> bool {
        self.works.iter().any(|(pos_id, work)| {
            Some(*pos_id) != except && work.is_live(now_ms, self.config.go_window_ms)
        })
    }

    fn forget_oldest_dead(&mut self, now_ms: u64) {
        if self.works.len() < OPEN_MAX {
            return;
        }
        let dead = self
            .works
            .iter()
            .find(|(_, work)| !work.is_live(now_ms, self.config.go_window_ms))
            .map(|(pos_id, _)| *pos_id);
        if let Some(pos_id) = dead {
            self.works.remove(&pos_id);
            self.persist(JournalEntry::Concluded { pos_id });
        }
    }

    pub(super) fn select_tip(
        &mut self,
        now_ms: u64,
        pos_id: PosTransactionId,
        amount: Money,
        prompt: TipPrompt,
    ) {
        if let Some(choice) = self.remembered_tip(now_ms, pos_id) {
            self.send(ToEngine::TipChosen { pos_id, choice });
            return;
        }
        let is_open = self
            .works
            .get(&pos_id)
            .is_some_and(|work| matches!(work.phase, Phase::Tip { .. }));
        // Asked again after a lost link: the prompt goes on.
        if is_open || !self.may_go(now_ms, pos_id) {
            return;
        }
        let Some(work) = self.works.get_mut(&pos_id) else {
            return;
        };
        let timeout_ms = u64::from(prompt.timeout_s).saturating_mul(1_000);
        let screen = Screen::SelectTip {
            pos_id,
            amount,
            options: options(amount, &prompt),
            custom: prompt.custom,
            timeout_s: prompt.timeout_s,
        };
        work.phase = Phase::Tip {
            amount,
            prompt,
            until_ms: now_ms.saturating_add(timeout_ms),
        };
        self.show(screen);
    }

    fn remembered_tip(&mut self, now_ms: u64, pos_id: PosTransactionId) -> Option<TipChoice> {
        let work = self.works.get_mut(&pos_id)?;
        if !matches!(work.phase, Phase::Waiting) {
            return None;
        }
        let choice = work.tip?;
        work.speak(now_ms, self.link.is_up);
        Some(choice)
    }

    /// Takes a key of the tip prompt.
    pub(super) fn tip_key(&mut self, now_ms: u64, key: TipKey) -> Result<(), ControlRefusal> {
        let (pos_id, amount, prompt) = self
            .works
            .iter()
            .find_map(|(pos_id, work)| match &work.phase {
                Phase::Tip { amount, prompt, .. } => Some((*pos_id, *amount, prompt.clone())),
                Phase::Waiting
                | Phase::Starting { .. }
                | Phase::Reading { .. }
                | Phase::Sent { .. }
                | Phase::Chip { .. }
                | Phase::Agreed => None,
            })
            .ok_or(ControlRefusal::NothingRunning)?;
        let tip = match key {
            TipKey::Option(index) => options(amount, &prompt)
                .get(index)
                .map(|option| option.tip)
                .ok_or(ControlRefusal::InvalidTip)?,
            TipKey::Amount(tip) if !prompt.custom || tip.currency() != amount.currency() => {
                return Err(ControlRefusal::InvalidTip);
            }
            TipKey::Amount(tip) if tip.minor() < 0 => {
                return Err(ControlRefusal::InvalidAmount);
            }
            TipKey::Amount(tip) => tip,
            TipKey::None => Money::zero(amount.currency()),
        };
        let choice = if tip.is_positive() {
            TipChoice::Amount(tip)
        } else {
            TipChoice::None
        };
        self.tip_chosen(now_ms, pos_id, choice);
        Ok(())
    }

    pub(super) fn tip_chosen(&mut self, now_ms: u64, pos_id: PosTransactionId, choice: TipChoice) {
        let Some(work) = self.works.get_mut(&pos_id) else {
            return;
        };
        let Phase::Tip { amount, .. } = work.phase else {
            return;
        };
        work.phase = Phase::Waiting;
        work.tip = Some(choice);
        work.speak(now_ms, self.link.is_up);
        self.send(ToEngine::TipChosen { pos_id, choice });
        self.show(Screen::Preparing { pos_id, amount });
    }

    pub(super) fn stop(&mut self, now_ms: u64, pos_id: PosTransactionId) {
        let Some(work) = self.works.get(&pos_id) else {
            self.send(ToEngine::AttemptEnded {
                pos_id,
                attempt_id: None,
                end: AttemptEnd::Stopped,
            });
            return;
        };
        match &work.phase {
            Phase::Waiting | Phase::Agreed => {
                let is_accepted = self
                    .journal
                    .digest(pos_id)
                    .is_none_or(|digest| digest.state == DigestState::Accepted);
                if is_accepted {
                    self.end_attempt(now_ms, pos_id, None, AttemptEnd::Stopped);
                } else {
                    self.restate(now_ms, pos_id);
                }
            }
            Phase::Tip { .. }
            | Phase::Starting { .. }
            | Phase::Reading { .. }
            | Phase::Sent { .. }
            | Phase::Chip { .. } => self.break_off(now_ms, pos_id, AttemptEnd::Stopped),
        }
    }

    pub(super) fn attempt_closed(&mut self, pos_id: PosTransactionId, attempt_id: AttemptId) {
        let Some(work) = self.works.get(&pos_id) else {
            return;
        };
        let running = work.phase.attempt_id();
        let known = self
            .journal
            .digest(pos_id)
            .and_then(|digest| digest.attempt_id);
        // A newer attempt is not closed by word of an older one.
        if running.or(known) != Some(attempt_id) {
            return;
        }
        self.release_reader(running);
        self.works.remove(&pos_id);
        self.persist(JournalEntry::Concluded { pos_id });
        self.show(Screen::AttemptClosed { pos_id });
    }

    pub(super) fn concluded(&mut self, now_ms: u64, concluded: Concluded) {
        let pos_id = concluded.pos_id;
        let Some(work) = self.works.remove(&pos_id) else {
            if self.is_news(&concluded) {
                self.note_concluded(now_ms, &concluded);
                self.show(Screen::Concluded(concluded));
            }
            return;
        };
        self.release_reader(work.phase.attempt_id());
        self.persist(JournalEntry::Concluded { pos_id });
        self.note_concluded(now_ms, &concluded);
        self.show(Screen::Concluded(concluded));
    }

    /// Whether a conclusion of something that is no longer open is to be shown: what was in doubt
    /// has ended, or what stood has been undone. APPROVED is never shown a second time.
    fn is_news(&self, concluded: &Concluded) -> bool {
        concluded.status != PosStatus::Approved
            && !matches!(
                &self.screen,
                Screen::Concluded(shown)
                    if shown.pos_id == concluded.pos_id && shown.status == concluded.status
            )
    }

    /// Says again what the journal has about a POS transaction that does not run.
    pub(super) fn restate(&mut self, now_ms: u64, pos_id: PosTransactionId) {
        let Some(digest) = self.journal.digest(pos_id).cloned() else {
            return;
        };
        let message = match digest.state {
            DigestState::Accepted => ToEngine::Accept { pos_id },
            DigestState::Ended(end) => ToEngine::AttemptEnded {
                pos_id,
                attempt_id: digest.attempt_id,
                end,
            },
            DigestState::Completed(completion) => ToEngine::Completed(completion),
            DigestState::Reading | DigestState::Sent | DigestState::Lost => return,
        };
        if let Some(work) = self.works.get_mut(&pos_id) {
            work.speak(now_ms, self.link.is_up);
        }
        self.send(message);
    }
}

fn options(amount: Money, prompt: &TipPrompt) -> Vec<TipOption> {
    prompt
        .options_bps
        .iter()
        .filter_map(|basis_points| {
            Some(TipOption {
                basis_points: *basis_points,
                tip: amount.basis_points(*basis_points).ok()?,
            })
        })
        .collect()
}
