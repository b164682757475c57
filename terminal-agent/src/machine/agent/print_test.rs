//! A test page, asked for at the till. Known to nobody but who asked: it is in no journal, and the
//! engine never hears of it. Payments do not wait for it, and receipts only as for any print.

use protocol::id::PrintJobId;
use protocol::link::{PrintReport, PrintState};

use super::device::PrinterJob;
use super::{Agent, ControlId, ControlRefusal, ControlReply, Output};
use crate::machine::test_page::test_page;

/// A test page that the printer has.
#[derive(Debug)]
pub(super) struct PrintTest {
    pub(super) job_id: PrintJobId,
    /// Who has not been answered yet.
    asked_by: Option<ControlId>,
}

impl Agent {
    pub(super) fn print_test(
        &mut self,
        control: ControlId,
        job_id: PrintJobId,
        opens_drawer: bool,
    ) -> Result<(), ControlRefusal> {
        if !self.config.has_printer {
            return Err(ControlRefusal::NoPrinter);
        }
        if self.printer.health.held_by().is_some() {
            return Err(ControlRefusal::PrinterAbsent);
        }
        if !self.printer.is_free() {
            return Err(ControlRefusal::PrinterBusy);
        }
        self.printer.begin_test(PrintTest {
            job_id,
            asked_by: Some(control),
        });
        let receipt = test_page(&self.config.agent_version, &self.link.label);
        self.emit(Output::Printer(PrinterJob {
            job_id,
            receipt,
            open_drawer: opens_drawer,
        }));
        Ok(())
    }

    /// Whether the report was about a test page, and is dealt with.
    pub(super) fn test_reported(&mut self, report: &PrintReport) -> bool {
        let Some(test) = &mut self.printer.test else {
            return false;
        };
        if test.job_id != report.job_id {
            return false;
        }
        // Who asked learns the end, or what a person has to do before there is one.
        let is_held =
            matches!(&report.state, PrintState::Queued { held_by } if !held_by.is_empty());
        let is_final = report.state.is_final();
        let answered = if is_held || is_final {
            test.asked_by.take()
        } else {
            None
        };
        if let Some(control) = answered {
            let state = report.state.clone();
            let job_id = report.job_id;
            self.reply(control, ControlReply::TestPrinted { job_id, state });
        }
        if is_final {
            self.printer.end_test();
        }
        true
    }
}
