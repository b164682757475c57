//! The whole report: for people as a table, for programs as JSON. No I/O.

use serde::Serialize;

use super::check::{Check, Verdict};

/// The form of the JSON.
pub const SCHEMA: &str = "terminal-agent.doctor/v1";

/// Everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Version of this program.
    pub version: &'static str,
    /// The worst verdict; `pass` when some were skipped for a good reason.
    pub verdict: Verdict,
    /// In a fixed order.
    pub checks: Vec<Check>,
}

impl Report {
    /// Of these checks.
    pub fn new(checks: Vec<Check>) -> Self {
        let has = |verdict| checks.iter().any(|check| check.verdict == verdict);
        let verdict = if has(Verdict::Fail) {
            Verdict::Fail
        } else if has(Verdict::Warn) {
            Verdict::Warn
        } else {
            Verdict::Pass
        };
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            verdict,
            checks,
        }
    }

    /// Whether anything failed.
    pub fn has_failed(&self) -> bool {
        self.verdict == Verdict::Fail
    }

    /// For a person: a line a check, and below it what to do.
    pub fn text(&self) -> String {
        let width = self.checks.iter().map(|check| check.title().len()).max();
        let width = width.unwrap_or_default();
        let mut text = String::new();
        for check in &self.checks {
            let (word, title) = (check.verdict.word(), check.title());
            text.push_str(&format!("{word}  {title:<width$}  {}\n", check.seen));
            let notes = [("do", Some(&check.remedy)), ("fixed", check.fixed.as_ref())];
            for (name, note) in notes {
                if let Some(note) = note.filter(|note| !note.is_empty()) {
                    let indent = width.saturating_add(8);
                    text.push_str(&format!("{:indent$}{name}: {note}\n", ""));
                }
            }
        }
        let count = |verdict| {
            let found = self.checks.iter().filter(|check| check.verdict == verdict);
            found.count()
        };
        text.push_str(&format!(
            "{} passed, {} to look at, {} failed, {} skipped\n",
            count(Verdict::Pass),
            count(Verdict::Warn),
            count(Verdict::Fail),
            count(Verdict::Skip),
        ));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::CheckId;
    use super::*;

    #[test]
    fn the_worst_check_is_the_verdict_and_skips_are_no_failure() {
        let pass = Check::pass(CheckId::ConfigValid, "good");
        let skip = Check::skip(CheckId::NetTls, "plain text");
        let warn = Check::warn(CheckId::DiskFree, "little", "delete something");
        let fail = Check::fail(CheckId::NetTcp, "refused", "start it");
        for (checks, verdict) in [
            (vec![pass.clone(), skip.clone()], Verdict::Pass),
            (vec![pass.clone(), warn.clone()], Verdict::Warn),
            (vec![warn, fail, pass, skip], Verdict::Fail),
        ] {
            let report = Report::new(checks);
            assert_eq!(report.verdict, verdict);
            assert_eq!(report.has_failed(), verdict == Verdict::Fail);
        }
    }

    #[test]
    fn the_table_has_a_line_a_check_and_says_what_to_do() {
        let report = Report::new(vec![
            Check::pass(CheckId::ConfigValid, "good"),
            Check::fail(CheckId::NetTcp, "refused", "start the engine"),
        ]);
        assert_eq!(
            report.text(),
            "pass  config.valid  good\n\
             fail  net.tcp       refused\n                    do: start the engine\n\
             1 passed, 0 to look at, 1 failed, 0 skipped\n"
        );
    }
}
