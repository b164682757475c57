//! Who and what the guard knows, in memory: loaded from the rows at start, then changed by owners
//! before the answer to the change leaves. Nothing else is ever asked whether a credential works.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use protocol::id::{ApiKeyId, MerchantId, PartnerId, TerminalId};

use crate::domain::merchant::{DeviceKey, Merchant, Partner, Terminal};
use crate::domain::pairing::PairingCode;
use crate::domain::time::Timestamp;
use crate::domain::token::{ApiKey, SecretHash};
use crate::owner::access_change::AccessChange;
use crate::owner::key;
use crate::owner::work::{Stored, decode};
use crate::store::{ReadFault, Rows};

/// Rows read at a time while loading. Arbitrary, bounded: keeps the memory of a step small.
const LOAD_ROWS: usize = 1_000;

#[derive(Debug, Default)]
struct Tables {
    api_keys: BTreeMap<ApiKeyId, Arc<ApiKey>>,
    partners: BTreeMap<PartnerId, Arc<Partner>>,
    merchants: BTreeMap<MerchantId, Arc<Merchant>>,
    terminals: BTreeMap<TerminalId, Arc<Terminal>>,
    pairing_codes: BTreeMap<[u8; 32], Arc<PairingCode>>,
    /// Whose live key it is: a till is one terminal at a time, whoever its merchant.
    device_keys: BTreeMap<[u8; 32], TerminalId>,
}

impl Tables {
    fn take_terminal(&mut self, terminal: Arc<Terminal>) {
        let id = terminal.id;
        let key = terminal.device_key.map(|key| key.0);
        let before = self.terminals.insert(id, terminal);
        let before = before.and_then(|before| before.device_key).map(|key| key.0);
        if let Some(before) = before.filter(|before| Some(*before) != key)
            && self.device_keys.get(&before) == Some(&id)
        {
            self.device_keys.remove(&before);
        }
        if let Some(key) = key {
            self.device_keys.insert(key, id);
        }
    }
}

/// The index; clones share it.
#[derive(Debug, Clone, Default)]
pub struct AccessIndex(Arc<RwLock<Tables>>);

impl AccessIndex {
    /// Reads everything that the guard needs. Pairing codes that have expired by `now` are left out.
    ///
    /// # Errors
    /// [`ReadFault`] when the storage fails or a row is damaged.
    pub fn load(rows: &dyn Rows, now: Timestamp) -> Result<Self, ReadFault> {
        let mut tables = Tables::default();
        each(rows, key::PARTNER, |partner: Partner| {
            tables.partners.insert(partner.id, Arc::new(partner));
        })?;
        each(rows, key::MERCHANT, |merchant: Merchant| {
            tables.merchants.insert(merchant.id, Arc::new(merchant));
        })?;
        each(rows, key::TERMINAL, |terminal: Terminal| {
            tables.take_terminal(Arc::new(terminal));
        })?;
        each(rows, key::API_KEY, |api_key: ApiKey| {
            tables.api_keys.insert(api_key.id, Arc::new(api_key));
        })?;
        each(rows, key::PAIRING_CODE, |code: PairingCode| {
            if now < code.expires_at {
                tables.pairing_codes.insert(code.hash.0, Arc::new(code));
            }
        })?;
        Ok(Self(Arc::new(RwLock::new(tables))))
    }

    /// Takes over what a commit changed. To be called before the answer to the change leaves.
    pub fn apply(&self, change: AccessChange) {
        let mut tables = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match change {
            AccessChange::Partner(partner) => {
                tables.partners.insert(partner.id, Arc::from(partner));
            }
            AccessChange::Merchant(merchant) => {
                tables.merchants.insert(merchant.id, Arc::from(merchant));
            }
            AccessChange::Terminal(terminal) => {
                tables.take_terminal(Arc::from(terminal));
            }
            AccessChange::ApiKey(api_key) => {
                tables.api_keys.insert(api_key.id, Arc::from(api_key));
            }
            AccessChange::PairingCode(code) => {
                let made_at = code.created_at;
                tables
                    .pairing_codes
                    .retain(|_, other| made_at < other.expires_at);
                tables.pairing_codes.insert(code.hash.0, Arc::from(code));
            }
            // Links belong to the registry; the key that replaced theirs comes as a terminal.
            AccessChange::DropLink(_) => {}
        }
    }

    /// An API key.
    pub fn api_key(&self, id: ApiKeyId) -> Option<Arc<ApiKey>> {
        self.read().api_keys.get(&id).cloned()
    }

    /// A merchant.
    pub fn merchant(&self, id: MerchantId) -> Option<Arc<Merchant>> {
        self.read().merchants.get(&id).cloned()
    }

    /// A partner.
    pub fn partner(&self, id: PartnerId) -> Option<Arc<Partner>> {
        self.read().partners.get(&id).cloned()
    }

    /// A terminal.
    pub fn terminal(&self, id: TerminalId) -> Option<Arc<Terminal>> {
        self.read().terminals.get(&id).cloned()
    }

