//! The printer's job machine: one receipt at a time, each ended by what the paper really shows.
//!
//! A job is `Printed` only when the printer has confirmed every write of it, `Failed` only when
//! not a byte of it was sent, and `Unknown` otherwise. It never sends a job twice: a printer that
//! runs out of paper keeps what it has and goes on. Ports, clocks and journals are elsewhere.

mod job;
mod listening;
mod progress;
mod sending;

use protocol::id::PrintJobId;
use protocol::printer::{Encoder, Paper, PrinterStatus, StatusDecoder};
use protocol::receipt::Receipt;

pub use job::{FailureReason, HoldReason, JobState};
use job::{Job, JobQueue};
use progress::Progress;

/// What the machine must know of its printer, and its patience. Times in ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrinterConfig {
    /// The paper, with columns and code page.
    pub paper: Paper,
    /// Jobs that may wait; more fail.
    pub queue_jobs_max: usize,
    /// Within this time a live printer answers a query in real time.
    pub answer_ms: u64,
    /// Within this time a ready printer confirms a write.
    pub confirm_ms: u64,
    /// How often a printer that needs a person is asked.
    pub poll_ms: u64,
    /// For so long a job waits for a person.
    pub hold_ms_max: u64,
    /// Bytes a write: two of them, one under way as XOFF comes, fit in the room that printers
    /// keep free for that (128 bytes in larger models).
    pub write_bytes: usize,
    /// Bytes that may wait for confirmation: below the buffer of common printers (4 KiB).
    pub window_bytes: usize,
}

impl PrinterConfig {
    /// A printer with paper of `columns` characters (24…64) and the usual patience.
    pub fn new(columns: usize) -> Self {
        Self {
            paper: Paper::new(columns),
            queue_jobs_max: 32,
            answer_ms: 2_000,
            confirm_ms: 30_000,
            poll_ms: 5_000,
            hold_ms_max: 15 * 60 * 1_000,
            write_bytes: 56,
            window_bytes: 1_024,
        }
    }
}

/// What happens to the machine.
#[derive(Debug, Clone)]
pub enum Input<'a> {
    /// The port is open.
    PortOpened,
    /// The port is gone.
    PortClosed,
    /// Bytes from the printer.
    Bytes(&'a [u8]),
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
    Idle,
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
    is_paused: bool,
    /// Whether the printer may hold bytes, modes or confirmations from before.
    needs_resync: bool,
    /// Identifications that were asked for and have not come.
    markers: u32,
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
            needs_resync: true,
            markers: 0,
            was_quiet: false,
        }
    }

    /// The printer's state as last heard.
    pub const fn status(&self) -> Option<PrinterStatus> {
        self.status
    }

    /// When [`Input::Deadline`] is due at the latest, on the clock of `now_ms`.
    pub fn poll_deadline(&self) -> Option<u64> {
        let expiry_ms = self
            .queue
            .front()
            .map(|job| job.accepted_ms.saturating_add(self.config.hold_ms_max));
        match &self.phase {
            Phase::Idle | Phase::Ready => None,
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
            Input::Written(bytes) => {
                self.unwritten_bytes = self.unwritten_bytes.saturating_sub(bytes);
                // Bytes of a query that leave are no sign of life.
                if !self.has_polled() {
                    self.restart_stall(now_ms);
                }
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
        self.needs_resync = true;
        self.was_quiet = false;
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
            self.finish_front(JobState::Unknown, out);
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
            };
            if self.queue.push(job) {
                JobState::Queued
            } else {
                JobState::Failed(FailureReason::QueueFull)
            }
        });
        out.push(Output::JobReport { job_id: id, state });
        match self.phase {
            Phase::Idle if !self.queue.is_empty() => self.check(now_ms, 1),
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

    fn finish_front(&mut self, state: JobState, out: &mut Vec<Output>) {
        if let Some(job_id) = self.queue.finish_front(state) {
            out.push(Output::JobReport { job_id, state });
        }
    }
}

#[cfg(test)]
mod tests;
