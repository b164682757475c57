//! Whether the past costs anything: an engine without one and an engine with one, measured side by
//! side in turns. Owns the measuring and what is kept of a past to be measured again.

#[path = "history/archiving.rs"]
pub(crate) mod archiving;
#[path = "history/pages.rs"]
mod pages;
#[path = "history/past.rs"]
mod past;

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use harness::shop::Engine;
use rustix::fs::{Advice, fadvise};
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::pages::Kind;
use self::past::Past;
use crate::agent::{Counts, Till};
use crate::board::{self, Lane};
use crate::measure::{milliseconds, per, percentile, rounded};
use crate::report::Result;
use crate::{machine, sales};

/// Merchants that the past is spread over, those with tills among them.
const MERCHANTS: usize = 200;
/// Starts, of which the middle one counts.
const STARTS: usize = 3;
/// Turns of sales, so that what else goes on in the machine meets both.
const TURNS: usize = 2;
/// What a past is made with and measured by, beside its database.
const DESCRIPTION: &str = "past.json";

/// What is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Tills that sell.
    pub(crate) terminals: usize,
    /// How long for each thing that is measured.
    pub(crate) seconds: u64,
    /// Past sales.
    pub(crate) count: u64,
    /// Sales after each of which is archived; never with zero.
    pub(crate) chunk: u64,
    /// Age in days after which is archived.
    pub(crate) older_than_days: u64,
    /// Whether the past is only put in place.
    pub(crate) is_only_filled: bool,
}

/// What a past is made with, and the tills that can sell on top of it.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    count: u64,
    chunk: u64,
    older_than_days: u64,
    fill_s: f64,
    rows: u64,
    tills: Vec<StoredTill>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredTill {
    terminal_id: String,
    seed: String,
    token: String,
}

impl StoredTill {
    fn of(lane: &Lane) -> Self {
        Self {
            terminal_id: lane.till.terminal_id.to_string(),
            seed: hex::encode(lane.till.key.to_bytes()),
            token: lane.token.to_string(),
        }
    }

    fn lane(&self) -> io::Result<Lane> {
        let mut seed = [0; 32];
        hex::decode_to_slice(&self.seed, &mut seed).map_err(io::Error::other)?;
        let terminal_id = self.terminal_id.parse().map_err(io::Error::other)?;
        let till = Till::new(terminal_id, SigningKey::from_bytes(&seed));
        Ok(Lane {
            till: Arc::new(till),
            token: self.token.as_str().into(),
        })
    }
}

/// Measures an engine without a past beside one with `wanted.count` past sales. A past that is in
/// `dir` already is used as it is.
///
/// # Errors
/// When something does not start, or refuses.
pub(crate) fn measure(
    dir: &Path,
    config: &str,
    wanted: &Wanted,
    result: &mut Result,
) -> io::Result<()> {
    let place = dir.join("past");
    let description = past(&place, config, wanted)?;
    describe(&place, &description, result);
    if wanted.is_only_filled {
        return Ok(());
    }
    let begun = Instant::now();
    let engine = Engine::start_configured(&place, config)?;
    // sled reads everything that was written since it was opened last.
    result.insert(
        "history_full_first_ready_s".to_owned(),
        rounded(begun.elapsed().as_secs_f64()),
    );
    let full = Side {
        name: "history_full",
        engine,
        lanes: description.lanes()?,
    };
    let place = dir.join("empty");
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    let engine = Engine::start_configured(&place, config)?;
    let lanes = board::board(&engine.operator, MERCHANTS, full.lanes.len())?;
    let empty = Side {
        name: "history_empty",
        engine,
        lanes,
    };
    compare([empty, full], wanted.seconds, result)?;
    ratios(result);
    Ok(())
}

impl Description {
    fn lanes(&self) -> io::Result<Vec<Lane>> {
        self.tills.iter().map(StoredTill::lane).collect()
    }
}

/// The past that is in `place`, or one that is made there.
fn past(place: &Path, config: &str, wanted: &Wanted) -> io::Result<Description> {
    match fs::read_to_string(place.join(DESCRIPTION)) {
        Ok(text) => serde_json::from_str(&text).map_err(io::Error::other),
        Err(_) => fill(place, config, wanted),
    }
}

