//! The lines of the control socket. Documented in `docs/control-socket.md`.

use protocol::id::{PosTransactionId, PrintJobId, RequestId, TransactionId};
use protocol::link::{AnswerBody, PosKind, PrintState, TillRequest, TillStart};
use protocol::money::Money;
use protocol::printer::Trouble;
use protocol::receipt::Copy;
use serde::{Deserialize, Serialize};

use crate::device::endpoint::Role;
use crate::device::fault::PortState;
use crate::machine::agent::{AgentStatus, ControlCommand, ControlReply, RecentSale, TipKey};
use crate::machine::screen::Screen;

/// The longest line in either direction.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// The longest reference, as in the HTTP API.
const REFERENCE_BYTES_MAX: usize = 128;
/// Digits of a line that an error may quote; an account number has at least twelve.
const QUOTED_DIGITS_MAX: usize = 8;

/// A line from a client. Unknown fields and commands are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Line {
    /// Starts a sale or an authorization.
    Sale {
        /// Repeated in the answer.
        id: u64,
        /// Without tip.
        amount: Money,
        /// Sale, if absent.
        #[serde(default = "sale")]
        kind: PosKind,
        /// The shop's own reference.
        #[serde(default)]
        reference: Option<String>,
        /// Whether the payer is asked for a tip.
        #[serde(default)]
        tip_prompt: bool,
        /// Makes a repeated line the same request; made by the agent, if absent.
        #[serde(default)]
        request_id: Option<RequestId>,
    },
    /// Asks the engine to cancel.
    Cancel {
        /// Repeated in the answer.
        id: u64,
        /// What is running here, if absent.
        #[serde(default)]
        pos_id: Option<PosTransactionId>,
        /// Whether an approval that won the race is undone.
        #[serde(default)]
        void_if_too_late: bool,
        /// As in `sale`.
        #[serde(default)]
        request_id: Option<RequestId>,
    },
    /// The cancel key: stops the prompt or the reader here and now.
    CancelKey {
        /// Repeated in the answer.
        id: u64,
    },
    /// A key of the tip prompt.
    ChooseTip {
        /// Repeated in the answer.
        id: u64,
        /// Which.
        choice: Choice,
    },
    /// Prints a receipt.
    Print {
        /// Repeated in the answer.
        id: u64,
        /// Of what.
        pos_id: PosTransactionId,
        /// Which copy.
        copy: Copy,
        /// As in `sale`.
        #[serde(default)]
        request_id: Option<RequestId>,
    },
    /// Changes a tip.
    Tip {
        /// Repeated in the answer.
        id: u64,
        /// Of what.
        pos_id: PosTransactionId,
        /// The new tip, replacing the old one.
        tip: Money,
        /// As in `sale`.
        #[serde(default)]
        request_id: Option<RequestId>,
    },
    /// Undoes an approved transaction.
    Void {
        /// Repeated in the answer.
        id: u64,
        /// Which.
        transaction_id: TransactionId,
        /// As in `sale`.
        #[serde(default)]
        request_id: Option<RequestId>,
    },
    /// How the till is.
    Status {
        /// Repeated in the answer.
        id: u64,
    },
    /// What ended at this till last.
    Recent {
        /// Repeated in the answer.
        id: u64,
    },
    /// Prints a test page.
    PrintTest {
        /// Repeated in the answer.
        id: u64,
        /// Whether the drawer opens first.
        #[serde(default)]
        open_drawer: bool,
    },
    /// From now on, events come on this connection.
    Watch {
        /// Repeated in the answer.
        id: u64,
    },
}

/// A key of the tip prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// An option, counted from 0.
    Option(usize),
    /// A typed amount.
    Amount(Money),
    /// No tip.
    None,
}

const fn sale() -> PosKind {
    PosKind::Sale
}

/// What a line wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Something of the agent machine.
    Command(ControlCommand),
    /// Events.
    Watch,
}

/// Why a line is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadLine {
    /// What is wrong with it.
    pub message: String,
}

