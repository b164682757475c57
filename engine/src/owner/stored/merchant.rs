//! Stored forms of partners, merchants, terminals, credentials and claims.

use protocol::id::{
    ApiKeyId, IncarnationId, JournalId, MerchantId, PairingCodeId, PartnerId, TerminalId,
};
use protocol::money::Currency;
use serde::{Deserialize, Serialize};

use crate::domain::idempotency::{Claim, Fingerprint, StoredAnswer};
use crate::domain::installation::Installations;
use crate::domain::merchant::{DeviceKey, Merchant, Partner, Terminal};
use crate::domain::pairing::PairingCode;
use crate::domain::permission::{Allowlist, Permission};
use crate::domain::scope::Scope;
use crate::domain::time::Timestamp;
use crate::domain::token::{ApiKey, SecretHash};

use super::Form;
use super::fleet::VersionedForm;

#[derive(Serialize, Deserialize)]
pub(in crate::owner) struct PartnerForm {
    id: PartnerId,
    name: String,
    permissions: Vec<String>,
    created_at: i64,
    updated_at: i64,
}

impl Form for PartnerForm {
    type Value = Partner;

    fn of(partner: &Partner) -> Self {
        Self {
            id: partner.id,
            name: partner.name.clone(),
            permissions: partner
                .allowlist
                .iter()
                .map(|one| one.name().to_owned())
                .collect(),
            created_at: partner.created_at.0,
            updated_at: partner.updated_at.0,
        }
    }

