//! The book on disk: an append-only file of checked groups of entries.
//!
//! Owns the format, replay and the torn tail. No account number is in it: transaction ids, traces,
//! amounts, states, last four digits.
//!
//! ```text
//! "TWBK" | length (4, low first) | CRC-32C of the payload (4, low first) | payload
//! payload: MessagePack array of entries; a later entry of the same trace replaces an earlier one
//! ```
//! A group is written at once and synced as a whole, so only the last one can be torn. A broken
//! group that a good one follows is damage, and the book does not open. Zeros are laid ahead of the
//! groups: a sync that need not record a new length takes 0.10 instead of 0.17 ms (measured
//! 2026-11-21).

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crc::{CRC_32_ISCSI, Crc};
use protocol::id::{MerchantId, TerminalId, TransactionId};
use protocol::money::Money;
use serde::{Deserialize, Serialize};

use crate::acquirer::host::{Book, BookEntry, BookState, ResponseCode};
use crate::domain::time::Timestamp;
use crate::domain::transaction::Trace;

const MARKER: [u8; 4] = *b"TWBK";
/// How many zeros are laid ahead at a time: some hundred sales' entries. In tests few, so that
/// groups go across them.
const AHEAD_BYTES: usize = if cfg!(test) { 64 } else { 256 * 1024 };
const CHECKSUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// Why a book cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BookFileError {
    /// The file system refused.
    #[error("acquirer's book: {0}")]
    Io(#[from] io::Error),
    /// Another process has it open.
    #[error("acquirer's book is in use")]
    InUse,
    /// Broken where no crash can have broken it.
    #[error("acquirer's book is damaged at byte {offset}")]
    Damaged {
        /// Where the broken group starts.
        offset: usize,
    },
}

/// Why a group was not appended.
#[derive(Debug)]
pub(super) enum AppendError {
    /// The disk is full, and the book is as it was: the group can be appended later.
    NoSpace(io::Error),
    /// What the file holds is not known: it must not be written again.
    Broken(io::Error),
}

/// A book that is open for writing.
#[derive(Debug)]
pub(super) struct BookFile {
    file: File,
    is_durable: bool,
    /// Where the last whole group ends.
    length: u64,
    /// How long the file is: zeros from `length` on.
    reserved: u64,
}

impl BookFile {
    /// Opens or makes the file, replays it and cuts a torn tail off.
    pub(super) fn open(path: &Path, is_durable: bool) -> Result<(Self, Book), BookFileError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => BookFileError::InUse,
            TryLockError::Error(error) => error.into(),
        })?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (book, length) = replay(&bytes)?;
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        file.set_len(length)?;
        if is_durable {
            file.sync_all()?;
            let directory = path.parent().filter(|path| !path.as_os_str().is_empty());
            File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        let opened = Self {
            file,
            is_durable,
            length,
            reserved: length,
        };
        Ok((opened, book))
    }

    /// A file that refuses to be written.
    #[cfg(test)]
    pub(super) fn read_only(path: &Path) -> Self {
        Self {
            file: File::open(path).unwrap(),
            is_durable: true,
            length: 0,
            reserved: 0,
        }
    }

    /// Appends entries as one group; durable on return when the file was opened so.
    pub(super) fn append(&mut self, entries: &[BookEntry]) -> Result<(), AppendError> {
        let group = encode_group(entries).map_err(AppendError::Broken)?;
        let end = self.length + u64::try_from(group.len()).unwrap_or(u64::MAX);
        let written = self.reserve(end).and_then(|()| self.write(&group));
        if let Err(error) = written {
            return Err(match (error.kind(), self.cut_back()) {
                (io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded, Ok(())) => {
                    AppendError::NoSpace(error)
                }
                _ => AppendError::Broken(error),
            });
        }
        if self.is_durable {
            self.file.sync_data().map_err(AppendError::Broken)?;
        }
        self.length = end;
        Ok(())
    }

    fn write(&self, group: &[u8]) -> io::Result<()> {
        self.file.write_all_at(group, self.length)
    }

    /// Lays zeros ahead so that a group that ends at `end` does not change the file's length. They
    /// become durable with the group.
    fn reserve(&mut self, end: u64) -> io::Result<()> {
        let zeros = vec![0; if end > self.reserved { AHEAD_BYTES } else { 0 }];
        while end > self.reserved {
            self.file.write_all_at(&zeros, self.reserved)?;
            self.reserved += u64::try_from(zeros.len()).unwrap_or(u64::MAX);
        }
        Ok(())
    }

    /// Removes what a failed write has left behind the last whole group.
    fn cut_back(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.reserved = self.length;
        Ok(())
    }
}

