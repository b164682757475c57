//! The host's book: who authorized what, and what became of it.
//!
//! Owns the entries and how they are found. The key is what a card host goes by: terminal, trace
//! number, transmission time; so a transaction sent under two traces stands twice, and shows. No
//! account number is in it, only the last four digits.

use std::collections::BTreeMap;

use protocol::id::{MerchantId, TerminalId, TransactionId};
use protocol::money::Money;

use crate::domain::time::Timestamp;
use crate::domain::transaction::Trace;

/// A two-character response code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseCode([u8; 2]);

impl ResponseCode {
    /// Approved.
    pub const APPROVED: Self = Self(*b"00");
    /// Approved for less than asked.
    pub const PARTIAL: Self = Self(*b"10");
    /// System malfunction.
    pub const MALFUNCTION: Self = Self(*b"96");

    /// Reads a code; anything but two characters is a malfunction.
    pub fn new(text: &str) -> Self {
        text.as_bytes().try_into().map_or(Self::MALFUNCTION, Self)
    }

    /// These two characters.
    pub const fn of(characters: [u8; 2]) -> Self {
        Self(characters)
    }

    /// The two characters.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("96")
    }
}

/// Where an authorization stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookState {
    /// Never stood.
    Declined,
    /// Stands for [`BookEntry::total`].
    Authorized,
    /// Undone by a reversal.
    Reversed,
    /// Undone by a void.
    Voided,
}

/// What the host finds an authorization by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BookKey {
    /// Where the card was.
    pub terminal_id: TerminalId,
    /// Systems trace audit number.
    pub trace_number: u32,
    /// Transmission time of the original.
    pub sent_at: Timestamp,
}

/// One authorization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookEntry {
    /// Counts authorizations from 1; codes and references are made from it.
    pub number: u64,
    /// Whose account.
    pub merchant_id: MerchantId,
    /// Where the card was.
    pub terminal_id: TerminalId,
    /// The engine's transaction.
    pub transaction_id: TransactionId,
    /// Trace number and transmission time.
    pub trace: Trace,
    /// What was asked for.
    pub requested: Money,
    /// What was approved; nothing when declined.
    pub approved: Option<Money>,
    /// What stands while it stands: the approved amount, or the adjusted total.
    pub total: Option<Money>,
    /// Where it stands.
    pub state: BookState,
    /// What was answered.
    pub response_code: ResponseCode,
    /// Last digits of the account number, when it could be read.
    pub last_four: Option<[u8; 4]>,
    /// The chip waits for the issuer's data.
    pub is_contact_chip: bool,
    /// When it reached the host.
    pub booked_at: Timestamp,
    /// When it last changed.
    pub changed_at: Timestamp,
    /// Number of the sending that changed it last; what was sent earlier comes too late.
    pub changed_by: u32,
}

impl BookEntry {
    /// What it is found by.
    pub const fn key(&self) -> BookKey {
        BookKey {
            terminal_id: self.terminal_id,
            trace_number: self.trace.number,
            sent_at: self.trace.sent_at,
        }
    }

    /// The amount that stands.
    pub fn standing(&self) -> Option<Money> {
        self.total
            .filter(|_| matches!(self.state, BookState::Authorized))
    }
}

/// All authorizations that ever reached the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book {
    entries: BTreeMap<BookKey, BookEntry>,
    keys: BTreeMap<TransactionId, BookKey>,
    number_last: u64,
}

impl Book {
    /// Authorizations that stand, with what stands. A transaction that was charged twice comes twice.
    pub fn standing(&self) -> impl Iterator<Item = (TransactionId, Money)> {
        self.entries
            .values()
            .filter_map(|entry| Some((entry.transaction_id, entry.standing()?)))
    }

    /// Every entry, by terminal, trace number and time.
    pub fn entries(&self) -> impl Iterator<Item = &BookEntry> {
        self.entries.values()
    }

    /// The entry of a trace.
    pub fn find(&self, key: &BookKey) -> Option<&BookEntry> {
        self.entries.get(key)
    }

    /// The first entry of a transaction.
    pub fn find_transaction(&self, id: TransactionId) -> Option<&BookEntry> {
        self.entries.get(self.keys.get(&id)?)
    }

    /// The number of the next entry.
    pub const fn number_next(&self) -> u64 {
        self.number_last.saturating_add(1)
    }

    /// Adds an entry, or replaces the one of the same key.
    pub fn put(&mut self, entry: BookEntry) {
        self.number_last = self.number_last.max(entry.number);
        self.keys
            .entry(entry.transaction_id)
            .or_insert_with(|| entry.key());
        self.entries.insert(entry.key(), entry);
    }
}
