//! API keys: shown once, kept as a hash.
//!
//! A key's text is `tw_test_<id>_<secret>`; the id part finds it, the secret is 256 random bits,
//! so one SHA-256 is enough to keep it: a slow hash would buy nothing.

use std::fmt;

use protocol::id::{ApiKeyId, MerchantId};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::scope::ScopeSet;
use super::time::Timestamp;

/// What every key's text begins with. There is no live acquirer yet, so every key is a test key.
pub const KEY_PREFIX: &str = "tw_test_";

/// SHA-256 of a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretHash(pub [u8; 32]);

impl SecretHash {
    /// Hashes a secret.
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Whether this is the hash of `secret`, in constant time.
    pub fn matches(&self, secret: &[u8]) -> bool {
        self.0.ct_eq(&Self::of(secret).0).into()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretHash(…)")
    }
}

/// A secret on its way to the one answer that shows it. Never stored, never in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the answer that shows it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// A merchant's API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// What people call it.
    pub label: String,
    /// Hash of its secret.
    pub hash: SecretHash,
    /// What it may do.
    pub scopes: ScopeSet,
    /// When it was minted.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl ApiKey {
    /// Whether it works at this instant.
    pub fn is_usable(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires_at| now < expires_at)
    }

    /// The text of a key.
    pub fn text(id: ApiKeyId, secret: &Secret) -> Secret {
        Secret::new(format!(
            "{KEY_PREFIX}{}_{}",
            id.uuid().simple(),
            secret.expose()
        ))
    }

    /// Takes a key's text apart: id and secret. `None` when it is not a key's text.
    pub fn parse(text: &str) -> Option<(ApiKeyId, &str)> {
        let (id, secret) = text.strip_prefix(KEY_PREFIX)?.split_once('_')?;
        let is_plain = id.len() == 32 && secret.len() == 64 && secret.is_ascii();
        let uuid = uuid::Uuid::try_parse(id).ok()?;
        is_plain.then(|| (ApiKeyId::from_uuid(uuid), secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_reads_back_and_secrets_stay_out_of_debug() {
        let id = ApiKeyId::from_uuid(uuid::Uuid::from_u128(7));
        let secret = Secret::new("ab".repeat(32));
        let text = ApiKey::text(id, &secret);
        assert_eq!(ApiKey::parse(text.expose()), Some((id, secret.expose())));
        assert!(!format!("{text:?}").contains("abab"));
        assert!(SecretHash::of(secret.expose().as_bytes()).matches(secret.expose().as_bytes()));
        assert!(!SecretHash::of(b"a").matches(b"b"));
        for text in [
            "",
            "tw_test_",
            "tw_test_00_ab",
            "tw_live_x_y",
            "tw_test_é_é",
        ] {
            assert_eq!(ApiKey::parse(text), None, "{text}");
        }
    }
}
