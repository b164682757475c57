//! Which receipts exist and what is on them. Rules are data; the result is a pure function of
//! merchant, terminal, transaction, revision and copy.

use chrono::{DateTime, FixedOffset, Utc};
use protocol::id::TerminalId;
use protocol::link::PosKind;
use protocol::receipt::{Align, Copy, Entry, Receipt};

use super::card::{CardSummary, EntryMode};
use super::merchant::{Merchant, Terminal};
use super::reason::Reason;
use super::time::Timestamp;
use super::transaction::{Transaction, TransactionState};

/// What a slip tells about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slip {
    /// The transaction stands.
    Approved,
    /// The card was refused.
    Declined,
    /// It was undone before it stood.
    Reversed,
    /// It was undone after it stood.
    Voided,
}

/// Copies that print by themselves when a transaction gets there.
const AUTOMATIC: &[(Slip, &[Copy])] = &[
    (Slip::Approved, &[Copy::Merchant, Copy::Customer]),
    (Slip::Declined, &[Copy::Customer]),
    (Slip::Reversed, &[Copy::Customer]),
    (Slip::Voided, &[Copy::Customer]),
];

/// EMV tags on paper: tag, machine name, label, and the copies that carry it.
const EMV_FIELDS: &[(u32, &str, &str, &[Copy])] = &[
    (
        0x95,
        "terminal_verification_results",
        "TVR",
        &[Copy::Merchant],
    ),
    (
        0x9B,
        "transaction_status_information",
        "TSI",
        &[Copy::Merchant],
    ),
    (0x9F10, "issuer_application_data", "IAD", &[Copy::Merchant]),
    (
        0x9F36,
        "application_transaction_counter",
        "ATC",
        &[Copy::Merchant],
    ),
];

impl Slip {
    /// The slip of a transaction, if it has one.
    pub const fn of(transaction: &Transaction) -> Option<Self> {
        match transaction.state {
            TransactionState::Approved => Some(Self::Approved),
            TransactionState::Declined => Some(Self::Declined),
            TransactionState::Reversed => Some(Self::Reversed),
            TransactionState::Voided => Some(Self::Voided),
            TransactionState::Authorizing
            | TransactionState::Confirming
            | TransactionState::NotSent
            | TransactionState::Reversing => None,
        }
    }

    /// Copies that print by themselves.
    pub fn automatic(self) -> &'static [Copy] {
        AUTOMATIC
            .iter()
            .find(|(slip, _)| *slip == self)
            .map_or(&[], |(_, copies)| copies)
    }

    const fn heading(self) -> &'static str {
        match self {
            Self::Approved => "APPROVED",
            Self::Declined => "DECLINED",
            Self::Reversed => "REVERSED",
            Self::Voided => "VOIDED",
        }
    }
}

/// Everything that a receipt is made of.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Whose receipt.
    pub merchant: &'a Merchant,
    /// Where the card was read.
    pub terminal: &'a Terminal,
    /// What it is about.
    pub transaction: &'a Transaction,
    /// The merchant's lines at the end.
    pub footer: &'a [String],
}

/// Makes a receipt; `None` when the transaction has no slip yet.
pub fn make(source: &Source<'_>, copy: Copy, is_duplicate: bool) -> Option<Receipt> {
    let slip = Slip::of(source.transaction)?;
    let mut paper = Paper {
        copy,
        entries: Vec::new(),
    };
    if is_duplicate {
        paper.heading("DUPLICATE");
    }
    paper.merchant(source.merchant);
    paper.identification(source);
    paper.amounts(source.transaction);
    paper.card(&source.transaction.card, slip);
    paper.decision(source.transaction, slip);
    paper.closing(source.transaction, slip);
    paper.footer(source.footer);
    Some(Receipt {
        copy,
        is_duplicate,
        entries: paper.entries,
    })
}

struct Paper {
    copy: Copy,
    entries: Vec<Entry>,
}

impl Paper {
    fn heading(&mut self, text: &str) {
        self.entries.push(Entry::Heading {
            text: text.to_owned(),
        });
    }

    fn centred(&mut self, text: &str) {
        self.entries.push(Entry::Text {
            text: text.to_owned(),
            align: Align::Centre,
        });
    }

