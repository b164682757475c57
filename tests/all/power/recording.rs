//! A day in a shop under the recorder: what the programs did to their disks, and what they said.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;

use engine::config::{OPERATOR_TOKEN_FILE, StoreSection};
use harness::api::{Answer, Api};
use harness::power::cut::Cut;
use harness::power::history::History;
use harness::power::image::Image;
use harness::power::recorder::{Recorder, monotonic_ns};
use harness::power::sent::{self, Sent};
use harness::power::trace::Act;
use harness::shop::{Devices, Engine, POS_SCOPES, Till, merchant_body};
use harness::wait::until;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::told::{Listener, Told};

/// Small segments and frequent checkpoints: a day has many of each.
pub(super) const STORE_SECTION: StoreSection = StoreSection {
    segment_bytes: Some(96 * 1024),
    reserve_bytes: Some(24 * 1024),
    free_bytes_min: Some(8 * 1024 * 1024),
    checkpoint_every_ms: Some(200),
};

/// The same as a configuration file.
pub(super) fn config() -> String {
    let number = |value: Option<u64>| value.unwrap_or_default();
    format!(
        "[store]\nsegment_bytes = {}\nreserve_bytes = {}\nfree_bytes_min = {}\n\
         checkpoint_every_ms = {}\n",
        number(STORE_SECTION.segment_bytes),
        number(STORE_SECTION.reserve_bytes),
        number(STORE_SECTION.free_bytes_min),
        number(STORE_SECTION.checkpoint_every_ms),
    )
}

/// One program's disk.
#[derive(Debug)]
pub(super) struct Part {
    /// What was done to it.
    pub(super) history: History,
    /// What is really on it at the end.
    pub(super) real: Image,
}

impl Part {
    fn of(base: History, recorder: &Recorder) -> Self {
        let records = recorder.records().expect("a trace");
        let (real, _) = Image::read(recorder.root()).expect("the files");
        let history = base.with(records);
        Self { history, real }
    }
}

/// A day.
#[derive(Debug)]
pub(super) struct Recording {
    /// The engine's data directory: store and acquirer's book.
    pub(super) engine: Part,
    /// The agent's state directory.
    pub(super) agent: Part,
    /// What the engine answered, by time.
    told: Vec<Told>,
    /// What the agent said on its link.
    pub(super) sent: Vec<Sent>,
    /// When the pairing had succeeded.
    pub(super) paired_at: u64,
    token: String,
    /// What the shop is made of, for starting it again from an image.
    pub(super) people: People,
}

/// Who is in the shop.
#[derive(Debug, Clone)]
pub(super) struct People {
    /// The merchant's key.
    pub(super) secret: String,
    /// The till as the API sees it.
    pub(super) terminal_id: String,
    /// Where the engine was.
    pub(super) base: String,
}

/// What a state of the engine is held against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Truth<'a> {
    /// Answers that had been received.
    pub(super) told: &'a [Told],
    /// The operator's token.
    pub(super) token: &'a str,
}

impl Recording {
    /// What had been told by `instant`.
    pub(super) fn told_by(&self, instant: u64) -> Truth<'_> {
        let count = self.told.partition_point(|told| told.at <= instant);
        Truth {
            told: &self.told[..count],
            token: &self.token,
        }
    }

    /// When answers were received.
    pub(super) fn times(&self) -> Vec<u64> {
        self.told.iter().map(|told| told.at).collect()
    }

    /// The engine's disk, if it lied about `fdatasync`.
    pub(super) fn engine_history_lying(&self) -> History {
        let records = self.engine.history.records().to_vec();
        History::default().with(records).lying()
    }

    /// The agent's disk, if it lied about `fdatasync`.
    pub(super) fn agent_history_lying(&self) -> History {
        let records = self.agent.history.records().to_vec();
        History::default().with(records).lying()
    }

    /// The size of the day in words.
    pub(super) fn summary(&self) -> String {
        let count = |part: &Part, wanted: fn(&Act) -> bool| {
            let records = part.history.records().iter();
            records.filter(|record| wanted(&record.act)).count()
        };
        let part = |part: &Part| {
            let starts = count(part, |act| matches!(act, Act::Start));
            let writes = count(part, |act| matches!(act, Act::Write { .. }));
            let syncs = count(part, |act| matches!(act, Act::Sync { .. }));
            let renames = count(part, |act| matches!(act, Act::Rename(..)));
            format!("{starts} starts, {writes} writes, {syncs} syncs, {renames} renames")
        };
        let (engine, agent) = (part(&self.engine), part(&self.agent));
        let (told, sent) = (self.told.len(), self.sent.len());
        format!("engine: {engine}, {told} answers; agent: {agent}, {sent} messages")
    }
}

