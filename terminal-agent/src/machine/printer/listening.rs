//! What the machine makes of the printer's answers.

use protocol::printer::encode::RECOVER_AND_CLEAR;
use protocol::printer::{PaperState, PrinterStatus, RealTimeQuery, StatusEvent};

use super::job::{FailureReason, HoldReason, JobState};
use super::{Output, Phase, PrinterMachine};

const ALL_ANSWERED: u8 = 0b1111;

impl PrinterMachine {
    pub(super) fn hear(&mut self, now_ms: u64, bytes: &[u8], out: &mut Vec<Output>) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        let mut events = Vec::new();
        self.decoder.push(bytes, &mut events);
        for event in events {
            self.hear_event(now_ms, event, out);
        }
        self.report_status(out);
        let is_ready = self.status.is_some_and(|status| status.is_ready());
        match self.phase {
            Phase::Checking { answered, .. } if answered == ALL_ANSWERED => {
                self.decide(now_ms, out);
            }
            Phase::Held { .. } if is_ready => self.check(now_ms, 1),
            Phase::Ready if !is_ready => self.check(now_ms, 1),
            // What is in the printer will not come out.
            Phase::Printing(_) if self.status.is_some_and(|status| status.unrecoverable) => {
                self.lose(now_ms, out);
            }
            Phase::Printing(_) => self.watch_hold(now_ms, out),
            _ => {}
        }
    }

    pub(super) fn hear_event(&mut self, now_ms: u64, event: StatusEvent, out: &mut Vec<Output>) {
        match event {
            StatusEvent::Pause => self.is_paused = true,
            StatusEvent::Resume => {
                // Printers say it at power-on too; then they have forgotten what was set.
                let is_unasked = !std::mem::take(&mut self.is_paused);
                self.resume(now_ms);
                if is_unasked && matches!(self.phase, Phase::Idle { .. }) {
                    self.needs_resync = true;
                    self.check(now_ms, 1);
                }
            }
            StatusEvent::RealTime {
                query: Some(query),
                answer,
            } => {
                self.has_answered = true;
                let status = self.status.get_or_insert_default();
                status.apply_real_time(query, answer);
                match &mut self.phase {
                    Phase::Checking { answered, .. } => {
                        *answered |= match query {
                            RealTimeQuery::Printer => 0b0001,
                            RealTimeQuery::OffLine => 0b0010,
                            RealTimeQuery::Error => 0b0100,
                            RealTimeQuery::Paper => 0b1000,
                        };
                    }
                    Phase::Printing(progress) => progress.has_answered = true,
                    _ => {}
                }
            }
            StatusEvent::Automatic(block) => {
                self.has_answered = true;
                self.status.get_or_insert_default().apply_automatic(block);
            }
            StatusEvent::Reply(_) => self.hear_confirmation(now_ms, None),
            StatusEvent::ProcessId(id) => self.hear_confirmation(now_ms, Some(id)),
            StatusEvent::Identification(_) => self.hear_marker(now_ms),
            StatusEvent::PoweredOn => {
                self.needs_resync = true;
                match self.phase {
                    Phase::Printing(_) => self.lose(now_ms, out),
                    Phase::Idle { .. } | Phase::Ready => self.check(now_ms, 1),
                    _ => {}
                }
            }
            StatusEvent::RealTime { query: None, .. } | StatusEvent::Unknown(_) => {}
        }
    }

    /// The printer takes bytes again.
    pub(super) fn resume(&mut self, now_ms: u64) {
        if let Phase::Printing(progress) = &mut self.phase {
            progress.is_busy = false;
        }
        self.restart_stall(now_ms);
    }

    pub(super) fn hear_busy(&mut self, now_ms: u64, is_busy: bool, out: &mut Vec<Output>) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        self.is_line_busy = is_busy;
        if is_busy {
            return;
        }
        self.resume(now_ms);
        match self.phase {
            Phase::Held {
                reason: HoldReason::Busy,
                ..
            } => self.check(now_ms, 1),
            Phase::Printing(_) => self.watch_hold(now_ms, out),
            _ => {}
        }
    }

    fn hear_confirmation(&mut self, now_ms: u64, id: Option<[u8; 4]>) {
        let later_ms = now_ms.saturating_add(self.config.confirm_ms);
        match &mut self.phase {
            Phase::Printing(progress) => progress.confirm(id, later_ms),
            // Of an earlier job: the printer still works on that.
            Phase::Resyncing { due_ms } => *due_ms = later_ms,
            _ => {}
        }
    }

    fn hear_marker(&mut self, now_ms: u64) {
        self.markers = self.markers.saturating_sub(1);
        if self.markers == 0 && matches!(self.phase, Phase::Resyncing { .. }) {
            self.needs_resync = false;
            self.settle(now_ms);
        }
    }

    /// Every query of a check is answered.
    pub(super) fn decide(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        let status = self.status.unwrap_or_default();
        let was_quiet = std::mem::take(&mut self.was_quiet);
        if was_quiet && status.is_ready() {
            self.needs_resync = false;
            self.markers = 0;
        }
        if status.unrecoverable && !self.queue.is_empty() {
            self.fail_front(FailureReason::Unrecoverable, out);
            if self.queue.is_empty() {
                self.rest(now_ms);
            } else {
                self.check(now_ms, 1);
            }
        } else if let Some(reason) = hold_reason(status) {
            let is_clearable = matches!(reason, HoldReason::Cutter | HoldReason::Mechanical);
            if is_clearable && !self.queue.is_empty() {
                self.write(RECOVER_AND_CLEAR.to_vec(), out);
            }
            self.hold(now_ms, reason, out);
        } else if self.needs_resync {
            // A ready printer takes bytes: the XON may have been lost with its power.
            self.is_paused = false;
            self.resync(now_ms, out);
        } else if self.queue.is_empty() {
            self.rest(now_ms);
        } else if self.is_line_busy {
            self.hold(now_ms, HoldReason::Busy, out);
        } else {
            self.is_paused = false;
            self.ready(out);
        }
    }

    pub(super) fn hold(&mut self, now_ms: u64, reason: HoldReason, out: &mut Vec<Output>) {
        self.report_front(JobState::Held(reason), out);
        self.phase = Phase::Held {
            reason,
            poll_ms: now_ms.saturating_add(self.config.poll_ms),
        };
    }

    /// Shows that a person is needed in the middle of a job, or no longer.
    pub(super) fn watch_hold(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        let Phase::Printing(progress) = &mut self.phase else {
            return;
        };
        let busy = progress.is_waiting().then_some(HoldReason::Busy);
        let state = match self.status.and_then(hold_reason).or(busy) {
            Some(reason) => {
                if progress.held_since_ms.is_none() {
                    progress.held_since_ms = Some(now_ms);
                    progress.poll_ms = now_ms.saturating_add(self.config.poll_ms);
                }
                JobState::Held(reason)
            }
            None => {
                if progress.held_since_ms.take().is_some() {
                    progress.restart(now_ms.saturating_add(self.config.confirm_ms));
                }
                JobState::Printing
            }
        };
        self.report_front(state, out);
    }
}

/// What a person must see to before anything is printed.
pub(super) fn hold_reason(status: PrinterStatus) -> Option<HoldReason> {
    if status.cover_open {
        Some(HoldReason::CoverOpen)
    } else if status.paper == PaperState::Out {
        Some(HoldReason::NoPaper)
    } else if status.cutter_error {
        Some(HoldReason::Cutter)
    } else if status.mechanical {
        Some(HoldReason::Mechanical)
    } else if status.overheated {
        Some(HoldReason::Overheated)
    } else if status.online || status.unrecoverable {
        None
    } else if status.feeding {
        Some(HoldReason::Feeding)
    } else if status.waiting_for_recovery {
        Some(HoldReason::FeedButton)
    } else {
        Some(HoldReason::Offline)
    }
}
