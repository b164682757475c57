//! Carries out an action that a key or a word has chosen. PURE.

use protocol::id::{PosTransactionId, RequestId};
use protocol::link::PosKind;
use protocol::money::Money;

use super::amount::Digits;
use super::follow::Stage;
use super::{Action, End, Mode, Output, Till, Tone};
use crate::control::message::Choice as TipChoice;

impl Till {
    pub(super) fn act(
        &mut self,
        now_ms: u64,
        fresh: RequestId,
        action: Action,
        out: &mut Vec<Output>,
    ) {
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

    pub(super) fn set_tip_typed(&mut self, digits: Option<Digits>) {
        if let Mode::Running(running) = &mut self.mode
            && let Stage::SelectTip { typed, .. } = &mut running.stage
        {
            *typed = digits;
        }
    }

    pub(super) fn confirm(&mut self, fresh: RequestId, out: &mut Vec<Output>) {
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
    pub(super) fn same_again(&mut self) {
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
    pub(super) fn shown_sale(&self) -> Option<PosTransactionId> {
        match &self.mode {
            Mode::Sale(pos_id) => Some(*pos_id),
            Mode::Ended(end) => end.pos_id(),
            _ => None,
        }
    }

    pub(super) fn back(&mut self, _now_ms: u64) {
        match &self.mode {
            Mode::Sale(_) => self.mode = Mode::Sales,
            Mode::Tip(pos_id, _) | Mode::ConfirmVoid(pos_id) => self.mode = Mode::Sale(*pos_id),
            Mode::Running(_) => self.set_tip_typed(None),
            _ => self.begin_entry(),
        }
    }
}