/// A shop whose programs are recorded.
pub(super) struct Recorded {
    pub(super) engine: Engine,
    pub(super) till: Till,
    pub(super) devices: Devices,
    pub(super) operator: Listener,
    pub(super) pos: Listener,
    pub(super) terminal_id: String,
    pub(super) engine_recorder: Recorder,
    pub(super) agent_recorder: Recorder,
    pub(super) paired_at: u64,
    dir: TempDir,
}

impl Recorded {
    /// Boards a merchant and pairs a till, everything under the recorder.
    pub(super) fn open() -> Self {
        let dir = super::scratch();
        let root = dir.path().to_path_buf();
        let engine_recorder = Recorder::new(&root.join("engine").join("data"));
        let agent_recorder = Recorder::new(&root.join("till").join("state"));
        let engine_dir = root.join("engine");
        fs::create_dir_all(&engine_dir).expect("a directory");
        fs::write(engine_dir.join("engine.toml"), config()).expect("a configuration");
        let engine = Engine::start_in(&engine_dir, engine_recorder.environment());
        let engine = engine.unwrap_or_else(|error| {
            let log = fs::read_to_string(engine_dir.join("engine.log")).unwrap_or_default();
            panic!("the engine starts: {error}: {log}")
        });
        let mut operator = Listener::new(engine.operator.clone());
        let mut pos = board(&mut operator);
        let terminal = pos.post("/v1/terminals", &json!({"label": "Lane 1"}));
        let terminal_id = terminal.field("id").to_owned();
        let devices = Devices::start(&root.join("devices"), true).expect("devices");
        let till = Till::install(&root.join("till"), pos.api.base(), &devices.dir);
        let mut till = till.expect("an agent");
        till.environment = agent_recorder.environment();
        let path = format!("/v1/terminals/{terminal_id}/pairing-codes");
        let code = pos.post(&path, &json!({})).field("code").to_owned();
        let paired = till.command(&["pair", "--code", &code]).expect("a pairing");
        let errors = String::from_utf8_lossy(&paired.stderr);
        assert!(paired.status.success(), "{errors}");
        let paired_at = monotonic_ns();
        till.run().expect("the agent starts");
        let shop = Self {
            engine,
            till,
            devices,
            operator,
            pos,
            terminal_id,
            engine_recorder,
            agent_recorder,
            paired_at,
            dir,
        };
        shop.await_till();
        shop
    }

    /// Waits until the engine sees the till with a ready reader.
    pub(super) fn await_till(&self) {
        await_till(&self.pos.api, &self.terminal_id);
    }

    /// Starts a sale; an answer that is none is the caller's business.
    pub(super) fn start(&mut self, amount: i64) -> Answer {
        let body = self.sale(amount);
        self.pos.post("/v1/pos/transactions", &body)
    }

    pub(super) fn sale(&self, amount: i64) -> Value {
        json!({
            "terminal_id": self.terminal_id, "type": "sale", "amount": amount, "currency": "USD",
        })
    }

    /// A sale to its end.
    pub(super) fn pay(&mut self, amount: i64, card: &str, way: &str) -> Value {
        self.pay_with(amount, &[(card, way)])
    }

    /// A sale to its end; each attempt with the next of these cards, and the last one again.
    fn pay_with(&mut self, amount: i64, cards: &[(&str, &str)]) -> Value {
        let started = until("a sale to start", || {
            let answer = self.start(amount);
            (answer.status == 201).then_some(answer)
        });
        let started = started.expect("a sale starts");
        self.present_until_over(started.field("id"), cards)
    }

