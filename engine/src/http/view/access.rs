//! Views of partners, merchants, API keys and permissions.

use protocol::id::{ApiKeyId, MerchantId, PartnerId};
use serde::Serialize;

use crate::domain::merchant::{Merchant, Partner};
use crate::domain::permission::{Allowlist, Permission};
use crate::domain::scope::ScopeSet;
use crate::domain::token::{ApiKey, KEY_PREFIX, Secret};

use super::instant;

/// Names of scopes.
pub(in crate::http) fn scope_codes(scopes: &ScopeSet) -> Vec<&'static str> {
    scopes.iter().map(|scope| scope.code()).collect()
}

/// A partner.
#[derive(Debug, Serialize)]
pub(in crate::http) struct PartnerView<'a> {
    id: PartnerId,
    name: &'a str,
    permissions: Vec<&'static str>,
    disabled: Vec<&'static str>,
    created_at: String,
    updated_at: String,
}

impl<'a> PartnerView<'a> {
    pub(in crate::http) fn of(partner: &'a Partner) -> Self {
        let (on, off): (Vec<Permission>, Vec<Permission>) = Permission::ALL
            .iter()
            .partition(|permission| partner.allowlist.allows(**permission));
        let names = |permissions: Vec<Permission>| {
            permissions
                .into_iter()
                .map(|permission| permission.name())
                .collect()
        };
        Self {
            id: partner.id,
            name: &partner.name,
            permissions: names(on),
            disabled: names(off),
            created_at: instant(partner.created_at),
            updated_at: instant(partner.updated_at),
        }
    }
}

/// A merchant.
#[derive(Debug, Serialize)]
pub(in crate::http) struct MerchantView<'a> {
    id: MerchantId,
    partner_id: Option<PartnerId>,
    name: &'a str,
    address: &'a [String],
    phone: Option<&'a str>,
    currencies: Vec<&'static str>,
    utc_offset_minutes: i16,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<&'static str>>,
    livemode: bool,
}

impl<'a> MerchantView<'a> {
    pub(in crate::http) fn of(merchant: &'a Merchant) -> Self {
        Self {
            id: merchant.id,
            partner_id: merchant.partner_id,
            name: &merchant.name,
            address: &merchant.address,
            phone: merchant.phone.as_deref(),
            currencies: currency_codes(merchant),
            utc_offset_minutes: merchant.utc_offset_minutes,
            created_at: instant(merchant.created_at),
            scopes: None,
            livemode: false,
        }
    }

    /// Adds what the caller's own credential may do.
    pub(in crate::http) fn with_scopes(mut self, scopes: &ScopeSet) -> Self {
        self.scopes = Some(scope_codes(scopes));
        self
    }
}

/// Codes of the currencies that a merchant charges.
pub(in crate::http) fn currency_codes(merchant: &Merchant) -> Vec<&'static str> {
    merchant
        .currencies
        .iter()
        .map(|currency| currency.code())
        .collect()
}

/// An API key; its secret only in the first answer.
#[derive(Debug, Serialize)]
pub(in crate::http) struct ApiKeyView<'a> {
    id: ApiKeyId,
    merchant_id: MerchantId,
    label: &'a str,
    prefix: String,
    scopes: Vec<&'static str>,
    created_at: String,
    expires_at: Option<String>,
    revoked_at: Option<String>,
    livemode: bool,
}

impl<'a> ApiKeyView<'a> {
    pub(in crate::http) fn of(key: &'a ApiKey) -> Self {
        Self {
            id: key.id,
            merchant_id: key.merchant_id,
            label: &key.label,
            prefix: format!("{KEY_PREFIX}{}", key.id.uuid().simple()),
            scopes: scope_codes(&key.scopes),
            created_at: instant(key.created_at),
            expires_at: key.expires_at.map(instant),
            revoked_at: key.revoked_at.map(instant),
            livemode: false,
        }
    }
}

/// An API key that has just been minted, or the redacted repeat of that answer.
#[derive(Debug, Serialize)]
pub(in crate::http) struct MintedKeyView<'a> {
    #[serde(flatten)]
    key: ApiKeyView<'a>,
    secret: Option<String>,
    secret_available: bool,
}

impl<'a> MintedKeyView<'a> {
    /// `secret` is the secret part; what is shown is the whole text to send as bearer token.
    pub(in crate::http) fn of(key: &'a ApiKey, secret: Option<&Secret>) -> Self {
        Self {
            key: ApiKeyView::of(key),
            secret: secret.map(|secret| ApiKey::text(key.id, secret).expose().to_owned()),
            secret_available: secret.is_some(),
        }
    }
}

/// What a caller may do.
#[derive(Debug, Serialize)]
pub(in crate::http) struct PermissionsView {
    partner_id: Option<PartnerId>,
    is_restricted: bool,
    scopes: Vec<&'static str>,
    permissions: Vec<PermissionView>,
}

#[derive(Debug, Serialize)]
struct PermissionView {
    name: &'static str,
    category: &'static str,
    enabled: bool,
    always_on: bool,
}

impl PermissionsView {
    pub(in crate::http) fn of(
        partner_id: Option<PartnerId>,
        allowlist: Option<&Allowlist>,
        scopes: &ScopeSet,
    ) -> Self {
        let permissions = Permission::ALL.iter().map(|permission| PermissionView {
            name: permission.name(),
            category: permission.category(),
            enabled: allowlist.is_none_or(|allowlist| allowlist.allows(*permission)),
            always_on: permission.is_always_on(),
        });
        Self {
            partner_id,
            is_restricted: allowlist.is_some(),
            scopes: scope_codes(scopes),
            permissions: permissions.collect(),
        }
    }
}
