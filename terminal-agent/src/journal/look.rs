//! The journal as a technician sees it: read without the lock, changed never.
//!
//! A running agent may be writing the last frame just now: it then shows as a torn tail, and is
//! whole at the next look.

use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use protocol::link::{DigestState, PrintState, TillRequest};

use super::frame::{ReadBack, read_back};
use super::{JournalError, path_of, read_file};
use crate::machine::record::{JournalEntry, JournalState, PrintRecord};

/// What the file holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JournalLook {
    /// Whether there is a file.
    pub exists: bool,
    /// Bytes of the file.
    pub bytes: usize,
    /// Bytes of a torn tail, or of an entry that is being written.
    pub torn: usize,
    /// Where it is damaged; entries behind this place are not shown.
    pub corrupt_at: Option<usize>,
    /// In order.
    pub entries: Vec<JournalEntry>,
}

/// Counts of what a journal holds; nothing in it names a card.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct JournalSummary {
    /// Whether there is a file.
    pub exists: bool,
    /// The journal's name; none before its header.
    pub journal_id: Option<String>,
    /// The number of the last start.
    pub boot: u64,
    /// Bytes of the file.
    pub bytes: usize,
    /// Entries in it.
    pub entries: usize,
    /// Bytes of a torn tail, or of an entry that is being written.
    pub torn_bytes: usize,
    /// Where it is damaged.
    pub corrupt_at: Option<usize>,
    /// POS transactions that are not concluded.
    pub open: usize,
    /// Requests without an answer.
    pub requests: usize,
    /// Ends of print jobs that the engine may not know, and jobs that have begun.
    pub unreported_prints: usize,
}

/// Reads the journal of a state directory.
///
/// # Errors
/// [`JournalError::Io`]. No file is no error.
pub fn look(state_dir: &Path) -> Result<JournalLook, JournalError> {
    let Some(bytes) = read_file(&path_of(state_dir))? else {
        return Ok(JournalLook::default());
    };
    Ok(JournalLook::of(&bytes))
}

impl JournalLook {
    /// What these bytes of a journal hold.
    pub fn of(bytes: &[u8]) -> Self {
        let (entries, torn, corrupt_at) = match read_back(bytes) {
            ReadBack::Entries { entries, torn } => (entries, torn, None),
            ReadBack::Corrupt { at } => {
                let good = bytes.get(..at).unwrap_or_default();
                let entries = match read_back(good) {
                    ReadBack::Entries { entries, .. } => entries,
                    ReadBack::Corrupt { .. } => Vec::new(),
                };
                (entries, 0, Some(at))
            }
        };
        Self {
            exists: true,
            bytes: bytes.len(),
            torn,
            corrupt_at,
            entries,
        }
    }

    /// What the entries add up to.
    pub fn state(&self) -> JournalState {
        JournalState::from_entries(&self.entries)
    }

    /// In numbers.
    pub fn summary(&self) -> JournalSummary {
        let state = self.state();
        let journal_id = state.journal_id();
        JournalSummary {
            exists: self.exists,
            journal_id: journal_id.map(|id| id.to_string()),
            boot: state.boot(),
            bytes: self.bytes,
            entries: self.entries.len(),
            torn_bytes: self.torn,
            corrupt_at: self.corrupt_at,
            open: state.open().count(),
            requests: state.requests().count(),
            unreported_prints: state.prints().count(),
        }
    }

    /// What is open, by id; without card data.
    pub fn open_work(&self) -> Value {
        let state = self.state();
        let open: Vec<_> = state
            .open()
            .map(|digest| {
                json!({
                    "pos_id": digest.pos_id,
                    "attempt_id": digest.attempt_id,
                    "stage": stage(&digest.state),
                })
            })
            .collect();
        let requests: Vec<_> = state
            .requests()
            .map(|(id, request)| json!({"request_id": id, "request": request_name(request)}))
            .collect();
        let prints: Vec<_> = state
            .prints()
            .map(|(id, record)| json!({"job_id": id, "state": print_name(record)}))
            .collect();
        json!({"open": open, "requests": requests, "prints": prints})
    }

    /// A line for each entry: what, and of what. Without card data.
    pub fn lines(&self) -> Vec<JournalLine> {
        self.entries.iter().map(JournalLine::of).collect()
    }
}

/// One entry as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JournalLine {
    /// Its kind.
    pub entry: &'static str,
    /// What it is about: an id, or a number.
    pub about: String,
    /// What it says of it.
    pub detail: String,
}

