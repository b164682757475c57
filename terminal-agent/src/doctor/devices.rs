//! Reader and printer: asked themselves where nobody has their ports, and otherwise as the agent
//! that has them says they are.
//!
//! Asks nothing that changes a device, and never asks while an agent has the port.

use std::time::Duration;

use protocol::link::{PaperState, ReaderState};
use protocol::printer::{self, PrinterStatus, RealTimeQuery, StatusDecoder, StatusEvent, Trouble};
use protocol::reader::command;
use protocol::reader::frame::{Command, Response, ResponseDecoder};
use protocol::reader::outcome::Status;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::agent::Running;
use super::check::{Check, CheckId};
use super::ports::failed;
use crate::device::endpoint::{Endpoint, Role};
use crate::device::fault::{PortFault, PortHealth, PortState};
use crate::device::{self, PortEvent};

/// How long a port may take to open; a network printer's name may have to be looked up.
const OPEN_PATIENCE: Duration = Duration::from_secs(12);
/// How long a device may take to answer, as the agent's own machines have it.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);
/// How often a question is put.
const SENDINGS_MAX: u8 = 2;
/// Events of a port that wait.
const EVENTS_MAX: usize = 64;

/// What a reader has answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReaderAnswers {
    /// Whether it answers at all.
    pub has_answered: bool,
    /// Its firmware, if it says.
    pub firmware: String,
    /// Whether card data is encrypted; nothing without an answer.
    pub is_encrypting: Option<bool>,
}

/// What is known of the reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReaderFact {
    /// By the running agent.
    Agent {
        /// Its port.
        port: PortState,
        /// Its state.
        state: ReaderState,
        /// Its firmware.
        firmware: String,
    },
    /// By itself.
    Asked(ReaderAnswers),
    /// Its port does not open.
    Fault(PortFault),
    /// Nothing, for this reason.
    NotTried(&'static str),
}

/// What is known of the printer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrinterFact {
    /// By the running agent.
    Agent {
        /// Its port.
        port: PortState,
        /// Whether it answers and is ready.
        is_online: bool,
        /// Its paper.
        paper: PaperState,
        /// What keeps it from printing.
        trouble: Option<Trouble>,
    },
    /// By itself; nothing when it does not answer.
    Asked(Option<PrinterStatus>),
    /// Its port does not open.
    Fault(PortFault),
    /// Nothing, for this reason.
    NotTried(&'static str),
}

impl ReaderFact {
    /// What the running agent says.
    pub fn of_agent(running: &Running) -> Self {
        let till = &running.status.till;
        Self::Agent {
            port: running.ports.reader.clone(),
            state: till.reader,
            firmware: till.reader_firmware.clone(),
        }
    }
}

impl PrinterFact {
    /// What the running agent says.
    pub fn of_agent(running: &Running) -> Self {
        let till = &running.status.till;
        Self::Agent {
            port: running.ports.printer.clone().unwrap_or_default(),
            is_online: till.printer_online,
            paper: till.paper,
            trouble: Trouble::from_code(&till.printer_trouble),
        }
    }
}

/// Asks the reader.
///
/// # Errors
/// Why its port does not open.
pub async fn ask_reader(endpoint: Endpoint) -> Result<ReaderAnswers, PortFault> {
    let mut conversation = Conversation::open(endpoint).await?;
    let mut answers = ReaderAnswers::default();
    if conversation.ask(&command::ping()).await.is_none() {
        return Ok(answers);
    }
    answers.has_answered = true;
    if let Some(answer) = conversation.ask(&command::firmware_version()).await
        && Status::from(answer.status()) == Status::Ok
    {
        answers.firmware = printable(answer.data());
    }
    let answer = conversation.ask(&command::encryption_status()).await;
    answers.is_encrypting = answer
        .map(|answer| command::is_encryption_on(Status::from(answer.status()), answer.data()));
    Ok(answers)
}

/// Asks the printer how it is, in real time; nothing when it does not say.
///
/// # Errors
/// Why its port does not open.
pub async fn ask_printer(endpoint: Endpoint) -> Result<Option<PrinterStatus>, PortFault> {
    let mut conversation = Conversation::open(endpoint).await?;
    for _ in 0..SENDINGS_MAX {
        let found = timeout(ANSWER_PATIENCE, conversation.printer_status()).await;
        if let Ok(Some(status)) = found {
            return Ok(Some(status));
        }
    }
    Ok(None)
}

fn printable(bytes: &[u8]) -> String {
    let shown = bytes.iter().map(|byte| char::from(*byte));
    let shown = shown.filter(|c| c.is_ascii_graphic() || *c == ' ');
    shown.collect::<String>().trim().to_owned()
}

/// A port that is open, for as long as this lives.
struct Conversation {
    events: mpsc::Receiver<PortEvent>,
    writes: mpsc::Sender<Vec<u8>>,
}

