//! A receipt printer's firmware as a pure machine.
//!
//! Bytes and the hands of a person come in, bytes and printed paper go out. The machine reads no
//! clock: `now_ms` is an argument and only paces printing. It has its own ESC/POS interpreter and
//! must never use the agent's encoder, or an error in one would hide in the other.

mod code_page;
mod font;
mod page;
mod paint;
mod status;
mod symbol;
mod text;
mod ticket;
mod tokenizer;

use std::collections::VecDeque;

use page::{Effect, Page};
pub use paint::render_png;
use status::Sensors;
pub use text::render_text;
pub use ticket::{Align, Barcode, Cell, Image, QrSymbol, Row, Ticket};
use tokenizer::{Parsed, Token, parse};

/// How the printer is built and set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrinterConfig {
    /// Columns in font A: 48 (576 dots) or 42 (504 dots) on 80 mm paper, 32 on 58 mm.
    pub columns: u16,
    /// Time for a line to be printed, in ms; 0 prints at once.
    pub line_ms: u64,
    /// Receive buffer in bytes.
    pub buffer_bytes: usize,
    /// XOFF when fewer bytes than this are free.
    pub xoff_free_bytes: usize,
    /// XON when at least this many bytes are free again.
    pub xon_free_bytes: usize,
    /// Whether XOFF is also sent for being off-line, a setting of real printers.
    pub is_busy_off_line: bool,
    /// Whether the roll has a near-end sensor.
    pub has_near_end_sensor: bool,
    /// International character set after power-on: 0 USA, 2 Germany, 3 United Kingdom.
    pub international_set: u8,
    /// Model name in the answer to `1D 49 43`.
    pub model: String,
}

impl Default for PrinterConfig {
    fn default() -> Self {
        Self {
            columns: 48,
            line_ms: 0,
            buffer_bytes: 4096,
            xoff_free_bytes: 128,
            xon_free_bytes: 256,
            is_busy_off_line: true,
            has_near_end_sensor: true,
            international_set: 0,
            model: "TM-T88V".into(),
        }
    }
}

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
    /// The head is too hot to print.
    HeadHot,
    /// The head has cooled down.
    HeadCool,
    /// Somebody tears the paper off without a cut.
    TearOff,
    /// The printer is switched off and on.
    PowerCycle,
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
    /// The drawer at this pin (2 or 5) got a pulse.
    DrawerKick(u8),
    /// The host broke a rule of the language; says which.
    Violation(String),
}

/// The printer.
#[derive(Debug, Clone)]
pub struct PrinterMachine {
    config: PrinterConfig,
    sensors: Sensors,
    is_cutter_jammed: bool,
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
            sensors: Sensors::new(config.has_near_end_sensor),
            config,
            is_cutter_jammed: false,
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
        !self.sensors.is_off_line()
    }

    /// When the next line is due, on the clock of `now_ms`.
    pub fn poll_deadline(&self) -> Option<u64> {
        (self.is_online() && !self.queue.is_empty()).then_some(self.busy_until_ms)
    }

    /// Takes in one input and appends what the printer does.
    pub fn handle(&mut self, now_ms: u64, input: Input<'_>, out: &mut Vec<Output>) {
        match input {
            Input::HostBytes(bytes) => self.receive(now_ms, bytes, out),
            Input::PaperOut => self.sensors.lose_paper(),
            Input::PaperNearEnd => self.sensors.thin_paper(),
            Input::PaperIn => self.sensors.load_paper(),
            Input::CoverOpen => self.sensors.is_cover_open = true,
            Input::CoverClose => self.sensors.is_cover_open = false,
            Input::CutterJam => self.is_cutter_jammed = true,
            Input::CutterClear => self.is_cutter_jammed = false,
            Input::HeadHot => self.sensors.is_head_hot = true,
            Input::HeadCool => self.sensors.is_head_hot = false,
            Input::TearOff => self.tear_off(out),
            Input::PowerCycle => self.power_cycle(out),
            Input::Deadline => {}
        }
        self.print(now_ms, out);
        self.report(out);
        self.control_flow(out);
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
        let within: Vec<u8> = tokenizer::data(&token)
            .windows(3)
            .filter_map(|window| match window {
                [0x10, 0x04, n @ 1..=4] => Some(*n),
                _ => None,
            })
            .collect();
        for n in within {
            out.push(Output::ToHost(vec![self.sensors.real_time(n)]));
            self.violate("real-time request within the data of a command", out);
        }
        match token {
            Token::RealTimeStatus(n) => {
                out.push(Output::ToHost(vec![self.sensors.real_time(n)]));
            }
            Token::RealTimeRecover(n) => self.recover(n == 2),
            Token::RealTimeDrawer { pin } => {
                if self.is_online() {
                    out.push(Output::DrawerKick(connector_pin(pin)));
                }
            }
            queued => {
                self.queue.push_back((queued, length));
                self.queued_bytes = self.queued_bytes.saturating_add(length);
            }
        }
    }

    fn recover(&mut self, is_clearing: bool) {
        if !self.sensors.has_cutter_error || self.is_cutter_jammed {
            return;
        }
        self.sensors.has_cutter_error = false;
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

    fn power_cycle(&mut self, out: &mut Vec<Output>) {
        self.clear_buffers();
        self.page.initialise();
        self.automatic_status = 0;
        self.busy_until_ms = 0;
        // The cutter is homed at power-on.
        self.sensors.has_cutter_error = self.is_cutter_jammed;
        // A printer that comes on-line after power-on says XON.
        self.is_paused = !self.is_online();
        if !self.is_paused {
            out.push(Output::ToHost(vec![status::XON]));
        }
    }

    fn print(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        while self.is_online() && now_ms >= self.busy_until_ms {
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
            Token::TransmitDrawer => out.push(Output::ToHost(vec![0])),
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
            Token::Drawer { pin } => out.push(Output::DrawerKick(connector_pin(pin))),
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
        let is_held = self.config.is_busy_off_line && !self.is_online();
        if !self.is_paused && (free < self.config.xoff_free_bytes || is_held) {
            self.is_paused = true;
            out.push(Output::ToHost(vec![status::XOFF]));
        } else if self.is_paused && free >= self.config.xon_free_bytes && !is_held {
            self.is_paused = false;
            out.push(Output::ToHost(vec![status::XON]));
        }
    }
}

const fn connector_pin(pin: u8) -> u8 {
    if pin == 0 { 2 } else { 5 }
}

#[cfg(test)]
mod tests;
