//! Partners, merchants and their terminals.

use std::fmt;

use protocol::id::{MerchantId, PartnerId, TerminalId};
use protocol::money::Currency;

use super::installation::Installations;
use super::permission::Allowlist;
use super::terminal_settings::Versioned;
use super::time::Timestamp;

/// A partner: boards merchants and holds their allowlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partner {
    /// Its id.
    pub id: PartnerId,
    /// What people call it.
    pub name: String,
    /// What its merchants may do.
    pub allowlist: Allowlist,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it, or its allowlist, last changed.
    pub updated_at: Timestamp,
}

/// A merchant, with what its receipts say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merchant {
    /// Its id.
    pub id: MerchantId,
    /// The partner that boarded it; `None` for a standalone merchant.
    pub partner_id: Option<PartnerId>,
    /// Trading name.
    pub name: String,
    /// Address lines, top to bottom.
    pub address: Vec<String>,
    /// Telephone, as printed.
    pub phone: Option<String>,
    /// Currencies that its terminals charge.
    pub currencies: Vec<Currency>,
    /// Minutes to add to UTC for local time on receipts.
    pub utc_offset_minutes: i16,
    /// When it was boarded.
    pub created_at: Timestamp,
}

/// The public half of a device key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DeviceKey(pub [u8; 32]);

impl fmt::Debug for DeviceKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DeviceKey({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// A till as the API sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminal {
    /// Its id.
    pub id: TerminalId,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// What people call it ("Lane 3").
    pub label: String,
    /// Serial number of the till, given at creation or by the agent at pairing.
    pub serial_number: Option<String>,
    /// The device's key; absent until it is paired.
    pub device_key: Option<DeviceKey>,
    /// When it was paired.
    pub paired_at: Option<Timestamp>,
    /// What has been linked under its identity.
    pub installations: Installations,
    /// When it was made.
    pub created_at: Timestamp,
    /// Where it stands, in the merchant's own words.
    pub location: Option<String>,
    /// Its own settings, over those of all tills.
    pub own: Versioned,
}
