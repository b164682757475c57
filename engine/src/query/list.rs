//! The lists: what each is filtered by, and which keys it walks along.

use protocol::id::{ApiKeyId, MerchantId, PartnerId, PosTransactionId, TerminalId};
use protocol::link::PosStatus;

use crate::domain::merchant::{Merchant, Partner, Terminal};
use crate::domain::pairing::{CodeState, PairingCode};
use crate::domain::pos::PosTransaction;
use crate::domain::print::PrintJob;
use crate::domain::sandbox::Fault;
use crate::domain::time::Timestamp;
use crate::domain::token::ApiKey;
use crate::domain::transaction::{Transaction, TransactionState};
use crate::owner::key;
use crate::owner::work::Stored;

use super::page::{self, Direction, Page, Range, Take};
use super::{Query, QueryFault};

/// How far an id's time and the time in its row may be apart: an id is made a moment after the
/// instant of the decision, and clocks are corrected. Generous, bounded.
const ID_SKEW_MS: i64 = 60_000;

/// From where a page goes on: the 16 id bytes that the page before ended with.
pub type Cursor = [u8; 16];

/// Which page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Items at most.
    pub limit: usize,
    /// Where the page before ended.
    pub after: Option<Cursor>,
}

/// A page with the cursor of the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next page goes on.
    pub next: Option<Cursor>,
}

/// When things were made; both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Created {
    /// Not before.
    pub from: Option<Timestamp>,
    /// Not after.
    pub to: Option<Timestamp>,
}

/// Which POS transactions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PosFilter {
    /// Of this terminal.
    pub terminal_id: Option<TerminalId>,
    /// With this status.
    pub status: Option<PosStatus>,
    /// With this reference.
    pub reference: Option<String>,
    /// Made then.
    pub created: Created,
}

/// Which pairing codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeFilter {
    /// Of this terminal.
    pub terminal_id: Option<TerminalId>,
    /// In this state.
    pub state: Option<CodeState>,
    /// When that is asked: time ends codes.
    pub now: Timestamp,
}

/// Which transactions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransactionFilter {
    /// Of this terminal.
    pub terminal_id: Option<TerminalId>,
    /// With this status.
    pub state: Option<TransactionState>,
    /// With this reference.
    pub reference: Option<String>,
    /// Made then.
    pub created: Created,
}

impl Created {
    /// What a row made at `at` is to a scan from new to old.
    fn take(self, at: Timestamp) -> Take {
        let from = self.from.map_or(i64::MIN, |from| from.0);
        if at.0 < from.saturating_sub(ID_SKEW_MS) {
            return Take::Stop;
        }
        let is_in = at.0 >= from && self.to.is_none_or(|to| at <= to);
        if is_in { Take::Yes } else { Take::No }
    }

    /// The id below which a scan from new to old can begin.
    fn upper_id(self) -> Option<Cursor> {
        self.to.map(|to| first_id(to.0.saturating_add(ID_SKEW_MS)))
    }
}

/// The lowest id that can be made at an instant. UUIDv7: 48 bits of milliseconds come first.
fn first_id(millis: i64) -> Cursor {
    let highest = (1 << 48) - 1;
    let millis = u64::try_from(millis).unwrap_or(0).min(highest);
    let [_, _, time @ ..] = millis.to_be_bytes();
    let mut id = Cursor::default();
    id.iter_mut().zip(time).for_each(|(to, from)| *to = from);
    id
}

/// When an id was made, going by the id.
fn made_at(id: Cursor) -> i64 {
    id.iter()
        .take(6)
        .fold(0, |millis, byte| (millis << 8) | i64::from(*byte))
}

fn both(first: Take, second: bool) -> Take {
    match first {
        Take::Yes if !second => Take::No,
        other => other,
    }
}

