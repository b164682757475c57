//! Rows that are committed but not yet in the state: kept in memory, read together with it, and
//! folded into it in the background, the newest value of each key only. Owns their order; must
//! never lose a change between the two, nor say that the state is further than it is.
//!
//! A transaction changes its rows several times within seconds, and writing a row into sled costs
//! more than committing it (10 µs, measured 2026-11-20). What is lost here in a crash is in the log.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::Bound;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::committer::Poison;
use super::range::KeyRange;
use super::state::{APPLIED_KEY, Change, State, head_key, stream_of};
use super::{KeyValue, StreamId};

/// Keys that may wait to be folded; then a commit waits for as many as it brings, which takes
/// milliseconds. While a checkpoint holds the fold up, commits go on until the window is full.
const WINDOW_MAX: usize = 50_000;
/// Bytes of keys and values that may wait to be folded: what 50,000 rows of the usual length take.
const WINDOW_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long changes gather, so that the next ones to the same rows replace them (measured
/// 2026-11-21, 256 tills at work: against 100 ms the fold costs a third less and sled writes a
/// third less; 1 s saves another tenth and lengthens the slowest sales).
const FOLD_EVERY: Duration = Duration::from_millis(500);
/// Keys in one batch of the state (measured 2026-11-20, rates at 256 waiters: 2048 keys 120 k/s, 256
/// keys 300 k/s, 64 keys 220 k/s). In tests a few, so that crashes cut folds in the middle.
const BATCH_MAX: usize = if cfg!(test) { 4 } else { 256 };

/// A row's key, and its value unless the row is removed.
pub(crate) type Entry = (Vec<u8>, Option<Vec<u8>>);

/// What commits have changed, the newest of each.
#[derive(Default)]
struct Changes {
    rows: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Length of all keys and values of rows.
    bytes: usize,
    heads: BTreeMap<StreamId, u64>,
    /// The position of the last commit among them.
    applied: Option<u64>,
}

impl Changes {
    fn len(&self) -> usize {
        self.rows.len() + self.heads.len()
    }

    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.heads.is_empty() && self.applied.is_none()
    }

    /// Puts rows, each in place of an older one of the same key.
    fn put(&mut self, rows: impl Iterator<Item = Entry>) {
        let length = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
        for (key, value) in rows {
            let key_bytes = key.len();
            self.bytes += length(&value);
            match self.rows.insert(key, value) {
                Some(older) => self.bytes -= length(&older),
                None => self.bytes += key_bytes,
            }
        }
    }

    /// Whether there is enough to fold, whatever the time.
    fn is_plenty(&self) -> bool {
        self.len() >= WINDOW_MAX / 2 || self.bytes >= WINDOW_BYTES_MAX / 2
    }

    /// The newest value at `key`; the outer `None` when nothing has changed there.
    fn get(&self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        match stream_of(key) {
            Some(stream) => {
                let head = self.heads.get(&stream)?;
                Some(Some(head.to_be_bytes().to_vec()))
            }
            None => self.rows.get(key).cloned(),
        }
    }
}

#[derive(Default)]
struct Overlay {
    /// Not yet being folded; newer than `folding`.
    pending: Changes,
    /// Being folded; newer than the state.
    folding: Arc<Changes>,
    /// How many of `folding` are not in the state, and their bytes.
    left: usize,
    left_bytes: usize,
    /// Folds begun and ended.
    begun: u64,
    ended: u64,
    hurried: bool,
    closed: bool,
    /// Whether a thread folds; otherwise whoever needs it does.
    attended: bool,
    failed: Option<String>,
}

impl Overlay {
    fn is_full(&self) -> bool {
        self.pending.len() + self.left >= WINDOW_MAX
            || self.pending.bytes + self.left_bytes >= WINDOW_BYTES_MAX
    }
}

/// A state with an overlay in memory.
pub(crate) struct FoldedState {
    inner: Arc<dyn State>,
    overlay: Mutex<Overlay>,
    changed: Condvar,
    /// Held by who folds: folds follow each other in order.
    turn: Mutex<()>,
}

