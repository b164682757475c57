//! What the machine must know of its printer. Values only: where they come from is the
//! configuration's.

use protocol::printer::{DrawerPin, Paper};

/// How the printer says that it has printed everything up to here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// By the state of its paper, asked for in the queue (`1D 72 1`): every printer knows it. The
    /// answers have no names and are counted.
    PaperStatus,
    /// By giving an id back (`1D 28 48`): newer models only; others print the id.
    ProcessId,
}

/// The drawer at the printer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drawer {
    /// Its wire.
    pub pin: DrawerPin,
    /// Length of the pulse, in units of 2 ms.
    pub on_2ms: u8,
    /// Pause after it, in units of 2 ms.
    pub off_2ms: u8,
    /// Level of its switch while it is open, if it has one.
    pub is_high_when_open: Option<bool>,
}

/// A quarter of the buffer of common printers (4 KiB).
const WINDOW_BYTES_MAX: usize = 1_024;
/// 100 ms on and off, as the usual drawers need.
const DRAWER_PULSE_2MS: u8 = 50;

/// What the machine must know of its printer, and its patience. Times in ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrinterConfig {
    /// The paper, with columns and code page.
    pub paper: Paper,
    /// The drawer.
    pub drawer: Drawer,
    /// How ends of jobs are confirmed.
    pub confirmation: Confirmation,
    /// Whether a job that was interrupted is printed once more, whole and marked DUPLICATE.
    pub reprints_interrupted: bool,
    /// How often an idle printer is asked whether it is still there; never if not set.
    pub idle_check_ms: Option<u64>,
    /// Jobs that may wait; more fail.
    pub queue_jobs_max: usize,
    /// Within this time a live printer answers a query in real time.
    pub answer_ms: u64,
    /// Within this time a ready printer confirms a write.
    pub confirm_ms: u64,
    /// How often a printer that needs a person is asked.
    pub poll_ms: u64,
    /// For so long a job waits for a person.
    pub hold_ms_max: u64,
    /// Bytes a write: two of them, one under way as XOFF comes, fit in the room that printers
    /// keep free for that (128 bytes in larger models).
    pub write_bytes: usize,
    /// Bytes that may wait for confirmation: well below the printer's buffer.
    pub window_bytes: usize,
}

impl PrinterConfig {
    /// A printer with paper of `columns` characters (24…64) and the usual patience.
    pub fn new(columns: usize) -> Self {
        Self {
            paper: Paper::new(columns),
            drawer: Drawer {
                pin: DrawerPin::Two,
                on_2ms: DRAWER_PULSE_2MS,
                off_2ms: DRAWER_PULSE_2MS,
                is_high_when_open: None,
            },
            confirmation: Confirmation::PaperStatus,
            reprints_interrupted: false,
            idle_check_ms: Some(60_000),
            queue_jobs_max: 32,
            answer_ms: 2_000,
            confirm_ms: 30_000,
            poll_ms: 5_000,
            hold_ms_max: 15 * 60 * 1_000,
            write_bytes: 56,
            window_bytes: WINDOW_BYTES_MAX,
        }
    }

    /// The same for a printer with a receive buffer of so many bytes. What the system has taken
    /// of a write no XOFF holds back any more, so what waits for confirmation must fit.
    #[must_use]
    pub fn with_buffer(mut self, buffer_bytes: usize) -> Self {
        let quarter = buffer_bytes / 4;
        self.window_bytes = quarter.min(WINDOW_BYTES_MAX);
        self.write_bytes = self.write_bytes.min(quarter);
        self.paper = self.paper.with_band_bytes(buffer_bytes / 2);
        self
    }
}
