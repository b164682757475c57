//! Holds the acquirer's book against the engine's transactions, at any moment of their lives.
//!
//! Owns what may stand where. Pure; the book's file is read elsewhere.

use std::collections::BTreeMap;

use protocol::id::TransactionId;
use protocol::money::Money;

use super::fsck::Finding;
use crate::acquirer::host::{BookEntry, BookState};
use crate::domain::transaction::{IntentKind, Transaction, TransactionState};

/// What a comparison has found.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) findings: Vec<Finding>,
    /// Entries that the engine does not know and that do not stand: of no consequence.
    pub(super) unknown_without_money: u64,
}

/// What [`super::fsck`] says of transactions and the acquirer's book.
pub fn compare_with_book<'a>(
    transactions: impl Iterator<Item = &'a Transaction>,
    book: &[BookEntry],
) -> Vec<Finding> {
    compare(transactions, book).findings
}

/// Every authorization that stands there stands here, and the reverse; what is under way may be
/// ahead on either side.
pub(super) fn compare<'a>(
    transactions: impl Iterator<Item = &'a Transaction>,
    book: &[BookEntry],
) -> Comparison {
    let mut comparison = Comparison::default();
    let here: BTreeMap<TransactionId, &Transaction> =
        transactions.map(|one| (one.id, one)).collect();
    let mut there: BTreeMap<TransactionId, &BookEntry> = BTreeMap::new();
    for entry in book {
        let id = entry.transaction_id;
        if let Some(other) = there.insert(id, entry) {
            let what = format!(
                "was authorized under the traces {} and {}",
                other.trace.number, entry.trace.number
            );
            comparison.find("charged_once", id, what);
        }
        match here.get(&id) {
            Some(transaction) if transaction.trace != entry.trace => {
                let (known, found) = (transaction.trace.number, entry.trace.number);
                let what = format!("was sent under trace {known} and booked under {found}");
                comparison.find("books_agree", id, what);
            }
            Some(_) => {}
            None => match entry.standing() {
                Some(amount) => comparison.find("authorization_is_known", id, lost(entry, amount)),
                None => comparison.unknown_without_money += 1,
            },
        }
    }
    for (id, transaction) in here {
        let entry = there.get(&id).copied();
        if !is_possible(transaction, entry) {
            let state = transaction.state.code();
            let total = transaction.total();
            let found = entry.map_or_else(|| "nothing".to_owned(), describe);
            let what = format!("is {state} here ({total}), {found} at the acquirer");
            comparison.find("books_agree", id, what);
        }
    }
    comparison
}

impl Comparison {
    fn find(&mut self, rule: &str, id: TransactionId, what: String) {
        self.findings.push(Finding {
            rule: rule.to_owned(),
            subject: id.to_string(),
            what,
        });
    }
}

/// All that somebody needs who has to undo it by hand.
fn lost(entry: &BookEntry, amount: Money) -> String {
    let trace = entry.trace;
    let card = entry
        .last_four
        .map(|digits| String::from_utf8_lossy(&digits).into_owned())
        .unwrap_or_default();
    format!(
        "stands at the acquirer for {amount} and is not known here: merchant {}, terminal {}, \
         trace number {:06}, sent at {} ms, card ending {card}",
        entry.merchant_id, entry.terminal_id, trace.number, trace.sent_at.0
    )
}

fn describe(entry: &BookEntry) -> String {
    match entry.standing() {
        Some(amount) => format!("stands for {amount}"),
        None => format!("{:?}", entry.state).to_lowercase(),
    }
}

fn is_possible(transaction: &Transaction, entry: Option<&BookEntry>) -> bool {
    use BookState as B;
    use TransactionState as T;
    let state = entry.map(|entry| entry.state);
    match (transaction.state, state) {
        // The request, its answer, or the reversal may be on the way.
        (T::Authorizing | T::Reversing, None | Some(B::Declined | B::Authorized | B::Reversed)) => {
            true
        }
        (T::Confirming | T::Approved, Some(B::Authorized)) => {
            let standing = entry.and_then(BookEntry::standing);
            standing == Some(transaction.total()) || standing == asked_total(transaction)
        }
        (T::Approved, Some(B::Voided)) => is_void_asked(transaction),
        (T::Voided, Some(B::Voided)) => true,
        (T::Declined, Some(B::Declined)) => true,
        // Undone, or never arrived, or declined without the engine hearing of it.
        (T::Reversed, None | Some(B::Reversed | B::Declined)) => true,
        (T::NotSent, None) => true,
        _ => false,
    }
}

fn asked_total(transaction: &Transaction) -> Option<Money> {
    match transaction.intent.as_ref()?.kind {
        IntentKind::AdjustTip { total, .. } => Some(total),
        IntentKind::Void => None,
    }
}

fn is_void_asked(transaction: &Transaction) -> bool {
    let intent = transaction.intent.as_ref();
    intent.is_some_and(|intent| intent.kind == IntentKind::Void)
}
