//! Carries inputs to the machines and their outputs to journal, link, ports and control socket.
//!
//! Decides nothing. One thread; nothing here waits.

mod client;
mod link;
mod port;

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::link::TillFacts;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::control::ControlEvent;
use crate::control::message::{PortsHealth, ProcessHealth, WatchEvent};
use crate::device::PortEvent;
use crate::device::fault::PortState;
use crate::link::{LinkCommand, LinkEvent};
use crate::log;
use crate::machine::agent::{Agent, Input, Output, PrinterHealth};
use crate::machine::printer::{self, PrinterMachine};
use crate::machine::reader::{self, ReaderConversation};
use crate::machine::record::JournalEntry;
use crate::machine::translate;
use client::ControlSide;
use link::LinkSide;
use port::{PrinterSide, ReaderSide};

/// Something that happened outside.
#[derive(Debug)]
pub enum Event {
    /// On the link.
    Link(LinkEvent),
    /// On the reader's port.
    Reader(PortEvent),
    /// On the printer's port.
    Printer(PortEvent),
    /// On the control socket.
    Control(ControlEvent),
    /// The journal has written what it was given last, or failed to.
    Journal {
        /// Whether it is written.
        is_written: bool,
    },
    /// The machine was looked at.
    Facts(Box<TillFacts>),
}

/// The machines and where their outputs go.
pub struct Shell {
    clock: Clock,
    agent: Agent,
    journal: std::sync::mpsc::Sender<Vec<JournalEntry>>,
    reader: ReaderSide,
    printer: Option<PrinterSide>,
    link: LinkSide,
    control: ControlSide,
    /// Wakes the task that looks at the machine.
    look: Arc<Notify>,
    /// The engine's clock when it welcomed this till, and the agent's at that moment.
    welcomed: Option<(u64, u64)>,
    ports: PortsHealth,
    process: ProcessHealth,
    has_fault: bool,
}

impl Shell {
    /// Puts the machines to work.
    pub fn new(
        clock: Clock,
        agent: Agent,
        reader: ReaderConversation,
        printer: Option<PrinterMachine>,
        journal: std::sync::mpsc::Sender<Vec<JournalEntry>>,
        look: Arc<Notify>,
    ) -> Self {
        log::set_level(agent.settings().log_level.as_deref());
        let has_printer = printer.is_some();
        Self {
            clock,
            agent,
            journal,
            reader: ReaderSide {
                conversation: reader,
                writes: None,
            },
            printer: printer.map(|machine| PrinterSide {
                machine,
                writes: None,
                health: PrinterHealth::UNKNOWN,
            }),
            link: LinkSide::default(),
            control: ControlSide::default(),
            look,
            welcomed: None,
            ports: PortsHealth {
                reader: PortState::Starting,
                printer: has_printer.then(PortState::default),
            },
            process: ProcessHealth::default(),
            has_fault: false,
        }
    }

    /// What a technician is told of this process.
    pub fn describe_process(&mut self, process: ProcessHealth) {
        self.process = process;
    }

    /// The agent machine, to look at.
    pub const fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Whether the journal has failed: the process must end.
    pub const fn has_fault(&self) -> bool {
        self.has_fault
    }

    /// Milliseconds until `deadline` is wanted.
    pub fn wait_ms(&self) -> Option<u64> {
        let printer = self.printer.as_ref();
        [
            self.agent.poll_deadline(),
            self.reader.conversation.poll_deadline(),
            printer.and_then(|printer| printer.machine.poll_deadline()),
        ]
        .into_iter()
        .flatten()
        .min()
        .map(|deadline_ms| deadline_ms.saturating_sub(self.clock.now_ms()))
    }

    /// The time of `wait_ms` has come.
    pub fn deadline(&mut self) {
        let now_ms = self.clock.now_ms();
        let is_due = |deadline: Option<u64>| deadline.is_some_and(|due_ms| due_ms <= now_ms);
        if is_due(self.reader.conversation.poll_deadline()) {
            self.reader_input(reader::Input::Deadline);
        }
        let printer = self.printer.as_ref();
        if is_due(printer.and_then(|printer| printer.machine.poll_deadline())) {
            self.printer_input(printer::Input::Deadline);
        }
        if is_due(self.agent.poll_deadline()) {
            self.pump(Input::Deadline);
        }
    }

