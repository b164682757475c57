//! The simulated world keeps its rules, each rule can fail, and a seed is a whole world.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use harness::simulation::fault::Fault;
use harness::simulation::variety::is_varied;
use harness::simulation::{self, CASES, Sabotage, Summary};

/// How many seeds run here; `cargo sim` runs as many as wanted.
const SEEDS: u64 = 200;

#[test]
fn worlds_keep_their_rules() {
    let mut approved = 0;
    for seed in 1..=SEEDS {
        let report = simulation::run(seed, None, false);
        assert_eq!(
            report.violation, None,
            "cargo sim -- --seed {seed} --verbose"
        );
        let outcomes = &report.counts.outcomes;
        approved += outcomes.get("approved/approved").copied().unwrap_or(0);
    }
    // Rules that hold because nothing happens prove nothing.
    assert!(approved > SEEDS, "{approved} sales in {SEEDS} seeds");
}

#[test]
fn saved_seeds_keep_their_rules() {
    for setup in simulation::saved_seeds() {
        let report = simulation::replay(&setup);
        assert_eq!(report.violation, None, "{}", setup.command());
    }
}

#[test]
fn a_seed_gives_the_same_trace_again() {
    for seed in 1..=10 {
        let (first, again) = (
            simulation::run(seed, None, false),
            simulation::run(seed, None, false),
        );
        assert_eq!(
            (first.trace, first.counts.events),
            (again.trace, again.counts.events),
            "seed {seed}"
        );
        assert_ne!(first.trace, simulation::run(seed + 1, None, false).trace);
    }
}

#[test]
fn a_run_gives_the_same_sum_again() {
    let run = |from: u64| {
        let mut sum = Summary::default();
        for seed in from..from + 12 {
            sum.add(&simulation::run(seed, None, false));
        }
        sum
    };
    let first = run(100);
    assert_eq!(first, run(100));
    assert_ne!(first.trace, run(101).trace);
}

/// Readers that encrypt by AES, firmware that differs, agents that are set otherwise, stripes of chip
/// cards that only the acquirer sees: sales go on, and what the cashier is to do is said.
#[test]
fn worlds_with_readers_of_other_makes_keep_their_rules() {
    let mut sum = Summary::default();
    let seeds = (1_000..2_000).filter(|seed| is_varied(*seed)).take(40);
    for seed in seeds {
        let report = simulation::run(seed, None, false);
        assert_eq!(
            report.violation, None,
            "cargo sim -- --seed {seed} --verbose"
        );
        sum.add(&report);
    }
    assert!(sum.counts.under_aes > 40, "{sum}");
    assert!(sum.counts.advised > 10, "{sum}");
}

/// The others go as before: their numbers are not touched.
#[test]
fn saved_worlds_have_readers_as_they_were() {
    // Saved since: they may be of either kind.
    const KNOWN: usize = 17;
    for setup in simulation::saved_seeds().take(KNOWN) {
        assert!(!is_varied(setup.seed), "{}", setup.command());
    }
}

/// A fault that never strikes proves nothing.
#[test]
fn every_fault_strikes() {
    let mut sum = Summary::default();
    for seed in 1..=SEEDS {
        sum.add(&simulation::run(seed, None, false));
    }
    let struck: Vec<_> = sum.faults.keys().copied().collect();
    let mut every: Vec<_> = Fault::ALL.iter().map(|fault| fault.word()).collect();
    every.sort_unstable();
    assert_eq!(struck, every);
    assert!(
        sum.counts.papers > 50 && sum.counts.turned_away > 50,
        "{sum}"
    );
}

#[test]
fn every_deliberate_bug_is_caught() {
    let named: Vec<_> = CASES.iter().map(|case| case.sabotage).collect();
    assert_eq!(named, Sabotage::ALL, "each has its rule, in order");
    let missed: Vec<_> = CASES
        .iter()
        .filter(|case| simulation::seeds_until_caught(case).is_none())
        .map(|case| format!("{} by {}", case.sabotage.word(), case.rule))
        .collect();
    assert_eq!(missed, Vec::<String>::new(), "cargo sim -- --sabotages");
}

/// Rules that say that the world itself is broken: no bug of an owner shows as one of these.
const OF_THE_WORLD: &[&str] = &["runs", "store"];

#[test]
fn every_rule_has_a_deliberate_bug() {
    let mut rules = BTreeSet::new();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("harness/simulation");
    named_rules(&directory, &mut rules);
    assert!(rules.len() > 30, "{rules:?}");
    let proven: BTreeSet<_> = CASES.iter().map(|case| case.rule.to_owned()).collect();
    let is_open = |rule: &&String| !OF_THE_WORLD.contains(&rule.as_str());
    let unproven: Vec<_> = rules.difference(&proven).filter(is_open).collect();
    assert_eq!(unproven, Vec::<&String>::new());
}

/// Names that the sources give to violations.
fn named_rules(directory: &Path, rules: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            named_rules(&path, rules);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for opening in ["fail(", "Violation::new(", "let rule ="] {
            for rest in text.split(opening).skip(1) {
                let rest = rest.trim_start();
                if let Some(name) = rest.strip_prefix('"') {
                    rules.extend(name.split('"').next().map(str::to_owned));
                }
            }
        }
    }
}

/// Where nothing goes wrong, only people end what does not end in money.
#[test]
fn quiet_worlds_have_no_technical_failures() {
    const REASONS: &[&str] = &[
        "approved",
        "host_declined",
        "partial_not_accepted",
        "cashier_canceled",
        "pos_canceled",
        "customer_timeout",
        "amount_mismatch",
        // A declined card is read again at once if it is still in the slot.
        "card_removed",
    ];
    let reports = (1..=SEEDS).map(|seed| simulation::run(seed, None, false));
    let quiet: Vec<_> = reports.filter(|report| report.faults.is_empty()).collect();
    assert!(quiet.len() > 10, "{} quiet worlds", quiet.len());
    for report in quiet {
        for outcome in report.counts.outcomes.keys() {
            let reason = outcome.split('/').nth(1).unwrap_or_default();
            assert!(REASONS.contains(&reason), "seed {}: {outcome}", report.seed);
        }
    }
}
