//! Which terminals are wanted.

use protocol::link::{PaperState, ReaderState};

use crate::agent_link::registry::{Availability, LiveStatus};
use crate::domain::merchant::Terminal;

/// Which terminals. What is absent does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// In the label or the serial number, without regard to case.
    pub search: Option<String>,
    /// The serial number.
    pub serial_number: Option<String>,
    /// Whether there is a link.
    pub is_online: Option<bool>,
    /// Whether a sale could be started.
    pub availability: Option<Availability>,
    /// Whether there is a till.
    pub is_paired: Option<bool>,
    /// The reader, of terminals with a link.
    pub reader: Option<ReaderState>,
    /// The paper, of terminals with a link.
    pub paper: Option<PaperState>,
    /// The place.
    pub location: Option<String>,
}

impl Filter {
    /// Whether a terminal is among those that are wanted.
    pub fn takes(&self, terminal: &Terminal, live: Option<&LiveStatus>) -> bool {
        let linked = live.filter(|live| live.is_online);
        let till = linked.and_then(|live| live.till.as_ref());
        let serial = terminal.serial_number.as_deref();
        let search = self.search.as_deref().map(str::to_lowercase);
        search.is_none_or(|text| {
            let has = |value: &str| value.to_lowercase().contains(&text);
            has(&terminal.label) || serial.is_some_and(has)
        }) && (self.serial_number.is_none() || self.serial_number.as_deref() == serial)
            && self
                .is_online
                .is_none_or(|wanted| wanted == linked.is_some())
            && self
                .availability
                .is_none_or(|wanted| wanted == Availability::of(terminal, live))
            && self
                .is_paired
                .is_none_or(|wanted| wanted == terminal.device_key.is_some())
            && self
                .reader
                .is_none_or(|wanted| till.is_some_and(|till| till.reader == wanted))
            && self
                .paper
                .is_none_or(|wanted| till.is_some_and(|till| till.paper == wanted))
            && (self.location.is_none() || self.location == terminal.location)
    }
}
