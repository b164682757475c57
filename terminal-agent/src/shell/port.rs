//! The shell's ends of the ports: bytes in, and what reader and printer machine make of them. Never
//! waits for a port.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use super::Shell;
use crate::control::message::WatchEvent;
use crate::device::PortEvent;
use crate::device::endpoint::Role;
use crate::device::fault::{PortHealth, PortState};
use crate::machine::agent::{Input, PrinterEvent, PrinterHealth, ReaderRequest};
use crate::machine::printer::{self, PrinterMachine};
use crate::machine::reader::{self, ReaderConversation};
use crate::machine::translate;

impl Shell {
    pub(super) fn reader_port(&mut self, event: PortEvent) {
        match event {
            PortEvent::Opened(writes) => {
                self.reader.writes = Some(writes);
                self.reader_input(reader::Input::PortOpened);
            }
            PortEvent::Bytes(bytes) => self.reader_input(reader::Input::Bytes(&bytes)),
            PortEvent::Written(_) | PortEvent::Busy(_) => {}
            PortEvent::Closed => {
                self.reader.writes = None;
                self.reader_input(reader::Input::PortClosed);
            }
            PortEvent::Health(health) => self.port_health(Role::Reader, &health),
        }
    }

    pub(super) fn printer_port(&mut self, event: PortEvent) {
        let Some(printer) = &mut self.printer else {
            return;
        };
        match event {
            PortEvent::Opened(writes) => {
                printer.writes = Some(writes);
                self.printer_input(printer::Input::PortOpened);
            }
            PortEvent::Bytes(bytes) => self.printer_input(printer::Input::Bytes(&bytes)),
            PortEvent::Busy(is_busy) => self.printer_input(printer::Input::Busy(is_busy)),
            PortEvent::Written(count) => self.printer_input(printer::Input::Written(count)),
            PortEvent::Closed => {
                printer.writes = None;
                self.printer_input(printer::Input::PortClosed);
            }
            PortEvent::Health(health) => self.port_health(Role::Printer, &health),
        }
    }

    pub(super) fn port_health(&mut self, role: Role, health: &PortHealth) {
        let port = PortState::from(health);
        self.control.tell_watchers(&WatchEvent::Port {
            device: role,
            port: port.clone(),
        });
        match role {
            Role::Reader => self.ports.reader = port,
            Role::Printer => self.ports.printer = Some(port),
        }
    }

    pub(super) fn reader_input(&mut self, input: reader::Input<'_>) {
        let mut inputs = VecDeque::new();
        self.tell_reader(input, &mut inputs);
        self.drain(inputs);
    }

    pub(super) fn printer_input(&mut self, input: printer::Input<'_>) {
        let mut inputs = VecDeque::new();
        self.tell_printer(input, &mut inputs);
        self.drain(inputs);
    }

    pub(super) fn ask_reader(&mut self, request: ReaderRequest, inputs: &mut VecDeque<Input>) {
        let request = reader::Input::Request(translate::reader_request(request));
        self.tell_reader(request, inputs);
    }

    pub(super) fn tell_reader(&mut self, input: reader::Input<'_>, inputs: &mut VecDeque<Input>) {
        let mut outputs = Vec::new();
        let now_ms = self.clock.now_ms();
        self.reader.conversation.handle(now_ms, input, &mut outputs);
        for output in outputs {
            match output {
                reader::Output::Write(bytes) => write(&mut self.reader.writes, bytes),
                reader::Output::Event(event) => {
                    tracing::debug!(?event, "reader");
                    inputs.push_back(Input::Reader(translate::reader_event(event)));
                }
            }
        }
    }

    pub(super) fn tell_printer(&mut self, input: printer::Input<'_>, inputs: &mut VecDeque<Input>) {
        let Some(printer) = &mut self.printer else {
            return;
        };
        let mut outputs = Vec::new();
        let now_ms = self.clock.now_ms();
        printer.machine.handle(now_ms, input, &mut outputs);
        for output in outputs {
            match output {
                printer::Output::Write(bytes) => write(&mut printer.writes, bytes),
                printer::Output::JobReport { job_id, state } => {
                    let state = translate::print_state(state);
                    let report = PrinterEvent::Report { job_id, state };
                    inputs.push_back(Input::Printer(report));
                }
                printer::Output::Ready { job_id } => {
                    inputs.push_back(Input::Printer(PrinterEvent::Ready { job_id }));
                }
                printer::Output::Status(_) => {}
            }
        }
        let is_connected = printer.writes.is_some();
        let health = translate::printer_health(is_connected, &printer.machine);
        if printer.health != health {
            printer.health = health;
            inputs.push_back(Input::Printer(PrinterEvent::Health(health)));
        }
    }
}

pub(super) struct ReaderSide {
    pub(super) conversation: ReaderConversation,
    pub(super) writes: Option<mpsc::Sender<Vec<u8>>>,
}

pub(super) struct PrinterSide {
    pub(super) machine: PrinterMachine,
    pub(super) writes: Option<mpsc::Sender<Vec<u8>>>,
    pub(super) health: PrinterHealth,
}

/// A port that does not take its bytes is given up; its task opens it again.
fn write(writes: &mut Option<mpsc::Sender<Vec<u8>>>, bytes: Vec<u8>) {
    let is_taken = writes
        .as_ref()
        .is_some_and(|writes| writes.try_send(bytes).is_ok());
    if !is_taken {
        *writes = None;
    }
}
