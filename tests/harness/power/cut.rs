//! What becomes of everything that was not durable when the power went: decided by a seed.
//!
//! Two kinds of disk. *Ordered* is a journaling file system like ext4 with `data=ordered`: names
//! are kept in the order in which they changed, and a file that has grown shows what was written
//! into its new part. *Adversarial* keeps what was synced and nothing else: each name, each length
//! and each sector on its own, and garbage where a file has grown and its data has not arrived.

use std::fmt;

use super::dice::Dice;
use super::history::{Change, Edit, File, History, Moment, Names};
use super::image::Image;

/// What a disk promises about what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Names in order, new data before the length that shows it.
    Ordered,
    /// Nothing.
    Adversarial,
}

/// A power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// When, on the recorder's clock.
    pub instant: u64,
    /// On which kind of disk.
    pub mode: Mode,
    /// Decides the rest.
    pub seed: u64,
}

impl fmt::Display for Cut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            instant,
            mode,
            seed,
        } = self;
        write!(formatter, "cut at {instant} ns, {mode:?}, seed {seed}")
    }
}

/// Which of the changes that could be lost are kept.
#[derive(Debug, Clone, Copy)]
enum Taste {
    /// So many of a hundred.
    Percent(usize),
    /// All but one.
    LoseOne(usize),
    /// One alone.
    KeepOne(usize),
}

/// How one cut treats the disk.
struct Fate {
    mode: Mode,
    taste: Taste,
    /// Writes break at multiples of this; 0 for never.
    sector_bytes: u64,
    is_garbage: bool,
    dice: Dice,
    /// Changes that were asked about so far.
    asked: usize,
}

impl Cut {
    /// The disk that is found when the power is back.
    pub fn image(&self, history: &History) -> Image {
        let moment = history.at(self.instant);
        let mut fate = Fate::of(self, &moment);
        let names = fate.names(&moment);
        moment.image(&names, |_, file| fate.contents(file))
    }
}

impl Fate {
    fn of(cut: &Cut, moment: &Moment<'_>) -> Self {
        let mut dice = Dice(cut.seed);
        let open: usize = moment.files.iter().map(|file| file.changes.len()).sum();
        let taste = match dice.below(8) {
            0 => Taste::Percent(0),
            1 => Taste::Percent(100),
            2 => Taste::Percent(10),
            3 => Taste::Percent(90),
            4 => Taste::LoseOne(dice.below(open)),
            5 => Taste::KeepOne(dice.below(open)),
            _ => Taste::Percent(50),
        };
        Self {
            mode: cut.mode,
            taste,
            sector_bytes: *dice.one_of(&[0, 512, 512, 4_096]).unwrap_or(&512),
            is_garbage: cut.mode == Mode::Adversarial && dice.percent(50),
            dice,
            asked: 0,
        }
    }

    /// Whether the next change is kept.
    fn keeps(&mut self) -> bool {
        self.asked += 1;
        match self.taste {
            Taste::Percent(percent) => self.dice.percent(percent),
            Taste::LoseOne(number) => self.asked - 1 != number,
            Taste::KeepOne(number) => self.asked - 1 == number,
        }
    }

    fn names(&mut self, moment: &Moment<'_>) -> Names {
        let mut names = moment.base.clone();
        match self.mode {
            Mode::Ordered => {
                let durable = |change: &super::history::NameChange<'_>| change.is_journaled;
                let least = moment
                    .names
                    .iter()
                    .rposition(durable)
                    .map_or(0, |at| at + 1);
                let open = moment.names.len() - least;
                let kept = match self.taste {
                    Taste::Percent(0) => least,
                    Taste::Percent(100) => moment.names.len(),
                    _ => least + self.dice.below(open + 1),
                };
                for change in moment.names.iter().take(kept) {
                    change.apply(&mut names, true, true);
                }
            }
            Mode::Adversarial => {
                for change in &moment.names {
                    let kept = self.keeps();
                    let (mut gone, mut come) = (change.gone_durable, change.come_durable);
                    if change.gone.is_some() && change.come.is_some() {
                        // A rename may leave both names, never none.
                        come |= gone || kept;
                        gone |= come && self.dice.percent(50);
                        if change.moves_directory() {
                            gone = come;
                        }
                    } else {
                        gone |= kept;
                        come |= kept;
                    }
                    change.apply(&mut names, gone, come);
                }
            }
        }
        names
    }