impl FoldedState {
    pub(crate) fn new(inner: Arc<dyn State>) -> Self {
        Self {
            inner,
            overlay: Mutex::default(),
            changed: Condvar::new(),
            turn: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Overlay> {
        self.overlay.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, overlay: MutexGuard<'a, Overlay>) -> MutexGuard<'a, Overlay> {
        self.changed
            .wait(overlay)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Folds what waits into the state.
    pub(crate) fn fold(&self) -> Result<(), String> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let folding = {
            let mut overlay = self.lock();
            if let Some(reason) = &overlay.failed {
                return Err(reason.clone());
            }
            overlay.hurried = false;
            overlay.begun += 1;
            overlay.folding = Arc::new(std::mem::take(&mut overlay.pending));
            overlay.left = overlay.folding.len();
            overlay.left_bytes = overlay.folding.bytes;
            Arc::clone(&overlay.folding)
        };
        let outcome = self.write(&folding);
        let mut overlay = self.lock();
        match &outcome {
            Ok(()) => {
                overlay.folding = Arc::default();
                overlay.left = 0;
                overlay.left_bytes = 0;
                overlay.ended = overlay.begun;
            }
            // What was not folded stays readable.
            Err(reason) => overlay.failed = Some(reason.clone()),
        }
        self.changed.notify_all();
        outcome
    }

    fn write(&self, changes: &Changes) -> Result<(), String> {
        let heads = changes.heads.iter();
        let heads: Vec<_> = heads
            .map(|(stream, seq)| (head_key(*stream), seq.to_be_bytes()))
            .collect();
        let heads = heads
            .iter()
            .map(|(key, seq)| -> Change<'_> { (key, Some(seq)) });
        let rows = changes.rows.iter();
        let rows = rows.map(|(key, value)| -> Change<'_> { (key, value.as_deref()) });
        let mut changed = heads.chain(rows).peekable();
        while changed.peek().is_some() {
            let mut bytes = 0;
            let batch = changed.by_ref().take(BATCH_MAX);
            self.inner.apply(&mut batch.inspect(|(key, value)| {
                bytes += key.len() + value.map_or(0, <[u8]>::len);
            }))?;
            let mut overlay = self.lock();
            overlay.left = overlay.left.saturating_sub(BATCH_MAX);
            overlay.left_bytes = overlay.left_bytes.saturating_sub(bytes);
            drop(overlay);
            self.changed.notify_all();
        }
        // Last and alone, so that a cut fold never claims to be a whole one.
        match changes.applied {
            Some(applied) => self.inner.apply(&mut std::iter::once::<Change<'_>>((
                &APPLIED_KEY,
                Some(&applied.to_be_bytes()),
            ))),
            None => Ok(()),
        }
    }

    /// Takes over what one batch of commits changes: rows in order, the streams that it moves, and
    /// the position that it comes to. Waits for the fold while too much waits for it.
    ///
    /// # Errors
    /// Why nobody folds any more.
    pub(crate) fn absorb(
        &self,
        rows: impl Iterator<Item = Entry>,
        heads: impl Iterator<Item = (StreamId, u64)>,
        applied: u64,
    ) -> Result<(), String> {
        let mut overlay = self.room()?;
        let first = overlay.pending.is_empty();
        overlay.pending.put(rows);
        overlay.pending.heads.extend(heads);
        overlay.pending.applied = Some(applied);
        self.tell(&overlay, first);
        Ok(())
    }

    /// Has what waits folded before its time: by the thread that attends to it, or here.
    fn hurry<'a>(
        &'a self,
        mut overlay: MutexGuard<'a, Overlay>,
    ) -> Result<MutexGuard<'a, Overlay>, String> {
        if overlay.attended {
            overlay.hurried = true;
            self.changed.notify_all();
            return Ok(self.wait(overlay));
        }
        drop(overlay);
        self.fold()?;
        Ok(self.lock())
    }

    /// The overlay, once there is room for more.
    fn room(&self) -> Result<MutexGuard<'_, Overlay>, String> {
        let mut overlay = self.lock();
        while overlay.is_full() && overlay.failed.is_none() {
            overlay = self.hurry(overlay)?;
        }
        match &overlay.failed {
            Some(reason) => Err(reason.clone()),
            None => Ok(overlay),
        }
    }

    /// Wakes the folding thread when there is a reason to.
    fn tell(&self, overlay: &Overlay, was_empty: bool) {
        if was_empty || overlay.pending.is_plenty() {
            self.changed.notify_all();
        }
    }

    /// Takes over the folding; whoever needs it waits from now on.
    pub(crate) fn begin_attending(&self) {
        self.lock().attended = true;
    }

    /// Folds until [`FoldedState::close`]; the body of a thread.
    pub(crate) fn attend(&self, poison: &Poison) {
        while self.await_changes() {
            if let Err(reason) = self.fold() {
                return poison.spread(reason);
            }
        }
    }

