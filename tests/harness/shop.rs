//! A whole shop: engine, simulated devices, agent, a boarded merchant with a paired till.

mod devices;
mod engine;
mod till;

use std::io;
use std::path::Path;

use serde_json::{Value, json};

use crate::api::{Answer, Api};
use crate::wait::until;

pub use devices::Devices;
pub use engine::{Boarded, Engine, POS_SCOPES, QUICK_ACQUIRER, merchant_body};
pub use till::Till;

/// What a process finds in its environment besides the usual.
pub type Environment = Vec<(String, String)>;

/// One more checkout: devices, a paired agent, and its place in the engine.
#[derive(Debug)]
pub struct Lane {
    /// Reader and printer.
    pub devices: Devices,
    /// The agent.
    pub till: Till,
    /// The till as the API sees it.
    pub terminal_id: String,
}

impl Lane {
    /// Opens a lane of the merchant whose client `pos` is: paired, linked and ready.
    ///
    /// # Errors
    /// When a part does not start.
    pub fn open(dir: &Path, pos: &Api, label: &str, log_filter: Option<&str>) -> io::Result<Self> {
        let devices = Devices::start(&dir.join("devices"), true)?;
        let mut till = Till::install(&dir.join("till"), pos.base(), &devices.dir)?;
        till.log_filter = log_filter.map(str::to_owned);
        Self::equip(devices, till, pos, label)
    }

    /// Opens a lane with devices that are plugged in and an agent that is installed.
    ///
    /// # Errors
    /// When the agent does not start.
    pub fn equip(devices: Devices, mut till: Till, pos: &Api, label: &str) -> io::Result<Self> {
        let terminal_id = till.open(pos, label)?;
        Ok(Self {
            devices,
            till,
            terminal_id,
        })
    }
}

fn pairing_code(pos: &Api, terminal_id: &str) -> Answer {
    let path = format!("/v1/terminals/{terminal_id}/pairing-codes");
    pos.post(&path, &json!({}))
}

/// Waits until the engine sees a till with a ready reader.
pub fn is_ready(pos: &Api, terminal_id: &str) -> bool {
    let path = format!("/v1/terminals/{terminal_id}/status");
    until("the till to be ready", || {
        let status = pos.get(&path);
        let data = status.data();
        let is_ready =
            data["availability"] == json!("ready") && data["reader"]["state"] == json!("ready");
        is_ready.then_some(())
    })
    .is_some()
}

/// A shop in a directory.
#[derive(Debug)]
pub struct Shop {
    /// The engine.
    pub engine: Engine,
    /// Reader and printer.
    pub devices: Devices,
    /// The agent.
    pub till: Till,
    /// The POS system's client.
    pub pos: Api,
    /// The partner that boarded the merchant.
    pub partner_id: String,
    /// The merchant.
    pub merchant_id: String,
    /// The till as the API sees it.
    pub terminal_id: String,
}

impl Shop {
    /// Opens a shop: everything is boarded, paired, linked and ready.
    ///
    /// # Errors
    /// When a part does not start.
    pub fn open(dir: &Path) -> io::Result<Self> {
        Self::open_logging(dir, None)
    }

    /// Opens a shop whose engine and agent log what this filter lets through.
    ///
    /// # Errors
    /// When a part does not start.
    pub fn open_logging(dir: &Path, log_filter: Option<&str>) -> io::Result<Self> {
        let engine = Engine::start_logging(&dir.join("engine"), log_filter)?;
        let boarded = engine.board();
        let lane = Lane::open(dir, &boarded.pos, "Lane 1", log_filter)?;
        Ok(Self {
            engine,
            devices: lane.devices,
            till: lane.till,
            pos: boarded.pos,
            partner_id: boarded.partner_id,
            merchant_id: boarded.merchant_id,
            terminal_id: lane.terminal_id,
        })
    }

    /// A fresh pairing code for the till.
    pub fn pairing_code(&self) -> String {
        self.pairing_answer().field("code").to_owned()
    }

    /// What a technician is told who asks for a pairing code.
    pub fn pairing_answer(&self) -> Answer {
        pairing_code(&self.pos, &self.terminal_id)
    }

    /// Waits until the engine sees the till with a ready reader.
    pub fn wait_until_ready(&self) -> bool {
        is_ready(&self.pos, &self.terminal_id)
    }

    /// The body of a sale on this till.
    pub fn sale(&self, amount: i64) -> Value {
        json!({
            "terminal_id": self.terminal_id,
            "type": "sale",
            "amount": amount,
            "currency": "USD",
        })
    }

    /// Starts a sale.
    pub fn start_sale(&self, amount: i64) -> Answer {
        self.pos.post("/v1/pos/transactions", &self.sale(amount))
    }

    /// Waits for the end of a POS transaction.
    pub fn end_of(&self, pos_id: &str) -> Answer {
        let path = format!("/v1/pos/transactions/{pos_id}?wait_s=30");
        let mut answer = self.pos.get(&path);
        for _ in 0..3 {
            let status = answer.field("status");
            if answer.status == 200 && status != "in_progress" && status != "in_doubt" {
                break;
            }
            answer = self.pos.get(&path);
        }
        answer
    }

    /// A whole sale with one tap; gives its end.
    ///
    /// # Errors
    /// When the card cannot be presented.
    pub fn tap_sale(&self, amount: i64, card: &str) -> io::Result<Answer> {
        self.devices.wait_until_idle();
        let started = self.start_sale(amount);
        if started.status != 201 {
            return Ok(started);
        }
        self.devices.wait_for_reader();
        self.devices.present(card, "tap")?;
        Ok(self.end_of(started.field("id")))
    }
}
