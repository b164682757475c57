//! What happens to the printer, and what it does.

use super::ticket::Ticket;

/// What happens to the printer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'a> {
    /// Bytes from the host.
    HostBytes(&'a [u8]),
    /// The roll is used up.
    PaperOut,
    /// The roll gets thin.
    PaperNearEnd,
    /// A new roll is in.
    PaperIn,
    /// Somebody opens the cover.
    CoverOpen,
    /// Somebody closes the cover.
    CoverClose,
    /// Something blocks the cutter; seen at the next cut.
    CutterJam,
    /// The cutter is freed; the error stays until `10 05 n` or power-off.
    CutterClear,
    /// Paper is caught in the feed.
    PaperJam,
    /// The caught paper is taken out; the error stays until `10 05 n` or power-off.
    JamClear,
    /// Something breaks that only service can mend.
    Break,
    /// Service was there.
    Mend,
    /// The feed button is pressed.
    FeedPress,
    /// The feed button is let go.
    FeedRelease,
    /// Somebody opens the drawer with its key.
    DrawerOpen,
    /// Somebody closes the drawer.
    DrawerClose,
    /// The head is too hot to print.
    HeadHot,
    /// The head has cooled down.
    HeadCool,
    /// Something keeps it busy: it asks its host to wait though it is on-line.
    Stall,
    /// It goes on.
    GoOn,
    /// The line carries what nobody has said.
    Noise,
    /// Somebody tears the paper off without a cut.
    TearOff,
    /// The printer is switched off and on.
    PowerCycle,
    /// The printer is switched off.
    PowerOff,
    /// The printer is switched on.
    PowerOn,
    /// The instant of [`super::PrinterMachine::poll_deadline`] has come.
    Deadline,
}

/// What the printer does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Bytes to the host.
    ToHost(Vec<u8>),
    /// A piece of paper came off, by a cut or by hand.
    Paper(Ticket),
    /// A drawer got a pulse.
    DrawerKick {
        /// At which pin of the connector: 2 or 5.
        pin: u8,
        /// For how long.
        on_ms: u16,
    },
    /// The busy wire of the cable changed.
    Busy(bool),
    /// The host broke a rule of the language; says which.
    Violation(String),
}
