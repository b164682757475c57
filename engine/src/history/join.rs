//! Joining of files: every run makes one, and a look into many costs more than into few. Owns which
//! files are joined; must never leave out a row that a newer file does not hide.

use std::fs;
use std::sync::Arc;

use super::listing::Span;
use super::merge::Merge;
use super::{Draft, History, HistoryError, Volume};
use crate::pace::Pause;

/// Neighbours of about one size that are joined. A file of 1 MiB a day (some 3,000 sales) makes some
/// twenty in ten years, each row of which was written four times.
const JOINED_AT_ONCE: usize = 8;
/// The size up to which files are of the first step; each further step is eight times as large.
const STEP_BYTES: u64 = 8 * 1024 * 1024;
/// Steps: 8 MiB, 64 MiB, 512 MiB. A larger file stays as it is.
const STEPS: u32 = 3;
/// No joined file is longer, so that joining needs no more room than that: a few million sales.
const JOINED_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Rows between two pauses.
const PAUSE_EVERY: u64 = 256;

/// What joining has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Joined {
    /// Files that were joined with others.
    pub files: usize,
    /// Files that came of it.
    pub into: usize,
}

/// Where to join: from which file on, and how many. `bytes` are the sizes of all files in order.
fn next(bytes: &[u64]) -> Option<(usize, usize)> {
    (0..STEPS).find_map(|step| {
        let most = STEP_BYTES.saturating_mul(8_u64.pow(step));
        let mut from = 0;
        for run in bytes.split(|bytes| *bytes > most) {
            let count = front(run);
            // Beyond the first step only what leaves it: joined again and again, a large file would
            // be written as often as small ones come.
            let leaves = step == 0 || run.iter().sum::<u64>() > most;
            if run.len() >= JOINED_AT_ONCE && count > 1 && leaves {
                return Some((from, count));
            }
            from += run.len() + 1;
        }
        None
    })
}

/// How many of them fit into one file.
fn front(run: &[u64]) -> usize {
    let mut left = JOINED_BYTES_MAX;
    run.iter()
        .take_while(|bytes| match left.checked_sub(**bytes) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        })
        .count()
}

impl History {
    /// Joins small files into larger ones, until there are few of each size. What is read meanwhile
    /// is the same before, while and after; a crash leaves the small files, or both, or the large
    /// ones. Must not run beside another change of history.
    ///
    /// # Errors
    /// [`HistoryError`]; history is as it was then.
    pub fn join(&self, pause: Pause<'_>) -> Result<Joined, HistoryError> {
        let mut joined = Joined::default();
        loop {
            let volumes = self.volumes();
            let bytes: Vec<u64> = volumes.iter().map(|volume| volume.reader.bytes()).collect();
            let Some((from, count)) = next(&bytes) else {
                return Ok(joined);
            };
            let parts = volumes.iter().skip(from).take(count);
            let parts: Vec<Arc<Volume>> = parts.cloned().collect();
            if !self.join_these(&parts, pause)? {
                return Ok(joined);
            }
            joined.files += count;
            joined.into += 1;
        }
    }

    /// Joins neighbours; false when it was stopped.
    fn join_these(&self, parts: &[Arc<Volume>], pause: Pause<'_>) -> Result<bool, HistoryError> {
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
            return Ok(true);
        };
        let span = Span {
            first: first.span.first,
            last: last.span.last,
        };
        let mut draft = self.draft(span)?;
        let beside = draft.beside.clone();
        let outcome = self.write(parts, &mut draft, pause);
        let outcome = outcome.and_then(|is_done| match is_done {
            true => self.install(draft, pause),
            false => Ok(false),
        });
        if !matches!(outcome, Ok(true)) {
            // The disk may be full. What is not removed here, the next run removes.
            fs::remove_file(beside).ok();
        }
        outcome
    }

    fn write(
        &self,
        parts: &[Arc<Volume>],
        draft: &mut Draft,
        pause: Pause<'_>,
    ) -> Result<bool, HistoryError> {
        let mut rows = Merge::whole(self, parts);
        while let Some((key, value)) = rows.next()? {
            if draft.rows().is_multiple_of(PAUSE_EVERY) && pause() {
                return Ok(false);
            }
            draft.add(&key, &value)?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn eight_neighbours_of_one_size_are_joined() {
        for (bytes, expected) in [
            (vec![], None),
            (vec![MIB; 7], None),
            (vec![MIB; 8], Some((0, 8))),
            (vec![MIB; 30], Some((0, 30))),
            // The larger one stands between; together they are not enough for the next step.
            ([vec![MIB; 5], vec![9 * MIB], vec![MIB; 5]].concat(), None),
            ([vec![9 * MIB], vec![MIB; 8]].concat(), Some((1, 8))),
            ([vec![10 * MIB; 7], vec![MIB]].concat(), Some((0, 8))),
            ([vec![10 * MIB; 6], vec![MIB]].concat(), None),
            (vec![600 * MIB; 20], None),
            (vec![500 * MIB; 8], Some((0, 2))),
            ([vec![900 * MIB], vec![500 * MIB; 8]].concat(), Some((1, 2))),
        ] {
            assert_eq!(next(&bytes), expected, "{bytes:?}");
        }
    }

    // A file a day, for ten years: the number of files and what is written stay in bounds.
    #[test]
    fn ten_years_of_days_are_few_files() {
        let mut files: Vec<u64> = Vec::new();
        let (mut written, mut most) = (0, 0);
        for _ in 0..3_650 {
            files.push(5 * MIB);
            while let Some((from, count)) = next(&files) {
                let bytes: u64 = files.splice(from..from + count, []).sum();
                assert!(bytes <= JOINED_BYTES_MAX);
                files.insert(from, bytes);
                written += bytes;
            }
            most = most.max(files.len());
        }
        let all: u64 = files.iter().sum();
        assert_eq!(all, 18_250 * MIB);
        assert!(most < 60, "{most} files");
        assert!(written < 4 * all, "{written} of {all}");
    }
}
