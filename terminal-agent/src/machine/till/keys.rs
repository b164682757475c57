//! Which key does what, now: one list decides, and is what the screen shows. PURE.

use protocol::id::{PosTransactionId, RequestId};
use protocol::link::PosKind;
use protocol::money::{Currency, Money};
use protocol::receipt::Copy;

use super::amount::{self, Digits};
use super::follow::Stage;
use super::requests::Purpose;
use super::{End, Key, Mode, Output, Till, Tone, words};
use crate::control::message::Choice as TipChoice;
use crate::machine::agent::Undone;

/// How many rows of the list have a key.
pub(super) const ROWS_MAX: usize = 9;

/// Something that can be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Begins the sale that was typed.
    Start,
    /// Changes between sale and authorization.
    ToggleKind,
    /// Asks payers for a tip, or not.
    ToggleTipPrompt,
    /// Types amounts in this currency.
    Currency(Currency),
    /// Shows the last sales.
    Sales,
    /// Ends this program.
    Quit,
    /// Takes what was typed.
    Confirm,
    /// Empties what was typed.
    Clear,
    /// Cancels the sale.
    Cancel,
    /// Stops waiting for an answer.
    GiveUp,
    /// Chooses a tip of the prompt.
    Tip(usize),
    /// Chooses no tip.
    NoTip,
    /// Types a tip.
    OtherTip,
    /// Goes on to the next sale.
    Next,
    /// Types the same amount again.
    Again,
    /// Prints.
    Print(Copy),
    /// Changes the tip afterwards.
    AdjustTip,
    /// Undoes.
    Void,
    /// Really undoes.
    VoidYes,
    /// Opens a row of the list.
    Open(PosTransactionId),
    /// Goes back.
    Back,
}

/// An action with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionItem {
    /// Its key.
    pub key: Key,
    /// Its name in line mode.
    pub word: String,
    /// What it does, in a few words.
    pub label: String,
    /// The action.
    pub action: Action,
}

fn item(key: Key, word: &str, label: &str, action: Action) -> ActionItem {
    ActionItem {
        key,
        word: word.to_owned(),
        label: label.to_owned(),
        action,
    }
}

fn letter(key: char, word: &str, label: &str, action: Action) -> ActionItem {
    item(Key::Char(key), word, label, action)
}

/// The key of a numbered choice, counted from 0.
fn digit(index: usize) -> Key {
    let number = u32::try_from(index.saturating_add(1)).unwrap_or(u32::MAX);
    Key::Char(char::from_digit(number, 10).unwrap_or(' '))
}

impl Till {
    /// What can be done now. A key that is not here does nothing.
    pub fn actions(&self) -> Vec<ActionItem> {
        match &self.mode {
            Mode::Currency(_) => vec![
                item(Key::Enter, "ok", "take it", Action::Confirm),
                item(Key::Escape, "quit", "quit", Action::Quit),
            ],
            Mode::Entry => self.entry_actions(),
            Mode::Starting => vec![match &self.start {
                Some(start) if start.is_cancel_wanted => {
                    letter('g', "give-up", "give up waiting", Action::GiveUp)
                }
                _ => letter('c', "cancel", "cancel", Action::Cancel),
            }],
            Mode::Running(running) => self.running_actions(running.pos_id, &running.stage),
            Mode::Ended(end) => self.end_actions(end),
            Mode::Sales => {
                let mut items: Vec<_> = self
                    .recent
                    .iter()
                    .take(ROWS_MAX)
                    .enumerate()
                    .map(|(index, (_, sale))| {
                        let open = Action::Open(sale.concluded.pos_id);
                        item(digit(index), "", "open", open)
                    })
                    .collect();
                items.push(letter('b', "back", "back", Action::Back));
                items
            }
            Mode::Sale(pos_id) => {
                let mut items = self.sale_actions(*pos_id);
                items.push(letter('b', "back", "back", Action::Back));
                items
            }
            Mode::Tip(..) => vec![
                item(Key::Enter, "ok", "set this tip", Action::Confirm),
                item(Key::Escape, "back", "leave it", Action::Back),
            ],
            Mode::ConfirmVoid(_) => vec![
                letter('y', "yes", "YES, undo it", Action::VoidYes),
                letter('n', "no", "no, leave it", Action::Back),
            ],
        }
    }

