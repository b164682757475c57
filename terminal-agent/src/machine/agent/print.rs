//! Print jobs: each is printed at most once, and its end is told until the engine knows it.

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::id::PrintJobId;
use protocol::link::{PrintCommand, PrintReport, PrintState, ToEngine};
use protocol::printer::Trouble;

use super::device::{PrinterEvent, PrinterHealth, PrinterJob};
use super::print_test::PrintTest;
use super::{Agent, Output};
use crate::machine::record::{JournalEntry, PrintRecord};

/// How many jobs wait for the printer. Arbitrary, bounded: the engine repeats what fails here
/// under a new id only when a person asks.
const WAITING_MAX: usize = 64;

/// The printer as the agent machine sees it.
#[derive(Debug)]
pub(super) struct PrintSide {
    pub(super) health: PrinterHealth,
    waiting: VecDeque<PrintCommand>,
    /// The job that the printer has, and where it stands.
    active: Option<PrintReport>,
    /// The test page that the printer has; then no job is active.
    pub(super) test: Option<PrintTest>,
}

impl Default for PrintSide {
    fn default() -> Self {
        Self {
            health: PrinterHealth::UNKNOWN,
            waiting: VecDeque::new(),
            active: None,
            test: None,
        }
    }
}

impl PrintSide {
    pub(super) fn waiting(&self) -> Vec<PrintJobId> {
        self.active
            .iter()
            .map(|report| report.job_id)
            .chain(self.waiting.iter().map(|command| command.job_id))
            .collect()
    }

    /// Whether the printer has nothing to do.
    pub(super) fn is_free(&self) -> bool {
        self.active.is_none() && self.test.is_none() && self.waiting.is_empty()
    }

    pub(super) fn begin_test(&mut self, test: PrintTest) {
        self.test = Some(test);
    }

    pub(super) fn end_test(&mut self) {
        self.test = None;
    }

    fn held(&self) -> PrintState {
        PrintState::Queued {
            held_by: self.health.held_by().unwrap_or_default().to_owned(),
        }
    }
}

impl Agent {
    pub(super) fn print(&mut self, command: PrintCommand) {
        let job_id = command.job_id;
        self.forget_prints(&command.known);
        if let Some(state) = self.print_state(job_id) {
            self.send(ToEngine::Print(PrintReport { job_id, state }));
            return;
        }
        if command.has_begun {
            // It began by a journal that is no more: an older one was put back since.
            self.end_print(job_id, PrintState::Unknown);
        } else if !self.config.has_printer {
            self.end_print(job_id, failed(Trouble::NoPrinter));
        } else if self.printer.waiting.len() >= WAITING_MAX {
            self.end_print(job_id, failed(Trouble::QueueFull));
        } else {
            self.printer.waiting.push_back(command);
            self.print_next();
            let is_waiting = self
                .printer
                .waiting
                .iter()
                .any(|waiting| waiting.job_id == job_id);
            if is_waiting {
                let state = self.printer.held();
                self.send(ToEngine::Print(PrintReport { job_id, state }));
            }
        }
    }

    /// The engine has the ends of these jobs durably, and never sends them again.
    fn forget_prints(&mut self, known: &[PrintJobId]) {
        for job_id in known {
            if matches!(self.journal.print(*job_id), Some(PrintRecord::Ended(_))) {
                self.persist(JournalEntry::PrintKnown { job_id: *job_id });
            }
        }
    }

    fn print_state(&self, job_id: PrintJobId) -> Option<PrintState> {
        if let Some(active) = &self.printer.active
            && active.job_id == job_id
        {
            return Some(active.state.clone());
        }
        let is_waiting = self
            .printer
            .waiting
            .iter()
            .any(|waiting| waiting.job_id == job_id);
        if is_waiting {
            return Some(self.printer.held());
        }
        self.journal.print(job_id).map(|record| match record {
            PrintRecord::Ended(state) => state.clone(),
            PrintRecord::Started => PrintState::Printing,
        })
    }

    pub(super) fn is_printing(&self, job_id: PrintJobId) -> bool {
        self.printer
            .active
            .as_ref()
            .is_some_and(|active| active.job_id == job_id)
    }

    /// Gives the printer its next job, which begins when the printer is ready.
    fn print_next(&mut self) {
        let has_job = self.printer.active.is_some() || self.printer.test.is_some();
        if has_job || self.printer.health.held_by().is_some() {
            return;
        }
        let Some(command) = self.printer.waiting.pop_front() else {
            return;
        };
        let report = PrintReport {
            job_id: command.job_id,
            state: PrintState::Queued {
                held_by: String::new(),
            },
        };
        self.printer.active = Some(report.clone());
        self.emit(Output::Printer(PrinterJob {
            job_id: command.job_id,
            receipt: Arc::unwrap_or_clone(command.receipt),
            open_drawer: command.open_drawer,
        }));
        self.send(ToEngine::Print(report));
    }

    pub(super) fn printer_event(&mut self, event: PrinterEvent) {
        match event {
            PrinterEvent::Report { job_id, state } => self.print_report(job_id, state),
            PrinterEvent::Ready { job_id } => self.begin_print(job_id),
            PrinterEvent::Health(health) => {
                let was_held_by = self.printer.health.held_by();
                self.printer.health = health;
                self.print_next();
                if was_held_by != health.held_by() {
                    self.report_held();
                }
            }
        }
    }

    /// From the first byte on a power cut leaves the end of a job unknown, and a record must say
    /// so; before it, the job is simply printed later.
    fn begin_print(&mut self, job_id: PrintJobId) {
        let test = self.printer.test.as_ref();
        if test.is_some_and(|test| test.job_id == job_id) {
            self.emit(Output::BeginPrint(job_id));
        }
        if self.is_printing(job_id) {
            self.persist(JournalEntry::PrintStarted { job_id });
            self.emit(Output::BeginPrint(job_id));
        }
    }

    fn report_held(&mut self) {
        let state = self.printer.held();
        let waiting: Vec<_> = self
            .printer
            .waiting
            .iter()
            .map(|command| command.job_id)
            .collect();
        for job_id in waiting {
            let state = state.clone();
            self.send(ToEngine::Print(PrintReport { job_id, state }));
        }
    }

    fn print_report(&mut self, job_id: PrintJobId, state: PrintState) {
        let report = PrintReport { job_id, state };
        if self.test_reported(&report) {
            self.print_next();
            return;
        }
        let PrintReport { job_id, state } = report;
        let Some(active) = &mut self.printer.active else {
            return;
        };
        if active.job_id != job_id || active.state == state {
            return;
        }
        if state.is_final() {
            self.printer.active = None;
            self.end_print(job_id, state);
            self.print_next();
        } else {
            active.state = state.clone();
            self.send(ToEngine::Print(PrintReport { job_id, state }));
        }
    }

    fn end_print(&mut self, job_id: PrintJobId, state: PrintState) {
        self.persist(JournalEntry::PrintEnded {
            job_id,
            state: state.clone(),
        });
        self.send(ToEngine::Print(PrintReport { job_id, state }));
    }
}

fn failed(trouble: Trouble) -> PrintState {
    PrintState::Failed {
        reason: trouble.code().to_owned(),
    }
}
