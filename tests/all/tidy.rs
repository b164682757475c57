//! The house rules, checked from the sources: who may import whom, and what pure places must not
//! know.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A source file without its tests: the rules bind what ships.
struct Source {
    path: String,
    code: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for krate in ["protocol", "engine", "terminal-agent", "firmware-sim"] {
        files(&root().join(krate).join("src"), &mut found);
    }
    assert!(found.len() > 60, "sources were not found");
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root()).unwrap().display().to_string();
            Source {
                path,
                code: without_tests_and_comments(&text),
            }
        })
        .filter(|source| !is_test(&source.path))
        .collect()
}

fn is_test(path: &str) -> bool {
    path.contains("test") || path.ends_with("/bench.rs") || path.ends_with("/trial.rs")
}

fn without_tests_and_comments(text: &str) -> String {
    let code = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Fails with every place where a forbidden word stands.
fn check(rule: &str, is_bound: impl Fn(&str) -> bool, forbidden: &[&str]) {
    let mut bound = 0;
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| is_bound(&source.path)) {
        bound += 1;
        for (number, line) in source.code.lines().enumerate() {
            for word in forbidden.iter().filter(|word| line.contains(**word)) {
                broken.push(format!(
                    "{} (code line {}): {word}",
                    source.path,
                    number + 1
                ));
            }
        }
    }
    assert!(bound > 0, "{rule}: binds no file");
    assert!(broken.is_empty(), "{rule}:\n{}", broken.join("\n"));
}

fn is_pure(path: &str) -> bool {
    path.starts_with("protocol/src")
        || path.starts_with("engine/src/domain")
        || path.starts_with("engine/src/owner")
        || path.starts_with("engine/src/acquirer/host")
        || path.starts_with("terminal-agent/src/machine")
        || path.starts_with("terminal-agent/src/decode")
        || path.starts_with("terminal-agent/src/redact")
        || path.starts_with("firmware-sim/src/reader")
        || path.starts_with("firmware-sim/src/printer")
}

#[test]
fn programs_never_import_each_other() {
    for (krate, others) in [
        (
            "protocol",
            [" engine::", "terminal_agent::", "firmware_sim::"],
        ),
        (
            "engine",
            ["engine::engine::", "terminal_agent::", "firmware_sim::"],
        ),
        (
            "terminal-agent",
            ["use engine::", "terminal_agent::terminal", "firmware_sim::"],
        ),
        (
            "firmware-sim",
            ["use engine::", "terminal_agent::", "firmware_sim::firmware"],
        ),
    ] {
        check(
            "programs never import each other",
            |path| path.starts_with(krate),
            &others,
        );
        let manifest = fs::read_to_string(root().join(krate).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        for other in ["engine", "terminal-agent", "firmware-sim"] {
            let line = format!("\n{other}.workspace");
            assert!(!dependencies.contains(&line), "{krate} depends on {other}");
        }
    }
}

#[test]
fn pure_places_do_no_io_read_no_clock_and_make_no_randomness() {
    check(
        "pure places",
        is_pure,
        &[
            "use actix",
            "actix::",
            "tokio",
            "sled",
            "std::fs",
            "std::net",
            "std::thread",
            "Instant::now",
            "SystemTime::now",
            "Utc::now",
            "now_v7",
            "getrandom",
            "HashMap",
            "HashSet",
            "println!",
        ],
    );
}

#[test]
fn only_the_store_knows_sled() {
    check(
        "only the store knows sled",
        |path| path.starts_with("engine/src") && !path.starts_with("engine/src/store"),
        &["sled"],
    );
}

#[test]
fn doors_reach_the_store_only_through_actors_and_queries() {
    check(
        "doors and the store",
        |path| path.starts_with("engine/src/http") || path.starts_with("engine/src/agent_link"),
        &["crate::store", "DiskStore", "SharedStore"],
    );
}

#[test]
fn the_agent_holds_no_card_key() {
    check(
        "the agent holds no key",
        |path| path.starts_with("terminal-agent"),
        &["dukpt"],
    );
}

#[test]
fn the_printer_simulator_has_its_own_interpreter() {
    check(
        "the simulator and the encoder",
        |path| path.starts_with("firmware-sim"),
        &["protocol::printer"],
    );
}

#[test]
fn only_one_place_ignores_mailbox_bounds() {
    check(
        "do_send only in actor::deliver",
        |path| path.starts_with("engine/src") && path != "engine/src/actor.rs",
        &[".do_send("],
    );
}

#[test]
fn domain_types_do_not_serialize() {
    check(
        "domain types are not stored or sent",
        |path| path.starts_with("engine/src/domain"),
        &["serde::", "Serialize"],
    );
}

#[test]
fn every_file_says_what_it_owns() {
    let mut found = Vec::new();
    for krate in ["protocol", "engine", "terminal-agent", "firmware-sim"] {
        files(&root().join(krate).join("src"), &mut found);
    }
    for path in found {
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("//!"),
            "{} has no module doc",
            path.display()
        );
    }
}

/// Lengths are shown, not enforced.
#[test]
fn lengths_are_shown() {
    let mut by_crate: BTreeMap<String, (usize, usize, usize)> = BTreeMap::new();
    for source in sources() {
        let krate = source.path.split('/').next().unwrap_or_default().to_owned();
        let lines = source.code.lines().count();
        let sum = by_crate.entry(krate).or_default();
        *sum = (sum.0 + 1, sum.1 + lines, sum.2.max(lines));
    }
    for (krate, (files, lines, longest)) in &by_crate {
        println!("{krate}: {files} files, {lines} code lines, longest {longest}");
    }
    assert_eq!(by_crate.len(), 4);
}
