//! The rules of the till, each as a scripted conversation.
//!
//! A script is a table of `(milliseconds, what happens, what the agent does)`. The journal answers
//! at once unless the script says `disk slow`; the order in what the agent does is the order of
//! its outputs, so `persist intent; reader start` says that the intent was on disk first.

mod attempt;
mod fleet;
mod property;
mod request;
mod session;

use std::sync::Arc;

use protocol::id::{AttemptId, JournalId, PosTransactionId, PrintJobId, RequestId, TransactionId};
use protocol::link::{
    Advice, AnswerBody, AttemptEnd, Completion, Concluded, Configuration, Digest, DigestState,
    Grant, HostAnswer, HostDecision, Offer, PaperState, PosKind, PosStatus, PrintCommand,
    PrintState, ReaderState, Setting, StatusReport, TillFacts, TillRequest, TillStart, TipPrompt,
    ToAgent, ToEngine, Welcome,
};
use protocol::money::Money;
use protocol::receipt::{Copy, Receipt};
use uuid::Uuid;

use super::*;
use crate::machine::record::{JOURNAL_FORMAT, PrintRecord};

struct Till {
    agent: Agent,
    entries: Vec<JournalEntry>,
    is_disk_slow: bool,
    owed: Vec<JournalEntry>,
    controls: u64,
}

fn pos(number: u128) -> PosTransactionId {
    PosTransactionId::from_uuid(Uuid::from_u128(number))
}

fn att(number: u128) -> AttemptId {
    AttemptId::from_uuid(Uuid::from_u128(number))
}

fn req(number: u128) -> RequestId {
    RequestId::from_uuid(Uuid::from_u128(number))
}

fn job(number: u128) -> PrintJobId {
    PrintJobId::from_uuid(Uuid::from_u128(number))
}

fn usd(minor: i64) -> Money {
    Money::new(minor, "USD".parse().unwrap())
}

fn ready() -> Input {
    Input::Reader(ReaderEvent::Ready {
        serial: "S1".to_owned(),
        firmware: "F1".to_owned(),
        is_encrypting: true,
    })
}

fn health(is_connected: bool) -> Input {
    Input::Printer(PrinterEvent::Health(PrinterHealth {
        is_connected,
        is_online: is_connected,
        paper: PaperState::Unknown,
        ..PrinterHealth::UNKNOWN
    }))
}

impl Till {
    fn new() -> Self {
        let header = JournalEntry::Header {
            format: JOURNAL_FORMAT,
            journal_id: JournalId::from_uuid(Uuid::from_u128(7)),
        };
        let entries = vec![header, JournalEntry::Boot { number: 1 }];
        Self {
            agent: Self::resume(&entries),
            entries,
            is_disk_slow: false,
            owed: Vec::new(),
            controls: 0,
        }
    }

    fn resume(entries: &[JournalEntry]) -> Agent {
        let config = AgentConfig::new("1.0", true);
        Agent::resume(config, JournalState::from_entries(entries))
    }

    /// Loses everything but the journal.
    fn restart(&mut self) {
        let number = self.agent.journal().boot() + 1;
        self.entries.push(JournalEntry::Boot { number });
        self.agent = Self::resume(&self.entries);
        self.owed.clear();
        self.is_disk_slow = false;
    }

    fn step(&mut self, now_ms: u64, words: &str) -> String {
        let mut done = Vec::new();
        for input in self.inputs(words) {
            self.feed(now_ms, input, &mut done);
        }
        done.join("; ")
    }

    fn feed(&mut self, now_ms: u64, input: Input, done: &mut Vec<String>) {
        let mut out = Vec::new();
        self.agent.handle(now_ms, input, &mut out);
        for output in out {
            if let Output::Persist(entries) = &output {
                done.extend(
                    entries
                        .iter()
                        .map(|entry| format!("persist {}", name(entry))),
                );
                self.owed = entries.clone();
            } else if let Some(text) = render(&output) {
                done.push(text);
            }
        }
        if !self.owed.is_empty() && !self.is_disk_slow {
            self.entries.append(&mut self.owed);
            self.feed(now_ms, Input::Persisted, done);
        }
    }

