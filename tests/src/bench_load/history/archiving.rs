//! What a sale feels of archiving while it runs: an engine with a past in its state, first left alone,
//! then with the upkeep of history moving that past into files.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Instant;

use harness::shop::Engine;
use serde_json::{Value, json};

use super::{Wanted, past};
use crate::measure::rounded;
use crate::report::Result;
use crate::sales;

/// Windows after which archiving is not waited for any longer.
const WINDOWS_MAX: u32 = 200;
/// What is compared.
const MEASURES: [&str; 6] = [
    "completed_per_s",
    "start_p99_ms",
    "start_max_ms",
    "sale_p50_ms",
    "sale_p99_ms",
    "sale_max_ms",
];

/// Measures sales without and beside archiving, in windows of `wanted.seconds`; of the windows
/// beside it the worst counts. The past is used up by this: it is made in a place of its own.
///
/// # Errors
/// When something does not start, or refuses, or archiving comes to no end.
pub(crate) fn measure(
    dir: &Path,
    config: &str,
    wanted: &Wanted,
    rate: Option<f64>,
    result: &mut Result,
) -> io::Result<()> {
    let place = dir.join("archived");
    let wanted = Wanted {
        // Everything stays in the state: the engine is to archive it.
        chunk: 0,
        ..wanted.clone()
    };
    let description = past(&place, config, &wanted)?;
    let lanes = description.lanes()?;
    let older = format!("older_than_days = {}", wanted.older_than_days);
    let off = format!("{config}[history]\nenabled = false\n");
    let on = config.replace(
        "engine::server=info",
        "engine::server=info,engine::history=info",
    );
    let on = format!("{on}[history]\n{older}\nevery_s = 1\n");
    for (name, config, archives) in [
        ("archive_without", &off, false),
        ("archive_beside", &on, true),
    ] {
        let begun = Instant::now();
        let mut engine = Engine::start_configured(&place, config)?;
        let counts = sales::link(&engine, &lanes)?;
        let mut windows = Vec::new();
        for _ in 0..WINDOWS_MAX {
            let mut window = Result::new();
            let time = (rate, wanted.seconds);
            sales::measure(&engine, &lanes, lanes.len(), time, &mut window)?;
            windows.push(window);
            let archived = archived_rows(&place)?;
            if !archives || archived.is_some() {
                result.insert(format!("{name}_rows"), json!(archived));
                break;
            }
        }
        drop(counts);
        result.insert(format!("{name}_s"), rounded(begun.elapsed().as_secs_f64()));
        let p99 = windows
            .iter()
            .filter_map(|window| window.get("sale_p99_ms"));
        let p99 = p99.cloned().collect::<Vec<_>>();
        result.insert(format!("{name}_sale_p99_ms_by_window"), p99.into());
        note(name, &windows, result);
        if !engine.stop() {
            return Err(io::Error::other("the engine did not end cleanly"));
        }
    }
    // What is left of it is no past to measure with again.
    fs::remove_dir_all(&place)
}

/// The worst of each measure.
fn note(name: &str, windows: &[Result], result: &mut Result) {
    for measure in MEASURES {
        let all = windows
            .iter()
            .filter_map(|window| window.get(measure)?.as_f64());
        let worst = match measure {
            "completed_per_s" => all.reduce(f64::min),
            _ => all.reduce(f64::max),
        };
        result.insert(
            format!("{name}_{measure}"),
            worst.map_or(Value::Null, rounded),
        );
    }
}

/// How many rows the engine says it has archived, once it has.
fn archived_rows(place: &Path) -> io::Result<Option<u64>> {
    let log = fs::read_to_string(place.join("engine.log"))?;
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut archived = lines.filter(|line| line["message"] == "old rows are archived");
    Ok(archived.next().and_then(|line| line["removed"].as_u64()))
}
