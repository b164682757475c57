//! The printer's job machine: one receipt at a time, each ended by what the paper really shows.
//!
//! A job is `Printed` only when the printer has confirmed every write of it, `Failed` only when
//! not a byte of it was sent, and `Unknown` otherwise. It never sends a job twice: a printer that
//! runs out of paper keeps what it has and goes on. The one exception is asked for by
//! configuration and says DUPLICATE: what a power cut or a pulled cable has interrupted is printed
//! whole once more. Ports, clocks and journals are elsewhere.

mod config;
mod job;
mod listening;
mod progress;
mod sending;

use protocol::id::PrintJobId;
use protocol::printer::{Encoder, PrinterStatus, StatusDecoder, Trouble};
use protocol::receipt::Receipt;

pub use config::{Confirmation, Drawer, PrinterConfig};
pub use job::{FailureReason, HoldReason, JobState};
use job::{Job, JobQueue};
use progress::Progress;

/// What happens to the machine.
#[derive(Debug, Clone)]
pub enum Input<'a> {
    /// The port is open.
    PortOpened,
    /// The port is gone.
    PortClosed,
    /// Bytes from the printer.
    Bytes(&'a [u8]),
    /// The printer's busy wire changed, where the port has one. Not busy after opening.
    Busy(bool),
    /// So many bytes of earlier [`Output::Write`]s have left.
    Written(usize),
    /// A receipt to print. Giving the same job again only repeats its state.
    Job {
        /// The job.
        job_id: PrintJobId,
        /// What to print.
        receipt: Receipt,
        /// Whether the drawer opens first.
        opens_drawer: bool,
    },
    /// The beginning of a job is on record: its bytes may go. Answers [`Output::Ready`].
    Begin {
        /// The job.
        job_id: PrintJobId,
    },
    /// The instant of [`PrinterMachine::poll_deadline`] has come.
    Deadline,
}

/// What the machine wants done or known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Bytes for the printer, to be answered by [`Input::Written`].
    Write(Vec<u8>),
    /// A job moved.
    JobReport {
        /// The job.
        job_id: PrintJobId,
        /// Where it stands.
        state: JobState,
    },
    /// The printer is ready for this job. Nothing of it is sent before [`Input::Begin`], so that
    /// only a job that is on record as begun can be half printed.
    Ready {
        /// The job.
        job_id: PrintJobId,
    },
    /// The printer's state changed.
    Status(PrinterStatus),
}

#[derive(Debug, Clone)]
enum Phase {
    Closed,
    /// Nothing to do; the printer is asked for its state at `check_ms`.
    Idle {
        check_ms: Option<u64>,
    },
    /// Asks for the state; bit n - 1 of `answered` is the answer to query n.
    Checking {
        attempt: u8,
        has_asked: bool,
        answered: u8,
        due_ms: u64,
    },
    /// The first job waits for a person and nothing of it was sent.
    Held {
        reason: HoldReason,
        poll_ms: u64,
    },
    /// Waits until what belongs to an earlier job or process has come: the printer identifies
    /// itself after all of that, or is silent.
    Resyncing {
        due_ms: u64,
    },
    /// The printer is ready; the first job's beginning is not on record yet.
    Ready,
    Printing(Progress),
}

/// The machine.
#[derive(Debug, Clone)]
pub struct PrinterMachine {
    config: PrinterConfig,
    phase: Phase,
    queue: JobQueue,
    decoder: StatusDecoder,
    status: Option<PrinterStatus>,
    reported_status: Option<PrinterStatus>,
    unwritten_bytes: usize,
    /// By XOFF.
    is_paused: bool,
    /// By the busy wire.
    is_line_busy: bool,
    /// Whether the printer may hold bytes, modes or confirmations from before.
    needs_resync: bool,
    /// Identifications that were asked for and have not come.
    markers: u32,
    /// Whether it has said anything of its state since the port was opened.
    has_answered: bool,
    /// Whether a synchronisation went by in silence: nothing was left to be said.
    was_quiet: bool,
}

impl PrinterMachine {
    /// A machine without a port.
    pub fn new(config: PrinterConfig) -> Self {
        Self {
            queue: JobQueue::new(config.queue_jobs_max),
            config,
            phase: Phase::Closed,
            decoder: StatusDecoder::new(),
            status: None,
            reported_status: None,
            unwritten_bytes: 0,
            is_paused: false,
            is_line_busy: false,
            needs_resync: true,
            markers: 0,
            has_answered: false,
            was_quiet: false,
        }
    }

    /// The printer's state as last heard.
    pub const fn status(&self) -> Option<PrinterStatus> {
        self.status
    }

    /// Whether the state is what the printer has said, not only that it says nothing.
    pub const fn has_answered(&self) -> bool {
        self.has_answered
    }

    /// What keeps the printer from printing, as far as it has said.
    pub fn trouble(&self) -> Option<Trouble> {
        let status = self.status?;
        let reason = match &self.phase {
            Phase::Held { reason, .. } => Some(*reason),
            Phase::Printing(progress) if progress.is_waiting() => Some(HoldReason::Busy),
            _ => None,
        };
        match listening::hold_reason(status).or(reason) {
            Some(reason) => Some(reason.trouble()),
            None => status.unrecoverable.then_some(Trouble::Unrecoverable),
        }
    }

    /// Whether the drawer is open, if its switch is known and the printer has said.
    pub fn is_drawer_open(&self) -> Option<bool> {
        let is_high_when_open = self.config.drawer.is_high_when_open?;
        let status = self.status?;
        Some(status.drawer_pin_high == is_high_when_open)
    }

