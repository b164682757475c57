//! One page of a list: a bounded range scan that goes on where the page before ended.

use crate::owner::work::{Stored, decode};
use crate::store::{KeyValue, ReadFault, Rows};

/// Rows looked at for one page, whatever the filter says. Measured by nothing yet: bounds a page
/// to a few milliseconds.
pub const LOOKED_AT_MAX: usize = 2_000;
/// Rows fetched at a time.
const FETCHED_AT_ONCE: usize = 256;

/// Which way a list goes along its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Newest first.
    Backward,
    /// Oldest first.
    Forward,
}

/// Where a scan begins and which way it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// What every key begins with.
    pub prefix: Vec<u8>,
    /// Which way.
    pub direction: Direction,
    /// Where the page before ended; exclusive.
    pub after: Option<Vec<u8>>,
}

/// What to do with a row that the scan meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// It belongs on the page.
    Yes,
    /// It does not.
    No,
    /// Neither it nor anything behind it does.
    Stop,
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next page begins; `None` when there is nothing behind this one.
    pub next: Option<Vec<u8>>,
}

/// Reads a page of at most `limit` items. It may be short, even empty, and yet have a next one: a
/// filter that finds little must not make a page expensive.
///
/// # Errors
/// [`ReadFault`] when the storage fails or a row is damaged.
pub fn read<T: Stored>(
    rows: &dyn Rows,
    range: &Range,
    limit: usize,
    take: impl Fn(&T) -> Take,
) -> Result<Page<T>, ReadFault> {
    let mut items = Vec::new();
    let mut last = range.after.clone();
    let mut looked_at = 0;
    while looked_at < LOOKED_AT_MAX {
        let wanted = FETCHED_AT_ONCE.min(LOOKED_AT_MAX - looked_at);
        let fetched = fetch(rows, range, last.as_deref(), wanted)?;
        let is_end = fetched.len() < wanted;
        for (key, bytes) in fetched {
            // A full page is followed by another one only when there is something behind it.
            if items.len() == limit {
                return Ok(Page { items, next: last });
            }
            let item: T = decode(&key, &bytes)?;
            looked_at += 1;
            last = Some(key);
            match take(&item) {
                Take::Yes => items.push(item),
                Take::No => {}
                Take::Stop => return Ok(Page { items, next: None }),
            }
        }
        if is_end {
            return Ok(Page { items, next: None });
        }
    }
    Ok(Page { items, next: last })
}

fn fetch(
    rows: &dyn Rows,
    range: &Range,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<KeyValue>, ReadFault> {
    match range.direction {
        Direction::Backward => rows.scan_back(&range.prefix, after, limit),
        Direction::Forward => {
            let from = after.map(|after| {
                let mut from = after.to_vec();
                // The first key behind `after`, because the scan includes where it begins.
                from.push(0);
                from
            });
            rows.scan(&range.prefix, from.as_deref(), limit)
        }
    }
}
