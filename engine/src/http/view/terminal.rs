//! Views of terminals and their live status.

use protocol::id::{PosTransactionId, TerminalId};
use protocol::link::{ConnectionType, PaperState, ReaderState, TillFacts, TillStatus};
use protocol::printer::Trouble;
use serde::Serialize;

use crate::agent_link::registry::{Availability, LiveStatus};
use crate::domain::merchant::Terminal;
use crate::domain::time::Timestamp;
use crate::owner::terminal::{Freshness, LastConcluded};

use super::instant;
use super::pos::status_code;
use super::terminal_configuration::AppliedView;

/// A terminal.
#[derive(Debug, Serialize)]
pub(in crate::http) struct TerminalView<'a> {
    id: TerminalId,
    label: &'a str,
    serial_number: Option<&'a str>,
    is_paired: bool,
    /// Two installations take turns under its identity: both are refused until it is paired anew.
    has_duplicate: bool,
    paired_at: Option<String>,
    created_at: String,
    location: Option<&'a str>,
    #[serde(flatten)]
    live: Option<LiveView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<TerminalStatusView<'a>>,
    livemode: bool,
}

/// What a terminal's link says, in short.
#[derive(Debug, Serialize)]
struct LiveView<'a> {
    availability: &'static str,
    connection: &'static str,
    last_seen_at: Option<String>,
    reader: Option<&'static str>,
    paper: Option<&'static str>,
    agent_version: Option<&'a str>,
    configuration: AppliedView,
}

impl<'a> TerminalView<'a> {
    pub(in crate::http) fn of(terminal: &'a Terminal) -> Self {
        Self {
            id: terminal.id,
            label: &terminal.label,
            serial_number: terminal.serial_number.as_deref(),
            is_paired: terminal.device_key.is_some(),
            has_duplicate: terminal.installations.is_duplicate,
            paired_at: terminal.paired_at.map(instant),
            created_at: instant(terminal.created_at),
            location: terminal.location.as_deref(),
            live: None,
            status: None,
            livemode: false,
        }
    }

    /// Adds what the terminal's link says.
    pub(in crate::http) fn with_live(
        mut self,
        terminal: &Terminal,
        live: Option<&'a LiveStatus>,
        configuration: AppliedView,
    ) -> Self {
        let till = live.and_then(|live| live.till.as_deref());
        let last_seen_at = live.and_then(LiveStatus::last_seen_at);
        self.live = Some(LiveView {
            availability: Availability::of(terminal, live).name(),
            connection: match live {
                Some(live) if live.is_online => "online",
                Some(_) | None => "offline",
            },
            last_seen_at: last_seen_at.map(instant),
            reader: till.map(|till| reader_state(till.reader)),
            paper: till.map(|till| paper_state(till.paper)),
            agent_version: till.map(|till| till.agent_version.as_str()),
            configuration,
        });
        self
    }

    /// Adds everything that is known of it.
    pub(in crate::http) fn with_status(mut self, status: TerminalStatusView<'a>) -> Self {
        self.status = Some(status);
        self
    }
}

/// What a terminal last said, and how old that is.
#[derive(Debug, Serialize)]
pub(in crate::http) struct TerminalStatusView<'a> {
    terminal_id: TerminalId,
    availability: &'static str,
    is_online: bool,
    since: Option<String>,
    last_seen_at: Option<String>,
    age_ms: Option<u64>,
    reported_at: Option<String>,
    report_age_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fresh: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stale_reason: Option<&'static str>,
    reader: Option<ReaderView<'a>>,
    printer: Option<PrinterView>,
    machine: Option<MachineView<'a>>,
    backlog: Option<BacklogView>,
    agent_version: Option<&'a str>,
    link_version: Option<u16>,
    current_pos_transaction_id: Option<PosTransactionId>,
    last_transaction: Option<LastView>,
    configuration: AppliedView,
    livemode: bool,
}

#[derive(Debug, Serialize)]
struct ReaderView<'a> {
    state: &'static str,
    serial_number: &'a str,
    firmware: &'a str,
    /// Known once the reader has been looked at.
    is_encrypting: Option<bool>,
    is_port_open: Option<bool>,
    /// How old this is; absent where the till has said it on a change.
    age_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
struct PrinterView {
    is_online: bool,
    paper: &'static str,
    is_cover_open: bool,
    is_port_open: Option<bool>,
    is_drawer_open: Option<bool>,
    problem: Option<PrinterProblemView>,
}

