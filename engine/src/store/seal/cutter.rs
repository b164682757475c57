//! Cuts a run of neighbours, rows or leaves, into parts with a digest each. Must never leave one out.

use super::form::Sum;

/// A run of neighbours that is being cut: at about half of what is allowed, evenly.
pub(super) struct Cutter {
    size: u32,
    parts: Vec<(Vec<u8>, Sum)>,
}

impl Cutter {
    /// For as many neighbours as were counted; the first part begins at `fence`.
    pub(super) fn new(fence: &[u8], count: u32, max: u32) -> Self {
        let parts = count.checked_div(max / 2).unwrap_or(1).max(1);
        Self::of_size(fence, count.div_ceil(parts))
    }

    /// For parts of this size.
    pub(super) fn of_size(fence: &[u8], size: u32) -> Self {
        Self {
            size: size.max(1),
            parts: vec![(fence.to_vec(), Sum::default())],
        }
    }

    /// Adds the next neighbour, which begins at `fence`. Returns a part that is complete.
    pub(super) fn add(&mut self, fence: &[u8], value: &[u8]) {
        if let Some((_, sum)) = self.parts.last_mut()
            && sum.count < self.size
        {
            sum.add(fence, value);
            return;
        }
        let mut sum = Sum::default();
        sum.add(fence, value);
        self.parts.push((fence.to_vec(), sum));
    }

    /// The parts.
    pub(super) fn finish(self) -> Vec<(Vec<u8>, Sum)> {
        self.parts
    }
}
