//! Read-only lists and look-ups over committed rows.
//!
//! Runs on the blocking pool, so many at once and no more; never on a thread that serves sockets
//! or an owner. Lists are range scans on time-ordered keys: page N costs what page 1 costs, and a
//! page looks at a bounded number of rows whatever the filter says.

#[cfg(test)]
pub(crate) mod fake;
pub mod list;
pub mod page;

use std::fmt;
use std::sync::Arc;

use protocol::id::{MerchantId, PartnerId, PosTransactionId, TransactionId};
use tokio::sync::Semaphore;

use crate::domain::merchant::{Merchant, Partner, Terminal};
use crate::domain::pos::PosTransaction;
use crate::domain::transaction::Transaction;
use crate::owner::key;
use crate::owner::work::{Stored, decode};
use crate::store::{ReadFault, Rows, SharedStore};

/// Why a query has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryFault {
    /// The storage.
    #[error(transparent)]
    Read(#[from] ReadFault),
    /// The engine stops, or the query panicked.
    #[error("query was not carried out")]
    NotCarriedOut,
}

/// The door to committed rows.
#[derive(Clone)]
pub struct Query {
    store: SharedStore,
    places: Arc<Semaphore>,
}

impl fmt::Debug for Query {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Query").finish_non_exhaustive()
    }
}

/// A transaction with everything that its receipt is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptSource {
    /// Whose receipt.
    pub merchant: Merchant,
    /// Where the card was read.
    pub terminal: Terminal,
    /// What it is about.
    pub transaction: Transaction,
}

impl Query {
    /// A door through which at most `at_once` queries go at a time.
    pub fn new(store: SharedStore, at_once: u32) -> Self {
        let places = usize::try_from(at_once).unwrap_or(1).max(1);
        Self {
            store,
            places: Arc::new(Semaphore::new(places)),
        }
    }

    /// A POS transaction of a merchant.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn pos(
        &self,
        merchant_id: MerchantId,
        id: PosTransactionId,
    ) -> Result<Option<PosTransaction>, QueryFault> {
        self.one(key::pos(merchant_id, id)).await
    }

    /// A transaction of a merchant.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn transaction(
        &self,
        merchant_id: MerchantId,
        id: TransactionId,
    ) -> Result<Option<Transaction>, QueryFault> {
        self.one(key::transaction(merchant_id, id)).await
    }

    /// A merchant.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn merchant(&self, id: MerchantId) -> Result<Option<Merchant>, QueryFault> {
        self.one(key::merchant(id)).await
    }

    /// A partner.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn partner(&self, id: PartnerId) -> Result<Option<Partner>, QueryFault> {
        self.one(key::partner(id)).await
    }

    /// What the receipt of a transaction is made of.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn receipt_source(
        &self,
        merchant_id: MerchantId,
        id: TransactionId,
    ) -> Result<Option<ReceiptSource>, QueryFault> {
        self.run(move |rows| {
            let transaction: Option<Transaction> = get(rows, &key::transaction(merchant_id, id))?;
            let Some(transaction) = transaction else {
                return Ok(None);
            };
            let merchant = get(rows, &key::merchant(merchant_id))?;
            let terminal = get(rows, &key::terminal(merchant_id, transaction.terminal_id))?;
            let source = merchant
                .zip(terminal)
                .map(|(merchant, terminal)| ReceiptSource {
                    merchant,
                    terminal,
                    transaction,
                });
            Ok(source)
        })
        .await
    }

    /// Reads something, to see that the storage answers.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn probe(&self) -> Result<(), QueryFault> {
        self.run(|rows| rows.head(key::platform_stream()).map(|_| ()))
            .await
    }

    async fn one<T: Stored + Send + 'static>(&self, key: Vec<u8>) -> Result<Option<T>, QueryFault> {
        self.run(move |rows| get(rows, &key)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        query: impl FnOnce(&dyn Rows) -> Result<T, ReadFault> + Send + 'static,
    ) -> Result<T, QueryFault> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|_| QueryFault::NotCarriedOut)?;
        let store = Arc::clone(&self.store);
        let work = tokio::task::spawn_blocking(move || {
            // Held by the work, not by the caller: a caller that leaves does not free a thread.
            let _place = place;
            let rows: &dyn Rows = store.as_ref();
            query(rows)
        });
        let read = work.await.map_err(|_| QueryFault::NotCarriedOut)?;
        Ok(read?)
    }
}

fn get<T: Stored>(rows: &dyn Rows, key: &[u8]) -> Result<Option<T>, ReadFault> {
    rows.get(key)?.map(|bytes| decode(key, &bytes)).transpose()
}