/// Reads a book offline, for tests and inspection; by terminal, trace number and time. A torn tail
/// is left out.
///
/// # Errors
/// [`BookFileError`] when the file cannot be read or is damaged.
pub fn read_book(path: &Path) -> Result<Vec<BookEntry>, BookFileError> {
    let (book, _) = replay(&std::fs::read(path)?)?;
    Ok(book.entries().copied().collect())
}

/// The bytes of a group of entries; public for fuzz targets.
///
/// # Errors
/// When the group does not fit into the format.
#[doc(hidden)]
pub fn encode_group(entries: &[BookEntry]) -> io::Result<Vec<u8>> {
    let forms: Vec<EntryForm> = entries.iter().map(EntryForm::of).collect();
    let payload = rmp_serde::to_vec_named(&forms).map_err(io::Error::other)?;
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    let mut group = Vec::with_capacity(payload.len().saturating_add(12));
    group.extend(MARKER);
    group.extend(length.to_le_bytes());
    group.extend(CHECKSUM.checksum(&payload).to_le_bytes());
    group.extend(payload);
    Ok(group)
}

/// The entries of a book and how many of its bytes are good; public for fuzz targets.
///
/// # Errors
/// [`BookFileError::Damaged`].
#[doc(hidden)]
pub fn decode_book(bytes: &[u8]) -> Result<(Vec<BookEntry>, usize), BookFileError> {
    let (book, length) = replay(bytes)?;
    Ok((book.entries().copied().collect(), length))
}

/// The book in `bytes`, and how many of them are good.
fn replay(bytes: &[u8]) -> Result<(Book, usize), BookFileError> {
    let mut book = Book::default();
    let mut offset = 0;
    while let Some((payload, length)) = bytes.get(offset..).and_then(whole_group) {
        let damaged = BookFileError::Damaged { offset };
        let forms: Vec<EntryForm> = rmp_serde::from_slice(payload).map_err(|_| damaged)?;
        for form in forms {
            book.put(form.entry());
        }
        offset += length;
    }
    let tail = bytes.get(offset..).unwrap_or_default();
    let is_followed =
        (1..tail.len()).any(|start| tail.get(start..).and_then(whole_group).is_some());
    if is_followed {
        return Err(BookFileError::Damaged { offset });
    }
    Ok((book, offset))
}

