//! The simulated card host: decides about requests that have reached it.
//!
//! Owns the book and the rules. Pure: no clock, no I/O, no randomness; equal requests at equal times
//! give equal reactions. What happens on the way to it and back is [`super::line`]'s.

mod book;
mod sandbox;

use std::fmt;

use chrono::{DateTime, Datelike};
use protocol::money::Money;
use protocol::reader::outcome::{Attribution, Entry};
use protocol::reader::tlv::TlvWriter;

pub use book::{Book, BookEntry, BookKey, BookState, ResponseCode};
pub use sandbox::{
    Outcome, SANDBOX_AMOUNTS, SANDBOX_CARDS, SandboxAmount, SandboxCard, by_amount, by_card,
};

use super::base_keys::BaseKeys;
use super::card_data::{CardDataError, ClearCard};
use super::{
    AcquirerAction, AcquirerAnswer, AcquirerRequest, AuthorizationAnswer, IntentAnswer, SealedCard,
};
use crate::domain::card::EntryMode;
use crate::domain::reversal::ReversalAnswer;
use crate::domain::time::Timestamp;
use crate::domain::transaction::{HostResult, USE_CHIP};

/// Unable to locate record (ISO 8583:1987, data element 39).
const NO_SUCH_RECORD: &str = "25";
/// Invalid transaction.
const INVALID_TRANSACTION: &str = "12";
/// Invalid amount.
const INVALID_AMOUNT: &str = "13";
/// Duplicate transmission.
const DUPLICATE_TRANSMISSION: &str = "94";
/// Expired card.
const EXPIRED: &str = "54";

/// Issuer authentication data (EMV book 3, annex A).
const TAG_ISSUER_AUTHENTICATION: u32 = 0x91;

/// Reversals that get no answer under [`Outcome::LoseAnswers`].
const LOST_REVERSALS: u32 = 2;

/// How a request came to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// Sent by the engine.
    Sent,
    /// Delivered once more by the network; no fault of the engine's.
    Repeated,
}

/// What the host does about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction {
    /// What it answers; `None` when the answer is lost on purpose.
    pub answer: Option<AcquirerAnswer>,
    /// How long it takes.
    pub delay_ms: u64,
    /// What is new in the book, to be durable before the answer leaves.
    pub changed: Option<BookEntry>,
}

/// What an engine must never do, counted. All zero unless the engine has a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Violations {
    /// An authorization sent again under its own trace. Never booked twice.
    pub duplicates: u64,
    /// A transaction authorized again under another trace. Booked twice, as a host would.
    pub second_traces: u64,
    /// A trace used for another transaction. Refused.
    pub reused_traces: u64,
    /// A reversal or void that names another amount than the original. Done nevertheless.
    pub other_amounts: u64,
}

/// A card host with its book.
pub struct Host {
    keys: BaseKeys,
    latency_ms: u64,
    book: Book,
    violations: Violations,
    /// What the authorization in hand is declined with, whatever its amount and card.
    declines: Option<ResponseCode>,
}

impl Host {
    /// A host that decrypts with `keys` and takes `latency_ms` for every answer.
    pub fn new(keys: BaseKeys, latency_ms: u64) -> Self {
        Self::with_book(keys, latency_ms, Book::default())
    }

    /// A host that continues a book.
    pub fn with_book(keys: BaseKeys, latency_ms: u64, book: Book) -> Self {
        Self {
            keys,
            latency_ms,
            book,
            violations: Violations::default(),
            declines: None,
        }
    }

    /// The book.
    pub const fn book(&self) -> &Book {
        &self.book
    }

    /// What the engine did wrong since the host was made.
    pub const fn violations(&self) -> Violations {
        self.violations
    }

    /// Acts on a request that has arrived.
    pub fn handle(
        &mut self,
        now: Timestamp,
        request: &AcquirerRequest,
        arrival: Arrival,
    ) -> Reaction {
        match &request.action {
            AcquirerAction::Authorize {
                amount,
                entry,
                card,
                ..
            } => {
                let read = Presented {
                    entry: *entry,
                    card,
                };
                self.authorize(now, request, *amount, read, arrival)
            }
            AcquirerAction::Reverse { amount } => self.reverse(now, request, *amount),
            AcquirerAction::Void { amount } => self.void(now, request, *amount),
            AcquirerAction::Adjust { total, tip } => self.adjust(now, request, *total, *tip),
        }
    }

