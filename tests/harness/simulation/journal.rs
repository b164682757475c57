//! A till's disk: the journal as entries, and how far it has been synced.
//!
//! What a start finds goes through the real frames, so that a torn tail is torn as on a disk.

use protocol::id::JournalId;
use terminal_agent::journal::{ReadBack, encode_frame, read_back};
use terminal_agent::machine::agent::Input;
use terminal_agent::machine::record::{JOURNAL_FORMAT, JournalEntry, JournalState};

use super::event::Event;
use super::fault::Sabotage;
use super::random::Random;
use super::till::Persist;
use super::world::World;

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

impl World {
    /// The journal's thread writes.
    pub fn journal_writes(&mut self, number: usize, life: u64, entries: Persist) {
        let skips_sync = self.sabotage == Some(Sabotage::SkipJournalSync);
        let till = &mut self.tills[number];
        if till.life != life {
            return;
        }
        let is_written = !std::mem::take(&mut till.is_journal_failing);
        if is_written {
            till.disk.write(&entries);
            if entries.iter().any(JournalEntry::needs_sync) && !skips_sync {
                till.disk.sync();
            }
        }
        let at_ms = self.now_ms + self.random.between(0, 5);
        self.queue.push(
            at_ms,
            Event::JournalDone {
                till: number,
                life,
                is_written,
            },
        );
    }

    /// The journal's thread says how it went.
    pub fn journal_done(&mut self, number: usize, life: u64, is_written: bool) {
        if self.tills[number].life == life {
            let input = if is_written {
                Input::Persisted
            } else {
                Input::PersistFailed
            };
            self.till_hears(number, input);
        }
    }
}
