//! Digests for a database that has none of today's form: an empty one, or one with digests of the
//! first form, where the rows of each owner and kind were added up as a whole. Owns the one look at
//! all rows that this takes; must never make digests for rows that nothing vouches for.

use std::collections::BTreeMap;

use sled::{Batch, Db, IVec};

use super::SealTrouble;
use super::cutter::Cutter;
use super::form::{
    FIRST_DIGEST, FIRST_TOTAL_KEY, LEAF, NODE, ROOT_KEY, Sum, is_covered, key_of, rows_from, weight,
};
use super::tree::{LEAF_ROWS_MAX, NODE_LEAVES_MAX, Tree};
use crate::store::committer::number;
use crate::store::range::RESERVED_SPACE;

/// Space and first id of a row's key: what the first form added up together.
const GROUP_BYTES: usize = 17;
/// Changes in one batch; arbitrary, of the order that sled takes best.
const BATCH_MAX: usize = 256;

type Groups = BTreeMap<Vec<u8>, u64>;

fn group_of(key: &[u8]) -> &[u8] {
    let length = match key.first() {
        Some(&RESERVED_SPACE) => 2,
        _ => GROUP_BYTES,
    };
    key.get(..length).unwrap_or(key)
}

/// Digests for all rows, which are held against the digests of the first form.
pub(super) fn build(rows: &Db) -> Result<Tree, SealTrouble> {
    // What a build that was cut short left.
    remove_prefix(rows, LEAF)?;
    remove_prefix(rows, NODE)?;
    let expected = first_form(rows)?;
    let mut found = Groups::new();
    let mut leaves = Cutter::of_size(&[], LEAF_ROWS_MAX * 3 / 4);
    for entry in rows.range(rows_from(&[]).to_vec()..) {
        let (key, value) = entry?;
        if !is_covered(&key) {
            continue;
        }
        leaves.add(&key, &value);
        let weight = weight(&key, &value);
        match found.get_mut(group_of(&key)) {
            Some(sum) => *sum = sum.wrapping_add(weight),
            None => drop(found.insert(group_of(&key).to_vec(), weight)),
        }
    }
    found.retain(|_, sum| *sum != 0);
    if found != expected {
        return Err("rows do not add up to their digests of the first form".into());
    }
    if !found.is_empty() {
        let groups = found.len();
        tracing::info!(groups, "digests of the rows are brought into today's form");
    }
    let leaves = leaves.finish();
    let mut nodes = Cutter::of_size(&[], NODE_LEAVES_MAX * 3 / 4);
    for (fence, sum) in &leaves {
        nodes.add(fence, &sum.to_bytes());
    }
    let nodes = nodes.finish();
    write(rows, LEAF, &leaves)?;
    write(rows, NODE, &nodes)?;
    let tree = Tree::of(nodes, true);
    let mut last = Batch::default();
    last.insert(&ROOT_KEY, &tree.root().to_be_bytes());
    last.remove(&FIRST_TOTAL_KEY);
    rows.apply_batch(last)?;
    Ok(tree)
}

fn write(rows: &Db, prefix: [u8; 2], sums: &[(Vec<u8>, Sum)]) -> Result<(), SealTrouble> {
    for sums in sums.chunks(BATCH_MAX) {
        let mut batch = Batch::default();
        for (fence, sum) in sums {
            batch.insert(key_of(prefix, fence), &sum.to_bytes());
        }
        rows.apply_batch(batch)?;
    }
    Ok(())
}

/// The digests of the first form; none for an empty database.
fn first_form(rows: &Db) -> Result<Groups, SealTrouble> {
    let mut groups = Groups::new();
    let mut sum: u64 = 0;
    for entry in rows.scan_prefix(FIRST_DIGEST) {
        let (key, digest) = entry?;
        let group = key.get(FIRST_DIGEST.len()..).unwrap_or_default();
        sum = sum.wrapping_add(weight(group, &digest));
        groups.insert(group.to_vec(), number(&digest)?);
    }
    let total = rows.get(FIRST_TOTAL_KEY)?;
    match total.map_or(Ok(0), |total| number(&total))? {
        total if total == sum => Ok(groups),
        _ => Err("digests of the first form do not add up to their total".into()),
    }
}

/// Removes what [`build`] has made superfluous; it may have been cut short.
pub(super) fn remove_first_form(rows: &Db) -> Result<(), SealTrouble> {
    remove_prefix(rows, FIRST_DIGEST)
}

fn remove_prefix(rows: &Db, prefix: [u8; 2]) -> Result<(), SealTrouble> {
    loop {
        let keys = rows.scan_prefix(prefix).keys().take(BATCH_MAX);
        let keys = keys.collect::<sled::Result<Vec<IVec>>>()?;
        if keys.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::default();
        for key in keys {
            batch.remove(key);
        }
        rows.apply_batch(batch)?;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Puts the digests of the first form in the place of today's.
    pub(crate) fn downgrade(rows: &Db) {
        for prefix in [LEAF, NODE, ROOT_KEY] {
            remove_prefix(rows, prefix).unwrap();
        }
        let mut groups = Groups::new();
        for entry in rows.iter() {
            let (key, value) = entry.unwrap();
            if is_covered(&key) {
                let sum = groups.entry(group_of(&key).to_vec()).or_default();
                *sum = sum.wrapping_add(weight(&key, &value));
            }
        }
        let mut total: u64 = 0;
        for (group, sum) in groups {
            let sum = sum.to_be_bytes();
            total = total.wrapping_add(weight(&group, &sum));
            rows.insert(key_of(FIRST_DIGEST, &group), &sum).unwrap();
        }
        rows.insert(FIRST_TOTAL_KEY, &total.to_be_bytes()).unwrap();
    }
}
