//! States started as the shipped programs: engine and agent find their disks as a cut has left
//! them, converge, and work.

use std::fs;
use std::time::{Duration, Instant};

use harness::power::cut::Cut;
use harness::power::dice::Dice;
use harness::power::history::History;
use harness::shop::{Devices, Engine, Till};
use harness::wait::until_within;
use serde_json::json;

use super::recording::{self, Recording};
use super::{engine_check, instants, number, recorded, scratch, seed, told};
use crate::crash::agreement::{self, State};

/// Longest time to converge, see `crash`.
const CONVERGENCE_BOUND: Duration = Duration::from_secs(150);

/// Which machines lose their power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dark {
    Engine,
    Till,
    Both,
}

/// What is on a disk: with the power gone, what a cut leaves; otherwise what was written.
fn write(history: &History, cut: &Cut, is_dark: bool, root: &std::path::Path) {
    let image = if is_dark {
        cut.image(history)
    } else {
        history.seen(cut.instant)
    };
    image.write(root).expect("an image is written");
}

fn start(recording: &Recording, cut: &Cut, dark: Dark) {
    let what = format!("{dark:?} dark: {cut}");
    let dir = scratch();
    let engine_dir = dir.path().join("engine");
    let data = engine_dir.join("data");
    let state_dir = dir.path().join("till").join("state");
    write(&recording.engine.history, cut, dark != Dark::Till, &data);
    write(
        &recording.agent.history,
        cut,
        dark != Dark::Engine,
        &state_dir,
    );
    fs::write(engine_dir.join("engine.toml"), recording::config()).expect("a configuration");
    let mut engine = Engine::start(&engine_dir)
        .unwrap_or_else(|error| panic!("{what}: the engine does not start: {error}"));
    let devices = Devices::start(&dir.path().join("devices"), true).expect("devices");
    let base = engine.operator.base().to_owned();
    let mut till = Till::install(&dir.path().join("till"), &base, &devices.dir).expect("a till");
    // The paired address is the engine's of that day; the till is told where it is now.
    let identity = state_dir.join("identity.json");
    let text = fs::read_to_string(&identity).expect("an identity");
    let address = |base: &str| base.trim_start_matches("http://").to_owned();
    let text = text.replace(&address(&recording.people.base), &address(&base));
    fs::write(&identity, text).expect("an identity");
    till.run().expect("the agent starts");
    let pos = engine.operator.with_token(&recording.people.secret);
    let settled = until_within(&what, CONVERGENCE_BOUND, || {
        State::read(&pos).is_settled().then_some(())
    });
    if settled.is_none() {
        panic!("{what}: still moving: {:#?}", State::read(&pos).moving());
    }
    let terminal_id = &recording.people.terminal_id;
    recording::await_till(&pos, terminal_id);
    let state = State::read(&pos);
    let book = data.join("acquirer.book");
    if book.exists() {
        agreement::check(&what, &state, &book);
    }
    told::hold(&what, recording.told_by(cut.instant).told, &state);
    let sale = json!({
        "terminal_id": terminal_id, "type": "sale", "amount": 3_000, "currency": "USD",
    });
    let started = pos.post("/v1/pos/transactions", &sale);
    assert_eq!(started.status, 201, "{what}: {}", started.text);
    let path = format!("/v1/pos/transactions/{}", started.field("id"));
    let end = until_within("a sale", CONVERGENCE_BOUND, || {
        if devices.status()["reader"]["phase"] == "polling" {
            devices.present("visa", "tap").expect("a card");
        }
        let answer = pos.get(&path);
        (answer.field("status") != "in_progress").then_some(answer)
    });
    let end = end.expect("a sale ends");
    assert_eq!(end.field("status"), "approved", "{what}: {}", end.text);
    assert!(till.stop() && engine.stop(), "{what}: both end cleanly");
}

/// Whether it converges at once.
fn is_quick(recording: &Recording, cut: &Cut, dark: Dark) -> bool {
    let dir = scratch();
    let root = dir.path().join("state");
    write(&recording.engine.history, cut, dark != Dark::Till, &root);
    engine_check::is_soon_settled(&root)
}

#[test]
fn states_converge_with_the_real_programs() {
    let Some(recording) = recorded() else { return };
    let states = number("TILLWAY_POWER_STATES", 100);
    let count = states / 50;
    let mut dice = Dice(seed() ^ 3);
    let times: Vec<u64> = recording
        .times()
        .into_iter()
        .filter(|at| *at > recording.paired_at)
        .collect();
    let mut left = count;
    while left > 0 {
        let [cut] = instants::choose(&recording.engine.history, &times, 1, &mut dice)[..] else {
            return;
        };
        let choices = [Dark::Engine, Dark::Till, Dark::Both];
        let dark = dice.one_of(&choices).copied().unwrap_or(Dark::Both);
        let is_long_form = states >= 1_000;
        let is_early = cut.instant < recording.paired_at;
        if is_early || !(is_long_form || is_quick(recording, &cut, dark)) {
            continue;
        }
        let begun = Instant::now();
        start(recording, &cut, dark);
        println!(
            "{dark:?} dark: {cut}: converged after {:?}",
            begun.elapsed()
        );
        left -= 1;
    }
    println!("{count} states converged");
}
