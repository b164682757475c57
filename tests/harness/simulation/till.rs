//! A till: the agent's process with its reader's conversation, the reader itself, and the disk.
//!
//! Does what `terminal_agent::shell` does around the machines, and nothing else.

use engine::domain::merchant::DeviceKey;
use engine::owner::work::Ids as _;
use firmware_sim::printer::Input as FirmwareInput;
use firmware_sim::reader::{Input as ReaderInput, Phase, Reader, ReaderConfig};
use protocol::id::{JournalId, TerminalId};
use terminal_agent::machine::agent::{Agent, Input};
use terminal_agent::machine::printer;
use terminal_agent::machine::reader::{
    self, ReaderConversation, ReaderConversationConfig, ReaderSwitches,
};
use terminal_agent::machine::record::JournalEntry;
use terminal_agent::machine::screen::Screen;

use super::clock::{LocalClock, RATE_PPM};
use super::event::Event;
use super::fault::Fault;
use super::journal::Disk;
use super::printer::{Printer, PrinterSide};
use super::staff::device_key;
use super::world::{EPOCH_MS, World};

/// Entries on their way to the disk.
pub type Persist = Vec<JournalEntry>;

/// A till.
pub struct Till {
    /// As the API sees it.
    pub terminal_id: TerminalId,
    /// Number of its terminal: another till's, if this is a copy of that one.
    pub terminal: usize,
    /// Number of its merchant.
    pub merchant: usize,
    /// The public half of the key that it signs with.
    pub device_key: DeviceKey,
    /// Whether it is a copy of another till.
    pub is_copy: bool,
    /// How often it was paired again.
    pub installations: u64,
    /// Its journal was replaced by an older one at least once.
    pub has_older_journal: bool,
    /// It was taken away.
    pub is_gone: bool,
    /// Counts processes of the agent.
    pub life: u64,
    /// The agent, while it runs.
    pub process: Option<Process>,
    /// What survives it.
    pub disk: Disk,
    /// The reader's firmware.
    pub reader: Reader,
    /// Whether the reader is plugged in.
    pub is_plugged: bool,
    /// Counts how often it was plugged in or out.
    pub plug: u64,
    /// Counts how often the reader began to wait for a card.
    pub poll: u64,
    /// What it is busy with.
    pub phase: Phase,
    /// Outputs until the process ends between two of them, and how.
    pub ends_after: Option<(u64, Fault)>,
    /// The next write of the journal fails.
    pub is_journal_failing: bool,
    /// What the agent is set to do about its reader.
    pub switches: ReaderSwitches,
    /// The printer.
    pub printer: Printer,
    /// How fast the agent's clock runs, in parts of a million.
    pub rate_ppm: u64,
}

/// The agent's process.
pub struct Process {
    /// The machine.
    pub agent: Agent,
    /// The conversation with the reader.
    pub conversation: ReaderConversation,
    /// The connection that the agent speaks on.
    pub link: super::wire::LinkSide,
    /// Commands of the control socket so far.
    pub controls: u64,
    /// What the display shows.
    pub screen: Screen,
    /// The agent's end of the printer's port.
    pub printer: Option<PrinterSide>,
    /// The agent's clock.
    pub clock: LocalClock,
}

impl Till {
    /// A till that is switched off, with its reader.
    pub fn new(terminal_id: TerminalId, merchant: usize, serial: usize, printer: Printer) -> Self {
        let mut config = ReaderConfig::demo();
        config.serial = format!("SIM{serial}");
        Self {
            terminal_id,
            terminal: serial,
            merchant,
            device_key: device_key(0),
            is_copy: false,
            installations: 0,
            has_older_journal: false,
            is_gone: false,
            life: 0,
            process: None,
            disk: Disk::default(),
            reader: Reader::new(config, 0),
            is_plugged: true,
            plug: 0,
            poll: 0,
            phase: Phase::Boot,
            ends_after: None,
            is_journal_failing: false,
            switches: ReaderSwitches::default(),
            printer,
            rate_ppm: RATE_PPM,
        }
    }

    /// The connection that is in use.
    pub fn connection(&self) -> Option<u64> {
        self.process.as_ref()?.link.socket
    }

    /// When something here wants to be told the time.
    pub fn next_timer_ms(&self) -> Option<u64> {
        let process = self.process.as_ref();
        let machines = process.and_then(|process| {
            let printer = process.printer.as_ref();
            let local_ms = [
                process.agent.poll_deadline(),
                process.conversation.poll_deadline(),
                process.link.next_timer_ms(),
                printer.and_then(|printer| printer.machine.poll_deadline()),
            ];
            let earliest_ms = local_ms.into_iter().flatten().min()?;
            Some(process.clock.world_ms(earliest_ms))
        });
        let devices = [self.reader.poll_deadline(), self.printer.poll_deadline()];
        machines
            .into_iter()
            .chain(devices.into_iter().flatten())
            .min()
    }

