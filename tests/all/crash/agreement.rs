//! The engine's transactions against the acquirer's book.

use std::collections::BTreeMap;
use std::path::Path;

use engine::acquirer::host::{BookEntry, BookState};
use engine::acquirer::simulator::read_book;
use harness::api::Api;
use serde_json::Value;

/// Everything that the engine says about a merchant's money.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct State {
    /// POS transactions by id.
    pub(crate) pos: BTreeMap<String, Value>,
    /// Transactions by id.
    pub(crate) transactions: BTreeMap<String, Value>,
    is_complete: bool,
}

impl State {
    /// Reads every page of both lists.
    pub(crate) fn read(api: &Api) -> Self {
        let pos = list(api, "/v1/pos/transactions");
        let transactions = list(api, "/v1/transactions");
        let is_complete = pos.is_some() && transactions.is_some();
        Self {
            pos: pos.unwrap_or_default(),
            transactions: transactions.unwrap_or_default(),
            is_complete,
        }
    }

    /// Whether nothing is under way.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_complete && self.moving().is_empty()
    }

    /// What is under way.
    pub(crate) fn moving(&self) -> Vec<&Value> {
        let is_open = |pos: &&Value| matches!(word(pos, "status"), "in_progress" | "in_doubt");
        let is_pending = |transaction: &&Value| {
            let status = word(transaction, "status");
            matches!(status, "authorizing" | "confirming" | "in_doubt")
                || !transaction["pending_operation"].is_null()
        };
        let open = self.pos.values().filter(is_open);
        open.chain(self.transactions.values().filter(is_pending))
            .collect()
    }
}

fn word<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// A whole list; nothing when the engine does not answer.
fn list(api: &Api, path: &str) -> Option<BTreeMap<String, Value>> {
    let mut found = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let page = api.get(&format!("{path}?limit=100{cursor}"));
        if page.status != 200 {
            return None;
        }
        for item in page.data()["items"].as_array()? {
            found.insert(word(item, "id").to_owned(), item.clone());
        }
        match page.data()["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Some(found),
        }
    }
}

/// Fails unless book and engine agree.
pub(crate) fn check(what: &str, state: &State, book: &Path) {
    let problems = disagreements(state, &read_book(book).unwrap());
    assert!(problems.is_empty(), "{what}: {problems:#?}");
}

/// Every way in which the two differ, in words.
fn disagreements(state: &State, book: &[BookEntry]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut entries: BTreeMap<String, &BookEntry> = BTreeMap::new();
    for entry in book {
        let id = entry.transaction_id.to_string();
        if !state.transactions.contains_key(&id) {
            problems.push(format!("{id} is in the book only"));
        }
        if entries.insert(id.clone(), entry).is_some() {
            problems.push(format!("{id} was authorized twice"));
        }
    }
    for (id, transaction) in &state.transactions {
        let status = word(transaction, "status");
        let entry = entries.get(id);
        let is_same = match (status, entry.map(|entry| entry.state)) {
            ("approved", Some(BookState::Authorized)) => {
                let standing = entry.and_then(|entry| entry.standing());
                let currency = transaction["currency"].as_str();
                standing.map(|money| money.minor()) == transaction["total"].as_i64()
                    && standing.map(|money| money.currency().code()) == currency
            }
            ("voided", Some(BookState::Voided)) => true,
            ("declined", Some(BookState::Declined)) => true,
            // Undone, or never arrived, or declined without the engine hearing of it.
            ("reversed", Some(BookState::Reversed | BookState::Declined) | None) => true,
            ("failed", None) => true,
            _ => false,
        };
        if !is_same {
            problems.push(format!(
                "{id} is {status} here, {entry:?} there: {transaction}"
            ));
        }
        let pos_id = word(transaction, "pos_transaction_id");
        if !state.pos.contains_key(pos_id) {
            problems.push(format!("{id} belongs to {pos_id}, which is not there"));
        }
    }
    for (id, pos) in &state.pos {
        let stood: Vec<&Value> = state
            .transactions
            .values()
            .filter(|one| word(one, "pos_transaction_id") == id)
            .filter(|one| matches!(word(one, "status"), "approved" | "voided"))
            .collect();
        let is_approved = word(pos, "status") == "approved";
        if stood.len() != usize::from(is_approved) {
            problems.push(format!("{id} is {}, and stood: {stood:?}", pos["status"]));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use engine::acquirer::host::ResponseCode;
    use engine::domain::time::Timestamp;
    use engine::domain::transaction::Trace;
    use protocol::id::{MerchantId, TerminalId, TransactionId};
    use protocol::money::Money;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn entry(number: u32, state: BookState) -> BookEntry {
        let money = Money::new(1_234, "USD".parse().unwrap());
        BookEntry {
            number: u64::from(number),
            merchant_id: MerchantId::from_uuid(Uuid::nil()),
            terminal_id: TerminalId::from_uuid(Uuid::nil()),
            transaction_id: TransactionId::from_uuid(Uuid::nil()),
            trace: Trace {
                number,
                sent_at: Timestamp(1),
            },
            requested: money,
            approved: Some(money),
            total: Some(money),
            state,
            response_code: ResponseCode::APPROVED,
            last_four: None,
            is_contact_chip: false,
            booked_at: Timestamp(1),
            changed_at: Timestamp(1),
            changed_by: 1,
        }
    }

    fn state(pos: &str, transaction: &str, total: i64) -> State {
        let id = TransactionId::from_uuid(Uuid::nil()).to_string();
        let pos = json!({"id": "pos_1", "status": pos});
        let transaction = json!({
            "id": id, "status": transaction, "total": total, "currency": "USD",
            "pos_transaction_id": "pos_1",
        });
        State {
            pos: [("pos_1".to_owned(), pos)].into(),
            transactions: [(id, transaction)].into(),
            is_complete: true,
        }
    }

    #[test]
    fn the_check_finds_every_kind_of_disagreement() {
        use BookState::{Authorized, Declined, Reversed, Voided};
        let good = state("approved", "approved", 1_234);
        assert_eq!(disagreements(&good, &[entry(1, Authorized)]), [""; 0]);
        let wrong: [(State, Vec<BookEntry>); 9] = [
            (state("approved", "approved", 1_234), vec![]),
            (
                state("approved", "approved", 1_235),
                vec![entry(1, Authorized)],
            ),
            (
                state("approved", "approved", 1_234),
                vec![entry(1, Reversed)],
            ),
            (
                state("approved", "approved", 1_234),
                vec![entry(1, Authorized), entry(2, Authorized)],
            ),
            (
                state("reversed", "reversed", 1_234),
                vec![entry(1, Authorized)],
            ),
            (
                state("approved", "voided", 1_234),
                vec![entry(1, Authorized)],
            ),
            (state("declined", "declined", 1_234), vec![entry(1, Voided)]),
            (
                state("failed", "approved", 1_234),
                vec![entry(1, Authorized)],
            ),
            (
                State {
                    is_complete: true,
                    ..State::default()
                },
                vec![entry(1, Declined)],
            ),
        ];
        for (state, book) in wrong {
            assert_ne!(disagreements(&state, &book), [""; 0], "{state:?}");
        }
    }
}
