//! A receipt printer's firmware as a pure machine.
//!
//! Bytes and the hands of a person come in, bytes and printed paper go out. The machine reads no
//! clock: `now_ms` is an argument and only paces printing. It has its own ESC/POS interpreter and
//! must never use the agent's encoder, or an error in one would hide in the other.

mod code_page;
mod font;
mod page;
mod paint;
mod settings;
mod status;
mod symbol;
mod text;
mod ticket;
mod tokenizer;

use std::collections::VecDeque;

use page::{Effect, Page};
pub use paint::render_png;
pub use settings::{Flow, PrinterConfig, SETTINGS, SettingError};
use status::Sensors;
pub use text::render_text;
pub use ticket::{Align, Barcode, Cell, Image, QrSymbol, Row, Ticket};
use tokenizer::{Parsed, Token, parse};

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
    /// The instant of [`PrinterMachine::poll_deadline`] has come.
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

/// The printer.
#[derive(Debug, Clone)]
pub struct PrinterMachine {
    config: PrinterConfig,
    sensors: Sensors,
    is_on: bool,
    is_stalled: bool,
    is_cutter_jammed: bool,
    is_feed_jammed: bool,
    is_drawer_open: bool,
    /// Bytes that are not a whole command yet.
    pending: Vec<u8>,
    /// Commands not yet executed, with their lengths.
    queue: VecDeque<(Token, usize)>,
    queued_bytes: usize,
    page: Page,
    automatic_status: u8,
    reported: Vec<u8>,
    is_paused: bool,
    busy_until_ms: u64,
    violations: u64,
}

impl PrinterMachine {
    /// A printer that was just switched on, with paper, cover closed.
    pub fn new(config: PrinterConfig) -> Self {
        let width_dots = config.columns.saturating_mul(12);
        Self {
            page: Page::new(width_dots, config.international_set),
            sensors: sensors(&config),
            config,
            is_on: true,
            is_stalled: false,
            is_cutter_jammed: false,
            is_feed_jammed: false,
            is_drawer_open: false,
            pending: Vec::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            automatic_status: 0,
            reported: Vec::new(),
            is_paused: false,
            busy_until_ms: 0,
            violations: 0,
        }
    }

    /// Rules broken by the host since the machine was made.
    pub const fn violations(&self) -> u64 {
        self.violations
    }

    /// Bytes received and not yet printed.
    pub fn buffered_bytes(&self) -> usize {
        self.queued_bytes.saturating_add(self.pending.len())
    }

    /// Bytes that can be received now.
    pub fn free_bytes(&self) -> usize {
        self.config
            .buffer_bytes
            .saturating_sub(self.buffered_bytes())
    }

    /// Whether the printer takes commands.
    pub const fn is_online(&self) -> bool {
        self.is_on && !self.sensors.is_off_line()
    }

    /// Whether it asks its host to wait.
    pub const fn is_busy(&self) -> bool {
        self.is_paused
    }

    /// Whether the drawer is open.
    pub const fn is_drawer_open(&self) -> bool {
        self.is_drawer_open
    }

    /// When the next line is due, on the clock of `now_ms`.
    pub fn poll_deadline(&self) -> Option<u64> {
        let is_printing = self.is_online() && !self.is_stalled && !self.queue.is_empty();
        is_printing.then_some(self.busy_until_ms)
    }

    /// Takes in one input and appends what the printer does.
    pub fn handle(&mut self, now_ms: u64, input: Input<'_>, out: &mut Vec<Output>) {
        match input {
            Input::HostBytes(bytes) if self.is_on => self.receive(now_ms, bytes, out),
            Input::PaperOut => self.sensors.lose_paper(),
            Input::PaperNearEnd => self.sensors.thin_paper(),
            Input::PaperIn => self.sensors.load_paper(),
            Input::CoverOpen => self.sensors.open_cover(),
            Input::CoverClose => self.sensors.close_cover(),
            Input::CutterJam => self.is_cutter_jammed = true,
            Input::CutterClear => self.is_cutter_jammed = false,
            Input::PaperJam => {
                self.is_feed_jammed = true;
                self.sensors.has_mechanical_error = true;
            }
            Input::JamClear => self.is_feed_jammed = false,
            Input::Break => self.sensors.is_broken = true,
            Input::Mend => self.sensors.is_broken = false,
            Input::FeedPress => self.sensors.is_feed_pressed = true,
            Input::FeedRelease => self.sensors.release_feed(),
            Input::DrawerOpen => self.move_drawer(true),
            Input::DrawerClose => self.move_drawer(false),
            Input::HeadHot => self.sensors.is_head_hot = true,
            Input::HeadCool => self.sensors.is_head_hot = false,
            Input::Stall => self.is_stalled = true,
            Input::GoOn => self.is_stalled = false,
            Input::Noise => out.push(Output::ToHost(NOISE.to_vec())),
            Input::TearOff => self.tear_off(out),
            Input::PowerCycle => self.power_on(out),
            Input::PowerOff => self.is_on = false,
            Input::PowerOn if !self.is_on => self.power_on(out),
            Input::HostBytes(_) | Input::PowerOn | Input::Deadline => {}
        }
        if !self.is_on {
            return;
        }
        self.print(now_ms, out);
        self.report(out);
        self.control_flow(out);
    }

