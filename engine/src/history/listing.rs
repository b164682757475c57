//! The names of history files, and how many there must be. Owns which files are history and which
//! are left over; must never look into one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::HistoryError;

/// Says how many files were ever begun.
pub(super) const COUNT_FILE: &str = "count";
const EXTENSION: &str = ".history";
/// Of a file that is being written.
const PART: &str = ".part";

/// The numbers that a file stands for: its own, or those of the files that it was joined from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) first: u32,
    pub(super) last: u32,
}

impl Span {
    /// A file that was not joined.
    pub(super) const fn one(number: u32) -> Self {
        Self {
            first: number,
            last: number,
        }
    }

    /// `00000009.history`, or `00000001-00000008.history` of a joined one.
    pub(super) fn name(self) -> String {
        let Self { first, last } = self;
        if first == last {
            format!("{first:08}{EXTENSION}")
        } else {
            format!("{first:08}-{last:08}{EXTENSION}")
        }
    }

    /// What the file is called while it is written.
    pub(super) fn name_beside(self) -> String {
        format!("{}{PART}", self.name())
    }

    fn of(name: &str) -> Option<Self> {
        let numbers = name.strip_suffix(EXTENSION)?;
        let number = |digits: &str| -> Option<u32> {
            let number = digits.parse().ok()?;
            (digits.len() == 8 && number > 0).then_some(number)
        };
        match numbers.split_once('-') {
            None => number(numbers).map(Self::one),
            Some((first, last)) => {
                let (first, last) = (number(first)?, number(last)?);
                (first < last).then_some(Self { first, last })
            }
        }
    }
}

/// What is in the directory.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// The files of history, ascending.
    pub(super) files: Vec<Span>,
    /// Files that are in others, or were never finished: nobody needs them.
    pub(super) left_over: Vec<String>,
}

/// Reads the directory; an absent one is empty.
///
/// As many files are there as were counted, and one more if a crash came between naming and counting
/// it. That one is whole, and whatever is in it is still in the state.
///
/// # Errors
/// [`HistoryError`]: a file is missing, or the directory cannot be read.
pub(super) fn read(directory: &Path) -> Result<Listing, HistoryError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Listing::default()),
        entries => entries.map_err(HistoryError::io(""))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(HistoryError::io(""))?;
        names.extend(entry.file_name().to_str().map(str::to_owned));
    }
    arrange(&names, read_count(directory)?)
}

fn arrange(names: &[String], counted: u32) -> Result<Listing, HistoryError> {
    // The longest that begins with each number.
    let mut longest: BTreeMap<u32, u32> = BTreeMap::new();
    for span in names.iter().filter_map(|name| Span::of(name)) {
        let last = longest.entry(span.first).or_insert(span.last);
        *last = span.last.max(*last);
    }
    let highest = longest.values().copied().max().unwrap_or(0);
    if highest > counted.saturating_add(1) {
        let file = COUNT_FILE.to_owned();
        return Err(HistoryError::Missing { file });
    }
    let mut listing = Listing::default();
    let mut first = 1;
    while first <= highest.max(counted) {
        let Some(last) = longest.get(&first).copied() else {
            let file = Span::one(first).name();
            return Err(HistoryError::Missing { file });
        };
        listing.files.push(Span { first, last });
        first = last.saturating_add(1);
    }
    let is_left_over = |name: &&String| match Span::of(name) {
        Some(span) => !listing.files.contains(&span),
        None => name.ends_with(PART),
    };
    listing.left_over = names.iter().filter(is_left_over).cloned().collect();
    Ok(listing)
}

fn read_count(directory: &Path) -> Result<u32, HistoryError> {
    let text = match fs::read_to_string(directory.join(COUNT_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        text => text.map_err(HistoryError::io(COUNT_FILE))?,
    };
    let unreadable = || HistoryError::io(COUNT_FILE)(io::ErrorKind::InvalidData.into());
    parsed(&text).ok_or_else(unreadable)
}

/// `3 c0ffee00`: the count and its checksum, so that no flipped bit hides a file.
fn counted(count: u32) -> String {
    let sum = crate::store::block::sum(&count.to_le_bytes());
    format!("{count} {sum:08x}\n")
}

fn parsed(text: &str) -> Option<u32> {
    let count = text.split(' ').next()?.parse().ok()?;
    (text == counted(count)).then_some(count)
}

/// Says how many there must be from now on; the directory is not synced.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write_count(directory: &Path, count: u32) -> io::Result<()> {
    let beside = directory.join(format!("{COUNT_FILE}{PART}"));
    fs::write(&beside, counted(count))?;
    File::open(&beside)?.sync_all()?;
    fs::rename(beside, directory.join(COUNT_FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arranged(names: &[&str], counted: u32) -> Result<Listing, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        arrange(&names, counted).map_err(|error| error.to_string())
    }

    #[test]
    fn a_joined_file_stands_for_all_that_it_was_joined_from() {
        let spans = |of: &[(u32, u32)]| -> Vec<Span> {
            of.iter()
                .map(|(first, last)| Span {
                    first: *first,
                    last: *last,
                })
                .collect()
        };
        for (names, counted, files, left_over) in [
            (vec![], 0, vec![], vec![]),
            (vec!["00000001.history"], 0, vec![(1, 1)], vec![]),
            (
                vec!["00000002.history", "00000001.history", "count"],
                2,
                vec![(1, 1), (2, 2)],
                vec![],
            ),
            // A crash between the naming of the joined file and the removal of the last of its parts.
            (
                vec![
                    "00000001-00000003.history",
                    "00000002.history",
                    "00000003.history",
                    "00000004.history",
                ],
                4,
                vec![(1, 3), (4, 4)],
                vec!["00000002.history", "00000003.history"],
            ),
            // Joined again.
            (
                vec![
                    "00000001-00000008.history",
                    "00000001-00000003.history",
                    "00000005.history",
                    "00000009.history",
                ],
                8,
                vec![(1, 8), (9, 9)],
                vec!["00000001-00000003.history", "00000005.history"],
            ),
            (
                vec!["00000001.history", "00000002.history.part"],
                1,
                vec![(1, 1)],
                vec!["00000002.history.part"],
            ),
        ] {
            let listing = arranged(&names, counted).unwrap();
            assert_eq!(listing.files, spans(&files), "{names:?}");
            assert_eq!(listing.left_over, left_over, "{names:?}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for (names, counted, missing) in [
            (vec![], 1, "00000001.history"),
            (vec!["00000002.history"], 2, "00000001.history"),
            (vec!["00000001-00000003.history"], 4, "00000004.history"),
            (
                vec!["00000001.history", "00000003.history"],
                3,
                "00000002.history",
            ),
            // More files than counted: the count is an old one.
            (vec!["00000001-00000003.history"], 1, "count"),
        ] {
            let told = arranged(&names, counted).unwrap_err();
            assert_eq!(told, format!("history/{missing} is missing"), "{names:?}");
        }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for span in [Span::one(7), Span { first: 1, last: 12 }] {
            assert_eq!(Span::of(&span.name()), Some(span));
            assert_eq!(Span::of(&span.name_beside()), None);
        }
        for other in [
            "1.history",
            "00000000.history",
            "00000003-00000003.history",
            "00000004-00000003.history",
            "00000003-4.history",
            "count",
        ] {
            assert_eq!(Span::of(other), None, "{other}");
        }
    }
}
