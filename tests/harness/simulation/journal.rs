//! A till's disk: the journal as entries, and how far it has been synced.
//!
//! What a start finds goes through the real frames, so that a torn tail is torn as on a disk.

use protocol::id::JournalId;
use terminal_agent::journal::{ReadBack, encode_frame, read_back};
use terminal_agent::machine::agent::Input;
use terminal_agent::machine::record::{JOURNAL_FORMAT, JournalEntry, JournalState};

use super::event::Event;
use super::random::Random;
use super::sabotage::Sabotage;
use super::till::Persist;
use super::world::World;

/// The disk.
#[derive(Debug, Default)]
pub struct Disk {
    entries: Vec<JournalEntry>,
    synced: usize,
    backup: Option<Vec<JournalEntry>>,
    /// Nothing more can be written.
    pub is_full: bool,
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

    /// Keeps what is there.
    pub fn back_up(&mut self) {
        self.backup = Some(self.entries.clone());
    }

    /// Whether something was kept.
    pub const fn has_backup(&self) -> bool {
        self.backup.is_some()
    }

    /// What was kept is put back.
    pub fn restore(&mut self) {
        if let Some(backup) = self.backup.take() {
            self.entries = backup;
            self.sync();
        }
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
        let is_written = !std::mem::take(&mut till.is_journal_failing) && !till.disk.is_full;
        if !is_written {
            // A part may have been written before the failure.
            let part = self.random.index(entries.len() + 1);
            till.disk.write(&entries[..part]);
        } else {
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
        let is_heard = self.sabotage != Some(Sabotage::ActBeforeJournal);
        if self.tills[number].life == life && is_heard {
            let input = if is_written {
                Input::Persisted
            } else {
                Input::PersistFailed
            };
            self.till_hears(number, input);
        }
    }
}
