//! What the cashier asks for: start, cancel, tip, print, undo. PURE.

use protocol::id::{PosTransactionId, RequestId};
use protocol::money::Money;
use protocol::receipt::Copy;

use super::follow::{Stage, is_paid};
use super::requests::Purpose;
use super::{End, Mode, Output, Start, Till, Tone, words};
use crate::control::message::{Choice, Line};
use crate::machine::agent::Undone;

impl Till {
    /// Starts what was typed: one request, however often the key is pressed.
    pub(super) fn start_sale(&mut self, now_ms: u64, fresh: RequestId, out: &mut Vec<Output>) {
        let Some(currency) = self.currency else {
            self.begin_entry();
            return;
        };
        let amount = self.entry.digits.money(currency);
        if !amount.is_positive() {
            self.tell(Tone::Attention, "Type the amount first.");
        } else if self.start.is_some() {
            self.tell(Tone::Attention, words::START_STILL_OPEN);
        } else if !self.is_connected() || !self.is_online {
            self.tell(Tone::Bad, words::CANNOT_START);
        } else {
            let (kind, tip_prompt) = (self.entry.kind, self.entry.tip_prompt);
            let line = |id| Line::Sale {
                id,
                amount,
                kind,
                reference: None,
                tip_prompt,
                request_id: Some(fresh),
            };
            let line_id = self.requests.ask(Purpose::Start, line, out);
            self.start = Some(Start {
                line_id,
                amount,
                kind,
                since_ms: now_ms,
                is_cancel_wanted: false,
            });
            self.entry.digits = super::Digits::new();
            self.mode = Mode::Starting;
        }
    }

    /// Stops repeating a start that nobody has answered. It may have begun.
    pub(super) fn give_up_start(&mut self) {
        if let Some(start) = self.start.take() {
            self.requests.take(start.line_id);
            if matches!(self.mode, Mode::Starting) {
                self.mode = Mode::Ended(End::StartUnknown(start.amount));
            } else {
                let text = format!("Whether your sale of {} began is not known.", start.amount);
                self.tell(Tone::Unknown, text);
            }
        }
    }

    /// The engine is asked, and says who has won. Without a link the reader is stopped here and
    /// now, and the engine is asked as soon as it is back.
    pub(super) fn cancel(&mut self, fresh: RequestId, out: &mut Vec<Output>) {
        let Mode::Running(running) = &self.mode else {
            return;
        };
        let pos_id = running.pos_id;
        let may_stop_here = matches!(
            running.stage,
            Stage::SelectTip { .. } | Stage::PresentCard { .. } | Stage::Reader { .. }
        );
        self.ask_cancel(pos_id, false, fresh, out);
        if may_stop_here && !self.is_online {
            self.requests
                .ask(Purpose::CancelKey, |id| Line::CancelKey { id }, out);
        }
    }

    pub(super) fn ask_cancel(
        &mut self,
        pos_id: PosTransactionId,
        void_if_too_late: bool,
        fresh: RequestId,
        out: &mut Vec<Output>,
    ) {
        if self.is_asked(|purpose| purpose == Purpose::Cancel(pos_id)) {
            return;
        }
        let line = |id| Line::Cancel {
            id,
            pos_id: Some(pos_id),
            void_if_too_late,
            request_id: Some(fresh),
        };
        self.requests.ask(Purpose::Cancel(pos_id), line, out);
    }

    /// A key of the tip prompt; pressed twice it is one choice.
    pub(super) fn choose_tip(&mut self, choice: Choice, out: &mut Vec<Output>) {
        let Mode::Running(running) = &self.mode else {
            return;
        };
        let pos_id = running.pos_id;
        if self.is_asked(|purpose| purpose == Purpose::ChooseTip(pos_id)) {
            return;
        }
        let line = |id| Line::ChooseTip { id, choice };
        self.requests.ask(Purpose::ChooseTip(pos_id), line, out);
    }

    pub(super) fn print(
        &mut self,
        pos_id: PosTransactionId,
        copy: Copy,
        fresh: RequestId,
        out: &mut Vec<Output>,
    ) {
        if self.is_asked(|purpose| purpose == Purpose::Print(pos_id, copy)) {
            return;
        }
        let line = |id| Line::Print {
            id,
            pos_id,
            copy,
            request_id: Some(fresh),
        };
        self.requests.ask(Purpose::Print(pos_id, copy), line, out);
        self.tell(Tone::Busy, "Receipt asked for …");
    }

    pub(super) fn adjust_tip(
        &mut self,
        pos_id: PosTransactionId,
        tip: Money,
        fresh: RequestId,
        out: &mut Vec<Output>,
    ) {
        let line = |id| Line::Tip {
            id,
            pos_id,
            tip,
            request_id: Some(fresh),
        };
        self.requests.ask(Purpose::Tip(pos_id, tip), line, out);
        self.tell(Tone::Busy, "New tip asked for …");
        self.mode = Mode::Sale(pos_id);
    }

    pub(super) fn void(
        &mut self,
        pos_id: PosTransactionId,
        fresh: RequestId,
        out: &mut Vec<Output>,
    ) {
        self.mode = Mode::Sale(pos_id);
        let sale = self.sale_of(pos_id);
        let transaction = sale.and_then(|sale| sale.concluded.transaction_id);
        let Some(transaction_id) = transaction.filter(|_| self.may_change(pos_id)) else {
            return;
        };
        let line = |id| Line::Void {
            id,
            transaction_id,
            request_id: Some(fresh),
        };
        self.requests.ask(Purpose::Void(pos_id), line, out);
        self.tell(Tone::Busy, "Undo asked for …");
    }

    /// Whether something stands that can be undone or whose tip can be changed, and nothing of the
    /// kind is under way.
    pub(super) fn may_change(&self, pos_id: PosTransactionId) -> bool {
        let stands = self.sale_of(pos_id).is_some_and(|sale| {
            is_paid(&sale.concluded)
                && sale.undone == Undone::No
                && sale.concluded.transaction_id.is_some()
        });
        let is_changing = |purpose| match purpose {
            Purpose::Void(it) | Purpose::Tip(it, _) => it == pos_id,
            _ => false,
        };
        stands && !self.is_asked(is_changing)
    }
}
