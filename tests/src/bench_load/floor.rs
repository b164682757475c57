//! The floor: what the disk takes when somebody only appends and syncs, with the same batching as
//! the store's committer. The store's own numbers are worth reading only beside these.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate};

use crate::measure::{Samples, per, rounded};
use crate::report::Result;

/// Bytes of one commit: about what a step of a sale takes in the log.
pub(crate) const COMMIT_BYTES: usize = 1_024;
/// Space prepared for the file, as the store prepares its segments.
const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Appends and syncs for `seconds`, `waiters` commits at a time.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn measure(
    dir: &Path,
    waiters: usize,
    seconds: u64,
    result: &mut Result,
) -> io::Result<()> {
    let path = dir.join("floor");
    let batch = vec![0x5A; COMMIT_BYTES * waiters];
    let mut samples = Samples::default();
    let mut commits = 0;
    let begun = Instant::now();
    let mut left = 0;
    let mut file = File::create(&path)?;
    while begun.elapsed() < Duration::from_secs(seconds) {
        if left < batch.len() {
            file = File::create(&path)?;
            fallocate(&file, FallocateFlags::empty(), 0, FILE_BYTES)?;
            file.sync_all()?;
            left = usize::try_from(FILE_BYTES).map_err(io::Error::other)?;
        }
        let at = Instant::now();
        file.write_all(&batch)?;
        file.sync_data()?;
        samples.add(at.elapsed());
        left -= batch.len();
        commits += u64::try_from(waiters).map_err(io::Error::other)?;
    }
    let elapsed = begun.elapsed().as_secs_f64();
    fs::remove_file(&path)?;
    let name = |what: &str| format!("floor_{waiters}_{what}");
    result.insert(name("commits_per_s"), rounded(per(commits, elapsed)));
    samples.describe(&name("sync"), result);
    Ok(())
}
