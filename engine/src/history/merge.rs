//! A range over all files of history as one: ordered, each key once, from the newest file that has
//! it. Unpacks only the blocks that the answer needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::file::Block;
use super::{History, HistoryError, Volume};
use crate::store::KeyValue;
use crate::store::range::successor;

/// Rows ascending, below `until` if it is given.
pub(super) fn scan(
    history: &History,
    prefix: &[u8],
    from: Option<&[u8]>,
    until: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<KeyValue>, HistoryError> {
    let range = Range {
        low: higher(prefix, from),
        high: lower(successor(prefix), until),
        backwards: false,
    };
    run(history, range, limit)
}

/// Rows descending, from `until` up if it is given.
pub(super) fn scan_back(
    history: &History,
    prefix: &[u8],
    before: Option<&[u8]>,
    until: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<KeyValue>, HistoryError> {
    let range = Range {
        low: higher(prefix, until),
        high: lower(successor(prefix), before),
        backwards: true,
    };
    run(history, range, limit)
}

fn higher(prefix: &[u8], bound: Option<&[u8]>) -> Vec<u8> {
    bound.map_or(prefix, |bound| bound.max(prefix)).to_vec()
}

fn lower(end: Option<Vec<u8>>, bound: Option<&[u8]>) -> Option<Vec<u8>> {
    match (end, bound) {
        (Some(end), Some(bound)) => Some(end.min(bound.to_vec())),
        (end, bound) => end.or_else(|| bound.map(<[u8]>::to_vec)),
    }
}

/// Keys from `low` up to and without `high`.
struct Range {
    low: Vec<u8>,
    high: Option<Vec<u8>>,
    backwards: bool,
}

impl Range {
    fn is_below_end(&self, key: &[u8]) -> bool {
        self.high.as_deref().is_none_or(|high| key < high)
    }

    fn holds(&self, key: &[u8]) -> bool {
        key >= self.low.as_slice() && self.is_below_end(key)
    }

    /// Space and owner of all keys of the range, if they are the same.
    fn owner(&self) -> Option<&[u8]> {
        let owner = self.low.get(..OWNER_BYTES)?;
        let (end, high) = (successor(owner)?, self.high.as_ref()?);
        (*high <= end).then_some(owner)
    }
}

/// Bytes of a key before the id: space and owner.
const OWNER_BYTES: usize = 17;

/// The least key of an owner with an id that was made at an instant; `None` when no id can be.
fn first_made_at(owner: &[u8], made_at: u64) -> Option<Vec<u8>> {
    let [0, 0, time @ ..] = made_at.to_be_bytes() else {
        return None;
    };
    Some([owner, time.as_slice()].concat())
}

/// Where the next row of a file is.
enum Place {
    /// Somewhere in it: nobody has looked into its index yet.
    Unsought,
    /// In this block, which nobody has looked into yet.
    Closed(usize),
    /// In this block, which is open, at this row.
    Open(usize, Arc<Block>, usize),
}

/// What the places of all files are ordered by: the key of the next row, or one that no row of what
/// is closed comes before. Of equal keys what is closed comes first, then newer files.
type Order = (Vec<u8>, bool, u32);

/// Rows of several files in order, each key once.
pub(super) struct Merge<'a> {
    history: &'a History,
    range: Range,
    next: BTreeMap<Order, (Arc<Volume>, Place)>,
    last: Option<Vec<u8>>,
}

fn run(history: &History, range: Range, limit: usize) -> Result<Vec<KeyValue>, HistoryError> {
    let mut merge = Merge::of(history, &history.volumes(), range);
    let mut rows: Vec<KeyValue> = Vec::new();
    while rows.len() < limit
        && let Some(row) = merge.next()?
    {
        rows.push(row);
    }
    Ok(rows)
}

impl<'a> Merge<'a> {
    /// All rows of these files, ascending.
    pub(super) fn whole(history: &'a History, volumes: &[Arc<Volume>]) -> Self {
        let range = Range {
            low: Vec::new(),
            high: None,
            backwards: false,
        };
        Self::of(history, volumes, range)
    }

    fn of(history: &'a History, volumes: &[Arc<Volume>], range: Range) -> Self {
        let mut merge = Self {
            history,
            range,
            next: BTreeMap::new(),
            last: None,
        };
        for volume in volumes {
            merge.await_volume(volume);
        }
        merge
    }

    /// The next row.
    pub(super) fn next(&mut self) -> Result<Option<KeyValue>, HistoryError> {
        while let Some(((key, ..), (volume, place))) = self.pop() {
            match place {
                Place::Unsought => self.seek(&volume),
                Place::Closed(at) => self.open(&volume, at)?,
                Place::Open(at, block, row) => {
                    let is_hidden = self.last.as_ref() == Some(&key);
                    let value = block.row(row).map(|(_, value)| value.to_vec());
                    self.step(&volume, at, block, row);
                    if !is_hidden && let Some(value) = value {
                        self.last = Some(key.clone());
                        return Ok(Some((key, value)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Puts a file in the queue, where the times of its ids let it be needed first: a page looks
    /// into the files of its own time only, however many there are.
    fn await_volume(&mut self, volume: &Arc<Volume>) {
        let (mut low, mut high) = (self.range.low.clone(), self.range.high.clone());
        if let Some(owner) = self.range.owner() {
            let (earliest, latest) = volume.reader.made_between();
            if let Some(first) = first_made_at(owner, earliest) {
                low = low.max(first);
            }
            if let Some(end) = first_made_at(owner, latest.saturating_add(1)) {
                high = Some(high.map_or(end.clone(), |high| high.min(end)));
            }
        }
        if high.as_ref().is_some_and(|high| *high <= low) {
            return;
        }
        match (self.range.backwards, high) {
            (true, Some(high)) => self.put(high, volume, Place::Unsought),
            (true, None) => self.seek(volume),
            (false, _) => self.put(low, volume, Place::Unsought),
        }
    }

    /// Finds the block that the range begins in.
    fn seek(&mut self, volume: &Arc<Volume>) {
        let (blocks, range) = (volume.reader.blocks(), &self.range);
        let first = if range.backwards {
            let below = blocks.partition_point(|block| range.is_below_end(&block.first));
            below.checked_sub(1)
        } else {
            Some(blocks.partition_point(|block| *block.last < *range.low))
        };
        if let Some(at) = first {
            self.await_block(volume, at);
        }
    }

    fn pop(&mut self) -> Option<(Order, (Arc<Volume>, Place))> {
        if self.range.backwards {
            self.next.pop_last()
        } else {
            self.next.pop_first()
        }
    }

    fn put(&mut self, key: Vec<u8>, volume: &Arc<Volume>, place: Place) {
        let is_closed = !matches!(place, Place::Open(..));
        let number = volume.span.last;
        let order = if self.range.backwards {
            (key, is_closed, number)
        } else {
            (key, !is_closed, u32::MAX - number)
        };
        self.next.insert(order, (Arc::clone(volume), place));
    }

    /// Puts a block in the queue, if it can hold a key of the range.
    fn await_block(&mut self, volume: &Arc<Volume>, at: usize) {
        let Some(block) = volume.reader.blocks().get(at) else {
            return;
        };
        if !self.range.is_below_end(&block.first) || *block.last < *self.range.low {
            return;
        }
        let bound = match &self.range.high {
            Some(high) if self.range.backwards => high.as_slice().min(&block.last),
            None if self.range.backwards => &block.last,
            _ => self.range.low.as_slice().max(&block.first),
        };
        self.put(bound.to_vec(), volume, Place::Closed(at));
    }

    fn open(&mut self, volume: &Arc<Volume>, at: usize) -> Result<(), HistoryError> {
        let block = self.history.block(volume, at)?;
        let row = if self.range.backwards {
            let below = self.range.high.as_deref();
            below
                .map_or(block.len(), |high| block.below(high))
                .checked_sub(1)
        } else {
            Some(block.below(&self.range.low))
        };
        match row {
            Some(row) => self.put_row(volume, at, block, row),
            None => self.await_neighbour(volume, at),
        }
        Ok(())
    }

    /// Goes on behind a row.
    fn step(&mut self, volume: &Arc<Volume>, at: usize, block: Arc<Block>, row: usize) {
        let next = if self.range.backwards {
            row.checked_sub(1)
        } else {
            row.checked_add(1)
        };
        match next {
            Some(next) => self.put_row(volume, at, block, next),
            None => self.await_neighbour(volume, at),
        }
    }

    fn put_row(&mut self, volume: &Arc<Volume>, at: usize, block: Arc<Block>, row: usize) {
        match block.row(row).map(|(key, _)| key.to_vec()) {
            Some(key) if self.range.holds(&key) => {
                self.put(key, volume, Place::Open(at, block, row));
            }
            // Behind the range, and so is everything that follows.
            Some(_) => {}
            None => self.await_neighbour(volume, at),
        }
    }

    fn await_neighbour(&mut self, volume: &Arc<Volume>, at: usize) {
        let next = if self.range.backwards {
            at.checked_sub(1)
        } else {
            at.checked_add(1)
        };
        if let Some(next) = next {
            self.await_block(volume, next);
        }
    }
}
