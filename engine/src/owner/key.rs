//! Keys of rows: a space byte, then ids in time order. Nothing else makes keys.

use protocol::id::{
    ApiKeyId, FaultId, MerchantId, PairingCodeId, PartnerId, PosTransactionId, PrintJobId,
    TerminalId, TransactionId,
};

use crate::domain::idempotency::ClaimKey;
use crate::store::StreamId;

/// The space byte of a partner row.
pub const PARTNER: u8 = b'R';
/// The space byte of a merchant row.
pub const MERCHANT: u8 = b'M';
/// The space byte of a terminal row.
pub const TERMINAL: u8 = b'T';
/// The space byte of an API key row.
pub const API_KEY: u8 = b'K';
/// The space byte of a pairing code row.
pub const PAIRING_CODE: u8 = b'C';
/// The space byte of a POS transaction row.
pub const POS: u8 = b'P';
/// The space byte of a transaction row.
pub const TRANSACTION: u8 = b'X';
/// The space byte of an idempotency row.
pub const CLAIM: u8 = b'I';
/// The space byte of a print job row.
pub const PRINT_JOB: u8 = b'J';
/// The space byte of a merchant's counters.
pub const COUNTERS: u8 = b'N';
/// The space byte of a fault that was asked for in test mode.
pub const FAULT: u8 = b'F';
/// The space byte of what a merchant wants of its tills.
pub const TERMINAL_DEFAULTS: u8 = b'G';
/// The space byte of the marks of open work: all that an owner loads.
pub const OPEN: u8 = b'O';
/// The space byte of the marks "this copy of this receipt was queued before".
pub const COPY_MARK: u8 = b'D';

fn key<const N: usize>(space: u8, parts: [&[u8]; N]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + 32);
    key.push(space);
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

/// The stream of the platform's owner.
pub const fn platform_stream() -> StreamId {
    StreamId([b'R'; 17])
}

/// The stream of a merchant's owner.
pub fn merchant_stream(merchant_id: MerchantId) -> StreamId {
    let mut bytes = [MERCHANT; 17];
    bytes[1..].copy_from_slice(&merchant_id.bytes());
    StreamId(bytes)
}

/// All rows of a space.
pub fn space(space: u8) -> Vec<u8> {
    vec![space]
}

/// All rows of a space that a merchant owns.
pub fn of_merchant(space: u8, merchant_id: MerchantId) -> Vec<u8> {
    key(space, [&merchant_id.bytes()])
}

/// A partner.
pub fn partner(id: PartnerId) -> Vec<u8> {
    key(PARTNER, [&id.bytes()])
}

/// A merchant.
pub fn merchant(id: MerchantId) -> Vec<u8> {
    key(MERCHANT, [&id.bytes()])
}

/// A terminal.
pub fn terminal(merchant_id: MerchantId, id: TerminalId) -> Vec<u8> {
    key(TERMINAL, [&merchant_id.bytes(), &id.bytes()])
}

/// An API key.
pub fn api_key(merchant_id: MerchantId, id: ApiKeyId) -> Vec<u8> {
    key(API_KEY, [&merchant_id.bytes(), &id.bytes()])
}

/// A pairing code.
pub fn pairing_code(merchant_id: MerchantId, id: PairingCodeId) -> Vec<u8> {
    key(PAIRING_CODE, [&merchant_id.bytes(), &id.bytes()])
}

/// A POS transaction.
pub fn pos(merchant_id: MerchantId, id: PosTransactionId) -> Vec<u8> {
    key(POS, [&merchant_id.bytes(), &id.bytes()])
}

/// A transaction.
pub fn transaction(merchant_id: MerchantId, id: TransactionId) -> Vec<u8> {
    key(TRANSACTION, [&merchant_id.bytes(), &id.bytes()])
}

/// A claimed idempotency key.
pub fn claim(merchant_id: MerchantId, claim: ClaimKey) -> Vec<u8> {
    key(CLAIM, [&merchant_id.bytes(), &claim.0])
}

/// A claimed idempotency key of the operator. No merchant has the id of zeros.
pub fn platform_claim(claim: ClaimKey) -> Vec<u8> {
    key(CLAIM, [&[0; 16], &claim.0])
}

/// All claimed idempotency keys of the operator.
pub fn platform_claims() -> Vec<u8> {
    key(CLAIM, [&[0; 16]])
}

/// A print job.
pub fn print_job(merchant_id: MerchantId, id: PrintJobId) -> Vec<u8> {
    key(PRINT_JOB, [&merchant_id.bytes(), &id.bytes()])
}

/// A fault that was asked for in test mode.
pub fn fault(merchant_id: MerchantId, id: FaultId) -> Vec<u8> {
    key(FAULT, [&merchant_id.bytes(), &id.bytes()])
}

/// A merchant's counters.
pub fn counters(merchant_id: MerchantId) -> Vec<u8> {
    key(COUNTERS, [&merchant_id.bytes()])
}

/// What a merchant wants of its tills.
pub fn terminal_defaults(merchant_id: MerchantId) -> Vec<u8> {
    key(TERMINAL_DEFAULTS, [&merchant_id.bytes()])
}

/// The mark that a row of this owner is open; the value is empty.
pub fn open(merchant_id: MerchantId, row_key: &[u8]) -> Vec<u8> {
    let (space, rest) = row_key.split_first().unwrap_or((&0, &[]));
    let id = rest.get(16..).unwrap_or_default();
    key(OPEN, [&merchant_id.bytes(), &[*space], id])
}

/// The row that a mark of open work stands for.
pub fn opened(mark: &[u8]) -> Option<Vec<u8>> {
    let merchant_id = mark.get(1..17)?;
    let space = *mark.get(17)?;
    let id = mark.get(18..)?;
    Some(key(space, [merchant_id, id]))
}

/// The mark that a copy of a receipt was queued for printing before.
pub fn copy_mark(merchant_id: MerchantId, pos_id: PosTransactionId, version: &[u8]) -> Vec<u8> {
    key(COPY_MARK, [&merchant_id.bytes(), &pos_id.bytes(), version])
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_mark_leads_back_to_its_row() {
        let merchant_id = MerchantId::from_uuid(Uuid::from_u128(1));
        let row = pos(merchant_id, PosTransactionId::from_uuid(Uuid::from_u128(2)));
        let mark = open(merchant_id, &row);
        assert!(mark.starts_with(&of_merchant(OPEN, merchant_id)));
        assert_eq!(opened(&mark), Some(row));
        assert_eq!(opened(b"O"), None);
    }
}
