//! Every endpoint of the real engine, with right and with wrong input.

mod access;
mod bodies;
mod every_route;
mod fleet;
mod idempotency;
mod limits;
mod lists;
mod raw_bytes;

use std::fs;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use engine::access::operation::Audience;
use engine::http::route::{ROUTES, Route};
use harness::api::{Answer, Api};
use harness::hand::{ask_to_pair, fresh_key};
use harness::raw;
use harness::shop::Shop;
use serde_json::{Value, json};

use crate::check::{Boarded, board, directory, every_scope, good, mint, partner};

/// The public key of the first test vector of RFC 8032: nobody here has its private half.
const PUBLIC_KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

/// Refused credentials and codes are limited to numbers that these tests exceed.
const CONFIG: &str = "[limits]\nrefused_credentials_per_minute = 100000\npairing_attempts_per_minute = 100000\n\
     pairing_wrong_tries_max = 100000\npairing_request_life_s = 86400\n";

/// What every test of this module shares: a shop, one sale in it, and somebody else.
struct World {
    shop: Shop,
    /// The shop's merchant, with every scope.
    api: Api,
    pos_id: String,
    transaction_id: String,
    key_id: String,
    /// A terminal on which nothing ever happens, and a fault that is armed there.
    quiet_id: String,
    fault_id: String,
    /// A pairing code of that terminal, and what a till shows that waits for approval.
    code_id: String,
    user_code: String,
    /// A merchant of another partner.
    other: Boarded,
    other_partner_id: String,
    till: Mutex<()>,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let dir = directory("http");
        fs::create_dir_all(dir.join("engine")).unwrap();
        fs::write(dir.join("engine").join("engine.toml"), CONFIG).unwrap();
        let shop = Shop::open(&dir).unwrap();
        let operator = &shop.engine.operator;
        let all = json!({"label": "all", "scopes": every_scope()});
        let (key_id, secret) = mint(operator, &shop.merchant_id, &all);
        let api = operator.with_token(&secret);
        let sale = shop.tap_sale(1_000, "visa").unwrap();
        assert_eq!(sale.field("status"), "approved", "{}", sale.text);
        let pos_id = sale.field("id").to_owned();
        let transaction_id = sale.field("transaction_id").to_owned();
        let other_partner_id = partner(operator, "South Payments");
        let other = board(operator, Some(&other_partner_id));
        let quiet = api.post("/v1/terminals", &json!({"label": "Quiet"}));
        let quiet_id = quiet.field("id").to_owned();
        let fault = json!({"target": quiet_id, "kind": "host_declines"});
        let armed = api.post("/v1/sandbox/faults", &fault);
        let fault_id = armed.field("id").to_owned();
        assert_eq!(armed.status, 201, "{}", armed.text);
        let codes = format!("/v1/terminals/{quiet_id}/pairing-codes");
        let code_id = api.post(&codes, &json!({})).field("id").to_owned();
        let asked = ask_to_pair(api.base(), "SN-1", &fresh_key());
        let user_code = asked.field("user_code").to_owned();
        let till = Mutex::new(());
        World {
            shop,
            api,
            pos_id,
            transaction_id,
            key_id,
            quiet_id,
            fault_id,
            code_id,
            user_code,
            other,
            other_partner_id,
            till,
        }
    })
}

impl World {
    fn operator(&self) -> &Api {
        &self.shop.engine.operator
    }

    fn base(&self) -> &str {
        self.api.base()
    }

