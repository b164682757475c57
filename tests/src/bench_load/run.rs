//! One run: conditions, engine, boarding, and the parts in their order.

use std::fs;
use std::io;
use std::path::Path;

use harness::api::fresh_key;
use harness::programs::bin_dir;
use harness::shop::Engine;
use serde_json::{Value, json};

use crate::board::Lane;
use crate::measure::{Tally, milliseconds, per, rounded};
use crate::report::{self, Result};
use crate::store::Work;
use crate::{
    Arguments, Part, board, floor, history, links, machine, postgres, real_agent, requests, sales,
    store, wire,
};

/// Limits that no load of one machine reaches, and a log of what is wrong or asked for.
const ENGINE_CONFIG: &str = r#"
log_format = "json"
log_filter = "warn,engine::server=info"
[limits]
in_flight_max = 1000000
in_flight_per_merchant_max = 1000000
merchant_requests_per_minute = 100000000
pairing_attempts_per_minute = 100000000
"#;

/// Runs, and gives everything that was found.
///
/// # Errors
/// When something does not start.
pub(crate) fn run(arguments: &Arguments) -> io::Result<(Result, Tally)> {
    let beside = bin_dir().parent().unwrap_or(Path::new("."));
    let temporary = tempfile::Builder::new()
        .prefix("bench-load-")
        .tempdir_in(beside)?;
    let own = temporary.path().to_owned();
    let dir = arguments.dir.clone().unwrap_or(own);
    fs::create_dir_all(&dir)?;
    let mut result = Result::new();
    conditions(arguments, &dir, &mut result)?;
    beside_the_engine(arguments, &dir, &mut result)?;
    let wanted = history::Wanted {
        terminals: arguments.terminals(),
        seconds: arguments.seconds,
        count: arguments.history,
        chunk: arguments.history_chunk,
        older_than_days: arguments.history_older_than,
        is_only_filled: arguments.history_only,
    };
    if arguments.has(Part::History) {
        history::measure(&dir, ENGINE_CONFIG, &wanted, &mut result)?;
    }
    if arguments.has(Part::Archive) {
        let rate = arguments.rate;
        history::archiving::measure(&dir, ENGINE_CONFIG, &wanted, rate, &mut result)?;
    }
    let tally = with_the_engine(arguments, &dir, &mut result)?;
    let after = milliseconds(machine::fixed_work());
    result.insert("fixed_work_after_ms".to_owned(), after);
    report::add_ratios(&arguments.waiters, &mut result);
    Ok((result, tally))
}

/// What the numbers are worth nothing without.
fn conditions(arguments: &Arguments, dir: &Path, result: &mut Result) -> io::Result<()> {
    let profile = bin_dir().file_name().map(|name| name.display().to_string());
    let arrival = arguments.rate.map_or("closed loop".to_owned(), |rate| {
        format!("open loop, {rate}/s")
    });
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    for (name, value) in [
        ("machine", json!(machine::describe())),
        ("load_before", json!(machine::load_average())),
        ("fixed_work_before_ms", milliseconds(machine::fixed_work())),
        ("profile", json!(profile)),
        (
            "durability",
            json!("every commit synced before it is acted on, acquirer's book too"),
        ),
        ("disk_sync_p50_ms", milliseconds(machine::disk_sync(dir)?)),
        ("directory", json!(dir.display().to_string())),
        ("terminals", json!(arguments.terminals())),
        ("merchants", json!(arguments.merchants())),
        ("clients", json!(arguments.clients())),
        ("seconds", json!(arguments.seconds)),
        ("arrival", json!(arrival)),
        ("tls", json!(arguments.tls)),
        ("when", json!(uptime.trim())),
    ] {
        result.insert(name.to_owned(), value);
    }
    Ok(())
}

/// The parts that need no engine.
fn beside_the_engine(arguments: &Arguments, dir: &Path, result: &mut Result) -> io::Result<()> {
    for (part, measure) in [
        (Part::Floor, floor::measure as fn(&Path, _, _, &mut _) -> _),
        (Part::Store, |dir, waiters, seconds, result| {
            store::measure(Work::NEW_ROWS, dir, waiters, seconds, result)
        }),
        (Part::StoreUpdates, |dir, waiters, seconds, result| {
            store::measure(Work::UPDATES, dir, waiters, seconds, result)
        }),
        (Part::Postgres, postgres::measure),
    ] {
        for waiters in arguments.waiters_of(part) {
            measure(dir, waiters, arguments.seconds, result)?;
        }
    }
    Ok(())
}

