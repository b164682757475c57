//! Rows that are committed but not yet in the state: kept in memory, read together with it, and
//! folded into it in the background, the newest value of each key only. Owns their order; must
//! never lose a change between the two, nor say that the state is further than it is.
//!
//! A transaction changes its rows several times within seconds, and writing a row into sled costs
//! more than committing it (10 µs, measured 2026-11-20). What is lost here in a crash is in the log.

mod changes;
mod merge;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) use changes::Entry;

use changes::Changes;
use merge::{Merge, gather};

use super::committer::Poison;
use super::range::KeyRange;
use super::state::{APPLIED_KEY, Change, State, head_key};
use super::{KeyValue, StreamId};

/// Keys that may wait to be folded; then a commit waits for as many as it brings, which takes
/// milliseconds. While a checkpoint holds the fold up, commits go on until the window is full.
const WINDOW_MAX: usize = 50_000;
/// Bytes of keys and values that may wait to be folded: what 50,000 rows of the usual length take.
const WINDOW_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long changes gather, so that the next ones to the same rows replace them, and how long a fold
/// takes its time while there is no hurry: the last ones are folded while the next gather (measured
/// 2026-11-21, 256 tills at work: against 100 ms the fold costs a third less and sled writes a third
/// less; folded at once, it held a core for 130 ms of every 630, and every sale of that time up).
const FOLD_EVERY: Duration = Duration::from_millis(500);
/// Keys in one batch of the state: sled lets nobody read while it applies one, 10 to 15 µs a key, and
/// smaller ones write a digest more often (measured 2026-11-21, 256 tills at work: with 64 keys a sale
/// costs 5 to 25 % more processor time). In tests a few, so that crashes cut folds in the middle.
const BATCH_MAX: usize = if cfg!(test) { 4 } else { 256 };

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

    /// Whether the thread that folds may take its time.
    fn is_calm(&self) -> bool {
        self.attended && !self.hurried && !self.closed && !self.pending.is_plenty()
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
            self.changed.notify_all();
            self.rest(overlay, changes.len());
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

    /// Leaves the processor to others for a batch's share of a fold, the shorter the more waits for
    /// the next one.
    fn rest(&self, overlay: MutexGuard<'_, Overlay>, all: usize) {
        let number = |keys: usize| u32::try_from(keys).unwrap_or(u32::MAX);
        let share = FOLD_EVERY * number(all.min(BATCH_MAX)) / number(all.max(1));
        let plenty = number(WINDOW_MAX / 2);
        let time = share / plenty * plenty.saturating_sub(number(overlay.pending.len()));
        let calm = |overlay: &mut Overlay| overlay.is_calm();
        drop(self.changed.wait_timeout_while(overlay, time, calm));
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

    /// How many keys are not in the state yet.
    pub(crate) fn waiting(&self) -> usize {
        let overlay = self.lock();
        overlay.pending.len() + overlay.left
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
        let overlay = self.lock();
        if !overlay.pending.is_empty() {
            // They have gathered during a fold.
            return !overlay.closed;
        }
        let idle = |overlay: &mut Overlay| overlay.pending.is_empty() && !overlay.closed;
        let begun = self.changed.wait_while(overlay, idle);
        let overlay = begun.unwrap_or_else(PoisonError::into_inner);
        let gather = |overlay: &mut Overlay| overlay.is_calm();
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

    /// Waits until everything that was applied before the call is in the state. Hurries nobody: a
    /// checkpoint can wait longer than a sale.
    fn settle(&self) -> Result<(), String> {
        let mut overlay = self.lock();
        let target = overlay.begun + u64::from(!overlay.pending.is_empty());
        while overlay.ended < target {
            if let Some(reason) = &overlay.failed {
                return Err(reason.clone());
            }
            overlay = match overlay.attended {
                true => self.wait(overlay),
                false => self.hurry(overlay)?,
            };
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
