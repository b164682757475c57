//! What came out of a till's printer, held against what the agent says of its jobs.
//!
//! Looks at the paper itself: how a job looks is found out on a printer of its own. Knows nothing
//! of ports and confirmations.

use std::collections::BTreeMap;

use firmware_sim::printer::{
    Input as FirmwareInput, Output as FirmwareOutput, PrinterConfig as FirmwareConfig,
    PrinterMachine as Firmware, Row, Ticket,
};
use protocol::id::PrintJobId;
use protocol::printer::{Paper as Width, encode_receipt};
use protocol::receipt::Receipt;
use terminal_agent::machine::agent::PrinterJob;
use terminal_agent::machine::printer::JobState;

use super::checker::{Checked, Violation};

#[derive(Debug, Default)]
struct Job {
    receipt: Option<Receipt>,
    rows: Vec<Row>,
    is_duplicate: bool,
    begun: u32,
    printed: u32,
}

/// The paper of one printer.
#[derive(Debug, Default)]
pub struct Paper(BTreeMap<PrintJobId, Job>);

impl Paper {
    /// The agent has a job.
    pub fn expect(&mut self, job: &PrinterJob) {
        let known = self.0.entry(job.job_id).or_default();
        known.receipt = Some(job.receipt.clone());
        known.is_duplicate = job.receipt.is_duplicate;
    }

    /// It may come out of a printer with so many characters a line.
    pub fn look_for(&mut self, job: &PrinterJob, columns: u16) {
        self.0.entry(job.job_id).or_default().rows = look(job, columns);
    }

    /// The agent begins a job; says how often it has, and what is on it.
    pub fn begin(&mut self, job_id: PrintJobId) -> (u32, Option<Receipt>) {
        let job = self.0.entry(job_id).or_default();
        job.begun += 1;
        (job.begun, job.receipt.take())
    }

    /// The till's own memory of its jobs is gone for good: what it had begun may come again.
    pub fn forget(&mut self) {
        self.0.clear();
    }

    /// A piece of paper came off. What an interrupted job has left on it stands before the rest.
    ///
    /// # Errors
    /// When it is the second one that does not say DUPLICATE.
    pub fn came_off(&mut self, ticket: &Ticket) -> Checked {
        let is_on_it = |job: &Job| !job.rows.is_empty() && ticket.rows.ends_with(&job.rows);
        let longest = self
            .0
            .iter_mut()
            .filter(|(_, job)| is_on_it(job))
            .max_by_key(|(_, job)| (job.rows.len(), job.begun > job.printed));
        let Some((job_id, job)) = longest else {
            return Ok(());
        };
        job.printed += 1;
        if job.printed > 1 && !job.is_duplicate {
            let what = format!("{job_id} came out {} times", job.printed);
            return Err(Violation::new("prints_once", what));
        }
        Ok(())
    }

    /// Whether what the agent says of a job is true.
    ///
    /// # Errors
    /// When it is not.
    pub fn agrees(&self, job_id: PrintJobId, state: JobState) -> Checked {
        let job = self.0.get(&job_id);
        let printed = job.map_or(0, |job| job.printed);
        let is_true = match state {
            // Two jobs that look alike are told apart by nobody.
            JobState::Printed => printed > 0 || job.is_some_and(|job| self.has_twin(job)),
            JobState::Failed(_) => printed == 0,
            _ => true,
        };
        if is_true {
            return Ok(());
        }
        let what = format!("{job_id} is {state:?}, and {printed} of it came out");
        Err(Violation::new("paper_agrees", what))
    }

    fn has_twin(&self, job: &Job) -> bool {
        self.0
            .values()
            .any(|other| other.rows == job.rows && other.printed > 0)
    }
}

/// How a job looks on paper.
fn look(job: &PrinterJob, columns: u16) -> Vec<Row> {
    let mut printer = Firmware::new(FirmwareConfig {
        columns,
        line_ms: 0,
        buffer_bytes: usize::MAX,
        ..FirmwareConfig::default()
    });
    let bytes = encode_receipt(&job.receipt, &Width::new(usize::from(columns)));
    let mut out = Vec::new();
    printer.handle(0, FirmwareInput::HostBytes(&bytes), &mut out);
    let ticket = out.into_iter().find_map(|output| match output {
        FirmwareOutput::Paper(ticket) => Some(ticket.rows),
        _ => None,
    });
    ticket.unwrap_or_default()
}