    fn entry_actions(&self) -> Vec<ActionItem> {
        let kind = match self.entry.kind {
            PosKind::Sale => "reserve only",
            PosKind::Authorization => "charge at once",
        };
        let tip = if self.entry.tip_prompt {
            "do not ask for a tip"
        } else {
            "ask for a tip"
        };
        let mut items = vec![
            item(Key::Enter, "start", "start", Action::Start),
            item(Key::Escape, "clear", "clear", Action::Clear),
            letter('a', "authorization", kind, Action::ToggleKind),
            letter('t', "tip", tip, Action::ToggleTipPrompt),
        ];
        if let Some(other) = self.other_currency() {
            let label = format!("type {other}");
            items.push(letter('x', "currency", &label, Action::Currency(other)));
        }
        items.push(letter('l', "sales", "last sales", Action::Sales));
        items.push(letter('q', "quit", "quit", Action::Quit));
        items
    }

    /// The next of the merchant's currencies, where there is another than the one that is typed.
    fn other_currency(&self) -> Option<Currency> {
        let offered = &self.status.as_ref()?.currencies;
        let place = offered.iter().position(|it| Some(*it) == self.currency);
        let mut from_next = offered.iter().cycle();
        let next = match place {
            Some(place) => from_next.nth(place.saturating_add(1)),
            None => from_next.next(),
        };
        next.copied().filter(|next| Some(*next) != self.currency)
    }

    fn running_actions(&self, pos_id: PosTransactionId, stage: &Stage) -> Vec<ActionItem> {
        let mut items = Vec::new();
        if let Stage::SelectTip {
            options,
            custom,
            typed,
            ..
        } = stage
        {
            if typed.is_some() {
                items.push(item(Key::Enter, "ok", "take this tip", Action::Confirm));
                items.push(item(Key::Escape, "back", "back", Action::Back));
                return items;
            }
            for (index, option) in options.iter().take(ROWS_MAX).enumerate() {
                let label = format!("{} {}", words::percent(option.basis_points), option.tip);
                items.push(item(digit(index), "", &label, Action::Tip(index)));
            }
            items.push(letter('0', "none", "no tip", Action::NoTip));
            if *custom {
                items.push(letter('o', "other", "another tip", Action::OtherTip));
            }
        }
        if !self.is_asked(|purpose| purpose == Purpose::Cancel(pos_id)) {
            items.push(letter('c', "cancel", "cancel", Action::Cancel));
        }
        items
    }

    fn end_actions(&self, end: &End) -> Vec<ActionItem> {
        let mut items = vec![item(Key::Enter, "next", "next sale", Action::Next)];
        match end {
            End::Concluded(concluded) => {
                items.append(&mut self.sale_actions(concluded.pos_id));
                if words::is_surely_unpaid(concluded.status) {
                    items.push(letter('r', "again", "same amount again", Action::Again));
                }
            }
            End::NotStarted { .. } | End::Closed(_, Some(_)) => {
                items.push(letter('r', "again", "same amount again", Action::Again));
            }
            End::Closed(_, None) | End::StartUnknown(_) | End::Lost(..) => {}
        }
        items.push(letter('l', "sales", "last sales", Action::Sales));
        items
    }

    fn sale_actions(&self, pos_id: PosTransactionId) -> Vec<ActionItem> {
        let mut items = vec![];
        let Some(sale) = self.sale_of(pos_id) else {
            return items;
        };
        if sale.concluded.transaction_id.is_some() || sale.undone != Undone::No {
            let customer = Action::Print(Copy::Customer);
            items.push(letter('p', "print", "receipt", customer));
            let merchant = Action::Print(Copy::Merchant);
            items.push(letter('m', "merchant", "merchant copy", merchant));
        }
        if self.may_change(pos_id) {
            items.push(letter('t', "tip", "change the tip", Action::AdjustTip));
            items.push(letter('v', "void", "undo (void)", Action::Void));
        }
        items
    }

