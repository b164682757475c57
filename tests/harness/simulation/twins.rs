//! Two tills with one identity: a copied disk, a till of the past, and the technician who sorts it
//! out.

use engine::domain::merchant::DeviceKey;
use protocol::id::TerminalId;
use terminal_agent::machine::record::JournalState;

use super::event::Event;
use super::fault::Fault;
use super::printer::Printer;
use super::staff::{Errand, device_key};
use super::till::Till;
use super::world::World;

impl World {
    /// Somebody puts a copy of a till into operation: the same identity, an empty journal.
    pub(super) fn copy_till(&mut self, number: usize) -> bool {
        let terminal = self.tills[number].terminal;
        let has_copy = self
            .tills
            .iter()
            .any(|till| till.terminal == terminal && till.is_copy && !till.is_gone);
        if has_copy {
            return false;
        }
        let serial = self.tills.len();
        let original = &self.tills[terminal];
        let mut copy = Till::new(
            original.terminal_id,
            original.merchant,
            serial,
            Printer::default(),
        );
        copy.terminal = terminal;
        copy.device_key = original.device_key;
        copy.is_copy = true;
        self.tills.push(copy);
        self.note(|| format!("till {serial} is a copy of till {terminal}"));
        let at_ms = self.now_ms + self.random.between(10, 3_000);
        self.queue.push(at_ms, Event::TillStarts { till: serial });
        let at_ms = self.now_ms + self.random.between(1_000, 20_000);
        self.queue.push(at_ms, Event::Cashier { till: serial });
        true
    }

    /// A till's journal is kept, or what was kept is put back.
    pub(super) fn journal_of_the_past(&mut self, number: usize) -> bool {
        let disk = &mut self.tills[number].disk;
        if disk.has_backup() {
            self.end_till(number, Fault::JournalRestored);
            return true;
        }
        disk.back_up();
        false
    }

    /// What was kept is put back. Of what was printed in between only the engine can know, and
    /// only what it had heard.
    pub(super) fn restore_journal(&mut self, number: usize) {
        let till = &mut self.tills[number];
        till.disk.restore();
        till.has_older_journal = true;
        let journal = JournalState::from_entries(till.disk.synced());
        till.printer.paper.lose(&journal);
        let terminal = till.terminal;
        self.model.numbers_begin_again(terminal);
    }

    /// The engine refuses two tills with one identity.
    pub(super) fn notice_duplicate(&mut self, terminal: usize) {
        if self.duplicates.insert(terminal) {
            self.send_technician(terminal);
        }
    }

    /// A technician sets out.
    pub(super) fn send_technician(&mut self, till: usize) {
        let at_ms = self.now_ms + self.random.between(5_000, 60_000);
        self.queue.push(at_ms, Event::Technician { till });
    }

    /// The technician takes copies away and pairs the till anew.
    pub(super) fn technician(&mut self, till: usize) {
        self.remove_copies(till);
        self.run_errand(Errand::Code { till });
    }

    /// Takes copies of a till away.
    pub(super) fn remove_copies(&mut self, terminal: usize) {
        for number in 0..self.tills.len() {
            if self.tills[number].terminal == terminal && self.tills[number].is_copy {
                self.end_till(number, Fault::AgentKill);
                self.tills[number].is_gone = true;
            }
        }
    }

    /// The till makes a key that it has never had, for one pairing.
    pub(super) fn make_device_key(&mut self, till: usize) -> DeviceKey {
        let till = &mut self.tills[till];
        till.installations += 1;
        device_key(till.installations)
    }

    /// A pairing has succeeded: the till signs with the key that the engine has taken, which is
    /// that of the last when two technicians were at work.
    pub(super) fn paired_anew(&mut self, till: usize, device_key: DeviceKey) {
        self.tills[till].device_key = device_key;
    }

    /// Whether a hello is signed with the terminal's key.
    pub(super) fn is_signed(&self, till: usize, terminal_id: TerminalId) -> bool {
        let known = self.engine.guard.index().terminal(terminal_id);
        known.is_some_and(|known| known.device_key == Some(self.tills[till].device_key))
    }
}
