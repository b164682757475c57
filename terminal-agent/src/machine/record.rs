//! What the agent must not forget: the entries of its journal and the state they add up to.
//!
//! Pure. [`JournalState::apply`] is the only way from entries to state, so a simulation can keep
//! the journal in memory. Never holds card data: `Sent` carries none, and a completion's data is
//! the reader's final TLVs, in which card data is masked or encrypted.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::float_arithmetic
    )
)]

use std::collections::BTreeMap;

use protocol::id::{AttemptId, JournalId, PosTransactionId, PrintJobId, RequestId};
use protocol::link::{
    AttemptEnd, Completion, Configuration, Digest, DigestState, PrintReport, PrintState,
    TillRequest,
};
use serde::{Deserialize, Serialize};

/// The version of the entries below; a journal of a newer one is not read.
pub const JOURNAL_FORMAT: u16 = 3;
/// The oldest version that is read: its frames all say that what is before them is durable.
pub const JOURNAL_FORMAT_MIN: u16 = 1;
/// How many ended print jobs are remembered. Arbitrary, bounded: the engine repeats a job only
/// until its end has arrived, which takes one reconnect.
pub const PRINTS_MAX: usize = 1_024;
/// How many ended print jobs one hello names, so that it stays far below the frame's limit.
pub const PRINTS_PER_HELLO_MAX: usize = 256;

/// One thing that the agent wrote down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalEntry {
    /// First in every journal.
    Header {
        /// [`JOURNAL_FORMAT`] of the writer.
        format: u16,
        /// This journal.
        journal_id: JournalId,
    },
    /// The agent started. What was running in the boot before is hereby interrupted.
    Boot {
        /// Counts from 1.
        number: u64,
    },
    /// An offer is about to be accepted.
    Accepted {
        /// The POS transaction.
        pos_id: PosTransactionId,
    },
    /// The reader is about to be touched for this attempt.
    Intent {
        /// The POS transaction.
        pos_id: PosTransactionId,
        /// The attempt.
        attempt_id: AttemptId,
    },
    /// Card data of this attempt is about to be sent.
    Sent {
        /// The POS transaction.
        pos_id: PosTransactionId,
        /// The attempt.
        attempt_id: AttemptId,
    },
    /// The attempt, or the tip prompt, ended and no card data was sent.
    Ended {
        /// The POS transaction.
        pos_id: PosTransactionId,
        /// The attempt, if one had been granted.
        attempt_id: Option<AttemptId>,
        /// How.
        end: AttemptEnd,
    },
    /// The card side is complete.
    Completed(Completion),
    /// The engine has said how it ended, or does not know it: nothing is open any more.
    Concluded {
        /// The POS transaction.
        pos_id: PosTransactionId,
    },
    /// An open POS transaction as a whole; written by compaction.
    Open(Digest),
    /// A request of the till is about to be sent.
    Requested {
        /// The till's name for it.
        request_id: RequestId,
        /// What is asked for.
        request: TillRequest,
    },
    /// The engine has answered a request.
    Answered {
        /// The request.
        request_id: RequestId,
    },
    /// Bytes of a print job are about to go to the printer.
    PrintStarted {
        /// The job.
        job_id: PrintJobId,
    },
    /// A print job has ended.
    PrintEnded {
        /// The job.
        job_id: PrintJobId,
        /// How; always final.
        state: PrintState,
    },
    /// The engine knows the end of a print job.
    PrintKnown {
        /// The job.
        job_id: PrintJobId,
    },
    /// The till is about to be as it was told. Since format 3.
    Configured(Configuration),
}

