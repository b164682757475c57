//! The rules of the till, each as a scripted conversation.
//!
//! A script is a table of `(milliseconds, what happens, what the agent does)`. The journal answers
//! at once unless the script says `disk slow`; the order in what the agent does is the order of
//! its outputs, so `persist intent; reader start` says that the intent was on disk first.

use std::sync::Arc;

use protocol::id::{AttemptId, JournalId, PosTransactionId, PrintJobId, RequestId, TransactionId};
use protocol::link::{
    AnswerBody, AttemptEnd, Completion, Concluded, Digest, DigestState, Grant, HostAnswer,
    HostDecision, Offer, PaperState, PosKind, PosStatus, PrintCommand, PrintState, ReaderState,
    TillRequest, TillStart, TipPrompt, ToAgent, ToEngine, Welcome,
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
        is_cover_open: false,
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
            "up" => vec![Input::LinkConnecting, welcome(&[])],
            "connecting" => vec![Input::LinkConnecting],
            "welcome" => vec![welcome(&[])],
            "knows" => vec![Input::LinkConnecting, welcome(&[job(number)])],
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
                decision: match second {
                    "yes" => HostDecision::Approved,
                    "no" => HostDecision::Declined,
                    _ => HostDecision::Unreachable,
                },
                issuer_data: vec![0x91],
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
            "deadline" => vec![Input::Deadline],
            other => panic!("no such step: {other}"),
        }
    }

    fn control(&mut self, command: ControlCommand) -> Vec<Input> {
        self.controls += 1;
        vec![Input::Control(ControlId(self.controls), command)]
    }
}