/// What keeps a printer from printing, for the person who stands before it.
#[derive(Debug, Serialize)]
pub(in crate::http) struct PrinterProblemView {
    code: &'static str,
    message: &'static str,
    remedy: &'static str,
}

impl PrinterProblemView {
    /// `None` for a code that this engine does not know, as an agent newer than it may send.
    pub(in crate::http) fn of(code: &str) -> Option<Self> {
        Trouble::from_code(code).map(|trouble| Self {
            code: trouble.code(),
            message: trouble.message(),
            remedy: trouble.remedy(),
        })
    }
}

/// The machine; each absent when the till cannot know it.
#[derive(Debug, Serialize)]
struct MachineView<'a> {
    maker: Option<&'a str>,
    model: Option<&'a str>,
    os: Option<&'a str>,
    kernel: Option<&'a str>,
    started_at: Option<String>,
    agent_started_at: Option<String>,
    clock_skew_ms: Option<i64>,
    connection_type: Option<&'static str>,
    signal_percent: Option<u8>,
    battery_percent: Option<u8>,
    is_charging: Option<bool>,
    temperature_c: Option<i32>,
}

#[derive(Debug, Serialize)]
struct BacklogView {
    pos_transactions: u32,
    requests: u32,
    print_jobs: u32,
}

#[derive(Debug, Serialize)]
struct LastView {
    pos_transaction_id: PosTransactionId,
    status: &'static str,
    amount: i64,
    currency: String,
    at: String,
}

impl<'a> TerminalStatusView<'a> {
    pub(in crate::http) fn of(
        terminal: &Terminal,
        live: Option<&'a LiveStatus>,
        configuration: AppliedView,
        now: Timestamp,
    ) -> Self {
        let last_seen_at = live.and_then(LiveStatus::last_seen_at);
        let reported_at = live.and_then(|live| live.reported_at);
        let report_age_ms = reported_at.map(|at| now.since_ms(at));
        let till = live.and_then(|live| live.till.as_deref());
        let reader_age_ms = live.and_then(|live| live.reader_age_ms);
        let reader_age_ms = reader_age_ms.zip(report_age_ms);
        let facts = till.and_then(|till| till.facts.as_deref());
        Self {
            terminal_id: terminal.id,
            availability: Availability::of(terminal, live).name(),
            is_online: live.is_some_and(|live| live.is_online),
            since: live.map(|live| instant(live.since)),
            last_seen_at: last_seen_at.map(instant),
            age_ms: last_seen_at.map(|at| now.since_ms(at)),
            reported_at: reported_at.map(instant),
            report_age_ms,
            fresh: None,
            stale_reason: None,
            reader: till.map(|till| ReaderView {
                age_ms: reader_age_ms.map(|(then, since)| then.saturating_add(since)),
                ..ReaderView::of(till)
            }),
            printer: till.map(PrinterView::of),
            machine: facts
                .zip(reported_at)
                .map(|(facts, at)| MachineView::of(facts, at)),
            backlog: till.map(|till| BacklogView {
                pos_transactions: till.backlog.open,
                requests: till.backlog.requests,
                print_jobs: till.backlog.prints,
            }),
            agent_version: till.map(|till| till.agent_version.as_str()),
            link_version: live.and_then(|live| live.link_version),
            current_pos_transaction_id: till.and_then(|till| till.current),
            last_transaction: live.and_then(|live| live.last.as_ref()).map(LastView::of),
            configuration,
            livemode: false,
        }
    }

    /// Adds whether the till has just said this.
    pub(in crate::http) fn with_freshness(mut self, freshness: Freshness) -> Self {
        self.stale_reason = freshness.code();
        self.fresh = Some(self.stale_reason.is_none());
        self
    }
}

impl<'a> ReaderView<'a> {
    fn of(till: &'a TillStatus) -> Self {
        let facts = till.facts.as_ref();
        Self {
            state: reader_state(till.reader),
            serial_number: &till.reader_serial,
            firmware: &till.reader_firmware,
            is_encrypting: match till.reader {
                ReaderState::Ready => Some(true),
                ReaderState::NotEncrypting => Some(false),
                ReaderState::Absent | ReaderState::Starting => None,
            },
            is_port_open: facts.and_then(|facts| facts.is_reader_port_open),
            age_ms: None,
        }
    }
}

