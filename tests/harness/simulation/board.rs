//! How a world begins: who is boarded, with which tills, keys and permissions.

use std::sync::Arc;

use engine::domain::installation::Installations;
use engine::domain::merchant::{Merchant, Terminal};
use engine::domain::permission::Allowlist;
use engine::domain::scope::Scope;
use engine::domain::time::Timestamp;
use engine::domain::token::{ApiKey, Secret, SecretHash};
use engine::owner::key;
use engine::owner::work::{Ids as _, Stored};
use engine::store::{Commit, MemoryStore, Record, Row, Store as _, StreamId, Urgency};
use protocol::id::{ApiKeyId, MerchantId, PartnerId, TerminalId};

use super::client::Client;
use super::clock::RATE_PPM;
use super::engine::Engine;
use super::event::Event;
use super::fault::Fault;
use super::printer::Printer;
use super::restore::incarnation;
use super::staff::device_key;
use super::till::Till;
use super::world::{EPOCH_MS, World};

impl World {
    /// Boards merchants with their tills and clients, and lets everything begin.
    pub(super) fn populate(&mut self) {
        let store = Arc::new(MemoryStore::new());
        store.set_incarnation(incarnation(0));
        let merchants = self.random.between(1, 2);
        let mut ids = Vec::new();
        self.ids.now_ms = EPOCH_MS - 1_000;
        if self.random.chance(60) {
            self.partner = Some(self.board_partner(&store));
        }
        for merchant in 0..usize::try_from(merchants).unwrap_or(1) {
            ids.push(self.board_merchant(&store, merchant));
        }
        self.engine = Engine::new(store, &ids, self.tills.len());
        self.follow_history();
        self.queue.push(0, Event::EngineStarts);
        for till in 0..self.tills.len() {
            self.queue.push(10, Event::TillStarts { till });
            let first_ms = self.random.between(3_000, 20_000);
            self.queue.push(first_ms, Event::Cashier { till });
        }
        for client in 0..self.clients.len() {
            let first_ms = self.random.between(2_500, 8_000);
            self.queue.push(first_ms, Event::Client { client });
        }
        let first_ms = self.random.between(3_000, 15_000);
        self.queue.push(first_ms, Event::Trouble);
        let last_ms = self.random.between(60_000, 300_000);
        self.queue.push(last_ms, Event::Heals);
        self.plan_restore();
        self.plan_fleet();
    }

    fn board_partner(&mut self, store: &MemoryStore) -> PartnerId {
        let id = PartnerId::from_uuid(self.ids.next());
        let created_at = beginning();
        let partner = engine::domain::merchant::Partner {
            id,
            name: "Partner".to_owned(),
            allowlist: Allowlist::full(),
            created_at,
            updated_at: created_at,
        };
        put(
            store,
            key::platform_stream(),
            vec![row(key::partner(id), &partner)],
        );
        id
    }

    fn board_merchant(&mut self, store: &MemoryStore, number: usize) -> MerchantId {
        let id = MerchantId::from_uuid(self.ids.next());
        // The second merchant stands alone: nobody restricts it.
        let partner_id = self.partner.filter(|_| number == 0);
        let merchant = Merchant {
            id,
            partner_id,
            name: "Corner Shop".to_owned(),
            address: vec!["1 High Street".to_owned()],
            phone: None,
            currencies: vec![super::client::euro()],
            utc_offset_minutes: 60,
            created_at: beginning(),
        };
        let mut rows = vec![row(key::merchant(id), &merchant)];
        for lane in 0..self.random.between(1, 2) {
            rows.push(self.board_terminal(id, number, lane));
        }
        for _ in 0..self.random.between(1, 2) {
            rows.push(self.board_client(id, number));
        }
        put(store, key::merchant_stream(id), rows);
        id
    }

    fn board_terminal(&mut self, merchant_id: MerchantId, merchant: usize, lane: u64) -> Row {
        let id = TerminalId::from_uuid(self.ids.next());
        let terminal = Terminal {
            id,
            merchant_id,
            label: format!("Lane {lane}"),
            serial_number: None,
            device_key: Some(device_key(0)),
            paired_at: Some(beginning()),
            installations: Installations::default(),
            created_at: beginning(),
            location: None,
            own: engine::domain::terminal_settings::Versioned::default(),
        };
        // Firmware that prints line by line costs time: not every till has it.
        let printer = if self.random.chance(40) {
            Printer::driven()
        } else {
            Printer::default()
        };
        let serial = self.tills.len();
        let mut till = Till::new(id, merchant, serial, printer);
        if self.plan.strikes(Fault::ClockDrift, 50, &mut self.random) {
            // Ten times worse than the worst crystals.
            till.rate_ppm = self.random.between(RATE_PPM - 2_000, RATE_PPM + 2_000);
        }
        self.tills.push(till);
        self.vary_reader(serial);
        row(key::terminal(merchant_id, id), &terminal)
    }

    fn board_client(&mut self, merchant_id: MerchantId, merchant: usize) -> Row {
        let id = ApiKeyId::from_uuid(self.ids.next());
        let secret: Secret = self.a_secret();
        let api_key = ApiKey {
            id,
            merchant_id,
            label: "sim".to_owned(),
            hash: SecretHash::of(secret.expose().as_bytes()),
            scopes: Scope::ALL.iter().copied().collect(),
            created_at: beginning(),
            expires_at: None,
            revoked_at: None,
        };
        let token = ApiKey::text(id, &secret).expose().to_owned();
        self.clients.push(Client::new(merchant, id, token));
        row(key::api_key(merchant_id, id), &api_key)
    }
}

fn beginning() -> Timestamp {
    Timestamp(i64::try_from(EPOCH_MS).unwrap_or(0))
}

fn row(key: Vec<u8>, value: &impl Stored) -> Row {
    let value = Some(value.to_bytes());
    Row { key, value }
}

fn put(store: &MemoryStore, stream: StreamId, rows: Vec<Row>) {
    let commit = Commit {
        stream,
        expected_seq: 0,
        records: vec![Record {
            event: Vec::new(),
            rows,
        }],
        urgency: Urgency::New,
    };
    store.commit(commit, Box::new(|_| ()));
    store.sync();
}