/// Makes a database with tills and a past.
fn fill(place: &Path, config: &str, wanted: &Wanted) -> io::Result<Description> {
    if place.exists() {
        fs::remove_dir_all(place)?;
    }
    let mut engine = Engine::start_configured(place, config)?;
    let lanes = board::board(&engine.operator, MERCHANTS, wanted.terminals)?;
    let counts = sales::link(&engine, &lanes)?;
    sell(&engine, &lanes, 1, &mut Result::new())?;
    drop(counts);
    if !engine.stop() {
        return Err(io::Error::other("the engine did not end cleanly"));
    }
    let begun = Instant::now();
    let rows = past::fill(&Past {
        data_dir: place.join("data"),
        count: wanted.count,
        chunk: wanted.chunk,
        older_than_ms: wanted.older_than_days * 24 * 60 * 60 * 1_000,
    })?;
    let description = Description {
        count: wanted.count,
        chunk: wanted.chunk,
        older_than_days: wanted.older_than_days,
        fill_s: begun.elapsed().as_secs_f64(),
        rows,
        tills: lanes.iter().map(StoredTill::of).collect(),
    };
    let text = serde_json::to_string(&description).map_err(io::Error::other)?;
    fs::write(place.join(DESCRIPTION), text)?;
    Ok(description)
}

fn describe(place: &Path, description: &Description, result: &mut Result) {
    let data = place.join("data");
    let bytes = |below: &str| machine::bytes_below(&data.join(below));
    let files = fs::read_dir(data.join("history"));
    let files = files.into_iter().flatten().count();
    for (name, value) in [
        ("sales", json!(description.count)),
        ("rows", json!(description.rows)),
        ("archived_after_sales", json!(description.chunk)),
        ("archived_after_days", json!(description.older_than_days)),
        ("fill_s", rounded(description.fill_s)),
        ("state_bytes", json!(bytes("store/sled"))),
        (
            "log_bytes",
            json!(bytes("store/log") + bytes("store/archive")),
        ),
        ("archive_bytes", json!(bytes("history"))),
        ("archive_files", json!(files)),
    ] {
        result.insert(format!("history_{name}"), value);
    }
    let all = bytes("history") + bytes("store/sled") + bytes("store/archive");
    let each = per(all, per(description.count, 1.0).max(1.0));
    result.insert("history_bytes_per_sale".to_owned(), rounded(each));
}

/// One of the two engines.
struct Side {
    name: &'static str,
    engine: Engine,
    lanes: Vec<Lane>,
}

fn sell(engine: &Engine, lanes: &[Lane], seconds: u64, result: &mut Result) -> io::Result<u64> {
    let tally = sales::measure(engine, lanes, lanes.len(), (None, seconds), result)?;
    Ok(tally.errors())
}

impl Side {
    fn note(&self, what: &str, value: serde_json::Value, result: &mut Result) {
        result.insert(format!("{}_{what}", self.name), value);
    }

    /// Ends it and starts it again; how long the start took.
    fn restart(&mut self, is_cold: bool) -> io::Result<Duration> {
        if !self.engine.stop() {
            return Err(io::Error::other("the engine did not end cleanly"));
        }
        if is_cold {
            forget(&self.engine.dir)?;
        }
        let begun = Instant::now();
        self.engine.restart()?;
        Ok(begun.elapsed())
    }

    fn resident(&self, what: &str, result: &mut Result) {
        let (rss, _) = machine::resident_kib(self.engine.id());
        self.note(what, json!(rss), result);
    }

    fn read(&self, kind: Kind, seconds: u64, result: &mut Result) -> io::Result<()> {
        let span_ms = pages::span_ms(self.name == "history_full");
        let address = sales::address(&self.engine);
        let samples = pages::read(address, &self.lanes, (kind, seconds, span_ms))?;
        self.note(&format!("{}s", kind.name()), json!(samples.count()), result);
        let mut times = Result::new();
        samples.describe(kind.name(), &mut times);
        for (what, value) in times {
            self.note(&what, value, result);
        }
        Ok(())
    }
}

