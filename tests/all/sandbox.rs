//! Faults that an integrator asks for, end to end: what each kind does to a sale, what the API
//! shows, and that the acquirer's book agrees when it is over.

mod device;
mod door;
mod host;
mod link;
mod restart;

use std::fs;
use std::ops::{Deref, DerefMut};

use engine::acquirer::host::{BookEntry, BookState};
use engine::acquirer::simulator::read_book;
use harness::api::Answer;
use harness::shop::{QUICK_ACQUIRER, Shop};
use harness::wait::until;
use serde_json::{Value, json};

use crate::check::{directory, good};

/// A shop whose integrator makes things go wrong.
struct Lab {
    shop: Shop,
}

impl Deref for Lab {
    type Target = Shop;

    fn deref(&self) -> &Shop {
        &self.shop
    }
}

impl DerefMut for Lab {
    fn deref_mut(&mut self) -> &mut Shop {
        &mut self.shop
    }
}

impl Lab {
    fn open(name: &str) -> Self {
        Self::configured(name, "")
    }

    fn configured(name: &str, config: &str) -> Self {
        let dir = directory(name);
        fs::create_dir_all(dir.join("engine")).unwrap();
        fs::write(
            dir.join("engine").join("engine.toml"),
            format!("{QUICK_ACQUIRER}{config}"),
        )
        .unwrap();
        Self {
            shop: Shop::open(&dir).unwrap(),
        }
    }

    /// Arms a fault on the shop's terminal unless it names another target; gives its id.
    fn arm(&self, mut body: Value) -> String {
        if body["target"].is_null() {
            body["target"] = json!(self.terminal_id);
        }
        let armed = self.pos.post("/v1/sandbox/faults", &body);
        good(&armed, 201, &body.to_string())["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// A card that comes by itself as soon as the reader waits for one.
    fn card_comes(&self, way: &str) {
        self.arm(json!({"kind": "card_presented", "card": "visa", "way": way}));
    }

    fn fault(&self, id: &str) -> Value {
        let listed = self.pos.get("/v1/sandbox/faults?limit=100");
        let items = good(&listed, 200, "faults")["items"].as_array().unwrap();
        let found = items.iter().find(|fault| fault["id"] == json!(id));
        found
            .unwrap_or_else(|| panic!("{id} is not listed"))
            .clone()
    }

    /// Checks that a fault has happened in this sale, at this stage, and gives its firing.
    fn fired(&self, id: &str, stage: &str, pos_id: &str) -> Value {
        let fault = self.fault(id);
        assert_eq!(fault["status"], "fired", "{fault}");
        let firing = fault["firings"][0].clone();
        assert_eq!(firing["stage"], json!(stage), "{fault}");
        assert_eq!(firing["pos_transaction_id"], json!(pos_id), "{fault}");
        assert_eq!(firing["terminal_id"], json!(self.terminal_id), "{fault}");
        firing
    }

    /// Waits until nothing is in the reader and the till has nothing to do.
    fn rest(&self) {
        self.devices.remove_card();
        let path = format!("/v1/terminals/{}/status", self.terminal_id);
        assert!(
            self.wait_until_ready() && self.devices.wait_until_idle(),
            "{} {}",
            self.pos.get(&path).text,
            self.devices.status()
        );
    }

    /// Starts a sale on a till with nothing in its reader.
    fn begin(&self, amount: i64) -> String {
        self.rest();
        let started = self.start_sale(amount);
        good(&started, 201, "start")["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn ended(&self, pos_id: &str, status: &str, reason: &str) -> Answer {
        let end = self.end_of(pos_id);
        assert_eq!(
            (end.field("status"), end.field("reason")),
            (status, reason),
            "{}",
            end.text
        );
        end
    }

    /// A whole sale without anybody at the till; gives the POS transaction's id.
    fn sale(&self, amount: i64, status: &str, reason: &str) -> String {
        self.card_comes("tap");
        let pos_id = self.begin(amount);
        self.ended(&pos_id, status, reason);
        pos_id
    }

    fn book(&self) -> Vec<BookEntry> {
        read_book(&self.engine.dir.join("data").join("acquirer.book")).unwrap()
    }

    /// Where the acquirer has the authorizations of this amount.
    fn booked(&self, amount: i64) -> Vec<BookState> {
        let book = self.book();
        let of_amount = book
            .iter()
            .filter(|entry| entry.requested.minor() == amount);
        of_amount.map(|entry| entry.state).collect()
    }

    fn jobs(&self, pos_id: &str) -> Vec<Value> {
        let answer = self
            .pos
            .get(&format!("/v1/pos/transactions/{pos_id}/print-jobs"));
        let jobs = good(&answer, 200, "jobs")["items"].as_array();
        jobs.unwrap().clone()
    }

    fn until_jobs(&self, pos_id: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Vec<Value> {
        let found = until(what, || {
            let jobs = self.jobs(pos_id);
            (!jobs.is_empty() && jobs.iter().all(&is_so)).then_some(jobs)
        });
        found.unwrap_or_else(|| panic!("{what}: {:?}", self.jobs(pos_id)))
    }
}
