//! Views of terminals and their live status.

use protocol::id::{PosTransactionId, TerminalId};
use protocol::link::{PaperState, ReaderState, TillStatus};
use protocol::printer::Trouble;
use serde::Serialize;

use crate::agent_link::registry::LiveStatus;
use crate::domain::merchant::Terminal;
use crate::domain::time::Timestamp;

use super::instant;

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
    #[serde(skip_serializing_if = "Option::is_none")]
    availability: Option<&'static str>,
    livemode: bool,
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
            availability: None,
            livemode: false,
        }
    }

    /// Adds what the terminal's link says.
    pub(in crate::http) fn with_live(mut self, availability: &'static str) -> Self {
        self.availability = Some(availability);
        self
    }
}

/// Whether a sale could be started on a terminal now: `ready`, `busy`, `not_ready`, `offline` or
/// `unpaired`.
pub(in crate::http) fn availability(
    terminal: &Terminal,
    live: Option<&LiveStatus>,
) -> &'static str {
    if terminal.device_key.is_none() {
        return "unpaired";
    }
    let Some(live) = live.filter(|live| live.is_online) else {
        return "offline";
    };
    match &live.till {
        Some(till) if till.current.is_some() => "busy",
        Some(till) if till.reader == ReaderState::Ready => "ready",
        Some(_) | None => "not_ready",
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
    reader: Option<ReaderView<'a>>,
    printer: Option<PrinterView>,
    agent_version: Option<&'a str>,
    current_pos_transaction_id: Option<PosTransactionId>,
    livemode: bool,
}

#[derive(Debug, Serialize)]
struct ReaderView<'a> {
    state: &'static str,
    serial_number: &'a str,
    firmware: &'a str,
}

#[derive(Debug, Serialize)]
struct PrinterView {
    is_online: bool,
    paper: &'static str,
    is_cover_open: bool,
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

impl<'a> TerminalStatusView<'a> {
    pub(in crate::http) fn of(
        terminal: &Terminal,
        live: Option<&'a LiveStatus>,
        now: Timestamp,
    ) -> Self {
        let last_seen_at = live.and_then(|live| live.last_seen_at);
        let reported_at = live.and_then(|live| live.reported_at);
        let till = live.and_then(|live| live.till.as_ref());
        Self {
            terminal_id: terminal.id,
            availability: availability(terminal, live),
            is_online: live.is_some_and(|live| live.is_online),
            since: live.map(|live| instant(live.since)),
            last_seen_at: last_seen_at.map(instant),
            age_ms: last_seen_at.map(|at| now.since_ms(at)),
            reported_at: reported_at.map(instant),
            report_age_ms: reported_at.map(|at| now.since_ms(at)),
            reader: till.map(ReaderView::of),
            printer: till.map(PrinterView::of),
            agent_version: till.map(|till| till.agent_version.as_str()),
            current_pos_transaction_id: till.and_then(|till| till.current),
            livemode: false,
        }
    }
}

impl<'a> ReaderView<'a> {
    fn of(till: &'a TillStatus) -> Self {
        Self {
            state: match till.reader {
                ReaderState::Absent => "absent",
                ReaderState::Starting => "starting",
                ReaderState::Ready => "ready",
                ReaderState::NotEncrypting => "not_encrypting",
            },
            serial_number: &till.reader_serial,
            firmware: &till.reader_firmware,
        }
    }
}

impl PrinterView {
    fn of(till: &TillStatus) -> Self {
        Self {
            is_online: till.printer_online,
            paper: match till.paper {
                PaperState::Unknown => "unknown",
                PaperState::Ok => "ok",
                PaperState::NearEnd => "near_end",
                PaperState::Out => "out",
            },
            is_cover_open: till.cover_open,
            is_drawer_open: till.drawer_open,
            problem: PrinterProblemView::of(&till.printer_trouble),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::merchant::DeviceKey;

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
        };
        let mut till = TillStatus {
            reader: ReaderState::Absent,
            reader_serial: String::new(),
            reader_firmware: String::new(),
            printer_online: true,
            paper: PaperState::Ok,
            cover_open: false,
            printer_trouble: String::new(),
            drawer_open: None,
            agent_version: String::new(),
            current: None,
        };
        let mut live = LiveStatus {
            is_online: true,
            ..LiveStatus::default()
        };
        assert_eq!(availability(&terminal, Some(&live)), "unpaired");
        terminal.device_key = Some(DeviceKey([1; 32]));
        assert_eq!(availability(&terminal, None), "offline");
        assert_eq!(availability(&terminal, Some(&live)), "not_ready");
        live.till = Some(till.clone());
        assert_eq!(availability(&terminal, Some(&live)), "not_ready");
        till.reader = ReaderState::Ready;
        live.till = Some(till.clone());
        assert_eq!(availability(&terminal, Some(&live)), "ready");
        till.current = Some(PosTransactionId::from_uuid(Uuid::from_u128(3)));
        live.till = Some(till);
        assert_eq!(availability(&terminal, Some(&live)), "busy");
        live.is_online = false;
        assert_eq!(availability(&terminal, Some(&live)), "offline");

        live.last_seen_at = Some(Timestamp(1_000));
        let view = TerminalStatusView::of(&terminal, Some(&live), Timestamp(3_500));
        assert_eq!(view.age_ms, Some(2_500));
        assert_eq!(view.report_age_ms, None);
    }
}
