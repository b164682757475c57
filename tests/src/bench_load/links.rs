//! Idle links: what they keep in memory, what they cost while nothing happens, and how long it
//! takes until all of them are back when all were lost at once, while sales go on elsewhere.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::shop::Engine;
use harness::wait::until_within;
use protocol::link::HEARTBEAT_MS;
use serde_json::json;

use crate::agent::Counts;
use crate::board::{self, Lane};
use crate::heartbeat::Floor;
use crate::idle::IdleLinks;
use crate::load::End;
use crate::machine;
use crate::measure::{Tally, Window, milliseconds, per, rounded};
use crate::report::Result;
use crate::sales;

/// Tills with sales in progress meanwhile.
const BUSY: usize = 16;
/// Tills of one merchant. A merchant with ten is a shop of some size.
const PER_MERCHANT: usize = 10;
/// Sales before the storm, to hold those within it against.
const CALM_S: u64 = 5;
/// After the links have come up: what that has left behind is done and freed.
const SETTLE_S: u64 = 3;
/// After so long they will not come back at all.
const PATIENCE: Duration = Duration::from_secs(120);

/// Everything that the phases share.
struct Links<'a> {
    engine: &'a mut Engine,
    all: u64,
    idle: IdleLinks,
    busy: Vec<Lane>,
    counts: Arc<Counts>,
}

/// Opens `count` idle links, leaves them alone for `seconds`, then cuts them twice.
///
/// # Errors
/// When they do not come up or back.
pub(crate) fn measure(
    engine: &mut Engine,
    count: usize,
    seconds: u64,
    result: &mut Result,
) -> io::Result<Tally> {
    let settle = Duration::from_secs(SETTLE_S.min(seconds));
    let begun = Instant::now();
    let merchants = count.div_ceil(PER_MERCHANT);
    let lanes = board::board(&engine.operator, merchants, count)?;
    let busy = board::board(&engine.operator, BUSY, BUSY)?;
    result.insert("links".to_owned(), json!(count));
    let time = Duration::from_secs(seconds);
    let floor = Floor::open(count)?;
    std::thread::sleep(settle);
    let floor_s = floor.cpu_s(time);
    drop(floor);
    let mut note = |name: &str, value| result.insert(format!("links_{name}"), value);
    note("boarding_s", rounded(begun.elapsed().as_secs_f64()));
    // Whatever boarding keeps in memory is not the links'.
    engine.restart()?;
    std::thread::sleep(settle);
    let (before_kib, _) = machine::resident_kib(engine.id());
    let tills = lanes.into_iter().map(|lane| lane.till).collect();
    let begun = Instant::now();
    let idle = IdleLinks::open(
        tills,
        sales::address(engine),
        Engine::authority(&engine.dir),
    )?;
    let all = u64::try_from(count).map_err(io::Error::other)?;
    wait_for(&idle, 0, all)?;
    note("opened_s", rounded(begun.elapsed().as_secs_f64()));
    std::thread::sleep(settle);
    let (kib, _) = machine::resident_kib(engine.id());
    note("engine_rss_kib", json!(kib));
    let bytes = per(kib.saturating_sub(before_kib) * 1_024, per(all, 1.0));
    note("bytes_per_link", json!(bytes.round()));
    let before_s = machine::cpu_s(engine.id());
    std::thread::sleep(time);
    let idle_s = machine::cpu_s(engine.id()) - before_s;
    let beats = per(all, 1.0) * time.as_secs_f64() * 1_000.0 / per(HEARTBEAT_MS, 1.0);
    for (name, cpu_s) in [("idle", idle_s), ("floor", floor_s)] {
        let percent = cpu_s * 100.0 / time.as_secs_f64();
        note(&format!("{name}_cpu_percent"), rounded(percent));
        let each = cpu_s * 1e6 / beats;
        note(&format!("{name}_us_per_heartbeat"), rounded(each));
    }
    note("idle_to_floor", rounded(idle_s / floor_s.max(1e-9)));
    note("ended_while_idle", json!(all - idle.up()));
    let counts = sales::link(engine, &busy)?;
    let mut links = Links {
        engine,
        all,
        idle,
        busy,
        counts,
    };
    let calm = Duration::from_secs(CALM_S.min(seconds));
    let mut tally = links.cut(calm, result)?;
    let (_, peak) = machine::resident_kib(links.engine.id());
    result.insert("links_engine_rss_peak_kib".to_owned(), json!(peak));
    tally.add(links.kill(result)?);
    Ok(tally)
}

/// Waits until all are up that had come up so often before they were lost.
fn wait_for(idle: &IdleLinks, opened: u64, all: u64) -> io::Result<()> {
    let is_up = until_within("idle links", PATIENCE, || {
        (idle.up() >= all && idle.opened() >= opened + all).then_some(())
    });
    is_up.ok_or_else(|| io::Error::other(format!("{} of {all} links are up", idle.up())))
}

impl Links<'_> {
    /// The network fails for the idle tills, under the sales of the others.
    fn cut(&mut self, calm: Duration, result: &mut Result) -> io::Result<Tally> {
        let end = End::default();
        let playing = sales::play(self.engine, &self.busy, BUSY, None, &end)?;
        let begin = Instant::now() + Duration::from_secs(1);
        sales::sleep_until(begin + calm);
        let cut_at = Instant::now();
        let opened = self.idle.opened();
        self.idle.cut();
        wait_for(&self.idle, opened, self.all)?;
        let back_at = Instant::now();
        end.set(back_at);
        let tally = playing.end()?;
        let calm = Window { begin, end: cut_at };
        let storm = Window {
            begin: cut_at,
            end: back_at,
        };
        for (name, window) in [("calm", calm), ("cut", storm)] {
            let sales = per(tally.completed_in(window), window.seconds());
            result.insert(format!("links_{name}_sales_per_s"), rounded(sales));
            let times = tally.sale_times(window);
            times.describe(&format!("links_{name}_sale"), result);
        }
        result.insert("links_cut_back_s".to_owned(), rounded(storm.seconds()));
        result.insert("links_cut_errors".to_owned(), json!(tally.errors()));
        self.forget_ends();
        Ok(tally)
    }

    /// The engine is killed and started again; sales go on as soon as their tills are linked.
    fn kill(&mut self, result: &mut Result) -> io::Result<Tally> {
        let (killed_at, opened) = (Instant::now(), self.idle.opened());
        self.engine.restart()?;
        let ready_at = Instant::now();
        sales::wait_for(&self.counts, self.busy.len())?;
        let end = End::default();
        let playing = sales::play(self.engine, &self.busy, BUSY, None, &end)?;
        wait_for(&self.idle, opened, self.all)?;
        let back_at = Instant::now();
        end.set(back_at);
        let tally = playing.end()?;
        let storm = Window {
            begin: ready_at,
            end: back_at,
        };
        let mut note = |name: &str, value| result.insert(format!("links_kill_{name}"), value);
        note("ready_ms", milliseconds(ready_at - killed_at));
        note("back_s", rounded(storm.seconds()));
        let sales = per(tally.completed_in(storm), storm.seconds());
        note("sales_per_s", rounded(sales));
        let times = tally.sale_times(storm);
        times.describe("links_kill_sale", result);
        result.insert("links_kill_errors".to_owned(), json!(tally.errors()));
        self.forget_ends();
        Ok(tally)
    }

    /// Links that end when they are cut are no errors; why they did is told.
    fn forget_ends(&self) {
        for (what, count) in self.idle.take_ended() {
            eprintln!("idle links: {count} × {what}");
        }
        self.counts.take_troubles();
    }
}
