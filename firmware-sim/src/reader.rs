//! The card reader's firmware as a pure machine: bytes, cards and time in, bytes out.
//!
//! Owns what an ID TECH NEO2 reader does with the commands of the agent. It reads no clock, makes
//! no random number and opens nothing; [`crate::run`] gives it all of that.
//!
//! What it does not do: run a card's own cryptography (results and cryptograms are scripted), speak
//! HID reports. Where public sources leave the firmware's behaviour open, [`quirks`] has a switch.
//!
//! # Layout
//! * `transaction`: the phases of a transaction, with their table.
//! * `ending`: what each card leads to.
//! * `prompt`: what is asked of the host's display and keypad.
//! * `immediate`: every other command.
//! * `unasked`: power, cable, and cards that are read without being asked for.
//! * `answer`: the data of transaction responses.
//! * [`fault`]: what goes wrong on the way to the host.
//! * [`quirks`]: the uncertain points as switches.
//! * [`key_register`]: DUKPT on the device's side.

mod answer;
mod ending;
pub mod fault;
mod immediate;
pub mod key_register;
mod prompt;
pub mod quirks;
mod transaction;
mod unasked;

use std::collections::BTreeMap;

use protocol::reader::command;
use protocol::reader::frame::{CommandDecoder, HEADER, Received, Response};
use protocol::reader::outcome::Status;

use crate::cards::Card;
use fault::{Fault, Line, Scope};
use key_register::KeyRegister;
pub use quirks::{ReaderQuirks, StrayAnswer};
pub use transaction::Presentation;
use transaction::State;

/// How long things take, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From power to the boot notification.
    pub boot_ms: u64,
    /// Reading a card that was presented.
    pub read_ms: u64,
    /// 60-11.
    pub authenticate_ms: u64,
    /// 60-12.
    pub complete_ms: u64,
}

impl Timing {
    /// About as long as a real reader takes.
    pub const LIFELIKE: Self = Self {
        boot_ms: 1_500,
        read_ms: 500,
        authenticate_ms: 900,
        complete_ms: 700,
    };

    /// Everything happens at once.
    pub const INSTANT: Self = Self {
        boot_ms: 0,
        read_ms: 0,
        authenticate_ms: 0,
        complete_ms: 0,
    };
}

/// What makes one reader differ from another.
#[derive(Debug, Clone)]
pub struct ReaderConfig {
    /// Serial number, up to 15 characters; without one the reader says so.
    pub serial: String,
    /// Answer to the firmware version command.
    pub firmware: String,
    /// Tag 9F1A, ISO 3166 number.
    pub country: [u8; 2],
    /// Tag 9A: year, month, day, two digits each. The machine has no clock of its own.
    pub date: [u8; 3],
    /// Whether keys are loaded and card data is encrypted; without, no card is read.
    pub encryption_on: bool,
    /// The loaded key.
    pub keys: KeyRegister,
    /// How long things take.
    pub timing: Timing,
    /// What public sources leave open.
    pub quirks: ReaderQuirks,
}

impl ReaderConfig {
    /// A reader with the vendor's published demonstration key.
    pub fn demo() -> Self {
        Self {
            serial: "SIM0000001".to_owned(),
            firmware: "NEO2 SIM v1.00".to_owned(),
            country: [0x08, 0x40],
            date: [0x26, 0x01, 0x01],
            encryption_on: true,
            keys: KeyRegister::demo(0),
            timing: Timing::LIFELIKE,
            quirks: ReaderQuirks::default(),
        }
    }
}

/// Something that happens to the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'a> {
    /// Bytes from the host, cut anywhere.
    Host(&'a [u8]),
    /// A card is presented.
    Present(Presentation),
    /// The card is taken away.
    Remove,
    /// A fault is armed; [`Fault::Reset`] takes effect at once.
    Fault(Fault, Scope),
    /// A switch is set; of those that matter at power on, only after the next.
    Quirks(ReaderQuirks),
    /// The cable was pulled and is back.
    PluggedIn,
    /// All armed faults are cleared.
    ClearFaults,
    /// Time has passed; see [`Reader::poll_deadline`].
    Deadline,
}

