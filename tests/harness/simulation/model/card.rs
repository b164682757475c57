//! Cards: granted, read, charged; and what is asked of the acquirer afterwards.

use std::collections::BTreeMap;

use engine::acquirer::{AcquirerAction, AcquirerRequest};
use engine::domain::transaction::Trace;
use protocol::id::{AttemptId, MerchantId, PosTransactionId, TerminalId, TransactionId};
use protocol::link::{CardReport, Grant};
use protocol::money::Money;

use super::Model;
use crate::simulation::checker::{Checked, fail};
use crate::simulation::history::History;

/// The limit that the documentation promises: 20 % of the sale.
const TIP_BPS_MAX: i64 = 2_000;

/// A card that a terminal may read.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) pos_id: PosTransactionId,
    pub(super) number: u32,
    amount: Money,
}

/// A card that a terminal has read.
#[derive(Debug)]
pub(super) struct Card {
    pos_id: PosTransactionId,
    attempt_id: AttemptId,
    amount: Money,
    charged_by: Option<TransactionId>,
}

/// Money that the acquirer was asked for.
#[derive(Debug)]
pub(super) struct Charge {
    pub(super) pos_id: PosTransactionId,
    pub(super) merchant_id: Option<MerchantId>,
    pub(super) told_revision: u32,
    terminal_id: TerminalId,
    trace: Trace,
    /// What was asked since, by the number of the first asking.
    asked: BTreeMap<u32, AcquirerAction>,
}

impl Model {
    /// A terminal is granted a card.
    ///
    /// # Errors
    /// `attempts_are_new`, `charged_as_asked`.
    pub fn granted(&mut self, grant: &Grant) -> Checked {
        if !self.is_asked_amount(grant.pos_id, grant.amount) {
            let what = format!("{} asks the card for {}", grant.pos_id, grant.amount);
            return fail("charged_as_asked", what);
        }
        let known = self.grants.entry(grant.attempt_id).or_insert(Granted {
            pos_id: grant.pos_id,
            number: grant.number,
            amount: grant.amount,
        });
        let is_same = known.pos_id == grant.pos_id
            && known.number == grant.number
            && known.amount == grant.amount;
        if is_same {
            Ok(())
        } else {
            let what = format!(
                "{} is granted again as number {}",
                grant.attempt_id, grant.number
            );
            fail("attempts_are_new", what)
        }
    }

    /// Every card is asked for the same: the amount asked for, with a tip that the terminal said.
    fn is_asked_amount(&mut self, pos_id: PosTransactionId, amount: Money) -> bool {
        let Some(asked) = self.asked_for(pos_id).map(|asked| asked.amount) else {
            return false;
        };
        let Some(sale) = self.sales.get_mut(&pos_id) else {
            return false;
        };
        let mut tips = sale.tips.iter();
        let is_possible = if sale.tips.is_empty() {
            amount == asked
        } else {
            tips.any(|tip| tip.map_or(Ok(asked), |tip| asked.plus(tip)) == Ok(amount))
        };
        is_possible && *sale.total.get_or_insert(amount) == amount
    }

    /// A terminal has read a card.
    pub fn read(&mut self, terminal_id: TerminalId, report: &CardReport) {
        let card = Card {
            pos_id: report.pos_id,
            attempt_id: report.attempt_id,
            amount: report.amount,
            charged_by: None,
        };
        self.cards
            .entry((terminal_id, report.data.clone()))
            .or_insert(card);
    }

    /// Something leaves for the acquirer.
    ///
    /// # Errors
    /// `only_read_cards_are_charged`, `traces_are_new`, `repeats_are_unchanged`,
    /// `tip_within_limit`.
    pub fn asks_acquirer(&mut self, request: &AcquirerRequest) -> Checked {
        match &request.action {
            AcquirerAction::Authorize { amount, card, .. } => {
                self.charges_card(request, *amount, card.bytes())
            }
            action => {
                if let AcquirerAction::Adjust { tip, .. } = action {
                    self.tip_within_limit(request.transaction_id, *tip)?;
                }
                self.asks_again(request)
            }
        }
    }

