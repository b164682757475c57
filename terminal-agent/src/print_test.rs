//! A test page without an agent: the printer's own machine on the port, for one job.
//!
//! Only for a till whose agent does not run: the port is opened for this process alone.

use std::time::Duration;

use protocol::id::PrintJobId;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::config::PrinterConfig;
use crate::control::message::TestPrinted;
use crate::device::endpoint::Endpoint;
use crate::device::fault::{PortFault, PortHealth};
use crate::device::{self, PortEvent};
use crate::id_source;
use crate::machine::printer::{Input, JobState, Output, PrinterMachine};
use crate::machine::test_page::test_page;
use crate::machine::translate;

/// How long the whole page may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// Events of the port that wait.
const EVENTS_MAX: usize = 64;

/// Prints the page; ends when it is printed or lost, or when a person is needed.
///
/// # Errors
/// Why the port does not open.
pub async fn print(
    config: &PrinterConfig,
    endpoint: Endpoint,
    opens_drawer: bool,
) -> Result<TestPrinted, PortFault> {
    let (events_tx, events) = mpsc::channel(EVENTS_MAX);
    // Ends when the receiver is dropped.
    tokio::spawn(device::run(endpoint, events_tx, |event| event));
    let job_id = PrintJobId::from_uuid(id_source::request_id().uuid());
    let mut page = Page {
        job_id,
        clock: Clock::start(),
        machine: PrinterMachine::new(config.machine(None)),
        writes: None,
        state: None,
        has_begun: false,
    };
    let printed = timeout(PATIENCE, page.run(events, opens_drawer)).await;
    let state = match printed {
        Ok(state) => state?,
        Err(_) => JobState::Unknown,
    };
    Ok(TestPrinted::new(job_id, translate::print_state(state)))
}

struct Page {
    job_id: PrintJobId,
    clock: Clock,
    machine: PrinterMachine,
    writes: Option<mpsc::Sender<Vec<u8>>>,
    /// Where the job stands, once that is worth telling.
    state: Option<JobState>,
    has_begun: bool,
}

impl Page {
    async fn run(
        &mut self,
        mut events: mpsc::Receiver<PortEvent>,
        opens_drawer: bool,
    ) -> Result<JobState, PortFault> {
        loop {
            if let Some(state) = self.state {
                return Ok(state);
            }
            let now_ms = self.clock.now_ms();
            let due_ms = self.machine.poll_deadline();
            let wait_ms = due_ms.map_or(60_000, |due_ms| due_ms.saturating_sub(now_ms));
            match timeout(Duration::from_millis(wait_ms), events.recv()).await {
                Ok(Some(event)) => self.port(event, opens_drawer)?,
                Ok(None) => return Ok(JobState::Unknown),
                Err(_) => self.tell(Input::Deadline),
            }
        }
    }

    fn port(&mut self, event: PortEvent, opens_drawer: bool) -> Result<(), PortFault> {
        match event {
            PortEvent::Opened(writes) => {
                self.writes = Some(writes);
                self.tell(Input::PortOpened);
                self.tell(Input::Job {
                    job_id: self.job_id,
                    receipt: test_page(env!("CARGO_PKG_VERSION"), "printed without the agent"),
                    opens_drawer,
                });
            }
            PortEvent::Bytes(bytes) => self.tell(Input::Bytes(&bytes)),
            PortEvent::Busy(is_busy) => self.tell(Input::Busy(is_busy)),
            PortEvent::Written(count) => self.tell(Input::Written(count)),
            PortEvent::Closed => {
                self.writes = None;
                self.tell(Input::PortClosed);
            }
            PortEvent::Health(PortHealth::Faulty(fault)) if !self.has_begun => return Err(fault),
            PortEvent::Health(_) => {}
        }
        Ok(())
    }

    fn tell(&mut self, input: Input<'_>) {
        let mut outputs = Vec::new();
        let now_ms = self.clock.now_ms();
        self.machine.handle(now_ms, input, &mut outputs);
        for output in outputs {
            match output {
                Output::Write(bytes) => {
                    let writes = self.writes.as_ref();
                    if writes.is_none_or(|writes| writes.try_send(bytes).is_err()) {
                        self.writes = None;
                    }
                }
                Output::Ready { job_id } => {
                    self.has_begun = true;
                    self.tell(Input::Begin { job_id });
                }
                Output::JobReport { state, .. } => {
                    if state.is_final() || matches!(state, JobState::Held(_)) {
                        self.state = Some(state);
                    }
                }
                Output::Status(_) => {}
            }
        }
    }
}
