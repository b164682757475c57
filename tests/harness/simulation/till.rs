//! A till: the agent's process with its reader's conversation, the reader itself, and the disk.
//!
//! Does what `terminal_agent::shell` does around the machines, and nothing else.

use std::collections::{BTreeMap, VecDeque};

use engine::owner::work::Ids as _;
use firmware_sim::reader::{Input as ReaderInput, Phase, Reader, ReaderConfig};
use protocol::id::{JournalId, PrintJobId, TerminalId};
use protocol::link::{PaperState, PosStatus, PrintState};
use terminal_agent::machine::agent::{
    Agent, ControlCommand, ControlId, Input, Output, PrinterEvent, PrinterHealth,
};
use terminal_agent::machine::reader::{self, ReaderConversation, ReaderConversationConfig};
use terminal_agent::machine::record::JournalEntry;
use terminal_agent::machine::screen::Screen;
use terminal_agent::machine::translate;

use super::checker;
use super::event::Event;
use super::fault::Fault;
use super::journal::Disk;
use super::sabotage::Sabotage;
use super::world::{EPOCH_MS, World};

/// Entries on their way to the disk.
pub type Persist = Vec<JournalEntry>;

/// A till.
pub struct Till {
    /// As the API sees it.
    pub terminal_id: TerminalId,
    /// Number of its merchant.
    pub merchant: usize,
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
    printed: BTreeMap<PrintJobId, u32>,
}

/// The agent's process.
pub struct Process {
    /// The machine.
    pub agent: Agent,
    /// The conversation with the reader.
    pub conversation: ReaderConversation,
    /// The connection that the agent speaks on.
    pub link: super::wire::LinkSide,
    controls: u64,
    /// What the display shows.
    pub screen: Screen,
}

impl Till {
    /// A till that is switched off, with its reader.
    pub fn new(terminal_id: TerminalId, merchant: usize, serial: usize) -> Self {
        let mut config = ReaderConfig::demo();
        config.serial = format!("SIM{serial}");
        Self {
            terminal_id,
            merchant,
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
            printed: BTreeMap::new(),
        }
    }

    /// The connection that is in use.
    pub fn connection(&self) -> Option<u64> {
        self.process.as_ref()?.link.socket
    }

    /// When something here wants to be told the time.
    pub fn next_timer_ms(&self) -> Option<u64> {
        let process = self.process.as_ref();
        let machines = process.map(|process| {
            [
                process.agent.poll_deadline(),
                process.conversation.poll_deadline(),
                process.link.next_timer_ms(),
            ]
        });
        let reader = self.reader.poll_deadline();
        machines.into_iter().flatten().flatten().chain(reader).min()
    }

    /// Something that has no end yet.
    pub fn open_end(&self) -> Option<String> {
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
        let config = self.agent_config();
        self.lie_on_disk(number);
        let till = &mut self.tills[number];
        if till.process.is_some() {
            return;
        }
        let state = till.disk.open(fresh);
        till.process = Some(Process {
            agent: Agent::resume(config, state),
            conversation: ReaderConversation::new(ReaderConversationConfig::standard()),
            link: super::wire::LinkSide::default(),
            controls: 0,
            screen: Screen::Idle,
        });
        let (life, is_plugged) = (till.life, till.is_plugged);
        self.note(|| format!("till {number} starts"));
        let health = PrinterHealth {
            is_connected: true,
            is_online: true,
            paper: PaperState::Ok,
            is_cover_open: false,
        };
        self.till_hears(number, Input::Printer(PrinterEvent::Health(health)));
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
            Fault::AgentReimaged => {
                // Nobody can know what the former installation has printed.
                till.disk.erase();
                till.printed.clear();
            }
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

    /// The agent is told something.
    pub fn till_hears(&mut self, number: usize, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now_ms = self.now_ms;
            let Some(process) = &mut self.tills[number].process else {
                return;
            };
            let mut out = Vec::new();
            process.agent.handle(now_ms, input, &mut out);
            for output in out {
                if self.till_ends_here(number) {
                    return;
                }
                self.till_acts(number, output, &mut inputs);
            }
        }
    }