    fn move_drawer(&mut self, is_open: bool) {
        self.is_drawer_open = is_open;
        self.sensors.is_drawer_pin_high = is_open == self.config.is_drawer_high_when_open;
    }

    fn kick_drawer(&mut self, pin: u8, on_ms: u16, out: &mut Vec<Output>) {
        if on_ms == 0 {
            self.violate("drawer pulse without length", out);
            return;
        }
        self.move_drawer(true);
        let pin = connector_pin(pin);
        out.push(Output::DrawerKick { pin, on_ms });
    }

    fn violate(&mut self, rule: impl Into<String>, out: &mut Vec<Output>) {
        self.violations = self.violations.saturating_add(1);
        out.push(Output::Violation(rule.into()));
    }

    fn receive(&mut self, now_ms: u64, bytes: &[u8], out: &mut Vec<Output>) {
        let mut lost: usize = 0;
        for byte in bytes {
            let is_full = self.buffered_bytes() >= self.config.buffer_bytes;
            // A full buffer still lets requests in real time through.
            let is_real_time = match self.pending.first() {
                None => *byte == 0x10,
                Some(first) => *first == 0x10,
            };
            if is_full && !is_real_time {
                lost = lost.saturating_add(1);
                continue;
            }
            self.pending.push(*byte);
            match parse(&self.pending) {
                Parsed::Incomplete => {}
                Parsed::Token(token, length) => {
                    self.pending.clear();
                    self.accept(token, length, out);
                    self.print(now_ms, out);
                }
                Parsed::Unknown(_) => {
                    let unknown = std::mem::take(&mut self.pending);
                    self.violate(format!("unknown bytes {}", hex::encode(unknown)), out);
                }
            }
        }
        if lost > 0 {
            self.violate(format!("{lost} bytes sent into a full buffer"), out);
        }
    }

    fn accept(&mut self, token: Token, length: usize, out: &mut Vec<Output>) {
        self.scan_data(&token, out);
        if let Some(rule) = self.lacks(&token) {
            self.violate(rule, out);
            return;
        }
        match token {
            Token::RealTimeStatus(n) => {
                out.push(Output::ToHost(vec![self.sensors.real_time(n)]));
            }
            Token::RealTimeRecover(n) => self.recover(n == 2),
            Token::RealTimeDrawer { pin, on_100ms } => {
                if self.is_online() {
                    self.kick_drawer(pin, u16::from(on_100ms).saturating_mul(100), out);
                }
            }
            queued => {
                self.queue.push_back((queued, length));
                self.queued_bytes = self.queued_bytes.saturating_add(length);
            }
        }
    }

    /// Printers look for requests in real time even within the data of a command.
    fn scan_data(&mut self, token: &Token, out: &mut Vec<Output>) {
        let within: Vec<[u8; 2]> = tokenizer::data(token)
            .windows(3)
            .filter_map(|window| match window {
                [0x10, kind @ 0x04, n @ 1..=4]
                | [0x10, kind @ 0x05, n @ 1..=2]
                | [0x10, kind @ 0x14, n @ 1] => Some([*kind, *n]),
                _ => None,
            })
            .collect();
        for [kind, n] in within {
            if kind == 0x04 {
                out.push(Output::ToHost(vec![self.sensors.real_time(n)]));
            }
            self.violate("real-time request within the data of a command", out);
        }
    }

