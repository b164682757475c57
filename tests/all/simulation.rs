//! The simulated world keeps its rules, and each rule can fail.

use harness::simulation;

#[test]
fn worlds_keep_their_rules() {
    for seed in 1..=10 {
        let report = simulation::run(seed, None, false);
        assert_eq!(report.violation, None, "cargo sim --seed {seed} --verbose");
    }
}