    /// Presents the next of these cards whenever the reader waits for one, until a sale is over.
    pub(super) fn present_until_over(&mut self, id: &str, cards: &[(&str, &str)]) -> Value {
        let path = format!("/v1/pos/transactions/{id}");
        let mut cards = cards.iter().copied().peekable();
        let over = until("the end of a sale", || {
            let answer = self.pos.get(&path);
            if !matches!(answer.field("status"), "in_progress" | "in_doubt" | "") {
                return Some(answer.data().clone());
            }
            if self.devices.status()["reader"]["phase"] == "polling" {
                self.devices.remove_card();
                let (card, way) = cards.peek().copied().unwrap_or(("visa", "tap"));
                self.devices.present(card, way).expect("a card");
                if cards.len() > 1 {
                    cards.next();
                }
            }
            None
        });
        self.devices.remove_card();
        over.expect("a sale ends")
    }

    /// Waits for the end of a sale.
    pub(super) fn end_of(&mut self, id: &str) -> Value {
        let path = format!("/v1/pos/transactions/{id}?wait_s=2");
        let end = until("the end of a sale", || {
            let answer = self.pos.get(&path);
            let is_over = !matches!(answer.field("status"), "in_progress" | "in_doubt" | "");
            is_over.then(|| answer.data().clone())
        });
        end.expect("a sale ends")
    }

    /// Ends the engine between two file operations, so that the trace is whole, and starts it
    /// again.
    fn crash_engine(&mut self) {
        self.engine_recorder.order("die 0").expect("an order");
        until("the engine to die", || {
            self.operator.post("/v1/partners", &json!({"name": "Last"}));
            (!self.engine.is_running()).then_some(())
        });
        self.engine_recorder.relent();
        self.engine.restart().expect("the engine starts again");
        self.await_till();
    }

    /// The same for the agent, with a sale under way.
    fn crash_agent(&mut self) {
        self.agent_recorder.order("die 0").expect("an order");
        let started = self.start(650);
        self.till.end();
        self.agent_recorder.relent();
        self.till.run().expect("the agent starts again");
        // Back in time it is offered the sale again.
        let path = format!("/v1/pos/transactions/{}/cancel", started.field("id"));
        self.pos.post(&path, &json!({}));
        self.end_of(started.field("id"));
        self.await_till();
    }

    fn finish(mut self) -> Recording {
        assert!(self.till.stop(), "the agent ends cleanly");
        assert!(self.engine.stop(), "the engine ends cleanly");
        let mut told = std::mem::take(&mut self.operator.told);
        told.append(&mut self.pos.told);
        told.sort_by_key(|told| told.at);
        let token = self.engine_recorder.root().join(OPERATOR_TOKEN_FILE);
        let engine = Part::of(History::default(), &self.engine_recorder);
        let agent = Part::of(History::default(), &self.agent_recorder);
        Recording {
            sent: sent::messages(agent.history.records()),
            engine,
            agent,
            told,
            paired_at: self.paired_at,
            token: fs::read_to_string(token).expect("a token"),
            people: People {
                secret: self.pos.api.token().to_owned(),
                terminal_id: self.terminal_id.clone(),
                base: self.pos.api.base().to_owned(),
            },
        }
    }

    /// Where everything is.
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where the acquirer's book is.
    pub(super) fn book(&self) -> PathBuf {
        self.dir().join("engine").join("data").join("acquirer.book")
    }
}

/// Waits until the engine sees a till with a ready reader.
pub(super) fn await_till(pos: &Api, terminal_id: &str) {
    let path = format!("/v1/terminals/{terminal_id}/status");
    let ready = until("the till", || {
        let status = pos.get(&path);
        let data = status.data();
        (data["availability"] == "ready" && data["reader"]["state"] == "ready").then_some(())
    });
    assert!(ready.is_some(), "{}", pos.get(&path).text);
}

fn board(operator: &mut Listener) -> Listener {
    let partner = operator.post("/v1/partners", &json!({"name": "North Payments"}));
    let merchant = operator.post("/v1/merchants", &merchant_body(partner.field("id")));
    let path = format!("/v1/merchants/{}/api-keys", merchant.field("id"));
    let key = operator.post(&path, &json!({"label": "POS", "scopes": POS_SCOPES}));
    let pos = operator.api.with_token(key.field("secret"));
    Listener::new(pos)
}

/// The office at work while the till is: many small answers, from another connection.
fn office(mut operator: Listener, rounds: usize) -> Vec<Told> {
    operator.told.clear();
    let mut pos = board(&mut operator);
    for round in 0..rounds {
        let label = json!({"label": format!("Lane {round}")});
        let terminal = pos.post("/v1/terminals", &label);
        let path = format!("/v1/terminals/{}/pairing-codes", terminal.field("id"));
        pos.post(&path, &json!({}));
    }
    operator.told.append(&mut pos.told);
    operator.told
}

