//! What the machine writes, and what it does when time passes.

use protocol::id::PrintJobId;
use protocol::printer::encode::{IDENTIFY_MODEL, RECOVER_AND_CONTINUE};
use protocol::printer::{Encoder, RealTimeQuery, receipt_blocks};

use super::job::{FailureReason, HoldReason, JobState};
use super::listening::hold_reason;
use super::progress::{Next, Progress};
use super::{Output, Phase, PrinterMachine};

/// Rounds of queries before a printer counts as switched off.
const CHECK_ATTEMPTS: u8 = 3;

impl PrinterMachine {
    pub(super) fn write(&mut self, bytes: Vec<u8>, out: &mut Vec<Output>) {
        self.unwritten_bytes = self.unwritten_bytes.saturating_add(bytes.len());
        out.push(Output::Write(bytes));
    }

    /// Asks all four queries. They overtake the printer's buffer, not bytes still on this side.
    pub(super) fn ask(&mut self, out: &mut Vec<Output>) {
        self.decoder.forget_expected();
        let mut requests = Vec::new();
        for query in RealTimeQuery::ALL {
            self.decoder.expect(query);
            requests.extend(query.request());
        }
        self.write(requests, out);
    }

    /// Starts a round of queries; they go out once earlier bytes have left.
    pub(super) fn check(&mut self, now_ms: u64, attempt: u8) {
        self.phase = Phase::Checking {
            attempt,
            has_asked: false,
            answered: 0,
            due_ms: now_ms.saturating_add(self.config.answer_ms),
        };
    }

    /// Goes on to the next job, if there is one.
    pub(super) fn settle(&mut self, now_ms: u64) {
        if self.queue.is_empty() && !self.needs_resync {
            self.rest(now_ms);
        } else {
            self.check(now_ms, 1);
        }
    }

    /// Nothing to do. A printer that is switched off says nothing: it is asked from time to time.
    pub(super) fn rest(&mut self, now_ms: u64) {
        let idle_check_ms = self.config.idle_check_ms;
        self.phase = Phase::Idle {
            check_ms: idle_check_ms.map(|after_ms| now_ms.saturating_add(after_ms)),
        };
    }

    pub(super) fn resync(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        let mut encoder = Encoder::new();
        encoder.initialise().automatic_status();
        self.write([encoder.finish(), IDENTIFY_MODEL.into()].concat(), out);
        self.markers = self.markers.saturating_add(1);
        self.phase = Phase::Resyncing {
            due_ms: now_ms.saturating_add(self.config.confirm_ms),
        };
    }

    /// Asks leave to begin the next job.
    pub(super) fn ready(&mut self, out: &mut Vec<Output>) {
        if let Some(job) = self.queue.front() {
            let job_id = job.id;
            self.phase = Phase::Ready;
            out.push(Output::Ready { job_id });
        }
    }

    /// Leave is void once the printer is no longer ready: it is asked for again.
    pub(super) fn begin(&mut self, now_ms: u64, job_id: PrintJobId, out: &mut Vec<Output>) {
        let job = self.queue.front().filter(|job| job.id == job_id);
        let (Phase::Ready, Some(job)) = (&self.phase, job) else {
            return;
        };
        let mut blocks = Vec::new();
        if job.opens_drawer {
            let drawer = self.config.drawer;
            let mut encoder = Encoder::new();
            encoder.drawer_kick(drawer.pin, drawer.on_2ms, drawer.off_2ms);
            blocks.push(encoder.finish());
        }
        blocks.extend(receipt_blocks(&job.receipt, &self.config.paper));
        let stall_ms = now_ms.saturating_add(self.config.confirm_ms);
        let confirmation = self.config.confirmation;
        let progress = Progress::new(blocks, confirmation, job_id, stall_ms);
        self.phase = Phase::Printing(progress);
        self.report_front(JobState::Printing, out);
    }

    /// Writes what may be written.
    pub(super) fn send(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        let (write_bytes, window_bytes) = (self.config.write_bytes, self.config.window_bytes);
        if self.unwritten_bytes > 0 {
            return;
        }
        if let Phase::Checking { has_asked, .. } = &mut self.phase
            && !std::mem::replace(has_asked, true)
        {
            self.ask(out);
            return;
        }
        let Phase::Printing(progress) = &mut self.phase else {
            return;
        };
        let must_wait = self.is_paused || self.is_line_busy || progress.held_since_ms.is_some();
        if must_wait && !progress.is_complete() {
            return;
        }
        match progress.next(write_bytes, window_bytes) {
            Next::Bytes(bytes) => {
                progress.restart(now_ms.saturating_add(self.config.confirm_ms));
                self.write(bytes, out);
            }
            Next::Confirmation => {}
            Next::Complete => {
                self.finish_front(JobState::Printed, out);
                self.settle(now_ms);
                self.send(now_ms, out);
            }
        }
    }