impl Conversation {
    /// Opens the port for this process alone.
    async fn open(endpoint: Endpoint) -> Result<Self, PortFault> {
        let place = endpoint.place.to_string();
        let (events_tx, mut events) = mpsc::channel(EVENTS_MAX);
        // Ends when the receiver is dropped.
        tokio::spawn(device::run(endpoint, events_tx, |event| event));
        let opened = async {
            while let Some(event) = events.recv().await {
                match event {
                    PortEvent::Opened(writes) => return Some(Ok(writes)),
                    PortEvent::Health(PortHealth::Faulty(fault)) => return Some(Err(fault)),
                    _ => {}
                }
            }
            None
        };
        let opened = timeout(OPEN_PATIENCE, opened).await.ok().flatten();
        let writes = opened.unwrap_or_else(|| {
            Err(PortFault::Failed {
                port: place,
                reason: "opening it takes too long".to_owned(),
            })
        })?;
        Ok(Self { events, writes })
    }

    async fn say(&self, bytes: Vec<u8>) -> Option<()> {
        self.writes.send(bytes).await.ok()
    }

    /// The next bytes; nothing when the port is gone.
    async fn hear(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.events.recv().await? {
                PortEvent::Bytes(bytes) => return Some(bytes),
                PortEvent::Closed => return None,
                _ => {}
            }
        }
    }

    async fn ask(&mut self, command: &Command) -> Option<Response> {
        for _ in 0..SENDINGS_MAX {
            self.say(command.encode()).await?;
            let answer = timeout(ANSWER_PATIENCE, self.answer_to(command.cmd())).await;
            if let Ok(answer) = answer {
                return answer;
            }
        }
        None
    }

    async fn answer_to(&mut self, group: u8) -> Option<Response> {
        let mut decoder = ResponseDecoder::default();
        loop {
            let bytes = self.hear().await?;
            let is_meant = |answer: &Response| {
                answer.cmd() == group && Status::from(answer.status()) != Status::UserInterfaceEvent
            };
            if let Some(answer) = decoder.decode(&bytes).into_iter().find(is_meant) {
                return Some(answer);
            }
        }
    }

    async fn printer_status(&mut self) -> Option<PrinterStatus> {
        let mut decoder = StatusDecoder::new();
        let mut status = PrinterStatus::default();
        let mut left = RealTimeQuery::ALL.len();
        for query in RealTimeQuery::ALL {
            decoder.expect(query);
            self.say(query.request().to_vec()).await?;
        }
        while left > 0 {
            let bytes = self.hear().await?;
            let mut events = Vec::new();
            decoder.push(&bytes, &mut events);
            for event in events {
                if let StatusEvent::RealTime {
                    query: Some(query),
                    answer,
                } = event
                {
                    status.apply_real_time(query, answer);
                    left = left.saturating_sub(1);
                }
            }
        }
        Some(status)
    }
}

/// What keeps a printer of this state from printing.
pub fn trouble_of(status: &PrinterStatus) -> Option<Trouble> {
    [
        (status.unrecoverable, Trouble::Unrecoverable),
        (status.cutter_error, Trouble::Cutter),
        (status.cover_open, Trouble::CoverOpen),
        (status.paper == printer::PaperState::Out, Trouble::NoPaper),
        (status.mechanical, Trouble::Mechanical),
        (status.overheated, Trouble::Overheated),
        (status.waiting_for_recovery, Trouble::FeedButton),
        (status.feeding, Trouble::Feeding),
        (!status.online, Trouble::Offline),
    ]
    .into_iter()
    .find_map(|(is_so, trouble)| is_so.then_some(trouble))
}

const HELLO_REMEDY: &str = "check the reader's power and cable; check `baud` in [reader] (the \
    factory setting is 115200) and that the reader speaks NEO2 on this port; then switch it off \
    and on";
const ENCRYPTION_REMEDY: &str = "do not use this reader: have its keys loaded and encryption of \
    stripe and chip data switched on by whoever delivered it, or plug in another one";

/// The checks of the reader.
pub fn judge_reader(fact: &ReaderFact) -> Vec<Check> {
    let skipped = |reason: &str| {
        let ids = [CheckId::ReaderFirmware, CheckId::ReaderEncryption];
        ids.map(|id| Check::skip(id, reason)).to_vec()
    };
    let mut checks = match fact {
        ReaderFact::NotTried(reason) => {
            let mut checks = vec![Check::skip(CheckId::ReaderHello, *reason)];
            checks.extend(skipped(reason));
            checks
        }
        ReaderFact::Fault(_) => {
            let reason = "its port does not open";
            let mut checks = vec![Check::skip(CheckId::ReaderHello, reason)];
            checks.extend(skipped(reason));
            checks
        }
        ReaderFact::Agent { port, .. } if !matches!(port, PortState::Open { .. }) => {
            let reason = "the agent has not opened its port";
            let mut checks = vec![Check::skip(CheckId::ReaderHello, reason)];
            checks.extend(skipped(reason));
            checks
        }
        ReaderFact::Agent {
            state, firmware, ..
        } => judge_answers(&ReaderAnswers {
            has_answered: *state != ReaderState::Absent && *state != ReaderState::Starting,
            firmware: firmware.clone(),
            is_encrypting: match state {
                ReaderState::Ready => Some(true),
                ReaderState::NotEncrypting => Some(false),
                ReaderState::Absent | ReaderState::Starting => None,
            },
        }),
        ReaderFact::Asked(answers) => judge_answers(answers),
    };
    for check in &mut checks {
        check.device = Some(Role::Reader);
    }
    checks
}