impl JournalLine {
    fn of(entry: &JournalEntry) -> Self {
        let line = |entry, about: String, detail: String| Self {
            entry,
            about,
            detail,
        };
        let none = String::new;
        match entry {
            JournalEntry::Header { format, journal_id } => {
                line("header", journal_id.to_string(), format!("format {format}"))
            }
            JournalEntry::Boot { number } => line("boot", number.to_string(), none()),
            JournalEntry::Accepted { pos_id } => line("accepted", pos_id.to_string(), none()),
            JournalEntry::Intent { pos_id, attempt_id } => {
                line("intent", pos_id.to_string(), attempt_id.to_string())
            }
            JournalEntry::Sent { pos_id, attempt_id } => {
                line("sent", pos_id.to_string(), attempt_id.to_string())
            }
            JournalEntry::Ended { pos_id, end, .. } => {
                line("ended", pos_id.to_string(), format!("{end:?}"))
            }
            JournalEntry::Completed(completion) => line(
                "completed",
                completion.pos_id.to_string(),
                format!("{:?}", completion.chip),
            ),
            JournalEntry::Concluded { pos_id } => line("concluded", pos_id.to_string(), none()),
            JournalEntry::Open(digest) => line(
                "open",
                digest.pos_id.to_string(),
                stage(&digest.state).to_owned(),
            ),
            JournalEntry::Requested {
                request_id,
                request,
            } => line(
                "requested",
                request_id.to_string(),
                request_name(request).to_owned(),
            ),
            JournalEntry::Answered { request_id } => {
                line("answered", request_id.to_string(), none())
            }
            JournalEntry::PrintStarted { job_id } => {
                line("print_started", job_id.to_string(), none())
            }
            JournalEntry::PrintEnded { job_id, state } => line(
                "print_ended",
                job_id.to_string(),
                print_state_name(state).to_owned(),
            ),
            JournalEntry::PrintKnown { job_id } => line("print_known", job_id.to_string(), none()),
            JournalEntry::Configured(configuration) => line(
                "configured",
                format!("version {}", configuration.version),
                none(),
            ),
        }
    }
}

const fn stage(state: &DigestState) -> &'static str {
    match state {
        DigestState::Accepted => "accepted",
        DigestState::Reading => "reading",
        DigestState::Sent => "sent",
        DigestState::Lost => "lost",
        DigestState::Ended(_) => "ended",
        DigestState::Completed(_) => "completed",
    }
}

const fn request_name(request: &TillRequest) -> &'static str {
    match request {
        TillRequest::Start(_) => "start",
        TillRequest::Cancel { .. } => "cancel",
        TillRequest::Print { .. } => "print",
        TillRequest::TipAdjust { .. } => "tip",
        TillRequest::Void { .. } => "void",
    }
}

const fn print_name(record: &PrintRecord) -> &'static str {
    match record {
        PrintRecord::Started => "started",
        PrintRecord::Ended(state) => print_state_name(state),
    }
}

const fn print_state_name(state: &PrintState) -> &'static str {
    match state {
        PrintState::Queued { .. } => "queued",
        PrintState::Printing => "printing",
        PrintState::Printed => "printed",
        PrintState::Failed { .. } => "failed",
        PrintState::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use protocol::id::{AttemptId, JournalId, PosTransactionId, PrintJobId};
    use protocol::link::{ChipOutcome, Completion};
    use uuid::Uuid;

    use super::super::{encode_frame, encode_loose_frame};
    use super::*;

    fn bytes_of(entries: &[JournalEntry]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in entries {
            encode_frame(entry, &mut bytes).unwrap();
        }
        bytes
    }

    fn sample() -> Vec<JournalEntry> {
        let pos_id = PosTransactionId::from_uuid(Uuid::from_u128(7));
        let attempt_id = AttemptId::from_uuid(Uuid::from_u128(8));
        vec![
            JournalEntry::Header {
                format: 2,
                journal_id: JournalId::from_uuid(Uuid::from_u128(1)),
            },
            JournalEntry::Boot { number: 3 },
            JournalEntry::Accepted { pos_id },
            JournalEntry::Completed(Completion {
                pos_id,
                attempt_id,
                chip: ChipOutcome::Agreed,
                data: b"4761739001010010".to_vec(),
                cause: None,
            }),
            JournalEntry::PrintEnded {
                job_id: PrintJobId::from_uuid(Uuid::from_u128(9)),
                state: PrintState::Printed,
            },
        ]
    }

    #[test]
    fn what_is_open_is_shown_without_its_data() {
        let look = JournalLook::of(&bytes_of(&sample()));
        let summary = look.summary();
        assert_eq!((summary.boot, summary.entries), (3, 5));
        assert_eq!((summary.open, summary.unreported_prints), (1, 1));
        let shown = format!("{} {:?}", look.open_work(), look.lines());
        assert!(
            shown.contains("completed") && shown.contains("printed"),
            "{shown}"
        );
        assert!(!shown.contains("4761739001010010"), "{shown}");
        assert!(!shown.contains(&hex::encode("4761739001010010")), "{shown}");
    }

    #[test]
    fn a_torn_tail_is_shown_and_the_entries_before_it_stay() {
        let whole = bytes_of(&sample());
        for cut in 1..12 {
            let torn = whole.get(..whole.len() - cut).unwrap();
            let summary = JournalLook::of(torn).summary();
            assert_eq!((summary.entries, summary.corrupt_at), (4, None), "{cut}");
            assert!(summary.torn_bytes > 0);
        }
    }

    #[test]
    fn damage_is_shown_with_its_place() {
        let mut bytes = bytes_of(&sample());
        let first = bytes_of(sample().get(..1).unwrap()).len();
        *bytes.get_mut(first + 9).unwrap() ^= 0x40;
        let summary = JournalLook::of(&bytes).summary();
        assert_eq!((summary.corrupt_at, summary.entries), (Some(first), 1));
    }

    #[test]
    fn no_journal_is_no_error_and_looking_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!look(directory.path()).unwrap().summary().exists);
        let path = directory.path().join("journal");
        let mut bytes = bytes_of(&sample());
        encode_loose_frame(&JournalEntry::Boot { number: 4 }, &mut bytes).unwrap();
        bytes.pop();
        std::fs::write(&path, &bytes).unwrap();
        assert!(look(directory.path()).unwrap().torn > 0);
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
