//! The rows of a block: found by key, or read in order.

/// The rows of a block, unpacked.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::history) struct Block {
    raw: Vec<u8>,
    /// Beginning and end of each key, end of its value.
    rows: Vec<(usize, usize, usize)>,
}

impl Block {
    /// Reads the rows of an unpacked block; `None` when they are not in order.
    pub(super) fn read(raw: Vec<u8>) -> Option<Self> {
        let mut rows = Vec::new();
        let mut at = 0;
        while at < raw.len() {
            let rest = raw.get(at..)?;
            let (key_length, rest) = rest.split_first_chunk::<2>()?;
            let (value_length, _) = rest.split_first_chunk::<4>()?;
            let key_at = at.checked_add(6)?;
            let value_at = key_at.checked_add(usize::from(u16::from_le_bytes(*key_length)))?;
            let value_length = usize::try_from(u32::from_le_bytes(*value_length)).ok()?;
            at = value_at.checked_add(value_length)?;
            let key = raw.get(key_at..value_at)?;
            raw.get(value_at..at)?;
            let before = rows
                .last()
                .and_then(|(key_at, value_at, _)| raw.get(*key_at..*value_at));
            if before.is_some_and(|before| before >= key) {
                return None;
            }
            rows.push((key_at, value_at, at));
        }
        (!rows.is_empty()).then_some(Self { raw, rows })
    }

    /// How many rows there are.
    pub(in crate::history) fn len(&self) -> usize {
        self.rows.len()
    }

    /// A row.
    pub(in crate::history) fn row(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let (key_at, value_at, end) = *self.rows.get(index)?;
        Some((
            self.raw.get(key_at..value_at)?,
            self.raw.get(value_at..end)?,
        ))
    }

    /// How many rows are below a key.
    pub(in crate::history) fn below(&self, key: &[u8]) -> usize {
        self.rows.partition_point(|(key_at, value_at, _)| {
            self.raw
                .get(*key_at..*value_at)
                .is_some_and(|found| found < key)
        })
    }

    /// All rows.
    pub(in crate::history) fn rows(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.len()).filter_map(|at| self.row(at))
    }

    /// The value at a key.
    pub(in crate::history) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let (found, value) = self.row(self.below(key))?;
        (found == key).then_some(value)
    }
}
