//! The key ranges behind prefix scans, one definition for every implementation of `Rows`. Must
//! never read anything.

use std::ops::Bound;

/// First byte of the keys that the store keeps for itself (heads, applied position).
pub(crate) const RESERVED_SPACE: u8 = 0x00;

/// A range of row keys, as ordered maps take it.
pub(crate) type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The least key above all keys that begin with `prefix`; `None` when there is none.
pub(crate) fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

fn end_of(prefix: &[u8]) -> Bound<Vec<u8>> {
    successor(prefix).map_or(Bound::Unbounded, Bound::Excluded)
}

fn start_of(prefix: &[u8]) -> Vec<u8> {
    // An empty prefix means every row, and the reserved space holds no rows.
    if prefix.is_empty() {
        vec![RESERVED_SPACE + 1]
    } else {
        prefix.to_vec()
    }
}

/// The greatest key below `end`, as far as keys are of bounded length.
pub(crate) fn predecessor(end: &[u8]) -> Vec<u8> {
    /// Longer than any key.
    const LENGTH: usize = 64;
    let mut key = end.to_vec();
    if let Some(before) = key.pop().and_then(|last| last.checked_sub(1)) {
        key.push(before);
        key.resize(end.len().max(LENGTH), u8::MAX);
    }
    key
}

/// Keys under `prefix` from `from` on; `None` when no key can be in the range.
pub(crate) fn ascending(prefix: &[u8], from: Option<&[u8]>) -> Option<KeyRange> {
    let start = start_of(prefix);
    let start = from
        .filter(|from| *from > start.as_slice())
        .map_or(start, <[u8]>::to_vec);
    checked(prefix, start, end_of(prefix))
}

/// Keys under `prefix` below `before`; `None` when no key can be in the range.
pub(crate) fn descending(prefix: &[u8], before: Option<&[u8]>) -> Option<KeyRange> {
    let end = end_of(prefix);
    let end = match (before, end) {
        (Some(before), Bound::Excluded(end)) if end.as_slice() <= before => Bound::Excluded(end),
        (Some(before), _) => Bound::Excluded(before.to_vec()),
        (None, end) => end,
    };
    checked(prefix, start_of(prefix), end)
}

// Ordered maps panic on ranges that end before they start.
fn checked(prefix: &[u8], start: Vec<u8>, end: Bound<Vec<u8>>) -> Option<KeyRange> {
    if prefix.first() == Some(&RESERVED_SPACE) {
        return None;
    }
    if let Bound::Excluded(end) = &end
        && *end <= start
    {
        return None;
    }
    Some((Bound::Included(start), end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_where_the_next_prefix_begins() {
        let cases: [(&[u8], Option<&[u8]>); 5] = [
            (b"a", Some(b"b")),
            (b"ab", Some(b"ac")),
            (&[1, 0xff], Some(&[2])),
            (&[0xff, 0xff], None),
            (&[], None),
        ];
        for (prefix, expected) in cases {
            assert_eq!(successor(prefix).as_deref(), expected, "{prefix:?}");
        }
    }

    #[test]
    fn predecessors_lie_below_and_within_the_prefix_that_ends_there() {
        for prefix in [b"ab".as_slice(), &[7, 0xff], &[7, 0xff, 0xff], &[7, 0]] {
            let end = successor(prefix).unwrap();
            assert!(predecessor(&end).starts_with(prefix), "{prefix:?}");
            assert!(predecessor(&end) < end, "{prefix:?}");
        }
        assert_eq!(predecessor(&[7, 0]), [7]);
    }

    #[test]
    fn ranges_that_hold_nothing_are_none() {
        assert_eq!(ascending(b"a", Some(b"b")), None);
        assert_eq!(descending(b"b", Some(b"a")), None);
        assert_eq!(descending(b"b", Some(b"b")), None);
        assert_eq!(ascending(&[RESERVED_SPACE], None), None);
        assert_eq!(descending(&[RESERVED_SPACE, 1], None), None);
    }

    #[test]
    fn bounds_outside_the_prefix_are_narrowed_to_it() {
        let whole = (
            Bound::Included(b"b".to_vec()),
            Bound::Excluded(b"c".to_vec()),
        );
        assert_eq!(ascending(b"b", Some(b"a")), Some(whole.clone()));
        assert_eq!(descending(b"b", Some(b"zz")), Some(whole));
    }
}
