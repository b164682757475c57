//! The simulated world keeps its rules, each rule can fail, and a seed is a whole world.

use harness::simulation::{self, CASES, Sabotage};

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
        approved += report
            .outcomes
            .get("approved/approved")
            .copied()
            .unwrap_or(0);
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
            (first.trace, first.events),
            (again.trace, again.events),
            "seed {seed}"
        );
        assert_ne!(first.trace, simulation::run(seed + 1, None, false).trace);
    }
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
        for outcome in report.outcomes.keys() {
            let reason = outcome.split('/').nth(1).unwrap_or_default();
            assert!(REASONS.contains(&reason), "seed {}: {outcome}", report.seed);
        }
    }
}