    /// The terminal for oneself, with nothing running on it.
    fn till(&self) -> MutexGuard<'_, ()> {
        let guard = self.till.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(self.shop.wait_until_ready() && self.shop.devices.wait_until_idle());
        guard
    }

    /// A terminal of the shop's merchant that was never paired.
    fn spare_terminal(&self) -> String {
        let made = self.api.post("/v1/terminals", &json!({"label": "Spare"}));
        good(&made, 201, "a terminal")["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// The path of a route with ids that exist.
    fn path(&self, route: &Route) -> String {
        self.path_with(route, |_, id| id.to_owned())
    }

    /// The path of a route; `change` is told the kind of the id and the id.
    fn path_with(&self, route: &Route, change: impl Fn(&str, &str) -> String) -> String {
        let id = match route.path.split('/').nth(2) {
            // What unpairs must not be called for the till that sells.
            Some("terminals") if route.path.ends_with("/unpair") => change("term", &self.quiet_id),
            Some("pairing-codes") => change("code", &self.code_id),
            Some("pos") => change("pos", &self.pos_id),
            Some("transactions") => change("txn", &self.transaction_id),
            Some("terminals") => change("term", &self.shop.terminal_id),
            Some("merchant") => change("key", &self.key_id),
            Some("sandbox") => change("flt", &self.fault_id),
            Some("partners") => change("partner", &self.shop.partner_id),
            Some("merchants") => change("mer", &self.shop.merchant_id),
            _ => String::new(),
        };
        let path = route.path.replace("{transaction_id}", &self.transaction_id);
        let path = path.replace("{user_code}", &self.user_code);
        path.replace("{id}", &id)
    }

    /// A transaction that stays in doubt for a minute: its request is lost (the amount chooses
    /// that) and the money was asked back before anybody knew.
    fn transaction_in_doubt(&self) -> String {
        let started = self.api.post("/v1/pos/transactions", &self.shop.sale(81));
        let path = format!("/v1/pos/transactions/{}", started.field("id"));
        assert!(self.shop.devices.wait_for_reader());
        self.shop.devices.present("visa", "tap").unwrap();
        let is_authorizing = || {
            let stage = self.api.get(&path).data()["stage"].clone();
            (stage == "authorizing").then_some(())
        };
        harness::wait::until("the card is at the acquirer", is_authorizing).unwrap();
        let cancel = json!({"if_too_late": "void"});
        let canceled = self.api.post(&format!("{path}/cancel"), &cancel);
        assert_eq!(canceled.field("status"), "in_doubt", "{}", canceled.text);
        canceled.data()["attempts"][0]["transaction_id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// The credential that a route takes.
    fn token(&self, route: &Route) -> &str {
        match route.operation.rule().audience {
            Audience::Operator => self.operator().token(),
            Audience::Merchant | Audience::Any | Audience::Public => self.api.token(),
        }
    }

    /// Calls a route with this body text, a fresh key and the credential that it takes.
    fn send(&self, route: &Route, path: &str, body: &str) -> Answer {
        self.send_as(route, path, body, self.token(route))
    }

    fn send_as(&self, route: &Route, path: &str, body: &str, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let key = harness::api::fresh_key();
        let headers = [
            ("Authorization", bearer.as_str()),
            ("X-Idempotency-Key", &key),
            ("Content-Type", "application/json"),
        ];
        raw::call(
            self.base(),
            route.verb.name(),
            path,
            &headers,
            body.as_bytes(),
        )
    }
}

/// Where the operator says what became of a transaction.
const RESOLUTION: &str = "/v1/merchants/{id}/transactions/{transaction_id}/resolution";

/// The route of the table.
fn route(verb: &str, path: &str) -> &'static Route {
    let found = ROUTES
        .iter()
        .find(|route| route.verb.name() == verb && route.path == path);
    found.expect("a route of the table")
}

/// A body that a route takes, as far as one can be named without making something first.
fn right_body(world: &World, route: &Route) -> Value {
    match route.path {
        "/v1/pos/transactions" => world.shop.sale(100),
        "/v1/transactions/{id}/tip-adjustment" => json!({"tip_amount": 1, "currency": "USD"}),
        "/v1/sandbox/faults" => json!({"target": world.quiet_id, "kind": "host_declines"}),
        "/v1/terminals" => json!({"label": "Lane 9"}),
        "/v1/terminals/{id}" => json!({"location": "Cellar"}),
        "/v1/terminals/{id}/configuration" => json!({"settings": {"idle_text": "Welcome"}}),
        "/v1/merchant/terminal-configuration" => json!({"settings": {"log_level": "info"}}),
        "/v1/pairing/redeem" => json!({"code": "BCDFG-HJKLM", "public_key": PUBLIC_KEY}),
        "/v1/pairing/device" => json!({"public_key": PUBLIC_KEY, "serial_number": "SN-2"}),
        "/v1/pairing/device/poll" => json!({"device_code": "00"}),
        "/v1/pairing/requests/{user_code}/approve" => json!({"new_terminal": {"label": "Lane 9"}}),
        "/v1/pairing/release" => json!({
            "terminal_id": world.shop.terminal_id,
            "engine_incarnation": "inc_01h2xcejqtf2nbrexx3vqjhp41",
            "signed_at_ms": 0,
            "signature": "00".repeat(64),
        }),
        "/v1/pairing-codes/bulk" => json!({"rows": [{"label": "Lane 9"}]}),
        "/v1/merchant/api-keys" | "/v1/merchants/{id}/api-keys" => json!({"label": "Key"}),
        "/v1/partners" => json!({"name": "East Payments"}),
        "/v1/partners/{id}/permissions" => json!({"disabled": []}),
        "/v1/merchants" => json!({"name": "Dock Deli", "currencies": ["EUR"]}),
        RESOLUTION => json!({
            "outcome": "never_authorized",
            "reason": "The acquirer has no such request, case 4711",
            "resolved_by": "M. Operator",
        }),
        _ => json!({}),
    }
}
