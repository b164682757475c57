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
use terminal_agent::machine::record::JournalState;

use super::checker::{Checked, Violation};

#[derive(Debug, Default)]
struct Job {
    receipt: Option<Receipt>,
    rows: Vec<Row>,
    is_duplicate: bool,
    begun: u32,
    /// The life of the till in which it began last.
    begun_in: u64,
    printed: u32,
    /// The till's journal no longer has its beginning.
    is_lost: bool,
    /// How often it began again although neither side could know better.
    forgiven: u32,
    /// Pieces that had come out when the journal lost it.
    printed_before: u32,
}

impl Job {
    /// Whether it came out by what the till's journal has.
    const fn came_out(&self) -> bool {
        self.printed > self.printed_before
    }
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

    /// The agent begins a job in a life of the till; says what is on it. Once more is right only in
    /// the same life, whose printer had been sent nothing of it (`can_repeat`), or by an older
    /// journal when the engine had not heard that it began (`is_known`).
    ///
    /// # Errors
    /// When it had begun before.
    pub fn begin(
        &mut self,
        job_id: PrintJobId,
        life: u64,
        can_repeat: bool,
        is_known: bool,
    ) -> Result<Option<Receipt>, Violation> {
        let job = self.0.entry(job_id).or_default();
        let is_repeat = can_repeat && job.begun_in == life;
        let is_forgiven = std::mem::take(&mut job.is_lost) && !is_known;
        job.forgiven += u32::from(is_forgiven);
        job.begun += 1;
        job.begun_in = life;
        if job.begun > 1 && !is_repeat && !is_forgiven {
            let what = format!("{job_id} began {} times", job.begun);
            return Err(Violation::new("prints_once", what));
        }
        Ok(job.receipt.take())
    }

    /// An older journal was put back: what had begun and is not in it may come again, unless the
    /// engine knows better.
    pub fn lose(&mut self, journal: &JournalState) {
        for (job_id, job) in &mut self.0 {
            if job.begun > 0 && journal.print(*job_id).is_none() {
                job.is_lost = true;
                job.printed_before = job.printed;
            }
        }
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
        if job.printed > 1 + job.forgiven && !job.is_duplicate {
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
            JobState::Printed => job.is_some_and(|job| job.came_out() || self.has_twin(job)),
            // What came out by a journal that is no more is not known to this one.
            JobState::Failed(_) => {
                printed == 0 || job.is_some_and(|job| job.is_lost || job.forgiven > 0)
            }
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
            .any(|other| other.rows == job.rows && other.came_out())
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