    pub(super) fn key(&mut self, now_ms: u64, fresh: RequestId, key: Key, out: &mut Vec<Output>) {
        if self.type_key(key) {
            self.notice = None;
            return;
        }
        let key = match key {
            Key::Char(letter) => Key::Char(letter.to_ascii_lowercase()),
            other => other,
        };
        let found = self
            .actions()
            .into_iter()
            .find(|item| item.key == key)
            .map(|item| item.action);
        // Escape means "away from here" wherever it has no meaning of its own.
        let found = found.or_else(|| {
            let is_away = |item: &ActionItem| {
                matches!(item.action, Action::Back | Action::Cancel | Action::GiveUp)
            };
            let away = self.actions().into_iter().find(is_away);
            away.filter(|_| key == Key::Escape).map(|item| item.action)
        });
        if let Some(action) = found {
            self.act(now_ms, fresh, action, out);
        }
    }

    /// A key that types; false for all others.
    fn type_key(&mut self, key: Key) -> bool {
        if let Mode::Currency(letters) = &mut self.mode {
            match key {
                Key::Char(letter) if letter.is_ascii_alphabetic() && letters.len() < 3 => {
                    letters.push(letter.to_ascii_uppercase());
                }
                Key::Backspace => drop(letters.pop()),
                _ => return false,
            }
            return true;
        }
        let Some(digits) = self.digits() else {
            return false;
        };
        match key {
            Key::Char(digit) if digit.is_ascii_digit() => drop(digits.push(digit)),
            Key::Backspace => digits.pop(),
            _ => return false,
        }
        true
    }

    /// Where digits go now.
    fn digits(&mut self) -> Option<&mut Digits> {
        match &mut self.mode {
            Mode::Entry => Some(&mut self.entry.digits),
            Mode::Tip(_, digits) => Some(digits),
            Mode::Running(running) => match &mut running.stage {
                Stage::SelectTip { typed, .. } => typed.as_mut(),
                _ => None,
            },
            _ => None,
        }
    }

    /// A line of line mode: nothing for Enter, an amount, a key, or the name of an action.
    pub(super) fn typed(
        &mut self,
        now_ms: u64,
        fresh: RequestId,
        line: &str,
        out: &mut Vec<Output>,
    ) {
        let line = line.trim();
        self.notice = None;
        if line.is_empty() {
            return self.key(now_ms, fresh, Key::Enter, out);
        }
        if matches!(self.mode, Mode::Currency(_)) && line.len() == 3 {
            self.mode = Mode::Currency(line.chars().take(3).collect());
            return self.act(now_ms, fresh, Action::Confirm, out);
        }
        let is_number = line.starts_with(|c: char| c.is_ascii_digit());
        if let Some(currency) = self.typing_currency()
            && is_number
            && let Some(digits) = self.digits()
        {
            match amount::parse(line, currency) {
                Some(parsed) => *digits = parsed,
                None => self.tell(Tone::Attention, words::bad_amount(currency)),
            }
            return;
        }
        let wanted = line.to_ascii_lowercase();
        let by_word = self
            .actions()
            .into_iter()
            .find(|item| !item.word.is_empty() && item.word == wanted);
        let mut letters = line.chars();
        match (by_word, letters.next(), letters.next()) {
            (Some(item), ..) => self.act(now_ms, fresh, item.action, out),
            (None, Some(letter), None) => self.key(now_ms, fresh, Key::Char(letter), out),
            _ => self.tell(Tone::Attention, "Not understood. Type one of the choices."),
        }
    }

    fn typing_currency(&self) -> Option<Currency> {
        match &self.mode {
            Mode::Tip(pos_id, _) => self
                .sale_of(*pos_id)
                .map(|sale| sale.concluded.amount.currency()),
            Mode::Running(running) => running.amount.map(Money::currency),
            _ => self.currency,
        }
    }