/// Reads one line, without its end.
///
/// # Errors
/// [`BadLine`].
pub fn parse(line: &[u8]) -> Result<Line, BadLine> {
    let bad = |message: String| BadLine { message };
    if line.len() > LINE_BYTES_MAX {
        return Err(bad("line is longer than 64 KiB".to_owned()));
    }
    let line: Line = serde_json::from_slice(line).map_err(|error| bad(without_numbers(&error)))?;
    match &line {
        Line::Sale {
            reference: Some(reference),
            ..
        } if reference.is_empty() || reference.len() > REFERENCE_BYTES_MAX => {
            Err(bad("reference must be 1 to 128 bytes".to_owned()))
        }
        _ => Ok(line),
    }
}

/// What is wrong with a line. The reader's text quotes names and values, and somebody may have typed
/// a card number into any of them, in groups too.
fn without_numbers(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = text.rfind(" at line ").unwrap_or(text.len());
    let (what, place) = text.split_at_checked(place).unwrap_or((&text, ""));
    let hidden = |c: char| if c.is_ascii_digit() { '*' } else { c };
    let digits = what.chars().filter(char::is_ascii_digit).count();
    if digits <= QUOTED_DIGITS_MAX {
        return text;
    }
    what.chars().map(hidden).chain(place.chars()).collect()
}

impl Line {
    /// The client's number for it.
    pub const fn id(&self) -> u64 {
        match self {
            Self::Sale { id, .. }
            | Self::Cancel { id, .. }
            | Self::CancelKey { id }
            | Self::ChooseTip { id, .. }
            | Self::Print { id, .. }
            | Self::Tip { id, .. }
            | Self::Void { id, .. }
            | Self::Status { id }
            | Self::Recent { id }
            | Self::PrintTest { id, .. }
            | Self::Watch { id } => *id,
        }
    }

    /// What it wants; `fresh` names the request if the line does not.
    pub fn wanted(self, fresh: RequestId) -> Wanted {
        let request = |request_id: Option<RequestId>, request| ControlCommand::Request {
            request_id: request_id.unwrap_or(fresh),
            request,
        };
        Wanted::Command(match self {
            Self::Sale {
                amount,
                kind,
                reference,
                tip_prompt,
                request_id,
                ..
            } => request(
                request_id,
                TillRequest::Start(TillStart {
                    kind,
                    amount,
                    reference,
                    tip_prompt,
                }),
            ),
            Self::Cancel {
                pos_id: Some(pos_id),
                void_if_too_late,
                request_id,
                ..
            } => request(
                request_id,
                TillRequest::Cancel {
                    pos_id,
                    void_if_too_late,
                },
            ),
            Self::Cancel {
                pos_id: None,
                void_if_too_late,
                request_id,
                ..
            } => ControlCommand::CancelCurrent {
                request_id: request_id.unwrap_or(fresh),
                void_if_too_late,
            },
            Self::CancelKey { .. } => ControlCommand::CancelKey,
            Self::ChooseTip { choice, .. } => ControlCommand::ChooseTip(match choice {
                Choice::Option(index) => TipKey::Option(index),
                Choice::Amount(amount) => TipKey::Amount(amount),
                Choice::None => TipKey::None,
            }),
            Self::Print {
                pos_id,
                copy,
                request_id,
                ..
            } => request(request_id, TillRequest::Print { pos_id, copy }),
            Self::Tip {
                pos_id,
                tip,
                request_id,
                ..
            } => request(request_id, TillRequest::TipAdjust { pos_id, tip }),
            Self::Void {
                transaction_id,
                request_id,
                ..
            } => request(request_id, TillRequest::Void { transaction_id }),
            Self::Status { .. } => ControlCommand::Status,
            Self::Recent { .. } => ControlCommand::Recent,
            Self::PrintTest { open_drawer, .. } => ControlCommand::PrintTest {
                // Fresh in the same sense: nobody else has this number.
                job_id: PrintJobId::from_uuid(fresh.uuid()),
                opens_drawer: open_drawer,
            },
            Self::Watch { .. } => return Wanted::Watch,
        })
    }
}