    /// Bytes have left. Those of a query are no sign of life.
    pub(super) fn written(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        let is_free = self.unwritten_bytes == 0;
        let Phase::Printing(progress) = &mut self.phase else {
            return;
        };
        if is_free && std::mem::take(&mut progress.is_blocked) {
            progress.restart(now_ms.saturating_add(self.config.confirm_ms));
            self.watch_hold(now_ms, out);
        } else if !progress.has_polled {
            self.restart_stall(now_ms);
        }
    }

    pub(super) fn restart_stall(&mut self, now_ms: u64) {
        if let Phase::Printing(progress) = &mut self.phase {
            progress.restart(now_ms.saturating_add(self.config.confirm_ms));
        }
    }

    /// The confirmation will not come.
    pub(super) fn lose(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        self.interrupt_front(out);
        self.synchronise(now_ms);
    }

    /// What is left of a job in the printer must not be taken for the next one.
    fn synchronise(&mut self, now_ms: u64) {
        self.needs_resync = true;
        self.settle(now_ms);
    }

    pub(super) fn watch_time(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        match &mut self.phase {
            Phase::Checking {
                attempt, due_ms, ..
            } if now_ms >= *due_ms => {
                let next = attempt.saturating_add(1);
                if next <= CHECK_ATTEMPTS {
                    self.check(now_ms, next);
                } else {
                    self.was_quiet = false;
                    // Nobody is kept waiting by setting up a printer that was off.
                    self.needs_resync |= self.queue.is_empty();
                    self.status.get_or_insert_default().online = false;
                    self.report_status(out);
                    self.hold(now_ms, HoldReason::Offline, out);
                }
            }
            Phase::Idle {
                check_ms: Some(check_ms),
            } if now_ms >= *check_ms => self.check(now_ms, 1),
            Phase::Held { poll_ms, .. } if now_ms >= *poll_ms => self.check(now_ms, 1),
            Phase::Resyncing { due_ms } if now_ms >= *due_ms => {
                self.was_quiet = true;
                self.check(now_ms, 1);
            }
            Phase::Printing(_) => self.watch_printing(now_ms, out),
            _ => {}
        }
    }

    pub(super) fn watch_printing(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        let can_ask = self.unwritten_bytes == 0;
        let Phase::Printing(progress) = &mut self.phase else {
            return;
        };
        if let Some(since_ms) = progress.held_since_ms {
            if now_ms >= since_ms.saturating_add(self.config.hold_ms_max) {
                // Somebody may still come, and the printer goes on then: never once more by itself.
                self.finish_front(JobState::Unknown, out);
                self.synchronise(now_ms);
            } else if now_ms >= progress.poll_ms {
                progress.poll_ms = now_ms.saturating_add(self.config.poll_ms);
                if can_ask {
                    self.recover(out);
                    self.ask(out);
                }
            }
        } else if now_ms >= progress.stall_ms {
            let is_waiting = self.is_paused || self.is_line_busy;
            if progress.has_answered && is_waiting {
                // All that it was sent is printed: it has nothing left to be busy with.
                if progress.is_drained() && !self.is_line_busy {
                    self.is_paused = false;
                    progress.restart(now_ms.saturating_add(self.config.confirm_ms));
                } else {
                    progress.is_busy = true;
                    self.watch_hold(now_ms, out);
                }
                return;
            }
            if !can_ask {
                progress.is_blocked = true;
                self.watch_hold(now_ms, out);
                return;
            }
            if progress.has_polled {
                self.lose(now_ms, out);
                return;
            }
            progress.has_polled = true;
            self.decoder.forget_unfinished();
            progress.stall_ms = now_ms.saturating_add(self.config.answer_ms);
            self.ask(out);
        }
    }

    /// A cleared jam ends with this request; the printer then goes on with the same job.
    pub(super) fn recover(&mut self, out: &mut Vec<Output>) {
        let reason = self.status.and_then(hold_reason);
        if matches!(reason, Some(HoldReason::Cutter | HoldReason::Mechanical)) {
            self.write(RECOVER_AND_CONTINUE.to_vec(), out);
        }
    }

    /// Fails jobs that have waited too long for a person.
    pub(super) fn expire(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        let reason = match self.phase {
            Phase::Closed => HoldReason::PortClosed,
            Phase::Held { reason, .. } => reason,
            _ => return,
        };
        while let Some(job) = self.queue.front()
            && now_ms >= job.accepted_ms.saturating_add(self.config.hold_ms_max)
        {
            self.fail_front(FailureReason::Held(reason), out);
        }
        self.report_front(JobState::Held(reason), out);
    }
}
