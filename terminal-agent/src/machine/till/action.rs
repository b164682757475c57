//! What can be done now, and with which key: one list decides, and is what the screen shows. PURE.

use protocol::id::PosTransactionId;
use protocol::link::PosKind;
use protocol::money::Currency;
use protocol::receipt::Copy;

use super::follow::Stage;
use super::requests::Purpose;
use super::{End, Key, Mode, Till, words};
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

    pub(super) fn entry_actions(&self) -> Vec<ActionItem> {
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

    pub(super) fn running_actions(
        &self,
        pos_id: PosTransactionId,
        stage: &Stage,
    ) -> Vec<ActionItem> {
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

    pub(super) fn end_actions(&self, end: &End) -> Vec<ActionItem> {
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

    pub(super) fn sale_actions(&self, pos_id: PosTransactionId) -> Vec<ActionItem> {
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
}
