//! Events in order of virtual time; of equal times, in order of their making.

use std::collections::BTreeMap;

/// What is to happen, and when.
#[derive(Debug)]
pub struct Queue<E> {
    events: BTreeMap<(u64, u64), E>,
    made: u64,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self {
            events: BTreeMap::new(),
            made: 0,
        }
    }
}

impl<E> Queue<E> {
    /// Lets something happen at an instant.
    pub fn push(&mut self, at_ms: u64, event: E) {
        self.made += 1;
        self.events.insert((at_ms, self.made), event);
    }

    /// When the next event is due.
    pub fn next_ms(&self) -> Option<u64> {
        self.events.first_key_value().map(|((at_ms, _), _)| *at_ms)
    }

    /// Takes the next event out.
    pub fn pop(&mut self) -> Option<(u64, E)> {
        self.events
            .pop_first()
            .map(|((at_ms, _), event)| (at_ms, event))
    }
}
