//! Every order, filter and page of the list.

use protocol::link::{PaperState, ReaderState, TillStatus};
use uuid::Uuid;

use super::source::last_seen;
use super::*;
use crate::agent_link::registry::Availability;
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
        paper: PaperState::Out,
        ..TillStatus::healthy()
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
            heard: Timestamp(i64::try_from(number * 31 % 97).unwrap()).into(),
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