    fn act(&mut self, now_ms: u64, fresh: RequestId, action: Action, out: &mut Vec<Output>) {
        self.notice = None;
        match action {
            Action::Start => self.start_sale(now_ms, fresh, out),
            // The same digits would be another amount.
            Action::Currency(currency) => {
                self.currency = Some(currency);
                self.entry.digits = Digits::new();
            }
            Action::ToggleKind => {
                self.entry.kind = match self.entry.kind {
                    PosKind::Sale => PosKind::Authorization,
                    PosKind::Authorization => PosKind::Sale,
                };
            }
            Action::ToggleTipPrompt => self.entry.tip_prompt = !self.entry.tip_prompt,
            Action::Sales => {
                self.requests.ask_recent(out);
                self.mode = Mode::Sales;
            }
            Action::Quit => out.push(Output::Quit),
            Action::Confirm => self.confirm(fresh, out),
            Action::Clear => self.entry.digits = Digits::new(),
            Action::Cancel => match &mut self.start {
                Some(start) if matches!(self.mode, Mode::Starting) => {
                    start.is_cancel_wanted = true;
                }
                _ => self.cancel(fresh, out),
            },
            Action::GiveUp => self.give_up_start(),
            Action::Tip(index) => self.choose_tip(TipChoice::Option(index), out),
            Action::NoTip => self.choose_tip(TipChoice::None, out),
            Action::OtherTip => self.set_tip_typed(Some(Digits::new())),
            Action::Next => self.begin_entry(),
            Action::Again => self.same_again(),
            Action::Print(copy) => {
                if let Some(pos_id) = self.shown_sale() {
                    self.print(pos_id, copy, fresh, out);
                }
            }
            Action::AdjustTip => {
                if let Some(pos_id) = self.shown_sale() {
                    self.mode = Mode::Tip(pos_id, Digits::new());
                }
            }
            Action::Void => {
                if let Some(pos_id) = self.shown_sale() {
                    self.mode = Mode::ConfirmVoid(pos_id);
                }
            }
            Action::VoidYes => {
                if let Mode::ConfirmVoid(pos_id) = self.mode {
                    self.void(pos_id, fresh, out);
                }
            }
            Action::Open(pos_id) => self.mode = Mode::Sale(pos_id),
            Action::Back => self.back(now_ms),
        }
    }

    fn set_tip_typed(&mut self, digits: Option<Digits>) {
        if let Mode::Running(running) = &mut self.mode
            && let Stage::SelectTip { typed, .. } = &mut running.stage
        {
            *typed = digits;
        }
    }

    fn confirm(&mut self, fresh: RequestId, out: &mut Vec<Output>) {
        match self.mode.clone() {
            Mode::Currency(letters) => match letters.to_ascii_uppercase().parse() {
                Ok(currency) => {
                    self.currency = Some(currency);
                    self.mode = Mode::Entry;
                }
                Err(_) => {
                    self.mode = Mode::Currency(String::new());
                    self.tell(Tone::Attention, "No such currency. Three letters, as USD.");
                }
            },
            Mode::Tip(pos_id, digits) => {
                let currency = self.typing_currency();
                if let Some(currency) = currency.filter(|_| self.may_change(pos_id)) {
                    self.adjust_tip(pos_id, digits.money(currency), fresh, out);
                } else {
                    self.mode = Mode::Sale(pos_id);
                }
            }
            Mode::Running(running) => {
                if let Stage::SelectTip { typed, .. } = running.stage
                    && let Some(currency) = running.amount.map(Money::currency)
                {
                    let tip = typed.unwrap_or_default().money(currency);
                    self.choose_tip(TipChoice::Amount(tip), out);
                }
            }
            _ => {}
        }
    }

    /// Types the amount of what was not paid, and leaves the start to the cashier.
    fn same_again(&mut self) {
        let Mode::Ended(end) = &self.mode else {
            return;
        };
        let amount = match end {
            // Without the tip: the payer is asked again.
            End::Concluded(concluded) => concluded
                .tip
                .and_then(|tip| concluded.amount.minus(tip).ok())
                .or(Some(concluded.amount)),
            End::NotStarted { amount, .. } => Some(*amount),
            End::Closed(_, amount) => *amount,
            End::StartUnknown(_) | End::Lost(..) => None,
        };
        self.begin_entry();
        if let Some(amount) = amount {
            self.currency = Some(amount.currency());
            self.mode = Mode::Entry;
            self.entry.digits = Digits::of(amount);
        }
    }

    /// The sale that print, tip and undo are about.
    fn shown_sale(&self) -> Option<PosTransactionId> {
        match &self.mode {
            Mode::Sale(pos_id) => Some(*pos_id),
            Mode::Ended(end) => end.pos_id(),
            _ => None,
        }
    }

    fn back(&mut self, _now_ms: u64) {
        match &self.mode {
            Mode::Sale(_) => self.mode = Mode::Sales,
            Mode::Tip(pos_id, _) | Mode::ConfirmVoid(pos_id) => self.mode = Mode::Sale(*pos_id),
            Mode::Running(_) => self.set_tip_typed(None),
            _ => self.begin_entry(),
        }
    }
}
