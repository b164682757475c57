//! The digests themselves: nodes in memory, leaves in the database, verified level by level where a
//! path is walked for the first time. Must never change a digest apart from what it is over.

use std::collections::BTreeMap;
use std::ops::Bound;

use sled::{Batch, Db};

use super::SealTrouble;
use super::cutter::Cutter;
use super::form::{LEAF, NODE, ROOT_KEY, Sum, is_covered, key_of, rows_from, weight};
use super::former::Former;
use super::recent::{Leaf, Recent};
use crate::store::committer::number;
use crate::store::state::Change;

/// Rows in a leaf before it is cut: what a first look reads, so a fraction of a millisecond.
pub(super) const LEAF_ROWS_MAX: u32 = if cfg!(test) { 8 } else { 128 };
/// Leaves in a node before it is cut.
pub(super) const NODE_LEAVES_MAX: u32 = if cfg!(test) { 8 } else { 256 };

/// A stretch of neighbouring leaves.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// Over its leaves.
    sum: Sum,
    /// Whether its leaves were found to add up since the opening.
    is_verified: bool,
}

/// What all rows must add up to.
#[derive(Debug)]
pub(super) struct Tree {
    root: u64,
    nodes: BTreeMap<Vec<u8>, Node>,
    recent: Recent,
}

fn do_not_add_up(what: &str, fence: &[u8]) -> SealTrouble {
    let from = hex::encode(fence);
    SealTrouble::Damaged(format!(
        "{what} from {from} on do not add up to their digest"
    ))
}

fn until(end: Option<&[u8]>) -> Bound<Vec<u8>> {
    end.map_or(Bound::Unbounded, |end| Bound::Excluded(end.to_vec()))
}

/// Calls `each` with every row of a leaf.
fn for_each_row(
    rows: &Db,
    leaf: &Leaf,
    each: &mut dyn FnMut(&[u8], &[u8]),
) -> Result<(), SealTrouble> {
    let from = rows_from(&leaf.fence);
    if leaf.end.as_deref().is_some_and(|end| end <= from) {
        return Ok(());
    }
    let range = (Bound::Included(from.to_vec()), until(leaf.end.as_deref()));
    for entry in rows.range::<Vec<u8>, _>(range) {
        let (key, value) = entry?;
        if is_covered(&key) {
            each(&key, &value);
        }
    }
    Ok(())
}

/// Holds a leaf's rows against its digest.
pub(super) fn check_rows(rows: &Db, leaf: &Leaf) -> Result<(), SealTrouble> {
    let mut sum = Sum::default();
    for_each_row(rows, leaf, &mut |key, value| sum.add(key, value))?;
    if sum.digest == leaf.sum.digest {
        Ok(())
    } else {
        Err(do_not_add_up("rows", &leaf.fence))
    }
}

/// A leaf that a batch has changed.
#[derive(Debug)]
pub(super) struct Changed {
    leaf: Leaf,
    old: Sum,
}

impl Tree {
    /// Reads root and nodes; `None` when there are no digests of this form.
    pub(super) fn open(rows: &Db) -> Result<Option<Self>, SealTrouble> {
        let Some(root) = rows.get(ROOT_KEY)? else {
            return Ok(None);
        };
        let mut parts = Vec::new();
        for entry in rows.scan_prefix(NODE) {
            let (key, sum) = entry?;
            let fence = key.get(NODE.len()..).unwrap_or_default();
            parts.push((fence.to_vec(), Sum::from_bytes(&sum)?));
        }
        let tree = Self::of(parts, false);
        if tree.root == number(&root)? {
            Ok(Some(tree))
        } else {
            Err("nodes do not add up to the root".into())
        }
    }

    /// A tree of these nodes.
    pub(super) fn of(nodes: Vec<(Vec<u8>, Sum)>, is_verified: bool) -> Self {
        let weights = nodes
            .iter()
            .map(|(fence, sum)| weight(fence, &sum.to_bytes()));
        Self {
            root: weights.fold(0, u64::wrapping_add),
            nodes: nodes
                .into_iter()
                .map(|(fence, sum)| (fence, Node { sum, is_verified }))
                .collect(),
            recent: Recent::default(),
        }
    }

    /// The digest over all nodes.
    pub(super) const fn root(&self) -> u64 {
        self.root
    }

    /// The fence of the node that a key is in, and where the next begins.
    fn node_around(&self, key: &[u8]) -> Result<(Vec<u8>, Option<Vec<u8>>), SealTrouble> {
        let below = (Bound::Unbounded, Bound::Included(key));
        let above = (Bound::Excluded(key), Bound::Unbounded);
        let node = self.nodes.range::<[u8], _>(below).next_back();
        let (fence, _) = node.ok_or("there is no first node")?;
        let next = self.nodes.range::<[u8], _>(above).next();
        Ok((fence.clone(), next.map(|(fence, _)| fence.clone())))
    }

