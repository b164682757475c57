//! What a key or a typed line means, by the list of what can be done now. PURE.

use protocol::id::RequestId;
use protocol::money::{Currency, Money};

use super::amount::{self, Digits};
use super::follow::Stage;
use super::{Action, ActionItem, Key, Mode, Output, Till, Tone, words};

impl Till {
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

    pub(super) fn typing_currency(&self) -> Option<Currency> {
        match &self.mode {
            Mode::Tip(pos_id, _) => self
                .sale_of(*pos_id)
                .map(|sale| sale.concluded.amount.currency()),
            Mode::Running(running) => running.amount.map(Money::currency),
            _ => self.currency,
        }
    }
}
