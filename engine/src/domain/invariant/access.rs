//! Rules about who may do what: terminals, pairing codes, API keys, claimed idempotency keys.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::{
    ApiKeyId, FaultId, MerchantId, PairingCodeId, PosTransactionId, PrintJobId, TerminalId,
    TransactionId,
};

use super::{Holdings, Violation};
use crate::domain::merchant::DeviceKey;

/// Whatever belongs to a merchant belongs to one that exists.
pub(super) fn merchant_exists(id: MerchantId, holdings: &Holdings, found: &mut Vec<Violation>) {
    if holdings.merchant.is_none() {
        let what = "has rows and does not exist";
        found.push(Violation::new("merchant_exists", &id, what));
    }
}

/// A terminal has a device key exactly when it is paired: a release takes both. If codes were
/// redeemed for it, the key is one of theirs.
pub(super) fn terminal_key_was_paired(
    _: MerchantId,
    holdings: &Holdings,
    found: &mut Vec<Violation>,
) {
    let mut redeemed: BTreeMap<TerminalId, Vec<DeviceKey>> = BTreeMap::new();
    for code in holdings.pairing_codes.values() {
        if let Some((device_key, _)) = code.redeemed {
            redeemed
                .entry(code.terminal_id)
                .or_default()
                .push(device_key);
        }
    }
    for terminal in holdings.terminals.values() {
        let redeemed = redeemed.get(&terminal.id);
        let what = match (terminal.device_key, terminal.paired_at) {
            (None, None)
                if terminal.installations.latest.is_some()
                    && terminal.installations.released.is_none() =>
            {
                "was linked and never paired"
            }
            (None, Some(_)) => "was paired and has no device key",
            (Some(_), None) => "has a device key and was never paired",
            (Some(key), Some(_)) if redeemed.is_some_and(|keys| !keys.contains(&key)) => {
                "has a device key that no code was redeemed with"
            }
            _ => continue,
        };
        found.push(Violation::new(
            "terminal_key_was_paired",
            &terminal.id,
            what,
        ));
    }
}

/// A pairing code is for a terminal that exists, and was redeemed while it lived, unless it was taken
/// back. Its terminal has a key since, until it is released.
pub(super) fn pairing_code_has_terminal(
    _: MerchantId,
    holdings: &Holdings,
    found: &mut Vec<Violation>,
) {
    let mut report = |id: PairingCodeId, what: String| {
        found.push(Violation::new("pairing_code_has_terminal", &id, what));
    };
    for code in holdings.pairing_codes.values() {
        let terminal = holdings.terminals.get(&code.terminal_id);
        if terminal.is_none() {
            let terminal_id = code.terminal_id;
            report(
                code.id,
                format!("is for {terminal_id}, which does not exist"),
            );
        }
        if code.expires_at <= code.created_at {
            report(code.id, "expires before it was made".to_owned());
        }
        let Some((_, redeemed_at)) = code.redeemed else {
            continue;
        };
        if redeemed_at >= code.expires_at {
            report(code.id, "was redeemed after its end".to_owned());
        }
        if code.revoked_at.is_some() {
            report(code.id, "was redeemed and taken back".to_owned());
        }
        let lost_its_key = terminal.is_some_and(|terminal| {
            let released = terminal.installations.released;
            terminal.device_key.is_none() && released.is_none_or(|(_, at)| at < redeemed_at)
        });
        if lost_its_key {
            report(
                code.id,
                "was redeemed and its terminal has no key".to_owned(),
            );
        }
    }
}

/// An API key is revoked and ends after it was made. Two keys never share a secret.
pub(super) fn api_key_is_consistent(
    _: MerchantId,
    holdings: &Holdings,
    found: &mut Vec<Violation>,
) {
    let mut report = |id: ApiKeyId, what: &str| {
        found.push(Violation::new("api_key_is_consistent", &id, what));
    };
    let mut secrets = BTreeSet::new();
    for api_key in holdings.api_keys.values() {
        if api_key
            .expires_at
            .is_some_and(|at| at <= api_key.created_at)
        {
            report(api_key.id, "expires before it was made");
        }
        if !secrets.insert(api_key.hash.0) {
            report(api_key.id, "has the secret of another key");
        }
    }
}

/// A claimed idempotency key points at something that exists, and one without an answer at
/// something that can still give one.
pub(super) fn claim_has_resource(
    merchant_id: MerchantId,
    holdings: &Holdings,
    found: &mut Vec<Violation>,
) {
    for (key, claim) in &holdings.claims {
        let resource = claim.resource.as_str();
        let problem = match exists(merchant_id, holdings, resource) {
            None => Some("which is no id of a resource"),
            Some(false) => Some("which does not exist"),
            Some(true) if claim.answer.is_none() && !is_deferred(resource) => {
                Some("which is never waited for, and holds no answer")
            }
            Some(true) => None,
        };
        if let Some(problem) = problem {
            let id = format!("{merchant_id}/{}", hex::encode(key.0));
            let what = format!("points at {resource:?}, {problem}");
            found.push(Violation::new("claim_has_resource", &id, what));
        }
    }
}

/// Only cancels, voids and tips wait for the acquirer before they are answered.
fn is_deferred(resource: &str) -> bool {
    resource.parse::<PosTransactionId>().is_ok() || resource.parse::<TransactionId>().is_ok()
}

/// Whether a resource exists; `None` when the text is no id.
fn exists(merchant_id: MerchantId, holdings: &Holdings, text: &str) -> Option<bool> {
    let pos = |id| holdings.pos.contains_key(&id);
    let transaction = |id| holdings.transactions.contains_key(&id);
    let job = |id| holdings.print_jobs.contains_key(&id);
    let terminal = |id| holdings.terminals.contains_key(&id);
    let code = |id| holdings.pairing_codes.contains_key(&id);
    let api_key = |id| holdings.api_keys.contains_key(&id);
    let fault = |id| holdings.faults.contains_key(&id);
    let one = text.parse::<PosTransactionId>().map(pos);
    one.or_else(|_| text.parse::<TransactionId>().map(transaction))
        .or_else(|_| text.parse::<PrintJobId>().map(job))
        .or_else(|_| text.parse::<TerminalId>().map(terminal))
        .or_else(|_| text.parse::<PairingCodeId>().map(code))
        .or_else(|_| text.parse::<ApiKeyId>().map(api_key))
        .or_else(|_| text.parse::<FaultId>().map(fault))
        .or_else(|_| text.parse::<MerchantId>().map(|id| id == merchant_id))
        .ok()
}
