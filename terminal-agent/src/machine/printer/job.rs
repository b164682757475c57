//! Print jobs: their states, the bounded queue, and the memory of finished ones.
//!
//! Knows nothing of bytes or status.

use std::collections::VecDeque;

use protocol::id::PrintJobId;
use protocol::printer::Trouble;
use protocol::receipt::{Entry, Receipt};

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
    /// Somebody feeds paper with the button.
    Feeding,
    /// The printer waits for its feed button.
    FeedButton,
    /// The printer has asked for a pause and does not end it.
    Busy,
    /// Switched off, or off-line without a reason.
    Offline,
    /// The port is not there.
    PortClosed,
}

impl HoldReason {
    /// The same in the words of the printer's troubles.
    pub const fn trouble(self) -> Trouble {
        match self {
            Self::NoPaper => Trouble::NoPaper,
            Self::CoverOpen => Trouble::CoverOpen,
            Self::Cutter => Trouble::Cutter,
            Self::Mechanical => Trouble::Mechanical,
            Self::Overheated => Trouble::Overheated,
            Self::Feeding => Trouble::Feeding,
            Self::FeedButton => Trouble::FeedButton,
            Self::Busy => Trouble::Busy,
            Self::Offline => Trouble::Offline,
            Self::PortClosed => Trouble::PortClosed,
        }
    }

    /// The name in reports and logs.
    pub const fn as_str(self) -> &'static str {
        self.trouble().code()
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
            Self::Unrecoverable => Trouble::Unrecoverable.code(),
            Self::QueueFull => Trouble::QueueFull.code(),
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
    /// Bytes of it were sent and lost; it is printed whole once more.
    pub(super) is_reprint: bool,
}

impl Job {
    /// Makes it a second print: marked, and without opening the drawer again.
    pub(super) fn mark_reprint(&mut self) {
        self.is_reprint = true;
        self.opens_drawer = false;
        if !self.receipt.is_duplicate {
            self.receipt.is_duplicate = true;
            let text = DUPLICATE.to_owned();
            self.receipt.entries.insert(0, Entry::Heading { text });
        }
    }
}

/// What the engine's second prints say too.
const DUPLICATE: &str = "DUPLICATE";

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
