//! The simulated world keeps its rules, each rule can fail, and a seed is a whole world.

use harness::simulation::{self, Sabotage};

/// How many seeds run here; `cargo sim` runs as many as wanted.
const SEEDS: u64 = 200;
/// In how many seeds a deliberate bug must show.
const SABOTAGED_SEEDS: u64 = 500;

#[test]
fn worlds_keep_their_rules() {
    let mut approved = 0;
    for seed in 1..=SEEDS {
        let report = simulation::run(seed, None, false);
        assert_eq!(report.violation, None, "cargo sim --seed {seed} --verbose");
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
    for seed in simulation::saved_seeds() {
        let report = simulation::run(seed, None, false);
        assert_eq!(report.violation, None, "cargo sim --seed {seed} --verbose");
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

/// The rule that a deliberate bug breaks.
const CAUGHT_BY: &[(Sabotage, &str)] = &[
    (Sabotage::AnswerBeforeCommit, "answers_hold"),
    (Sabotage::SendBeforeCommit, "money_moves_only_after_commit"),
    (Sabotage::AuthorizeTwice, "host_is_asked_rightly"),
    (Sabotage::DropAdjustments, "books_agree"),
    (Sabotage::ForgetKeys, "one_charge"),
    (Sabotage::ChangeReplay, "replay_is_same"),
    (Sabotage::DropReversals, "canceled_means_no_charge"),
    (Sabotage::SkipJournalSync, "prints_once"),
    (Sabotage::ForgetReconcile, "converges"),
    (Sabotage::ForgetOpenWork, "one_attempt_per_terminal"),
    (Sabotage::ApproveEarly, "approved_shown_only_after_commit"),
    (Sabotage::AuthorizeUncommitted, "canceled_means_no_charge"),
    (Sabotage::StaleClock, "no_expired_attempt_authorized"),
];

#[test]
fn every_deliberate_bug_is_caught() {
    assert_eq!(CAUGHT_BY.len(), Sabotage::ALL.len());
    for (sabotage, rule) in CAUGHT_BY {
        let is_caught = (1..=SABOTAGED_SEEDS).any(|seed| {
            let violation = simulation::run(seed, Some(*sabotage), false).violation;
            violation.is_some_and(|violation| violation.rule == *rule)
        });
        assert!(is_caught, "{} does not break {rule}", sabotage.word());
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
        for outcome in report.outcomes.keys() {
            let reason = outcome.split('/').nth(1).unwrap_or_default();
            assert!(REASONS.contains(&reason), "seed {}: {outcome}", report.seed);
        }
    }
}
