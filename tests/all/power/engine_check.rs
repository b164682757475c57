//! One state of the engine's disk: opened with the shipped store, and held against what was told.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::acquirer::host::{BookEntry, BookState};
use engine::acquirer::simulator::{BookFileError, read_book};
use engine::config::OPERATOR_TOKEN_FILE;
use engine::domain::pos::Stage;
use engine::domain::transaction::{IntentKind, Transaction, TransactionState};
use engine::offline::Finding;
use engine::owner::inspect::Inspection;
use engine::server::BOOK_FILE;
use engine::store::{DiskStore, Logged, Position, Rows, Store, StoreConfig};
use harness::wait::until;
use protocol::id::IncarnationId;
use serde_json::Value;
use uuid::Uuid;

use super::recording::{STORE_SECTION, Truth};

/// How many records are read from the log at once.
const PAGE: usize = 1_000;

/// Everything that is wrong with the data directory `root`, in words.
pub(super) fn problems(root: &Path, truth: Truth<'_>) -> Vec<String> {
    let mut problems = Vec::new();
    check_token(root, &truth, &mut problems);
    let is_dead = Arc::new(AtomicBool::new(false));
    let fatal = {
        let is_dead = is_dead.clone();
        Box::new(move |_| is_dead.store(true, Ordering::Relaxed))
    };
    let store = match DiskStore::open(config(root), fatal) {
        Ok(store) => store,
        Err(error) => {
            let what = if truth.told.is_empty() {
                "not opened"
            } else {
                "lost"
            };
            problems.push(format!("{what}: the store does not open: {error}"));
            return problems;
        }
    };
    let rows = check_log(store.as_ref(), &mut problems);
    let inspection = Inspection::read(rows);
    let violations = inspection.violations();
    problems.extend(violations.iter().map(|one| format!("violation: {one}")));
    match read_book(&root.join(BOOK_FILE)) {
        Ok(book) => check_book(&inspection, &book, &mut problems),
        Err(BookFileError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            check_book(&inspection, &[], &mut problems);
        }
        Err(error) => problems.push(format!("lost: the book does not open: {error}")),
    }
    check_told(&inspection, &truth, &mut problems);
    if let Err(error) = store.shutdown() {
        problems.push(format!("the store does not close: {error}"));
    }
    drop(store);
    // A process that another test is just starting holds a copy of the lock until it has become
    // another program.
    let report = until("the lock to be free", || {
        let report = engine::offline::fsck(root);
        let is_in_use = |finding: &Finding| finding.what.ends_with("is in use");
        (!report.findings.iter().any(is_in_use)).then_some(report)
    });
    let findings = report.iter().flat_map(|report| &report.findings);
    problems.extend(findings.map(|finding| format!("fsck: {finding:?}")));
    if is_dead.load(Ordering::Relaxed) {
        problems.push("the store failed".to_owned());
    }
    problems
}

/// Whether nobody is waited for who may take a minute: a payer, or an acquirer that has not heard
/// of a request and is asked twice.
pub(super) fn is_soon_settled(root: &Path) -> bool {
    let Ok(store) = DiskStore::open(config(root), Box::new(|_| ())) else {
        return false;
    };
    let inspection = Inspection::read(check_log(store.as_ref(), &mut Vec::new()));
    let book = read_book(&root.join(BOOK_FILE)).unwrap_or_default();
    let holdings = inspection.merchants.values();
    let mut pos = holdings.flat_map(|holdings| holdings.pos.values());
    let is_payer_awaited = |stage| matches!(stage, Stage::SelectingTip | Stage::AwaitingCard);
    if pos.any(|pos| is_payer_awaited(pos.stage)) {
        return false;
    }
    inspection.transactions().all(|one| {
        let is_over = !matches!(
            one.state,
            TransactionState::Authorizing | TransactionState::Reversing
        );
        is_over || book.iter().any(|entry| entry.transaction_id == one.id)
    })
}

