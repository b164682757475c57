//! What can be wrong with a printer, in words for the person who stands before it.
//!
//! The one closed list: agents report the codes, engine and tools show the words. Knows nothing
//! of bytes or jobs.

/// Why nothing is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Paper is out.
    NoPaper,
    /// The cover is open.
    CoverOpen,
    /// The cutter is jammed.
    Cutter,
    /// Another error that a person can clear.
    Mechanical,
    /// The head must cool down.
    Overheated,
    /// Somebody feeds paper with the button.
    Feeding,
    /// The printer waits for its feed button after paper or cover.
    FeedButton,
    /// The printer asks for a pause and does not end it.
    Busy,
    /// Switched off, or off-line without a reason.
    Offline,
    /// The port is not there.
    PortClosed,
    /// The printer is not there, as a job that has not reached it says.
    Absent,
    /// An error that only service can clear.
    Unrecoverable,
    /// Too many jobs wait.
    QueueFull,
    /// The till has no printer.
    NoPrinter,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::NoPaper,
        Self::CoverOpen,
        Self::Cutter,
        Self::Mechanical,
        Self::Overheated,
        Self::Feeding,
        Self::FeedButton,
        Self::Busy,
        Self::Offline,
        Self::PortClosed,
        Self::Absent,
        Self::Unrecoverable,
        Self::QueueFull,
        Self::NoPrinter,
    ];

    /// The name in reports, in the API and in logs. Never changes.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoPaper => "no_paper",
            Self::CoverOpen => "cover_open",
            Self::Cutter => "cutter",
            Self::Mechanical => "mechanical",
            Self::Overheated => "overheated",
            Self::Feeding => "feeding",
            Self::FeedButton => "feed_button",
            Self::Busy => "busy",
            Self::Offline => "offline",
            Self::PortClosed => "port_closed",
            Self::Absent => "printer_absent",
            Self::Unrecoverable => "unrecoverable",
            Self::QueueFull => "queue_full",
            Self::NoPrinter => "no_printer",
        }
    }

    /// The trouble of this code. A failed job's `held_no_paper` (nobody came in time) is
    /// `no_paper` here.
    pub fn from_code(code: &str) -> Option<Self> {
        let code = code.strip_prefix("held_").unwrap_or(code);
        Self::ALL.into_iter().find(|trouble| trouble.code() == code)
    }

    /// What was seen.
    pub const fn message(self) -> &'static str {
        match self {
            Self::NoPaper => "The printer is out of paper.",
            Self::CoverOpen => "The printer's cover is open.",
            Self::Cutter => "The printer's cutter is jammed.",
            Self::Mechanical => "The printer reports an error that can be cleared.",
            Self::Overheated => "The print head is too hot.",
            Self::Feeding => "Somebody is feeding paper with the printer's button.",
            Self::FeedButton => "The printer waits for its FEED button.",
            Self::Busy => "The printer has asked for a pause and has not ended it.",
            Self::Offline => "The printer does not answer, or is off-line and does not say why.",
            Self::PortClosed | Self::Absent => "The printer's port is not there.",
            Self::Unrecoverable => "The printer reports an error that only service can clear.",
            Self::QueueFull => "Too many receipts were already waiting for the printer.",
            Self::NoPrinter => "This till has no printer in its configuration.",
        }
    }

    /// What to do.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::NoPaper => {
                "Put in a new roll and close the cover. Printing goes on by itself; nothing is printed twice."
            }
            Self::CoverOpen => "Close the cover until it clicks. Printing goes on by itself.",
            Self::Cutter => {
                "Open the cover, take out the jammed paper, close the cover. If it stays, turn the cutter's knob until the blade is back. Printing goes on by itself."
            }
            Self::Mechanical => {
                "Open the cover, look for jammed paper, close the cover. If it stays, switch the printer off and on."
            }
            Self::Overheated => "Wait: it goes on by itself when the head has cooled down.",
            Self::Feeding => "Let go of the FEED button.",
            Self::FeedButton => "Press FEED once. Printing goes on by itself.",
            Self::Busy => {
                "Look at the printer's lights. If it is ready, check that its flow control is that of the till's configuration, then switch it off and on."
            }
            Self::Offline => {
                "Check that the printer is switched on and its cables are in. If it is on, check the bits per second on both sides."
            }
            Self::PortClosed | Self::Absent => {
                "Plug in the printer's cable. If it is in, check the path in the till's configuration."
            }
            Self::Unrecoverable => {
                "Switch the printer off and on. If the error comes back, the printer needs service."
            }
            Self::QueueFull => "Clear what holds the printer, then print the receipt again.",
            Self::NoPrinter => {
                "Add a [printer] section to the agent's configuration and restart the agent."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_back_and_everything_has_words() {
        for trouble in Trouble::ALL {
            assert_eq!(Trouble::from_code(trouble.code()), Some(trouble));
            let failed = format!("held_{}", trouble.code());
            assert_eq!(Trouble::from_code(&failed), Some(trouble));
            assert!(trouble.message().ends_with('.') && trouble.remedy().ends_with('.'));
        }
        assert_eq!(Trouble::from_code(""), None);
        assert_eq!(Trouble::from_code("jam"), None);
    }
}