    fn inputs(&mut self, words: &str) -> Vec<Input> {
        let mut parts = words.split(' ');
        let verb = parts.next().unwrap();
        let parts: Vec<&str> = parts.collect();
        let number = parts.first().and_then(|n| n.parse().ok()).unwrap_or(1);
        let second = parts.get(1).copied().unwrap_or_default();
        let message = |message| vec![Input::Message(Box::new(message))];
        match verb {
            "restart" => {
                self.restart();
                vec![]
            }
            "disk" => match parts[0] {
                "slow" => {
                    self.is_disk_slow = true;
                    vec![]
                }
                "done" => {
                    self.is_disk_slow = false;
                    self.entries.append(&mut self.owed);
                    vec![Input::Persisted]
                }
                _ => {
                    self.is_disk_slow = false;
                    self.owed.clear();
                    vec![Input::PersistFailed]
                }
            },
            "up" => vec![CONNECTING, welcome(&[])],
            "connecting" => vec![CONNECTING],
            "welcome" => vec![welcome(&[])],
            "knows" => vec![CONNECTING, welcome(&[job(number)])],
            "down" => vec![Input::LinkDown],
            "ready" => vec![ready()],
            "unready" => vec![Input::Reader(ReaderEvent::NotReady {
                state: ReaderState::Absent,
            })],
            "plaintext" => vec![Input::Reader(ReaderEvent::Ready {
                serial: String::new(),
                firmware: String::new(),
                is_encrypting: false,
            })],
            "offer" => message(ToAgent::Offer(offer(number, None))),
            "ordered" => message(ToAgent::Offer(offer(number, Some(req(number))))),
            "tip?" => message(ToAgent::SelectTip {
                pos_id: pos(number),
                amount: usd(1_000),
                prompt: TipPrompt {
                    options_bps: vec![1_500, 2_000],
                    custom: false,
                    timeout_s: 30,
                },
            }),
            "go" => message(ToAgent::ReadCard(Grant {
                pos_id: pos(number),
                attempt_id: att(second.parse().unwrap_or(1)),
                number: 1,
                amount: usd(1_150),
                expires_in_ms: 60_000,
            })),
            "host" => message(ToAgent::HostAnswer(HostAnswer {
                pos_id: pos(number),
                attempt_id: att(1),
                advice: (second == "chip").then_some(Advice::UseChip),
                decision: match second {
                    "yes" => HostDecision::Approved,
                    "no" | "chip" => HostDecision::Declined,
                    _ => HostDecision::Unreachable,
                },
                issuer_data: vec![0x91],
            })),
            "ask" => message(ToAgent::ReportStatus {
                ask: u64::try_from(number).unwrap(),
            }),
            "facts" => vec![Input::Facts(Box::new(TillFacts {
                temperature_c: parts[0].parse().ok(),
                ..TillFacts::default()
            }))],
            "configure" => message(ToAgent::Configure(Configuration {
                version: u64::try_from(number).unwrap(),
                settings: vec![Setting {
                    name: if second == "?" {
                        "till.colour".to_owned()
                    } else {
                        "till.idle_text".to_owned()
                    },
                    value: second.to_owned(),
                }],
            })),
            "stop" => message(ToAgent::Stop {
                pos_id: pos(number),
            }),
            "closed" => message(ToAgent::AttemptClosed {
                pos_id: pos(number),
                attempt_id: att(second.parse().unwrap_or(1)),
            }),
            "concluded" => message(ToAgent::Concluded(concluded(number, second))),
            "print" | "begun" => message(ToAgent::Print(Box::new(PrintCommand {
                has_begun: verb == "begun",
                job_id: job(number),
                receipt: Arc::new(Receipt {
                    copy: Copy::Customer,
                    is_duplicate: false,
                    entries: vec![],
                }),
                open_drawer: false,
                known: second.parse().map(job).into_iter().collect(),
            }))),
            "answer" => message(ToAgent::Answer {
                request_id: req(number),
                body: AnswerBody::Started {
                    pos_id: pos(number),
                },
            }),
            "chip" | "tap" => vec![Input::Reader(ReaderEvent::CardData {
                data: vec![0xFF],
                needs_host_answer: verb == "chip",
            })],
            "final" => vec![Input::Reader(ReaderEvent::ChipFinal {
                is_approved: parts[0] == "yes",
                data: vec![0x9F],
            })],
            "reader" => vec![Input::Reader(ReaderEvent::Ended(match parts[0] {
                "timeout" => AttemptEnd::CustomerTimeout,
                "removed" => AttemptEnd::CardRemoved,
                "canceled" => AttemptEnd::Stopped,
                "offline" => AttemptEnd::OfflineNotAllowed,
                _ => AttemptEnd::ReaderFault,
            }))],
            "progress" => vec![Input::Reader(ReaderEvent::Progress(parts[0].to_owned()))],
            "printer" => vec![health(parts[0] == "on")],
            "begins" => vec![
                Input::Printer(PrinterEvent::Ready {
                    job_id: job(number),
                }),
                Input::Printer(PrinterEvent::Report {
                    job_id: job(number),
                    state: PrintState::Printing,
                }),
            ],
            "printed" => vec![Input::Printer(PrinterEvent::Report {
                job_id: job(number),
                state: PrintState::Printed,
            })],
            "sale" => self.control(ControlCommand::Request {
                request_id: req(number),
                request: sale(second.parse().unwrap_or(1_000)),
            }),
            "void" => self.control(ControlCommand::Request {
                request_id: req(number),
                request: TillRequest::Void {
                    transaction_id: TransactionId::from_uuid(Uuid::from_u128(5)),
                },
            }),
            "cancel" => self.control(ControlCommand::CancelCurrent {
                request_id: req(number),
                void_if_too_late: false,
            }),
            "key" => self.control(match parts[0] {
                "cancel" => ControlCommand::CancelKey,
                "none" => ControlCommand::ChooseTip(TipKey::None),
                "typed" => ControlCommand::ChooseTip(TipKey::Amount(usd(5))),
                index => ControlCommand::ChooseTip(TipKey::Option(index.parse().unwrap())),
            }),
            "test" => self.control(ControlCommand::PrintTest {
                job_id: job(number),
                opens_drawer: false,
            }),
            "held" => vec![Input::Printer(PrinterEvent::Report {
                job_id: job(number),
                state: PrintState::Queued {
                    held_by: "no_paper".to_owned(),
                },
            })],
            "deadline" => vec![Input::Deadline],
            other => panic!("no such step: {other}"),
        }
    }

