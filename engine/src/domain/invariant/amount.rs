//! Rules about amounts: they add up, in one currency.

use protocol::id::{MerchantId, PosTransactionId, TransactionId};
use protocol::money::Money;

use super::{Holdings, Violation};
use crate::domain::transaction::IntentKind;

/// Base and tip make the total, attempts ask for the total, and no more than that is approved.
pub(super) fn pos_amounts_add_up(_: MerchantId, holdings: &Holdings, found: &mut Vec<Violation>) {
    let mut report = |id: PosTransactionId, what: String| {
        found.push(Violation::new("pos_amounts_add_up", &id, what));
    };
    for pos in holdings.pos.values() {
        if !pos.base.is_positive() {
            report(pos.id, format!("asks for {}", pos.base));
        }
        if pos.tip.is_some_and(|tip| tip.minor() < 0) {
            report(pos.id, format!("has the tip {:?}", pos.tip));
        }
        let Ok(total) = pos.total() else {
            let (base, tip) = (pos.base, pos.tip);
            report(pos.id, format!("{base} and the tip {tip:?} have no sum"));
            continue;
        };
        for (attempt, number) in pos.attempts.iter().zip(1..) {
            if attempt.number != number {
                report(
                    pos.id,
                    format!("attempt {} is number {number}", attempt.number),
                );
            }
            if attempt.amount != total {
                let (id, amount) = (attempt.id, attempt.amount);
                report(pos.id, format!("{id} is for {amount} instead of {total}"));
            }
        }
        if let Some(approved) = pos.approved
            && !is_part(approved, total)
        {
            report(pos.id, format!("{approved} of {total} is approved"));
        }
        if let Some(approved) = pos.approved
            && approved != total
            && !pos.accept_partial
        {
            report(pos.id, format!("{approved} of {total} is approved unasked"));
        }
    }
}

/// A transaction is about its POS transaction's amounts, and its tips make its totals.
pub(super) fn transaction_amounts_add_up(
    _: MerchantId,
    holdings: &Holdings,
    found: &mut Vec<Violation>,
) {
    let mut report = |id: TransactionId, what: String| {
        found.push(Violation::new("transaction_amounts_add_up", &id, what));
    };
    for transaction in holdings.transactions.values() {
        let (id, base, requested) = (transaction.id, transaction.base, transaction.requested);
        let sum = transaction.tip.map_or(Ok(base), |tip| base.plus(tip));
        if sum != Ok(requested) {
            report(id, format!("asked for {requested}, which is not {sum:?}"));
        }
        if let Some(pos) = holdings.pos.get(&transaction.pos_id)
            && (pos.base, pos.tip) != (base, transaction.tip)
        {
            let (tip, other) = (transaction.tip, (pos.base, pos.tip));
            report(
                id,
                format!("is about {:?}, {} about {other:?}", (base, tip), pos.id),
            );
        }
        if let Some(authorized) = transaction.authorized
            && !is_part(authorized, requested)
        {
            report(id, format!("{authorized} of {requested} is authorized"));
        }
        let revised = transaction
            .tip_revisions
            .iter()
            .map(|one| (one.tip, one.total));
        let asked = transaction
            .intent
            .as_ref()
            .and_then(|intent| match intent.kind {
                IntentKind::AdjustTip { tip, total } => Some((tip, total)),
                IntentKind::Void => None,
            });
        for (tip, total) in revised.chain(asked) {
            if tip.minor() < 0 || transaction.total_with(tip) != Ok(total) {
                report(id, format!("{base} with the tip {tip} is not {total}"));
            }
        }
    }
}

fn is_part(part: Money, whole: Money) -> bool {
    part.currency() == whole.currency() && part.is_positive() && part.minor() <= whole.minor()
}
