//! A till's printer: the firmware on its port with the agent's job machine, or, where a world is
//! about other things, one that always prints.
//!
//! Does what `terminal_agent::shell` does around the machine. What came out as paper is held
//! against the reports by [`super::paper`].

use std::collections::VecDeque;

use firmware_sim::printer::{
    Input as FirmwareInput, Output as FirmwareOutput, PrinterConfig as FirmwareConfig,
    PrinterMachine as Firmware,
};
use protocol::id::PrintJobId;
use protocol::link::{PaperState, PrintState};
use terminal_agent::machine::agent::{Input, PrinterEvent, PrinterHealth, PrinterJob};
use terminal_agent::machine::printer::{
    self, Output as MachineOutput, PrinterConfig, PrinterMachine,
};
use terminal_agent::machine::translate;

use super::event::Event;
use super::fault::Fault;
use super::paper::Paper;
use super::world::World;

/// The way of a write over a serial line: 56 bytes at 38,400 baud.
const SERIAL_MS: u64 = 15;
/// Characters a line, on both ends.
const COLUMNS: u16 = 48;

/// A till's printer.
#[derive(Debug, Default)]
pub struct Printer {
    /// The firmware, where it is driven.
    pub firmware: Option<Box<Firmware>>,
    /// Whether it is plugged in.
    pub is_plugged: bool,
    /// Counts how often it was plugged in or out.
    pub plug: u64,
    /// What was printed.
    pub paper: Paper,
    /// How many pieces.
    pub papers: u64,
    /// Strikes during the next print.
    pub is_in_danger: Option<Fault>,
}

/// The agent's end of the port.
#[derive(Debug)]
pub struct PrinterSide {
    /// The job machine.
    pub machine: PrinterMachine,
    health: PrinterHealth,
}

impl Printer {
    /// A printer with its firmware.
    pub fn driven() -> Self {
        let config = FirmwareConfig {
            columns: COLUMNS,
            line_ms: 15,
            ..FirmwareConfig::default()
        };
        Self {
            firmware: Some(Box::new(Firmware::new(config))),
            is_plugged: true,
            ..Self::default()
        }
    }

    /// The agent's end, for a process that starts.
    pub fn agent_side(&self) -> Option<PrinterSide> {
        self.firmware.as_ref()?;
        Some(PrinterSide {
            machine: PrinterMachine::new(PrinterConfig {
                // Worlds are long, and a printer here cannot be switched off unnoticed.
                idle_check_ms: None,
                ..PrinterConfig::new(usize::from(COLUMNS))
            }),
            health: PrinterHealth::UNKNOWN,
        })
    }

    /// When the firmware wants to be told the time.
    pub fn poll_deadline(&self) -> Option<u64> {
        self.firmware.as_ref()?.poll_deadline()
    }
}

impl World {
    /// The agent's process has started.
    pub fn start_printer(&mut self, number: usize) {
        let printer = &self.tills[number].printer;
        if printer.firmware.is_none() {
            let health = PrinterHealth {
                is_connected: true,
                is_online: true,
                paper: PaperState::Ok,
                ..PrinterHealth::UNKNOWN
            };
            self.till_hears(number, Input::Printer(PrinterEvent::Health(health)));
        } else if printer.is_plugged {
            self.tell_printer(number, printer::Input::PortOpened);
        }
    }

    /// The agent has a job for the printer.
    pub fn give_printer(&mut self, number: usize, job: PrinterJob, inputs: &mut VecDeque<Input>) {
        let job_id = job.job_id;
        self.tills[number].printer.paper.expect(&job);
        if self.tills[number].printer.firmware.is_none() {
            inputs.push_back(Input::Printer(PrinterEvent::Ready { job_id }));
            return;
        }
        self.tills[number].printer.paper.look_for(&job, COLUMNS);
        inputs.extend(self.printer_machine(number, translate::printer_job(job)));
    }

    /// The beginning of a job is on record.
    pub fn begin_print(&mut self, number: usize, job_id: PrintJobId, inputs: &mut VecDeque<Input>) {
        let is_known = self.history.printing.contains(&job_id);
        let till = &mut self.tills[number];
        let (life, is_driven) = (till.life, till.printer.firmware.is_some());
        // A job whose port goes before its first byte begins once more: its paper is counted.
        let begun = till.printer.paper.begin(job_id, life, is_driven, is_known);
        match begun {
            Ok(Some(receipt)) => self.check_print(number, job_id, &receipt),
            Ok(None) => {}
            Err(violation) => self.check(Err(violation)),
        }
        if self.tills[number].printer.firmware.is_some() {
            inputs.extend(self.printer_machine(number, printer::Input::Begin { job_id }));
            self.endanger_print(number);
            return;
        }
        let at_ms = self.now_ms + self.random.between(300, 2_000);
        let event = Event::Prints {
            till: number,
            life,
            job_id,
        };
        self.queue.push(at_ms, event);
    }

