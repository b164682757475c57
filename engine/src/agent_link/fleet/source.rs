//! Where the terminals of a page come from: held in order, or sorted for it.

use std::sync::Arc;

use protocol::id::MerchantId;

use super::{Place, SORTED_MAX, Sort, SortKey, TooMany};
use crate::access::index::{AccessIndex, TerminalOrder};
use crate::agent_link::registry::{LiveStatus, Registry};
use crate::domain::merchant::Terminal;

/// Where the terminals of a page come from, one after the other.
pub(super) enum Source<'a> {
    Ordered {
        index: &'a AccessIndex,
        merchant_id: MerchantId,
        order: TerminalOrder,
        is_descending: bool,
        after: Option<Place>,
    },
    Sorted(std::vec::IntoIter<(Place, Arc<Terminal>)>),
}

impl<'a> Source<'a> {
    pub(super) fn new(
        index: &'a AccessIndex,
        registry: &Registry,
        merchant_id: MerchantId,
        sort: Sort,
        after: Option<Place>,
    ) -> Result<Self, TooMany> {
        let order = match sort.key {
            SortKey::CreatedAt => TerminalOrder::CreatedAt,
            SortKey::Label => TerminalOrder::Label,
            SortKey::LastSeen => {
                let sorted = by_last_seen(index, registry, merchant_id, sort, after)?;
                return Ok(Self::Sorted(sorted.into_iter()));
            }
        };
        Ok(Self::Ordered {
            index,
            merchant_id,
            order,
            is_descending: sort.is_descending,
            after,
        })
    }

    pub(super) fn fetch(&mut self, count: usize) -> Vec<(Place, Arc<Terminal>)> {
        match self {
            Self::Sorted(sorted) => sorted.take(count).collect(),
            Self::Ordered {
                index,
                merchant_id,
                order,
                is_descending,
                after,
            } => {
                let from = after.as_ref().map(|after| (after.key.as_slice(), after.id));
                let found = index.terminals(*merchant_id, *order, *is_descending, from, count);
                let found: Vec<(Place, Arc<Terminal>)> = found
                    .into_iter()
                    .map(|(key, terminal)| {
                        let id = terminal.id;
                        (Place { key, id }, terminal)
                    })
                    .collect();
                if let Some((place, _)) = found.last() {
                    *after = Some(place.clone());
                }
                found
            }
        }
    }
}

fn by_last_seen(
    index: &AccessIndex,
    registry: &Registry,
    merchant_id: MerchantId,
    sort: Sort,
    after: Option<Place>,
) -> Result<Vec<(Place, Arc<Terminal>)>, TooMany> {
    let order = TerminalOrder::CreatedAt;
    let all = index.terminals(merchant_id, order, false, None, SORTED_MAX + 1);
    if all.len() > SORTED_MAX {
        return Err(TooMany);
    }
    let lives = registry.statuses(all.iter().map(|(_, terminal)| terminal.id));
    let mut placed: Vec<(Place, Arc<Terminal>)> = all
        .into_iter()
        .zip(lives)
        .map(|((_, terminal), live)| {
            let key = last_seen(live.as_deref()).to_be_bytes().to_vec();
            let id = terminal.id;
            (Place { key, id }, terminal)
        })
        .filter(|(place, _)| {
            after.as_ref().is_none_or(|after| match sort.is_descending {
                true => place < after,
                false => place > after,
            })
        })
        .collect();
    placed.sort_by(|(one, _), (other, _)| match sort.is_descending {
        true => other.cmp(one),
        false => one.cmp(other),
    });
    Ok(placed)
}

/// The instant in milliseconds; the highest number while there is a link, 0 when it never was seen.
pub(super) fn last_seen(live: Option<&LiveStatus>) -> u64 {
    match live {
        Some(live) if live.is_online => u64::MAX,
        Some(live) => live
            .last_seen_at()
            .map_or(0, |at| u64::try_from(at.0).unwrap_or(0)),
        None => 0,
    }
}