    /// As [`Host::handle`], but an authorization that is new is declined with this code.
    pub fn decline(
        &mut self,
        now: Timestamp,
        request: &AcquirerRequest,
        arrival: Arrival,
        code: ResponseCode,
    ) -> Reaction {
        self.declines = Some(code);
        let reaction = self.handle(now, request, arrival);
        self.declines = None;
        reaction
    }

    fn authorize(
        &mut self,
        now: Timestamp,
        request: &AcquirerRequest,
        amount: Money,
        presented: Presented<'_>,
        arrival: Arrival,
    ) -> Reaction {
        match self.book.find(&key_of(request)) {
            Some(first) if first.transaction_id == request.transaction_id => {
                let answer = authorization_answer(first);
                if arrival == Arrival::Sent {
                    self.violations.duplicates += 1;
                }
                return self.answer(AcquirerAnswer::Authorization(answer), None);
            }
            Some(_) => {
                self.violations.reused_traces += 1;
                let declined = AuthorizationAnswer::Declined {
                    host: HostResult {
                        response_code: DUPLICATE_TRANSMISSION.to_owned(),
                        authorization_code: None,
                        retrieval_reference: None,
                    },
                    issuer_data: Vec::new(),
                };
                return self.answer(AcquirerAnswer::Authorization(declined), None);
            }
            None => {}
        }
        if self.book.find_transaction(request.transaction_id).is_some() {
            self.violations.second_traces += 1;
        }
        let entry = self.decide(now, request, amount, presented);
        self.book.put(entry);
        let answer = AcquirerAnswer::Authorization(authorization_answer(&entry));
        let mut reaction = self.answer(answer, Some(entry));
        match entry.approved.and(by_amount(amount)) {
            Some(Outcome::LoseAnswer | Outcome::LoseAnswers) => reaction.answer = None,
            Some(Outcome::Slow(ms)) => reaction.delay_ms = reaction.delay_ms.saturating_add(ms),
            _ => {}
        }
        reaction
    }

    fn decide(
        &self,
        now: Timestamp,
        request: &AcquirerRequest,
        amount: Money,
        presented: Presented<'_>,
    ) -> BookEntry {
        let Presented { entry, card } = presented;
        let opened = ClearCard::open(card, &self.keys);
        if let Err(error) = &opened {
            let terminal = request.terminal_id;
            tracing::warn!(%terminal, %error, "card data is refused");
        }
        let last_four = opened.as_ref().ok().and_then(ClearCard::last_four);
        let verdict = opened
            .map_err(refusal)
            .and_then(|card| verdict(now, amount, entry, &card));
        let (approved, response_code) = match verdict {
            Ok(_) if let Some(code) = self.declines => (None, code),
            Ok(approved) if approved == amount => (Some(approved), ResponseCode::APPROVED),
            Ok(approved) => (Some(approved), ResponseCode::PARTIAL),
            Err(code) => (None, ResponseCode::new(code)),
        };
        let is_contact_chip = card
            .bytes()
            .first()
            .is_some_and(|byte| Attribution(*byte).entry() == Entry::Contact);
        BookEntry {
            number: self.book.number_next(),
            merchant_id: request.merchant_id,
            terminal_id: request.terminal_id,
            transaction_id: request.transaction_id,
            trace: request.trace,
            requested: amount,
            approved,
            total: approved,
            state: approved.map_or(BookState::Declined, |_| BookState::Authorized),
            response_code,
            last_four,
            is_contact_chip,
            booked_at: now,
            changed_at: now,
            changed_by: request.sending.number,
        }
    }