fn config(root: &Path) -> StoreConfig {
    let incarnation = IncarnationId::from_uuid(Uuid::from_u128(1));
    let defaults = StoreConfig::new(root.join("store"), incarnation);
    STORE_SECTION.over(StoreConfig {
        cache_bytes: 4 * 1024 * 1024,
        ..defaults
    })
}

fn check_token(root: &Path, truth: &Truth<'_>, problems: &mut Vec<String>) {
    let token = fs::read_to_string(root.join(OPERATOR_TOKEN_FILE)).ok();
    let is_right = token.as_ref().is_some_and(|token| token == truth.token);
    // A start makes another one where there is none, but half a one must never be found.
    if !(is_right || (token.is_none() && truth.told.is_empty())) {
        problems.push(format!("lost: the operator's token is {token:?}"));
    }
}

type Key = Vec<u8>;

/// The log is dense, and the rows are what it says; gives the rows.
fn check_log(store: &DiskStore, problems: &mut Vec<String>) -> BTreeMap<Key, Vec<u8>> {
    let mut expected: BTreeMap<Key, Vec<u8>> = BTreeMap::new();
    let (mut heads, mut position) = (BTreeMap::new(), 0);
    loop {
        let page: Vec<Logged> = match store.follow(Position(position), PAGE) {
            Ok(page) => page,
            Err(error) => {
                problems.push(format!("the log cannot be read: {error}"));
                break;
            }
        };
        for logged in &page {
            position += 1;
            let head: &mut u64 = heads.entry(logged.stream).or_default();
            *head += 1;
            if logged.position != Position(position) || logged.seq != *head {
                let (at, seq) = (logged.position.0, logged.seq);
                problems.push(format!(
                    "log: {at} and {seq} instead of {position} and {head}"
                ));
            }
            for row in &logged.record.rows {
                match &row.value {
                    Some(value) => expected.insert(row.key.clone(), value.clone()),
                    None => expected.remove(&row.key),
                };
            }
        }
        if page.len() < PAGE {
            break;
        }
    }
    for (stream, head) in heads {
        if store.head(stream) != Ok(head) {
            let found = store.head(stream);
            problems.push(format!("head of {stream:?} is {found:?}, not {head}"));
        }
    }
    let spaces = 1..=u8::MAX;
    let rows = spaces.flat_map(|space| store.scan(&[space], None, usize::MAX).unwrap_or_default());
    let rows: BTreeMap<Key, Vec<u8>> = rows.collect();
    let keys: BTreeSet<&Key> = rows.keys().chain(expected.keys()).collect();
    for key in keys {
        if rows.get(key) != expected.get(key) {
            problems.push(format!("row {} is not as the log says", hex::encode(key)));
        }
    }
    rows
}

/// Every authorization that the engine knows to stand stands in the book, and nothing else.
fn check_book(inspection: &Inspection, book: &[BookEntry], problems: &mut Vec<String>) {
    let mut entries: BTreeMap<String, &BookEntry> = BTreeMap::new();
    for entry in book {
        if entries
            .insert(entry.transaction_id.to_string(), entry)
            .is_some()
        {
            problems.push(format!("{} was authorized twice", entry.transaction_id));
        }
    }
    for transaction in inspection.transactions() {
        let entry = entries.remove(&transaction.id.to_string());
        if !agrees(transaction, entry) {
            let (id, state) = (transaction.id, transaction.state);
            problems.push(format!(
                "lost: {id} is {state:?}, and in the book {entry:?}"
            ));
        }
    }
    for id in entries.keys() {
        problems.push(format!("lost: {id} is in the book only"));
    }
}