    fn control(&mut self, command: ControlCommand) -> Vec<Input> {
        self.controls += 1;
        vec![Input::Control(ControlId(self.controls), command)]
    }
}

/// A challenge of an engine that speaks what this build speaks.
const CONNECTING: Input = Input::LinkConnecting {
    version: protocol::link::VERSION,
};

fn welcome(prints_known: &[PrintJobId]) -> Input {
    Input::LinkUp(Welcome {
        epoch: 1,
        now_ms: 0,
        label: "Till".to_owned(),
        prints_known: prints_known.to_vec(),
        currencies: Vec::new(),
    })
}

fn offer(number: u128, request_id: Option<RequestId>) -> Offer {
    Offer {
        pos_id: pos(number),
        kind: PosKind::Sale,
        amount: usd(1_000),
        reference: None,
        request_id,
    }
}

fn sale(minor: i64) -> TillRequest {
    TillRequest::Start(TillStart {
        kind: PosKind::Sale,
        amount: usd(minor),
        reference: None,
        tip_prompt: false,
    })
}

fn concluded(number: u128, status: &str) -> Concluded {
    Concluded {
        pos_id: pos(number),
        status: match status {
            "approved" => PosStatus::Approved,
            "declined" => PosStatus::Declined,
            "in_doubt" => PosStatus::InDoubt,
            _ => PosStatus::Reversed,
        },
        reason: String::new(),
        amount: usd(1_150),
        tip: None,
        transaction_id: None,
        kind: None,
        advice: None,
    }
}

/// The first word of the Debug form, and what tells two of a kind apart.
fn name(entry: &JournalEntry) -> String {
    match entry {
        JournalEntry::Ended { end, .. } => format!("ended {end:?}"),
        JournalEntry::Completed(completion) => format!("completed {}", chip(completion)),
        JournalEntry::PrintEnded { state, .. } => format!("print ended {state:?}"),
        other => {
            let text = format!("{other:?}");
            text.split([' ', '(']).next().unwrap().to_lowercase()
        }
    }
}

/// Screens are left out except those on which money depends, and advice.
fn render(output: &Output) -> Option<String> {
    Some(match output {
        Output::Send(ToEngine::Status(_)) => return None,
        Output::Send(message) => format!("send {}", said(message)),
        Output::Hello { open, prints } => {
            let open: Vec<_> = open.iter().map(digest).collect();
            let prints: Vec<_> = prints.iter().map(|p| format!("{:?}", p.state)).collect();
            format!("hello [{}] [{}]", open.join(", "), prints.join(", "))
        }
        Output::Reader(ReaderRequest::Start {
            timeout_ms, advice, ..
        }) => {
            let advice = advice.map_or(String::new(), |advice| format!(" {advice:?}"));
            format!("reader start {timeout_ms}{advice}")
        }
        Output::Reader(ReaderRequest::HostAnswer { arc, .. }) => {
            format!("reader arc {}", String::from_utf8_lossy(arc))
        }
        Output::Reader(other) => format!("reader {other:?}"),
        Output::Printer(job) => format!("printer {}", job.job_id.uuid().as_u128()),
        Output::BeginPrint(job_id) => format!("begin {}", job_id.uuid().as_u128()),
        Output::Show(Screen::Concluded(concluded)) => format!("show {:?}", concluded.status),
        Output::Show(Screen::OutOfOrder { .. }) => "show OutOfOrder".to_owned(),
        Output::Show(Screen::DeclinedTryAnother {
            advice: Some(advice),
            ..
        }) => format!("show declined {advice:?}"),
        Output::Show(
            Screen::PresentCard {
                advice: Some(advice),
                ..
            }
            | Screen::Reader {
                advice: Some(advice),
                ..
            },
        ) => format!("show present {advice:?}"),
        Output::Show(_) => return None,
        Output::ControlAnswer(_, reply) => match reply {
            ControlReply::Refused(refusal) => format!("refused {}", refusal.code()),
            ControlReply::Answered { .. } => "answered".to_owned(),
            ControlReply::Done => "done".to_owned(),
            ControlReply::Status(_) => "status".to_owned(),
            ControlReply::Recent(sales) => format!("recent {}", sales.len()),
            ControlReply::TestPrinted { state, .. } => format!("test {state:?}"),
        },
        Output::LookAround => "look".to_owned(),
        Output::Configured { version, .. } => format!("configured {version}"),
        Output::JournalFault => "fault".to_owned(),
        Output::Persist(_) => return None,
    })
}

