//! A receipt printer's firmware as a pure machine.
//!
//! Bytes and the hands of a person come in, bytes and printed paper go out. The machine reads no
//! clock: `now_ms` is an argument and only paces printing. It has its own ESC/POS interpreter and
//! must never use the agent's encoder, or an error in one would hide in the other.

mod code_page;
mod execution;
mod font;
mod message;
mod page;
mod paint;
mod reception;
mod settings;
mod status;
mod symbol;
mod text;
mod ticket;
mod tokenizer;

use std::collections::VecDeque;

pub use message::{Input, Output};
use page::Page;
pub use paint::render_png;
pub use settings::{Flow, PrinterConfig, SETTINGS, SettingError};
use status::Sensors;
pub use text::render_text;
pub use ticket::{Align, Barcode, Cell, Image, QrSymbol, Row, Ticket};
use tokenizer::Token;

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
