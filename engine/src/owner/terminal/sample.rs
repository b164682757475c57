//! A till that has nothing to complain of, for tests.

use protocol::link::{PaperState, ReaderState, TillBacklog, TillStatus};

pub(crate) fn healthy() -> TillStatus {
    TillStatus {
        reader: ReaderState::Ready,
        reader_serial: String::new(),
        reader_firmware: String::new(),
        printer_online: true,
        paper: PaperState::Ok,
        cover_open: false,
        printer_trouble: String::new(),
        drawer_open: None,
        agent_version: String::new(),
        current: None,
        facts: None,
        configuration: None,
        backlog: TillBacklog::default(),
    }
}
