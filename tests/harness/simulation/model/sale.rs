//! What was asked for, and what callers and tills are told about it.

use engine::acquirer::host::{BookState, Host};
use engine::domain::pos::{PosTransaction, Verdict};
use engine::domain::transaction::Transaction;
use engine::owner::key;
use engine::owner::request::StartPos;
use engine::owner::work::Stored as _;
use engine::store::Rows;
use protocol::id::{MerchantId, PosTransactionId, TransactionId};
use protocol::link::{Concluded, Offer, PosStatus};
use protocol::money::Money;

use super::Model;
use crate::simulation::checker::{Checked, fail};
use crate::simulation::history::History;

/// A POS transaction as it is seen from outside.
#[derive(Debug, Default)]
pub(super) struct Sale {
    pub(super) reference: String,
    /// Tips that its terminal said, in order; no tip is one as well.
    pub(super) tips: Vec<Option<Money>>,
    /// What the first card was asked for.
    pub(super) total: Option<Money>,
    pub(super) has_agreed: bool,
    merchant_id: Option<MerchantId>,
    /// The highest revision that anybody was told.
    told_revision: u32,
    /// The final status that somebody was told.
    told_final: Option<PosStatus>,
}

impl Model {
    /// Somebody asks for a POS transaction.
    pub fn asks_to_start(&mut self, start: &StartPos) {
        let reference = start.reference.clone().unwrap_or_default();
        self.asked.entry(reference).or_insert_with(|| start.clone());
    }

    /// A terminal is offered a POS transaction: it is what somebody asked for.
    ///
    /// # Errors
    /// `charged_as_asked`.
    pub fn offered(&mut self, offer: &Offer) -> Checked {
        let reference = offer.reference.clone().unwrap_or_default();
        let asked = self.asked.get(&reference);
        let is_asked =
            asked.is_some_and(|asked| asked.amount == offer.amount && asked.kind == offer.kind);
        if !is_asked {
            let what = format!("{} is offered for {}", offer.pos_id, offer.amount);
            return fail("charged_as_asked", what);
        }
        self.sales.entry(offer.pos_id).or_default().reference = reference;
        Ok(())
    }

    /// What somebody asked for when this POS transaction was made.
    pub(super) fn asked_for(&self, pos_id: PosTransactionId) -> Option<&StartPos> {
        self.asked.get(&self.sales.get(&pos_id)?.reference)
    }

    /// A caller is told about a POS transaction.
    ///
    /// # Errors
    /// `told_is_true`, `final_stays_final`, `verdicts_are_true`, and those of [`Model::concluded`].
    pub fn told(&mut self, pos: &PosTransaction, host: &Host) -> Checked {
        let reference = pos.reference.clone().unwrap_or_default();
        let sale = self.sales.entry(pos.id).or_default();
        sale.reference = reference;
        sale.merchant_id = Some(pos.merchant_id);
        sale.told_revision = sale.told_revision.max(pos.revision);
        let asked = self.asked_for(pos.id);
        if asked.is_none_or(|asked| asked.amount != pos.base || asked.kind != pos.kind) {
            return fail(
                "charged_as_asked",
                format!("{} is for {}", pos.id, pos.base),
            );
        }
        self.told_status(pos.id, pos.status(), host)?;
        if pos.status() == PosStatus::Approved {
            self.approved(pos.id, pos.amount())?;
        }
        let verdict = pos.cancel.and_then(|cancel| cancel.verdict);
        if verdict == Some(Verdict::Canceled) && pos.status() == PosStatus::Approved {
            let what = format!("{} is canceled and approved", pos.id);
            return fail("verdicts_are_true", what);
        }
        Ok(())
    }

    /// A terminal is told how a POS transaction ended, or that it is in doubt.
    ///
    /// # Errors
    /// `told_is_true`, `approved_only_when_confirmed`, `partial_only_when_accepted`.
    pub fn concluded(&mut self, concluded: &Concluded, host: &Host) -> Checked {
        self.told_status(concluded.pos_id, concluded.status, host)?;
        if concluded.status == PosStatus::Approved {
            self.approved(concluded.pos_id, concluded.amount)?;
        }
        if concluded.status == PosStatus::Failed {
            // A till that names a card is not told that nobody has paid, lost or not.
            return self.holds_of(concluded.pos_id, concluded.status, host, |_| true);
        }
        Ok(())
    }

    /// A terminal is told of a POS transaction that the engine has lost: without money at stake it
    /// failed, and otherwise nobody here knows.
    ///
    /// # Errors
    /// `told_is_true`.
    pub fn concluded_unknown(&self, concluded: &Concluded, host: &Host) -> Checked {
        match concluded.status {
            PosStatus::InDoubt | PosStatus::Failed => {
                self.holds(concluded.pos_id, concluded.status, host)
            }
            status => {
                let what = format!("{} is lost, and told to be {status:?}", concluded.pos_id);
                fail("told_is_true", what)
            }
        }
    }

