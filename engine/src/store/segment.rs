//! The segments of the log: their names, which of them exist and where (`catalogue`), and the spare
//! one that is prepared ahead of need (`spares`). Must never read or write a batch.

mod catalogue;
mod spares;

use std::io;

pub(crate) use catalogue::Catalogue;
pub(crate) use spares::{Spare, SpareLimits, Spares};

use super::disk::Disk;

/// Directory of the segments that are written or not yet covered by a checkpoint.
pub(crate) const LOG: &str = "log";
/// Directory of the segments that the checkpoint covers.
pub(crate) const ARCHIVE: &str = "archive";
/// No segment may be longer: recovery reads one at a time into memory.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

const EXTENSION: &str = ".log";
const UNFINISHED: &str = ".tmp";
const RECYCLED: &str = "recycled.free";
/// The file name of a segment.
pub(crate) fn name(generation: u64) -> String {
    format!("{generation:016x}{EXTENSION}")
}

/// The path of a segment in one of the two directories.
pub(crate) fn path(directory: &str, generation: u64) -> String {
    format!("{directory}/{}", name(generation))
}

fn generation_of(name: &str) -> Option<u64> {
    let digits = name
        .strip_suffix(EXTENSION)
        .filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

/// The generations of the segments in a directory, ascending.
pub(crate) fn generations(disk: &dyn Disk, directory: &str) -> io::Result<Vec<u64>> {
    let names = disk.list(directory)?;
    let mut generations: Vec<u64> = names
        .iter()
        .filter_map(|name| generation_of(name))
        .collect();
    generations.sort_unstable();
    Ok(generations)
}

/// Removes files whose preparation a crash has cut short.
pub(crate) fn remove_unfinished(disk: &dyn Disk) -> io::Result<()> {
    for name in disk
        .list(LOG)?
        .iter()
        .filter(|name| name.ends_with(UNFINISHED))
    {
        disk.remove(&format!("{LOG}/{name}"))?;
    }
    Ok(())
}

/// What happens to a segment that the checkpoint covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// It is moved to `archive/` and stays: the audit trail, and what a lost state is rebuilt from.
    Archive,
    /// Its file is used again. The state cannot be rebuilt, and followers must keep up.
    Recycle,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_generations_correspond() {
        for generation in [0, 1, 0xabc, u64::MAX] {
            assert_eq!(generation_of(&name(generation)), Some(generation));
        }
        for foreign in [
            "1.log",
            "x",
            "0000000000000001.log.tmp",
            "000000000000000g.log",
            ".log",
        ] {
            assert_eq!(generation_of(foreign), None, "{foreign}");
        }
    }
}