impl PrinterView {
    fn of(till: &TillStatus) -> Self {
        let facts = till.facts.as_ref();
        Self {
            is_online: till.printer_online,
            paper: paper_state(till.paper),
            is_cover_open: till.cover_open,
            is_port_open: facts.and_then(|facts| facts.is_printer_port_open),
            is_drawer_open: till.drawer_open,
            problem: PrinterProblemView::of(&till.printer_trouble),
        }
    }
}

impl<'a> MachineView<'a> {
    fn of(facts: &'a TillFacts, reported_at: Timestamp) -> Self {
        let before = |seconds: u64| {
            let ms = i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX);
            instant(Timestamp(reported_at.0.saturating_sub(ms)))
        };
        Self {
            maker: facts.maker.as_deref(),
            model: facts.model.as_deref(),
            os: facts.os.as_deref(),
            kernel: facts.kernel.as_deref(),
            started_at: facts.uptime_s.map(before),
            agent_started_at: facts.agent_uptime_s.map(before),
            clock_skew_ms: facts.clock_skew_ms,
            connection_type: facts.connection.map(|connection| match connection {
                ConnectionType::Ethernet => "ethernet",
                ConnectionType::Wifi => "wifi",
                ConnectionType::Mobile => "mobile",
                ConnectionType::Other => "other",
            }),
            signal_percent: facts.signal_percent,
            battery_percent: facts.battery_percent,
            is_charging: facts.is_charging,
            temperature_c: facts.temperature_c,
        }
    }
}

impl LastView {
    fn of(last: &LastConcluded) -> Self {
        Self {
            pos_transaction_id: last.pos_id,
            status: status_code(last.status),
            amount: last.amount.minor(),
            currency: last.amount.currency().to_string(),
            at: instant(last.at),
        }
    }
}

const fn reader_state(state: ReaderState) -> &'static str {
    match state {
        ReaderState::Absent => "absent",
        ReaderState::Starting => "starting",
        ReaderState::Ready => "ready",
        ReaderState::NotEncrypting => "not_encrypting",
    }
}

const fn paper_state(state: PaperState) -> &'static str {
    match state {
        PaperState::Unknown => "unknown",
        PaperState::Ok => "ok",
        PaperState::NearEnd => "near_end",
        PaperState::Out => "out",
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use std::sync::Arc;

    use super::*;
    use crate::domain::merchant::DeviceKey;
    use crate::domain::terminal_settings::TerminalDefaults;

    fn availability(terminal: &Terminal, live: Option<&LiveStatus>) -> &'static str {
        Availability::of(terminal, live).name()
    }

    #[test]
    fn availability_follows_pairing_link_and_reader() {
        let mut terminal = Terminal {
            id: TerminalId::from_uuid(Uuid::from_u128(1)),
            merchant_id: protocol::id::MerchantId::from_uuid(Uuid::from_u128(2)),
            label: "Lane 1".into(),
            serial_number: None,
            device_key: None,
            paired_at: None,
            installations: crate::domain::installation::Installations::default(),
            created_at: Timestamp(0),
            location: None,
            own: crate::domain::terminal_settings::Versioned::default(),
        };
        let mut till = TillStatus {
            reader: ReaderState::Absent,
            ..TillStatus::healthy()
        };
        let mut live = LiveStatus {
            is_online: true,
            ..LiveStatus::default()
        };
        assert_eq!(availability(&terminal, Some(&live)), "unpaired");
        terminal.device_key = Some(DeviceKey([1; 32]));
        assert_eq!(availability(&terminal, None), "offline");
        assert_eq!(availability(&terminal, Some(&live)), "not_ready");
        live.till = Some(Arc::new(till.clone()));
        assert_eq!(availability(&terminal, Some(&live)), "not_ready");
        till.reader = ReaderState::Ready;
        live.till = Some(Arc::new(till.clone()));
        assert_eq!(availability(&terminal, Some(&live)), "ready");
        till.current = Some(PosTransactionId::from_uuid(Uuid::from_u128(3)));
        live.till = Some(Arc::new(till));
        assert_eq!(availability(&terminal, Some(&live)), "busy");
        live.is_online = false;
        assert_eq!(availability(&terminal, Some(&live)), "offline");

        live.heard = Timestamp(1_000).into();
        let defaults = TerminalDefaults::none(terminal.merchant_id);
        let applied = AppliedView::of(&terminal, &defaults, Some(&live));
        let now = Timestamp(3_500);
        let view = TerminalStatusView::of(&terminal, Some(&live), applied, now);
        assert_eq!(view.age_ms, Some(2_500));
        assert_eq!(view.report_age_ms, None);
    }
}
