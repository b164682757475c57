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

use std::sync::Arc;

use protocol::id::{MerchantId, TerminalId};
use protocol::link::{PaperState, ReaderState};

use super::registry::{Availability, LiveStatus, Registry};
use crate::access::index::{AccessIndex, TerminalOrder};
use crate::domain::merchant::Terminal;

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

/// Which terminals. What is absent does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// In the label or the serial number, without regard to case.
    pub search: Option<String>,
    /// The serial number.
    pub serial_number: Option<String>,
    /// Whether there is a link.
    pub is_online: Option<bool>,
    /// Whether a sale could be started.
    pub availability: Option<Availability>,
    /// Whether there is a till.
    pub is_paired: Option<bool>,
    /// The reader, of terminals with a link.
    pub reader: Option<ReaderState>,
    /// The paper, of terminals with a link.
    pub paper: Option<PaperState>,
    /// The place.
    pub location: Option<String>,
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

impl Filter {
    /// Whether a terminal is among those that are wanted.
    pub fn takes(&self, terminal: &Terminal, live: Option<&LiveStatus>) -> bool {
        let linked = live.filter(|live| live.is_online);
        let till = linked.and_then(|live| live.till.as_ref());
        let serial = terminal.serial_number.as_deref();
        let search = self.search.as_deref().map(str::to_lowercase);
        search.is_none_or(|text| {
            let has = |value: &str| value.to_lowercase().contains(&text);
            has(&terminal.label) || serial.is_some_and(has)
        }) && (self.serial_number.is_none() || self.serial_number.as_deref() == serial)
            && self
                .is_online
                .is_none_or(|wanted| wanted == linked.is_some())
            && self
                .availability
                .is_none_or(|wanted| wanted == Availability::of(terminal, live))
            && self
                .is_paired
                .is_none_or(|wanted| wanted == terminal.device_key.is_some())
            && self
                .reader
                .is_none_or(|wanted| till.is_some_and(|till| till.reader == wanted))
            && self
                .paper
                .is_none_or(|wanted| till.is_some_and(|till| till.paper == wanted))
            && (self.location.is_none() || self.location == terminal.location)
    }
}

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

