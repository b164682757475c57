//! Moving old rows into history: what may go, the pass that copies, the pass that removes.
//!
//! Owns the order: a row is asked to be removed only after it was read, byte for byte, through the
//! installed history. Must never remove a row itself; its merchant's owner does.

use std::collections::BTreeSet;

use protocol::id::MerchantId;

use super::file::made_at;
use super::{Extent, History, HistoryError, SPACES};
use crate::domain::pos::{PosTransaction, Stage};
use crate::domain::print::PrintJob;
use crate::domain::time::Timestamp;
use crate::domain::transaction::Transaction;
use crate::owner::key;
use crate::owner::request::ArchivedRow;
use crate::owner::work::{Stored, decode};
use crate::pace::Pause;
use crate::store::{KeyValue, ReadFault, Rows};

/// Rows read at a time.
const FETCHED_AT_ONCE: usize = 256;
/// Rows that one commit removes at most: some 5 KB of log; their owner, and all that it shares a
/// thread with, are held up for a fraction of a millisecond.
pub const REMOVED_AT_ONCE: usize = 64;
/// How far the time in an id and the clock may be apart, as for lists.
const ID_SKEW_MS: i64 = 60_000;

type Id = [u8; 16];

/// Why rows were not archived. What was archived until then is, and the rest is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// History.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The rows.
    #[error(transparent)]
    Read(#[from] ReadFault),
    /// It was told to end.
    #[error("stopped")]
    Stopped,
    /// An owner did not remove what it was asked to.
    #[error("rows of {merchant_id} were not removed: {reason}")]
    NotRemoved {
        /// Whose.
        merchant_id: MerchantId,
        /// Why.
        reason: String,
    },
}

/// What was archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moved {
    /// Rows that were copied into a new file.
    pub copied: u64,
    /// Bytes of their keys and values.
    pub copied_bytes: u64,
    /// Rows that were removed: those, and any that a run before had copied only.
    pub removed: u64,
    /// History afterwards.
    pub extent: Extent,
}

/// Asks a merchant's owner to remove rows that are in history; returns how many it removed.
pub type Remove<'a> = &'a mut dyn FnMut(MerchantId, Vec<ArchivedRow>) -> Result<usize, String>;

/// Moves what has not changed since before `before` into history. `rows` are the state without
/// history. May be repeated after any failure, and goes on where it stood. Pauses between steps of some
/// milliseconds.
///
/// # Errors
/// [`ArchiveError`].
pub fn archive(
    rows: &dyn Rows,
    history: &History,
    before: Timestamp,
    pause: Pause<'_>,
    remove: Remove<'_>,
) -> Result<Moved, ArchiveError> {
    let mut moved = Moved::default();
    let old = Old {
        rows,
        before,
        pause,
    };
    let merchants = old.merchants()?;
    old.copy(history, &merchants, &mut moved)?;
    for merchant_id in &merchants {
        for space in SPACES {
            moved.removed += old.remove(history, (*merchant_id, space), remove)?;
        }
    }
    moved.extent = history.extent();
    Ok(moved)
}

fn to_u64(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Rows, how old they must be to go, and the pace of looking for them.
struct Old<'a> {
    rows: &'a dyn Rows,
    before: Timestamp,
    pause: Pause<'a>,
}