    fn contents(&mut self, file: &File<'_>) -> Vec<u8> {
        let mut bytes = file.durable.clone();
        // Lengths are kept in order: the file shows one that it once had.
        let lengths = match self.taste {
            Taste::Percent(0) => 0,
            Taste::Percent(100) | Taste::LoseOne(_) => file.changes.len(),
            _ => self.dice.below(file.changes.len() + 1),
        };
        for (number, change) in file.changes.iter().enumerate() {
            self.change(&mut bytes, change, number < lengths);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, change: &Change<'_>, may_resize: bool) {
        match change.edit {
            Edit::Write(offset, data) => {
                let end = offset + len(data);
                let old = self.grow(bytes, end, may_resize);
                let is_shown = self.mode == Mode::Ordered && change.is_done;
                for (from, piece) in pieces(offset, data, self.sector_bytes) {
                    let is_new = from + len(piece) > old;
                    if self.keeps() || (is_shown && is_new) {
                        put(bytes, from, piece);
                    }
                }
            }
            Edit::Zero(offset, length) => {
                let old = self.grow(bytes, offset + length, may_resize);
                let is_shown = self.mode == Mode::Ordered && offset + length > old;
                if self.keeps() || is_shown {
                    let end = place(offset + length).min(bytes.len());
                    bytes[place(offset).min(end)..end].fill(0);
                }
            }
            Edit::Length(length) if may_resize => bytes.resize(place(length), 0),
            Edit::Grow(length) if may_resize => bytes.resize(bytes.len().max(place(length)), 0),
            Edit::Length(_) | Edit::Grow(_) => {}
        }
    }

    /// Makes a file longer, if it may be; gives the length that it had.
    fn grow(&mut self, bytes: &mut Vec<u8>, end: u64, may_resize: bool) -> u64 {
        let old = bytes.len();
        if may_resize && place(end) > old {
            bytes.resize(place(end), 0);
            if self.is_garbage {
                for word in bytes[old..].chunks_mut(8) {
                    let garbage = self.dice.bits().to_le_bytes();
                    word.copy_from_slice(&garbage[..word.len()]);
                }
            }
        }
        u64::try_from(old).unwrap_or(u64::MAX)
    }
}

fn len(data: &[u8]) -> u64 {
    u64::try_from(data.len()).unwrap_or(u64::MAX)
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// The pieces of a write that a disk may keep on their own.
fn pieces(offset: u64, data: &[u8], sector_bytes: u64) -> Vec<(u64, &[u8])> {
    if sector_bytes == 0 {
        return vec![(offset, data)];
    }
    let (mut from, mut rest, mut pieces) = (offset, data, Vec::new());
    while !rest.is_empty() {
        let in_sector = place(sector_bytes - from % sector_bytes).min(rest.len());
        let (piece, behind) = rest.split_at(in_sector);
        pieces.push((from, piece));
        from += len(piece);
        rest = behind;
    }
    pieces
}

/// Writes what of a piece is within the file.
fn put(bytes: &mut [u8], from: u64, piece: &[u8]) {
    let from = place(from).min(bytes.len());
    let count = piece.len().min(bytes.len() - from);
    bytes[from..from + count].copy_from_slice(&piece[..count]);
}

#[cfg(test)]
mod tests {
    use super::super::trace::{Act, Record};
    use super::*;

    fn record(at: u64, inode: u64, act: Act) -> Record {
        Record {
            begin: at,
            end: at + 1,
            inode,
            act,
        }
    }

    fn write(at: u64, offset: u64, byte: u8) -> Record {
        let data = vec![byte; 1_024];
        record(at, 7, Act::Write { offset, data })
    }

    /// Made, written, synced, named durably; written again and renamed, neither of it synced.
    fn history() -> History {
        let records = vec![
            record(10, 7, Act::Create("a.new".to_owned())),
            write(20, 0, b'x'),
            record(30, 7, Act::Sync { data_only: true }),
            record(40, 1, Act::SyncDirectory(String::new())),
            write(50, 0, b'y'),
            write(60, 1_024, b'z'),
            record(70, 7, Act::Rename("a.new".to_owned(), "a".to_owned())),
        ];
        History::default().with(records)
    }

    fn images(history: &History, instant: u64, mode: Mode) -> Vec<Image> {
        let cut = |seed| Cut {
            instant,
            mode,
            seed,
        };
        (0..400).map(|seed| cut(seed).image(history)).collect()
    }

    #[test]
    fn what_was_synced_is_always_there() {
        for mode in [Mode::Ordered, Mode::Adversarial] {
            for image in images(&history(), 45, mode) {
                assert_eq!(image.files["a.new"], vec![b'x'; 1_024]);
            }
        }
    }

    #[test]
    fn what_was_not_synced_is_there_lost_or_torn() {
        let history = history();
        for mode in [Mode::Ordered, Mode::Adversarial] {
            let images = images(&history, 100, mode);
            let firsts: std::collections::BTreeSet<(u8, u8)> = images
                .iter()
                .flat_map(|image| image.files.values())
                .map(|bytes| (bytes[0], bytes[512]))
                .collect();
            let expected = [(b'x', b'x'), (b'x', b'y'), (b'y', b'x'), (b'y', b'y')];
            assert_eq!(firsts, expected.into(), "{mode:?}");
            let count = |name| {
                images
                    .iter()
                    .filter(|one| one.files.contains_key(name))
                    .count()
            };
            let both = |image: &&Image| image.files.len() == 2;
            assert!(count("a") > 0 && count("a.new") > 0);
            assert!(images.iter().all(|image| !image.files.is_empty()));
            assert_eq!(
                images.iter().any(|one| both(&one)),
                mode == Mode::Adversarial
            );
            let long = images.iter().flat_map(|image| image.files.values());
            let long: Vec<_> = long.filter(|bytes| bytes.len() > 1_024).collect();
            assert!(!long.is_empty());
            // A journal shows a new length only with the data that it covers.
            let is_whole = |bytes: &&Vec<u8>| bytes[1_024..].iter().all(|byte| *byte == b'z');
            assert_eq!(long.iter().all(is_whole), mode == Mode::Ordered);
        }
    }

    #[test]
    fn before_any_sync_anything_goes() {
        let lost = |image: &Image| image.files.is_empty();
        for mode in [Mode::Ordered, Mode::Adversarial] {
            assert!(images(&history(), 25, mode).iter().any(lost), "{mode:?}");
        }
    }

    #[test]
    fn a_lying_disk_forgets_what_was_synced() {
        let lying = history().lying();
        let lost = |image: &Image| image.files.get("a.new").is_none_or(|one| one.len() < 1_024);
        assert!(images(&lying, 45, Mode::Ordered).iter().any(lost));
        assert!(!images(&history(), 45, Mode::Ordered).iter().any(lost));
    }

    #[test]
    fn everything_kept_is_what_the_system_saw() {
        let whole = history().whole();
        assert_eq!(whole.files.len(), 1);
        assert_eq!(whole.files["a"][..1_024], vec![b'y'; 1_024]);
        assert_eq!(whole.files["a"][1_024..], vec![b'z'; 1_024]);
    }
}