/// The answer to one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The client's number; absent when the line had none that could be read.
    pub id: Option<u64>,
    /// Whether `data` or `error` is there.
    pub success: bool,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<AnswerData>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<AnswerError>,
}

/// What came of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum AnswerData {
    /// A POS transaction runs.
    Started {
        /// The till's name for the request.
        request_id: RequestId,
        /// The POS transaction.
        pos_id: PosTransactionId,
    },
    /// The cancel has a verdict.
    Canceled {
        /// The till's name for the request.
        request_id: RequestId,
        /// From the closed list of verdicts.
        verdict: String,
    },
    /// The print job exists.
    PrintQueued {
        /// The till's name for the request.
        request_id: RequestId,
        /// The job.
        job_id: PrintJobId,
    },
    /// The tip stands.
    TipAdjusted {
        /// The till's name for the request.
        request_id: RequestId,
        /// The transaction.
        transaction_id: TransactionId,
        /// The total with the tip.
        total: Money,
    },
    /// The void was answered.
    Voided {
        /// The till's name for the request.
        request_id: RequestId,
        /// The transaction.
        transaction_id: TransactionId,
        /// Whether the acquirer has acknowledged it.
        is_final: bool,
    },
    /// The key was taken, or the watch has begun.
    Done,
    /// The state of the till.
    Status {
        /// It.
        status: Box<AgentStatus>,
        /// Its ports.
        ports: Box<PortsHealth>,
        /// The agent's process and its link.
        #[serde(default)]
        process: Box<ProcessHealth>,
    },
    /// The test page has ended, or waits for a person.
    TestPrinted(TestPrinted),
    /// What ended here since the agent started.
    Recent {
        /// Newest first.
        sales: Vec<RecentSale>,
    },
}

/// How a test page stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestPrinted {
    /// The job.
    pub job_id: PrintJobId,
    /// `printed`, `held`, `failed`, or `unknown`: bytes were sent and the printer did not say that
    /// they are on paper.
    pub state: String,
    /// Code of what keeps the printer from printing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl TestPrinted {
    /// Where the job stands.
    pub fn new(job_id: PrintJobId, state: PrintState) -> Self {
        let (state, reason) = match state {
            PrintState::Printed => ("printed", String::new()),
            PrintState::Queued { held_by } => ("held", held_by),
            PrintState::Printing => ("printing", String::new()),
            PrintState::Failed { reason } => ("failed", reason),
            PrintState::Unknown => ("unknown", String::new()),
        };
        let trouble = Trouble::from_code(&reason);
        let remedy = trouble.map_or("", Trouble::remedy).to_owned();
        Self {
            job_id,
            state: state.to_owned(),
            reason,
            remedy,
        }
    }
}

/// How the ports are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PortsHealth {
    /// The reader's.
    pub reader: PortState,
    /// The printer's, if the till has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub printer: Option<PortState>,
}

/// How the agent's process is, for a technician.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessHealth {
    /// Its number; 0 from an older agent.
    pub process_id: u32,
    /// After how long without a sign of life the service manager restarts it; absent when nobody
    /// watches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watchdog_ms: Option<u64>,
    /// The link.
    pub link: LinkHealth,
}

/// How the link is, beyond whether it is up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkHealth {
    /// Where it goes.
    pub address: String,
    /// The protocol version that both sides speak, on the connection that was opened last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u16>,
    /// How far the engine's clock was ahead of this machine's at the last welcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_ahead_ms: Option<i64>,
    /// Why the last connection ended; absent while the link is up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<AnswerError>,
}

/// Why a line was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerError {
    /// Stable code.
    pub code: String,
    /// For people.
    pub message: String,
}