    fn till_ends_here(&mut self, number: usize) -> bool {
        match &mut self.tills[number].ends_after {
            Some((0, how)) => {
                let how = *how;
                self.end_till(number, how);
                true
            }
            Some((left, _)) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    fn till_acts(&mut self, number: usize, output: Output, inputs: &mut VecDeque<Input>) {
        match output {
            Output::Persist(bytes) => {
                if self.sabotage == Some(Sabotage::ActBeforeJournal) {
                    inputs.push_back(Input::Persisted);
                }
                let life = self.tills[number].life;
                let at_ms = self.now_ms + self.random.between(0, 8);
                self.queue.push(
                    at_ms,
                    Event::JournalWrites {
                        till: number,
                        life,
                        bytes,
                    },
                );
            }
            Output::Hello { open, prints } => self.till_says_hello(number, open, prints),
            Output::Send(message) => {
                self.check_till_sends(number, &message);
                self.till_sends(number, &message);
                inputs.extend(self.lie_to_itself(&message));
            }
            Output::Reader(request) => {
                let request = reader::Input::Request(translate::reader_request(request));
                inputs.extend(self.conversation(number, request));
            }
            Output::Printer(job) => {
                let times = self.tills[number].printed.entry(job.job_id).or_default();
                *times += 1;
                let times = *times;
                self.check(checker::prints_once(job.job_id, times));
                self.check_print(number, &job);
                let (life, job_id) = (self.tills[number].life, job.job_id);
                let at_ms = self.now_ms + self.random.between(300, 2_000);
                self.queue.push(
                    at_ms,
                    Event::Prints {
                        till: number,
                        life,
                        job_id,
                    },
                );
            }
            Output::Show(screen) => self.till_shows(number, screen),
            Output::ControlAnswer(_, reply) => {
                self.note(|| format!("till {number} answers {reply:?}"));
            }
            Output::JournalFault => self.end_till(number, Fault::JournalFails),
        }
    }

    fn till_shows(&mut self, number: usize, screen: Screen) {
        self.note(|| format!("till {number} shows {screen:?}"));
        match &screen {
            Screen::Concluded(concluded) if concluded.status == PosStatus::Approved => {
                let pos_id = concluded.pos_id;
                self.check(checker::approved_shown_only_after_commit(
                    &self.history,
                    pos_id,
                ));
            }
            Screen::PresentCard {
                pos_id, attempt, ..
            } => self.check_reader_starts(number, *pos_id, *attempt),
            Screen::SelectTip { pos_id, .. } => {
                let at_ms = self.now_ms + self.random.between(500, 40_000);
                self.queue.push(
                    at_ms,
                    Event::TipKey {
                        till: number,
                        pos_id: *pos_id,
                    },
                );
            }
            _ => {}
        }
        if let Some(process) = &mut self.tills[number].process {
            process.screen = screen;
        }
    }

    /// Somebody asks for something on the control socket.
    pub fn control(&mut self, number: usize, command: ControlCommand) {
        let Some(process) = &mut self.tills[number].process else {
            return;
        };
        process.controls += 1;
        let control = ControlId(process.controls);
        self.note(|| format!("till {number} is asked {command:?}"));
        self.till_hears(number, Input::Control(control, command));
    }

    /// The journal's thread writes.
    pub fn journal_writes(&mut self, number: usize, life: u64, entries: Persist) {
        let skips_sync = self.sabotage == Some(Sabotage::SkipJournalSync);
        let till = &mut self.tills[number];
        if till.life != life {
            return;
        }
        let is_written = !std::mem::take(&mut till.is_journal_failing);
        if is_written {
            till.disk.write(&entries);
            if entries.iter().any(JournalEntry::needs_sync) && !skips_sync {
                till.disk.sync();
            }
        }
        let at_ms = self.now_ms + self.random.between(0, 5);
        self.queue.push(
            at_ms,
            Event::JournalDone {
                till: number,
                life,
                is_written,
            },
        );
    }

    /// The journal's thread says how it went.
    pub fn journal_done(&mut self, number: usize, life: u64, is_written: bool) {
        let is_heard = self.sabotage != Some(Sabotage::ActBeforeJournal);
        if self.tills[number].life == life && is_heard {
            let input = if is_written {
                Input::Persisted
            } else {
                Input::PersistFailed
            };
            self.till_hears(number, input);
        }
    }

    /// The printer has printed.
    pub fn printed(&mut self, number: usize, life: u64, job_id: PrintJobId) {
        if self.tills[number].life == life {
            let state = PrintState::Printed;
            let event = PrinterEvent::Report { job_id, state };
            self.till_hears(number, Input::Printer(event));
        }
    }

    /// Lets timers of the till go off.
    pub fn till_timers(&mut self, number: usize) {
        let now_ms = self.now_ms;
        let is_due = |at: Option<u64>| at.is_some_and(|at_ms| at_ms <= now_ms);
        if is_due(self.tills[number].reader.poll_deadline()) {
            self.reader_input(number, ReaderInput::Deadline);
        }
        let process = self.tills[number].process.as_ref();
        if is_due(process.and_then(|process| process.conversation.poll_deadline())) {
            self.tell_conversation(number, reader::Input::Deadline);
        }
        let process = self.tills[number].process.as_ref();
        if is_due(process.and_then(|process| process.agent.poll_deadline())) {
            self.till_hears(number, Input::Deadline);
        }
        let process = self.tills[number].process.as_ref();
        if is_due(process.and_then(|process| process.link.next_timer_ms())) {
            self.link_timer(number);
        }
    }
}
