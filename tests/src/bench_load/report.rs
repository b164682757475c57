//! The result, for people, for machines, and beside an older one.

use std::io;
use std::path::Path;

use serde_json::{Map, Value};

/// Everything that was found, by name.
pub(crate) type Result = Map<String, Value>;

/// What is printed for people: names in their order, grouped by headings.
const GROUPS: &[(&str, &[&str])] = &[
    (
        "conditions",
        &[
            "machine",
            "load_before",
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
        ],
    ),
    (
        "engine",
        &[
            "engine_cpu_s",
            "engine_cpu_ms_per_sale",
            "engine_sleeps_per_sale",
            "load_cpu_s",
            "engine_rss_kib",
            "engine_rss_peak_kib",
            "engine_commits_per_sale",
            "engine_commits_per_sync",
            "engine_log_bytes_per_sale",
            "device_written_bytes_per_sale",
            "data_bytes",
        ],
    ),
    ("agent", &["agent_rss_kib", "agent_rss_peak_kib"]),
    (
        "programs",
        &["engine_binary_bytes", "agent_binary_bytes", "is_stripped"],
    ),
];

/// Prefixes of what the other parts found; the number of waiters is part of the name.
const PARTS: &[(&str, &str)] = &[
    ("floor: append and sync, nothing else", "floor_"),
    ("store alone", "store_"),
    ("PostgreSQL", "postgres_"),
    ("idempotent create", "create_"),
    ("page of a list", "list_page_"),
    ("idle links, lost all at once", "links_"),
    ("without a past, and with one", "history_"),
];

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

/// Prints what has changed since an older result: old, new and their ratio.
///
/// # Errors
/// When there is no result in the file.
pub(crate) fn compare(old: &Path, new: &Result) -> io::Result<()> {
    let text_of_old = std::fs::read_to_string(old)?;
    let old: Result = serde_json::from_str(&text_of_old).map_err(io::Error::other)?;
    println!("compared with {} (old, new, new/old)", text(&old["when"]));
    for name in groups(new).flat_map(|(_, names)| names) {
        let (Some(before), Some(after)) = (old.get(&name), new.get(&name)) else {
            continue;
        };
        match (before.as_f64(), after.as_f64()) {
            (Some(before), Some(after)) if before > 0.0 => {
                println!(
                    "  {name:<29} {before:>12} {after:>12}  ×{:.2}",
                    after / before
                );
            }
            (None, None) if before != after => {
                println!("  {name:<29} {} → {}", text(before), text(after));
            }
            _ => {}
        }
    }
    Ok(())
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
