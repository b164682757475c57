//! The disk is full, or does not sync: at every step, for store, acquirer's book and journal.

use std::fs;
use std::time::Duration;

use harness::power::recorder::{self, Recorder};
use harness::power::trace::{Act, CALL_SYNC};
use harness::wait::{until, until_within};
use serde_json::{Value, json};

use super::recording::Recorded;
use super::told;
use crate::crash::agreement::{self, State};

/// Longest time to converge, see `crash`.
const CONVERGENCE_BOUND: Duration = Duration::from_secs(150);

fn shop() -> Option<Recorded> {
    recorder::library().map(|_| Recorded::open())
}

impl Recorded {
    /// A request that starts something new.
    fn try_new_work(&mut self) -> (u16, String) {
        let answer = self.pos.post("/v1/terminals", &json!({"label": "Another"}));
        (answer.status, answer.code().to_owned())
    }

    /// Waits until the engine has noticed that the disk is full.
    fn await_refusal(&mut self) {
        let refused = until("new work to be refused", || {
            let (status, code) = self.try_new_work();
            (status == 503 && code == "SERVICE_UNAVAILABLE").then_some(())
        });
        assert!(refused.is_some(), "{}", self.engine_log());
    }

    fn engine_log(&self) -> String {
        fs::read_to_string(self.dir().join("engine").join("engine.log")).unwrap_or_default()
    }

    fn agent_log(&self) -> String {
        fs::read_to_string(self.dir().join("till").join("agent.log")).unwrap_or_default()
    }

    /// Space is back: what has ended is started again, everything converges, and everything that
    /// was answered holds.
    fn recover(&mut self, what: &str) {
        self.engine_recorder.relent();
        self.agent_recorder.relent();
        self.devices.remove_card();
        let pos = self.pos.api.clone();
        let settled = until_within(what, CONVERGENCE_BOUND, || {
            // One that met the full disk may end a little later.
            if !self.engine.is_running() {
                self.engine.restart().expect("the engine starts again");
            }
            if !self.till.is_running() {
                self.till.run().expect("the agent starts again");
            }
            State::read(&pos).is_settled().then_some(())
        });
        if settled.is_none() {
            let state = State::read(&pos);
            panic!("{what}: still moving: {:#?}", state.moving());
        }
        let state = State::read(&pos);
        agreement::check(what, &state, &self.book());
        told::hold(what, &self.pos.told, &state);
        self.await_till();
    }

    /// Starts a sale and presents a card if it gets so far; gives the sale's id if it was answered.
    fn try_to_pay(&mut self, amount: i64) -> Option<String> {
        let started = self.start(amount);
        if started.status != 201 {
            let refusal = (started.status, started.code().to_owned());
            let is_clear = refusal == (503, "SERVICE_UNAVAILABLE".to_owned()) || refusal.0 == 0;
            assert!(is_clear || refusal.0 == 409, "{}", started.text);
            return None;
        }
        let id = started.field("id").to_owned();
        let path = format!("/v1/pos/transactions/{id}");
        until_within("a reader, or the end", Duration::from_secs(8), || {
            let answer = self.pos.get(&path);
            let is_over = answer.field("status") != "in_progress";
            let is_waiting = self.devices.status()["reader"]["phase"] == "polling";
            if is_waiting {
                self.devices.present("visa", "tap").expect("a card");
            }
            (is_over || is_waiting).then_some(())
        });
        until_within("the end, or nothing", Duration::from_secs(3), || {
            let answer = self.pos.get(&path);
            let is_moving = matches!(answer.field("status"), "in_progress");
            (!is_moving || !self.engine.is_running() || !self.till.is_running()).then_some(())
        });
        Some(id)
    }
}

/// How many calls were refused so far, as ordered.
fn refusals(recorder: &Recorder) -> usize {
    let records = recorder.records().expect("a trace").into_iter();
    records
        .filter(|record| matches!(record.act, Act::Failed { .. }))
        .count()
}

/// Nothing was synced again after a sync had failed, until the next start.
fn assert_no_retry(recorder: &Recorder) {
    let mut failed = Vec::new();
    for record in recorder.records().expect("a trace") {
        match record.act {
            Act::Start => failed.clear(),
            Act::Failed { call, .. } if call == CALL_SYNC => failed.push(record.inode),
            Act::Sync { data_only: true } => {
                assert!(
                    !failed.contains(&record.inode),
                    "a failed sync was tried again"
                );
            }
            _ => {}
        }
    }
}

#[test]
fn with_a_full_disk_new_work_is_refused_and_an_approval_in_hand_is_concluded() {
    let Some(mut shop) = shop() else { return };
    let started = shop.start(1_500);
    assert_eq!(started.status, 201, "{}", started.text);
    assert!(shop.devices.wait_for_reader());
    // Below the limit for new work; the acquirer is another company, its disk has room.
    shop.engine_recorder.order("room 6000000 /store/").unwrap();
    shop.await_refusal();
    let end = shop.present_until_over(started.field("id"), &[("visa", "tap")]);
    assert_eq!(end["status"], "approved", "{end}: {}", shop.engine_log());
    let (status, code) = shop.try_new_work();
    assert_eq!((status, code.as_str()), (503, "SERVICE_UNAVAILABLE"));
    assert!(shop.engine.is_running(), "{}", shop.engine_log());
    // Space comes back while it runs: so does the work.
    shop.engine_recorder.relent();
    let back = until("new work to be taken again", || {
        (shop.try_new_work().0 == 201).then_some(())
    });
    assert!(back.is_some(), "{}", shop.engine_log());
    let sale = shop.pay(1_501, "visa", "tap");
    assert_eq!(sale["status"], "approved", "{sale}");
    shop.recover("after the full disk");
}