    /// The agent's clock.
    pub fn local_ms(&self, now_ms: u64) -> u64 {
        let process = self.process.as_ref();
        process.map_or(0, |process| process.clock.local_ms(now_ms))
    }

    /// Something that has no end yet.
    pub fn open_end(&self) -> Option<String> {
        if self.is_gone {
            return None;
        }
        let Some(process) = &self.process else {
            return Some("is off".to_owned());
        };
        let journal = process.agent.journal();
        if let Some(digest) = journal.open().next() {
            return Some(format!("{} is open: {:?}", digest.pos_id, digest.state));
        }
        if let Some((request_id, _)) = journal.requests().next() {
            return Some(format!("{request_id} has no answer"));
        }
        (!process.link.is_up).then(|| "is offline".to_owned())
    }
}

impl World {
    /// The agent's process starts.
    pub fn start_till(&mut self, number: usize) {
        self.ids.now_ms = EPOCH_MS + self.now_ms;
        let fresh = JournalId::from_uuid(self.ids.next());
        let now_ms = self.now_ms;
        let config = self.agent_config();
        self.lie_on_disk(number);
        let till = &mut self.tills[number];
        if till.process.is_some() || till.is_gone {
            return;
        }
        if till.disk.is_full {
            // The boot's own entry cannot be written: the process ends and is started again.
            self.queue
                .push(now_ms + 3_000, Event::TillStarts { till: number });
            return;
        }
        let state = till.disk.open(fresh);
        let conversation = ReaderConversationConfig {
            switches: till.switches,
            ..ReaderConversationConfig::standard()
        };
        till.process = Some(Process {
            agent: Agent::resume(config, state),
            conversation: ReaderConversation::new(conversation),
            link: super::wire::LinkSide::default(),
            controls: 0,
            screen: Screen::Idle,
            printer: till.printer.agent_side(),
            clock: LocalClock {
                started_ms: now_ms,
                rate_ppm: till.rate_ppm,
            },
        });
        let (life, is_plugged) = (till.life, till.is_plugged);
        self.note(|| format!("till {number} starts"));
        self.start_printer(number);
        if is_plugged {
            self.tell_conversation(number, reader::Input::PortOpened);
        }
        self.queue
            .push(self.now_ms + 5, Event::Connects { till: number, life });
    }

    /// The agent's process ends: killed, without power, or with a new disk.
    pub fn end_till(&mut self, number: usize, how: Fault) {
        let till = &mut self.tills[number];
        till.ends_after = None;
        till.is_journal_failing = false;
        if till.process.take().is_none() {
            return;
        }
        let life = till.life;
        till.life += 1;
        match how {
            Fault::AgentPower => till.disk.lose_power(&mut self.random),
            Fault::AgentReimaged => till.disk.erase(),
            Fault::JournalRestored => self.restore_journal(number),
            _ => {}
        }
        self.note(|| format!("till {number} ends: {}", how.word()));
        for connection in self.network.connections.values_mut() {
            if connection.till == number && connection.agent_life == life {
                connection.is_agent_open = false;
            }
        }
        self.cut_all(|connection| connection.till == number && connection.agent_life == life);
        let pause_ms = self.random.between(100, 20_000);
        self.queue
            .push(self.now_ms + pause_ms, Event::TillStarts { till: number });
    }

    /// Lets timers of the till go off.
    pub fn till_timers(&mut self, number: usize) {
        let now_ms = self.now_ms;
        let is_due = |at: Option<u64>| at.is_some_and(|at_ms| at_ms <= now_ms);
        if is_due(self.tills[number].reader.poll_deadline()) {
            self.reader_input(number, ReaderInput::Deadline);
        }
        if is_due(self.tills[number].printer.poll_deadline()) {
            self.printer_firmware(number, FirmwareInput::Deadline);
        }
        if self.is_local_due(number, |process| process.conversation.poll_deadline()) {
            self.tell_conversation(number, reader::Input::Deadline);
        }
        if self.is_local_due(number, |process| {
            process.printer.as_ref()?.machine.poll_deadline()
        }) {
            self.tell_printer(number, printer::Input::Deadline);
        }
        if self.is_local_due(number, |process| process.agent.poll_deadline()) {
            self.till_hears(number, Input::Deadline);
        }
        if self.is_local_due(number, |process| process.link.next_timer_ms()) {
            self.link_timer(number);
        }
    }

    fn is_local_due(&self, number: usize, deadline: impl Fn(&Process) -> Option<u64>) -> bool {
        let process = self.tills[number].process.as_ref();
        process.is_some_and(|process| {
            let now_ms = process.clock.local_ms(self.now_ms);
            deadline(process).is_some_and(|at_ms| at_ms <= now_ms)
        })
    }
}