fn judge_answers(answers: &ReaderAnswers) -> Vec<Check> {
    let skip = |id| Check::skip(id, "the reader does not answer");
    if !answers.has_answered {
        let seen = "the port is open, and the reader does not answer a ping";
        return vec![
            Check::fail(CheckId::ReaderHello, seen, HELLO_REMEDY).coded("READER_NO_ANSWER"),
            skip(CheckId::ReaderFirmware),
            skip(CheckId::ReaderEncryption),
        ];
    }
    let firmware = if answers.firmware.is_empty() {
        Check::warn(
            CheckId::ReaderFirmware,
            "the reader does not say which firmware it has",
            "look at the label of the reader; support asks for it",
        )
    } else {
        Check::pass(CheckId::ReaderFirmware, answers.firmware.clone())
    };
    let encryption = match answers.is_encrypting {
        Some(true) => Check::pass(
            CheckId::ReaderEncryption,
            "stripe and chip data are encrypted",
        ),
        Some(false) => {
            let seen = "the reader would give out card data in clear";
            Check::fail(CheckId::ReaderEncryption, seen, ENCRYPTION_REMEDY)
                .coded("READER_NOT_ENCRYPTING")
        }
        None => {
            let seen = "the reader does not say whether it encrypts";
            Check::fail(CheckId::ReaderEncryption, seen, HELLO_REMEDY).coded("READER_NO_ANSWER")
        }
    };
    vec![
        Check::pass(CheckId::ReaderHello, "the reader answers"),
        firmware,
        encryption,
    ]
}

/// The checks of the printer.
pub fn judge_printer(fact: &PrinterFact) -> Vec<Check> {
    let skipped = |reason: &str| {
        let ids = [CheckId::PrinterStatus, CheckId::PrinterPaper];
        ids.map(|id| Check::skip(id, reason)).to_vec()
    };
    let mut checks = match fact {
        PrinterFact::NotTried(reason) => skipped(reason),
        PrinterFact::Fault(fault) if fault.code() == "PORT_UNREACHABLE" => vec![
            failed(CheckId::PrinterStatus, fault),
            Check::skip(CheckId::PrinterPaper, "the printer does not answer"),
        ],
        PrinterFact::Fault(_) => skipped("its port does not open"),
        PrinterFact::Agent { port, .. } if !matches!(port, PortState::Open { .. }) => {
            skipped("the agent has not opened its port")
        }
        PrinterFact::Agent {
            is_online,
            paper,
            trouble,
            ..
        } => {
            // Before its first answer a printer has no trouble, and is not on-line either.
            let silent = (*paper == PaperState::Unknown).then_some(Trouble::Offline);
            let offline = (!is_online).then_some(Trouble::Offline);
            judge_state(trouble.or(silent).or(offline), *paper)
        }
        PrinterFact::Asked(None) => judge_state(Some(Trouble::Offline), PaperState::Unknown),
        PrinterFact::Asked(Some(status)) => {
            let paper = match status.paper {
                printer::PaperState::Ok => PaperState::Ok,
                printer::PaperState::NearEnd => PaperState::NearEnd,
                printer::PaperState::Out => PaperState::Out,
            };
            judge_state(trouble_of(status), paper)
        }
    };
    for check in &mut checks {
        check.device = Some(Role::Printer);
    }
    checks
}

fn judge_state(trouble: Option<Trouble>, paper: PaperState) -> Vec<Check> {
    let status = match trouble {
        None => Check::pass(CheckId::PrinterStatus, "the printer answers and is ready"),
        Some(Trouble::NoPaper) => Check::pass(
            CheckId::PrinterStatus,
            "the printer answers; see printer.paper",
        ),
        Some(trouble) => Check::fail(CheckId::PrinterStatus, trouble.message(), trouble.remedy())
            .coded(trouble.code()),
    };
    let id = CheckId::PrinterPaper;
    let out = Trouble::NoPaper;
    let paper = match paper {
        PaperState::Ok => Check::pass(id, "there is paper"),
        PaperState::NearEnd => Check::warn(
            id,
            "the roll is thin",
            "have a new roll ready; printing goes on until the paper is out",
        ),
        PaperState::Out => Check::fail(id, out.message(), out.remedy()).coded(out.code()),
        PaperState::Unknown => Check::skip(id, "the printer does not answer"),
    };
    vec![status, paper]
}
