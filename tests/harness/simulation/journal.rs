//! A till's disk: the journal as entries, and how far it has been synced.
//!
//! What a start finds goes through the real frames, so that a torn tail is torn as on a disk.

use protocol::id::JournalId;
use terminal_agent::journal::{ReadBack, encode_frame, read_back};
use terminal_agent::machine::record::{JOURNAL_FORMAT, JournalEntry, JournalState};

use super::random::Random;

/// The disk.
#[derive(Debug, Default)]
pub struct Disk {
    entries: Vec<JournalEntry>,
    synced: usize,
}

impl Disk {
    /// Writes entries.
    pub fn write(&mut self, entries: &[JournalEntry]) {
        self.entries.extend_from_slice(entries);
    }

    /// What is written is on stable storage.
    pub fn sync(&mut self) {
        self.synced = self.entries.len();
    }

    /// What is on stable storage.
    pub fn synced(&self) -> &[JournalEntry] {
        self.entries.get(..self.synced).unwrap_or_default()
    }

    /// Sabotage: loses entries.
    pub fn forget(&mut self, is_lost: impl Fn(&JournalEntry) -> bool) {
        self.entries.retain(|entry| !is_lost(entry));
        self.synced = self.entries.len();
    }

    /// The power fails: of what was not synced a prefix is left, and a torn piece of the next.
    pub fn lose_power(&mut self, random: &mut Random) {
        let unsynced = self.entries.len() - self.synced;
        let kept = self.synced + random.index(unsynced + 1);
        let mut bytes = Vec::new();
        for entry in &self.entries[..kept] {
            encode_frame(entry, &mut bytes).unwrap_or_default();
        }
        if let Some(next) = self.entries.get(kept) {
            let mut frame = Vec::new();
            encode_frame(next, &mut frame).unwrap_or_default();
            frame.truncate(random.index(frame.len()));
            bytes.extend(frame);
        }
        self.entries = match read_back(&bytes) {
            ReadBack::Entries { entries, .. } => entries,
            ReadBack::Corrupt { .. } => Vec::new(),
        };
        self.synced = self.entries.len();
    }

    /// The till is installed anew.
    pub fn erase(&mut self) {
        *self = Self::default();
    }

    /// Opens the journal for one more start, as the agent's journal does.
    pub fn open(&mut self, fresh: JournalId) -> JournalState {
        let mut state = JournalState::from_entries(&self.entries);
        if state.journal_id().is_none() {
            state = JournalState::default();
            state.apply(&JournalEntry::Header {
                format: JOURNAL_FORMAT,
                journal_id: fresh,
            });
        }
        state.apply(&JournalEntry::Boot {
            number: state.boot().saturating_add(1),
        });
        self.entries = state.snapshot();
        self.sync();
        state
    }
}