    fn await_changes(&self) -> bool {
        let mut overlay = self.lock();
        while overlay.pending.is_empty() && !overlay.closed {
            overlay = self.wait(overlay);
        }
        let gather = |overlay: &mut Overlay| {
            !overlay.hurried && !overlay.closed && !overlay.pending.is_plenty()
        };
        let waited = self.changed.wait_timeout_while(overlay, FOLD_EVERY, gather);
        let (overlay, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !overlay.closed
    }

    /// Ends [`FoldedState::attend`]; what waits is folded by the next flush.
    pub(crate) fn close(&self) {
        let mut overlay = self.lock();
        overlay.closed = true;
        overlay.attended = false;
        self.changed.notify_all();
    }

    /// Records that nobody folds any more, and why.
    pub(crate) fn fail(&self, reason: &str) {
        self.lock().failed.get_or_insert_with(|| reason.to_owned());
        self.changed.notify_all();
    }

    /// Waits until everything that was applied before the call is in the state.
    fn settle(&self) -> Result<(), String> {
        let mut overlay = self.lock();
        let target = overlay.begun + u64::from(!overlay.pending.is_empty());
        while overlay.ended < target {
            if let Some(reason) = &overlay.failed {
                return Err(reason.clone());
            }
            overlay = self.hurry(overlay)?;
        }
        Ok(())
    }
}

impl State for FoldedState {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let overlay = self.lock();
        let newest = overlay
            .pending
            .get(key)
            .or_else(|| overlay.folding.get(key));
        drop(overlay);
        newest.map_or_else(|| self.inner.get(key), Ok)
    }

    /// The overlay as it is when the call begins, the state as it is a little later: a scan that
    /// runs while rows change may show one of them as it was.
    fn range(
        &self,
        range: KeyRange,
        backwards: bool,
        limit: usize,
    ) -> Result<Vec<KeyValue>, String> {
        let (newer, rest) = {
            let overlay = self.lock();
            gather(&overlay, range, backwards, limit)
        };
        // Each newer entry may hide one of the state's.
        let older = self
            .inner
            .range(rest, backwards, limit.saturating_add(newer.len()))?;
        let older = older.into_iter().map(|(key, value)| (key, Some(value)));
        let merged = Merge::new(newer.into_iter(), older, backwards);
        Ok(merged
            .filter_map(|(key, value)| Some((key, value?)))
            .take(limit)
            .collect())
    }

    fn apply(&self, changes: &mut dyn Iterator<Item = Change<'_>>) -> Result<(), String> {
        let mut overlay = self.room()?;
        let first = overlay.pending.is_empty();
        let owned = |(key, value): Change<'_>| (key.to_vec(), value.map(<[u8]>::to_vec));
        overlay.pending.put(changes.map(owned));
        self.tell(&overlay, first);
        Ok(())
    }

    fn flush(&self) -> Result<(), String> {
        self.settle()?;
        self.inner.flush()
    }
}

type Entries = Vec<Entry>;

/// The overlay's entries in a range up to `limit` values, and the part of the range that they
/// cover: nothing of the state outside it can be among the first `limit`.
fn gather(
    overlay: &Overlay,
    range: KeyRange,
    backwards: bool,
    limit: usize,
) -> (Entries, KeyRange) {
    let bounds = || {
        (
            range.0.as_ref().map(Vec::as_slice),
            range.1.as_ref().map(Vec::as_slice),
        )
    };
    let pending = overlay.pending.rows.range::<[u8], _>(bounds());
    let folding = overlay.folding.rows.range::<[u8], _>(bounds());
    let mut gathered = Entries::new();
    let mut values = 0;
    let mut collect = |entries: &mut dyn Iterator<Item = (&Vec<u8>, &Option<Vec<u8>>)>| {
        while values < limit {
            let Some((key, value)) = entries.next() else {
                return false;
            };
            values += usize::from(value.is_some());
            gathered.push((key.clone(), value.clone()));
        }
        true
    };
    let full = if backwards {
        collect(&mut Merge::new(pending.rev(), folding.rev(), true))
    } else {
        collect(&mut Merge::new(pending, folding, false))
    };
    let rest = match (full, gathered.last().map(|(key, _)| key.clone())) {
        (true, Some(last)) if backwards => (Bound::Included(last), range.1),
        (true, Some(last)) => (range.0, Bound::Included(last)),
        _ => range,
    };
    (gathered, rest)
}

/// Two sorted sequences as one; of equal keys the newer's entry.
struct Merge<N: Iterator, O: Iterator> {
    newer: Peekable<N>,
    older: Peekable<O>,
    backwards: bool,
}

impl<N: Iterator, O: Iterator> Merge<N, O> {
    fn new(newer: N, older: O, backwards: bool) -> Self {
        Self {
            newer: newer.peekable(),
            older: older.peekable(),
            backwards,
        }
    }
}

