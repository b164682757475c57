//! One or more values of every link message, named as in the snapshot.

mod handshake;
mod to_agent;
mod to_engine;

use std::fmt::Debug;

use protocol::id::{
    AttemptId, FaultId, IncarnationId, JournalId, PosTransactionId, PrintJobId, RequestId,
    TerminalId, TransactionId,
};
use protocol::link::{
    ChipOutcome, Completion, Handshake, HandshakeReply, PrintReport, PrintState, ToAgent, ToEngine,
    decode, encode,
};
use protocol::money::Money;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// A message with its name.
pub(super) struct Sample {
    /// Channel, variant, and what is special.
    pub(super) name: String,
    /// The protocol version that it came with.
    pub(super) since: u16,
    bytes: Vec<u8>,
    /// Whether bytes are a message of this channel, and whether they are this one.
    decoded: Box<dyn Fn(&[u8]) -> (bool, bool)>,
}

impl Sample {
    fn new<T: Serialize + DeserializeOwned + PartialEq + Debug + 'static>(
        channel: &str,
        name: &str,
        since: u16,
        message: T,
    ) -> Self {
        let bytes = encode(&message).unwrap();
        let decoded = move |bytes: &[u8]| {
            let read = decode::<T>(bytes);
            (read.is_ok(), read.as_ref() == Ok(&message))
        };
        Self {
            name: format!("{channel}.{name}"),
            since,
            bytes,
            decoded: Box::new(decoded),
        }
    }

    pub(super) fn encoded(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    pub(super) fn is_decoded(&self, bytes: &[u8]) -> bool {
        (self.decoded)(bytes).0
    }

    pub(super) fn is_read_from(&self, bytes: &[u8]) -> bool {
        (self.decoded)(bytes).1
    }
}

const fn uuid(number: u128) -> Uuid {
    Uuid::from_u128((0x0190_0000_0000_7000_8000 << 48) | number)
}

const POS: PosTransactionId = PosTransactionId::from_uuid(uuid(1));
const ATTEMPT: AttemptId = AttemptId::from_uuid(uuid(2));
const TRANSACTION: TransactionId = TransactionId::from_uuid(uuid(3));
const TERMINAL: TerminalId = TerminalId::from_uuid(uuid(4));
const JOURNAL: JournalId = JournalId::from_uuid(uuid(5));
const INCARNATION: IncarnationId = IncarnationId::from_uuid(uuid(6));
const REQUEST: RequestId = RequestId::from_uuid(uuid(7));
const JOB: PrintJobId = PrintJobId::from_uuid(uuid(8));
const FAULT: FaultId = FaultId::from_uuid(uuid(9));

/// Every sample. The names of variants come from matches without a wildcard: a new variant does
/// not compile until it has a name here, and has no section until there is a sample of it.
pub(super) fn all() -> Vec<Sample> {
    let mut samples = Vec::new();
    for (special, message) in handshake::handshakes() {
        let Handshake::Hello(hello) = &message;
        let since = hello.version;
        samples.push(Sample::new(
            "handshake",
            &named("hello", special),
            since,
            message,
        ));
    }
    for (special, message) in handshake::replies() {
        let (name, since) = match &message {
            HandshakeReply::Challenge(challenge) => ("challenge", challenge.version_max),
            HandshakeReply::Welcome(_) => ("welcome", 1),
            HandshakeReply::Refused(_) => ("refused", 1),
        };
        samples.push(Sample::new("reply", &named(name, special), since, message));
    }
    for (special, message) in to_agent::to_agent() {
        let name = match &message {
            ToAgent::Offer(_) => "offer",
            ToAgent::SelectTip { .. } => "select_tip",
            ToAgent::ReadCard(_) => "read_card",
            ToAgent::HostAnswer(_) => "host_answer",
            ToAgent::Stop { .. } => "stop",
            ToAgent::AttemptClosed { .. } => "attempt_closed",
            ToAgent::Concluded(_) => "concluded",
            ToAgent::Print(_) => "print",
            ToAgent::Answer { .. } => "answer",
            ToAgent::Ping => "ping",
            ToAgent::Pong => "pong",
            ToAgent::Simulate(_) => "simulate",
            ToAgent::ReportStatus { .. } => "report_status",
            ToAgent::Configure(_) => "configure",
        };
        let since = message.since();
        samples.push(Sample::new(
            "to_agent",
            &named(name, special),
            since,
            message,
        ));
    }
    for (special, message) in to_engine::to_engine() {
        let name = match &message {
            ToEngine::Accept { .. } => "accept",
            ToEngine::Reject { .. } => "reject",
            ToEngine::TipChosen { .. } => "tip_chosen",
            ToEngine::Card(_) => "card",
            ToEngine::AttemptEnded { .. } => "attempt_ended",
            ToEngine::Completed(_) => "completed",
            ToEngine::Print(_) => "print",
            ToEngine::Request { .. } => "request",
            ToEngine::Status(_) => "status",
            ToEngine::Ping => "ping",
            ToEngine::Pong => "pong",
            ToEngine::Simulated { .. } => "simulated",
            ToEngine::StatusReported(_) => "status_reported",
        };
        let since = message.since();
        samples.push(Sample::new(
            "to_engine",
            &named(name, special),
            since,
            message,
        ));
    }
    samples
}

fn named(name: &str, special: &str) -> String {
    if special.is_empty() {
        name.to_owned()
    } else {
        format!("{name}.{special}")
    }
}

fn completion(chip: ChipOutcome) -> Completion {
    Completion {
        pos_id: POS,
        attempt_id: ATTEMPT,
        chip,
        data: vec![0x9F, 0x27, 0x01, 0x40],
        cause: None,
    }
}

fn prints() -> Vec<(&'static str, PrintReport)> {
    let states = [
        (
            "queued",
            PrintState::Queued {
                held_by: "no_paper".to_owned(),
            },
        ),
        ("printing", PrintState::Printing),
        ("printed", PrintState::Printed),
        (
            "failed",
            PrintState::Failed {
                reason: "cover_open".to_owned(),
            },
        ),
        ("unknown", PrintState::Unknown),
    ];
    states
        .into_iter()
        .map(|(name, state)| (name, PrintReport { job_id: JOB, state }))
        .collect()
}

fn dollars(minor: i64) -> Money {
    Money::new(minor, "USD".parse().unwrap())
}
