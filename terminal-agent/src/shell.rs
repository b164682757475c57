//! Carries inputs to the machines and their outputs to journal, link, ports and control socket.
//!
//! Decides nothing. One thread; nothing here waits.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use protocol::id::RequestId;
use protocol::link::TillFacts;
use tokio::sync::{Notify, mpsc};

use crate::clock::{self, Clock};
use crate::control::message::{
    Answer, AnswerData, AnswerError, Line, PortsHealth, ProcessHealth, Wanted, WatchEvent,
    encode_line,
};
use crate::control::{ConnectionId, ControlEvent};
use crate::device::PortEvent;
use crate::device::endpoint::Role;
use crate::device::fault::{PortHealth, PortState};
use crate::id_source;
use crate::link::{LinkCommand, LinkEvent};
use crate::log;
use crate::machine::agent::{
    Agent, ControlId, ControlReply, Input, Output, PrinterEvent, PrinterHealth, ReaderRequest,
};
use crate::machine::printer::{self, PrinterMachine};
use crate::machine::reader::{self, ReaderConversation};
use crate::machine::record::JournalEntry;
use crate::machine::translate;

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

struct ReaderSide {
    conversation: ReaderConversation,
    writes: Option<mpsc::Sender<Vec<u8>>>,
}

struct PrinterSide {
    machine: PrinterMachine,
    writes: Option<mpsc::Sender<Vec<u8>>>,
    health: PrinterHealth,
}

/// A new connection takes over only with the hello that answers its challenge: until then the
/// machine may still speak to the one before, which must reach nobody.
#[derive(Default)]
struct LinkSide {
    commands: Option<mpsc::Sender<LinkCommand>>,
    next: Option<mpsc::Sender<LinkCommand>>,
    owed_hellos: u32,
}

#[derive(Default)]
struct ControlSide {
    clients: BTreeMap<ConnectionId, Client>,
    /// Commands whose answer is owed: to whom, under which number.
    pending: BTreeMap<ControlId, (ConnectionId, u64)>,
    last: u64,
}

