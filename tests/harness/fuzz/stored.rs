//! Rows of the engine's state: every stored form, from any bytes.

use engine::domain::idempotency::Claim;
use engine::domain::merchant::{Merchant, Partner, Terminal};
use engine::domain::pairing::PairingCode;
use engine::domain::permission::Allowlist;
use engine::domain::pos::PosTransaction;
use engine::domain::print::PrintJob;
use engine::domain::sandbox::Fault;
use engine::domain::time::Timestamp;
use engine::domain::token::ApiKey;
use engine::domain::transaction::Transaction;
use engine::owner::key;
use engine::owner::stored::Counters;
use engine::owner::work::Stored;
use protocol::id::PartnerId;

use crate::simulation;

use super::property::decodes_again;

pub(super) const WORDS: &[&[u8]] = &[
    b"\xA2id",
    b"\xABmerchant_id",
    b"\xABterminal_id",
    b"\xA5state",
    b"\xA6reason",
    b"\xA6intent",
    b"\xA8reversal",
    b"\xA8attempts",
    b"\xA6cancel",
    b"\xA7outcome",
    b"\xA3emv",
    b"\xC0",
    b"\xC4\xFF",
    b"\xDD\xFF\xFF\xFF\xFF",
    b"\xDF\xFF\xFF\xFF\xFF",
    b"\xD9\x20",
];

/// Any bytes as a row of every kind: kinds are told apart by their keys, not by the bytes.
pub(super) fn rows(data: &[u8]) {
    row::<Partner>(data);
    row::<Merchant>(data);
    row::<Terminal>(data);
    row::<ApiKey>(data);
    row::<PairingCode>(data);
    row::<Claim>(data);
    row::<Counters>(data);
    row::<PosTransaction>(data);
    row::<PrintJob>(data);
    row::<Fault>(data);
    row::<Transaction>(data);
}

fn row<T: Stored + PartialEq>(data: &[u8]) {
    if let Some(value) = T::from_bytes(data) {
        decodes_again(&value, T::to_bytes, |bytes| T::from_bytes(bytes).ok_or(()));
    }
}

/// Rows of real transactions: a simulated shop's, of each kind the first few that differ in length.
pub(super) fn row_seeds() -> Vec<Vec<u8>> {
    let partner = Partner {
        id: PartnerId::from_bytes([5; 16]),
        name: "Partner".to_owned(),
        allowlist: Allowlist::full(),
        created_at: Timestamp(1_700_000_000_000),
        updated_at: Timestamp(1_700_000_000_000),
    };
    let mut seeds = vec![partner.to_bytes()];
    for space in [
        key::MERCHANT,
        key::TERMINAL,
        key::API_KEY,
        key::CLAIM,
        key::COUNTERS,
        key::POS,
        key::PRINT_JOB,
        key::FAULT,
        key::TRANSACTION,
    ] {
        let mut lengths = Vec::new();
        for value in simulation::rows_left(1, space) {
            if !lengths.contains(&value.len()) && lengths.len() < 8 {
                lengths.push(value.len());
                seeds.push(value);
            }
        }
    }
    seeds
}