#[test]
fn the_engines_disk_fills_at_each_step() {
    let Some(mut shop) = shop() else { return };
    let calls = super::number("TILLWAY_POWER_CALLS", 2);
    for call in 1..=calls {
        let what = format!("call {call} finds no space for the book");
        let order = format!("call {call} acquirer.book");
        shop.engine_recorder.order(&order).unwrap();
        shop.try_to_pay(1_600);
        shop.recover(&what);
    }
    for call in 1..=calls {
        let what = format!("call {call} finds no space for the store");
        let order = format!("call {call} /store/");
        shop.engine_recorder.order(&order).unwrap();
        // A sale whose request is lost with the engine is looked for at the acquirer for a minute.
        if calls > 2 {
            shop.try_to_pay(1_601);
        }
        let ended = until_within("the state to need space", Duration::from_secs(5), || {
            shop.try_new_work();
            (!shop.engine.is_running()).then_some(())
        });
        if ended.is_some() {
            assert_eq!(shop.engine.end(), Some(74));
            assert!(shop.engine_log().contains("No space left"), "{what}");
        }
        shop.recover(&what);
    }
    let sale = shop.pay(1_602, "visa", "tap");
    assert_eq!(sale["status"], "approved", "{sale}");
    shop.recover("after all");
}

#[test]
fn the_agents_disk_fills_at_each_step() {
    let Some(mut shop) = shop() else { return };
    for call in 1..=super::number("TILLWAY_POWER_CALLS", 6) {
        let what = format!("call {call} of the agent finds no space");
        shop.agent_recorder
            .order(&format!("call {call} journal"))
            .unwrap();
        let before = refusals(&shop.agent_recorder);
        let id = shop.try_to_pay(1_700);
        let sale = id.map(|id| shop.pos.get(&format!("/v1/pos/transactions/{id}")));
        let status = sale.as_ref().map(|sale| sale.field("status").to_owned());
        let is_hurt = refusals(&shop.agent_recorder) > before;
        println!("{what}: it happened: {is_hurt}, sale: {status:?}");
        if is_hurt {
            // It tells the engine, and ends: nothing may be promised that cannot be written down.
            let code = shop.till.end();
            assert!(code.is_some_and(|code| code != 0), "{}", shop.agent_log());
            assert!(shop.agent_log().contains("journal"), "{}", shop.agent_log());
        }
        shop.recover(&what);
    }
    let sale = shop.pay(1_701, "visa", "tap");
    assert_eq!(sale["status"], "approved", "{sale}");
    shop.recover("after all");
}

#[test]
fn a_sync_that_fails_is_the_last() {
    let Some(mut shop) = shop() else { return };
    shop.engine_recorder.order("data 1 /store/log/").unwrap();
    let (status, _) = shop.try_new_work();
    assert_eq!(status, 0, "nobody is answered");
    assert_eq!(shop.engine.end(), Some(74), "{}", shop.engine_log());
    shop.recover("a failed sync of the log");
    shop.engine_recorder.order("data 1 /store/sled/").unwrap();
    let ended = until("the engine to end", || {
        shop.try_new_work();
        (!shop.engine.is_running()).then_some(())
    });
    assert!(ended.is_some(), "{}", shop.engine_log());
    shop.recover("a failed sync of the state");
    shop.engine_recorder.order("data 1 acquirer.book").unwrap();
    let id = shop.try_to_pay(1_800).unwrap_or_default();
    let sale: Value = shop
        .pos
        .get(&format!("/v1/pos/transactions/{id}"))
        .data()
        .clone();
    assert_ne!(sale["status"], "approved", "{sale}");
    // The acquirer's line is down from then on; a start takes the book as it is on disk.
    shop.engine_recorder.relent();
    shop.engine.restart().expect("the engine starts again");
    shop.recover("a failed sync of the book");
    shop.agent_recorder.order("data 1 journal").unwrap();
    let id = shop.try_to_pay(1_801).unwrap_or_default();
    let sale = shop.pos.get(&format!("/v1/pos/transactions/{id}"));
    assert_ne!(sale.field("status"), "approved", "{}", sale.text);
    assert!(
        shop.till.end().is_some_and(|code| code != 0),
        "{}",
        shop.agent_log()
    );
    shop.recover("a failed sync of the journal");
    assert_no_retry(&shop.engine_recorder);
    assert_no_retry(&shop.agent_recorder);
    let sale = shop.pay(1_802, "visa", "tap");
    assert_eq!(sale["status"], "approved", "{sale}");
}
