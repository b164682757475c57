//! How many requests are in work: counted at the edge, in total and per merchant, before any work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::id::MerchantId;

#[derive(Debug, Default)]
struct Counts {
    is_closed: bool,
    total: u32,
    of_merchants: BTreeMap<MerchantId, u32>,
}

/// The places there are; clones share them.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    total_max: u32,
    per_merchant_max: u32,
    counts: Arc<Mutex<Counts>>,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    of: Option<MerchantId>,
    counts: Arc<Mutex<Counts>>,
}

impl Admission {
    /// So many places in total, and for one merchant.
    pub(super) fn new(total_max: u32, per_merchant_max: u32) -> Self {
        Self {
            total_max,
            per_merchant_max,
            counts: Arc::default(),
        }
    }

    /// A place among all, if there is one.
    pub(super) fn enter(&self) -> Option<Place> {
        let mut counts = lock(&self.counts);
        if counts.is_closed || counts.total >= self.total_max {
            return None;
        }
        counts.total = counts.total.saturating_add(1);
        Some(self.place(None))
    }

    /// A place among those of a merchant, if there is one.
    pub(super) fn enter_merchant(&self, merchant_id: MerchantId) -> Option<Place> {
        let mut counts = lock(&self.counts);
        let count = counts.of_merchants.entry(merchant_id).or_insert(0);
        if *count >= self.per_merchant_max {
            return None;
        }
        *count = count.saturating_add(1);
        Some(self.place(Some(merchant_id)))
    }

    /// Lets nobody in any more; who is in stays in.
    pub(super) fn close(&self) {
        lock(&self.counts).is_closed = true;
    }

    /// How many requests are in work.
    pub(super) fn in_flight(&self) -> u32 {
        lock(&self.counts).total
    }

    fn place(&self, of: Option<MerchantId>) -> Place {
        Place {
            of,
            counts: Arc::clone(&self.counts),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        let Some(merchant_id) = self.of else {
            counts.total = counts.total.saturating_sub(1);
            return;
        };
        if let Some(count) = counts.of_merchants.get_mut(&merchant_id) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.of_merchants.remove(&merchant_id);
            }
        }
    }
}

fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn places_are_given_back() {
        let admission = Admission::new(2, 1);
        let shop = MerchantId::from_uuid(Uuid::from_u128(1));
        let other = MerchantId::from_uuid(Uuid::from_u128(2));
        let first = admission.enter().unwrap();
        let _second = admission.enter().unwrap();
        assert!(admission.enter().is_none());
        drop(first);
        assert!(admission.enter().is_some());
        assert_eq!(admission.in_flight(), 1);

        let of_shop = admission.enter_merchant(shop).unwrap();
        assert!(admission.enter_merchant(shop).is_none());
        assert!(admission.enter_merchant(other).is_some());
        drop(of_shop);
        assert!(admission.enter_merchant(shop).is_some());
        assert!(lock(&admission.counts).of_merchants.is_empty());
        admission.close();
        assert!(admission.enter().is_none());
    }
}
