//! `engine fsck`: everything that can be held against something else, without changing anything.

use std::fmt;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::STORE_DIRECTORY;
use super::book;
use super::past::{Archived, Inspected};
use super::scratch::Scratch;
use crate::acquirer::simulator::read_book;
use crate::config;
use crate::domain::transaction::Transaction;
use crate::history::{HISTORY_DIRECTORY, History};
use crate::server::BOOK_FILE;
use crate::store::{self, Audit, Problem};

/// The rule that every block of history can be read and holds what belongs there.
pub(super) const HISTORY_IS_INTACT: &str = "history_is_intact";

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
    pub(super) fn new(rule: &str, subject: &str, what: impl fmt::Display) -> Self {
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

    pub(super) fn find(&mut self, rule: &str, subject: &str, what: impl fmt::Display) {
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
    let history = History::open(data_dir);
    let mut archived = Archived::of(history.as_ref().ok());
    let audit = match audited(&store, &mut |key| archived.expect(key)) {
        Ok(audit) => audit,
        Err(reason) => {
            report.find("database_can_be_read", STORE_DIRECTORY, reason);
            return report;
        }
    };
    note(&mut report, &audit);
    if let Err(error) = &history {
        report.find(HISTORY_IS_INTACT, HISTORY_DIRECTORY, error);
    }
    archived.check(&mut report);
    let book = data_dir.join(BOOK_FILE);
    let mut inspected = Inspected::of(&audit.rows, &archived, book.exists());
    let problems = audit.problems.into_iter().map(Finding::from);
    report.findings.extend(problems);
    inspected.tell(&mut report);
    if book.exists() {
        check_book(&mut report, &book, &inspected.transactions);
    }
    check_token(&mut report, data_dir);
    report
}

fn audited(store: &Path, removed: &mut dyn FnMut(&[u8])) -> Result<Audit, String> {
    let scratch = Scratch::new().map_err(|error| format!("no scratch directory: {error}"))?;
    store::audit(store, scratch.path(), removed).map_err(|error| error.to_string())
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

fn check_book(report: &mut Report, path: &Path, transactions: &[Transaction]) {
    let book = match read_book(path) {
        Ok(book) => book,
        Err(error) => {
            report.find("book_is_intact", BOOK_FILE, error);
            return;
        }
    };
    let comparison = book::compare(transactions.iter(), &book);
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
