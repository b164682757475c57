//! Whole sales: real engine, real agent, simulated reader and printer on pseudo-terminals.

mod cards;
mod doctor;
mod encryption;
mod fleet;
mod money;
mod outages;
mod paper;
mod ports;
mod reader;
mod restart;
mod sockets;
mod till;
mod till_screen;

use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use harness::api::Answer;
use harness::shop::Shop;
use harness::wait::until;
use serde_json::{Value, json};

use crate::check::{directory, good};

/// The one shop of these tests, for one test at a time: it has one reader.
struct Lane {
    shop: &'static Shop,
    _alone: MutexGuard<'static, ()>,
}

impl Deref for Lane {
    type Target = Shop;

    fn deref(&self) -> &Shop {
        self.shop
    }
}

impl Lane {
    /// The shop, with nothing running on its till.
    fn take() -> Self {
        static SHOP: OnceLock<Shop> = OnceLock::new();
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let shop = SHOP.get_or_init(|| Shop::open(&directory("lane")).unwrap());
        clear(shop);
        Self {
            shop,
            _alone: alone,
        }
    }
}

/// Ends what a failed test has left running.
fn clear(shop: &Shop) {
    let running = shop.pos.get("/v1/pos/transactions?status=in_progress");
    for one in running.data()["items"].as_array().into_iter().flatten() {
        let id = one["id"].as_str().unwrap_or_default();
        shop.pos
            .post(&format!("/v1/pos/transactions/{id}/cancel"), &json!({}));
    }
    shop.devices.remove_card();
    for command in ["paper-in", "cover-close"] {
        shop.devices.printer(command).unwrap();
    }
    assert!(shop.wait_until_ready() && shop.devices.wait_until_idle());
}

/// A sale whose till waits for a card.
fn begin(shop: &Shop, body: &Value) -> String {
    shop.devices.remove_card();
    assert!(shop.devices.wait_until_idle() && shop.wait_until_ready());
    let started = shop.pos.post("/v1/pos/transactions", body);
    let id = good(&started, 201, "start")["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        shop.devices.wait_for_reader(),
        "{id}: the reader does not wait for a card"
    );
    id
}

fn begin_sale(shop: &Shop, amount: i64) -> String {
    begin(shop, &shop.sale(amount))
}

/// A whole sale with one card; gives how it ended.
fn pay(shop: &Shop, amount: i64, card: &str, way: &str) -> Answer {
    let id = begin_sale(shop, amount);
    shop.devices.present(card, way).unwrap();
    shop.end_of(&id)
}

/// An approved sale; gives the ids of POS transaction and transaction.
fn approved(shop: &Shop, amount: i64, card: &str) -> (String, String) {
    let end = pay(shop, amount, card, "tap");
    assert_eq!(end.field("status"), "approved", "{}", end.text);
    (
        end.field("id").to_owned(),
        end.field("transaction_id").to_owned(),
    )
}

/// Waits until the sale says something.
fn until_pos(shop: &Shop, pos_id: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/v1/pos/transactions/{pos_id}");
    let found = until(what, || {
        let answer = shop.pos.get(&path);
        is_so(answer.data()).then(|| answer.data().clone())
    });
    found.unwrap_or_else(|| panic!("{what}: {}", shop.pos.get(&path).text))
}

/// States and reasons of the attempts, as `state:reason, …`.
fn attempts(pos: &Value) -> String {
    let each = pos["attempts"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|attempt| {
            let text = |name: &str| attempt[name].as_str().unwrap_or("-").to_owned();
            format!("{}:{}", text("state"), text("reason"))
        });
    each.collect::<Vec<_>>().join(", ")
}

fn transaction(shop: &Shop, id: &str) -> Value {
    let answer = shop.pos.get(&format!("/v1/transactions/{id}"));
    good(&answer, 200, "transaction").clone()
}
