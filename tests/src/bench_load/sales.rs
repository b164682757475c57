//! The load of whole sales, and what it cost the engine.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use harness::api::fresh_key;
use harness::shop::Engine;
use harness::wait::until;
use protocol::money::Money;

use crate::agent::{self, Cards, Counts};
use crate::board::Lane;
use crate::card;
use crate::load::{Arrival, Client, End, Playing};
use crate::machine::{self, Usage};
use crate::measure::{Tally, Window, per, rounded};
use crate::report::Result;

/// Sales before the measuring begins: caches fill, connections open.
const WARM_UP: Duration = Duration::from_secs(1);
/// Amounts in turn, in cents; none of them makes the simulated host do anything but approve.
const AMOUNTS: [i64; 4] = [1_850, 975, 12_340, 4_499];

/// Before and after.
#[derive(Debug)]
pub(crate) struct Snapshot {
    engine: Usage,
    load: Usage,
    processors: (f64, f64),
    device_written: u64,
}

impl Snapshot {
    pub(crate) fn take(engine: &Engine) -> Self {
        Self {
            engine: machine::usage(engine.id()),
            load: machine::usage(std::process::id()),
            processors: machine::processor_ticks(),
            device_written: machine::device_written(&engine.dir),
        }
    }
}

/// Where the engine listens, without the scheme.
pub(crate) fn address(engine: &Engine) -> &str {
    let base = engine.operator.base();
    base.split_once("://").map_or(base, |(_, address)| address)
}

/// Brings the agents of these lanes up.
///
/// # Errors
/// When they do not come.
pub(crate) fn link(engine: &Engine, lanes: &[Lane]) -> io::Result<Arc<Counts>> {
    let counts = Arc::new(Counts::default());
    let mut cards = Cards::new();
    for amount in AMOUNTS {
        let currency = "USD".parse().map_err(io::Error::other)?;
        cards.insert(amount, card::tap(Money::new(amount, currency))?);
    }
    let tills: Vec<_> = lanes.iter().map(|lane| Arc::clone(&lane.till)).collect();
    agent::link_all(tills, address(engine), cards, Arc::clone(&counts))?;
    wait_for(&counts, lanes.len())?;
    Ok(counts)
}

/// Waits until so many agents are up.
///
/// # Errors
/// When they do not come.
pub(crate) fn wait_for(counts: &Counts, all: usize) -> io::Result<()> {
    let all = u64::try_from(all).map_err(io::Error::other)?;
    let is_up = until("the agents' links", || {
        (counts.up.load(Ordering::Relaxed) >= all).then_some(())
    });
    is_up.ok_or_else(|| io::Error::other("not all agents came up"))
}

/// Sets clients to work on these lanes; each keeps its connection. Without a rate each starts a
/// sale when its last one has ended; with one they share it.
///
/// # Errors
/// When there is no thread to be had.
pub(crate) fn play(
    engine: &Engine,
    lanes: &[Lane],
    clients: usize,
    rate: Option<f64>,
    end: &End,
) -> io::Result<Playing> {
    let run = fresh_key();
    let now = Instant::now();
    let every = rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
    let count = u32::try_from(clients).map_err(io::Error::other)?;
    let clients = (0..count).zip(0_usize..).map(|(number, at)| Client {
        address: address(engine).into(),
        name: format!("{run}-{number}"),
        lanes: lanes.iter().skip(at).step_by(clients).cloned().collect(),
        amounts: AMOUNTS.to_vec(),
        arrival: every.map_or(Arrival::Closed, |every| Arrival::Open {
            first: now + every * number,
            every: every * count,
        }),
        end: end.clone(),
    });
    Playing::start(clients.collect())
}

/// Measures sales for `seconds` after a warm-up.
///
/// # Errors
/// When there is no thread to be had, or something panics.
pub(crate) fn measure(
    engine: &Engine,
    lanes: &[Lane],
    clients: usize,
    (rate, seconds): (Option<f64>, u64),
    result: &mut Result,
) -> io::Result<Tally> {
    let begin = Instant::now() + WARM_UP;
    let window = Window {
        begin,
        end: begin + Duration::from_secs(seconds),
    };
    let end = End::default();
    end.set(window.end);
    let playing = play(engine, lanes, clients, rate, &end)?;
    sleep_until(window.begin);
    let before = Snapshot::take(engine);
    sleep_until(window.end);
    let after = Snapshot::take(engine);
    let tally = playing.end()?;
    tally.describe(window, result);
    describe_usage(result, &before, &after, tally.completed_in(window));
    Ok(tally)
}

/// Waits for an instant; a measurement takes its time.
pub(crate) fn sleep_until(at: Instant) {
    std::thread::sleep(at.saturating_duration_since(Instant::now()));
}

fn describe_usage(result: &mut Result, before: &Snapshot, after: &Snapshot, sales: u64) {
    let mut note = |name: &str, value: f64| result.insert(name.to_owned(), rounded(value));
    let engine_s = after.engine.cpu_s - before.engine.cpu_s;
    let load_s = after.load.cpu_s - before.load.cpu_s;
    let all = per(sales, 1.0).max(1.0);
    note("engine_cpu_s", engine_s);
    note("engine_cpu_ms_per_sale", engine_s * 1_000.0 / all);
    let sync_s = after.engine.sync_s - before.engine.sync_s;
    let rest_ms = (engine_s - sync_s) * 1_000.0;
    note("engine_cpu_ms_per_sale_without_syncs", rest_ms / all);
    note("load_cpu_s", load_s);
    let sleeps = after.engine.sleeps.saturating_sub(before.engine.sleeps);
    note("engine_sleeps_per_sale", per(sleeps, all));
    let written = after.device_written.saturating_sub(before.device_written);
    note("device_written_bytes_per_sale", per(written, all).round());
    // What others did on the machine meanwhile, as a share of all processors.
    let busy_s = (after.processors.0 - before.processors.0) / 100.0;
    let total_s = (after.processors.1 - before.processors.1) / 100.0;
    note(
        "others_cpu_share",
        ((busy_s - engine_s - load_s) / total_s.max(0.01)).max(0.0),
    );
}