impl Answer {
    /// The answer of the agent machine to the line with this number.
    pub fn from_reply(
        id: u64,
        reply: ControlReply,
        ports: &PortsHealth,
        process: &ProcessHealth,
    ) -> Self {
        match reply {
            ControlReply::Done => Self::good(id, AnswerData::Done),
            ControlReply::Status(status) => {
                let ports = Box::new(ports.clone());
                let process = Box::new(process.clone());
                let data = AnswerData::Status {
                    status,
                    ports,
                    process,
                };
                Self::good(id, data)
            }
            ControlReply::TestPrinted { job_id, state } => {
                Self::good(id, AnswerData::TestPrinted(TestPrinted::new(job_id, state)))
            }
            ControlReply::Recent(sales) => Self::good(id, AnswerData::Recent { sales }),
            ControlReply::Refused(refusal) => {
                Self::refused(Some(id), refusal.code(), refusal.to_string())
            }
            ControlReply::Answered { request_id, body } => Self::from_engine(id, request_id, body),
        }
    }

    fn from_engine(id: u64, request_id: RequestId, body: AnswerBody) -> Self {
        let data = match body {
            AnswerBody::Refused(refused) => {
                return Self::refused(Some(id), &refused.code, refused.message);
            }
            AnswerBody::Started { pos_id } => AnswerData::Started { request_id, pos_id },
            AnswerBody::Canceled { verdict } => AnswerData::Canceled {
                request_id,
                verdict,
            },
            AnswerBody::PrintQueued { job_id } => AnswerData::PrintQueued { request_id, job_id },
            AnswerBody::TipAdjusted {
                transaction_id,
                total,
            } => AnswerData::TipAdjusted {
                request_id,
                transaction_id,
                total,
            },
            AnswerBody::Voided {
                transaction_id,
                is_final,
            } => AnswerData::Voided {
                request_id,
                transaction_id,
                is_final,
            },
        };
        Self::good(id, data)
    }

    /// Something came of it.
    pub const fn good(id: u64, data: AnswerData) -> Self {
        Self {
            id: Some(id),
            success: true,
            data: Some(data),
            error: None,
        }
    }

    /// Nothing came of it.
    pub fn refused(id: Option<u64>, code: &str, message: String) -> Self {
        Self {
            id,
            success: false,
            data: None,
            error: Some(AnswerError {
                code: code.to_owned(),
                message,
            }),
        }
    }
}

/// What watchers are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum WatchEvent {
    /// The display changed.
    Screen {
        /// To this.
        data: Screen,
    },
    /// The link came or went.
    Link {
        /// Whether it is up.
        is_online: bool,
    },
    /// The merchant's configuration was applied.
    Configured {
        /// Its version.
        version: u64,
        /// What to show while nothing runs.
        idle_text: Option<String>,
    },
    /// A port opened, was lost, or cannot be opened.
    Port {
        /// Whose.
        device: Role,
        /// How it is now.
        port: PortState,
    },
}

/// A line from the agent, as a client of its socket reads it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Heard {
    /// Something happened.
    Event(WatchEvent),
    /// The answer to a line.
    Answer(Answer),
}

