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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::merchant::Partner;
    use crate::domain::permission::Allowlist;
    use crate::domain::time::Timestamp;
    use crate::owner::key;
    use crate::query::fake::FakeStore;

    fn store(partners: u128) -> FakeStore {
        let store = FakeStore::default();
        for number in 0..partners {
            let id = protocol::id::PartnerId::from_uuid(Uuid::from_u128(number));
            let partner = Partner {
                id,
                name: number.to_string(),
                allowlist: Allowlist::of([]),
                created_at: Timestamp(0),
                updated_at: Timestamp(0),
            };
            store.put(key::partner(id), &partner);
        }
        store
    }

    fn walk(
        store: &FakeStore,
        direction: Direction,
        limit: usize,
        take: impl Fn(&Partner) -> Take,
    ) -> (Vec<u32>, usize) {
        let mut range = Range {
            prefix: key::space(key::PARTNER),
            direction,
            after: None,
        };
        let (mut found, mut pages) = (Vec::new(), 0);
        loop {
            let page = read(store, &range, limit, &take).unwrap();
            assert!(page.items.len() <= limit);
            let numbers = page
                .items
                .iter()
                .map(|one| one.name.parse::<u32>().unwrap());
            found.extend(numbers);
            pages += 1;
            match page.next {
                Some(next) => range.after = Some(next),
                None => return (found, pages),
            }
        }
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_repeat() {
        let store = store(10);
        for (limit, pages) in [(1, 10), (3, 4), (5, 2), (9, 2), (10, 1), (100, 1)] {
            let forward = walk(&store, Direction::Forward, limit, |_| Take::Yes);
            assert_eq!(forward, ((0..10).collect(), pages), "limit {limit}");
            let backward = walk(&store, Direction::Backward, limit, |_| Take::Yes);
            assert_eq!(backward, ((0..10).rev().collect(), pages), "limit {limit}");
        }
        assert_eq!(
            walk(&self::store(0), Direction::Forward, 5, |_| Take::Yes),
            (vec![], 1)
        );
    }

    #[test]
    fn a_filter_that_finds_little_keeps_pages_cheap() {
        let store = store(4_100);
        let wanted = |partner: &Partner| match partner.name.as_str() {
            "0" | "4099" => Take::Yes,
            _ => Take::No,
        };
        let (found, pages) = walk(&store, Direction::Backward, 25, wanted);
        assert_eq!((found, pages), (vec![4_099, 0], 3));
    }

    #[test]
    fn a_scan_stops_where_it_is_told_to() {
        let store = store(600);
        let recent = |partner: &Partner| match partner.name.parse::<u32>() {
            Ok(number) if number >= 590 => Take::Yes,
            _ => Take::Stop,
        };
        let (found, pages) = walk(&store, Direction::Backward, 100, recent);
        assert_eq!((found.len(), pages), (10, 1));
    }
}