    fn reverse(&mut self, now: Timestamp, request: &AcquirerRequest, amount: Money) -> Reaction {
        let Some(entry) = self.original(request) else {
            // Nothing is remembered: an authorization that arrives after this stands.
            let answer = AcquirerAnswer::Reversal(ReversalAnswer::OriginalNotFound);
            return self.answer(answer, None);
        };
        self.check_amount(&entry, amount);
        let changed = (entry.state == BookState::Authorized)
            .then(|| self.change(now, entry, BookState::Reversed));
        let answer = AcquirerAnswer::Reversal(ReversalAnswer::Acknowledged);
        let mut reaction = self.answer(answer, changed);
        if by_amount(entry.requested) == Some(Outcome::LoseAnswers)
            && request.tries <= LOST_REVERSALS
        {
            reaction.answer = None;
        }
        reaction
    }

    fn void(&mut self, now: Timestamp, request: &AcquirerRequest, amount: Money) -> Reaction {
        let Some(entry) = self.original(request) else {
            return self.refuse(NO_SUCH_RECORD);
        };
        match entry.state {
            BookState::Authorized => {}
            BookState::Voided => return self.acknowledge(None),
            BookState::Declined | BookState::Reversed => return self.refuse(INVALID_TRANSACTION),
        }
        self.check_amount(&entry, amount);
        if by_amount(entry.requested) == Some(Outcome::RefuseVoid) {
            return self.refuse(INVALID_TRANSACTION);
        }
        let changed = self.change(now, entry, BookState::Voided);
        self.acknowledge(Some(changed))
    }

    fn adjust(
        &mut self,
        now: Timestamp,
        request: &AcquirerRequest,
        total: Money,
        tip: Money,
    ) -> Reaction {
        let Some(entry) = self.original(request) else {
            return self.refuse(NO_SUCH_RECORD);
        };
        if entry.state != BookState::Authorized {
            return self.refuse(INVALID_TRANSACTION);
        }
        let is_sound = total.is_positive()
            && tip.minor() >= 0
            && total.currency() == entry.requested.currency()
            && total.minus(tip).is_ok_and(|base| base.minor() >= 0);
        if !is_sound {
            return self.refuse(INVALID_AMOUNT);
        }
        // A copy that was under way while a later adjustment was made must not undo that one.
        if entry.total == Some(total) || request.sending.number < entry.changed_by {
            return self.acknowledge(None);
        }
        if let Some(Outcome::Decline(code)) = by_amount(total) {
            return self.refuse(code);
        }
        let adjusted = BookEntry {
            total: Some(total),
            changed_by: request.sending.number,
            ..entry
        };
        let changed = self.change(now, adjusted, BookState::Authorized);
        self.acknowledge(Some(changed))
    }

    /// The authorization that a later request is about. Trace and transaction must both fit.
    fn original(&mut self, request: &AcquirerRequest) -> Option<BookEntry> {
        let found = self.book.find(&key_of(request)).copied()?;
        if found.transaction_id == request.transaction_id {
            return Some(found);
        }
        self.violations.reused_traces += 1;
        None
    }

    fn check_amount(&mut self, entry: &BookEntry, amount: Money) {
        let known = [Some(entry.requested), entry.approved, entry.total];
        if !known.contains(&Some(amount)) {
            self.violations.other_amounts += 1;
        }
    }

    fn change(&mut self, now: Timestamp, entry: BookEntry, state: BookState) -> BookEntry {
        let changed = BookEntry {
            state,
            changed_at: now,
            ..entry
        };
        self.book.put(changed);
        changed
    }

    fn acknowledge(&self, changed: Option<BookEntry>) -> Reaction {
        self.answer(AcquirerAnswer::Intent(IntentAnswer::Acknowledged), changed)
    }

    fn refuse(&self, code: &str) -> Reaction {
        let response_code = code.to_owned();
        let refused = IntentAnswer::Refused { response_code };
        self.answer(AcquirerAnswer::Intent(refused), None)
    }

    fn answer(&self, answer: AcquirerAnswer, changed: Option<BookEntry>) -> Reaction {
        Reaction {
            answer: Some(answer),
            delay_ms: self.latency_ms,
            changed,
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Host")
            .field("violations", &self.violations)
            .finish_non_exhaustive()
    }
}

/// A card as it came, and how.
#[derive(Clone, Copy)]
struct Presented<'a> {
    entry: EntryMode,
    card: &'a SealedCard,
}

