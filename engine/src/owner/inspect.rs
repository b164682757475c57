//! Looks at stored rows as a whole: decodes them and holds them against every invariant.
//!
//! Owns the way from a row to the domain value it stores, and the checks that need the key. Pure,
//! and for the engine's checks and for simulated worlds alike; never writes.

use std::collections::BTreeMap;

use protocol::id::{FaultId, MerchantId, PartnerId, PosTransactionId, PrintJobId, TransactionId};
use protocol::receipt::Copy;

use super::key;
use super::stored::Counters;
use super::work::Stored;
use crate::domain::idempotency::{Claim, ClaimKey};
use crate::domain::invariant::{self, CopyMark, Holdings, OpenWork, Violation};
use crate::domain::merchant::{Merchant, Partner, Terminal};
use crate::domain::pairing::PairingCode;
use crate::domain::pos::PosTransaction;
use crate::domain::print::PrintJob;
use crate::domain::sandbox::Fault;
use crate::domain::terminal_settings::TerminalDefaults;
use crate::domain::token::ApiKey;
use crate::domain::transaction::Transaction;

/// The store's own rows: not an owner's.
const RESERVED_SPACE: u8 = 0;
/// The owner of claims that belong to no merchant.
const PLATFORM: MerchantId = MerchantId::from_bytes([0; 16]);

/// Everything that a database holds, decoded.
#[derive(Debug, Clone, Default)]
pub struct Inspection {
    /// Partners.
    pub partners: BTreeMap<PartnerId, Partner>,
    /// Merchants with what they own. What belongs to no merchant is with the id of zeros.
    pub merchants: BTreeMap<MerchantId, Holdings>,
    /// Rows that cannot be read, or whose key is not theirs.
    unreadable: Vec<Violation>,
}

/// Holds rows against every invariant: what they violate, in order of rule and id.
pub fn inspect<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    rows: impl IntoIterator<Item = (K, V)>,
) -> Vec<Violation> {
    Inspection::read(rows).violations()
}

impl Inspection {
    /// Decodes rows.
    pub fn read<K: AsRef<[u8]>, V: AsRef<[u8]>>(rows: impl IntoIterator<Item = (K, V)>) -> Self {
        let mut inspection = Self::default();
        for (key, value) in rows {
            let (key, value) = (key.as_ref(), value.as_ref());
            if let Err(what) = inspection.add(key, value) {
                let id = hex::encode(key);
                let violation = Violation::new("row_is_readable", &id, what);
                inspection.unreadable.push(violation);
            }
        }
        inspection
    }

    /// All transactions with their merchant, for comparison with other books.
    pub fn transactions(&self) -> impl Iterator<Item = &Transaction> {
        self.merchants
            .values()
            .flat_map(|holdings| holdings.transactions.values())
    }

    /// What is violated, in order of rule and id.
    pub fn violations(&self) -> Vec<Violation> {
        let mut found = self.unreadable.clone();
        for (merchant_id, holdings) in &self.merchants {
            if *merchant_id == PLATFORM {
                continue;
            }
            found.extend(invariant::check(*merchant_id, holdings));
            if let Some(merchant) = &holdings.merchant {
                invariant::check_partner(merchant, &self.partners, &mut found);
            }
        }
        found.sort();
        found
    }

    fn add(&mut self, row_key: &[u8], value: &[u8]) -> Result<(), String> {
        let (space, rest) = row_key.split_first().ok_or("has an empty key")?;
        if *space == RESERVED_SPACE {
            return Ok(());
        }
        if *space == key::PARTNER {
            let partner: Partner = decode(value)?;
            is_key(row_key, &key::partner(partner.id))?;
            self.partners.insert(partner.id, partner);
            return Ok(());
        }
        let (merchant_id, id) = rest
            .split_first_chunk::<16>()
            .ok_or("has a key without an owner")?;
        let merchant_id = MerchantId::from_bytes(*merchant_id);
        let holdings = self.merchants.entry(merchant_id).or_default();
        holdings.add(merchant_id, row_key, *space, id, value)
    }
}

fn decode<T: Stored>(value: &[u8]) -> Result<T, String> {
    T::from_bytes(value).ok_or_else(|| "holds a value of no known version".to_owned())
}

fn is_key(found: &[u8], expected: &[u8]) -> Result<(), String> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("holds the value of key {}", hex::encode(expected)))
    }
}

/// Adds a row to those of its kind; it says itself which key it must be at, and its id.
fn put<I: Ord, T: Stored>(
    into: &mut BTreeMap<I, T>,
    (row_key, value): (&[u8], &[u8]),
    place: impl FnOnce(&T) -> (Vec<u8>, I),
) -> Result<(), String> {
    let one: T = decode(value)?;
    let (key, id) = place(&one);
    is_key(row_key, &key)?;
    into.insert(id, one);
    Ok(())
}