/// Has the pages of all files below a directory forgotten by the kernel.
fn forget(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            forget(&entry.path())?;
        } else {
            let file = File::open(entry.path())?;
            // Pages that were not written yet cannot be forgotten.
            file.sync_all()?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}

fn compare(mut sides: [Side; 2], seconds: u64, result: &mut Result) -> io::Result<()> {
    for side in &mut sides {
        side.restart(false)?;
        let cold = side.restart(true)?;
        side.note("cold_ready_ms", milliseconds(cold), result);
    }
    let mut starts = [Vec::new(), Vec::new()];
    for _ in 0..STARTS {
        for (side, starts) in sides.iter_mut().zip(&mut starts) {
            starts.push(side.restart(false)?);
        }
    }
    for (side, starts) in sides.iter().zip(&mut starts) {
        starts.sort_unstable();
        let middle = percentile(starts, 0.5).unwrap_or_default();
        side.note("ready_ms", milliseconds(middle), result);
        side.resident("ready_rss_kib", result);
    }
    let mut links: Vec<Arc<Counts>> = Vec::new();
    for side in &sides {
        links.push(sales::link(&side.engine, &side.lanes)?);
        // Every list must have something to show.
        sell(&side.engine, &side.lanes, 1, &mut Result::new())?;
    }
    let mut sold: [Vec<Result>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        for (side, sold) in sides.iter().zip(&mut sold) {
            let mut turn = Result::new();
            let errors = sell(&side.engine, &side.lanes, seconds, &mut turn)?;
            turn.insert("errors".to_owned(), json!(errors));
            sold.push(turn);
        }
    }
    for (side, sold) in sides.iter().zip(&sold) {
        for what in [
            "completed_per_s",
            "sale_p50_ms",
            "sale_p99_ms",
            "engine_cpu_ms_per_sale",
            "errors",
        ] {
            let all = sold.iter().filter_map(|turn| turn.get(what)?.as_f64());
            let mean = all.sum::<f64>() / per(u64::try_from(TURNS).unwrap_or(1), 1.0);
            side.note(what, rounded(mean), result);
        }
    }
    for kind in Kind::ALL {
        for side in &sides {
            side.read(kind, seconds, result)?;
        }
    }
    for side in &mut sides {
        side.resident("rss_kib", result);
        side.engine.stop();
    }
    Ok(())
}

/// What the past costs: with it, divided by without it. A page far back is held against the first
/// page of a young engine, which has nothing far back.
fn ratios(result: &mut Result) {
    for (what, of) in [
        ("ready_ms", "ready_ms"),
        ("cold_ready_ms", "cold_ready_ms"),
        ("completed_per_s", "completed_per_s"),
        ("sale_p99_ms", "sale_p99_ms"),
        ("engine_cpu_ms_per_sale", "engine_cpu_ms_per_sale"),
        ("page_first_p50_ms", "page_first_p50_ms"),
        ("page_first_p99_ms", "page_first_p99_ms"),
        ("page_deep_p50_ms", "page_first_p50_ms"),
        ("page_deep_p99_ms", "page_first_p99_ms"),
        ("page_day_p50_ms", "page_first_p50_ms"),
        ("page_day_p99_ms", "page_first_p99_ms"),
        ("page_reference_p50_ms", "page_reference_p50_ms"),
        ("page_reference_p99_ms", "page_reference_p99_ms"),
        ("one_p50_ms", "one_p50_ms"),
        ("one_p99_ms", "one_p99_ms"),
        ("ready_rss_kib", "ready_rss_kib"),
        ("rss_kib", "rss_kib"),
    ] {
        let value = |name: String| result.get(&name)?.as_f64();
        let full = value(format!("history_full_{what}"));
        if let (Some(empty), Some(full)) = (value(format!("history_empty_{of}")), full)
            && empty > 0.0
        {
            result.insert(format!("history_ratio_{what}"), rounded(full / empty));
        }
    }
}