/// The parts that ask one.
fn with_the_engine(arguments: &Arguments, dir: &Path, result: &mut Result) -> io::Result<Tally> {
    let mut tally = Tally::default();
    if !Part::OF_ENGINE.iter().any(|part| arguments.has(*part)) {
        return Ok(tally);
    }
    let mut engine = start(&dir.join("engine"), arguments.tls)?;
    let (merchants, terminals) = (arguments.merchants(), arguments.terminals());
    let lanes = board::board(&engine.operator, merchants, terminals)?;
    if arguments.has(Part::Sales) {
        tally.add(sell(arguments, &mut engine, &lanes, result)?);
    }
    for (part, kind) in [
        (Part::Create, requests::Kind::Create),
        (Part::List, requests::Kind::List),
    ] {
        for asking in arguments.waiters_of(part) {
            let run = fresh_key();
            let time = (arguments.seconds, run.as_str());
            let address = sales::address(&engine);
            requests::measure(kind, address, &lanes, asking, time, result)?;
        }
    }
    if arguments.has(Part::Links) {
        let (links, seconds) = (arguments.links, arguments.seconds);
        tally.add(links::measure(&mut engine, links, seconds, result)?);
    }
    if arguments.has(Part::Agent) {
        let place = dir.join("lane");
        let lane = lanes.first().ok_or(io::ErrorKind::InvalidInput)?;
        let pos = engine.operator.with_token(&lane.token);
        let seconds = arguments.seconds;
        tally.add(real_agent::measure(&place, &pos, seconds, result)?);
    }
    let bytes = fs::metadata(bin_dir().join("engine"))?.len();
    result.insert("engine_binary_bytes".to_owned(), json!(bytes));
    // Release strips, and `fast` inherits from it (root Cargo.toml).
    let is_stripped = bin_dir().file_name().is_some_and(|name| name != "debug");
    result.insert("is_stripped".to_owned(), json!(is_stripped));
    stop(&mut engine, &mut tally);
    result.insert("errors".to_owned(), json!(tally.errors()));
    Ok(tally)
}

/// Starts the engine that is measured.
fn start(dir: &Path, is_tls: bool) -> io::Result<Engine> {
    if !is_tls {
        return Engine::start_configured(dir, ENGINE_CONFIG);
    }
    let made = Engine::init(dir, &["--address", "127.0.0.1"])?;
    if !made.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&made.stderr)));
    }
    let tls = dir.join("data").join("tls");
    wire::speak_tls(&tls.join("ca.pem"))?;
    let [certificate, key] = ["server.pem", "server.key"].map(|name| tls.join(name));
    let tls = format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n");
    Engine::start_configured(dir, &format!("{ENGINE_CONFIG}{tls}"))
}

fn stop(engine: &mut Engine, tally: &mut Tally) {
    if !engine.stop() {
        tally.error("the engine did not end cleanly".to_owned());
    }
}

/// Sales, in a life of the engine of their own: what it says of its store when it ends is theirs,
/// and a clean end makes a checkpoint.
fn sell(
    arguments: &Arguments,
    engine: &mut Engine,
    lanes: &[Lane],
    result: &mut Result,
) -> io::Result<Tally> {
    let mut tally = Tally::default();
    stop(engine, &mut tally);
    let data = engine.dir.join("data");
    let before = machine::bytes_below(&data);
    engine.restart()?;
    let counts = sales::link(engine, lanes)?;
    let time = (arguments.rate, arguments.seconds);
    tally.add(sales::measure(
        engine,
        lanes,
        arguments.clients(),
        time,
        result,
    )?);
    for (what, count) in counts.take_troubles() {
        tally.add_errors(what, count);
    }
    let (rss, peak) = machine::resident_kib(engine.id());
    result.insert("engine_rss_kib".to_owned(), json!(rss));
    result.insert("engine_rss_peak_kib".to_owned(), json!(peak));
    stop(engine, &mut tally);
    // Whatever gives space back after a checkpoint belongs here.
    let bytes = machine::bytes_below(&data);
    result.insert("data_bytes".to_owned(), json!(bytes));
    let grown = bytes.saturating_sub(before);
    describe_store(result, &engine.dir, tally.sales(), grown);
    engine.restart()?;
    Ok(tally)
}

/// What the engine said of its store when it ended.
fn describe_store(result: &mut Result, dir: &Path, sales: u64, grown: u64) {
    let log = fs::read_to_string(dir.join("engine.log")).unwrap_or_default();
    let last = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .rfind(|line| line["message"] == "store is closed");
    let Some(stats) = last else { return };
    let count = |name: &str| stats[name].as_u64().unwrap_or(0);
    let all = per(sales, 1.0).max(1.0);
    let syncs = per(count("syncs"), 1.0).max(1.0);
    let logical = per(count("bytes"), all);
    for (name, value) in [
        ("engine_commits_per_sale", per(count("commits"), all)),
        ("engine_syncs", syncs),
        ("engine_commits_per_sync", per(count("commits"), syncs)),
        // An owner decides what came during a sync together, into one commit.
        ("engine_decisions_per_sync", per(count("records"), syncs)),
        ("sales_per_sync", all / syncs),
        ("engine_log_bytes_per_sale", logical.round()),
        ("disk_bytes_per_sale", per(grown, all).round()),
        // What is on the disk for a byte of what was committed.
        ("disk_to_logical", per(grown, all) / logical.max(1.0)),
    ] {
        result.insert(name.to_owned(), rounded(value));
    }
}