fn said(message: &ToEngine) -> String {
    match message {
        ToEngine::Accept { .. } => "accept".to_owned(),
        ToEngine::Reject { reason, .. } => format!("reject {reason:?}"),
        ToEngine::TipChosen { choice, .. } => format!("tip {choice:?}"),
        ToEngine::Card(report) => format!("card {}", report.amount.minor()),
        ToEngine::AttemptEnded { end, .. } => format!("ended {end:?}"),
        ToEngine::Completed(completion) => format!("completed {}", chip(completion)),
        ToEngine::Print(report) => format!("print {:?}", report.state),
        ToEngine::Request { request_id, .. } => {
            format!("request {}", request_id.uuid().as_u128())
        }
        ToEngine::Status(_) => "status".to_owned(),
        ToEngine::Ping => "ping".to_owned(),
        ToEngine::Pong => "pong".to_owned(),
        ToEngine::Simulated { .. } => "simulated".to_owned(),
        ToEngine::StatusReported(report) => reported(report),
    }
}

fn reported(report: &StatusReport) -> String {
    let held = if report.is_reader_held {
        "held"
    } else {
        "free"
    };
    let age_ms = report.reader_age_ms.unwrap_or_default();
    let refused = report.status.configuration.as_ref();
    let refused = refused.and_then(|report| report.refused.as_ref());
    let refused = refused.map(|refused| format!(" refused {}", refused.version));
    let refused = refused.unwrap_or_default();
    format!(
        "reported {} reader {held} aged {age_ms}{refused}",
        report.ask
    )
}

/// What the chip said, or why it said nothing.
fn chip(completion: &Completion) -> String {
    match completion.cause {
        Some(cause) => format!("{:?} {cause:?}", completion.chip),
        None => format!("{:?}", completion.chip),
    }
}

fn digest(digest: &Digest) -> String {
    let number = digest.pos_id.uuid().as_u128();
    match &digest.state {
        DigestState::Completed(completion) => format!("{number} Completed {:?}", completion.chip),
        other => format!("{number} {other:?}"),
    }
}

/// The till is up, its reader ready, its printer has paper.
const UP: &[(u64, &str, &str)] = &[
    (0, "up", "hello [] []"),
    (0, "ready", ""),
    (0, "printer on", ""),
];
/// A card of attempt 1 was read in POS transaction 1 at 1000 ms.
const READING: &[(u64, &str, &str)] = &[
    (0, "up", "hello [] []"),
    (0, "ready", ""),
    (0, "offer 1", "persist accepted; send accept"),
    (1_000, "go 1", "persist intent; reader start 60000"),
];
const CHIP_SENT: &[(u64, &str, &str)] = &[
    (0, "up", "hello [] []"),
    (0, "ready", ""),
    (0, "offer 1", "persist accepted; send accept"),
    (1_000, "go 1", "persist intent; reader start 60000"),
    (2_000, "chip", "persist sent; send card 1150"),
];
const TAP_SENT: &[(u64, &str, &str)] = &[
    (0, "up", "hello [] []"),
    (0, "ready", ""),
    (0, "offer 1", "persist accepted; send accept"),
    (1_000, "go 1", "persist intent; reader start 60000"),
    (2_000, "tap", "persist sent; send card 1150"),
];

fn check(rule: &str, start: &[(u64, &str, &str)], script: &[(u64, &str, &str)]) -> Till {
    let mut till = Till::new();
    for (now_ms, words, expected) in start.iter().chain(script) {
        let done = till.step(*now_ms, words);
        assert_eq!(&done, expected, "{rule}: at {now_ms} ms after {words:?}");
    }
    till
}
