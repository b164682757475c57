//! One run: engine, boarding, agents, load, and what the kernel saw meanwhile.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use harness::api::fresh_key;
use harness::programs::bin_dir;
use harness::shop::{Devices, Engine, Shop, Till};
use harness::wait::until;
use protocol::money::Money;
use serde_json::{Value, json};

use crate::agent::{self, Cards, Counts};
use crate::board::{self, Boarded};
use crate::card;
use crate::load::{Arrival, Client};
use crate::machine::{self, Usage};
use crate::measure::{Tally, Window, milliseconds, per, rounded};
use crate::report::Result;
use crate::{Arguments, Part, floor, postgres, requests, store};

/// Sales before the measuring begins: caches fill, connections open.
const WARM_UP: Duration = Duration::from_secs(1);
/// Amounts in turn, in cents; none of them makes the simulated host do anything but approve.
const AMOUNTS: [i64; 4] = [1_850, 975, 12_340, 4_499];
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

/// Before and after.
struct Snapshot {
    engine: Usage,
    load: Usage,
    processors: (f64, f64),
    device_written: u64,
}

impl Snapshot {
    fn take(engine: &Engine) -> Self {
        Self {
            engine: machine::usage(engine.id()),
            load: machine::usage(std::process::id()),
            processors: machine::processor_ticks(),
            device_written: machine::device_written(&engine.dir),
        }
    }
}

/// Runs, and gives everything that was found.
///
/// # Errors
/// When something does not start.
pub(crate) fn run(arguments: &Arguments) -> io::Result<(Result, Tally)> {
    let terminals = arguments.terminals.max(1);
    let merchants = arguments.merchants.clamp(1, terminals);
    let clients = arguments.clients.unwrap_or(terminals).clamp(1, terminals);
    let beside = bin_dir().parent().unwrap_or(Path::new("."));
    let temporary = tempfile::Builder::new()
        .prefix("bench-load-")
        .tempdir_in(beside)?;
    let dir = arguments
        .dir
        .clone()
        .unwrap_or_else(|| temporary.path().to_owned());
    fs::create_dir_all(&dir)?;
    let mut result = Result::new();
    let mut note = |name: &str, value: Value| result.insert(name.to_owned(), value);
    note("machine", json!(machine::describe()));
    note("load_before", json!(machine::load_average()));
    note(
        "profile",
        json!(bin_dir().file_name().map(|name| name.display().to_string())),
    );
    note(
        "durability",
        json!("every commit synced before it is acted on, acquirer's book too"),
    );
    note("disk_sync_p50_ms", milliseconds(machine::disk_sync(&dir)?));
    note("directory", json!(dir.display().to_string()));
    note("terminals", json!(terminals));
    note("merchants", json!(merchants));
    note("clients", json!(clients));
    note("seconds", json!(arguments.seconds));
    note(
        "arrival",
        json!(arguments.rate.map_or("closed loop".to_owned(), |rate| {
            format!("open loop, {rate}/s")
        })),
    );
    note(
        "when",
        json!(
            fs::read_to_string("/proc/uptime")
                .unwrap_or_default()
                .trim()
        ),
    );

    beside_the_engine(arguments, &dir, &mut result)?;
    let engine_parts = [Part::Sales, Part::Create, Part::List];
    if !engine_parts
        .iter()
        .any(|part| arguments.parts.contains(part))
    {
        let now = Instant::now();
        let (begin, end) = (now, now);
        return Ok((result, Tally::new(Window { begin, end })));
    }
    with_the_engine(arguments, &dir, (merchants, terminals, clients), result)
}

/// The parts that need no engine.
fn beside_the_engine(arguments: &Arguments, dir: &Path, result: &mut Result) -> io::Result<()> {
    for (part, measure) in [
        (Part::Floor, floor::measure as fn(&Path, _, _, &mut _) -> _),
        (Part::Store, store::measure),
        (Part::Postgres, postgres::measure),
    ] {
        for waiters in arguments
            .waiters
            .iter()
            .filter(|_| arguments.parts.contains(&part))
        {
            measure(dir, *waiters, arguments.seconds, result)?;
        }
    }
    Ok(())
}

