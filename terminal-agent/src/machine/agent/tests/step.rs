//! The words of a script, as inputs of the machine.

use super::*;

/// The words of one step: what happens, and with what.
struct Step<'a> {
    verb: &'a str,
    words: Vec<&'a str>,
    /// The first word, where it is a number.
    number: u128,
    second: &'a str,
}

impl<'a> Step<'a> {
    fn read(text: &'a str) -> Self {
        let mut parts = text.split(' ');
        let verb = parts.next().unwrap();
        let words: Vec<&str> = parts.collect();
        Self {
            verb,
            number: words.first().and_then(|n| n.parse().ok()).unwrap_or(1),
            second: words.get(1).copied().unwrap_or_default(),
            words,
        }
    }
}

impl Till {
    pub(super) fn inputs(&mut self, words: &str) -> Vec<Input> {
        let step = Step::read(words);
        if let Some(inputs) = self.machine(&step) {
            return inputs;
        }
        if let Some(message) = engine_says(&step) {
            return vec![Input::Message(Box::new(message))];
        }
        if let Some(command) = cashier_wants(&step) {
            return self.control(command);
        }
        let inputs = link_reports(&step)
            .or_else(|| reader_reports(&step))
            .or_else(|| printer_reports(&step));
        inputs.unwrap_or_else(|| panic!("no such step: {words}"))
    }