impl JournalEntry {
    /// Whether what follows from the entry has to wait until it is on stable storage. The others
    /// must only be written: losing them to a power cut leads to the same state or to a repeat
    /// that the other side recognises by its id.
    pub const fn needs_sync(&self) -> bool {
        match self {
            Self::Header { .. }
            | Self::Boot { .. }
            | Self::Intent { .. }
            | Self::Sent { .. }
            | Self::Completed(_)
            | Self::Requested { .. }
            | Self::PrintStarted { .. }
            | Self::PrintEnded { .. } => true,
            Self::Accepted { .. }
            | Self::Ended { .. }
            | Self::Concluded { .. }
            | Self::Open(_)
            | Self::Answered { .. }
            | Self::PrintKnown { .. }
            // The engine tells it again when it was lost.
            | Self::Configured(_) => false,
        }
    }
}

/// A print job as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrintRecord {
    /// Bytes may have gone to the printer.
    Started,
    /// It has ended like this.
    Ended(PrintState),
}

/// Everything that the entries of a journal add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalState {
    journal_id: Option<JournalId>,
    boot: u64,
    open: BTreeMap<PosTransactionId, Digest>,
    requests: BTreeMap<RequestId, TillRequest>,
    prints: BTreeMap<PrintJobId, PrintRecord>,
    configuration: Option<Configuration>,
}

