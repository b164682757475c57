//! The till screen: what the cashier may press, what is asked of the agent, and what is shown. PURE.
//!
//! It speaks only the lines of the control socket, and knows only what came over it. It touches no
//! money and no device: closing it stops nothing. APPROVED is shown for nothing but a conclusion of
//! the engine with status `approved`, passed on by the agent.
//!
//! # Requests
//! Whatever is asked of the engine carries a request id from the first press on. A request whose
//! answer has not come is repeated unchanged, also over a new connection, so that two presses, or
//! a press and a crash, are one request.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::float_arithmetic
    )
)]

mod act;
mod action;
mod alert;
mod amount;
mod answer;
mod follow;
mod keys;
mod requests;
mod sale;
mod scene;
#[cfg(test)]
mod tests;
mod view;
mod words;

pub use action::{Action, ActionItem};
pub use view::{Choice, Tone, View};
pub use words::advice as advice_words;

use std::collections::BTreeMap;

use protocol::id::{PosTransactionId, RequestId};
use protocol::link::{Concluded, PosKind};
use protocol::money::{Currency, Money};

use crate::control::message::{Heard, Line, PortsHealth, WatchEvent};
use crate::device::fault::PortState;
use crate::machine::agent::{AgentStatus, RecentSale};
use amount::Digits;
use follow::Running;
use requests::Requests;

/// How often the agent is asked how it is.
const STATUS_EVERY_MS: u64 = 1_000;
/// After how long without an answer the agent counts as silent. It answers within milliseconds.
const SILENT_AFTER_MS: u64 = 5_000;
/// How many conclusions are remembered, so that a late answer finds its end. Arbitrary, bounded.
const ENDS_MAX: usize = 32;
/// How long a start is repeated: as long as the agent takes an offer for it. A sale that began
/// later would find another customer at the reader.
const START_MS_MAX: u64 = 60_000;

/// What the till needs to know from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TillConfig {
    /// The currency of amounts that are typed; if absent the engine's word for the usual one, or
    /// that of the first sale, or asked for.
    pub currency: Option<Currency>,
    /// Whether payers are asked for a tip until somebody switches it off.
    pub tip_prompt: bool,
}

/// A key on the cashier's keyboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A printable character.
    Char(char),
    /// Enter.
    Enter,
    /// Backspace or delete.
    Backspace,
    /// Escape.
    Escape,
}

/// Why there is no connection to the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// Nobody listens.
    NotRunning,
    /// This user may not open the socket.
    Forbidden,
}

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The control socket is open.
    Connected,
    /// It is closed, or cannot be opened.
    Absent(Absence),
    /// The agent said this.
    Heard(Box<Heard>),
    /// A key.
    Key(Key),
    /// A whole line, in line mode.
    Typed(String),
    /// Time has passed.
    Tick,
}

/// What the shell has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Sends a line to the agent.
    Say(Line),
    /// Ends the screen; nothing else stops because of it.
    Quit,
}

/// Something to tell the cashier beside the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    text: String,
    tone: Tone,
}

/// What the cashier types a sale into.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    digits: Digits,
    kind: PosKind,
    tip_prompt: bool,
}

/// A sale that was asked for and is not answered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Start {
    line_id: u64,
    amount: Money,
    kind: PosKind,
    since_ms: u64,
    /// The cashier has asked for a cancel before there was anything to cancel.
    is_cancel_wanted: bool,
}

/// How something ended, as far as this screen knows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// The engine's word.
    Concluded(Concluded),
    /// The engine knows nothing of the attempt any more.
    Closed(PosTransactionId, Option<Money>),
    /// It did not begin.
    NotStarted { amount: Money, why: String },
    /// It was asked for, and nobody has said whether it began.
    StartUnknown(Money),
    /// It ran here, and its end was not heard.
    Lost(PosTransactionId, Option<Money>),
}

impl End {
    const fn pos_id(&self) -> Option<PosTransactionId> {
        match self {
            Self::Concluded(concluded) => Some(concluded.pos_id),
            Self::Closed(pos_id, _) | Self::Lost(pos_id, _) => Some(*pos_id),
            Self::NotStarted { .. } | Self::StartUnknown(_) => None,
        }
    }
}

/// What the screen is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mode {
    /// Asks for the currency.
    Currency(String),
    /// Takes an amount.
    Entry,
    /// Waits for the engine to start `start`.
    Starting,
    /// Follows a sale.
    Running(Running),
    /// Shows an end.
    Ended(End),
    /// Lists the last sales.
    Sales,
    /// Shows one of them.
    Sale(PosTransactionId),
    /// Takes a new tip for one of them.
    Tip(PosTransactionId, Digits),
    /// Asks whether one of them is really to be undone.
    ConfirmVoid(PosTransactionId),
}

/// How the agent is, as far as this screen knows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Contact {
    /// No connection, and why.
    None(Absence),
    /// Connected.
    Open { since_ms: u64 },
}

