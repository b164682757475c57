//! A real agent with a simulated reader and printer: what it keeps in memory, and its own share of
//! the time from card to result. What reader, engine, host and disk take is theirs.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use harness::api::Api;
use harness::programs::bin_dir;
use harness::shop::{Devices, Lane, Till};
use serde_json::json;

use crate::machine;
use crate::measure::{Samples, Tally};
use crate::relay::{Passed, Relay, Way};
use crate::report::Result;

/// An amount of no meaning to the simulated host.
const AMOUNT: i64 = 1_850;

/// The agent's times of one payment.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// From the last byte of the card's data to the message on the link.
    card: Duration,
    /// From the host's answer on the link to the first byte for the reader.
    answer: Duration,
    /// From the chip's last word to the message on the link; the journal is synced in between.
    confirm: Duration,
}

/// Plays payments with a chip card for `seconds` on a lane of its own.
///
/// # Errors
/// When a part does not start or a payment does not succeed.
pub(crate) fn measure(
    dir: &Path,
    pos: &Api,
    seconds: u64,
    result: &mut Result,
) -> io::Result<Tally> {
    let devices = Devices::start(&dir.join("devices"), true)?;
    let plugs = dir.join("plugs");
    fs::create_dir_all(&plugs)?;
    for name in ["printer.pty", "control.sock"] {
        symlink(devices.dir.join(name), plugs.join(name))?;
    }
    let engine = pos.base().trim_start_matches("http://");
    let reader = devices.dir.join("reader.pty");
    let relay = Relay::start(engine, &reader, &plugs.join("reader.pty"))?;
    let engine = format!("http://{}", relay.address);
    let till = Till::install(&dir.join("till"), &engine, &plugs)?;
    let mut lane = Lane::equip(devices, till, pos, "Real")?;
    let (mut times, mut tally) = (Vec::new(), Tally::default());
    let begun = Instant::now();
    while times.is_empty() || begun.elapsed() < Duration::from_secs(seconds) {
        relay.take();
        pay(&lane, pos)?;
        match times_of(&relay.take()) {
            Some(of_one) => times.push(of_one),
            None => tally.error("the agent's messages did not pass as expected".to_owned()),
        }
    }
    // Both copies of every receipt.
    if lane.devices.paper(2 * times.len()).is_none() {
        tally.error("the real agent did not print every receipt".to_owned());
    }
    describe(&times, result);
    let (rss, peak) = machine::resident_kib(lane.till.id());
    let binary = fs::metadata(bin_dir().join("terminal-agent"))?.len();
    for (name, value) in [
        ("payments", json!(times.len())),
        ("rss_kib", json!(rss)),
        ("rss_peak_kib", json!(peak)),
        ("binary_bytes", json!(binary)),
    ] {
        result.insert(format!("agent_{name}"), value);
    }
    lane.till.stop();
    Ok(tally)
}

fn describe(times: &[Times], result: &mut Result) {
    let kinds: [(&str, fn(&Times) -> Duration); 4] = [
        ("agent_card", |times| times.card),
        ("agent_answer", |times| times.answer),
        ("agent_share", |times| times.card + times.answer),
        ("agent_confirm", |times| times.confirm),
    ];
    for (name, time) in kinds {
        let samples: Samples = times.iter().map(time).collect();
        samples.describe(name, result);
    }
}

/// One payment from start to end, and the card out again.
fn pay(lane: &Lane, pos: &Api) -> io::Result<()> {
    lane.devices.wait_until_idle();
    let body = json!({
        "terminal_id": lane.terminal_id,
        "type": "sale",
        "amount": AMOUNT,
        "currency": "USD",
    });
    let started = pos.post("/v1/pos/transactions", &body);
    lane.devices.wait_for_reader();
    lane.devices.present("visa", "insert")?;
    let path = format!("/v1/pos/transactions/{}?wait_s=30", started.field("id"));
    let end = pos.get(&path);
    lane.devices.remove_card();
    match end.field("status") {
        "approved" => Ok(()),
        _ => Err(io::Error::other(format!("the payment ended {}", end.text))),
    }
}

/// The agent's times, from what passed during a payment.
fn times_of(passed: &[Passed]) -> Option<Times> {
    let next = |after: usize, way| {
        let rest = passed.iter().enumerate().skip(after + 1);
        let mut rest = rest.filter(|(_, passed)| passed.way == way);
        rest.next().map(|(at, _)| at)
    };
    // Nothing that a reader says is longer than what it read of the card.
    let from_reader = passed.iter().enumerate();
    let from_reader = from_reader.filter(|(_, passed)| passed.way == Way::FromReader);
    let (read, _) = from_reader.max_by_key(|(_, passed)| passed.count)?;
    let card = next(read, Way::ToEngine)?;
    let last = |before: usize, way| {
        let earlier = passed.get(..before)?.iter();
        earlier.rev().find(|passed| passed.way == way)
    };
    let answer = next(card, Way::FromEngine)?;
    let written = next(answer, Way::ToReader)?;
    let confirmed = next(written, Way::ToEngine)?;
    let at = |index: usize| passed.get(index).map(|passed| passed.at);
    Some(Times {
        card: at(card)? - last(card, Way::FromReader)?.at,
        answer: at(written)? - at(answer)?,
        confirm: at(confirmed)? - last(confirmed, Way::FromReader)?.at,
    })
}