impl JournalState {
    /// The state after these entries.
    pub fn from_entries<'a>(entries: impl IntoIterator<Item = &'a JournalEntry>) -> Self {
        let mut state = Self::default();
        for entry in entries {
            state.apply(entry);
        }
        state
    }

    /// Adds one entry.
    pub fn apply(&mut self, entry: &JournalEntry) {
        match entry {
            JournalEntry::Header { journal_id, .. } => self.journal_id = Some(*journal_id),
            JournalEntry::Boot { number } => self.start_boot(*number),
            JournalEntry::Accepted { pos_id } => {
                self.set_open(*pos_id, None, DigestState::Accepted);
            }
            JournalEntry::Intent { pos_id, attempt_id } => {
                self.set_open(*pos_id, Some(*attempt_id), DigestState::Reading);
            }
            JournalEntry::Sent { pos_id, attempt_id } => {
                self.set_open(*pos_id, Some(*attempt_id), DigestState::Sent);
            }
            JournalEntry::Ended {
                pos_id,
                attempt_id,
                end,
            } => self.set_open(*pos_id, *attempt_id, DigestState::Ended(*end)),
            JournalEntry::Completed(completion) => self.set_open(
                completion.pos_id,
                Some(completion.attempt_id),
                DigestState::Completed(completion.clone()),
            ),
            JournalEntry::Concluded { pos_id } => {
                self.open.remove(pos_id);
            }
            JournalEntry::Open(digest) => {
                self.open.insert(digest.pos_id, digest.clone());
            }
            JournalEntry::Requested {
                request_id,
                request,
            } => {
                self.requests.insert(*request_id, request.clone());
            }
            JournalEntry::Answered { request_id } => {
                self.requests.remove(request_id);
            }
            JournalEntry::PrintStarted { job_id } => {
                self.prints.insert(*job_id, PrintRecord::Started);
            }
            JournalEntry::PrintEnded { job_id, state } => {
                self.prints
                    .insert(*job_id, PrintRecord::Ended(state.clone()));
                self.forget_oldest_prints();
            }
            JournalEntry::PrintKnown { job_id } => {
                self.prints.remove(job_id);
            }
            JournalEntry::Configured(configuration) => {
                self.configuration = Some(configuration.clone());
            }
        }
    }

    fn set_open(
        &mut self,
        pos_id: PosTransactionId,
        attempt_id: Option<AttemptId>,
        state: DigestState,
    ) {
        self.open.insert(
            pos_id,
            Digest {
                pos_id,
                attempt_id,
                state,
            },
        );
    }

    /// A start interrupts what ran before it: nobody read the card or knows what the chip said.
    fn start_boot(&mut self, number: u64) {
        self.boot = number;
        for digest in self.open.values_mut() {
            match digest.state {
                DigestState::Reading => {
                    digest.state = DigestState::Ended(AttemptEnd::AgentRestarted);
                }
                DigestState::Sent => digest.state = DigestState::Lost,
                DigestState::Accepted
                | DigestState::Lost
                | DigestState::Ended(_)
                | DigestState::Completed(_) => {}
            }
        }
        for record in self.prints.values_mut() {
            if *record == PrintRecord::Started {
                *record = PrintRecord::Ended(PrintState::Unknown);
            }
        }
    }

    fn forget_oldest_prints(&mut self) {
        while self.prints.len() > PRINTS_MAX {
            let oldest = self
                .prints
                .iter()
                .find(|(_, record)| **record != PrintRecord::Started)
                .map(|(job_id, _)| *job_id);
            match oldest {
                Some(job_id) => self.prints.remove(&job_id),
                None => return,
            };
        }
    }

    /// The journal's name; none before its header.
    pub const fn journal_id(&self) -> Option<JournalId> {
        self.journal_id
    }

    /// The number of the last start.
    pub const fn boot(&self) -> u64 {
        self.boot
    }

    /// Every POS transaction that is not concluded, oldest first.
    pub fn open(&self) -> impl Iterator<Item = &Digest> {
        self.open.values()
    }

    /// One open POS transaction.
    pub fn digest(&self, pos_id: PosTransactionId) -> Option<&Digest> {
        self.open.get(&pos_id)
    }

    /// Requests without an answer, oldest first.
    pub fn requests(&self) -> impl Iterator<Item = (RequestId, &TillRequest)> {
        self.requests.iter().map(|(id, request)| (*id, request))
    }

    /// One request without an answer.
    pub fn request(&self, request_id: RequestId) -> Option<&TillRequest> {
        self.requests.get(&request_id)
    }

    /// What is known of a print job.
    pub fn print(&self, job_id: PrintJobId) -> Option<&PrintRecord> {
        self.prints.get(&job_id)
    }

    /// Print jobs that the engine may know less of than this journal, oldest first.
    pub fn prints(&self) -> impl Iterator<Item = (PrintJobId, &PrintRecord)> {
        self.prints.iter().map(|(id, record)| (*id, record))
    }

    /// Ends of print jobs that the engine may not know, oldest first, as many as a hello takes.
    pub fn ended_prints(&self) -> Vec<PrintReport> {
        self.prints
            .iter()
            .filter_map(|(job_id, record)| match record {
                PrintRecord::Ended(state) => Some(PrintReport {
                    job_id: *job_id,
                    state: state.clone(),
                }),
                PrintRecord::Started => None,
            })
            .take(PRINTS_PER_HELLO_MAX)
            .collect()
    }

    /// What the till was told to be like, if it ever was.
    pub const fn configuration(&self) -> Option<&Configuration> {
        self.configuration.as_ref()
    }

    /// Whether nothing would be lost with the journal.
    pub fn is_quiet(&self) -> bool {
        self.open.is_empty() && self.requests.is_empty()
    }

    /// The fewest entries that add up to this state, header and boot first.
    pub fn snapshot(&self) -> Vec<JournalEntry> {
        let header = self.journal_id.map(|journal_id| JournalEntry::Header {
            format: JOURNAL_FORMAT,
            journal_id,
        });
        let boot = JournalEntry::Boot { number: self.boot };
        let open = self.open.values().cloned().map(JournalEntry::Open);
        let requests = self
            .requests
            .iter()
            .map(|(request_id, request)| JournalEntry::Requested {
                request_id: *request_id,
                request: request.clone(),
            });
        let prints = self.prints.iter().map(|(job_id, record)| match record {
            PrintRecord::Started => JournalEntry::PrintStarted { job_id: *job_id },
            PrintRecord::Ended(state) => JournalEntry::PrintEnded {
                job_id: *job_id,
                state: state.clone(),
            },
        });
        header
            .into_iter()
            .chain(std::iter::once(boot))
            .chain(open)
            .chain(requests)
            .chain(prints)
            .chain(self.configuration.clone().map(JournalEntry::Configured))
            .collect()
    }
}