    /// Each card that was read for a granted attempt is charged at most once, as it was read.
    fn charges_card(&mut self, request: &AcquirerRequest, amount: Money, data: &[u8]) -> Checked {
        let rule = "only_read_cards_are_charged";
        let id = request.transaction_id;
        let key = (request.terminal_id, data.to_vec());
        let Some(card) = self.cards.get_mut(&key) else {
            return fail(rule, format!("{id} charges a card that nobody read"));
        };
        if *card.charged_by.get_or_insert(id) != id {
            return fail(
                rule,
                format!("{id} charges the card of {:?}", card.charged_by),
            );
        }
        let granted = self.grants.get(&card.attempt_id);
        let is_granted = granted
            .is_some_and(|granted| granted.amount == amount && granted.pos_id == card.pos_id);
        if !is_granted || card.amount != amount {
            return fail(rule, format!("{id} charges {amount} as nobody asked"));
        }
        if !self
            .traces
            .insert((request.terminal_id, request.trace.number))
        {
            let number = request.trace.number;
            return fail(
                "traces_are_new",
                format!("{id} has the trace number {number} again"),
            );
        }
        let charge = Charge {
            pos_id: card.pos_id,
            merchant_id: None,
            told_revision: 0,
            terminal_id: request.terminal_id,
            trace: request.trace,
            asked: BTreeMap::new(),
        };
        self.charges.insert(id, charge);
        Ok(())
    }

    /// A repeat is what was asked first, under the trace of the charge.
    fn asks_again(&mut self, request: &AcquirerRequest) -> Checked {
        let rule = "repeats_are_unchanged";
        let id = request.transaction_id;
        let Some(charge) = self.charges.get_mut(&id) else {
            // Committed by a process that ended before it was sent: undone to be sure.
            return Ok(());
        };
        if charge.trace != request.trace || charge.terminal_id != request.terminal_id {
            let number = request.trace.number;
            return fail(rule, format!("{id} is asked about under trace {number}"));
        }
        let last = charge.asked.values().next_back();
        // What a dead process decided and never sent is first seen as a repeat.
        if request.tries > 1 && last.is_some_and(|last| is_other_kind(last, &request.action)) {
            let what = format!("{id}: {:?} repeats {last:?}", request.action);
            return fail(rule, what);
        }
        charge
            .asked
            .insert(request.sending.number, request.action.clone());
        Ok(())
    }

    /// What restored engines have lost of charges.
    pub(super) fn charges_restored(&mut self, history: &History) {
        for (id, charge) in &mut self.charges {
            if self.lost.frees_transaction("answered_is_kept", *id) {
                let known = history.transactions.get(id);
                let revision = known.map_or(0, |known| known.revision);
                charge.told_revision = charge.told_revision.min(revision);
            }
            if self.lost.frees_transaction("repeats_are_unchanged", *id) {
                charge.asked.clear();
            }
        }
    }

    fn tip_within_limit(&self, id: TransactionId, tip: Money) -> Checked {
        let pos_id = self.charged_for(id);
        let base = pos_id.and_then(|pos_id| self.asked_for(pos_id));
        let limit = base.map_or(0, |asked| asked.amount.minor() * TIP_BPS_MAX / 10_000);
        if tip.minor() <= limit {
            Ok(())
        } else {
            fail("tip_within_limit", format!("{id} gets a tip of {tip}"))
        }
    }
}

/// Reversals are repeated as reversals, intents as intents.
fn is_other_kind(first: &AcquirerAction, again: &AcquirerAction) -> bool {
    use AcquirerAction::{Adjust, Authorize, Reverse, Void};
    match (first, again) {
        (Reverse { amount: first }, Reverse { amount: again }) => first != again,
        (Adjust { .. }, Reverse { .. }) | (Reverse { .. }, _) => true,
        (Void { .. } | Adjust { .. } | Authorize { .. }, _) => false,
    }
}
