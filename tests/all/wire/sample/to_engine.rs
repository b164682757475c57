//! Samples of every message from a till.

use super::{ATTEMPT, FAULT, POS, REQUEST, TRANSACTION, completion, dollars, prints};
use protocol::link::{
    AttemptEnd, CardReport, ChipOutcome, Completion, ConfigurationRefused, ConfigurationReport,
    ConnectionType, PaperState, PosKind, ReaderState, RejectReason, StatusReport, TillBacklog,
    TillFacts, TillRequest, TillStart, TillStatus, TipChoice, ToEngine,
};
use protocol::receipt::Copy;

pub(super) fn to_engine() -> Vec<(&'static str, ToEngine)> {
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