impl Old<'_> {
    /// Every merchant, ascending.
    fn merchants(&self) -> Result<Vec<MerchantId>, ArchiveError> {
        let mut merchants = Vec::new();
        let space = key::space(key::MERCHANT);
        self.scan(&space, &mut |row| {
            let id = row.0.get(1..).and_then(|id| Id::try_from(id).ok());
            merchants.extend(id.map(MerchantId::from_bytes));
            Ok(true)
        })?;
        Ok(merchants)
    }

    /// Hands all rows of a prefix to `each`, until it says false.
    fn scan(
        &self,
        prefix: &[u8],
        each: &mut dyn FnMut(&KeyValue) -> Result<bool, ArchiveError>,
    ) -> Result<(), ArchiveError> {
        let mut from = prefix.to_vec();
        loop {
            // Before each look: most merchants have one, which ends at a young row.
            if (self.pause)() {
                return Err(ArchiveError::Stopped);
            }
            let fetched = self.rows.scan(prefix, Some(&from), FETCHED_AT_ONCE)?;
            for row in &fetched {
                if !each(row)? {
                    return Ok(());
                }
            }
            match fetched.last() {
                Some((last, _)) if fetched.len() == FETCHED_AT_ONCE => {
                    from.clone_from(last);
                    from.push(0);
                }
                _ => return Ok(()),
            }
        }
    }

    /// As [`Old::scan`], over one merchant's rows of one space whose ids were made early enough.
    fn scan_old(
        &self,
        (merchant_id, space): (MerchantId, u8),
        each: &mut dyn FnMut(&KeyValue) -> Result<bool, ArchiveError>,
    ) -> Result<(), ArchiveError> {
        let end = u64::try_from(self.before.0.saturating_add(ID_SKEW_MS)).unwrap_or(0);
        let prefix = key::of_merchant(space, merchant_id);
        self.scan(&prefix, &mut |row| {
            let is_old = made_at(&row.0).is_none_or(|at| at <= end);
            Ok(is_old && each(row)?)
        })
    }

    /// Copies what may go and is not in history yet into a new file. Spaces and merchants ascend, so
    /// that the rows come in the order of the file.
    fn copy(
        &self,
        history: &History,
        merchants: &[MerchantId],
        moved: &mut Moved,
    ) -> Result<(), ArchiveError> {
        let mut draft = None;
        for space in SPACES {
            for merchant_id in merchants {
                let held = Held::read(self.rows, *merchant_id)?;
                let mut each = |(key, value): &KeyValue| {
                    let may_go = is_archivable(key, value, self.before, &held)?;
                    if may_go && history.get(key)?.as_deref() != Some(value) {
                        if draft.is_none() {
                            draft = Some(history.begin()?);
                        }
                        if let Some(draft) = &mut draft {
                            draft.add(key, value)?;
                        }
                        moved.copied += 1;
                        moved.copied_bytes += to_u64(key.len()) + to_u64(value.len());
                    }
                    Ok(true)
                };
                self.scan_old((*merchant_id, space), &mut each)?;
            }
        }
        let is_done = match draft {
            Some(draft) => history.install(draft, self.pause)?,
            None => true,
        };
        if is_done {
            Ok(())
        } else {
            Err(ArchiveError::Stopped)
        }
    }

    /// Has one merchant's rows of one space removed that history holds byte for byte.
    fn remove(
        &self,
        history: &History,
        of: (MerchantId, u8),
        remove: Remove<'_>,
    ) -> Result<u64, ArchiveError> {
        let merchant_id = of.0;
        let mut removed = 0;
        let mut waiting: Vec<ArchivedRow> = Vec::new();
        let mut flush = |waiting: &mut Vec<ArchivedRow>| {
            if waiting.is_empty() {
                return Ok(0);
            }
            let count = remove(merchant_id, std::mem::take(waiting));
            let not_removed = |reason| ArchiveError::NotRemoved {
                merchant_id,
                reason,
            };
            count.map(to_u64).map_err(not_removed)
        };
        let mut each = |(key, value): &KeyValue| {
            if history.get(key)?.as_deref() == Some(value) {
                waiting.push(ArchivedRow {
                    key: key.clone(),
                    value: value.clone(),
                });
            }
            if waiting.len() == REMOVED_AT_ONCE {
                removed += flush(&mut waiting)?;
                if (self.pause)() {
                    return Err(ArchiveError::Stopped);
                }
            }
            Ok(true)
        };
        self.scan_old(of, &mut each)?;
        removed += flush(&mut waiting)?;
        Ok(removed)
    }
}

/// What open work of a merchant refers to, itself included: it stays.
#[derive(Debug, Default)]
struct Held(BTreeSet<Id>);

impl Held {
    fn read(rows: &dyn Rows, merchant_id: MerchantId) -> Result<Self, ReadFault> {
        let mut held = Self::default();
        let prefix = key::of_merchant(key::OPEN, merchant_id);
        for (mark, _) in rows.scan(&prefix, None, usize::MAX)? {
            let Some(row_key) = key::opened(&mark) else {
                continue;
            };
            let Some(value) = rows.get(&row_key)? else {
                continue;
            };
            held.0.extend(row_key.last_chunk().copied());
            match row_key.first() {
                Some(&key::POS) => held.hold_pos(&decode(&row_key, &value)?),
                Some(&key::TRANSACTION) => {
                    let transaction: Transaction = decode(&row_key, &value)?;
                    held.0.insert(transaction.pos_id.bytes());
                }
                Some(&key::PRINT_JOB) => {
                    let job: PrintJob = decode(&row_key, &value)?;
                    held.0.insert(job.pos_id.bytes());
                }
                _ => {}
            }
        }
        Ok(held)
    }

    fn hold_pos(&mut self, pos: &PosTransaction) {
        let attempts = pos.attempts.iter();
        let transactions = attempts.filter_map(|attempt| attempt.transaction_id);
        self.0.extend(transactions.map(|id| id.bytes()));
    }

    fn holds(&self, id: Id) -> bool {
        self.0.contains(&id)
    }
}

/// Whether a row will not change by itself any more, has not for long, and is not needed by
/// anything open.
fn is_archivable(
    row_key: &[u8],
    value: &[u8],
    before: Timestamp,
    held: &Held,
) -> Result<bool, ReadFault> {
    let own = row_key.get(17..33).and_then(|id| Id::try_from(id).ok());
    if own.is_none_or(|own| held.holds(own)) {
        return Ok(false);
    }
    Ok(match row_key.first() {
        Some(&key::POS) => {
            let pos: PosTransaction = row(row_key, value)?;
            let is_decided = pos.cancel.is_none_or(|cancel| cancel.verdict.is_some());
            pos.stage == Stage::Closed && is_decided && pos.updated_at < before
        }
        Some(&key::TRANSACTION) => {
            let transaction: Transaction = row(row_key, value)?;
            !transaction.is_open()
                && !held.holds(transaction.pos_id.bytes())
                && transaction.updated_at < before
        }
        Some(&key::PRINT_JOB) => {
            let job: PrintJob = row(row_key, value)?;
            job.state.is_final() && !held.holds(job.pos_id.bytes()) && job.updated_at < before
        }
        Some(&key::COPY_MARK) => {
            let end = u64::try_from(before.0).unwrap_or(0);
            made_at(row_key).is_some_and(|at| at < end)
        }
        _ => false,
    })
}

fn row<T: Stored>(key: &[u8], value: &[u8]) -> Result<T, ReadFault> {
    decode(key, value)
}