fn key_of(request: &AcquirerRequest) -> BookKey {
    BookKey {
        terminal_id: request.terminal_id,
        trace_number: request.trace.number,
        sent_at: request.trace.sent_at,
    }
}

/// The approved amount, or the code of the decline. The card's own trouble comes before the amount's.
fn verdict(
    now: Timestamp,
    amount: Money,
    entry: EntryMode,
    card: &ClearCard,
) -> Result<Money, &'static str> {
    // Its stripe can be copied: it counts only after the chip has failed.
    if entry == EntryMode::Swipe && card.has_chip() {
        return Err(USE_CHIP);
    }
    if let Some(Outcome::Decline(code)) = by_card(card.account_number()) {
        return Err(code);
    }
    if card.expiry().is_some_and(|expiry| has_expired(expiry, now)) {
        return Err(EXPIRED);
    }
    if !amount.is_positive() {
        return Err(INVALID_AMOUNT);
    }
    match by_amount(amount) {
        Some(Outcome::Decline(code)) => Err(code),
        Some(Outcome::ApproveHalf) => Ok(Money::new(amount.minor() / 2, amount.currency())),
        _ => Ok(amount),
    }
}

/// The code for a card that cannot be read.
const fn refusal(error: CardDataError) -> &'static str {
    match error {
        // Format error.
        CardDataError::Malformed
        | CardDataError::NoAccountNumber
        | CardDataError::TrackCheck
        | CardDataError::UnsupportedEncryption => "30",
        // Invalid card number.
        CardDataError::NotACard | CardDataError::CheckDigit => "14",
        // Security violation.
        CardDataError::NotEncrypted
        | CardDataError::KeySerialNumber
        | CardDataError::UnknownKey
        | CardDataError::NotWhole
        | CardDataError::Contradiction
        | CardDataError::MaskDiffers => "63",
    }
}

/// Whether the month YYMM is over. Years from 50 on are of the last century (EMV book 4, 6.7.3).
fn has_expired(expiry: &str, now: Timestamp) -> bool {
    let fields = expiry.split_at_checked(2);
    let Some((Ok(year), Ok(month))) =
        fields.map(|(year, month)| (year.parse::<u32>(), month.parse::<u32>()))
    else {
        return true;
    };
    let century = if year < 50 { 2000 } else { 1900 };
    DateTime::from_timestamp_millis(now.0).is_some_and(|now| {
        let (_, year_now) = now.year_ce();
        (century + year, month) < (year_now, now.month())
    })
}

/// What was answered to an authorization; the same each time.
fn authorization_answer(entry: &BookEntry) -> AuthorizationAnswer {
    let issuer_data = issuer_data(entry);
    let host = HostResult {
        response_code: entry.response_code.text().to_owned(),
        authorization_code: entry.approved.map(|_| last_digits(entry.number, 6)),
        retrieval_reference: Some(last_digits(entry.number, 12)),
    };
    match entry.approved {
        Some(amount) => AuthorizationAnswer::Approved {
            amount,
            host,
            issuer_data,
        },
        None => AuthorizationAnswer::Declined { host, issuer_data },
    }
}

/// The last `count` decimal digits of a number, with leading zeros.
fn last_digits(number: u64, count: usize) -> String {
    let text = format!("{number:0>count$}");
    let skipped = text.len().saturating_sub(count);
    text.get(skipped..).unwrap_or_default().to_owned()
}

/// Tag 91 for a chip that waits in the slot. The simulated issuer has no card keys: instead of a
/// cryptogram it holds the entry's number.
fn issuer_data(entry: &BookEntry) -> Vec<u8> {
    if !entry.is_contact_chip {
        return Vec::new();
    }
    let mut value = entry.number.to_be_bytes().to_vec();
    value.extend(entry.response_code.text().bytes());
    TlvWriter::default()
        .clear(TAG_ISSUER_AUTHENTICATION, &value)
        .finish()
}

#[cfg(test)]
mod tests;
