//! Keys, stored forms and arithmetic of digests. Must never do I/O.

use crc::{CRC_64_XZ, Crc, Table};

use crate::store::range::RESERVED_SPACE;

/// First bytes of the keys of leaves; the first key that a leaf may hold follows.
pub(super) const LEAF: [u8; 2] = [RESERVED_SPACE, 1];
/// First bytes of the keys of nodes; the first key that a node may hold follows.
pub(super) const NODE: [u8; 2] = [RESERVED_SPACE, 2];
/// Key of the root.
pub(super) const ROOT_KEY: [u8; 2] = [RESERVED_SPACE, 3];
/// Key of the digest over all digests of the first form.
pub(super) const FIRST_TOTAL_KEY: [u8; 2] = [RESERVED_SPACE, b's'];
/// First bytes of the keys of digests of the first form.
pub(super) const FIRST_DIGEST: [u8; 2] = [RESERVED_SPACE, b'd'];
/// The least key that is covered: everything before it is bookkeeping.
const COVERED_FROM: [u8; 2] = [RESERVED_SPACE, b'h'];

/// Any odd number; this one spreads sums over all bits (2^64 divided by the golden ratio).
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
static HASH: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_XZ);

/// Whether a key counts: owners' rows and heads do. The rest misleads nobody: the log's id is
/// compared, a position that is too old costs a longer replay, and digests are covered by the root.
pub(super) fn is_covered(key: &[u8]) -> bool {
    match key {
        [RESERVED_SPACE, b'h', ..] => true,
        [RESERVED_SPACE, ..] => false,
        _ => true,
    }
}

/// Whether a key holds a digest, of whatever form.
pub(crate) fn is_bookkeeping(key: &[u8]) -> bool {
    let prefixes = [LEAF, NODE, ROOT_KEY, FIRST_DIGEST, FIRST_TOTAL_KEY];
    prefixes.iter().any(|prefix| key.starts_with(prefix))
}

/// What a row adds to the digest that covers it.
pub(super) fn weight(key: &[u8], value: &[u8]) -> u64 {
    let length = u64::try_from(key.len()).unwrap_or(u64::MAX);
    let mut digest = HASH.digest();
    digest.update(&length.to_le_bytes());
    digest.update(key);
    digest.update(value);
    // Empty input and the like must weigh something too.
    (digest.finalize() ^ SPREAD).wrapping_mul(SPREAD)
}

/// A leaf's or node's key in the database.
pub(super) fn key_of(prefix: [u8; 2], fence: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(prefix.len() + fence.len());
    key.extend_from_slice(&prefix);
    key.extend_from_slice(fence);
    key
}

/// Where a leaf's rows begin in the database.
pub(super) fn rows_from(fence: &[u8]) -> &[u8] {
    fence.max(COVERED_FROM.as_slice())
}

/// A digest, and how many rows or leaves it is over. The digest alone says what must be there; the
/// count says when it is time to cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sum {
    pub(super) digest: u64,
    pub(super) count: u32,
}

impl Sum {
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.digest = self.digest.wrapping_add(weight(key, value));
        self.count = self.count.saturating_add(1);
    }

    pub(super) fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.digest = self.digest.wrapping_sub(weight(key, value));
        self.count = self.count.saturating_sub(1);
    }

    pub(super) fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        let (digest, count) = bytes.split_at_mut(8);
        digest.copy_from_slice(&self.digest.to_be_bytes());
        count.copy_from_slice(&self.count.to_be_bytes());
        bytes
    }

    /// # Errors
    /// When the bytes are not a sum.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let (digest, count) = bytes.split_at_checked(8).ok_or("digest is too short")?;
        let digest = digest.try_into().map(u64::from_be_bytes);
        let count = count.try_into().map(u32::from_be_bytes);
        match (digest, count) {
            (Ok(digest), Ok(count)) => Ok(Self { digest, count }),
            _ => Err("digest has another length".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_weighs_something_and_keys_do_not_run_into_values() {
        assert_ne!(weight(b"", b""), 0);
        assert_ne!(weight(b"ab", b"c"), weight(b"a", b"bc"));
        let mut sum = Sum::default();
        sum.add(b"a", b"1");
        sum.add(b"b", b"2");
        sum.remove(b"a", b"1");
        let mut other = Sum::default();
        other.add(b"b", b"2");
        assert_eq!(sum, other);
        assert_eq!(Sum::from_bytes(&sum.to_bytes()), Ok(sum));
        assert!(Sum::from_bytes(b"").is_err());
    }

    #[test]
    fn rows_and_heads_are_covered_and_nothing_else() {
        for (key, expected) in [
            (b"P".as_slice(), true),
            (b"\0hstream", true),
            (b"\0p", false),
            (b"\0l", false),
            (&ROOT_KEY, false),
        ] {
            assert_eq!(is_covered(key), expected, "{key:?}");
        }
        assert!(is_bookkeeping(&key_of(LEAF, b"P")));
        assert!(!is_bookkeeping(b"\0hstream"));
        assert_eq!(rows_from(b""), COVERED_FROM);
        assert_eq!(rows_from(b"P"), b"P");
    }
}