/// The parts that ask one.
fn with_the_engine(
    arguments: &Arguments,
    dir: &Path,
    (merchants, terminals, clients): (usize, usize, usize),
    mut result: Result,
) -> io::Result<(Result, Tally)> {
    let engine = Engine::start_configured(&dir.join("engine"), ENGINE_CONFIG)?;
    let boarded = board::board(&engine.operator, merchants, terminals)?;
    let counts = link(&engine, &boarded)?;
    let (mut tally, before, after) = if arguments.parts.contains(&Part::Sales) {
        load(arguments, &engine, &boarded, clients)?
    } else {
        let now = Instant::now();
        let (begin, end) = (now, now);
        let (before, after) = (Snapshot::take(&engine), Snapshot::take(&engine));
        (Tally::new(Window { begin, end }), before, after)
    };
    for (part, kind) in [
        (Part::Create, requests::Kind::Create),
        (Part::List, requests::Kind::List),
    ] {
        for asking in arguments
            .waiters
            .iter()
            .filter(|_| arguments.parts.contains(&part))
        {
            let run = fresh_key();
            let time = (arguments.seconds, run.as_str());
            let lanes = &boarded.lanes;
            requests::measure(kind, address(&engine), lanes, *asking, time, &mut result)?;
        }
    }
    for (what, count) in counts.troubles() {
        tally.add_errors(what, count);
    }
    if arguments.parts.contains(&Part::Sales) {
        tally.describe(&mut result);
    }
    let sales = tally.completed_in_window();
    describe_usage(&mut result, &before, &after, sales);
    let (rss, peak) = machine::resident_kib(engine.id());
    result.insert("engine_rss_kib".to_owned(), json!(rss));
    result.insert("engine_rss_peak_kib".to_owned(), json!(peak));
    describe_programs(&mut result)?;
    let mut engine = engine;
    if !arguments.smoke {
        engine = describe_agent(&mut result, dir, engine, &boarded)?;
    }
    let is_clean = engine.stop();
    if !is_clean {
        tally.error("the engine did not end cleanly".to_owned());
    }
    describe_store(&mut result, &dir.join("engine"), tally.sales);
    Ok((result, tally))
}

/// Brings all agents up.
fn link(engine: &Engine, boarded: &Boarded) -> io::Result<Arc<Counts>> {
    let counts = Arc::new(Counts::default());
    let mut cards = Cards::new();
    for amount in AMOUNTS {
        let currency = "USD".parse().map_err(io::Error::other)?;
        cards.insert(amount, card::tap(Money::new(amount, currency))?);
    }
    let tills: Vec<_> = boarded
        .lanes
        .iter()
        .map(|lane| Arc::clone(&lane.till))
        .collect();
    let all = u64::try_from(tills.len()).map_err(io::Error::other)?;
    agent::link_all(tills, address(engine), cards, Arc::clone(&counts))?;
    let is_up = until("the agents' links", || {
        (counts.up.load(Ordering::Relaxed) == all).then_some(())
    });
    is_up.ok_or_else(|| io::Error::other("not all agents came up"))?;
    Ok(counts)
}

fn address(engine: &Engine) -> &str {
    engine.operator.base().trim_start_matches("http://")
}

/// Plays the load on this thread.
fn load(
    arguments: &Arguments,
    engine: &Engine,
    boarded: &Boarded,
    clients: usize,
) -> io::Result<(Tally, Snapshot, Snapshot)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let now = Instant::now();
    let begin = now + WARM_UP;
    let window = Window {
        begin,
        end: begin + Duration::from_secs(arguments.seconds),
    };
    let run = fresh_key();
    let every = match arguments.rate {
        Some(rate) if rate > 0.0 => Some(Duration::from_secs_f64(1.0 / rate)),
        Some(_) => return Err(io::Error::other("the rate must be above zero")),
        None => None,
    };
    let count = u32::try_from(clients).map_err(io::Error::other)?;
    let players = (0..count).zip(0_usize..).map(|(number, at)| Client {
        address: address(engine).into(),
        name: format!("{run}-{number}"),
        lanes: boarded
            .lanes
            .iter()
            .skip(at)
            .step_by(clients)
            .cloned()
            .collect(),
        amounts: AMOUNTS.to_vec(),
        arrival: every.map_or(Arrival::Closed, |every| Arrival::Open {
            first: now + every * number,
            every: every * count,
        }),
        window,
    });
    runtime.block_on(async {
        let playing: Vec<_> = players.map(|player| tokio::spawn(player.play())).collect();
        tokio::time::sleep_until(window.begin.into()).await;
        let before = Snapshot::take(engine);
        tokio::time::sleep_until(window.end.into()).await;
        let after = Snapshot::take(engine);
        let mut tally = Tally::new(window);
        for player in playing {
            tally.add(player.await.map_err(io::Error::other)?);
        }
        Ok((tally, before, after))
    })
}

