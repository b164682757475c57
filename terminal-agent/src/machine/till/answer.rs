//! What the answers of the agent and the engine lead to. PURE.

use protocol::id::RequestId;
use protocol::money::Money;

use super::requests::{Owed, Purpose};
use super::{End, Mode, Output, Till, Tone, words};
use crate::control::message::{Answer, AnswerData, AnswerError};
use crate::machine::agent::{RecentSale, Undone};

/// Refusals of the agent that say only that this sending led to nothing. An earlier sending of the
/// same request may have.
const ONLY_NOW: [&str; 5] = [
    "ENGINE_UNREACHABLE",
    "TERMINAL_BUSY",
    "TOO_MANY_REQUESTS",
    "JOURNAL_FAULT",
    "OUTCOME_UNKNOWN",
];

impl Till {
    pub(super) fn answer(
        &mut self,
        now_ms: u64,
        fresh: RequestId,
        answer: Answer,
        out: &mut Vec<Output>,
    ) {
        let Some(id) = answer.id else {
            return;
        };
        let Some(owed) = self.requests.take(id) else {
            return;
        };
        match (answer.data, answer.error) {
            (Some(data), _) => self.done(now_ms, fresh, &owed, data, out),
            (None, Some(error)) => self.refused(now_ms, id, owed, &error),
            // What a newer agent may say: not an answer that settles anything.
            (None, None) => self.requests.keep(now_ms, id, owed),
        }
    }

    fn done(
        &mut self,
        now_ms: u64,
        fresh: RequestId,
        owed: &Owed,
        data: AnswerData,
        out: &mut Vec<Output>,
    ) {
        match (owed.purpose, data) {
            (Purpose::Status, AnswerData::Status { status, ports, .. }) => {
                self.ports = *ports;
                self.status_came(now_ms, *status, out);
            }
            (Purpose::Recent, AnswerData::Recent { sales }) => self.recent_came(now_ms, sales),
            (Purpose::Start, AnswerData::Started { pos_id, .. }) => {
                let Some(start) = self.start.take() else {
                    return;
                };
                self.started(pos_id, start.amount);
                if start.is_cancel_wanted {
                    self.ask_cancel(pos_id, false, fresh, out);
                }
            }
            (Purpose::Cancel(_), AnswerData::Canceled { verdict, .. }) => {
                let (tone, text) = words::verdict(&verdict);
                self.tell(tone, text);
                self.requests.ask_recent(out);
            }
            (Purpose::Print(..), AnswerData::PrintQueued { .. }) => {
                self.tell(Tone::Neutral, "The receipt is being printed.");
            }
            (Purpose::Void(pos_id), AnswerData::Voided { is_final, .. }) => {
                let undone = if is_final {
                    Undone::Yes
                } else {
                    Undone::Pending
                };
                self.change_sale(pos_id, |sale| sale.undone = undone);
                self.tell(Tone::Neutral, words::undone(is_final));
                self.requests.ask_recent(out);
            }
            (Purpose::Tip(pos_id, tip), AnswerData::TipAdjusted { total, .. }) => {
                self.change_sale(pos_id, |sale| set_tip(sale, tip, total));
                self.tell(
                    Tone::Neutral,
                    format!("The tip is {tip}, the total {total}."),
                );
                self.requests.ask_recent(out);
            }
            _ => {}
        }
    }

    fn change_sale(
        &mut self,
        pos_id: protocol::id::PosTransactionId,
        change: impl FnOnce(&mut RecentSale),
    ) {
        let sale = self
            .recent
            .iter_mut()
            .map(|(_, sale)| sale)
            .find(|sale| sale.concluded.pos_id == pos_id);
        if let Some(sale) = sale {
            change(sale);
        }
    }

    fn refused(&mut self, now_ms: u64, id: u64, owed: Owed, error: &AnswerError) {
        let is_settled = owed.sends <= 1 || !ONLY_NOW.contains(&error.code.as_str());
        let why = words::refusal(&error.code, &error.message);
        match owed.purpose {
            Purpose::Watch | Purpose::Status | Purpose::Recent | Purpose::CancelKey => {}
            Purpose::Start if error.code == "OUTCOME_UNKNOWN" => self.give_up_start(),
            Purpose::Start if is_settled => self.not_started(why),
            // What an engine that is away has not heard, it will hear.
            Purpose::Cancel(_) if error.code == "ENGINE_UNREACHABLE" => {
                self.requests.keep(now_ms, id, owed);
            }
            _ if !is_settled => {
                self.requests.keep(now_ms, id, owed);
                self.tell(Tone::Attention, format!("Asking again: {why}"));
            }
            Purpose::Start
            | Purpose::Cancel(_)
            | Purpose::ChooseTip(_)
            | Purpose::Print(..)
            | Purpose::Void(_)
            | Purpose::Tip(..) => self.tell(Tone::Bad, why),
        }
    }

    fn not_started(&mut self, why: String) {
        let Some(start) = self.start.take() else {
            return;
        };
        if matches!(self.mode, Mode::Starting) {
            self.mode = Mode::Ended(End::NotStarted {
                amount: start.amount,
                why,
            });
        } else {
            let text = format!("Your sale of {} was not started: {why}", start.amount);
            self.tell(Tone::Bad, text);
        }
    }
}

fn set_tip(sale: &mut RecentSale, tip: Money, total: Money) {
    sale.concluded.tip = tip.is_positive().then_some(tip);
    sale.concluded.amount = total;
}