    /// When [`Input::Deadline`] is due at the latest, on the clock of `now_ms`.
    pub fn poll_deadline(&self) -> Option<u64> {
        let expiry_ms = self
            .queue
            .front()
            .map(|job| job.accepted_ms.saturating_add(self.config.hold_ms_max));
        match &self.phase {
            Phase::Idle { check_ms } => *check_ms,
            Phase::Ready => None,
            Phase::Closed => expiry_ms,
            Phase::Checking { due_ms, .. } | Phase::Resyncing { due_ms } => Some(*due_ms),
            Phase::Held { poll_ms, .. } => expiry_ms.into_iter().chain([*poll_ms]).min(),
            Phase::Printing(progress) => Some(match progress.held_since_ms {
                None => progress.stall_ms,
                Some(since_ms) => progress
                    .poll_ms
                    .min(since_ms.saturating_add(self.config.hold_ms_max)),
            }),
        }
    }

    /// Takes in one input and appends what follows from it.
    pub fn handle(&mut self, now_ms: u64, input: Input<'_>, out: &mut Vec<Output>) {
        match input {
            Input::PortOpened => self.open(now_ms, out),
            Input::PortClosed => self.close(out),
            Input::Bytes(bytes) => self.hear(now_ms, bytes, out),
            Input::Busy(is_busy) => self.hear_busy(now_ms, is_busy, out),
            Input::Written(bytes) => {
                self.unwritten_bytes = self.unwritten_bytes.saturating_sub(bytes);
                self.written(now_ms, out);
            }
            Input::Job {
                job_id,
                receipt,
                opens_drawer,
            } => self.accept(now_ms, job_id, receipt, opens_drawer, out),
            Input::Begin { job_id } => self.begin(now_ms, job_id, out),
            Input::Deadline => {}
        }
        self.expire(now_ms, out);
        self.watch_time(now_ms, out);
        self.send(now_ms, out);
    }

    fn open(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        self.close(out);
        self.decoder.reset();
        self.status = None;
        self.unwritten_bytes = 0;
        self.is_paused = false;
        self.is_line_busy = false;
        self.needs_resync = true;
        self.was_quiet = false;
        self.has_answered = false;
        let mut encoder = Encoder::new();
        encoder.initialise().automatic_status();
        self.write(encoder.finish(), out);
        self.ask(out);
        self.phase = Phase::Checking {
            attempt: 1,
            has_asked: true,
            answered: 0,
            due_ms: now_ms.saturating_add(self.config.answer_ms),
        };
    }

    fn close(&mut self, out: &mut Vec<Output>) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        if matches!(self.phase, Phase::Printing(_)) {
            self.interrupt_front(out);
        }
        self.phase = Phase::Closed;
        self.report_front(JobState::Held(HoldReason::PortClosed), out);
    }

    fn accept(
        &mut self,
        now_ms: u64,
        id: PrintJobId,
        receipt: Receipt,
        opens_drawer: bool,
        out: &mut Vec<Output>,
    ) {
        let known = self.queue.state_of(id);
        let state = known.unwrap_or_else(|| {
            let job = Job {
                id,
                receipt,
                opens_drawer,
                accepted_ms: now_ms,
                state: JobState::Queued,
                is_reprint: false,
            };
            if self.queue.push(job) {
                JobState::Queued
            } else {
                JobState::Failed(FailureReason::QueueFull)
            }
        });
        out.push(Output::JobReport { job_id: id, state });
        match self.phase {
            Phase::Idle { .. } if !self.queue.is_empty() => self.check(now_ms, 1),
            Phase::Closed => self.report_front(JobState::Held(HoldReason::PortClosed), out),
            Phase::Held { reason, .. } => self.report_front(JobState::Held(reason), out),
            _ => {}
        }
    }

    fn report_status(&mut self, out: &mut Vec<Output>) {
        if let Some(status) = self.status
            && self.reported_status != Some(status)
        {
            self.reported_status = Some(status);
            out.push(Output::Status(status));
        }
    }

    fn report_front(&mut self, state: JobState, out: &mut Vec<Output>) {
        if let Some(job) = self.queue.front_mut()
            && job.state != state
        {
            job.state = state;
            let job_id = job.id;
            out.push(Output::JobReport { job_id, state });
        }
    }

    /// The first job was sent in part or whole, and its confirmation will not come.
    fn interrupt_front(&mut self, out: &mut Vec<Output>) {
        let reprints = self.config.reprints_interrupted;
        match self.queue.front_mut() {
            Some(job) if reprints && !job.is_reprint => {
                job.mark_reprint();
                self.report_front(JobState::Queued, out);
            }
            _ => self.finish_front(JobState::Unknown, out),
        }
    }

    /// The first job will not be sent; what was sent of it before is not forgotten.
    fn fail_front(&mut self, reason: FailureReason, out: &mut Vec<Output>) {
        let was_sent = self.queue.front().is_some_and(|job| job.is_reprint);
        let state = if was_sent {
            JobState::Unknown
        } else {
            JobState::Failed(reason)
        };
        self.finish_front(state, out);
    }

    fn finish_front(&mut self, state: JobState, out: &mut Vec<Output>) {
        if let Some(job_id) = self.queue.finish_front(state) {
            out.push(Output::JobReport { job_id, state });
        }
    }
}

#[cfg(test)]
mod tests;