/// The machine.
#[derive(Debug)]
pub struct Till {
    currency: Option<Currency>,
    contact: Contact,
    status: Option<AgentStatus>,
    status_ms: u64,
    /// As the last status has them.
    ports: PortsHealth,
    is_online: bool,
    out_of_order: Option<String>,
    entry: Entry,
    start: Option<Start>,
    mode: Mode,
    requests: Requests,
    /// Newest first, with the time at which their age was true.
    recent: Vec<(u64, RecentSale)>,
    ends: BTreeMap<PosTransactionId, Concluded>,
    notice: Option<Notice>,
}

impl Till {
    /// Before anything was heard.
    pub const fn new(config: TillConfig) -> Self {
        Self {
            currency: config.currency,
            contact: Contact::None(Absence::NotRunning),
            status: None,
            status_ms: 0,
            ports: PortsHealth {
                reader: PortState::Starting,
                printer: None,
            },
            is_online: false,
            out_of_order: None,
            entry: Entry {
                digits: Digits::new(),
                kind: PosKind::Sale,
                tip_prompt: config.tip_prompt,
            },
            start: None,
            mode: match config.currency {
                Some(_) => Mode::Entry,
                None => Mode::Currency(String::new()),
            },
            requests: Requests::new(),
            recent: Vec::new(),
            ends: BTreeMap::new(),
            notice: None,
        }
    }

    /// Takes one input. `now_ms` is monotonic; `fresh` names a request if the input leads to one.
    pub fn handle(&mut self, now_ms: u64, fresh: RequestId, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Connected => self.connected(now_ms, out),
            Input::Absent(absence) => self.absent(absence),
            Input::Heard(heard) => match *heard {
                Heard::Event(WatchEvent::Screen { data }) => {
                    self.screen(now_ms, data, false);
                    self.ask_recent_after_end(out);
                }
                Heard::Event(WatchEvent::Link { is_online }) => self.is_online = is_online,
                Heard::Event(WatchEvent::Configured { idle_text, .. }) => {
                    if let Some(status) = &mut self.status {
                        status.idle_text = idle_text;
                    }
                }
                // What it means for the till is in the status that is asked for.
                Heard::Event(WatchEvent::Port { .. }) => {}
                Heard::Answer(answer) => self.answer(now_ms, fresh, answer, out),
            },
            Input::Key(key) => self.key(now_ms, fresh, key, out),
            Input::Typed(line) => self.typed(now_ms, fresh, &line, out),
            Input::Tick => self.tick(now_ms, out),
        }
    }

    fn connected(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        self.contact = Contact::Open { since_ms: now_ms };
        self.status_ms = now_ms;
        self.requests.reconnect(now_ms, out);
    }

    /// What was shown is not known to be true any more.
    fn absent(&mut self, absence: Absence) {
        self.contact = Contact::None(absence);
        self.status = None;
        self.ports = PortsHealth::default();
        self.is_online = false;
        self.out_of_order = None;
        self.requests.disconnect();
        if let Mode::Running(running) = &mut self.mode {
            running.lose_sight();
        }
    }

    const fn is_connected(&self) -> bool {
        matches!(self.contact, Contact::Open { .. })
    }

    fn tick(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        let is_stale = |start: &Start| now_ms.saturating_sub(start.since_ms) >= START_MS_MAX;
        if self.start.as_ref().is_some_and(is_stale) {
            self.give_up_start();
        }
        if !self.is_connected() {
            return;
        }
        self.requests.repeat_due(now_ms, out);
        if now_ms.saturating_sub(self.status_ms) >= STATUS_EVERY_MS
            && !self.requests.is_status_owed()
        {
            self.status_ms = now_ms;
            self.requests.ask_status(now_ms, out);
        }
    }

    /// Whether the agent is connected and says nothing.
    fn is_silent(&self, now_ms: u64) -> bool {
        let Contact::Open { since_ms } = self.contact else {
            return false;
        };
        self.requests.is_status_owed()
            && now_ms.saturating_sub(self.status_ms.max(since_ms)) >= SILENT_AFTER_MS
    }

    fn tell(&mut self, tone: Tone, text: impl Into<String>) {
        self.notice = Some(Notice {
            text: text.into(),
            tone,
        });
    }

    /// An empty amount, or the question for the currency.
    fn begin_entry(&mut self) {
        self.entry.digits = Digits::new();
        self.mode = if self.currency.is_some() {
            Mode::Entry
        } else {
            Mode::Currency(String::new())
        };
    }

    fn learn_currency(&mut self, currency: Currency) {
        if self.currency.is_none() {
            self.currency = Some(currency);
            if matches!(self.mode, Mode::Currency(_)) {
                self.mode = Mode::Entry;
            }
        }
    }

    fn sale_of(&self, pos_id: PosTransactionId) -> Option<&RecentSale> {
        self.recent
            .iter()
            .map(|(_, sale)| sale)
            .find(|sale| sale.concluded.pos_id == pos_id)
    }
}
