//! The leaves that were used of late, so that a change does not look theirs up. Owns its bound;
//! must never be asked whether rows were verified.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::form::Sum;

/// Leaves in each of two generations: some 6 MB.
const GENERATION_MAX: usize = if cfg!(test) { 8 } else { 20_000 };

/// A stretch of neighbouring keys and what its rows must add up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    /// The least key that it may hold.
    pub(super) fence: Vec<u8>,
    /// The least key that it may not hold any more; `None` for the last leaf.
    pub(super) end: Option<Vec<u8>>,
    pub(super) sum: Sum,
}

impl Leaf {
    /// Whether a key that is not before it is in it.
    pub(super) fn reaches(&self, key: &[u8]) -> bool {
        self.end.as_deref().is_none_or(|end| key < end)
    }
}

type Generation = BTreeMap<Vec<u8>, (Option<Vec<u8>>, Sum)>;

/// Leaves by their fences. What is not used while as many others are is forgotten.
#[derive(Debug, Default)]
pub(super) struct Recent {
    young: Generation,
    old: Generation,
}

fn find(generation: &Generation, key: &[u8]) -> Option<Leaf> {
    let below = (Bound::Unbounded, Bound::Included(key));
    let (fence, (end, sum)) = generation.range::<[u8], _>(below).next_back()?;
    if end.as_deref().is_some_and(|end| end <= key) {
        return None;
    }
    Some(Leaf {
        fence: fence.clone(),
        end: end.clone(),
        sum: *sum,
    })
}

impl Recent {
    /// The leaf that a key is in.
    pub(super) fn find(&mut self, key: &[u8]) -> Option<Leaf> {
        if let Some(leaf) = find(&self.young, key) {
            return Some(leaf);
        }
        let leaf = find(&self.old, key)?;
        self.put(leaf.clone());
        Some(leaf)
    }

    /// Replaces what is known of a leaf.
    pub(super) fn put(&mut self, leaf: Leaf) {
        if let Some(known) = self.young.get_mut(&leaf.fence) {
            *known = (leaf.end, leaf.sum);
            return;
        }
        self.old.remove(&leaf.fence);
        if self.young.len() >= GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(leaf.fence, (leaf.end, leaf.sum));
    }

    /// Forgets a leaf.
    pub(super) fn remove(&mut self, fence: &[u8]) {
        self.young.remove(fence);
        self.old.remove(fence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(key: u8) -> Leaf {
        Leaf {
            fence: vec![key],
            end: Some(vec![key + 1]),
            sum: Sum {
                digest: u64::from(key),
                count: 1,
            },
        }
    }

    #[test]
    fn what_is_used_stays_and_the_rest_is_forgotten() {
        let mut recent = Recent::default();
        for key in 0..100 {
            recent.put(leaf(key));
            assert_eq!(recent.find(&[0, 7]), Some(leaf(0)));
            assert_eq!(recent.find(&[key, 9]), Some(leaf(key)));
            assert!(recent.young.len() + recent.old.len() <= 2 * GENERATION_MAX);
        }
        assert_eq!(recent.find(&[50]), None);
        recent.remove(&[0]);
        assert_eq!(recent.find(&[0]), None);
    }

    #[test]
    fn a_newer_leaf_replaces_an_older_one_in_both_generations() {
        let mut recent = Recent::default();
        recent.put(leaf(0));
        for key in 1..=8 {
            recent.put(leaf(key));
        }
        let newer = Leaf {
            sum: Sum::default(),
            ..leaf(0)
        };
        recent.put(newer.clone());
        assert_eq!(recent.find(&[0]), Some(newer));
    }
}