    fn value(self) -> Option<Partner> {
        let permissions: Option<Vec<Permission>> = self
            .permissions
            .iter()
            .map(|name| Permission::from_name(name))
            .collect();
        Some(Partner {
            id: self.id,
            name: self.name,
            allowlist: Allowlist::of(permissions?),
            created_at: Timestamp(self.created_at),
            updated_at: Timestamp(self.updated_at),
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::owner) struct MerchantForm {
    id: MerchantId,
    partner_id: Option<PartnerId>,
    name: String,
    address: Vec<String>,
    phone: Option<String>,
    currencies: Vec<Currency>,
    utc_offset_minutes: i16,
    created_at: i64,
}

impl Form for MerchantForm {
    type Value = Merchant;

    fn of(merchant: &Merchant) -> Self {
        Self {
            id: merchant.id,
            partner_id: merchant.partner_id,
            name: merchant.name.clone(),
            address: merchant.address.clone(),
            phone: merchant.phone.clone(),
            currencies: merchant.currencies.clone(),
            utc_offset_minutes: merchant.utc_offset_minutes,
            created_at: merchant.created_at.0,
        }
    }

    fn value(self) -> Option<Merchant> {
        Some(Merchant {
            id: self.id,
            partner_id: self.partner_id,
            name: self.name,
            address: self.address,
            phone: self.phone,
            currencies: self.currencies,
            utc_offset_minutes: self.utc_offset_minutes,
            created_at: Timestamp(self.created_at),
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::owner) struct TerminalForm {
    id: TerminalId,
    merchant_id: MerchantId,
    label: String,
    serial_number: Option<String>,
    device_key: Option<[u8; 32]>,
    paired_at: Option<i64>,
    journal_id: Option<JournalId>,
    #[serde(default)]
    former_journal: Option<(JournalId, i64)>,
    #[serde(default)]
    is_duplicate: bool,
    created_at: i64,
    #[serde(default)]
    released: Option<([u8; 32], i64)>,
    #[serde(default)]
    location: Option<String>,
    #[serde(default)]
    own: VersionedForm,
}

impl Form for TerminalForm {
    type Value = Terminal;

    fn of(terminal: &Terminal) -> Self {
        Self {
            id: terminal.id,
            merchant_id: terminal.merchant_id,
            label: terminal.label.clone(),
            serial_number: terminal.serial_number.clone(),
            device_key: terminal.device_key.map(|key| key.0),
            paired_at: terminal.paired_at.map(|at| at.0),
            journal_id: terminal.installations.latest,
            former_journal: terminal.installations.former.map(|(id, at)| (id, at.0)),
            is_duplicate: terminal.installations.is_duplicate,
            created_at: terminal.created_at.0,
            released: terminal
                .installations
                .released
                .map(|(key, at)| (key.0, at.0)),
            location: terminal.location.clone(),
            own: VersionedForm::of(&terminal.own),
        }
    }

    fn value(self) -> Option<Terminal> {
        Some(Terminal {
            id: self.id,
            merchant_id: self.merchant_id,
            label: self.label,
            serial_number: self.serial_number,
            device_key: self.device_key.map(DeviceKey),
            paired_at: self.paired_at.map(Timestamp),
            installations: Installations {
                latest: self.journal_id,
                former: self.former_journal.map(|(id, at)| (id, Timestamp(at))),
                is_duplicate: self.is_duplicate,
                released: self
                    .released
                    .map(|(key, at)| (DeviceKey(key), Timestamp(at))),
            },
            created_at: Timestamp(self.created_at),
            location: self.location,
            own: self.own.value(),
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::owner) struct ApiKeyForm {
    id: ApiKeyId,
    merchant_id: MerchantId,
    label: String,
    hash: [u8; 32],
    scopes: Vec<String>,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl Form for ApiKeyForm {
    type Value = ApiKey;

    fn of(key: &ApiKey) -> Self {
        Self {
            id: key.id,
            merchant_id: key.merchant_id,
            label: key.label.clone(),
            hash: key.hash.0,
            scopes: key
                .scopes
                .iter()
                .map(|scope| scope.code().to_owned())
                .collect(),
            created_at: key.created_at.0,
            expires_at: key.expires_at.map(|at| at.0),
            revoked_at: key.revoked_at.map(|at| at.0),
        }
    }

    fn value(self) -> Option<ApiKey> {
        let scopes: Option<_> = self
            .scopes
            .iter()
            .map(|code| Scope::from_code(code))
            .collect();
        Some(ApiKey {
            id: self.id,
            merchant_id: self.merchant_id,
            label: self.label,
            hash: SecretHash(self.hash),
            scopes: scopes?,
            created_at: Timestamp(self.created_at),
            expires_at: self.expires_at.map(Timestamp),
            revoked_at: self.revoked_at.map(Timestamp),
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::owner) struct PairingCodeForm {
    id: PairingCodeId,
    terminal_id: TerminalId,
    merchant_id: MerchantId,
    hash: [u8; 32],
    created_at: i64,
    expires_at: i64,
    redeemed_key: Option<[u8; 32]>,
    redeemed_at: Option<i64>,
    #[serde(default)]
    serial_number: Option<String>,
    #[serde(default)]
    revoked_at: Option<i64>,
    #[serde(default)]
    wrong_serials: u32,
    #[serde(default)]
    is_approval: bool,
}

impl Form for PairingCodeForm {
    type Value = PairingCode;

    fn of(code: &PairingCode) -> Self {
        Self {
            id: code.id,
            terminal_id: code.terminal_id,
            merchant_id: code.merchant_id,
            hash: code.hash.0,
            created_at: code.created_at.0,
            expires_at: code.expires_at.0,
            redeemed_key: code.redeemed.map(|(key, _)| key.0),
            redeemed_at: code.redeemed.map(|(_, at)| at.0),
            serial_number: code.serial_number.clone(),
            revoked_at: code.revoked_at.map(|at| at.0),
            wrong_serials: code.wrong_serials,
            is_approval: code.is_approval,
        }
    }

    fn value(self) -> Option<PairingCode> {
        Some(PairingCode {
            id: self.id,
            terminal_id: self.terminal_id,
            merchant_id: self.merchant_id,
            hash: SecretHash(self.hash),
            created_at: Timestamp(self.created_at),
            expires_at: Timestamp(self.expires_at),
            redeemed: self
                .redeemed_key
                .zip(self.redeemed_at)
                .map(|(key, at)| (DeviceKey(key), Timestamp(at))),
            serial_number: self.serial_number,
            revoked_at: self.revoked_at.map(Timestamp),
            wrong_serials: self.wrong_serials,
            is_approval: self.is_approval,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::owner) struct ClaimForm {
    fingerprint: [u8; 32],
    resource: String,
    status: Option<u16>,
    #[serde(with = "serde_bytes")]
    body: Vec<u8>,
    at: i64,
}

impl Form for ClaimForm {
    type Value = Claim;

    fn of(claim: &Claim) -> Self {
        Self {
            fingerprint: claim.fingerprint.0,
            resource: claim.resource.clone(),
            status: claim.answer.as_ref().map(|answer| answer.status),
            body: claim
                .answer
                .as_ref()
                .map(|answer| answer.body.clone())
                .unwrap_or_default(),
            at: claim.at.0,
        }
    }

    fn value(self) -> Option<Claim> {
        let body = self.body;
        Some(Claim {
            fingerprint: Fingerprint(self.fingerprint),
            resource: self.resource,
            answer: self.status.map(|status| StoredAnswer { status, body }),
            at: Timestamp(self.at),
        })
    }
}

/// Numbers that a merchant's owner counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// The last systems trace audit number used, 0…999999.
    pub trace: u32,
    /// The life of the database that these numbers were counted in.
    pub incarnation: Option<IncarnationId>,
}

#[derive(Serialize, Deserialize)]
pub(in crate::owner) struct CountersForm {
    trace: u32,
    #[serde(default)]
    incarnation: Option<IncarnationId>,
}

impl Form for CountersForm {
    type Value = Counters;

    fn of(counters: &Counters) -> Self {
        Self {
            trace: counters.trace,
            incarnation: counters.incarnation,
        }
    }

    fn value(self) -> Option<Counters> {
        Some(Counters {
            trace: self.trace,
            incarnation: self.incarnation,
        })
    }
}