    /// The leaf that a key is in, its digest held against the node's and the root.
    pub(super) fn leaf(&mut self, rows: &Db, key: &[u8]) -> Result<Leaf, SealTrouble> {
        if let Some(leaf) = self.recent.find(key) {
            return Ok(leaf);
        }
        let (node, next) = self.node_around(key)?;
        if self.nodes.get(&node).is_some_and(|node| !node.is_verified) {
            self.cut_node(rows, &node, next.as_deref(), u32::MAX)?;
        }
        let here = key_of(LEAF, key);
        let found = rows
            .range(LEAF.to_vec()..=here.clone())
            .next_back()
            .ok_or("there is no first leaf")?;
        let (found, sum) = found?;
        let end = rows
            .range((Bound::Excluded(here), Bound::Excluded(NODE.to_vec())))
            .next();
        let end = end.transpose()?;
        let fence = |key: &[u8]| key.get(LEAF.len()..).unwrap_or_default().to_vec();
        let leaf = Leaf {
            fence: fence(&found),
            end: end.map(|(end, _)| fence(&end)),
            sum: Sum::from_bytes(&sum)?,
        };
        self.recent.put(leaf.clone());
        Ok(leaf)
    }

    /// Changes rows, each key once and in order, with every digest above them.
    pub(super) fn apply(
        &mut self,
        rows: &Db,
        changes: &[Change<'_>],
    ) -> Result<Vec<Changed>, SealTrouble> {
        let mut batch = Batch::default();
        let mut changed: Vec<Changed> = Vec::new();
        let mut former = Former::default();
        for (at, (key, value)) in changes.iter().enumerate() {
            match value {
                Some(value) => batch.insert(*key, *value),
                None => batch.remove(*key),
            }
            if !is_covered(key) {
                continue;
            }
            if changed.last().is_none_or(|last| !last.leaf.reaches(key)) {
                let leaf = self.leaf(rows, key)?;
                let rest = changes.get(at..).unwrap_or_default();
                let count = rest.partition_point(|(key, _)| leaf.reaches(key));
                former = Former::of(rows, rest.get(..count).unwrap_or_default());
                let old = leaf.sum;
                changed.push(Changed { leaf, old });
            }
            let Some(Changed { leaf, .. }) = changed.last_mut() else {
                continue;
            };
            if let Some(old) = former.value(rows, key)? {
                leaf.sum.remove(key, &old);
            }
            if let Some(value) = value {
                leaf.sum.add(key, value);
            }
        }
        changed.retain(|changed| changed.leaf.sum != changed.old);
        self.raise(&changed, &mut batch)?;
        rows.apply_batch(batch)?;
        for Changed { leaf, .. } in &changed {
            self.recent.put(leaf.clone());
        }
        Ok(changed)
    }

    /// Writes the digests of leaves, and those above them.
    fn raise(&mut self, changed: &[Changed], batch: &mut Batch) -> Result<(), SealTrouble> {
        let mut nodes: Vec<(Vec<u8>, Sum)> = Vec::new();
        for Changed { leaf, old } in changed {
            let bytes = leaf.sum.to_bytes();
            batch.insert(key_of(LEAF, &leaf.fence), &bytes);
            let below = (Bound::Unbounded, Bound::Included(leaf.fence.as_slice()));
            let node = self.nodes.range_mut::<[u8], _>(below).next_back();
            let (fence, node) = node.ok_or("there is no first node")?;
            if nodes.last().is_none_or(|(last, _)| last != fence) {
                nodes.push((fence.clone(), node.sum));
            }
            node.sum.remove(&leaf.fence, &old.to_bytes());
            node.sum.add(&leaf.fence, &bytes);
        }
        for (fence, old) in nodes {
            let new = self.nodes.get(&fence).map(|node| node.sum);
            self.replace_node(&fence, Some(old), new, batch);
        }
        self.seal(batch);
        Ok(())
    }

    /// Notes that a node has another digest, is new, or is gone.
    fn replace_node(
        &mut self,
        fence: &[u8],
        old: Option<Sum>,
        new: Option<Sum>,
        batch: &mut Batch,
    ) {
        let part = |sum: Option<Sum>| sum.map_or(0, |sum| weight(fence, &sum.to_bytes()));
        self.root = self.root.wrapping_sub(part(old)).wrapping_add(part(new));
        match new {
            Some(sum) => batch.insert(key_of(NODE, fence), &sum.to_bytes()),
            None => batch.remove(key_of(NODE, fence)),
        }
    }

    fn seal(&self, batch: &mut Batch) {
        batch.insert(&ROOT_KEY, &self.root.to_be_bytes());
    }

    /// Cuts a leaf that has grown too long, and gives up one that has no rows any more. Returns
    /// what was verified by it.
    pub(super) fn mend(
        &mut self,
        rows: &Db,
        changed: Changed,
    ) -> Result<Option<Leaf>, SealTrouble> {
        let leaf = changed.leaf;
        if leaf.sum.count > LEAF_ROWS_MAX {
            self.cut_leaf(rows, &leaf)?;
        } else if leaf.sum.count == 0 && !self.nodes.contains_key(&leaf.fence) {
            self.give_up(rows, &leaf)?;
        } else {
            return Ok(None);
        }
        Ok(Some(leaf))
    }

    fn cut_leaf(&mut self, rows: &Db, leaf: &Leaf) -> Result<(), SealTrouble> {
        let mut cutter = Cutter::new(&leaf.fence, leaf.sum.count, LEAF_ROWS_MAX);
        for_each_row(rows, leaf, &mut |key, value| cutter.add(key, value))?;
        let parts = cutter.finish();
        let total = parts.iter().map(|(_, sum)| sum.digest);
        if total.fold(0, u64::wrapping_add) != leaf.sum.digest {
            return Err(do_not_add_up("rows", &leaf.fence));
        }
        let (node_fence, next) = self.node_around(&leaf.fence)?;
        let Some(node) = self.nodes.get_mut(&node_fence) else {
            return Ok(());
        };
        let old = node.sum;
        let mut batch = Batch::default();
        node.sum.remove(&leaf.fence, &leaf.sum.to_bytes());
        for (fence, sum) in &parts {
            node.sum.add(fence, &sum.to_bytes());
            batch.insert(key_of(LEAF, fence), &sum.to_bytes());
        }
        let new = node.sum;
        self.replace_node(&node_fence, Some(old), Some(new), &mut batch);
        self.seal(&mut batch);
        rows.apply_batch(batch)?;
        let mut end = leaf.end.clone();
        for (fence, sum) in parts.into_iter().rev() {
            let next = Some(fence.clone());
            self.recent.put(Leaf { fence, end, sum });
            end = next;
        }
        if new.count > NODE_LEAVES_MAX {
            self.cut_node(rows, &node_fence, next.as_deref(), NODE_LEAVES_MAX)?;
        }
        Ok(())
    }

    /// Lets the leaf before have an empty leaf's keys. A node's first leaf stays: nodes are not
    /// joined, an empty one costs a hundred bytes.
    fn give_up(&mut self, rows: &Db, leaf: &Leaf) -> Result<(), SealTrouble> {
        check_rows(rows, leaf)?;
        let (node_fence, _) = self.node_around(&leaf.fence)?;
        let before = rows
            .range(LEAF.to_vec()..key_of(LEAF, &leaf.fence))
            .next_back();
        let Some((before, sum)) = before.transpose()? else {
            return Ok(());
        };
        let before = Leaf {
            fence: before.get(LEAF.len()..).unwrap_or_default().to_vec(),
            end: leaf.end.clone(),
            sum: Sum::from_bytes(&sum)?,
        };
        let Some(node) = self.nodes.get_mut(&node_fence) else {
            return Ok(());
        };
        let old = node.sum;
        node.sum.remove(&leaf.fence, &leaf.sum.to_bytes());
        let new = node.sum;
        let mut batch = Batch::default();
        batch.remove(key_of(LEAF, &leaf.fence));
        self.replace_node(&node_fence, Some(old), Some(new), &mut batch);
        self.seal(&mut batch);
        rows.apply_batch(batch)?;
        self.recent.remove(&leaf.fence);
        self.recent.put(before);
        Ok(())
    }

    /// Holds a node's leaves against its digest, and cuts it where it has more than `max` leaves.
    fn cut_node(
        &mut self,
        rows: &Db,
        node_fence: &[u8],
        next: Option<&[u8]>,
        max: u32,
    ) -> Result<(), SealTrouble> {
        let Some(old) = self.nodes.get(node_fence).map(|node| node.sum) else {
            return Ok(());
        };
        let end = next.map_or(NODE.to_vec(), |next| key_of(LEAF, next));
        let mut cutter = match old.count > max {
            true => Cutter::new(node_fence, old.count, max),
            false => Cutter::of_size(node_fence, u32::MAX),
        };
        for entry in rows.range(key_of(LEAF, node_fence)..end) {
            let (key, sum) = entry?;
            cutter.add(key.get(LEAF.len()..).unwrap_or_default(), &sum);
        }
        let parts = cutter.finish();
        let total = parts.iter().map(|(_, sum)| sum.digest);
        if total.fold(0, u64::wrapping_add) != old.digest {
            return Err(do_not_add_up("leaves", node_fence));
        }
        let is_cut = parts.len() > 1;
        let mut batch = Batch::default();
        if is_cut {
            self.replace_node(node_fence, Some(old), None, &mut batch);
        }
        for (fence, sum) in parts {
            if is_cut {
                self.replace_node(&fence, None, Some(sum), &mut batch);
            }
            let is_verified = true;
            self.nodes.insert(fence, Node { sum, is_verified });
        }
        if is_cut {
            self.seal(&mut batch);
            rows.apply_batch(batch)?;
        }
        Ok(())
    }
}
