//! The card data that was given out last. Kept to be recognised, never shown.

use std::collections::VecDeque;
use std::fmt;

/// How many reads are remembered: more than there are in the seconds that a line holds bytes back.
const READS_KEPT: usize = 8;

/// Card data that was given out last, encrypted; the latest at the end.
#[derive(Default)]
pub(super) struct LastReads(VecDeque<Vec<u8>>);

impl LastReads {
    pub(super) fn contains(&self, data: &[u8]) -> bool {
        self.0.iter().any(|read| read == data)
    }

    pub(super) fn push(&mut self, data: &[u8]) {
        if self.0.len() == READS_KEPT {
            self.0.pop_front();
        }
        self.0.push_back(data.to_vec());
    }
}

impl fmt::Debug for LastReads {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "LastReads({})", self.0.len())
    }
}
