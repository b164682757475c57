//! A set of keys as ranges, neighbours joined. Owns its bound; must never hold a key that was not
//! put into it, but may forget some.

use std::collections::BTreeMap;
use std::ops::Bound;

/// Ranges that are kept, before half of them are forgotten: some 8 MB.
const RANGES_MAX: usize = if cfg!(test) { 8 } else { 50_000 };

/// Disjoint ranges that do not touch: from a key to another, which is not included.
#[derive(Debug, Clone, Default)]
pub(super) struct Ranges(BTreeMap<Vec<u8>, Option<Vec<u8>>>);

fn is_before(end: Option<&[u8]>, key: &[u8]) -> bool {
    end.is_some_and(|end| end < key)
}

impl Ranges {
    /// Where the range that `key` is in ends; the inner `None` is the end of all keys.
    pub(super) fn around(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        let below = (Bound::Unbounded, Bound::Included(key));
        let (_, end) = self.0.range::<[u8], _>(below).next_back()?;
        let end = end.as_deref();
        end.is_none_or(|end| key < end).then_some(end)
    }

    /// Adds everything from a key to another, which is not included.
    pub(super) fn insert(&mut self, from: Vec<u8>, end: Option<Vec<u8>>) {
        let (mut from, mut end) = (from, end);
        loop {
            // The last range that does not begin behind the new one: it reaches the new one, or it
            // and all before it lie apart.
            let upto = match &end {
                Some(end) => Bound::Included(end.as_slice()),
                None => Bound::Unbounded,
            };
            let last = self
                .0
                .range::<[u8], _>((Bound::Unbounded, upto))
                .next_back();
            let Some((first, reach)) =
                last.filter(|(_, reach)| !is_before(reach.as_deref(), &from))
            else {
                break;
            };
            let (first, reach) = (first.clone(), reach.clone());
            self.0.remove(&first);
            from = from.min(first);
            end = match (end, reach) {
                (Some(one), Some(other)) => Some(one.max(other)),
                _ => None,
            };
        }
        if self.0.len() >= RANGES_MAX {
            let mut keeps = false;
            self.0.retain(|_, _| {
                keeps = !keeps;
                keeps
            });
        }
        self.0.insert(from, end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(of: &[(&str, Option<&str>)]) -> Ranges {
        let mut ranges = Ranges::default();
        for (from, end) in of {
            let end = end.map(|end| end.as_bytes().to_vec());
            ranges.insert(from.as_bytes().to_vec(), end);
        }
        ranges
    }

    #[test]
    fn neighbours_and_overlaps_are_joined() {
        for (of, count) in [
            (vec![("a", Some("c")), ("c", Some("e"))], 1),
            (vec![("c", Some("e")), ("a", Some("c"))], 1),
            (vec![("a", Some("b")), ("c", Some("d"))], 2),
            (
                vec![("a", Some("b")), ("c", Some("d")), ("b", Some("c"))],
                1,
            ),
            (vec![("b", Some("c")), ("a", Some("z"))], 1),
            (vec![("a", Some("z")), ("b", Some("c"))], 1),
            (vec![("a", Some("b")), ("c", None), ("", Some("a"))], 2),
            (vec![("d", None), ("a", Some("b")), ("b", None)], 1),
        ] {
            assert_eq!(ranges(&of).0.len(), count, "{of:?}");
        }
    }

    #[test]
    fn what_is_in_a_range_is_found_and_nothing_else() {
        let ranges = ranges(&[("b", Some("d")), ("f", None)]);
        for (key, expected) in [
            ("a", None),
            ("b", Some(Some("d"))),
            ("cz", Some(Some("d"))),
            ("d", None),
            ("f", Some(None)),
            ("z", Some(None)),
        ] {
            let expected = expected.map(|end: Option<&str>| end.map(str::as_bytes));
            assert_eq!(ranges.around(key.as_bytes()), expected, "{key}");
        }
    }

    #[test]
    fn the_number_of_ranges_is_bounded() {
        let mut ranges = Ranges::default();
        for key in 0..100_u8 {
            ranges.insert(vec![key, 0], Some(vec![key, 1]));
            assert!(ranges.0.len() <= RANGES_MAX);
            assert_eq!(ranges.around(&[key, 0]), Some(Some([key, 1].as_slice())));
        }
    }
}