    fn field(&mut self, name: &str, label: &str, value: impl Into<String>) {
        self.named(name, label, value.into(), false);
    }

    fn named(&mut self, name: &str, label: &str, value: String, emphasis: bool) {
        let (name, label) = (name.to_owned(), label.to_owned());
        self.entries.push(Entry::Field {
            name,
            label,
            value,
            emphasis,
        });
    }

    fn footer(&mut self, lines: &[String]) {
        if !lines.is_empty() {
            self.entries.push(Entry::Blank);
        }
        for line in lines {
            self.centred(line);
        }
    }

    fn merchant(&mut self, merchant: &Merchant) {
        self.heading(&merchant.name);
        for line in &merchant.address {
            self.centred(line);
        }
        if let Some(phone) = &merchant.phone {
            self.centred(phone);
        }
        self.entries.push(Entry::Rule);
    }

    fn identification(&mut self, source: &Source<'_>) {
        let transaction = source.transaction;
        self.field("merchant_id", "Merchant", source.merchant.id.to_string());
        self.field("terminal_id", "Terminal", short(source.terminal));
        let local = local_time(transaction.created_at, source.merchant.utc_offset_minutes);
        self.field(
            "date",
            "Date",
            local.format("%Y-%m-%d %H:%M:%S %:z").to_string(),
        );
        self.field("type", "Type", kind_label(transaction));
        if let Some(reference) = &transaction.reference {
            self.field("reference", "Reference", reference.as_str());
        }
        self.field(
            "trace_number",
            "Trace",
            format!("{:06}", transaction.trace.number),
        );
        let retrieval = transaction
            .host
            .as_ref()
            .and_then(|host| host.retrieval_reference.as_ref());
        if let Some(retrieval) = retrieval {
            self.field("retrieval_reference", "RRN", retrieval.as_str());
        }
        self.entries.push(Entry::Rule);
    }

    fn amounts(&mut self, transaction: &Transaction) {
        if let Some(tip) = transaction.current_tip() {
            self.field("amount", "Amount", transaction.base.to_string());
            self.field("tip", "Tip", tip.to_string());
        }
        let total = transaction.total();
        self.named("total", "TOTAL", total.to_string(), true);
        if total.minor() < transaction.requested.minor()
            && transaction.tip_revisions.is_empty()
            && let Ok(due) = transaction.requested.minus(total)
        {
            self.named("amount_due", "STILL DUE", due.to_string(), true);
        }
        self.entries.push(Entry::Rule);
    }

    fn card(&mut self, card: &CardSummary, slip: Slip) {
        let name = card
            .application_label()
            .unwrap_or_else(|| card.brand.to_uppercase());
        self.field("application_label", "Card", name);
        if let Some(number) = &card.masked_number {
            self.field("card_number", "Number", hidden_but_last_four(number));
        }
        self.field("entry_mode", "Entry", entry_label(card.entry));
        if let Some(aid) = card.application_id() {
            self.field("application_id", "AID", hex::encode_upper(aid));
        }
        for (tag, name, label, copies) in EMV_FIELDS {
            if let Some(value) = card.emv.get(tag)
                && copies.contains(&self.copy)
            {
                self.field(name, label, hex::encode_upper(value));
            }
        }
        if let Some(cryptogram) = card.emv.get(&0x9F26) {
            let kind = cryptogram_kind(card);
            self.field(
                "application_cryptogram",
                kind,
                hex::encode_upper(cryptogram),
            );
        }
        if slip == Slip::Approved {
            self.field("cardholder_verification", "CVM", verification(card).label());
        }
    }

    fn decision(&mut self, transaction: &Transaction, slip: Slip) {
        if let Some(host) = &transaction.host {
            if let Some(code) = &host.authorization_code {
                self.field("authorization_code", "Auth code", code.as_str());
            }
            self.field("response_code", "Response", host.response_code.as_str());
            // Nothing else can decide here: a card's own approval is never taken as payment.
            self.field("authorization_mode", "Decided by", "ISSUER");
        }
        if let Some(reason) = transaction.reason
            && reason != Reason::Approved
        {
            self.field("reason", "Reason", reason.code());
        }
        self.entries.push(Entry::Blank);
        self.heading(slip.heading());
    }

