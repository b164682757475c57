//! Keys and fingerprints of requests: same key, same answer.

use actix_web::http::header::HeaderMap;
use protocol::id::MerchantId;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::access::operation::Operation;
use crate::domain::idempotency::{ClaimKey, Fingerprint};

use super::code::{Code, ErrorAnswer};
use super::json;

/// The header that the seeds name.
pub(super) const KEY_HEADER: &str = "X-Idempotency-Key";
/// The header of the IETF draft, taken too; there the value is a quoted string.
const KEY_HEADER_DRAFT: &str = "Idempotency-Key";
/// Longest key (seed 001).
const KEY_BYTES_MAX: usize = 255;
/// There is no live acquirer yet: every key is of the test mode.
const MODE: &str = "test";

/// What a route does with an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idempotency {
    /// Money can move: no key, no work.
    Required,
    /// Used if one is sent.
    Honoured,
    /// The request can be repeated as it is.
    None,
}

/// Reads the key of a request.
///
/// # Errors
/// A missing key that is required, one that cannot be used, or two that differ.
pub(super) fn key(headers: &HeaderMap, rule: Idempotency) -> Result<Option<String>, ErrorAnswer> {
    if rule == Idempotency::None {
        return Ok(None);
    }
    let key = match (one(headers, KEY_HEADER)?, one(headers, KEY_HEADER_DRAFT)?) {
        (Some(one), Some(other)) if one != other => return Err(unusable("two keys that differ")),
        (one, other) => one.or(other),
    };
    if key.is_none() && rule == Idempotency::Required {
        return Err(ErrorAnswer::absent(KEY_HEADER));
    }
    Ok(key)
}

fn one(headers: &HeaderMap, name: &str) -> Result<Option<String>, ErrorAnswer> {
    let mut values = headers.get_all(name);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(unusable("two keys"));
    }
    let text = value.to_str().map_err(|_| unusable("not visible ASCII"))?;
    let text = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    if text.is_empty() || text.len() > KEY_BYTES_MAX {
        return Err(unusable("not 1 to 255 characters"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unusable("not visible ASCII"));
    }
    Ok(Some(text.to_owned()))
}

fn unusable(why: &str) -> ErrorAnswer {
    ErrorAnswer::new(
        Code::BadRequest,
        format!("{KEY_HEADER} is unusable: {why}."),
    )
    .with("field", KEY_HEADER)
}

/// The key as it is stored: within its merchant and mode, not within a token, so that a key that
/// is rotated in the middle of a retry does not charge twice.
pub(super) fn claim_key(merchant_id: MerchantId, key: &str) -> ClaimKey {
    let mut hash = Sha256::new();
    part(&mut hash, &merchant_id.bytes());
    part(&mut hash, MODE.as_bytes());
    part(&mut hash, key.as_bytes());
    ClaimKey(hash.finalize().into())
}

/// The key of one part of a request that is carried out in parts. The first part has the request's
/// own key, so that the key stands for one request everywhere.
pub(super) fn part_claim_key(merchant_id: MerchantId, key: &str, number: usize) -> ClaimKey {
    let whole = claim_key(merchant_id, key);
    if number == 0 {
        return whole;
    }
    let mut hash = Sha256::new();
    part(&mut hash, b"part");
    part(&mut hash, &whole.0);
    part(
        &mut hash,
        &u64::try_from(number).unwrap_or(u64::MAX).to_be_bytes(),
    );
    ClaimKey(hash.finalize().into())
}

/// The operator's key as it is stored. There is one operator.
pub(super) fn operator_claim_key(key: &str) -> ClaimKey {
    let mut hash = Sha256::new();
    part(&mut hash, b"operator");
    part(&mut hash, key.as_bytes());
    ClaimKey(hash.finalize().into())
}

/// What a request asks for: operation, path parameters and body, whatever the order and spacing
/// of its members.
pub(super) fn fingerprint(
    operation: Operation,
    parameters: &[(String, String)],
    body: &Value,
) -> Fingerprint {
    let mut hash = Sha256::new();
    part(&mut hash, operation.name().as_bytes());
    for (name, value) in parameters {
        part(&mut hash, name.as_bytes());
        part(&mut hash, value.as_bytes());
    }
    let mut canonical = Vec::new();
    json::canonical(body, &mut canonical);
    part(&mut hash, &canonical);
    Fingerprint(hash.finalize().into())
}

/// Length first, so that no two lists of parts look the same.
fn part(hash: &mut Sha256, bytes: &[u8]) {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    hash.update(length.to_be_bytes());
    hash.update(bytes);
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn headers(values: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    #[test]
    fn keys_are_read_strictly() {
        let long = vec![b'a'; 256];
        let longest = vec![b'a'; 255];
        for (values, expected) in [
            (&[][..], None),
            (&[("x-idempotency-key", &b"a-1"[..])][..], Some("a-1")),
            (&[("idempotency-key", &b"\"a-1\""[..])][..], Some("a-1")),
            (
                &[("x-idempotency-key", &b"a"[..]), ("idempotency-key", b"a")][..],
                Some("a"),
            ),
        ] {
            let found = key(&headers(values), Idempotency::Honoured).unwrap();
            assert_eq!(found.as_deref(), expected);
        }
        assert!(
            key(
                &headers(&[("x-idempotency-key", &longest)]),
                Idempotency::Required
            )
            .is_ok()
        );
        for bad in [
            &[("x-idempotency-key", &b""[..])][..],
            &[("x-idempotency-key", &long)],
            &[("x-idempotency-key", b"a b")],
            &[("x-idempotency-key", b"a\xffb")],
            &[("x-idempotency-key", b"a"), ("x-idempotency-key", b"a")],
            &[("x-idempotency-key", b"a"), ("idempotency-key", b"b")],
        ] {
            let refused = key(&headers(bad), Idempotency::Honoured).unwrap_err();
            assert_eq!(refused.code, Code::BadRequest);
            assert_eq!(refused.details["field"], KEY_HEADER);
        }
        let missing = key(&headers(&[]), Idempotency::Required).unwrap_err();
        assert_eq!(missing.details["field"], KEY_HEADER);
    }

    #[test]
    fn keys_belong_to_merchants() {
        let shop = |number| MerchantId::from_uuid(Uuid::from_u128(number));
        assert_eq!(claim_key(shop(1), "a"), claim_key(shop(1), "a"));
        assert_ne!(claim_key(shop(1), "a"), claim_key(shop(2), "a"));
        assert_ne!(claim_key(shop(1), "a"), claim_key(shop(1), "b"));
        let of_part = |number| part_claim_key(shop(1), "a", number);
        assert_eq!(of_part(0), claim_key(shop(1), "a"));
        assert_ne!(of_part(1), of_part(0));
        assert_ne!(of_part(1), of_part(2));
    }

    #[test]
    fn fingerprints_differ_in_what_counts_only() {
        let path = |id: &str| vec![("id".to_owned(), id.to_owned())];
        let print = |operation, id: &str, body: Value| fingerprint(operation, &path(id), &body);
        let body = json!({"amount": 1, "currency": "USD"});
        let first = print(Operation::StartPos, "1", body.clone());
        assert_eq!(
            first,
            print(
                Operation::StartPos,
                "1",
                json!({"currency": "USD", "amount": 1})
            )
        );
        assert_ne!(first, print(Operation::VoidTransaction, "1", body.clone()));
        assert_ne!(first, print(Operation::StartPos, "2", body));
        assert_ne!(
            first,
            print(
                Operation::StartPos,
                "1",
                json!({"amount": 2, "currency": "USD"})
            )
        );
    }
}