fn agrees(transaction: &Transaction, entry: Option<&BookEntry>) -> bool {
    use TransactionState::{
        Approved, Authorizing, Confirming, Declined, NotSent, Reversed, Reversing, Voided,
    };
    let state = entry.map(|entry| entry.state);
    let intent = transaction.intent.as_ref().map(|intent| intent.kind);
    match (transaction.state, state) {
        // The acquirer may or may not have heard of it.
        (Authorizing | Reversing, _) => true,
        (Confirming, Some(BookState::Authorized)) => true,
        (Approved, Some(BookState::Authorized)) => match intent {
            Some(IntentKind::AdjustTip { .. }) => true,
            _ => entry.and_then(|entry| entry.standing()) == Some(transaction.total()),
        },
        (Approved, Some(BookState::Voided)) => intent == Some(IntentKind::Void),
        (Declined, Some(BookState::Declined)) => true,
        (Voided, Some(BookState::Voided)) => true,
        (Reversed, Some(BookState::Reversed | BookState::Declined) | None) => true,
        (NotSent, None) => true,
        _ => false,
    }
}

/// What a database knows about everything that has an id.
#[derive(Debug, Default)]
struct Known {
    /// Revision and final status, by id; none for what has no revision.
    states: BTreeMap<String, Option<(u64, Value)>>,
    /// Bodies that repeats get.
    answers: BTreeSet<Vec<u8>>,
}

impl Known {
    fn of(inspection: &Inspection) -> Self {
        let mut known = Self::default();
        let states = &mut known.states;
        states.extend(inspection.partners.keys().map(|id| (id.to_string(), None)));
        for (id, holdings) in &inspection.merchants {
            states.insert(id.to_string(), None);
            states.extend(holdings.terminals.keys().map(|id| (id.to_string(), None)));
            states.extend(holdings.api_keys.keys().map(|id| (id.to_string(), None)));
            states.extend(
                holdings
                    .pairing_codes
                    .keys()
                    .map(|id| (id.to_string(), None)),
            );
            states.extend(holdings.print_jobs.keys().map(|id| (id.to_string(), None)));
            for (id, pos) in &holdings.pos {
                let status = serde_json::to_value(pos.status()).unwrap_or_default();
                states.insert(id.to_string(), Some((u64::from(pos.revision), status)));
            }
            for (id, one) in &holdings.transactions {
                let status = match one.state {
                    TransactionState::Approved => "approved",
                    TransactionState::Declined => "declined",
                    TransactionState::Reversed => "reversed",
                    TransactionState::Voided => "voided",
                    _ => "",
                };
                let state = (u64::from(one.revision), status.into());
                states.insert(id.to_string(), Some(state));
            }
            let claims = holdings.claims.values();
            let answers = claims.filter_map(|claim| claim.answer.as_ref());
            known
                .answers
                .extend(answers.map(|answer| answer.body.clone()));
        }
        known
    }
}

/// Everything that was answered is there, with at least the state told.
fn check_told(inspection: &Inspection, truth: &Truth<'_>, problems: &mut Vec<String>) {
    let known = Known::of(inspection);
    for told in truth.told {
        let Some(id) = told.data["id"].as_str() else {
            continue;
        };
        let Some(state) = known.states.get(id) else {
            problems.push(format!("lost: {id} of {}", told.what));
            continue;
        };
        if let (Some((revision, status)), Some(told_revision)) =
            (state, told.data["revision"].as_u64())
        {
            if *revision < told_revision {
                let what = &told.what;
                problems.push(format!(
                    "lost: {id} is at {revision}, {told_revision} was told by {what}"
                ));
            }
            let words = [
                "approved", "declined", "canceled", "failed", "reversed", "voided",
            ];
            let is_final = |word: &Value| word.as_str().is_some_and(|word| words.contains(&word));
            let word = &told.data["status"];
            let may_follow = word == "approved" && status == "voided";
            if is_final(word) && word != status && !may_follow {
                problems.push(format!("lost: {id} is {status}, {word} was told"));
            }
        }
        if told.is_replayed && !known.answers.contains(told.text.as_bytes()) {
            problems.push(format!("lost: the answer to {} is not kept", told.what));
        }
    }
}
