//! Pages of lists: limit, cursor and the form of a page.
//!
//! A cursor names where the page before ended and which question it belongs to; with another
//! question it is refused, because its page would silently leave things out.

use protocol::id::TerminalId;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::agent_link::fleet::{Entry, FleetPage, Place};
use crate::domain::rejection::Rejection;
use crate::query::list::{Cursor, Listed, Slice};

use super::call::Call;
use super::code::ErrorAnswer;
use super::envelope::Success;

const LIMIT_DEFAULT: u32 = 25;
const LIMIT_MAX: u32 = 100;

/// The longest sort key: a label of 64 characters of four bytes, some of which become three when
/// their case is folded.
const SORT_KEY_BYTES_MAX: usize = 1_024;

/// What a question is recognized by: eight bytes of a hash.
type Question = [u8; 8];

/// A list that was asked for.
pub(super) struct Paging {
    question: Question,
    /// Which page.
    pub(super) slice: Slice,
}

/// The list of terminals that was asked for: it has orders of its own.
pub(super) struct FleetPaging {
    question: Question,
    /// Items at most.
    pub(super) limit: usize,
    /// Where the page before ended.
    pub(super) after: Option<Place>,
}

#[derive(Serialize)]
struct PageView<V> {
    object: &'static str,
    items: Vec<V>,
    has_more: bool,
    next_cursor: Option<String>,
}

impl Paging {
    /// The page that a request asks for.
    ///
    /// # Errors
    /// A limit out of range, or a cursor that is none or belongs to another question.
    pub(super) fn of(
        call: &Call,
        limit: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<Self, ErrorAnswer> {
        let question = question(call)?;
        let limit = checked(limit)?;
        let after = cursor.map(|text| read(text, question)).transpose()?;
        Ok(Self {
            question,
            slice: Slice { limit, after },
        })
    }

    /// The answer with a page.
    pub(super) fn answer<'a, T, V: Serialize>(
        &self,
        listed: &'a Listed<T>,
        view: impl Fn(&'a T) -> V,
    ) -> Success {
        Success::json(
            200,
            &PageView {
                object: "list",
                items: listed.items.iter().map(view).collect(),
                has_more: listed.next.is_some(),
                next_cursor: listed.next.map(|next| write(next, self.question)),
            },
        )
    }
}

impl FleetPaging {
    /// The page that a request asks for.
    ///
    /// # Errors
    /// A limit out of range, or a cursor that is none or belongs to another question.
    pub(super) fn of(
        call: &Call,
        limit: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<Self, ErrorAnswer> {
        let question = question(call)?;
        let after = cursor.map(|text| read_place(text, question)).transpose()?;
        Ok(Self {
            question,
            limit: checked(limit)?,
            after,
        })
    }

    /// The answer with a page.
    pub(super) fn answer<'a, V: Serialize>(
        &self,
        page: &'a FleetPage,
        view: impl Fn(&'a Entry) -> V,
    ) -> Success {
        let next = page.next.as_ref();
        Success::json(
            200,
            &PageView {
                object: "list",
                items: page.items.iter().map(view).collect(),
                has_more: next.is_some(),
                next_cursor: next.map(|next| {
                    let cursor = write(next.id.bytes(), self.question);
                    format!("{cursor}{}", hex::encode(&next.key))
                }),
            },
        )
    }
}

fn checked(limit: Option<u32>) -> Result<usize, ErrorAnswer> {
    let limit = limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Rejection::invalid("limit", "1 to 100").into());
    }
    Ok(usize::try_from(limit).unwrap_or(1))
}

fn question(call: &Call) -> Result<Question, ErrorAnswer> {
    let mut pairs = call.query_pairs()?;
    pairs.retain(|(name, _)| name != "limit" && name != "cursor");
    pairs.sort();
    Ok(hash(call.route.operation.name(), &call.path, &pairs))
}

fn hash(operation: &str, path: &[(String, String)], pairs: &[(String, String)]) -> Question {
    let mut hash = Sha256::new();
    hash.update(operation);
    for (name, value) in path.iter().chain(pairs) {
        for part in [name, value] {
            hash.update([0]);
            hash.update(part);
        }
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut question = Question::default();
    question
        .iter_mut()
        .zip(digest)
        .for_each(|(to, from)| *to = from);
    question
}

fn write(after: Cursor, question: Question) -> String {
    format!("{}{}", hex::encode(after), hex::encode(question))
}

fn read(text: &str, expected: Question) -> Result<Cursor, ErrorAnswer> {
    let (after, question) = text.split_at_checked(32).unwrap_or_default();
    let mut cursor = Cursor::default();
    let mut found = Question::default();
    let is_cursor = hex::decode_to_slice(after, &mut cursor).is_ok()
        && hex::decode_to_slice(question, &mut found).is_ok();
    if !is_cursor || found != expected {
        return Err(no_cursor());
    }
    Ok(cursor)
}

/// A cursor with the sort key behind it.
fn read_place(text: &str, expected: Question) -> Result<Place, ErrorAnswer> {
    let (cursor, key) = text.split_at_checked(48).unwrap_or((text, ""));
    let id = TerminalId::from_bytes(read(cursor, expected)?);
    let is_short = key.len() <= 2 * SORT_KEY_BYTES_MAX;
    match hex::decode(key) {
        Ok(key) if is_short => Ok(Place { key, id }),
        _ => Err(no_cursor()),
    }
}

fn no_cursor() -> ErrorAnswer {
    let expected = "the next_cursor of a page of the same list with the same filters";
    Rejection::invalid("cursor", expected).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn cursors_belong_to_their_question() {
        let question = hash("list_terminals", &[], &[pair("status", "approved")]);
        let other = hash("list_terminals", &[], &[pair("status", "declined")]);
        let cursor = write([7; 16], question);
        assert_eq!(read(&cursor, question).unwrap(), [7; 16]);
        assert!(read(&cursor, other).is_err());
        for bad in ["", "00", "zz", "é", &cursor[1..], &format!("{cursor}00")] {
            assert!(read(bad, question).is_err(), "{bad}");
        }
    }
}