/// Where the terminals of a page come from, one after the other.
enum Source<'a> {
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
    fn new(
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

    fn fetch(&mut self, count: usize) -> Vec<(Place, Arc<Terminal>)> {
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
fn last_seen(live: Option<&LiveStatus>) -> u64 {
    match live {
        Some(live) if live.is_online => u64::MAX,
        Some(live) => live
            .last_seen_at
            .map_or(0, |at| u64::try_from(at.0).unwrap_or(0)),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use protocol::link::TillStatus;
    use uuid::Uuid;

    use super::*;
    use crate::domain::merchant::DeviceKey;
    use crate::domain::time::Timestamp;
    use crate::owner::access_change::AccessChange;

    fn id(number: usize) -> TerminalId {
        TerminalId::from_uuid(Uuid::from_u128(u128::try_from(number).unwrap()))
    }

    fn merchant(number: u128) -> MerchantId {
        MerchantId::from_uuid(Uuid::from_u128(number))
    }

    fn terminal(number: usize, label: &str) -> Terminal {
        Terminal {
            id: id(number),
            merchant_id: merchant(1),
            label: label.to_owned(),
            serial_number: number.is_multiple_of(2).then(|| format!("SN-{number}")),
            device_key: (!number.is_multiple_of(3)).then_some(DeviceKey([1; 32])),
            paired_at: None,
            installations: crate::domain::installation::Installations::default(),
            created_at: Timestamp(0),
            location: number.is_multiple_of(4).then(|| "Cellar".to_owned()),
            own: crate::domain::terminal_settings::Versioned::default(),
        }
    }

    fn apply(index: &AccessIndex, terminal: Terminal) {
        index.apply(AccessChange::Terminal(Box::new(terminal)));
    }

    /// Labels that are not in the order of the ids; two share one.
    fn fleet(count: usize) -> (AccessIndex, Registry) {
        let (index, registry) = (AccessIndex::default(), Registry::default());
        for number in 1..=count {
            let label = format!("lane {:04}", number * 7_919 % count / 2);
            apply(&index, terminal(number, &label));
        }
        apply(
            &index,
            Terminal {
                merchant_id: merchant(2),
                ..terminal(100_000, "lane of another")
            },
        );
        (index, registry)
    }

    fn till(reader: ReaderState) -> Arc<TillStatus> {
        Arc::new(TillStatus {
            reader,
            reader_serial: String::new(),
            reader_firmware: String::new(),
            printer_online: true,
            paper: PaperState::Out,
            cover_open: false,
            printer_trouble: String::new(),
            drawer_open: None,
            agent_version: String::new(),
            current: None,
            facts: None,
            configuration: None,
            backlog: protocol::link::TillBacklog::default(),
        })
    }

    fn walk(index: &AccessIndex, registry: &Registry, filter: &Filter, sort: Sort) -> Vec<usize> {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = list(index, registry, merchant(1), filter, sort, 7, after).unwrap();
            assert!(page.items.len() <= 7);
            found.extend(
                page.items
                    .iter()
                    .map(|(terminal, _)| usize::try_from(terminal.id.uuid().as_u128()).unwrap()),
            );
            after = page.next;
            if after.is_none() {
                return found;
            }
        }
    }

    #[test]
    fn every_order_shows_every_terminal_once() {
        let (index, registry) = fleet(600);
        for number in (1..=600).step_by(5) {
            let live = LiveStatus {
                is_online: number % 2 == 0,
                last_seen_at: Some(Timestamp(i64::try_from(number * 31 % 97).unwrap())),
                ..LiveStatus::default()
            };
            registry.publish(id(number), live);
        }
        let labels = |number: &usize| {
            let terminal = index.terminal(id(*number)).unwrap();
            (terminal.label.clone(), *number)
        };
        for key in [SortKey::CreatedAt, SortKey::Label, SortKey::LastSeen] {
            let order = |is_descending| {
                let sort = Sort { key, is_descending };
                walk(&index, &registry, &Filter::default(), sort)
            };
            let up = order(false);
            let mut down = order(true);
            down.reverse();
            assert_eq!(up, down, "{key:?}");
            let mut every = up.clone();
            every.sort_unstable();
            assert!(every.into_iter().eq(1..=600), "{key:?}");
            if key == SortKey::Label {
                assert!(up.is_sorted_by_key(labels));
            }
            if key == SortKey::LastSeen {
                let seen = |number: &usize| last_seen(registry.status(id(*number)).as_deref());
                assert!(up.is_sorted_by_key(|number| (seen(number), *number)));
            }
        }
    }

    #[test]
    fn a_changed_label_changes_the_place_and_leaves_nothing_behind() {
        let (index, registry) = fleet(5);
        apply(&index, terminal(3, "AAA"));
        apply(&index, terminal(3, "Zzz"));
        let sort = Sort {
            key: SortKey::Label,
            is_descending: false,
        };
        let found = walk(&index, &registry, &Filter::default(), sort);
        assert_eq!((found.len(), found.last()), (5, Some(&3)));
    }

    #[test]
    fn a_filter_that_finds_nothing_does_not_make_a_page_expensive() {
        let (index, registry) = fleet(2 * LOOKED_AT_MAX + 10);
        let filter = Filter {
            search: Some("no such".to_owned()),
            ..Filter::default()
        };
        let sort = Sort {
            key: SortKey::Label,
            is_descending: true,
        };
        let mut after = None;
        for has_next in [true, true, false] {
            let page = list(&index, &registry, merchant(1), &filter, sort, 25, after).unwrap();
            assert!(page.items.is_empty());
            assert_eq!(page.next.is_some(), has_next);
            after = page.next;
        }
    }

    #[test]
    fn filters_are_held_against_row_and_link() {
        let (index, registry) = fleet(12);
        // 1 is ready, 2 has no reader, 4 has lost its link.
        for (number, is_online, reader) in [
            (1, true, ReaderState::Ready),
            (2, true, ReaderState::Absent),
            (4, false, ReaderState::Ready),
        ] {
            let live = LiveStatus {
                is_online,
                till: Some(till(reader)),
                ..LiveStatus::default()
            };
            registry.publish(id(number), live);
        }
        let sort = Sort {
            key: SortKey::CreatedAt,
            is_descending: false,
        };
        let none = Filter::default;
        let some = |text: &str| Some(text.to_owned());
        for (filter, expected) in [
            (
                Filter {
                    search: some("sn-1"),
                    ..none()
                },
                &[10, 12][..],
            ),
            (
                Filter {
                    serial_number: some("SN-4"),
                    ..none()
                },
                &[4],
            ),
            (
                Filter {
                    is_online: Some(true),
                    ..none()
                },
                &[1, 2],
            ),
            (
                Filter {
                    is_paired: Some(false),
                    ..none()
                },
                &[3, 6, 9, 12],
            ),
            (
                Filter {
                    availability: Some(Availability::Ready),
                    ..none()
                },
                &[1],
            ),
            (
                Filter {
                    availability: Some(Availability::Offline),
                    location: some("Cellar"),
                    ..none()
                },
                &[4, 8],
            ),
            (
                Filter {
                    reader: Some(ReaderState::Ready),
                    ..none()
                },
                &[1],
            ),
            (
                Filter {
                    paper: Some(PaperState::Out),
                    ..none()
                },
                &[1, 2],
            ),
        ] {
            assert_eq!(
                walk(&index, &registry, &filter, sort),
                expected,
                "{filter:?}"
            );
        }
    }
}