struct Client {
    lines: mpsc::Sender<String>,
    is_watching: bool,
    /// It will say no more, but may still read what it asked for.
    is_closing: bool,
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
            ahead_ms(clock::unix_ms(), engine_ms)
        };
        let printer = self.printer.as_ref();
        TillFacts {
            agent_uptime_s: Some(now_ms / 1_000),
            clock_skew_ms: self.welcomed.and_then(skew_ms),
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

    fn link_event(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Connecting { version, commands } => {
                self.link.next = Some(commands);
                self.link.owed_hellos = self.link.owed_hellos.saturating_add(1);
                self.process.link.version = Some(version);
                self.pump(Input::LinkConnecting { version });
            }
            LinkEvent::Up(welcome) => {
                tracing::info!(epoch = welcome.epoch, label = welcome.label, "link up");
                self.welcomed = Some((welcome.now_ms, self.clock.now_ms()));
                // Only now can the clock be compared.
                self.look.notify_one();
                self.process.link.fault = None;
                self.process.link.engine_ahead_ms = ahead_ms(welcome.now_ms, clock::unix_ms());
                self.pump(Input::LinkUp(welcome));
                self.control
                    .tell_watchers(&WatchEvent::Link { is_online: true });
            }
            LinkEvent::Message(message) => self.pump(Input::Message(message)),
            LinkEvent::Down(error) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, source, "link down");
                self.process.link.fault = Some(AnswerError {
                    code: error.code().to_owned(),
                    message: source
                        .map_or_else(|| error.to_string(), |source| format!("{error}: {source}")),
                });
                self.link.commands = None;
                self.link.next = None;
                self.pump(Input::LinkDown);
                self.control
                    .tell_watchers(&WatchEvent::Link { is_online: false });
            }
        }
    }

    fn reader_port(&mut self, event: PortEvent) {
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

    fn printer_port(&mut self, event: PortEvent) {
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

    fn port_health(&mut self, role: Role, health: &PortHealth) {
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

    fn control_event(&mut self, event: ControlEvent) {
        match event {
            ControlEvent::Opened(connection, lines) => {
                let client = Client {
                    lines,
                    is_watching: false,
                    is_closing: false,
                };
                self.control.clients.insert(connection, client);
            }
            ControlEvent::Line(connection, line) => self.control_line(connection, *line),
            ControlEvent::Closed(connection) => {
                if let Some(client) = self.control.clients.get_mut(&connection) {
                    client.is_closing = true;
                }
                self.control.close_if_done(connection);
            }
        }
    }

    fn control_line(&mut self, connection: ConnectionId, line: Line) {
        let id = line.id();
        let fresh: RequestId = id_source::request_id();
        match line.wanted(fresh) {
            Wanted::Watch => {
                if let Some(client) = self.control.clients.get_mut(&connection) {
                    client.is_watching = true;
                }
                let answer = Answer::good(id, AnswerData::Done);
                self.control.tell(connection, &encode_line(&answer));
            }
            Wanted::Command(command) => {
                self.control.last = self.control.last.saturating_add(1);
                let control = ControlId(self.control.last);
                self.control.pending.insert(control, (connection, id));
                self.pump(Input::Control(control, command));
            }
        }
    }

    fn reader_input(&mut self, input: reader::Input<'_>) {
        let mut inputs = VecDeque::new();
        self.tell_reader(input, &mut inputs);
        self.drain(inputs);
    }

    fn printer_input(&mut self, input: printer::Input<'_>) {
        let mut inputs = VecDeque::new();
        self.tell_printer(input, &mut inputs);
        self.drain(inputs);
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

    fn ask_reader(&mut self, request: ReaderRequest, inputs: &mut VecDeque<Input>) {
        let request = reader::Input::Request(translate::reader_request(request));
        self.tell_reader(request, inputs);
    }

    fn tell_reader(&mut self, input: reader::Input<'_>, inputs: &mut VecDeque<Input>) {
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

    fn tell_printer(&mut self, input: printer::Input<'_>, inputs: &mut VecDeque<Input>) {
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

/// How far another clock is ahead of this one.
fn ahead_ms(theirs_ms: u64, ours_ms: u64) -> Option<i64> {
    let theirs_ms = i64::try_from(theirs_ms).ok()?;
    theirs_ms.checked_sub(i64::try_from(ours_ms).ok()?)
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

impl LinkSide {
    /// A link that does not take its messages is given up; its task connects again.
    fn say(&mut self, command: LinkCommand) {
        let is_taken = self
            .commands
            .as_ref()
            .is_some_and(|commands| commands.try_send(command).is_ok());
        if !is_taken {
            self.commands = None;
        }
    }
}

impl ControlSide {
    fn answer(
        &mut self,
        control: ControlId,
        reply: ControlReply,
        ports: &PortsHealth,
        process: &ProcessHealth,
    ) {
        if let Some((connection, id)) = self.pending.remove(&control) {
            let line = encode_line(&Answer::from_reply(id, reply, ports, process));
            self.tell(connection, &line);
            self.close_if_done(connection);
        }
    }

    fn tell(&mut self, connection: ConnectionId, line: &str) {
        let Some(client) = self.clients.get(&connection) else {
            return;
        };
        // A client that does not read is disconnected.
        if client.lines.try_send(line.to_owned()).is_err() {
            self.clients.remove(&connection);
        }
    }

    fn tell_watchers(&mut self, event: &WatchEvent) {
        let line = encode_line(event);
        let watching: Vec<_> = self
            .clients
            .iter()
            .filter(|(_, client)| client.is_watching)
            .map(|(connection, _)| *connection)
            .collect();
        for connection in watching {
            self.tell(connection, &line);
        }
    }

    fn close_if_done(&mut self, connection: ConnectionId) {
        let is_owed = self.pending.values().any(|(owed, _)| *owed == connection);
        let is_closing = self
            .clients
            .get(&connection)
            .is_some_and(|client| client.is_closing);
        if is_closing && !is_owed {
            self.clients.remove(&connection);
        }
    }
}
