//! What must be true of everything that a merchant has stored, whenever it is looked at.
//!
//! Named functions over domain values; each adds what it finds. They hold after every commit, not
//! only at rest: a world may be looked at between any two of them. Never reads or decodes anything.

mod access;
mod amount;
mod paper;
mod standing;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use protocol::id::{
    ApiKeyId, FaultId, MerchantId, PairingCodeId, PartnerId, PosTransactionId, PrintJobId,
    TerminalId, TransactionId,
};
use protocol::receipt::Copy;

use super::idempotency::{Claim, ClaimKey};
use super::merchant::{Merchant, Partner, Terminal};
use super::pairing::PairingCode;
use super::pos::PosTransaction;
use super::print::PrintJob;
use super::sandbox::Fault;
use super::token::ApiKey;
use super::transaction::Transaction;

/// A rule that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The rule's name.
    pub rule: &'static str,
    /// Of what: an id, or a key.
    pub id: String,
    /// What was seen.
    pub what: String,
}

impl Violation {
    /// A violation of a rule by the thing of this id.
    pub fn new(rule: &'static str, id: &dyn fmt::Display, what: impl Into<String>) -> Self {
        Self {
            rule,
            id: id.to_string(),
            what: what.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}: {}", self.rule, self.id, self.what)
    }
}

/// What is open and has a mark by which a start finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OpenWork {
    /// A POS transaction that has not ended.
    Pos(PosTransactionId),
    /// A transaction that the acquirer owes a word on.
    Transaction(TransactionId),
    /// A print job without an end.
    Print(PrintJobId),
    /// A fault that will still happen.
    Fault(FaultId),
}

impl fmt::Display for OpenWork {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pos(id) => id.fmt(formatter),
            Self::Transaction(id) => id.fmt(formatter),
            Self::Print(id) => id.fmt(formatter),
            Self::Fault(id) => id.fmt(formatter),
        }
    }
}

/// The mark that a copy of a receipt was made before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyMark {
    /// Of which POS transaction.
    pub pos_id: PosTransactionId,
    /// About which transaction.
    pub transaction_id: TransactionId,
    /// For whom.
    pub copy: Copy,
}

/// Everything that one merchant has stored.
#[derive(Debug, Clone, Default)]
pub struct Holdings {
    /// Itself; absent when only things of it were found.
    pub merchant: Option<Merchant>,
    /// Its terminals.
    pub terminals: BTreeMap<TerminalId, Terminal>,
    /// Its API keys.
    pub api_keys: BTreeMap<ApiKeyId, ApiKey>,
    /// Its pairing codes.
    pub pairing_codes: BTreeMap<PairingCodeId, PairingCode>,
    /// Its POS transactions.
    pub pos: BTreeMap<PosTransactionId, PosTransaction>,
    /// Its transactions.
    pub transactions: BTreeMap<TransactionId, Transaction>,
    /// Its print jobs.
    pub print_jobs: BTreeMap<PrintJobId, PrintJob>,
    /// Faults that were asked for in test mode.
    pub faults: BTreeMap<FaultId, Fault>,
    /// Idempotency keys that are claimed.
    pub claims: BTreeMap<ClaimKey, Claim>,
    /// Receipts that were made before.
    pub copy_marks: Vec<CopyMark>,
    /// The last trace number used; absent before the first.
    pub trace: Option<u32>,
    /// What is marked as open.
    pub open: BTreeSet<OpenWork>,
}

/// A rule over one merchant's holdings.
pub type Rule = fn(MerchantId, &Holdings, &mut Vec<Violation>);

/// Every rule there is, by name.
pub const RULES: &[(&str, Rule)] = &[
    ("merchant_exists", access::merchant_exists),
    ("terminal_key_was_paired", access::terminal_key_was_paired),
    (
        "pairing_code_has_terminal",
        access::pairing_code_has_terminal,
    ),
    ("api_key_is_consistent", access::api_key_is_consistent),
    ("claim_has_resource", access::claim_has_resource),
    ("pos_amounts_add_up", amount::pos_amounts_add_up),
    (
        "transaction_amounts_add_up",
        amount::transaction_amounts_add_up,
    ),
    (
        "one_money_action_per_terminal",
        work::one_money_action_per_terminal,
    ),
    ("open_work_is_marked", work::open_work_is_marked),
    ("nothing_hangs", work::nothing_hangs),
    ("closed_is_final", work::closed_is_final),
    ("doubt_is_being_resolved", work::doubt_is_being_resolved),
    ("cancel_has_true_verdict", work::cancel_has_true_verdict),
    (
        "one_authorization_stands",
        standing::one_authorization_stands,
    ),
    (
        "attempts_and_transactions_agree",
        standing::attempts_and_transactions_agree,
    ),
    (
        "status_agrees_with_transactions",
        standing::status_agrees_with_transactions,
    ),
    (
        "transaction_is_consistent",
        standing::transaction_is_consistent,
    ),
    ("trace_is_used_once", standing::trace_is_used_once),
    ("print_job_has_pos", paper::print_job_has_pos),
    ("first_copy_is_marked", paper::first_copy_is_marked),
];

/// Holds a merchant's holdings against every rule.
pub fn check(merchant_id: MerchantId, holdings: &Holdings) -> Vec<Violation> {
    let mut found = Vec::new();
    for (_, rule) in RULES {
        rule(merchant_id, holdings, &mut found);
    }
    found
}

/// The partner of a merchant exists.
pub fn check_partner(
    merchant: &Merchant,
    partners: &BTreeMap<PartnerId, Partner>,
    found: &mut Vec<Violation>,
) {
    if let Some(partner_id) = merchant.partner_id
        && !partners.contains_key(&partner_id)
    {
        let what = format!("was boarded by {partner_id}, which does not exist");
        found.push(Violation::new("merchant_has_partner", &merchant.id, what));
    }
}
