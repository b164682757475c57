//! `engine fsck`: everything that can be held against something else, without changing anything.

use std::path::Path;

use crate::store;

/// Something that is wrong with a database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The rule that does not hold.
    pub rule: String,
    /// Of what: a file, or an id.
    pub subject: String,
    /// What was seen.
    pub what: String,
}

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// What is wrong; empty when nothing is.
    pub findings: Vec<Finding>,
}

/// Checks the database in a data directory.
pub fn fsck(data_dir: &Path) -> Report {
    let problems = store::verify(&data_dir.join("store"));
    let findings = problems.into_iter().map(|problem| Finding {
        rule: "log_is_intact".to_owned(),
        subject: problem.file,
        what: format!("at {}: {}", problem.offset, problem.what),
    });
    Report {
        findings: findings.collect(),
    }
}