    /// Takes in what happened.
    pub fn event(&mut self, event: Event) {
        match event {
            Event::Link(event) => self.link_event(event),
            Event::Reader(event) => self.reader_port(event),
            Event::Printer(event) => self.printer_port(event),
            Event::Control(event) => self.control_event(event),
            Event::Journal { is_written: true } => self.pump(Input::Persisted),
            Event::Journal { is_written: false } => self.pump(Input::PersistFailed),
            Event::Facts(facts) => {
                let facts = self.with_own(*facts);
                self.pump(Input::Facts(Box::new(facts)));
            }
        }
    }

    /// Adds what the agent knows itself.
    fn with_own(&self, facts: TillFacts) -> TillFacts {
        let now_ms = self.clock.now_ms();
        let skew_ms = |(engine_ms, at_ms): (u64, u64)| {
            let engine_ms = engine_ms.saturating_add(now_ms.saturating_sub(at_ms));
            Clock::wall_ms().saturating_sub(i64::try_from(engine_ms).unwrap_or(i64::MAX))
        };
        let printer = self.printer.as_ref();
        TillFacts {
            agent_uptime_s: Some(now_ms / 1_000),
            clock_skew_ms: self.welcomed.map(skew_ms),
            is_reader_port_open: Some(self.reader.writes.is_some()),
            is_printer_port_open: printer.map(|printer| printer.writes.is_some()),
            ..facts
        }
    }

    /// Lets go of the link: a reader that waits for a card stops.
    pub fn hang_up(&mut self) {
        self.link = LinkSide::default();
        self.pump(Input::LinkDown);
    }

    fn pump(&mut self, input: Input) {
        self.drain(VecDeque::from([input]));
    }

    fn drain(&mut self, mut inputs: VecDeque<Input>) {
        while let Some(input) = inputs.pop_front() {
            let mut outputs = Vec::new();
            self.agent.handle(self.clock.now_ms(), input, &mut outputs);
            for output in outputs {
                self.act(output, &mut inputs);
            }
        }
    }

    fn act(&mut self, output: Output, inputs: &mut VecDeque<Input>) {
        match output {
            Output::Persist(entries) => {
                // A journal that has stopped listening has said before that it failed.
                if self.journal.send(entries).is_err() {
                    inputs.push_back(Input::PersistFailed);
                }
            }
            Output::Hello { open, prints } => {
                self.link.owed_hellos = self.link.owed_hellos.saturating_sub(1);
                // A newer connection waits for a hello of its own.
                if self.link.owed_hellos == 0 {
                    self.link.commands = self.link.next.take();
                    self.link.say(LinkCommand::Hello { open, prints });
                }
            }
            Output::Send(message) => self.link.say(LinkCommand::Send(Box::new(message))),
            Output::Reader(request) => self.ask_reader(request, inputs),
            Output::Printer(job) => self.tell_printer(translate::printer_job(job), inputs),
            Output::BeginPrint(job_id) => {
                self.tell_printer(printer::Input::Begin { job_id }, inputs);
            }
            Output::Show(screen) => {
                tracing::info!(?screen, "screen");
                self.control
                    .tell_watchers(&WatchEvent::Screen { data: screen });
            }
            Output::ControlAnswer(control, reply) => {
                self.control
                    .answer(control, reply, &self.ports, &self.process);
            }
            Output::LookAround => self.look.notify_one(),
            Output::Configured { version, settings } => {
                tracing::info!(version, "configuration applied");
                log::set_level(settings.log_level.as_deref());
                self.control.tell_watchers(&WatchEvent::Configured {
                    version,
                    idle_text: settings.idle_text,
                });
            }
            Output::JournalFault => {
                tracing::error!("the journal cannot be written: stopping");
                self.has_fault = true;
            }
        }
    }
}
