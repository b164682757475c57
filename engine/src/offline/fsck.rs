//! `engine fsck`: everything that can be held against something else, without changing anything.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::STORE_DIRECTORY;
use super::book;
use super::scratch::Scratch;
use crate::acquirer::simulator::read_book;
use crate::config;
use crate::history::{HISTORY_DIRECTORY, History, SPACES};
use crate::owner::inspect::Inspection;
use crate::server::BOOK_FILE;
use crate::store::{self, Audit, Problem};

/// Something that is wrong with a database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The rule that does not hold.
    pub rule: String,
    /// Of what: a file, or an id.
    pub subject: String,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}: {}", self.rule, self.subject, self.what)
    }
}

impl Finding {
    fn new(rule: &str, subject: &str, what: impl fmt::Display) -> Self {
        Self {
            rule: rule.to_owned(),
            subject: subject.to_owned(),
            what: what.to_string(),
        }
    }
}

impl From<Problem> for Finding {
    fn from(problem: Problem) -> Self {
        let subject = format!("{STORE_DIRECTORY}/{}", problem.file);
        let what = format!("at byte {}: {}", problem.offset, problem.what);
        Self::new(problem.rule, &subject, what)
    }
}

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// What is wrong; empty when nothing is.
    pub findings: Vec<Finding>,
    /// What is worth knowing and no fault.
    pub notes: Vec<String>,
    /// The log's last position.
    pub position: u64,
    /// Rows that were held against each other.
    pub rows: usize,
    /// Rows in history, under those.
    pub archived: usize,
    /// Transactions that were held against the acquirer's book.
    pub transactions: usize,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    fn find(&mut self, rule: &str, subject: &str, what: impl fmt::Display) {
        self.findings.push(Finding::new(rule, subject, what));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(formatter, "{finding}")?;
        }
        for note in &self.notes {
            writeln!(formatter, "note: {note}")?;
        }
        let (count, position) = (self.findings.len(), self.position);
        let (rows, archived, transactions) = (self.rows, self.archived, self.transactions);
        write!(
            formatter,
            "{count} findings; log position {position}, {rows} rows, {transactions} transactions"
        )?;
        if archived > 0 {
            write!(formatter, ", {archived} rows in history")?;
        }
        Ok(())
    }
}

/// Checks the database in a data directory: files, log against state, stored rows against every
/// invariant, transactions against the acquirer's book if there is one. Changes nothing; needs room
/// for a copy of the state where the system keeps temporary files. An engine that has the database
/// open is a finding.
pub fn fsck(data_dir: &Path) -> Report {
    let mut report = Report::default();
    let store = data_dir.join(STORE_DIRECTORY);
    if !store.is_dir() {
        report.find("database_exists", STORE_DIRECTORY, "missing");
        return report;
    }
    let audit = match audited(&store) {
        Ok(audit) => audit,
        Err(reason) => {
            report.find("database_can_be_read", STORE_DIRECTORY, reason);
            return report;
        }
    };
    let mut audit = audit;
    note(&mut report, &audit);
    check_history(&mut report, data_dir, &mut audit);
    let inspection = Inspection::read(&audit.rows);
    let violations = inspection.violations().into_iter();
    report
        .findings
        .extend(audit.problems.into_iter().map(Finding::from));
    report
        .findings
        .extend(violations.map(|broken| Finding::new(broken.rule, &broken.id, broken.what)));
    report.transactions = inspection.transactions().count();
    check_book(&mut report, data_dir, &inspection);
    check_token(&mut report, data_dir);
    report
}

fn audited(store: &Path) -> Result<Audit, String> {
    let scratch = Scratch::new().map_err(|error| format!("no scratch directory: {error}"))?;
    store::audit(store, scratch.path()).map_err(|error| error.to_string())
}

fn note(report: &mut Report, audit: &Audit) {
    report.position = audit.position.0;
    report.rows = audit.rows.len();
    if audit.torn_bytes > 0 {
        report.notes.push(format!(
            "the log ends with {} bytes of an incomplete batch, which the next start discards",
            audit.torn_bytes
        ));
    }
    if !audit.reaches_back {
        report.notes.push(
            "the log no longer has its beginning: rows were held against what is left of it"
                .to_owned(),
        );
    }
}

/// Reads history whole, holds it against what the log says was removed, and puts it under the rows:
/// the rules hold for both together.
fn check_history(report: &mut Report, data_dir: &Path, audit: &mut Audit) {
    let rule = "history_is_intact";
    let history = match History::open(data_dir) {
        Ok(history) => history,
        Err(error) => return report.find(rule, HISTORY_DIRECTORY, error),
    };
    let mut archived: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut strangers = 0;
    let damaged = history.read_all(|key, value| {
        if key.first().is_some_and(|space| SPACES.contains(space)) {
            archived.insert(key.to_vec(), value.to_vec());
        } else {
            strangers += 1;
        }
    });
    for error in damaged {
        report.find(rule, HISTORY_DIRECTORY, error);
    }
    if strangers > 0 {
        let what = format!("{strangers} rows are of a kind that is never archived");
        report.find(rule, HISTORY_DIRECTORY, what);
    }
    for key in &audit.removed {
        let is_kept = key.first().is_some_and(|space| SPACES.contains(space));
        if is_kept && !archived.contains_key(key) {
            let what = "was removed from the state and is not in history";
            report.find("history_is_complete", &hex::encode(key), what);
        }
    }
    report.archived = archived.len();
    for (key, value) in archived {
        audit.rows.entry(key).or_insert(value);
    }
}

fn check_book(report: &mut Report, data_dir: &Path, inspection: &Inspection) {
    let path = data_dir.join(BOOK_FILE);
    if !path.exists() {
        return;
    }
    let book = match read_book(&path) {
        Ok(book) => book,
        Err(error) => {
            report.find("book_is_intact", BOOK_FILE, error);
            return;
        }
    };
    let comparison = book::compare(inspection.transactions(), &book);
    report.findings.extend(comparison.findings);
    let unknown = comparison.unknown_without_money;
    if unknown > 0 {
        report.notes.push(format!(
            "the acquirer's book has {unknown} entries that are not known here and hold no money"
        ));
    }
}

/// The token has no checksum; its form is what can be checked.
fn check_token(report: &mut Report, data_dir: &Path) {
    match config::check_operator_token(data_dir) {
        Ok(()) => {}
        Err(config::ConfigError::File { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
        }
        Err(error) => report.find("token_is_intact", config::OPERATOR_TOKEN_FILE, error),
    }
}