/// What the reader does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Bytes to the host.
    Host(Vec<u8>),
}

/// What the reader is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Starting; deaf.
    Boot,
    /// Waiting for commands.
    Idle,
    /// Waiting for a card.
    Polling,
    /// Waiting for a card in the slot (60-10).
    Inserting,
    /// Reading a card.
    Reading,
    /// Waiting for the host to choose something (61-01, 61-02).
    Asking,
    /// The chip is powered; waiting for 60-11.
    ChipReady,
    /// The chip decides.
    Authenticating,
    /// Waiting for 60-12.
    WaitHost,
    /// The chip takes the issuer's answer in.
    Completing,
}

impl Phase {
    /// The word for scripts and the status command.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Idle => "idle",
            Self::Polling => "polling",
            Self::Inserting => "inserting",
            Self::Reading => "reading",
            Self::Asking => "asking",
            Self::ChipReady => "chip-ready",
            Self::Authenticating => "authenticating",
            Self::WaitHost => "wait-host",
            Self::Completing => "completing",
        }
    }
}

/// A pause in a frame after which a new header starts a new frame; the reader itself has no
/// timer between bytes, and a good command after a broken one is understood.
const RESYNCHRONISE_MS: u64 = 200;

/// The reader.
#[derive(Debug)]
pub struct Reader {
    config: ReaderConfig,
    decoder: CommandDecoder,
    heard_ms: u64,
    line: Line,
    state: State,
    /// When the present phase ends by itself.
    until_ms: Option<u64>,
    slot: Option<&'static Card>,
    failed_insertions: u8,
    forced_online: bool,
    approvals: u64,
    /// The question of this transaction was answered.
    is_answered: bool,
    /// The key register before the transaction's first response.
    keys_before: Option<KeyRegister>,
    /// Cards are read without being asked for.
    reads_unasked: bool,
    /// When the cable is put back, while it is out by itself.
    back_at_ms: Option<u64>,
    card_counters: BTreeMap<&'static str, u16>,
    configuration: BTreeMap<u32, Vec<u8>>,
    /// Response codes that the kernel knows; the first is the approval.
    response_codes: Vec<[u8; 2]>,
    last_result: Vec<u8>,
    displayed: u8,
}

impl Reader {
    /// A reader that is switched on at `now_ms`.
    pub fn new(config: ReaderConfig, now_ms: u64) -> Self {
        let until_ms = now_ms + config.timing.boot_ms;
        let reads_unasked = config.quirks.polls_at_power_on;
        let decoder = command_decoder(&config.quirks);
        Self {
            config,
            decoder,
            heard_ms: now_ms,
            line: Line::default(),
            state: State::Boot,
            until_ms: Some(until_ms),
            slot: None,
            failed_insertions: 0,
            forced_online: false,
            approvals: 0,
            is_answered: false,
            keys_before: None,
            reads_unasked,
            back_at_ms: None,
            card_counters: BTreeMap::new(),
            configuration: BTreeMap::new(),
            // As the vendor's documentation configures them: approved, referral, declined.
            response_codes: vec![*b"00", *b"01", *b"05"],
            last_result: Vec::new(),
            displayed: 0,
        }
    }

    /// Takes one input in and gives what the reader does by `now_ms`.
    pub fn handle(&mut self, now_ms: u64, input: Input<'_>) -> Vec<Output> {
        self.settle(now_ms);
        match input {
            Input::Host(bytes) => self.receive(now_ms, bytes),
            Input::Present(presentation) => self.present(now_ms, presentation),
            Input::Remove => self.remove(now_ms),
            Input::Fault(Fault::Reset, _) => self.restart(now_ms),
            Input::Fault(fault, scope) => self.line.arm(fault, scope),
            Input::ClearFaults => self.line.clear_faults(),
            Input::Quirks(quirks) => self.set_quirks(quirks),
            Input::PluggedIn => self.plugged_in(now_ms),
            Input::Deadline => {}
        }
        self.settle(now_ms);
        let mut arrived = self.line.arrived(now_ms);
        if let Some(broken) = self.line.take_break() {
            self.break_off(now_ms, broken);
            self.settle(now_ms);
            arrived.extend(self.line.arrived(now_ms));
        }
        if !self.is_attached() {
            arrived.clear();
        }
        arrived.into_iter().map(Output::Host).collect()
    }