/// Plays the day.
pub(super) fn record() -> Recording {
    let mut shop = Recorded::open();
    let office = {
        let operator = shop.operator.clone();
        thread::spawn(move || office(operator, 60))
    };
    for number in 0..4 {
        shop.pay(1_000 + number, "visa", "tap");
    }
    let mut told = office.join().expect("the office is content");
    shop.pay_with(2_000, &[("declined", "tap"), ("visa", "tap")]);
    let sale = shop.pay(2_001, "mastercard", "insert");
    assert_eq!(sale["status"], "approved", "{sale}");
    let path = format!(
        "/v1/transactions/{}",
        sale["transaction_id"].as_str().unwrap_or("?")
    );
    let tip = json!({"tip_amount": 100, "currency": "USD"});
    let adjusted = shop.pos.post(&format!("{path}/tip-adjustment"), &tip);
    assert_eq!(adjusted.status, 200, "{}", adjusted.text);
    shop.crash_engine();
    let voided = shop.pos.post(&format!("{path}/void"), &json!({}));
    assert_eq!(voided.status, 200, "{}", voided.text);
    shop.pay(2_002, "chip-refuses", "insert");
    let started = shop.start(2_003);
    let cancel = format!("/v1/pos/transactions/{}/cancel", started.field("id"));
    shop.pos.post(&cancel, &json!({}));
    shop.end_of(started.field("id"));
    shop.crash_agent();
    shop.pay(2_004, "visa", "tap");
    // An orderly end and a start in the middle of the day.
    assert!(shop.engine.stop(), "the engine ends cleanly");
    shop.engine.restart().expect("the engine starts again");
    shop.await_till();
    shop.pay(2_005, "amex", "insert");
    shop.operator.told.append(&mut told);
    shop.finish()
}

/// A start on the disk that a cut has left, and a little work after it.
#[derive(Debug)]
pub(super) struct Again {
    /// What the start did to the disk.
    pub(super) part: Part,
    told: Vec<Told>,
    /// How much of it had been told before the cut.
    before: usize,
    token: String,
}

impl Again {
    /// What had been told by `instant`, before the first cut included.
    pub(super) fn told_by(&self, instant: u64) -> Truth<'_> {
        let count = self.told.partition_point(|told| told.at <= instant);
        Truth {
            told: &self.told[..count.max(self.before)],
            token: &self.token,
        }
    }

    /// When answers were received after the start.
    pub(super) fn times(&self) -> Vec<u64> {
        let after = &self.told[self.before..];
        after.iter().map(|told| told.at).collect()
    }
}

/// Starts the engine on what a cut has left.
pub(super) fn start_again(recording: &Recording, cut: &Cut) -> Again {
    let dir = super::scratch();
    let engine_dir = dir.path().join("engine");
    let recorder = Recorder::new(&engine_dir.join("data"));
    let image = cut.image(&recording.engine.history);
    image.write(recorder.root()).expect("an image is written");
    fs::set_permissions(recorder.root(), fs::Permissions::from_mode(0o700)).expect("a mode");
    fs::write(engine_dir.join("engine.toml"), config()).expect("a configuration");
    let base = History::of(recorder.root()).expect("an image is read");
    let mut told = recording.told_by(cut.instant).told.to_vec();
    let before = told.len();
    let mut engine = Engine::start_in(&engine_dir, recorder.environment())
        .unwrap_or_else(|error| panic!("{cut}: the engine does not start: {error}"));
    let mut operator = Listener::new(engine.operator.clone());
    for number in 0..6 {
        let name = json!({"name": format!("Partner {number}")});
        let made = operator.post("/v1/partners", &name);
        assert_eq!(made.status, 201, "{cut}: {}", made.text);
    }
    told.append(&mut operator.told);
    assert!(engine.stop(), "{cut}: the engine ends cleanly");
    let token = fs::read_to_string(recorder.root().join(OPERATOR_TOKEN_FILE)).expect("a token");
    Again {
        part: Part::of(base, &recorder),
        told,
        before,
        token,
    }
}