impl Query {
    /// POS transactions of a merchant, newest first.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn list_pos(
        &self,
        merchant_id: MerchantId,
        filter: PosFilter,
        slice: Slice,
    ) -> Result<Listed<PosTransaction>, QueryFault> {
        let prefix = key::of_merchant(key::POS, merchant_id);
        let start = filter.created.upper_id();
        self.backward(prefix, start, slice, move |pos: &PosTransaction| {
            let is_wanted = filter.terminal_id.is_none_or(|id| pos.terminal_id == id)
                && filter.status.is_none_or(|status| pos.status() == status)
                && (filter.reference.is_none() || pos.reference == filter.reference);
            both(filter.created.take(pos.created_at), is_wanted)
        })
        .await
    }

    /// Transactions of a merchant, newest first.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn list_transactions(
        &self,
        merchant_id: MerchantId,
        filter: TransactionFilter,
        slice: Slice,
    ) -> Result<Listed<Transaction>, QueryFault> {
        let prefix = key::of_merchant(key::TRANSACTION, merchant_id);
        let start = filter.created.upper_id();
        self.backward(prefix, start, slice, move |transaction: &Transaction| {
            let is_wanted = filter
                .terminal_id
                .is_none_or(|id| transaction.terminal_id == id)
                && filter.state.is_none_or(|state| transaction.state == state)
                && (filter.reference.is_none() || transaction.reference == filter.reference);
            both(filter.created.take(transaction.created_at), is_wanted)
        })
        .await
    }

    /// Terminals of a merchant, newest first.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn list_terminals(
        &self,
        merchant_id: MerchantId,
        slice: Slice,
    ) -> Result<Listed<Terminal>, QueryFault> {
        let prefix = key::of_merchant(key::TERMINAL, merchant_id);
        self.backward(prefix, None, slice, |_: &Terminal| Take::Yes)
            .await
    }

    /// API keys of a merchant, newest first.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn list_api_keys(
        &self,
        merchant_id: MerchantId,
        slice: Slice,
    ) -> Result<Listed<ApiKey>, QueryFault> {
        let prefix = key::of_merchant(key::API_KEY, merchant_id);
        self.backward(prefix, None, slice, |_: &ApiKey| Take::Yes)
            .await
    }

    /// Pairing codes of a merchant, newest first; of one terminal or in one state if that is given.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn list_pairing_codes(
        &self,
        merchant_id: MerchantId,
        filter: CodeFilter,
        slice: Slice,
    ) -> Result<Listed<PairingCode>, QueryFault> {
        let prefix = key::of_merchant(key::PAIRING_CODE, merchant_id);
        self.backward(prefix, None, slice, move |code: &PairingCode| {
            let is_wanted = filter.terminal_id.is_none_or(|id| code.terminal_id == id)
                && filter
                    .state
                    .is_none_or(|state| code.state(filter.now) == state);
            both(Take::Yes, is_wanted)
        })
        .await
    }

    /// Faults of a merchant, newest first.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn list_faults(
        &self,
        merchant_id: MerchantId,
        slice: Slice,
    ) -> Result<Listed<Fault>, QueryFault> {
        let prefix = key::of_merchant(key::FAULT, merchant_id);
        self.backward(prefix, None, slice, |_: &Fault| Take::Yes)
            .await
    }

    /// Partners, newest first.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn list_partners(&self, slice: Slice) -> Result<Listed<Partner>, QueryFault> {
        self.backward(key::space(key::PARTNER), None, slice, |_: &Partner| {
            Take::Yes
        })
        .await
    }

    /// Merchants, newest first; of one partner if it is given.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn list_merchants(
        &self,
        partner_id: Option<PartnerId>,
        slice: Slice,
    ) -> Result<Listed<Merchant>, QueryFault> {
        let prefix = key::space(key::MERCHANT);
        self.backward(prefix, None, slice, move |merchant: &Merchant| {
            let is_wanted = partner_id.is_none_or(|id| merchant.partner_id == Some(id));
            both(Take::Yes, is_wanted)
        })
        .await
    }

    /// Print jobs of a POS transaction, oldest first. Nothing is printed of a POS transaction
    /// before it exists, so that the scan begins where its own id was made.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn list_print_jobs(
        &self,
        merchant_id: MerchantId,
        pos_id: PosTransactionId,
        slice: Slice,
    ) -> Result<Listed<PrintJob>, QueryFault> {
        let prefix = key::of_merchant(key::PRINT_JOB, merchant_id);
        let earliest = first_id(made_at(pos_id.bytes()).saturating_sub(ID_SKEW_MS));
        let start = slice.after.unwrap_or(earliest);
        let range = Range {
            after: Some(with_id(&prefix, start)),
            prefix,
            direction: Direction::Forward,
        };
        self.page(range, slice.limit, move |job: &PrintJob| {
            both(Take::Yes, job.pos_id == pos_id)
        })
        .await
    }

    /// An API key of a merchant.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn api_key(
        &self,
        merchant_id: MerchantId,
        id: ApiKeyId,
    ) -> Result<Option<ApiKey>, QueryFault> {
        self.one(key::api_key(merchant_id, id)).await
    }

    async fn backward<T: Stored + Send + 'static>(
        &self,
        prefix: Vec<u8>,
        start: Option<Cursor>,
        slice: Slice,
        take: impl Fn(&T) -> Take + Send + 'static,
    ) -> Result<Listed<T>, QueryFault> {
        let after = slice.after.or(start).map(|id| with_id(&prefix, id));
        let range = Range {
            prefix,
            direction: Direction::Backward,
            after,
        };
        self.page(range, slice.limit, take).await
    }

    async fn page<T: Stored + Send + 'static>(
        &self,
        range: Range,
        limit: usize,
        take: impl Fn(&T) -> Take + Send + 'static,
    ) -> Result<Listed<T>, QueryFault> {
        let page: Page<T> = self
            .run(move |rows| page::read(rows, &range, limit, take))
            .await?;
        Ok(Listed {
            items: page.items,
            next: page.next.as_deref().and_then(id_of),
        })
    }
}

fn with_id(prefix: &[u8], id: Cursor) -> Vec<u8> {
    let mut key = prefix.to_vec();
    key.extend_from_slice(&id);
    key
}

/// Every listed key ends with its id.
fn id_of(key: &[u8]) -> Option<Cursor> {
    key.last_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_bound_a_scan_in_time() {
        let at = 1_700_000_000_000;
        assert_eq!(made_at(first_id(at)), at);
        assert!(first_id(at) < first_id(at + 1));
        assert_eq!(first_id(-5), [0; 16]);
        assert_eq!(made_at(first_id(i64::MAX)), (1 << 48) - 1);
        let far_past = Created {
            from: None,
            to: Some(Timestamp(i64::MIN)),
        };
        assert_eq!(far_past.upper_id(), Some([0; 16]));
        assert_eq!(Created::default().upper_id(), None);
    }

    #[test]
    fn both_ends_of_a_time_range_are_in_it() {
        let created = Created {
            from: Some(Timestamp(1_000_000)),
            to: Some(Timestamp(2_000_000)),
        };
        for (at, take) in [
            (2_000_001, Take::No),
            (2_000_000, Take::Yes),
            (1_000_000, Take::Yes),
            (999_999, Take::No),
            (1_000_000 - ID_SKEW_MS - 1, Take::Stop),
        ] {
            assert_eq!(created.take(Timestamp(at)), take, "{at}");
        }
    }
}