/// The payload of a good group at the start of `bytes`, and the group's length.
fn whole_group(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let rest = bytes.strip_prefix(&MARKER)?;
    let (length, rest) = rest.split_first_chunk()?;
    let (checksum, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let payload = rest.get(..length)?;
    let is_good = CHECKSUM.checksum(payload) == u32::from_le_bytes(*checksum);
    is_good.then_some((payload, bytes.len() - rest.len() + length))
}

#[derive(Serialize, Deserialize)]
struct EntryForm {
    number: u64,
    merchant_id: MerchantId,
    terminal_id: TerminalId,
    transaction_id: TransactionId,
    trace_number: u32,
    sent_at: i64,
    requested: Money,
    approved: Option<Money>,
    total: Option<Money>,
    state: StateForm,
    response_code: String,
    last_four: Option<[u8; 4]>,
    is_contact_chip: bool,
    booked_at: i64,
    changed_at: i64,
    #[serde(default)]
    changed_by: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StateForm {
    Declined,
    Authorized,
    Reversed,
    Voided,
}

impl EntryForm {
    fn of(entry: &BookEntry) -> Self {
        Self {
            number: entry.number,
            merchant_id: entry.merchant_id,
            terminal_id: entry.terminal_id,
            transaction_id: entry.transaction_id,
            trace_number: entry.trace.number,
            sent_at: entry.trace.sent_at.0,
            requested: entry.requested,
            approved: entry.approved,
            total: entry.total,
            state: match entry.state {
                BookState::Declined => StateForm::Declined,
                BookState::Authorized => StateForm::Authorized,
                BookState::Reversed => StateForm::Reversed,
                BookState::Voided => StateForm::Voided,
            },
            response_code: entry.response_code.text().to_owned(),
            last_four: entry.last_four,
            is_contact_chip: entry.is_contact_chip,
            booked_at: entry.booked_at.0,
            changed_at: entry.changed_at.0,
            changed_by: entry.changed_by,
        }
    }

    fn entry(self) -> BookEntry {
        BookEntry {
            number: self.number,
            merchant_id: self.merchant_id,
            terminal_id: self.terminal_id,
            transaction_id: self.transaction_id,
            trace: Trace {
                number: self.trace_number,
                sent_at: Timestamp(self.sent_at),
            },
            requested: self.requested,
            approved: self.approved,
            total: self.total,
            state: match self.state {
                StateForm::Declined => BookState::Declined,
                StateForm::Authorized => BookState::Authorized,
                StateForm::Reversed => BookState::Reversed,
                StateForm::Voided => BookState::Voided,
            },
            response_code: ResponseCode::new(&self.response_code),
            last_four: self.last_four,
            is_contact_chip: self.is_contact_chip,
            booked_at: Timestamp(self.booked_at),
            changed_at: Timestamp(self.changed_at),
            changed_by: self.changed_by,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::acquirer::host::{Arrival, Host};
    use crate::acquirer::test_card::{NOW, authorize, base_keys, reverse};

    /// Two approvals, a decline, and a reversal of the first approval.
    fn entries() -> Vec<BookEntry> {
        let mut host = Host::new(base_keys(), 0);
        [
            authorize(1, 1234),
            authorize(2, 2000),
            authorize(3, 5),
            reverse(1, 1234, 1),
        ]
        .iter()
        .filter_map(|request| host.handle(NOW, request, Arrival::Sent).changed)
        .collect()
    }

    /// A book of one group per entry, with the lengths after each.
    fn written(path: &Path) -> Vec<u64> {
        let (mut file, _) = BookFile::open(path, true).unwrap();
        entries()
            .iter()
            .map(|entry| {
                file.append(&[*entry]).unwrap();
                file.length
            })
            .collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("book");
        written(&path);
        let mut expected = Book::default();
        entries().into_iter().for_each(|entry| expected.put(entry));
        let (_, book) = BookFile::open(&path, true).unwrap();
        assert_eq!(book, expected);
        assert_eq!(book.number_next(), 4);
        assert_eq!(read_book(&path).unwrap().len(), 3);
    }

    #[test]
    fn a_tail_torn_anywhere_is_cut_off() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("book");
        let lengths = written(&path);
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let kept = lengths
                .iter()
                .filter(|end| **end <= u64::try_from(length).unwrap());
            let mut expected = Book::default();
            let all = entries();
            let last = all[3];
            let kept = all.into_iter().take(kept.count());
            kept.for_each(|entry| expected.put(entry));
            let (mut file, book) = BookFile::open(&path, false).unwrap();
            assert_eq!(book, expected, "{length} bytes");
            file.append(&[last]).unwrap();
            expected.put(last);
            drop(file);
            let (_, book) = BookFile::open(&path, false).unwrap();
            assert_eq!(book, expected, "{length} bytes, then one more group");
        }
    }

    #[test]
    fn damage_before_the_tail_is_not_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("book");
        let lengths = written(&path);
        let whole = fs::read(&path).unwrap();
        let tail_at = usize::try_from(lengths[lengths.len() - 2]).unwrap();
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x01;
            fs::write(&path, &damaged).unwrap();
            let read = read_book(&path);
            let is_damage = matches!(read, Err(BookFileError::Damaged { .. }));
            assert_eq!(is_damage, place < tail_at, "byte {place}");
        }
    }

    #[test]
    fn a_tail_of_zeros_is_cut_off() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("book");
        written(&path);
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend([0; 5_000]);
        fs::write(&path, &bytes).unwrap();
        assert_eq!(read_book(&path).unwrap().len(), 3);
    }

    #[test]
    fn one_process_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("book");
        let _open = BookFile::open(&path, false).unwrap();
        let second = BookFile::open(&path, false).map(|_| ());
        assert!(matches!(second, Err(BookFileError::InUse)));
    }

    #[test]
    fn no_account_number_is_on_disk() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("book");
        written(&path);
        let bytes = fs::read(&path).unwrap();
        let packed = [0x47, 0x61, 0x73, 0x90];
        for secret in [b"4761".as_slice(), b"47617390", &packed, b"2812"] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret));
        }
    }
}