impl<K: Ord, V, N, O> Iterator for Merge<N, O>
where
    N: Iterator<Item = (K, V)>,
    O: Iterator<Item = (K, V)>,
{
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        let (Some((newer, _)), Some((older, _))) = (self.newer.peek(), self.older.peek()) else {
            return self.newer.next().or_else(|| self.older.next());
        };
        let order = if self.backwards {
            older.cmp(newer)
        } else {
            newer.cmp(older)
        };
        match order {
            std::cmp::Ordering::Less => self.newer.next(),
            std::cmp::Ordering::Equal => {
                self.older.next();
                self.newer.next()
            }
            std::cmp::Ordering::Greater => self.older.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::faulty::{MemoryHome, Random};
    use crate::store::range;
    use crate::store::state::StateHome;

    // One map tells what any mixture of waiting, folding, and folded changes must show.
    #[test]
    fn reads_see_the_newest_value_wherever_it_is() {
        for seed in 1..=200 {
            let mut random = Random::new(seed);
            let folded = FoldedState::new(MemoryHome::default().open().unwrap());
            let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
            for serial in 0..120_u64 {
                let key = vec![1, u8::try_from(random.below(12)).unwrap()];
                let value = (!random.one_in(3)).then(|| serial.to_be_bytes().to_vec());
                folded
                    .apply(&mut std::iter::once((key.as_slice(), value.as_deref())))
                    .unwrap();
                match value {
                    Some(value) => model.insert(key, value),
                    None => model.remove(&key),
                };
                match random.below(8) {
                    0 => {
                        let folding = Arc::clone(&folded.lock().folding);
                        folded.write(&folding).unwrap();
                        folded.fold().unwrap();
                    }
                    1 => {
                        // As while the thread is writing.
                        let mut overlay = folded.lock();
                        if overlay.folding.is_empty() {
                            overlay.folding = Arc::new(std::mem::take(&mut overlay.pending));
                        }
                    }
                    _ => {}
                }
                compare(&folded, &model, &mut random, seed);
                if random.one_in(4) {
                    let folding = Arc::clone(&folded.lock().folding);
                    folded.write(&folding).unwrap();
                    compare(&folded, &model, &mut random, seed);
                    folded.lock().folding = Arc::default();
                }
            }
        }
    }

    fn compare(
        folded: &FoldedState,
        model: &BTreeMap<Vec<u8>, Vec<u8>>,
        random: &mut Random,
        seed: u64,
    ) {
        let limit = usize::try_from(random.below(8)).unwrap();
        let bound = [1, u8::try_from(random.below(12)).unwrap()];
        let owned = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
        let up = range::ascending(&[1], Some(&bound)).unwrap();
        let expected: Vec<_> = model.range(up.clone()).take(limit).map(owned).collect();
        assert_eq!(
            folded.range(up, false, limit).unwrap(),
            expected,
            "seed {seed}"
        );
        if let Some(down) = range::descending(&[1], Some(&bound)) {
            let expected: Vec<_> = model
                .range(down.clone())
                .rev()
                .take(limit)
                .map(owned)
                .collect();
            assert_eq!(
                folded.range(down, true, limit).unwrap(),
                expected,
                "seed {seed}"
            );
        }
        assert_eq!(
            folded.get(&bound).unwrap().as_ref(),
            model.get(bound.as_slice())
        );
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_and_a_row_counts_once() {
        let folded = FoldedState::new(MemoryHome::default().open().unwrap());
        let big = vec![7; 1024 * 1024];
        let rows = WINDOW_BYTES_MAX / big.len() * 2;
        for serial in 0..rows {
            for key in [[1, 0], [2, u8::try_from(serial).unwrap()]] {
                let row = (key.to_vec(), Some(big.clone()));
                let position = u64::try_from(serial).unwrap();
                folded
                    .absorb(std::iter::once(row), std::iter::empty(), position)
                    .unwrap();
                let pending = &folded.lock().pending;
                let waiting = pending
                    .rows
                    .iter()
                    .map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len));
                assert_eq!(pending.bytes, waiting.sum::<usize>());
                assert!(pending.bytes <= WINDOW_BYTES_MAX + 2 * big.len());
            }
        }
        assert!(folded.lock().begun > 0);
        assert_eq!(folded.get(&[2, 0]), Ok(Some(big)));
    }

    #[test]
    fn a_flush_includes_everything_that_was_applied_before_it() {
        let home = MemoryHome::default();
        let folded = FoldedState::new(home.open().unwrap());
        for serial in 0..20_u8 {
            folded
                .apply(&mut std::iter::once((
                    [1, serial].as_slice(),
                    Some(b"v".as_slice()),
                )))
                .unwrap();
            folded.flush().unwrap();
            assert_eq!(home.get(&[1, serial]), Ok(Some(b"v".to_vec())));
        }
    }
}