    /// The printer that always prints has printed.
    pub fn printed(&mut self, number: usize, life: u64, job_id: PrintJobId) {
        if self.tills[number].life == life {
            let state = PrintState::Printed;
            let event = PrinterEvent::Report { job_id, state };
            self.till_hears(number, Input::Printer(event));
        }
    }

    /// Tells the job machine something, and the agent what it makes of it.
    pub fn tell_printer(&mut self, number: usize, input: printer::Input<'_>) {
        for event in self.printer_machine(number, input) {
            self.till_hears(number, event);
        }
    }

    fn printer_machine(&mut self, number: usize, input: printer::Input<'_>) -> Vec<Input> {
        let till = &mut self.tills[number];
        let local_ms = till.local_ms(self.now_ms);
        let (life, plug, is_plugged) = (till.life, till.printer.plug, till.printer.is_plugged);
        let Some(side) = till.process.as_mut().and_then(|one| one.printer.as_mut()) else {
            return Vec::new();
        };
        let mut out = Vec::new();
        side.machine.handle(local_ms, input, &mut out);
        let health = translate::printer_health(is_plugged, &side.machine);
        let is_changed = std::mem::replace(&mut side.health, health) != health;
        let mut events = Vec::new();
        for output in out {
            match output {
                MachineOutput::Write(bytes) => {
                    let event = Event::ToPrinter {
                        till: number,
                        life,
                        plug,
                        bytes,
                    };
                    self.queue.push(self.now_ms + SERIAL_MS, event);
                }
                MachineOutput::JobReport { job_id, state } => {
                    let state = self.lie_about_print(state);
                    self.note(|| format!("till {number} printer: {job_id} is {state:?}"));
                    let paper = &self.tills[number].printer.paper;
                    self.check(paper.agrees(job_id, state));
                    let state = translate::print_state(state);
                    events.push(Input::Printer(PrinterEvent::Report { job_id, state }));
                }
                MachineOutput::Ready { job_id } => {
                    events.push(Input::Printer(PrinterEvent::Ready { job_id }));
                }
                MachineOutput::Status(_) => {}
            }
        }
        if is_changed {
            events.push(Input::Printer(PrinterEvent::Health(health)));
        }
        events
    }

    /// Bytes reach the printer, and the agent learns that they have left.
    pub fn printer_hears(&mut self, number: usize, life: u64, plug: u64, bytes: &[u8]) {
        if self.tills[number].printer.plug != plug {
            return;
        }
        self.printer_firmware(number, FirmwareInput::HostBytes(bytes));
        if self.tills[number].life == life {
            self.tell_printer(number, printer::Input::Written(bytes.len()));
        }
    }

    /// Bytes of the printer reach the agent.
    pub fn printer_says(&mut self, number: usize, life: u64, plug: u64, bytes: &[u8]) {
        let till = &self.tills[number];
        if till.life == life && till.printer.plug == plug {
            self.tell_printer(number, printer::Input::Bytes(bytes));
        }
    }

    /// Something happens to the printer.
    pub fn printer_firmware(&mut self, number: usize, input: FirmwareInput<'_>) {
        let now_ms = self.now_ms;
        let till = &mut self.tills[number];
        let (life, plug, is_plugged) = (till.life, till.printer.plug, till.printer.is_plugged);
        let Some(firmware) = &mut till.printer.firmware else {
            return;
        };
        let mut out = Vec::new();
        firmware.handle(now_ms, input, &mut out);
        for output in out {
            match output {
                FirmwareOutput::ToHost(bytes) if is_plugged => {
                    let event = Event::FromPrinter {
                        till: number,
                        life,
                        plug,
                        bytes,
                    };
                    self.queue.push(now_ms + 2, event);
                }
                FirmwareOutput::Paper(ticket) => {
                    self.note(|| format!("till {number}: {} rows of paper", ticket.rows.len()));
                    let printer = &mut self.tills[number].printer;
                    printer.papers += 1;
                    let checked = printer.paper.came_off(&ticket);
                    self.check(checked);
                }
                FirmwareOutput::Violation(what) if !self.has_lost_printer_bytes(number) => {
                    self.broken(format!("till {number}'s printer: {what}"));
                }
                _ => {}
            }
        }
    }

    /// A command that was cut in two is the line's fault, not the agent's.
    fn has_lost_printer_bytes(&self, number: usize) -> bool {
        let till = &self.tills[number];
        till.life > 0 || till.printer.plug > 0
    }
}