    /// A pairing code, by the hash of its normalized text.
    pub fn pairing_code(&self, hash: SecretHash) -> Option<Arc<PairingCode>> {
        self.read().pairing_codes.get(&hash.0).cloned()
    }

    /// The terminal whose live key this is.
    pub fn terminal_of_key(&self, key: DeviceKey) -> Option<Arc<Terminal>> {
        let tables = self.read();
        let id = tables.device_keys.get(&key.0)?;
        tables.terminals.get(id).cloned()
    }

    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn each<T: Stored>(rows: &dyn Rows, space: u8, mut take: impl FnMut(T)) -> Result<(), ReadFault> {
    let prefix = key::space(space);
    let mut from: Option<Vec<u8>> = None;
    loop {
        let page = rows.scan(&prefix, from.as_deref(), LOAD_ROWS)?;
        for (key, bytes) in &page {
            take(decode(key, bytes)?);
        }
        if page.len() < LOAD_ROWS {
            return Ok(());
        }
        // The next key after the last one, because `from` is inclusive.
        from = page.into_iter().next_back().map(|(mut key, _)| {
            key.push(0);
            key
        });
    }
}

#[cfg(test)]
mod tests {
    use protocol::id::PairingCodeId;
    use uuid::Uuid;

    use super::*;
    use crate::query::fake::FakeStore;

    fn merchant_id() -> MerchantId {
        MerchantId::from_uuid(Uuid::from_u128(1))
    }

    fn code(number: u8, expires_at: i64) -> PairingCode {
        PairingCode {
            id: PairingCodeId::from_uuid(Uuid::from_u128(number.into())),
            terminal_id: TerminalId::from_uuid(Uuid::from_u128(1)),
            merchant_id: merchant_id(),
            hash: SecretHash([number; 32]),
            created_at: Timestamp(0),
            expires_at: Timestamp(expires_at),
            redeemed: None,
            serial_number: None,
            revoked_at: None,
            wrong_serials: 0,
            is_approval: false,
        }
    }

    #[test]
    fn everything_is_loaded_but_expired_codes() {
        let store = FakeStore::default();
        let count = u128::try_from(2 * LOAD_ROWS).unwrap();
        for number in 0..count {
            let terminal = Terminal {
                id: TerminalId::from_uuid(Uuid::from_u128(number)),
                merchant_id: merchant_id(),
                label: String::new(),
                serial_number: None,
                device_key: None,
                paired_at: None,
                installations: crate::domain::installation::Installations::default(),
                created_at: Timestamp(0),
            };
            store.put(key::terminal(merchant_id(), terminal.id), &terminal);
        }
        for code in [code(1, 1_000), code(2, 1_001)] {
            store.put(key::pairing_code(merchant_id(), code.id), &code);
        }
        let index = AccessIndex::load(&store, Timestamp(1_000)).unwrap();
        for number in 0..count {
            let id = TerminalId::from_uuid(Uuid::from_u128(number));
            assert!(index.terminal(id).is_some(), "{number}");
        }
        assert!(index.pairing_code(SecretHash([1; 32])).is_none());
        assert!(index.pairing_code(SecretHash([2; 32])).is_some());
    }

    #[test]
    fn a_live_key_leads_to_its_terminal_and_a_former_one_to_none() {
        let index = AccessIndex::default();
        let publish = |number: u128, key: Option<u8>| {
            index.apply(AccessChange::Terminal(Box::new(Terminal {
                id: TerminalId::from_uuid(Uuid::from_u128(number)),
                merchant_id: merchant_id(),
                label: String::new(),
                serial_number: None,
                device_key: key.map(|key| DeviceKey([key; 32])),
                paired_at: None,
                installations: crate::domain::installation::Installations::default(),
                created_at: Timestamp(0),
            })));
        };
        let found = |key: u8| {
            let terminal = index.terminal_of_key(DeviceKey([key; 32]));
            terminal.map(|terminal| terminal.id.uuid().as_u128())
        };
        publish(1, Some(1));
        publish(2, None);
        assert_eq!((found(1), found(2)), (Some(1), None));
        publish(1, Some(3));
        assert_eq!((found(1), found(3)), (None, Some(1)));
        publish(1, None);
        publish(2, Some(3));
        assert_eq!(found(3), Some(2));
        publish(1, None);
        assert_eq!(found(3), Some(2));
    }

    #[test]
    fn codes_are_forgotten_when_newer_ones_are_made() {
        let index = AccessIndex::default();
        index.apply(AccessChange::PairingCode(Box::new(code(1, 500))));
        let mut newer = code(2, 9_000);
        newer.created_at = Timestamp(500);
        index.apply(AccessChange::PairingCode(Box::new(newer)));
        assert!(index.pairing_code(SecretHash([1; 32])).is_none());
        assert!(index.pairing_code(SecretHash([2; 32])).is_some());
    }
}
