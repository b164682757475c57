//! The words of a script, as inputs of the machine.

use super::*;

impl Till {
    pub(super) fn inputs(&mut self, words: &str) -> Vec<Input> {
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

    pub(super) fn control(&mut self, command: ControlCommand) -> Vec<Input> {
        self.controls += 1;
        vec![Input::Control(ControlId(self.controls), command)]
    }
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