    fn closing(&mut self, transaction: &Transaction, slip: Slip) {
        let is_signed = verification(&transaction.card) == Verification::Signature;
        if slip == Slip::Approved && self.copy == Copy::Merchant && is_signed {
            self.entries.push(Entry::Signature);
            self.centred("I agree to pay the above total.");
        }
        if matches!(slip, Slip::Reversed | Slip::Voided | Slip::Declined) {
            self.centred("No amount has been charged.");
        }
        self.entries.push(Entry::Blank);
        self.centred(match self.copy {
            Copy::Merchant => "MERCHANT COPY",
            Copy::Customer => "CUSTOMER COPY",
        });
        self.field("transaction_id", "Id", transaction.id.to_string());
    }
}

/// How the payer was verified, from tag 9F34.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verification {
    Pin,
    Signature,
    Device,
    None,
}

impl Verification {
    const fn label(self) -> &'static str {
        match self {
            Self::Pin => "PIN VERIFIED",
            Self::Signature => "SIGNATURE",
            Self::Device => "VERIFIED BY DEVICE",
            Self::None => "NO VERIFICATION",
        }
    }
}

/// EMV book 4 annex A4: the low six bits of the first byte name the method.
fn verification(card: &CardSummary) -> Verification {
    let Some([method, ..]) = card.emv.get(&0x9F34).map(Vec::as_slice) else {
        return match card.entry {
            EntryMode::Swipe | EntryMode::Fallback | EntryMode::ContactlessStripe => {
                Verification::Signature
            }
            EntryMode::Contact | EntryMode::Contactless => Verification::None,
        };
    };
    match method & 0x3F {
        0x01 | 0x02 | 0x04 => Verification::Pin,
        0x03 | 0x05 | 0x1E => Verification::Signature,
        0x20 | 0x21 => Verification::Device,
        _ => Verification::None,
    }
}

/// EMV book 3: the high two bits of 9F27 name the cryptogram.
fn cryptogram_kind(card: &CardSummary) -> &'static str {
    match card
        .emv
        .get(&0x9F27)
        .and_then(|value| value.first())
        .map(|byte| byte >> 6)
    {
        Some(0) => "AAC",
        Some(1) => "TC",
        _ => "ARQC",
    }
}

fn kind_label(transaction: &Transaction) -> &'static str {
    match (transaction.kind, transaction.state) {
        (_, TransactionState::Voided) => "VOID",
        (PosKind::Sale, _) => "SALE",
        (PosKind::Authorization, _) => "AUTHORIZATION",
    }
}

const fn entry_label(entry: EntryMode) -> &'static str {
    match entry {
        EntryMode::Contact => "CHIP",
        EntryMode::Contactless => "CONTACTLESS",
        EntryMode::ContactlessStripe => "CONTACTLESS STRIPE",
        EntryMode::Swipe => "SWIPE",
        EntryMode::Fallback => "FALLBACK SWIPE",
    }
}

/// The paper shows the last four digits only, whatever the reader lets through.
fn hidden_but_last_four(number: &str) -> String {
    let hidden = number.chars().count().saturating_sub(4);
    number
        .chars()
        .enumerate()
        .map(|(at, digit)| if at < hidden { '*' } else { digit })
        .collect()
}

/// A terminal on paper: its label, and enough of its id to find it.
fn short(terminal: &Terminal) -> String {
    let id: TerminalId = terminal.id;
    let text = id.to_string();
    let tail = text.get(text.len().saturating_sub(8)..).unwrap_or_default();
    format!("{} {tail}", terminal.label)
}

fn local_time(at: Timestamp, offset_minutes: i16) -> DateTime<FixedOffset> {
    let utc = DateTime::<Utc>::from_timestamp_millis(at.0).unwrap_or_default();
    let seconds = i32::from(offset_minutes).saturating_mul(60);
    let offset = FixedOffset::east_opt(seconds).or_else(|| FixedOffset::east_opt(0));
    offset.map_or_else(|| utc.fixed_offset(), |offset| utc.with_timezone(&offset))
}

#[cfg(test)]
mod tests;