    /// What happens to the machine that the agent runs on.
    fn machine(&mut self, step: &Step<'_>) -> Option<Vec<Input>> {
        Some(match step.verb {
            "restart" => {
                self.restart();
                vec![]
            }
            "disk" => match step.words[0] {
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
            "facts" => vec![Input::Facts(Box::new(TillFacts {
                temperature_c: step.words[0].parse().ok(),
                ..TillFacts::default()
            }))],
            "deadline" => vec![Input::Deadline],
            _ => return None,
        })
    }

    fn control(&mut self, command: ControlCommand) -> Vec<Input> {
        self.controls += 1;
        vec![Input::Control(ControlId(self.controls), command)]
    }
}

/// What the engine says.
fn engine_says(step: &Step<'_>) -> Option<ToAgent> {
    Some(match step.verb {
        "offer" => ToAgent::Offer(offer(step.number, None)),
        "ordered" => ToAgent::Offer(offer(step.number, Some(req(step.number)))),
        "tip?" => ToAgent::SelectTip {
            pos_id: pos(step.number),
            amount: usd(1_000),
            prompt: TipPrompt {
                options_bps: vec![1_500, 2_000],
                custom: false,
                timeout_s: 30,
            },
        },
        "go" => ToAgent::ReadCard(Grant {
            pos_id: pos(step.number),
            attempt_id: att(step.second.parse().unwrap_or(1)),
            number: 1,
            amount: usd(1_150),
            expires_in_ms: 60_000,
        }),
        "host" => ToAgent::HostAnswer(HostAnswer {
            pos_id: pos(step.number),
            attempt_id: att(1),
            advice: (step.second == "chip").then_some(Advice::UseChip),
            decision: match step.second {
                "yes" => HostDecision::Approved,
                "no" | "chip" => HostDecision::Declined,
                _ => HostDecision::Unreachable,
            },
            issuer_data: vec![0x91],
        }),
        "ask" => ToAgent::ReportStatus {
            ask: u64::try_from(step.number).unwrap(),
        },
        "configure" => ToAgent::Configure(Configuration {
            version: u64::try_from(step.number).unwrap(),
            settings: vec![Setting {
                name: if step.second == "?" {
                    "till.colour".to_owned()
                } else {
                    "till.idle_text".to_owned()
                },
                value: step.second.to_owned(),
            }],
        }),
        "stop" => ToAgent::Stop {
            pos_id: pos(step.number),
        },
        "closed" => ToAgent::AttemptClosed {
            pos_id: pos(step.number),
            attempt_id: att(step.second.parse().unwrap_or(1)),
        },
        "concluded" => ToAgent::Concluded(concluded(step.number, step.second)),
        "print" | "begun" => ToAgent::Print(Box::new(PrintCommand {
            has_begun: step.verb == "begun",
            job_id: job(step.number),
            receipt: Arc::new(Receipt {
                copy: Copy::Customer,
                is_duplicate: false,
                entries: vec![],
            }),
            open_drawer: false,
            known: step.second.parse().map(job).into_iter().collect(),
        })),
        "answer" => ToAgent::Answer {
            request_id: req(step.number),
            body: AnswerBody::Started {
                pos_id: pos(step.number),
            },
        },
        _ => return None,
    })
}

/// What the cashier wants.
fn cashier_wants(step: &Step<'_>) -> Option<ControlCommand> {
    Some(match step.verb {
        "sale" => ControlCommand::Request {
            request_id: req(step.number),
            request: sale(step.second.parse().unwrap_or(1_000)),
        },
        "void" => ControlCommand::Request {
            request_id: req(step.number),
            request: TillRequest::Void {
                transaction_id: TransactionId::from_uuid(Uuid::from_u128(5)),
            },
        },
        "cancel" => ControlCommand::CancelCurrent {
            request_id: req(step.number),
            void_if_too_late: false,
        },
        "key" => match step.words[0] {
            "cancel" => ControlCommand::CancelKey,
            "none" => ControlCommand::ChooseTip(TipKey::None),
            "typed" => ControlCommand::ChooseTip(TipKey::Amount(usd(5))),
            index => ControlCommand::ChooseTip(TipKey::Option(index.parse().unwrap())),
        },
        "test" => ControlCommand::PrintTest {
            job_id: job(step.number),
            opens_drawer: false,
        },
        _ => return None,
    })
}

/// What the link reports.
fn link_reports(step: &Step<'_>) -> Option<Vec<Input>> {
    Some(match step.verb {
        "up" => vec![CONNECTING, welcome(&[])],
        "connecting" => vec![CONNECTING],
        "welcome" => vec![welcome(&[])],
        "knows" => vec![CONNECTING, welcome(&[job(step.number)])],
        "down" => vec![Input::LinkDown],
        _ => return None,
    })
}

/// What the reader reports.
fn reader_reports(step: &Step<'_>) -> Option<Vec<Input>> {
    Some(match step.verb {
        "ready" => vec![ready()],
        "unready" => vec![Input::Reader(ReaderEvent::NotReady {
            state: ReaderState::Absent,
        })],
        "plaintext" => vec![Input::Reader(ReaderEvent::Ready {
            serial: String::new(),
            firmware: String::new(),
            is_encrypting: false,
        })],
        "chip" | "tap" => vec![Input::Reader(ReaderEvent::CardData {
            data: vec![0xFF],
            needs_host_answer: step.verb == "chip",
        })],
        "final" => vec![Input::Reader(ReaderEvent::ChipFinal {
            is_approved: step.words[0] == "yes",
            data: vec![0x9F],
        })],
        "reader" => vec![Input::Reader(ReaderEvent::Ended(match step.words[0] {
            "timeout" => AttemptEnd::CustomerTimeout,
            "removed" => AttemptEnd::CardRemoved,
            "canceled" => AttemptEnd::Stopped,
            "offline" => AttemptEnd::OfflineNotAllowed,
            _ => AttemptEnd::ReaderFault,
        }))],
        "progress" => vec![Input::Reader(ReaderEvent::Progress(
            step.words[0].to_owned(),
        ))],
        _ => return None,
    })
}

/// What the printer reports.
fn printer_reports(step: &Step<'_>) -> Option<Vec<Input>> {
    Some(match step.verb {
        "printer" => vec![health(step.words[0] == "on")],
        "begins" => vec![
            Input::Printer(PrinterEvent::Ready {
                job_id: job(step.number),
            }),
            Input::Printer(PrinterEvent::Report {
                job_id: job(step.number),
                state: PrintState::Printing,
            }),
        ],
        "printed" => vec![Input::Printer(PrinterEvent::Report {
            job_id: job(step.number),
            state: PrintState::Printed,
        })],
        "held" => vec![Input::Printer(PrinterEvent::Report {
            job_id: job(step.number),
            state: PrintState::Queued {
                held_by: "no_paper".to_owned(),
            },
        })],
        _ => return None,
    })
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
