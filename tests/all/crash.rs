//! Real processes killed with SIGKILL, and what must hold afterwards.
//!
//! After each kill the shop converges: nothing stays in progress or in doubt. Then the acquirer's
//! book and the engine agree, and every answer that a client received still holds.
//!
//! SIGKILL takes a process away, not the power: what was written and not synced survives in the
//! kernel's cache. That answers wait for the sync is the business of the store's own crash tests,
//! which tear and forget what was not synced.
//!
//! Kill points are stages that were observed, the acquirer's book growing, or a number of steps
//! that the clients took; never a time. `TILLWAY_KILLS` sets the number of kills under load, `TILLWAY_LANES` that of
//! terminals, `TILLWAY_SEED` the seed.

pub(crate) mod agreement;
mod client;
mod ledger;
mod load;
mod stage;
mod till_journal;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use engine::acquirer::simulator::decode_book;
use harness::api::Api;
use harness::programs::{Signal, signal};
use harness::shop::{Devices, QUICK_ACQUIRER, Shop};
use harness::wait::{until, until_within};
use ledger::Ledger;
use serde_json::Value;
use tempfile::TempDir;

/// Longest time to converge. An authorization whose request was lost with the engine is looked for
/// at the acquirer twice, fourteen seconds apart, before "not found" counts; the rest is quicker.
const CONVERGENCE_BOUND: Duration = Duration::from_secs(150);

/// A shop whose parts are killed, and what its client was told.
struct Victim {
    shop: Shop,
    ledger: Ledger,
    dir: TempDir,
}

impl Drop for Victim {
    /// A failure leaves logs, database and journal behind.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("everything is left in {}", self.dir.path().display());
            self.dir.disable_cleanup(true);
        }
    }
}

impl Victim {
    fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = dir.path().join("engine");
        fs::create_dir_all(&engine).unwrap();
        fs::write(engine.join("engine.toml"), QUICK_ACQUIRER).unwrap();
        let shop = Shop::open(dir.path()).unwrap();
        Self {
            shop,
            ledger: Ledger::default(),
            dir,
        }
    }

    fn book_path(&self) -> PathBuf {
        self.shop.engine.dir.join("data").join("acquirer.book")
    }

    /// Bytes of whole groups in the acquirer's book; zeros are laid ahead of them.
    fn book_length(&self) -> usize {
        let bytes = fs::read(self.book_path()).unwrap_or_default();
        decode_book(&bytes).unwrap().1
    }

    /// Waits until the acquirer has acted on something after `length` bytes of its book.
    fn wait_for_book(&self, length: usize) {
        until("the acquirer to act", || {
            (self.book_length() > length).then_some(())
        })
        .unwrap();
    }

    fn start_sale(&mut self, amount: i64) -> String {
        assert!(self.shop.devices.wait_until_idle());
        let body = self.shop.sale(amount);
        let started = self
            .ledger
            .post(&self.shop.pos, "/v1/pos/transactions", body);
        assert_eq!(started.status, 201, "{}", started.text);
        started.field("id").to_owned()
    }

    /// Starts a sale, and presents a card as soon as the reader waits for one.
    fn start_paying(&mut self, amount: i64, way: &str) -> String {
        let pos_id = self.start_sale(amount);
        self.pay(way);
        pos_id
    }

    fn pay(&self, way: &str) {
        assert!(self.shop.devices.wait_for_reader());
        self.shop.devices.present("visa", way).unwrap();
    }

    fn wait_for_stage(&self, pos_id: &str, stage: &str) {
        let path = format!("/v1/pos/transactions/{pos_id}");
        let reached = until(&format!("stage {stage}"), || {
            (self.shop.pos.get(&path).field("stage") == stage).then_some(())
        });
        assert!(reached.is_some(), "{}", self.shop.pos.get(&path).text);
    }

    /// Waits for the end, and notes it as told.
    fn end_of(&mut self, pos_id: &str) -> Value {
        end_of(&self.shop.pos, pos_id, &mut self.ledger)
    }

    fn kill_engine(&mut self) {
        self.shop.engine.kill();
    }

    fn restart_engine(&mut self) {
        self.shop.engine.restart().expect("the engine starts again");
    }

    fn pause_agent(&self) {
        signal(self.shop.till.id(), Signal::STOP);
    }

    fn resume_agent(&self) {
        signal(self.shop.till.id(), Signal::CONT);
    }

    fn kill_agent(&mut self) {
        self.shop.till.kill();
    }

    fn run_agent(&mut self) {
        self.shop.till.run().expect("the agent starts again");
    }

    fn unplug_devices(&mut self) {
        self.shop.devices.unplug();
    }

    fn plug_devices_in(&mut self) {
        let dir = self.shop.devices.dir.clone();
        self.shop.devices = Devices::start(&dir, true).expect("the devices start again");
    }

    /// Everything that must hold, once nothing moves any more; `what` names what was done.
    fn check(&mut self, what: &str) {
        self.converge(what);
        let state = agreement::State::read(&self.shop.pos);
        agreement::check(what, &state, &self.book_path());
        self.ledger.check(what, &self.shop.pos, &state);
    }

    fn converge(&self, what: &str) {
        let pos = &self.shop.pos;
        let settled = until_within(what, CONVERGENCE_BOUND, || {
            agreement::State::read(pos).is_settled().then_some(())
        });
        if settled.is_none() {
            panic!(
                "{what}: still moving: {:#?}",
                agreement::State::read(pos).moving()
            );
        }
    }

    /// An ordinary sale works; then everything is checked once more after the engine has ended
    /// in order and after it has been killed.
    fn close(mut self) {
        assert!(self.shop.wait_until_ready());
        let pos_id = self.start_paying(7_700, "tap");
        let sale = self.end_of(&pos_id);
        assert_eq!(sale["status"], "approved", "{sale}");
        self.check("an ordinary sale after all");
        self.shop.till.stop();
        assert!(self.shop.engine.stop(), "the engine ends cleanly");
        self.restart_engine();
        self.check("a clean end");
    }
}

/// Waits for the end of a POS transaction, whoever is killed meanwhile.
fn end_of(pos: &Api, pos_id: &str, ledger: &mut Ledger) -> Value {
    let path = format!("/v1/pos/transactions/{pos_id}?wait_s=2");
    let ended = until_within("the end", CONVERGENCE_BOUND, || {
        let answer = pos.get(&path);
        let is_known =
            answer.status == 200 && !matches!(answer.field("status"), "in_progress" | "in_doubt");
        is_known.then(|| answer.data().clone())
    });
    let end = ended.unwrap_or_else(|| panic!("no end: {}", pos.get(&path).text));
    ledger.ended(&end);
    end
}