/// How one row is added; only rows of one merchant are.
trait Gather {
    fn add(
        &mut self,
        merchant_id: MerchantId,
        row_key: &[u8],
        space: u8,
        id: &[u8],
        value: &[u8],
    ) -> Result<(), String>;
}

impl Gather for Holdings {
    fn add(
        &mut self,
        merchant_id: MerchantId,
        row_key: &[u8],
        space: u8,
        id: &[u8],
        value: &[u8],
    ) -> Result<(), String> {
        let row = (row_key, value);
        match space {
            key::MERCHANT => {
                let merchant: Merchant = decode(value)?;
                is_key(row_key, &key::merchant(merchant.id))?;
                self.merchant = Some(merchant);
            }
            key::TERMINAL => put(&mut self.terminals, row, |one: &Terminal| {
                (key::terminal(one.merchant_id, one.id), one.id)
            })?,
            key::API_KEY => put(&mut self.api_keys, row, |one: &ApiKey| {
                (key::api_key(one.merchant_id, one.id), one.id)
            })?,
            key::PAIRING_CODE => put(&mut self.pairing_codes, row, |one: &PairingCode| {
                (key::pairing_code(one.merchant_id, one.id), one.id)
            })?,
            key::POS => put(&mut self.pos, row, |one: &PosTransaction| {
                (key::pos(one.merchant_id, one.id), one.id)
            })?,
            key::TRANSACTION => put(&mut self.transactions, row, |one: &Transaction| {
                (key::transaction(one.merchant_id, one.id), one.id)
            })?,
            key::PRINT_JOB => put(&mut self.print_jobs, row, |one: &PrintJob| {
                (key::print_job(one.merchant_id, one.id), one.id)
            })?,
            key::FAULT => put(&mut self.faults, row, |one: &Fault| {
                (key::fault(one.merchant_id, one.id), one.id)
            })?,
            key::CLAIM => {
                let claim: Claim = decode(value)?;
                let claim_key = id.try_into().map_err(|_| "is no idempotency key")?;
                self.claims.insert(ClaimKey(claim_key), claim);
            }
            key::COUNTERS => {
                let counters: Counters = decode(value)?;
                is_key(row_key, &key::counters(merchant_id))?;
                self.trace = Some(counters.trace);
            }
            key::TERMINAL_DEFAULTS => {
                let defaults: TerminalDefaults = decode(value)?;
                is_key(row_key, &key::terminal_defaults(defaults.merchant_id))?;
            }
            key::OPEN => {
                self.open.insert(open_work(id)?);
                is_empty(value)?;
            }
            key::COPY_MARK => {
                self.copy_marks.push(copy_mark(id)?);
                is_empty(value)?;
            }
            _ => return Err("is in a space that this version does not know".to_owned()),
        }
        Ok(())
    }
}

fn is_empty(value: &[u8]) -> Result<(), String> {
    if value.is_empty() {
        Ok(())
    } else {
        Err("is a mark and has a value".to_owned())
    }
}

fn open_work(id: &[u8]) -> Result<OpenWork, String> {
    let (space, id) = id.split_first().ok_or("marks nothing")?;
    let id = id.try_into().map_err(|_| "marks no id")?;
    match *space {
        key::POS => Ok(OpenWork::Pos(PosTransactionId::from_bytes(id))),
        key::TRANSACTION => Ok(OpenWork::Transaction(TransactionId::from_bytes(id))),
        key::PRINT_JOB => Ok(OpenWork::Print(PrintJobId::from_bytes(id))),
        key::FAULT => Ok(OpenWork::Fault(FaultId::from_bytes(id))),
        _ => Err("marks something that cannot be open".to_owned()),
    }
}

/// POS transaction, copy, slip, number of tips, transaction.
fn copy_mark(id: &[u8]) -> Result<CopyMark, String> {
    let malformed = || "is no mark of a copy".to_owned();
    let (pos_id, version) = id.split_first_chunk::<16>().ok_or_else(malformed)?;
    let (kind, transaction_id) = version.split_first_chunk::<3>().ok_or_else(malformed)?;
    let copy = match kind {
        [b'm', ..] => Copy::Merchant,
        [b'c', ..] => Copy::Customer,
        _ => return Err(malformed()),
    };
    Ok(CopyMark {
        pos_id: PosTransactionId::from_bytes(*pos_id),
        transaction_id: TransactionId::from_bytes(
            transaction_id.try_into().map_err(|_| malformed())?,
        ),
        copy,
    })
}