fn describe_usage(result: &mut Result, before: &Snapshot, after: &Snapshot, sales: u64) {
    let mut note = |name: &str, value: f64| result.insert(name.to_owned(), rounded(value));
    let engine_s = after.engine.cpu_s - before.engine.cpu_s;
    let load_s = after.load.cpu_s - before.load.cpu_s;
    let all = per(sales, 1.0).max(1.0);
    note("engine_cpu_s", engine_s);
    note("engine_cpu_ms_per_sale", engine_s * 1_000.0 / all);
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

fn describe_programs(result: &mut Result) -> io::Result<()> {
    for (name, program) in [
        ("engine_binary_bytes", "engine"),
        ("agent_binary_bytes", "terminal-agent"),
    ] {
        let bytes = fs::metadata(bin_dir().join(program))?.len();
        result.insert(name.to_owned(), json!(bytes));
    }
    // Release strips, and `fast` inherits from it (root Cargo.toml).
    let is_stripped = bin_dir().file_name().is_some_and(|name| name != "debug");
    result.insert("is_stripped".to_owned(), json!(is_stripped));
    Ok(())
}

/// A real agent with simulated devices: its memory when it is idle after one sale.
fn describe_agent(
    result: &mut Result,
    dir: &Path,
    engine: Engine,
    boarded: &Boarded,
) -> io::Result<Engine> {
    let devices = Devices::start(&dir.join("devices"), true)?;
    let till = Till::install(&dir.join("till"), engine.operator.base(), &devices.dir)?;
    let token = boarded
        .lanes
        .first()
        .map(|lane| lane.token.to_string())
        .unwrap_or_default();
    let pos = engine.operator.with_token(&token);
    let terminal = pos.post("/v1/terminals", &json!({"label": "Real"}));
    let terminal_id = terminal.field("id").to_owned();
    let (partner_id, merchant_id) = (boarded.partner_id.clone(), boarded.merchant_id.clone());
    let mut shop = Shop {
        engine,
        devices,
        till,
        pos,
        partner_id,
        merchant_id,
        terminal_id,
    };
    let code = shop.pairing_code();
    let paired = shop.till.command(&["pair", "--code", &code])?;
    if !paired.status.success() {
        return Err(io::Error::other(
            String::from_utf8_lossy(&paired.stderr).into_owned(),
        ));
    }
    shop.till.run()?;
    let is_ready = shop.wait_until_ready();
    let end = shop.tap_sale(1_850, "visa")?;
    // Both copies of the receipt.
    let is_printed = shop.devices.paper(2).is_some();
    if !is_ready || end.field("status") != "approved" || !is_printed {
        return Err(io::Error::other("the real agent's sale did not succeed"));
    }
    let (rss, peak) = machine::resident_kib(shop.till.id());
    result.insert("agent_rss_kib".to_owned(), json!(rss));
    result.insert("agent_rss_peak_kib".to_owned(), json!(peak));
    shop.till.stop();
    Ok(shop.engine)
}

/// What the engine said of its store when it ended: over the whole run, boarding included.
fn describe_store(result: &mut Result, dir: &Path, sales: u64) {
    result.insert(
        "data_bytes".to_owned(),
        json!(machine::bytes_below(&dir.join("data"))),
    );
    let log = fs::read_to_string(dir.join("engine.log")).unwrap_or_default();
    let last = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .rfind(|line| line["message"] == "store is closed");
    let Some(stats) = last else { return };
    let count = |name: &str| stats[name].as_u64().unwrap_or(0);
    let all = per(sales, 1.0).max(1.0);
    let syncs = per(count("syncs"), 1.0).max(1.0);
    let mut note = |name: &str, value: f64| result.insert(name.to_owned(), rounded(value));
    note("engine_commits_per_sale", per(count("commits"), all));
    note("engine_commits_per_sync", per(count("commits"), syncs));
    note(
        "engine_log_bytes_per_sale",
        per(count("bytes"), all).round(),
    );
}