    /// What restored engines have lost of sales.
    pub(super) fn sales_restored(&mut self, history: &History) {
        for (id, sale) in &mut self.sales {
            let known = history.pos.get(id);
            if self.lost.frees_pos("answered_is_kept", *id) {
                let revision = known.map_or(0, |known| known.revision);
                sale.told_revision = sale.told_revision.min(revision);
            }
            let is_open = known.is_some_and(|known| !known.status().is_final());
            if is_open && self.lost.frees_pos("final_stays_final", *id) {
                sale.told_final = None;
            }
        }
    }

    fn told_status(&mut self, id: PosTransactionId, status: PosStatus, host: &Host) -> Checked {
        let sale = self.sales.entry(id).or_default();
        if let Some(before) = sale.told_final.filter(|before| *before != status) {
            let what = format!("{id} was told to be {before:?} and is now {status:?}");
            return fail("final_stays_final", what);
        }
        if status.is_final() {
            sale.told_final = Some(status);
        }
        self.holds(id, status, host)
    }

    /// What is told fits the acquirer's book at this moment.
    fn holds(&self, id: PosTransactionId, status: PosStatus, host: &Host) -> Checked {
        // Of a POS transaction that it knows, an engine may have lost cards that came later.
        let is_lost_whole = self.lost.is_unknown_pos(id);
        self.holds_of(id, status, host, |charge| {
            is_lost_whole || !self.lost.frees_transaction("told_is_true", charge)
        })
    }

    /// The same, of the charges that count.
    fn holds_of(
        &self,
        id: PosTransactionId,
        status: PosStatus,
        host: &Host,
        counts: impl Fn(TransactionId) -> bool,
    ) -> Checked {
        let entries = || {
            let ours = host.book().entries();
            ours.filter(|entry| {
                let charge = self.charges.get(&entry.transaction_id);
                charge.is_some_and(|charge| charge.pos_id == id) && counts(entry.transaction_id)
            })
        };
        let standing = entries().filter(|one| one.standing().is_some()).count();
        let voided = entries()
            .filter(|one| one.state == BookState::Voided)
            .count();
        let is_true = match status {
            PosStatus::InProgress | PosStatus::InDoubt => true,
            PosStatus::Approved => standing + voided == 1,
            PosStatus::Declined | PosStatus::Canceled | PosStatus::Failed | PosStatus::Reversed => {
                standing == 0
            }
        };
        if is_true {
            Ok(())
        } else {
            let what = format!("{id} is told to be {status:?}, {standing} stand, {voided} voided");
            fail("told_is_true", what)
        }
    }

    fn approved(&self, id: PosTransactionId, amount: Money) -> Checked {
        let Some(sale) = self.sales.get(&id) else {
            return fail("told_is_true", format!("{id} was never offered"));
        };
        if !sale.has_agreed {
            let what = format!("{id} is approved, and its terminal has not said that it knows");
            return fail("approved_only_when_confirmed", what);
        }
        let Some(asked) = self.asked_for(id) else {
            return fail("told_is_true", format!("nobody asked for {id}"));
        };
        if Some(amount) != sale.total && !asked.accept_partial {
            let what = format!("{id} is approved for {amount}");
            return fail("partial_only_when_accepted", what);
        }
        Ok(())
    }

    /// A caller is told about a transaction.
    ///
    /// # Errors
    /// `voided_means_undone`.
    pub fn told_of(&mut self, one: &Transaction, host: &Host) -> Checked {
        if let Some(charge) = self.charges.get_mut(&one.id) {
            charge.told_revision = charge.told_revision.max(one.revision);
            charge.merchant_id = Some(one.merchant_id);
        }
        crate::simulation::checker::voided_means_undone(one, host)
    }

    /// After a restart everything that was told is still there.
    ///
    /// # Errors
    /// `answered_is_kept`.
    pub fn is_kept(&self, rows: &dyn Rows) -> Checked {
        let told = self.sales.iter().filter_map(|(id, sale)| {
            let row = key::pos(sale.merchant_id?, *id);
            let found = rows.get(&row).ok().flatten();
            let found = found.and_then(|row| PosTransaction::from_bytes(&row));
            let revision = found.map_or(0, |pos| pos.revision);
            Some((id.to_string(), sale.told_revision, revision))
        });
        let moved = self.charges.iter().filter_map(|(id, charge)| {
            let row = key::transaction(charge.merchant_id?, *id);
            let found = rows.get(&row).ok().flatten();
            let found = found.and_then(|row| Transaction::from_bytes(&row));
            let revision = found.map_or(0, |one| one.revision);
            Some((id.to_string(), charge.told_revision, revision))
        });
        for (id, told, kept) in told.chain(moved) {
            if kept < told {
                let what = format!("{id} was told in revision {told}, {kept} is left");
                return fail("answered_is_kept", what);
            }
        }
        Ok(())
    }

    /// When everything has an end, what was told still holds.
    ///
    /// # Errors
    /// `told_is_true`.
    pub fn still_holds(&self, host: &Host) -> Checked {
        for (id, sale) in &self.sales {
            if let Some(status) = sale.told_final {
                self.holds(*id, status, host)?;
            }
        }
        Ok(())
    }

    /// The POS transaction that a charge was made for.
    pub fn charged_for(&self, id: TransactionId) -> Option<PosTransactionId> {
        self.charges.get(&id).map(|charge| charge.pos_id)
    }
}