impl Heard {
    /// Reads one line; none for what a newer agent may say.
    pub fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

/// One line of text, with its end.
pub fn encode_line<T: Serialize>(value: &T) -> String {
    // These types have string keys and finite numbers only, so they always have a JSON form.
    let mut line = serde_json::to_string(value).unwrap_or_default();
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn command(line: &str) -> ControlCommand {
        let fresh = RequestId::from_uuid(Uuid::from_u128(1));
        match parse(line.as_bytes()).unwrap().wanted(fresh) {
            Wanted::Command(command) => command,
            Wanted::Watch => panic!("{line} watches"),
        }
    }

    #[test]
    fn lines_become_commands() {
        let fresh = RequestId::from_uuid(Uuid::from_u128(1));
        let own: RequestId = "req_01h2xcejqtf2nbrexx3vqjhp41".parse().unwrap();
        let sale = |tip_prompt| {
            TillRequest::Start(TillStart {
                kind: PosKind::Sale,
                amount: Money::new(1_250, "USD".parse().unwrap()),
                reference: None,
                tip_prompt,
            })
        };
        for (line, expected) in [
            (
                r#"{"id":1,"command":"sale","amount":{"minor":1250,"currency":"USD"}}"#,
                ControlCommand::Request {
                    request_id: fresh,
                    request: sale(false),
                },
            ),
            (
                r#"{"id":1,"command":"sale","amount":{"minor":1250,"currency":"USD"},
                   "tip_prompt":true,"request_id":"req_01h2xcejqtf2nbrexx3vqjhp41"}"#,
                ControlCommand::Request {
                    request_id: own,
                    request: sale(true),
                },
            ),
            (
                r#"{"id":1,"command":"cancel"}"#,
                ControlCommand::CancelCurrent {
                    request_id: fresh,
                    void_if_too_late: false,
                },
            ),
            (
                r#"{"id":1,"command":"choose_tip","choice":{"option":2}}"#,
                ControlCommand::ChooseTip(TipKey::Option(2)),
            ),
            (
                r#"{"id":1,"command":"choose_tip","choice":"none"}"#,
                ControlCommand::ChooseTip(TipKey::None),
            ),
            (
                r#"{"id":1,"command":"cancel_key"}"#,
                ControlCommand::CancelKey,
            ),
            (r#"{"command":"status","id":1}"#, ControlCommand::Status),
        ] {
            assert_eq!(command(line), expected, "{line}");
        }
    }

    /// Found by fuzzing.
    #[test]
    fn refusals_do_not_repeat_what_may_be_a_card_number() {
        for line in [
            r#"{"id":1,"command":"cancel_key","4761739001010010":1}"#,
            r#"{"id":1,"command":"4761 7390 0101 0010"}"#,
            r#"{"id":"4761-7390-0101-0010","command":"status"}"#,
        ] {
            let message = parse(line.as_bytes()).unwrap_err().message;
            let digits = message.chars().filter(char::is_ascii_digit).count();
            assert!(digits < 8, "{message}");
        }
        let message = parse(br#"{"id":1,"command":"sela"}"#).unwrap_err().message;
        assert!(message.contains("`sela`"), "{message}");
    }

    #[test]
    fn hostile_lines_are_refused() {
        let long = format!(
            r#"{{"id":1,"command":"status","x":"{}"}}"#,
            "a".repeat(70_000)
        );
        let nested = "[".repeat(60_000);
        let reference = format!(
            r#"{{"id":1,"command":"sale","amount":{{"minor":1,"currency":"USD"}},"reference":"{}"}}"#,
            "r".repeat(129)
        );
        for line in [
            "",
            "null",
            "[]",
            "{}",
            "status",
            r#"{"id":1}"#,
            r#"{"id":1,"command":"drop"}"#,
            r#"{"command":"status"}"#,
            r#"{"id":-1,"command":"status"}"#,
            r#"{"id":1,"command":"status","extra":1}"#,
            r#"{"id":1,"command":"status"} {}"#,
            r#"{"id":1,"command":"sale"}"#,
            r#"{"id":1,"command":"sale","amount":12.50}"#,
            r#"{"id":1,"command":"sale","amount":{"minor":12.5,"currency":"USD"}}"#,
            r#"{"id":1,"command":"sale","amount":{"minor":1250,"currency":"usd"}}"#,
            r#"{"id":1,"command":"sale","amount":{"minor":99999999999999999999,"currency":"USD"}}"#,
            r#"{"id":1,"command":"sale","amount":{"minor":1250,"currency":"USD","x":1}}"#,
            r#"{"id":1,"command":"void","transaction_id":"pos_01h2xcejqtf2nbrexx3vqjhp41"}"#,
            r#"{"id":1,"command":"choose_tip","choice":{"option":-1}}"#,
            &long,
            &nested,
            &reference,
        ] {
            assert!(parse(line.as_bytes()).is_err(), "accepted: {line:.80}");
        }
        assert!(parse(b"\xFF\xFE{}").is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_lines_never_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(parse(&line));
        }
    }
}
