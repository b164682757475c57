//! One or more values of every link message, named as in the snapshot.

use std::fmt::Debug;
use std::sync::Arc;

use protocol::id::{
    AttemptId, FaultId, IncarnationId, JournalId, PosTransactionId, PrintJobId, RequestId,
    TerminalId, TransactionId,
};
use protocol::link::{
    Advice, AnswerBody, AttemptEnd, CardReport, Challenge, ChipOutcome, Completion, Concluded,
    Configuration, ConfigurationRefused, ConfigurationReport, ConnectionType, Digest, DigestState,
    Grant, Handshake, HandshakeReply, Hello, HostAnswer, HostDecision, Offer, PaperState, PosKind,
    PosStatus, PrintCommand, PrintReport, PrintState, ReaderState, Refused, RefusedReason,
    RejectReason, RequestRefused, Setting, SimulatorCommand, StatusReport, TillBacklog, TillFacts,
    TillRequest, TillStart, TillStatus, TipChoice, TipPrompt, ToAgent, ToEngine, Welcome, decode,
    encode,
};
use protocol::money::Money;
use protocol::receipt::{Align, Copy, Entry, Receipt};
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

fn dollars(minor: i64) -> Money {
    Money::new(minor, "USD".parse().unwrap())
}

/// Every sample. The names of variants come from matches without a wildcard: a new variant does
/// not compile until it has a name here, and has no section until there is a sample of it.
pub(super) fn all() -> Vec<Sample> {
    let mut samples = Vec::new();
    for (special, message) in handshakes() {
        let Handshake::Hello(hello) = &message;
        let since = hello.version;
        samples.push(Sample::new(
            "handshake",
            &named("hello", special),
            since,
            message,
        ));
    }
    for (special, message) in replies() {
        let (name, since) = match &message {
            HandshakeReply::Challenge(challenge) => ("challenge", challenge.version_max),
            HandshakeReply::Welcome(_) => ("welcome", 1),
            HandshakeReply::Refused(_) => ("refused", 1),
        };
        samples.push(Sample::new("reply", &named(name, special), since, message));
    }
    for (special, message) in to_agent() {
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
    for (special, message) in to_engine() {
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

fn hello(open: Vec<Digest>, prints: Vec<PrintReport>) -> Handshake {
    hello_of(1, open, prints)
}

fn hello_of(version: u16, open: Vec<Digest>, prints: Vec<PrintReport>) -> Handshake {
    Handshake::Hello(Box::new(Hello {
        version,
        terminal_id: TERMINAL,
        agent_version: "0.1.0".to_owned(),
        journal_id: JOURNAL,
        boot: 3,
        connection: 70_000,
        signature: vec![0xA5; 64],
        open,
        prints,
        has_simulator: false,
    }))
}

/// The hello of a till whose devices are simulated; the field is absent from every other.
fn simulated_hello() -> Handshake {
    let Handshake::Hello(mut hello) = hello(Vec::new(), Vec::new());
    hello.has_simulator = true;
    Handshake::Hello(hello)
}

fn handshakes() -> Vec<(&'static str, Handshake)> {
    let states = [
        DigestState::Accepted,
        DigestState::Reading,
        DigestState::Sent,
        DigestState::Lost,
        DigestState::Ended(AttemptEnd::AgentRestarted),
        DigestState::Completed(completion(ChipOutcome::Agreed)),
    ];
    let digest = |state| Digest {
        pos_id: POS,
        attempt_id: Some(ATTEMPT),
        state,
    };
    let mut open: Vec<Digest> = states.into_iter().map(digest).collect();
    open[0].attempt_id = None;
    vec![
        ("", hello(Vec::new(), Vec::new())),
        (
            "open",
            hello(
                open,
                prints().into_iter().map(|(_, report)| report).collect(),
            ),
        ),
        ("simulated", simulated_hello()),
        ("", hello_of(2, Vec::new(), Vec::new())),
    ]
}

fn challenge(version_max: u16) -> HandshakeReply {
    HandshakeReply::Challenge(Challenge {
        version_min: 1,
        version_max,
        nonce: (0..32).collect(),
        incarnation: INCARNATION,
    })
}

fn replies() -> Vec<(&'static str, HandshakeReply)> {
    let refused = |reason| HandshakeReply::Refused(Refused { reason });
    vec![
        ("", challenge(1)),
        ("", challenge(2)),
        (
            "",
            HandshakeReply::Welcome(Welcome {
                epoch: 9,
                now_ms: 1_800_000_000_000,
                label: "Lane 1".to_owned(),
                prints_known: vec![JOB],
                currencies: vec![],
            }),
        ),
        (
            "currencies",
            HandshakeReply::Welcome(Welcome {
                epoch: 9,
                now_ms: 1_800_000_000_000,
                label: "Lane 1".to_owned(),
                prints_known: vec![],
                currencies: vec!["JPY".parse().unwrap(), "USD".parse().unwrap()],
            }),
        ),
        ("version", refused(RefusedReason::Version)),
        ("unauthorized", refused(RefusedReason::Unauthorized)),
        (
            "duplicate_identity",
            refused(RefusedReason::DuplicateIdentity),
        ),
        ("stale", refused(RefusedReason::Stale)),
        ("busy", refused(RefusedReason::Busy)),
    ]
}

fn to_agent() -> Vec<(&'static str, ToAgent)> {
    let mut messages = offers();
    messages.extend(answers());
    messages.extend(conclusions());
    messages.extend([
        (
            "",
            ToAgent::SelectTip {
                pos_id: POS,
                amount: dollars(1234),
                prompt: TipPrompt {
                    options_bps: vec![1000, 1500],
                    custom: true,
                    timeout_s: 30,
                },
            },
        ),
        (
            "",
            ToAgent::ReadCard(Grant {
                pos_id: POS,
                attempt_id: ATTEMPT,
                number: 1,
                amount: dollars(1434),
                expires_in_ms: 60_000,
            }),
        ),
        ("", ToAgent::Stop { pos_id: POS }),
        (
            "",
            ToAgent::AttemptClosed {
                pos_id: POS,
                attempt_id: ATTEMPT,
            },
        ),
        ("", ToAgent::Print(Box::new(print_command()))),
        (
            "knows",
            ToAgent::Print(Box::new(PrintCommand {
                known: vec![JOB],
                ..print_command()
            })),
        ),
        (
            "begun",
            ToAgent::Print(Box::new(PrintCommand {
                has_begun: true,
                ..print_command()
            })),
        ),
        ("", ToAgent::Simulate(simulator_command())),
        ("", ToAgent::ReportStatus { ask: 7 }),
        ("", ToAgent::Configure(configuration())),
        ("", ToAgent::Ping),
        ("", ToAgent::Pong),
    ]);
    let advised = |decision, issuer_data, advice| {
        ToAgent::HostAnswer(HostAnswer {
            pos_id: POS,
            attempt_id: ATTEMPT,
            decision,
            issuer_data,
            advice,
        })
    };
    let host = |decision, issuer_data| advised(decision, issuer_data, None);
    let advice = |advice| advised(HostDecision::Declined, Vec::new(), Some(advice));
    messages.extend([
        (
            "approved",
            host(HostDecision::Approved, vec![0x91, 0x02, 0x30, 0x30]),
        ),
        ("declined", host(HostDecision::Declined, Vec::new())),
        ("unreachable", host(HostDecision::Unreachable, Vec::new())),
        ("use_chip", advice(Advice::UseChip)),
        ("try_later", advice(Advice::TryLater)),
        ("call_bank", advice(Advice::CallBank)),
        ("check_reader", advice(Advice::CheckReader)),
    ]);
    messages
}

fn offers() -> Vec<(&'static str, ToAgent)> {
    let sale = Offer {
        pos_id: POS,
        kind: PosKind::Sale,
        amount: dollars(1234),
        reference: Some("order 7".to_owned()),
        request_id: Some(REQUEST),
    };
    let authorization = Offer {
        kind: PosKind::Authorization,
        reference: None,
        request_id: None,
        ..sale.clone()
    };
    vec![
        ("sale", ToAgent::Offer(sale)),
        ("authorization", ToAgent::Offer(authorization)),
    ]
}

fn answers() -> Vec<(&'static str, ToAgent)> {
    let bodies = vec![
        ("started", AnswerBody::Started { pos_id: POS }),
        (
            "canceled",
            AnswerBody::Canceled {
                verdict: "too_late_approved".to_owned(),
            },
        ),
        ("print_queued", AnswerBody::PrintQueued { job_id: JOB }),
        (
            "tip_adjusted",
            AnswerBody::TipAdjusted {
                transaction_id: TRANSACTION,
                total: dollars(1434),
            },
        ),
        (
            "voided",
            AnswerBody::Voided {
                transaction_id: TRANSACTION,
                is_final: true,
            },
        ),
        (
            "refused",
            AnswerBody::Refused(RequestRefused {
                code: "FORBIDDEN".to_owned(),
                message: "Not allowed.".to_owned(),
            }),
        ),
    ];
    let answer = |(name, body)| {
        (
            name,
            ToAgent::Answer {
                request_id: REQUEST,
                body,
            },
        )
    };
    bodies.into_iter().map(answer).collect()
}

fn conclusions() -> Vec<(&'static str, ToAgent)> {
    let statuses = [
        ("in_progress", PosStatus::InProgress),
        ("approved", PosStatus::Approved),
        ("declined", PosStatus::Declined),
        ("canceled", PosStatus::Canceled),
        ("failed", PosStatus::Failed),
        ("in_doubt", PosStatus::InDoubt),
        ("reversed", PosStatus::Reversed),
    ];
    let conclude = |(name, status)| {
        let is_approved = status == PosStatus::Approved;
        let concluded = Concluded {
            pos_id: POS,
            status,
            reason: if is_approved {
                String::new()
            } else {
                "host_declined".to_owned()
            },
            amount: dollars(1434),
            tip: is_approved.then(|| dollars(200)),
            transaction_id: is_approved.then_some(TRANSACTION),
            kind: None,
            advice: None,
        };
        (name, ToAgent::Concluded(concluded))
    };
    let mut conclusions: Vec<_> = statuses.into_iter().map(conclude).collect();
    let whole = Concluded {
        pos_id: POS,
        status: PosStatus::Declined,
        reason: "host_declined".to_owned(),
        amount: dollars(1434),
        tip: None,
        transaction_id: None,
        kind: Some(PosKind::Authorization),
        advice: Some(Advice::UseChip),
    };
    conclusions.push(("advised", ToAgent::Concluded(whole)));
    conclusions
}

fn print_command() -> PrintCommand {
    let text = |align| Entry::Text {
        text: "Text".to_owned(),
        align,
    };
    PrintCommand {
        known: Vec::new(),
        has_begun: false,
        job_id: JOB,
        receipt: Arc::new(Receipt {
            copy: Copy::Customer,
            is_duplicate: true,
            entries: vec![
                Entry::Heading {
                    text: "APPROVED".to_owned(),
                },
                text(Align::Left),
                text(Align::Centre),
                text(Align::Right),
                Entry::Field {
                    name: "total".to_owned(),
                    label: "TOTAL".to_owned(),
                    value: "USD 14.34".to_owned(),
                    emphasis: true,
                },
                Entry::Rule,
                Entry::Blank,
                Entry::Signature,
                Entry::Qr {
                    content: "QR".to_owned(),
                },
                Entry::Barcode {
                    content: "128".to_owned(),
                },
            ],
        }),
        open_drawer: false,
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

fn to_engine() -> Vec<(&'static str, ToEngine)> {
    let reject = |reason| ToEngine::Reject {
        pos_id: POS,
        reason,
    };
    let choice = |choice| ToEngine::TipChosen {
        pos_id: POS,
        choice,
    };
    let mut messages = vec![
        ("", ToEngine::Accept { pos_id: POS }),
        ("busy", reject(RejectReason::Busy)),
        ("reader_not_ready", reject(RejectReason::ReaderNotReady)),
        ("too_late", reject(RejectReason::TooLate)),
        ("journal_fault", reject(RejectReason::JournalFault)),
        ("amount", choice(TipChoice::Amount(dollars(200)))),
        ("none", choice(TipChoice::None)),
        ("timed_out", choice(TipChoice::TimedOut)),
        (
            "",
            ToEngine::Card(CardReport {
                pos_id: POS,
                attempt_id: ATTEMPT,
                amount: dollars(1434),
                data: vec![0xE5; 3],
                chip_waits: true,
            }),
        ),
        (
            "agreed",
            ToEngine::Completed(completion(ChipOutcome::Agreed)),
        ),
        (
            "refused",
            ToEngine::Completed(completion(ChipOutcome::Refused)),
        ),
        (
            "aborted",
            ToEngine::Completed(completion(ChipOutcome::Aborted)),
        ),
        (
            "canceled_at_till",
            ToEngine::Completed(Completion {
                data: Vec::new(),
                cause: Some(AttemptEnd::CashierCanceled),
                ..completion(ChipOutcome::Aborted)
            }),
        ),
        (
            "done",
            ToEngine::Simulated {
                fault_id: FAULT,
                refusal: None,
            },
        ),
        (
            "refused",
            ToEngine::Simulated {
                fault_id: FAULT,
                refusal: Some("not_supported".to_owned()),
            },
        ),
        ("", ToEngine::StatusReported(Box::new(status_report()))),
        ("", ToEngine::Ping),
        ("", ToEngine::Pong),
    ];
    messages.extend(
        prints()
            .into_iter()
            .map(|(name, report)| (name, ToEngine::Print(report))),
    );
    messages.extend(ends());
    messages.extend(requests());
    messages.extend(health());
    messages
}

fn simulator_command() -> SimulatorCommand {
    SimulatorCommand {
        fault_id: FAULT,
        device: "reader".to_owned(),
        command: "present".to_owned(),
        arguments: vec![("card".to_owned(), "visa".to_owned())],
        wait_for: vec!["polling".to_owned()],
    }
}

fn ends() -> Vec<(&'static str, ToEngine)> {
    let ends = [
        ("customer_timeout", AttemptEnd::CustomerTimeout),
        ("cashier_canceled", AttemptEnd::CashierCanceled),
        ("stopped", AttemptEnd::Stopped),
        ("card_removed", AttemptEnd::CardRemoved),
        ("card_unusable", AttemptEnd::CardUnusable),
        ("reader_fault", AttemptEnd::ReaderFault),
        ("offline_not_allowed", AttemptEnd::OfflineNotAllowed),
        ("agent_restarted", AttemptEnd::AgentRestarted),
        ("link_lost", AttemptEnd::LinkLost),
    ];
    let ended = |attempt_id, end| ToEngine::AttemptEnded {
        pos_id: POS,
        attempt_id,
        end,
    };
    let mut messages: Vec<_> = ends
        .into_iter()
        .map(|(name, end)| (name, ended(Some(ATTEMPT), end)))
        .collect();
    messages.push(("tip_prompt_left", ended(None, AttemptEnd::CashierCanceled)));
    messages
}

fn requests() -> Vec<(&'static str, ToEngine)> {
    let start = TillStart {
        kind: PosKind::Sale,
        amount: dollars(550),
        reference: Some("table 4".to_owned()),
        tip_prompt: true,
    };
    let requests = vec![
        ("start", TillRequest::Start(start)),
        (
            "cancel",
            TillRequest::Cancel {
                pos_id: POS,
                void_if_too_late: true,
            },
        ),
        (
            "print",
            TillRequest::Print {
                pos_id: POS,
                copy: Copy::Merchant,
            },
        ),
        (
            "tip_adjust",
            TillRequest::TipAdjust {
                pos_id: POS,
                tip: dollars(100),
            },
        ),
        (
            "void",
            TillRequest::Void {
                transaction_id: TRANSACTION,
            },
        ),
    ];
    let request = |(name, request)| {
        (
            name,
            ToEngine::Request {
                request_id: REQUEST,
                request,
            },
        )
    };
    requests.into_iter().map(request).collect()
}

/// Every field that may be absent is there.
fn whole_status() -> TillStatus {
    let text = |text: &str| Some(text.to_owned());
    TillStatus {
        reader: ReaderState::Ready,
        reader_serial: "SIM0000001".to_owned(),
        reader_firmware: "NEO2 SIM v1.00".to_owned(),
        printer_online: true,
        paper: PaperState::Ok,
        cover_open: false,
        printer_trouble: String::new(),
        drawer_open: None,
        agent_version: "0.1.0".to_owned(),
        current: Some(POS),
        facts: Some(Box::new(TillFacts {
            maker: text("Acme"),
            model: text("Till 9"),
            os: text("Debian"),
            kernel: text("6.12"),
            uptime_s: Some(86_400),
            agent_uptime_s: Some(60),
            clock_skew_ms: Some(-1_500),
            connection: Some(ConnectionType::Wifi),
            signal_percent: Some(80),
            battery_percent: Some(55),
            is_charging: Some(true),
            temperature_c: Some(-5),
            is_reader_port_open: Some(true),
            is_printer_port_open: Some(false),
        })),
        configuration: Some(ConfigurationReport {
            applied: 3,
            refused: Some(ConfigurationRefused {
                version: 4,
                reason: "why".to_owned(),
            }),
        }),
        backlog: TillBacklog {
            open: 1,
            requests: 2,
            prints: 3,
        },
    }
}

fn status_report() -> StatusReport {
    StatusReport {
        ask: 7,
        is_reader_held: true,
        reader_age_ms: Some(900),
        status: whole_status(),
    }
}

fn configuration() -> Configuration {
    Configuration {
        version: 4,
        settings: vec![Setting {
            name: "till.idle_text".to_owned(),
            value: "Welcome".to_owned(),
        }],
    }
}

fn health() -> Vec<(&'static str, ToEngine)> {
    let status = |reader, paper, current| {
        ToEngine::Status(TillStatus {
            reader,
            reader_serial: "SIM0000001".to_owned(),
            reader_firmware: "NEO2 SIM v1.00".to_owned(),
            printer_online: true,
            paper,
            cover_open: false,
            printer_trouble: String::new(),
            drawer_open: None,
            agent_version: "0.1.0".to_owned(),
            current,
            facts: None,
            configuration: None,
            backlog: TillBacklog::default(),
        })
    };
    vec![
        ("whole", ToEngine::Status(whole_status())),
        (
            "ready",
            status(ReaderState::Ready, PaperState::Ok, Some(POS)),
        ),
        (
            "starting",
            status(ReaderState::Starting, PaperState::NearEnd, None),
        ),
        (
            "absent",
            status(ReaderState::Absent, PaperState::Unknown, None),
        ),
        (
            "not_encrypting",
            status(ReaderState::NotEncrypting, PaperState::Out, None),
        ),
    ]
}
