//! Print jobs: their states, the bounded queue, and the memory of finished ones.
//!
//! Knows nothing of bytes or status.

use std::collections::VecDeque;

use protocol::id::PrintJobId;
use protocol::receipt::Receipt;

/// Where a print job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// Waits for its turn.
    Queued,
    /// Waits for a person at the printer; goes on by itself afterwards.
    Held(HoldReason),
    /// Bytes are on their way.
    Printing,
    /// The printer has confirmed the end.
    Printed,
    /// Not a byte of it was sent, and none will be.
    Failed(FailureReason),
    /// Bytes were sent and the confirmation will not come: printed or not is unknown.
    Unknown,
}

impl JobState {
    /// Whether the job is over.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Printed | Self::Failed(_) | Self::Unknown)
    }
}

/// What a held job waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldReason {
    /// Paper is out.
    NoPaper,
    /// The cover is open.
    CoverOpen,
    /// The cutter is jammed.
    Cutter,
    /// Another error that a person can clear.
    Mechanical,
    /// The head must cool down.
    Overheated,
    /// Switched off, or off-line without a reason.
    Offline,
    /// The port is not there.
    PortClosed,
}

impl HoldReason {
    /// The name in reports and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoPaper => "no_paper",
            Self::CoverOpen => "cover_open",
            Self::Cutter => "cutter",
            Self::Mechanical => "mechanical",
            Self::Overheated => "overheated",
            Self::Offline => "offline",
            Self::PortClosed => "port_closed",
        }
    }
}

/// Why a job failed before anything was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureReason {
    /// Held for too long.
    Held(HoldReason),
    /// The printer needs service.
    Unrecoverable,
    /// Too many jobs wait.
    QueueFull,
}

impl FailureReason {
    /// The name in reports and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held(reason) => reason.as_str(),
            Self::Unrecoverable => "unrecoverable",
            Self::QueueFull => "queue_full",
        }
    }
}

/// One job in the queue.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) id: PrintJobId,
    pub(super) receipt: Receipt,
    pub(super) opens_drawer: bool,
    pub(super) accepted_ms: u64,
    pub(super) state: JobState,
}

/// Finished jobs that are remembered: twice the queue, so that a repeated order of any job that
/// could have been waiting is recognised.
const FINISHED_PER_WAITING: usize = 2;

/// Jobs in order of arrival.
#[derive(Debug, Clone)]
pub(super) struct JobQueue {
    jobs_max: usize,
    jobs: VecDeque<Job>,
    finished: VecDeque<(PrintJobId, JobState)>,
}

impl JobQueue {
    pub(super) fn new(jobs_max: usize) -> Self {
        Self {
            jobs_max,
            jobs: VecDeque::new(),
            finished: VecDeque::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(super) fn front(&self) -> Option<&Job> {
        self.jobs.front()
    }

    pub(super) fn front_mut(&mut self) -> Option<&mut Job> {
        self.jobs.front_mut()
    }

    /// The state of a job that is waiting or was finished not long ago.
    pub(super) fn state_of(&self, id: PrintJobId) -> Option<JobState> {
        let waiting = self.jobs.iter().find(|job| job.id == id);
        waiting.map(|job| job.state).or_else(|| {
            self.finished
                .iter()
                .find(|(known, _)| *known == id)
                .map(|(_, state)| *state)
        })
    }

    /// Takes the job in, unless the queue is full.
    pub(super) fn push(&mut self, job: Job) -> bool {
        if self.jobs.len() >= self.jobs_max {
            return false;
        }
        self.jobs.push_back(job);
        true
    }

    /// Ends the first job.
    pub(super) fn finish_front(&mut self, state: JobState) -> Option<PrintJobId> {
        let job = self.jobs.pop_front()?;
        if self.finished.len() >= self.jobs_max.saturating_mul(FINISHED_PER_WAITING) {
            self.finished.pop_front();
        }
        self.finished.push_back((job.id, state));
        Some(job.id)
    }
}