    /// When [`Input::Deadline`] is due.
    pub fn poll_deadline(&self) -> Option<u64> {
        let due = self.line.next_due_ms();
        [self.until_ms, due, self.back_at_ms]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether the host sees the reader: false while its cable is out.
    pub fn is_attached(&self) -> bool {
        self.back_at_ms.is_none()
    }

    /// The uncertain points as they are set.
    pub fn quirks(&self) -> ReaderQuirks {
        self.config.quirks
    }

    /// What the reader is busy with.
    pub fn phase(&self) -> Phase {
        self.state.phase()
    }

    /// The card in the slot.
    pub fn inserted(&self) -> Option<&'static Card> {
        self.slot
    }

    /// Number of the message that the display shows.
    pub fn displayed(&self) -> u8 {
        self.displayed
    }

    /// The loaded key and its counter.
    pub fn keys(&self) -> &KeyRegister {
        &self.config.keys
    }

    /// How often a chip has agreed with an issuer's approval since the reader was made.
    pub fn approvals(&self) -> u64 {
        self.approvals
    }

    /// Whether the last chip was made to ask the issuer.
    pub fn was_forced_online(&self) -> bool {
        self.forced_online
    }

    /// Lets phases end whose time is up.
    fn settle(&mut self, now_ms: u64) {
        self.come_back(now_ms);
        // Each phase that ends by itself leads towards idle, which does not.
        while self.until_ms.is_some_and(|until_ms| until_ms <= now_ms) {
            self.until_ms = None;
            self.expire(now_ms);
        }
    }

    fn receive(&mut self, now_ms: u64, bytes: &[u8]) {
        if self.phase() == Phase::Boot || !self.is_attached() {
            return;
        }
        let paused = now_ms.saturating_sub(self.heard_ms) >= RESYNCHRONISE_MS;
        let mut frames = Vec::new();
        if paused && self.decoder.is_partial() && bytes.starts_with(&HEADER) {
            frames = self.decoder.abandon_partial();
        }
        frames.extend(self.decoder.decode(bytes));
        self.heard_ms = now_ms;
        for frame in frames {
            match frame {
                Received::Command(command) => self.execute(now_ms, &command),
                Received::WrongCrc { cmd } => self.reply_status(now_ms, cmd, Status::CrcError),
            }
        }
    }

    fn restart(&mut self, now_ms: u64) {
        self.line.cut();
        self.decoder = command_decoder(&self.config.quirks);
        self.failed_insertions = 0;
        self.displayed = 0;
        self.reads_unasked = self.config.quirks.polls_at_power_on;
        if !self.config.quirks.keeps_last_result {
            self.last_result.clear();
        }
        self.enter(State::Boot, now_ms + self.config.timing.boot_ms);
    }

    fn announce_boot(&mut self, now_ms: u64) {
        self.enter_idle();
        let notification = Response::bare(command::BOOT_NOTIFICATION, Status::Ok.code());
        self.line.send(now_ms, &notification, false);
    }

    fn enter(&mut self, state: State, until_ms: u64) {
        self.state = state;
        self.until_ms = Some(until_ms);
    }

    fn enter_idle(&mut self) {
        self.state = State::Idle;
        self.until_ms = None;
    }

    fn reply_status(&mut self, now_ms: u64, cmd: u8, status: Status) {
        self.line
            .send(now_ms, &Response::bare(cmd, status.code()), false);
    }
}

fn command_decoder(quirks: &ReaderQuirks) -> CommandDecoder {
    if quirks.takes_either_crc_order {
        CommandDecoder::of_either_order()
    } else {
        CommandDecoder::default()
    }
}

#[cfg(test)]
mod tests;
