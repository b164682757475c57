//! One lane's client under kills: it insists on answers, and remembers what it was told.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use firmware_sim::control;
use firmware_sim::device::ControlRequest;
use harness::api::{Answer, Api, fresh_key};
use harness::wait::until_within;
use serde_json::{Value, json};

use super::end_of;
use super::ledger::Ledger;

/// While the engine is killed every second, links hardly come up and every restart gives tills their
/// grace anew: only the end of the killing bounds a sale.
const PATIENCE_UNDER_KILLS: Duration = Duration::from_secs(600);

/// SplitMix64: equal seeds, equal choices.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        let count = u64::try_from(choices.len()).unwrap();
        choices[usize::try_from(self.below(count)).unwrap()]
    }
}

/// What the killer sees of the clients.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Requests that change something, cards, and stages seen so far.
    pub(super) steps: AtomicU64,
    /// Whether the clients are to end.
    pub(super) is_over: AtomicBool,
}

/// One lane's client: starts sales, presents cards, cancels, voids, adjusts tips.
pub(super) struct Client {
    pub(super) pos: Api,
    pub(super) terminal_id: String,
    /// Where the hands at the lane's devices are.
    pub(super) control: PathBuf,
    pub(super) dice: Dice,
    pub(super) progress: Arc<Progress>,
    pub(super) ledger: Ledger,
}

impl Client {
    /// Works until it is over; gives what it was told.
    pub(super) fn run(mut self) -> Ledger {
        while !self.progress.is_over.load(Ordering::Relaxed) {
            self.one_sale();
        }
        self.ledger
    }

    fn count(&self) {
        self.progress.steps.fetch_add(1, Ordering::Relaxed);
    }

    fn hands(&self, request: &ControlRequest) -> Value {
        control::ask(&self.control, request).unwrap_or(Value::Null)
    }

    /// Asks with one key until there is an answer that is not about the kill.
    fn insist(&mut self, path: &str, body: &Value) -> Answer {
        let key = fresh_key();
        self.count();
        let answer = until_within("an answer", PATIENCE_UNDER_KILLS, || {
            let answer = self.pos.post_keyed(path, body, &key);
            let is_passing = matches!(
                answer.code(),
                "TERMINAL_OFFLINE"
                    | "TERMINAL_BUSY"
                    | "IDEMPOTENCY_IN_PROGRESS"
                    | "OPERATION_PENDING"
            );
            (!is_passing && !matches!(answer.status, 0 | 500..)).then_some(answer)
        });
        let answer = answer.expect("the engine comes back");
        self.ledger.note(path, &key, body.clone(), &answer);
        answer
    }

    fn one_sale(&mut self) {
        // Ordinary; declined; half approved; booked and answered after five seconds, rarely.
        let amounts = [
            1_234, 2_550, 999, 4_200, 1_850, 720, 3_333, 100_005, 100_010, 100_083,
        ];
        let body = json!({
            "terminal_id": self.terminal_id,
            "type": "sale",
            "amount": self.dice.one_of(&amounts),
            "currency": "USD",
        });
        let started = self.insist("/v1/pos/transactions", &body);
        assert_eq!(started.status, 201, "{}", started.text);
        let pos_id = started.field("id").to_owned();
        let path = format!("/v1/pos/transactions/{pos_id}");
        if self.dice.below(5) == 0 {
            let body = json!({"if_too_late": self.dice.one_of(&["keep", "void"])});
            let canceled = self.insist(&format!("{path}/cancel"), &body);
            assert_eq!(canceled.status, 200, "{}", canceled.text);
        }
        self.pay_until_over(&path);
        let end = end_of(&self.pos, &pos_id, &mut self.ledger);
        self.hands(&ControlRequest::new("reader", "remove"));
        let transaction_id = end["transaction_id"].as_str().unwrap_or_default();
        if end["status"] == "approved" {
            self.afterwards(transaction_id);
        }
    }

    /// Presents a card whenever the reader waits for one, until the sale is over.
    fn pay_until_over(&mut self, path: &str) {
        let cards = [
            ("visa", "tap"),
            ("mastercard", "insert"),
            ("declined", "tap"),
            ("amex", "insert"),
            ("chip-refuses", "insert"),
        ];
        let mut stage = String::new();
        let over = until_within("the end of a sale", PATIENCE_UNDER_KILLS, || {
            let answer = self.pos.get(path);
            if answer.field("stage") != stage {
                self.count();
                answer.field("stage").clone_into(&mut stage);
            }
            let is_open = matches!(answer.field("status"), "in_progress" | "in_doubt");
            if answer.status == 200 && !is_open {
                return Some(());
            }
            let status = self.hands(&ControlRequest::new("all", "status"));
            if status["status"]["reader"]["phase"] == "polling" {
                self.hands(&ControlRequest::new("reader", "remove"));
                let (card, way) = self.dice.one_of(&cards);
                self.count();
                let present = ControlRequest::new("reader", "present");
                self.hands(&present.with("card", card).with("way", way));
            }
            None
        });
        assert!(over.is_some(), "{}", self.pos.get(path).text);
    }

    fn afterwards(&mut self, transaction_id: &str) {
        let path = format!("/v1/transactions/{transaction_id}");
        // A cancel with `void` may have been there first: then both are refused.
        let answer = match self.dice.below(4) {
            0 => self.insist(&format!("{path}/void"), &json!({})),
            1 => {
                let body = json!({"tip_amount": 50, "currency": "USD"});
                self.insist(&format!("{path}/tip-adjustment"), &body)
            }
            _ => return,
        };
        assert!(matches!(answer.status, 200 | 409), "{}", answer.text);
    }
}