    /// What this model does not have.
    fn lacks(&self, token: &Token) -> Option<&'static str> {
        match token {
            Token::ProcessId(_) if !self.config.has_process_id => {
                Some("process id sent to a model without")
            }
            Token::Cut {
                is_partial: false, ..
            } if !self.config.has_full_cut => Some("full cut sent to a model without"),
            _ => None,
        }
    }

    fn recover(&mut self, is_clearing: bool) {
        let has_error = self.sensors.has_cutter_error || self.sensors.has_mechanical_error;
        if !has_error || self.is_cutter_jammed || self.is_feed_jammed {
            return;
        }
        self.sensors.has_cutter_error = false;
        self.sensors.has_mechanical_error = false;
        if is_clearing {
            self.clear_buffers();
        }
    }

    fn clear_buffers(&mut self) {
        self.queue.clear();
        self.queued_bytes = 0;
        self.pending.clear();
        self.page.discard_line();
    }

    fn tear_off(&mut self, out: &mut Vec<Output>) {
        if self.page.has_paper() {
            out.push(Output::Paper(self.page.cut(0)));
        }
    }

    fn power_on(&mut self, out: &mut Vec<Output>) {
        self.is_on = true;
        self.is_stalled = false;
        self.clear_buffers();
        self.page.initialise();
        self.automatic_status = 0;
        self.busy_until_ms = 0;
        // The cutter is homed at power-on.
        self.sensors.has_cutter_error = self.is_cutter_jammed;
        self.sensors.has_mechanical_error = self.is_feed_jammed;
        self.sensors.forget_feed();
        // A printer that comes on-line after power-on says XON.
        self.is_paused = !self.is_online();
        if !self.is_paused {
            self.say_busy(false, out);
        }
    }

    fn print(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        while self.is_online() && !self.is_stalled && now_ms >= self.busy_until_ms {
            let Some((token, length)) = self.queue.pop_front() else {
                return;
            };
            if matches!(token, Token::Cut { .. }) && self.fails_to_cut() {
                self.queue.push_front((token, length));
                return;
            }
            self.queued_bytes = self.queued_bytes.saturating_sub(length);
            if self.execute(token, out) == Effect::Fed {
                self.busy_until_ms = now_ms.saturating_add(self.config.line_ms);
            }
        }
    }

    fn fails_to_cut(&mut self) -> bool {
        let fails = self.is_cutter_jammed && self.page.is_at_line_start();
        self.sensors.has_cutter_error |= fails;
        fails
    }

    fn execute(&mut self, token: Token, out: &mut Vec<Output>) -> Effect {
        match token {
            Token::Initialise => {
                self.page.initialise();
                self.automatic_status = 0;
            }
            Token::AutomaticStatus(items) => {
                self.automatic_status = items;
                self.reported.clear();
                self.report(out);
            }
            Token::TransmitPaper => {
                out.push(Output::ToHost(vec![self.sensors.paper_reply()]));
            }
            Token::TransmitDrawer => {
                out.push(Output::ToHost(vec![self.sensors.drawer_reply()]));
            }
            Token::Identify(n) => {
                out.push(Output::ToHost(status::identification(
                    n,
                    &self.config.model,
                )));
            }
            Token::ProcessId(id) => {
                out.push(Output::ToHost(
                    [&[0x37, 0x22], id.as_slice(), &[0]].concat(),
                ));
            }
            Token::Drawer { pin, on_2ms } => {
                self.kick_drawer(pin, u16::from(on_2ms).saturating_mul(2), out);
            }
            Token::Cut { feed_dots, .. } => {
                if self.page.is_at_line_start() {
                    out.push(Output::Paper(self.page.cut(feed_dots)));
                    return Effect::Fed;
                }
                self.violate("cut within a line", out);
            }
            printing => match self.page.execute(printing) {
                Ok(effect) => return effect,
                Err(rule) => self.violate(rule, out),
            },
        }
        Effect::None
    }

    fn report(&mut self, out: &mut Vec<Output>) {
        if self.automatic_status == 0 {
            return;
        }
        let watched = self.sensors.watched(self.automatic_status);
        if watched != self.reported {
            self.reported = watched;
            out.push(Output::ToHost(self.sensors.automatic().to_vec()));
        }
    }

    fn control_flow(&mut self, out: &mut Vec<Output>) {
        let free = self.free_bytes();
        let is_held = self.is_stalled || (self.config.is_busy_off_line && !self.is_online());
        if !self.is_paused && (free < self.config.xoff_free_bytes || is_held) {
            self.is_paused = true;
            self.say_busy(true, out);
        } else if self.is_paused && free >= self.config.xon_free_bytes && !is_held {
            self.is_paused = false;
            self.say_busy(false, out);
        }
    }

    fn say_busy(&self, is_busy: bool, out: &mut Vec<Output>) {
        match self.config.flow {
            Flow::XonXoff if is_busy => out.push(Output::ToHost(vec![status::XOFF])),
            Flow::XonXoff => out.push(Output::ToHost(vec![status::XON])),
            Flow::BusyLine => out.push(Output::Busy(is_busy)),
            Flow::None => {}
        }
    }
}

fn sensors(config: &PrinterConfig) -> Sensors {
    let mut sensors = Sensors::new(config.has_near_end_sensor, config.needs_feed_button);
    sensors.is_drawer_pin_high = !config.is_drawer_high_when_open;
    sensors
}

/// Bytes of a line that is not sure of its levels: no answer, a real-time answer, halves of
/// blocks and of identifications.
const NOISE: [u8; 16] = [
    0xff, 0x80, 0x12, 0xfe, 0x10, 0x00, 0xd5, 0x91, 0x5f, 0x41, 0xb0, 0x10, 0x90, 0x37, 0x22, 0xff,
];

const fn connector_pin(pin: u8) -> u8 {
    if pin == 0 { 2 } else { 5 }
}

#[cfg(test)]
mod tests;