fn welcome(prints_known: &[PrintJobId]) -> Input {
    Input::LinkUp(Welcome {
        epoch: 1,
        now_ms: 0,
        label: "Till".to_owned(),
        prints_known: prints_known.to_vec(),
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

/// Screens are left out except the two on which money depends.
fn render(output: &Output) -> Option<String> {
    Some(match output {
        Output::Send(ToEngine::Status(_)) => return None,
        Output::Send(message) => format!("send {}", said(message)),
        Output::Hello { open, prints } => {
            let open: Vec<_> = open.iter().map(digest).collect();
            let prints: Vec<_> = prints.iter().map(|p| format!("{:?}", p.state)).collect();
            format!("hello [{}] [{}]", open.join(", "), prints.join(", "))
        }
        Output::Reader(ReaderRequest::Start { timeout_ms, .. }) => {
            format!("reader start {timeout_ms}")
        }
        Output::Reader(ReaderRequest::HostAnswer { arc, .. }) => {
            format!("reader arc {}", String::from_utf8_lossy(arc))
        }
        Output::Reader(other) => format!("reader {other:?}"),
        Output::Printer(job) => format!("printer {}", job.job_id.uuid().as_u128()),
        Output::BeginPrint(job_id) => format!("begin {}", job_id.uuid().as_u128()),
        Output::Show(Screen::Concluded(concluded)) => format!("show {:?}", concluded.status),
        Output::Show(Screen::OutOfOrder { .. }) => "show OutOfOrder".to_owned(),
        Output::Show(_) => return None,
        Output::ControlAnswer(_, reply) => match reply {
            ControlReply::Refused(refusal) => format!("refused {}", refusal.code()),
            ControlReply::Answered { .. } => "answered".to_owned(),
            ControlReply::Done => "done".to_owned(),
            ControlReply::Status(_) => "status".to_owned(),
        },
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
    }
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

#[test]
fn a_contactless_sale() {
    check(
        "APPROVED is shown on the conclusion only",
        TAP_SENT,
        &[
            (
                3_000,
                "host 1 yes",
                "persist completed Agreed; send completed Agreed",
            ),
            (
                3_100,
                "concluded 1 approved",
                "persist concluded; show Approved",
            ),
            (3_200, "concluded 1 approved", ""),
        ],
    );
    check(
        "a decline waits for another card",
        TAP_SENT,
        &[
            (
                3_000,
                "host 1 no",
                "persist completed Refused; send completed Refused",
            ),
            (4_000, "go 1 2", "persist intent; reader start 60000"),
            (
                5_000,
                "stop 1",
                "reader Cancel; persist ended Stopped; send ended Stopped",
            ),
            (5_100, "reader canceled", ""),
            (
                6_000,
                "concluded 1 declined",
                "persist concluded; show Declined",
            ),
        ],
    );
    check(
        "no usable answer is no payment",
        TAP_SENT,
        &[(
            3_000,
            "host 1 none",
            "persist completed Refused; send completed Refused",
        )],
    );
}

#[test]
fn a_chip_sale() {
    for (rule, script) in [
        (
            "the chip agrees",
            vec![
                (3_000, "host 1 yes", "reader arc 00"),
                (
                    4_000,
                    "final yes",
                    "persist completed Agreed; send completed Agreed",
                ),
                (
                    5_000,
                    "concluded 1 approved",
                    "persist concluded; show Approved",
                ),
            ],
        ),
        (
            "the chip refuses after the approval",
            vec![
                (3_000, "host 1 yes", "reader arc 00"),
                (
                    4_000,
                    "final no",
                    "persist completed Refused; send completed Refused",
                ),
            ],
        ),
        (
            "the chip is told the decline",
            vec![
                (3_000, "host 1 no", "reader arc 05"),
                (
                    4_000,
                    "final no",
                    "persist completed Refused; send completed Refused",
                ),
            ],
        ),
        (
            "a declined card that is pulled is declined all the same",
            vec![
                (3_000, "host 1 no", "reader arc 05"),
                (
                    4_000,
                    "reader removed",
                    "persist completed Refused; send completed Refused",
                ),
            ],
        ),
        (
            "the chip's approval without the acquirer's counts for nothing",
            vec![
                (3_000, "host 1 none", "reader HostUnreachable"),
                (
                    4_000,
                    "final yes",
                    "persist completed Refused; send completed Refused",
                ),
            ],
        ),
        (
            "pulled after the approval",
            vec![
                (3_000, "host 1 yes", "reader arc 00"),
                (
                    4_000,
                    "reader removed",
                    "persist completed Aborted CardRemoved; send completed Aborted CardRemoved",
                ),
            ],
        ),
        (
            "pulled before the answer, which is then answered by what is known",
            vec![
                (
                    3_000,
                    "reader removed",
                    "persist completed Aborted CardRemoved; send completed Aborted CardRemoved",
                ),
                (4_000, "host 1 yes", "send completed Aborted CardRemoved"),
            ],
        ),
        (
            "the reader is unplugged",
            vec![(
                3_000,
                "unready",
                "persist completed Aborted ReaderFault; send completed Aborted ReaderFault",
            )],
        ),
        (
            "the cancel key after the data was sent",
            vec![(
                3_000,
                "key cancel",
                "reader Cancel; persist completed Aborted CashierCanceled; send completed Aborted CashierCanceled; done",
            )],
        ),
        (
            "the engine's stop after the data was sent",
            vec![(
                3_000,
                "stop 1",
                "reader Cancel; persist completed Aborted Stopped; send completed Aborted Stopped",
            )],
        ),
        (
            "an answer to another attempt means nothing, a repeated one changes nothing",
            vec![
                (3_000, "host 2 yes", ""),
                (3_000, "host 1 yes", "reader arc 00"),
                (3_000, "host 1 yes", ""),
            ],
        ),
    ] {
        check(rule, CHIP_SENT, &script);
    }
}

#[test]
fn nothing_starts_late() {
    check(
        "a go within the window of the last word",
        UP,
        &[
            (0, "offer 1", "persist accepted; send accept"),
            (5_000, "go 1", "persist intent; reader start 60000"),
        ],
    );
    check(
        "a go after the window",
        UP,
        &[
            (0, "offer 1", "persist accepted; send accept"),
            (5_001, "go 1", "send reject TooLate"),
            (5_002, "tip? 1", "send reject TooLate"),
        ],
    );
    check(
        "a word that nobody was told is not what a go answers",
        CHIP_SENT,
        &[
            (3_000, "down", ""),
            (4_000, "connecting", "hello [1 Sent] []"),
            (
                8_000,
                "reader removed",
                "persist completed Aborted CardRemoved",
            ),
            (8_500, "welcome", "send completed Aborted CardRemoved"),
            (9_001, "go 1 2", "send reject TooLate"),
        ],
    );
    check(
        "a go for something unknown",
        UP,
        &[(0, "go 1", "send reject TooLate")],
    );
    check(
        "the journal takes longer than the window",
        UP,
        &[
            (0, "offer 1", "persist accepted; send accept"),
            (0, "disk slow", ""),
            (4_000, "go 1", "persist intent"),
            (
                9_001,
                "disk done",
                "persist ended Stopped; send reject TooLate",
            ),
        ],
    );
    check(
        "a start of an earlier boot",
        UP,
        &[
            (0, "sale 1", "persist requested; send request 1"),
            (1, "restart", ""),
            (1, "up", "hello [] []; send request 1"),
            (1, "ready", ""),
            (2, "ordered 1", "send reject TooLate"),
        ],
    );
    check(
        "a start of a minute ago",
        UP,
        &[
            (0, "sale 1", "persist requested; send request 1"),
            (60_001, "ordered 1", "send reject TooLate"),
        ],
    );
}

/// The engine has granted before it heard of the cancel, and takes it only of that attempt.
#[test]
fn the_cashiers_cancel_holds_against_a_go_that_crosses_it() {
    check(
        "between accept and go",
        UP,
        &[
            (0, "offer 1", "persist accepted; send accept"),
            (
                100,
                "key cancel",
                "persist ended CashierCanceled; send ended CashierCanceled; done",
            ),
            (
                101,
                "go 1",
                "persist ended CashierCanceled; send ended CashierCanceled",
            ),
            (102, "go 1", "send ended CashierCanceled"),
        ],
    );
    check(
        "between hello and welcome",
        CHIP_SENT,
        &[
            (3_000, "down", ""),
            (4_000, "connecting", "hello [1 Sent] []"),
            (
                4_001,
                "key cancel",
                "reader Cancel; persist completed Aborted CashierCanceled; done",
            ),
            (4_002, "welcome", "send completed Aborted CashierCanceled"),
            (
                4_003,
                "go 1 2",
                "persist ended CashierCanceled; send ended CashierCanceled",
            ),
        ],
    );
}

#[test]
fn one_at_a_time_and_only_with_a_reader() {
    check(
        "busy while something is live",
        READING,
        &[
            (2_000, "offer 2", "send reject Busy"),
            (2_000, "go 1", ""),
            (2_000, "go 1 2", "send reject Busy"),
            (2_000, "sale 1", "refused TERMINAL_BUSY"),
        ],
    );
    check(
        "one whose window has passed keeps nobody away",
        UP,
        &[
            (0, "offer 1", "persist accepted; send accept"),
            (5_000, "offer 2", "send reject Busy"),
            (5_001, "offer 2", "persist accepted; send accept"),
            (5_002, "offer 1", "send accept"),
            (5_003, "go 1", "send reject Busy"),
        ],
    );
    for (event, rule) in [("unready", "absent"), ("plaintext", "not encrypting")] {
        check(
            rule,
            UP,
            &[
                (0, "offer 1", "persist accepted; send accept"),
                (1, event, ""),
                (2, "go 1", "send reject ReaderNotReady"),
                (6_000, "offer 2", "send reject ReaderNotReady"),
            ],
        );
    }
    check(
        "the next start waits until the reader has ended the last one",
        READING,
        &[
            (
                2_000,
                "stop 1",
                "reader Cancel; persist ended Stopped; send ended Stopped",
            ),
            (
                2_001,
                "concluded 1 reversed",
                "persist concluded; show Reversed",
            ),
            (2_002, "offer 2", "persist accepted; send accept"),
            (2_003, "go 2 2", "persist intent"),
            (2_900, "reader canceled", "reader start 59103"),
        ],
    );
    check(
        "a reader that does not end is not waited for",
        READING,
        &[
            (
                2_000,
                "stop 1",
                "reader Cancel; persist ended Stopped; send ended Stopped",
            ),
            (2_100, "go 1 2", "persist intent"),
            (
                7_100,
                "deadline",
                "persist ended Stopped; send reject TooLate",
            ),
        ],
    );
}

#[test]
fn attempts_that_end_before_card_data() {
    for (event, expected) in [
        (
            "reader timeout",
            "persist ended CustomerTimeout; send ended CustomerTimeout",
        ),
        (
            "reader removed",
            "persist ended CardRemoved; send ended CardRemoved",
        ),
        (
            "reader offline",
            "persist ended OfflineNotAllowed; send ended OfflineNotAllowed",
        ),
        (
            "final yes",
            "persist ended OfflineNotAllowed; send ended OfflineNotAllowed",
        ),
        (
            "unready",
            "persist ended ReaderFault; send ended ReaderFault",
        ),
        (
            "key cancel",
            "reader Cancel; persist ended CashierCanceled; send ended CashierCanceled; done",
        ),
        ("closed 1", "reader Cancel; persist concluded"),
        ("closed 1 9", ""),
        ("down", "reader Cancel; persist ended LinkLost"),
    ] {
        check(event, READING, &[(2_000, event, expected)]);
    }
    let mut till = check(
        "a grant expires on the monotonic clock",
        READING,
        &[
            (60_999, "deadline", ""),
            (
                61_000,
                "deadline",
                "reader Cancel; persist ended CustomerTimeout; send ended CustomerTimeout",
            ),
            (61_001, "chip", "reader Cancel"),
        ],
    );
    assert_eq!(till.agent.poll_deadline(), None);
    assert_eq!(till.step(61_002, "reader canceled"), "");
    check(
        "card data of an expired grant is not sent",
        READING,
        &[(
            61_000,
            "chip",
            "reader Cancel; persist ended CustomerTimeout; send ended CustomerTimeout",
        )],
    );
    check(
        "an attempt is one card presentation: repeated, it is told again",
        READING,
        &[
            (
                2_000,
                "reader timeout",
                "persist ended CustomerTimeout; send ended CustomerTimeout",
            ),
            (2_001, "go 1", "send ended CustomerTimeout"),
        ],
    );
    check(
        "a card that was read while the stop was on its way is discarded",
        READING,
        &[
            (
                2_000,
                "stop 1",
                "reader Cancel; persist ended Stopped; send ended Stopped",
            ),
            (2_001, "tap", ""),
        ],
    );
}

#[test]
fn the_link_breaks() {
    check(
        "nothing sent: the reader stops, the digest says so, and another card may be tried",
        READING,
        &[
            (2_000, "down", "reader Cancel; persist ended LinkLost"),
            (2_001, "reader canceled", ""),
            (90_000, "up", "hello [1 Ended(LinkLost)] []"),
            (91_000, "go 1 2", "persist intent; reader start 60000"),
        ],
    );
    check(
        "card data sent: the answer is waited for",
        CHIP_SENT,
        &[
            (3_000, "down", ""),
            (4_000, "up", "hello [1 Sent] []"),
            (5_000, "host 1 yes", "reader arc 00"),
        ],
    );
    check(
        "completed while the link was down: the digest carries it",
        CHIP_SENT,
        &[
            (3_000, "host 1 yes", "reader arc 00"),
            (3_001, "down", ""),
            (4_000, "final yes", "persist completed Agreed"),
            (5_000, "up", "hello [1 Completed Agreed] []"),
            (
                6_000,
                "concluded 1 approved",
                "persist concluded; show Approved",
            ),
        ],
    );
    check(
        "completed between hello and welcome: said after the welcome",
        CHIP_SENT,
        &[
            (3_000, "down", ""),
            (4_000, "connecting", "hello [1 Sent] []"),
            (
                4_001,
                "reader removed",
                "persist completed Aborted CardRemoved",
            ),
            (4_002, "welcome", "send completed Aborted CardRemoved"),
        ],
    );
    check(
        "the engine knows nothing of it",
        CHIP_SENT,
        &[
            (3_000, "down", ""),
            (4_000, "up", "hello [1 Sent] []"),
            (4_001, "closed 1", "reader Cancel; persist concluded"),
            (4_002, "down", ""),
            (4_003, "up", "hello [] []"),
        ],
    );
}

#[test]
fn the_agent_restarts() {
    for (rule, start, script) in [
        (
            "with an intent but nothing sent",
            READING,
            [
                (2_000, "restart", ""),
                (0, "up", "hello [1 Ended(AgentRestarted)] []"),
                (0, "stop 1", "send ended AgentRestarted"),
            ],
        ),
        (
            "after card data was sent: nobody knows what the card did",
            CHIP_SENT,
            [
                (2_000, "restart", ""),
                (0, "up", "hello [1 Lost] []"),
                (
                    1,
                    "host 1 yes",
                    "persist completed Aborted AgentRestarted; send completed Aborted AgentRestarted",
                ),
            ],
        ),
        (
            "accepted, not yet begun: the hello is its last word",
            UP,
            [
                (0, "offer 1", "persist accepted; send accept"),
                (2_000, "restart", ""),
                (0, "up", "hello [1 Accepted] []"),
            ],
        ),
    ] {
        check(rule, start, &script);
    }
    check(
        "completed: the digest carries it, and the engine concludes",
        TAP_SENT,
        &[
            (
                3_000,
                "host 1 yes",
                "persist completed Agreed; send completed Agreed",
            ),
            (3_001, "restart", ""),
            (0, "up", "hello [1 Completed Agreed] []"),
            (0, "ready", ""),
            (6_000, "offer 2", "send reject Busy"),
            (
                6_001,
                "concluded 1 approved",
                "persist concluded; show Approved",
            ),
            (6_002, "restart", ""),
            (0, "up", "hello [] []"),
        ],
    );
}

#[test]
fn persist_then_act() {
    check(
        "the reader is not touched before the intent is on disk; a stop that came meanwhile counts",
        UP,
        &[
            (0, "offer 1", "persist accepted; send accept"),
            (0, "disk slow", ""),
            (1, "go 1", "persist intent"),
            (2, "stop 1", ""),
            (3, "deadline", ""),
            (
                4,
                "disk done",
                "reader start 59997; reader Cancel; persist ended Stopped; send ended Stopped",
            ),
        ],
    );
    check(
        "card data is not sent before the journal has it",
        READING,
        &[
            (2_000, "disk slow", ""),
            (2_000, "tap", "persist sent"),
            (2_001, "host 1 yes", ""),
            (2_002, "disk slow", ""),
        ],
    );
    check(
        "a failed journal undoes the decision, stops the reader, and begins nothing",
        READING,
        &[
            (2_000, "disk slow", ""),
            (2_000, "tap", "persist sent"),
            (2_001, "sale 1", ""),
            (
                2_002,
                "disk failed",
                "show OutOfOrder; fault; refused JOURNAL_FAULT",
            ),
            (2_003, "offer 2", "send reject JournalFault"),
            (2_004, "up", "hello [1 Reading] []"),
        ],
    );
    check(
        "a request that was sent has an unknown outcome",
        UP,
        &[
            (0, "sale 1", "persist requested; send request 1"),
            (1, "disk slow", ""),
            (2, "void 2", "persist requested"),
            (
                3,
                "disk failed",
                "refused OUTCOME_UNKNOWN; refused JOURNAL_FAULT; show OutOfOrder; fault",
            ),
        ],
    );
    check(
        "a failed intent is refused, the reader untouched",
        UP,
        &[
            (0, "offer 1", "persist accepted; send accept"),
            (0, "disk slow", ""),
            (1, "go 1", "persist intent"),
            (
                2,
                "disk failed",
                "send reject JournalFault; show OutOfOrder; fault",
            ),
        ],
    );
}

#[test]
fn tips() {
    let tip = r#"send tip Amount(Money { minor: 200, currency: USD })"#;
    check(
        "chosen, and said again when the engine asks again",
        UP,
        &[
            (0, "offer 1", "persist accepted; send accept"),
            (1, "tip? 1", ""),
            (2, "key 2", "refused INVALID_TIP"),
            (3, "key typed", "refused INVALID_TIP"),
            (29_000, "tip? 1", ""),
            (30_000, "key 1", &format!("{tip}; done")),
            (30_001, "tip? 1", tip),
            (31_000, "go 1", "persist intent; reader start 60000"),
        ],
    );
    check(
        "none, by choice or by time; or the prompt is left",
        UP,
        &[
            (0, "key none", "refused NOTHING_RUNNING"),
            (0, "offer 1", "persist accepted; send accept"),
            (1, "tip? 1", ""),
            (2, "key none", "send tip None; done"),
            (10_000, "offer 2", "persist accepted; send accept"),
            (10_001, "tip? 2", ""),
            (40_001, "deadline", "send tip TimedOut"),
            (50_000, "offer 3", "persist accepted; send accept"),
            (50_001, "tip? 3", ""),
            (
                50_002,
                "key cancel",
                "persist ended CashierCanceled; send ended CashierCanceled; done",
            ),
        ],
    );
    check(
        "chosen while the link was down",
        UP,
        &[
            (0, "offer 1", "persist accepted; send accept"),
            (1, "tip? 1", ""),
            (2, "down", ""),
            (3, "key 1", "done"),
            (4, "up", "hello [1 Accepted] []"),
            (5, "tip? 1", tip),
        ],
    );
}

#[test]
fn requests_of_the_till() {
    check(
        "journaled before it is sent, repeated until answered",
        UP,
        &[
            (0, "sale 1", "persist requested; send request 1"),
            (1, "sale 2", "refused TERMINAL_BUSY"),
            (2, "sale 1 999", "refused REQUEST_CONFLICT"),
            (3, "down", ""),
            (4, "sale 1", ""),
            (5, "up", "hello [] []; send request 1"),
            (6, "answer 1", "persist answered; answered; answered"),
            (7, "answer 1", ""),
            (8, "ordered 1", "persist accepted; send accept"),
        ],
    );
    check(
        "without a link nothing begins, except to cancel what is open",
        READING,
        &[
            (2_000, "down", "reader Cancel; persist ended LinkLost"),
            (2_001, "void 1", "refused ENGINE_UNREACHABLE"),
            (2_002, "sale 1", "refused ENGINE_UNREACHABLE"),
            (2_003, "cancel 2", "persist requested"),
            (9_000, "cancel 3", "refused NOTHING_RUNNING"),
            (9_001, "up", "hello [1 Ended(LinkLost)] []; send request 2"),
        ],
    );
    check(
        "amounts",
        UP,
        &[
            (0, "sale 1 0", "refused INVALID_AMOUNT"),
            (0, "sale 1 -5", "refused INVALID_AMOUNT"),
        ],
    );
}

#[test]
fn prints() {
    let given = r#"printer 1; send print Queued { held_by: "" }"#;
    let begins = "persist printstarted; begin 1; send print Printing";
    check(
        "printed once, however often it is asked for",
        UP,
        &[
            (0, "print 1", given),
            (0, "print 1", r#"send print Queued { held_by: "" }"#),
            (0, "begins 2", ""),
            (1, "begins 1", begins),
            (1, "print 1", "send print Printing"),
            (2, "print 2", r#"send print Queued { held_by: "" }"#),
            (
                3,
                "printed 1",
                "persist print ended Printed; send print Printed; printer 2; send print Queued { held_by: \"\" }",
            ),
            (
                3,
                "begins 2",
                "persist printstarted; begin 2; send print Printing",
            ),
            (4, "print 1", "send print Printed"),
            (5, "restart", ""),
            (0, "up", "hello [] [Printed, Unknown]"),
            (1, "print 1", "send print Printed"),
            (2, "print 2", "send print Unknown"),
            (
                3,
                "knows 1",
                "hello [] [Printed, Unknown]; persist printknown",
            ),
            (4, "up", "hello [] [Unknown]"),
        ],
    );
    check(
        "an end that the engine knows is forgotten; one that it does not know is not",
        UP,
        &[
            (0, "print 1", given),
            (1, "begins 1", begins),
            (2, "print 2 1", r#"send print Queued { held_by: "" }"#),
            (
                3,
                "printed 1",
                "persist print ended Printed; send print Printed; printer 2; send print Queued { held_by: \"\" }",
            ),
            (
                4,
                "print 3 1",
                r#"persist printknown; send print Queued { held_by: "" }"#,
            ),
            (5, "print 3 1", r#"send print Queued { held_by: "" }"#),
            (6, "connecting", "hello [] []"),
        ],
    );
    check(
        "nothing begins while the printer is not there",
        UP,
        &[
            (0, "printer off", ""),
            (
                0,
                "print 1",
                r#"send print Queued { held_by: "printer_absent" }"#,
            ),
            (1, "printer on", given),
        ],
    );
    check(
        "what it has told to have begun, and its journal does not know, is not begun again",
        UP,
        &[
            (
                0,
                "begun 1",
                "persist print ended Unknown; send print Unknown",
            ),
            (1, "print 1", "send print Unknown"),
            (
                1,
                "print 2",
                r#"printer 2; send print Queued { held_by: "" }"#,
            ),
            (2, "begun 2", r#"send print Queued { held_by: "" }"#),
        ],
    );
    check(
        "what the printer has not begun is printed after a restart",
        UP,
        &[
            (0, "print 1", given),
            (1, "restart", ""),
            (0, "up", "hello [] []"),
            (0, "printer on", ""),
            (1, "print 1", given),
            (2, "begins 1", begins),
        ],
    );
}

/// Found by `the_rules_hold_in_any_order`.
#[test]
fn a_late_word_of_the_reader_does_not_meet_the_next_attempt() {
    for late in ["final yes", "tap", "reader timeout", "reader canceled"] {
        check(
            "it came before the reader was touched",
            UP,
            &[
                (0, "offer 1", "persist accepted; send accept"),
                (0, "disk slow", ""),
                (0, "go 1 2", "persist intent"),
                (0, late, ""),
                (0, "disk done", "reader start 60000"),
                (1, "go 1 1", "send reject Busy"),
            ],
        );
    }
}

#[test]
fn conclusions_of_what_is_no_longer_open() {
    check(
        "what was in doubt has ended; nothing is shown twice",
        TAP_SENT,
        &[
            (
                3_000,
                "concluded 1 in_doubt",
                "persist concluded; show InDoubt",
            ),
            (4_000, "concluded 1 in_doubt", ""),
            (5_000, "concluded 1 reversed", "show Reversed"),
            (6_000, "concluded 1 reversed", ""),
            (7_000, "concluded 1 approved", ""),
        ],
    );
}

const WORDS: &[&str] = &[
    "up",
    "connecting",
    "welcome",
    "down",
    "ready",
    "unready",
    "offer 1",
    "offer 2",
    "tip? 1",
    "key 0",
    "key none",
    "key cancel",
    "go 1 1",
    "go 1 2",
    "go 2 3",
    "host 1 yes",
    "host 1 no",
    "host 1 none",
    "stop 1",
    "stop 2",
    "closed 1 1",
    "concluded 1 approved",
    "concluded 1 declined",
    "concluded 2 in_doubt",
    "chip",
    "tap",
    "final yes",
    "final no",
    "reader timeout",
    "reader canceled",
    "print 1",
    "print 2",
    "printer on",
    "printer off",
    "begins 1",
    "printed 1",
    "sale 1",
    "cancel 2",
    "answer 1",
    "deadline",
    "disk slow",
    "disk done",
    "restart",
];

/// What must hold at every output, whatever the order of events.
#[derive(Default)]
struct Watch {
    started: BTreeSet<AttemptId>,
    begun: BTreeSet<PrintJobId>,
    undecided: BTreeSet<PrintJobId>,
    approvals: u32,
    is_reading: bool,
}

impl Watch {
    fn see(&mut self, till: &Till, output: &Output) {
        let digest = |pos_id| till.agent.journal().digest(pos_id);
        match output {
            Output::Reader(ReaderRequest::Start { .. }) => {
                let reading: Vec<_> = till
                    .agent
                    .journal()
                    .open()
                    .filter(|digest| digest.state == DigestState::Reading)
                    .collect();
                assert_eq!(
                    reading.len(),
                    1,
                    "one attempt, and its intent on disk first"
                );
                let attempt_id = reading[0].attempt_id.unwrap();
                assert!(
                    self.started.insert(attempt_id),
                    "one attempt, one presentation"
                );
                assert!(
                    !self.is_reading,
                    "the reader ends one before it starts another"
                );
                self.is_reading = true;
            }
            Output::Send(ToEngine::Card(report)) => {
                let digest = digest(report.pos_id).unwrap();
                assert_eq!(digest.attempt_id, Some(report.attempt_id));
                assert_eq!(
                    digest.state,
                    DigestState::Sent,
                    "card data before the journal"
                );
            }
            Output::Send(ToEngine::Completed(completion)) => {
                let state = &digest(completion.pos_id).unwrap().state;
                assert_eq!(*state, DigestState::Completed(completion.clone()));
            }
            Output::BeginPrint(job_id) => {
                let record = till.agent.journal().print(*job_id);
                assert_eq!(record, Some(&PrintRecord::Started));
                assert!(!self.undecided.contains(job_id), "printed twice");
                self.begun.insert(*job_id);
            }
            Output::Show(Screen::Concluded(concluded)) => {
                assert!(digest(concluded.pos_id).is_none(), "shown while it is open");
                if concluded.status == PosStatus::Approved {
                    self.approvals += 1;
                }
            }
            _ => {}
        }
    }
}

proptest::proptest! {
    #[test]
    fn the_rules_hold_in_any_order(
        steps in proptest::collection::vec((0..WORDS.len(), 0u64..3_000), 0..120),
    ) {
        let mut till = Till::new();
        let mut watch = Watch::default();
        let mut now_ms = 0;
        for words in ["up", "ready", "printer on", "offer 1"] {
            till.step(now_ms, words);
        }
        for (index, later_ms) in steps {
            now_ms += later_ms;
            let words = WORDS[index];
            if words == "disk done" && till.owed.is_empty() {
                continue;
            }
            let ends = ["tap", "final yes", "final no", "reader timeout", "reader canceled",
                "unready", "restart"];
            if ends.contains(&words) {
                watch.is_reading = false;
            }
            if words == "restart" {
                // What an engine concluded before, it must not grant again: only it remembers.
                watch.started.clear();
                watch.undecided.append(&mut watch.begun);
            }
            let shown = watch.approvals;
            for input in till.inputs(words) {
                feed_watched(&mut till, now_ms, input, &mut watch);
            }
            let may_approve = words == "concluded 1 approved" || words == "disk done";
            proptest::prop_assert!(watch.approvals == shown || may_approve, "APPROVED by itself");
            // Whatever was decided, the journal adds up to it.
            let replayed = JournalState::from_entries(&till.entries);
            proptest::prop_assert_eq!(&replayed, till.agent.journal());
        }
    }
}

fn feed_watched(till: &mut Till, now_ms: u64, input: Input, watch: &mut Watch) {
    let mut out = Vec::new();
    till.agent.handle(now_ms, input, &mut out);
    for output in out {
        if let Output::Persist(entries) = &output {
            till.owed = entries.clone();
        }
        watch.see(till, &output);
    }
    if !till.owed.is_empty() && !till.is_disk_slow {
        till.entries.append(&mut till.owed);
        feed_watched(till, now_ms, Input::Persisted, watch);
    }
}
