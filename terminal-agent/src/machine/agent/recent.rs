//! The last POS transactions that ended at this till, for the cashier's list. PURE.
//!
//! In memory only: the list begins anew with every start of the agent. The engine has them all.

use std::collections::VecDeque;

use protocol::id::RequestId;
use protocol::link::{AnswerBody, Concluded, TillRequest};
use protocol::money::Money;
use serde::{Deserialize, Serialize};

use super::Agent;

/// How many are remembered. Arbitrary, bounded: what a cashier may look back at.
const RECENT_MAX: usize = 20;

/// Whether an approval was undone from this till.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undone {
    /// Not from here.
    #[default]
    No,
    /// The engine has taken it and repeats it until the acquirer answers.
    Pending,
    /// The acquirer has acknowledged it.
    Yes,
}

/// One that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentSale {
    /// How, and what stands: with later changes of the tip from this till.
    #[serde(flatten)]
    pub concluded: Concluded,
    /// Whether it was undone from here afterwards.
    pub undone: Undone,
    /// Milliseconds since the engine's word came.
    pub age_ms: u64,
}

/// What this run of the agent has seen end, oldest first.
#[derive(Debug, Default)]
pub(super) struct Recent {
    sales: VecDeque<(u64, RecentSale)>,
}

impl Recent {
    fn note(&mut self, now_ms: u64, concluded: Concluded) {
        self.sales
            .retain(|(_, sale)| sale.concluded.pos_id != concluded.pos_id);
        let sale = RecentSale {
            concluded,
            undone: Undone::No,
            age_ms: 0,
        };
        self.sales.push_back((now_ms, sale));
        if self.sales.len() > RECENT_MAX {
            self.sales.pop_front();
        }
    }

    fn change(&mut self, is_meant: impl Fn(&Concluded) -> bool, change: impl Fn(&mut RecentSale)) {
        for (_, sale) in &mut self.sales {
            if is_meant(&sale.concluded) {
                change(sale);
            }
        }
    }
}

impl Agent {
    pub(super) fn note_concluded(&mut self, now_ms: u64, concluded: &Concluded) {
        self.recent.note(now_ms, concluded.clone());
    }

    /// The last ones, newest first.
    pub(super) fn recent(&self, now_ms: u64) -> Vec<RecentSale> {
        let aged = |(since_ms, sale): &(u64, RecentSale)| RecentSale {
            age_ms: now_ms.saturating_sub(*since_ms),
            ..sale.clone()
        };
        self.recent.sales.iter().rev().map(aged).collect()
    }

    /// A request of this till has changed what stands.
    pub(super) fn note_answer(&mut self, request_id: RequestId, body: &AnswerBody) {
        let Some(request) = self.journal.request(request_id).cloned() else {
            return;
        };
        match (request, body) {
            (TillRequest::TipAdjust { pos_id, tip }, AnswerBody::TipAdjusted { total, .. }) => {
                let set = |sale: &mut RecentSale| set_tip(sale, tip, *total);
                self.recent.change(|it| it.pos_id == pos_id, set);
            }
            (TillRequest::Void { transaction_id }, AnswerBody::Voided { is_final, .. }) => {
                let undone = if *is_final {
                    Undone::Yes
                } else {
                    Undone::Pending
                };
                let is_meant = |it: &Concluded| it.transaction_id == Some(transaction_id);
                self.recent.change(is_meant, |sale| sale.undone = undone);
            }
            (TillRequest::Cancel { pos_id, .. }, AnswerBody::Canceled { verdict })
                if verdict == "too_late_voided" =>
            {
                let set = |sale: &mut RecentSale| sale.undone = Undone::Yes;
                self.recent.change(|it| it.pos_id == pos_id, set);
            }
            _ => {}
        }
    }
}

fn set_tip(sale: &mut RecentSale, tip: Money, total: Money) {
    sale.concluded.tip = tip.is_positive().then_some(tip);
    sale.concluded.amount = total;
}

#[cfg(test)]
mod tests {
    use protocol::id::PosTransactionId;
    use protocol::link::PosStatus;
    use uuid::Uuid;

    use super::*;

    fn concluded(number: u128, status: PosStatus) -> Concluded {
        Concluded {
            pos_id: PosTransactionId::from_uuid(Uuid::from_u128(number)),
            status,
            reason: "approved".to_owned(),
            amount: Money::new(1_250, "USD".parse().unwrap()),
            tip: None,
            transaction_id: None,
            kind: None,
            advice: None,
        }
    }

    #[test]
    fn the_list_is_bounded_and_holds_each_sale_once_with_its_last_word() {
        let mut recent = Recent::default();
        recent.note(1, concluded(7, PosStatus::InDoubt));
        recent.note(2, concluded(7, PosStatus::Reversed));
        assert_eq!(recent.sales.len(), 1);
        assert_eq!(recent.sales[0].1.concluded.status, PosStatus::Reversed);
        for number in 100..150 {
            recent.note(3, concluded(number, PosStatus::Approved));
        }
        assert_eq!(recent.sales.len(), RECENT_MAX);
        let newest = recent.sales.back().unwrap();
        assert_eq!(newest.1.concluded, concluded(149, PosStatus::Approved));
    }
}
