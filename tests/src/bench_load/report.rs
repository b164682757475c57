//! The result, for people, for machines, and beside an older one.

use std::io;
use std::path::Path;

use serde_json::{Map, Value};

use crate::measure::rounded;

/// Everything that was found, by name.
pub(crate) type Result = Map<String, Value>;

/// What is printed for people: names in their order, grouped by headings.
const GROUPS: &[(&str, &[&str])] = &[
    (
        "conditions",
        &[
            "machine",
            "load_before",
            "fixed_work_before_ms",
            "fixed_work_after_ms",
            "others_cpu_share",
            "profile",
            "durability",
            "disk_sync_p50_ms",
            "directory",
            "terminals",
            "merchants",
            "clients",
            "arrival",
            "seconds",
        ],
    ),
    (
        "throughput",
        &["completed_per_s", "accepted_per_s", "errors", "not_started"],
    ),
    (
        "latency in ms: start→201, start→terminal has the offer, start→final answer",
        &[
            "start_p50_ms",
            "start_p99_ms",
            "start_p999_ms",
            "start_max_ms",
            "offer_p50_ms",
            "offer_p99_ms",
            "offer_p999_ms",
            "offer_max_ms",
            "sale_p50_ms",
            "sale_p99_ms",
            "sale_p999_ms",
            "sale_max_ms",
            "sale_slowest_begun_at_ms",
        ],
    ),
    (
        "engine",
        &[
            "engine_cpu_s",
            "engine_cpu_ms_per_sale",
            "engine_cpu_ms_per_sale_without_syncs",
            "engine_sleeps_per_sale",
            "load_cpu_s",
            "engine_rss_kib",
            "engine_rss_peak_kib",
            "engine_commits_per_sale",
            "engine_syncs",
            "engine_commits_per_sync",
            "engine_decisions_per_sync",
            "sales_per_sync",
            "engine_log_bytes_per_sale",
            "disk_bytes_per_sale",
            "disk_to_logical",
            "device_written_bytes_per_sale",
            "data_bytes",
        ],
    ),
    ("programs", &["engine_binary_bytes", "is_stripped"]),
];

/// Prefixes of what the other parts found; the number of waiters is part of the name.
const PARTS: &[(&str, &str)] = &[
    ("floor: append and sync, nothing else", "floor_"),
    ("store alone", "store_"),
    ("PostgreSQL", "postgres_"),
    ("of the floor, of PostgreSQL, in this run", "ratio_"),
    ("idempotent create", "create_"),
    ("page of a list", "list_page_"),
    (
        "agent: card data of the reader→link, link's answer→reader, both; cryptogram→link",
        "agent_",
    ),
    ("idle links, lost all at once", "links_"),
    ("without a past, and with one", "history_"),
    ("without archiving, and beside it", "archive_"),
];

/// Holds what was found against the floor and PostgreSQL of the same run.
pub(crate) fn add_ratios(waiters: &[usize], result: &mut Result) {
    let mut ratio = |name: &str, of: &str, to: &str| {
        let number = |name: &str| result.get(name).and_then(Value::as_f64);
        if let (Some(of), Some(to)) = (number(of), number(to).filter(|to| *to > 0.0)) {
            result.insert(format!("ratio_{name}"), rounded(of / to));
        }
    };
    for count in waiters {
        let floor = format!("floor_{count}_commits_per_s");
        let store = format!("store_{count}_commits_per_s");
        let postgres = format!("postgres_{count}_commits_per_s");
        let create = format!("create_{count}_per_s");
        ratio(&format!("store_{count}_to_floor"), &store, &floor);
        ratio(&format!("store_{count}_to_postgres"), &store, &postgres);
        ratio(&format!("create_{count}_to_floor"), &create, &floor);
        ratio(&format!("create_{count}_to_postgres"), &create, &postgres);
        let name = format!("sales_to_postgres_{count}");
        ratio(&name, "completed_per_s", &postgres);
        let name = format!("store_{count}_p50_to_sync");
        let (commit, sync) = (
            format!("store_{count}_commit_p50_ms"),
            format!("floor_{count}_sync_p50_ms"),
        );
        ratio(&name, &commit, &sync);
    }
}

/// Headings with the names below them that there are.
fn groups(result: &Result) -> impl Iterator<Item = (&'static str, Vec<String>)> {
    let of_sales = GROUPS.iter().map(|(heading, names)| {
        let names = names.iter().map(|name| (*name).to_owned());
        (
            *heading,
            names.filter(|name| result.contains_key(name)).collect(),
        )
    });
    let of_parts = PARTS.iter().map(|(heading, prefix)| {
        let names = result.keys().filter(|name| name.starts_with(prefix));
        (*heading, names.cloned().collect())
    });
    of_sales
        .chain(of_parts)
        .filter(|(_, names): &(_, Vec<_>)| !names.is_empty())
}

/// Prints for people.
pub(crate) fn print(result: &Result) {
    for (heading, names) in groups(result) {
        println!("{heading}");
        for name in names {
            println!("  {name:<29} {}", text(&result[&name]));
        }
    }
}

/// What has changed since an older result: old, new and their ratio.
///
/// # Errors
/// When there is no result in the file.
pub(crate) fn compare(old: &Path, new: &Result) -> io::Result<String> {
    let text_of_old = std::fs::read_to_string(old)?;
    let old: Result = serde_json::from_str(&text_of_old).map_err(io::Error::other)?;
    let mut lines = vec![format!(
        "compared with {} (old, new, new/old)",
        text(&old["when"])
    )];
    for name in groups(new).flat_map(|(_, names)| names) {
        let (Some(before), Some(after)) = (old.get(&name), new.get(&name)) else {
            continue;
        };
        match (before.as_f64(), after.as_f64()) {
            (Some(before), Some(after)) if before > 0.0 => {
                let ratio = after / before;
                lines.push(format!(
                    "  {name:<29} {before:>12} {after:>12}  ×{ratio:.2}"
                ));
            }
            (None, None) if before != after => {
                let (before, after) = (text(before), text(after));
                lines.push(format!("  {name:<29} {before} → {after}"));
            }
            _ => {}
        }
    }
    Ok(lines.join("\n"))
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
