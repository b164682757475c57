//! The list of a merchant's terminals with what their links say: filters, orders, pages. From memory.
//!
//! # Cost
//! A page looks at no more than [`LOOKED_AT_MAX`] terminals, whatever the filters say: it may be
//! short, even empty, and yet have a next one. By `created_at` and `label` the terminals are held in
//! order, so that page N costs what page 1 costs. By `last_seen` there is no order to hold, because
//! it moves with every heartbeat: each page sorts all the merchant's terminals, which are at most
//! [`SORTED_MAX`] of them.
//!
//! # Cursors
//! A cursor is the sort key and the id that the page before ended with, and the next page is what
//! comes behind that. A terminal that changes its place between two pages may be seen twice or not
//! at all; every other is seen once. For `last_seen` terminals that are online are all "now", in the
//! order of their ids: only a link that comes or goes changes a place.

mod filter;
mod source;

use std::sync::Arc;

use protocol::id::{MerchantId, TerminalId};

use super::registry::{LiveStatus, Registry};
use crate::access::index::AccessIndex;
use crate::domain::merchant::Terminal;

pub use filter::Filter;
use source::Source;

/// Terminals looked at for one page.
pub const LOOKED_AT_MAX: usize = 2_000;
/// Terminals that are sorted for a page. Sorting so many takes a few milliseconds.
pub const SORTED_MAX: usize = 20_000;
/// Terminals fetched at a time, so that the index is not held for long.
const FETCHED_AT_ONCE: usize = 256;

/// What a list is in the order of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// When terminals were made.
    CreatedAt,
    /// What people call them, without regard to case.
    Label,
    /// When they were last heard.
    LastSeen,
}

/// An order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// By what.
    pub key: SortKey,
    /// Whether the highest comes first.
    pub is_descending: bool,
}

/// Where a page ended: the sort key in bytes, and the id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The sort key; empty where it is the id.
    pub key: Vec<u8>,
    /// The id.
    pub id: TerminalId,
}

/// A terminal with what its link says.
pub type Entry = (Arc<Terminal>, Option<Arc<LiveStatus>>);

/// A page.
#[derive(Debug)]
pub struct FleetPage {
    /// What is on it.
    pub items: Vec<Entry>,
    /// Where the next one goes on.
    pub next: Option<Place>,
}

/// More terminals than can be sorted by what is in no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many terminals to sort by this")]
pub struct TooMany;

/// A page of at most `limit` of a merchant's terminals.
///
/// # Errors
/// [`TooMany`] by `last_seen`.
pub fn list(
    index: &AccessIndex,
    registry: &Registry,
    merchant_id: MerchantId,
    filter: &Filter,
    sort: Sort,
    limit: usize,
    after: Option<Place>,
) -> Result<FleetPage, TooMany> {
    let mut source = Source::new(index, registry, merchant_id, sort, after)?;
    let mut items = Vec::new();
    let mut last: Option<Place> = None;
    let mut looked_at = 0;
    loop {
        let fetched = source.fetch(FETCHED_AT_ONCE.min(LOOKED_AT_MAX - looked_at));
        if fetched.is_empty() {
            return Ok(FleetPage { items, next: None });
        }
        let ids = fetched.iter().map(|(_, terminal)| terminal.id);
        let lives = registry.statuses(ids);
        for ((place, terminal), live) in fetched.into_iter().zip(lives) {
            // A full page is followed by another one only when there is something behind it.
            if items.len() == limit {
                return Ok(FleetPage { items, next: last });
            }
            looked_at += 1;
            last = Some(place);
            if filter.takes(&terminal, live.as_deref()) {
                items.push((terminal, live));
            }
        }
        if looked_at >= LOOKED_AT_MAX {
            return Ok(FleetPage { items, next: last });
        }
    }
}

#[cfg(test)]
mod tests;
